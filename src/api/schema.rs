//! Shapes of schemas: what a CRD may say, how the server reads a value with it, and the same as a JSON Schema.

use jsonschema::Validator;
use kube::core::schema::{OptionalEnum, OptionalIntOrString};
use schemars::generate::SchemaSettings;
use schemars::transform::{AddNullable, Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Returns the JSON Schema (2020-12) of a type, with the schemas of its parts where they are used.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Returns the schema of a custom resource, as a CRD has it.
///
/// *Source*: what kube derives for a custom resource, without its rewriting of tagged unions: it writes and reads
/// everything below a node once more for each node, which takes longer than reading a hundred clusters, and there are
/// none.
pub(super) fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let generator = settings
        .with_transform(AddNullable::default())
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    make_structural(&mut schema);
    schema
}

/// Returns the schema of a Kubernetes type without its descriptions.
///
/// They are nine tenths of such a schema, and a CRD above 256 kB cannot be applied by plain `kubectl apply`.
pub fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    WithoutDescriptions.transform(&mut schema);
    schema
}

struct WithoutDescriptions;

impl Transform for WithoutDescriptions {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        schema.remove("description");
        schema.remove("title");
    }
}

/// A k0s ClusterConfig: free, but for the two words that say it is one.
pub fn k0s_config(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "apiVersion": {"type": "string", "maxLength": 64, "description": "k0s.k0sproject.io/v1beta1."},
            "kind": {"type": "string", "maxLength": 64, "description": "ClusterConfig."},
        },
    })
}

/// Calls `visit` for a schema and every schema below it, parents first.
fn walk(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(node) = schema else { return };
    visit(node);
    for key in ["items", "additionalProperties", "not"] {
        if let Some(child) = node.get_mut(key) {
            walk(child, visit);
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for child in node
            .get_mut(key)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            walk(child, visit);
        }
    }
    for child in node
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        walk(child, visit);
    }
}

/// Makes a derived schema say what this API means.
///
/// `nullable` goes: without it the server drops a null and applies the default, so that null and unset are the same
/// everywhere, and no rule ever meets a null. Formats that Kubernetes does not know go too: each is a warning at
/// every apply of the CRD.
fn make_structural(schema: &mut Value) {
    const KNOWN_FORMATS: [&str; 5] = ["int32", "int64", "double", "byte", "date-time"];
    walk(schema, &mut |node| {
        node.remove("nullable");
        // A set, which is written in one order whatever that of the fields is.
        if let Some(Value::Array(names)) = node.get_mut("required") {
            names.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
        }
        if let Some(Value::Array(words)) = node.get_mut("enum") {
            words.retain(|word| !word.is_null());
        }
        if let Some(Value::String(format)) = node.get("format")
            && !KNOWN_FORMATS.contains(&format.as_str())
        {
            node.remove("format");
        }
    });
}

/// Returns `value` as the server stores it before any rule runs: nulls dropped where null means unset, defaults filled
/// in. `None` is a value that is not written at all.
///
/// Unknown fields stay: they are refused by [`closed`], not dropped in silence.
pub(super) fn as_stored(schema: &Value, value: Option<&Value>) -> Option<Value> {
    let value = match value {
        None | Some(Value::Null) => schema.get("default")?,
        Some(value) => value,
    };
    Some(match value {
        Value::Object(fields) => {
            let is_open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            let properties = schema.get("properties").and_then(Value::as_object);
            let rest = schema.get("additionalProperties").filter(|rest| rest.is_object());
            let mut stored = Map::new();
            for (name, property) in properties.into_iter().flatten() {
                if let Some(field) = as_stored(property, fields.get(name)) {
                    stored.insert(name.clone(), field);
                }
            }
            for (name, field) in fields {
                if properties.is_some_and(|properties| properties.contains_key(name)) {
                    continue;
                }
                match rest {
                    Some(rest) => {
                        stored.extend(as_stored(rest, Some(field)).map(|field| (name.clone(), field)));
                    }
                    None if is_open || !field.is_null() => {
                        stored.insert(name.clone(), field.clone());
                    }
                    None => {}
                }
            }
            Value::Object(stored)
        }
        Value::Array(items) => match schema.get("items") {
            // A null item is an error, not an absent one.
            Some(schema) => items
                .iter()
                .map(|item| as_stored(schema, Some(item)).unwrap_or(Value::Null))
                .collect(),
            None => value.clone(),
        },
        scalar => scalar.clone(),
    })
}

/// Turns a structural schema into a JSON Schema (2020-12) that accepts what the server accepts, and no unknown field.
///
/// *Shape*: `additionalProperties: false` wherever the server would drop a field; null wherever it would drop a null;
/// `int32` and `int64` as bounds; no Kubernetes extension left.
pub(super) fn closed(mut schema: Value) -> Value {
    walk(&mut schema, &mut close);
    schema
}

/// Compiles one of our own schemas, which takes far longer than a verdict.
pub fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema)
        .expect("our own schemas are valid, as every test that reads a file shows")
}

/// The keyword of rules in CEL.
pub(super) const VALIDATIONS: &str = "x-kubernetes-validations";

/// Returns a schema without any rule in it.
pub(super) fn without_rules(mut schema: Value) -> Value {
    walk(&mut schema, &mut |node| {
        node.remove(VALIDATIONS);
    });
    schema
}

