//! What is known of the members of one etcd, and what may be done next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Member, PodFacts};
use crate::api::EtcdPins;

/// More than any etcd of ours ever has, one that is just joining or leaving among them.
pub const MOST_MEMBERS: i32 = 6;

/// Where an etcd is and how one identifies oneself to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub namespace: String,
    /// Name of its StatefulSet and of its headless Service.
    pub stateful_set: String,
    /// Name of the Secret with its CA.
    pub authority: String,
    /// Name of the Secret with a client certificate for it.
    pub identity: String,
    /// Pods it may have: the first that many are asked.
    pub members: i32,
}

impl Place {
    pub fn members(&self) -> Vec<Member> {
        Member::all(&self.stateful_set, &self.namespace, self.members)
    }
}

/// What an etcd and its pods said in one pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub members: Answer,
    /// Pods by number; those that are not there are left out.
    pub pods: BTreeMap<i32, PodFacts>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// What a quorum of the members agrees on, with each one's own word on its health.
    Listed { members: Vec<Listed> },
    /// Too few answer. `why` is a phrase.
    Silent { why: String },
    /// It cannot be asked from here. `why` is a phrase.
    Unreachable { why: String },
}

/// A member as an etcd lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Decimal, as etcd's JSON has it.
    pub id: String,
    /// Empty until it has started for the first time.
    pub name: String,
    pub peer_urls: Vec<String>,
    /// It gets the data and has no vote.
    pub is_learner: bool,
    /// It answers for itself, is the member that the list means, knows a leader, and (unless it is a learner) reads with
    /// a quorum.
    pub is_healthy: bool,
    pub is_leader: bool,
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Members, pods and what is wanted agree.
    Settled,
    /// Nothing now; look again soon. `why` is a sentence without full stop.
    Wait { why: String },
    /// Nothing until a person, or another operator, has done something.
    Held { reason: &'static str, message: String },
    /// Ask etcd itself.
    Change(Change),
    /// Write down what has happened or begins; files and pods follow from it.
    Record { record: EtcdPins, why: String },
    /// Delete a pod, which its set then makes anew.
    ReplacePod { member: i32, uid: String, why: String },
}

/// A change of membership, with the list that it was decided on as its precondition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub member: i32,
    pub change: MemberChange,
    /// Id of every member, and whether it is a learner. Sorted.
    pub expected: Vec<(String, bool)>,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MemberChange {
    /// As a learner.
    Add {
        peer_url: String,
    },
    /// Gives a learner its vote. etcd refuses while it has not caught up.
    Promote {
        id: String,
    },
    Remove {
        id: String,
    },
}

/// Returns the precondition for a list.
pub fn expectation(members: &[Listed]) -> Vec<(String, bool)> {
    let mut expected: Vec<_> = members
        .iter()
        .map(|member| (member.id.clone(), member.is_learner))
        .collect();
    expected.sort();
    expected
}
