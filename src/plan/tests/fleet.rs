use std::sync::Arc;

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::object::Unreadable;

fn edge(spec: Value) -> FleetEntry {
    entry("edge", "berlin", spec)
}

fn id() -> ObjectId {
    cluster_id("edge", "berlin")
}

/// A hub with this one cluster as the fleet made it, edited.
fn live(edit: impl FnOnce(&mut Value)) -> Observed {
    edited(&hub(&[edge(json!({"replicas": 1}))]), &id(), edit)
}

/// What becomes of a change to that cluster.
fn change(observed: &Observed) -> Vec<String> {
    lines(&planned(
        &[edge(json!({"replicas": 1, "ttl": "9h"}))],
        observed,
        &policy(),
    ))
}

/// What becomes of that cluster once it left the files, with deletions on.
fn removal(observed: &Observed) -> Vec<String> {
    let policy = FleetPolicy {
        deletions: Deletions::Omission,
        empty_set: EmptySet::Allowed,
        ..policy()
    };
    lines(&planned(&[], observed, &policy))
}

#[test]
fn a_new_cluster_is_created_as_a_member_that_names_itself() {
    let plan = planned(&[edge(json!({}))], &Observed::default(), &policy());
    let action = plan.actions().next().unwrap();
    let Operation::Create { body } = &action.operation else {
        panic!("{action:?}")
    };
    assert_eq!(body.label(labels::FLEET_ID), Some(FLEET));
    assert_eq!(body.annotation(labels::TRACKING), Some("acme-7f3a/edge/berlin"));
    assert_eq!(body.annotation(labels::SOURCE), Some("clusters/berlin.yaml"));
    assert_eq!(action.reason, "clusters/berlin.yaml:1:1");
}

