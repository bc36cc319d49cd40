//! What the operator's settings and the users' patches do to real objects.

use k0smotron_fleet::render::NetworkPolicySettings;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Bench, SOON, settings};
use crate::support::eventually;

fn patch(kind: &str, patch_type: &str, content: &Value) -> Value {
    json!({
        "target": {"kind": kind, "component": "control-plane"},
        "patch": {"type": patch_type, "content": content.to_string()},
    })
}

#[tokio::test]
async fn a_patch_rolls_the_pods_once_and_leaves_nothing_when_it_goes() {
    let (bench, _controller) = Bench::with_cluster("patched", "edge", json!({})).await;
    let original = bench.revision("kmc-edge").await;

    let sidecar = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "audit", "image": "registry.example/audit:v1"},
        {"name": "controller", "env": [{"name": "A", "value": "1"}]},
    ], "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["registry"]}]}}}});
    let annotation =
        json!([{"op": "add", "path": "/metadata/annotations", "value": {"example.com/pool": "blue"}}]);
    bench
        .apply(
            "edge",
            json!({"patches": [
                patch("StatefulSet", "strategic", &sidecar), patch("Service", "json", &annotation),
            ]}),
        )
        .await;
    bench.until_ready("edge").await;
    let set: StatefulSet = bench.api().get("kmc-edge").await.unwrap();
    let containers = set.spec.unwrap().template.spec.unwrap().containers;
    let mut names: Vec<_> = containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["audit", "controller"]);
    let service: Service = bench.api().get("kmc-edge-nodeport").await.unwrap();
    assert_eq!(service.metadata.annotations.unwrap()["example.com/pool"], "blue");
    assert_ne!(bench.revision("kmc-edge").await, original);
    bench
        .assert_at_rest("a patched object equals itself after the server's defaulting")
        .await;

    // One that is wrong changes nothing, and says which it is and why.
    let before = bench.revision("kmc-edge").await;
    let privileged = json!({"spec": {"template": {"spec": {"hostNetwork": true}}}});
    bench
        .apply(
            "edge",
            json!({"patches": [patch("StatefulSet", "merge", &privileged)]}),
        )
        .await;
    let message = bench.until_stalled("edge", "InvalidPatch").await;
    assert!(
        message.contains("spec.patches[0]") && message.contains("host namespaces"),
        "{message}"
    );
    assert_eq!(bench.revision("kmc-edge").await, before);

    bench
        .apply(
            "edge",
            json!({"patches": [patch("Deployment", "merge", &json!({"spec": {}}))]}),
        )
        .await;
    bench.until_stalled("edge", "PatchMatchesNothing").await;

    bench.apply("edge", json!({})).await;
    bench.until_ready("edge").await;
    assert_eq!(
        bench.revision("kmc-edge").await,
        original,
        "the first template is back"
    );
    let service: Service = bench.api().get("kmc-edge-nodeport").await.unwrap();
    assert_eq!(service.metadata.annotations, None);
}

#[tokio::test]
async fn network_policies_come_and_go_with_the_setting_and_foreign_ones_stay() {
    let bench = Bench::new("policies").await;
    let mine: NetworkPolicy = serde_json::from_value(json!({
        "metadata": {"name": "mine", "labels": {"app": "k0smotron", "cluster": "edge"}},
        "spec": {"podSelector": {}},
    }))
    .unwrap();
    bench.api().create(&PostParams::default(), &mine).await.unwrap();
    let protected = k0smotron_fleet::render::Settings {
        network_policies: Some(NetworkPolicySettings {
            operator_namespace: "k0smotron-fleet".to_owned(),
        }),
        ..settings()
    };
    let controller = bench.controller_with(protected).await;
    bench.apply("edge", json!({})).await;
    bench.until_ready("edge").await;
    assert_eq!(
        bench.names::<NetworkPolicy>().await,
        ["kmc-edge", "kmc-edge-etcd", "mine"]
    );
    bench.assert_at_rest("nothing differs").await;

    // One that somebody changes is put right.
    let opened = json!({"spec": {"ingress": [{}]}});
    let policies = bench.api::<NetworkPolicy>();
    policies
        .patch("kmc-edge-etcd", &PatchParams::default(), &Patch::Merge(opened))
        .await
        .unwrap();
    eventually("the policy is put right", SOON, async || {
        let policy = policies
            .get("kmc-edge-etcd")
            .await
            .map_err(|error| error.to_string())?;
        let ingress = policy.spec.and_then(|spec| spec.ingress).unwrap_or_default();
        if ingress.len() == 2 {
            Ok(())
        } else {
            Err(json!(ingress).to_string())
        }
    })
    .await;
    controller.end().await;

    let _controller = bench.controller().await;
    eventually("ours are gone", SOON, async || {
        let names = bench.names::<NetworkPolicy>().await;
        if names == ["mine"] {
            Ok(())
        } else {
            Err(names.join(", "))
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_settings_do_not_allow_is_not_applied() {
    let bench = Bench::new("limits").await;
    let limited = k0smotron_fleet::render::Settings {
        allowed_images: vec!["quay.io/k0sproject".to_owned()],
        ..settings()
    };
    let _controller = bench.controller_with(limited).await;
    bench
        .apply("edge", json!({"image": "registry.example/k0s"}))
        .await;
    bench
        .apply(
            "node",
            json!({"mounts": [{"path": "/host", "hostPath": {"path": "/"}}]}),
        )
        .await;
    bench.apply("fine", json!({})).await;
    bench.until_ready("fine").await;
    bench.until_stalled("node", "NotAllowed").await;
    bench.until_stalled("edge", "NotAllowed").await;
    assert_eq!(bench.names::<StatefulSet>().await, ["kmc-fine", "kmc-fine-etcd"]);
}
