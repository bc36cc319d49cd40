//! Clusters that left the files: which may go, and why the others stay.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fleet::{files_hold_deletions, frozen};
use super::impact::Consequence;
use super::tracking::{self, Tracked};
use super::{
    Action, EmptySet, FleetInput, FleetPolicy, Held, HeldReason, Impact, Operation, Propagation, Prune,
    RemovedRecord,
};
use crate::api::cluster_parts::DeletionPolicy;
use crate::api::fleet_files::RemovalPolicy;
use crate::api::fleet_sync::Deletions;
use crate::api::labels;
use crate::diagnostic::visible;
use crate::object::{Object, ObjectId, Unreadable, kinds};

/// Plans the deletion of members that the files do not name, and lets go those of which a record says so.
///
/// *Shape*: either all that may go or, when they are more than the budget, none but those that an earlier run had begun
/// to delete. What is let go counts as well: it leaves the fleet, and a wrong record must not empty it. `replaced` are files whose clusters stay, and why.
pub(super) fn plan(
    input: &FleetInput<'_>,
    policy: &FleetPolicy,
    named: &BTreeSet<&ObjectId>,
    replaced: &BTreeMap<&str, String>,
) -> (Vec<Action>, Vec<Held>) {
    let (mut members, mut begun_and_there) = (0_usize, 0);
    let mut leaving = Vec::new();
    let mut held = Vec::new();
    for (id, live) in input.observed.objects.iter() {
        if id.kind != kinds::K0SMOTRON_CLUSTER
            || tracking::of(id, live, policy.id.as_deref()) != Tracked::Member
        {
            continue;
        }
        members += 1;
        begun_and_there += usize::from(policy.begun.has(live));
        if named.contains(id) || live.text("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        let record = policy.removed.get(id);
        match obstacle(live, record, input, policy) {
            Some((reason, waiting_on)) => held.push(Held {
                id: id.clone(),
                reason,
                waiting_on,
            }),
            None => leaving.push((id, live, record)),
        }
    }
    let before = policy.begun.count();
    let limit = policy
        .budget
        .limit(members.saturating_add(before - begun_and_there));
    let left = limit.saturating_sub(before);
    let (mut leaving, new): (Vec<_>, Vec<_>) = leaving
        .into_iter()
        .partition(|(_, live, _)| policy.begun.has(live));
    if new.len() > left {
        let waiting_on = over_budget(new.len(), left, policy, members);
        held.extend(new.into_iter().map(|(id, ..)| Held {
            id: id.clone(),
            reason: HeldReason::OverBudget,
            waiting_on: waiting_on.clone(),
        }));
    } else {
        leaving.extend(new);
        leaving.sort_by_key(|(id, ..)| *id);
    }
    let mut actions = Vec::new();
    for (id, live, record) in leaving {
        let source = live.annotation(labels::SOURCE);
        if let Some(why) = source.and_then(|source| replaced.get(source)) {
            held.push(Held {
                id: id.clone(),
                reason: HeldReason::Refused,
                waiting_on: why.clone(),
            });
            continue;
        }
        actions.extend(match record {
            Some(record) if record.policy == RemovalPolicy::Orphan => let_go(id, live, record),
            Some(_) | None => delete(id, live, record, input),
        });
    }
    (actions, held)
}

/// One guard after the other, those that protect one cluster first.
pub(super) fn obstacle(
    live: &Object,
    record: Option<&RemovedRecord>,
    input: &FleetInput<'_>,
    policy: &FleetPolicy,
) -> Option<(HeldReason, String)> {
    if live.annotation(labels::PROTECT) == Some("true") {
        let why = "it left the files and is protected; `k0smotron-fleet unprotect` lets it go";
        return Some((HeldReason::Protected, why.to_owned()));
    }
    if let Some(why) = frozen(live, &Object::default()) {
        return Some((HeldReason::Hold, why));
    }
    if live.uid().is_none() || live.resource_version().is_none() {
        return Some((HeldReason::NotReadable, "its version is not known".to_owned()));
    }
    // What could not be read counts in the budget too, so a gap anywhere stops deletions everywhere.
    let is_gap = |gap: &&Unreadable| gap.kind == kinds::K0SMOTRON_CLUSTER;
    if let Some(gap) = input.observed.unreadable.iter().find(is_gap) {
        let why = format!(
            "not all clusters could be read ({}); nothing is deleted",
            gap.reason
        );
        return Some((HeldReason::NotReadable, why));
    }
    if let Some(why) = files_hold_deletions(policy) {
        return Some((HeldReason::ErrorFindings, why));
    }
    match policy.empty_set {
        EmptySet::Suspicious if input.desired.is_empty() => {
            let why =
                "the files want no cluster at all; write `allowEmpty: true` into the Fleet if that is meant";
            return Some((HeldReason::EmptySet, why.to_owned()));
        }
        EmptySet::Suspicious | EmptySet::Allowed => {}
    }
    let why = match (policy.deletions, policy.prune, record) {
        (Deletions::Omission, _, _)
        | (Deletions::Never, Prune::Yes, _)
        | (Deletions::Tombstone, _, Some(_)) => return None,
        (Deletions::Never, Prune::No, Some(record)) => {
            let why = format!(
                "{} says that it was removed, and it is kept: deletions are off; set `deletions: Tombstone` of the \
                 Fleet, or pass `--prune` once",
                record.place
            );
            return Some((HeldReason::DeletionsOff, why));
        }
        (Deletions::Never, Prune::No, None) => {
            "it left the files and is kept: deletions are off; pass `--prune` once, or set `deletions` of the Fleet"
        }
        (Deletions::Tombstone, Prune::Yes | Prune::No, None) => {
            "it left the files and is kept until a record of kind Removed names it"
        }
    };
    Some((HeldReason::DeletionsOff, why.to_owned()))
}

fn over_budget(leaving: usize, left: usize, policy: &FleetPolicy, members: usize) -> String {
    let budget = policy.budget;
    let before = match policy.begun.count() {
        0 => String::new(),
        before => format!(", {before} used by earlier runs"),
    };
    let were = if leaving == 1 {
        "1 cluster".to_owned()
    } else {
        format!("{leaving} clusters")
    };
    format!(
        "{were} would be deleted and the budget allows {left} ({}, {} % of {members}{before}); none is",
        budget.count, budget.percent
    )
}

/// The merge patch that takes away what makes a cluster a member.
pub(super) fn let_go_metadata() -> Value {
    json!({
        "labels": {labels::FLEET_ID: Value::Null},
        "annotations": {labels::TRACKING: Value::Null, labels::SOURCE: Value::Null},
    })
}

/// Takes away what makes a cluster a member, and nothing else: it runs on.
fn let_go(id: &ObjectId, live: &Object, record: &RemovedRecord) -> Option<Action> {
    Some(Action {
        id: id.clone(),
        operation: Operation::PatchMetadata {
            uid: live.uid()?.to_owned(),
            resource_version: live.resource_version().map(str::to_owned),
            metadata: let_go_metadata(),
        },
        impact: Impact::Safe,
        reason: record.place.clone(),
        changes: Vec::new(),
        effects: vec![with_reason("it leaves the fleet and runs on", record)],
        needs: Vec::new(),
    })
}

fn with_reason(what: &str, record: &RemovedRecord) -> String {
    match &record.reason {
        Some(reason) => format!("{what}: {}", visible(reason)),
        None => what.to_owned(),
    }
}

fn delete(
    id: &ObjectId,
    live: &Object,
    record: Option<&RemovedRecord>,
    input: &FleetInput<'_>,
) -> Option<Action> {
    let Consequence { impact, mut effects } = consequence(id, live, input);
    let reason = record.filter(|record| record.reason.is_some());
    effects.extend(reason.map(|record| with_reason("removed on purpose", record)));
    Some(Action {
        id: id.clone(),
        operation: Operation::Delete {
            uid: live.uid()?.to_owned(),
            resource_version: live.resource_version()?.to_owned(),
            propagation: Propagation::Background,
        },
        impact,
        reason: match (record, live.annotation(labels::SOURCE)) {
            (Some(record), _) => record.place.clone(),
            (None, Some(source)) => format!("it left the files; last written from {source}"),
            (None, None) => "it left the files".to_owned(),
        },
        changes: Vec::new(),
        effects,
        needs: Vec::new(),
    })
}

fn consequence(id: &ObjectId, live: &Object, input: &FleetInput<'_>) -> Consequence {
    let policy = match (live.text("/spec/deletionPolicy"), live.text("/spec/ttl")) {
        (Some("Delete"), _) | (None, Some(_)) => DeletionPolicy::Delete,
        (_, _) => DeletionPolicy::Retain,
    };
    let volumes = match input.preview {
        Err(_) => "its volumes".to_owned(),
        Ok(preview) => {
            let is_its = |other: &ObjectId, object: &Object| {
                other.kind == kinds::PERSISTENT_VOLUME_CLAIM
                    && other.namespace == id.namespace
                    && object.label(labels::CLUSTER) == Some(&id.name)
            };
            let count = preview
                .children
                .objects
                .iter()
                .filter(|(other, object)| is_its(other, object))
                .count();
            if count == 1 {
                "1 volume".to_owned()
            } else {
                format!("{count} volumes")
            }
        }
    };
    let (impact, effect) = match policy {
        DeletionPolicy::Delete => (
            Impact::DataLoss,
            format!("deletionPolicy Delete: CA and service-account keys, {volumes}"),
        ),
        DeletionPolicy::Retain => (
            Impact::Disruptive,
            format!(
                "deletionPolicy Retain: pods and address go; keys and {volumes} stay, and a cluster of that name takes \
                 them back"
            ),
        ),
    };
    Consequence {
        impact,
        effects: vec![effect],
    }
}
