//! The table of values, completed from the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::schema;

/// One line of `tests/golden/fields.yaml`; what its words mean stands there.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub field: String,
    row: Option<String>,
    #[serde(default = "empty")]
    pub base: Value,
    first: Option<Value>,
    second: Option<Value>,
    #[serde(default)]
    pub bad: Vec<Value>,
    #[serde(default)]
    pub from: From,
    removed: Option<Removed>,
    #[serde(default = "empty")]
    pub pins: Value,
    #[serde(default)]
    pub answers: Answers,
    pub differs: Option<String>,
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// What the cluster is before the first step.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// Without the field.
    #[default]
    Base,
    /// Made with the first value.
    Creation,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answers {
    #[default]
    Soon,
    Nobody,
}

/// What removing a field means, in the words of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removed {
    Default,
    Keeps,
    Refused,
}

impl Case {
    pub fn row(&self) -> &str {
        self.row.as_deref().unwrap_or(&self.field)
    }

    pub fn first(&self) -> Value {
        self.first
            .clone()
            .or_else(|| made_up(&self.field).into_iter().next())
            .unwrap_or_else(|| panic!("`{}` has no value in tests/golden/fields.yaml", self.field))
    }

    pub fn second(&self) -> Option<Value> {
        self.second.clone().or_else(|| {
            made_up(&self.field)
                .into_iter()
                .find(|value| *value != self.first())
        })
    }

    /// The spec with the field as it is here; `None` without it.
    pub fn spec(&self, value: Option<&Value>) -> Value {
        let mut spec = self.base.clone();
        if !self.field.starts_with("metadata.") {
            set(&mut spec, &self.field, value);
        }
        spec
    }

    /// The value before the first step.
    pub fn start(&self) -> Option<Value> {
        match self.from {
            From::Creation => Some(self.first()),
            From::Base => self
                .base
                .pointer(&format!("/{}", self.field.replace('.', "/")))
                .cloned(),
        }
    }

    /// What removing the field means: as the reference says, or the table where that has no word for it.
    pub fn removed(&self) -> Removed {
        let reference = reference().get(self.row()).copied();
        match (reference, self.removed) {
            (Some(reference), Some(table)) => {
                assert_eq!(reference, table, "`{}` is removed in two ways", self.row());
                table
            }
            (one, other) => one.or(other).unwrap_or_else(|| {
                panic!(
                    "`{}`: docs/reference/cluster.md does not say what removing it means",
                    self.row()
                )
            }),
        }
    }
}

/// Sets or removes the value at a dotted path. What is empty then goes too: applied, the server makes null of it.
pub fn set(object: &mut Value, path: &str, value: Option<&Value>) {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    match (rest, value) {
        (None, Some(value)) => object[name] = value.clone(),
        (Some(rest), Some(_)) => set(&mut object[name], rest, value),
        (rest, None) => {
            let Some(fields) = object.as_object_mut() else {
                return;
            };
            if let (Some(rest), Some(child)) = (rest, fields.get_mut(name)) {
                set(child, rest, None);
            }
            let is_kept =
                |child: &Value| rest.is_some() && child.as_object().is_some_and(|fields| !fields.is_empty());
            if !fields.get(name).is_some_and(is_kept) {
                fields.remove(name);
            }
        }
    }
}

/// Values that the schema itself names: words, both booleans, the ends of a range.
fn made_up(field: &str) -> Vec<Value> {
    let schema = schema::of(field);
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter(|word| !word.is_null()).cloned().collect();
    }
    match schema["type"].as_str() {
        Some("boolean") => vec![json!(true), json!(false)],
        Some("integer") => [&schema["maximum"], &schema["minimum"]]
            .into_iter()
            .filter(|limit| limit.is_number())
            .cloned()
            .collect(),
        _ => Vec::new(),
    }
}

/// What the table says, and a case for every field that it leaves to the schema.
pub fn all() -> Vec<Case> {
    let text = include_str!("../../golden/fields.yaml");
    let mut cases: Vec<Case> = serde_saphyr::from_str(text).unwrap();
    let covered = covered(&cases);
    for place in schema::places() {
        if !covered.contains(&place) && !made_up(&place).is_empty() {
            cases.push(serde_json::from_value(json!({ "field": place })).unwrap());
        }
    }
    cases
}

/// Every place that some value writes.
fn covered(cases: &[Case]) -> BTreeSet<String> {
    let values = cases.iter().flat_map(|case| {
        let written = |value: Option<Value>| schema::written(&case.spec(value.as_ref()));
        written(Some(case.first.clone().unwrap_or(Value::Null)))
            .into_iter()
            .chain(written(case.second.clone()))
    });
    values.collect()
}

/// The column `removed later` of the reference, by field.
fn reference() -> BTreeMap<String, Removed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cluster.md");
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let removed = match *cells.get(3)? {
            "keeps" => Removed::Keeps,
            "refused" => Removed::Refused,
            "" => return None,
            // Its value without the field, or nothing where the field made something.
            _ => Removed::Default,
        };
        Some((cells[0].trim_end_matches('`').replace("[]", ""), removed))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_field_of_the_schema_has_values() {
    let covered = covered(&all());
    let missing: Vec<String> = schema::places().difference(&covered).cloned().collect();
    assert!(
        missing.is_empty(),
        "write values into tests/golden/fields.yaml for: {}",
        missing.join(", ")
    );
}

#[test]
fn every_row_says_what_removing_the_field_means() {
    let rows: BTreeSet<String> = all().iter().map(|case| case.row().to_owned()).collect();
    assert_eq!(rows.len(), all().len(), "a row twice");
    for case in all() {
        case.removed();
    }
}
