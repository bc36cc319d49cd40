//! From a checked fleet to the objects that are wanted, each value with the place it came from.
//!
//! [`SourceTree`] -> [`Reading`], the whole way from text to objects.
//!
//! **Invariant:** pure, and independent of the order of files and documents: the same clusters give the same objects,
//! byte for byte, wherever they are written.

mod condition;
mod expand;
mod inherit;
mod merge;
mod provenance;
mod records;
mod rows;
mod why;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use serde_json::{Map, Value, json};

use crate::api::fleet::Fleet;
use crate::diagnostic::{FileId, Findings, SourceTree, Span};
use crate::object::{Object, ObjectId, kinds};
use crate::parse::{self, Document};
use crate::validate::{self, Adoption, Basis, Checked, Cluster, ClusterSet, Draft, Parts, Removal, Rows};

use self::inherit::Inheritance;
pub use self::provenance::Provenance;
pub use self::why::{Layer, Origin, Said, Why, read_with_why};

/// One cluster as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    pub namespace: String,
    pub name: String,
    /// `apiVersion`, `kind`, `metadata` with name, namespace, labels, annotations, and `spec`; nulls and what was not
    /// written left out.
    pub object: Arc<Object>,
    pub provenance: Provenance,
    /// The file, relative to the root of the fleet.
    pub source_path: String,
    /// The file holds a set, and hardly anything else.
    pub is_of_set: bool,
}

impl Composed {
    pub fn id(&self) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, &self.namespace, &self.name)
    }

    /// Returns where the value at a JSON pointer was written, or the nearest mapping around it.
    pub fn origin(&self, pointer: &str) -> Option<Span> {
        self.provenance.nearest(pointer)
    }
}

/// Everything the files of a fleet say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// `None` without a document of kind Fleet, and with a broken one; see [`Self::is_fleet_broken`].
    pub fleet: Option<Fleet>,
    /// A Fleet is there and cannot be used: nothing may be sent, because what it guards is not known.
    pub is_fleet_broken: bool,
    /// Sorted by namespace and name, unique. Clusters with errors are not among them.
    pub clusters: Vec<Composed>,
    /// Namespace and name of clusters with errors. The files name them, so they are not gone.
    pub rejected: BTreeSet<(String, String)>,
    /// Records of clusters that were taken out on purpose, sorted by namespace and name.
    pub removed: Vec<Removal>,
    /// Records of clusters that are taken over, sorted by namespace and name.
    pub adopted: Vec<Adoption>,
    /// Sorted by place. With one error among them nothing may be deleted anywhere.
    pub findings: Findings,
}

impl Reading {
    /// Returns a cluster by its identity.
    pub fn cluster(&self, id: &ObjectId) -> Option<&Composed> {
        if id.kind != kinds::K0SMOTRON_CLUSTER {
            return None;
        }
        let wanted = (id.namespace.as_str(), id.name.as_str());
        let found = self
            .clusters
            .binary_search_by(|cluster| (cluster.namespace.as_str(), cluster.name.as_str()).cmp(&wanted));
        self.clusters.get(found.ok()?)
    }
}

/// Reads a fleet: parse, sort, inherit, validate, compose. Never fails; what is wrong is in the findings.
pub fn read(tree: &SourceTree) -> Reading {
    read_watched(tree, &mut |_, _, _| {})
}

/// Reads the Fleet alone, from the file that usually holds it and little else: a first look, long before all is read.
/// `None` when it is not there or not right; [`read`] tells what is wrong, and whether there is another one.
pub fn fleet_in(tree: &SourceTree, path: &str) -> Option<Fleet> {
    validate::parts(parse::documents_of_small(tree, path)).0.fleet
}

/// Where a cluster is written that inherits nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WrittenIn {
    Document,
    /// A template and a row.
    Set,
}

/// Reads as [`read`] does, and shows every cluster before it is laid over what it inherits.
fn read_watched(tree: &SourceTree, watch: &mut dyn FnMut(&Inheritance, &Document, WrittenIn)) -> Reading {
    thread::scope(|scope| {
        // Beside the parsing of the files.
        scope.spawn(validate::prepare);
        read_all(tree, watch)
    })
}

