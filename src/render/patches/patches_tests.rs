use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::render::world::World;

fn spec(patches: Value) -> Value {
    json!({"patches": patches})
}

fn patch(kind: &str, component: &str, patch_type: &str, content: &str) -> Value {
    json!({"target": {"kind": kind, "component": component}, "patch": {"type": patch_type, "content": content}})
}

fn stalled(kind: &str, component: &str, patch_type: &str, content: &str) -> String {
    let world = World::settled(json!({}));
    let mut patched = world.clone();
    patched.respec(spec(json!([patch(kind, component, patch_type, content)])));
    match patched.resolve() {
        Err(stalled) => {
            assert_eq!(stalled.reason, "InvalidPatch");
            stalled.message
        }
        Ok(_) => String::new(),
    }
}

#[test]
fn patches_are_applied_in_order_and_each_to_its_own_objects() {
    let patches = json!([
        patch(
            "StatefulSet",
            "control-plane",
            "strategic",
            "
spec:
  template:
    spec:
      hostAliases: [{ip: 192.0.2.1, hostnames: [registry]}]
      containers:
      - {name: audit, image: registry/audit:v1}
"
        ),
        patch(
            "StatefulSet",
            "control-plane",
            "json",
            r#"[
            {"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "audit"},
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry/audit:v2"}
        ]"#
        ),
        patch(
            "Service",
            "control-plane",
            "merge",
            "metadata: {annotations: {example.com/pool: blue}}"
        ),
    ]);
    let mut world = World::settled(spec(patches));
    assert_eq!(world.held(), Vec::<String>::new());
    let pod = world.template("kmc-edge")["spec"].clone();
    let images: Vec<_> = pod["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["image"].as_str().unwrap())
        .collect();
    assert_eq!(images[0], "registry/audit:v2");
    assert!(images[1].contains("k0s"), "{images:?}");
    assert_eq!(pod["hostAliases"][0]["ip"], "192.0.2.1");
    assert!(
        world.template("kmc-edge-etcd")["spec"]
            .get("hostAliases")
            .is_none()
    );
    let service = world.get(kinds::SERVICE, "kmc-edge-nodeport");
    assert_eq!(service.annotation("example.com/pool"), Some("blue"));

    // Pins are found in the pods wherever the container stands.
    let before = world.lasting();
    let ca = ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca");
    let annotations = &mut world.live.get_mut(&ca).unwrap().0["metadata"]["annotations"];
    annotations.as_object_mut().unwrap().remove(labels::PINS);
    world.settings.default_version = "v1.40.1+k0s.0".into();
    world.settle();
    assert_eq!(world.lasting(), before);

    world.respec(json!({}));
    world.settle();
    assert_eq!(
        world.live,
        World::settled(json!({})).live,
        "a patch that goes leaves nothing"
    );
}

#[rstest]
#[case("Deployment", "control-plane")]
#[case("StatefulSet", "controlplane")]
fn a_patch_that_matches_nothing_is_held_and_the_rest_is_rendered(
    #[case] kind: &str,
    #[case] component: &str,
) {
    let patches = spec(json!([patch(kind, component, "merge", "metadata: {}")]));
    let world = World::settled(patches);
    assert_eq!(world.held(), [MATCHES_NOTHING]);
    assert_eq!(
        world.resolved().held[0].what,
        format!("spec.patches[0] ({kind}, {component})")
    );
    // What is meant may come: then nothing is said yet.
    let waiting = World::new(world.cluster_spec());
    assert_eq!(waiting.held().is_empty(), kind == "StatefulSet");
}

#[rstest]
#[case("name", "metadata: {name: other}", "metadata.name")]
#[case("namespace", "metadata: {namespace: kube-system}", "metadata.namespace")]
#[case("owner", "metadata: {ownerReferences: null}", "metadata.ownerReferences")]
#[case("finalizer", "metadata: {finalizers: [a/b]}", "metadata.finalizers")]
#[case(
    "label",
    "metadata: {labels: {app.kubernetes.io/managed-by: me}}",
    "managed-by"
)]
#[case(
    "new label of ours",
    "metadata: {labels: {k0smotron.io/retained: 'true'}}",
    "retained"
)]
#[case(
    "template label",
    "spec: {template: {metadata: {labels: {cluster: other}}}}",
    "template.metadata.labels[cluster]"
)]
#[case("selector", "spec: {selector: {matchLabels: {a: b}}}", "spec.selector")]
#[case("kind", "kind: DaemonSet", "`kind`")]
#[case("version", "apiVersion: apps/v2", "apiVersion")]
#[case("replicas", "spec: {replicas: 5}", "spec.replicas")]
#[case(
    "claims",
    "spec: {persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}",
    "volumes live"
)]
#[case(
    "containers",
    "spec: {template: {spec: {containers: [{name: other}]}}}",
    "container `controller`"
)]
fn what_is_ours_cannot_be_patched(#[case] _what: &str, #[case] content: &str, #[case] expected: &str) {
    let message = stalled("StatefulSet", "control-plane", "merge", content);
    assert!(
        message.contains("spec.patches[0]") && message.contains(expected),
        "{message}"
    );
}

