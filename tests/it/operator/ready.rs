//! From an object to a control plane that answers.

use k0smotron_fleet::api::K0smotronJoinToken;
use k0smotron_fleet::api::crd;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::support::kubelet::Policy;
use crate::support::{Options, Servers, crds, eventually, hosting};

#[tokio::test]
async fn two_clusters_without_a_spec_become_ready_in_one_namespace() {
    let bench = Bench::new("ready").await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    bench.apply("edge-munich", Value::Null).await;
    let berlin = bench.until_ready("edge-berlin").await.status.unwrap();
    let munich = bench.until_ready("edge-munich").await.status.unwrap();

    assert_eq!(berlin.ready.as_deref(), Some("1/1"));
    assert_eq!(berlin.version.as_deref(), Some("v1.36.3+k0s.2"));
    assert_eq!(
        berlin.kubeconfig_secret.as_deref(),
        Some("edge-berlin-kubeconfig")
    );
    let (berlin_at, munich_at) = (berlin.endpoint.unwrap(), munich.endpoint.unwrap());
    assert_eq!(berlin_at.host, bench.servers.node_address.to_string());
    assert_ne!(berlin_at.api_port, munich_at.api_port);
    assert_ne!(berlin.ca_fingerprint, munich.ca_fingerprint);
}

#[tokio::test]
async fn what_kubectl_prints_names_version_readiness_endpoint_and_status() {
    let bench = Bench::new("ready").await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    let endpoint = bench
        .until_ready("edge-berlin")
        .await
        .status
        .unwrap()
        .endpoint
        .unwrap();
    let table = bench
        .servers
        .kubectl(&["get", "k0c", "-n", &bench.namespace.name])
        .await
        .success();
    for word in [
        "edge-berlin",
        "v1.36.3+k0s.2",
        "1/1",
        endpoint.url.as_str(),
        "Ready",
    ] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
}

#[tokio::test]
async fn scaling_adds_control_plane_pods_and_holds_the_members_that_would_have_to_join() {
    let (bench, _controller) = Bench::with_cluster("scale", "edge-berlin", Value::Null).await;

    let arguments = [
        "scale",
        "k0c",
        "edge-berlin",
        "--replicas=3",
        "-n",
        &bench.namespace.name,
    ];
    bench.servers.kubectl(&arguments).await.success();
    let status = eventually("three pods and a held member", SOON, async || {
        let status = bench.cluster("edge-berlin").await.status.unwrap_or_default();
        // This operator is outside of the cluster, where the members have no names.
        let is_held = status
            .held
            .iter()
            .any(|held| held.what == "spec.storage.etcd.members" && held.reason == "MembersNotReachable");
        if status.ready.as_deref() == Some("3/3") && is_held {
            Ok(status)
        } else {
            Err(json!(status).to_string())
        }
    })
    .await;
    assert_eq!(status.etcd.unwrap().members, 1, "membership did not change");
}

#[tokio::test]
async fn a_join_token_says_that_it_is_not_supported() {
    let bench = Bench::new("token").await;
    let _controller = bench.controller().await;
    let tokens: Api<K0smotronJoinToken> = bench.api();
    let token = json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronJoinToken",
        "metadata": { "name": "worker" }, "spec": { "clusterName": "edge-berlin" },
    });
    let token = serde_json::from_value(token).unwrap();
    tokens.create(&PostParams::default(), &token).await.unwrap();
    let condition = eventually("the token has a condition", SOON, async || {
        let status = tokens.get("worker").await.ok()?.status?;
        status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == "Ready")
    })
    .await;
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str()),
        ("False", "NotSupported")
    );
}

#[tokio::test]
async fn a_field_that_is_not_supported_is_named_and_nothing_of_that_generation_is_applied() {
    let bench = Bench::new("stalled").await;
    let _controller = bench.controller().await;
    let mark = bench.mark().await;
    bench.apply("edge-berlin", json!({ "ttl": "1h" })).await;
    let message = bench.until_stalled("edge-berlin", "NotSupported").await;
    assert!(message.contains("spec.ttl"), "{message}");
    let conditions = bench.cluster("edge-berlin").await.status.unwrap().conditions;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.status, "False");
    bench.quiet(mark).await;
    assert_eq!(bench.children().await, Vec::<String>::new());

    // What is taken back is taken up.
    bench.apply("edge-berlin", Value::Null).await;
    let status = bench.until_ready("edge-berlin").await.status.unwrap();
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.type_ != "Stalled")
    );
}

