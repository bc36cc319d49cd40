//! A cluster with every default, pin and refusal decided.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Map, Value};

use crate::api::ClusterSpec;
use crate::api::cluster_parts::{KeyAlgorithm, ServiceType, StorageType};
use crate::api::cluster_status::{Endpoint, HeldStatus};
use crate::api::{EtcdPins, Pins};
use crate::etcd::{Place, Step};
use crate::k0s::{Network, Version};
use crate::object::Kind;
use crate::pki::{KeyDecision, KeyFacts, KeyPurpose};

use super::Front;
use super::facts::{ConfigFacts, NetworkPolicySettings, ServiceFacts, StatefulSetFacts, VolumeFacts};
use super::fill::Source;
use super::patches::Patches;

/// Everything [`super::objects`] needs. No default, pin or fact is looked at after this.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedCluster {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    /// Uids that make an object ours: that of the cluster, and the one the pins name when it is another.
    pub known_uids: Vec<String>,
    /// The spec as written, for the fields that are passed on as they are.
    pub spec: ClusterSpec,
    /// The renderer revision in effect.
    pub revision: u32,
    /// The version in effect: the wanted one, or the running one while the wanted one is held.
    pub version: Version,
    /// Reference of the k0s image, with tag or digest.
    pub image: String,
    pub replicas: i32,
    pub storage: StoragePlan,
    pub data_volume: DataVolume,
    /// Spec of the claims of NATS servers; `None` with another storage.
    pub nats_claim: Option<Value>,
    pub growth: Growth,
    pub etcd: EtcdPlan,
    /// What the user chose for etcd's configuration file, with the types that etcd reads.
    pub etcd_settings: Map<String, Value>,
    pub service_type: ServiceType,
    /// What stands before the control plane: clients reach it by hosts of an Ingress or a Gateway.
    pub front: Option<Front>,
    /// Fingerprint of the certificate of the proxies in the workload cluster, once it is made.
    pub haproxy_fingerprint: Option<String>,
    /// Kind of the TLSRoutes of the hosting cluster; `None` when it has none.
    pub routes: Option<Kind>,
    /// Network of the workload cluster.
    pub network: Network,
    /// API Services that exist, by type.
    pub services: BTreeMap<ServiceType, ServiceFacts>,
    /// Where the control plane is reached; `Err` says what is waited for, as a phrase that follows "waiting for".
    pub endpoint: Result<Endpoint, String>,
    /// Ports of the API and of konnectivity, as far as they are known.
    pub ports: (Option<i32>, Option<i32>),
    /// What everything but the API Service waits for at the very beginning, as a phrase.
    pub keys_wait: Option<String>,
    pub key_algorithm: KeyAlgorithm,
    pub keys: BTreeMap<KeyPurpose, KeyDecision>,
    /// Fingerprint of the cluster CA when it is the user's own.
    pub given_ca: Option<String>,
    /// Certificates of CAs that pods find in the configuration, since k0s cannot read them where they are given.
    pub lone_certificates: BTreeMap<KeyPurpose, String>,
    /// The Secret that holds the pins then, as it was found.
    pub pins_secret: Option<KeyFacts>,
    /// How long before its end a certificate that pods use is made anew.
    pub renew_before: SignedDuration,
    /// Volume claims that exist, by name.
    pub volumes: BTreeMap<String, VolumeFacts>,
    /// Pins as they are to be stored.
    pub pins: Pins,
    /// Pins as they were found: what may be dropped depends on these alone.
    pub found_pins: Pins,
    pub stored_pins: Option<Pins>,
    pub stateful_sets: BTreeMap<String, StatefulSetFacts>,
    pub cluster_domain: String,
    /// `None`: no network policies.
    pub network_policies: Option<NetworkPolicySettings>,
    /// The user's changes to the objects, which can be applied to them.
    pub patches: Patches,
    /// What is not done, and why.
    pub held: Vec<HeldStatus>,
}

/// Who is a member of the etcd of a cluster, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Members there are to be in the end.
    pub wanted: i32,
    /// Members there are now, also while hibernated, and how they came.
    pub record: EtcdPins,
    /// The record as it is to be stored; `None` while it says nothing that the pins do not say without it.
    pub stored: Option<EtcdPins>,
    /// Where to ask, when there is something to find out from the members.
    pub question: Option<Place>,
    /// What is to be done now; `None` when nothing is to be found out, or nobody has asked.
    pub step: Option<Step>,
}

/// What the control-plane pods have at `/var/lib/k0s`.
#[derive(Clone, Debug, PartialEq)]
pub enum DataVolume {
    EmptyDir,
    /// A directory of the node.
    HostPath(String),
    /// A claim for each pod, with the labels and annotations of the user.
    Claim {
        name: String,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        spec: Value,
    },
}

/// Claims that are to be larger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Size by name of the claim: at most one for each StatefulSet at a time.
    pub claims: BTreeMap<String, String>,
    /// StorageClasses of which nobody knows whether their volumes may grow.
    pub ask: BTreeSet<String>,
    pub is_refused: bool,
}

impl Growth {
    /// Says whether something waits for a StorageClass, which tells nobody when it changes.
    pub fn is_held(&self) -> bool {
        self.is_refused || !self.ask.is_empty()
    }
}

/// Where a control plane keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoragePlan {
    Etcd,
    /// A database, whose address and password are in a Secret of the user.
    Kine(DataSource),
    /// A server in every pod; what they show each other is in a Secret of ours.
    Nats(DataSource),
}

/// The value that the configuration is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// `Err` says what is waited for, as a phrase that follows "waiting for".
    pub source: Result<Source, String>,
    /// The configuration as it is.
    pub filled: Option<ConfigFacts>,
}

impl StoragePlan {
    pub fn storage_type(&self) -> StorageType {
        match self {
            Self::Etcd => StorageType::Etcd,
            Self::Kine(_) => StorageType::Kine,
            Self::Nats(_) => StorageType::Nats,
        }
    }

    /// The value to fill in; `None` with etcd, whose configuration needs none.
    pub(super) fn data_source(&self) -> Option<&DataSource> {
        match self {
            Self::Etcd => None,
            Self::Kine(source) | Self::Nats(source) => Some(source),
        }
    }
}

/// The etcd of a cluster. With another storage it has no members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdPlan {
    /// Reference of the image.
    pub image: String,
    pub membership: Membership,
    /// Pods: those of the members that run, or none while hibernated.
    pub replicas: i32,
    pub volume_size: String,
    pub storage_class: Option<String>,
}
