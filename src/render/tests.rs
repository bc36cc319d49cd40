use rstest::rstest;
use serde_json::{Value, json};

use super::world::{World, balancer_address, worlds};
use super::*;
use crate::api::labels;
use crate::object::{ObjectId, kinds};

#[test]
fn the_smallest_cluster_is_complete_after_two_passes_and_then_nothing_changes() {
    let mut world = World::new(json!({}));
    assert_eq!(world.settle(), 2);
    let kinds: Vec<_> = world.live.keys().map(|id| id.kind.kind).collect();
    let count = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!(
        (
            count("Service"),
            count("Secret"),
            count("ConfigMap"),
            count("StatefulSet")
        ),
        (2, 8, 1, 2)
    );
    assert_eq!(world.held(), Vec::<String>::new());
    for (id, answer) in world.answers() {
        if id.kind == kinds::SECRET
            && !["edge-ingress-haproxy", "edge-monitoring"].contains(&id.name.as_str())
        {
            assert_eq!(answer, Answer::Want(Desired::AsItIs), "{id}");
        }
    }
}

#[test]
fn a_cluster_of_three_has_fifteen_objects() {
    let world = World::settled(json!({"replicas": 3}));
    let made = world
        .live
        .keys()
        .filter(|id| id.kind != kinds::PERSISTENT_VOLUME_CLAIM);
    assert_eq!(made.count(), 15);
}

#[test]
fn the_address_of_a_load_balancer_is_awaited_without_blocking_what_needs_none() {
    let mut world = World::settled(json!({"service": {"type": "LoadBalancer"}}));
    assert!(
        world
            .resolved()
            .endpoint
            .is_err_and(|waiting| waiting.contains("load balancer"))
    );
    let secrets = world.live.keys().filter(|id| id.kind == kinds::SECRET).count();
    assert_eq!(secrets, 7);
    balancer_address(&mut world, "198.51.100.4");
    assert!(world.settle() > 0);
    assert_eq!(
        world.resolved().endpoint.unwrap().url,
        "https://198.51.100.4:6443"
    );
    assert_eq!(world.resolved().pins.api_port, Some(6443));
}

#[test]
fn without_any_node_the_condition_can_name_what_is_missing() {
    let mut world = World::new(json!({}));
    world.nodes.clear();
    world.settle();
    assert!(
        world
            .resolved()
            .endpoint
            .is_err_and(|waiting| waiting.contains("Node"))
    );
    world.respec(json!({"externalAddress": "edge.example"}));
    world.settle();
    assert_eq!(world.resolved().endpoint.unwrap().host, "edge.example");
}

#[test]
fn a_node_that_goes_changes_nothing_and_is_held() {
    for gone in [vec!["203.0.113.8".to_owned()], Vec::new()] {
        let mut world = World::settled(json!({}));
        let before = world.live.clone();
        world.nodes = gone.clone();
        assert_eq!(world.settle(), 0);
        assert_eq!(world.live, before);
        let expected: &[&str] = if gone.is_empty() { &[] } else { &["AddressChanged"] };
        assert_eq!(world.held(), expected);
    }
}

#[test]
fn lost_pins_are_found_again_in_the_children_and_in_the_status() {
    for mut world in worlds() {
        let pins = world.resolved().pins;
        let before = world.lasting();
        world.cluster.status = Some(serde_json::from_value(json!({"pins": pins})).unwrap());
        let ca = ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca");
        let annotations = &mut world.live.get_mut(&ca).unwrap().0["metadata"]["annotations"];
        annotations.as_object_mut().unwrap().remove(labels::PINS);
        // The default of another release must not matter.
        world.settings.default_version = "v1.40.1+k0s.0".into();
        world.settings.default_etcd_image = "other/etcd:v9.9.9".into();
        world.settle();
        assert_eq!(world.lasting(), before);
        assert_eq!(world.resolved().stored_pins, Some(pins));
    }
}

