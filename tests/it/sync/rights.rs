//! A sync may do what its account may, and not more.

use serde_json::json;

use super::{ACCOUNT, Bench, cluster_yaml, message, ready};
use crate::support::{audit, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_rights_writes_nothing_and_the_status_says_why() {
    let mut bench = Bench::new("sync-no-rights").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    bench.repository.commit();
    bench.account("blind", &["watch"]).await;
    bench.account("reader", &["get", "list"]).await;
    bench
        .sync("blind", json!({ "serviceAccountName": "blind" }))
        .await;
    let _controller = bench.controller().await;

    let status = bench.ready("blind", "Forbidden").await;
    let account = format!("system:serviceaccount:{}:blind", bench.namespace.name);
    assert!(message(&status).contains(&account), "{}", message(&status));

    bench
        .sync("blind", json!({ "serviceAccountName": "reader" }))
        .await;
    let says = |status: &k0smotron_fleet::api::FleetSyncStatus| message(status).contains("K0smotronCluster");
    let status = bench.status_that("blind", "the write is refused", says).await;
    assert_eq!(ready(&status), ("False", "Forbidden"), "{status:?}");
    assert_eq!(status.last_applied_revision, None);
    assert!(bench.clusters().await.is_empty());

    // Nothing but rights was missing, and nobody need tell it that they came.
    bench
        .sync("blind", json!({ "serviceAccountName": ACCOUNT }))
        .await;
    bench.ready("blind", "Applied").await;
    assert_eq!(bench.clusters().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_the_namespace_of_another_team_is_not_written() {
    let mut bench = Bench::new("sync-other-team").await;
    let other = bench.servers.namespace("sync-victim").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    bench
        .repository
        .write("b.yaml", &cluster_yaml(&other.name, "oslo", "null"));
    let commit = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let _controller = bench.controller().await;
    let status = bench.attempted("platform", &commit).await;
    assert_eq!(status.conditions[0].status, "False", "{status:?}");
    assert!(message(&status).contains(&other.name), "{}", message(&status));
    assert_eq!(bench.clusters().await.len(), 1, "its own goes on");
    let events = bench
        .servers
        .audit
        .since(&bench.client, audit::Mark::BEGINNING)
        .await;
    let written = audit::within(events, &other.name)
        .into_iter()
        .filter(|event| event.resource == "k0smotronclusters" && event.is_write() && event.code < 300);
    assert_eq!(written.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_syncs_of_one_fleet_the_younger_waits_until_the_older_is_gone() {
    let mut bench = Bench::new("sync-two").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    let commit = bench.repository.commit();
    bench.sync("old", json!({})).await;
    let created = bench
        .api::<k0smotron_fleet::api::FleetSync>()
        .get("old")
        .await
        .unwrap();
    let second = created.metadata.creation_timestamp.unwrap().0;
    // Times of creation are whole seconds.
    eventually("a second has passed", super::SOON, async || {
        (k8s_openapi::jiff::Timestamp::now().as_second() > second.as_second() + 1).then_some(())
    })
    .await;
    bench.sync("a-young", json!({})).await;
    let _controller = bench.controller().await;
    bench.applied("old", &commit).await;
    let status = bench.ready("a-young", "FleetTaken").await;
    assert!(message(&status).contains("/old"), "{}", message(&status));
    assert_eq!(status.last_applied_revision, None);
    let syncs = bench.api::<k0smotron_fleet::api::FleetSync>();
    syncs
        .delete("old", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    bench.applied("a-young", &commit).await;
    assert_eq!(
        bench.clusters().await.len(),
        1,
        "deleting a sync deletes no cluster"
    );
}
