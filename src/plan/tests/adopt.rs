//! Clusters of others and the records by which they become the fleet's.

use std::sync::Arc;

use rstest::rstest;

use super::*;
use crate::api::fleet_files::{AdoptSource, IfDifferent};

const ARGO: &str = "argocd-controller";

fn id() -> ObjectId {
    cluster_id("edge", "berlin")
}

/// A hub with one cluster, as `manager` applied it with these metadata and this spec.
fn made_by(manager: &str, metadata: Value, spec: Value) -> Observed {
    let mut object = cluster("edge", "berlin", spec);
    for (key, value) in metadata.as_object().unwrap() {
        object.0["metadata"][key] = value.clone();
    }
    let plan = Plan {
        waves: vec![Wave {
            name: "changes".to_owned(),
            actions: vec![Action {
                id: id(),
                operation: Operation::Create { body: object },
                impact: Impact::Safe,
                reason: String::new(),
                changes: Vec::new(),
                effects: Vec::new(),
                needs: Vec::new(),
            }],
        }],
        ..Plan::default()
    };
    let manager: &'static str = manager.to_owned().leak();
    model::apply(&plan, &Observed::default(), manager)
}

/// As Argo CD has it.
fn argos(spec: Value) -> Observed {
    let mark =
        json!({"annotations": {"argocd.argoproj.io/tracking-id": "payments:x"}, "labels": {"team": "web"}});
    made_by(ARGO, mark, spec)
}

fn record(from: AdoptSource, if_different: IfDifferent) -> FleetPolicy {
    let record = AdoptRecord {
        from,
        if_different,
        place: "changes/adopt.yaml:5:30".to_owned(),
    };
    FleetPolicy {
        adopted: [(id(), record)].into(),
        ..policy()
    }
}

fn manager(name: &str) -> AdoptSource {
    AdoptSource::Manager(name.to_owned())
}

fn wanted(spec: Value) -> FleetEntry {
    let mut entry = entry("edge", "berlin", spec);
    Arc::make_mut(&mut entry.object).0["metadata"]["labels"] = json!({"team": "web"});
    entry
}

