use rstest::rstest;
use serde_json::{Value, json};

use super::world::World;
use super::*;
use crate::api::labels;
use crate::object::{ObjectId, kinds};

fn kine() -> Value {
    json!({"storage": {"type": "kine", "kine": {"dataSourceSecretName": "db"}}})
}

fn config(world: &World) -> Answer {
    let id = ObjectId::new(kinds::SECRET, "tenant-7", "kmc-edge-config");
    world.answers()[&id].clone()
}

#[test]
fn a_cluster_on_a_database_has_nothing_of_etcd_and_its_configuration_is_a_secret() {
    let world = World::settled(kine());
    let names: Vec<String> = world.live.keys().map(ToString::to_string).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.contains("etcd") || name.contains("ConfigMap")),
        "{names:?}"
    );
    let Answer::Want(Desired::Filled { fill, .. }) = config(&world) else {
        panic!("a Secret that is filled")
    };
    assert_eq!(fill.source.key, "K0SMOTRON_KINE_DATASOURCE_URL");
    let [Part::Text(before), Part::Quoted, Part::Text(_)] = &fill.files["k0s.yaml"][..] else {
        panic!("one hole: {:?}", fill.files["k0s.yaml"])
    };
    assert!(before.ends_with("dataSource: "), "{before}");
    assert_eq!(world.resolved().pins.etcd_members, None);
}

#[test]
fn another_value_rolls_the_control_plane_and_another_version_of_the_same_value_does_not() {
    let mut world = World::settled(kine());
    let digest =
        |world: &World| world.template("kmc-edge")["metadata"]["annotations"][labels::SOURCE_DIGEST].clone();
    let before = digest(&world);
    world.data_source = Some(SourceFacts::Usable {
        version: "uid-db/2".into(),
    });
    // The pods wait for the configuration, or they would roll twice.
    let pods = ObjectId::new(kinds::STATEFUL_SET, "tenant-7", "kmc-edge");
    assert!(
        matches!(&world.answers()[&pods], Answer::Keep { waiting_on } if waiting_on.contains("kmc-edge-config"))
    );
    world.settle();
    assert_ne!(digest(&world), before);
    // What fills it says that the value is the same.
    let id = ObjectId::new(kinds::SECRET, "tenant-7", "kmc-edge-config");
    world.live.get_mut(&id).unwrap().0["metadata"]["annotations"][labels::SOURCE_DIGEST] = before.clone();
    world.settle();
    assert_eq!(digest(&world), before);
}

#[test]
fn another_key_of_the_same_secret_is_another_source() {
    let mut world = World::settled(kine());
    let digest =
        |world: &World| world.template("kmc-edge")["metadata"]["annotations"][labels::SOURCE_DIGEST].clone();
    let before = digest(&world);
    let mut spec = kine();
    spec["storage"]["kine"]["dataSourceSecretKey"] = json!("replica");
    world.respec(spec);
    let pods = ObjectId::new(kinds::STATEFUL_SET, "tenant-7", "kmc-edge");
    assert!(matches!(&world.answers()[&pods], Answer::Keep { .. }));
    world.settle();
    assert_ne!(digest(&world), before);
    let Answer::Want(Desired::Filled { fill, .. }) = config(&world) else {
        panic!("a Secret that is filled")
    };
    assert_eq!(fill.source.key, "replica");
}

#[rstest]
#[case(SourceFacts::Absent, "DataSourceMissing", "create it")]
#[case(SourceFacts::Unusable { why: "it is empty".into() }, "DataSourceUnusable", "it is empty")]
#[case(SourceFacts::Unreadable { why: "forbidden".into() }, "NotReadable", "forbidden")]
fn without_a_value_nothing_is_begun_and_what_runs_goes_on(
    #[case] found: SourceFacts,
    #[case] reason: &str,
    #[case] words: &str,
) {
    let mut world = World::new(kine());
    world.data_source = Some(found.clone());
    let stalled = world.resolve().unwrap_err();
    assert_eq!(stalled.reason, reason);
    assert!(
        stalled.message.contains(words) && stalled.message.contains("`db`"),
        "{}",
        stalled.message
    );

    let mut world = World::settled(kine());
    let before = world.lasting();
    world.data_source = Some(found);
    assert_eq!(world.settle(), 0);
    assert_eq!(world.lasting(), before);
    assert_eq!(world.held(), [reason]);
    let mut newer = kine();
    newer["resources"] = json!({"limits": {"memory": "2Gi"}});
    world.respec(newer);
    assert!(world.settle() > 0, "the rest of the spec has its effect");
}

