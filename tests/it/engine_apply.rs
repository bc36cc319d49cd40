//! Plans executed on a real API server, counted by its audit log.

use std::collections::{BTreeMap, BTreeSet};

use k0smotron_fleet::api::cluster_parts::KeyAlgorithm;
use k0smotron_fleet::api::labels;
use k0smotron_fleet::apply::{self, CHILDREN_PARALLELISM, KeySource, Options};
use k0smotron_fleet::client::{Client, USER_AGENT};
use k0smotron_fleet::object::{Kind, Object, ObjectId, kinds};
use k0smotron_fleet::observe;
use k0smotron_fleet::pki::{CertificateUse, Issue, Issuer, KeyPurpose};
use k0smotron_fleet::plan::{self, ActionResult, FailureKind, Impact, Operation, Plan, Propagation, Wave};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::engine_client::connect;
use crate::support::{Action, Namespace, Proxy, Rule, Servers, audit, crds};

const OPTIONS: Options = Options {
    manager: labels::OPERATOR_MANAGER,
    parallelism: CHILDREN_PARALLELISM,
    deadline: None,
};
const UID: &str = "00000000-0000-0000-0000-00000000c001";

pub struct Place {
    pub namespace: Namespace,
    pub client: Client,
    pub servers: &'static Servers,
}

pub async fn start(hint: &str) -> Place {
    let servers = Servers::shared().await;
    Place {
        namespace: servers.namespace(hint).await,
        client: connect(servers.kubeconfig()).await,
        servers,
    }
}

impl Place {
    pub fn id(&self, kind: Kind, name: &str) -> ObjectId {
        ObjectId::new(kind, &self.namespace.name, name)
    }

    fn object(&self, kind: Kind, name: &str) -> Object {
        Object(json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": { "name": name, "namespace": self.namespace.name, "labels": {
                labels::CLUSTER_UID: UID, labels::CLUSTER: "edge",
                labels::APP_MANAGED_BY: labels::APP_MANAGED_BY_VALUE } },
        }))
    }

    fn create(&self, kind: Kind, name: &str) -> plan::Action {
        let body = self.object(kind, name);
        action(self.id(kind, name), Operation::Create { body })
    }

    fn issue(&self, name: &str, issue: Issue) -> plan::Action {
        let secret = self.object(kinds::SECRET, name);
        let purpose = KeyPurpose::Ca;
        action(
            self.id(kinds::SECRET, name),
            Operation::Issue {
                purpose,
                secret,
                issue,
            },
        )
    }

    async fn run(&self, client: &Client, waves: Vec<Vec<plan::Action>>) -> BTreeMap<String, ActionResult> {
        let wave = |actions| Wave {
            name: "only".to_owned(),
            actions,
        };
        let plan = plan::approve_children(Plan {
            waves: waves.into_iter().map(wave).collect(),
            ..Plan::default()
        });
        let keys = KeySource::at(Timestamp::now());
        let outcome = apply::run(client, &plan, &OPTIONS, keys, None, &CancellationToken::new()).await;
        outcome
            .results
            .into_iter()
            .map(|(id, result)| (id.name, result))
            .collect()
    }
}

fn action(id: ObjectId, operation: Operation) -> plan::Action {
    plan::Action {
        id,
        operation,
        impact: Impact::Safe,
        reason: "missing".to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    }
}

fn authority(common_name: &str) -> Issue {
    Issue::Authority {
        common_name: common_name.to_owned(),
        algorithm: KeyAlgorithm::EcdsaP256,
        lifetime_seconds: 86_400,
    }
}

fn leaf(signer: &str, fingerprint: Option<&str>) -> Issue {
    Issue::Leaf {
        issuer: Issuer {
            secret: signer.to_owned(),
            fingerprint: fingerprint.map(str::to_owned),
        },
        common_name: "etcd-peer".to_owned(),
        organization: "etcd-peer".to_owned(),
        sans: Vec::new(),
        usage: CertificateUse::ServerAndClient,
        algorithm: KeyAlgorithm::EcdsaP256,
        lifetime_seconds: 3600,
    }
}