fn read_all(tree: &SourceTree, watch: &mut dyn FnMut(&Inheritance, &Document, WrittenIn)) -> Reading {
    let mut findings = tree.findings().clone();
    let (documents, problems) = parse::documents(tree);
    findings.extend(problems);
    let (parts, problems) = validate::parts(documents);
    findings.extend(problems);
    let Parts {
        fleet,
        is_fleet_broken,
        defaults,
        sets,
        mut removed,
        mut adopted,
        clusters,
        loose,
    } = parts;
    let broken = inherit::broken_files(&findings);
    let (rows, problems) = loose.claim(|file| is_row_file(&sets, tree, file));
    findings.extend(problems);
    let mut inheritance = Inheritance::new(defaults, &broken, tree, &mut findings);
    let mut drafts: Vec<Draft> = clusters
        .into_iter()
        .map(|document| {
            let path = &tree.file(document.file).path;
            watch(&inheritance, &document, WrittenIn::Document);
            inheritance.draft(document, path, Basis::Known)
        })
        .collect();
    let sources = rows::Sources {
        tree,
        documents: &rows,
    };
    let mut budget = expand::BYTES_MAX;
    for set in &sets {
        let path = &tree.file(set.file).path;
        let expanded = expand::clusters(set, &sources, &mut budget, &mut findings);
        for one in expanded {
            watch(&inheritance, &one.document, WrittenIn::Set);
            drafts.push(inheritance.draft(one.document, path, one.basis));
        }
    }
    inheritance.report(&mut findings);
    let (checked, problems) = validate::clusters(drafts, fleet.as_ref());
    findings.extend(problems);
    let Checked { clusters, rejected } = checked;
    let set_files = sets.iter().map(|set| set.file).collect();
    let clusters = compose(clusters, &set_files, tree);
    records::check(
        &records::Records {
            removed: &removed,
            adopted: &adopted,
            has_fleet: fleet.is_some() || is_fleet_broken,
        },
        &clusters,
        &rejected,
        &mut findings,
    );
    removed.sort_by(|one, other| one.spec.target.cmp(&other.spec.target));
    adopted.sort_by(|one, other| one.spec.target.cmp(&other.spec.target));
    Reading {
        fleet,
        is_fleet_broken,
        clusters,
        rejected,
        removed,
        adopted,
        findings: findings.sorted(tree),
    }
}

/// An object that was converted.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    pub object: Object,
    /// The file, relative to the root of the fleet.
    pub source_path: String,
}

/// Converts what belongs to the Go operator k0smotron, in the order of files and documents. All else is left out.
///
/// *Shape*: the findings are those of the conversion and of the clusters it gives.
pub fn convert(tree: &SourceTree) -> (Vec<Converted>, Findings) {
    let mut findings = tree.findings().clone();
    let (documents, problems) = parse::documents(tree);
    findings.extend(problems);
    let (mut converted, mut drafts) = (Vec::new(), Vec::new());
    for document in documents {
        let document = match validate::foreign(&document) {
            None => continue,
            Some(validate::Foreign::Cluster) => {
                let document = validate::convert_cluster(document, &mut findings);
                drafts.push(Draft {
                    document: document.clone(),
                    basis: Basis::Known,
                });
                document
            }
            Some(validate::Foreign::JoinTokenRequest) => {
                validate::convert_join_token(document, &mut findings)
            }
        };
        converted.push(Converted {
            object: Object(document.root.to_json()),
            source_path: tree.file(document.file).path.clone(),
        });
    }
    let (_, problems) = validate::clusters(drafts, None);
    findings.extend(problems);
    (converted, findings.sorted(tree))
}

/// Tells whether a set reads its rows from a file.
fn is_row_file(sets: &[ClusterSet], tree: &SourceTree, file: FileId) -> bool {
    sets.iter().any(|set| {
        set.generators.iter().any(|rows| match rows {
            Rows::Files(path) => rows::resolve(&tree.file(set.file).path, &path.value)
                .is_some_and(|pattern| rows::matches(&pattern, &tree.file(file).path)),
            Rows::Table { .. } | Rows::List(_) => false,
        })
    })
}

/// Makes the wanted objects of a fleet, sorted by namespace and name.
fn compose(clusters: Vec<Cluster>, set_files: &BTreeSet<FileId>, tree: &SourceTree) -> Vec<Composed> {
    let mut composed: Vec<Composed> = clusters
        .into_iter()
        .map(|cluster| {
            let is_of_set = set_files.contains(&cluster.file);
            one(cluster, is_of_set, tree)
        })
        .collect();
    composed.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    composed
}

fn one(cluster: Cluster, is_of_set: bool, tree: &SourceTree) -> Composed {
    let Cluster {
        namespace,
        name,
        labels,
        annotations,
        spec: _,
        file,
        document,
    } = cluster;
    let mut metadata = Map::new();
    metadata.insert("name".into(), json!(name));
    metadata.insert("namespace".into(), json!(namespace));
    for (key, words) in [("labels", labels), ("annotations", annotations)] {
        if !words.is_empty() {
            metadata.insert(key.into(), json!(words));
        }
    }
    let mut object = Map::new();
    object.insert("apiVersion".into(), json!(kinds::K0SMOTRON_CLUSTER.api_version()));
    object.insert("kind".into(), json!(kinds::K0SMOTRON_CLUSTER.kind));
    object.insert("metadata".into(), Value::Object(metadata));
    if let Some(spec) = document.root.get("spec").filter(|spec| !spec.is_null()) {
        object.insert("spec".into(), spec.to_json());
    }
    let provenance = Provenance::of(&document.root, document.beginning());
    let source_path = tree.file(file).path.clone();
    Composed {
        namespace,
        name,
        object: Arc::new(Object(Value::Object(object))),
        provenance,
        source_path,
        is_of_set,
    }
}

#[cfg(test)]
mod defaults_tests;
#[cfg(test)]
mod sets_tests;
#[cfg(test)]
mod tests;
