//! The places of the schema, and which of them a spec writes.

use std::collections::BTreeSet;

use k0smotron_fleet::api::crd::Definition;
use serde_json::Value;

/// Types of Kubernetes, whose fields are not ours to try.
const EMBEDDED: [&str; 9] = [
    "affinity",
    "imagePullSecrets",
    "manifests",
    "mounts",
    "resources",
    "storage.etcd.resources",
    "persistence.persistentVolumeClaim.spec",
    "tolerations",
    "topologySpreadConstraints",
];

pub(super) fn spec() -> Value {
    Definition::Cluster.schema()["properties"]["spec"].clone()
}

/// Returns the schema of a field, by its dotted name.
pub(super) fn of(field: &str) -> Value {
    let mut schema = spec();
    for part in field.split('.') {
        schema = schema["properties"][part].take();
    }
    schema
}

/// Every field, dotted, without marks for items of lists: `certificateRefs.name`.
pub(super) fn places() -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    walk(&spec(), "", &mut places);
    places
}

fn walk(schema: &Value, place: &str, places: &mut BTreeSet<String>) {
    if EMBEDDED.contains(&place) {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let child = join(place, name);
        places.insert(child.clone());
        walk(property, &child, places);
    }
    if let Some(items) = schema.get("items") {
        walk(items, place, places);
    }
}

pub(super) fn join(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

/// Every place that a spec writes, in the same form.
pub(super) fn written(spec: &Value) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    note(spec, "", &mut places);
    places
}

fn note(value: &Value, place: &str, places: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let child = join(place, name);
                places.insert(child.clone());
                note(field, &child, places);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| note(item, place, places)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
