//! Where a control plane keeps its data: which kind, from where the access comes, what cannot change.

use super::answer::Stalled;
use super::facts::{Facts, SourceFacts};
use super::fill::{Source, SourceVersion};
use super::resolve::invalid;
use super::resolved::{DataSource, StoragePlan};
use crate::api::cluster_parts::StorageType;
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, names};
use crate::pki::{KeyPurpose, TOKEN};

/// Key of the data source when the spec names none.
pub(super) const DATA_SOURCE_KEY: &str = "K0SMOTRON_KINE_DATASOURCE_URL";

/// Returns the kind of storage that a spec asks for.
pub(super) fn wanted_type(spec: &ClusterSpec) -> StorageType {
    let storage = spec.storage.as_ref();
    storage
        .and_then(|storage| storage.storage_type)
        .unwrap_or(StorageType::Etcd)
}

/// Returns the Secret and the key of it that a spec takes its data source from, if it does.
pub fn data_source_of(spec: &ClusterSpec) -> Option<(String, String)> {
    if wanted_type(spec) != StorageType::Kine {
        return None;
    }
    let kine = spec.storage.as_ref()?.kine.as_ref()?;
    let key = kine.data_source_secret_key.as_deref().unwrap_or(DATA_SOURCE_KEY);
    Some((kine.data_source_secret_name.clone()?, key.to_owned()))
}

/// Says that the kind of storage changes, which would leave the data behind.
pub(super) fn change(spec: &ClusterSpec, facts: &Facts) -> Option<Stalled> {
    let pinned = facts
        .pins
        .storage_type
        .or(facts.pins.etcd_members.map(|_| StorageType::Etcd))
        .filter(|pinned| *pinned != wanted_type(spec))?;
    let what_to_do =
        format!("the data is in {pinned} and would stay behind; write `{pinned}`, or make a new cluster");
    Some(invalid("spec.storage.type", &what_to_do))
}

/// Returns the control-plane pods that there may be, and adds to `held` when another number is asked for: each server
/// of NATS knows the others by number.
pub(super) fn replicas(spec: &ClusterSpec, facts: &Facts, wanted: i32, held: &mut Vec<HeldStatus>) -> i32 {
    let live = facts
        .stateful_sets
        .get(&names::control_plane(&facts.name))
        .map(|pods| pods.spec_replicas)
        .filter(|live| wanted_type(spec) == StorageType::Nats && *live != wanted);
    let Some(live) = live else { return wanted };
    held.push(HeldStatus {
        what: "spec.replicas".to_owned(),
        reason: "NotPossible".to_owned(),
        message: format!("there are {live} NATS servers, and their number cannot change; write {live}"),
    });
    live
}

/// Decides about the storage of a cluster, and adds to `held` what a person must do.
///
/// *Errors*: nothing runs yet and the access to the data is not there: then nothing is made that would wait for it.
pub(super) fn decide(
    spec: &ClusterSpec,
    facts: &Facts,
    held: &mut Vec<HeldStatus>,
) -> Result<StoragePlan, Stalled> {
    match wanted_type(spec) {
        StorageType::Etcd => Ok(StoragePlan::Etcd),
        StorageType::Kine => data_source(spec, facts, held).map(StoragePlan::Kine),
        StorageType::Nats => Ok(StoragePlan::Nats(token(facts))),
    }
}

fn data_source(spec: &ClusterSpec, facts: &Facts, held: &mut Vec<HeldStatus>) -> Result<DataSource, Stalled> {
    let Some((secret, key)) = data_source_of(spec) else {
        return Err(invalid(
            "spec.storage.kine.dataSourceSecretName",
            "write the name of a Secret of this namespace that holds the data source",
        ));
    };
    let (reason, why) = match &facts.data_source {
        None => return Ok(found(facts, Err(format!("Secret `{secret}`")))),
        Some(SourceFacts::Usable { version }) => {
            let version = SourceVersion::Object(version.clone());
            return Ok(found(facts, Ok(Source { secret, key, version })));
        }
        Some(SourceFacts::Absent) => ("DataSourceMissing", "it is not there; create it".to_owned()),
        Some(SourceFacts::Unusable { why }) => {
            ("DataSourceUnusable", format!("key `{key}`: {why}; write it anew"))
        }
        Some(SourceFacts::Unreadable { why }) => ("NotReadable", format!("it cannot be read: {why}")),
    };
    let message = format!("Secret `{secret}` of `spec.storage.kine.dataSourceSecretName`: {why}");
    if facts.config.is_none() {
        return Err(Stalled {
            reason: reason.to_owned(),
            message: format!("{message}; nothing is made before"),
        });
    }
    held.push(HeldStatus {
        what: "spec.storage.kine".to_owned(),
        reason: reason.to_owned(),
        message: format!("{message}; until then the pods go on with what they were given"),
    });
    Ok(found(facts, Err(format!("Secret `{secret}`"))))
}

fn token(facts: &Facts) -> DataSource {
    let secret = names::key(&facts.name, KeyPurpose::NatsToken.suffix());
    let fingerprint = facts
        .keys
        .get(&KeyPurpose::NatsToken)
        .and_then(|token| token.fingerprint.clone());
    let source = match fingerprint {
        Some(fingerprint) => Ok(Source {
            secret,
            key: TOKEN.to_owned(),
            version: SourceVersion::Fingerprint(fingerprint),
        }),
        None => Err(format!("Secret `{secret}`")),
    };
    found(facts, source)
}

fn found(facts: &Facts, source: Result<Source, String>) -> DataSource {
    DataSource {
        source,
        filled: facts.config.clone(),
    }
}
