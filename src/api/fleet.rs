//! The kind `Fleet`: the file `fleet.yaml` at the root of a fleet. It is read from files only and never stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fleet_rollout::{self, Rollout};
use super::fleet_sync::{Deletions, MaxDeletions};
use super::schema;

/// Group and version of the kinds that are read from fleet files.
pub const API_VERSION: &str = "fleet.k0smotron.io/v1alpha1";

/// Longest id: it is a label value and part of a ConfigMap's name.
pub const FLEET_ID_MAX: usize = 40;

/// One fleet: what makes its objects recognisable, and how much a run may delete.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    pub name: String,
    pub spec: FleetSpec,
}

/// What `fleet.yaml` says.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetSpec {
    /// Written once by `init`. Objects of a fleet carry it; without it nothing is ever deleted.
    pub id: String,
    /// The only cluster this fleet may be applied to. Unset: any.
    #[serde(default)]
    pub hub: Hub,
    #[serde(default)]
    pub namespaces: FleetNamespaces,
    /// What happens to a cluster that leaves the files. Unset: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Deletions>,
    /// Most clusters that one run may delete; both numbers hold.
    #[serde(default)]
    pub max_deletions: MaxDeletions,
    /// Accept files without a single cluster. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// In which order running control planes are changed. Unset: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// The cluster in which the control planes run.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hub {
    /// Uid of its Namespace kube-system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// The namespaces of a fleet.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetNamespaces {
    /// The only namespaces clusters may be in. Unset: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Create namespaces that are missing. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
}

impl FleetSpec {
    pub fn deletions(&self) -> Deletions {
        self.deletions.unwrap_or(Deletions::Never)
    }

    /// Returns the most clusters that one run may delete, as a number.
    pub fn max_deletions_count(&self) -> u32 {
        self.max_deletions
            .count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(10)
    }

    /// Returns the most clusters that one run may delete, in percent of the fleet.
    pub fn max_deletions_percent(&self) -> u32 {
        self.max_deletions
            .percent
            .and_then(|percent| u32::try_from(percent).ok())
            .unwrap_or(10)
    }

    pub fn allows_empty(&self) -> bool {
        self.allow_empty.unwrap_or(false)
    }

    pub fn creates_namespaces(&self) -> bool {
        self.namespaces.create.unwrap_or(false)
    }

    pub fn allows_namespace(&self, namespace: &str) -> bool {
        let allow = &self.namespaces.allow;
        allow.is_empty() || allow.iter().any(|allowed| allowed == namespace)
    }
}

/// Returns the JSON Schema of the spec of a Fleet, which accepts no unknown field.
pub fn spec_schema() -> Value {
    let mut schema = schema::of::<FleetSpec>();
    let budget = &mut schema["properties"]["maxDeletions"];
    // The type is shared with FleetSync, whose schema is closed elsewhere.
    budget["additionalProperties"] = json!(false);
    for (name, maximum) in [("count", i32::MAX), ("percent", 100)] {
        budget["properties"][name]["minimum"] = json!(0);
        budget["properties"][name]["maximum"] = json!(maximum);
    }
    fleet_rollout::refine(&mut schema["properties"]["rollout"]);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_fleet_never_deletes() {
        let spec: FleetSpec = serde_json::from_value(json!({"id": "acme-7f3a"})).unwrap();
        assert_eq!(spec.deletions(), Deletions::Never);
        assert_eq!(
            (spec.max_deletions_count(), spec.max_deletions_percent()),
            (10, 10)
        );
        assert!(!spec.allows_empty() && !spec.creates_namespaces() && spec.allows_namespace("any"));
    }

    #[test]
    fn the_schema_and_the_type_accept_the_same() {
        let schema = spec_schema();
        let all = json!({"id": "a", "hub": {"uid": "u"}, "namespaces": {"allow": ["b"], "create": true},
            "deletions": "Omission", "maxDeletions": {"count": 3, "percent": 5}, "allowEmpty": true,
            "rollout": {"canary": {"selector": {"matchLabels": {"canary": "yes"}}, "maxConcurrent": 1},
                "waves": [{"name": "a", "selector": {"matchExpressions": [{"key": "b", "operator": "Exists"}]},
                    "maxConcurrent": "10%"}],
                "maxUnavailable": "5%", "maxFailures": 2, "minSuccessTime": "1m30s", "progressDeadline": "20m",
                "onFailure": "Abort"}});
        assert!(jsonschema::is_valid(&schema, &all));
        let spec: FleetSpec = serde_json::from_value(all.clone()).unwrap();
        assert_eq!(serde_json::to_value(spec).unwrap(), all);
        for wrong in [
            json!({}),
            json!({"id": "a", "idd": 1}),
            json!({"id": "a", "hub": {"name": "b"}}),
            json!({"id": "a", "deletions": "Always"}),
            json!({"id": "a", "maxDeletions": {"percent": 101}}),
            json!({"id": "a", "maxDeletions": {"count": -1}}),
            json!({"id": "a", "maxDeletions": {"number": 1}}),
            json!({"id": "a", "rollout": {"canary": {}}}),
            json!({"id": "a", "rollout": {"waves": [{"selector": {}}]}}),
            json!({"id": "a", "rollout": {"maxUnavailable": "0%"}}),
            json!({"id": "a", "rollout": {"maxUnavailable": 0}}),
            json!({"id": "a", "rollout": {"minSuccessTime": "soon"}}),
            json!({"id": "a", "rollout": {"onFailure": "Retry"}}),
        ] {
            assert!(!jsonschema::is_valid(&schema, &wrong), "{wrong}");
        }
    }
}
