//! What matters about the pods of an etcd.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::Object;

/// Label with the revision of the template that a StatefulSet made a pod from.
const REVISION: &str = "controller-revision-hash";
/// Starts in vain after which a container is said to crash again and again. The first ones are usual: a name that does
/// not resolve yet, a neighbour that is not there yet.
const CRASHES: i64 = 3;
/// Reasons for which a container waits that only another template (or a person) resolves.
const CANNOT_START: [&str; 7] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// A pod of an etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodFacts {
    pub uid: String,
    pub is_ready: bool,
    /// It is being deleted.
    pub is_going: bool,
    /// It was made from another template than the present one.
    pub is_outdated: bool,
    pub state: PodState,
    /// When it was ready last, or was made; `None` while it is ready, or when nothing tells.
    pub not_ready_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodState {
    /// It runs, starts, or has crashed once or twice.
    Runs,
    /// No container of it ever started, and none will by itself: no node, no image.
    CannotStart,
    /// Its container has been started again and again, and is not ready.
    Crashes,
}

/// Reads the pods of a StatefulSet, by number.
///
/// *Shape*: `revision` is the present one of the set; without it no pod is outdated. Pods of other names do not count.
pub fn pods(objects: &[Object], stateful_set: &str, revision: Option<&str>) -> BTreeMap<i32, PodFacts> {
    let number = |object: &Object| -> Option<i32> {
        let id = object.id()?;
        id.name
            .strip_prefix(stateful_set)?
            .strip_prefix('-')?
            .parse()
            .ok()
    };
    objects
        .iter()
        .filter_map(|object| Some((number(object)?, pod(object, revision)?)))
        .collect()
}

fn pod(object: &Object, revision: Option<&str>) -> Option<PodFacts> {
    let list = |pointer: &str| {
        let list = object.0.pointer(pointer).and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    };
    let condition = |type_: &str| {
        list("/status/conditions")
            .iter()
            .find(|condition| condition["type"] == type_)
    };
    let is = |type_: &str, status: &str| condition(type_).is_some_and(|one| one["status"] == status);
    let is_ready = is("Ready", "True");
    let time = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse().ok());
    let since = time(condition("Ready").map(|one| &one["lastTransitionTime"]))
        .or_else(|| time(object.0.pointer("/metadata/creationTimestamp")));
    let containers = list("/status/containerStatuses");
    let cannot_start = is("PodScheduled", "False")
        || containers.iter().any(|container| {
            let reason = container.pointer("/state/waiting/reason").and_then(Value::as_str);
            reason.is_some_and(|reason| CANNOT_START.contains(&reason))
        });
    // Starts are counted over the whole life of the pod: one that was ready since, and whose node is lost, crashes not.
    let crashes = containers.iter().any(|container| {
        container["ready"] != true && container["restartCount"].as_i64().unwrap_or_default() >= CRASHES
    });
    let state = if cannot_start {
        PodState::CannotStart
    } else if crashes && !is_ready {
        PodState::Crashes
    } else {
        PodState::Runs
    };
    Some(PodFacts {
        uid: object.uid()?.to_owned(),
        is_ready,
        is_going: object.text("/metadata/deletionTimestamp").is_some(),
        is_outdated: revision.is_some() && object.label(REVISION) != revision,
        state,
        not_ready_since: since.filter(|_| !is_ready),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, status: Value) -> Object {
        Object(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "tenant-7", "uid": format!("uid-{name}"),
                "creationTimestamp": "2030-01-01T00:00:00Z", "labels": {REVISION: "r-2"},
            },
            "status": status,
        }))
    }

    fn only(status: Value) -> PodFacts {
        let objects = [object("kmc-edge-etcd-1", status)];
        pods(&objects, "kmc-edge-etcd", Some("r-2")).remove(&1).unwrap()
    }

    #[test]
    fn pods_of_other_sets_do_not_count() {
        let names = [
            "kmc-edge-etcd-0",
            "kmc-edge-0",
            "kmc-edge-etcd-x",
            "kmc-edge-etcd-2",
        ];
        let objects = names.map(|name| object(name, json!({})));
        let found = pods(&objects, "kmc-edge-etcd", Some("r-3"));
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert!(found.values().all(|pod| pod.is_outdated));
    }

    #[test]
    fn a_pod_without_node_or_image_cannot_start_and_one_that_crashed_twice_runs() {
        let state = |status| only(status).state;
        assert_eq!(state(json!({})), PodState::Runs);
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False"}]});
        assert_eq!(state(unscheduled), PodState::CannotStart);
        let waits = |reason: &str| json!({"containerStatuses": [{"state": {"waiting": {"reason": reason}}}]});
        assert_eq!(state(waits("ImagePullBackOff")), PodState::CannotStart);
        assert_eq!(state(waits("ContainerCreating")), PodState::Runs);
        let crashed = |times: i64| json!({"containerStatuses": [{"restartCount": times}]});
        assert_eq!(state(crashed(2)), PodState::Runs);
        assert_eq!(state(crashed(3)), PodState::Crashes);
    }

    #[test]
    fn a_member_on_a_lost_node_does_not_crash_however_often_it_was_started_before() {
        // Nobody on the node says anything any more; the condition is what others conclude from that.
        let lost = json!({
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2030-01-02T00:00:00Z"}],
            "containerStatuses": [{"restartCount": 3, "ready": true}],
        });
        assert_eq!(only(lost.clone()).state, PodState::Runs);
        let mut crashes = lost;
        crashes["containerStatuses"][0]["ready"] = json!(false);
        assert_eq!(only(crashes).state, PodState::Crashes);
    }

    #[test]
    fn how_long_a_pod_is_not_ready_counts_from_its_condition_or_its_creation() {
        let ready = |status: &str| {
            json!({"conditions": [
                {"type": "Ready", "status": status, "lastTransitionTime": "2030-01-02T00:00:00Z"}
            ]})
        };
        assert_eq!(only(ready("True")).not_ready_since, None);
        let since = |status| only(status).not_ready_since.map(|time| time.to_string());
        assert_eq!(since(ready("False")).as_deref(), Some("2030-01-02T00:00:00Z"));
        assert_eq!(since(json!({})).as_deref(), Some("2030-01-01T00:00:00Z"));
    }
}