#[test]
fn a_restored_backup_changes_no_template_no_key_no_port_and_no_address() {
    for mut world in worlds() {
        let (before, endpoint) = (world.lasting(), world.resolved().endpoint);
        world.cluster.metadata.uid = Some("uid-2".into());
        world.cluster.metadata.creation_timestamp = None;
        // Services come back with other addresses of their own.
        for (id, object) in &mut world.live {
            if id.kind == kinds::SERVICE && object.text("/spec/clusterIP") != Some("None") {
                object.0["spec"]["clusterIPs"] = json!(["10.96.99.99"]);
            }
        }
        let created_at = world.resolved().pins.created_at;
        world.settle();
        assert_eq!(world.lasting(), before);
        assert_eq!(world.resolved().endpoint, endpoint);
        let pins = world.resolved().stored_pins.unwrap();
        assert_eq!(
            (pins.cluster_uid.as_deref(), pins.created_at),
            (Some("uid-2"), created_at)
        );
        let text = format!("{:?}", world.live);
        assert!(!text.contains("uid-1\""), "something still names the old cluster");
        assert_eq!(world.dropped, []);
    }
}

/// What a cluster leaves behind when it is deleted with `Retain`.
fn retained(spec: Value) -> World {
    let mut world = World::settled(spec);
    let print = world
        .get(kinds::SECRET, "edge-ca")
        .annotation(labels::FINGERPRINT)
        .unwrap()
        .to_owned();
    world.live.retain(|id, object| {
        let is_owned = object.controller_uid().is_some();
        object.0["metadata"]["labels"][labels::RETAINED] = json!("true");
        if id.kind == kinds::PERSISTENT_VOLUME_CLAIM {
            object.0["metadata"]["labels"][labels::CLUSTER_UID] = json!("uid-1");
            object.0["metadata"]["annotations"][labels::FINGERPRINT] = json!(print);
        }
        !is_owned
    });
    world.cluster.metadata.uid = Some("uid-2".into());
    world
}

#[test]
fn a_cluster_made_again_takes_back_the_keys_and_volumes_of_its_predecessor() {
    let mut world = retained(json!({"replicas": 3}));
    let before = world.lasting();
    world.settle();
    let after = world.lasting();
    for (id, print) in before {
        assert_eq!(after.get(&id), Some(&print), "{id}");
    }
    for object in world.live.values() {
        assert_eq!(object.label(labels::RETAINED), None);
    }
    assert_eq!(world.held(), Vec::<String>::new());
    assert_eq!(world.resolved().pins.cluster_uid.as_deref(), Some("uid-2"));
}

#[test]
fn volumes_without_their_keys_stall_a_new_cluster() {
    let mut world = retained(json!({}));
    world
        .live
        .retain(|id, _| id.kind == kinds::PERSISTENT_VOLUME_CLAIM);
    assert_eq!(world.resolve().unwrap_err().reason, "LeftoverVolume");
}

#[rstest]
fn a_root_key_that_is_gone_is_never_made_anew(#[values("ca", "proxy", "sa", "etcd")] purpose: &str) {
    let mut world = World::settled(json!({}));
    world.live.remove(&ObjectId::new(
        kinds::SECRET,
        "tenant-7",
        format!("edge-{purpose}"),
    ));
    let stalled = world.resolve().unwrap_err();
    assert_eq!(stalled.reason, "KeyMissing");
    assert!(
        stalled.message.contains(&format!("`edge-{purpose}`")),
        "{}",
        stalled.message
    );
}

#[rstest]
fn a_certificate_that_is_gone_is_made_anew(
    #[values("apiserver-etcd-client", "etcd-server", "etcd-peer", "kubeconfig")] purpose: &str,
) {
    let mut world = World::settled(json!({}));
    let before = world.live.clone();
    world.live.remove(&ObjectId::new(
        kinds::SECRET,
        "tenant-7",
        format!("edge-{purpose}"),
    ));
    assert_eq!(world.settle(), 1);
    assert_eq!(world.live, before);
}

#[test]
fn a_secret_of_somebody_else_is_not_touched_and_is_named() {
    let mut world = World::new(json!({}));
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "edge-ca", "namespace": "tenant-7", "uid": "theirs", "annotations": {labels::PINS: "{}"}},
    });
    let id = ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca");
    world
        .live
        .insert(id.clone(), crate::object::Object(foreign.clone()));
    world.settle();
    assert_eq!(world.live[&id].0, foreign);
    assert!(
        world
            .live
            .keys()
            .all(|id| id.kind != kinds::STATEFUL_SET || id.name != "kmc-edge")
    );
    let held = world.resolved().held;
    assert_eq!(
        (held[0].what.as_str(), held[0].reason.as_str()),
        ("Secret/edge-ca", "ForeignObject")
    );
}

