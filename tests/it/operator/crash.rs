//! The program is killed before and after each of its first writes for a new cluster, and started again.

use std::sync::Arc;
use std::time::Duration;

use k0smotron_fleet::client::USER_AGENT;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::cli::{controller, program};
use crate::support::{Action, Proxy, Rule, eventually};

/// Keys and certificates of one control plane.
const COMPLETE: [&str; 8] = [
    "apiserver-etcd-client",
    "ca",
    "etcd",
    "etcd-peer",
    "etcd-server",
    "kubeconfig",
    "proxy",
    "sa",
];

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The server never saw the write.
    Before,
    /// The server did it, and the program never heard of it.
    After,
}

/// Kills the program at the nth write that concerns the namespace, starts it again, and waits until all is well.
async fn survives(nth: usize, moment: Moment) {
    let bench = Bench::new("crash").await;
    let proxy = Proxy::start(bench.servers).await;
    // It has nothing to write before there is a cluster.
    let process = controller(&program(), proxy.kubeconfig(), &bench.namespace.name, &[]);
    let process = Arc::new(process);
    let kill = {
        let process = Arc::clone(&process);
        Arc::new(move || process.kill())
    };
    let action = match moment {
        Moment::Before => Action::Before(kill),
        Moment::After => Action::After(kill),
    };
    let namespace = format!("/namespaces/{}/", bench.namespace.name);
    proxy.add(
        Rule::new(action)
            .writes()
            .agent(USER_AGENT)
            .path(&namespace)
            .nth(nth),
    );

    bench.apply("edge-berlin", json!({ "replicas": 3 })).await;
    let mut seen = Vec::new();
    eventually(&format!("killed {moment:?} write {nth}"), SOON, async || {
        for secret in bench
            .api::<Secret>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
        {
            seen.push((secret.metadata.name.unwrap(), secret.metadata.uid.unwrap()));
        }
        process.ended().is_some().then_some(())
    })
    .await;
    process.restart();
    let cluster = bench.until_ready("edge-berlin").await;

    // One CA, a complete set, and nothing made twice: what had been there is still the same object.
    let secrets = bench
        .api::<Secret>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let mut names: Vec<String> = secrets
        .iter()
        .filter_map(|secret| {
            secret
                .metadata
                .name
                .clone()?
                .strip_prefix("edge-berlin-")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    assert_eq!(names, COMPLETE, "{moment:?} write {nth}");
    for (name, uid) in seen {
        let live = secrets
            .iter()
            .find(|secret| secret.metadata.name.as_deref() == Some(&name))
            .unwrap();
        assert_eq!(
            live.metadata.uid.as_deref(),
            Some(uid.as_str()),
            "{name} was made anew ({moment:?} write {nth})"
        );
    }
    let annotation = |name: &str, key: &str| {
        let secret = secrets
            .iter()
            .find(|secret| secret.metadata.name.as_deref() == Some(name))
            .unwrap();
        secret
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(key).cloned())
    };
    use k0smotron_fleet::api::labels::{FINGERPRINT, ISSUER};
    for (leaf, authority) in [
        ("kubeconfig", "ca"),
        ("etcd-peer", "etcd"),
        ("etcd-server", "etcd"),
        ("apiserver-etcd-client", "etcd"),
    ] {
        let signed_by = annotation(&format!("edge-berlin-{leaf}"), ISSUER);
        assert!(signed_by.is_some());
        assert_eq!(
            signed_by,
            annotation(&format!("edge-berlin-{authority}"), FINGERPRINT),
            "{leaf}"
        );
    }
    assert_eq!(
        cluster.status.unwrap().ca_fingerprint,
        annotation("edge-berlin-ca", FINGERPRINT)
    );
    process.terminate(Duration::from_secs(5));
}

/// Runs the cases two at a time: each has a program of its own, and the machine few cores.
async fn survive_all(moment: Moment) {
    use futures::StreamExt as _;
    futures::stream::iter(1..=15)
        .map(|nth| survives(nth, moment))
        .buffer_unordered(3)
        .collect::<Vec<()>>()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_any_of_its_first_15_writes_it_converges_with_one_ca() {
    survive_all(Moment::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_of_its_first_15_writes_it_converges_with_one_ca() {
    survive_all(Moment::After).await;
}

#[tokio::test]
async fn a_list_that_is_refused_deletes_nothing_and_holds_everything_up() {
    let (bench, running) = Bench::with_cluster("refused", "edge-berlin", Value::Null).await;
    running.end().await;
    let before = bench.children().await;

    let proxy = Proxy::start(bench.servers).await;
    let refused = Action::answer(403, "Forbidden");
    proxy.add(
        Rule::new(refused)
            .agent(USER_AGENT)
            .method(http::Method::GET)
            .path("/statefulsets"),
    );
    let mark = bench.mark().await;
    let process = controller(&program(), proxy.kubeconfig(), &bench.namespace.name, &[]);
    bench.apply("edge-berlin", json!({ "replicas": 3 })).await;
    eventually("it says what it may not", SOON, async || {
        let log = process.log();
        if log.contains("statefulsets") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    bench
        .assert_no_write(mark, "without the StatefulSets nothing is known")
        .await;

    proxy.clear();
    bench.until_ready("edge-berlin").await;
    let after = bench.children().await;
    assert!(
        before.iter().all(|child| after.contains(child)),
        "{before:#?}\n{after:#?}"
    );
    process.terminate(Duration::from_secs(5));
}
