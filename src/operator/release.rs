//! What happens to keys and volumes when a cluster goes, and to its finalizer. Pure: the answer is a plan like any other.
//!
//! Children have an owner reference and are collected. What has none is here: root keys and volumes live as long as the
//! data, so they either stay, marked so that a cluster of that name finds them again, or go, when the cluster said so.

use serde_json::{Value, json};

use crate::api::cluster_parts::DeletionPolicy;
use crate::api::{ClusterSpec, labels, names};
use crate::object::{Kind, Object, ObjectId, Observed, kinds};
use crate::pki::KeyPurpose;
use crate::plan::{Action, Held, HeldReason, Impact, Operation, Plan, Propagation, Wave};

/// Whether what is deleted is one cluster or the kind itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    Cluster,
    /// The CustomResourceDefinition is being deleted, and every cluster with it: nobody meant the data.
    Kind,
}

/// Returns what the spec says about keys and volumes: as written, else `Delete` for a cluster with a life span.
pub fn policy_of(spec: &ClusterSpec, going: Going) -> DeletionPolicy {
    match (going, spec.deletion_policy, &spec.ttl) {
        (Going::Kind, _, _) => DeletionPolicy::Retain,
        (Going::Cluster, Some(policy), _) => policy,
        (Going::Cluster, None, Some(_)) => DeletionPolicy::Delete,
        (Going::Cluster, None, None) => DeletionPolicy::Retain,
    }
}