#[rstest]
#[case(json!({}), kine())]
#[case(kine(), json!({}))]
#[case(kine(), json!({"storage": {"type": "nats"}}))]
fn the_kind_of_storage_never_changes(#[case] old: Value, #[case] new: Value) {
    let mut world = World::settled(old);
    world.respec(new.clone());
    assert_eq!(world.resolve().unwrap_err().reason, "InvalidSpec");
    // Also when the pins are lost.
    for (_, object) in world.live.iter_mut().filter(|(id, _)| id.name == "edge-ca") {
        object.0["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove(labels::PINS);
    }
    assert_eq!(world.resolve().unwrap_err().reason, "InvalidSpec", "{new}");
}

#[test]
fn nats_servers_know_themselves_and_the_others_and_share_a_token() {
    let world = World::settled(json!({"replicas": 3, "storage": {"type": "nats"}}));
    let Answer::Want(Desired::Filled { fill, .. }) = config(&world) else {
        panic!("a Secret that is filled")
    };
    let text = |name: &str| -> String {
        let parts = fill.files[name].iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Quoted | Part::Plain => "TOKEN",
        });
        parts.collect()
    };
    let one = text("kmc-edge-1.conf");
    assert!(
        one.contains("server_name: \"kmc-edge-1\"") && one.contains("password: \"TOKEN\""),
        "{one}"
    );
    for (other, is_a_route) in [(0, true), (1, false), (2, true)] {
        let route = format!("nats://nats:TOKEN@kmc-edge-{other}.kmc-edge-nats.tenant-7.svc:6222");
        assert_eq!(one.contains(&route), is_a_route, "{one}");
    }
    assert!(text("k0s.yaml").contains("nats://?serverConfig=/etc/nats/nats.conf&replicas=3"));
    assert_eq!(
        world.get(kinds::STATEFUL_SET, "kmc-edge").0["spec"]["serviceName"],
        "kmc-edge-nats"
    );
    assert_eq!(world.facts().volumes.len(), 3);
}

fn sized(size: &str, class: &str) -> Value {
    json!({"replicas": 3, "storage": {"etcd": {"persistence": {"size": size, "storageClass": class}}}})
}

#[test]
fn volumes_grow_one_by_one_and_the_template_last() {
    let mut world = World::settled(sized("1Gi", "fast"));
    let before = world.template("kmc-edge-etcd");
    world.respec(sized("2Gi", "fast"));
    for grown in 1..=3 {
        let template =
            world.get(kinds::STATEFUL_SET, "kmc-edge-etcd").0["spec"]["volumeClaimTemplates"][0].clone();
        assert_eq!(template["spec"]["resources"]["requests"]["storage"], "1Gi");
        assert_eq!(world.held(), ["Waiting"]);
        assert!(world.pass());
        assert_eq!(world.grown.len(), grown);
    }
    world.settle();
    let names: Vec<String> = (0..3)
        .map(|ordinal| format!("etcd-data-kmc-edge-etcd-{ordinal}"))
        .collect();
    assert_eq!(world.grown, names);
    let set = world.get(kinds::STATEFUL_SET, "kmc-edge-etcd");
    assert_eq!(
        set.text("/spec/volumeClaimTemplates/0/spec/resources/requests/storage"),
        Some("2Gi")
    );
    assert_eq!(world.template("kmc-edge-etcd"), before);
    assert_eq!(world.held(), [""; 0]);
}

#[test]
fn no_other_volume_is_touched_before_one_has_its_size() {
    let mut world = World::settled(sized("1Gi", "fast"));
    world.respec(sized("2Gi", "fast"));
    world.pass();
    let first = ObjectId::new(
        kinds::PERSISTENT_VOLUME_CLAIM,
        "tenant-7",
        "etcd-data-kmc-edge-etcd-0",
    );
    world.live.get_mut(&first).unwrap().0["status"]["capacity"]["storage"] = json!("1Gi");
    assert!(!world.pass());
    assert_eq!(world.grown.len(), 1);
    assert!(
        world.resolved().held[0]
            .message
            .contains("etcd-data-kmc-edge-etcd-0")
    );
}

