use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::api::cluster_parts::KeyAlgorithm;
use crate::object::{Kind, Unreadable};
use crate::pki::{Issue, Issuer, KeyPurpose};
use crate::render::{Answer, Answers, Desired};

fn owner() -> Owner {
    Owner {
        cluster: cluster_id("tenant-7", "edge"),
        uid: "uid-new".into(),
        pinned_uid: Some("uid-old".into()),
    }
}

fn id(kind: Kind, name: &str) -> ObjectId {
    ObjectId::new(kind, "tenant-7", name)
}

fn rendered(kind: Kind, name: &str, spec: Value) -> Object {
    Object(json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": {"namespace": "tenant-7", "name": name, "labels": {labels::CLUSTER_UID: "uid-new"},
            "ownerReferences": [{"kind": "K0smotronCluster", "name": "edge", "uid": "uid-new", "controller": true}]},
        "spec": spec,
    }))
}

fn live(mut object: Object) -> Object {
    object.0["metadata"]["uid"] = json!(format!("uid-of-{}", object.text("/metadata/name").unwrap()));
    object.0["metadata"]["resourceVersion"] = json!("7");
    object
}

fn owned_by(mut object: Object, uid: &str) -> Object {
    object.0["metadata"]["labels"][labels::CLUSTER_UID] = json!(uid);
    object.0["metadata"]["ownerReferences"][0]["uid"] = json!(uid);
    object
}

fn want(object: Object) -> (ObjectId, Answer) {
    (object.id().unwrap(), Answer::Want(Desired::Object(object)))
}

fn plan_of(answers: impl IntoIterator<Item = (ObjectId, Answer)>, objects: Vec<Object>) -> Plan {
    let answers: Answers = answers.into_iter().collect();
    let observed = Observed {
        objects: set_of(objects),
        unreadable: Vec::new(),
    };
    super::super::children(&answers, &observed, &owner())
}

fn pods(name: &str, replicas: i64, image: &str) -> Object {
    rendered(
        kinds::STATEFUL_SET,
        name,
        json!({"replicas": replicas, "serviceName": name,
               "template": {"spec": {"containers": [{"name": "main", "image": image}]}}}),
    )
}

fn running(object: Object, ready: i64) -> Object {
    let mut object = live(object);
    object.0["status"] = json!({"readyReplicas": ready});
    object
}

fn key(purpose: KeyPurpose, name: &str) -> (ObjectId, Answer) {
    let issue = if purpose.is_root() {
        Issue::KeyPair {
            algorithm: KeyAlgorithm::EcdsaP256,
        }
    } else {
        Issue::Kubeconfig {
            issuer: Issuer {
                secret: "edge-ca".into(),
                fingerprint: None,
            },
            cluster: "edge".into(),
            server: "https://edge:6443".into(),
            user: "admin".into(),
            group: "system:masters".into(),
            algorithm: KeyAlgorithm::EcdsaP256,
            lifetime_seconds: 60,
        }
    };
    let secret = rendered(kinds::SECRET, name, Value::Null);
    (
        id(kinds::SECRET, name),
        Answer::Want(Desired::Key {
            purpose,
            secret,
            issue,
        }),
    )
}

#[test]
fn what_is_absent_is_made_in_the_order_in_which_it_is_needed() {
    let plan = plan_of(
        [
            want(pods("kmc-edge", 1, "k0s:v1")),
            want(rendered(
                kinds::SERVICE,
                "kmc-edge-nodeport",
                json!({"type": "NodePort"}),
            )),
            want(rendered(kinds::POD_DISRUPTION_BUDGET, "kmc-edge", json!({}))),
            key(KeyPurpose::Kubeconfig, "edge-kubeconfig"),
            key(KeyPurpose::Ca, "edge-ca"),
        ],
        Vec::new(),
    );
    let waves: Vec<(&str, Vec<&str>)> = plan
        .waves
        .iter()
        .map(|wave| {
            (
                &*wave.name,
                wave.actions.iter().map(|action| &*action.id.name).collect(),
            )
        })
        .collect();
    assert_eq!(
        waves,
        [
            ("keys", vec!["edge-ca"]),
            ("certificates", vec!["edge-kubeconfig"]),
            (
                "services and configuration",
                vec!["kmc-edge-nodeport", "kmc-edge"]
            ),
            ("pods", vec!["kmc-edge"]),
        ]
    );
    let needs = |index: usize| -> Vec<&str> {
        let actions: Vec<&Action> = plan.actions().collect();
        actions[index].needs.iter().map(|id| &*id.name).collect()
    };
    assert_eq!(needs(1), ["edge-ca"]);
    assert_eq!(needs(4), ["edge-ca", "kmc-edge-nodeport"]);
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let service = rendered(kinds::SERVICE, "kmc-edge", json!({"type": "ClusterIP"}));
    let plan = plan_of([want(service.clone())], vec![live(service)]);
    assert!(plan.is_empty() && plan.held.is_empty());
    assert_eq!(plan.unchanged, [id(kinds::SERVICE, "kmc-edge")]);
}