#[test]
fn a_service_of_somebody_else_lends_no_ports() {
    let mut world = World::new(json!({}));
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kmc-edge-nodeport", "namespace": "tenant-7", "uid": "theirs"},
        "spec": {"ports": [{"name": "api", "nodePort": 30001}, {"name": "konnectivity", "nodePort": 30002}]},
    });
    let id = ObjectId::new(kinds::SERVICE, "tenant-7", "kmc-edge-nodeport");
    world.live.insert(id, crate::object::Object(foreign));
    assert_eq!(world.resolved().ports, (None, None));
}

#[test]
fn a_version_rolls_the_control_plane_and_not_etcd() {
    let mut world = World::settled(json!({"version": "v1.35.7+k0s.0", "replicas": 3}));
    let (pods, etcd) = (world.template("kmc-edge"), world.template("kmc-edge-etcd"));
    world.respec(json!({"version": "v1.36.3+k0s.2", "replicas": 3}));
    world.settle();
    assert_ne!(world.template("kmc-edge"), pods);
    assert_eq!(world.template("kmc-edge-etcd"), etcd);
}

#[test]
fn a_version_that_is_refused_is_held_and_the_rest_goes_on() {
    let mut world = World::settled(json!({"version": "v1.35.7+k0s.0"}));
    world.respec(json!({"version": "v1.37.1+k0s.0", "replicas": 2, "storage": {"etcd": {"members": 1}}}));
    world.settle();
    assert_eq!(world.held(), ["VersionSkew"]);
    assert_eq!(
        world
            .get(kinds::STATEFUL_SET, "kmc-edge")
            .integer("/spec/replicas"),
        Some(2)
    );
    assert_eq!(world.resolved().version.to_string(), "v1.35.7+k0s.0");
}

#[test]
fn an_unset_version_keeps_what_runs() {
    let mut world = World::settled(json!({"version": "v1.35.7+k0s.0"}));
    let before = world.live.clone();
    world.respec(json!({}));
    assert_eq!(world.settle(), 0);
    assert_eq!(world.live, before);
}

#[test]
fn labels_and_annotations_of_the_cluster_reach_no_object() {
    let mut world = World::settled(json!({"replicas": 3}));
    world.cluster.metadata.labels = Some([("app".to_owned(), "mine".to_owned())].into());
    world.cluster.metadata.annotations = Some([("note".to_owned(), "mine".to_owned())].into());
    assert_eq!(world.settle(), 0);
}

#[test]
fn what_pods_are_given_as_labels_enters_no_selector_and_replaces_none_of_ours() {
    let mut world = World::settled(json!({}));
    let selector = |world: &World| world.get(kinds::STATEFUL_SET, "kmc-edge").0["spec"]["selector"].clone();
    let before = selector(&world);
    world.respec(json!({"podLabels": {"component": "mine", "team": "blue"}}));
    world.settle();
    assert_eq!(selector(&world), before);
    let labels = &world.template("kmc-edge")["metadata"]["labels"];
    assert_eq!(
        (labels["component"].as_str(), labels["team"].as_str()),
        (Some("cluster"), Some("blue"))
    );
}

#[test]
fn a_newer_renderer_revision_is_held_and_rolls_nothing() {
    for mut world in worlds() {
        let before = world.live.clone();
        world.settings.renderer_revision = revisions::FIRST_FOR_TESTS;
        assert_eq!(world.settle(), 0);
        assert_eq!(world.live, before);
        assert_eq!(world.held(), ["RendererRevision"]);
    }
}

#[test]
fn a_newer_renderer_revision_is_taken_up_with_a_roll_or_when_the_policy_says_so() {
    let newer = revisions::FIRST_FOR_TESTS;
    for (spec, expected) in [
        (json!({"version": "v1.36.4"}), newer),
        (json!({"version": "v1.36.4", "updatePolicy": "Pinned"}), 1),
        (json!({"updatePolicy": "Always"}), newer),
        (json!({"updatePolicy": "Pinned"}), 1),
    ] {
        let mut world = World::settled(json!({}));
        world.settings.renderer_revision = newer;
        world.respec(spec.clone());
        world.settle();
        assert_eq!(world.resolved().pins.renderer_revision, Some(expected), "{spec}");
        let annotation = &world.template("kmc-edge")["metadata"]["annotations"][labels::RENDERER_REVISION];
        assert_eq!(annotation.is_string(), expected == newer, "{spec}");
    }
}

