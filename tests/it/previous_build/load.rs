//! Putting dumped objects on other servers as they were.

use std::fs;

use k0smotron_fleet::api::labels;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::{Dumped, Head, LONG, NAMESPACE, api_of, folder, packing};
use crate::operator::{Bench, has_its_pods};
use crate::support::eventually;

/// Loads all clusters, waits until their pods are ready, and returns their names.
pub(super) async fn everything(bench: &Bench<'_>) -> Vec<String> {
    let text = fs::read_to_string(folder().join("objects.jsonl")).unwrap();
    let mut lines = text.lines();
    let head: Head = serde_json::from_str(lines.next().unwrap()).unwrap();
    // Whole days, for the status has a date.
    let elapsed =
        SignedDuration::from_hours(24 * (Timestamp::now().duration_since(head.dumped_at).as_hours() / 24));
    let mut names = Vec::new();
    for line in lines {
        let line = packing::unpack(&serde_json::from_str(line).unwrap(), &head.shared);
        let dumped: Dumped = serde_json::from_value(line).unwrap();
        let cluster = with_times_moved(named(&dumped.cluster, &dumped.name, ""), elapsed);
        let uid = load_cluster(bench, cluster).await;
        for child in &dumped.children {
            let child = with_times_moved(named(child, &dumped.name, &uid), elapsed);
            load_child(bench, child).await;
        }
        names.push(dumped.name);
    }
    eventually("all pods are ready", LONG, async || {
        let sets = bench.api::<StatefulSet>().list(&ListParams::default()).await;
        let sets = sets.map_err(|error| error.to_string())?.items;
        let waiting: Vec<String> = sets
            .into_iter()
            .filter(|set| !is_settled(set))
            .map(|set| set.metadata.name.unwrap_or_default())
            .collect();
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(waiting.join(", "))
        }
    })
    .await;
    names
}

fn is_settled(set: &StatefulSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    has_its_pods(set) && status.current_revision == status.update_revision
}

fn named(object: &Value, name: &str, uid: &str) -> Value {
    let text = object.to_string().replace("{name}", name);
    // The cluster's own is known only once it is there.
    let text = if uid.is_empty() {
        text
    } else {
        text.replace("{uid}", uid)
    };
    serde_json::from_str(&text).unwrap()
}

/// Moves the ends of certificates by the age of the dump: or every certificate would end one day, and be renewed.
fn with_times_moved(mut object: Value, elapsed: SignedDuration) -> Value {
    const ENDS: [&str; 3] = [labels::NOT_AFTER, "notAfter", "certificatesExpire"];
    match &mut object {
        Value::Object(fields) => {
            for (name, value) in fields {
                *value = match value.as_str().filter(|_| ENDS.contains(&name.as_str())) {
                    Some(end) => json!(moved(end, elapsed)),
                    None => with_times_moved(value.take(), elapsed),
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = with_times_moved(item.take(), elapsed);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    object
}

fn moved(end: &str, elapsed: SignedDuration) -> String {
    match end.parse::<Timestamp>() {
        Ok(time) => (time + elapsed).to_string(),
        Err(_) => (end.parse::<Date>().unwrap() + elapsed).to_string(),
    }
}

/// Creates the cluster, brings its generation, status and managed fields to what they were, and returns its uid.
async fn load_cluster(bench: &Bench<'_>, cluster: Value) -> String {
    let name = cluster["metadata"]["name"].as_str().unwrap().to_owned();
    let api = api_of(&bench.client, &cluster, Some(NAMESPACE));
    let generation = cluster["metadata"]["generation"].as_i64().unwrap();
    let how = PostParams::default();
    let mut live: Option<Value> = None;
    // Each write of another spec is one generation.
    for number in 1..=generation {
        let mut object = cluster.clone();
        if number < generation {
            object["spec"]["podAnnotations"] = json!({"generation": number.to_string()});
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("generation");
        let stored = match &live {
            None => {
                metadata.remove("managedFields");
                api.create(&how, &serde_json::from_value(object).unwrap()).await
            }
            Some(live) => {
                metadata.insert(
                    "resourceVersion".to_owned(),
                    live["metadata"]["resourceVersion"].clone(),
                );
                api.replace(&name, &how, &serde_json::from_value(object).unwrap())
                    .await
            }
        };
        live = Some(json!(
            stored.unwrap_or_else(|error| panic!("cluster {name}: {error}"))
        ));
    }
    let live = live.expect("a generation is at least 1");
    let uid = live["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut object = named(&cluster, &name, &uid);
    for field in ["resourceVersion", "generation"] {
        object["metadata"][field] = live["metadata"][field].clone();
    }
    let stored = api
        .replace_status(&name, &how, &serde_json::from_value(object.clone()).unwrap())
        .await;
    object["metadata"]["resourceVersion"] = json!(stored.unwrap().metadata.resource_version);
    // Given fields are kept by a write that changes nothing; one that makes the object takes them all.
    let stored = api
        .replace(&name, &how, &serde_json::from_value(object).unwrap())
        .await;
    let stored = json!(stored.unwrap());
    assert_eq!(stored["metadata"]["generation"], generation, "{name}");
    uid
}

async fn load_child(bench: &Bench<'_>, child: Value) {
    let name = child["metadata"]["name"].as_str().unwrap().to_owned();
    let api = api_of(&bench.client, &child, Some(NAMESPACE));
    let how = PostParams::default();
    let mut first = child.clone();
    first["metadata"].as_object_mut().unwrap().remove("managedFields");
    let created = api.create(&how, &serde_json::from_value(first).unwrap()).await;
    let created = created.unwrap_or_else(|error| panic!("{} {name}: {error}", child["kind"]));
    if let Some(status) = child
        .get("status")
        .filter(|status| status.pointer("/loadBalancer/ingress").is_some())
    {
        let mut with_status = json!(created);
        with_status["status"] = status.clone();
        api.replace_status(&name, &how, &serde_json::from_value(with_status).unwrap())
            .await
            .unwrap();
    }
    // Controllers write the status beside this.
    let stored = eventually(&format!("{name} has its managed fields"), LONG, async || {
        let mut again = child.clone();
        let live = api.get(&name).await?;
        again["metadata"]["uid"] = json!(live.metadata.uid);
        again["metadata"]["resourceVersion"] = json!(live.metadata.resource_version);
        api.replace(&name, &how, &serde_json::from_value(again).unwrap())
            .await
    })
    .await;
    let kept = stored.metadata.managed_fields.unwrap_or_default();
    let ours = |entries: &Value| {
        entries.as_array().is_some_and(|entries| {
            entries
                .iter()
                .any(|entry| entry["manager"] == labels::OPERATOR_MANAGER && entry["operation"] == "Apply")
        })
    };
    assert!(ours(&json!(kept)), "{name}: {kept:?}");
}
