//! The proxy loses exactly what a rule says, on the side that it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};

use crate::support::servers::client_of;
use crate::support::{Action, Namespace, Proxy, Rule, Servers};

struct Setting {
    proxy: Proxy,
    namespace: Namespace,
    /// Around the proxy.
    direct: Api<ConfigMap>,
    /// Through the proxy.
    maps: Api<ConfigMap>,
}

async fn setting() -> Setting {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("proxy").await;
    let proxy = Proxy::start(servers).await;
    let through: Client = client_of(proxy.kubeconfig(), "through-proxy").await;
    let direct = Api::namespaced(servers.client().await, &namespace.name);
    let maps = Api::namespaced(through, &namespace.name);
    Setting {
        proxy,
        namespace,
        direct,
        maps,
    }
}

async fn create(maps: &Api<ConfigMap>, name: &str) -> Result<ConfigMap, kube::Error> {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    maps.create(&PostParams::default(), &object).await
}

async fn names(maps: &Api<ConfigMap>) -> Vec<String> {
    let all = maps.list(&ListParams::default()).await.unwrap();
    all.into_iter()
        .filter_map(|map| map.metadata.name)
        .filter(|name| name != "kube-root-ca.crt")
        .collect()
}

#[tokio::test]
async fn a_request_without_a_rule_passes_and_is_seen() {
    let Setting {
        proxy,
        maps,
        direct,
        namespace,
    } = setting().await;
    create(&maps, "passes").await.unwrap();
    assert_eq!(names(&maps).await, ["passes"]);
    assert_eq!(names(&direct).await, ["passes"]);
    let seen = proxy.seen();
    assert_eq!(
        seen.iter().map(|one| one.method.clone()).collect::<Vec<_>>(),
        [Method::POST, Method::GET]
    );
    assert!(
        seen[0]
            .uri
            .starts_with(&format!("/api/v1/namespaces/{}/configmaps", namespace.name))
    );
    assert_eq!(seen[0].user_agent, "through-proxy");
    assert!(seen[0].is_write() && !seen[1].is_write());
}

#[tokio::test]
async fn only_the_nth_write_is_lost_before_the_server_saw_it() {
    let Setting {
        proxy,
        maps,
        direct,
        namespace: _namespace,
    } = setting().await;
    proxy.add(Rule::new(Action::DropRequest).writes().path("/configmaps").nth(2));
    create(&maps, "first").await.unwrap();
    assert_eq!(names(&maps).await, ["first"]);
    create(&maps, "second").await.unwrap_err();
    create(&maps, "third").await.unwrap();
    assert_eq!(names(&direct).await, ["first", "third"]);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_write_done() {
    let Setting {
        proxy,
        maps,
        direct,
        namespace: _namespace,
    } = setting().await;
    proxy.add(Rule::new(Action::DropAnswer).method(Method::POST).first(1));
    create(&maps, "done").await.unwrap_err();
    assert_eq!(names(&direct).await, ["done"]);
    let Err(kube::Error::Api(status)) = create(&maps, "done").await else {
        panic!("it exists")
    };
    assert!(status.is_already_exists());
}

#[tokio::test]
async fn callbacks_come_before_and_after_the_write() {
    let Setting {
        proxy,
        maps,
        direct,
        namespace: _namespace,
    } = setting().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    proxy.add(
        Rule::new(Action::Before(Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })))
        .writes()
        .nth(1),
    );
    let count = calls.clone();
    proxy.add(
        Rule::new(Action::After(Arc::new(move || {
            count.fetch_add(10, Ordering::Relaxed);
        })))
        .writes()
        .nth(1),
    );
    create(&maps, "before").await.unwrap_err();
    assert_eq!((calls.load(Ordering::Relaxed), names(&direct).await), (1, vec![]));
    create(&maps, "after").await.unwrap_err();
    assert_eq!(
        (calls.load(Ordering::Relaxed), names(&direct).await),
        (11, vec!["after".to_owned()])
    );
}

#[tokio::test]
async fn answers_are_the_proxys_own_and_delays_pass() {
    let Setting {
        proxy,
        maps,
        direct,
        namespace: _namespace,
    } = setting().await;
    proxy.add(Rule::new(Action::answer(403, "Forbidden")).writes().first(1));
    let Err(kube::Error::Api(status)) = create(&maps, "refused").await else {
        panic!("it is refused")
    };
    assert!(status.is_forbidden(), "{status:?}");
    proxy.clear();
    proxy.add(Rule::new(Action::Delay(Duration::from_millis(200))).writes());
    let start = Instant::now();
    create(&maps, "late").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(names(&direct).await, ["late"]);
}

#[tokio::test]
async fn a_token_keeps_its_own_rights() {
    let servers = Servers::shared().await;
    let Setting {
        proxy,
        namespace,
        maps: _,
        direct: _,
    } = setting().await;
    let account = servers.service_account(&namespace.name, "tenant").await;
    let client = client_of(&proxy.kubeconfig_for(&account), "tenant").await;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace.name);
    let Err(kube::Error::Api(status)) = maps.list(&ListParams::default()).await else {
        panic!("it is refused")
    };
    assert!(status.message.contains(":tenant"), "{}", status.message);
    assert!(!proxy.seen()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn watches_stream_through() {
    use futures::{StreamExt as _, TryStreamExt as _};
    let Setting {
        proxy: _proxy,
        maps,
        direct,
        namespace: _namespace,
    } = setting().await;
    let start = direct
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut events = maps
        .watch(&kube::api::WatchParams::default(), &start)
        .await
        .unwrap()
        .boxed();
    create(&direct, "seen").await.unwrap();
    let wait = async {
        while let Some(event) = events.try_next().await.unwrap() {
            if matches!(&event, kube::api::WatchEvent::Added(map) if map.metadata.name.as_deref() == Some("seen"))
            {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap());
}
