//! A change of generated objects that a user asks for, read.
//!
//! [`ObjectPatch`] -> [`Patch`], or what is wrong with it.
//!
//! **Invariant:** pure, and from what is written alone: what is wrong here is wrong with every cluster. Whether a patch
//! can be applied to the objects of one is found out where they are rendered.

use serde_json::Value;

use crate::api::cluster_parts::{ObjectPatch, PatchType};
use crate::diagnostic::{Severity, SourceTree};
use crate::object::kinds;
use crate::parse::{self, Data, Node};

/// A patch and the objects that it is meant for.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    pub kind: String,
    pub component: String,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

/// What is no patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPatch {
    /// A sentence without full stop.
    pub why: String,
    /// What to write, as an order.
    pub instead: &'static str,
}

/// Reads a patch.
///
/// *Errors*: why it is none, or is meant for what must not be patched.
pub fn read(patch: &ObjectPatch) -> Result<Patch, NoPatch> {
    let no = |why: String, instead: &'static str| Err(NoPatch { why, instead });
    let kind = patch.target.kind.as_str();
    if kind == kinds::SECRET.kind {
        return no(
            "Secrets hold keys and cannot be patched".to_owned(),
            "remove it; keys of your own are named in `certificateRefs`",
        );
    }
    if kind == kinds::NETWORK_POLICY.kind {
        return no(
            "the operator's network policies cannot be patched; add policies of your own".to_owned(),
            "remove it",
        );
    }
    let content = match content(&patch.patch.content) {
        Ok(content) => content,
        Err(why) => {
            return no(
                why,
                "write one document of YAML or JSON; its lines are counted from its own first",
            );
        }
    };
    let change = match patch.patch.patch_type {
        PatchType::Json => match serde_json::from_value(content) {
            Ok(operations) => Change::Json(operations),
            Err(error) => {
                return no(
                    format!("the content is not a list of RFC 6902 operations ({error})"),
                    "write for example `- {op: add, path: /metadata/labels/team, value: edge}`",
                );
            }
        },
        PatchType::Merge | PatchType::Strategic if !content.is_object() => {
            return no(
                "the content is not a mapping with the fields to change".to_owned(),
                "write for example `metadata: {labels: {team: edge}}`",
            );
        }
        PatchType::Merge => Change::Merge(content),
        PatchType::Strategic => Change::Strategic(content),
    };
    Ok(Patch {
        kind: kind.to_owned(),
        component: patch.target.component.clone(),
        change,
    })
}

/// Reads one document of YAML or JSON, as strictly as the files of a fleet.
fn content(text: &str) -> Result<Value, String> {
    let tree = SourceTree::from_texts([("content", text)]);
    let (documents, findings) = parse::documents(&tree);
    let error = findings
        .iter()
        .find(|finding| finding.severity == Severity::Error);
    if let Some(finding) = error {
        let at = finding.span().map(|span| tree.position(span).line);
        let at = at.map(|line| format!("line {line}: ")).unwrap_or_default();
        return Err(format!("the content cannot be read: {at}{}", finding.message));
    }
    match documents.as_slice() {
        [only] => Ok(as_written(&only.root)),
        [] => Err("the content is empty".to_owned()),
        [_, _, ..] => Err("the content is more than one document".to_owned()),
    }
}

/// As JSON, with its nulls: in a patch they take fields away.
fn as_written(node: &Node) -> Value {
    match &node.data {
        Data::Sequence(items) => items.iter().map(as_written).collect(),
        Data::Mapping(entries) => {
            let fields = entries.iter();
            fields
                .map(|entry| (entry.key.clone(), as_written(&entry.value)))
                .collect()
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => node.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn refused(kind: &str, patch_type: &str, content: &str) -> Option<String> {
        let patch = json!({
            "target": {"kind": kind, "component": "control-plane"},
            "patch": {"type": patch_type, "content": content},
        });
        read(&serde_json::from_value(patch).unwrap())
            .err()
            .map(|no| no.why)
    }

    #[rstest]
    #[case("Secret", "merge", "{}", "Secrets hold keys")]
    #[case("NetworkPolicy", "merge", "{}", "add policies of your own")]
    #[case("Service", "merge", "a: [1", "line 1")]
    #[case("Service", "merge", "a: 1\na: 2", "line 2")]
    #[case("Service", "merge", "", "is empty")]
    #[case("Service", "merge", "a: 1\n---\nb: 2", "more than one document")]
    #[case("Service", "strategic", "[1]", "not a mapping")]
    #[case("Service", "json", "{a: 1}", "RFC 6902")]
    #[case("Service", "json", "[{op: ad, path: /a}]", "RFC 6902")]
    fn what_is_no_patch_is_refused_in_words(
        #[case] kind: &str,
        #[case] patch_type: &str,
        #[case] content: &str,
        #[case] words: &str,
    ) {
        let why = refused(kind, patch_type, content).unwrap();
        assert!(why.contains(words), "{why}");
    }

    #[test]
    fn a_null_is_a_part_of_a_patch() {
        let patch = json!({
            "target": {"kind": "Service", "component": "control-plane"},
            "patch": {"type": "merge", "content": "metadata: {annotations: null}"},
        });
        let patch = read(&serde_json::from_value(patch).unwrap()).unwrap();
        assert_eq!(
            patch.change,
            Change::Merge(json!({"metadata": {"annotations": null}}))
        );
    }
}
