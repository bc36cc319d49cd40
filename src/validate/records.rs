//! Documents of the kinds Removed and Adopt: what people say about clusters that are gone or were somebody else's.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::metadata::{self, Scope};
use super::schema::{self, Schema};
use crate::api::fleet_files::{AdoptSource, AdoptSpec, IfDifferent, RemovedSpec, Target};
use crate::api::labels;
use crate::api::names::CLUSTER_NAME_MAX;
use crate::diagnostic::{Code, Finding, Findings, Span};
use crate::parse::{Document, Node};

/// What is said about one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<S> {
    pub spec: S,
    /// Where the cluster is named.
    pub place: Span,
}

/// A cluster that was taken out of the files on purpose.
pub type Removal = Record<RemovedSpec>;

/// A cluster that was somebody else's.
pub type Adoption = Record<Adopted>;

/// What a record of kind Adopt says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adopted {
    pub target: Target,
    pub from: AdoptSource,
    pub if_different: IfDifferent,
}

/// Checks the records of removed clusters; one for each cluster.
pub(super) fn removed(documents: &[Document], findings: &mut Findings) -> Vec<Removal> {
    let read = |document: &Document, findings: &mut Findings| -> Option<RemovedSpec> {
        check(document, "Removed", &schema::REMOVED, findings)
    };
    records(documents, read, |spec| &spec.target, findings)
}

/// Checks the records of adopted clusters; one for each cluster.
pub(super) fn adopted(documents: &[Document], findings: &mut Findings) -> Vec<Adoption> {
    let read = |document: &Document, findings: &mut Findings| -> Option<Adopted> {
        let AdoptSpec {
            target,
            from,
            if_different,
        } = check(document, "Adopt", &schema::ADOPT, findings)?;
        let wrong = |message: &str, at: &str, hint: &str| {
            Finding::new(Code::RuleBroken, message)
                .primary(document.root.nearest_place(at).name(), "")
                .hint(hint)
        };
        let Some(from) = from.source() else {
            findings.push(wrong(
                "`spec.from` names a fleet or a manager",
                "/spec/from",
                "write exactly one of `fleet` and `manager`",
            ));
            return None;
        };
        if from == AdoptSource::Manager(labels::FLEET_MANAGER.to_owned()) {
            findings.push(wrong(
                &format!("`{}` is the field manager of every fleet", labels::FLEET_MANAGER),
                "/spec/from/manager",
                "write `fleet:` and the id of the fleet that has it",
            ));
            return None;
        }
        Some(Adopted {
            target,
            from,
            if_different: if_different.unwrap_or(IfDifferent::Fail),
        })
    };
    records(documents, read, |spec| &spec.target, findings)
}

/// Reads all records of a kind. Of those that say two things about one cluster none holds.
fn records<S>(
    documents: &[Document],
    read: impl Fn(&Document, &mut Findings) -> Option<S>,
    target: fn(&S) -> &Target,
    findings: &mut Findings,
) -> Vec<Record<S>> {
    let mut first = BTreeMap::new();
    let mut records = Vec::new();
    for document in documents {
        let Some(spec) = read(document, findings) else {
            continue;
        };
        let place = document.root.nearest_place("/spec/target/name").value;
        if is_first(&mut first, target(&spec), place, findings) {
            records.push(Record { spec, place });
        }
    }
    records.retain(|record| {
        first
            .get(target(&record.spec))
            .is_some_and(|(_, count)| *count == 1)
    });
    records
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
