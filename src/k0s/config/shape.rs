//! Unknown fields, types, words and limits: what one value alone shows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::{Field, SPEC, Shape};
use super::{Problem, ProblemKind, Weight};
use crate::diagnostic::{WRITE_A_LIST, WRITE_FIELDS, nearest, quote};
use crate::k0s::Version;
use crate::object::pointer;

/// The newest minor release whose fields are known here. A newer k0s may know fields that this table does not.
const NEWEST_KNOWN_MINOR: u32 = 36;

/// The oldest minor release whose fields were compared with the table.
const OLDEST_KNOWN_MINOR: u32 = 34;

/// Parts that k0s reads leniently: it passes over a field there that it does not know.
const LENIENT: [&str; 4] = ["/spec/api", "/spec/storage", "/spec/network", "/spec/images"];

struct Walk {
    version: Option<Version>,
    problems: Vec<Problem>,
}

/// `apiVersion` and `kind` are left to the rules of the cluster kind, and replaced besides.
pub(super) fn problems(document: &Map<String, Value>, version: Option<Version>) -> Vec<Problem> {
    let mut walk = Walk {
        version,
        problems: Vec::new(),
    };
    for key in document.keys() {
        let known = ["apiVersion", "kind", "metadata", "spec"];
        if !known.contains(&key.as_str()) && key != "status" {
            walk.unknown("", key, &known);
        }
    }
    match document.get("spec") {
        None | Some(Value::Null) => {}
        Some(Value::Object(spec)) => walk.mapping(spec, &SPEC, "/spec"),
        Some(other) => walk.wrong_type("/spec", other, "a mapping", None),
    }
    walk.problems
}

impl Walk {
    fn note(&mut self, weight: Weight, pointer: &str, what: String, instead: String) {
        self.problems.push(Problem::new(weight, pointer, what, instead));
    }

    fn mapping(&mut self, mapping: &Map<String, Value>, fields: &BTreeMap<&'static str, Field>, place: &str) {
        for (key, value) in mapping {
            let at = pointer::push(place, key);
            let Some(field) = fields.get(key.as_str()) else {
                let known: Vec<&str> = fields.keys().copied().collect();
                self.unknown(place, key, &known);
                continue;
            };
            // To k0s, null is the same as not written.
            if !value.is_null() {
                self.age(field, &at);
                self.value(value, field, &at);
            }
        }
        for (name, _) in fields.iter().filter(|(_, field)| field.is_required) {
            if mapping.get(*name).is_none_or(Value::is_null) {
                let what = format!("has no `{name}`");
                self.note(Weight::Mistake, place, what, format!("add `{name}:`"));
            }
        }
    }

