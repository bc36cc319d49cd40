//! Order, needs, keys and interruption, against a server that answers from a function.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::api::cluster_parts::KeyAlgorithm;
use crate::api::labels;
use crate::client::stub::{Asked, Requests, server};
use crate::object::{Kind, Object, kinds};
use crate::pki::{CertificateUse, Issue, Issuer, KeyPurpose};
use crate::plan::{Impact, Operation, Plan, Wave, approve_children};

const OPTIONS: Options = Options {
    manager: labels::OPERATOR_MANAGER,
    parallelism: CHILDREN_PARALLELISM,
    deadline: None,
};

fn id(kind: Kind, name: &str) -> ObjectId {
    ObjectId::new(kind, "tenant-7", name)
}

fn object(id: &ObjectId) -> Object {
    Object(json!({
        "apiVersion": id.kind.api_version(), "kind": id.kind.kind,
        "metadata": {"name": id.name, "namespace": id.namespace, "labels": {labels::CLUSTER_UID: "c-1"}},
    }))
}

fn action(id: ObjectId, operation: Operation) -> Action {
    Action {
        id,
        operation,
        impact: Impact::Safe,
        reason: "missing".to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    }
}

fn create(kind: Kind, name: &str, needs: &[&Action]) -> Action {
    let id = id(kind, name);
    let body = object(&id);
    let mut action = action(id, Operation::Create { body });
    action.needs = needs.iter().map(|need| need.id.clone()).collect();
    action
}

fn issue(name: &str, issue: Issue) -> Action {
    let id = id(kinds::SECRET, name);
    let secret = object(&id);
    let purpose = KeyPurpose::Ca;
    action(
        id,
        Operation::Issue {
            purpose,
            secret,
            issue,
        },
    )
}

fn authority(name: &str) -> Action {
    let made = Issue::Authority {
        common_name: "kubernetes-ca".to_owned(),
        algorithm: KeyAlgorithm::EcdsaP256,
        lifetime_seconds: 3600,
    };
    issue(name, made)
}

fn leaf(name: &str, signer: &str, fingerprint: Option<&str>) -> Action {
    let made = Issue::Leaf {
        issuer: Issuer {
            secret: signer.to_owned(),
            fingerprint: fingerprint.map(str::to_owned),
        },
        common_name: name.to_owned(),
        organization: String::new(),
        sans: Vec::new(),
        usage: CertificateUse::Client,
        algorithm: KeyAlgorithm::EcdsaP256,
        lifetime_seconds: 3600,
    };
    issue(name, made)
}

fn plan(waves: Vec<Vec<Action>>) -> ApprovedPlan {
    let wave = |actions| Wave {
        name: "only".to_owned(),
        actions,
    };
    approve_children(Plan {
        waves: waves.into_iter().map(wave).collect(),
        ..Plan::default()
    })
}

async fn execute(client: &Client, plan: &ApprovedPlan) -> BTreeMap<String, ActionResult> {
    let keys = KeySource::at("2026-11-26T08:00:00Z".parse().unwrap());
    let outcome = run(client, plan, &OPTIONS, keys, None, &CancellationToken::new()).await;
    let results = outcome.results.into_iter();
    results.map(|(id, result)| (id.name, result)).collect()
}

/// Stores what is created, as long as nothing of that name is there already.
fn store(objects: &[Object]) -> (Client, Requests) {
    let mut stored: BTreeMap<String, Value> = BTreeMap::new();
    for object in objects {
        stored.insert(object.id().unwrap().name, object.0.clone());
    }
    server(move |asked| {
        let name = asked.uri.split(['/', '?']).nth(6).unwrap_or_default().to_owned();
        match (asked.method.as_str(), stored.get(&name)) {
            ("PATCH", Some(_)) => (409, json!({"reason": "Conflict"})),
            ("GET", Some(live)) => (200, live.clone()),
            ("GET", None) => (404, json!({"reason": "NotFound", "details": {"name": name}})),
            (_, None) => {
                stored.insert(name, asked.body.clone());
                (201, asked.body.clone())
            }
            (_, Some(_)) => (405, json!({})),
        }
    })
}

