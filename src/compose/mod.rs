//! From a checked fleet to the objects that are wanted, each value with the place it came from.
//!
//! [`SourceTree`] -> [`Reading`], the whole way from text to objects.
//!
//! **Invariant:** pure, and independent of the order of files and documents: the same clusters give the same objects,
//! byte for byte, wherever they are written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::api::fleet::Fleet;
use crate::diagnostic::{Findings, SourceTree, Span};
use crate::object::{Object, ObjectId, kinds, pointer};
use crate::parse::{self, Data, Node};
use crate::validate::{self, Cluster, FleetFiles};

/// One cluster as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    pub namespace: String,
    pub name: String,
    /// `apiVersion`, `kind`, `metadata` with name, namespace, labels, annotations, and `spec`; nulls and what was not
    /// written left out.
    pub object: Object,
    /// Where each key, and each entry of a list, was written, by JSON pointer into the object.
    pub provenance: BTreeMap<String, Span>,
    /// The file, relative to the root of the fleet.
    pub source_path: String,
}

impl Composed {
    pub fn id(&self) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, &self.namespace, &self.name)
    }

    /// Returns where the value at a JSON pointer was written, or the nearest mapping around it.
    pub fn origin(&self, pointer: &str) -> Option<Span> {
        let mut pointer = pointer;
        loop {
            if let Some(span) = self.provenance.get(pointer) {
                return Some(*span);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
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
    /// Sorted by place. With one error among them nothing may be deleted anywhere.
    pub findings: Findings,
}

/// Reads a fleet: parse, validate, compose. Never fails; what is wrong is in the findings.
pub fn read(tree: &SourceTree) -> Reading {
    let mut findings = tree.findings().clone();
    let (documents, problems) = parse::documents(tree);
    findings.extend(problems);
    let (files, problems) = validate::files(documents);
    findings.extend(problems);
    let FleetFiles {
        fleet,
        is_fleet_broken,
        clusters,
        rejected,
    } = files;
    let clusters = compose(clusters, tree);
    Reading {
        fleet,
        is_fleet_broken,
        clusters,
        rejected,
        findings: findings.sorted(tree),
    }
}

/// Makes the wanted objects of a fleet, sorted by namespace and name.
pub fn compose(clusters: Vec<Cluster>, tree: &SourceTree) -> Vec<Composed> {
    let mut composed: Vec<Composed> = clusters.into_iter().map(|cluster| one(cluster, tree)).collect();
    composed.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    composed
}

fn one(cluster: Cluster, tree: &SourceTree) -> Composed {
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
    let mut provenance = BTreeMap::from([(String::new(), document.beginning())]);
    add_places(&document.root, "", &mut provenance);
    let source_path = tree.file(file).path.clone();
    Composed {
        namespace,
        name,
        object: Object(Value::Object(object)),
        provenance,
        source_path,
    }
}

fn add_places(node: &Node, pointer: &str, places: &mut BTreeMap<String, Span>) {
    match &node.data {
        Data::Mapping(entries) => {
            for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                let pointer = pointer::push(pointer, &entry.key);
                add_places(&entry.value, &pointer, places);
                places.insert(pointer, entry.key_span);
            }
        }
        Data::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                let pointer = pointer::push(pointer, &index.to_string());
                add_places(item, &pointer, places);
                places.insert(pointer, item.span);
            }
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => {}
    }
}

#[cfg(test)]
mod tests;
