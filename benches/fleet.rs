//! What applying a fleet costs: `make bench`.
//!
//! Real etcd and kube-apiserver on this machine, no controllers. The yardstick in the same run is a bare loader that
//! applies the same bodies, 32 at once over one pool of connections: its writes a second are W. Beside it the same loader
//! without what a fleet writes into the metadata, `kubectl apply --server-side` of one file, and the program (all new,
//! without a change, with 1 % changed). Absolute figures belong to the machine; the shares are the result, each the median
//! of what single runs gave. Then the same with a hub that is far away, as it is from most runners of CI.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k0smotron_fleet::api::labels;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use support::distance::Distance;
use support::servers::client_of;
use support::{Namespace, Program, Servers, measure, proc};

const IN_FLIGHT: usize = 32;
/// Clusters in one file, which may have 1 MiB.
const FILE_CLUSTERS: usize = 100;

/// What is measured: how much the clusters say, how far the hub is (the time of a round trip in milliseconds), and how
/// many runs there are, of which the median is shown, number by number.
const SCENES: [(Spec, u64, usize); 4] = [
    (Spec::Short, 0, 10),
    (Spec::Long, 0, 6),
    (Spec::Short, 20, 6),
    (Spec::Long, 20, 4),
];

/// How much a cluster says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// Replicas, version and type of the Service, and nothing in the metadata but the name.
    Short,
    /// As platform teams write it: about 1.4 kB as JSON.
    Long,
}

const STEPS: [&str; 6] = [
    "bare loader",
    "bare loader, unmarked",
    "kubectl apply --server-side",
    "apply, all new",
    "apply, unchanged",
    "apply, 1 % changed",
];
/// Those that the others are compared with.
const LOADER: usize = 0;
const KUBECTL: usize = 2;

#[tokio::main]
async fn main() {
    let Some(counts) = measure::counts(&[1000]) else {
        return;
    };
    println!(
        "{:>8} {:>5} {:>6} {:<27} {:>7} {:>6} {:>9} {:>6} {:>8}",
        "clusters", "spec", "far", "what", "seconds", "of W", "x kubectl", "cpu s", "peak MiB"
    );
    for count in counts {
        for (spec, milliseconds, runs) in SCENES {
            measure_fleet(Size { count, spec }, milliseconds, runs).await;
        }
    }
}

/// How much there is to apply.
#[derive(Clone, Copy)]
struct Size {
    count: usize,
    spec: Spec,
}

/// What one step of one run took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    /// `None` of the loader, which is a part of this process.
    peak_mebibytes: Option<f64>,
}

/// The steps of one run, in the order of [`STEPS`], on the same servers.
type Run = [Cost; STEPS.len()];

async fn measure_fleet(size: Size, milliseconds: u64, times: usize) {
    let servers = measure::hub().await;
    let distance = match milliseconds {
        0 => None,
        _ => Some(Distance::to(&servers, Duration::from_millis(milliseconds)).await),
    };
    let kubeconfig = distance
        .as_ref()
        .map_or_else(|| servers.kubeconfig(), Distance::kubeconfig);
    let mut runs: Vec<Run> = Vec::with_capacity(times);
    for turn in 0..times {
        runs.push(run(&servers, &kubeconfig, size, turn % 2 == 1).await);
    }
    let median = |of: &dyn Fn(&Run) -> f64| median(runs.iter().map(of).collect());
    for (step, what) in STEPS.into_iter().enumerate() {
        let share = |of: usize| median(&|run| run[of].seconds / run[step].seconds);
        let peak = |run: &Run| run[step].peak_mebibytes.unwrap_or_default();
        let is_known = runs.iter().all(|run| run[step].peak_mebibytes.is_some());
        let peak = is_known.then(|| format!("{:.0}", median(&peak)));
        println!(
            "{:>8} {:>5} {:>6} {what:<27} {:>7.2} {:>6.2} {:>9.1} {:>6.2} {:>8}",
            size.count,
            match size.spec {
                Spec::Short => "short",
                Spec::Long => "long",
            },
            format!("{milliseconds} ms"),
            median(&|run| run[step].seconds),
            share(LOADER),
            share(KUBECTL),
            median(&|run| run[step].cpu_seconds),
            peak.as_deref().unwrap_or("-"),
        );
    }
}

/// Returns what lies in the middle: of an even number of runs, half of which went backwards, between the two.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
    f64::midpoint(low, high)
}

/// Measures once. What comes last has the fuller server: every other run goes `backwards`.
async fn run(servers: &Servers, kubeconfig: &Path, size: Size, backwards: bool) -> Run {
    let loader = async |marks| load(kubeconfig, &servers.namespace("loader").await, size, marks).await;
    let kubectl = async || {
        let namespace = servers.namespace("kubectl").await;
        kubectl(servers, kubeconfig, &namespace, size).await
    };
    let fleet = async || fleet(servers, kubeconfig, size).await;
    if backwards {
        let ([new, unchanged, changed], kubectl) = (fleet().await, kubectl().await);
        let (unmarked, marked) = (loader(Marks::None).await, loader(Marks::OfAFleet).await);
        [marked, unmarked, kubectl, new, unchanged, changed]
    } else {
        let (marked, unmarked) = (loader(Marks::OfAFleet).await, loader(Marks::None).await);
        let (kubectl, [new, unchanged, changed]) = (kubectl().await, fleet().await);
        [marked, unmarked, kubectl, new, unchanged, changed]
    }
}

