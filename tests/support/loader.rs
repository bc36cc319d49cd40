//! A client without any work of its own: writes many objects, many at once.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use k0smotron_fleet::api::names;
use k0smotron_fleet::object::{Object, kinds};
use k0smotron_fleet::render::{self, Settings};
use kube::Client;
use serde_json::{Value, json};

use super::Servers;

/// Requests at the same time.
const IN_FLIGHT: usize = 32;

/// Creates objects, `in_flight` at the same time; `path` is where those of their kind are posted, as `/apis/apps/v1/namespaces/edge/statefulsets`.
pub async fn create(client: &Client, path: &str, objects: impl IntoIterator<Item = Value>, in_flight: usize) {
    let post = |object: Value| {
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes())
            .expect("a valid request");
        async move {
            let made = client.request_text(request).await;
            made.unwrap_or_else(|error| panic!("cannot create at {path}: {error}"));
        }
    };
    futures::stream::iter(objects.into_iter().map(post))
        .buffer_unordered(in_flight)
        .collect::<Vec<_>>()
        .await;
}

/// Creates the StatefulSets of all clusters of a namespace that have none, as the operator renders them.
pub async fn stateful_sets(servers: &Servers, namespace: &str) -> usize {
    let list = async |what: &str| -> Vec<Value> {
        let arguments = ["get", what, "-n", namespace, "-o", "json"];
        let text = servers.kubectl(&arguments).await.success();
        let mut list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        match list["items"].take() {
            Value::Array(items) => items,
            other => panic!("no list: {other}"),
        }
    };
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let there: BTreeSet<String> = list("statefulsets").await.iter().map(name).collect();
    let settings = Settings::standard();
    let mut sets = Vec::new();
    for cluster in list("k0smotronclusters").await {
        // The operator has made this one.
        if there.contains(&names::control_plane(&name(&cluster))) {
            continue;
        }
        let uid = cluster["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let imagined = render::imagine(&Object(cluster), &settings)
            .unwrap_or_else(|stalled| panic!("{}", stalled.message));
        for (id, child) in imagined.children {
            if id.kind == kinds::STATEFUL_SET {
                let mut set = child.object.0;
                set["metadata"]["ownerReferences"][0]["uid"] = json!(uid);
                sets.push(set);
            }
        }
    }
    let count = sets.len();
    let path =
        format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?fieldManager=k0smotron-fleet-operator");
    create(&servers.client().await, &path, sets, IN_FLIGHT).await;
    count
}
