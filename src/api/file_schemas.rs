//! The JSON Schemas of the kinds of fleet files, for editors and for whoever generates such files.
//!
//! **Invariant:** made of the schemas that files are checked with, so that an editor and `validate` say the same.

use serde_json::{Value, json};

use super::fleet::API_VERSION;
use super::{crd, fleet, fleet_files, schema};

/// Kinds that have a schema, by the name of their file in `schemas/`, in alphabetical order.
pub const NAMES: [(&str, &str); 6] = [
    ("Adopt", "adopt.json"),
    ("ClusterDefaults", "cluster-defaults.json"),
    ("ClusterSet", "cluster-set.json"),
    ("Fleet", "fleet.json"),
    ("K0smotronCluster", "k0smotron-cluster.json"),
    ("Removed", "removed.json"),
];

/// Returns the JSON Schema (2020-12) of whole documents of a kind; `None` for a kind that is none of [`NAMES`].
pub fn of_kind(kind: &str) -> Option<Value> {
    let spec = match kind {
        "Adopt" => fleet_files::adopt_schema(),
        "ClusterDefaults" => return Some(defaults()),
        "ClusterSet" => set(),
        "Fleet" => fleet::spec_schema(),
        "K0smotronCluster" => return Some(crd::cluster_schema()),
        "Removed" => fleet_files::removed_schema(),
        _ => return None,
    };
    let mut document = document(kind);
    document["properties"]["spec"] = without_header(spec);
    document["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    Some(document)
}

/// Returns the schema of a kind as the text of its file.
pub fn text(kind: &str) -> Option<String> {
    let schema = of_kind(kind)?;
    Some(format!("{schema:#}\n"))
}

fn document(kind: &str) -> Value {
    let words = |description: &str| json!({"type": "object", "description": description, "additionalProperties": {"type": "string"}});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "Version of this kind."},
            "kind": {"const": kind, "description": "This kind."},
            "metadata": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "description": "Name of the document, and words about it.",
                "properties": {
                    "name": {"type": "string", "description": "Lower-case letters, digits and `-`."},
                    "labels": words("For people and programs that read the files; no cluster gets them."),
                    "annotations": words("As `labels`, for longer words."),
                },
            },
        },
    })
}

fn defaults() -> Value {
    let mut document = document("ClusterDefaults");
    let properties = &mut document["properties"];
    let name = properties["metadata"]["properties"]["name"].take();
    properties["metadata"] = json!({
        "type": "object",
        "additionalProperties": false,
        "description": "May name the defaults.",
        "properties": {"name": name},
    });
    let words = |description: &str| {
        json!({
            "type": ["object", "null"],
            "description": description,
            "additionalProperties": {"type": ["string", "null"]},
        })
    };
    properties["labels"] = words("Labels that clusters inherit. Null removes an inherited one.");
    properties["annotations"] = words("Annotations that clusters inherit. Null removes an inherited one.");
    let mut selector = without_header(fleet_files::selector_schema());
    selector["description"] =
        json!("Which clusters, by the labels in their own file. Unset: all below this directory.");
    properties["selector"] = selector;
    let mut spec = fleet_files::spec_part_schema();
    spec["description"] = json!("Any part of the spec of a cluster. Null removes what is inherited.");
    properties["spec"] = spec;
    document
}

/// A set, whose template is a cluster in which every value may hold a reference.
fn set() -> Value {
    let mut set = fleet_files::set_schema();
    let template = &mut set["properties"]["template"]["properties"];
    let words = |description: &str| json!({"type": ["object", "null"], "description": description, "additionalProperties": {"type": ["string", "number", "boolean", "null"]}});
    template["metadata"] = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "namespace"],
        "description": "As the metadata of a cluster, with `${column}` where a value of the row stands.",
        "properties": {
            "name": {"type": "string", "description": "Name of the cluster of a row."},
            "namespace": {"type": "string", "description": "Namespace of the cluster of a row."},
            "labels": words("Labels of the cluster of a row."),
            "annotations": words("Annotations of the cluster of a row."),
        },
    });
    let mut spec = schema::with_references(fleet_files::spec_part_schema());
    spec["description"] =
        json!("As the spec of a cluster, with `${column}` where a value of the row stands.");
    template["spec"] = spec;
    set
}

/// A schema inside of another one says neither its version nor the name of its type.
fn without_header(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.remove("title");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_that_refuses_other_kinds() {
        for (kind, _) in NAMES {
            let schema = of_kind(kind).unwrap();
            assert!(jsonschema::validator_for(&schema).is_ok(), "{kind}");
            assert!(!jsonschema::is_valid(
                &schema,
                &json!({"apiVersion": "v1", "kind": "Secret"})
            ));
        }
        assert_eq!(of_kind("Secret"), None);
    }

    #[test]
    fn a_template_takes_references_where_a_cluster_takes_numbers() {
        let schema = of_kind("ClusterSet").unwrap();
        let with = |replicas: Value| {
            json!({"apiVersion": API_VERSION, "kind": "ClusterSet", "metadata": {"name": "stores"}, "spec": {
                "key": "site", "generators": [{"list": [{"site": "a"}]}], "template": {
                    "metadata": {"name": "store-${site}", "namespace": "edge"},
                    "spec": {"replicas": replicas, "service": {"type": "${type ?? NodePort}"}}}}})
        };
        assert!(jsonschema::is_valid(&schema, &with(json!(3))));
        assert!(jsonschema::is_valid(&schema, &with(json!("${replicas}"))));
        assert!(!jsonschema::is_valid(&schema, &with(json!("three"))));
    }

    #[test]
    fn defaults_take_any_part_of_a_cluster_and_nothing_else() {
        let schema = of_kind("ClusterDefaults").unwrap();
        let with = |spec: Value| json!({"apiVersion": API_VERSION, "kind": "ClusterDefaults", "spec": spec});
        assert!(jsonschema::is_valid(
            &schema,
            &with(json!({"ingress": {"port": 8443}, "service": null}))
        ));
        assert!(!jsonschema::is_valid(&schema, &with(json!({"repicas": 3}))));
    }
}
