//! What a sync may do of a plan: delete only within its limits, never more than its impact, never outside its namespaces.

use std::collections::BTreeSet;

use serde_json::json;

use super::order::Limits;
use crate::api::fleet_sync::{FleetCounts, MaxImpact, PendingChanges};
use crate::compose::Reading;
use crate::object::{ObjectId, digest, kinds};
use crate::plan::{Action, Held, HeldReason, Impact, Operation, Plan, sort_held};

/// A plan with everything held back that is not to be done, and what of that waits for somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Limited {
    pub plan: Plan,
    pub pending: Option<PendingChanges>,
    pub counts: FleetCounts,
}

/// Takes the clusters out that are in namespaces a sync may not write to: those namespaces are not even read.
pub fn within_namespaces(mut reading: Reading, limits: &Limits) -> (Reading, Vec<Held>) {
    let mut held = Vec::new();
    reading.clusters.retain(|cluster| {
        let outside = outside(&cluster.namespace, limits);
        held.extend(outside.map(|waiting_on| Held {
            id: cluster.id(),
            reason: HeldReason::Refused,
            waiting_on,
        }));
        held.last().is_none_or(|held| held.id != cluster.id())
    });
    reading
        .rejected
        .retain(|(namespace, _)| outside(namespace, limits).is_none());
    (reading, held)
}

fn outside(namespace: &str, limits: &Limits) -> Option<String> {
    let is_outside = !limits.namespaces.is_empty() && !limits.namespaces.contains(namespace);
    is_outside.then(|| format!("namespace `{namespace}` is not in spec.limits.namespaces of the FleetSync"))
}

/// Holds back what a sync may not do; `outside` is what [`within_namespaces`] held.
pub fn limit(plan: Plan, outside: Vec<Held>, max_impact: MaxImpact, limits: &Limits) -> Limited {
    let Plan {
        revision,
        mut waves,
        mut held,
        unchanged,
    } = plan;
    held.extend(outside);
    let mut impacts: Vec<Impact> = Vec::new();
    let mut waiting = Vec::new();
    let mut dropped: BTreeSet<ObjectId> = BTreeSet::new();
    for wave in &mut waves {
        wave.actions.retain(|action| {
            let Some((reason, waiting_on)) = why_not(action, max_impact, limits, &dropped) else {
                impacts.push(action.impact);
                return true;
            };
            if reason == HeldReason::AboveMaxImpact {
                impacts.push(action.impact);
                waiting.push(json!([
                    action.id,
                    action.operation,
                    action.impact,
                    action.changes
                ]));
            }
            dropped.insert(action.id.clone());
            held.push(Held {
                id: action.id.clone(),
                reason,
                waiting_on,
            });
            false
        });
    }
    waves.retain(|wave| !wave.actions.is_empty());
    sort_held(&mut held);
    let pending = (!waiting.is_empty()).then(|| PendingChanges {
        entries: i32::try_from(waiting.len()).unwrap_or(i32::MAX),
        digest: digest(&json!(waiting)),
        revision: revision.clone().unwrap_or_default(),
    });
    let plan = Plan {
        revision,
        waves,
        held,
        unchanged,
    };
    let counts = count(&plan, &impacts);
    Limited {
        plan,
        pending,
        counts,
    }
}

fn why_not(
    action: &Action,
    max_impact: MaxImpact,
    limits: &Limits,
    dropped: &BTreeSet<ObjectId>,
) -> Option<(HeldReason, String)> {
    if matches!(action.operation, Operation::Delete { .. }) && !limits.may_delete() {
        let text = "a sync deletes nothing; `k0smotron-fleet apply --prune` does";
        return Some((HeldReason::DeletionsOff, text.to_owned()));
    }
    if matches!(action.operation, Operation::PatchMetadata { .. }) {
        let text = "a sync lets no cluster go; `k0smotron-fleet apply` does";
        return Some((HeldReason::DeletionsOff, text.to_owned()));
    }
    // Whoever can push could otherwise take the clusters of others in the same namespaces.
    if matches!(action.operation, Operation::Adopt { .. }) {
        let text = "a sync takes no cluster over; `k0smotron-fleet apply` does, once";
        return Some((HeldReason::OtherOwner, text.to_owned()));
    }
    let namespace = if action.id.kind == kinds::NAMESPACE {
        &action.id.name
    } else {
        &action.id.namespace
    };
    if let Some(text) = outside(namespace, limits) {
        return Some((HeldReason::Refused, text));
    }
    if !is_within(action.impact, max_impact) {
        let text = format!(
            "its impact is {}; spec.maxImpact allows {max_impact}",
            action.impact.as_str()
        );
        return Some((HeldReason::AboveMaxImpact, text));
    }
    let missing = action.needs.iter().find(|need| dropped.contains(need))?;
    Some((HeldReason::Waiting, format!("it needs {missing}, which is held")))
}

/// What cannot be computed counts as disruptive.
fn is_within(impact: Impact, max: MaxImpact) -> bool {
    match (impact, max) {
        (_, MaxImpact::None) => false,
        (Impact::Safe, _) => true,
        (Impact::Rolling, MaxImpact::Safe) => false,
        (Impact::Rolling, MaxImpact::Rolling | MaxImpact::Disruptive | MaxImpact::DataLoss) => true,
        (Impact::Disruptive | Impact::Unknown, MaxImpact::Safe | MaxImpact::Rolling) => false,
        (Impact::Disruptive | Impact::Unknown, MaxImpact::Disruptive | MaxImpact::DataLoss) => true,
        (Impact::DataLoss, MaxImpact::DataLoss) => true,
        (Impact::DataLoss, MaxImpact::Safe | MaxImpact::Rolling | MaxImpact::Disruptive) => false,
    }
}

