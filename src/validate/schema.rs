//! JSON Schemas of the kinds, and their verdicts in words.

use std::sync::LazyLock;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::words;
use crate::api::schema::validator;
use crate::api::{cel, crd, fleet, fleet_files};
use crate::diagnostic::{Code, Finding, Findings, WRITE_A_LIST, WRITE_FIELDS, nearest, quote};
use crate::object::pointer;
use crate::parse::{Data, Node, Place};

/// Most findings of one document by its schema.
const FINDINGS_MAX: usize = 50;

/// The schema of a spec, compiled once a process: compiling takes far longer than a verdict.
pub(super) struct Schema {
    schema: LazyLock<Value>,
    validator: LazyLock<Validator>,
}

pub(super) static CLUSTER: Schema = Schema {
    schema: LazyLock::new(|| crd::cluster_schema()["properties"]["spec"].take()),
    validator: LazyLock::new(|| validator(&CLUSTER.schema)),
};

pub(super) static FLEET: Schema = Schema {
    schema: LazyLock::new(fleet::spec_schema),
    validator: LazyLock::new(|| validator(&FLEET.schema)),
};

/// A part of a cluster's spec, as defaults hold it.
pub(super) static CLUSTER_PART: Schema = Schema {
    schema: LazyLock::new(fleet_files::spec_part_schema),
    validator: LazyLock::new(|| validator(&CLUSTER_PART.schema)),
};

pub(super) static SET: Schema = Schema {
    schema: LazyLock::new(fleet_files::set_schema),
    validator: LazyLock::new(|| validator(&SET.schema)),
};

pub(super) static REMOVED: Schema = Schema {
    schema: LazyLock::new(fleet_files::removed_schema),
    validator: LazyLock::new(|| validator(&REMOVED.schema)),
};

pub(super) static ADOPT: Schema = Schema {
    schema: LazyLock::new(fleet_files::adopt_schema),
    validator: LazyLock::new(|| validator(&ADOPT.schema)),
};

pub(super) static SELECTOR: Schema = Schema {
    schema: LazyLock::new(fleet_files::selector_schema),
    validator: LazyLock::new(|| validator(&SELECTOR.schema)),
};

/// Reads the spec as its type, after the schema found nothing. What only the type knows is a finding.
pub(super) fn read<T: DeserializeOwned>(root: &Node, findings: &mut Findings) -> Option<T> {
    read_field(root, "spec", findings)
}

/// Reads one field of a document as its type, as [`read`] does.
pub(super) fn read_field<T: DeserializeOwned>(
    root: &Node,
    field: &str,
    findings: &mut Findings,
) -> Option<T> {
    let value = root
        .get(field)
        .filter(|value| !value.is_null())
        .map(Node::to_json);
    read_value(root, field, value, findings)
}

/// Reads the value of one field of a document as its type, as [`read`] does. `None` is unset.
pub(super) fn read_value<T: DeserializeOwned>(
    root: &Node,
    field: &str,
    value: Option<Value>,
    findings: &mut Findings,
) -> Option<T> {
    match serde_json::from_value(value.unwrap_or_else(|| json!({}))) {
        Ok(value) => Some(value),
        Err(error) => {
            let message = format!("`{field}` cannot be read: {error}");
            let place = root.nearest_place(&pointer::push("", field));
            findings.push(Finding::new(Code::NotReadable, message).primary(place.name(), ""));
            None
        }
    }
}

impl Schema {
    /// Compiles the schema, unless that is done.
    pub fn prepare(&self) {
        LazyLock::force(&self.validator);
    }

    /// Checks `spec`. Findings point at keys and values of the document.
    pub fn check(&self, root: &Node, findings: &mut Findings) {
        self.check_field(root, "spec", findings);
    }

    /// Checks one field of the document, as [`Self::check`] does for `spec`. Null is unset.
    pub fn check_field(&self, root: &Node, field: &str, findings: &mut Findings) {
        let Some(value) = root.get(field).filter(|value| !value.is_null()) else {
            return;
        };
        self.check_value(root, field, &value.to_json(), findings);
    }

    /// Checks what one field of the document says, which is not null.
    pub fn check_value(&self, root: &Node, field: &str, value: &Value, findings: &mut Findings) {
        for error in self.validator.iter_errors(value).take(FINDINGS_MAX) {
            let pointer = format!("/{field}{}", error.instance_path());
            let rule = error.schema_path().as_str();
            let parent = rule.rsplit_once('/').map_or("", |(parent, _)| parent);
            let [rule, parent] = [rule, parent].map(|at| self.schema.pointer(at).unwrap_or(&Value::Null));
            findings.extend(self.explain(root, &pointer, error.kind(), rule, parent));
        }
    }

