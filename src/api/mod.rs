//! Types users write and the server stores, the names derived from them, and the words (labels,
//! annotations, conditions) that both halves use.
//!
//! Serialized Kubernetes objects -> typed values and back.
//!
//! **Invariant:** pure. Nothing here reads a file, a clock or the network, and nothing here decides what to do:
//! a type can say what is written in it, never what follows from it.

pub mod cel;
pub mod cluster;
pub mod cluster_parts;
mod cluster_rules;
pub mod cluster_status;
pub mod condition;
pub mod crd;
pub mod duration;
pub mod file_schemas;
pub mod fleet;
pub mod fleet_files;
pub mod fleet_rollout;
mod fleet_rules;
pub mod fleet_sync;
pub mod join_token;
pub mod labels;
pub mod names;
pub mod pins;
mod rules;
pub mod schema;
pub mod selector;

pub use cluster::{ClusterSpec, K0smotronCluster};
pub use cluster_status::ClusterStatus;
pub use fleet_sync::{FleetSync, FleetSyncSpec, FleetSyncStatus};
pub use join_token::{JoinTokenSpec, JoinTokenStatus, K0smotronJoinToken};
pub use pins::{EtcdJoin, EtcdPins, Pins};