/// Plans the release of a cluster: keys and volumes as the policy says, then the finalizer.
///
/// *Shape*: `found` holds Secrets, claims and StatefulSets of the cluster's namespace, read for this purpose. Objects
/// that do not carry this cluster's uid are left alone, as are those that are marked already. The finalizer stays while
/// something could not be read or was not done. With `Delete` StatefulSets go first: one that lives makes its claims
/// anew. Empty once the finalizer is gone.
pub fn plan(key: &ObjectId, cluster: &Object, policy: DeletionPolicy, found: &Observed) -> Plan {
    let Some(uid) = cluster.uid() else {
        return Plan::default();
    };
    let ours = |kind: Kind| {
        let objects = found.objects.iter();
        objects.filter(move |(id, object)| id.kind == kind && is_of(object, uid) && !is_going(object))
    };
    let keys = || ours(kinds::SECRET).filter(|(_, object)| object.controller_uid().is_none());
    let authority = authority(key, uid, found);
    let fingerprint = authority.and_then(|secret| secret.annotation(labels::FINGERPRINT));
    let volumes = || {
        let objects = found.objects.iter();
        objects.filter(|(id, object)| authority.is_some() && is_volume_of(key, id, object, fingerprint))
    };
    let mut waves: Vec<(&str, Vec<Action>)> = match policy {
        DeletionPolicy::Retain => {
            let marked = volumes()
                .filter_map(|(id, object)| retain(id, object, uid, fingerprint))
                .chain(keys().filter_map(|(id, object)| retain(id, object, uid, None)));
            vec![("mark what stays", marked.collect())]
        }
        DeletionPolicy::Delete => {
            let stopped: Vec<Action> = ours(kinds::STATEFUL_SET)
                .filter_map(|(id, object)| delete(id, object, "its volumes go next", Impact::Disruptive))
                .collect();
            let why = "spec.deletionPolicy is Delete";
            let deleted: Vec<Action> = volumes()
                .filter(|(_, object)| !is_going(object))
                .filter_map(|(id, object)| delete(id, object, why, Impact::DataLoss))
                .collect();
            // The CA tells which volumes are ours, so it goes after them.
            let needs: Vec<ObjectId> = deleted.iter().map(|action| action.id.clone()).collect();
            let last = keys().filter_map(|(id, object)| {
                let action = delete(id, object, why, Impact::DataLoss)?;
                Some(Action {
                    needs: needs.clone(),
                    ..action
                })
            });
            let last = last.collect();
            vec![
                ("stop what uses them", stopped),
                ("delete volumes", deleted),
                ("delete keys", last),
            ]
        }
    };
    let held: Vec<Held> = [kinds::SECRET, kinds::PERSISTENT_VOLUME_CLAIM]
        .into_iter()
        .filter(|kind| !found.is_complete_for(*kind, &key.namespace))
        .map(|kind| Held {
            id: key.clone(),
            reason: HeldReason::NotReadable,
            waiting_on: format!("the finalizer stays until the {kind} objects of its namespace can be read"),
        })
        .collect();
    if held.is_empty() {
        let needs = waves
            .iter()
            .flat_map(|(_, actions)| actions.iter().map(|action| action.id.clone()))
            .collect();
        waves.push((
            "finalizer",
            finalizer(key, cluster, uid, needs).into_iter().collect(),
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
fn is_of(object: &Object, uid: &str) -> bool {
    object.label(labels::APP_MANAGED_BY) == Some(labels::APP_MANAGED_BY_VALUE)
        && match object.controller_uid() {
            Some(owner) => owner == uid,
            None => object.label(labels::CLUSTER_UID) == Some(uid),
        }
}

/// Says whether an object is being deleted.
pub fn is_going(object: &Object) -> bool {
    object.text("/metadata/deletionTimestamp").is_some()
}

/// Returns the CA of the cluster, which is made before anything else and so proves that it ran.
fn authority<'a>(key: &ObjectId, uid: &str, found: &'a Observed) -> Option<&'a Object> {
    // Where the CA is the user's, the Secret with the pins knows which one it is.
    let names = [
        names::key(&key.name, KeyPurpose::Ca.suffix()),
        names::pins(&key.name),
    ];
    names.into_iter().find_map(|name| {
        let id = ObjectId::new(kinds::SECRET, &key.namespace, name);
        found.objects.get(&id).filter(|secret| is_of(secret, uid))
    })
}

/// Says whether a claim holds data of this cluster: one of its pods', and not left behind under another CA.
///
/// The StatefulSet controller makes the claims, with labels that never change, so the uid is not among them.
fn is_volume_of(key: &ObjectId, id: &ObjectId, claim: &Object, ca_fingerprint: Option<&str>) -> bool {
    let sets = [names::etcd(&key.name), names::control_plane(&key.name)];
    let is_member = |name: &str| {
        sets.iter().any(|set| {
            let ordinal = name.rsplit_once(&format!("-{set}-")).map(|(_, ordinal)| ordinal);
            ordinal.is_some_and(|ordinal| ordinal.parse::<u16>().is_ok())
        })
    };
    let left_under = claim.annotation(labels::FINGERPRINT);
    id.kind == kinds::PERSISTENT_VOLUME_CLAIM
        && id.namespace == key.namespace
        && is_member(&id.name)
        && claim.label(labels::APP_MANAGED_BY) == Some(labels::APP_MANAGED_BY_VALUE)
        && claim.label(labels::APP_INSTANCE) == Some(key.name.as_str())
        && (left_under.is_none() || left_under == ca_fingerprint)
}

fn retain(id: &ObjectId, object: &Object, uid: &str, ca_fingerprint: Option<&str>) -> Option<Action> {
    let mut metadata = json!({ "labels": { labels::RETAINED: "true", labels::CLUSTER_UID: uid } });
    let mut is_marked =
        object.label(labels::RETAINED) == Some("true") && object.label(labels::CLUSTER_UID) == Some(uid);
    if let Some(fingerprint) = ca_fingerprint {
        // A cluster of that name takes the volume back only with the very CA that its data was written under.
        metadata["annotations"] = json!({ labels::FINGERPRINT: fingerprint });
        is_marked &= object.annotation(labels::FINGERPRINT) == Some(fingerprint);
    }
    if is_marked {
        return None;
    }
    patch(
        id,
        object,
        metadata,
        "the cluster is deleted, keys and volumes stay",
    )
}

/// Returns what makes volumes that an earlier cluster of that name left behind this one's again.
///
/// *Shape*: for a cluster that renders, which it does only when the keys to these volumes are its own.
pub fn taken_back(key: &ObjectId, uid: &str, found: &Observed) -> Vec<Action> {
    let fingerprint = authority(key, uid, found).and_then(|secret| secret.annotation(labels::FINGERPRINT));
    let left = found.objects.iter().filter(|(id, object)| {
        object.label(labels::RETAINED).is_some()
            && fingerprint.is_some()
            && !is_going(object)
            && is_volume_of(key, id, object, fingerprint)
    });
    left.filter_map(|(id, object)| {
        let metadata = json!({
            "labels": { labels::RETAINED: null, labels::CLUSTER_UID: uid },
            "annotations": { labels::FINGERPRINT: null },
        });
        patch(
            id,
            object,
            metadata,
            "an earlier cluster of that name left it behind",
        )
    })
    .collect()
}

fn patch(id: &ObjectId, object: &Object, metadata: Value, reason: &str) -> Option<Action> {
    let operation = Operation::PatchMetadata {
        uid: object.uid()?.to_owned(),
        resource_version: None,
        metadata,
    };
    Some(action(id, operation, reason, Impact::Safe))
}

fn delete(id: &ObjectId, object: &Object, reason: &str, impact: Impact) -> Option<Action> {
    let operation = Operation::Delete {
        uid: object.uid()?.to_owned(),
        resource_version: object.resource_version()?.to_owned(),
        propagation: Propagation::Background,
    };
    Some(action(id, operation, reason, impact))
}

fn finalizer(key: &ObjectId, cluster: &Object, uid: &str, needs: Vec<ObjectId>) -> Option<Action> {
    let all = finalizers(cluster);
    let others: Vec<&str> = all
        .iter()
        .copied()
        .filter(|name| *name != labels::FINALIZER)
        .collect();
    if others.len() == all.len() {
        return None;
    }
    let operation = Operation::PatchMetadata {
        uid: uid.to_owned(),
        // The list is replaced whole, so it must be the list that was looked at.
        resource_version: cluster.resource_version().map(str::to_owned),
        metadata: json!({ "finalizers": others }),
    };
    Some(Action {
        needs,
        ..action(
            key,
            operation,
            "all that its deletion asks for is done",
            Impact::Safe,
        )
    })
}

fn action(id: &ObjectId, operation: Operation, reason: &str, impact: Impact) -> Action {
    Action {
        id: id.clone(),
        operation,
        impact,
        reason: reason.to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    }
}

/// Says whether our finalizer is on an object.
pub fn has_finalizer(object: &Object) -> bool {
    finalizers(object).contains(&labels::FINALIZER)
}

/// Returns the metadata patch that adds our finalizer behind those of others; `None` when it is there.
///
/// To be sent with the resource version that was read, for the list is sent whole.
pub fn with_finalizer(object: &Object) -> Option<Value> {
    let mut finalizers = finalizers(object);
    if finalizers.contains(&labels::FINALIZER) {
        return None;
    }
    finalizers.push(labels::FINALIZER);
    Some(json!({ "finalizers": finalizers }))
}

fn finalizers(object: &Object) -> Vec<&str> {
    let list = object.0.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::duration::GoDuration;
    use crate::object::Unreadable;

    const UID: &str = "uid-berlin";

    fn key() -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "edge")
    }

    fn cluster(finalizers: &[&str]) -> Object {
        Object(json!({ "metadata": { "uid": UID, "resourceVersion": "40", "finalizers": finalizers } }))
    }

    fn object(kind: Kind, name: &str, uid_label: &str, owner: Option<&str>) -> (ObjectId, Object) {
        let owners: Vec<Value> = owner
            .map(|uid| json!({ "uid": uid, "controller": true }))
            .into_iter()
            .collect();
        let object = Object(json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": { "namespace": "tenant-7", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "7",
                "labels": { labels::APP_MANAGED_BY: labels::APP_MANAGED_BY_VALUE, labels::CLUSTER_UID: uid_label },
                "annotations": { labels::FINGERPRINT: format!("sha-{name}") },
                "ownerReferences": owners },
        }));
        (object.id().unwrap(), object)
    }

    /// As the StatefulSet controller makes them, and perhaps marked by an earlier cluster.
    fn claim(name: &str, instance: &str, left_under: Option<&str>) -> (ObjectId, Object) {
        let (id, mut claim) = object(kinds::PERSISTENT_VOLUME_CLAIM, name, "", None);
        let metadata = claim.0["metadata"].as_object_mut().unwrap();
        metadata["labels"][labels::APP_INSTANCE] = json!(instance);
        metadata["annotations"] = json!({});
        if let Some(fingerprint) = left_under {
            metadata["annotations"] = json!({ labels::FINGERPRINT: fingerprint });
            metadata["labels"][labels::RETAINED] = json!("true");
        }
        (id, claim)
    }

    fn found() -> Observed {
        let objects = [
            object(kinds::SECRET, "edge-ca", UID, None),
            object(kinds::SECRET, "edge-kubeconfig", UID, Some(UID)),
            object(kinds::SECRET, "other-ca", "uid-munich", None),
            claim("etcd-data-kmc-edge-etcd-0", "edge", None),
            claim("etcd-data-kmc-edge-etcd-1", "edge", Some("sha-of-another-ca")),
            claim("etcd-data-kmc-edge-etcd-x", "edge", None),
            claim("etcd-data-kmc-other-edge-etcd-0", "other-edge", None),
            object(kinds::STATEFUL_SET, "kmc-edge", UID, Some(UID)),
            object(
                kinds::STATEFUL_SET,
                "kmc-munich",
                "uid-munich",
                Some("uid-munich"),
            ),
        ];
        Observed {
            objects: objects.into_iter().collect(),
            unreadable: Vec::new(),
        }
    }

    fn names_of(plan: &Plan) -> Vec<Vec<&str>> {
        let names = |wave: &'_ Wave| wave.actions.len();
        let counts: Vec<usize> = plan.waves.iter().map(names).collect();
        let mut actions = plan.actions();
        counts
            .into_iter()
            .map(|count| {
                actions
                    .by_ref()
                    .take(count)
                    .map(|action| action.id.name.as_str())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn retain_marks_keys_and_volumes_of_this_cluster_and_nothing_else() {
        let plan = plan(
            &key(),
            &cluster(&[labels::FINALIZER]),
            DeletionPolicy::Retain,
            &found(),
        );
        assert_eq!(
            names_of(&plan),
            [vec!["etcd-data-kmc-edge-etcd-0", "edge-ca"], vec!["edge"]]
        );
        for action in plan.actions() {
            assert!(
                matches!(action.operation, Operation::PatchMetadata { .. }),
                "{action:?}"
            );
        }
        let claim = plan.actions().next().unwrap();
        let text = serde_json::to_string(claim).unwrap();
        assert!(
            text.contains(r#""k0smotron.io/fingerprint":"sha-edge-ca""#),
            "the CA of its data: {text}"
        );
    }

    #[test]
    fn the_finalizer_needs_all_that_comes_before_it_and_leaves_those_of_others() {
        let cluster = cluster(&["example.com/backup", labels::FINALIZER]);
        let plan = plan(&key(), &cluster, DeletionPolicy::Retain, &found());
        let last = plan.actions().last().unwrap();
        assert_eq!(last.needs.len(), 2);
        let Operation::PatchMetadata {
            metadata,
            resource_version,
            ..
        } = &last.operation
        else {
            panic!("{last:?}");
        };
        assert_eq!(*metadata, json!({ "finalizers": ["example.com/backup"] }));
        assert_eq!(resource_version.as_deref(), Some("40"));
    }

    #[test]
    fn what_is_marked_already_is_not_marked_again() {
        let mut found = found();
        for name in ["edge-ca", "etcd-data-kmc-edge-etcd-0"] {
            let found_one = found.objects.iter().find(|(id, _)| id.name == name);
            let (id, mut object) = found_one
                .map(|(id, object)| (id.clone(), object.clone()))
                .unwrap();
            object.0["metadata"]["labels"][labels::RETAINED] = json!("true");
            object.0["metadata"]["labels"][labels::CLUSTER_UID] = json!(UID);
            object.0["metadata"]["annotations"] = json!({ labels::FINGERPRINT: "sha-edge-ca" });
            found.objects.insert(id, object);
        }
        assert!(plan(&key(), &cluster(&[]), DeletionPolicy::Retain, &found).is_empty());
    }

    #[test]
    fn delete_stops_the_pods_first_and_names_what_it_looked_at() {
        let plan = plan(&key(), &cluster(&[]), DeletionPolicy::Delete, &found());
        assert_eq!(
            names_of(&plan),
            [
                vec!["kmc-edge"],
                vec!["etcd-data-kmc-edge-etcd-0"],
                vec!["edge-ca"]
            ]
        );
        for action in plan.actions() {
            let Operation::Delete {
                uid,
                resource_version,
                ..
            } = &action.operation
            else {
                panic!("{action:?}");
            };
            assert_eq!(
                (uid.as_str(), resource_version.as_str()),
                (format!("uid-{}", action.id.name).as_str(), "7")
            );
        }
    }

    #[test]
    fn volumes_go_only_with_the_ca_that_tells_whose_they_are() {
        let mut found = found();
        let authority = ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca");
        found.objects.remove(&authority);
        let plan = plan(&key(), &cluster(&[]), DeletionPolicy::Delete, &found);
        assert_eq!(names_of(&plan), [vec!["kmc-edge"]]);
    }

    #[test]
    fn volumes_left_under_our_own_ca_are_taken_back_and_others_are_not() {
        let mut found = found();
        let (id, left) = claim("etcd-data-kmc-edge-etcd-2", "edge", Some("sha-edge-ca"));
        found.objects.insert(id.clone(), left);
        let actions = taken_back(&key(), UID, &found);
        let ids: Vec<&ObjectId> = actions.iter().map(|action| &action.id).collect();
        assert_eq!(ids, [&id]);
    }

    #[test]
    fn the_finalizer_stays_while_something_could_not_be_read() {
        let mut found = found();
        found.unreadable.push(Unreadable {
            kind: kinds::SECRET,
            namespace: "tenant-7".into(),
            reason: "forbidden".into(),
        });
        let plan = plan(
            &key(),
            &cluster(&[labels::FINALIZER]),
            DeletionPolicy::Delete,
            &found,
        );
        assert_eq!(plan.held.len(), 1);
        assert!(plan.actions().all(|action| action.id != key()));
    }

    #[test]
    fn the_policy_is_what_is_written_and_a_deleted_kind_deletes_no_data() {
        let spec = |policy, ttl: Option<&str>| ClusterSpec {
            deletion_policy: policy,
            ttl: ttl.map(|text| GoDuration(text.to_owned())),
            ..ClusterSpec::default()
        };
        let of = |policy, ttl| policy_of(&spec(policy, ttl), Going::Cluster);
        assert_eq!(of(None, None), DeletionPolicy::Retain);
        assert_eq!(of(None, Some("1h")), DeletionPolicy::Delete);
        assert_eq!(
            of(Some(DeletionPolicy::Retain), Some("1h")),
            DeletionPolicy::Retain
        );
        let everything = spec(Some(DeletionPolicy::Delete), Some("1h"));
        assert_eq!(policy_of(&everything, Going::Kind), DeletionPolicy::Retain);
    }

    #[test]
    fn our_finalizer_is_added_behind_those_of_others_and_once() {
        let object = cluster(&["example.com/backup"]);
        let both = ["example.com/backup", labels::FINALIZER];
        assert_eq!(with_finalizer(&object), Some(json!({ "finalizers": both })));
        assert_eq!(with_finalizer(&cluster(&both)), None);
    }
}