#[test]
fn another_file_alone_is_no_change_and_is_written_along_with_the_next_one() {
    let live = hub(&[edge(json!({"replicas": 1}))]);
    let moved = |spec: Value| FleetEntry {
        source: "south/berlin.yaml".to_owned(),
        ..edge(spec)
    };
    let plan = planned(&[moved(json!({"replicas": 1}))], &live, &policy());
    assert!(plan.is_empty() && plan.unchanged.len() == 1, "{plan:?}");

    let plan = planned(&[moved(json!({"replicas": 3}))], &live, &policy());
    let action = plan.actions().next().unwrap();
    let pointers: Vec<&str> = action
        .changes
        .iter()
        .map(|change| change.pointer.as_str())
        .collect();
    assert_eq!(
        pointers,
        [
            "/metadata/annotations/fleet.k0smotron.io~1source",
            "/spec/replicas"
        ]
    );
    let after = applied(&plan, &live);
    let now = after.objects.get(&action.id).unwrap();
    assert_eq!(now.annotation(labels::SOURCE), Some("south/berlin.yaml"));

    // Without any path it would not be known where it came from.
    let unmarked = edited(&live, &action.id, |object| {
        object["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove(labels::SOURCE);
    });
    assert_eq!(
        lines(&planned(&[moved(json!({"replicas": 1}))], &unmarked, &policy())),
        ["~ berlin safe"]
    );
}

#[test]
fn without_an_id_nothing_is_marked_and_nothing_is_deleted() {
    let anonymous = FleetPolicy {
        id: None,
        deletions: Deletions::Omission,
        prune: Prune::Yes,
        empty_set: EmptySet::Allowed,
        ..policy()
    };
    let plan = planned(&[edge(json!({}))], &Observed::default(), &anonymous);
    let Operation::Create { body } = &plan.actions().next().unwrap().operation else {
        panic!("{plan:?}")
    };
    assert_eq!(body, &*edge(json!({})).object);
    let observed = applied(&plan, &Observed::default());
    assert_eq!(
        lines(&planned(&[edge(json!({"replicas": 3}))], &observed, &anonymous)),
        ["~ berlin unknown"]
    );
    assert!(planned(&[], &observed, &anonymous).is_empty());
    // Members of a fleet are not for runs without one.
    assert_eq!(
        lines(&planned(
            &[edge(json!({"replicas": 3}))],
            &live(|_| {}),
            &anonymous
        )),
        ["! berlin OtherOwner"]
    );
}

#[test]
fn a_cluster_made_without_a_fleet_joins_it() {
    let anonymous = FleetPolicy { id: None, ..policy() };
    let nothing = Observed::default();
    let observed = applied(&planned(&[edge(json!({}))], &nothing, &anonymous), &nothing);
    let plan = planned(&[edge(json!({}))], &observed, &policy());
    assert_eq!(lines(&plan), ["~ berlin safe"]);
}

#[test]
fn a_cluster_that_is_nothing_but_a_name_is_nobodys_until_somebody_wrote_into_it() {
    let anonymous = FleetPolicy { id: None, ..policy() };
    let nameless = |live: &mut Value| {
        live["metadata"]["labels"] = json!({});
        live["metadata"]["annotations"] = json!({});
        live["metadata"]["managedFields"] = json!([]);
        live["spec"] = json!({"replicas": 1});
    };
    let desired = [edge(json!({"replicas": 3}))];
    assert_eq!(
        lines(&planned(&desired, &live(nameless), &anonymous)),
        ["~ berlin unknown"]
    );
    let written = live(|live| {
        nameless(live);
        live["spec"]["replicas"] = json!(5);
    });
    assert_eq!(
        lines(&planned(&desired, &written, &anonymous)),
        ["! berlin Foreign"]
    );
    let created = live(|live| {
        nameless(live);
        live["metadata"]["managedFields"] =
            json!([{"manager": "kubectl-create", "operation": "Update", "fieldsV1": {"f:spec": {}}}]);
    });
    assert_eq!(
        lines(&planned(&desired, &created, &anonymous)),
        ["! berlin Foreign"]
    );
}

/// Each edit makes the live cluster somebody else's; neither a change nor a removal touches it then.
#[rstest]
#[case::by_kubectl(|live: &mut Value| {
    live["metadata"]["labels"] = json!({});
    live["metadata"]["annotations"] = json!({});
    live["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}]);
}, "Foreign")]
#[case::copied(|live: &mut Value| {
    live["metadata"]["annotations"][labels::TRACKING] = json!("acme-7f3a/edge/munich");
}, "Foreign")]
#[case::label_lost(|live: &mut Value| { live["metadata"]["labels"] = json!({}); }, "Foreign")]
#[case::other_fleet(|live: &mut Value| { live["metadata"]["labels"][labels::FLEET_ID] = json!("other"); }, "OtherOwner")]
#[case::argo(|live: &mut Value| {
    live["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!("app:x");
}, "OtherOwner")]
#[case::flux(|live: &mut Value| {
    live["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("infra");
}, "OtherOwner")]
#[case::helm(|live: &mut Value| {
    live["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!("edge");
}, "OtherOwner")]
#[case::owned(|live: &mut Value| {
    live["metadata"]["ownerReferences"] = json!([{"kind": "Tenant", "name": "seven", "uid": "u"}]);
}, "OtherOwner")]
fn what_is_not_ours_is_never_touched(#[case] edit: fn(&mut Value), #[case] reason: &str) {
    let observed = live(edit);
    assert_eq!(change(&observed), [format!("! berlin {reason}")]);
    assert_eq!(removal(&observed), [""; 0]);
}

#[test]
fn deleting_a_protected_cluster_is_held_and_changing_it_is_not() {
    let observed = live(|live| live["metadata"]["annotations"][labels::PROTECT] = json!("true"));
    assert_eq!(removal(&observed), ["! berlin Protected"]);
    assert_eq!(change(&observed), ["~ berlin unknown"]);
}

#[test]
fn a_file_can_protect_a_cluster_and_cannot_take_that_away() {
    let mut protecting = edge(json!({"replicas": 1}));
    Arc::make_mut(&mut protecting.object).0["metadata"]["annotations"] = json!({labels::PROTECT: "true"});
    let observed = hub(&[protecting]);
    let plan = planned(&[edge(json!({"replicas": 1}))], &observed, &policy());
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(removal(&observed), ["! berlin Protected"]);
}