/// Counts clusters by action and by impact; what is none is left out.
fn count(plan: &Plan, impacts: &[Impact]) -> FleetCounts {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let counts = plan.counts();
    let actions = [
        ("create", counts.create),
        ("change", counts.change),
        ("held", counts.held),
        ("unchanged", counts.unchanged),
    ];
    let mut result = FleetCounts::default();
    for (name, count) in actions.into_iter().filter(|(_, count)| *count > 0) {
        result.actions.insert(name.to_owned(), number(count));
    }
    for impact in impacts {
        *result.impacts.entry(impact.as_str().to_owned()).or_default() += 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use crate::plan::{Propagation, Wave};

    fn id(name: &str) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name)
    }

    fn action(name: &str, impact: Impact) -> Action {
        Action {
            id: id(name),
            operation: Operation::Apply {
                body: Object::default(),
                uid: "u".into(),
            },
            impact,
            reason: String::new(),
            changes: Vec::new(),
            effects: Vec::new(),
            needs: Vec::new(),
        }
    }

    fn plan(actions: Vec<Action>) -> Plan {
        Plan {
            revision: Some("aaa".into()),
            waves: vec![Wave {
                name: "clusters".into(),
                actions,
            }],
            ..Plan::default()
        }
    }

    fn done(limited: &Limited) -> Vec<&str> {
        limited.plan.actions().map(|action| &*action.id.name).collect()
    }

    #[test]
    fn what_is_above_the_ceiling_waits_and_is_counted() {
        let all = [
            Impact::Safe,
            Impact::Rolling,
            Impact::Disruptive,
            Impact::Unknown,
            Impact::DataLoss,
        ];
        for (max, allowed) in [
            (MaxImpact::None, 0),
            (MaxImpact::Safe, 1),
            (MaxImpact::Rolling, 2),
            (MaxImpact::Disruptive, 4),
            (MaxImpact::DataLoss, 5),
        ] {
            let actions = all.map(|impact| action(impact.as_str(), impact)).into();
            let limited = limit(plan(actions), Vec::new(), max, &Limits::default());
            assert_eq!(done(&limited).len(), allowed, "{max}");
            assert_eq!(
                limited.pending.map_or(0, |pending| pending.entries),
                5 - allowed as i32
            );
            assert_eq!(limited.counts.impacts.len(), 5);
        }
    }

    #[test]
    fn the_digest_is_over_what_waits_only() {
        let pending = |names: &[&str], revision: &str| {
            let mut actions = vec![action("disruptive", Impact::Disruptive)];
            actions.extend(names.iter().map(|name| action(name, Impact::Safe)));
            let mut plan = plan(actions);
            plan.revision = Some(revision.into());
            limit(plan, Vec::new(), MaxImpact::Rolling, &Limits::default())
                .pending
                .unwrap()
        };
        assert_eq!(pending(&["a"], "aaa").digest, pending(&["b", "c"], "bbb").digest);
    }

    #[test]
    fn nothing_is_deleted_and_nothing_leaves_the_namespaces() {
        let mut delete = action("old", Impact::DataLoss);
        delete.operation = Operation::Delete {
            uid: "u".into(),
            resource_version: "1".into(),
            propagation: Propagation::Background,
        };
        let mut elsewhere = action("far", Impact::Safe);
        elsewhere.id.namespace = "core".into();
        let mut namespace = action("core", Impact::Safe);
        namespace.id = ObjectId::new(kinds::NAMESPACE, "", "core");
        let limits = Limits {
            namespaces: ["edge".to_owned()].into(),
            ..Limits::default()
        };
        let limited = limit(
            plan(vec![namespace, delete, elsewhere, action("fine", Impact::Safe)]),
            Vec::new(),
            MaxImpact::DataLoss,
            &limits,
        );
        assert_eq!(done(&limited), ["fine"]);
        let reasons: Vec<_> = limited.plan.held.iter().map(|held| held.reason).collect();
        assert_eq!(
            reasons,
            [HeldReason::Refused, HeldReason::Refused, HeldReason::DeletionsOff]
        );
        assert_eq!(limited.pending, None);
    }

    #[test]
    fn a_push_takes_no_cluster_from_anybody() {
        let mut adopt = action("theirs", Impact::Safe);
        adopt.operation = Operation::Adopt {
            body: Object::default(),
            uid: "u".into(),
            resource_version: "1".into(),
            managed_fields: None,
        };
        let limited = limit(
            plan(vec![adopt]),
            Vec::new(),
            MaxImpact::DataLoss,
            &Limits::default(),
        );
        assert!(limited.plan.is_empty());
        assert_eq!(limited.plan.held[0].reason, HeldReason::OtherOwner);
        assert_eq!(limited.pending, None);
    }

    #[test]
    fn what_needs_something_held_is_held_too() {
        let mut needy = action("needy", Impact::Safe);
        needy.needs = vec![id("base")];
        let limited = limit(
            plan(vec![action("base", Impact::Disruptive), needy]),
            Vec::new(),
            MaxImpact::Rolling,
            &Limits::default(),
        );
        assert!(limited.plan.is_empty());
        assert_eq!(limited.plan.held[1].reason, HeldReason::Waiting);
    }
}