#[tokio::test]
async fn a_field_that_is_not_supported_leaves_what_runs_alone() {
    let (bench, _controller) = Bench::with_cluster("stalled", "edge-berlin", Value::Null).await;
    let before = bench.children().await;
    let revision = bench.revision("kmc-edge-berlin").await;
    bench
        .apply("edge-berlin", json!({ "version": "v1.36.4+k0s.0", "ttl": "1h" }))
        .await;
    bench.until_stalled("edge-berlin", "NotSupported").await;
    assert_eq!(bench.children().await, before);
    assert_eq!(bench.revision("kmc-edge-berlin").await, revision);
}

#[tokio::test]
async fn a_paused_cluster_is_left_alone_until_it_is_not() {
    let bench = Bench::new("paused").await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", Value::Null).await;
    let before = bench.until_ready("edge-berlin").await;
    bench
        .apply("edge-berlin", json!({ "paused": true, "replicas": 3 }))
        .await;
    let paused = eventually("it says that it is paused", SOON, async || {
        let status = bench.cluster("edge-berlin").await.status?;
        let is_paused = status
            .conditions
            .iter()
            .any(|condition| condition.reason == "Paused");
        is_paused.then_some(status)
    })
    .await;
    assert_eq!(
        paused.observed_generation,
        before.status.unwrap().observed_generation
    );
    assert_eq!(paused.ready.as_deref(), Some("1/1"));

    bench.apply("edge-berlin", json!({ "replicas": 3 })).await;
    let status = bench.until_ready("edge-berlin").await.status.unwrap();
    assert_eq!(status.ready.as_deref(), Some("3/3"));
}

#[tokio::test]
async fn the_address_of_a_load_balancer_is_awaited_without_holding_anybody_up() {
    let bench = Bench::new("balancer").await;
    let _controller = bench.controller().await;
    bench
        .apply("edge-berlin", json!({ "service": { "type": "LoadBalancer" } }))
        .await;
    bench
        .until("edge-berlin", "Exposed", "False", "AddressPending")
        .await;
    bench.apply("edge-munich", Value::Null).await;
    bench.until_ready("edge-munich").await;

    let services: Api<Service> = bench.api();
    eventually("the Service is there", SOON, async || {
        services.get_opt("kmc-edge-berlin-lb").await.ok()?
    })
    .await;
    let address = bench.servers.node_address;
    hosting::load_balancer(
        &bench.client,
        &bench.namespace.name,
        "kmc-edge-berlin-lb",
        address.into(),
    )
    .await;
    let status = bench.until_ready("edge-berlin").await.status.unwrap();
    assert_eq!(status.endpoint.unwrap().url, format!("https://{address}:6443"));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_says_so_and_holds_nobody_up() {
    // The definition belongs to no namespace, so this needs servers of its own.
    let servers = Servers::start(Options::default()).await;
    let bench = Bench::on(&servers, "unreadable", Policy::Ready).await;
    // What an older definition let through.
    let lax = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    for definition in crd::all() {
        let mut definition = json!(definition);
        if definition["spec"]["names"]["kind"] == "K0smotronCluster" {
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
                lax.clone();
            crds::install_one(&bench.client, &serde_json::from_value(definition).unwrap()).await;
        }
    }
    let object = json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": { "name": "broken", "namespace": bench.namespace.name }, "spec": { "version": 7 },
    });
    let create = ["create", "--validate=false", "-f", "-"];
    let create = async || {
        let kubeconfig = servers.kubeconfig();
        servers
            .kubectl_with(&kubeconfig, &create, &object.to_string())
            .await
    };
    // The new schema takes a moment to be the one that is used.
    eventually("the object is taken", SOON, async || {
        let output = create().await;
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.stderr)
        }
    })
    .await;

    let _controller = bench.controller().await;
    bench.apply("edge-berlin", json!({})).await;
    bench.until_ready("edge-berlin").await;
    let get = ["get", "k0c", "broken", "-o", "json", "-n", &bench.namespace.name];
    let message = eventually("it says so", SOON, async || {
        let object: Value = serde_json::from_str(&servers.kubectl(&get).await.stdout).ok()?;
        let conditions = object.pointer("/status/conditions")?.as_array()?.clone();
        let stalled = conditions
            .iter()
            .find(|condition| condition["type"] == "Stalled")?;
        stalled["message"].as_str().map(str::to_owned)
    })
    .await;
    assert!(message.contains("integer `7`"), "{message}");
}