fn live<'a>(results: &'a BTreeMap<String, ActionResult>, name: &str) -> &'a Object {
    match &results[name] {
        ActionResult::Done { live: Some(live) } => live,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn a_run_sends_one_request_for_each_action_and_none_when_there_is_none() {
    let place = start("apply").await;
    let admin = place.servers.client().await;
    let mark = place.servers.audit.mark(&admin).await;
    assert!(place.run(&place.client, vec![]).await.is_empty());
    let waves = vec![
        vec![
            place.issue("edge-etcd", authority("etcd-ca")),
            place.issue(
                "edge-sa",
                Issue::KeyPair {
                    algorithm: KeyAlgorithm::EcdsaP256,
                },
            ),
            place.create(kinds::CONFIG_MAP, "kmc-edge-config"),
        ],
        vec![place.issue("edge-etcd-peer", leaf("edge-etcd", None))],
    ];
    let results = place.run(&place.client, waves).await;
    assert!(
        results
            .values()
            .all(|result| matches!(result, ActionResult::Done { .. })),
        "{results:?}"
    );
    let events = audit::within(
        place.servers.audit.since(&admin, mark).await,
        &place.namespace.name,
    );
    let ours = audit::by(events, USER_AGENT);
    assert_eq!(ours.len(), 4, "{}", audit::summary(&ours));
    assert!(ours.iter().all(|event| event.code == 201));

    let signer = live(&results, "edge-etcd")
        .annotation(labels::FINGERPRINT)
        .unwrap()
        .to_owned();
    let peer = live(&results, "edge-etcd-peer");
    assert_eq!(peer.annotation(labels::ISSUER), Some(signer.as_str()));
    // What is stored is what was signed.
    let stored = |name: &'static str| {
        let (client, namespace) = (place.client.clone(), place.namespace.name.clone());
        async move { client.get_secret(&namespace, name).await.unwrap().unwrap() }
    };
    let (authority, peer) = (stored("edge-etcd").await, stored("edge-etcd-peer").await);
    let pem = |data: &[u8]| x509_parser::pem::parse_x509_pem(data).unwrap().1;
    let (authority, peer) = (
        pem(authority.data.get("tls.crt").unwrap()),
        pem(peer.data.get("tls.crt").unwrap()),
    );
    let authority = authority.parse_x509().unwrap();
    peer.parse_x509()
        .unwrap()
        .verify_signature(Some(authority.public_key()))
        .unwrap();

    // In a later run the CA is read once, and made anew is only what was asked for.
    let secret = place.object(kinds::SECRET, "edge-etcd-peer");
    let uid = live(&results, "edge-etcd-peer").uid().unwrap().to_owned();
    let renewal = Operation::Reissue {
        purpose: KeyPurpose::EtcdPeer,
        uid,
        secret,
        issue: leaf("edge-etcd", Some(&signer)),
    };
    let mark = place.servers.audit.mark(&admin).await;
    let id = place.id(kinds::SECRET, "edge-etcd-peer");
    let renewed = place.run(&place.client, vec![vec![action(id, renewal)]]).await;
    assert_ne!(
        live(&renewed, "edge-etcd-peer").annotation(labels::FINGERPRINT),
        live(&results, "edge-etcd-peer").annotation(labels::FINGERPRINT)
    );
    let events = audit::within(
        place.servers.audit.since(&admin, mark).await,
        &place.namespace.name,
    );
    assert_eq!(
        audit::summary(&audit::by(events, USER_AGENT))
            .lines()
            .collect::<Vec<_>>(),
        [
            "get secrets/edge-etcd -> 200",
            "patch secrets/edge-etcd-peer -> 200"
        ]
    );
}

#[tokio::test]
async fn an_object_that_is_not_ours_is_named_and_not_touched() {
    let place = start("foreign").await;
    place
        .servers
        .kubectl(&[
            "-n",
            &place.namespace.name,
            "create",
            "secret",
            "generic",
            "edge-ca",
            "--from-literal=a=b",
        ])
        .await
        .success();
    let id = place.id(kinds::SECRET, "edge-ca");
    let before = place.client.get(&id).await.unwrap().unwrap();
    let waves = vec![vec![
        place.issue("edge-ca", authority("kubernetes-ca")),
        place.issue("edge-kubeconfig", leaf("edge-ca", None)),
        place.create(kinds::CONFIG_MAP, "kmc-edge-config"),
    ]];
    let results = place.run(&place.client, waves).await;
    let ActionResult::Foreign { owner } = &results["edge-ca"] else {
        panic!("{results:?}")
    };
    assert!(owner.contains("kubectl"), "{owner}");
    assert!(matches!(
        &results["edge-kubeconfig"],
        ActionResult::Skipped { .. }
    ));
    assert!(matches!(&results["kmc-edge-config"], ActionResult::Done { .. }));
    assert_eq!(place.client.get(&id).await.unwrap().unwrap(), before);
    // What an earlier run made is ours.
    let again = place
        .run(
            &place.client,
            vec![vec![place.create(kinds::CONFIG_MAP, "kmc-edge-config")]],
        )
        .await;
    assert!(matches!(
        &again["kmc-edge-config"],
        ActionResult::Done { live: Some(_) }
    ));
}

