//! What a server's refusal means, decided once.

use serde::Deserialize;

use crate::object::{Kind, kinds};
use crate::plan::FailureKind;

/// An answer of the server that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: FailureKind,
    /// The server's words in one line; for a Secret only its reason and the fields it names.
    pub message: String,
    /// What the server says it did not find; empty when it does not know the resource itself.
    missing: Missing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Missing {
    Nothing,
    Object,
    Namespace,
    Resource,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    reason: Option<String>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    name: Option<String>,
    kind: Option<String>,
    causes: Vec<Cause>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cause {
    reason: Option<String>,
    message: Option<String>,
    field: Option<String>,
}

impl Refusal {
    /// Reads the body of an answer with status `code` to a request about `kind`.
    ///
    /// Never fails: a body that is not a `Status` (a proxy's page, an unknown path) is classified by its code alone.
    pub(super) fn read(code: u16, body: &[u8], kind: Kind) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let reason = status.reason.as_deref().unwrap_or_default();
        let details = status.details.unwrap_or_default();
        let names_uid = details
            .causes
            .iter()
            .any(|cause| cause.field.as_deref() == Some("metadata.uid"));
        let failure = match (code, reason) {
            (404, _) => FailureKind::NotFound,
            (_, "AlreadyExists") => FailureKind::AlreadyExists,
            (409, _) => FailureKind::Conflict {
                managers: details.managers(),
            },
            // An object with another uid answers 422 to an apply or a patch: it is not the one that was looked at.
            (422, _) if names_uid => FailureKind::Conflict { managers: Vec::new() },
            (400 | 405 | 406 | 413 | 415 | 422, _) => FailureKind::Invalid,
            (401 | 403, _) => FailureKind::Forbidden,
            (410, _) => FailureKind::Gone,
            (408 | 504, _) => FailureKind::Timeout,
            (429 | 500 | 502 | 503, _) => FailureKind::Unavailable,
            (_, "Expired") => FailureKind::Gone,
            (_, _) => FailureKind::Unexpected,
        };
        let missing = match (&failure, details.name.as_deref(), details.kind.as_deref()) {
            (FailureKind::NotFound, Some(_), Some("namespaces")) if kind != kinds::NAMESPACE => {
                Missing::Namespace
            }
            (FailureKind::NotFound, Some(_), _) => Missing::Object,
            (FailureKind::NotFound, None, _) => Missing::Resource,
            (_, _, _) => Missing::Nothing,
        };
        let message = if kind == kinds::SECRET {
            details.without_values(code, reason)
        } else {
            match status.message {
                Some(message) if !message.is_empty() => one_line(&message),
                Some(_) | None => format!("the server answered with status {code}"),
            }
        };
        Self {
            kind: failure,
            message,
            missing,
        }
    }

    /// Says whether the server does not serve the resource at all (its CRD is not installed).
    pub(super) fn is_unknown_resource(&self) -> bool {
        self.missing == Missing::Resource
    }

    pub(super) fn is_missing_object(&self) -> bool {
        self.missing == Missing::Object
    }

    pub(super) fn is_missing_namespace(&self) -> bool {
        self.missing == Missing::Namespace
    }
}

impl Details {
    /// Returns the managers a conflict names, sorted, each once.
    fn managers(&self) -> Vec<String> {
        let conflicts = self
            .causes
            .iter()
            .filter(|cause| cause.reason.as_deref() == Some("FieldManagerConflict"));
        // The only place that names them is the text: conflict with "kubectl-edit" using v1.
        let names = conflicts.filter_map(|cause| cause.message.as_deref()?.split('"').nth(1));
        names
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Describes a refusal without anything that the request or the object may have held.
    fn without_values(&self, code: u16, reason: &str) -> String {
        let known = !reason.is_empty() && reason.chars().all(|c| c.is_ascii_alphabetic());
        let mut text = if known {
            format!("the server answered `{reason}`")
        } else {
            format!("the server answered with status {code}")
        };
        // `data[a key]` names a key a user chose; what stands in brackets is cut.
        let fields: std::collections::BTreeSet<_> = self
            .causes
            .iter()
            .filter_map(|cause| cause.field.as_deref()?.split('[').next())
            .filter(|field| !field.is_empty())
            .collect();
        if !fields.is_empty() {
            text.push_str(" about ");
            text.push_str(&fields.into_iter().collect::<Vec<_>>().join(", "));
        }
        text
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(code: u16, body: serde_json::Value, kind: Kind) -> Refusal {
        Refusal::read(code, body.to_string().as_bytes(), kind)
    }

    #[test]
    fn a_field_conflict_names_each_manager_once() {
        let cause = |manager: &str, field: &str| json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\" using v1"), "field": field});
        let refusal = read(
            409,
            json!({"reason": "Conflict", "message": "Apply failed with 2 conflicts: ...",
                "details": {"causes": [cause("kubectl-edit", ".spec.replicas"), cause("argocd", ".spec.version"),
                    cause("argocd", ".spec.image")]}}),
            kinds::K0SMOTRON_CLUSTER,
        );
        let managers = vec!["argocd".to_owned(), "kubectl-edit".to_owned()];
        assert_eq!(refusal.kind, FailureKind::Conflict { managers });
    }

    #[test]
    fn another_uid_is_a_conflict_although_the_server_calls_it_invalid() {
        let body = json!({"reason": "Invalid", "message": "metadata.uid: field is immutable",
            "details": {"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]}});
        let refusal = read(422, body, kinds::STATEFUL_SET);
        assert_eq!(refusal.kind, FailureKind::Conflict { managers: vec![] });
    }

    #[test]
    fn nothing_of_a_secret_is_quoted() {
        let body = json!({"reason": "Invalid",
            "message": "Secret \"x\" is invalid: data[hunter2]: Invalid value: \"c2VjcmV0\"",
            "details": {"name": "x", "kind": "Secret", "causes": [
                {"reason": "FieldValueInvalid", "message": "Invalid value: \"c2VjcmV0\"", "field": "data[hunter2]"}]}});
        let refusal = read(422, body, kinds::SECRET);
        assert_eq!(refusal.message, "the server answered `Invalid` about data");
        let refusal = read(
            400,
            json!({"reason": "c2VjcmV0==", "message": "c2VjcmV0"}),
            kinds::SECRET,
        );
        assert_eq!(refusal.message, "the server answered with status 400");
    }

    #[test]
    fn a_missing_object_a_missing_namespace_and_a_missing_resource_are_told_apart() {
        let missing = |kind: &str| json!({"reason": "NotFound", "details": {"name": "x", "kind": kind}});
        let kind = kinds::K0SMOTRON_CLUSTER;
        assert!(read(404, missing("k0smotronclusters"), kind).is_missing_object());
        assert!(read(404, missing("namespaces"), kind).is_missing_namespace());
        assert!(Refusal::read(404, b"404 page not found\n", kind).is_unknown_resource());
        assert!(read(404, json!({"reason": "NotFound", "details": {}}), kind).is_unknown_resource());
    }
}
