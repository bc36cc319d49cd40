//! Requests and answers between this client and a real API server.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use http::Method;
use k0smotron_fleet::client::{
    Client, ClientError, Conflicts, Created, Deleted, EventType, ListQuery, Note, Readiness, Removal, Target,
    USER_AGENT, WatchEvent, chain,
};
use k0smotron_fleet::object::{Object, ObjectId, kinds};
use k0smotron_fleet::plan::{FailureKind, Propagation};
use serde_json::json;

use crate::support::{Action, Namespace, Proxy, Rule, Servers, audit, crds};

const SOON: Duration = Duration::from_secs(30);
const MANAGER: &str = "engine-test";

pub async fn connect(kubeconfig: impl Into<std::path::PathBuf>) -> Client {
    let target = Target {
        kubeconfig: Some(kubeconfig.into()),
        context: None,
        identity: None,
    };
    Client::connect(&target).await.unwrap()
}

async fn start(hint: &str) -> (&'static Servers, Namespace, Client) {
    let servers = Servers::shared().await;
    let namespace = servers.namespace(hint).await;
    (servers, namespace, connect(servers.kubeconfig()).await)
}

fn config_map(namespace: &str, name: &str, value: &str) -> Object {
    Object(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace, "labels": { "engine": "yes" } },
        "data": { "key": value },
    }))
}

async fn create(client: &Client, object: &Object) -> Object {
    match client.create_only(object, None, MANAGER).await.unwrap() {
        Created::New(live) => live,
        Created::Exists => panic!("{:?} exists", object.id()),
    }
}

fn uid(object: &Object) -> String {
    object.uid().unwrap().to_owned()
}

#[tokio::test]
async fn a_create_leaves_what_exists_alone_and_leaves_no_update_entry() {
    let (servers, namespace, client) = start("create").await;
    let object = config_map(&namespace.name, "edge", "ours");
    let live = create(&client, &object).await;
    let entries = live
        .0
        .pointer("/metadata/managedFields")
        .unwrap()
        .as_array()
        .unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["operation"], "Apply");
    // Somebody else's, and even the very same content, are not touched.
    servers
        .kubectl(&[
            "-n",
            &namespace.name,
            "create",
            "configmap",
            "theirs",
            "--from-literal=key=theirs",
        ])
        .await
        .success();
    for name in ["edge", "theirs"] {
        let again = config_map(&namespace.name, name, "ours");
        let before = client.get(&again.id().unwrap()).await.unwrap().unwrap();
        let created = client.create_only(&again, None, MANAGER).await.unwrap();
        assert_eq!(created, Created::Exists);
        assert_eq!(client.get(&again.id().unwrap()).await.unwrap().unwrap(), before);
    }
}

