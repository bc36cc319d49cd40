//! What one FleetSync asks for, checked once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::reason;
use crate::api::duration::GoDuration;
use crate::api::fleet_sync::{Deletions, FleetSyncSpec, GitReference, GitSource, MaxImpact};
use crate::load::git::{FileSources, Reference, RepositoryUrl};

const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(300);
/// Shortest interval and timeout: what the rules of the kind demand, should they not have been in force.
const SHORTEST: Duration = Duration::from_secs(1);
const BRANCH: &str = "main";

/// A FleetSync that can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub url: RepositoryUrl,
    pub reference: Reference,
    /// In the repository, with `/`; empty for its root.
    pub directory: String,
    pub interval: Duration,
    /// For one fetch, and again for one plan and apply.
    pub timeout: Duration,
    pub max_impact: MaxImpact,
    pub account: Account,
    pub limits: Limits,
}

/// The ServiceAccount that everything is read and written as. Neither part is blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub namespace: String,
    pub name: String,
}

/// `system:serviceaccount:tenant-7:fleet-sync`.
impl std::fmt::Display for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "system:serviceaccount:{}:{}",
            self.namespace, self.name
        )
    }
}

/// Ceilings that no file can raise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub fleet_id: Option<String>,
    /// Empty: all that the account may.
    pub namespaces: BTreeSet<String>,
    /// `Omission`: what the Fleet lets go may go. Otherwise nothing is deleted, whatever it says.
    pub deletions: Option<Deletions>,
}

impl Limits {
    pub fn may_delete(&self) -> bool {
        match self.deletions {
            Some(Deletions::Omission) => true,
            None | Some(Deletions::Never | Deletions::Tombstone) => false,
        }
    }
}

/// Why a FleetSync is not followed until somebody changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    pub reason: &'static str,
    pub message: String,
}

impl Stall {
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl Order {
    /// Reads the spec of a FleetSync in `namespace`.
    ///
    /// *Errors*: everything that is not supported yet, named together; else the first thing that cannot be used.
    pub fn read(spec: &FleetSyncSpec, namespace: &str, files: FileSources) -> Result<Self, Stall> {
        let unsupported = unsupported(spec);
        if !unsupported.is_empty() {
            let message = format!("not supported yet: {}", unsupported.join(", "));
            return Err(Stall::new(reason::NOT_SUPPORTED, message));
        }
        let invalid = |message: String| Stall::new(reason::INVALID_SPEC, message);
        let git = &spec.source.git;
        let account = Account {
            namespace: namespace.trim().to_owned(),
            name: spec.service_account_name.trim().to_owned(),
        };
        // No identity would mean that of this process, that is, all its rights.
        if account.namespace.is_empty() || account.name.is_empty() {
            return Err(invalid("spec.serviceAccountName is blank".to_owned()));
        }
        let limits = spec.limits.clone().unwrap_or_default();
        Ok(Self {
            url: RepositoryUrl::parse(&git.url, files).map_err(|error| {
                Stall::new(reason::INVALID_SOURCE, format!("spec.source.git.url: {error}"))
            })?,
            reference: reference(git.reference.as_ref()).map_err(invalid)?,
            directory: directory(git),
            interval: time("spec.interval", spec.interval.as_ref(), INTERVAL).map_err(invalid)?,
            timeout: time("spec.timeout", spec.timeout.as_ref(), TIMEOUT).map_err(invalid)?,
            max_impact: spec.max_impact.unwrap_or(MaxImpact::Rolling),
            account,
            limits: Limits {
                fleet_id: limits.fleet_id,
                namespaces: limits.namespaces.into_iter().collect(),
                deletions: limits.deletions,
            },
        })
    }
}

/// Names every field that is set and has no effect yet: what is asked for and not done would be a surprise.
fn unsupported(spec: &FleetSyncSpec) -> Vec<&'static str> {
    let git = &spec.source.git;
    let reference = git.reference.clone().unwrap_or_default();
    let deletions = spec.limits.as_ref().and_then(|limits| limits.deletions);
    [
        ("spec.source.git.url with ssh", git.url.starts_with("ssh://")),
        ("spec.source.git.ref.semver", reference.semver.is_some()),
        (
            "spec.source.git.ref.commit of 64 digits",
            reference.commit.is_some_and(|commit| commit.len() == 64),
        ),
        ("spec.source.git.secretRef", git.secret_ref.is_some()),
        ("spec.source.git.verify", git.verify.is_some()),
        ("spec.source.git.allowRewind", git.allow_rewind == Some(true)),
        (
            "spec.limits.deletions other than Never",
            deletions.is_some_and(|deletions| deletions != Deletions::Never),
        ),
    ]
    .into_iter()
    .filter_map(|(field, is_set)| is_set.then_some(field))
    .collect()
}