#[test]
fn a_cluster_of_another_tool_is_taken_over_with_a_record_and_what_the_files_do_not_say_goes() {
    let live = argos(json!({"replicas": 1, "ttl": "9h"}));
    let desired = [wanted(json!({"replicas": 3}))];
    assert_eq!(
        lines(&planned(&desired, &live, &policy())),
        ["! berlin OtherOwner"]
    );

    let policy = record(manager(ARGO), IfDifferent::Overwrite);
    let plan = planned(&desired, &live, &policy);
    assert_eq!(lines(&plan), ["> berlin unknown"]);
    let action = plan.actions().next().unwrap();
    assert_eq!(action.reason, "changes/adopt.yaml:5:30");
    let changed: Vec<&str> = action
        .changes
        .iter()
        .map(|change| change.pointer.as_str())
        .collect();
    assert!(
        changed.contains(&"/spec/ttl") && changed.contains(&"/spec/replicas"),
        "{changed:?}"
    );
    insta::assert_snapshot!(action.effects.join("\n"), @r"
    not known: the pods of the cluster were not looked at
    taken over from `argocd-controller` (Argo CD, `payments:x`)
    Argo CD applies and marks it again as long as its source has it: take it out there now. Without the mark, which goes, it does not delete it
    ");

    let after = applied(&plan, &live);
    let object = after.objects.get(&id()).unwrap();
    assert_eq!(
        object.0["spec"],
        json!({"replicas": 3}),
        "what Argo CD applied goes"
    );
    assert_eq!(object.annotation("argocd.argoproj.io/tracking-id"), None);
    let managers: Vec<&Value> = object.0["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["manager"])
        .collect();
    assert_eq!(managers, [labels::FLEET_MANAGER]);
    assert_eq!(lines(&planned(&desired, &after, &policy)), [""; 0]);
    assert!(is_member(&id(), object, FLEET));
}

#[test]
fn a_cluster_that_differs_is_not_taken_over_unless_the_record_says_so() {
    let live = argos(json!({"replicas": 1, "ttl": "9h"}));
    let policy = record(manager(ARGO), IfDifferent::Fail);
    let plan = planned(&[wanted(json!({"replicas": 3}))], &live, &policy);
    assert_eq!(lines(&plan), ["! berlin Refused"]);
    insta::assert_snapshot!(plan.held[0].waiting_on, @"it is not as the files say, and changes/adopt.yaml:5:30 takes it over only as it is: spec.replicas 1 -> 3, spec.ttl 9h -> (unset); change the files (`k0smotron-fleet export` prints what is there), or write `ifDifferent: Overwrite` into the record");
    let plan = planned(&[wanted(json!({"replicas": 1, "ttl": "9h"}))], &live, &policy);
    assert_eq!(lines(&plan), ["> berlin safe"]);
    // What says nothing is no difference.
    let live = argos(json!({"replicas": 1, "storage": {"etcd": {}}}));
    let plan = planned(&[wanted(json!({"replicas": 1}))], &live, &policy);
    assert_eq!(lines(&plan), ["> berlin unknown"]);
    let live = argos(json!({"replicas": 1, "ttl": "9h"}));
    // A label that the other tool set is a difference like any.
    let without_label = entry("edge", "berlin", json!({"replicas": 1, "ttl": "9h"}));
    assert_eq!(
        lines(&planned(&[without_label], &live, &policy)),
        ["! berlin Refused"]
    );
}

#[test]
fn a_cluster_of_another_fleet_is_taken_over_from_that_fleet_alone() {
    let other = FleetPolicy {
        id: Some("other-1a2b".to_owned()),
        ..policy()
    };
    let desired = [entry("edge", "berlin", json!({"replicas": 1}))];
    let live = applied(
        &planned(&desired, &Observed::default(), &other),
        &Observed::default(),
    );
    let of = |fleet: &str| record(AdoptSource::Fleet(fleet.to_owned()), IfDifferent::Fail);
    assert_eq!(
        lines(&planned(&desired, &live, &of("third"))),
        ["! berlin OtherOwner"]
    );
    let by_manager = record(manager("kubectl"), IfDifferent::Fail);
    assert_eq!(
        lines(&planned(&desired, &live, &by_manager)),
        ["! berlin OtherOwner"]
    );

    let plan = planned(&desired, &live, &of("other-1a2b"));
    assert_eq!(lines(&plan), ["> berlin safe"]);
    let after = applied(&plan, &live);
    assert!(is_member(&id(), after.objects.get(&id()).unwrap(), FLEET));
    // The fleet that had it leaves it alone, with its file and without.
    let careless = FleetPolicy {
        deletions: Deletions::Omission,
        empty_set: EmptySet::Allowed,
        ..other
    };
    assert_eq!(
        lines(&planned(&desired, &after, &careless)),
        ["! berlin OtherOwner"]
    );
    assert_eq!(lines(&planned(&[], &after, &careless)), [""; 0]);
}

/// Each edit of a cluster of Argo CD, and why a record for `argocd-controller` does not take it over.
#[rstest]
#[case::owned(|live: &mut Value| {
    live["metadata"]["ownerReferences"] = json!([{"kind": "Tenant", "name": "seven", "uid": "u"}]);
}, "OtherOwner")]
#[case::held(|live: &mut Value| live["metadata"]["annotations"][labels::HOLD] = json!("incident"), "Hold")]
#[case::going(|live: &mut Value| live["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z"), "Waiting")]
#[case::marked_by_another(|live: &mut Value| {
    live["metadata"]["managedFields"][0]["manager"] = json!("kustomize-controller");
}, "OtherOwner")]
#[case::applied_by_two(|live: &mut Value| {
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
        "manager": "platform-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}));
}, "OtherOwner")]
fn a_record_opens_no_other_guard(#[case] edit: fn(&mut Value), #[case] reason: &str) {
    let live = edited(&argos(json!({"replicas": 1})), &id(), edit);
    let policy = record(manager(ARGO), IfDifferent::Overwrite);
    let plan = planned(&[wanted(json!({"replicas": 1}))], &live, &policy);
    assert_eq!(lines(&plan), [format!("! berlin {reason}")]);
}

#[test]
fn a_protected_cluster_stays_protected_when_it_is_taken_over() {
    let live = edited(&argos(json!({"replicas": 1})), &id(), |live| {
        live["metadata"]["annotations"][labels::PROTECT] = json!("true");
    });
    let policy = record(manager(ARGO), IfDifferent::Fail);
    let plan = planned(&[wanted(json!({"replicas": 1}))], &live, &policy);
    assert_eq!(lines(&plan), ["> berlin safe"]);
    let after = applied(&plan, &live);
    assert_eq!(
        after.objects.get(&id()).unwrap().annotation(labels::PROTECT),
        Some("true")
    );
}

