//! What each document is.

use std::collections::BTreeMap;

use super::convert;
use crate::api::fleet::API_VERSION as FLEET_GROUP;
use crate::diagnostic::{Code, Finding, Findings, Span, nearest, quote};
use crate::object::kinds;
use crate::parse::{Data, Document, Node};

const CLUSTER_GROUP: &str = "k0smotron.io/v1beta1";
const CLUSTER: (&str, &str) = (CLUSTER_GROUP, kinds::K0SMOTRON_CLUSTER.kind);
const FLEET: (&str, &str) = (FLEET_GROUP, "Fleet");
const DEFAULTS: (&str, &str) = (FLEET_GROUP, "ClusterDefaults");
/// Live in a cluster, are never applied from fleet files.
const OTHERS: [(&str, &str); 2] = [
    (CLUSTER_GROUP, kinds::K0SMOTRON_JOIN_TOKEN.kind),
    (FLEET_GROUP, kinds::FLEET_SYNC.kind),
];
const SET: (&str, &str) = (FLEET_GROUP, "ClusterSet");
const REMOVED: (&str, &str) = (FLEET_GROUP, "Removed");
const ADOPT: (&str, &str) = (FLEET_GROUP, "Adopt");
/// Kinds that are read from fleet files.
const READ: [(&str, &str); 6] = [CLUSTER, FLEET, DEFAULTS, SET, REMOVED, ADOPT];
/// Kinds of the Go operator k0smotron that describe clusters, and their versions.
const FOREIGN_CLUSTER: &str = "Cluster";
const FOREIGN_TOKEN: &str = "JoinTokenRequest";
const FOREIGN_VERSIONS: [&str; 2] = ["k0smotron.io/v1beta1", "k0smotron.io/v1beta2"];

/// A kind of the Go operator k0smotron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    Cluster,
    JoinTokenRequest,
}

/// Tells whether a document is of a kind of the Go operator k0smotron.
pub fn foreign(document: &Document) -> Option<Foreign> {
    let word = |key: &str| document.root.get(key).and_then(Node::text);
    if !FOREIGN_VERSIONS.contains(&word("apiVersion")?) {
        return None;
    }
    match word("kind")? {
        FOREIGN_CLUSTER => Some(Foreign::Cluster),
        FOREIGN_TOKEN => Some(Foreign::JoinTokenRequest),
        _ => None,
    }
}

/// Documents by what they are; those that are wrong were reported.
#[derive(Default)]
pub(super) struct Sorted {
    pub fleets: Vec<Document>,
    pub defaults: Vec<Document>,
    pub sets: Vec<Document>,
    pub removed: Vec<Document>,
    pub adopted: Vec<Document>,
    pub clusters: Vec<Document>,
    /// Documents that mean something only if a set names their file.
    pub loose: Vec<Loose>,
}

/// A document of no kind of ours.
pub(super) struct Loose {
    pub document: Document,
    reason: Reason,
}

enum Reason {
    /// An empty kind is a document that is no Kubernetes object.
    LeftAlone { kind: String, place: Span },
    /// Looks like an object, and cannot be told apart from a cluster.
    Nameless(Finding),
}

/// The first document of a kind that is left alone, and how many there are.
struct LeftAlone {
    place: Span,
    count: usize,
}

/// Sorts documents by kind, keeping their order.
pub(super) fn sort(documents: Vec<Document>, findings: &mut Findings) -> Sorted {
    let mut sorted = Sorted::default();
    for document in documents {
        match class(&document) {
            Class::Cluster => sorted.clusters.push(document),
            Class::Foreign => sorted.clusters.push(convert::cluster(document, findings)),
            Class::Fleet => sorted.fleets.push(document),
            Class::Defaults => sorted.defaults.push(document),
            Class::Set => sorted.sets.push(document),
            Class::Removed => sorted.removed.push(document),
            Class::Adopt => sorted.adopted.push(document),
            Class::Loose(reason) => sorted.loose.push(Loose { document, reason }),
            Class::Wrong(finding) => findings.push(finding),
        }
    }
    sorted
}

/// Reports documents that nobody names.
pub(super) fn report(loose: Vec<Loose>, findings: &mut Findings) {
    let mut left_alone: BTreeMap<String, LeftAlone> = BTreeMap::new();
    for Loose { document: _, reason } in loose {
        match reason {
            Reason::LeftAlone { kind, place } => {
                left_alone
                    .entry(kind)
                    .or_insert(LeftAlone { place, count: 0 })
                    .count += 1;
            }
            Reason::Nameless(finding) => findings.push(finding),
        }
    }
    for (kind, LeftAlone { place, count }) in left_alone {
        let message = match (kind.as_str(), count) {
            ("", 1) => "a document that is no Kubernetes object is left alone".to_owned(),
            ("", _) => format!("{count} documents that are no Kubernetes objects are left alone"),
            (kind, 1) => format!("1 object of kind {} is left alone", quote(kind)),
            (kind, _) => format!("{count} objects of kind {} are left alone", quote(kind)),
        };
        findings.push(
            Finding::new(Code::OtherKind, message)
                .primary(place, if count == 1 { "" } else { "the first one" })
                .hint("only objects of kind `K0smotronCluster` are applied"),
        );
    }
}