#[tokio::test]
async fn a_write_to_another_object_of_that_name_is_a_conflict() {
    let (_servers, namespace, client) = start("uid").await;
    let object = config_map(&namespace.name, "edge", "one");
    let id = object.id().unwrap();
    let old = create(&client, &object).await;
    let removal = Removal {
        uid: uid(&old),
        resource_version: old.resource_version().map(str::to_owned),
        propagation: Propagation::Background,
    };
    assert_eq!(client.delete(&id, &removal).await.unwrap(), Deleted::Asked);
    assert_eq!(client.delete(&id, &removal).await.unwrap(), Deleted::AlreadyGone);
    let is_conflict = |error: ClientError| {
        assert!(
            matches!(error.kind(), FailureKind::Conflict { .. }),
            "{}",
            chain(&error)
        );
    };
    // Absent: an apply must not bring it back.
    is_conflict(
        client
            .apply(&object, None, &uid(&old), MANAGER, Conflicts::Force)
            .await
            .unwrap_err(),
    );
    let new = create(&client, &object).await;
    assert_ne!(uid(&new), uid(&old));
    is_conflict(
        client
            .apply(&object, None, &uid(&old), MANAGER, Conflicts::Force)
            .await
            .unwrap_err(),
    );
    let labels = json!({ "labels": { "a": "b" } });
    is_conflict(
        client
            .patch_metadata(&id, &uid(&old), None, &labels, MANAGER)
            .await
            .unwrap_err(),
    );
    is_conflict(client.delete(&id, &removal).await.unwrap_err());
    assert_eq!(client.get(&id).await.unwrap().unwrap(), new);
    let stale = Removal {
        uid: uid(&new),
        ..removal.clone()
    };
    let changed = client
        .patch_metadata(&id, &uid(&new), new.resource_version(), &labels, MANAGER)
        .await
        .unwrap();
    assert_eq!(changed.label("a"), Some("b"));
    is_conflict(client.delete(&id, &stale).await.unwrap_err());
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict_that_names_it() {
    let (_servers, namespace, client) = start("manager").await;
    let object = config_map(&namespace.name, "edge", "one");
    let live = create(&client, &object).await;
    let changed = config_map(&namespace.name, "edge", "two");
    let error = client
        .apply(&changed, None, &uid(&live), "other-tool", Conflicts::Refuse)
        .await
        .unwrap_err();
    let managers = vec![MANAGER.to_owned()];
    assert_eq!(error.kind(), FailureKind::Conflict { managers });
    assert!(error.hint().unwrap().contains(MANAGER));
    let forced = client
        .apply(&changed, None, &uid(&live), "other-tool", Conflicts::Force)
        .await
        .unwrap();
    assert_eq!(forced.text("/data/key"), Some("two"));
}

#[tokio::test]
async fn an_unknown_field_is_refused_and_not_dropped() {
    let (_servers, namespace, client) = start("strict").await;
    let mut object = config_map(&namespace.name, "edge", "one");
    object.0["dta"] = json!({});
    let error = client.create_only(&object, None, MANAGER).await.unwrap_err();
    assert!(chain(&error).contains("dta"), "{}", chain(&error));
    assert!(!error.is_outcome_unknown());
}

#[tokio::test]
async fn every_request_carries_the_user_agent() {
    let (servers, namespace, client) = start("agent").await;
    let admin = servers.client().await;
    let mark = servers.audit.mark(&admin).await;
    let object = config_map(&namespace.name, "edge", "one");
    let live = create(&client, &object).await;
    let id = object.id().unwrap();
    client.get(&id).await.unwrap();
    client
        .list_all(&ListQuery::new(kinds::CONFIG_MAP, &namespace.name))
        .await
        .unwrap();
    let note = Note {
        regarding: &id,
        uid: live.uid().unwrap(),
        event_type: EventType::Warning,
        reason: "Held",
        action: "Create",
        note: "it is not ours",
    };
    let now = "2026-11-26T08:00:00.5Z".parse().unwrap();
    client.create_event(&note, "test-0", now).await.unwrap();
    let removal = Removal {
        uid: uid(&live),
        resource_version: None,
        propagation: Propagation::Background,
    };
    client.delete(&id, &removal).await.unwrap();
    let events = audit::within(servers.audit.since(&admin, mark).await, &namespace.name);
    let ours: Vec<_> = events
        .into_iter()
        .filter(|event| event.user_agent.starts_with(USER_AGENT))
        .collect();
    assert!(USER_AGENT.starts_with("k0smotron-fleet/"));
    assert_eq!(
        audit::summary(&ours)
            .lines()
            .map(|line| line.split([' ', '/']).next().unwrap())
            .collect::<Vec<_>>(),
        ["patch", "get", "list", "create", "delete"]
    );
}

#[tokio::test]
async fn a_service_account_has_its_own_rights_and_no_others() {
    let (servers, namespace, client) = start("account").await;
    crds::install(&servers.client().await).await;
    servers.service_account(&namespace.name, "sync").await;
    let tenant = client.as_service_account(&namespace.name, "sync").unwrap();
    let error = tenant
        .list_all(&ListQuery::new(kinds::K0SMOTRON_CLUSTER, &namespace.name))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Forbidden { .. }), "{error:?}");
    let user = format!("system:serviceaccount:{}:sync", namespace.name);
    assert!(chain(&error).contains(&user), "{}", chain(&error));
    client
        .list_all(&ListQuery::new(kinds::K0SMOTRON_CLUSTER, &namespace.name))
        .await
        .unwrap();
}

