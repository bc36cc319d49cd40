//! What an operator makes of what watches tell, without a server.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::*;
use crate::api::K0smotronCluster;
use crate::client::stub::{Requests, server};

use crate::object::Object;
use crate::render::SourceFacts;

pub(super) fn operator(client: Client) -> Arc<Operator> {
    Operator::new(OperatorOptions {
        client,
        namespaces: Vec::new(),
        settings: Settings::standard(),
        reach: Reach::Outside,
        concurrency: 1,
        instance: "test".to_owned(),
    })
}

fn unasked() -> Arc<Operator> {
    operator(server(|asked| panic!("nobody is asked: {asked:?}")).0)
}

fn key(name: &str) -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", name)
}

fn cluster(name: &str, version: u64, created: &str, spec: Value) -> Object {
    Object(json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {"name": name, "namespace": "tenant-7", "uid": format!("uid-{name}"),
            "resourceVersion": version.to_string(), "creationTimestamp": created},
        "spec": spec,
    }))
}

fn child(api_version: &str, kind: &str, name: &str, of: &str) -> Object {
    Object(json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": "tenant-7", "uid": format!("uid-{name}"), "resourceVersion": "5",
            "labels": {labels::APP_INSTANCE: of}},
    }))
}

/// An operator that knows `edge` and `edge-etcd`, and has nothing to do.
fn at_rest() -> Arc<Operator> {
    let operator = unasked();
    for (name, version) in [("edge", 1), ("edge-etcd", 2)] {
        let object = cluster(name, version, "2030-01-01T00:00:00Z", json!({}));
        operator.store().objects.note(object);
    }
    operator
}

#[tokio::test]
async fn a_status_wakes_no_cluster_but_its_own() {
    let operator = at_rest();
    let mut reported = cluster("edge", 7, "2030-01-01T00:00:00Z", json!({}));
    reported.0["status"] = json!({"ready": "1/1"});
    operator.note(reported);
    assert_eq!(operator.queue.len(), 1);
    let changed = cluster("edge", 8, "2030-01-01T00:00:00Z", json!({"replicas": 3}));
    operator.note(changed);
    assert_eq!(operator.queue.len(), 2, "the names of the other may be free now");
}

#[tokio::test]
async fn a_child_wakes_no_cluster_but_its_own_until_it_is_gone() {
    let operator = at_rest();
    operator.note(child("v1", "Service", "kmc-edge-etcd", "edge"));
    assert_eq!(operator.queue.len(), 1);
}

#[tokio::test]
async fn a_child_that_a_list_finds_gone_wakes_those_who_may_want_its_name() {
    for is_told in [true, false] {
        let operator = at_rest();
        let service = child("v1", "Service", "kmc-edge-etcd", "edge-etcd");
        operator.store().objects.note(service.clone());
        assert_eq!(operator.queue.len(), 0);
        if is_told {
            operator.note_deleted(&service);
        } else {
            operator.begin_list(kinds::SERVICE, "");
            operator.end_list(kinds::SERVICE, "", &Default::default(), "9");
        }
        assert_eq!(operator.queue.len(), 2, "told: {is_told}");
    }
}

#[tokio::test]
async fn a_cluster_that_is_gone_wakes_those_who_may_want_its_names() {
    let operator = at_rest();
    operator.begin_list(kinds::K0SMOTRON_CLUSTER, "");
    operator.note(cluster("edge", 1, "2030-01-01T00:00:00Z", json!({})));
    operator.end_list(kinds::K0SMOTRON_CLUSTER, "", &Default::default(), "9");
    assert_eq!(operator.queue.len(), 2);
}

#[tokio::test]
async fn who_made_a_route_is_known_in_whatever_version_it_is_served() {
    for api_version in [
        "gateway.networking.k8s.io/v1",
        "gateway.networking.k8s.io/v1alpha2",
    ] {
        let operator = unasked();
        let object = cluster(
            "edge",
            1,
            "2030-01-01T00:00:00Z",
            json!({"gateway": {"apiHost": "a.example.org", "konnectivityHost": "k.example.org", "parentRefs": []}}),
        );
        let decoded: K0smotronCluster = serde_json::from_value(object.0.clone()).unwrap();
        let route = child(
            api_version,
            "TLSRoute",
            "kmc-edge-konnectivity",
            "edge-konnectivity",
        );
        operator.store().objects.note(route);
        let rival = operator.rival(&key("edge"), &object, &decoded);
        let message = rival.map(|rival| rival.message).unwrap_or_default();
        assert!(
            message.contains("`edge-konnectivity`"),
            "{api_version}: {message}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_changes_while_it_is_read_is_read_again() {
    let this: Arc<OnceLock<Arc<Operator>>> = Arc::default();
    let mut reads = 0;
    let asking = Arc::clone(&this);
    let (client, requests): (_, Requests) = server(move |_| {
        reads += 1;
        let version = reads.min(2);
        // The watch is faster than the answer.
        asking.get().unwrap().sources.note(&key("edge"), "uid-db/2");
        (
            200,
            json!({"metadata": {"name": "db", "uid": "uid-db", "resourceVersion": version.to_string()},
                "data": {"url": "cG9zdGdyZXM6Ly9kYg=="}}),
        )
    });
    let operator = operator(client);
    assert!(this.set(Arc::clone(&operator)).is_ok());
    let spec = serde_json::from_value(json!({"storage": {"type": "kine",
        "kine": {"dataSourceSecretName": "db", "dataSourceSecretKey": "url"}}}))
    .unwrap();
    for expected in [1, 2, 2] {
        operator.look_at_source(&key("edge"), &spec).await;
        assert_eq!(requests.lock().unwrap().len(), expected);
    }
    let Some(SourceFacts::Usable { version }) = operator.source(&key("edge")) else {
        panic!("{:?}", operator.source(&key("edge")))
    };
    assert_eq!(version, "uid-db/2");
}
