//! Documents of the kinds Removed and Adopt: what people say about clusters that are gone or were somebody else's.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::metadata::{self, Scope};
use super::schema::{self, Schema};
use crate::api::fleet_files::{AdoptSpec, RemovedSpec, Target};
use crate::api::names::CLUSTER_NAME_MAX;
use crate::diagnostic::{Code, Finding, Findings, Span};
use crate::parse::{Document, Node};

/// A cluster that was taken out of the files on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub spec: RemovedSpec,
    /// Where the cluster is named.
    pub place: Span,
    /// Where the kind of the record stands.
    pub kind: Span,
}

/// A cluster that was somebody else's.
#[derive(Clone, Debug, PartialEq)]
pub struct Adoption {
    pub spec: AdoptSpec,
    /// Where the cluster is named.
    pub place: Span,
    /// Where the kind of the record stands.
    pub kind: Span,
}

/// Checks the records of removed clusters; one for each cluster.
pub(super) fn removed(documents: &[Document], findings: &mut Findings) -> Vec<Removal> {
    let mut first = BTreeMap::new();
    let mut records = Vec::new();
    for document in documents {
        let Some(spec) = check::<RemovedSpec>(document, "Removed", &schema::REMOVED, findings) else {
            continue;
        };
        let (place, kind) = places(document);
        if is_first(&mut first, &spec.target, place, findings) {
            records.push(Removal { spec, place, kind });
        }
    }
    without_doubles(records, &first, |record| &record.spec.target)
}

/// Checks the records of adopted clusters; one for each cluster.
pub(super) fn adopted(documents: &[Document], findings: &mut Findings) -> Vec<Adoption> {
    let mut first = BTreeMap::new();
    let mut records = Vec::new();
    for document in documents {
        let Some(spec) = check::<AdoptSpec>(document, "Adopt", &schema::ADOPT, findings) else {
            continue;
        };
        if spec.from.fleet.is_some() == spec.from.manager.is_some() {
            findings.push(
                Finding::new(Code::RuleBroken, "`spec.from` names a fleet or a manager")
                    .primary(document.root.nearest_place("/spec/from").name(), "")
                    .hint("write exactly one of `fleet` and `manager`"),
            );
            continue;
        }
        let (place, kind) = places(document);
        if is_first(&mut first, &spec.target, place, findings) {
            records.push(Adoption { spec, place, kind });
        }
    }
    without_doubles(records, &first, |record| &record.spec.target)
}

fn places(document: &Document) -> (Span, Span) {
    let root = &document.root;
    (
        root.nearest_place("/spec/target/name").value,
        root.nearest_place("/kind").value,
    )
}

fn check<T: DeserializeOwned>(
    document: &Document,
    kind: &'static str,
    schema: &Schema,
    findings: &mut Findings,
) -> Option<T> {
    let root = &document.root;
    let mut own = Findings::new();
    metadata::check_root(document, schema, &mut own);
    metadata::check(document, schema, Scope::FilesOnly(kind), &mut own);
    if root.get("spec").is_none_or(Node::is_null) {
        own.push(
            Finding::new(Code::Missing, format!("`spec` is missing in the {kind}"))
                .primary(document.beginning(), "in this document")
                .hint("add `spec:` with `target:` below it"),
        );
    }
    schema.check(root, &mut own);
    for (field, what, length_max) in [
        ("name", "cluster name", CLUSTER_NAME_MAX),
        ("namespace", "namespace", 63),
    ] {
        let pointer = format!("/spec/target/{field}");
        if let Some(text) = root.find(&pointer).and_then(|(node, _)| node.text()) {
            metadata::check_label_name(root, &pointer, text, what, length_max, &mut own);
        }
    }
    let spec = if own.has_errors() {
        None
    } else {
        schema::read(root, &mut own)
    };
    findings.extend(own);
    spec
}

/// The first record about each cluster, and how many there are.
type First = BTreeMap<Target, (Span, usize)>;

fn is_first(first: &mut First, target: &Target, place: Span, findings: &mut Findings) -> bool {
    let Some((earlier, count)) = first.get_mut(target) else {
        first.insert(target.clone(), (place, 1));
        return true;
    };
    *count += 1;
    let message = format!(
        "there are two records about the cluster `{}/{}`",
        target.namespace, target.name
    );
    findings.push(
        Finding::new(Code::SameRecord, message)
            .primary(place, "again here")
            .secondary(*earlier, "first here")
            .hint("keep one"),
    );
    false
}

/// Of records that say two things about one cluster none holds.
fn without_doubles<T>(records: Vec<T>, first: &First, target: fn(&T) -> &Target) -> Vec<T> {
    let is_alone = |record: &T| first.get(target(record)).is_some_and(|(_, count)| *count == 1);
    records.into_iter().filter(is_alone).collect()
}
