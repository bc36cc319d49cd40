//! Where a control plane keeps its data: settings of etcd and its defragmentation.

use k0smotron_fleet::api::labels;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::json;

use super::{Bench, SOON};
use crate::support::eventually;

#[tokio::test]
async fn a_setting_of_etcd_reaches_the_members_and_not_the_control_plane() {
    let bench = Bench::new("storage").await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", json!({})).await;
    bench.until_ready("edge-berlin").await;
    let before = [
        bench.revision("kmc-edge-berlin").await,
        bench.revision("kmc-edge-berlin-etcd").await,
    ];

    let args = json!({"storage": {"etcd": {"args": {"quota-backend-bytes": "8589934592"}}}});
    bench.apply("edge-berlin", args).await;
    eventually("the template of the members is another", SOON, async || {
        let etcd = bench.revision("kmc-edge-berlin-etcd").await;
        (etcd != before[1]).then_some(())
    })
    .await;
    assert_eq!(bench.revision("kmc-edge-berlin").await, before[0]);

    let wrong = json!({"storage": {"etcd": {"args": {"quota-backend-bytes": "much"}}}});
    bench.apply("edge-berlin", wrong).await;
    let refused = bench.until("edge-berlin", "Stalled", "True", "InvalidSpec").await;
    let words = json!(refused.status).to_string();
    assert!(
        words.contains("spec.storage.etcd.args[quota-backend-bytes]"),
        "{words}"
    );

    bench.apply("edge-berlin", json!({})).await;
    eventually("the members are back at their first template", SOON, async || {
        let set = bench
            .api::<StatefulSet>()
            .get("kmc-edge-berlin-etcd")
            .await
            .unwrap();
        let annotations = set.spec.unwrap().template.metadata.unwrap().annotations;
        (!annotations
            .unwrap_or_default()
            .contains_key(labels::CONFIG_DIGEST))
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_defragmentation_comes_and_goes_with_the_field() {
    let bench = Bench::new("storage").await;
    let _controller = bench.controller().await;
    let job =
        |schedule: &str| json!({"storage": {"etcd": {"defragJob": {"enabled": true, "schedule": schedule}}}});
    bench.apply("edge-berlin", job("0 3 * * *")).await;
    bench.until_ready("edge-berlin").await;
    let jobs = bench.api::<CronJob>();
    let made = jobs.get("kmc-edge-berlin-defrag").await.unwrap();
    assert_eq!(made.spec.unwrap().schedule, "0 3 * * *");
    bench
        .assert_no_write(bench.mark().await, "a CronJob that is as it should be")
        .await;

    bench.apply("edge-berlin", job("0 4 * * *")).await;
    eventually("the schedule is the new one", SOON, async || {
        let live = jobs.get("kmc-edge-berlin-defrag").await.unwrap();
        (live.spec.unwrap().schedule == "0 4 * * *").then_some(())
    })
    .await;
    bench.apply("edge-berlin", json!({})).await;
    eventually("the CronJob is gone", SOON, async || {
        jobs.get_opt("kmc-edge-berlin-defrag")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}