#[rstest]
#[case::by_owner("uid-other", "controlled by K0smotronCluster `edge`")]
fn what_is_not_ours_is_held_and_what_needs_it_waits(#[case] uid: &str, #[case] whose: &str) {
    let config = rendered(kinds::CONFIG_MAP, "kmc-edge-config", json!({}));
    let plan = plan_of(
        [want(config.clone()), want(pods("kmc-edge", 1, "k0s:v1"))],
        vec![owned_by(live(config), uid)],
    );
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(lines(&plan), ["! kmc-edge-config Foreign", "! kmc-edge Waiting"]);
    assert!(
        plan.held[0].waiting_on.contains(whose),
        "{}",
        plan.held[0].waiting_on
    );
}

#[test]
fn a_disruption_budget_of_somebody_else_stops_nothing_but_itself() {
    let budget = rendered(kinds::POD_DISRUPTION_BUDGET, "kmc-edge", json!({}));
    let plan = plan_of(
        [want(budget.clone()), want(pods("kmc-edge", 1, "k0s:v1"))],
        vec![owned_by(live(budget), "uid-other")],
    );
    assert_eq!(lines(&plan), ["+ kmc-edge", "! kmc-edge Foreign"]);
}

#[test]
fn a_restored_backup_is_taken_back_and_nothing_rolls() {
    let restored = owned_by(running(pods("kmc-edge", 3, "k0s:v1"), 3), "uid-old");
    let plan = plan_of([want(pods("kmc-edge", 3, "k0s:v1"))], vec![restored]);
    let actions: Vec<&Action> = plan.actions().collect();
    assert_eq!(lines(&plan), ["~ kmc-edge safe"]);
    assert!(actions[0].effects.is_empty());
    assert!(
        actions[0]
            .changes
            .iter()
            .all(|change| change.pointer.starts_with("/metadata/")),
        "{:?}",
        actions[0].changes
    );
}

#[test]
fn only_a_drop_deletes_and_only_what_is_ours() {
    let service = |uid: &str| {
        owned_by(
            live(rendered(
                kinds::SERVICE,
                "kmc-edge-lb",
                json!({"type": "LoadBalancer"}),
            )),
            uid,
        )
    };
    let drop = || {
        [(
            id(kinds::SERVICE, "kmc-edge-lb"),
            Answer::Drop {
                why: "the type is NodePort now".into(),
            },
        )]
    };
    assert_eq!(
        lines(&plan_of(drop(), vec![service("uid-new")])),
        ["- kmc-edge-lb disruptive"]
    );
    assert!(plan_of(drop(), vec![service("uid-other")]).is_empty());
    assert!(plan_of(drop(), Vec::new()).is_empty());
    assert!(plan_of([], vec![service("uid-new")]).is_empty());
}