fn names(requests: &Requests) -> Vec<String> {
    let name = |asked: &Asked| asked.uri.split(['/', '?']).nth(6).unwrap_or_default().to_owned();
    requests
        .lock()
        .unwrap()
        .iter()
        .map(|asked| format!("{} {}", asked.method, name(asked)))
        .collect()
}

#[tokio::test]
async fn an_empty_plan_sends_nothing() {
    let (client, requests) = store(&[]);
    assert!(execute(&client, &plan(vec![])).await.is_empty());
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_leaf_is_signed_by_the_authority_of_the_same_run_without_reading_it() {
    let (client, requests) = store(&[]);
    let plan = plan(vec![vec![
        leaf("edge-etcd-peer", "edge-etcd", None),
        authority("edge-etcd"),
    ]]);
    let results = execute(&client, &plan).await;
    assert!(
        results
            .values()
            .all(|result| matches!(result, ActionResult::Done { .. })),
        "{results:?}"
    );
    assert_eq!(names(&requests), ["PATCH edge-etcd", "PATCH edge-etcd-peer"]);
    let requests = requests.lock().unwrap();
    let annotation = |index: usize, key: &str| {
        let body: &Value = &requests[index].body;
        body["metadata"]["annotations"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(annotation(1, labels::ISSUER), annotation(0, labels::FINGERPRINT));
    assert_eq!(annotation(1, labels::NOT_AFTER), "2026-11-26T09:00:00Z");
    assert_eq!(annotation(0, labels::ISSUER), "");
}

#[tokio::test]
async fn an_authority_that_exists_is_read_once_for_all_it_signs() {
    let (client, requests) = store(&[]);
    execute(&client, &plan(vec![vec![authority("edge-etcd")]])).await;
    let stored = requests.lock().unwrap()[0].body.clone();
    let fingerprint = stored["metadata"]["annotations"][labels::FINGERPRINT]
        .as_str()
        .unwrap()
        .to_owned();
    let (client, requests) = store(&[Object(stored.clone())]);
    let leaves = ["etcd-peer", "etcd-server", "etcd-client"];
    let leaves = leaves.map(|name| leaf(name, "edge-etcd", Some(&fingerprint)));
    let results = execute(&client, &plan(vec![leaves.to_vec()])).await;
    assert!(
        results
            .values()
            .all(|result| matches!(result, ActionResult::Done { .. })),
        "{results:?}"
    );
    let names = names(&requests);
    assert_eq!(
        names.iter().filter(|name| name.starts_with("GET")).count(),
        1,
        "{names:?}"
    );
    assert_eq!(names.len(), 4);
    // Another CA than the one that was looked at does not sign.
    let (client, requests) = store(&[Object(stored)]);
    let results = execute(
        &client,
        &plan(vec![vec![leaf("etcd-peer", "edge-etcd", Some("f00d"))]]),
    )
    .await;
    let ActionResult::Skipped { because } = &results["etcd-peer"] else {
        panic!("{results:?}")
    };
    assert!(because.contains("another CA"), "{because}");
    assert_eq!(self::names(&requests), ["GET edge-etcd"]);
}

#[tokio::test]
async fn a_foreign_authority_signs_nothing_and_is_named() {
    let mut foreign = object(&id(kinds::SECRET, "edge-ca"));
    foreign.0["metadata"]["labels"] = json!({labels::APP_MANAGED_BY: "Helm"});
    let (client, requests) = store(&[foreign]);
    let signer = authority("edge-ca");
    let stateful_set = create(kinds::STATEFUL_SET, "kmc-edge", &[&signer]);
    let service = create(kinds::SERVICE, "kmc-edge-nodeport", &[]);
    let waves = vec![
        vec![signer, service],
        vec![leaf("edge-kubeconfig", "edge-ca", None)],
        vec![stateful_set],
    ];
    let results = execute(&client, &plan(waves)).await;
    assert!(matches!(&results["edge-ca"], ActionResult::Foreign { owner } if owner == "Helm"));
    for name in ["edge-kubeconfig", "kmc-edge"] {
        let ActionResult::Skipped { because } = &results[name] else {
            panic!("{name}")
        };
        assert_eq!(because, "it needs Secret tenant-7/edge-ca, which was not done");
    }
    assert!(matches!(results["kmc-edge-nodeport"], ActionResult::Done { .. }));
    let mut names = names(&requests);
    names.sort();
    assert_eq!(names, ["GET edge-ca", "PATCH edge-ca", "PATCH kmc-edge-nodeport"]);
}

#[tokio::test]
async fn an_authority_that_another_run_created_first_is_ours_but_signs_only_after_it_was_read() {
    let (client, _) = store(&[object(&id(kinds::SECRET, "edge-ca"))]);
    let waves = vec![
        vec![authority("edge-ca")],
        vec![leaf("edge-kubeconfig", "edge-ca", None)],
    ];
    let results = execute(&client, &plan(waves)).await;
    assert!(matches!(results["edge-ca"], ActionResult::Done { .. }));
    let ActionResult::Skipped { because } = &results["edge-kubeconfig"] else {
        panic!("{results:?}")
    };
    assert!(because.contains("read again"), "{because}");
}

#[tokio::test]
async fn progress_counts_every_action_and_what_failed() {
    let (client, _) = server(|asked| {
        if asked.uri.contains("kmc-edge-etcd") {
            return (422, json!({"reason": "Invalid", "message": "spec: wrong"}));
        }
        (201, asked.body.clone())
    });
    let actions = vec![
        create(kinds::STATEFUL_SET, "kmc-edge", &[]),
        create(kinds::STATEFUL_SET, "kmc-edge-etcd", &[]),
    ];
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let keys = KeySource::at(Timestamp::UNIX_EPOCH);
    let stop = CancellationToken::new();
    let outcome = run(
        &client,
        &plan(vec![actions]),
        &OPTIONS,
        keys,
        Some(&sender),
        &stop,
    )
    .await;
    drop(sender);
    assert!(!outcome.is_complete());
    let mut endings = Vec::new();
    while let Some(progress) = receiver.recv().await {
        if let Progress::Ended { id, ending } = progress {
            endings.push((id.name, ending));
        }
    }
    assert_eq!(endings.len(), 2);
    let (_, failed) = endings.iter().find(|(name, _)| name == "kmc-edge-etcd").unwrap();
    let message = "cannot create StatefulSet tenant-7/kmc-edge-etcd: spec: wrong".to_owned();
    let kind = FailureKind::Invalid;
    assert_eq!(failed, &Ending::Failed(Failure { kind, message }));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_says_what_was_done_what_was_not_and_what_is_unknown() {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let hanging = Arc::new(Mutex::new(0));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (stopping, hanging) = (stopping.clone(), Arc::clone(&hanging));
        async move {
            if request.uri().path().ends_with("hangs") {
                *hanging.lock().unwrap() += 1;
                stopping.cancel();
                std::future::pending::<()>().await;
            }
            let body = kube::client::Body::from(b"{\"metadata\": {}}".to_vec());
            Ok::<_, kube::Error>(http::Response::builder().status(201).body(body).unwrap())
        }
    });
    let client = Client::stub(kube::Client::new(service, "default")).with_deadline(Duration::from_secs(60));
    let waves = ["done", "hangs", "late"].map(|name| vec![create(kinds::CONFIG_MAP, name, &[])]);
    let keys = KeySource::at(Timestamp::UNIX_EPOCH);
    let outcome = run(&client, &plan(waves.into()), &OPTIONS, keys, None, &stop).await;
    let results: BTreeMap<_, _> = outcome
        .results
        .into_iter()
        .map(|(id, result)| (id.name, result))
        .collect();
    assert!(matches!(results["done"], ActionResult::Done { .. }));
    assert!(matches!(results["hangs"], ActionResult::Unknown(_)));
    assert!(matches!(results["late"], ActionResult::Skipped { .. }));
}
