//! The parts of [`super::ClusterSpec`], in the order of its fields.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::GoDuration;
use super::schema::embedded;

/// A JSON object whose fields are not this API's to define.
pub type FreeForm = serde_json::Map<String, serde_json::Value>;

/// Ports of a Service that writes none. Of one of type NodePort these count inside the hosting cluster, and its node
/// ports outside.
pub const API_PORT: i32 = 6443;
pub const KONNECTIVITY_PORT: i32 = 8132;

/// Declares an enum of words, as they are written in a manifest.
macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word as it is written in a manifest.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

pub(super) use word_enum;

word_enum!(ImagePullPolicy { Always => "Always", IfNotPresent => "IfNotPresent", Never => "Never" });
word_enum!(DeletionPolicy { Retain => "Retain", Delete => "Delete" });
word_enum!(ServiceType { NodePort => "NodePort", LoadBalancer => "LoadBalancer", ClusterIp => "ClusterIP" });
word_enum!(ExternalTrafficPolicy { Cluster => "Cluster", Local => "Local" });
word_enum!(IpFamilyPolicy {
    SingleStack => "SingleStack", PreferDualStack => "PreferDualStack", RequireDualStack => "RequireDualStack"
});
word_enum!(IpFamily { V4 => "IPv4", V6 => "IPv6" });
word_enum!(PersistenceType { EmptyDir => "emptyDir", HostPath => "hostPath", Pvc => "pvc" });
word_enum!(StorageType { Etcd => "etcd", Kine => "kine", Nats => "nats" });
word_enum!(CertificateType {
    Ca => "ca", Sa => "sa", Proxy => "proxy", Etcd => "etcd",
    ApiserverEtcdClient => "apiserver-etcd-client", EtcdServer => "etcd-server", EtcdPeer => "etcd-peer"
});
word_enum!(KeyAlgorithm { EcdsaP256 => "ECDSA-P256", Rsa2048 => "RSA-2048" });
word_enum!(PatchType { Json => "json", Merge => "merge", Strategic => "strategic" });
word_enum!(UpdatePolicy { WithNextRoll => "WithNextRoll", Pinned => "Pinned", Always => "Always" });

/// How the API and konnectivity are reached.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// How the Service is exposed. Unset: NodePort.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Port of the Kubernetes API. NodePort: the node port. Unset: allocated for NodePort, else 6443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_port: Option<i32>,
    /// Port for konnectivity agents. Unset: allocated for NodePort, else 8132.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub konnectivity_port: Option<i32>,
    /// Annotations of the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// More labels of the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Implementation that provides the load balancer. Only with type LoadBalancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// Networks that may reach the load balancer. Only with type LoadBalancer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// How traffic from outside is routed to pods. Not with type ClusterIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Whether the Service has one IP family or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// IP families of the Service, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<IpFamily>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// Host name for the Kubernetes API.
    pub api_host: String,
    /// Host name for konnectivity agents. Differs from apiHost.
    pub konnectivity_host: String,
    /// Port at which the ingress controller is reached. Unset: 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// IngressClass of the Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Annotations of the Ingress.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Create the Ingress object. Unset: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<bool>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// Host name for the Kubernetes API.
    pub api_host: String,
    /// Host name for konnectivity agents. Differs from apiHost.
    pub konnectivity_host: String,
    /// Port of the gateway's TLS listener. Unset: 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Gateways to which the routes attach.
    pub parent_refs: Vec<ParentRef>,
}

