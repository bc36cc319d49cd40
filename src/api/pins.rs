//! What must not change under a running control plane, whatever happens to spec, status or the operator.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::cluster_parts::{KeyAlgorithm, ServiceType};

/// Decisions that are taken once and then kept.
///
/// *Where*: annotation [`super::labels::PINS`] (JSON) on the Secret `<n>-ca`; `status.pins` mirrors it. *Look-up*:
/// annotation, then live children, then status, then default, field by field, so a wiped status or a restored backup
/// changes nothing. *Shape*: `None` means not decided yet.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pins {
    /// The version that is wanted or runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Image of etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_image: Option<String>,
    /// Members of etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_members: Option<i32>,
    /// Type of the Service that ports and address belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Port of the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_port: Option<i32>,
    /// Port for konnectivity agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub konnectivity_port: Option<i32>,
    /// Address of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_address: Option<String>,
    /// Subject alternative names of the API server. They only grow. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
    /// Algorithm of all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<KeyAlgorithm>,
    /// Revision of the renderer that made the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renderer_revision: Option<u32>,
    /// When the cluster was first seen, RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Uid of the cluster object the keys belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
}
