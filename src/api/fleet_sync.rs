//! The kind `FleetSync`: a fleet in Git that is planned and applied from inside the cluster.

#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns have words in common, and each is one attribute"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster_parts::word_enum;
use super::duration::GoDuration;
use super::schema::embedded;

word_enum!(MaxImpact {
    None => "None", Safe => "Safe", Rolling => "Rolling", Disruptive => "Disruptive", DataLoss => "DataLoss"
});
word_enum!(Deletions { Never => "Never", Tombstone => "Tombstone", Omission => "Omission" });

/// Desired state of one sync.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "fleet.k0smotron.io",
    version = "v1alpha1",
    kind = "FleetSync",
    plural = "fleetsyncs",
    category = "k0smotron",
    namespaced,
    status = "FleetSyncStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A fleet of K0smotronClusters in Git, planned and applied from inside the cluster.",
    printcolumn(
        name = "REVISION",
        type_ = "string",
        json_path = ".status.lastAppliedRevision"
    ),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "SOURCE",
        type_ = "string",
        json_path = ".spec.source.git.url",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct FleetSyncSpec {
    /// Where the files of the fleet come from.
    pub source: FleetSource,
    /// Time between two looks at the source. Unset: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<GoDuration>,
    /// Do nothing while true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Changes with more impact wait for an approval. Unset: Rolling. None: only plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_impact: Option<MaxImpact>,
    /// Ceilings that no file of the fleet can raise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<FleetLimits>,
    /// ServiceAccount of the same namespace that is impersonated for every read, dry run and write.
    pub service_account_name: String,
    /// Longest time for one fetch, plan and apply. Unset: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}

/// Where the files of a fleet come from.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FleetSource {
    /// A Git repository.
    pub git: GitSource,
}

/// A place in a Git repository.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GitSource {
    /// Address of the repository, https or ssh, without credentials.
    pub url: String,
    /// What is followed. Unset: the branch main.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// Directory in the repository. Unset: its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Secret of the same namespace with credentials and `known_hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Accept only signed commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<GitVerification>,
    /// Accept a commit that does not follow the last applied one. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_rewind: Option<bool>,
}

/// One of branch, tag, semver and commit.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GitReference {
    /// Name of a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Name of a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Range of versions; the highest tag in it is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// A whole commit id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// A Secret of the same namespace.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: String,
}

/// Whose signatures are accepted.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GitVerification {
    /// Secret of the same namespace with the public keys.
    pub secret_ref: SecretReference,
}

/// Ceilings for a fleet, set by who runs the cluster. The stricter of file and ceiling holds.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FleetLimits {
    /// The only fleet id that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet_id: Option<String>,
    /// The only namespaces that are written to. Unset: all that the ServiceAccount may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Loosest way in which a cluster may be deleted. Unset: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Deletions>,
    /// Most clusters that one revision may delete; both numbers hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deletions: Option<MaxDeletions>,
}

/// A budget of deletions; both numbers hold.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MaxDeletions {
    /// Number of clusters. Unset: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
    /// Part of the clusters of the fleet, rounded up. Unset: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
}

/// Observed state of one sync.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FleetSyncStatus {
    /// Generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Fleet that this sync writes, as the files say. Only one sync of a cluster may write one fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet_id: Option<String>,
    /// Commit that was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// Commit that was applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// Repository and reference that this commit came from. Within one of them history may not be rewritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_source: Option<String>,
    /// Value of the annotation that asked for the last fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<String>,
    /// How many clusters the last plan holds, by action and by impact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<FleetCounts>,
    /// The first problems in the files, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FleetProblem>,
    /// What waits for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingChanges>,
    /// `Ready`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<Condition>>")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Clusters of a plan, counted.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FleetCounts {
    /// By action: create, change, unchanged, held, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, i64>,
    /// By impact: safe, rolling, disruptive, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub impacts: BTreeMap<String, i64>,
}

/// One problem, with its place.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FleetProblem {
    /// Stable code of the problem.
    pub code: String,
    /// What is wrong, without the source text.
    pub message: String,
    /// Path, line and column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Entries of a plan that are not applied until someone approves them.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PendingChanges {
    /// Digest over the held entries only.
    pub digest: String,
    /// Commit they come from.
    pub revision: String,
    /// How many there are.
    pub entries: i32,
}
