//! Upgrading restarts nothing: clusters as the previous release left them, under this build.
//!
//! `tests/golden/previous-build/clusters.yaml` says which clusters. `DUMP_PREVIOUS_BUILD=1 cargo test --test it
//! previous_build` makes them with the build at hand and writes what there is of them to `objects.jsonl` beside it:
//! that is done at a release, before anything of the next one is built. At all other times the objects of that file
//! are put on real servers (with new uids, and times moved to now), their pods become ready, and this build's operator
//! finds them: it must write nothing and restart nothing.

mod dump;
mod fleet;
mod load;
mod packing;

pub use dump::KINDS;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::operator::Bench;
use crate::support::kubelet::Policy;
use crate::support::{Options, Servers, eventually};

const FOLDER: &str = "tests/golden/previous-build";
/// Part of what is in certificates and pins, so it cannot be another one every time.
const NAMESPACE: &str = "tenant-7";
/// Address of the only Node, for the same reason.
const NODE: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
/// Who listens here has the addresses in 127.77/16: test processes beside this one wait.
const TURN: u16 = 29_977;
/// For fifty clusters on a busy machine.
const LONG: Duration = Duration::from_secs(240);

/// One entry of `clusters.yaml`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    spec: Value,
    then: Option<Value>,
    #[serde(default)]
    labels: Value,
    #[serde(default)]
    annotations: Value,
    load_balancer: Option<Ipv4Addr>,
}

/// The first line of `objects.jsonl`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    dumped_at: Timestamp,
    /// Values that occur more than once, which objects name by their number.
    shared: Vec<Value>,
}

/// Every other line of it: a cluster, and everything that the operator made for it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dumped {
    name: String,
    cluster: Value,
    children: Vec<Value>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FOLDER)
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(folder().join("clusters.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// Servers with nothing on them but what pods of these clusters name.
async fn surroundings(servers: &Servers) -> Bench<'_> {
    let client = servers.client().await;
    for object in [
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "control-planes"}, "value": 1000}),
        json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "sandboxed"}, "handler": "runsc"}),
    ] {
        api_of(&client, &object, None)
            .create(&Default::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
    }
    let namespace = servers.namespace_named(NAMESPACE).await;
    Bench::of(servers, namespace, NODE, Policy::Ready).await
}

/// Returns the API for an object of any kind.
pub fn api_of(client: &kube::Client, object: &Value, namespace: Option<&str>) -> Api<DynamicObject> {
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        group,
        version,
        object["kind"].as_str().unwrap(),
    ));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    }
}

/// Waits until no other process uses the addresses of these clusters.
async fn turn() -> tokio::net::TcpListener {
    eventually("no other process runs this test", LONG, async || {
        tokio::net::TcpListener::bind((NODE, TURN)).await
    })
    .await
}

#[tokio::test]
async fn clusters_of_the_previous_build_are_neither_written_nor_restarted() {
    let _turn = turn().await;
    if std::env::var_os("DUMP_PREVIOUS_BUILD").is_some_and(|value| value == "1") {
        return dump::write().await;
    }
    let servers = Servers::start(Options::default()).await;
    let bench = surroundings(&servers).await;
    let names = load::everything(&bench).await;
    assert_eq!(
        names,
        cases().into_iter().map(|case| case.name).collect::<Vec<_>>(),
        "another list of clusters needs another dump"
    );
    let before = bench.pods().await;
    let _controller = bench.take_over(&names).await;
    let after = bench.pods().await;
    assert!(
        before.iter().all(|pod| after.contains(pod)),
        "{before:?}\n{after:?}"
    );
}
