//! Ceilings, and fields that have no effect yet.

use k0smotron_fleet::api::FleetSyncStatus;
use k0smotron_fleet::load::git::FileSources;
use serde_json::json;

use super::{Bench, cluster_yaml, is_stalled, message, ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_above_the_ceiling_waits_and_is_counted() {
    let mut bench = Bench::new("sync-impact").await;
    bench.repository.write(
        "a.yaml",
        &bench.cluster_yaml("berlin", "{replicas: 1, version: v1.35.1}"),
    );
    let first = bench.repository.commit();
    bench.sync("platform", json!({ "maxImpact": "None" })).await;
    let _controller = bench.controller().await;
    let status = bench.ready("platform", "Pending").await;
    assert_eq!(status.pending.as_ref().unwrap().entries, 1);
    assert_eq!(status.pending.as_ref().unwrap().revision, first);
    assert_eq!(status.last_applied_revision, None);
    assert!(bench.clusters().await.is_empty(), "None only plans");

    bench.sync("platform", json!({ "maxImpact": "Safe" })).await;
    bench.applied("platform", &first).await;
    assert_eq!(bench.status("platform").await.pending, None);

    // What the pods are cannot be read any more, so what the change does is unknown: that is never safe.
    bench.clusters_only("short-sighted").await;
    bench
        .sync(
            "platform",
            json!({ "serviceAccountName": "short-sighted", "maxImpact": "Rolling" }),
        )
        .await;
    bench.repository.write(
        "a.yaml",
        &bench.cluster_yaml("berlin", "{replicas: 3, version: v1.35.1}"),
    );
    let second = bench.repository.commit();
    let status = bench.attempted("platform", &second).await;
    assert_eq!(ready(&status), ("False", "Pending"), "{status:?}");
    let pending = status.pending.as_ref().unwrap();
    assert_eq!((pending.entries, &pending.revision), (1, &second));
    assert!(message(&status).contains("berlin"), "{}", message(&status));
    assert_eq!(bench.clusters().await, [("berlin".into(), Some(1))]);

    bench
        .sync(
            "platform",
            json!({ "serviceAccountName": "short-sighted", "maxImpact": "Disruptive" }),
        )
        .await;
    bench
        .status_that("platform", "it is applied", |status| ready(status).1 == "Applied")
        .await;
    assert_eq!(bench.clusters().await, [("berlin".into(), Some(3))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_and_fleets_outside_the_limits_are_refused() {
    let mut bench = Bench::new("sync-limits").await;
    let other = bench.servers.namespace("sync-outside").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    bench
        .repository
        .write("b.yaml", &cluster_yaml(&other.name, "oslo", "null"));
    let commit = bench.repository.commit();
    bench
        .sync(
            "platform",
            json!({ "limits": { "namespaces": [bench.namespace.name] } }),
        )
        .await;
    let _controller = bench.controller().await;
    let status = bench.attempted("platform", &commit).await;
    assert_eq!(ready(&status), ("False", "Held"), "{status:?}");
    assert!(
        message(&status).contains("spec.limits.namespaces"),
        "{}",
        message(&status)
    );
    assert_eq!(bench.clusters().await.len(), 1);

    bench
        .sync("platform", json!({ "limits": { "fleetId": "another" } }))
        .await;
    let status = bench.ready("platform", "OtherFleet").await;
    assert!(is_stalled(&status));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_effect_yet_stalls_and_local_repositories_need_permission() {
    let mut bench = Bench::new("sync-unsupported").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    bench.repository.commit();
    let fields = json!({ "source": { "git": { "secretRef": { "name": "git" } } }, "limits": { "deletions": "Omission" } });
    bench.sync("platform", fields).await;
    bench.sync("local", json!({})).await;
    let _controller = bench.controller_with(FileSources::Refused).await;
    let status = bench.ready("platform", "NotSupported").await;
    assert!(is_stalled(&status));
    for field in ["secretRef", "limits.deletions"] {
        assert!(message(&status).contains(field), "{}", message(&status));
    }
    let status = bench.ready("local", "InvalidSource").await;
    assert!(
        message(&status).contains("--allow-file-sources"),
        "{}",
        message(&status)
    );
    assert!(bench.clusters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_sync_does_nothing_and_a_request_is_answered_at_once() {
    let mut bench = Bench::new("sync-suspend").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    let first = bench.repository.commit();
    let hourly = |suspend: bool| json!({ "interval": "1h", "suspend": suspend });
    bench.sync("platform", hourly(true)).await;
    let _controller = bench.controller().await;
    bench.ready("platform", "Suspended").await;
    assert!(bench.clusters().await.is_empty());
    bench.sync("platform", hourly(false)).await;
    bench.applied("platform", &first).await;

    bench
        .repository
        .write("b.yaml", &bench.cluster_yaml("oslo", "null"));
    let second = bench.repository.commit();
    bench.request("platform", "now").await;
    let status = bench.applied("platform", &second).await;
    let answered = |status: &FleetSyncStatus| status.last_handled_request.as_deref() == Some("now");
    assert!(answered(&status), "{status:?}");
}
