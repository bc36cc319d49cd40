//! A field that the API server keeps under two names.

use serde_json::{Value, json};

use crate::object::{Object, kinds};

const POD: &str = "/spec/template/spec";

/// Returns the body that makes a live StatefulSet what `desired` says.
///
/// The server copies `serviceAccountName` of a pod to its old name `serviceAccount`, which nobody applies; when the
/// first goes, it copies the second back. Only when both are applied as empty is there no ServiceAccount any more.
pub(super) fn emptied(desired: &Object, live: &Object) -> Object {
    let mut body = desired.clone();
    let is_set = desired
        .0
        .pointer(POD)
        .and_then(|pod| pod.get("serviceAccountName"))
        .is_some();
    let is_kept = live
        .0
        .pointer(POD)
        .and_then(|pod| pod.get("serviceAccount"))
        .is_some();
    if desired.id().is_some_and(|id| id.kind == kinds::STATEFUL_SET)
        && is_kept
        && !is_set
        && let Some(Value::Object(pod)) = body.0.pointer_mut(POD)
    {
        pod.insert("serviceAccountName".to_owned(), json!(""));
        pod.insert("serviceAccount".to_owned(), json!(""));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pod: Value) -> Object {
        Object(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"namespace": "tenant-7", "name": "kmc-edge"},
            "spec": {"template": {"spec": pod}},
        }))
    }

    #[test]
    fn a_service_account_goes_under_both_its_names() {
        let live = set(json!({"serviceAccount": "pods", "serviceAccountName": "pods"}));
        let gone = set(json!({"serviceAccountName": "", "serviceAccount": ""}));
        assert_eq!(emptied(&set(json!({})), &live), gone);
    }

    #[test]
    fn a_service_account_that_stays_or_never_was_is_sent_as_it_is_rendered() {
        let live = set(json!({"serviceAccount": "pods", "serviceAccountName": "pods"}));
        let other = set(json!({"serviceAccountName": "others"}));
        assert_eq!(emptied(&other, &live), other);
        assert_eq!(emptied(&set(json!({})), &set(json!({}))), set(json!({})));
    }
}
