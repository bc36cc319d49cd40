//! The places of the schema, and which of them a spec writes.

use std::collections::{BTreeMap, BTreeSet};

use k0smotron_fleet::api::crd::Definition;
use serde_json::Value;

/// Types of Kubernetes, whose fields are not ours to try or to list.
pub const EMBEDDED: [&str; 9] = [
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

pub fn spec() -> Value {
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

/// Calls `visit` with every place below a schema, parents first; items of lists are marked: `certificateRefs[].name`.
pub fn walk(schema: &Value, place: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &child(place, name), visit);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{place}[]"), visit);
    }
}

pub fn child(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

/// Every field that is ours, as [`walk`] calls it, with its schema.
pub fn fields() -> BTreeMap<String, Value> {
    let is_below = |place: &str| {
        EMBEDDED.iter().any(|embedded| {
            place
                .strip_prefix(embedded)
                .is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
        })
    };
    let mut fields = BTreeMap::new();
    walk(&spec(), "", &mut |place, schema| {
        if !place.is_empty() && !place.ends_with("[]") && !is_below(place) {
            fields.insert(place.to_owned(), schema.clone());
        }
    });
    fields
}

/// Every field, dotted, without marks for items of lists: `certificateRefs.name`.
pub(super) fn places() -> BTreeSet<String> {
    fields().keys().map(|place| place.replace("[]", "")).collect()
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
                let place = child(place, name);
                places.insert(place.clone());
                note(field, &place, places);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| note(item, place, places)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
