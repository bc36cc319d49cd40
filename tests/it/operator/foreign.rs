//! Objects that have the names of ours and are not ours.

use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::support::eventually;

/// Waits until status and an Event name the object.
async fn until_named(bench: &Bench<'_>, cluster: &str, object: &str) {
    eventually("the status names it", SOON, async || {
        let status = bench.cluster(cluster).await.status.unwrap_or_default();
        let is_held = status
            .held
            .iter()
            .any(|held| held.what.contains(object) || held.message.contains(object));
        let is_not_ready = status.conditions.iter().any(|condition| {
            condition.type_ == "Ready" && condition.status == "False" && condition.message.contains(object)
        });
        if is_held && is_not_ready {
            Ok(())
        } else {
            Err(json!(status).to_string())
        }
    })
    .await;
    eventually("an event names it", SOON, async || {
        let events = bench.events(cluster).await;
        if events.iter().any(|event| event.contains(object)) {
            Ok(())
        } else {
            Err(events.join("\n"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_service_of_somebody_else_is_not_touched_and_named() {
    let bench = Bench::new("foreign").await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "kmc-edge-berlin-nodeport" },
        "spec": { "ports": [{ "port": 80 }], "selector": { "app": "shop" } },
    });
    let service = serde_json::from_value(service).unwrap();
    let made: Service = bench
        .api()
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    until_named(&bench, "edge-berlin", "kmc-edge-berlin-nodeport").await;
    let live: Service = bench.api().get("kmc-edge-berlin-nodeport").await.unwrap();
    assert_eq!(live.metadata.resource_version, made.metadata.resource_version);
    assert_eq!(live.spec, made.spec);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_not_touched_and_taken_up_only_when_it_is_gone() {
    let bench = Bench::new("foreign").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "edge-berlin-ca" },
        "stringData": { "tls.crt": "not a certificate" },
    });
    let secret = serde_json::from_value(secret).unwrap();
    let made: Secret = bench.api().create(&PostParams::default(), &secret).await.unwrap();
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    until_named(&bench, "edge-berlin", "edge-berlin-ca").await;
    let live: Secret = bench.api().get("edge-berlin-ca").await.unwrap();
    assert_eq!(live.metadata.resource_version, made.metadata.resource_version);

    let secrets = bench.api::<Secret>();
    secrets
        .delete("edge-berlin-ca", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    // It carries no label of ours, so nobody is told that it went; a change of the cluster makes it look now.
    bench
        .merge(
            "edge-berlin",
            json!({ "metadata": { "annotations": { "example.org/look": "now" } } }),
        )
        .await;
    bench.until_ready("edge-berlin").await;
}

#[tokio::test]
async fn what_somebody_writes_into_an_object_of_ours_is_undone_and_what_they_add_stays() {
    let (bench, _controller) = Bench::with_cluster("foreign", "edge-berlin", Value::Null).await;
    let services = bench.api::<Service>();
    let name = "kmc-edge-berlin-nodeport";
    let before = services.get(name).await.unwrap().spec.unwrap().selector;
    let patch = json!({ "metadata": { "labels": { "example.org/team": "blue" } },
        "spec": { "selector": { "app": "shop" } } });
    services
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    eventually("the selector is ours again", SOON, async || {
        let live = services.get(name).await.ok()?;
        (live.spec?.selector == before).then_some(())
    })
    .await;
    let labels = services.get(name).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels.get("example.org/team").map(String::as_str), Some("blue"));
}
