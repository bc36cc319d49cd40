//! How the operator of a hub renders, as it says itself to those who plan for it.
//!
//! [`Published`] -> ConfigMap of the operator -> [`HubOperator`].
//!
//! **Invariant:** what cannot be understood is never taken for defaults: [`HubOperator::settings`] refuses then, and
//! nothing is predicted.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::facts::Settings;
use super::revisions;
use crate::object::{Object, ObjectId, kinds};

/// Name of the ConfigMap.
pub const NAME: &str = "k0smotron-fleet-operator";
/// Longest version that is shown to people.
const VERSION_MAX: usize = 64;

mod key {
    pub const VERSION: &str = "version";
    pub const RENDERER_REVISIONS: &str = "rendererRevisions";
    pub const SETTINGS: &str = "settings";
}

/// What an operator says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Published {
    /// Version of its program.
    pub version: String,
    /// Renderer revisions that it knows.
    pub renderer_revisions: BTreeSet<u32>,
    pub settings: Settings,
}

/// How the operator of a hub renders, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum HubOperator {
    /// It says so itself.
    Published(Published),
    /// It says something that this program does not understand.
    Unreadable {
        /// Version of the operator, if it says so.
        version: Option<String>,
    },
    /// It does not say: its defaults are assumed.
    Assumed { why: String, settings: Settings },
}

impl Published {
    /// Returns what an operator of this program says that renders with these settings.
    pub fn of_this_program(settings: &Settings) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            renderer_revisions: revisions::REVISIONS
                .iter()
                .map(|revision| revision.number)
                .collect(),
            settings: settings.clone(),
        }
    }

    /// Returns the ConfigMap, as it is applied.
    pub fn to_object(&self, namespace: &str) -> Object {
        let revisions: Vec<String> = self.renderer_revisions.iter().map(u32::to_string).collect();
        Object(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": NAME, "namespace": namespace,
                "labels": { "app.kubernetes.io/name": "k0smotron-fleet" },
            },
            "data": {
                key::VERSION: self.version,
                key::RENDERER_REVISIONS: revisions.join(","),
                key::SETTINGS: json!(self.settings).to_string(),
            },
        }))
    }

    fn of_object(object: &Object) -> Option<Self> {
        let text = |key: &str| object.0.get("data")?.get(key)?.as_str();
        let revisions = text(key::RENDERER_REVISIONS)?.split(',');
        Some(Self {
            version: version(object)?,
            renderer_revisions: revisions
                .map(|number| number.trim().parse().ok())
                .collect::<Option<_>>()?,
            settings: serde_json::from_str(text(key::SETTINGS)?).ok()?,
        })
    }
}

fn version(object: &Object) -> Option<String> {
    let version = object.0.get("data")?.get(key::VERSION)?.as_str()?;
    let is_plain = version.chars().all(|c| c.is_ascii_graphic()) && version.len() <= VERSION_MAX;
    (is_plain && !version.is_empty()).then(|| version.to_owned())
}

impl HubOperator {
    /// Returns which ConfigMap it is.
    pub fn id(namespace: &str) -> ObjectId {
        ObjectId::new(kinds::CONFIG_MAP, namespace, NAME)
    }

    /// Reads the ConfigMap.
    pub fn of_object(object: &Object) -> Self {
        match Published::of_object(object) {
            Some(published) => Self::Published(published),
            None => Self::Unreadable {
                version: version(object),
            },
        }
    }

    /// Supposes an operator that was told nothing. `why` is a phrase about what it says itself.
    pub fn assumed(why: &str) -> Self {
        Self::Assumed {
            why: why.to_owned(),
            settings: Settings::of_another_process(),
        }
    }

    /// The operator that runs in this process.
    pub fn this(settings: &Settings) -> Self {
        Self::Published(Published::of_this_program(settings))
    }

    /// Returns the newest revision that it renders with, if it says one or one is assumed.
    pub fn renderer_revision(&self) -> Option<u32> {
        match self {
            Self::Published(Published { settings, .. }) | Self::Assumed { settings, .. } => {
                Some(settings.renderer_revision)
            }
            Self::Unreadable { .. } => None,
        }
    }

