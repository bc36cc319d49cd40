//! One cluster and what is known about it -> the objects that run it.
//!
//! [`Facts`] and a spec -> [`ResolvedCluster`] -> an [`Answer`] for every object there could ever be.
//!
//! **Invariants:** pure, secret-free, and the same for the operator that acts and the plan that predicts. Only
//! [`Answer::Drop`] deletes; absence of an answer or of a fact never does. Nothing here reads a clock: time is a fact.
//! What reaches a pod template depends on the spec, the pins and the renderer revision alone, never on labels or
//! annotations of the cluster, on its uid, or on which release of this program renders it.

mod additions;
mod allowed;
mod answer;
mod config_map;
mod config_secret;
mod control_plane;
mod defrag_job;
mod disruption_budgets;
mod etcd_members;
mod etcd_plan;
mod etcd_pods;
mod exposure;
mod facts;
mod fill;
mod front;
mod front_manifests;
mod gather;
mod given_keys;
mod growth;
mod imagined;
mod k0s_settings;
mod key_plan;
mod key_secrets;
mod konnectivity_agents;
#[cfg(test)]
mod laws;
mod monitoring;
mod nats;
mod network_policies;
mod objects;
mod parts;
mod patches;
mod persistence;
mod pod_security;
#[cfg(test)]
mod prune_tests;
mod published;
mod resolve;
mod resolved;
pub mod revisions;
mod routes;
mod services;
mod storage_plan;
#[cfg(test)]
mod storage_tests;
mod supported;
#[cfg(test)]
mod tests;
mod volumes;
#[cfg(test)]
mod world;

pub use answer::{Answer, Answers, Desired, Stalled};
pub use facts::{
    BalancerClass, ClaimFacts, ConfigFacts, DEFAULT_ETCD_IMAGE, Facts, LoadBalancerFacts,
    NetworkPolicySettings, ServiceFacts, Settings, SourceFacts, StatefulSetFacts, VolumeFacts,
};
pub use fill::{Fill, Part, Source, SourceVersion};
pub use front::{Agents, Front};
pub use given_keys::UNUSABLE as GIVEN_UNUSABLE;
pub use imagined::{Child, Imagined, imagine, pods_of};
pub use objects::{check, objects};
pub use patches::strategic::apply as apply_strategic;
pub use patches::{MATCHES_NOTHING, merge_keys};
pub use pod_security::violations as baseline_violations;
pub use published::{HubOperator, NAME as PUBLISHED_NAME, Published};
pub use resolve::resolve;
pub use resolved::{DataSource, DataVolume, EtcdPlan, Growth, Membership, ResolvedCluster, StoragePlan};
pub use storage_plan::data_source_of;

pub use crate::pki::{Given, GivenKey, KeyFacts};
