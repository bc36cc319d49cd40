//! The reference of the fields says what the CRD says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::fields::schema::{EMBEDDED, child, fields, spec, walk};
use crate::support::generated::assert_current;

const PAGE: &str = "docs/reference/cluster.md";

fn page() -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

#[test]
fn the_reference_has_every_field_with_its_type_and_no_other() {
    let kind = |schema: &Value| schema["type"].as_str().unwrap_or("int-or-string").to_owned();
    let fields: BTreeMap<String, String> = fields()
        .into_iter()
        .map(|(place, schema)| (place, kind(&schema)))
        .collect();
    let page = page();
    let listed: BTreeMap<String, String> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
            assert_eq!(cells.len(), 5, "{line}");
            assert!(cells[4].len() > 5, "{line}");
            Some((cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned()))
        })
        .collect();
    assert_eq!(listed, fields);
}

/// What a schema says by itself, in words.
fn limits(schema: &Value) -> Vec<String> {
    let number = |key: &str| schema[key].as_i64();
    let mut words = Vec::new();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap()))
            .collect();
        words.push(format!("one of {}", values.join(", ")));
    }
    match (number("minimum"), number("maximum")) {
        (Some(minimum), Some(maximum)) => words.push(format!("{minimum} to {maximum}")),
        (Some(minimum), None) => words.push(format!("{minimum} or more")),
        (None, Some(maximum)) => words.push(format!("{maximum} or less")),
        (None, None) => {}
    }
    for (key, what) in [
        ("maxItems", "items"),
        ("maxProperties", "entries"),
        ("maxLength", "characters"),
    ] {
        words.extend(number(key).map(|most| format!("at most {most} {what}")));
    }
    if number("minItems") == Some(1) || number("minLength") == Some(1) {
        words.push("not empty".to_owned());
    }
    if let Some(required) = schema["required"].as_array() {
        let names: Vec<String> = required
            .iter()
            .map(|name| format!("`{}`", name.as_str().unwrap()))
            .collect();
        words.push(format!("{} required", names.join(", ")));
    }
    words
}

fn rules() -> String {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    walk(&spec(), "", &mut |place, schema| {
        let is_ours = !EMBEDDED.iter().any(|embedded| place.starts_with(embedded))
            || schema.get("x-kubernetes-validations").is_some();
        if is_ours {
            places.entry(place.to_owned()).or_default().extend(limits(schema));
        }
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let field = rule["fieldPath"]
                .as_str()
                .unwrap_or_default()
                .trim_start_matches('.');
            let blamed = if field.is_empty() {
                place.to_owned()
            } else {
                child(place, field)
            };
            let on_change = if rule["rule"].as_str().unwrap().contains("oldSelf") {
                "on a change: "
            } else {
                ""
            };
            places
                .entry(blamed)
                .or_default()
                .push(format!("{on_change}{}", rule["message"].as_str().unwrap()));
        }
    });
    let mut text = String::new();
    for (place, words) in places.into_iter().filter(|(_, words)| !words.is_empty()) {
        let _ = writeln!(text, "- `{place}`");
        for word in words {
            let _ = writeln!(text, "  - {word}");
        }
    }
    text
}

#[test]
fn the_reference_has_every_rule_in_the_servers_words() {
    const BEGIN: &str = "<!-- generated from the CRD; a test compares -->\n";
    const END: &str = "<!-- end of generated -->\n";
    let page = page();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    assert_current(PAGE, &format!("{before}{BEGIN}\n{}\n{END}{after}", rules()));
}
