//! What render needs to know besides the spec. Secret-free, printable, buildable from metadata and status.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Pins;
use crate::api::cluster_parts::ServiceType;
use crate::etcd::Asked;
use crate::object::{Kind, Object};
use crate::pki::{Given, KeyFacts, KeyPurpose};

/// Everything about one cluster that the renderer may depend on.
///
/// *Shape*: an empty map or `None` means "not known" and never leads to a [`super::Answer::Drop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub generation: i64,
    pub created_at: Option<String>,
    pub now: Timestamp,
    /// Pins as found, field by field: annotation, live children, status.
    pub pins: Pins,
    /// Pins as they stand in the annotation; `None` when the Secret or the annotation is not there.
    pub stored_pins: Option<Pins>,
    /// API Services by name, of every type there ever was.
    pub services: BTreeMap<String, ServiceFacts>,
    pub keys: BTreeMap<KeyPurpose, KeyFacts>,
    /// Keys that the user gives; those that can be used are among `keys` too.
    #[serde(default)]
    pub given: BTreeMap<KeyPurpose, Given>,
    /// The Secret that holds the pins of a cluster whose CA is the user's own.
    #[serde(default)]
    pub pins_secret: Option<KeyFacts>,
    pub stateful_sets: BTreeMap<String, StatefulSetFacts>,
    /// Kind of the TLSRoutes that the hosting cluster serves and lets be listed; `None` when there are none.
    pub routes: Option<Kind>,
    /// Addresses of Nodes that a NodePort can be reached at, best first: ExternalDNS, ExternalIP, InternalIP.
    pub node_addresses: Vec<String>,
    /// Claims of the pods by name.
    pub volumes: BTreeMap<String, VolumeFacts>,
    /// The configuration that was filled with a value of another Secret; `None` before, and with etcd.
    pub config: Option<ConfigFacts>,
    /// What a look at the Secret with the data source of kine told; `None` when nobody looked.
    pub data_source: Option<SourceFacts>,
    /// Whether volumes of a StorageClass may grow, of those that were asked for.
    pub storage_classes: BTreeMap<String, bool>,
    /// Version that runs, as the status says; `None` before the first roll has ended, or when the status was wiped.
    pub running_version: Option<String>,
    /// Fingerprint of the cluster CA, as the status says.
    pub ca_fingerprint: Option<String>,
    /// Objects that still name the cluster object the pins were made for, when this one is its successor (a restored
    /// backup, a cluster created again), as `Kind/name`. The pins take over the new uid when none is left.
    pub left_to_adopt: Vec<String>,
    /// Since when the cluster says that it is not ready; `None` when it does not.
    #[serde(default)]
    pub not_ready_since: Option<Timestamp>,
    /// What the members of etcd said, where there was something to find out.
    #[serde(default)]
    pub etcd: Option<Asked>,
    /// Kinds whose objects could not all be read. Nothing is decided from absence then.
    pub unreadable: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    pub service_type: ServiceType,
    pub cluster_ips: Vec<String>,
    pub api_node_port: Option<i32>,
    pub konnectivity_node_port: Option<i32>,
    /// Every address of the load balancer, as its controller orders them.
    pub load_balancer: Vec<LoadBalancerFacts>,
    // Not in what earlier versions recorded.
    #[serde(default)]
    pub load_balancer_class: BalancerClass,
}

/// What implements the load balancer of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BalancerClass {
    /// It has none, and any may be chosen.
    #[default]
    Open,
    /// The default of the hosting cluster, for good.
    Default,
    /// This one, for good.
    Named(String),
}

impl BalancerClass {
    pub(super) fn of(service: &Object) -> Self {
        match (
            service.text("/spec/type"),
            service.text("/spec/loadBalancerClass"),
        ) {
            (Some("LoadBalancer"), Some(class)) => Self::Named(class.to_owned()),
            (Some("LoadBalancer"), None) => Self::Default,
            _ => Self::Open,
        }
    }
}

