//! What to write instead, in the words of a schema.

use serde_json::Value;

use super::schema::{names, one_of, quoted};
use crate::parse::{Data, Node};

/// Most fields of a mapping that are named.
const FIELDS_MAX: usize = 8;

/// Says how to add a field that is missing. `schema` is that of the field.
pub(super) fn for_missing(name: &str, schema: &Value) -> String {
    let words = names(&schema["enum"]);
    if !words.is_empty() {
        return format!("add `{name}:` with {}", one_of(&words));
    }
    match few_fields(schema) {
        Some(fields) => format!("add `{name}:`; its fields are {}", quoted(&fields).join(", ")),
        None if names(&schema["type"]).contains(&"array") => format!("add `{name}:` with a list"),
        None => format!("add `{name}:`"),
    }
}

/// Says what to write in place of a value of the wrong type, where the schema of the field knows better than its type.
pub(super) fn for_type(found: &Node, expected: &[&str], schema: &Value) -> Option<String> {
    match &found.data {
        // A number in quotes would often be the next mistake.
        Data::Bool(_) | Data::Number(_) if expected.contains(&"string") => {
            schema["patternErrorMessage"].as_str().map(str::to_owned)
        }
        Data::Bool(_) | Data::Number(_) | Data::Text(_) if expected.contains(&"object") => {
            let field = found.text().and_then(|word| field_that_takes(word, schema));
            if let (Some(field), Some(word)) = (field, found.text()) {
                return Some(format!("write `{field}: {word}` below it"));
            }
            let fields = few_fields(schema)?;
            Some(format!(
                "write its fields below it: {}",
                quoted(&fields).join(", ")
            ))
        }
        Data::Null
        | Data::Bool(_)
        | Data::Number(_)
        | Data::Text(_)
        | Data::Sequence(_)
        | Data::Mapping(_) => None,
    }
}

/// Returns the one field of a mapping that has this word among its choices.
fn field_that_takes<'a>(word: &str, schema: &'a Value) -> Option<&'a str> {
    let fields = schema["properties"].as_object()?;
    let mut taking = fields
        .iter()
        .filter(|(_, field)| names(&field["enum"]).contains(&word))
        .map(|(name, _)| name.as_str());
    taking.next().filter(|_| taking.next().is_none())
}

fn few_fields(schema: &Value) -> Option<Vec<&str>> {
    let fields = schema["properties"].as_object()?;
    let are_few = !fields.is_empty() && fields.len() <= FIELDS_MAX;
    are_few.then(|| fields.keys().map(String::as_str).collect())
}
