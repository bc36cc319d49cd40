//! Strategic merge patches: merge patches that know which lists are sets of named items.
//!
//! Directives: `$patch: replace|delete|merge` in maps and in items of lists, `$retainKeys`, `$deleteFromPrimitiveList/f`
//! and `$setElementOrder/f`. The rules, order of lists included, are those by which the API server merges a patch.

use serde_json::{Map, Value};

use super::merge_keys::{ListMerge, list_merge};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// Applies a patch to an object of a kind. On an error, which says what is wrong, the object may be half patched.
pub fn apply(kind: &str, object: &mut Value, patch: &Value) -> Result<(), String> {
    let (Value::Object(fields), Value::Object(patch)) = (object, patch) else {
        return Err("write a mapping with the fields to change".to_owned());
    };
    Merge { kind }.map("", fields, patch)
}

struct Merge<'a> {
    kind: &'a str,
}

impl Merge<'_> {
    fn map(
        &self,
        path: &str,
        original: &mut Map<String, Value>,
        patch: &Map<String, Value>,
    ) -> Result<(), String> {
        match patch.get(PATCH) {
            None => {}
            Some(Value::String(directive)) => match directive.as_str() {
                "replace" => {
                    *original = without_directives(patch);
                    return Ok(());
                }
                "delete" => {
                    original.clear();
                    return Ok(());
                }
                "merge" => {}
                _ => return Err(unknown_directive(path, directive)),
            },
            Some(_) => return Err(unknown_directive(path, "")),
        }
        if let Some(retained) = patch.get(RETAIN_KEYS) {
            let retained = list(path, RETAIN_KEYS, retained)?;
            original.retain(|key, _| retained.iter().any(|kept| kept == key));
        }
        for (key, value) in patch {
            if let Some(field) = key.strip_prefix(DELETE_FROM) {
                let removed = list(path, key, value)?;
                if let Some(Value::Array(items)) = original.get_mut(field) {
                    items.retain(|item| !removed.contains(item));
                }
            }
        }
        for (key, value) in patch.iter().filter(|(key, _)| !is_directive(key)) {
            self.field(&below(path, key), original, key, value)?;
        }
        for (key, order) in patch {
            if let Some(field) = key.strip_prefix(ELEMENT_ORDER) {
                let order = list(path, key, order)?;
                if let Some(Value::Array(items)) = original.get_mut(field) {
                    self.reorder(&below(path, field), items, order);
                }
            }
        }
        Ok(())
    }

    fn field(
        &self,
        path: &str,
        original: &mut Map<String, Value>,
        key: &str,
        patch: &Value,
    ) -> Result<(), String> {
        match (original.get_mut(key), patch) {
            (_, Value::Null) => {
                original.remove(key);
            }
            (Some(Value::Object(fields)), Value::Object(patch)) => self.map(path, fields, patch)?,
            (Some(Value::Array(items)), Value::Array(patch)) => self.list(path, items, patch)?,
            // What is new is merged into nothing, so that directives in it are obeyed and do not stay.
            (_, Value::Object(patch)) => {
                let mut fields = Map::new();
                self.map(path, &mut fields, patch)?;
                original.insert(key.to_owned(), Value::Object(fields));
            }
            (_, Value::Array(patch)) => {
                let mut items = Vec::new();
                self.list(path, &mut items, patch)?;
                original.insert(key.to_owned(), Value::Array(items));
            }
            (_, plain @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
                original.insert(key.to_owned(), plain.clone());
            }
        }
        Ok(())
    }

    fn list(&self, path: &str, original: &mut Vec<Value>, patch: &[Value]) -> Result<(), String> {
        match list_merge(self.kind, path) {
            ListMerge::Atomic => {
                *original = patch.iter().map(cleaned).collect();
                Ok(())
            }
            ListMerge::Values => {
                let before = original.clone();
                for value in patch {
                    if !original.contains(value) {
                        original.push(value.clone());
                    }
                }
                *original = in_order(original, patch, &before, |one, other| one == other);
                Ok(())
            }
            ListMerge::ByKey(key) => self.items(path, key, original, patch),
        }
    }

    fn items(&self, path: &str, key: &str, original: &mut Vec<Value>, patch: &[Value]) -> Result<(), String> {
        let before = original.clone();
        let mut merged = Vec::new();
        let mut is_replaced = false;
        let named = |item: &Value| -> Result<Value, String> {
            item.get(key)
                .cloned()
                .ok_or_else(|| format!("an item of `{path}` has no `{key}`, by which items are told apart"))
        };
        for item in patch {
            match item.get(PATCH).and_then(Value::as_str) {
                Some("replace") => is_replaced = true,
                Some("delete") => {
                    let name = named(item)?;
                    original.retain(|one| one.get(key) != Some(&name));
                }
                Some("merge") | None => merged.push(item.clone()),
                Some(other) => return Err(unknown_directive(path, other)),
            }
        }
        if is_replaced {
            *original = merged.iter().map(cleaned).collect();
            return Ok(());
        }
        for item in &merged {
            let name = named(item)?;
            let Value::Object(fields) = item else { continue };
            match original.iter_mut().find(|one| one.get(key) == Some(&name)) {
                Some(Value::Object(one)) => self.map(path, one, fields)?,
                Some(_) | None => {
                    let mut one = Map::new();
                    self.map(path, &mut one, fields)?;
                    original.push(Value::Object(one));
                }
            }
        }
        *original = in_order(original, &merged, &before, |one, other| {
            one.get(key) == other.get(key)
        });
        Ok(())
    }

    fn reorder(&self, path: &str, items: &mut Vec<Value>, order: &[Value]) {
        let before = items.clone();
        *items = match list_merge(self.kind, path) {
            ListMerge::ByKey(key) => {
                in_order(items, order, &before, |one, other| one.get(key) == other.get(key))
            }
            ListMerge::Values => in_order(items, order, &before, |one, other| one == other),
            ListMerge::Atomic => return,
        };
    }
}

