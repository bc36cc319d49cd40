//! Golden files of single fields: `differs.yaml` has only what is not as in the smallest cluster.

use std::collections::BTreeMap;

use k0smotron_fleet::object::Object;
use k0smotron_fleet::render::{Answer, Desired, objects};
use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::render_golden::{input, resolved, yaml};
use crate::support::generated::assert_current;

const SMALLEST: &str = "node-port";

#[rstest]
fn what_a_field_changes_is_as_reviewed(#[values("service-details", "small-fields")] case: &str) {
    let (smallest, changed) = (answers(SMALLEST), answers(case));
    let mut text = format!(
        "# Beside `{SMALLEST}`: pointers with what is there now; null is gone. New objects are whole.\n"
    );
    let mut differs = Map::new();
    for (id, answer) in &changed {
        match smallest.get(id) {
            Some(before) => {
                let mut fields = Map::new();
                note(before, answer, "", &mut fields);
                if !fields.is_empty() {
                    differs.insert(id.clone(), Value::Object(fields));
                }
            }
            None => {
                differs.insert(id.clone(), answer.clone());
            }
        }
    }
    for id in smallest.keys().filter(|id| !changed.contains_key(*id)) {
        differs.insert(id.clone(), Value::Null);
    }
    text += &yaml(&Value::Object(differs));
    assert_current(&format!("tests/golden/render/{case}/differs.yaml"), &text);
}

/// Every answer as a value.
fn answers(case: &str) -> BTreeMap<String, Value> {
    let answers = objects(&resolved(&input(case)).unwrap());
    let value = |answer: Answer| match answer {
        Answer::Want(Desired::Object(Object(object))) => object,
        Answer::Want(Desired::Key { secret, issue, .. }) => json!({"issue": issue, "secret": secret}),
        Answer::Want(Desired::Filled { secret, fill }) => json!({"fill": fill, "secret": secret}),
        Answer::Want(Desired::Grown { size }) => json!(format!("grow to {size}")),
        Answer::Want(Desired::Metadata { patch }) => json!({"metadata": patch}),
        Answer::Want(Desired::AsItIs) => json!("as it is"),
        Answer::Drop { why } => json!(format!("DROP: {why}")),
        Answer::Keep { waiting_on } => json!(format!("keep, waiting for {waiting_on}")),
    };
    answers
        .into_iter()
        .map(|(id, answer)| (id.to_string(), value(answer)))
        .collect()
}

fn note(before: &Value, after: &Value, pointer: &str, fields: &mut Map<String, Value>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(one), Value::Object(other)) => {
            for (name, after) in other {
                note(
                    one.get(name).unwrap_or(&Value::Null),
                    after,
                    &format!("{pointer}/{name}"),
                    fields,
                );
            }
            for name in one.keys().filter(|name| !other.contains_key(*name)) {
                fields.insert(format!("{pointer}/{name}"), Value::Null);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (before, after)) in one.iter().zip(other).enumerate() {
                note(before, after, &format!("{pointer}/{number}"), fields);
            }
        }
        (_, after) => {
            fields.insert(
                if pointer.is_empty() { "/" } else { pointer }.to_owned(),
                after.clone(),
            );
        }
    }
}
