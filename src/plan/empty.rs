//! Mappings of a spec that say nothing.

use serde_json::{Map, Value};

/// Fields whose mappings are looked at no further: an affinity of nothing is not the default one, and what nothing means
/// to k0s is its own affair.
const NOT_OURS: [&str; 2] = ["affinity", "k0sConfig"];

/// Takes the mappings without anything in them out of a spec, but for those in lists.
///
/// The API server makes null of a mapping that was applied with something in it and then is applied without, and refuses
/// that null. Without the mapping it takes away what was in it, which is what is meant.
pub(super) fn take_out(spec: &mut Map<String, Value>) {
    spec.retain(|field, value| match value {
        Value::Object(fields) => {
            if !NOT_OURS.contains(&field.as_str()) {
                take_out(fields);
            }
            field == "affinity" || !fields.is_empty()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => true,
    });
}

/// Says whether a value is a mapping without anything in it, at any depth.
pub(super) fn says_nothing(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.values().all(says_nothing))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_says_nothing_goes_and_lists_affinity_and_k0s_stay_as_they_are() {
        let mut spec = json!({
            "replicas": 1, "storage": {"etcd": {"persistence": {}}}, "service": {"type": "NodePort", "labels": {}},
            "mounts": [{"path": "/a", "emptyDir": {}}], "affinity": {}, "podLabels": {},
            "k0sConfig": {"spec": {"metricsServer": {}}},
        });
        take_out(spec.as_object_mut().unwrap());
        let expected = json!({
            "replicas": 1, "service": {"type": "NodePort"}, "mounts": [{"path": "/a", "emptyDir": {}}],
            "affinity": {}, "k0sConfig": {"spec": {"metricsServer": {}}},
        });
        assert_eq!(spec, expected);
        let mut empty = json!({"k0sConfig": {}});
        take_out(empty.as_object_mut().unwrap());
        assert_eq!(empty, json!({}));
    }
}
