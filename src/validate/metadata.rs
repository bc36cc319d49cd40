//! The keys of a document and its `metadata`: what files may set, and the forms of names, labels and annotations.

use std::collections::BTreeMap;

use super::schema::{Schema, wrong_type};
use crate::api::labels::{HOLD, PROTECT};
use crate::api::names::CLUSTER_NAME_MAX;
use crate::diagnostic::{Code, Finding, Findings, Span, nearest, quote};
use crate::object::pointer;
use crate::parse::{Data, Document, Entry, Node};

/// What a file may say about an object beside its spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Metadata {
    pub name: String,
    /// Empty for kinds that are read from files only.
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Namespaced,
    /// Never sent to a server; has no namespace. Holds the kind.
    FilesOnly(&'static str),
}

const ROOT_FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
pub(super) const FIELDS: [&str; 4] = ["name", "namespace", "labels", "annotations"];
/// Written by the server or by controllers.
pub(super) const NOT_FOR_FILES: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// Longest namespace, as for every DNS label.
const NAMESPACE_MAX: usize = 63;

/// Checks the keys of the document itself. Null is unset, here as everywhere.
pub(super) fn check_root(document: &Document, schema: &Schema, findings: &mut Findings) {
    check_fields(document, schema, &ROOT_FIELDS, findings);
}

/// Checks that the document has no other keys than these.
pub(super) fn check_fields(document: &Document, schema: &Schema, fields: &[&str], findings: &mut Findings) {
    for entry in document
        .root
        .entries()
        .iter()
        .filter(|entry| !entry.value.is_null())
    {
        if entry.key == "status" {
            findings.push(not_for_files(entry, "status"));
        } else if !fields.contains(&entry.key.as_str()) {
            findings.push(
                Finding::new(Code::UnknownField, format!("unknown field {}", quote(&entry.key)))
                    .primary(entry.key_span, "not a field of the document")
                    .hints(schema.suggestion(&entry.key, fields.iter().copied())),
            );
        }
    }
}

pub(super) fn not_for_files(entry: &Entry, path: &str) -> Finding {
    Finding::new(Code::NotForFiles, format!("`{path}` is not set by files"))
        .primary(entry.key_span, "written by the server or the operator")
        .hint("remove it")
}

