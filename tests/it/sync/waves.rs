//! Rollouts that a sync carries on with, one step at a look.

use k0smotron_fleet::api::K0smotronCluster;
use k0smotron_fleet::fleet::{self, Access, OperatorSource};
use k0smotron_fleet::plan::rollout::{Phase, State};
use serde_json::json;

use super::{Bench, SOON, connect, message};
use crate::support::eventually;

const ROLLOUT: &str = "  rollout: {canary: {selector: {matchLabels: {stage: canary}}}}\n";

impl Bench {
    /// Writes two clusters, of which one is the canary, and returns the commit.
    fn two(&mut self, version: &str) -> String {
        for (name, stage) in [("one", "canary"), ("two", "prod")] {
            let text = self.cluster_yaml(name, &format!("{{replicas: 1, version: {version}}}"));
            let text = text.replace(
                "metadata: {",
                &format!("metadata: {{labels: {{stage: {stage}}}, "),
            );
            self.repository.write(&format!("{name}.yaml"), &text);
        }
        self.repository.commit()
    }

    async fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        for name in ["one", "two"] {
            let cluster = self.api::<K0smotronCluster>().get(name).await.unwrap();
            versions.push(cluster.spec.version.unwrap());
        }
        versions
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_waits_for_a_wave_without_keeping_others_and_goes_on_when_somebody_vouches_for_it() {
    let mut bench = Bench::new("sync-waves").await;
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: team}}\nspec:\n  id: {}\n{ROLLOUT}",
        bench.fleet_id
    );
    bench.repository.write("fleet.yaml", &fleet);
    // It cannot see pods, so nothing is ever evidence for it.
    bench.clusters_only("short-sighted").await;
    let first = bench.two("v1.35.1+k0s.0");
    let account = json!({ "serviceAccountName": "short-sighted", "maxImpact": "DataLoss" });
    bench.sync("platform", account).await;
    let _controller = bench.controller().await;
    bench.applied("platform", &first).await;

    let second = bench.two("v1.36.3+k0s.2");
    let status = bench.ready("platform", "Rolling").await;
    assert_eq!(status.last_attempted_revision.as_deref(), Some(second.as_str()));
    assert_eq!(status.last_applied_revision, Some(first));
    assert!(message(&status).contains("wave canary"), "{}", message(&status));
    assert!(
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Reconciling")
    );
    assert_eq!(bench.versions().await, ["v1.36.3+k0s.2", "v1.35.1+k0s.0"]);

    let client = connect(bench.servers).await;
    let access = Access {
        clusters: &client,
        memory: &client,
        parent_namespace: &bench.namespace.name,
        operator: OperatorSource::Published {
            namespace: &bench.namespace.name,
        },
    };
    let steer = async |change: fn(&mut State)| {
        let steered = fleet::steer(access, &bench.fleet_id, change).await;
        steered.unwrap().expect("the fleet is known")
    };
    steer(|state| state.pause("lunch")).await;
    let status = bench.ready("platform", "RolloutStopped").await;
    assert!(message(&status).contains("lunch"), "{}", message(&status));
    let promoted = steer(|state| {
        state.promote();
    });
    assert_eq!(promoted.await.phase, Phase::Running);
    bench.applied("platform", &second).await;
    eventually("both are changed", SOON, async || {
        let versions = bench.versions().await;
        if versions == ["v1.36.3+k0s.2", "v1.36.3+k0s.2"] {
            Ok(())
        } else {
            Err(format!("{versions:?}"))
        }
    })
    .await;
}