    /// Returns how it renders, or would at another revision.
    ///
    /// *Errors*: when this program cannot do the same, with a phrase that says why and what to do.
    pub fn settings(&self, at_revision: Option<u32>) -> Result<Settings, String> {
        let mut settings = match self {
            Self::Published(Published { settings, .. }) | Self::Assumed { settings, .. } => settings.clone(),
            Self::Unreadable { version } => {
                return Err(format!(
                    "how the operator of this hub is set cannot be read by this program ({}); {}",
                    env!("CARGO_PKG_VERSION"),
                    what_to_do(version.as_deref())
                ));
            }
        };
        if let Some(revision) = at_revision {
            settings.renderer_revision = revision;
        }
        let revision = settings.renderer_revision;
        if !revisions::is_known(revision) {
            let version = match self {
                Self::Published(Published { version, .. }) => Some(version.as_str()),
                Self::Unreadable { .. } | Self::Assumed { .. } => None,
            };
            return Err(format!(
                "the operator of this hub renders with revision {revision}, and this program ({}) knows up to {}; {}",
                env!("CARGO_PKG_VERSION"),
                revisions::newest(),
                what_to_do(version)
            ));
        }
        Ok(settings)
    }
}

fn what_to_do(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("plan with the program of its version, {version}"),
        None => "plan with the program of its version".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NetworkPolicySettings;
    use super::*;

    fn published() -> Published {
        Published::of_this_program(&Settings {
            cluster_domain: "edge.example".to_owned(),
            allowed_images: vec!["registry.example/k0s".to_owned()],
            network_policies: Some(NetworkPolicySettings {
                operator_namespace: "fleet-7".to_owned(),
            }),
            ..Settings::standard()
        })
    }

    fn with(key: &str, value: &str) -> HubOperator {
        let mut object = published().to_object("fleet-7");
        object.0["data"][key] = json!(value);
        HubOperator::of_object(&object)
    }

    #[test]
    fn what_an_operator_says_is_read_as_it_was_written() {
        let object = published().to_object("fleet-7");
        assert_eq!(object.id(), Some(HubOperator::id("fleet-7")));
        let read = HubOperator::of_object(&object);
        assert_eq!(read, HubOperator::Published(published()));
        assert_eq!(read.settings(None), Ok(published().settings));
        assert_eq!(read.renderer_revision(), Some(revisions::newest()));
        let later = read.settings(Some(revisions::FIRST_FOR_TESTS)).unwrap();
        assert_eq!(later.renderer_revision, revisions::FIRST_FOR_TESTS);
    }

    #[test]
    fn a_revision_that_this_program_lacks_is_no_default() {
        let settings = Settings {
            renderer_revision: 77,
            ..Settings::standard()
        };
        let mut object = Published::of_this_program(&settings).to_object("fleet-7");
        object.0["data"]["version"] = json!("9.1.0");
        let read = HubOperator::of_object(&object);
        let why = read.settings(None).unwrap_err();
        assert!(
            why.contains("revision 77") && why.ends_with("plan with the program of its version, 9.1.0"),
            "{why}"
        );
        assert!(
            read.settings(Some(1)).is_ok(),
            "a person may ask for one that is known"
        );
    }

    #[test]
    fn what_is_not_understood_is_no_default_either() {
        let mut newer = json!(published().settings);
        newer["somethingNew"] = json!(true);
        for (key, value) in [
            ("settings", newer.to_string()),
            ("settings", "{}".to_owned()),
            ("rendererRevisions", "one".to_owned()),
        ] {
            let read = with(key, &value);
            let version = Some(env!("CARGO_PKG_VERSION").to_owned());
            assert_eq!(read, HubOperator::Unreadable { version }, "{key}: {value}");
            assert!(read.settings(None).is_err() && read.renderer_revision().is_none());
        }
        for version in ["", "1.0 \u{1b}[31m", &"9".repeat(65)] {
            assert_eq!(
                with("version", version),
                HubOperator::Unreadable { version: None }
            );
        }
        let empty = Object(json!({"kind": "ConfigMap"}));
        assert_eq!(
            HubOperator::of_object(&empty),
            HubOperator::Unreadable { version: None }
        );
    }

    #[test]
    fn an_operator_that_says_nothing_may_allow_what_is_not_known() {
        let assumed = HubOperator::assumed("nothing is published")
            .settings(None)
            .unwrap();
        assert_eq!(assumed, Settings::of_another_process());
    }
}