/// Checks `metadata`. `None` when there is no usable one; a finding then says why.
pub(super) fn check(
    document: &Document,
    schema: &Schema,
    scope: Scope,
    findings: &mut Findings,
) -> Option<Metadata> {
    let root = &document.root;
    let Some(metadata) = root.entry("metadata").filter(|entry| !entry.value.is_null()) else {
        findings.push(
            Finding::new(Code::Missing, "`metadata` is missing")
                .primary(document.beginning(), "in this document")
                .hint("add `metadata:` with `name:` and `namespace:` below it"),
        );
        return None;
    };
    let Data::Mapping(fields) = &metadata.value.data else {
        let place = root.nearest_place("/metadata");
        findings.push(wrong_type("/metadata", &metadata.value, place, &["object"]));
        return None;
    };
    for field in fields.iter().filter(|field| !field.value.is_null()) {
        let key = field.key.as_str();
        if NOT_FOR_FILES.contains(&key) {
            findings.push(not_for_files(field, &format!("metadata.{key}")));
        } else if !FIELDS.contains(&key) {
            findings.push(
                Finding::new(Code::UnknownField, format!("unknown field {}", quote(key)))
                    .primary(field.key_span, "not a field of `metadata`")
                    .context(metadata.key_span, "in this mapping")
                    .hints(schema.suggestion(key, FIELDS)),
            );
        }
    }
    let name = text(root, "/metadata/name", findings);
    let namespace = text(root, "/metadata/namespace", findings);
    let labels = labels(root, "/metadata/labels", findings);
    let annotations = annotations(root, "/metadata/annotations", findings);
    let is_unset = |key: &str| metadata.value.get(key).is_none_or(Node::is_null);
    if is_unset("name") {
        findings.push(
            Finding::new(Code::Missing, "`metadata.name` is missing")
                .primary(metadata.key_span, "in this mapping")
                .hint("add `name:`"),
        );
    }
    let (what, name_max) = match scope {
        Scope::Namespaced => ("cluster name", CLUSTER_NAME_MAX),
        Scope::FilesOnly("Fleet") => ("fleet name", NAMESPACE_MAX),
        Scope::FilesOnly(_) => ("name", NAMESPACE_MAX),
    };
    if let Some(name) = &name {
        check_label_name(root, "/metadata/name", name, what, name_max, findings);
    }
    match (scope, &namespace) {
        (Scope::FilesOnly(_), None) => {}
        (Scope::FilesOnly(kind), Some(_)) => findings.push(
            Finding::new(Code::NotForFiles, format!("a {kind} has no namespace"))
                .primary(root.nearest_place("/metadata/namespace").name(), "")
                .hint("remove it; each cluster says its own"),
        ),
        (Scope::Namespaced, Some(namespace)) => {
            check_label_name(
                root,
                "/metadata/namespace",
                namespace,
                "namespace",
                NAMESPACE_MAX,
                findings,
            );
        }
        (Scope::Namespaced, None) if is_unset("namespace") => findings.push(
            Finding::new(Code::NoNamespace, "`metadata.namespace` is missing")
                .primary(metadata.key_span, "in this mapping")
                .hint("add `namespace:`; there is no default, and `-n` only selects"),
        ),
        (Scope::Namespaced, None) => {}
    }
    Some(Metadata {
        name: name?,
        namespace: namespace.unwrap_or_default(),
        labels,
        annotations,
    })
}

/// Reads a text, with a finding when it is something else.
fn text(root: &Node, pointer: &str, findings: &mut Findings) -> Option<String> {
    let (node, place) = root.find(pointer)?;
    match &node.data {
        Data::Null => None,
        Data::Text(text) => Some(text.clone()),
        Data::Bool(_) | Data::Number(_) | Data::Sequence(_) | Data::Mapping(_) => {
            findings.push(wrong_type(pointer, node, place, &["string"]));
            None
        }
    }
}

/// Reads a mapping of texts.
fn words(root: &Node, pointer: &str, findings: &mut Findings) -> BTreeMap<String, String> {
    let Some((node, place)) = root.find(pointer) else {
        return BTreeMap::new();
    };
    match &node.data {
        Data::Null => BTreeMap::new(),
        Data::Mapping(entries) => entries
            .iter()
            .filter_map(|entry| {
                Some((
                    entry.key.clone(),
                    text(root, &pointer::push(pointer, &entry.key), findings)?,
                ))
            })
            .collect(),
        Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Sequence(_) => {
            findings.push(wrong_type(pointer, node, place, &["object"]));
            BTreeMap::new()
        }
    }
}

/// Checks a DNS label of RFC 1123.
pub(super) fn check_label_name(
    root: &Node,
    pointer: &str,
    name: &str,
    what: &str,
    length_max: usize,
    findings: &mut Findings,
) {
    let place = root.nearest_place(pointer).value;
    let length = name.chars().count();
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_well_formed =
        !name.is_empty() && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-');
    if !is_well_formed {
        let (label, instead) = match name.chars().find(|character| !character.is_ascii()) {
            Some(character) => (
                format!(
                    "the character U+{:04X} is not a plain letter",
                    u32::from(character)
                ),
                Some("type it again with the letters a to z, digits and `-`".to_owned()),
            ),
            None => (
                "only lower-case letters, digits, and `-` between them".to_owned(),
                similar_name(name, length_max).map(|name| format!("write for example `{name}`")),
            ),
        };
        findings.push(
            Finding::new(Code::WrongName, format!("{} cannot be a {what}", quote(name)))
                .primary(place, label)
                .hints(instead),
        );
    } else if length > length_max {
        findings.push(
            Finding::new(
                Code::WrongName,
                format!("the {what} is longer than {length_max} characters"),
            )
            .primary(place, format!("{length} characters"))
            .hint(format!("shorten it by {}", length - length_max)),
        );
    }
}