#[rstest]
#[case("512Mi", "fast", "fast", "cannot shrink")]
#[case("2Gi", "rigid", "rigid", "allowVolumeExpansion")]
#[case("1Gi", "fast", "rigid", "cannot change its class")]
fn what_cannot_be_done_to_volumes_is_refused_before_any_is_touched(
    #[case] size: &str,
    #[case] class: &str,
    #[case] wanted_class: &str,
    #[case] words: &str,
) {
    let mut world = World::settled(sized("1Gi", class));
    let before = world.lasting();
    world.respec(sized(size, wanted_class));
    assert_eq!(world.settle(), 0);
    assert_eq!(world.lasting(), before);
    let resolved = world.resolved();
    assert_eq!(resolved.held[0].reason, "NotPossible");
    assert!(resolved.held[0].message.contains(words), "{:?}", resolved.held);
    assert!(resolved.growth.is_held());
}

#[test]
fn a_class_that_nobody_asked_about_is_asked_about_first() {
    let mut world = World::settled(sized("1Gi", "other"));
    world.respec(sized("2Gi", "other"));
    assert_eq!(world.resolved().growth.ask, ["other".to_owned()].into());
    assert!(!world.pass());
}

#[test]
fn a_stateful_set_that_is_gone_for_a_moment_comes_back_with_the_size_of_its_volumes() {
    let mut world = World::settled(sized("2Gi", "fast"));
    let id = ObjectId::new(kinds::STATEFUL_SET, "tenant-7", "kmc-edge-etcd");
    let before = world.live.remove(&id).unwrap();
    world.respec(json!({"replicas": 3}));
    world.settle();
    let again = world.get(kinds::STATEFUL_SET, "kmc-edge-etcd");
    assert_eq!(
        again.0["spec"]["volumeClaimTemplates"],
        before.0["spec"]["volumeClaimTemplates"]
    );
    assert_eq!(again.0["spec"]["template"], before.0["spec"]["template"]);
}

fn claim(name: Option<&str>) -> Value {
    let mut claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
        "resources": {"requests": {"storage": "1Gi"}}}});
    if let Some(name) = name {
        claim["metadata"] = json!({"name": name, "labels": {"team": "blue", "app": "mine"}});
    }
    json!({"persistence": {"type": "pvc", "persistentVolumeClaim": claim}})
}

#[test]
fn a_claim_of_the_user_becomes_a_template_below_our_labels_and_grows_like_etcds() {
    let mut world = World::settled(claim(Some("k0s-data")));
    let set = world.get(kinds::STATEFUL_SET, "kmc-edge").clone();
    let template = &set.0["spec"]["volumeClaimTemplates"][0];
    assert_eq!(template["metadata"]["labels"]["team"], "blue");
    assert_eq!(template["metadata"]["labels"]["app"], "k0smotron");
    let mounts = set.0["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        .as_array()
        .unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["name"] == "k0s-data" && mount["mountPath"] == "/var/lib/k0s")
    );
    assert!(world.facts().volumes.contains_key("k0s-data-kmc-edge-0"));
    let mut larger = claim(Some("k0s-data"));
    larger["persistence"]["persistentVolumeClaim"]["spec"]["resources"]["requests"]["storage"] = json!("3Gi");
    world.respec(larger);
    world.settle();
    assert_eq!(world.grown, ["k0s-data-kmc-edge-0"]);
}

#[test]
fn without_a_name_a_claim_is_called_after_the_stateful_set_and_one_of_ours_is_refused() {
    let world = World::settled(claim(None));
    assert!(world.facts().volumes.contains_key("kmc-edge-kmc-edge-0"));
    let refused = World::new(claim(Some("pki"))).resolve().unwrap_err();
    assert!(refused.message.contains("has that name"), "{}", refused.message);
}

#[test]
fn a_path_of_the_node_is_for_one_pod_where_the_operator_allows_it() {
    let spec = json!({"persistence": {"type": "hostPath", "hostPath": "/srv/k0s"}});
    let mut world = World::new(spec.clone());
    assert!(
        world
            .resolve()
            .unwrap_err()
            .message
            .contains("asks for a path of the node")
    );
    world.settings.allows_host_path = true;
    world.settle();
    let volumes = world.template("kmc-edge")["spec"]["volumes"].clone();
    let data = volumes
        .as_array()
        .unwrap()
        .iter()
        .find(|volume| volume["name"] == "data")
        .unwrap();
    assert_eq!(
        data["hostPath"],
        json!({"path": "/srv/k0s", "type": "DirectoryOrCreate"})
    );
    let mut many = spec;
    many["replicas"] = json!(2);
    world.respec(many);
    assert!(world.resolve().unwrap_err().message.contains("replicas: 1"));
}
