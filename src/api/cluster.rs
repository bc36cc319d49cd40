//! The kind `K0smotronCluster`: one hosted k0s control plane.

#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns have words in common, and each is one attribute"
)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint, Volume,
};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::cluster_parts::*;
use super::cluster_status::ClusterStatus;
use super::duration::GoDuration;
use super::schema::{embedded, k0s_config};

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
    printcolumn(name = "VERSION", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "ENDPOINT", type_ = "string", json_path = ".status.endpoint.url"),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "STORAGE",
        type_ = "string",
        json_path = ".status.storage",
        priority = "1"
    ),
    printcolumn(
        name = "SERVICE",
        type_ = "string",
        json_path = ".status.service",
        priority = "1"
    ),
    printcolumn(
        name = "CERTS",
        type_ = "string",
        json_path = ".status.certificatesExpire",
        priority = "1"
    ),
    printcolumn(
        name = "HELD",
        type_ = "integer",
        json_path = ".status.heldCount",
        priority = "1"
    )
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
    /// When the kubelet pulls images, for all pods of the cluster. Unset: IfNotPresent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets of the same namespace with registry credentials, for all pods of the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<LocalObjectReference>>")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Number of control-plane pods, 0 to 9. 0 hibernates: pods go, membership, data and keys stay.
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
    /// The Service in front of the Kubernetes API and konnectivity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    /// Reach the cluster through an Ingress with TLS passthrough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    /// Reach the cluster through TLSRoutes of the Gateway API. Not together with `ingress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
    /// The data volume of the control-plane pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistenceSpec>,
    /// Where the Kubernetes API keeps its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// A k0s ClusterConfig. Ports, addresses and storage are set by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "k0s_config")]
    pub k0s_config: Option<FreeForm>,
    /// Certificates and keys of your own. What is not referenced is generated. Immutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<CertificateRef>,
    /// Keys and certificates that the operator makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pki: Option<PkiSpec>,
    /// Volumes with manifests that k0s applies in the workload cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<Volume>>")]
    pub manifests: Vec<Volume>,
    /// More volumes for the control-plane container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// More flags for `k0s controller`, one argument an item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_plane_flags: Vec<String>,
    /// Metrics of the control plane, by sidecar containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringSpec>,
    /// Resources of the control-plane container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of the nodes on which the pods of the cluster may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods of the cluster tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<Toleration>>")]
    pub tolerations: Vec<Toleration>,
    /// Scheduling affinity of the pods of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::<Affinity>")]
    pub affinity: Option<Affinity>,
    /// How the pods of the cluster are spread over nodes and zones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "embedded::<Vec<TopologySpreadConstraint>>")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// PriorityClass of the pods of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// RuntimeClass of the pods of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// ServiceAccount of the pods of the cluster. Its token is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// More labels for the pods of the cluster. Never part of a selector.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// More annotations for the pods of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// How many pods voluntary disruptions may take at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<PodDisruptionBudgetSpec>,
    /// The Secret with the admin kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigSpec>,
    /// Changes to generated objects, applied in order before they are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<ObjectPatch>,
    /// Another cluster in which the pods run. Cannot be added, changed or removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_host_cluster: Option<RemoteHostClusterSpec>,
    /// When a newer renderer revision is taken up. Unset: WithNextRoll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
}