#[rstest]
#[case("Secret", "pki", "merge", "data: {}", "Secrets hold keys")]
#[case("NetworkPolicy", "etcd", "merge", "spec: {}", "policies of your own")]
#[case(
    "ConfigMap",
    "cluster-config",
    "merge",
    "data: {k0s.yaml: ''}",
    "spec.k0sConfig"
)]
#[case(
    "StatefulSet",
    "etcd",
    "merge",
    "spec: {updateStrategy: {type: RollingUpdate}}",
    "one by one"
)]
#[case(
    "StatefulSet",
    "etcd",
    "json",
    "[{op: remove, path: /spec/none}]",
    "operation 0 at `/spec/none`"
)]
#[case(
    "StatefulSet",
    "etcd",
    "json",
    "[{op: replace, path: '', value: 1}]",
    "apiVersion"
)]
#[case("StatefulSet", "etcd", "json", "{a: b}", "RFC 6902")]
#[case("StatefulSet", "etcd", "strategic", "a: [", "line 1")]
#[case(
    "StatefulSet",
    "etcd",
    "strategic",
    "a: 1\n---\nb: 1",
    "more than one document"
)]
#[case("StatefulSet", "etcd", "strategic", "# nothing", "is empty")]
#[case(
    "StatefulSet",
    "etcd",
    "strategic",
    "spec: {template: {spec: {volumes: [{emptyDir: {}}]}}}",
    "has no `name`"
)]
#[case(
    "StatefulSet",
    "etcd",
    "strategic",
    "spec: {template: {spec: {hostNetwork: true}}}",
    "host namespaces (hostNetwork)"
)]
#[case(
    "StatefulSet",
    "control-plane",
    "strategic",
    "spec: {template: {spec: {containers: [{name: controller, securityContext: {privileged: true}}]}}}",
    "privileged containers (containers `controller`)"
)]
fn what_cannot_be_applied_stalls_with_the_patch_and_the_reason(
    #[case] kind: &str,
    #[case] component: &str,
    #[case] patch_type: &str,
    #[case] content: &str,
    #[case] expected: &str,
) {
    let message = stalled(kind, component, patch_type, content);
    assert!(
        message.contains(&format!("spec.patches[0] ({kind}, {component})")),
        "{message}"
    );
    assert!(message.contains(expected), "{message}");
}

#[test]
fn copies_of_copies_end_before_memory_does() {
    let copy =
        |index| json!({"op": "copy", "from": "/spec/template", "path": format!("/spec/template/a{index}")});
    let content = json!((0..40).map(copy).collect::<Vec<_>>()).to_string();
    let message = stalled("StatefulSet", "etcd", "json", &content);
    assert!(message.contains("makes more than"), "{message}");
}

#[rstest]
#[case::values(json!("x".repeat(60_000)))]
#[case::keys((0..60).map(|key| (format!("{key}{}", "x".repeat(1000)), json!(1))).collect())]
fn copies_of_long_text_end_as_well(#[case] long: Value) {
    let list = "/spec/template/spec/a";
    let mut operations = vec![json!({"op": "add", "path": list, "value": [long]})];
    // 60 MB in the end, in fewer values than there may be.
    operations.extend((0..10).map(|_| json!({"op": "copy", "from": list, "path": format!("{list}/-")})));
    let message = stalled("StatefulSet", "etcd", "json", &json!(operations).to_string());
    assert!(message.contains("makes more than"), "{message}");
}
