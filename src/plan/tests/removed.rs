//! Records of clusters that were taken out of the files on purpose.

use rstest::rstest;

use super::*;
use crate::api::fleet_files::RemovalPolicy;

fn with_record(deletions: Deletions, policy_of_record: RemovalPolicy) -> FleetPolicy {
    let record = RemovedRecord {
        policy: policy_of_record,
        reason: Some("the store was closed".to_owned()),
        place: "changes/close.yaml:5:30".to_owned(),
    };
    FleetPolicy {
        deletions,
        removed: [(cluster_id("edge", "berlin"), record)].into(),
        ..policy()
    }
}

fn stays() -> FleetEntry {
    entry("edge", "munich", json!({}))
}

fn both() -> Observed {
    hub(&[entry("edge", "berlin", json!({"replicas": 1})), stays()])
}

#[rstest]
#[case(Deletions::Never, Prune::No, RemovalPolicy::Delete, "! berlin DeletionsOff")]
#[case(Deletions::Never, Prune::No, RemovalPolicy::Orphan, "! berlin DeletionsOff")]
#[case(Deletions::Never, Prune::Yes, RemovalPolicy::Delete, "- berlin disruptive")]
#[case(Deletions::Tombstone, Prune::No, RemovalPolicy::Delete, "- berlin disruptive")]
#[case(Deletions::Tombstone, Prune::No, RemovalPolicy::Orphan, "~ berlin safe")]
#[case(Deletions::Omission, Prune::No, RemovalPolicy::Delete, "- berlin disruptive")]
#[case(Deletions::Omission, Prune::No, RemovalPolicy::Orphan, "~ berlin safe")]
fn a_record_takes_effect_as_far_as_the_fleet_lets_it(
    #[case] deletions: Deletions,
    #[case] prune: Prune,
    #[case] record: RemovalPolicy,
    #[case] expected: &str,
) {
    let policy = FleetPolicy {
        prune,
        ..with_record(deletions, record)
    };
    assert_eq!(lines(&planned(&[stays()], &both(), &policy)), [expected]);
}

#[test]
fn an_action_of_a_record_says_where_and_why_it_was_written() {
    let policy = with_record(Deletions::Tombstone, RemovalPolicy::Delete);
    let plan = planned(&[stays()], &both(), &policy);
    let action = plan.actions().next().unwrap();
    assert_eq!(action.reason, "changes/close.yaml:5:30");
    assert_eq!(action.effects[1], "removed on purpose: the store was closed");
    let never = with_record(Deletions::Never, RemovalPolicy::Delete);
    let held = &planned(&[stays()], &both(), &never).held[0];
    assert!(
        held.waiting_on.contains("deletions: Tombstone"),
        "{}",
        held.waiting_on
    );
}

#[test]
fn protection_and_the_budget_stop_a_record_whatever_it_says() {
    let protected = edited(&both(), &cluster_id("edge", "berlin"), |live| {
        live["metadata"]["annotations"][labels::PROTECT] = json!("true");
    });
    for record in [RemovalPolicy::Delete, RemovalPolicy::Orphan] {
        let mut policy = with_record(Deletions::Tombstone, record);
        assert_eq!(
            lines(&planned(&[stays()], &protected, &policy)),
            ["! berlin Protected"]
        );
        policy.budget.count = 0;
        assert_eq!(
            lines(&planned(&[stays()], &both(), &policy)),
            ["! berlin OverBudget"]
        );
    }
}

#[test]
fn what_was_let_go_is_no_member_any_more_and_its_record_does_nothing() {
    let policy = with_record(Deletions::Omission, RemovalPolicy::Orphan);
    let after = applied(&planned(&[stays()], &both(), &policy), &both());
    let live = after.objects.get(&cluster_id("edge", "berlin")).unwrap();
    assert_eq!(live.label(labels::FLEET_ID), None);
    assert_eq!(live.annotation(labels::TRACKING), None);
    assert_eq!(lines(&planned(&[stays()], &after, &policy)), [""; 0]);
}

#[test]
fn a_record_of_a_cluster_that_is_gone_does_nothing() {
    let policy = with_record(Deletions::Tombstone, RemovalPolicy::Delete);
    let after = applied(&planned(&[stays()], &both(), &policy), &both());
    assert_eq!(lines(&planned(&[stays()], &after, &policy)), [""; 0]);
}
