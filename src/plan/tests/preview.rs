//! The operator's own renderer, run to the end on the model; then changes, as the fleet's plan foresees them.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::api::K0smotronCluster;
use crate::render::{self, Facts, Settings};

const NOW: &str = "2030-01-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn addresses() -> Vec<String> {
    vec!["192.0.2.7".to_owned()]
}

/// One pass of the operator; returns the children after it and the plan.
fn pass(cluster: &Object, children: &Observed) -> (Observed, Plan) {
    let cluster: K0smotronCluster = serde_json::from_value(cluster.0.clone()).unwrap();
    let facts = Facts::gather(&cluster, children, &addresses(), now());
    let resolved = render::resolve(&cluster.spec, &facts, &Settings::standard()).unwrap();
    let plan = super::super::children(&render::objects(&resolved), children, &Owner::of(&facts));
    let plan = approve_children(plan).plan().clone();
    let after = model::apply(&plan, children, labels::OPERATOR_MANAGER);
    (model::settle(&after), plan)
}

/// Passes until nothing differs any more.
fn converged(cluster: &Object, children: &Observed) -> Observed {
    let mut children = children.clone();
    for _ in 0..10 {
        let (after, plan) = pass(cluster, &children);
        if plan.is_empty() {
            return children;
        }
        children = after;
    }
    panic!(
        "not at rest after ten passes: {:?}",
        lines(&pass(cluster, &children).1)
    );
}

/// A hub with one cluster that runs.
fn running(spec: serde_json::Value) -> (Observed, Observed) {
    let hub = hub(&[entry("prod", "payments", spec)]);
    let id = cluster_id("prod", "payments");
    let children = converged(hub.objects.get(&id).unwrap(), &Observed::default());
    let version = hub.objects.get(&id).unwrap().0["spec"]["version"].clone();
    let hub = edited(&hub, &id, |cluster| {
        cluster["status"] = json!({"version": version, "pins": {"version": version}});
    });
    (hub, children)
}

/// Plans a change and returns its lines, effects included.
fn change(hub: &Observed, children: &Observed, spec: serde_json::Value) -> String {
    let desired = [entry("prod", "payments", spec)];
    let rejected = Default::default();
    let addresses = addresses();
    let settings = Settings::standard();
    let input = FleetInput {
        desired: &desired,
        rejected: &rejected,
        observed: hub,
        unchanged: &BTreeSet::new(),
        preview: Ok(Preview {
            children,
            node_addresses: &addresses,
            settings: &settings,
            now: now(),
        }),
    };
    let plan = super::super::fleet(&input, &policy());
    let effects = plan.actions().flat_map(|action| action.effects.clone());
    let held = plan.held.iter().map(|held| held.waiting_on.clone());
    let text: Vec<String> = lines(&plan).into_iter().chain(effects).chain(held).collect();
    text.join("\n")
}

fn three(version: &str) -> serde_json::Value {
    json!({"version": version, "replicas": 3})
}

#[test]
fn a_new_cluster_comes_to_rest_and_then_nothing_differs() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let cluster = hub.objects.get(&cluster_id("prod", "payments")).unwrap();
    let (_, plan) = pass(cluster, &children);
    assert!(plan.is_empty(), "{:?}", lines(&plan));
    assert!(children.objects.len() >= 14, "{}", children.objects.len());
}

#[test]
fn a_new_version_of_three_replicas_rolls_and_leaves_etcd_alone() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    insta::assert_snapshot!(change(&hub, &children, three("v1.36.3+k0s.2")), @"
    ~ payments rolling
    3 pods kmc-payments-{0..2} replaced one by one
    etcd not restarted; kubeconfig and tokens stay valid
    ");
}

