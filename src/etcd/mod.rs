//! What is true of an etcd of its own: how its members are called and configured.
//!
//! The name of a cluster and a number of members -> the configuration file of each.
//!
//! **Invariant:** pure. A file belongs to one member and to the moment it joined, so nothing in it changes when others
//! come or go.

mod member;
mod settings;

pub use member::{CLIENT_PORT, METRICS_PORT, Member, PEER_COMMON_NAME, PEER_PORT, member_configuration};
pub use settings::{SettingRefusal, settings};