fn reference(reference: Option<&GitReference>) -> Result<Reference, String> {
    let Some(reference) = reference else {
        return Ok(Reference::Branch(BRANCH.to_owned()));
    };
    let GitReference {
        branch,
        tag,
        semver: _,
        commit,
    } = reference;
    match (branch, tag, commit) {
        (Some(branch), None, None) => Ok(Reference::Branch(branch.clone())),
        (None, Some(tag), None) => Ok(Reference::Tag(tag.clone())),
        (None, None, Some(commit)) => Ok(Reference::Commit(commit.clone())),
        _ => Err("spec.source.git.ref must hold exactly one of branch, tag and commit".to_owned()),
    }
}

fn directory(git: &GitSource) -> String {
    let path = git.path.as_deref().unwrap_or_default();
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

fn time(field: &str, written: Option<&GoDuration>, unset: Duration) -> Result<Duration, String> {
    match written.map(GoDuration::to_duration) {
        None => Ok(unset),
        Some(Some(duration)) if duration >= SHORTEST => Ok(duration),
        Some(Some(_) | None) => Err(format!(
            "{field} must be a duration of 1s or more, for example 5m"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(spec: &Value) -> Result<Order, Stall> {
        let spec: FleetSyncSpec = serde_json::from_value(spec.clone()).unwrap();
        Order::read(&spec, "tenant-7", FileSources::Refused)
    }

    fn smallest() -> Value {
        json!({ "source": { "git": { "url": "https://git.example.com/fleet.git" } }, "serviceAccountName": "fleet-sync" })
    }

    #[test]
    fn what_is_not_written_has_its_documented_default() {
        let order = read(&smallest()).unwrap();
        assert_eq!(order.reference, Reference::Branch("main".into()));
        assert_eq!(
            (order.interval, order.timeout),
            (Duration::from_secs(60), Duration::from_secs(300))
        );
        assert_eq!(
            (order.max_impact, order.directory.as_str()),
            (MaxImpact::Rolling, "")
        );
        assert_eq!(
            order.account.to_string(),
            "system:serviceaccount:tenant-7:fleet-sync"
        );
    }

    #[test]
    fn everything_that_is_not_supported_is_named_at_once() {
        let mut spec = smallest();
        spec["source"]["git"] = json!({
            "url": "ssh://git@git.example.com/fleet.git", "ref": { "semver": ">=1" }, "allowRewind": true,
            "secretRef": { "name": "a" }, "verify": { "secretRef": { "name": "b" } } });
        spec["limits"] = json!({ "deletions": "Omission" });
        let stall = read(&spec).unwrap_err();
        assert_eq!(stall.reason, reason::NOT_SUPPORTED);
        for field in [
            "ssh",
            "semver",
            "secretRef",
            "verify",
            "allowRewind",
            "limits.deletions",
        ] {
            assert!(stall.message.contains(field), "{}", stall.message);
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_field() {
        let with = |pointer: &str, value: Value| {
            let mut spec = smallest();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[field] = value;
            read(&spec).unwrap_err()
        };
        for (pointer, value, says) in [
            ("/serviceAccountName", json!(" \t"), "serviceAccountName"),
            ("/interval", json!("10ms"), "spec.interval"),
            ("/timeout", json!("soon"), "spec.timeout"),
            ("/source/git/ref", json!({}), "exactly one"),
            (
                "/source/git/ref",
                json!({ "branch": "a", "tag": "b" }),
                "exactly one",
            ),
            (
                "/source/git/url",
                json!("file:///srv/fleet.git"),
                "--allow-file-sources",
            ),
            (
                "/source/git/url",
                json!("http://git.example.com/fleet.git"),
                "write `https://`",
            ),
        ] {
            let stall = with(pointer, value);
            assert!(stall.message.contains(says), "{}", stall.message);
        }
    }
}
