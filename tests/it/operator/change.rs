//! What changes a running control plane, and above all what does not.

use k0smotron_fleet::api::labels;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bench, SOON, settings};
use crate::support::audit;
use crate::support::{Options, Servers, eventually, hosting, kubelet};

/// Everything that must be the same afterwards: pods, keys, ports and addresses.
#[derive(Debug, PartialEq)]
struct Standing {
    pods: Vec<String>,
    secrets: Vec<(String, Vec<u8>)>,
    endpoint: Value,
    revisions: Vec<String>,
}

async fn standing(bench: &Bench<'_>, name: &str) -> Standing {
    let mut secrets = Vec::new();
    for (suffix, key) in [
        ("ca", "tls.key"),
        ("proxy", "tls.key"),
        ("sa", "tls.key"),
        ("etcd", "tls.key"),
        ("etcd-server", "tls.crt"),
        ("etcd-peer", "tls.crt"),
        ("apiserver-etcd-client", "tls.crt"),
        ("kubeconfig", "value"),
    ] {
        secrets.push((
            suffix.to_owned(),
            bench.secret(&format!("{name}-{suffix}"), key).await,
        ));
    }
    let status = bench.cluster(name).await.status.unwrap_or_default();
    Standing {
        pods: bench.pods().await,
        secrets,
        endpoint: json!(status.endpoint),
        revisions: vec![
            bench.revision(&format!("kmc-{name}")).await,
            bench.revision(&format!("kmc-{name}-etcd")).await,
        ],
    }
}

