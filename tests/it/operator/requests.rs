//! How much a cluster costs the API server, counted by the API server.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::Bench;
use crate::support::audit::{self, Event};
use crate::support::kubelet::Policy;

/// Requests about clusters and their objects; the lists and watches of the start are not one cluster's.
fn of_a_cluster(events: Vec<Event>) -> Vec<Event> {
    events
        .into_iter()
        .filter(|event| event.verb != "watch" && event.verb != "list")
        .collect()
}

#[tokio::test]
async fn a_new_cluster_of_three_costs_18_requests_until_its_pods_are_asked_for_and_22_until_it_is_quiet() {
    let bench = Bench::new("requests").await;
    let _controller = bench.controller().await;
    // What the controller does at its start is over once it has answered for another cluster.
    bench.apply("warm", Value::Null).await;
    bench.until_ready("warm").await;
    bench.quiet(bench.mark().await).await;

    let mark = bench.mark().await;
    bench.apply("edge-berlin", json!({ "replicas": 3 })).await;
    bench.until_ready("edge-berlin").await;
    let events = of_a_cluster(bench.quiet(mark).await);
    let is_set = |event: &Event| event.resource == "statefulsets" && event.code < 300;
    let until_sets = events
        .iter()
        .rposition(|event| event.verb == "patch" && is_set(event))
        .unwrap()
        + 1;
    let all = audit::summary(&events);
    assert!(
        until_sets <= 18,
        "{until_sets} requests until both StatefulSets exist:\n{all}"
    );
    assert!(
        events.len() <= 22,
        "{} requests until it is quiet:\n{all}",
        events.len()
    );
}

#[tokio::test]
async fn when_pods_become_ready_the_status_and_its_event_are_all_that_is_written() {
    let bench = Bench::with_pods("requests", Policy::NeverReady).await;
    let _controller = bench.controller().await;
    let mark = bench.mark().await;
    bench.apply("edge-berlin", json!({ "replicas": 3 })).await;
    bench.until("edge-berlin", "Ready", "False", "PodsNotReady").await;
    bench.quiet(mark).await;

    let mark = bench.mark().await;
    bench.kubelet.set(Policy::ReadyAfter(Duration::from_millis(300)));
    bench.until_ready("edge-berlin").await;
    let events = bench.quiet(mark).await;
    let writes: Vec<Event> = events.into_iter().filter(Event::is_write).collect();
    assert!(writes.iter().all(Event::is_report), "{}", audit::summary(&writes));
    assert!(
        writes.len() <= 6,
        "{} writes:\n{}",
        writes.len(),
        audit::summary(&writes)
    );
}

#[tokio::test]
async fn an_annotation_that_nobody_cares_about_costs_no_write() {
    let (bench, _controller) = Bench::with_cluster("requests", "edge-berlin", Value::Null).await;
    bench.quiet(bench.mark().await).await;

    let mark = bench.mark().await;
    let note = json!({ "metadata": { "annotations": { "example.org/note": "ask Ada" } } });
    bench.merge("edge-berlin", note.clone()).await;
    let children: Api<ConfigMap> = bench.api();
    let how = PatchParams::default();
    children
        .patch("kmc-edge-berlin-config", &how, &Patch::Merge(note))
        .await
        .unwrap();
    bench.assert_no_write(mark, "an annotation").await;
}

#[tokio::test]
async fn a_restart_with_fifty_clusters_costs_no_write() {
    let bench = Bench::new("restart").await;
    let controller = bench.controller().await;
    let names: Vec<String> = (0..50).map(|number| format!("edge-{number:02}")).collect();
    for name in &names {
        bench.apply(name, Value::Null).await;
    }
    for name in &names {
        bench.until_ready(name).await;
    }
    bench.quiet(bench.mark().await).await;
    controller.end().await;
    bench.take_over(&names).await;
}
