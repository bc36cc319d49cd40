//! What is done with the members of etcd and their pods, as part of the plan for a cluster.

use super::{Action, Held, HeldReason, Impact, Operation, Plan, Wave, sort_held};
use crate::api::names;
use crate::etcd::{Change, Member, MemberChange, Step};
use crate::object::{ObjectId, kinds};
use crate::render::ResolvedCluster;

/// Adds the next step of the etcd of a cluster, after everything else that is planned for it.
///
/// *Shape*: at most one action, about the pod of the member. Held when configuration or pods of the etcd are.
pub fn members(plan: &mut Plan, cluster: &ResolvedCluster) {
    let membership = &cluster.etcd.membership;
    let (Some(place), Some(step)) = (&membership.question, &membership.step) else {
        return;
    };
    let pod = |member: i32| {
        let member = Member::of(&place.stateful_set, &place.namespace, member);
        ObjectId::new(kinds::POD, &place.namespace, member.pod)
    };
    let is_alone = membership.record.running <= 1;
    let (id, operation, impact, reason, effect) = match step {
        // What is written down is in the pins already; the others do nothing.
        Step::Settled | Step::Wait { .. } | Step::Held { .. } | Step::Record { .. } => return,
        Step::Change(change) => {
            let operation = Operation::ChangeMembers {
                etcd: place.clone(),
                change: change.clone(),
            };
            let (impact, effect) = consequence(change);
            (pod(change.member), operation, impact, change.why.clone(), effect)
        }
        Step::ReplacePod { member, uid, why } => {
            let (impact, effect) = if is_alone {
                (
                    Impact::Disruptive,
                    "the only member of etcd restarts; the API is away meanwhile",
                )
            } else {
                (Impact::Rolling, "one member of etcd restarts")
            };
            (
                pod(*member),
                Operation::ReplacePod { uid: uid.clone() },
                impact,
                why.clone(),
                effect,
            )
        }
    };
    let foundations = [
        ObjectId::new(
            kinds::CONFIG_MAP,
            &cluster.namespace,
            names::config(&cluster.name),
        ),
        ObjectId::new(
            kinds::STATEFUL_SET,
            &cluster.namespace,
            names::etcd(&cluster.name),
        ),
    ];
    if let Some(held) = plan.held.iter().find(|held| foundations.contains(&held.id)) {
        let waiting_on = format!("it needs {}, which is held", held.id);
        plan.held.push(Held {
            id,
            reason: HeldReason::Waiting,
            waiting_on,
        });
        sort_held(&mut plan.held);
        return;
    }
    let needs = foundations
        .into_iter()
        .filter(|id| plan.actions().any(|action| action.id == *id))
        .collect();
    plan.waves.push(Wave {
        name: "members of etcd".to_owned(),
        actions: vec![Action {
            id,
            operation,
            impact,
            reason,
            changes: Vec::new(),
            effects: vec![effect.to_owned()],
            needs,
        }],
    });
}

fn consequence(change: &Change) -> (Impact, &'static str) {
    match &change.change {
        MemberChange::Add { .. } => (Impact::Safe, "a member is added to etcd, without a vote"),
        MemberChange::Promote { .. } => (Impact::Safe, "a member of etcd gets its vote"),
        MemberChange::Remove { .. } => (
            Impact::Rolling,
            "a member leaves etcd, and its data is not used again",
        ),
    }
}
