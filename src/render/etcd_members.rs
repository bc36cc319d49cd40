//! How many members an etcd is to have, how many it has, and what is to be done about the difference.

use k8s_openapi::jiff::SignedDuration;

use super::facts::{Facts, Settings, StatefulSetFacts};
use super::gather::{claims_of_etcd, is_numbered};
use super::resolved::Membership;
use crate::api::cluster_status::HeldStatus;
use crate::api::{EtcdPins, names};
use crate::etcd::{self, Place, Situation, Step};
use crate::pki::KeyPurpose;

/// What the spec says, before anything that is known of the members.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedMembers {
    /// As written, where it is.
    pub written: Option<i32>,
    /// What follows from the replicas.
    pub derived: i32,
}

impl WantedMembers {
    /// A written number counts; one that follows from the replicas only ever grows.
    fn settle(self, pinned: Option<i32>) -> i32 {
        let grown = self.derived.max(pinned.unwrap_or(self.derived));
        self.written.unwrap_or(grown)
    }
}

/// Whether pods of this etcd are to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awake {
    Yes,
    Hibernated,
}

/// Decides about the members, and adds to `held` what cannot be done.
///
/// *Shape*: `can_change` says that configuration and keys are there, so that a new pod could start.
pub(super) fn decide(
    wanted: WantedMembers,
    facts: &Facts,
    settings: &Settings,
    awake: Awake,
    can_change: bool,
    held: &mut Vec<HeldStatus>,
) -> Membership {
    let members = wanted.settle(facts.pins.etcd_members);
    let pods = facts.stateful_sets.get(&names::etcd(&facts.name));
    let stored = facts.pins.etcd.clone();
    let prefix = claims_of_etcd(&facts.name);
    let has_begun = stored.as_ref().is_some_and(EtcdPins::has_changed)
        || facts.volumes.keys().any(|claim| is_numbered(claim, &prefix))
        || pods.is_some_and(|pods| pods.spec_replicas > 0);
    let record = match (stored, facts.pins.etcd_members) {
        _ if !has_begun => EtcdPins::as_it_began(members),
        (Some(stored), _) => stored,
        (None, Some(pinned)) => EtcdPins::as_it_began(pinned),
        (None, None) => EtcdPins::as_it_began(members),
    };
    let is_asked_for = awake == Awake::Yes
        && can_change
        && has_begun
        && pods.is_some_and(|pods| pods.spec_replicas > 0 && asks(&record, members, pods, facts, settings));
    let question = is_asked_for.then(|| place(facts, &record, members));
    let step = match (&question, &facts.etcd) {
        (Some(place), Some(asked)) => Some(etcd::decide(&Situation {
            stateful_set: &place.stateful_set,
            namespace: &place.namespace,
            wanted: members,
            record: &record,
            asked,
            now: facts.now,
            replace_after: replace_after(settings),
        })),
        (None, _) | (_, None) => None,
    };
    if let Some(Step::Held { reason, message }) = &step {
        held.push(hold(facts, &record, members, reason, message));
    }
    let record = match &step {
        Some(Step::Record { record, why: _ }) => record.clone(),
        Some(
            Step::Settled | Step::Wait { .. } | Step::Held { .. } | Step::Change(_) | Step::ReplacePod { .. },
        )
        | None => record,
    };
    let stored = (facts.pins.etcd.is_some() && has_begun) || record != EtcdPins::as_it_began(members);
    Membership {
        wanted: members,
        stored: stored.then(|| record.clone()),
        record,
        question,
        step,
    }
}

/// Says whether there is anything to find out from the members. They are not asked in vain: there are thousands.
fn asks(record: &EtcdPins, wanted: i32, pods: &StatefulSetFacts, facts: &Facts, settings: &Settings) -> bool {
    let is_seen = pods.observed_generation >= pods.generation;
    let is_rolling = is_seen && pods.updated_replicas < pods.replicas;
    let is_long_unready = pods.ready_replicas < pods.spec_replicas
        && facts
            .not_ready_since
            .is_some_and(|since| facts.now.duration_since(since) >= replace_after(settings));
    wanted != record.running || record.changing.is_some() || is_rolling || is_long_unready
}

fn replace_after(settings: &Settings) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(settings.replace_member_after_seconds).unwrap_or(i64::MAX))
}

fn place(facts: &Facts, record: &EtcdPins, wanted: i32) -> Place {
    Place {
        namespace: facts.namespace.clone(),
        stateful_set: names::etcd(&facts.name),
        authority: facts.key_secret(KeyPurpose::Etcd),
        identity: facts.key_secret(KeyPurpose::ApiserverEtcdClient),
        members: record.running.max(wanted),
    }
}

fn hold(facts: &Facts, record: &EtcdPins, wanted: i32, reason: &str, message: &str) -> HeldStatus {
    let running = record.running;
    let (what, begin) = if wanted == running {
        let set = format!("StatefulSet/{}", names::etcd(&facts.name));
        (set, "the members of etcd cannot be looked after".to_owned())
    } else {
        let what = "spec.storage.etcd.members".to_owned();
        (what, format!("etcd has {running} and would get {wanted}"))
    };
    HeldStatus {
        what,
        reason: reason.to_owned(),
        message: format!("{begin}: {message}"),
    }
}