/// Tells whether a schema, or one below it, has a rule.
pub(super) fn has_rules(schema: &Value) -> bool {
    let mut has = false;
    walk(&mut schema.clone(), &mut |node| {
        has |= node.contains_key(VALIDATIONS);
    });
    has
}

/// Returns a JSON Schema that accepts any part of what the given one accepts: nothing is required.
pub(super) fn partial(mut schema: Value) -> Value {
    walk(&mut schema, &mut |node| {
        node.remove("required");
    });
    schema
}

/// Returns a JSON Schema that takes a text with a reference wherever the given one takes a single value.
pub(super) fn with_references(mut schema: Value) -> Value {
    put_references(&mut schema);
    schema
}

fn put_references(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    for key in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(key) {
            put_references(child);
        }
    }
    if let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(put_references);
    }
    let is_free_text = node.get("enum").is_none() && node.get("pattern").is_none();
    let takes = |name: &str| match node.get("type") {
        Some(Value::String(word)) => word == name,
        Some(Value::Array(words)) => words.iter().any(|word| word == name),
        _ => false,
    };
    let is_mapping = takes("object") || takes("array");
    if is_mapping || (takes("string") && is_free_text) || !node.contains_key("type") {
        return;
    }
    let description = node.get("description").cloned();
    let mut either = json!({"anyOf": [Value::Object(node.clone()), {"type": "string", "pattern": "[$][{]"}]});
    if let Some(description) = description {
        either["description"] = description;
    }
    *schema = either;
}

fn close(node: &mut Map<String, Value>) {
    let is_open = node.remove("x-kubernetes-preserve-unknown-fields") == Some(Value::Bool(true));
    if node.remove("x-kubernetes-int-or-string") == Some(Value::Bool(true)) {
        node.insert("type".into(), json!(["integer", "string"]));
    }
    node.retain(|key, _| !key.starts_with("x-kubernetes-"));
    if node.get("type") == Some(&json!("object")) && !is_open && !node.contains_key("additionalProperties") {
        node.insert("additionalProperties".into(), Value::Bool(false));
    }
    if let Some(Value::String(format)) = node.remove("format") {
        match format.as_str() {
            "int32" => bound(node, i64::from(i32::MIN), i64::from(i32::MAX)),
            "int64" => bound(node, i64::MIN, i64::MAX),
            other => {
                node.insert("format".into(), json!(other));
            }
        }
    }
    let required: Vec<String> = node
        .get("required")
        .and_then(Value::as_array)
        .map(|names| {
            names
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    for (name, property) in node
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        if !required.contains(name) {
            allow_null(property);
        }
    }
    if let Some(values) = node.get_mut("additionalProperties") {
        allow_null(values);
    }
}

fn bound(node: &mut Map<String, Value>, minimum: i64, maximum: i64) {
    node.entry("minimum").or_insert(json!(minimum));
    node.entry("maximum").or_insert(json!(maximum));
}

/// Lets a schema accept null as well. Its `type` may be rewritten again when the walk reaches the node itself, which
/// is why null is added beside what is there.
fn allow_null(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    if node.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        node.remove("x-kubernetes-int-or-string");
        node.insert("type".into(), json!(["integer", "string", "null"]));
        return;
    }
    match node.get_mut("type") {
        Some(Value::String(name)) => {
            let is_object = name == "object";
            let types = json!([name.clone(), "null"]);
            node.insert("type".into(), types);
            if is_object
                && !node.contains_key("additionalProperties")
                && node.get("x-kubernetes-preserve-unknown-fields") != Some(&Value::Bool(true))
            {
                node.insert("additionalProperties".into(), Value::Bool(false));
            }
        }
        Some(Value::Array(types)) => types.push(json!("null")),
        _ => {}
    }
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"},
            "count": {"type": "integer", "format": "int32", "default": 1},
            "size": {"x-kubernetes-int-or-string": true},
            "inner": {"type": "object", "properties": {"word": {"type": "string", "enum": ["a"]}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }})
    }

    #[test]
    fn a_null_is_an_unset_field_and_defaults_fill_it() {
        let written = json!({"name": "x", "count": null, "inner": {"word": null}, "free": {"a": null}});
        assert_eq!(
            as_stored(&schema(), Some(&written)),
            Some(json!({"name": "x", "count": 1, "inner": {}, "free": {"a": null}}))
        );
        assert_eq!(as_stored(&schema(), None), None);
    }

    #[test]
    fn the_closed_schema_refuses_unknown_fields_at_every_depth_but_not_where_anything_goes() {
        let closed = closed(schema());
        let is_valid = |value: Value| jsonschema::is_valid(&closed, &value);
        assert!(is_valid(
            json!({"name": "x", "count": null, "size": 5, "inner": {"word": "a"}})
        ));
        assert!(is_valid(
            json!({"name": "x", "size": "5Gi", "free": {"any": {"thing": 1}}, "labels": {"a": "b"}})
        ));
        assert!(is_valid(json!({"name": "x", "inner": null, "size": null})));
        for wrong in [
            json!({"name": null}),
            json!({"name": "x", "nome": 1}),
            json!({"name": "x", "inner": {"wort": "a"}}),
            json!({"name": "x", "inner": {"word": "b"}}),
            json!({"name": "x", "count": 3_000_000_000_i64}),
            json!({"name": "x", "size": true}),
            json!({"name": "x", "labels": {"a": 1}}),
        ] {
            assert!(!is_valid(wrong.clone()), "{wrong}");
        }
    }
}