/// Puts the items that `order` names into its order, and every other item before the first named one that came after
/// it `before`. A named item that is new therefore comes first.
fn in_order(
    items: &[Value],
    order: &[Value],
    before: &[Value],
    same: impl Fn(&Value, &Value) -> bool,
) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|one| same(one, item));
    let (mut named, others): (Vec<&Value>, Vec<&Value>) =
        items.iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut all = Vec::with_capacity(items.len());
    while let (Some(other), Some(one)) = (others.peek(), named.peek()) {
        let is_first = match (place(before, other), place(before, one)) {
            (Some(other), Some(one)) => other < one,
            (_, _) => false,
        };
        let next = if is_first { others.next() } else { named.next() };
        all.extend(next.cloned());
    }
    all.extend(others.chain(named).cloned());
    all
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(DELETE_FROM) || key.starts_with(ELEMENT_ORDER)
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(key, value)| !is_directive(key) && !value.is_null())
        .map(|(key, value)| (key.clone(), cleaned(value)))
        .collect()
}

fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_directives(fields)),
        Value::Array(items) => Value::Array(items.iter().map(cleaned).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
    }
}

fn list<'a>(path: &str, key: &str, value: &'a Value) -> Result<&'a [Value], String> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(format!("`{}` is not a list", below(path, key)))
        }
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn unknown_directive(path: &str, directive: &str) -> String {
    let place = if path.is_empty() { "the patch" } else { path };
    format!("`$patch: {directive}` in `{place}` is not known; write replace, delete or merge")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn patched(patch: Value) -> Value {
        let mut object = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "controller", "image": "k0s", "args": ["a", "b"], "env": [
                {"name": "A", "value": "1"}, {"name": "B", "value": "2"},
            ]}],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "run", "emptyDir": {}}],
            "nodeSelector": {"disk": "ssd", "zone": "a"},
        }}}});
        apply(
            "StatefulSet",
            &mut object,
            &json!({"spec": {"template": {"spec": patch}}}),
        )
        .unwrap();
        object["spec"]["template"]["spec"].take()
    }

    fn names(list: &Value) -> Vec<&str> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn items_are_found_by_name_and_atomic_lists_are_replaced() {
        let pod = patched(
            json!({"containers": [{"name": "controller", "args": ["c"], "env": [
                {"name": "B", "value": null}, {"name": "C", "value": "3"},
            ]}]}),
        );
        assert_eq!(pod["containers"][0]["args"], json!(["c"]));
        assert_eq!(pod["containers"][0]["image"], "k0s");
        assert_eq!(
            pod["containers"][0]["env"],
            json!([{"name": "A", "value": "1"}, {"name": "B"}, {"name": "C", "value": "3"}])
        );
    }

    #[rstest]
    #[case(json!({"volumes": [{"name": "new", "emptyDir": {}}]}), &["new", "data", "run"])]
    #[case(json!({"volumes": [{"name": "run", "$patch": "delete"}]}), &["data"])]
    #[case(json!({"volumes": [{"$patch": "replace"}, {"name": "only", "emptyDir": {}}]}), &["only"])]
    #[case(json!({"$setElementOrder/volumes": [{"name": "run"}, {"name": "data"}]}), &["run", "data"])]
    #[case(
        json!({"volumes": [{"name": "new", "emptyDir": {}}],
               "$setElementOrder/volumes": [{"name": "data"}, {"name": "new"}, {"name": "run"}]}),
        &["data", "new", "run"]
    )]
    fn lists_keep_the_order_that_the_api_server_gives_them(#[case] patch: Value, #[case] expected: &[&str]) {
        assert_eq!(names(&patched(patch)["volumes"]), expected);
    }

    #[test]
    fn maps_are_merged_replaced_emptied_and_reduced() {
        let selector = |patch: Value| patched(json!({"nodeSelector": patch}))["nodeSelector"].clone();
        assert_eq!(
            selector(json!({"zone": null, "a": "b"})),
            json!({"disk": "ssd", "a": "b"})
        );
        assert_eq!(
            selector(json!({"$patch": "replace", "a": "b"})),
            json!({"a": "b"})
        );
        assert_eq!(selector(json!({"$patch": "delete"})), json!({}));
        assert_eq!(
            selector(json!({"$retainKeys": ["zone", "a"], "a": "b"})),
            json!({"zone": "a", "a": "b"})
        );
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let error = |patch: Value| apply("StatefulSet", &mut json!({"spec": {}}), &patch).unwrap_err();
        let nameless = json!({"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}});
        assert!(error(nameless).contains("has no `name`"));
        assert!(error(json!({"spec": {"$patch": "remove"}})).contains("is not known"));
        assert!(error(json!([])).contains("mapping"));
    }
}