    fn value(&mut self, value: &Value, field: &Field, at: &str) {
        match (&field.shape, value) {
            (Shape::Any, _) => {}
            (Shape::Mapping(fields), Value::Object(mapping)) => self.mapping(mapping, fields, at),
            (Shape::List(fields), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let at = format!("{at}/{index}");
                    match item {
                        Value::Object(mapping) => self.mapping(mapping, fields, &at),
                        other => self.wrong_type(&at, other, "a mapping", None),
                    }
                }
                self.filled(items.is_empty(), field, at);
            }
            (Shape::Text, Value::String(text)) => {
                self.word(text, field, at);
                self.filled(text.is_empty(), field, at);
            }
            (Shape::TextOrNumber, Value::String(_)) => {}
            (Shape::Number | Shape::TextOrNumber, Value::Number(number)) => match whole(number) {
                Some(number) => self.range(number, field, at),
                None => self.wrong_type(at, value, "a whole number", None),
            },
            (Shape::Truth, Value::Bool(_)) => {}
            (Shape::Texts, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let at = format!("{at}/{index}");
                    match item {
                        Value::String(text) => self.word(text, field, &at),
                        other => self.wrong_type(&at, other, "text", quotes(other)),
                    }
                }
                self.filled(items.is_empty(), field, at);
            }
            (Shape::Words, Value::Object(words)) => {
                for (key, value) in words.iter().filter(|(_, value)| !value.is_null()) {
                    if !value.is_string() {
                        self.wrong_type(&pointer::push(at, key), value, "text", quotes(value));
                    }
                }
            }
            (Shape::Mapping(_) | Shape::Words, other) => self.wrong_type(at, other, "a mapping", None),
            (Shape::List(_) | Shape::Texts, other) => self.wrong_type(at, other, "a list", None),
            (Shape::Text, other) => {
                self.wrong_type(at, other, "text", quotes(other).filter(|_| !is_credential(at)));
            }
            (Shape::Number, other) => {
                let digits = other.as_str().filter(|text| text.parse::<i64>().is_ok());
                self.wrong_type(
                    at,
                    other,
                    "a whole number",
                    digits.map(|_| "write it without quotes".to_owned()),
                );
            }
            (Shape::Truth, other) => self.wrong_type(at, other, "true or false", None),
            (Shape::TextOrNumber, other) => self.wrong_type(at, other, "text or a number", None),
        }
    }

    fn word(&mut self, text: &str, field: &Field, at: &str) {
        if !field.one_of.is_empty() && !field.one_of.contains(&text) {
            let instead = match nearest(text, field.one_of.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", list(&field.one_of)),
            };
            self.note(Weight::Mistake, at, format!("cannot be {}", quote(text)), instead);
        }
        if let Some(longest) = field.longest.filter(|&longest| text.chars().count() > longest) {
            let what = format!("has more than {longest} characters");
            self.note(Weight::Mistake, at, what, "write a shorter one".to_owned());
        }
    }

    fn filled(&mut self, is_empty: bool, field: &Field, at: &str) {
        if is_empty && field.is_filled {
            self.note(
                Weight::Mistake,
                at,
                "is empty".to_owned(),
                "write a value, or leave it out".to_owned(),
            );
        }
    }

    fn range(&mut self, number: i64, field: &Field, at: &str) {
        let (minimum, maximum) = (
            field.minimum.unwrap_or(i64::MIN),
            field.maximum.unwrap_or(i64::MAX),
        );
        if (minimum..=maximum).contains(&number) {
            return;
        }
        let instead = match field.maximum {
            Some(maximum) => format!("write a number from {minimum} to {maximum}"),
            None => format!("write at least {minimum}"),
        };
        self.note(Weight::Mistake, at, format!("cannot be {number}"), instead);
    }

    /// Reports a value of another type, which k0s cannot decode.
    fn wrong_type(&mut self, at: &str, found: &Value, wanted: &str, instead: Option<String>) {
        let what = if is_credential(at) {
            format!("must be {wanted}")
        } else {
            format!("must be {wanted}, not {}", shown(found))
        };
        self.note(
            Weight::Refused,
            at,
            what,
            instead.unwrap_or_else(|| match wanted {
                "a mapping" => WRITE_FIELDS.to_owned(),
                "a list" => WRITE_A_LIST.to_owned(),
                _ => format!("write {wanted}"),
            }),
        );
    }

    fn age(&mut self, field: &Field, at: &str) {
        let (Some(since), Some(version)) = (field.since, self.version) else {
            return;
        };
        if version.minor < since {
            let what = format!("is known to k0s since v1.{since}, and this cluster is to run {version}");
            let instead = format!("leave it out, or write a `spec.version` of v1.{since} or newer");
            let problem = Problem::new(self.weight_of_unknown(at), at, what, instead);
            self.problems.push(problem.of_kind(ProblemKind::UnknownField));
        }
    }

    fn unknown(&mut self, place: &str, key: &str, known: &[&str]) {
        let at = pointer::push(place, key);
        let instead = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match elsewhere(key).as_slice() {
                [other] => format!("`{key}` is a field of `{other}`"),
                _ => format!("its fields are {}", list(known)),
            },
        };
        let problem = Problem::new(self.weight_of_unknown(&at), at, "is no field of k0s", instead);
        self.problems.push(problem.of_kind(ProblemKind::UnknownField));
    }

    /// k0s does not start with an unknown field, except in the parts that it reads leniently.
    fn weight_of_unknown(&self, at: &str) -> Weight {
        // A field of former releases that newer ones tolerate.
        let is_lenient = at == "/spec/podSecurityPolicy"
            || LENIENT
                .iter()
                .any(|part| at.strip_prefix(part).is_some_and(|rest| rest.starts_with('/')));
        let is_known = self
            .version
            .is_some_and(|version| (OLDEST_KNOWN_MINOR..=NEWEST_KNOWN_MINOR).contains(&version.minor));
        if is_lenient || !is_known {
            Weight::Mistake
        } else {
            Weight::Refused
        }
    }
}

/// Returns the mappings that have a field of this name.
fn elsewhere(key: &str) -> Vec<String> {
    fn search(fields: &BTreeMap<&'static str, Field>, place: &str, key: &str, found: &mut Vec<String>) {
        if fields.contains_key(key) {
            found.push(place.to_owned());
        }
        for (name, field) in fields {
            match &field.shape {
                Shape::Mapping(fields) => search(fields, &format!("{place}.{name}"), key, found),
                Shape::List(fields) => search(fields, &format!("{place}.{name}[]"), key, found),
                Shape::Any
                | Shape::Text
                | Shape::Number
                | Shape::Truth
                | Shape::TextOrNumber
                | Shape::Texts
                | Shape::Words => {}
            }
        }
    }
    let mut found = Vec::new();
    search(&SPEC, "spec", key, &mut found);
    found
}

fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// Says whether the field at this pointer is one for a password: no message repeats its value.
pub fn is_credential(at: &str) -> bool {
    ["/password", "/dataSource", "/authPass"]
        .iter()
        .any(|field| at.ends_with(field))
}

/// A whole number, also when YAML wrote it as `1.0`.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let number = number.as_f64()?;
        // Far inside of what a float holds exactly.
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    })
}

fn quotes(found: &Value) -> Option<String> {
    match found {
        Value::Number(_) | Value::Bool(_) => Some(format!("write it in quotes: \"{found}\"")),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
