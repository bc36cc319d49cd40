//! What goes when it is no longer wanted, over every answer there is: a kind that is added is tested by being answered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::facts::NetworkPolicySettings;
use super::world::{World, worlds, worlds_without_etcd};
use super::*;
use crate::api::{labels, names};
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::observe;
use crate::pki::KeyPurpose;
use crate::plan::{self, Operation, Owner};

/// Specs under which more is made than under an empty one.
fn rich() -> Vec<World> {
    let specs = [
        json!({"replicas": 3, "storage": {"etcd": {"defragJob": {"enabled": true}}}}),
        json!({"replicas": 5, "podDisruptionBudget": {"enabled": true}}),
        json!({"service": {"type": "LoadBalancer"}, "externalAddress": "edge.example"}),
        json!({"service": {"type": "ClusterIP"}}),
    ];
    let made = specs.into_iter().map(|spec| {
        let mut world = World::new(spec);
        world.settings.network_policies = Some(NetworkPolicySettings {
            operator_namespace: "k0smotron-fleet".into(),
        });
        world.settle();
        world
    });
    worlds().into_iter().chain(made).collect()
}

fn is_kept_for_ever(id: &ObjectId) -> bool {
    let roots = KeyPurpose::ALL.into_iter().filter(|purpose| purpose.is_root());
    let is_root = |name: &str| {
        roots
            .clone()
            .any(|purpose| name.ends_with(&format!("-{}", purpose.suffix())))
    };
    id.kind == kinds::PERSISTENT_VOLUME_CLAIM || (id.kind == kinds::SECRET && is_root(&id.name))
}

#[test]
fn what_a_cluster_makes_is_watched_and_claimed() {
    for world in rich().into_iter().chain(worlds_without_etcd()) {
        let claimed = names::claimed("edge", &world.cluster.spec);
        for (id, answer) in world.answers() {
            assert!(observe::CHILDREN.contains(&id.kind), "{id} is not watched");
            if let Answer::Want(_) = answer
                && id.kind != kinds::PERSISTENT_VOLUME_CLAIM
            {
                assert!(
                    claimed.contains(&(id.kind.kind, id.name.clone())),
                    "{id} is not claimed"
                );
            }
        }
    }
}

#[test]
fn fields_that_are_removed_leave_nothing_but_keys_and_volumes() {
    for mut world in rich() {
        world.settings.network_policies = None;
        world.respec(json!({}));
        world.settle();
        // Once more for what goes only when its successor runs.
        world.settle();
        let fresh: BTreeSet<ObjectId> = World::settled(json!({})).live.into_keys().collect();
        // The address would be another: the old Service carries the cluster until somebody says which one counts.
        let is_held = world.held().contains(&"AddressChanged".to_owned());
        let left: Vec<ObjectId> = world
            .live
            .keys()
            // The number of members is pinned, and so is what only several need.
            .filter(|id| !fresh.contains(id) && !is_kept_for_ever(id))
            .filter(|id| !(is_held && id.kind == kinds::SERVICE))
            .filter(|id| **id != ObjectId::new(kinds::POD_DISRUPTION_BUDGET, "tenant-7", names::etcd("edge")))
            .cloned()
            .collect();
        assert_eq!(left, [], "{:?}", world.cluster.spec);
        for id in &world.dropped {
            assert!(!is_kept_for_ever(id), "{id} was dropped");
        }
    }
}

/// A live object of this identity that belongs to `owner`: by reference, or by label alone.
fn live(id: &ObjectId, owner: Option<&str>, is_by_label: bool) -> Object {
    let mut object = json!({
        "apiVersion": id.kind.api_version(), "kind": id.kind.kind,
        "metadata": {"name": id.name, "namespace": id.namespace, "uid": "live", "resourceVersion": "7"},
    });
    match owner {
        Some(owner) if is_by_label => object["metadata"]["labels"] = json!({labels::CLUSTER_UID: owner}),
        Some(owner) => {
            object["metadata"]["ownerReferences"] =
                json!([{"kind": "K0smotronCluster", "name": "edge", "uid": owner, "controller": true}]);
        }
        None => {}
    }
    Object(object)
}

#[test]
fn an_object_that_is_not_wanted_goes_only_if_it_is_ours_and_is_neither_volume_nor_key() {
    let world = World::settled(json!({}));
    let owner = Owner::of(&world.facts());
    let every: BTreeSet<ObjectId> = rich()
        .iter()
        .flat_map(|world| world.answers().into_keys())
        .collect();
    let kinds: BTreeSet<_> = every.iter().map(|id| id.kind).collect();
    assert!(kinds.len() >= 7, "{kinds:?}");
    for id in &every {
        let drop = Answer::Drop {
            why: "a test says so".into(),
        };
        let answers = Answers::from([(id.clone(), drop)]);
        for (whose, is_by_label) in [
            (Some("uid-1"), false),
            (Some("uid-1"), true),
            (Some("uid-of-another"), false),
            (Some("uid-of-another"), true),
            (None, false),
        ] {
            let observed = Observed {
                objects: [(id.clone(), live(id, whose, is_by_label))].into_iter().collect(),
                unreadable: Vec::new(),
            };
            let plan = plan::children(&answers, &observed, &owner);
            let deleted: Vec<&Operation> = plan.actions().map(|action| &action.operation).collect();
            let is_expected = whose == Some("uid-1") && !is_kept_for_ever(id);
            let is_deleted = matches!(
                deleted[..],
                [Operation::Delete { uid, resource_version, .. }] if uid == "live" && resource_version == "7"
            );
            assert_eq!(is_deleted, is_expected, "{id} of {whose:?}: {deleted:?}");
            assert!(is_deleted || deleted.is_empty(), "{id}: {deleted:?}");
        }
    }
}

#[test]
fn no_answer_drops_a_volume_or_a_key() {
    for mut world in rich() {
        for spec in [
            Value::Null,
            json!({"replicas": 0}),
            json!({"service": {"type": "ClusterIP"}}),
        ] {
            world.respec(if spec.is_null() { json!({}) } else { spec });
            for (id, answer) in world.answers() {
                let is_dropped = matches!(answer, Answer::Drop { .. });
                assert!(!(is_dropped && is_kept_for_ever(&id)), "{id}");
            }
        }
    }
}