    /// Turns one verdict into findings. `rule` is the value of the keyword in the schema, `parent` what holds it.
    fn explain(
        &self,
        root: &Node,
        pointer: &str,
        kind: &ValidationErrorKind,
        rule: &Value,
        parent: &Value,
    ) -> Vec<Finding> {
        let Some((node, place)) = root.find(pointer) else {
            return Vec::new();
        };
        let path = pointer::to_field_path(pointer);
        let found = scalar(node)
            .map(|found| format!(", not {found}"))
            .unwrap_or_default();
        let at_value = |code: Code, message: String| Finding::new(code, message).primary(place.value, "");
        let limits = |name: &str| parent.get(name).and_then(Value::as_i64);
        // The bounds of a 32-bit number are nobody's choice and no help.
        let both = limits("minimum")
            .zip(limits("maximum"))
            .filter(|&(_, maximum)| maximum < i64::from(i32::MAX));
        let hint = both.map(|(minimum, maximum)| format!("write a number from {minimum} to {maximum}"));
        let range = |words: String| {
            vec![at_value(Code::OutOfRange, format!("`{path}` must {words}")).hints(hint.clone())]
        };
        match kind {
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                .iter()
                .map(|key| self.unknown(root, pointer, key, place, parent))
                .collect(),
            ValidationErrorKind::Type { .. } => {
                let expected = names(rule);
                let wrong = wrong_type(pointer, node, place, &expected);
                let better = self.instead_of_type(pointer, node, &expected, parent, hint.clone());
                vec![match better {
                    Some(better) => Finding {
                        hints: vec![better],
                        ..wrong
                    },
                    None => wrong,
                }]
            }
            ValidationErrorKind::Enum { .. } => {
                let allowed = names(rule);
                let finding = at_value(Code::NotAllowed, format!("`{path}` cannot be {}", shown(node)));
                let near = node
                    .text()
                    .and_then(|word| nearest(word, allowed.iter().copied()));
                vec![finding.hint(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write {}", one_of(&allowed)),
                })]
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![
                    Finding::new(Code::Missing, format!("`{name}` is missing in `{path}`"))
                        .primary(place.name(), "in this mapping")
                        .hint(words::for_missing(name, &parent["properties"][name])),
                ]
            }
            ValidationErrorKind::Minimum { limit } => range(format!("be at least {limit}{found}")),
            ValidationErrorKind::Maximum { limit } => range(format!("be at most {limit}{found}")),
            ValidationErrorKind::ExclusiveMinimum { limit } => range(format!("be more than {limit}{found}")),
            ValidationErrorKind::ExclusiveMaximum { limit } => range(format!("be less than {limit}{found}")),
            ValidationErrorKind::MinLength { limit: 1 }
            | ValidationErrorKind::MinItems { limit: 1 }
            | ValidationErrorKind::MinProperties { limit: 1 } => range("not be empty".to_owned()),
            ValidationErrorKind::MinLength { limit } => range(format!("have at least {limit} characters")),
            ValidationErrorKind::MaxLength { limit } => range(format!("have at most {limit} characters")),
            ValidationErrorKind::MinItems { limit } | ValidationErrorKind::MinProperties { limit } => {
                range(format!("have at least {limit} entries"))
            }
            ValidationErrorKind::MaxItems { limit } | ValidationErrorKind::MaxProperties { limit } => {
                range(format!("have at most {limit} entries"))
            }
            ValidationErrorKind::UniqueItems => range("not have the same entry twice".to_owned()),
            ValidationErrorKind::Pattern { .. } => {
                let hint = parent.get("patternErrorMessage").and_then(Value::as_str);
                let finding = at_value(Code::NotAllowed, format!("`{path}` cannot be {}", shown(node)));
                vec![finding.hints(hint.map(str::to_owned))]
            }
            // Keywords our schemas do not use. Should one come, it gives a finding, if a plain one.
            _ => vec![at_value(
                Code::NotReadable,
                format!("`{path}` cannot be {}", shown(node)),
            )],
        }
    }

    fn unknown(&self, root: &Node, pointer: &str, key: &str, mapping: Place, parent: &Value) -> Finding {
        let place = root.nearest_place(&pointer::push(pointer, key)).name();
        let known = parent.get("properties").and_then(Value::as_object);
        let known = known.into_iter().flatten().map(|(name, _)| name.as_str());
        let finding = Finding::new(Code::UnknownField, format!("unknown field {}", quote(key)))
            .primary(
                place,
                format!("not a field of `{}`", pointer::to_field_path(pointer)),
            )
            .hints(self.suggestion(key, known));
        match mapping.key {
            // What was inherited stands in another file, under another mapping.
            Some(span) if span.file == place.file => finding.context(span, "in this mapping"),
            Some(_) | None => finding,
        }
    }

    /// Says what to write in place of a value of the wrong type, where more is known of the field than its type.
    /// `range` says which numbers it takes.
    fn instead_of_type(
        &self,
        pointer: &str,
        node: &Node,
        expected: &[&str],
        parent: &Value,
        range: Option<String>,
    ) -> Option<String> {
        if let Some(words) = words::for_type(node, expected, parent) {
            return Some(words);
        }
        let is_bare = matches!(node.data, Data::Number(_) | Data::Bool(_));
        if is_bare && expected.contains(&"string") && self.is_of_cluster() {
            // A number in quotes would be the next mistake.
            let form = cel::form(pointer).map(str::to_owned);
            if form.is_some() {
                return form;
            }
        }
        let is_number = node.text().is_some_and(|text| text.parse::<i64>().is_ok());
        let is_other = !is_number && scalar(node).is_some();
        range.filter(|_| is_other && expected.contains(&"integer"))
    }

    fn is_of_cluster(&self) -> bool {
        self.schema.pointer("/properties/k0sConfig").is_some()
    }

    /// Returns what an unknown field may have meant: a near name, or the same name at its right place.
    pub fn suggestion<'a>(&self, key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(key, known.iter().copied()) {
            return Some(format!("did you mean `{near}`?"));
        }
        let mut places = Vec::new();
        places_of(&self.schema, "spec", key, &mut places);
        if let [place] = places.as_slice() {
            return Some(format!("`{key}` is a field of `{place}`"));
        }
        if let Some(path) = super::convert::renamed(key).filter(|_| self.is_of_cluster()) {
            return Some(format!("`{key}` was renamed to `{path}`"));
        }
        let is_short = !known.is_empty() && known.len() <= 8;
        is_short.then(|| format!("its fields are {}", quoted(&known).join(", ")))
    }
}

