//! Ways in: Ingress, Gateway, load balancers that move; and the sidecars that show metrics.

use k0smotron_fleet::api::K0smotronCluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::support::kubelet::Policy;
use crate::support::{Options, Servers, eventually, gateway, hosting};

/// Behind hosts that nobody resolves here: the control plane runs, and is not asked whether it answers.
async fn until_exposed(bench: &Bench<'_>, name: &str, url: &str) -> K0smotronCluster {
    let cluster = bench.until(name, "Exposed", "True", "AddressKnown").await;
    let endpoint = cluster.status.clone().unwrap().endpoint.unwrap();
    assert_eq!(endpoint.url, url);
    eventually("the control plane runs", SOON, async || {
        bench
            .api::<StatefulSet>()
            .get_opt(&format!("kmc-{name}"))
            .await
            .ok()?
    })
    .await;
    cluster
}

/// Waits until it is known that nobody answers: the name server may take seconds to say that it knows no such host.
async fn until_silent(bench: &Bench<'_>, name: &str) {
    bench.until(name, "Available", "False", "NoAnswer").await;
}

#[tokio::test]
async fn an_ingress_leads_to_the_control_plane_and_everything_of_it_goes_with_the_field() {
    let bench = Bench::new("ingress").await;
    let _controller = bench.controller().await;
    let spec = |deploy: bool| {
        json!({
            "service": {"type": "ClusterIP"},
            "ingress": {
                "apiHost": "api.edge.example", "konnectivityHost": "konnectivity.edge.example", "className": "nginx",
                "deploy": deploy,
            },
        })
    };
    bench.apply("edge", spec(true)).await;
    until_exposed(&bench, "edge", "https://api.edge.example:443").await;
    let ingress = bench.api::<Ingress>().get("kmc-edge").await.unwrap();
    let hosts: Vec<_> = ingress
        .spec
        .unwrap()
        .rules
        .unwrap()
        .into_iter()
        .filter_map(|rule| rule.host)
        .collect();
    assert_eq!(hosts, ["api.edge.example", "konnectivity.edge.example"]);
    let secret = bench.api::<Secret>().get("edge-ingress-haproxy").await.unwrap();
    let manifest = &secret.data.unwrap()["haproxy-certificate.yaml"].0;
    let delivered: Secret = serde_json::from_slice(manifest).unwrap();
    assert_eq!(delivered.metadata.name.as_deref(), Some("k0smotron-haproxy"));
    let kubeconfig = bench.api::<Secret>().get("edge-kubeconfig").await.unwrap();
    let kubeconfig = String::from_utf8(kubeconfig.data.unwrap()["value"].0.clone()).unwrap();
    assert!(kubeconfig.contains("https://api.edge.example:443"));
    until_silent(&bench, "edge").await;
    bench.assert_at_rest("an Ingress that is as it should be").await;

    let before = bench.revision("kmc-edge").await;
    bench.apply("edge", spec(false)).await;
    bench.until_none::<Ingress>("kmc-edge").await;
    bench.quiet(bench.mark().await).await;
    assert_eq!(bench.revision("kmc-edge").await, before);

    bench
        .apply("edge", json!({"service": {"type": "ClusterIP"}}))
        .await;
    let own = format!("https://kmc-edge.{}.svc:6443", bench.namespace.name);
    until_exposed(&bench, "edge", &own).await;
    bench.until_none::<Secret>("edge-ingress-haproxy").await;
    bench.until_none::<ConfigMap>("kmc-edge-ingress").await;
}

