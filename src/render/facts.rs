//! What render needs to know besides the spec. Secret-free, printable, buildable from metadata and status.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Pins;
use crate::pki::KeyPurpose;

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
    pub stateful_sets: BTreeMap<String, StatefulSetFacts>,
    /// Addresses of Nodes that a NodePort can be reached at, best first: ExternalDNS, ExternalIP, InternalIP.
    pub node_addresses: Vec<String>,
    /// Other objects of this cluster that exist, as `Kind/name`: what could be dropped.
    pub existing: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    pub service_type: String,
    pub cluster_ips: Vec<String>,
    pub api_node_port: Option<i32>,
    pub konnectivity_node_port: Option<i32>,
    pub load_balancer: Option<LoadBalancerFacts>,
}

/// `status.loadBalancer.ingress[0]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerFacts {
    pub hostname: Option<String>,
    pub ip: Option<String>,
}

/// A Secret with a key or certificate, from its metadata alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFacts {
    pub uid: String,
    /// Value of the label with the uid of the cluster it was made for.
    pub cluster_uid: Option<String>,
    pub fingerprint: Option<String>,
    pub not_after: Option<String>,
    /// Fingerprint of the CA that signed it.
    pub issuer: Option<String>,
    pub content_digest: Option<String>,
    pub is_retained: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatefulSetFacts {
    pub uid: String,
    /// Image of the first container.
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
}

/// Settings of the operator that change what is rendered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The newest renderer revision to use; older pins stay on theirs.
    pub renderer_revision: u32,
    pub default_version: String,
    pub default_etcd_image: String,
    /// DNS domain of the hosting cluster.
    pub cluster_domain: String,
    pub allows_host_path: bool,
}