#[test]
fn a_held_cluster_is_frozen_until_the_hold_is_taken_away_where_it_was_written() {
    let by_hand = live(|live| live["metadata"]["annotations"][labels::HOLD] = json!("incident 7"));
    assert_eq!(change(&by_hand), ["! berlin Hold"]);
    assert_eq!(removal(&by_hand), ["! berlin Hold"]);

    let mut holding = edge(json!({"replicas": 1, "ttl": "9h"}));
    Arc::make_mut(&mut holding.object).0["metadata"]["annotations"] = json!({labels::HOLD: "until monday"});
    assert_eq!(
        lines(&planned(&[holding], &live(|_| {}), &policy())),
        ["! berlin Hold"]
    );
}

#[rstest]
#[case(Deletions::Never, Prune::No, &["! berlin DeletionsOff"])]
#[case(Deletions::Never, Prune::Yes, &["- berlin disruptive"])]
#[case(Deletions::Tombstone, Prune::No, &["! berlin DeletionsOff"])]
#[case(Deletions::Tombstone, Prune::Yes, &["! berlin DeletionsOff"])]
#[case(Deletions::Omission, Prune::No, &["- berlin disruptive"])]
#[case(Deletions::Omission, Prune::Yes, &["- berlin disruptive"])]
fn the_table_of_deletions_holds(
    #[case] deletions: Deletions,
    #[case] prune: Prune,
    #[case] expected: &[&str],
) {
    let policy = FleetPolicy {
        deletions,
        prune,
        ..policy()
    };
    let stays = entry("edge", "munich", json!({}));
    let observed = hub(&[edge(json!({"replicas": 1})), stays.clone()]);
    assert_eq!(lines(&planned(&[stays], &observed, &policy)), expected);
}

#[rstest]
#[case::errors(|policy: &mut FleetPolicy| policy.files = Files::WithErrors, "ErrorFindings")]
#[case::no_budget(|policy: &mut FleetPolicy| policy.budget.count = 0, "OverBudget")]
#[case::spent(|policy: &mut FleetPolicy| policy.begun.unnamed = 1, "OverBudget")]
#[case::empty(|policy: &mut FleetPolicy| policy.empty_set = EmptySet::Suspicious, "EmptySet")]
fn every_guard_alone_stops_a_deletion(#[case] guard: fn(&mut FleetPolicy), #[case] reason: &str) {
    let mut policy = FleetPolicy {
        deletions: Deletions::Omission,
        empty_set: EmptySet::Allowed,
        ..policy()
    };
    assert_eq!(
        lines(&planned(&[], &live(|_| {}), &policy)),
        ["- berlin disruptive"]
    );
    guard(&mut policy);
    assert_eq!(
        lines(&planned(&[], &live(|_| {}), &policy)),
        [format!("! berlin {reason}")]
    );
}

#[test]
fn a_deletion_that_was_begun_is_finished_whatever_is_left_of_the_budget() {
    let observed = hub(&[edge(json!({})), entry("edge", "munich", json!({}))]);
    let munich = observed.objects.get(&cluster_id("edge", "munich")).unwrap();
    let begun = Begun {
        uids: [munich.uid().unwrap().to_owned()].into(),
        unnamed: 0,
    };
    let policy = FleetPolicy {
        deletions: Deletions::Omission,
        empty_set: EmptySet::Allowed,
        begun,
        ..policy()
    };
    let plan = planned(&[], &observed, &policy);
    assert_eq!(lines(&plan), ["- munich disruptive", "! berlin OverBudget"]);
}

#[test]
fn a_gap_in_what_was_read_stops_every_deletion() {
    let mut observed = live(|_| {});
    observed.unreadable.push(Unreadable {
        kind: kinds::K0SMOTRON_CLUSTER,
        namespace: "core".into(),
        reason: "forbidden".into(),
    });
    assert_eq!(removal(&observed), ["! berlin NotReadable"]);
    let plan = planned(&[entry("core", "new", json!({}))], &observed, &policy());
    assert!(lines(&plan).contains(&"! new NotReadable".to_owned()), "{plan:?}");
}