/// Returns an allowed name that looks like a wrong one, if one can be made.
fn similar_name(name: &str, length_max: usize) -> Option<String> {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '-'
        }
    };
    let similar: String = name
        .to_ascii_lowercase()
        .chars()
        .take(length_max)
        .map(plain)
        .collect();
    let similar = similar.trim_matches('-');
    (name.is_ascii() && !similar.is_empty()).then(|| similar.to_owned())
}

/// Reads and checks labels.
pub(super) fn labels(root: &Node, pointer: &str, findings: &mut Findings) -> BTreeMap<String, String> {
    let labels = words(root, pointer, findings);
    for (key, value) in &labels {
        let place = root.nearest_place(&pointer::push(pointer, key));
        check_key(place.name(), key, "label", findings);
        if !value.is_empty() && !is_name(value, 63) {
            findings.push(
                Finding::new(
                    Code::WrongLabel,
                    format!("{} cannot be the value of a label", quote(value)),
                )
                .primary(place.value, "")
                .hint("at most 63 letters, digits, `-`, `_`, `.`; other text can be an annotation"),
            );
        }
    }
    labels
}

/// Reads and checks annotations.
pub(super) fn annotations(root: &Node, pointer: &str, findings: &mut Findings) -> BTreeMap<String, String> {
    let annotations = words(root, pointer, findings);
    for (key, value) in &annotations {
        let place = root.nearest_place(&pointer::push(pointer, key));
        check_key(place.name(), key, "annotation", findings);
        if key == PROTECT && value != "true" && value != "false" {
            findings.push(
                Finding::new(
                    Code::WrongLabel,
                    format!("the annotation `{key}` cannot be {}", quote(value)),
                )
                .primary(place.value, "")
                .hint("write \"true\" or \"false\""),
            );
        }
    }
    annotations
}

fn check_key(place: Span, key: &str, what: &str, findings: &mut Findings) {
    const SETTABLE: [&str; 2] = [PROTECT, HOLD];
    let is_annotation = what == "annotation";
    if key.starts_with("fleet.k0smotron.io/") && !(is_annotation && SETTABLE.contains(&key)) {
        let word = |key: &'static str| key.rsplit('/').next().unwrap_or(key);
        let own = key.rsplit('/').next().unwrap_or(key);
        let near = nearest(own, SETTABLE.map(word));
        let hint = match SETTABLE.into_iter().find(|settable| near == Some(word(settable))) {
            Some(near) if is_annotation => format!("did you mean `{near}`?"),
            Some(near) => format!("`{near}` is an annotation"),
            None => "remove it".to_owned(),
        };
        findings.push(
            Finding::new(
                Code::ReservedKey,
                format!("the {what} {} is not set by files", quote(key)),
            )
            .primary(place, "written by this tool")
            .hint(hint),
        );
        return;
    }
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_lower = |byte: u8| !byte.is_ascii_uppercase() && byte != b'_';
    let is_prefix = prefix.is_none_or(|prefix| is_name(prefix, 253) && prefix.bytes().all(is_lower));
    if !is_prefix || !is_name(name, 63) {
        findings.push(
            Finding::new(
                Code::WrongLabel,
                format!("{} cannot be the key of a {what}", quote(key)),
            )
            .primary(place, "")
            .hint("keys are `name` or `domain/name` of letters, digits, `-`, `_`, `.`"),
        );
    }
}

/// `[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?`
fn is_name(text: &str, length_max: usize) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= length_max
        && text.bytes().all(is_inner)
        && is_end(text.bytes().next())
        && is_end(text.bytes().next_back())
}
