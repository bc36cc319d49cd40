//! Claim templates of a StatefulSet, which only a new StatefulSet can change.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::Object;

const TEMPLATES: &str = "/spec/volumeClaimTemplates";

/// Says whether the immutable fields that differ, as JSON pointers, are all of claim templates.
pub(super) fn are_all_that_differs(immutable: &[String]) -> bool {
    immutable.iter().all(|pointer| {
        pointer
            .strip_prefix(TEMPLATES)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Says why a StatefulSet must not be made again with these templates; `None` when it may.
///
/// A pod that runs cannot be given a volume or lose one, and a StatefulSet that takes one back tries to, for ever.
pub(super) fn refusal(live: &Object, desired: &Object) -> Option<String> {
    let number = |pointer: &str| live.integer(pointer).unwrap_or_default();
    let has_pods = number("/spec/replicas") > 0 || number("/status/replicas") > 0;
    (has_pods && names(live) != names(desired)).then(|| {
        "its pods cannot be given other volumes while they run; set spec.replicas to 0, change it, and wake the cluster"
            .to_owned()
    })
}

fn names(set: &Object) -> BTreeSet<&str> {
    let templates = set.0.pointer(TEMPLATES).and_then(Value::as_array);
    templates
        .into_iter()
        .flatten()
        .filter_map(|template| template.pointer("/metadata/name")?.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(replicas: i32, claims: &[&str]) -> Object {
        let templates: Vec<Value> = claims
            .iter()
            .map(|name| json!({"metadata": {"name": name}}))
            .collect();
        Object(json!({"spec": {"replicas": replicas, "volumeClaimTemplates": templates}}))
    }

    #[test]
    fn pods_that_run_keep_their_volumes() {
        assert_eq!(refusal(&set(3, &["a"]), &set(3, &["a"])), None);
        assert!(refusal(&set(3, &["a"]), &set(3, &[])).is_some());
        assert!(refusal(&set(1, &[]), &set(1, &["a"])).is_some_and(|why| why.contains("replicas to 0")));
        assert_eq!(refusal(&set(0, &["a"]), &set(0, &[])), None);
    }

    #[test]
    fn nothing_but_claim_templates_is_worth_a_new_stateful_set() {
        let pointers = |pointers: &[&str]| {
            pointers
                .iter()
                .map(|pointer| (*pointer).to_owned())
                .collect::<Vec<_>>()
        };
        assert!(are_all_that_differs(&pointers(&[
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage"
        ])));
        assert!(!are_all_that_differs(&pointers(&[
            "/spec/volumeClaimTemplates",
            "/spec/serviceName"
        ])));
        assert!(!are_all_that_differs(&pointers(&["/spec/volumeClaimTemplatesX"])));
    }
}