#[rstest]
#[case(10, 10, 0, 1)]
#[case(10, 10, 1, 1)]
#[case(10, 10, 11, 2)]
#[case(10, 10, 1000, 10)]
#[case(3, 5, 28, 2)]
#[case(0, 100, 28, 0)]
#[case(10, 0, 28, 0)]
fn the_percent_of_a_budget_rounds_up_and_both_numbers_hold(
    #[case] count: u32,
    #[case] percent: u32,
    #[case] members: usize,
    #[case] limit: usize,
) {
    assert_eq!(Budget { count, percent }.limit(members), limit);
}

#[test]
fn over_the_budget_none_is_deleted_and_the_numbers_are_said() {
    let fleet: Vec<FleetEntry> = (0..12)
        .map(|number| entry("edge", &format!("store-{number:02}"), json!({})))
        .collect();
    let observed = hub(&fleet);
    let policy = FleetPolicy {
        prune: Prune::Yes,
        ..policy()
    };
    let plan = planned(&fleet[3..], &observed, &policy);
    assert!(plan.is_empty());
    assert_eq!(plan.held.len(), 3);
    insta::assert_snapshot!(
        plan.held[0].waiting_on,
        @"3 clusters would be deleted and the budget allows 2 (10, 10 % of 12); none is"
    );
    assert_eq!(planned(&fleet[2..], &observed, &policy).counts().delete, 2);
}

#[test]
fn deleting_with_the_policy_delete_is_a_loss_of_data_and_asks_for_it() {
    let observed = live(|live| live["spec"]["deletionPolicy"] = json!("Delete"));
    let policy = FleetPolicy {
        prune: Prune::Yes,
        empty_set: EmptySet::Allowed,
        ..policy()
    };
    let plan = planned(&[], &observed, &policy);
    insta::assert_snapshot!(
        plan.actions().next().unwrap().effects[0],
        @"deletionPolicy Delete: CA and service-account keys, its volumes"
    );
    assert_eq!(
        plan.questions(),
        [Question::Delete {
            ids: vec![id()],
            losing_data: 1
        }]
    );
    let approval = Approval {
        writes: Consent::Given,
        deletions: Consent::NotGiven,
        data_loss: Consent::Given,
    };
    assert_eq!(
        approve(plan.clone(), &approval),
        Err(Refusal::DeletionsNotConfirmed { ids: vec![id()] })
    );
    let approval = Approval {
        deletions: Consent::Given,
        ..approval
    };
    assert_eq!(approve(plan.clone(), &approval).unwrap().plan(), &plan);
}

#[test]
fn a_file_with_errors_does_not_make_its_cluster_look_gone() {
    let observed = live(|_| {});
    let rejected = BTreeSet::from([id()]);
    let input = FleetInput {
        desired: &[],
        rejected: &rejected,
        observed: &observed,
        unchanged: &BTreeSet::new(),
        preview: Err("not looked at"),
    };
    let careless = FleetPolicy {
        deletions: Deletions::Omission,
        empty_set: EmptySet::Allowed,
        ..policy()
    };
    assert_eq!(
        lines(&super::super::fleet(&input, &careless)),
        ["! berlin ErrorFindings"]
    );
}

#[test]
fn one_cluster_in_two_files_is_refused_with_both_places() {
    let mut other = edge(json!({"replicas": 3}));
    other.place = "other.yaml:3:1".into();
    let plan = planned(&[other, edge(json!({}))], &Observed::default(), &policy());
    assert_eq!(lines(&plan), ["! berlin Refused"]);
    assert_eq!(
        plan.held[0].waiting_on,
        "it is written in more than one place: clusters/berlin.yaml:1:1, other.yaml:3:1"
    );
}

