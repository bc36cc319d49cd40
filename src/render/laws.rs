//! Laws: what holds whatever is known of a cluster.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, worlds, worlds_without_etcd};
use super::*;
use crate::object::{ObjectId, kinds, pointer};

fn drops(answers: &Answers) -> BTreeSet<ObjectId> {
    let dropped = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::Drop { .. }));
    dropped.map(|(id, _)| id.clone()).collect()
}

/// JSON pointers to everything that can be taken out of a value.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, child)| (crate::object::pointer::push(at, key), child))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at_index, child)| (format!("{at}/{at_index}"), child))
            .collect(),
        _ => return,
    };
    for (pointer, child) in children {
        all.push(pointer.clone());
        pointers(child, &pointer, all);
    }
}

fn without(facts: &Facts, removed: &[String]) -> Option<Facts> {
    let mut value = serde_json::to_value(facts).unwrap();
    for pointer in removed {
        let (parent, key) = pointer::split_last(pointer).unwrap();
        match value.pointer_mut(parent) {
            Some(Value::Object(fields)) => {
                fields.remove(key.as_ref());
            }
            Some(Value::Array(items)) => {
                let index: usize = key.parse().unwrap();
                if index < items.len() {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
    serde_json::from_value(value).ok()
}

/// Specs that make something be dropped, on clusters that were made with another one.
static CHANGED: LazyLock<Vec<World>> = LazyLock::new(|| {
    let specs = [
        json!({"replicas": 0}),
        json!({"podDisruptionBudget": {"enabled": false}}),
        json!({"storage": {"etcd": {"defragJob": {"enabled": false}}}}),
        json!({"ingress": {"apiHost": "api.example", "konnectivityHost": "konnectivity.example"}}),
        json!({"service": {"type": "ClusterIP"}}),
        json!({"service": {"type": "ClusterIP"}, "externalAddress": "203.0.113.7"}),
        json!({"service": {"type": "LoadBalancer"}, "replicas": 3}),
    ];
    let mut all = Vec::new();
    let mut change = |mut world: World, spec: &Value| {
        world.respec(spec.clone());
        all.push(world.clone());
        world.settle();
        all.push(world);
    };
    for world in worlds() {
        for spec in &specs {
            change(world.clone(), spec);
        }
    }
    for world in worlds_without_etcd() {
        let mut spec = serde_json::to_value(&world.cluster.spec).unwrap();
        spec["podDisruptionBudget"] = json!({"enabled": false});
        change(world, &spec);
    }
    all
});

/// Says what is dropped when only some of the facts are known; `None` when nothing can be decided then.
fn drops_without(world: &World, removed: &[String]) -> Option<BTreeSet<ObjectId>> {
    let facts = without(&world.facts(), removed)?;
    let resolved = resolve(&world.cluster.spec, &facts, &world.settings).ok()?;
    Some(drops(&objects(&resolved)))
}

fn pointers_of(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    pointers(&serde_json::to_value(world.facts()).unwrap(), "", &mut all);
    all
}

/// The exhaustive half of the law, on those facts that deletions could depend on.
#[test]
fn removing_any_single_fact_never_adds_a_deletion() {
    let mut tried = 0;
    for world in CHANGED.iter() {
        let allowed = drops(&world.answers());
        let all = pointers_of(world);
        let telling = all.iter().filter(|pointer| {
            let depth = pointer.split('/').count() - 1;
            depth == 1
                || ["/pins", "/services", "/statefulSets"]
                    .iter()
                    .any(|part| pointer.starts_with(part))
        });
        for pointer in telling {
            if let Some(dropped) = drops_without(world, std::slice::from_ref(pointer)) {
                assert!(dropped.is_subset(&allowed), "without {pointer}");
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn removing_any_facts_never_adds_a_deletion(which in any::<prop::sample::Index>(), mask in prop::collection::vec(prop::bool::weighted(0.15), 256)) {
        let world = which.get(&CHANGED);
        // Backwards, so that indexes of lists stay what they were.
        let removed: Vec<String> = pointers_of(world)
            .into_iter()
            .zip(&mask)
            .filter(|(_, is_removed)| **is_removed)
            .map(|(pointer, _)| pointer)
            .rev()
            .collect();
        if let Some(dropped) = drops_without(world, &removed) {
            prop_assert!(dropped.is_subset(&drops(&world.answers())), "without {:?}", removed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_same_cluster_gives_the_same_bytes(replicas in 0..=9i32, has_address in any::<bool>()) {
        let mut spec = json!({"replicas": replicas});
        if has_address {
            spec["externalAddress"] = json!("edge.example");
        }
        let (one, other) = (World::settled(spec.clone()), World::settled(spec));
        prop_assert_eq!(format!("{:?}", one.answers()), format!("{:?}", other.answers()));
        let facts: Facts = serde_json::from_value(serde_json::to_value(one.facts()).unwrap()).unwrap();
        prop_assert_eq!(facts, one.facts());
    }

    #[test]
    fn every_name_is_one_that_kubernetes_takes(name in "[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?") {
        let mut world = World::new(json!({"service": {"type": "ClusterIP"}, "externalAddress": "edge.example"}));
        world.cluster.metadata.name = Some(name);
        world.pass();
        for id in world.answers().keys() {
            let is_label = id.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            prop_assert!(is_label && !id.name.ends_with('-') && id.name.len() <= 63, "{}", id);
            // A pod of a StatefulSet carries its name with eleven more characters as a label.
            prop_assert!(id.kind != kinds::STATEFUL_SET || id.name.len() <= 52, "{}", id);
        }
    }
}