/// A Gateway that the TLSRoute attaches to.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway.
    pub name: String,
    /// Namespace of the Gateway. Unset: that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Listener of the Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Port of the listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// The data volume of the control-plane pods.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PersistenceSpec {
    /// Kind of volume. Unset: emptyDir.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub persistence_type: Option<PersistenceType>,
    /// Directory on the node. Only with type hostPath, which allows one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// Claim made for each pod. Only with type pvc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<VolumeClaim>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaim {
    /// Name, labels and annotations of the claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<VolumeClaimMetadata>,
    /// Spec of the claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::<PersistentVolumeClaimSpec>")]
    pub spec: Option<PersistentVolumeClaimSpec>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimMetadata {
    /// First part of the names of the claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels of the claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Where the control plane keeps its data. Immutable type.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// Kind of storage. Unset: etcd. Immutable.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<StorageType>,
    /// An etcd of its own, run by the operator. Only with type etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdSpec>,
    /// An SQL database, through kine. Only with type kine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kine: Option<KineSpec>,
    /// NATS JetStream, through kine. Only with type nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsSpec>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EtcdSpec {
    /// Image of etcd. Unset: the operator's default at creation, then kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Settings of etcd's configuration file, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Volumes of the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<VolumeSize>,
    /// Resources of the etcd container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// A CronJob that defragments the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defrag_job: Option<DefragJob>,
    /// 1, 3 or 5. Unset: 1 for replicas <= 1, 3 for 2 and 3, else 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<i32>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSize {
    /// StorageClass of the claims. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Size of each volume. It can only grow. Unset: 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded::<Quantity>")]
    pub size: Option<Quantity>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefragJob {
    /// Create the CronJob. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// When it runs, in cron syntax. Unset: `0 12 * * *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Condition on size and quota under which a member is defragmented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Image of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KineSpec {
    /// Secret of the same namespace that holds the data source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source_secret_name: Option<String>,
    /// Unset: K0SMOTRON_KINE_DATASOURCE_URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source_secret_key: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NatsSpec {
    /// Volumes of the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<VolumeSize>,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRef {
    /// Which certificate or key the Secret holds.
    #[serde(rename = "type")]
    pub certificate_type: CertificateType,
    /// A Secret of the same namespace with keys tls.crt and tls.key.
    pub name: String,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PkiSpec {
    /// Algorithm of all keys. Unset: ECDSA-P256. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<KeyAlgorithm>,
    /// Life of leaf certificates. Unset: 8760h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_lifetime: Option<GoDuration>,
    /// How long before its end a leaf is renewed. Unset: a third of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<GoDuration>,
}

/// A volume source at a path of the control-plane container.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub path: String,
    /// Mount read-only. ConfigMap and Secret volumes always are. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// The fields of a core/v1 volume source (`configMap`, `secret`, ...), inline.
    #[serde(flatten)]
    pub source: FreeForm,
}

/// What to write for an item that has no volume source, or several.
pub const ONE_VOLUME_SOURCE: &str =
    "write exactly one volume source, for example `configMap: {name: my-manifests}`";

/// Says whether an item of `manifests` or `mounts` has exactly one volume source.
pub fn has_one_volume_source(item: &FreeForm) -> bool {
    const OTHERS: [&str; 3] = ["name", "path", "readOnly"];
    let is_source =
        |(key, value): &(&String, &serde_json::Value)| !OTHERS.contains(&key.as_str()) && !value.is_null();
    item.iter().filter(is_source).count() == 1
}

impl JsonSchema for Mount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mount".into()
    }

    /// The schema of a core/v1 Volume with `name` replaced by `path` and `readOnly`.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let volume = embedded::<k8s_openapi::api::core::v1::Volume>(generator);
        let mut properties = volume
            .get("properties")
            .and_then(|properties| properties.as_object())
            .cloned()
            .unwrap_or_default();
        properties.remove("name");
        properties.insert(
            "path".into(),
            serde_json::json!({"type": "string", "description": "Absolute path."}),
        );
        properties.insert(
            "readOnly".into(),
            serde_json::json!({"type": "boolean", "nullable": true}),
        );
        schemars::json_schema!({"type": "object", "properties": properties, "required": ["path"]})
    }
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringSpec {
    /// Run the sidecars. Unset: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Image of the Prometheus sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_image: Option<String>,
    /// Image of the proxy sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_image: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodDisruptionBudgetSpec {
    /// Unset: true when there is more than one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The admin kubeconfig Secret.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigSpec {
    /// More labels of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Life of the client certificate. Unset: 8760h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<GoDuration>,
    /// Group of the client certificate. Unset: system:masters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectPatch {
    /// Which generated objects are changed.
    pub target: PatchTarget,
    /// What is changed.
    pub patch: PatchContent,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PatchTarget {
    /// Kind of the objects, for example StatefulSet.
    pub kind: String,
    /// Value of the label app.kubernetes.io/component.
    pub component: String,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PatchContent {
    /// RFC 6902 (json), RFC 7386 (merge) or strategic merge.
    #[serde(rename = "type")]
    pub patch_type: PatchType,
    /// YAML or JSON.
    pub content: String,
}

/// Another cluster in which everything is deployed.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RemoteHostClusterSpec {
    /// Secret with the kubeconfig of that cluster.
    pub kubeconfig_ref: KubeconfigRef,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigRef {
    /// A Secret of the same namespace.
    pub name: String,
    /// Unset: value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
