//! How many pods may be evicted at once: one.

use serde_json::json;

use super::answer::{Answer, Answers, Desired};
use super::parts::{Pods, object};
use super::resolved::{ResolvedCluster, StoragePlan};
use crate::api::names;
use crate::object::kinds;

/// Answers for the budgets of the control plane and of etcd.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    let enabled = cluster
        .spec
        .pod_disruption_budget
        .as_ref()
        .and_then(|budget| budget.enabled);
    let (name, etcd) = (names::control_plane(&cluster.name), names::etcd(&cluster.name));
    // Replicas are written; members are known only from pins or as a default, and a default deletes nothing.
    let count = Some(cluster.spec.replicas.unwrap_or(1));
    let answer = decide(
        cluster,
        enabled,
        count,
        &name,
        Pods::ControlPlane,
        "control-plane",
    );
    answers.insert(cluster.id(kinds::POD_DISRUPTION_BUDGET, name), answer);
    if cluster.storage != StoragePlan::Etcd {
        return;
    }
    let count = Some(cluster.etcd.membership.record.running)
        .filter(|&members| members > 1 || cluster.found_pins.etcd_running() == Some(members));
    let answer = decide(cluster, enabled, count, &etcd, Pods::Etcd, "etcd");
    answers.insert(cluster.id(kinds::POD_DISRUPTION_BUDGET, etcd), answer);
}

fn decide(
    cluster: &ResolvedCluster,
    enabled: Option<bool>,
    count: Option<i32>,
    name: &str,
    pods: Pods,
    component: &'static str,
) -> Answer {
    match (enabled, count, &cluster.endpoint) {
        (Some(false), ..) => Answer::Drop {
            why: "`spec.podDisruptionBudget.enabled` is false".to_owned(),
        },
        (None, Some(..=1), _) => Answer::Drop {
            why: "there is no more than one pod".to_owned(),
        },
        (None, None, _) => Answer::Keep {
            waiting_on: "the number of members to be known".to_owned(),
        },
        (_, _, Err(waiting_on)) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        (Some(true), _, Ok(_)) | (None, Some(_), Ok(_)) => Answer::Want(Desired::Object(object(
            kinds::POD_DISRUPTION_BUDGET,
            cluster.owned_metadata(name, pods, component),
            json!({"spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": cluster.selector(pods)},
            }}),
        ))),
    }
}