#[tokio::test]
async fn without_routes_on_the_server_only_they_are_missing_and_once_there_are_some_they_are_made() {
    // Definitions belong to no namespace, so this needs servers of its own.
    let servers = Servers::start(Options::default()).await;
    let bench = Bench::on(&servers, "gateway", Policy::Ready).await;
    let controller = bench.controller().await;
    let spec = json!({
        "service": {"type": "ClusterIP"},
        "gateway": {
            "apiHost": "api.edge.example", "konnectivityHost": "konnectivity.edge.example",
            "parentRefs": [{"name": "edge", "namespace": "gateways"}],
        },
    });
    bench.apply("edge", spec).await;
    let said = bench.until("edge", "Exposed", "False", "NotInstalled").await;
    assert!(json!(said.status).to_string().contains("spec.gateway"));
    eventually("the control plane runs all the same", SOON, async || {
        bench.api::<StatefulSet>().get_opt("kmc-edge").await.ok()?
    })
    .await;
    controller.end().await;

    gateway::install(&bench.client, "v1alpha2").await;
    let _controller = bench.controller().await;
    bench.until("edge", "Exposed", "True", "AddressKnown").await;
    let get = ["get", "tlsroutes", "-o", "json", "-n", &bench.namespace.name];
    let routes = async || -> Vec<Value> {
        let list: Value = serde_json::from_str(&servers.kubectl(&get).await.success()).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    eventually("both routes are there", SOON, async || {
        (routes().await.len() == 2).then_some(())
    })
    .await;
    let route = routes().await.remove(0);
    assert_eq!(route["spec"]["hostnames"], json!(["api.edge.example"]));
    assert_eq!(route["spec"]["rules"][0]["backendRefs"][0]["port"], 6443);
    until_silent(&bench, "edge").await;
    bench.assert_at_rest("routes that are as they should be").await;

    bench
        .apply("edge", json!({"service": {"type": "ClusterIP"}}))
        .await;
    eventually("both are gone", SOON, async || {
        routes().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_load_balancer_that_moves_is_reported_and_moves_nobody() {
    let bench = Bench::new("moved").await;
    let _controller = bench.controller().await;
    bench
        .apply("edge", json!({"service": {"type": "LoadBalancer"}}))
        .await;
    bench.until("edge", "Exposed", "False", "AddressPending").await;
    let address = bench.servers.node_address;
    let moves_to = async |address: std::net::IpAddr| {
        hosting::load_balancer(&bench.client, &bench.namespace.name, "kmc-edge-lb", address).await;
    };
    moves_to(address.into()).await;
    bench.until_ready("edge").await;
    let before = (
        bench.revision("kmc-edge").await,
        bench.revision("kmc-edge-etcd").await,
    );
    let get = ["get", "k0c", "edge", "-o", "wide", "-n", &bench.namespace.name];
    let shown = bench.servers.kubectl(&get).await.success();
    let url = format!("https://{address}:6443");
    for column in ["ENDPOINT", "SERVICE", "LoadBalancer", &url] {
        assert!(shown.contains(column), "no {column} in\n{shown}");
    }

    moves_to("2001:db8::4".parse().unwrap()).await;
    let moved = bench.until("edge", "Exposed", "False", "AddressChanged").await;
    assert_eq!(moved.status.unwrap().endpoint.unwrap().url, url);
    bench.quiet(bench.mark().await).await;
    assert_eq!(
        (
            bench.revision("kmc-edge").await,
            bench.revision("kmc-edge-etcd").await
        ),
        before
    );
    moves_to(address.into()).await;
    bench.until_ready("edge").await;
}

#[tokio::test]
async fn another_class_of_a_load_balancer_is_held_before_it_is_tried() {
    let bench = Bench::new("class").await;
    let _controller = bench.controller().await;
    let spec = |class: &str| json!({"service": {"type": "LoadBalancer", "loadBalancerClass": class}});
    bench.apply("edge", spec("example.org/fast")).await;
    bench.until("edge", "Exposed", "False", "AddressPending").await;
    let address = bench.servers.node_address.into();
    hosting::load_balancer(&bench.client, &bench.namespace.name, "kmc-edge-lb", address).await;
    bench.until_ready("edge").await;

    let mark = bench.mark().await;
    bench.apply("edge", spec("example.org/slow")).await;
    let words = bench.until_stalled("edge", "NotPossible").await;
    assert!(
        words.contains("spec.service.loadBalancerClass") && words.contains("write `example.org/fast`"),
        "{words}"
    );
    let tried = bench.quiet(mark).await;
    assert!(
        !tried
            .iter()
            .any(|event| event.is_write() && event.resource == "services")
    );

    let services = bench.api::<Service>();
    services
        .delete("kmc-edge-lb", &DeleteParams::default())
        .await
        .unwrap();
    let class = eventually("the Service is made anew", SOON, async || {
        services
            .get_opt("kmc-edge-lb")
            .await
            .ok()??
            .spec?
            .load_balancer_class
    })
    .await;
    assert_eq!(class, "example.org/slow");
    hosting::load_balancer(&bench.client, &bench.namespace.name, "kmc-edge-lb", address).await;
    bench.until_ready("edge").await;
}

#[tokio::test]
async fn monitoring_rolls_the_control_plane_once_and_leaves_nothing_behind() {
    let (bench, _controller) = Bench::with_cluster("monitoring", "edge", json!({})).await;
    let before = (
        bench.revision("kmc-edge").await,
        bench.revision("kmc-edge-etcd").await,
    );
    bench
        .apply("edge", json!({"monitoring": {"enabled": true}}))
        .await;
    bench.until_ready("edge").await;
    assert_ne!(bench.revision("kmc-edge").await, before.0);
    assert_eq!(bench.revision("kmc-edge-etcd").await, before.1);
    bench.assert_at_rest("sidecars that are as they should be").await;
    bench.apply("edge", json!({})).await;
    bench.until_none::<Secret>("edge-monitoring").await;
    bench.until_none::<ConfigMap>("kmc-edge-monitoring").await;
    bench.until_ready("edge").await;
    let generation = |set: StatefulSet| set.metadata.generation;
    let sets = bench.api::<StatefulSet>();
    // On and off again, and not once more.
    assert_eq!(generation(sets.get("kmc-edge").await.unwrap()), Some(3));
}