#[tokio::test]
async fn a_deletion_of_another_version_fails_and_of_the_very_object_succeeds() {
    let place = start("delete").await;
    let made = place
        .run(&place.client, vec![vec![place.create(kinds::CONFIG_MAP, "old")]])
        .await;
    let made = live(&made, "old");
    let delete = |resource_version: &str| {
        let operation = Operation::Delete {
            uid: made.uid().unwrap().to_owned(),
            resource_version: resource_version.to_owned(),
            propagation: Propagation::Background,
        };
        vec![vec![action(place.id(kinds::CONFIG_MAP, "old"), operation)]]
    };
    let results = place.run(&place.client, delete("1")).await;
    let ActionResult::Failed(failure) = &results["old"] else {
        panic!("{results:?}")
    };
    assert!(
        matches!(failure.kind, FailureKind::Conflict { .. }),
        "{failure:?}"
    );
    let results = place
        .run(&place.client, delete(made.resource_version().unwrap()))
        .await;
    assert!(matches!(&results["old"], ActionResult::Done { live: None }));
    assert_eq!(
        place
            .client
            .get(&place.id(kinds::CONFIG_MAP, "old"))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_run_that_loses_an_answer_says_unknown_and_the_next_one_converges() {
    let place = start("crash").await;
    let proxy = Proxy::start(place.servers).await;
    let through = connect(proxy.kubeconfig()).await;
    proxy.add(Rule::new(Action::DropAnswer).writes().first(1));
    let waves = || {
        vec![
            vec![place.issue("edge-etcd", authority("etcd-ca"))],
            vec![place.issue("edge-etcd-peer", leaf("edge-etcd", None))],
        ]
    };
    let results = place.run(&through, waves()).await;
    assert!(
        matches!(&results["edge-etcd"], ActionResult::Unknown(_)),
        "{results:?}"
    );
    assert!(matches!(&results["edge-etcd-peer"], ActionResult::Skipped { .. }));
    // It had been stored: the next run does not make another one, and does not sign with bytes that are nowhere.
    let results = place.run(&through, waves()).await;
    let fingerprint = live(&results, "edge-etcd")
        .annotation(labels::FINGERPRINT)
        .unwrap()
        .to_owned();
    assert!(matches!(&results["edge-etcd-peer"], ActionResult::Skipped { .. }));
    let last = vec![vec![
        place.issue("edge-etcd-peer", leaf("edge-etcd", Some(&fingerprint))),
    ]];
    let results = place.run(&through, last).await;
    assert_eq!(
        live(&results, "edge-etcd-peer").annotation(labels::ISSUER),
        Some(fingerprint.as_str())
    );
}

#[tokio::test]
async fn observed_is_what_is_there_and_what_may_not_be_read() {
    let place = start("observe").await;
    crds::install(&place.servers.client().await).await;
    let other = place.servers.namespace("observe").await;
    let cluster = |namespace: &str| {
        Object(
            json!({ "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": "edge", "namespace": namespace } }),
        )
    };
    let clusters = vec![vec![
        action(
            place.id(kinds::K0SMOTRON_CLUSTER, "edge"),
            Operation::Create {
                body: cluster(&place.namespace.name),
            },
        ),
        place.issue("edge-ca", authority("kubernetes-ca")),
        place.create(kinds::CONFIG_MAP, "kmc-edge-config"),
    ]];
    place.run(&place.client, clusters).await;
    place
        .servers
        .service_account(&place.namespace.name, "reader")
        .await;
    let account = format!("--serviceaccount={}:reader", place.namespace.name);
    for (kind, name) in [("role", "reader"), ("rolebinding", "reader")] {
        let rights: &[&str] = if kind == "role" {
            &[
                "--verb=get,list",
                "--resource=k0smotronclusters.k0smotron.io,configmaps",
            ]
        } else {
            &["--role=reader", &account]
        };
        let arguments = [&["create", kind, name, "-n", &place.namespace.name], rights].concat();
        place.servers.kubectl(&arguments).await.success();
    }
    let reader = place
        .client
        .as_service_account(&place.namespace.name, "reader")
        .unwrap();
    let both = BTreeSet::from([place.namespace.name.clone(), other.name.clone()]);
    let observed = observe::fleet(&reader, &both).await.unwrap();
    assert!(
        observed
            .objects
            .get(&place.id(kinds::K0SMOTRON_CLUSTER, "edge"))
            .is_some()
    );
    assert!(observed.is_complete_for(kinds::K0SMOTRON_CLUSTER, &place.namespace.name));
    assert!(!observed.is_complete_for(kinds::K0SMOTRON_CLUSTER, &other.name));

    let edge = BTreeSet::from([place.id(kinds::K0SMOTRON_CLUSTER, "edge")]);
    let children = observe::children(&reader, &edge).await.unwrap();
    assert!(
        children
            .objects
            .get(&place.id(kinds::CONFIG_MAP, "kmc-edge-config"))
            .is_some()
    );
    assert!(!children.is_complete_for(kinds::SECRET, &place.namespace.name));
    let children = observe::children(&place.client, &edge).await.unwrap();
    assert!(children.unreadable.is_empty(), "{:?}", children.unreadable);
    let secret = children.objects.get(&place.id(kinds::SECRET, "edge-ca")).unwrap();
    assert!(secret.annotation(labels::FINGERPRINT).is_some());
    assert_eq!(secret.0.get("data"), None);
}
