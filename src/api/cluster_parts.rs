//! The parts of [`super::ClusterSpec`], in the order of its fields.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::GoDuration;

/// A JSON object whose fields are not this API's to define.
pub type FreeForm = serde_json::Map<String, serde_json::Value>;

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
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Port of the Kubernetes API. NodePort: the node port. Unset: allocated for NodePort, else 6443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_port: Option<i32>,
    /// Port for konnectivity agents. Unset: allocated for NodePort, else 8132.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub konnectivity_port: Option<i32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<IpFamily>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    pub api_host: String,
    pub konnectivity_host: String,
    /// Port at which the ingress controller is reached. Unset: 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Create the Ingress object. Unset: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<bool>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    pub api_host: String,
    pub konnectivity_host: String,
    /// Port of the gateway's TLS listener. Unset: 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    pub parent_refs: Vec<ParentRef>,
}

/// A Gateway that the TLSRoute attaches to.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// The data volume of the control-plane pods.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PersistenceSpec {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub persistence_type: Option<PersistenceType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<VolumeClaim>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaim {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<VolumeClaimMetadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<PersistentVolumeClaimSpec>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimMetadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Where the control plane keeps its data. Immutable type.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<StorageType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kine: Option<KineSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsSpec>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EtcdSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Settings of etcd's configuration file, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<VolumeSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defrag_job: Option<DefragJob>,
    /// 1, 3 or 5. Unset: 1 for replicas <= 1, 3 for 2 and 3, else 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<i32>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSize {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefragJob {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<VolumeSize>,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRef {
    #[serde(rename = "type")]
    pub certificate_type: CertificateType,
    /// A Secret of the same namespace with keys tls.crt and tls.key.
    pub name: String,
}

#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PkiSpec {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// The fields of a core/v1 volume source (`configMap`, `secret`, ...), inline.
    #[serde(flatten)]
    pub source: FreeForm,
}

impl JsonSchema for Mount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mount".into()
    }

    /// The schema of a core/v1 Volume with `name` replaced by `path` and `readOnly`.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let volume = k8s_openapi::api::core::v1::Volume::json_schema(generator);
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_image: Option<String>,
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
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
    pub target: PatchTarget,
    pub patch: PatchContent,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PatchTarget {
    pub kind: String,
    /// Value of the label app.kubernetes.io/component.
    pub component: String,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PatchContent {
    #[serde(rename = "type")]
    pub patch_type: PatchType,
    /// YAML or JSON.
    pub content: String,
}

/// Another cluster in which everything is deployed.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RemoteHostClusterSpec {
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
