//! One cluster and what is known about it -> the objects that run it.
//!
//! [`Facts`] and a spec -> [`ResolvedCluster`] -> an [`Answer`] for every object there could ever be.
//!
//! **Invariants:** pure, secret-free, and the same for the operator that acts and the plan that predicts. Only
//! [`Answer::Drop`] deletes; absence of an answer or of a fact never does. Nothing here reads a clock: time is a fact.

mod answer;
mod facts;
mod resolved;

pub use crate::pki::KeyFacts;
pub use answer::{Answer, Answers, Desired, Stalled};
pub use facts::{
    ClaimFacts, Facts, LoadBalancerFacts, ServiceFacts, Settings, StatefulSetFacts, VolumeFacts,
};
pub use resolved::{EtcdPlan, ResolvedCluster};
