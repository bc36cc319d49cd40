//! Making the clusters and writing what there is of them.

use k0smotron_fleet::api::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{Case, Dumped, Head, LONG, NAMESPACE, api_of, cases, folder, packing, surroundings};
use crate::operator::Bench;
use crate::support::{Options, Servers, eventually, hosting};

/// Every kind that an operator has made for a cluster, or may.
pub const KINDS: [(&str, &str); 8] = [
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("apps/v1", "StatefulSet"),
    ("policy/v1", "PodDisruptionBudget"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
];

pub(super) async fn write() {
    let servers = Servers::start(Options::default()).await;
    let bench = surroundings(&servers).await;
    let controller = bench.controller().await;
    let cases = cases();
    for case in &cases {
        bench.apply(&case.name, case.spec.clone()).await;
        let metadata = json!({"metadata": {"labels": case.labels, "annotations": case.annotations}});
        bench.merge(&case.name, metadata).await;
    }
    for case in &cases {
        settle(&bench, case).await;
    }
    bench.quiet(bench.mark().await).await;
    controller.end().await;

    let mut dumped = Vec::new();
    for case in &cases {
        dumped.push(json!(objects_of(&bench, &case.name).await));
    }
    let shared = packing::pack(&mut dumped);
    let head = Head {
        dumped_at: Timestamp::now(),
        shared,
    };
    let lines: Vec<String> = std::iter::once(json!(head))
        .chain(dumped)
        .map(|line| line.to_string() + "\n")
        .collect();
    std::fs::write(folder().join("objects.jsonl"), lines.concat()).unwrap();
}

/// Brings a cluster to its second spec, and waits until nothing more is to be done for it.
async fn settle(bench: &Bench<'_>, case: &Case) {
    let name = &case.name;
    if let Some(address) = case.load_balancer {
        let service = format!("kmc-{name}-lb");
        eventually(&format!("{service} is there"), LONG, async || {
            bench
                .api::<k8s_openapi::api::core::v1::Service>()
                .get(&service)
                .await
        })
        .await;
        hosting::load_balancer(&bench.client, NAMESPACE, &service, address.into()).await;
    }
    bench.until_ready(name).await;
    if let Some(then) = &case.then {
        bench.apply(name, then.clone()).await;
        if then["paused"] == true {
            // A paused cluster's conditions stay those of the generation before.
            eventually(&format!("{name} is paused"), LONG, async || {
                let status = bench.cluster(name).await.status.unwrap_or_default();
                let is_paused = |condition: &Condition| condition.reason == "Paused";
                status.conditions.iter().any(is_paused).then_some(())
            })
            .await;
        } else {
            bench.until_ready(name).await;
        }
    }
}

async fn objects_of(bench: &Bench<'_>, name: &str) -> Dumped {
    let cluster = json!(bench.cluster(name).await);
    let uid = cluster["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut children = Vec::new();
    for (api_version, kind) in KINDS {
        let type_of = json!({"apiVersion": api_version, "kind": kind});
        let mine = ListParams::default().labels(&format!(
            "{}={},{}={name}",
            labels::APP_MANAGED_BY,
            labels::APP_MANAGED_BY_VALUE,
            labels::APP_INSTANCE
        ));
        let list = api_of(&bench.client, &type_of, Some(NAMESPACE)).list(&mine).await;
        for child in list.unwrap().items {
            let mut child = json!(child);
            child["apiVersion"] = json!(api_version);
            child["kind"] = json!(kind);
            children.push(without_noise(child, &uid, name));
        }
    }
    Dumped {
        name: name.to_owned(),
        cluster: without_noise(cluster, &uid, name),
        children,
    }
}

/// Leaves out what the server makes anew, and puts marks for what differs from cluster to cluster.
fn without_noise(mut object: Value, uid: &str, name: &str) -> Value {
    let is_cluster = object["kind"] == "K0smotronCluster";
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        metadata.remove(field);
    }
    if !is_cluster {
        metadata.remove("generation");
    }
    for entry in metadata["managedFields"].as_array_mut().unwrap() {
        entry["time"] = json!("2026-01-01T00:00:00Z");
    }
    if !is_cluster {
        // The controllers of the hosting cluster write these again.
        let entries = metadata["managedFields"].as_array_mut().unwrap();
        entries.retain(|entry| entry.get("subresource").is_none());
    }
    // What a load balancer answered is the only status of a child that comes from outside.
    if !is_cluster && object["kind"] != "Service" {
        object.as_object_mut().unwrap().remove("status");
    }
    let text = object.to_string();
    assert!(!text.contains("{uid}") && !text.contains("{name}"));
    serde_json::from_str(&text.replace(uid, "{uid}").replace(name, "{name}")).unwrap()
}
