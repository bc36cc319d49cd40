//! The servers, the audit log and the patching kubelet do what the other tests rely on.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::support::audit::{self, AuditLog, Counts, Mark};
use crate::support::kubelet::{Kubelet, Policy};
use crate::support::servers::client_of;
use crate::support::{Options, Servers, eventually, hosting};

const SOON: Duration = Duration::from_secs(30);

fn config_map(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object
}

async fn two_pods(client: &Client, namespace: &str) -> Api<StatefulSet> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let object = json!({
        "metadata": { "name": "plain" },
        "spec": {
            "replicas": 2,
            "serviceName": "plain",
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": "plain" } },
            "template": {
                "metadata": { "labels": { "app": "plain" } },
                "spec": { "containers": [{ "name": "only", "image": "example.org/plain:1" }] },
            },
        },
    });
    let object: StatefulSet = serde_json::from_value(object).unwrap();
    sets.create(&PostParams::default(), &object).await.unwrap();
    sets
}

async fn ready_pods(sets: &Api<StatefulSet>, wanted: i32) {
    eventually(&format!("{wanted} ready pods"), SOON, async || {
        let status = sets.get("plain").await.unwrap().status.unwrap_or_default();
        let ready = status.ready_replicas.unwrap_or_default();
        if ready == wanted {
            Ok(())
        } else {
            Err(format!("{ready} are ready"))
        }
    })
    .await;
}

#[tokio::test]
async fn kubectl_reaches_the_servers_and_sees_their_version() {
    let servers = Servers::shared().await;
    let text = servers.kubectl(&["version", "-o", "json"]).await.success();
    let versions: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        versions["serverVersion"]["gitVersion"], versions["clientVersion"]["gitVersion"],
        "{text}"
    );
}

#[tokio::test]
async fn a_service_account_has_no_rights_until_it_is_given_some() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("account").await;
    let kubeconfig = servers.service_account(&namespace.name, "tenant").await;
    let maps: Api<ConfigMap> = Api::namespaced(client_of(&kubeconfig, "tenant").await, &namespace.name);
    let Err(kube::Error::Api(status)) = maps.list(&ListParams::default()).await else {
        panic!("the list is refused");
    };
    assert!(status.is_forbidden(), "{status:?}");
    let user = format!("system:serviceaccount:{}:tenant", namespace.name);
    assert!(status.message.contains(&user), "{}", status.message);
    let binding = [
        "create",
        "rolebinding",
        "all",
        "--clusterrole=admin",
        "-n",
        &namespace.name,
    ];
    let account = format!("--serviceaccount={}:tenant", namespace.name);
    servers
        .kubectl(&[&binding[..], &[account.as_str()]].concat())
        .await
        .success();
    eventually("the list is allowed", SOON, async || {
        maps.list(&ListParams::default()).await
    })
    .await;
}

/// The server's log grows by pages, so its length may end within a line.
#[test]
fn a_mark_within_a_line_of_the_audit_log_is_behind_that_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let line = |id: &str| {
        let event = json!({
            "auditID": id, "stage": "ResponseComplete", "requestURI": "/version", "verb": "get", "user": {},
            "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        });
        format!("{event}\n")
    };
    let [first, second] = ["first", "second"].map(line);
    std::fs::write(&path, &first[..20]).unwrap();
    let log = AuditLog::new(path.clone());
    let within = log.end();
    std::fs::write(&path, format!("{first}{second}")).unwrap();
    let names = |mark| {
        let events = log.read(mark);
        events.into_iter().map(|event| event.audit_id).collect::<Vec<_>>()
    };
    assert_eq!(names(within), ["second"]);
    assert_eq!(names(Mark::BEGINNING), ["first", "second"]);
    assert_eq!(names(log.end()), [""; 0]);
}

#[tokio::test]
async fn the_audit_log_counts_each_request_once() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("audit").await;
    let client = servers.client_named("counted/1").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace.name);
    let mark = servers.audit.mark(&client).await;

    maps.create(&PostParams::default(), &config_map("first"))
        .await
        .unwrap();
    maps.get("first").await.unwrap();
    assert!(maps.get("missing").await.is_err());
    maps.list(&ListParams::default()).await.unwrap();
    drop(maps.watch(&kube::api::WatchParams::default(), "0").await.unwrap());
    maps.delete("first", &DeleteParams::default()).await.unwrap();

    let events = audit::by(
        audit::within(servers.audit.since(&client, mark).await, &namespace.name),
        "counted/",
    );
    assert_eq!(
        audit::summary(&events).lines().collect::<Vec<_>>(),
        [
            "create configmaps/first -> 201",
            "get configmaps/first -> 200",
            "get configmaps/missing -> 404",
            "list configmaps -> 200",
            "watch configmaps -> 200",
            "delete configmaps/first -> 200",
        ]
    );
    assert_eq!(
        audit::counts(&events),
        Counts {
            requests: 6,
            writes: 2
        }
    );
    let later = servers.audit.mark(&client).await;
    let events = audit::by(
        audit::within(servers.audit.since(&client, later).await, &namespace.name),
        "counted/",
    );
    assert_eq!(events, []);
}

