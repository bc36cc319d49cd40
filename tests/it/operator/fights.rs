//! Somebody who takes a field back again and again.

use k0smotron_fleet::api::labels;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::support::eventually;

const NAME: &str = "kmc-edge-berlin-config";

async fn label(bench: &Bench<'_>) -> Option<String> {
    let found = bench.api::<ConfigMap>().get(NAME).await.unwrap();
    found
        .metadata
        .labels
        .unwrap_or_default()
        .get(labels::APP_NAME)
        .cloned()
}

#[tokio::test]
async fn a_field_that_is_taken_back_ten_times_is_left_and_reported_and_the_rest_goes_on() {
    let (bench, _controller) = Bench::with_cluster("fight", "edge-berlin", Value::Null).await;
    let ours = label(&bench).await;
    assert!(ours.is_some());
    let take = async || {
        let patch = json!({"metadata": {"labels": {labels::APP_NAME: "theirs"}}});
        let taken = bench
            .api::<ConfigMap>()
            .patch(NAME, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        taken.unwrap();
    };
    for time in 1..=10 {
        take().await;
        eventually(&format!("it is put back {time}"), SOON, async || {
            if label(&bench).await == ours {
                Ok(())
            } else {
                Err("not yet")
            }
        })
        .await;
    }
    take().await;
    eventually("it is left and reported", SOON, async || {
        let status = json!(bench.cluster("edge-berlin").await.status);
        let held = status["held"].as_array().cloned().unwrap_or_default();
        held.iter().any(|held| held["reason"] == "Fought").then_some(())
    })
    .await;
    assert_eq!(label(&bench).await.as_deref(), Some("theirs"));
    bench.assert_at_rest("it is left alone").await;

    let other = json!({"k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
        "spec": {"network": {"provider": "calico"}}}});
    bench.apply("edge-berlin", other).await;
    eventually("another wish is a change as a whole", SOON, async || {
        if label(&bench).await == ours {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await;
}
