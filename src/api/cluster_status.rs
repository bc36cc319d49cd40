//! What the operator reports about a [`super::K0smotronCluster`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::pins::Pins;
use super::schema::embedded;

/// Observed state. Written by the operator alone, as a whole, and only when it differs.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready control-plane pods of those wanted, `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Kind of storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Type of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Date of the next certificate expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates_expire: Option<String>,
    /// How many entries `held` has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_count: Option<i32>,
    /// The version that runs. Advances when all pods run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where clients and workers reach the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Control-plane pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Control-plane pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Control-plane pods of the newest template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_replicas: Option<i32>,
    /// Label selector of the control-plane pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Members of etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdStatus>,
    /// What was decided once and is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Pins>,
    /// Certificates of the control plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
    /// Secret with the admin kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret: Option<String>,
    /// SHA-256 of the cluster CA certificate, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_fingerprint: Option<String>,
    /// When the life span ends, RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What is not done, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldStatus>,
    /// Conditions, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<Condition>>")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where clients and workers reach the control plane.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// Port of the Kubernetes API.
    pub api_port: i32,
    /// Port for konnectivity agents.
    pub konnectivity_port: i32,
    /// Host for konnectivity agents, where it is another: behind an Ingress or a Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub konnectivity_host: Option<String>,
    /// URL of the Kubernetes API.
    pub url: String,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EtcdStatus {
    /// Members that exist.
    pub members: i32,
    /// Members that are ready.
    pub ready_members: i32,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// What it is for.
    pub name: String,
    /// When it ends, RFC 3339, UTC.
    pub not_after: String,
}

/// One thing that is not done, with the place it concerns and the reason.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct HeldStatus {
    /// A field path, an object or a revision: `spec.version`, `Service/kmc-x`, `renderer`.
    pub what: String,
    /// One word, stable: `ForeignObject`, `AddressChanged`, `RendererRevision`, ...
    pub reason: String,
    /// Why, and what to do.
    pub message: String,
}
