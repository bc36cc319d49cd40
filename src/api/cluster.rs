//! The kind `K0smotronCluster`: one hosted k0s control plane.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint, Volume,
};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::cluster_parts::*;
use super::cluster_status::ClusterStatus;
use super::duration::GoDuration;

/// Desired state of one hosted control plane. Every field is optional: `spec: null` is a working cluster.
///
/// *Shape*: an unset field is `None` or empty and is never serialized, so a server-side apply owns only what was
/// written. What unset means for each field, and what removing it later means, is the table of
/// `docs/reference/cluster.md`.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta1",
    kind = "K0smotronCluster",
    plural = "k0smotronclusters",
    shortname = "k0c",
    category = "k0smotron",
    namespaced,
    status = "ClusterStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A k0s control plane that runs as pods in this cluster.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint.url"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Storage",
        type_ = "string",
        json_path = ".status.storage",
        priority = "1"
    ),
    printcolumn(
        name = "Service",
        type_ = "string",
        json_path = ".status.service",
        priority = "1"
    ),
    printcolumn(
        name = "Certs",
        type_ = "string",
        json_path = ".status.certificatesExpire",
        priority = "1"
    ),
    printcolumn(
        name = "Held",
        type_ = "integer",
        json_path = ".status.heldCount",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// k0s version, `v1.36.3+k0s.2`, `v1.36.3-k0s.2` or `v1.36.3`. Unset: the operator's default at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Repository of the k0s image, without tag. A digest is allowed and then wins over `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// One prefix for all default images, for air-gapped registries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Number of control-plane pods, 0 to 9. 0 hibernates: pods gone, membership, data and keys kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Reconcile nothing while true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Life span after creation, for example `1h30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<GoDuration>,
    /// What happens to keys and volumes when the cluster is deleted. Unset: Retain, or Delete with a ttl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// DNS name or IP address that clients and workers use. Unset: detected once, then kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistenceSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// A k0s ClusterConfig. Ports, addresses and storage are set by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k0s_config: Option<FreeForm>,
    /// Certificates and keys of your own. What is not referenced is generated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<CertificateRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pki: Option<PkiSpec>,
    /// Volumes with manifests that k0s applies in the workload cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Volume>,
    /// More volumes for the control-plane container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// More flags for `k0s controller`, one argument an item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_plane_flags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringSpec>,
    /// Resources of the control-plane container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<PodDisruptionBudgetSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigSpec>,
    /// Changes to generated objects, applied in order before they are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<ObjectPatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_host_cluster: Option<RemoteHostClusterSpec>,
    /// When a newer renderer revision is taken up. Unset: WithNextRoll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
}
