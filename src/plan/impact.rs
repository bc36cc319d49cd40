//! What a change of one child does to the pods, addresses and data of its cluster.

use serde_json::Value;

use super::{Impact, Owner, guards};
use crate::api::names;
use crate::object::{Difference, Object, ObjectId, ObjectSet, kinds, pointer};

/// Impact and consequences in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Consequence {
    pub impact: Impact,
    pub effects: Vec<String>,
}

impl Consequence {
    fn new(impact: Impact, effects: impl IntoIterator<Item = String>) -> Self {
        Self {
            impact,
            effects: effects.into_iter().collect(),
        }
    }

    pub(super) fn none() -> Self {
        Self::new(Impact::Safe, [])
    }
}

/// The fields of a StatefulSet that the API server lets nobody change, but for those it does.
const MUTABLE: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "ordinals",
];

/// Returns the pointers of differences that the API server would refuse.
pub(super) fn immutable(id: &ObjectId, differences: &[Difference]) -> Vec<String> {
    let is_refused = |pointer: &str| match pointer.strip_prefix("/spec/") {
        Some(rest) => !MUTABLE.contains(&rest.split('/').next().unwrap_or_default()),
        None => false,
    };
    if id.kind != kinds::STATEFUL_SET {
        return Vec::new();
    }
    differences
        .iter()
        .map(|difference| difference.pointer.clone())
        .filter(|pointer| is_refused(pointer))
        .collect()
}

/// Says what applying `differences` to a live child does.
pub(super) fn of_apply(
    id: &ObjectId,
    live: &Object,
    differences: &[Difference],
    children: &ObjectSet,
    owner: &Owner,
) -> Consequence {
    if id.kind == kinds::STATEFUL_SET {
        of_stateful_set(id, live, differences, children, owner)
    } else if id.kind == kinds::SERVICE {
        of_service(id, differences)
    } else {
        Consequence::none()
    }
}

/// Says what deleting a live child does.
pub(super) fn of_delete(id: &ObjectId, live: &Object) -> Consequence {
    if id.kind == kinds::STATEFUL_SET {
        let pods = Pods::of(live);
        Consequence::new(
            Impact::Disruptive,
            [format!(
                "StatefulSet {} deleted, {}",
                id.name,
                pods.named(id, 0, pods.wanted)
            )],
        )
    } else if id.kind == kinds::SERVICE {
        Consequence::new(
            Impact::Disruptive,
            [format!("Service {} deleted; its address and ports go", id.name)],
        )
    } else if guards::never_deleted(id).is_some() {
        Consequence::new(Impact::DataLoss, [format!("{} {} deleted", id.kind, id.name)])
    } else {
        Consequence::none()
    }
}

/// The numbers of a live StatefulSet.
struct Pods {
    wanted: i64,
    ready: i64,
}

impl Pods {
    fn of(live: &Object) -> Self {
        Self {
            wanted: live.integer("/spec/replicas").unwrap_or(1),
            ready: live.integer("/status/readyReplicas").unwrap_or(0),
        }
    }

    /// Returns `3 pods kmc-edge-{0..2}`; `to` is exclusive.
    fn named(&self, id: &ObjectId, from: i64, to: i64) -> String {
        match to - from {
            1 => format!("1 pod {}-{from}", id.name),
            count => format!("{count} pods {}-{{{from}..{}}}", id.name, to - 1),
        }
    }
}

fn of_stateful_set(
    id: &ObjectId,
    live: &Object,
    differences: &[Difference],
    children: &ObjectSet,
    owner: &Owner,
) -> Consequence {
    let pods = Pods::of(live);
    let wanted = differences
        .iter()
        .find(|difference| difference.pointer == "/spec/replicas")
        .and_then(|difference| difference.new.as_ref()?.as_i64())
        .unwrap_or(pods.wanted);
    let is_etcd = id.name == names::etcd(&owner.cluster.name);
    let scaled = of_scaling(id, &pods, wanted, is_etcd);
    let rolls = differences.iter().any(|difference| {
        difference.pointer == "/spec/template" || difference.pointer.starts_with("/spec/template/")
    });
    if !rolls {
        return scaled;
    }
    let remaining = pods.wanted.min(wanted);
    let rolled = if remaining == 0 {
        Consequence::none()
    } else if is_etcd {
        of_etcd_roll(id, &pods, remaining)
    } else {
        of_control_plane_roll(id, &pods, remaining, children, owner)
    };
    Consequence::new(
        rolled.impact.max(scaled.impact),
        rolled.effects.into_iter().chain(scaled.effects),
    )
}

