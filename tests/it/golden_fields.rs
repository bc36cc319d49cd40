//! Every field and generator of the kinds of fleet files is in a right file and is what is wrong in a wrong one, among
//! the golden cases. (Of the fields of a cluster the goldens of what is rendered hold as much.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use k0smotron_fleet::api::file_schemas;
use k0smotron_fleet::diagnostic::{SourceTree, Span};
use k0smotron_fleet::parse::{self, Data, Document, Node};
use k0smotron_fleet::{compose, load};

use crate::fields::schema::{child, walk};

/// The part of a document that is a cluster, by kind.
const CLUSTER_PARTS: [(&str, &str); 2] = [("ClusterDefaults", "spec"), ("ClusterSet", "spec.template.spec")];

/// Fields by kind, as `Fleet spec.id`. What a document is of no kind without is no field of the kind.
fn fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for (kind, _) in file_schemas::NAMES
        .iter()
        .filter(|(kind, _)| *kind != "K0smotronCluster")
    {
        let schema = file_schemas::of_kind(kind).unwrap();
        walk(&schema, "", &mut |place, _| {
            let is_in_cluster = CLUSTER_PARTS
                .iter()
                .any(|(of, part)| of == kind && place.starts_with(&format!("{part}.")));
            if !["", "kind"].contains(&place) && !place.ends_with("[]") && !is_in_cluster {
                fields.insert(format!("{kind} {}", place.replace("[]", "")));
            }
        });
    }
    fields
}

/// Calls `visit` with every field that a document writes, and where all of it stands.
fn visit(node: &Node, place: &str, seen: &mut impl FnMut(&str, Span)) {
    match &node.data {
        Data::Mapping(entries) => {
            for entry in entries {
                let place = child(place, &entry.key);
                let (key, value) = (entry.key_span, entry.value.span);
                seen(&place, Span::new(key.file, key.start, value.end.max(key.end)));
                visit(&entry.value, &place, seen);
            }
        }
        Data::Sequence(items) => items.iter().for_each(|item| visit(item, place, seen)),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => {}
    }
}

fn kind(document: &Document) -> &str {
    document.root.get("kind").and_then(Node::text).unwrap_or_default()
}

fn folders(below: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect()
}

fn tree(folder: &Path) -> SourceTree {
    load::directory(folder).unwrap()
}

#[test]
fn every_field_of_every_kind_is_in_a_right_file() {
    let mut missing = fields();
    for folder in [folders("tests/golden/composed"), folders("fleet-examples")].concat() {
        for document in parse::documents(&tree(&folder)).0 {
            let kind = kind(&document).to_owned();
            visit(&document.root, "", &mut |place, _| {
                missing.remove(&format!("{kind} {place}"));
            });
        }
    }
    assert!(missing.is_empty(), "show in tests/golden/composed: {missing:#?}");
}

#[test]
fn every_field_of_every_kind_is_what_is_wrong_in_a_wrong_file() {
    let mut missing = fields();
    for folder in folders("tests/golden/findings") {
        let tree = tree(&folder);
        let places: Vec<Span> = compose::read(&tree)
            .findings
            .iter()
            .flat_map(|finding| finding.labels.iter().map(|label| label.span))
            .collect();
        for document in parse::documents(&tree).0 {
            let kind = kind(&document).to_owned();
            // The innermost field around a place is the one that is wrong.
            let mut innermost: BTreeMap<Span, String> = BTreeMap::new();
            visit(&document.root, "", &mut |field, span| {
                for place in &places {
                    if place.file == span.file && (span.start..=span.end).contains(&place.start) {
                        innermost.insert(*place, field.to_owned());
                    }
                }
            });
            for field in innermost.values() {
                missing.remove(&format!("{kind} {field}"));
            }
        }
    }
    assert!(missing.is_empty(), "show in tests/golden/findings: {missing:#?}");
}