#[rstest]
#[case(kinds::PERSISTENT_VOLUME_CLAIM, "etcd-data-kmc-edge-etcd-0")]
#[case(kinds::SECRET, "edge-ca")]
#[case(kinds::SECRET, "edge-sa")]
#[case(kinds::SECRET, "edge-proxy")]
#[case(kinds::SECRET, "edge-etcd")]
#[case(kinds::SECRET, "edge-pins")]
fn a_volume_or_root_key_is_never_deleted_whatever_the_answer_says(#[case] kind: Kind, #[case] name: &str) {
    let object = live(rendered(kind, name, Value::Null));
    let plan = plan_of(
        [(
            id(kind, name),
            Answer::Drop {
                why: "mistake".into(),
            },
        )],
        vec![object.clone()],
    );
    assert_eq!(lines(&plan), [format!("! {name} Refused")]);

    // Nor does approval let one through that was planned elsewhere.
    let forged = Plan {
        waves: vec![Wave {
            name: "deletions".into(),
            actions: vec![Action {
                id: id(kind, name),
                operation: Operation::Delete {
                    uid: "u".into(),
                    resource_version: "7".into(),
                    propagation: Propagation::Background,
                },
                impact: Impact::Safe,
                reason: String::new(),
                changes: Vec::new(),
                effects: Vec::new(),
                needs: Vec::new(),
            }],
        }],
        ..Plan::default()
    };
    let approved = approve_children(forged);
    assert!(approved.is_empty());
    assert_eq!(lines(approved.plan()), [format!("! {name} Refused")]);
}

#[test]
fn a_root_key_that_exists_is_never_made_anew_and_a_certificate_is() {
    let secret = |name: &str| live(rendered(kinds::SECRET, name, Value::Null));
    let plan = plan_of(
        [
            key(KeyPurpose::Ca, "edge-ca"),
            key(KeyPurpose::Kubeconfig, "edge-kubeconfig"),
        ],
        vec![secret("edge-ca"), secret("edge-kubeconfig")],
    );
    assert_eq!(lines(&plan), ["~ edge-kubeconfig safe"]);
    let reissue = plan.actions().next().unwrap();
    assert!(
        matches!(&reissue.operation, Operation::Reissue { uid, .. } if uid == "uid-of-edge-kubeconfig"),
        "{reissue:?}"
    );
    assert!(reissue.needs.is_empty(), "the CA needs no write");
}

#[test]
fn nothing_is_made_where_absence_cannot_be_believed() {
    let answers: Answers = [want(pods("kmc-edge", 1, "k0s:v1"))].into();
    let observed = Observed {
        unreadable: vec![Unreadable {
            kind: kinds::STATEFUL_SET,
            namespace: String::new(),
            reason: "forbidden".into(),
        }],
        ..Observed::default()
    };
    let plan = super::super::children(&answers, &observed, &owner());
    assert_eq!(lines(&plan), ["! kmc-edge NotReadable"]);
}

#[test]
fn an_immutable_field_is_refused_by_name_and_nothing_of_that_object_is_sent() {
    let mut wanted = pods("kmc-edge", 3, "k0s:v2");
    wanted.0["spec"]["serviceName"] = json!("other");
    let plan = plan_of([want(wanted)], vec![running(pods("kmc-edge", 3, "k0s:v1"), 3)]);
    assert!(plan.is_empty());
    assert_eq!(
        plan.held[0].waiting_on,
        "spec.serviceName cannot change once it exists"
    );
}

