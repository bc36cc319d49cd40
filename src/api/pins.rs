//! What must not change under a running control plane, whatever happens to spec, status or the operator.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::cluster_parts::{KeyAlgorithm, ServiceType, StorageType};

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
    /// Kind of storage; unset means etcd where etcd has members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<StorageType>,
    /// Image of etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_image: Option<String>,
    /// Members of etcd that are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_members: Option<i32>,
    /// How etcd came to the members it has; absent while it has those it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdPins>,
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
    /// The address where it was written and is not the one that would be detected. It stays when it is no longer written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_address: Option<String>,
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

/// The members of an etcd that has changed since it began.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EtcdPins {
    /// Members that it began with.
    pub began_with: i32,
    /// Members that have a pod while the cluster is not hibernated: the first that many.
    pub running: i32,
    /// The member that joins, or leaves to join again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<i32>,
    /// The last join of each member that came later, or again; also of those that left. By member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<EtcdJoin>,
}

/// How a member joined a running etcd.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EtcdJoin {
    /// Number of its pod.
    pub member: i32,
    /// How often it has joined. Part of the name of its data directory.
    pub join: i32,
    /// Id that etcd gave it, decimal. Empty until it is listed.
    pub id: String,
    /// Uid of the pod that it had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

impl EtcdPins {
    /// Returns the record of an etcd that has the members it began with.
    pub fn as_it_began(members: i32) -> Self {
        Self {
            began_with: members,
            running: members,
            changing: None,
            joins: Vec::new(),
        }
    }

    /// Says whether anybody has joined or left. Then it runs, and nobody may found it again.
    pub fn has_changed(&self) -> bool {
        !self.joins.is_empty() || self.running < self.began_with
    }

    /// Returns the last join of a member; `None` for one that is there from the beginning.
    pub fn join(&self, member: i32) -> Option<&EtcdJoin> {
        self.joins.iter().find(|join| join.member == member)
    }
}

impl Pins {
    /// Returns the number of members that have a pod while the cluster is not hibernated.
    pub fn etcd_running(&self) -> Option<i32> {
        self.etcd.as_ref().map(|etcd| etcd.running).or(self.etcd_members)
    }
}