enum Class {
    Cluster,
    /// A cluster of the Go operator k0smotron.
    Foreign,
    Fleet,
    Defaults,
    Set,
    Removed,
    Adopt,
    Loose(Reason),
    Wrong(Finding),
}

fn class(document: &Document) -> Class {
    let root = &document.root;
    let Data::Mapping(_) = &root.data else {
        return Class::Wrong(
            Finding::new(Code::NoKind, "the document is not a mapping")
                .primary(document.beginning(), "expected `apiVersion: ...`")
                .hint(match &root.data {
                    Data::Sequence(_) => "write each object as a document of its own, with `---` between",
                    Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Mapping(_) => {
                        "in YAML there is a space behind the `:` of a key"
                    }
                }),
        );
    };
    let word = |key: &str| root.get(key).and_then(|value| Some((value.text()?, value.span)));
    let (Some((api_version, _)), Some((kind, place))) = (word("apiVersion"), word("kind")) else {
        return without_kind(document);
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (api_version, kind) {
        CLUSTER => Class::Cluster,
        FLEET => Class::Fleet,
        DEFAULTS => Class::Defaults,
        SET => Class::Set,
        REMOVED => Class::Removed,
        ADOPT => Class::Adopt,
        pair if OTHERS.contains(&pair) => left_alone(kind, place),
        ("v1", "List") if holds_ours(root) => Class::Wrong(
            Finding::new(Code::NotSupportedYet, "a List of clusters is not read")
                .primary(place, "")
                .hint("write each item as a document of its own, with `---` between"),
        ),
        _ => match foreign(document) {
            Some(Foreign::Cluster) => Class::Foreign,
            Some(Foreign::JoinTokenRequest) => left_alone(kind, place),
            None if is_ours(group) || kind == CLUSTER.1 => Class::Wrong(unknown(root, api_version, kind)),
            None => left_alone(kind, place),
        },
    }
}

/// An empty kind is a document that is no Kubernetes object.
fn left_alone(kind: &str, place: Span) -> Class {
    Class::Loose(Reason::LeftAlone {
        kind: kind.to_owned(),
        place,
    })
}

fn is_ours(group: &str) -> bool {
    group == "k0smotron.io" || group == "fleet.k0smotron.io"
}

fn holds_ours(list: &Node) -> bool {
    let Some(Node {
        data: Data::Sequence(items),
        span: _,
    }) = list.get("items")
    else {
        return false;
    };
    let mut versions = items.iter().filter_map(|item| item.get("apiVersion")?.text());
    versions.any(|version| version.split_once('/').is_some_and(|(group, _)| is_ours(group)))
}

/// A document without `apiVersion` or `kind`: an error when it looks like an object, else some other YAML file.
fn without_kind(document: &Document) -> Class {
    let root = &document.root;
    let is_near = |key: &str, words: &[&str]| nearest(key, words.iter().copied()).is_some();
    let looks_like_object = root
        .entries()
        .iter()
        .any(|entry| is_near(&entry.key, &["apiVersion", "kind", "metadata", "spec"]));
    if !looks_like_object || root.entry("sops").is_some() {
        return left_alone("", document.beginning());
    }
    let has_kind = root.get("kind").is_some_and(|kind| kind.text().is_some());
    let (missing, right) = if has_kind {
        ("apiVersion", CLUSTER.0)
    } else {
        ("kind", CLUSTER.1)
    };
    let finding = Finding::new(Code::NoKind, format!("the document has no `{missing}`"));
    if let Some(entry) = root.entry(missing) {
        return Class::Loose(Reason::Nameless(
            finding
                .primary(entry.value.span, "not a word")
                .hint(format!("write `{missing}: {right}`")),
        ));
    }
    Class::Loose(Reason::Nameless(
        match root
            .entries()
            .iter()
            .find(|entry| is_near(&entry.key, &[missing]))
        {
            Some(entry) => finding
                .primary(entry.key_span, "not a field of an object")
                .hint(format!("did you mean `{missing}`?")),
            None => finding
                .primary(document.beginning(), "in this document")
                .hint(format!("a cluster has `{missing}: {right}`")),
        },
    ))
}

/// A kind or version of our groups that does not exist.
fn unknown(root: &Node, api_version: &str, kind: &str) -> Finding {
    let known: Vec<_> = READ.into_iter().chain(OTHERS).collect();
    let place = |key: &str| root.get(key).map_or(root.span, |value| value.span);
    if let Some((right, _)) = known.iter().find(|(_, known)| *known == kind) {
        let message = format!("there is no kind `{kind}` in {}", quote(api_version));
        return Finding::new(Code::UnknownKind, message)
            .primary(place("apiVersion"), "")
            .hint(format!("write `apiVersion: {right}`"));
    }
    let message = format!("there is no kind {} in {}", quote(kind), quote(api_version));
    let near = nearest(kind, known.iter().map(|(_, kind)| *kind));
    Finding::new(Code::UnknownKind, message)
        .primary(place("kind"), "")
        .hints(near.map(|near| format!("did you mean `{near}`?")))
}