#[tokio::test]
async fn another_version_rolls_the_control_plane_and_not_etcd() {
    let (bench, _controller) = Bench::with_cluster(
        "change",
        "edge-berlin",
        json!({ "version": "v1.35.1+k0s.0", "replicas": 3 }),
    )
    .await;
    let before = standing(&bench, "edge-berlin").await;

    bench
        .apply(
            "edge-berlin",
            json!({ "version": "v1.36.3+k0s.2", "replicas": 3 }),
        )
        .await;
    let status = eventually("the new version runs", SOON, async || {
        let status = bench.cluster("edge-berlin").await.status.unwrap_or_default();
        if status.version.as_deref() == Some("v1.36.3+k0s.2") {
            Ok(status)
        } else {
            Err(json!(status).to_string())
        }
    })
    .await;
    assert_eq!(status.updated_replicas, Some(3));
    let after = standing(&bench, "edge-berlin").await;
    assert_ne!(after.revisions[0], before.revisions[0]);
    assert_eq!(after.revisions[1], before.revisions[1]);
    let of_etcd = |pods: &[String]| {
        pods.iter()
            .filter(|pod| pod.contains("-etcd-"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of_etcd(&after.pods), of_etcd(&before.pods));
    assert!(
        after
            .pods
            .iter()
            .all(|pod| pod.contains("-etcd-") || !before.pods.contains(pod))
    );
    assert_eq!(after.secrets, before.secrets);
    assert_eq!(after.endpoint, before.endpoint);
}

/// A StatefulSet controller that makes a pod of the old revision deletes it at once, and may do so for ever.
#[rstest]
#[case::of_three(3, 2)]
#[case::of_two(2, 1)]
#[tokio::test]
async fn fewer_replicas_of_another_version_delete_each_pod_once(#[case] before: i32, #[case] after: i32) {
    let of = |version: &str, replicas: i32| json!({ "version": version, "replicas": replicas });
    let (bench, _controller) =
        Bench::with_cluster("change", "edge-berlin", of("v1.35.1+k0s.0", before)).await;
    let mark = bench.mark().await;
    bench.apply("edge-berlin", of("v1.36.3+k0s.2", after)).await;
    eventually("the pods of the new version run", SOON, async || {
        let status = bench.cluster("edge-berlin").await.status.unwrap_or_default();
        let is_new = status.version.as_deref() == Some("v1.36.3+k0s.2");
        if is_new && [status.updated_replicas, status.ready_replicas] == [Some(after); 2] {
            Ok(())
        } else {
            Err(json!(status).to_string())
        }
    })
    .await;
    let requests = bench.servers.audit.since(&bench.client, mark).await;
    let requests = audit::within(requests, &bench.namespace.name);
    let mut deleted: Vec<String> = requests
        .into_iter()
        .filter(|event| event.resource == "pods" && event.verb == "delete" && event.code == 200)
        .map(|event| event.name)
        .collect();
    deleted.sort_unstable();
    let pods: Vec<String> = (0..before).map(|pod| format!("kmc-edge-berlin-{pod}")).collect();
    assert_eq!(deleted, pods);
}

#[tokio::test]
async fn a_label_of_the_cluster_rolls_nothing() {
    let (bench, _controller) = Bench::with_cluster("change", "edge-berlin", Value::Null).await;
    bench.quiet(bench.mark().await).await;
    let before = standing(&bench, "edge-berlin").await;
    let mark = bench.mark().await;
    bench
        .merge(
            "edge-berlin",
            json!({ "metadata": { "labels": { "tier": "gold" } } }),
        )
        .await;
    bench.assert_no_write(mark, "a label").await;
    assert_eq!(standing(&bench, "edge-berlin").await, before);
}

#[tokio::test]
async fn another_renderer_revision_rolls_nothing_and_is_held() {
    let (bench, controller) = Bench::with_cluster("change", "edge-berlin", Value::Null).await;
    let before = standing(&bench, "edge-berlin").await;
    controller.end().await;

    let mut newer = settings();
    newer.renderer_revision += 1;
    let mark = bench.mark().await;
    let _controller = bench.controller_with(newer).await;
    eventually("the revision is held", SOON, async || {
        let status = bench.cluster("edge-berlin").await.status.unwrap_or_default();
        let is_held = status.held.iter().any(|held| held.reason == "RendererRevision");
        if is_held {
            Ok(())
        } else {
            Err(json!(status).to_string())
        }
    })
    .await;
    bench.quiet(mark).await;
    bench.until_ready("edge-berlin").await;
    assert_eq!(standing(&bench, "edge-berlin").await, before);
}

#[tokio::test]
async fn a_node_that_disappears_changes_no_address_and_rolls_nothing() {
    // Nodes belong to no namespace, so this needs servers of its own.
    let servers = Servers::start(Options::default()).await;
    let bench = Bench::on(&servers, "node", kubelet::Policy::Ready).await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    bench.until_ready("edge-berlin").await;
    let before = standing(&bench, "edge-berlin").await;

    let nodes: Api<Node> = Api::all(bench.client.clone());
    hosting::node(&bench.client, "node-0", "127.0.0.9".parse().unwrap()).await;
    nodes.delete("node-1", &DeleteParams::default()).await.unwrap();
    eventually("the other address is held", SOON, async || {
        let status = bench.cluster("edge-berlin").await.status.unwrap_or_default();
        let is_held = status.held.iter().any(|held| held.reason == "AddressChanged");
        if is_held {
            Ok(())
        } else {
            Err(json!(status).to_string())
        }
    })
    .await;
    bench.quiet(bench.mark().await).await;
    assert_eq!(standing(&bench, "edge-berlin").await, before);
}

#[tokio::test]
async fn a_wiped_status_is_written_again_and_rolls_nothing() {
    let (bench, controller) = Bench::with_cluster("change", "edge-berlin", json!({ "replicas": 3 })).await;
    bench.quiet(bench.mark().await).await;
    let before = standing(&bench, "edge-berlin").await;
    let status = bench.cluster("edge-berlin").await.status.unwrap();
    controller.end().await;

    let nothing = json!({ "status": null });
    let how = PatchParams::default();
    bench
        .clusters()
        .patch_status("edge-berlin", &how, &Patch::Merge(nothing))
        .await
        .unwrap();
    let _controller = bench.controller().await;
    let again = bench.until_ready("edge-berlin").await.status.unwrap();
    bench.quiet(bench.mark().await).await;
    assert_eq!(standing(&bench, "edge-berlin").await, before);
    assert_eq!(
        (again.pins, again.version, again.endpoint),
        (status.pins, status.version, status.endpoint)
    );
}

/// Takes everything out of the cluster and puts it back as a backup tool does: other uids, no status.
async fn restore(bench: &Bench<'_>, name: &str, owners: Owners) {
    const KINDS: &str =
        "statefulsets,services,secrets,configmaps,poddisruptionbudgets,persistentvolumeclaims";
    let namespace = ["-n", &bench.namespace.name];
    let selector = format!("{}={}", labels::APP_MANAGED_BY, labels::APP_MANAGED_BY_VALUE);
    let get = [&["get", KINDS, "-l", &selector, "-o", "json"], &namespace[..]].concat();
    let children = bench.servers.kubectl(&get).await.success();
    let get = [&["get", "k0c", name, "-o", "json"], &namespace[..]].concat();
    let cluster = bench.servers.kubectl(&get).await.success();

    let mut objects: Vec<Value> = vec![serde_json::from_str(&cluster).unwrap()];
    let children: Value = serde_json::from_str(&children).unwrap();
    objects.extend(children["items"].as_array().unwrap().iter().cloned());
    for object in &mut objects {
        let fields = object.as_object_mut().unwrap();
        fields.remove("status");
        let metadata = fields["metadata"].as_object_mut().unwrap();
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "generation",
        ] {
            metadata.remove(field);
        }
        if owners == Owners::Dropped {
            metadata.remove("ownerReferences");
        }
    }

    bench
        .merge(name, json!({ "metadata": { "finalizers": null } }))
        .await;
    let delete = [&["delete", "k0c", name, owners.cascade()], &namespace[..]].concat();
    bench.servers.kubectl(&delete).await.success();
    let delete = [
        &["delete", KINDS, "-l", &selector, owners.cascade(), "--wait=false"],
        &namespace[..],
    ]
    .concat();
    bench.servers.kubectl(&delete).await.success();
    let unprotect = json!({ "metadata": { "finalizers": null } });
    for child in children["items"].as_array().unwrap() {
        if child["kind"] == "PersistentVolumeClaim" {
            let claims = bench.api::<k8s_openapi::api::core::v1::PersistentVolumeClaim>();
            let name = child["metadata"]["name"].as_str().unwrap();
            // It may be gone before its finalizer is.
            let _ = claims
                .patch(name, &PatchParams::default(), &Patch::Merge(&unprotect))
                .await;
        }
    }
    eventually("everything is gone", SOON, async || {
        let left = bench.children().await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    })
    .await;
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let create = [&["create", "-f", "-"], &namespace[..]].concat();
    let kubeconfig = bench.servers.kubeconfig();
    bench
        .servers
        .kubectl_with(&kubeconfig, &create, &list.to_string())
        .await
        .success();
}

/// What the backup tool does with owner references.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owners {
    Dropped,
    Kept,
}