#[tokio::test]
async fn lists_have_pages_and_one_that_breaks_off_is_an_error() {
    let (servers, namespace, client) = start("pages").await;
    let names: Vec<String> = (0..2_001).map(|index| format!("edge-{index:04}")).collect();
    let objects = names.iter().map(|name| config_map(&namespace.name, name, "x"));
    futures::stream::iter(objects)
        .map(|object| {
            let client = client.clone();
            async move { create(&client, &object).await }
        })
        .buffer_unordered(16)
        .for_each(|_| async {})
        .await;
    let query = ListQuery::new(kinds::CONFIG_MAP, &namespace.name).with_labels("engine=yes");
    let mut pages = Vec::new();
    let end = client.list(&query, |page| pages.push(page.len())).await.unwrap();
    assert_eq!((pages, end.received), (vec![2_000, 1], 2_001));
    let proxy = Proxy::start(servers).await;
    proxy.add(Rule::new(Action::DropAnswer).path("continue="));
    let through = connect(proxy.kubeconfig()).await;
    let error = through.list_all(&query).await.unwrap_err();
    assert!(
        matches!(error, ClientError::ListBrokeOff { received: 2_000, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_a_lost_connection_is_not() {
    let (servers, namespace, _client) = start("lost").await;
    let proxy = Proxy::start(servers).await;
    let client = connect(proxy.kubeconfig()).await;
    proxy.add(Rule::new(Action::DropAnswer).method(Method::PATCH).first(1));
    let object = config_map(&namespace.name, "edge", "one");
    let error = client.create_only(&object, None, MANAGER).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error:?}");
    assert_eq!(error.kind(), FailureKind::Unavailable);
    assert!(
        client.get(&object.id().unwrap()).await.unwrap().is_some(),
        "it was done"
    );
    let kubeconfig = proxy.kubeconfig().to_owned();
    drop((proxy, client));
    let client = connect(kubeconfig).await;
    let error = client.get(&object.id().unwrap()).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert!(!error.is_outcome_unknown());
    assert!(chain(&error).contains(client.server()), "{}", chain(&error));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let (servers, namespace, _client) = start("hold").await;
    let proxy = Proxy::start(servers).await;
    proxy.add(Rule::new(Action::Hold));
    let client = connect(proxy.kubeconfig())
        .await
        .with_deadline(Duration::from_millis(300));
    let object = config_map(&namespace.name, "edge", "one");
    let error = client.create_only(&object, None, MANAGER).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    assert!(error.is_outcome_unknown());
}

/// Collects until `until` has happened.
async fn collect(
    watch: &mut (impl Stream<Item = WatchEvent> + Unpin),
    mut until: impl FnMut(&WatchEvent) -> bool,
) -> Vec<WatchEvent> {
    let mut events = Vec::new();
    let all = async {
        while let Some(event) = watch.next().await {
            let is_last = until(&event);
            events.push(event);
            if is_last {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, all)
        .await
        .expect("the watch brings it");
    events
}

fn is_named(event: &WatchEvent, wanted: &str) -> bool {
    match event {
        WatchEvent::Changed(object) | WatchEvent::Deleted(object) => object.id().unwrap().name == wanted,
        WatchEvent::ListStarted
        | WatchEvent::Listed(_)
        | WatchEvent::ListEnded { .. }
        | WatchEvent::Interrupted { .. } => false,
    }
}

#[tokio::test]
async fn a_watch_lists_follows_and_goes_on_after_an_interruption_without_listing_again() {
    let (servers, namespace, client) = start("watch").await;
    let proxy = Proxy::start(servers).await;
    let through = connect(proxy.kubeconfig()).await;
    create(&client, &config_map(&namespace.name, "first", "1")).await;
    let query = ListQuery::new(kinds::CONFIG_MAP, &namespace.name).with_labels("engine=yes");
    let mut watch = pin!(through.watch(query));
    let events = collect(&mut watch, |event| matches!(event, WatchEvent::ListEnded { .. })).await;
    assert!(
        matches!(&events[1], WatchEvent::Listed(objects) if objects.len() == 1),
        "{events:?}"
    );
    // The watch is refused once, then opened where the list ended.
    proxy.add(Rule::new(Action::answer(500, "InternalError")).watches().first(1));
    let second = create(&client, &config_map(&namespace.name, "second", "1")).await;
    let events = collect(&mut watch, |event| is_named(event, "second")).await;
    assert!(matches!(&events[0], WatchEvent::Interrupted { .. }), "{events:?}");
    let removal = Removal {
        uid: uid(&second),
        resource_version: None,
        propagation: Propagation::Background,
    };
    client.delete(&second.id().unwrap(), &removal).await.unwrap();
    let events = collect(&mut watch, |event| matches!(event, WatchEvent::Deleted(_))).await;
    assert!(is_named(events.last().unwrap(), "second"));
    let lists = proxy
        .seen()
        .iter()
        .filter(|seen| seen.method == Method::GET && !seen.is_watch())
        .count();
    assert_eq!(lists, 1);
}

#[tokio::test]
async fn a_watch_whose_version_is_gone_lists_again() {
    let (servers, namespace, client) = start("gone").await;
    let proxy = Proxy::start(servers).await;
    let through = connect(proxy.kubeconfig()).await;
    proxy.add(Rule::new(Action::answer(410, "Expired")).watches().first(1));
    create(&client, &config_map(&namespace.name, "first", "1")).await;
    let query = ListQuery::new(kinds::CONFIG_MAP, &namespace.name).with_labels("engine=yes");
    let mut watch = pin!(through.watch(query));
    let mut ends = 0;
    let events = collect(&mut watch, |event| {
        ends += usize::from(matches!(event, WatchEvent::ListEnded { .. }));
        ends == 2
    })
    .await;
    let started = events
        .iter()
        .filter(|event| matches!(event, WatchEvent::ListStarted))
        .count();
    assert_eq!(started, 2, "{events:?}");
}

#[tokio::test]
async fn secrets_are_watched_listed_and_written_without_their_bytes_coming_back() {
    let (servers, namespace, client) = start("secrets").await;
    servers
        .kubectl(&[
            "-n",
            &namespace.name,
            "create",
            "secret",
            "generic",
            "edge",
            "--from-literal=key=hunter2",
        ])
        .await
        .success();
    let id = ObjectId::new(kinds::SECRET, &namespace.name, "edge");
    let query = ListQuery::new(kinds::SECRET, &namespace.name);
    let listed = client.list_all(&query).await.unwrap();
    assert_eq!(listed.len(), 1);
    let mut watch = pin!(client.watch(query));
    collect(&mut watch, |event| matches!(event, WatchEvent::ListEnded { .. })).await;
    let patched = client
        .patch_metadata(
            &id,
            &uid(&listed[0]),
            None,
            &json!({ "labels": { "a": "b" } }),
            MANAGER,
        )
        .await
        .unwrap();
    let events = collect(&mut watch, |event| is_named(event, "edge")).await;
    let read = client.get(&id).await.unwrap().unwrap();
    for text in [
        format!("{listed:?}"),
        format!("{patched:?}"),
        format!("{events:?}"),
        format!("{read:?}"),
    ] {
        assert!(text.contains("edge") && !text.contains("aHVudGVyMg"), "{text}");
    }
    let secret = client.get_secret(&namespace.name, "edge").await.unwrap().unwrap();
    assert_eq!(secret.data.get("key"), Some(&b"hunter2"[..]));
    assert!(
        client
            .get_secret(&namespace.name, "missing")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_ready_server_says_so() {
    let (_servers, _namespace, client) = start("ready").await;
    assert_eq!(client.readiness().await, Readiness::Ready);
}
