//! Commits that are followed, and what happens when they are not what they should be.

use std::time::Duration;

use serde_json::json;

use super::{Bench, SOON, is_stalled, message, ready};
use crate::support::audit::{self, Event};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn commits_create_and_change_clusters_and_a_removed_file_deletes_nothing() {
    let mut bench = Bench::new("sync-commits").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    bench
        .repository
        .write("b/b.yaml", &bench.cluster_yaml("oslo", "{replicas: 1}"));
    bench.repository.write("README.md", "not read");
    let first = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let _controller = bench.controller().await;

    let status = bench.applied("platform", &first).await;
    assert_eq!(ready(&status), ("True", "Applied"), "{status:?}");
    assert_eq!(status.counts.unwrap().actions["create"], 2);
    assert_eq!(status.fleet_id.as_ref(), Some(&bench.fleet_id));
    assert_eq!(
        bench.clusters().await,
        [("berlin".into(), Some(1)), ("oslo".into(), Some(1))]
    );

    bench
        .repository
        .write("b/b.yaml", &bench.cluster_yaml("oslo", "{replicas: 3}"));
    bench.repository.remove("a.yaml");
    let second = bench.repository.commit();
    let status = bench.applied("platform", &second).await;
    assert_eq!(
        bench.clusters().await,
        [("berlin".into(), Some(1)), ("oslo".into(), Some(3))]
    );
    let counts = status.counts.unwrap();
    assert_eq!(
        (counts.actions["change"], counts.actions["held"]),
        (1, 1),
        "{counts:?}"
    );
    assert_eq!(
        status.conditions[0].status, "True",
        "what left the files is kept on purpose"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_the_same_commit_asks_the_api_server_nothing() {
    let mut bench = Bench::new("sync-quiet").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    let commit = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let controller = bench.controller().await;
    bench.applied("platform", &commit).await;
    // A request is answered by a look, so that everything before it is over: also the echo of the first writes.
    let mark = bench.mark().await;
    bench.request("platform", "one").await;
    let answered = |status: &k0smotron_fleet::api::FleetSyncStatus| {
        status.last_handled_request.as_deref() == Some("one")
    };
    let status = bench
        .status_that("platform", "the request is answered", answered)
        .await;
    // Its own write may be seen before it stands in the log.
    let pause = Duration::from_secs(1);
    audit::quiet(pause, SOON, <[Event]>::len, async || bench.requests(mark).await).await;

    let mark = bench.mark().await;
    // Several intervals of one second each.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let requests = bench.requests(mark).await;
    assert!(requests.is_empty(), "{}", audit::summary(&requests));

    // After a restart everything is looked at once, and nothing is written.
    drop(controller);
    let mark = bench.mark().await;
    let _controller = bench.controller().await;
    bench.request("platform", "two").await;
    let answered = |status: &k0smotron_fleet::api::FleetSyncStatus| {
        status.last_handled_request.as_deref() == Some("two")
    };
    let after = bench
        .status_that("platform", "the request is answered", answered)
        .await;
    let writes = eventually("its write is in the log", SOON, async || {
        let mut writes = bench.requests(mark).await;
        writes.retain(Event::is_write);
        (!writes.is_empty()).then_some(writes)
    })
    .await;
    assert_eq!(writes.len(), 1, "{}", audit::summary(&writes));
    assert_eq!(after.conditions, status.conditions);
    assert_eq!(after.counts, status.counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changed_is_put_back() {
    let mut bench = Bench::new("sync-drift").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "{replicas: 3}"));
    let commit = bench.repository.commit();
    // Far longer than the test: only the watch can tell.
    bench.sync("platform", json!({ "interval": "1h" })).await;
    let _controller = bench.controller().await;
    bench.applied("platform", &commit).await;
    let clusters = bench.api::<k0smotron_fleet::api::K0smotronCluster>();
    let body = json!({ "spec": { "replicas": 1 } });
    let how = kube::api::PatchParams::default();
    clusters
        .patch("berlin", &how, &kube::api::Patch::Merge(&body))
        .await
        .unwrap();
    crate::support::eventually("the replicas are back", super::SOON, async || {
        (bench.clusters().await == [("berlin".into(), Some(3))]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_read_changes_nothing_but_the_status() {
    let mut bench = Bench::new("sync-source").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "null"));
    let commit = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let _controller = bench.controller().await;
    bench.applied("platform", &commit).await;

    bench.repository.delete_branch();
    let status = bench.ready("platform", "SourceFailed").await;
    assert_eq!(status.last_applied_revision.as_ref(), Some(&commit));
    assert!(message(&status).contains("branch `main`"), "{}", message(&status));
    assert_eq!(bench.clusters().await.len(), 1);

    // Back again, and so is the sync, without anybody's help.
    bench.repository.reset(&commit);
    bench.ready("platform", "Applied").await;

    bench
        .sync(
            "elsewhere",
            json!({ "source": { "git": { "url": "file:///nowhere/at/all" } } }),
        )
        .await;
    bench.ready("elsewhere", "SourceFailed").await;
    bench
        .sync("no-folder", json!({ "source": { "git": { "path": "missing" } } }))
        .await;
    let status = bench.ready("no-folder", "SourceFailed").await;
    assert!(
        message(&status).contains("no directory `missing`"),
        "{}",
        message(&status)
    );
    assert_eq!(bench.clusters().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_named_and_hold_nobody_else_up() {
    let mut bench = Bench::new("sync-broken").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "{replicas: 1}"));
    bench
        .repository
        .write("b.yaml", &bench.cluster_yaml("oslo", "{replicas: 1}"));
    let first = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let _controller = bench.controller().await;
    bench.applied("platform", &first).await;

    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "{repicas: 3}"));
    bench
        .repository
        .write("b.yaml", &bench.cluster_yaml("oslo", "{replicas: 3}"));
    bench.repository.write("c.yaml", "kind: [unclosed\n");
    bench.repository.link("d.yaml", "/etc/passwd");
    let second = bench.repository.commit();
    let status = bench.attempted("platform", &second).await;
    assert_eq!(ready(&status), ("False", "InvalidFiles"), "{status:?}");
    assert_eq!(
        bench.clusters().await,
        [("berlin".into(), Some(1)), ("oslo".into(), Some(3))]
    );
    let places: Vec<_> = status
        .problems
        .iter()
        .filter_map(|problem| problem.place.as_deref())
        .collect();
    for file in ["a.yaml:", "c.yaml:", "d.yaml:"] {
        assert!(places.iter().any(|place| place.starts_with(file)), "{places:?}");
    }
    assert!(
        !serde_json::to_string(&status).unwrap().contains("root:"),
        "a link is not followed"
    );

    // Not a single file any more: nothing goes.
    for path in ["a.yaml", "b.yaml", "c.yaml", "d.yaml"] {
        bench.repository.remove(path);
    }
    let third = bench.repository.commit();
    bench.attempted("platform", &third).await;
    bench.repository.remove("fleet.yaml");
    let fourth = bench.repository.commit();
    let status = bench.attempted("platform", &fourth).await;
    assert_eq!(ready(&status), ("False", "NoFleetId"));
    assert!(is_stalled(&status));
    assert_eq!(bench.clusters().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_stalls() {
    let mut bench = Bench::new("sync-rewritten").await;
    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "{replicas: 1}"));
    let first = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let _controller = bench.controller().await;
    bench.applied("platform", &first).await;

    bench
        .repository
        .write("a.yaml", &bench.cluster_yaml("berlin", "{replicas: 3}"));
    bench
        .repository
        .write("b.yaml", &bench.cluster_yaml("oslo", "null"));
    let other = bench.repository.rewrite();
    let status = bench.attempted("platform", &other).await;
    assert_eq!(ready(&status), ("False", "HistoryRewritten"), "{status:?}");
    assert!(is_stalled(&status));
    assert_eq!(status.last_applied_revision.as_ref(), Some(&first));
    assert_eq!(bench.clusters().await, [("berlin".into(), Some(1))]);

    bench.repository.reset(&first);
    let next = bench.repository.commit();
    bench.applied("platform", &next).await;
    assert_eq!(bench.clusters().await.len(), 2);
}