/// One of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerFacts {
    pub hostname: Option<String>,
    pub ip: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatefulSetFacts {
    pub uid: String,
    /// Image of the container that runs k0s or etcd.
    pub image: Option<String>,
    pub renderer_revision: Option<u32>,
    pub spec_replicas: i32,
    pub generation: i64,
    pub observed_generation: i64,
    pub replicas: i32,
    pub ready_replicas: i32,
    pub updated_replicas: i32,
    pub current_revision: Option<String>,
    pub update_revision: Option<String>,
    /// Digest of the configuration that pods of its template start with.
    pub config_digest: Option<String>,
    /// What its claims were made with, by name. A StatefulSet's claim templates are immutable.
    pub claims: BTreeMap<String, ClaimFacts>,
}

/// A claim template of a StatefulSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimFacts {
    pub size: Option<String>,
    pub storage_class: Option<String>,
}

/// A volume claim of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeFacts {
    /// Value of the label with a cluster's uid, which it gets when a cluster goes and its volumes stay.
    pub cluster_uid: Option<String>,
    /// Annotation with the fingerprint of the CA of the cluster whose data is in it. Written with that label.
    pub ca_fingerprint: Option<String>,
    pub is_retained: bool,
    /// Size that is asked for.
    pub requested: Option<String>,
    /// Size that it has.
    pub capacity: Option<String>,
    pub storage_class: Option<String>,
    /// A volume is there for it.
    pub is_bound: bool,
}

/// A configuration that exists, from the annotations of its Secret alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigFacts {
    pub source_version: Option<String>,
    pub source_digest: Option<String>,
    pub content_digest: Option<String>,
}

/// The Secret that holds the data source of kine. Never what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceFacts {
    /// The value is there. `version` is another one whenever the Secret is written.
    Usable {
        version: String,
    },
    Unusable {
        why: String,
    },
    Absent,
    /// The server was asked and did not answer.
    Unreadable {
        why: String,
    },
}

/// Settings of the operator that change what is rendered. Who reads them must know them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The newest renderer revision to use; older pins stay on theirs.
    pub renderer_revision: u32,
    pub default_version: String,
    pub default_etcd_image: String,
    /// DNS domain of the hosting cluster.
    pub cluster_domain: String,
    pub allows_host_path: bool,
    /// What images of pods begin with, at whole parts of the name; empty: any.
    pub allowed_images: Vec<String>,
    /// ServiceAccounts of pods; empty: any.
    pub allowed_service_accounts: Vec<String>,
    /// Who else than the pods of a cluster may reach its etcd; `None`: no network policies.
    pub network_policies: Option<NetworkPolicySettings>,
    /// A member of etcd that crashes again and again for this long, while all others are healthy, is replaced.
    // Not in what earlier versions recorded.
    #[serde(default = "ten_minutes")]
    pub replace_member_after_seconds: u64,
}

fn ten_minutes() -> u64 {
    600
}

/// What network policies depend on besides the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySettings {
    /// Namespace of the operator's pods.
    pub operator_namespace: String,
}

/// The image of etcd for new clusters.
pub const DEFAULT_ETCD_IMAGE: &str = "quay.io/k0sproject/etcd:v3.7.1";

impl Settings {
    /// The settings of an operator that was told nothing.
    pub fn standard() -> Self {
        Self {
            renderer_revision: super::revisions::newest(),
            default_version: crate::k0s::DEFAULT_VERSION.to_owned(),
            default_etcd_image: DEFAULT_ETCD_IMAGE.to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            allows_host_path: false,
            allowed_images: Vec::new(),
            allowed_service_accounts: Vec::new(),
            network_policies: None,
            replace_member_after_seconds: ten_minutes(),
        }
    }

    /// The settings of an operator of which nothing is known: what it may allow is not refused here.
    pub fn of_another_process() -> Self {
        Self {
            allows_host_path: true,
            ..Self::standard()
        }
    }
}