#[tokio::test]
async fn nodes_and_load_balancers_have_the_addresses_that_a_test_gives_them() {
    let servers = Servers::start(Options {
        without_controllers: true,
        ..Options::default()
    })
    .await;
    let client = servers.client().await;
    for last in [1, 2] {
        hosting::node(&client, "worker", IpAddr::from([127, 3, 2, last])).await;
    }
    hosting::default_storage_class(&client).await;
    let create = ["create", "service", "loadbalancer", "kmc-berlin-lb", "--tcp=6443"];
    servers.kubectl(&create).await.success();
    hosting::load_balancer(&client, "default", "kmc-berlin-lb", IpAddr::from([127, 3, 2, 9])).await;
    let ask = async |what: &str, path: &str| servers.kubectl(&["get", what, "-o", path]).await.success();
    assert_eq!(
        ask("node/worker", "jsonpath={.status.addresses[*].address}").await,
        "127.3.2.2"
    );
    let address = "jsonpath={.status.loadBalancer.ingress[*].ip}";
    assert_eq!(ask("service/kmc-berlin-lb", address).await, "127.3.2.9");
    let classes = servers
        .kubectl(&["get", "storageclass", "--no-headers"])
        .await
        .success();
    assert!(classes.contains("standard (default)"), "{classes}");
}

#[tokio::test]
async fn a_killed_api_server_comes_back_with_its_objects() {
    let servers = Servers::start(Options {
        without_controllers: true,
        ..Options::default()
    })
    .await;
    let maps: Api<ConfigMap> = Api::namespaced(servers.client().await, "default");
    maps.create(&PostParams::default(), &config_map("kept"))
        .await
        .unwrap();
    servers.api_server.kill();
    maps.get("kept").await.expect_err("nobody answers");
    servers.api_server.restart();
    servers.wait_until_ready().await.unwrap();
    maps.get("kept").await.unwrap();
    let folder = servers.folder().to_owned();
    drop(servers);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_stateful_set_becomes_ready_and_rolls() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("patch").await;
    let client = servers.client().await;
    let _kubelet = Kubelet::start(client.clone(), Some(&namespace.name), Policy::Ready);
    let sets = two_pods(&client, &namespace.name).await;
    ready_pods(&sets, 2).await;

    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace.name);
    let before: Vec<_> = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .map(|pod| pod.uid())
        .collect();
    servers
        .kubectl(&[
            "-n",
            &namespace.name,
            "set",
            "image",
            "statefulset/plain",
            "only=example.org/plain:2",
        ])
        .await
        .success();
    eventually("all pods are new and ready", SOON, async || {
        let status = sets.get("plain").await.unwrap().status.unwrap();
        let rolled = status.updated_replicas == Some(2) && status.ready_replicas == Some(2);
        let pods = pods.list(&ListParams::default()).await.unwrap();
        (rolled && pods.iter().all(|pod| !before.contains(&pod.uid()))).then_some(())
    })
    .await;
    let addresses: std::collections::BTreeSet<_> = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .map(|pod| pod.status.unwrap().pod_ip.unwrap())
        .collect();
    assert_eq!(addresses.len(), 2);
}

#[tokio::test]
async fn pods_are_ready_late_or_never_or_fail_as_the_test_says() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("policy").await;
    let client = servers.client().await;
    let kubelet = Kubelet::start_with(client.clone(), Some(&namespace.name), |pod| {
        if pod.name_any().ends_with("-0") {
            Policy::ReadyAfter(Duration::from_millis(300))
        } else {
            Policy::NeverReady
        }
    });
    let sets = two_pods(&client, &namespace.name).await;
    ready_pods(&sets, 1).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace.name);
    eventually("the other pod runs", SOON, async || {
        let status = pods.get("plain-1").await.ok()?.status?;
        (status.phase? == "Running").then_some(())
    })
    .await;

    kubelet.set(Policy::Ready);
    ready_pods(&sets, 2).await;
    let before = pods.get("plain-0").await.unwrap().uid();
    kubelet.decide(move |pod| {
        if pod.uid() == before {
            Policy::Fail
        } else {
            Policy::NeverReady
        }
    });
    let before = pods.get("plain-0").await.unwrap().uid();
    eventually("the failed pod is replaced", SOON, async || {
        pods.get("plain-0").await.ok().filter(|pod| pod.uid() != before)
    })
    .await;
    ready_pods(&sets, 0).await;
}