async fn fleet(servers: &Servers, kubeconfig: &Path, size: Size) -> [Cost; 3] {
    let namespace = servers.namespace("fleet").await;
    let program = Program::new(env!("CARGO_BIN_EXE_k0smotron-fleet")).kubeconfig(kubeconfig);
    write_fleet(&program, &namespace.name, size, 0);
    let new = apply(&program, &namespace.name).await;
    let mark = servers.audit.mark(&servers.client().await).await;
    let unchanged = apply(&program, &namespace.name).await;
    let events = servers.audit.since(&servers.client().await, mark).await;
    let writes = support::audit::counts(&support::audit::by(events, "k0smotron-fleet/")).writes;
    assert_eq!(writes, 0, "an apply without a change writes nothing");
    write_fleet(&program, &namespace.name, size, size.count / 100);
    let changed = apply(&program, &namespace.name).await;
    [new, unchanged, changed]
}

fn name(index: usize) -> String {
    format!("site-{index:05}")
}

fn cluster(namespace: &str, index: usize, spec: Spec, replicas: u8) -> Value {
    if spec == Spec::Short {
        return json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": name(index), "namespace": namespace },
            "spec": { "replicas": replicas, "version": "v1.36.3+k0s.2", "service": { "type": "ClusterIP" } },
        });
    }
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

/// Whether a cluster says which fleet it belongs to.
#[derive(Clone, Copy)]
enum Marks {
    None,
    OfAFleet,
}

/// Adds what a fleet writes into each of its clusters.
fn marked(mut cluster: Value, namespace: &str, index: usize) -> Value {
    let source = format!("clusters-{:03}.yaml", index / FILE_CLUSTERS);
    let metadata = &mut cluster["metadata"];
    metadata["labels"][labels::FLEET_ID] = namespace.into();
    metadata["annotations"][labels::SOURCE] = source.into();
    metadata["annotations"][labels::TRACKING] = format!("{namespace}/{namespace}/{}", name(index)).into();
    cluster
}

/// What a client needs that has no work of its own.
async fn load(kubeconfig: &Path, namespace: &Namespace, size: Size, marks: Marks) -> Cost {
    let client = client_of(kubeconfig, "loader").await;
    let api: Api<k0smotron_fleet::api::K0smotronCluster> = Api::namespaced(client, &namespace.name);
    let parameters = PatchParams::apply("loader").force();
    let bodies: Vec<Value> = (0..size.count)
        .map(|index| {
            let cluster = cluster(&namespace.name, index, size.spec, 1);
            match marks {
                Marks::None => cluster,
                Marks::OfAFleet => marked(cluster, &namespace.name, index),
            }
        })
        .collect();
    let myself = Path::new("/proc/self");
    let cpu_seconds = || proc::cpu_seconds(myself).unwrap_or_default();
    let (started, before) = (Instant::now(), cpu_seconds());
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
    Cost {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - before,
        peak_mebibytes: None,
    }
}

async fn kubectl(servers: &Servers, kubeconfig: &Path, namespace: &Namespace, size: Size) -> Cost {
    let clusters: Vec<Value> = (0..size.count)
        .map(|index| cluster(&namespace.name, index, size.spec, 1))
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": clusters }).to_string();
    let file = servers.folder().join("clusters.json");
    std::fs::write(&file, list).expect("the folder is writable");
    let mut command = Command::new(servers.binaries().join("kubectl"));
    command
        .env_clear()
        .env("HOME", servers.folder())
        .env("KUBECONFIG", kubeconfig)
        .args(["apply", "--server-side", "-f"])
        .arg(file);
    measured(command, servers.folder()).await
}

/// Writes the files of a fleet, of which the first `changed` clusters have more replicas.
fn write_fleet(program: &Program, namespace: &str, size: Size, changed: usize) {
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: bench}}\nspec: {{id: {namespace}}}\n"
    );
    std::fs::write(program.folder().join("fleet.yaml"), fleet).expect("the folder is writable");
    let indices: Vec<usize> = (0..size.count).collect();
    for (number, some) in indices.chunks(FILE_CLUSTERS).enumerate() {
        let clusters: String = some
            .iter()
            .map(|&index| {
                let replicas = if index < changed { 3 } else { 1 };
                format!("---\n{}\n", cluster(namespace, index, size.spec, replicas))
            })
            .collect();
        let path = program.folder().join(format!("clusters-{number:03}.yaml"));
        std::fs::write(path, clusters).expect("the folder is writable");
    }
}

async fn apply(program: &Program, namespace: &str) -> Cost {
    let arguments = [
        "apply",
        "-y",
        "-q",
        "--first-apply",
        "--parent-namespace",
        namespace,
    ];
    measured(program.command(&arguments), program.folder()).await
}

async fn measured(command: Command, folder: &Path) -> Cost {
    let folder = folder.to_owned();
    let cost = tokio::task::spawn_blocking(move || measure::run(command, &folder)).await;
    let cost = cost.expect("measuring does not panic");
    assert_eq!(cost.code, 0, "{}{}", cost.stdout, cost.stderr);
    Cost {
        seconds: cost.seconds,
        cpu_seconds: cost.cpu_seconds,
        peak_mebibytes: Some(cost.peak_mebibytes),
    }
}