#[test]
fn an_older_operator_does_not_touch_what_a_newer_one_made() {
    let mut world = World::settled(json!({}));
    let ca = ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca");
    let mut pins = world.resolved().pins;
    pins.renderer_revision = Some(999);
    world.live.get_mut(&ca).unwrap().0["metadata"]["annotations"][labels::PINS] =
        json!(serde_json::to_string(&pins).unwrap());
    assert_eq!(world.resolve().unwrap_err().reason, "OperatorTooOld");
}

#[test]
fn more_replicas_scale_the_control_plane_and_the_members_wait_to_be_asked() {
    let mut world = World::settled(json!({}));
    world.respec(json!({"replicas": 3}));
    world.settle();
    assert!(world.resolved().etcd.membership.question.is_some());
    assert_eq!(
        world
            .get(kinds::STATEFUL_SET, "kmc-edge")
            .integer("/spec/replicas"),
        Some(3)
    );
    assert_eq!(
        world
            .get(kinds::STATEFUL_SET, "kmc-edge-etcd")
            .integer("/spec/replicas"),
        Some(1)
    );
    // Fewer replicas ask for nothing.
    let mut world = World::settled(json!({"replicas": 3}));
    world.respec(json!({"replicas": 1}));
    world.settle();
    assert_eq!(world.held(), Vec::<String>::new());
    assert_eq!(
        world
            .get(kinds::STATEFUL_SET, "kmc-edge-etcd")
            .integer("/spec/replicas"),
        Some(3)
    );
}

#[test]
fn a_hibernated_cluster_wakes_with_its_members_and_without_a_trace() {
    let mut world = World::settled(json!({"replicas": 3}));
    let before = world.live.clone();
    world.respec(json!({"replicas": 0}));
    world.settle();
    for name in ["kmc-edge", "kmc-edge-etcd"] {
        assert_eq!(
            world.get(kinds::STATEFUL_SET, name).integer("/spec/replicas"),
            Some(0)
        );
    }
    assert_eq!(world.resolved().etcd.membership.wanted, 3);
    world.respec(json!({"replicas": 3}));
    world.settle();
    assert_eq!(world.live, before);
}

#[test]
fn a_change_of_service_type_waits_until_the_new_address_is_written() {
    let mut world = World::settled(json!({}));
    let before = world.lasting();
    world.respec(json!({"service": {"type": "LoadBalancer"}}));
    world.settle();
    balancer_address(&mut world, "198.51.100.4");
    world.settle();
    assert_eq!(world.held(), ["AddressChanged"]);
    for (id, part) in before {
        assert_eq!(world.lasting().get(&id), Some(&part), "{id}");
    }
    assert_eq!(world.dropped, []);
    world.respec(json!({"service": {"type": "LoadBalancer"}, "externalAddress": "198.51.100.4"}));
    world.settle();
    assert_eq!(
        world.resolved().endpoint.unwrap().url,
        "https://198.51.100.4:6443"
    );
    let dropped: Vec<_> = world.dropped.iter().map(ToString::to_string).collect();
    assert_eq!(dropped, ["Service tenant-7/kmc-edge-nodeport"]);
}

#[test]
fn a_name_that_is_too_long_and_children_that_cannot_be_read_stall() {
    let mut world = World::new(json!({}));
    world.cluster.metadata.name = Some("e".repeat(41));
    assert_eq!(world.resolve().unwrap_err().reason, "NameTooLong");
    let world = World::new(json!({}));
    let mut facts = world.facts();
    facts.unreadable = vec!["Secret".into()];
    assert_eq!(
        resolve(&world.cluster.spec, &facts, &world.settings)
            .unwrap_err()
            .reason,
        "NotReadable"
    );
}

#[test]
fn no_answer_holds_the_bytes_of_a_secret() {
    let world = World::new(json!({"service": {"type": "ClusterIP"}}));
    for world in [world].into_iter().chain(worlds()) {
        for (id, answer) in world.answers() {
            if let Answer::Want(Desired::Object(object) | Desired::Key { secret: object, .. }) = &answer {
                let has_data = object.0.get("data").is_some() || object.0.get("stringData").is_some();
                assert!(id.kind != kinds::SECRET || !has_data, "{id}");
            }
            assert!(!format!("{answer:?}").contains("PRIVATE KEY"), "{id}");
        }
    }
}