/// Finds the mappings that have a field of this name. Not searched deeper than the parts of this API: a field of a
/// Kubernetes type far inside is hardly what was meant.
fn places_of(schema: &Value, path: &str, key: &str, places: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    if properties.contains_key(key) {
        places.push(path.to_owned());
    }
    if path.matches('.').count() < 2 {
        for (name, property) in properties {
            places_of(property, &format!("{path}.{name}"), key, places);
        }
    }
}

/// The words of a keyword that takes one or several; null is never written, so it is never a choice.
pub(super) fn names(rule: &Value) -> Vec<&str> {
    match rule {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null")
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// Says what type was found and what was expected, and how to write it.
pub(super) fn wrong_type(pointer: &str, node: &Node, place: Place, expected: &[&str]) -> Finding {
    let words: Vec<&str> = expected.iter().map(|name| type_words(name)).collect();
    let found = match &node.data {
        Data::Null => "nothing",
        Data::Bool(_) => "a boolean",
        Data::Number(number) if number.is_i64() => "a whole number",
        Data::Number(_) => "a number",
        Data::Text(_) => "text",
        Data::Sequence(_) => "a list",
        Data::Mapping(_) => "a mapping",
    };
    let expects = |name: &str| expected.contains(&name);
    let hint = match &node.data {
        Data::Bool(_) | Data::Number(_) if expects("string") => Some("put it in quotes".to_owned()),
        Data::Text(text) if expects("integer") && text.parse::<i64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        Data::Text(_) | Data::Number(_) if expects("integer") => {
            Some("write a whole number in digits, without quotes".to_owned())
        }
        Data::Text(text) if expects("boolean") => boolean_hint(text),
        Data::Bool(_) | Data::Number(_) | Data::Text(_) if expects("array") => Some(WRITE_A_LIST.to_owned()),
        Data::Mapping(_) if expects("array") => Some("begin each entry of the list with `- `".to_owned()),
        Data::Bool(_) | Data::Number(_) | Data::Text(_) if expects("object") => Some(WRITE_FIELDS.to_owned()),
        Data::Sequence(_) if expects("object") => {
            Some("write `key: value` without `- ` and brackets".to_owned())
        }
        Data::Sequence(_) if expects("string") => {
            Some("write one text, without brackets and `- `".to_owned())
        }
        Data::Mapping(_) if expects("string") => Some("write one text, without fields of its own".to_owned()),
        Data::Null
        | Data::Bool(_)
        | Data::Number(_)
        | Data::Text(_)
        | Data::Sequence(_)
        | Data::Mapping(_) => None,
    };
    let message = format!(
        "`{}` must be {}",
        pointer::to_field_path(pointer),
        words.join(" or ")
    );
    Finding::new(Code::WrongType, message)
        .primary(place.value, format!("this is {found}"))
        .hints(hint)
}

fn boolean_hint(text: &str) -> Option<String> {
    let value = match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => "true",
        "false" | "no" | "off" | "n" => "false",
        _ => return None,
    };
    Some(format!("write {value} without quotes"))
}

fn type_words(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.data {
        Data::Number(number) => Some(number.to_string()),
        Data::Bool(value) => Some(value.to_string()),
        Data::Text(text) => Some(quote(text)),
        Data::Null | Data::Sequence(_) | Data::Mapping(_) => None,
    }
}

fn shown(node: &Node) -> String {
    scalar(node).unwrap_or_else(|| "this".to_owned())
}

pub(super) fn one_of(words: &[&str]) -> String {
    let quoted = quoted(words);
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

pub(super) fn quoted(words: &[&str]) -> Vec<String> {
    words
        .iter()
        .map(|word| format!("`{}`", word.escape_debug()))
        .collect()
}
