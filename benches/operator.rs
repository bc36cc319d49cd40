//! What a control plane costs the operator: `make bench`.
//!
//! Real etcd and kube-apiserver on this machine, no pods. N clusters are created at once; measured are the seconds until
//! all StatefulSets exist, the requests for each cluster from the audit log, and CPU and memory of the controller.
//! The yardstick in the same run is a bare loader: as many creates of a 1 kB ConfigMap as the operator wrote objects,
//! 16 at once. Absolute figures belong to the machine; the share of the yardstick is the result.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectList, PostParams};
use kube::core::PartialObjectMeta;
use serde_json::json;
use support::{Options, Program, Servers, audit, eventually};

const IN_FLIGHT: usize = 16;

#[tokio::main]
async fn main() {
    // `cargo test --benches` and `cargo bench` both call this; only the latter with --bench.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let counts: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let counts = if counts.is_empty() { vec![100] } else { counts };
    println!(
        "{:>9} {:>8} {:>9} {:>7} {:>8} {:>8} {:>9} {:>9}",
        "clusters", "seconds", "loader s", "share", "requests", "cpu ms", "RSS MiB", "peak MiB"
    );
    for count in counts {
        measure(count).await;
    }
}

async fn measure(count: usize) {
    let servers = Servers::start(Options {
        without_controllers: true,
        ..Options::default()
    })
    .await;
    support::crds::install(&servers.client().await).await;
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
        memory_mebibytes(controller.id(), "VmRSS:"),
        memory_mebibytes(controller.id(), "VmHWM:"),
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
    let api: Api<k0smotron_fleet::api::K0smotronCluster> = Api::namespaced(servers.client().await, namespace);
    let create = |index: usize| {
        let api = api.clone();
        async move {
            let cluster = serde_json::from_value(json!({
                "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
                "metadata": { "name": format!("site-{index:05}") },
                "spec": { "replicas": 3, "service": { "type": "ClusterIP" } },
            }))
            .expect("the cluster is well formed");
            api.create(&PostParams::default(), &cluster)
                .await
                .expect("the cluster is created");
        }
    };
    futures::stream::iter((0..count).map(create))
        .buffer_unordered(IN_FLIGHT)
        .collect::<Vec<_>>()
        .await;
}

/// Seconds that a client without any work of its own needs for as many creates.
async fn load(servers: &Servers, namespace: &str, writes: usize) -> f64 {
    let api: Api<ConfigMap> = Api::namespaced(servers.client().await, namespace);
    let filler = "x".repeat(900);
    let create = |index: usize| {
        let (api, filler) = (api.clone(), filler.clone());
        async move {
            let object = serde_json::from_value(json!({
                "metadata": { "name": format!("load-{index:06}") }, "data": { "filler": filler },
            }))
            .expect("the object is well formed");
            api.create(&PostParams::default(), &object)
                .await
                .expect("the object is created");
        }
    };
    let started = Instant::now();
    futures::stream::iter((0..writes).map(create))
        .buffer_unordered(IN_FLIGHT)
        .collect::<Vec<_>>()
        .await;
    started.elapsed().as_secs_f64()
}

/// User and system time of a process so far. The kernel counts in hundredths of a second on every Linux.
fn cpu_milliseconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"))
        .unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) * 10.0
}

fn memory_mebibytes(process: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"))
        .unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .unwrap_or_default();
    let kibibytes: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0);
    kibibytes / 1024.0
}
