//! What applying a fleet costs: `make bench`.
//!
//! Real etcd and kube-apiserver on this machine, no controllers. The yardstick in the same run is a bare loader that
//! applies the same clusters over one HTTP/2 connection, 32 at once: its writes a second are W. Beside it the program
//! (cold, without a change, with 1 % changed) and `kubectl apply --server-side` of one file. Absolute figures belong to
//! the machine; the shares are the result.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use futures::StreamExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use support::{Namespace, Program, Servers, measure};

const IN_FLIGHT: usize = 32;
/// Of which the median is shown, number by number.
const RUNS: usize = 3;
/// Clusters in one file, which may have 1 MiB.
const FILE_CLUSTERS: usize = 100;

#[tokio::main]
async fn main() {
    let Some(counts) = measure::counts(&[1000]) else {
        return;
    };
    println!(
        "{:>9} {:>8} {:>8} {:>10} {:>8} {:>8} {:>10} {:>8} {:>8}",
        "clusters", "loader s", "W /s", "kubectl s", "cold s", "of W", "x kubectl", "none s", "1 % s"
    );
    for count in counts {
        measure_fleet(count).await;
    }
}

/// Seconds of one run, one after the other on the same servers.
struct Seconds {
    loader: f64,
    kubectl: f64,
    cold: f64,
    none: f64,
    changed: f64,
}

async fn measure_fleet(count: usize) {
    let servers = measure::hub().await;
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        runs.push(run(&servers, count).await);
    }
    let median = |of: fn(&Seconds) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "{count:>9} {:>8.2} {:>8.0} {:>10.2} {:>8.2} {:>8.2} {:>10.1} {:>8.2} {:>8.2}",
        median(|run| run.loader),
        count as f64 / median(|run| run.loader),
        median(|run| run.kubectl),
        median(|run| run.cold),
        median(|run| run.loader / run.cold),
        median(|run| run.kubectl / run.cold),
        median(|run| run.none),
        median(|run| run.changed),
    );
}

async fn run(servers: &Servers, count: usize) -> Seconds {
    let loader = load(servers, &servers.namespace("loader").await, count).await;
    let kubectl = kubectl(servers, &servers.namespace("kubectl").await, count).await;
    let namespace = servers.namespace("fleet").await;
    let program = Program::new(env!("CARGO_BIN_EXE_k0smotron-fleet")).kubeconfig(&servers.kubeconfig());
    write_fleet(&program, &namespace.name, count, 0);
    let cold = apply(&program, &namespace.name).await;
    let mark = servers.audit.mark(&servers.client().await).await;
    let none = apply(&program, &namespace.name).await;
    let events = servers.audit.since(&servers.client().await, mark).await;
    let writes = support::audit::counts(&support::audit::by(events, "k0smotron-fleet/")).writes;
    assert_eq!(writes, 0, "an apply without a change writes nothing");
    write_fleet(&program, &namespace.name, count, count / 100);
    let changed = apply(&program, &namespace.name).await;
    Seconds {
        loader,
        kubectl,
        cold,
        none,
        changed,
    }
}

fn name(index: usize) -> String {
    format!("site-{index:05}")
}

/// A cluster as platform teams write it: about 1.4 kB as YAML.
fn cluster(namespace: &str, index: usize, replicas: u8) -> Value {
    let host = format!("{}.edge.example.org", name(index));
    json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {
            "name": name(index), "namespace": namespace,
            "labels": { "region": "north", "tier": "edge", "team": "stores", "wave": format!("wave-{}", index % 5) },
            "annotations": { "example.org/owner": "stores@example.org", "example.org/cost-center": "4711" },
        },
        "spec": {
            "replicas": replicas, "version": "v1.36.3+k0s.2", "externalAddress": host,
            "service": {
                "type": "ClusterIP", "apiPort": 6443, "konnectivityPort": 8132,
                "labels": { "team": "stores" },
                "annotations": { "example.org/network": "edge", "example.org/firewall": "stores-north" },
            },
            "persistence": { "type": "emptyDir" },
            "storage": { "type": "etcd", "etcd": { "persistence": { "size": "5Gi" }, "args": { "quota-backend-bytes": "4294967296" } } },
            "resources": {
                "requests": { "cpu": "200m", "memory": "512Mi" }, "limits": { "memory": "2Gi" },
            },
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": { "app": "k0smotron" } },
            }],
            "k0sConfig": {
                "apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig", "metadata": { "name": "k0s" },
                "spec": {
                    "api": { "extraArgs": { "audit-log-maxage": "7", "event-ttl": "2h" } },
                    "network": { "provider": "kuberouter", "podCIDR": "10.64.0.0/14", "serviceCIDR": "10.68.0.0/16" },
                    "telemetry": { "enabled": false },
                },
            },
        },
    })
}

/// Seconds that a client without any work of its own needs.
async fn load(servers: &Servers, namespace: &Namespace, count: usize) -> f64 {
    let api: Api<k0smotron_fleet::api::K0smotronCluster> =
        Api::namespaced(servers.client().await, &namespace.name);
    let parameters = PatchParams::apply("loader").force();
    let bodies: Vec<Value> = (0..count)
        .map(|index| cluster(&namespace.name, index, 1))
        .collect();
    let started = Instant::now();
    futures::stream::iter(bodies.iter().enumerate())
        .map(|(index, body)| {
            let (api, parameters) = (api.clone(), parameters.clone());
            async move {
                api.patch(&name(index), &parameters, &Patch::Apply(body))
                    .await
                    .expect("the cluster is applied");
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .collect::<Vec<_>>()
        .await;
    started.elapsed().as_secs_f64()
}

async fn kubectl(servers: &Servers, namespace: &Namespace, count: usize) -> f64 {
    let clusters: Vec<Value> = (0..count)
        .map(|index| cluster(&namespace.name, index, 1))
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": clusters }).to_string();
    let started = Instant::now();
    let apply = ["apply", "--server-side", "-f", "-"];
    servers
        .kubectl_with(&servers.kubeconfig(), &apply, &list)
        .await
        .success();
    started.elapsed().as_secs_f64()
}

/// Writes the files of a fleet, of which the first `changed` clusters have more replicas.
fn write_fleet(program: &Program, namespace: &str, count: usize, changed: usize) {
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: bench}}\nspec: {{id: {namespace}}}\n"
    );
    std::fs::write(program.folder().join("fleet.yaml"), fleet).expect("the folder is writable");
    let indices: Vec<usize> = (0..count).collect();
    for (number, some) in indices.chunks(FILE_CLUSTERS).enumerate() {
        let clusters: String = some
            .iter()
            .map(|&index| {
                let replicas = if index < changed { 3 } else { 1 };
                format!("---\n{}\n", cluster(namespace, index, replicas))
            })
            .collect();
        let path = program.folder().join(format!("clusters-{number:03}.yaml"));
        std::fs::write(path, clusters).expect("the folder is writable");
    }
}

async fn apply(program: &Program, namespace: &str) -> f64 {
    let started = Instant::now();
    program
        .run(&[
            "apply",
            "-y",
            "-q",
            "--first-apply",
            "--parent-namespace",
            namespace,
        ])
        .await
        .success();
    started.elapsed().as_secs_f64()
}