#[test]
fn what_people_changed_by_hand_goes_too_and_what_others_own_stays() {
    let live = edited(
        &made_by("kubectl-client-side-apply", json!({}), json!({"replicas": 1})),
        &id(),
        |live| {
            live["spec"]["ttl"] = json!("9h");
            live["spec"]["paused"] = json!(true);
            let fields = live["metadata"]["managedFields"].as_array_mut().unwrap();
            fields[0]["operation"] = json!("Update");
            fields.extend([
                json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:ttl": {}}}}),
                json!({"manager": "pauser", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}),
                json!({"manager": labels::OPERATOR_MANAGER, "operation": "Update",
                    "fieldsV1": {"f:metadata": {"f:finalizers": {}}}}),
            ]);
        },
    );
    let desired = [entry("edge", "berlin", json!({"replicas": 1}))];
    let policy = record(manager("kubectl-client-side-apply"), IfDifferent::Overwrite);
    let plan = planned(&desired, &live, &policy);
    assert_eq!(lines(&plan), ["> berlin unknown"]);
    let after = applied(&plan, &live);
    let object = &after.objects.get(&id()).unwrap().0;
    assert_eq!(object["spec"], json!({"replicas": 1, "paused": true}));
    assert!(
        object["metadata"]["managedFields"]
            .to_string()
            .contains("f:finalizers")
    );
}

#[test]
fn a_run_that_was_stopped_half_way_goes_on() {
    let live = argos(json!({"replicas": 1, "ttl": "9h"}));
    let desired = [wanted(json!({"replicas": 1}))];
    let policy = record(manager(ARGO), IfDifferent::Overwrite);
    let plan = planned(&desired, &live, &policy);
    let Operation::Adopt { managed_fields, .. } = &plan.actions().next().unwrap().operation else {
        panic!("{plan:?}")
    };
    let stopped = edited(&live, &id(), |live| {
        live["metadata"]["managedFields"] = managed_fields.clone().unwrap();
    });
    let again = planned(&desired, &stopped, &policy);
    assert_eq!(lines(&again), ["> berlin unknown"]);
    let after = applied(&again, &stopped);
    assert_eq!(
        after.objects.get(&id()).unwrap().0["spec"],
        json!({"replicas": 1})
    );
}

#[test]
fn a_record_for_what_is_not_there_creates_nothing() {
    let policy = record(manager(ARGO), IfDifferent::Overwrite);
    let plan = planned(&[wanted(json!({}))], &Observed::default(), &policy);
    assert_eq!(lines(&plan), ["! berlin Waiting"]);
}

#[test]
fn the_one_who_has_a_cluster_is_found() {
    let source = |live: &Observed| adoptable(&id(), live.objects.get(&id()).unwrap());
    assert_eq!(source(&argos(json!({}))), Ok(manager(ARGO)));
    assert_eq!(
        source(&made_by("kubectl", json!({}), json!({"replicas": 1}))),
        Ok(manager("kubectl"))
    );
    assert_eq!(
        source(&hub(&[entry("edge", "berlin", json!({}))])),
        Ok(AdoptSource::Fleet(FLEET.to_owned()))
    );
    let anonymous = FleetPolicy { id: None, ..policy() };
    let nothing = Observed::default();
    let untracked = applied(
        &planned(&[entry("edge", "berlin", json!({}))], &nothing, &anonymous),
        &nothing,
    );
    assert!(source(&untracked).unwrap_err().contains("without a fleet"));
}

#[test]
fn a_saved_plan_takes_over_what_it_showed() {
    let live = argos(json!({"replicas": 1}));
    let policy = record(manager(ARGO), IfDifferent::Fail);
    let plan = planned(&[wanted(json!({"replicas": 1}))], &live, &policy);
    let saved = super::saved::saved(&plan, &live);
    assert_eq!(lines(&saved.to_plan()), ["> berlin safe"]);
    assert!(
        saved.entries[0].live.contains_key("/spec/replicas"),
        "{:?}",
        saved.entries[0].live
    );
}

#[test]
fn a_cluster_of_the_same_name_under_k0smotron_is_in_the_way() {
    let mut live = Observed::default();
    let upstream = ObjectId::new(kinds::UPSTREAM_CLUSTER, "edge", "berlin");
    live.objects.insert(upstream, Object::default());
    let plan = planned(
        &[
            entry("edge", "berlin", json!({})),
            entry("core", "berlin", json!({})),
        ],
        &live,
        &policy(),
    );
    assert_eq!(lines(&plan), ["+ berlin", "! berlin Refused"]);
    assert!(
        plan.held[0]
            .waiting_on
            .contains("kubectl delete clusters.k0smotron.io -n edge berlin")
    );
}
