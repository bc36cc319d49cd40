//! Merge patches of `metadata`, and what of them is not there yet.

use serde_json::Value;

use super::FieldChange;
use crate::object::{Object, pointer};

/// Returns what a JSON merge patch of `metadata` would change in a live object; empty when it holds it already.
pub fn changes(patch: &Value, live: &Object) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("/metadata", patch, live.0.get("metadata"), &mut changes);
    changes
}

fn compare(at: &str, patch: &Value, live: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match patch {
        Value::Null if live.is_none() => {}
        // The server stores no empty list.
        Value::Array(items) if live.is_none() && items.is_empty() => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                compare(
                    &pointer::push(at, key),
                    value,
                    live.and_then(|live| live.get(key)),
                    changes,
                );
            }
        }
        value if live.is_some_and(|live| is_same(live, value)) => {}
        value => changes.push(FieldChange {
            pointer: at.to_owned(),
            old: live.cloned(),
            new: (!value.is_null()).then(|| value.clone()),
            source: None,
        }),
    }
}

/// Annotations that are JSON (the pins) are the same however they are written.
fn is_same(live: &Value, new: &Value) -> bool {
    let parsed = |value: &Value| {
        let text = value.as_str().filter(|text| text.starts_with('{'))?;
        serde_json::from_str::<Value>(text).ok()
    };
    live == new || parsed(live).is_some_and(|live| Some(live) == parsed(new))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_not_there_yet_is_a_change() {
        let live = Object(json!({"metadata": {
            "labels": {"a": "1", "gone": "x"}, "annotations": {"pins": "{\"b\": 1, \"a\": 2}"}}}));
        let of = |patch: Value| -> Vec<String> {
            changes(&patch, &live)
                .into_iter()
                .map(|change| change.pointer)
                .collect()
        };
        assert_eq!(
            of(json!({"labels": {"a": "1"}, "annotations": {"pins": "{\"a\":2,\"b\":1}"}})),
            [""; 0]
        );
        assert_eq!(
            of(json!({"labels": {"a": "2", "missing": null}})),
            ["/metadata/labels/a"]
        );
        assert_eq!(
            of(json!({"labels": {"gone": null}, "finalizers": []})),
            ["/metadata/labels/gone"]
        );
        assert_eq!(
            of(json!({"annotations": {"pins": "{}"}})),
            ["/metadata/annotations/pins"]
        );
    }
}