#[test]
fn a_change_says_what_was_what_will_be_and_where_it_is_written() {
    let observed = hub(&[edge(json!({"version": "v1.35.2", "ttl": "9h"}))]);
    let plan = planned(&[edge(json!({"version": "v1.36.0"}))], &observed, &policy());
    let changes = &plan.actions().next().unwrap().changes;
    insta::assert_json_snapshot!(changes, @r#"
    [
      {
        "pointer": "/spec/version",
        "old": "v1.35.2",
        "new": "v1.36.0",
        "source": "clusters/berlin.yaml:9:3"
      },
      {
        "pointer": "/spec/ttl",
        "old": "9h"
      }
    ]
    "#);
}

#[test]
fn replicas_that_an_autoscaler_set_are_left_to_it() {
    let observed = live(|live| {
        live["spec"]["replicas"] = json!(5);
        live["metadata"]["managedFields"]
            .as_array_mut()
            .unwrap()
            .push(json!({
            "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}));
    });
    assert_eq!(
        lines(&planned(&[edge(json!({"replicas": 1}))], &observed, &policy())),
        ["! berlin Yielded"]
    );
    assert_eq!(change(&observed), ["~ berlin unknown", "! berlin Yielded"]);
}

#[test]
fn a_field_that_another_applier_owns_is_refused_unless_it_is_named() {
    let observed = live(|live| {
        live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
            "manager": "platform-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}));
    });
    assert_eq!(change(&observed), ["! berlin OtherOwner"]);
    let forced = FleetPolicy {
        force_conflicts: BTreeSet::from(["platform-controller".to_owned()]),
        ..policy()
    };
    let desired = [edge(json!({"replicas": 1, "ttl": "9h"}))];
    assert_eq!(
        lines(&planned(&desired, &observed, &forced)),
        ["~ berlin unknown"]
    );
    // What people write by hand is corrected.
    let observed = live(|live| {
        live["spec"]["replicas"] = json!(4);
        live["metadata"]["managedFields"]
            .as_array_mut()
            .unwrap()
            .push(json!({
            "manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}));
    });
    assert_eq!(change(&observed), ["~ berlin unknown"]);
}

#[test]
fn a_version_that_may_not_follow_is_refused_for_that_cluster_alone() {
    let desired = |first: &str| {
        [
            edge(json!({"version": first})),
            entry("edge", "munich", json!({"version": first})),
        ]
    };
    let mut observed = hub(&desired("v1.34.1+k0s.0"));
    observed = edited(&observed, &id(), |live| {
        live["status"] = json!({"version": "v1.34.1+k0s.0"});
    });
    assert_eq!(
        lines(&planned(&desired("v1.36.0+k0s.0"), &observed, &policy())),
        ["~ munich unknown", "! berlin Refused"]
    );
}

#[test]
fn a_missing_namespace_is_made_first_and_needed() {
    let policy = FleetPolicy {
        missing_namespaces: BTreeSet::from(["edge".to_owned(), "unused".to_owned()]),
        ..policy()
    };
    let plan = planned(&[edge(json!({}))], &Observed::default(), &policy);
    assert_eq!(lines(&plan), ["+ edge", "+ berlin"]);
    let create = plan.actions().nth(1).unwrap();
    assert_eq!(create.needs, [ObjectId::new(kinds::NAMESPACE, "", "edge")]);
}

#[test]
fn what_is_being_deleted_is_waited_for_and_not_deleted_again() {
    let observed = live(|live| live["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z"));
    assert_eq!(change(&observed), ["! berlin Waiting"]);
    assert_eq!(removal(&observed), [""; 0]);
}

#[test]
fn what_is_written_is_what_differs_and_what_is_new() {
    let stays = entry("edge", "munich", json!({}));
    let observed = hub(&[edge(json!({})), stays.clone()]);
    let desired = [
        stays,
        edge(json!({"replicas": 3})),
        entry("core", "new", json!({})),
    ];
    let rejected = BTreeSet::new();
    let input = FleetInput {
        desired: &desired,
        rejected: &rejected,
        observed: &observed,
        unchanged: &BTreeSet::new(),
        preview: Err("not looked at"),
    };
    assert_eq!(
        written(&super::super::fleet(&input, &policy())),
        BTreeSet::from([cluster_id("core", "new"), id()])
    );
}