#[test]
fn a_new_version_of_one_replica_is_disruptive() {
    let (hub, children) = running(json!({"version": "v1.35.2+k0s.0"}));
    insta::assert_snapshot!(change(&hub, &children, json!({"version": "v1.36.3+k0s.2"})), @"
    ~ payments disruptive
    1 pod kmc-payments-0 replaced; the API does not answer until it is ready again
    etcd not restarted; kubeconfig and tokens stay valid
    ");
}

#[test]
fn a_skipped_minor_and_a_way_back_are_refused_and_say_what_to_write() {
    let (hub, children) = running(three("v1.34.1+k0s.0"));
    insta::assert_snapshot!(change(&hub, &children, three("v1.36.3+k0s.2")), @"
    ! payments Refused
    v1.34.1+k0s.0 runs, and minor versions cannot be skipped on the way to v1.36.3+k0s.2; write v1.35 first
    ");
    insta::assert_snapshot!(change(&hub, &children, three("v1.33.4+k0s.0")), @"
    ! payments Refused
    v1.34.1+k0s.0 runs, and going back to v1.33.4+k0s.0 is not possible; write v1.34 with any patch
    ");
}

#[test]
fn the_pods_that_were_foretold_are_those_that_roll() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let next = hub_after(&hub, three("v1.36.3+k0s.2"));
    let after = converged(
        next.objects.get(&cluster_id("prod", "payments")).unwrap(),
        &children,
    );
    let template = |observed: &Observed, name: &str| {
        let id = ObjectId::new(kinds::STATEFUL_SET, "prod", name);
        observed.objects.get(&id).unwrap().0["spec"]["template"].clone()
    };
    assert_ne!(
        template(&after, "kmc-payments"),
        template(&children, "kmc-payments")
    );
    assert_eq!(
        template(&after, "kmc-payments-etcd"),
        template(&children, "kmc-payments-etcd")
    );
}

fn hub_after(hub: &Observed, spec: serde_json::Value) -> Observed {
    applied(&planned(&[entry("prod", "payments", spec)], hub, &policy()), hub)
}

#[test]
fn a_label_is_safe_and_looks_at_no_pods() {
    let (hub, _) = running(three("v1.35.2+k0s.0"));
    let mut labelled = entry("prod", "payments", three("v1.35.2+k0s.0"));
    Arc::make_mut(&mut labelled.object).0["metadata"]["labels"] = json!({"team": "blue"});
    let plan = planned(&[labelled], &hub, &policy());
    assert_eq!(lines(&plan), ["~ payments safe"]);
}

#[test]
fn without_a_look_at_the_pods_a_change_is_unknown() {
    let (hub, _) = running(three("v1.35.2+k0s.0"));
    let plan = planned(
        &[entry("prod", "payments", three("v1.36.3+k0s.2"))],
        &hub,
        &policy(),
    );
    assert_eq!(lines(&plan), ["~ payments unknown"]);
}

#[test]
fn hibernation_is_disruptive_and_keeps_etcd_out_of_the_blame() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    insta::assert_snapshot!(change(&hub, &children, json!({"version": "v1.35.2+k0s.0", "replicas": 0})), @"
    ~ payments disruptive
    3 pods kmc-payments-{0..2} stopped; the API does not answer until replicas are raised again
    etcd: 3 pods kmc-payments-etcd-{0..2} stopped
    ");
}

#[test]
fn another_address_is_disruptive() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let elsewhere = json!({"version": "v1.35.2+k0s.0", "replicas": 3, "externalAddress": "edge.example.org"});
    insta::assert_snapshot!(change(&hub, &children, elsewhere), @"
    ~ payments disruptive
    kubeconfig made anew; copies of the old one work until they expire
    3 pods kmc-payments-{0..2} replaced one by one
    etcd not restarted
    address https://192.0.2.7:30443 -> https://edge.example.org:30443; clients and workers have to use the new one
    ");
}

#[test]
fn an_address_that_is_no_longer_written_stays_in_force() {
    let (hub, children) = running(json!({"externalAddress": "edge.example"}));
    insta::assert_snapshot!(change(&hub, &children, json!({})), @"~ payments safe");
}

#[test]
fn another_class_of_a_load_balancer_is_refused_and_says_what_to_do() {
    let service = |class: &str| json!({"service": {"type": "LoadBalancer", "loadBalancerClass": class}});
    let (hub, children) = running(service("example.org/fast"));
    insta::assert_snapshot!(change(&hub, &children, service("example.org/slow")), @"
    ! payments Refused
    spec.service.loadBalancerClass: Service `kmc-payments-lb` was made with class `example.org/fast`, which the API server lets nobody change; write `example.org/fast`, or delete the Service to have it made anew with `example.org/slow` (its address may be another one then)
    ");
}

#[test]
fn another_type_of_service_waits_until_its_address_is_written() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let balanced = json!({"version": "v1.35.2+k0s.0", "replicas": 3, "service": {"type": "LoadBalancer"}});
    insta::assert_snapshot!(change(&hub, &children, balanced), @"
    ~ payments safe
    not done: spec.service.type: clients and workers use 192.0.2.7, which the old Service gives; the new one gives (known when it is made). Write `externalAddress: (known when it is made)` to move them
    ");
}

#[test]
fn another_type_of_service_with_an_address_that_is_written_takes_several_passes_and_says_it_all() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let balanced = json!({
        "version": "v1.35.2+k0s.0", "replicas": 3, "service": {"type": "LoadBalancer"},
        "externalAddress": "edge.example.org",
    });
    insta::assert_snapshot!(change(&hub, &children, balanced), @"
    ~ payments disruptive
    kubeconfig made anew; copies of the old one work until they expire
    3 pods kmc-payments-{0..2} replaced one by one
    Service kmc-payments-nodeport deleted; its address and ports go
    etcd not restarted
    address https://192.0.2.7:30443 -> https://edge.example.org:6443; clients and workers have to use the new one
    ");
}

#[test]
fn what_was_written_while_a_cluster_was_paused_happens_when_it_goes_on() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let id = cluster_id("prod", "payments");
    let paused = edited(&hub, &id, |cluster| {
        cluster["spec"]["paused"] = json!(true);
        cluster["spec"]["nodeSelector"] = json!({"pool": "control"});
    });
    let goes_on = json!({
        "version": "v1.35.2+k0s.0", "replicas": 3, "nodeSelector": {"pool": "control"}, "paused": false,
    });
    insta::assert_snapshot!(change(&paused, &children, goes_on), @"
    ~ payments rolling
    3 pods kmc-payments-{0..2} replaced one by one
    etcd: 3 pods kmc-payments-etcd-{0..2} replaced one by one
    kubeconfig and tokens stay valid
    ");
}

#[test]
fn more_replicas_are_safe_and_say_which_members_follow() {
    let (hub, children) = running(json!({"version": "v1.35.2+k0s.0"}));
    insta::assert_snapshot!(change(&hub, &children, three("v1.35.2+k0s.0")), @"
    ~ payments safe
    2 pods kmc-payments-{1..2} added
    etcd goes from 1 to 3 members, one at a time
    ");
}

#[test]
fn a_field_that_is_not_supported_is_refused_by_name() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let limited = json!({"version": "v1.35.2+k0s.0", "replicas": 3, "ttl": "1h"});
    insta::assert_snapshot!(change(&hub, &children, limited), @"
    ! payments Refused
    not supported yet: spec.ttl; nothing of this generation is applied until it is removed
    ");
}

#[test]
fn an_immutable_field_is_refused_with_the_words_of_the_api() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let other = json!({"version": "v1.35.2+k0s.0", "replicas": 3, "pki": {"keyAlgorithm": "RSA-2048"}});
    insta::assert_snapshot!(change(&hub, &children, other), @"
    ! payments Refused
    spec.pki.keyAlgorithm: cannot be changed; write the old algorithm (unset is ECDSA-P256), or make a new cluster
    ");
}

#[test]
fn a_new_cluster_with_a_field_that_is_not_supported_is_refused_before_it_is_made() {
    let nothing = Observed::default();
    let limited = json!({"ttl": "1h"});
    insta::assert_snapshot!(change(&nothing, &nothing, limited), @"
    ! payments Refused
    not supported yet: spec.ttl; nothing of this generation is applied until it is removed
    ");
    insta::assert_snapshot!(change(&nothing, &nothing, json!({})), @"+ payments");
}

#[test]
fn a_restored_backup_with_new_uids_comes_to_rest_and_rolls_nothing() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let id = cluster_id("prod", "payments");
    let restored = edited(&hub, &id, |cluster| {
        cluster["metadata"]["uid"] = json!("uid-after-the-restore");
        cluster.as_object_mut().unwrap().remove("status");
    });
    let after = converged(restored.objects.get(&id).unwrap(), &children);
    for (child, before) in children.objects.iter() {
        let now = after.objects.get(child).unwrap();
        assert_eq!(
            now.label(labels::CLUSTER_UID),
            Some("uid-after-the-restore"),
            "{child}"
        );
        assert_eq!(
            now.annotation(labels::FINGERPRINT),
            before.annotation(labels::FINGERPRINT),
            "{child}"
        );
        assert_eq!(now.0["spec"], before.0["spec"], "{child}");
    }
}

#[test]
fn a_wiped_status_changes_nothing() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let id = cluster_id("prod", "payments");
    let wiped = edited(&hub, &id, |cluster| {
        cluster.as_object_mut().unwrap().remove("status");
    });
    let (_, plan) = pass(wiped.objects.get(&id).unwrap(), &children);
    assert!(plan.is_empty(), "{:?}", lines(&plan));
}

#[test]
fn a_patch_that_fails_only_behind_an_ingress_is_refused_before_it_is_applied() {
    let (hub, children) = running(three("v1.36.3+k0s.2"));
    let behind_an_ingress = |content: &str| {
        let mut spec = three("v1.36.3+k0s.2");
        spec["ingress"] = json!({"apiHost": "api.example", "konnectivityHost": "konnectivity.example"});
        spec["patches"] = json!([{
            "target": {"kind": "StatefulSet", "component": "control-plane"},
            "patch": {"type": "json", "content": content},
        }]);
        change(&hub, &children, spec)
    };
    let refused = behind_an_ingress(r#"[{"op": "remove", "path": "/spec/nothing"}]"#);
    assert!(refused.starts_with("! payments Refused"), "{refused}");
    assert!(refused.contains("spec.patches[0]"), "{refused}");
    let planned = behind_an_ingress(r#"[{"op": "remove", "path": "/spec/updateStrategy"}]"#);
    assert!(planned.starts_with("~ payments"), "{planned}");
}

/// What the operator would write because of another spec of a live cluster.
fn offspring(cluster: &Object, children: &Observed, operation: &Operation) -> Vec<Action> {
    let (addresses, settings) = (addresses(), Settings::standard());
    let preview = Preview {
        children,
        node_addresses: &addresses,
        settings: &settings,
        now: now(),
    };
    children_of_operation(operation, Some(cluster), &preview)
}

fn apply_of(cluster: &Object, spec: serde_json::Value) -> Operation {
    let mut body = Arc::unwrap_or_clone(entry("prod", "payments", spec).object);
    body.0["metadata"]["labels"] = cluster.0["metadata"]["labels"].clone();
    Operation::Apply {
        body,
        uid: cluster.uid().unwrap().to_owned(),
    }
}

#[test]
fn a_change_of_the_configuration_is_told_without_its_values() {
    let with = |values: &str| {
        json!({"version": "v1.35.2+k0s.0", "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
            "spec": {"extensions": {"helm": {"charts": [
                {"name": "a", "chartname": "a/a", "namespace": "a", "values": values}]}}}}})
    };
    let (hub, children) = running(with("password: canary-one"));
    let cluster = hub.objects.get(&cluster_id("prod", "payments")).unwrap();
    let actions = offspring(
        cluster,
        &children,
        &apply_of(cluster, with("password: canary-two")),
    );
    let changes: Vec<&FieldChange> = actions.iter().flat_map(|action| &action.changes).collect();
    assert!(
        changes
            .iter()
            .any(|change| change.new == Some(json!("(not shown)"))),
        "{changes:?}"
    );
    assert!(!json!(changes).to_string().contains("canary"), "{changes:?}");
}

#[test]
fn replicas_that_are_left_to_a_scaler_are_no_change_for_the_pods() {
    let (hub, children) = running(three("v1.35.2+k0s.0"));
    let id = cluster_id("prod", "payments");
    let scaled = edited(&hub, &id, |cluster| {
        cluster["metadata"]["managedFields"]
            .as_array_mut()
            .unwrap()
            .push(json!({
            "manager": "autoscaler", "operation": "Update", "subresource": "scale", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}));
    });
    let cluster = scaled.objects.get(&id).unwrap();
    let operation = apply_of(cluster, json!({"version": "v1.35.2+k0s.0", "logLevel": "debug"}));
    let actions = offspring(cluster, &children, &operation);
    let replicas: Vec<&FieldChange> = actions
        .iter()
        .flat_map(|action| &action.changes)
        .filter(|change| change.pointer == "/spec/replicas")
        .collect();
    assert_eq!(replicas, Vec::<&FieldChange>::new());
}
