//! Documents of kind ClusterDefaults.

use super::metadata;
use super::schema::{self, wrong_type};
use crate::api::selector::Selector;
use crate::diagnostic::{Code, FileId, Finding, Findings, Span, quote};
use crate::parse::{Data, Document, Entry, Node};

const FIELDS: [&str; 7] = [
    "apiVersion",
    "kind",
    "metadata",
    "selector",
    "labels",
    "annotations",
    "spec",
];

/// What the clusters below one directory inherit.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    pub file: FileId,
    /// Which clusters, by the labels in their own file.
    pub selector: Selector,
    /// The parts as they stand in a cluster: `metadata` with labels and annotations, and `spec`.
    pub root: Node,
}

/// Checks all documents by themselves; those that are right are returned in their order.
pub(super) fn check(documents: &[Document], is_fleet: bool, findings: &mut Findings) -> Vec<Defaults> {
    if !is_fleet && let Some(first) = documents.first() {
        findings.push(
            Finding::new(Code::NoRoot, "there are defaults, but no Fleet that marks the root")
                .primary(kind_of(first), "")
                .hint(
                    "add `fleet.yaml` with `k0smotron-fleet init`: without it, a single file that is named is read \
                     without its defaults",
                ),
        );
    }
    documents
        .iter()
        .filter_map(|document| check_one(document, findings))
        .collect()
}

fn kind_of(document: &Document) -> Span {
    document.root.nearest_place("/kind").value
}

fn check_one(document: &Document, findings: &mut Findings) -> Option<Defaults> {
    let root = &document.root;
    let mut own = Findings::new();
    metadata::check_fields(document, &schema::CLUSTER_PART, &FIELDS, &mut own);
    check_metadata(root, &mut own);
    metadata::labels(root, "/labels", &mut own);
    metadata::annotations(root, "/annotations", &mut own);
    schema::SELECTOR.check_field(root, "selector", &mut own);
    schema::CLUSTER_PART.check(root, &mut own);
    let selector = if own.has_errors() {
        None
    } else {
        schema::read_field(root, "selector", &mut own)
    };
    findings.extend(own);
    Some(Defaults {
        file: document.file,
        selector: selector?,
        root: as_cluster(root),
    })
}

/// Checks `metadata`, which may only name the document.
fn check_metadata(root: &Node, findings: &mut Findings) {
    let Some(metadata) = root.entry("metadata").filter(|entry| !entry.value.is_null()) else {
        return;
    };
    let Data::Mapping(fields) = &metadata.value.data else {
        let place = root.nearest_place("/metadata");
        findings.push(wrong_type("/metadata", &metadata.value, place, &["object"]));
        return;
    };
    for field in fields.iter().filter(|field| !field.value.is_null()) {
        let hint = match field.key.as_str() {
            "name" => {
                if field.value.text().is_none() {
                    let place = root.nearest_place("/metadata/name");
                    findings.push(wrong_type("/metadata/name", &field.value, place, &["string"]));
                }
                continue;
            }
            "labels" | "annotations" => {
                format!(
                    "what clusters inherit stands beside `spec`: write `{}:` there",
                    field.key
                )
            }
            _ => "only `name` stands in the metadata of defaults".to_owned(),
        };
        findings.push(
            Finding::new(Code::UnknownField, format!("unknown field {}", quote(&field.key)))
                .primary(field.key_span, "not a field of `metadata`")
                .context(metadata.key_span, "in this mapping")
                .hint(hint),
        );
    }
}

/// Puts the parts where they stand in a cluster.
fn as_cluster(root: &Node) -> Node {
    let mapping = |entries| Node::mapping(entries, root.span);
    let words: Vec<Entry> = ["labels", "annotations"]
        .iter()
        .filter_map(|key| root.entry(key).cloned())
        .collect();
    let metadata = words.first().map(|first| Entry {
        key: "metadata".to_owned(),
        key_span: first.key_span,
        value: mapping(words.clone()),
    });
    let spec = root.entry("spec").filter(|entry| !entry.value.is_null());
    mapping(metadata.into_iter().chain(spec.cloned()).collect())
}
