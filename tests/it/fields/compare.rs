//! Two clusters are the same: byte for byte, but for names, uids, times, keys, and what the server allocated.

use std::collections::BTreeMap;

use k0smotron_fleet::api::{K0smotronCluster, labels};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::world::World;
use crate::previous_build::{KINDS, api_of};

/// Everything there is of a cluster, by `Kind/name`, in a form that is the same for all that are alike.
pub(super) async fn objects(world: &World<'_>, name: &str, address: &str) -> BTreeMap<String, Value> {
    let cluster = world.bench.cluster(name).await;
    let mine = ListParams::default().labels(&format!("{}={name}", labels::CLUSTER));
    let mut live = Vec::new();
    const MORE: [(&str, &str); 3] = [
        ("v1", "PersistentVolumeClaim"),
        ("networking.k8s.io/v1", "Ingress"),
        ("gateway.networking.k8s.io/v1", "TLSRoute"),
    ];
    for (api_version, kind) in KINDS.into_iter().chain(MORE) {
        let type_of = json!({"apiVersion": api_version, "kind": kind});
        let api = api_of(&world.bench.client, &type_of, Some(&world.bench.namespace.name));
        for object in api.list(&mine).await.unwrap().items {
            let mut object = json!(object);
            object["kind"] = json!(kind);
            live.push(object);
        }
    }
    let words = words(&cluster, &live, address);
    let plain = live.into_iter().map(|object| {
        let mut text = masked(without_noise(object)).to_string();
        for (word, mark) in &words {
            text = text.replace(word, mark);
        }
        let object: Value = serde_json::from_str(&text).unwrap();
        let key = format!(
            "{}/{}",
            object["kind"].as_str().unwrap(),
            object["metadata"]["name"].as_str().unwrap()
        );
        (key, object)
    });
    plain.collect()
}

/// What differs between clusters that are alike, the longest first so that no mark splits another word.
fn words(cluster: &K0smotronCluster, live: &[Value], address: &str) -> Vec<(String, String)> {
    let mut words = vec![
        (cluster.metadata.name.clone().unwrap(), "{name}".to_owned()),
        (cluster.metadata.uid.clone().unwrap(), "{uid}".to_owned()),
        (address.to_owned(), "{address}".to_owned()),
    ];
    let endpoint = cluster.status.clone().unwrap_or_default().endpoint;
    if let Some(host) = endpoint
        .map(|endpoint| endpoint.host)
        .filter(|host| host.starts_with("127."))
    {
        words.push((host, "{host}".to_owned()));
    }
    for service in live.iter().filter(|object| object["kind"] == "Service") {
        for ip in service["spec"]["clusterIPs"].as_array().into_iter().flatten() {
            let ip = ip.as_str().unwrap();
            if ip != "None" {
                words.push((ip.to_owned(), "{ip}".to_owned()));
            }
        }
        let port = |port: &Value, mark: &str| {
            port.as_i64()
                .map(|port| (port.to_string(), format!("9999{mark}")))
        };
        for (number, one) in service["spec"]["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            words.extend(port(&one["nodePort"], &number.to_string()));
        }
        words.extend(port(&service["spec"]["healthCheckNodePort"], "9"));
    }
    // In text that is no JSON, too.
    let prints = live
        .iter()
        .filter_map(|object| object["metadata"]["annotations"][labels::FINGERPRINT].as_str());
    words.extend(prints.map(|print| (print.to_owned(), "{fingerprint}".to_owned())));
    // Addresses of Services that are gone stay in the certificates, among those of the same network.
    let pins = cluster
        .status
        .clone()
        .unwrap_or_default()
        .pins
        .unwrap_or_default();
    let ips = pins.sans.into_iter().filter(|name| name.starts_with("10."));
    words.extend(ips.map(|ip| (ip, "{ip}".to_owned())));
    words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

/// Leaves out what the server counts, and what is written by others.
fn without_noise(mut object: Value) -> Value {
    let is_secret = object["kind"] == "Secret";
    let fields = object.as_object_mut().unwrap();
    fields.remove("status");
    let metadata = fields["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    // A Secret is never applied a second time, so what manages its fields tells its history.
    if is_secret {
        metadata.remove("managedFields");
    }
    if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
        // Owned once the server has given the ports and anything of the Service is applied again.
        entries.iter_mut().for_each(|entry| forget(entry, "f:nodePort"));
        // Applied as empty, for the server keeps the one as a copy of the other.
        entries
            .iter_mut()
            .for_each(|entry| forget(entry, "f:serviceAccount"));
        entries
            .iter_mut()
            .for_each(|entry| forget(entry, "f:serviceAccountName"));
        entries.retain(|entry| entry["manager"] == labels::OPERATOR_MANAGER && entry["operation"] == "Apply");
    }
    if let Some(Value::Object(data)) = fields.get_mut("data")
        && is_secret
    {
        data.values_mut().for_each(|value| *value = json!("*"));
    }
    object
}

fn forget(value: &mut Value, field: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(field);
            fields.values_mut().for_each(|value| forget(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, field)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Puts a mark for times and digests, also in text that is JSON.
fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, masked(field)))
            .collect(),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::String(text) => {
            let is_digest = text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_digest || text.parse::<Timestamp>().is_ok() {
                return json!("*");
            }
            match serde_json::from_str::<Value>(&text) {
                Ok(inner @ Value::Object(_)) => Value::String(masked(inner).to_string()),
                _ => Value::String(text),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Says where two clusters differ; `None` when they are alike.
pub(super) fn difference(
    walked: &BTreeMap<String, Value>,
    fresh: &BTreeMap<String, Value>,
) -> Option<String> {
    let only = |one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| {
        one.keys()
            .filter(|key| !other.contains_key(*key))
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = only(walked, fresh)
        .into_iter()
        .map(|key| format!("left behind: {key}"))
        .collect();
    lines.extend(
        only(fresh, walked)
            .into_iter()
            .map(|key| format!("missing: {key}")),
    );
    for (key, object) in walked {
        if let Some(other) = fresh.get(key) {
            differences(key, object, other, &mut lines);
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n    "))
}

fn differences(place: &str, one: &Value, other: &Value, lines: &mut Vec<String>) {
    // A field is not owned when it was already as it should be; nothing is left behind by that.
    if one == other || (place.contains("/managedFields/") && one.is_null()) {
        return;
    }
    match (one, other) {
        (Value::Object(fields), Value::Object(others)) => {
            for (name, field) in fields {
                differences(
                    &format!("{place}/{name}"),
                    field,
                    others.get(name).unwrap_or(&Value::Null),
                    lines,
                );
            }
            for (name, field) in others.iter().filter(|(name, _)| !fields.contains_key(*name)) {
                differences(&format!("{place}/{name}"), &Value::Null, field, lines);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (number, (item, other)) in items.iter().zip(others).enumerate() {
                differences(&format!("{place}/{number}"), item, other, lines);
            }
        }
        _ => lines.push(format!("{place}: {one} and not {other}")),
    }
}