#[test]
fn what_is_being_deleted_is_waited_for() {
    let mut going = live(pods("kmc-edge", 1, "k0s:v1"));
    going.0["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
    let plan = plan_of([want(pods("kmc-edge", 1, "k0s:v2"))], vec![going]);
    assert_eq!(lines(&plan), ["! kmc-edge Waiting"]);
}

#[test]
fn pins_are_patched_where_they_differ() {
    let pins = |text: &str| {
        (
            id(kinds::SECRET, "edge-ca"),
            Answer::Want(Desired::Metadata {
                patch: json!({"annotations": {labels::PINS: text}}),
            }),
        )
    };
    let mut secret = live(rendered(kinds::SECRET, "edge-ca", Value::Null));
    secret.0["metadata"]["annotations"] = json!({labels::PINS: r#"{"apiPort": 30443}"#});
    assert!(plan_of([pins(r#"{"apiPort":30443}"#)], vec![secret.clone()]).is_empty());
    let plan = plan_of([pins(r#"{"apiPort":30444}"#)], vec![secret]);
    assert_eq!(lines(&plan), ["~ edge-ca safe"]);
}

/// What a change of pods means depends on how many there are and how they are.
#[rstest]
#[case::three_ready(
    3,
    3,
    3,
    "k0s:v2",
    Impact::Rolling,
    "3 pods kmc-edge-{0..2} replaced one by one"
)]
#[case::one(
    1,
    1,
    1,
    "k0s:v2",
    Impact::Disruptive,
    "1 pod kmc-edge-0 replaced; the API does not answer until it is ready again"
)]
#[case::one_ready_of_three(
    3,
    1,
    3,
    "k0s:v2",
    Impact::Disruptive,
    "3 pods kmc-edge-{0..2} replaced one by one, but only 1 is ready now; the API may not answer meanwhile"
)]
#[case::more(1, 1, 3, "k0s:v1", Impact::Safe, "2 pods kmc-edge-{1..2} added")]
#[case::fewer(3, 3, 2, "k0s:v1", Impact::Rolling, "1 pod kmc-edge-2 removed")]
#[case::hibernate(
    3,
    3,
    0,
    "k0s:v1",
    Impact::Disruptive,
    "3 pods kmc-edge-{0..2} stopped; the API does not answer until replicas are raised again"
)]
#[case::hibernated_template(0, 0, 0, "k0s:v2", Impact::Safe, "")]
fn the_impact_on_pods_is_computed_from_their_numbers(
    #[case] replicas: i64,
    #[case] ready: i64,
    #[case] wanted: i64,
    #[case] image: &str,
    #[case] impact: Impact,
    #[case] effect: &str,
) {
    let plan = plan_of(
        [want(pods("kmc-edge", wanted, image))],
        vec![running(pods("kmc-edge", replicas, "k0s:v1"), ready)],
    );
    let action = plan.actions().next().unwrap();
    assert_eq!(action.impact, impact);
    assert_eq!(action.effects.join("\n"), effect);
}

#[test]
fn a_roll_without_quorum_of_etcd_is_disruptive() {
    let plan = plan_of(
        [
            want(pods("kmc-edge", 3, "k0s:v2")),
            want(pods("kmc-edge-etcd", 3, "etcd:v1")),
        ],
        vec![
            running(pods("kmc-edge", 3, "k0s:v1"), 3),
            running(pods("kmc-edge-etcd", 3, "etcd:v1"), 1),
        ],
    );
    assert_eq!(lines(&plan), ["~ kmc-edge disruptive"]);
    insta::assert_snapshot!(
        plan.actions().next().unwrap().effects[0],
        @"3 pods kmc-edge-{0..2} replaced one by one, but etcd has no quorum now (1 of 3 members ready)"
    );
}

#[test]
fn the_ports_and_type_of_a_service_are_noticed_and_its_labels_are_not() {
    let service = |spec: Value, team: &str| {
        let mut service = rendered(kinds::SERVICE, "kmc-edge", spec);
        service.0["metadata"]["labels"]["team"] = json!(team);
        service
    };
    let spec = |port: u16| json!({"type": "NodePort", "ports": [{"port": 6443, "nodePort": port}]});
    let plan = plan_of(
        [want(service(spec(30444), "a"))],
        vec![live(service(spec(30443), "a"))],
    );
    assert_eq!(lines(&plan), ["~ kmc-edge disruptive"]);
    insta::assert_snapshot!(
        plan.actions().next().unwrap().effects[0],
        @"Service kmc-edge: spec.ports[0].nodePort 30443 -> 30444; clients and workers notice"
    );
    let plan = plan_of(
        [want(service(spec(30443), "b"))],
        vec![live(service(spec(30443), "a"))],
    );
    assert_eq!(lines(&plan), ["~ kmc-edge safe"]);
}

#[test]
fn what_is_in_a_configuration_is_not_shown() {
    let config = |data: &str| {
        let mut config = rendered(kinds::CONFIG_MAP, "kmc-edge-config", Value::Null);
        config.0["data"] = json!({"k0s.yaml": data});
        config
    };
    let plan = plan_of([want(config("token: abc"))], vec![live(config("token: xyz"))]);
    let text = serde_json::to_string(plan.actions().next().map(|action| &action.changes).unwrap()).unwrap();
    assert!(!text.contains("abc") && !text.contains("xyz"), "{text}");
}

#[test]
fn a_kept_answer_is_a_reason_to_wait() {
    let answers = BTreeMap::from([(
        id(kinds::STATEFUL_SET, "kmc-edge"),
        Answer::Keep {
            waiting_on: "an address".into(),
        },
    )]);
    assert_eq!(lines(&plan_of(answers, Vec::new())), ["! kmc-edge Waiting"]);
}
