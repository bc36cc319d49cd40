//! Clusters that left the files: which may go, and why the others stay.

use std::collections::BTreeSet;

use super::fleet::{files_hold_deletions, frozen};
use super::impact::Consequence;
use super::tracking::{self, Tracked};
use super::{
    Action, EmptySet, FleetInput, FleetPolicy, Held, HeldReason, Impact, Operation, Propagation, Prune,
};
use crate::api::cluster_parts::DeletionPolicy;
use crate::api::fleet_sync::Deletions;
use crate::api::labels;
use crate::object::{Object, ObjectId, Unreadable, kinds};

/// Plans the deletion of members that the files do not name.
///
/// *Shape*: either all that may go or, when they are more than the budget, none.
pub(super) fn plan(
    input: &FleetInput<'_>,
    policy: &FleetPolicy,
    named: &BTreeSet<&ObjectId>,
) -> (Vec<Action>, Vec<Held>) {
    let mut members = 0;
    let mut leaving = Vec::new();
    let mut held = Vec::new();
    for (id, live) in input.observed.objects.iter() {
        if id.kind != kinds::K0SMOTRON_CLUSTER || tracking::of(id, live, policy) != Tracked::Member {
            continue;
        }
        members += 1;
        if named.contains(id) || live.text("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        match obstacle(live, input, policy) {
            Some((reason, waiting_on)) => held.push(Held {
                id: id.clone(),
                reason,
                waiting_on,
            }),
            None => leaving.push((id, live)),
        }
    }
    let limit = policy.budget.limit(members + policy.deleted_before);
    let left = limit.saturating_sub(policy.deleted_before);
    if leaving.len() > left {
        let waiting_on = over_budget(leaving.len(), left, policy, members);
        held.extend(leaving.into_iter().map(|(id, _)| Held {
            id: id.clone(),
            reason: HeldReason::OverBudget,
            waiting_on: waiting_on.clone(),
        }));
        return (Vec::new(), held);
    }
    let actions = leaving
        .into_iter()
        .filter_map(|(id, live)| delete(id, live, input))
        .collect();
    (actions, held)
}

/// One guard after the other, those that protect one cluster first.
fn obstacle(live: &Object, input: &FleetInput<'_>, policy: &FleetPolicy) -> Option<(HeldReason, String)> {
    if live.annotation(labels::PROTECT) == Some("true") {
        let why = format!(
            "it left the files and is protected; remove its annotation `{}` to let it go",
            labels::PROTECT
        );
        return Some((HeldReason::Protected, why));
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
    let why = match (policy.deletions, policy.prune) {
        (Deletions::Omission, _) | (Deletions::Never, Prune::Yes) => return None,
        (Deletions::Never, Prune::No) => {
            "it left the files and is kept: deletions are off; pass `--prune` once, or set `deletions` of the Fleet"
        }
        (Deletions::Tombstone, Prune::Yes | Prune::No) => {
            "it left the files and is kept until a record of kind Removed names it"
        }
    };
    Some((HeldReason::DeletionsOff, why.to_owned()))
}

fn over_budget(leaving: usize, left: usize, policy: &FleetPolicy, members: usize) -> String {
    let budget = policy.budget;
    let before = match policy.deleted_before {
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

fn delete(id: &ObjectId, live: &Object, input: &FleetInput<'_>) -> Option<Action> {
    let Consequence { impact, effects } = consequence(id, live, input);
    Some(Action {
        id: id.clone(),
        operation: Operation::Delete {
            uid: live.uid()?.to_owned(),
            resource_version: live.resource_version()?.to_owned(),
            propagation: Propagation::Background,
        },
        impact,
        reason: match live.annotation(labels::SOURCE) {
            Some(source) => format!("it left the files; it was in {source}"),
            None => "it left the files".to_owned(),
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
        None => "its volumes".to_owned(),
        Some(preview) => {
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
