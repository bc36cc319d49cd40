//! What is true of an etcd of its own: how its members are called and configured, and who is to be one.
//!
//! The name of a cluster and a number of members -> the configuration file of each. What the members and their pods say
//! ([`Asked`]) and what is wanted -> one [`Step`].
//!
//! **Invariants:** pure. One step at a time, and none that could cost the quorum: a member is added as a learner, which
//! has no vote, and gets one when it has caught up; one is removed, and a pod is replaced, only while all others are
//! healthy. What is not known is never taken for broken.

mod decide;
#[cfg(test)]
mod laws;
mod member;
mod membership;
mod pods;
mod settings;

pub use decide::{Situation, decide};
pub use member::{
    CLIENT_PORT, Entry, METRICS_PORT, Member, PEER_COMMON_NAME, PEER_PORT, member_configuration,
};
pub use membership::{Answer, Asked, Change, Listed, MOST_MEMBERS, MemberChange, Place, Step, expectation};
pub use pods::{PodFacts, PodState, pods};
pub use settings::{SettingRefusal, settings};
