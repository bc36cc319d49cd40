//! The kind `K0smotronJoinToken`: a token with which workers join a cluster of the same namespace.

#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns have words in common, and each is one attribute"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster_parts::word_enum;
use super::duration::GoDuration;
use super::rules::{Constraint, at, duration_of_any_length, label_name, object_name, unchanged};
use super::schema::embedded;

word_enum!(TokenRole { Worker => "worker" });

/// Desired state of one join token.
///
/// *Shape*: at most one live token belongs to it; deleting it makes the token invalid.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta1",
    kind = "K0smotronJoinToken",
    plural = "k0smotronjointokens",
    shortname = "k0jt",
    category = "k0smotron",
    namespaced,
    status = "JoinTokenStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A token with which workers join a K0smotronCluster of the same namespace.",
    printcolumn(name = "CLUSTER", type_ = "string", json_path = ".spec.clusterName"),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "SECRET", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenSpec {
    /// Name of the K0smotronCluster, in the same namespace. Immutable.
    pub cluster_name: String,
    /// What may join. Unset: worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<TokenRole>,
    /// Life of the token. Unset: 24h. `0s` never expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<GoDuration>,
    /// Replace the token before it expires. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<bool>,
    /// Name of the Secret with the token. Unset: the name of this object. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// Observed state of one join token.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenStatus {
    /// Generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Public part of the token.
    #[serde(default, rename = "tokenID", skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// When the token expires, RFC 3339, UTC. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Secret that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// `Ready` and `Expired`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<Condition>>")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Returns everything the API server refuses about the spec of a K0smotronJoinToken.
pub(super) fn constraints() -> Vec<Constraint> {
    const FIXED: &str = "cannot be changed; write the old name, or make a new token";
    vec![
        at("")
            .rule_for("clusterName", unchanged("clusterName", "''"), FIXED)
            .rule_for("secretName", unchanged("secretName", "''"), FIXED),
        label_name("clusterName"),
        duration_of_any_length(
            "ttl",
            "not a life for a token; write a duration, for example 24h (0s never expires)",
        ),
        object_name("secretName"),
    ]
}
