//! A plan after everything was applied is empty, whatever others do with what is theirs.

use k0smotron_fleet::object::{ObjectId, kinds};
use k0smotron_fleet::plan::{HeldReason, Plan};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::member::Member;
use crate::fields::world::World;
use crate::operator::Bench;
use crate::support::Servers;
use crate::support::kubelet::Policy;

struct Quiet<'a> {
    world: World<'a>,
    member: Member,
}

impl Quiet<'_> {
    /// Waits until the operator is at rest, and plans.
    async fn plan(&self) -> Plan {
        let rest = self.member.rest(&self.world).await;
        rest.expect("the operator comes to rest");
        self.member.plan(&self.world, Some(&self.member.object)).await
    }

    async fn patch(&self, manager: &str, patch: Value) {
        let how = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        let clusters = self.world.bench.clusters();
        clusters
            .patch(&self.member.id.name, &how, &Patch::Merge(patch))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_after_apply_is_empty_after_passes_an_autoscaler_and_edits_of_what_is_not_ours() {
    let world = World::new(Bench::on(Servers::shared().await, "quiet", Policy::Ready).await).await;
    let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &world.bench.namespace.name, "berlin");
    let member = Member::new(
        id,
        json!({"replicas": 2, "storage": {"etcd": {"members": 1}}, "podLabels": {"team": "blue"}}),
    );
    let plan = member.plan(&world, Some(&member.object)).await;
    member.apply(&world, plan).await.unwrap();
    let quiet = Quiet { world, member };
    let plan = quiet.plan().await;
    assert!(plan.is_empty() && plan.held.is_empty(), "{plan:?}");

    // Each time somebody takes something of a child away, which the operator puts back.
    let services = quiet.world.bench.api::<Service>();
    let name = "kmc-berlin-nodeport";
    for pass in 0..10 {
        let label = json!({"metadata": {"labels": {"component": format!("wrong-{pass}")}}});
        services
            .patch(name, &PatchParams::default(), &Patch::Merge(label))
            .await
            .unwrap();
        let plan = quiet.plan().await;
        assert!(plan.is_empty() && plan.held.is_empty(), "pass {pass}: {plan:?}");
    }

    let note =
        json!({"metadata": {"annotations": {"note": "ask Ada"}}, "spec": {"nodeSelector": {"pool": "a"}}});
    quiet.patch("kubectl-edit", note).await;
    let plan = quiet.plan().await;
    assert!(plan.is_empty() && plan.held.is_empty(), "{plan:?}");

    let clusters = quiet.world.bench.clusters();
    let how = PatchParams {
        field_manager: Some("horizontal-pod-autoscaler".to_owned()),
        ..PatchParams::default()
    };
    let scale = json!({"spec": {"replicas": 3}});
    clusters
        .patch_scale("berlin", &how, &Patch::Merge(scale))
        .await
        .unwrap();
    let plan = quiet.plan().await;
    assert!(plan.is_empty(), "{plan:?}");
    let held: Vec<HeldReason> = plan.held.iter().map(|held| held.reason).collect();
    assert_eq!(held, [HeldReason::Yielded]);
}
