//! What stays and what goes when a cluster, or the kind itself, is deleted.

use k0smotron_fleet::api::labels;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::support::kubelet::Policy;
use crate::support::{Options, Servers, crds, eventually};

async fn claims(bench: &Bench<'_>) -> Vec<String> {
    let claims = bench
        .api::<PersistentVolumeClaim>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    claims
        .into_iter()
        .map(|claim| format!("{} {}", claim.metadata.name.unwrap(), claim.metadata.uid.unwrap()))
        .collect()
}

async fn root_keys(bench: &Bench<'_>, name: &str) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for suffix in ["ca", "proxy", "sa", "etcd"] {
        keys.push(bench.secret(&format!("{name}-{suffix}"), "tls.key").await);
    }
    keys
}

#[tokio::test]
async fn a_cluster_made_again_after_retain_has_the_same_keys_and_volumes() {
    let bench = Bench::new("retain").await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    let first = bench.until_ready("edge-berlin").await;
    let (keys, volumes) = (root_keys(&bench, "edge-berlin").await, claims(&bench).await);
    assert!(!volumes.is_empty());

    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    for suffix in ["ca", "proxy", "sa", "etcd"] {
        let secret = bench
            .api::<Secret>()
            .get(&format!("edge-berlin-{suffix}"))
            .await
            .unwrap();
        let labels = secret.metadata.labels.unwrap();
        assert_eq!(
            labels.get(labels::RETAINED).map(String::as_str),
            Some("true"),
            "{suffix}"
        );
        assert_eq!(secret.metadata.owner_references, None, "{suffix}");
    }
    eventually("only what stays is left", SOON, async || {
        let left = bench.children().await;
        if left.len() == 4 + volumes.len() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    })
    .await;

    bench.apply("edge-berlin", Value::Null).await;
    let second = bench.until_ready("edge-berlin").await;
    assert_ne!(second.metadata.uid, first.metadata.uid);
    assert_eq!(root_keys(&bench, "edge-berlin").await, keys);
    assert_eq!(claims(&bench).await, volumes);
    let (first, second) = (first.status.unwrap(), second.status.unwrap());
    assert_eq!(first.ca_fingerprint, second.ca_fingerprint);
    let pinned = |status: &k0smotron_fleet::api::ClusterStatus| status.pins.clone().unwrap().cluster_uid;
    eventually(
        "the pins name the new cluster, and nothing is marked any more",
        SOON,
        async || {
            let marked = ListParams::default().labels(labels::RETAINED);
            let secrets = bench.api::<Secret>().list(&marked).await.unwrap().items.len();
            let claims = bench
                .api::<PersistentVolumeClaim>()
                .list(&marked)
                .await
                .unwrap()
                .items
                .len();
            let cluster = bench.cluster("edge-berlin").await;
            let is_pinned = pinned(&cluster.status.unwrap()) == cluster.metadata.uid;
            if (secrets, claims, is_pinned) == (0, 0, true) {
                Ok(())
            } else {
                Err(format!("{secrets} {claims} {is_pinned}"))
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_cluster_made_again_at_once_has_the_same_keys() {
    let (bench, _controller) = Bench::with_cluster("retain", "edge-berlin", Value::Null).await;
    let keys = root_keys(&bench, "edge-berlin").await;
    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    // The garbage collector is still at work.
    bench.apply("edge-berlin", Value::Null).await;
    bench.until_ready("edge-berlin").await;
    assert_eq!(root_keys(&bench, "edge-berlin").await, keys);
}

#[tokio::test]
async fn delete_leaves_nothing() {
    let bench = Bench::new("delete").await;
    let _controller = bench.controller().await;
    bench
        .apply(
            "edge-berlin",
            json!({ "deletionPolicy": "Delete", "replicas": 3 }),
        )
        .await;
    bench.apply("edge-munich", Value::Null).await;
    bench.until_ready("edge-berlin").await;
    bench.until_ready("edge-munich").await;
    let keys = root_keys(&bench, "edge-munich").await;
    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    eventually("nothing is left", SOON, async || {
        let left: Vec<String> = bench
            .children()
            .await
            .into_iter()
            .filter(|name| name.contains("edge-berlin"))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    })
    .await;
    assert_eq!(
        root_keys(&bench, "edge-munich").await,
        keys,
        "the neighbour keeps its own"
    );
    bench.until_ready("edge-munich").await;
}

#[tokio::test]
async fn finalizers_of_others_are_left_in_place() {
    let (bench, _controller) = Bench::with_cluster("delete", "edge-berlin", Value::Null).await;
    let both = json!({ "metadata": { "finalizers": [labels::FINALIZER, "example.com/backup"] } });
    bench.merge("edge-berlin", both).await;
    bench.delete("edge-berlin").await;
    eventually("ours is gone and theirs is not", SOON, async || {
        let finalizers = bench
            .cluster("edge-berlin")
            .await
            .metadata
            .finalizers
            .unwrap_or_default();
        if finalizers == ["example.com/backup"] {
            Ok(())
        } else {
            Err(finalizers.join(" "))
        }
    })
    .await;
    bench
        .merge("edge-berlin", json!({ "metadata": { "finalizers": null } }))
        .await;
    bench.until_gone("edge-berlin").await;
}

#[tokio::test]
async fn deleting_the_definition_deletes_no_key_and_no_volume() {
    // The definition belongs to no namespace, so this needs servers of its own.
    let servers = Servers::start(Options::default()).await;
    let bench = Bench::on(&servers, "definition", Policy::Ready).await;
    let controller = bench.controller().await;
    bench
        .apply("edge-berlin", json!({ "deletionPolicy": "Delete" }))
        .await;
    bench.until_ready("edge-berlin").await;
    let (keys, volumes) = (root_keys(&bench, "edge-berlin").await, claims(&bench).await);

    let definitions: Api<CustomResourceDefinition> = Api::all(bench.client.clone());
    let name = "k0smotronclusters.k0smotron.io";
    definitions.delete(name, &DeleteParams::default()).await.unwrap();
    eventually("the definition is gone", SOON, async || {
        let left = definitions.get_opt(name).await.ok()?;
        left.is_none().then_some(())
    })
    .await;
    assert_eq!(root_keys(&bench, "edge-berlin").await, keys);
    assert_eq!(claims(&bench).await, volumes);

    // And a cluster of that name takes them back.
    controller.end().await;
    crds::install(&bench.client).await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    bench.until_ready("edge-berlin").await;
    assert_eq!(root_keys(&bench, "edge-berlin").await, keys);
    assert_eq!(claims(&bench).await, volumes);
}

#[tokio::test]
async fn what_a_cluster_left_behind_is_shown_and_goes_only_when_it_is_named() {
    let bench = Bench::new("purge").await;
    let controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    bench.until_ready("edge-berlin").await;
    let volumes = claims(&bench).await.len();
    let program = crate::cli::program().kubeconfig(&bench.servers.kubeconfig());
    let namespace = bench.namespace.name.as_str();
    let name = format!("{namespace}/edge-berlin");
    let output = program.run(&["purge", "-y", &name]).await;
    assert_eq!(
        output.stdout,
        format!("{name} has left nothing behind\n"),
        "it lives"
    );

    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    let left = format!("{name}  4 keys, {volumes} volume");
    eventually("status shows it", SOON, async || {
        let output = program.run(&["status", "-A", "-n", namespace]).await;
        if output.stdout.contains(&left) {
            Ok(())
        } else {
            Err(output.stdout)
        }
    })
    .await;
    let output = program.run(&["purge", &name]).await;
    assert_eq!(output.code, 4, "nobody can be asked: {}", output.stdout);
    assert_eq!(claims(&bench).await.len(), volumes);
    controller.end().await;
    // Of that name and not reconciled yet: what is marked is about to be its own.
    bench.apply("edge-berlin", Value::Null).await;
    let output = program.run(&["purge", "-y", &name]).await;
    assert_eq!(output.code, 4, "{}", output.stdout);
    assert!(output.stderr.contains("lives"), "{}", output.stderr);
    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    let output = program.run(&["purge", "-y", &name]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let gone = eventually("it is gone", SOON, async || {
        claims(&bench).await.is_empty().then_some(())
    });
    gone.await;
    assert_eq!(bench.children().await, [""; 0]);
}