impl Owners {
    /// How the objects are deleted: orphaned, so that pods stay; without a garbage collector nothing else goes anyway,
    /// and nobody would ever take the mark of an orphan away.
    fn cascade(self) -> &'static str {
        match self {
            Self::Dropped => "--cascade=orphan",
            Self::Kept => "--cascade=background",
        }
    }
}

async fn until_owned(bench: &Bench<'_>, name: &str) {
    let uid = bench.cluster(name).await.metadata.uid.unwrap();
    let selector = format!("{}={}", labels::APP_MANAGED_BY, labels::APP_MANAGED_BY_VALUE);
    eventually("everything names the new cluster object", SOON, async || {
        let get = [
            "get",
            "statefulsets,services,secrets,configmaps,poddisruptionbudgets",
            "-l",
            &selector,
            "-o",
            "json",
            "-n",
            &bench.namespace.name,
        ];
        let list: Value = serde_json::from_str(&bench.servers.kubectl(&get).await.success()).unwrap();
        let others: Vec<String> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|object| {
                let owner = object.pointer("/metadata/ownerReferences/0/uid");
                let label = object["metadata"]["labels"].get(labels::CLUSTER_UID);
                owner.or(label) != Some(&json!(uid))
            })
            .map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"]))
            .collect();
        let pins = bench
            .cluster(name)
            .await
            .status
            .and_then(|status| status.pins)
            .unwrap_or_default();
        if others.is_empty() && pins.cluster_uid.as_deref() == Some(uid.as_str()) {
            Ok(())
        } else {
            Err(format!("{others:?} {pins:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_restored_backup_is_taken_back_and_rolls_nothing() {
    let (bench, controller) = Bench::with_cluster("restore", "edge-berlin", json!({ "replicas": 3 })).await;
    bench.quiet(bench.mark().await).await;
    let before = standing(&bench, "edge-berlin").await;
    controller.end().await;

    restore(&bench, "edge-berlin", Owners::Dropped).await;
    let _controller = bench.controller().await;
    bench.until_ready("edge-berlin").await;
    until_owned(&bench, "edge-berlin").await;
    bench.quiet(bench.mark().await).await;
    let after = standing(&bench, "edge-berlin").await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn owner_references_of_a_restored_backup_are_rewritten() {
    // With the garbage collector of a real cluster this is a race that the restore loses or wins.
    let servers = Servers::start(Options {
        without_controllers: true,
        ..Options::default()
    })
    .await;
    let bench = Bench::on(&servers, "restore", kubelet::Policy::Ready).await;
    let controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    bench
        .until("edge-berlin", "KubeconfigReady", "True", "Current")
        .await;
    bench.quiet(bench.mark().await).await;
    let before = standing(&bench, "edge-berlin").await;
    controller.end().await;

    restore(&bench, "edge-berlin", Owners::Kept).await;
    let _controller = bench.controller().await;
    until_owned(&bench, "edge-berlin").await;
    bench.quiet(bench.mark().await).await;
    assert_eq!(standing(&bench, "edge-berlin").await, before);
}
