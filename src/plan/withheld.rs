//! Values that may be secrets: taken out of what is stored, and put back where the very same value is found.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shown;
use crate::object::{Object, digest, pointer};

/// An object without the values that may be secrets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Withheld {
    pub object: Object,
    /// JSON pointer to the SHA-256 of the value that was there.
    pub digests: BTreeMap<String, String>,
}

/// Takes the values out that [`shown::value`] does not show.
pub(super) fn take(object: &Object) -> Withheld {
    let mut taken = Withheld::default();
    let mut object = object.clone();
    walk("", &mut object.0, &mut taken.digests);
    taken.object = object;
    taken
}

fn walk(at: &str, value: &mut Value, digests: &mut BTreeMap<String, String>) {
    if shown::is_hidden(at) && !value.is_null() {
        digests.insert(at.to_owned(), digest(value));
        *value = Value::from(shown::MASK);
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                walk(&pointer::push(at, key), value, digests);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(&format!("{at}/{index}"), item, digests);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the values of an object that `take` takes out.
pub fn hidden_values(object: &Value) -> Vec<Value> {
    let whole = Object(object.clone());
    let pointers = hidden_places(&whole);
    pointers
        .iter()
        .filter_map(|pointer| object.pointer(pointer).cloned())
        .collect()
}

/// Returns the JSON pointers of the values that `take` takes out.
pub fn hidden_places(object: &Object) -> Vec<String> {
    take(object).digests.into_keys().collect()
}

/// Puts the values back that one of `sources` has at the same place with the same digest.
///
/// *Errors*: the pointers of those that none has.
pub fn put_back(
    object: &Object,
    digests: &BTreeMap<String, String>,
    sources: &[&Object],
) -> Result<Object, Vec<String>> {
    let mut whole = object.clone();
    let mut missing = Vec::new();
    for (pointer, wanted) in digests {
        let found = sources
            .iter()
            .filter_map(|source| source.0.pointer(pointer))
            .find(|value| digest(value) == *wanted);
        match (found, whole.0.pointer_mut(pointer)) {
            (Some(value), Some(place)) => *place = value.clone(),
            (_, _) => missing.push(pointer.clone()),
        }
    }
    if missing.is_empty() {
        Ok(whole)
    } else {
        Err(missing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(values: &str) -> Object {
        Object(
            json!({"spec": {"version": "v1", "k0sConfig": {"spec": {"extensions": {"helm": {"charts": [
            {"name": "a", "values": values}]}}}}}}),
        )
    }

    #[test]
    fn what_is_taken_out_comes_back_only_from_where_the_same_is() {
        let taken = take(&cluster("pw: canary"));
        assert!(!taken.object.0.to_string().contains("canary"));
        assert_eq!(taken.object.0["spec"]["version"], "v1");
        let back = put_back(
            &taken.object,
            &taken.digests,
            &[&cluster("other"), &cluster("pw: canary")],
        );
        assert_eq!(back, Ok(cluster("pw: canary")));
        let missing = put_back(&taken.object, &taken.digests, &[&cluster("other")]).unwrap_err();
        assert_eq!(missing, ["/spec/k0sConfig/spec/extensions/helm/charts/0/values"]);
    }
}
