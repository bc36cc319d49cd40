//! Two clusters whose derived names are the same.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::json;

use super::{Bench, SOON};
use crate::support::eventually;

#[tokio::test]
async fn of_two_clusters_with_the_same_names_nothing_of_the_younger_is_written() {
    let bench = Bench::new("rivals").await;
    bench.apply("edge-etcd", json!({})).await;
    // Creation times have whole seconds.
    let first = bench.cluster("edge-etcd").await.metadata.creation_timestamp;
    eventually("a second has passed", SOON, async || {
        bench.apply("probe", json!({"paused": true})).await;
        let probe = bench.cluster("probe").await.metadata.creation_timestamp;
        bench.delete("probe").await;
        bench.until_gone("probe").await;
        if probe > first {
            Ok(())
        } else {
            Err(format!("{probe:?}"))
        }
    })
    .await;
    bench.apply("edge", json!({})).await;

    let _controller = bench.controller().await;
    bench.until_ready("edge-etcd").await;
    let message = bench.until_stalled("edge", "NameCollision").await;
    assert!(
        message.contains("`edge-etcd`") && message.contains("kmc-edge-etcd"),
        "{message}"
    );
    assert_eq!(bench.cluster("edge").await.metadata.finalizers, None);
    assert_eq!(
        bench.names::<StatefulSet>().await,
        ["kmc-edge-etcd", "kmc-edge-etcd-etcd"]
    );
    let children = bench.children().await;
    assert!(
        !children
            .iter()
            .any(|child| child.starts_with("Secret/edge-ca ") || child.contains("/kmc-edge-nodeport ")),
        "{children:?}"
    );

    bench.delete("edge-etcd").await;
    bench.until_gone("edge-etcd").await;
    bench.until_ready("edge").await;
    assert!(
        bench
            .names::<StatefulSet>()
            .await
            .contains(&"kmc-edge".to_owned())
    );
}
