//! Two controllers and one lease, on a real API server.

use std::time::{Duration, Instant};

use k0smotron_fleet::api::labels::OPERATOR_MANAGER;
use k0smotron_fleet::client::{Client, Target};
use k0smotron_fleet::hosted::Reach;
use k0smotron_fleet::lease::{Election, Params};
use k0smotron_fleet::render::Settings;
use k0smotron_fleet::server::{ControllerOptions, ServerError, run_until};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{Namespace, Servers, eventually};

const PARAMS: Params = Params {
    duration: Duration::from_secs(3),
    look_every: Duration::from_millis(300),
};
const LEASE: &str = "controller";

struct Candidate {
    ended: JoinHandle<Result<(), ServerError>>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Candidate {
    async fn start(servers: &Servers, namespace: &Namespace, identity: &str) -> Self {
        Self::start_with(PARAMS, servers, namespace, identity).await
    }

    async fn start_with(params: Params, servers: &Servers, namespace: &Namespace, identity: &str) -> Self {
        let target = Target {
            kubeconfig: Some(servers.kubeconfig()),
            context: None,
            identity: None,
        };
        let options = ControllerOptions {
            client: Client::connect(&target)
                .await
                .expect("the kubeconfig is complete"),
            election: Some(Election {
                namespace: namespace.name.clone(),
                name: LEASE.to_owned(),
                identity: identity.to_owned(),
                manager: OPERATOR_MANAGER,
                params,
            }),
            namespaces: vec![namespace.name.clone()],
            listen: None,
            settings: Settings::standard(),
            reach: Reach::Outside,
            concurrency: Some(1),
            instance: identity.to_owned(),
            syncs: None,
            directory: None,
            parent_namespace: "k0smotron-fleet".to_owned(),
            published_in: None,
        };
        let stop = CancellationToken::new();
        Self {
            ended: tokio::spawn(run_until(options, stop.clone())),
            _guard: stop.clone().drop_guard(),
            stop,
        }
    }
}

async fn leases(servers: &Servers, namespace: &Namespace) -> Api<Lease> {
    Api::namespaced(servers.client().await, &namespace.name)
}

async fn holder(leases: &Api<Lease>) -> Option<String> {
    leases.get_opt(LEASE).await.ok()??.spec?.holder_identity
}

async fn until_led_by(leases: &Api<Lease>, identity: &str, deadline: Duration) {
    eventually(&format!("{identity} leads"), deadline, async || {
        (holder(leases).await.as_deref() == Some(identity)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_controller_that_ends_hands_over_at_once() {
    // Nobody could wait until such a lease expires.
    let long = Params {
        duration: Duration::from_secs(600),
        ..PARAMS
    };
    let servers = Servers::shared().await;
    let namespace = servers.namespace("election").await;
    let leases = leases(servers, &namespace).await;
    let first = Candidate::start_with(long, servers, &namespace, "north").await;
    until_led_by(&leases, "north", Duration::from_secs(10)).await;
    let _second = Candidate::start_with(long, servers, &namespace, "south").await;

    first.stop.cancel();
    first.ended.await.unwrap().expect("a clean end");
    until_led_by(&leases, "south", Duration::from_secs(10)).await;
    let lease = leases.get(LEASE).await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(1));
}

#[tokio::test]
async fn a_controller_that_dies_is_followed_after_the_duration() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("election").await;
    let leases = leases(servers, &namespace).await;
    let first = Candidate::start(servers, &namespace, "north").await;
    until_led_by(&leases, "north", Duration::from_secs(10)).await;
    let _second = Candidate::start(servers, &namespace, "south").await;

    first.ended.abort();
    let start = Instant::now();
    until_led_by(&leases, "south", Duration::from_secs(10)).await;
    assert!(
        start.elapsed() > PARAMS.duration / 3,
        "too soon, after {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_controller_whose_lease_a_stranger_takes_ends() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("election").await;
    let leases = leases(servers, &namespace).await;
    let first = Candidate::start(servers, &namespace, "north").await;
    until_led_by(&leases, "north", Duration::from_secs(10)).await;

    let theft = json!({ "spec": { "holderIdentity": "stranger" } });
    leases
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(theft))
        .await
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), first.ended).await;
    let ended = ended.expect("it notices by its next renewal").unwrap();
    assert!(matches!(ended, Err(ServerError::LeaseLost)), "{ended:?}");
    assert_eq!(
        holder(&leases).await.as_deref(),
        Some("stranger"),
        "the lease is not taken back"
    );
}
