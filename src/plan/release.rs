//! What is done for a cluster that is being deleted, before its finalizer goes.

use serde_json::{Value, json};

use super::impact;
use super::{Action, Held, HeldReason, Impact, Operation, Owner, Plan, Propagation, Wave, ownership};
use crate::api::labels;
use crate::object::{Object, ObjectId, Observed, kinds};

/// What happens to the keys and volumes of a cluster that is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// They stay, marked, and a cluster of that name takes them back.
    Retain,
    /// They go, and the pods before them.
    Delete,
    /// They stay whatever the policy says: it is the definition of all clusters that goes, not this cluster.
    LetGo,
}

/// Plans the release of a cluster: keys and volumes as `release` says, then the finalizer.
///
/// *Shape*: what has an owner reference is collected by Kubernetes once the cluster is gone and is not mentioned. The
/// finalizer stays while something could not be read or is not done yet. Empty once the finalizer is gone.
pub fn release(cluster: &Object, observed: &Observed, owner: &Owner, release: Release) -> Plan {
    let mut held = Vec::new();
    let mut pods = Vec::new();
    let mut data = Vec::new();
    for (id, live) in observed.objects.iter() {
        if !is_of(live, owner) {
            continue;
        }
        let is_data = id.kind == kinds::SECRET || id.kind == kinds::PERSISTENT_VOLUME_CLAIM;
        match release {
            Release::LetGo => {}
            Release::Retain if is_data && live.controller_uid().is_none() => {
                data.extend(retain(id, live));
            }
            Release::Delete if is_data => data.extend(delete(id, live)),
            // Before the volumes: a StatefulSet makes a claim again that it misses.
            Release::Delete if id.kind == kinds::STATEFUL_SET => pods.extend(delete(id, live)),
            Release::Retain | Release::Delete => {}
        }
    }
    if release != Release::LetGo {
        for kind in [kinds::SECRET, kinds::PERSISTENT_VOLUME_CLAIM] {
            if !observed.is_complete_for(kind, &owner.cluster.namespace) {
                held.push(Held {
                    id: owner.cluster.clone(),
                    reason: HeldReason::NotReadable,
                    waiting_on: format!("{kind} objects of its namespace could not be read"),
                });
            }
        }
    }
    let mut waves = vec![("pods", pods), ("keys and volumes", data)];
    if held.is_empty() {
        let needs = waves
            .iter()
            .flat_map(|(_, actions)| actions.iter().map(|action| action.id.clone()))
            .collect();
        waves.push((
            "finalizer",
            finalizer(cluster, owner, needs).into_iter().collect(),
        ));
    }
    Plan {
        waves: waves
            .into_iter()
            .filter(|(_, actions)| !actions.is_empty())
            .map(|(name, actions)| Wave {
                name: name.to_owned(),
                actions,
            })
            .collect(),
        held,
        ..Plan::default()
    }
}

/// Only what bears this very uid: what the pins name may still be another cluster's.
fn is_of(live: &Object, owner: &Owner) -> bool {
    ownership::of_child(live, owner) == ownership::Ownership::Ours
        && live.text("/metadata/deletionTimestamp").is_none()
}

fn retain(id: &ObjectId, live: &Object) -> Option<Action> {
    if live.label(labels::RETAINED) == Some("true") {
        return None;
    }
    Some(Action {
        id: id.clone(),
        operation: Operation::PatchMetadata {
            uid: live.uid()?.to_owned(),
            resource_version: None,
            metadata: json!({"labels": {labels::RETAINED: "true"}}),
        },
        impact: Impact::Safe,
        reason: "deletionPolicy Retain: it stays".to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    })
}

fn delete(id: &ObjectId, live: &Object) -> Option<Action> {
    let consequence = impact::of_delete(id, live);
    Some(Action {
        id: id.clone(),
        operation: Operation::Delete {
            uid: live.uid()?.to_owned(),
            resource_version: live.resource_version()?.to_owned(),
            propagation: Propagation::Background,
        },
        impact: consequence.impact,
        reason: "deletionPolicy Delete: it goes with the cluster".to_owned(),
        changes: Vec::new(),
        effects: consequence.effects,
        needs: Vec::new(),
    })
}

fn finalizer(cluster: &Object, owner: &Owner, needs: Vec<ObjectId>) -> Option<Action> {
    let finalizers = cluster.0.pointer("/metadata/finalizers")?.as_array()?;
    let others: Vec<&Value> = finalizers
        .iter()
        .filter(|finalizer| *finalizer != labels::FINALIZER)
        .collect();
    if others.len() == finalizers.len() {
        return None;
    }
    Some(Action {
        id: owner.cluster.clone(),
        operation: Operation::PatchMetadata {
            uid: owner.uid.clone(),
            // The list is replaced as a whole, so it must be the list that was looked at.
            resource_version: cluster.resource_version().map(str::to_owned),
            metadata: json!({"finalizers": others}),
        },
        impact: Impact::Safe,
        reason: "everything its deletion asks for is done".to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs,
    })
}