fn of_scaling(id: &ObjectId, pods: &Pods, wanted: i64, is_etcd: bool) -> Consequence {
    let prefix = if is_etcd { "etcd: " } else { "" };
    if wanted == pods.wanted {
        Consequence::none()
    } else if wanted > pods.wanted {
        Consequence::new(
            Impact::Safe,
            [format!("{prefix}{} added", pods.named(id, pods.wanted, wanted))],
        )
    } else if wanted == 0 {
        // Without members there is no API either; the control plane's own line says so.
        let consequence = if is_etcd {
            ""
        } else {
            "; the API does not answer until replicas are raised again"
        };
        Consequence::new(
            Impact::Disruptive,
            [format!(
                "{prefix}{} stopped{consequence}",
                pods.named(id, 0, pods.wanted)
            )],
        )
    } else {
        Consequence::new(
            Impact::Rolling,
            [format!("{prefix}{} removed", pods.named(id, wanted, pods.wanted))],
        )
    }
}

fn of_etcd_roll(id: &ObjectId, pods: &Pods, members: i64) -> Consequence {
    let named = pods.named(id, 0, members);
    if members == 1 {
        Consequence::new(
            Impact::Disruptive,
            [format!(
                "etcd: {named} replaced; the API does not answer until it is ready again"
            )],
        )
    } else if pods.ready < pods.wanted {
        Consequence::new(
            Impact::Disruptive,
            [format!(
                "etcd: {named} replaced one by one, but only {} of {} are ready now",
                pods.ready, pods.wanted
            )],
        )
    } else {
        Consequence::new(Impact::Rolling, [format!("etcd: {named} replaced one by one")])
    }
}

fn of_control_plane_roll(
    id: &ObjectId,
    pods: &Pods,
    remaining: i64,
    children: &ObjectSet,
    owner: &Owner,
) -> Consequence {
    let named = pods.named(id, 0, remaining);
    if remaining == 1 {
        return Consequence::new(
            Impact::Disruptive,
            [format!(
                "{named} replaced; the API does not answer until it is ready again"
            )],
        );
    }
    if pods.ready < 2 {
        return Consequence::new(
            Impact::Disruptive,
            [format!(
                "{named} replaced one by one, but only {} is ready now; the API may not answer meanwhile",
                pods.ready
            )],
        );
    }
    match etcd_without_quorum(children, owner) {
        Some(numbers) => Consequence::new(
            Impact::Disruptive,
            [format!(
                "{named} replaced one by one, but etcd has no quorum now ({numbers})"
            )],
        ),
        None => Consequence::new(Impact::Rolling, [format!("{named} replaced one by one")]),
    }
}

/// Returns `1 of 3 members ready` when etcd runs here and cannot answer.
fn etcd_without_quorum(children: &ObjectSet, owner: &Owner) -> Option<String> {
    let id = ObjectId::new(
        kinds::STATEFUL_SET,
        &owner.cluster.namespace,
        names::etcd(&owner.cluster.name),
    );
    let members = Pods::of(children.get(&id)?);
    (members.ready <= members.wanted / 2)
        .then(|| format!("{} of {} members ready", members.ready, members.wanted))
}

fn of_service(id: &ObjectId, differences: &[Difference]) -> Consequence {
    let shown = |value: &Option<Value>| match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let effects: Vec<String> = differences
        .iter()
        .filter(|difference| difference.pointer.starts_with("/spec/"))
        .map(|difference| {
            format!(
                "Service {}: {} {} -> {}; clients and workers notice",
                id.name,
                pointer::to_field_path(&difference.pointer),
                shown(&difference.old),
                shown(&difference.new)
            )
        })
        .collect();
    if effects.is_empty() {
        Consequence::none()
    } else {
        Consequence::new(Impact::Disruptive, effects)
    }
}
