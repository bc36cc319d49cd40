//! What a control plane costs the operator: `make bench`.
//!
//! Real etcd and kube-apiserver on this machine, no pods. N clusters are created at once; measured are the seconds until
//! all StatefulSets exist, the requests for each cluster from the audit log, and CPU and memory of the controller.
//! The yardstick in the same run is a bare loader: as many creates of a 1 kB ConfigMap as the operator wrote objects,
//! 16 at once. Absolute figures belong to the machine; the share of the yardstick is the result.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, ListParams, ObjectList};
use kube::core::PartialObjectMeta;
use serde_json::json;
use support::{Program, Servers, audit, eventually, loader, measure, proc};

const IN_FLIGHT: usize = 16;

#[tokio::main]
async fn main() {
    let Some(counts) = measure::counts(&[100]) else {
        return;
    };
    println!(
        "{:>9} {:>8} {:>9} {:>7} {:>8} {:>8} {:>9} {:>9}",
        "clusters", "seconds", "loader s", "share", "requests", "cpu ms", "RSS MiB", "peak MiB"
    );
    for count in counts {
        measure_operator(count).await;
    }
}

async fn measure_operator(count: usize) {
    let servers = measure::hub().await;
    let namespace = servers.namespace("bench").await;
    let client = servers.client().await;
    let program = Program::new(env!("CARGO_BIN_EXE_k0smotron-fleet")).kubeconfig(&servers.kubeconfig());
    let kubeconfig = servers.kubeconfig();
    let controller = program.start(&["controller", "--kubeconfig", &kubeconfig.to_string_lossy()]);
    let mark = servers.audit.mark(&client).await;

    let before = cpu_milliseconds(controller.id());
    let started = Instant::now();
    create_clusters(&servers, &namespace.name, count).await;
    let sets: Api<PartialObjectMeta<StatefulSet>> = Api::namespaced(client.clone(), &namespace.name);
    eventually("all StatefulSets exist", Duration::from_secs(600), async || {
        let list: ObjectList<_> = sets
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        if list.items.len() == 2 * count {
            Ok(())
        } else {
            Err(format!("{} of {}", list.items.len(), 2 * count))
        }
    })
    .await;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_milliseconds(controller.id()) - before;
    let events = audit::by(servers.audit.since(&client, mark).await, "k0smotron-fleet/");
    let counted = audit::counts(&audit::within(events, &namespace.name));
    let (rss, peak) = (
        memory_mebibytes(controller.id(), "VmRSS"),
        memory_mebibytes(controller.id(), "VmHWM"),
    );
    controller.kill();

    let loader = load(&servers, &namespace.name, counted.writes).await;
    println!(
        "{count:>9} {seconds:>8.1} {loader:>9.1} {:>7.2} {:>8.1} {:>8.1} {rss:>9.0} {peak:>9.0}",
        loader / seconds,
        counted.requests as f64 / count as f64,
        cpu / count as f64,
    );
}

async fn create_clusters(servers: &Servers, namespace: &str, count: usize) {
    let path = format!("/apis/k0smotron.io/v1beta1/namespaces/{namespace}/k0smotronclusters");
    let cluster = |index: usize| {
        json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": format!("site-{index:05}") },
            "spec": { "replicas": 3, "service": { "type": "ClusterIP" } },
        })
    };
    let client = servers.client().await;
    loader::create(&client, &path, (0..count).map(cluster), IN_FLIGHT).await;
}

/// Seconds that a client without any work of its own needs for as many creates.
async fn load(servers: &Servers, namespace: &str, writes: usize) -> f64 {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let filler = "x".repeat(900);
    let object = |index: usize| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": format!("load-{index:06}") }, "data": { "filler": filler },
        })
    };
    let client = servers.client().await;
    let started = Instant::now();
    loader::create(&client, &path, (0..writes).map(object), IN_FLIGHT).await;
    started.elapsed().as_secs_f64()
}

/// User and system time of a process so far.
fn cpu_milliseconds(process: u32) -> f64 {
    let (Ok(seconds) | Err(seconds)) = proc::cpu_seconds(&proc::of(process));
    seconds * 1000.0
}

fn memory_mebibytes(process: u32, field: &str) -> f64 {
    proc::mebibytes(&proc::of(process), field).unwrap_or_default()
}
