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

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::diagnostic::SourceTree;
    use crate::parse;

    #[rstest]
    #[case(json!({"type": "string"}), "add `key:`")]
    #[case(json!({"type": ["array", "null"]}), "add `key:` with a list")]
    #[case(json!({"enum": ["Delete", "Orphan", null]}), "add `key:` with `Delete` or `Orphan`")]
    #[case(json!({"properties": {"a": {}, "b": {}}}), "add `key:`; its fields are `a`, `b`")]
    #[case(json!({"type": "object", "properties": {}}), "add `key:`")]
    #[case(json!(null), "add `key:`")]
    fn what_is_missing_is_told_with_its_form(#[case] schema: Value, #[case] words: &str) {
        assert_eq!(for_missing("key", &schema), words);
    }

    #[rstest]
    #[case("LoadBalancer", Some("write `type: LoadBalancer` below it"))]
    // Two fields take it, or none does.
    #[case("Both", Some("write its fields below it: `class`, `type`"))]
    #[case("other", Some("write its fields below it: `class`, `type`"))]
    #[case("7", Some("write its fields below it: `class`, `type`"))]
    #[case("[a]", None)]
    fn a_word_in_place_of_a_mapping_is_put_below_the_field_that_takes_it(
        #[case] text: &str,
        #[case] words: Option<&str>,
    ) {
        let schema = json!({"properties": {
            "class": {"enum": ["Both"]}, "type": {"enum": ["LoadBalancer", "Both"]}}});
        let tree = SourceTree::from_texts([("a.yaml", format!("a: {text}"))]);
        let (documents, _) = parse::documents(&tree);
        let found = documents[0].root.get("a").unwrap();
        assert_eq!(for_type(found, &["object"], &schema).as_deref(), words);
    }
}
