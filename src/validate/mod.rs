//! From documents to a fleet whose every cluster can be sent: schema, rules, names, and what several clusters may not
//! share.
//!
//! [`Document`]s -> [`Parts`]; and, once each cluster has what it inherits, [`Draft`]s -> [`Checked`]. [`Findings`]
//! from both.
//!
//! **Invariant:** pure. Every problem is found, not the first; what has an error finding is not in the result, and
//! what has none is. After this room nobody checks a cluster again.
//!
//! **Invariant:** a cluster of which a part cannot be known (its defaults cannot be read) is never in the result:
//! without that part it would be another cluster.
//!
//! **Invariant:** nothing that could be a cluster is passed over in silence. Kinds of our groups are read or are an
//! error; all others are named in a warning.

mod across;
mod cluster;
mod convert;
mod defaults;
mod field;
mod fleet;
mod k0s_config;
mod kind;
mod metadata;
mod records;
mod refused;
mod rollout;
mod schema;
mod set;
mod shared;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use self::convert::{cluster as convert_cluster, join_token as convert_join_token};
pub use self::defaults::Defaults;
pub use self::field::{UnknownField, find_field};
pub use self::kind::{Foreign, foreign};
pub use self::records::{Adopted, Adoption, Removal};
pub use self::set::{ClusterSet, Rows, Written};

use self::cluster::Candidate;
use crate::api::fleet::Fleet;
use crate::api::{ClusterSpec, cel};
use crate::diagnostic::{FileId, Findings};
use crate::object::in_shares;
use crate::parse::Document;

/// Everything a directory says, by kind; what has errors is left out.
#[derive(Default)]
pub struct Parts {
    /// `None` when there is no document of kind Fleet, and when it has errors; see [`Self::is_fleet_broken`].
    pub fleet: Option<Fleet>,
    /// A Fleet is there and cannot be used. What it guards must not be decided without it.
    pub is_fleet_broken: bool,
    pub defaults: Vec<Defaults>,
    pub sets: Vec<ClusterSet>,
    pub removed: Vec<Removal>,
    pub adopted: Vec<Adoption>,
    /// Clusters as they are written, not yet checked, in the order of files and documents.
    pub clusters: Vec<Document>,
    /// Documents of no kind of ours. Rows, if a set names their file.
    pub loose: LooseDocuments,
}

/// Documents of no kind of ours.
#[derive(Default)]
pub struct LooseDocuments(Vec<kind::Loose>);

impl LooseDocuments {
    /// Takes out the documents of files that are named, and reports all others.
    pub fn claim(self, is_named: impl Fn(FileId) -> bool) -> (BTreeMap<FileId, Vec<Document>>, Findings) {
        let mut findings = Findings::new();
        let mut claimed: BTreeMap<FileId, Vec<Document>> = BTreeMap::new();
        let (named, others): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|loose| is_named(loose.document.file));
        for loose in named {
            claimed
                .entry(loose.document.file)
                .or_default()
                .push(loose.document);
        }
        kind::report(others, &mut findings);
        (claimed, findings)
    }
}

/// A cluster with all it inherits, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub document: Document,
    pub basis: Basis,
}

/// Whether all that a cluster is made of is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    Known,
    /// A file that holds a part of it is broken, as a finding says.
    Unknown,
}

/// The clusters that are right, and those that are not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// In the order of the drafts; unique by namespace and name.
    pub clusters: Vec<Cluster>,
    /// Namespace and name of clusters that the files name and that have errors. They are not absent.
    pub rejected: BTreeSet<(String, String)>,
}

/// A cluster, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub spec: ClusterSpec,
    pub file: FileId,
    /// The whole document, for places.
    pub document: Document,
}

/// Makes ready what clusters are checked with, once a process. It takes as long as reading hundreds of clusters, and is
/// done by whoever needs it first: call it beside other work.
pub fn prepare() {
    schema::CLUSTER.prepare();
    cel::prepare();
}

/// Sorts the documents of a fleet, and checks all that are not clusters.
pub fn parts(documents: Vec<Document>) -> (Parts, Findings) {
    let mut findings = Findings::new();
    let sorted = kind::sort(documents, &mut findings);
    let (fleet, is_fleet_broken) = fleet::check(&sorted.fleets, &mut findings);
    let defaults = defaults::check(&sorted.defaults, !sorted.fleets.is_empty(), &mut findings);
    let sets = set::check(&sorted.sets, &mut findings);
    let removed = records::removed(&sorted.removed, &mut findings);
    let adopted = records::adopted(&sorted.adopted, &mut findings);
    let parts = Parts {
        fleet,
        is_fleet_broken,
        defaults,
        sets,
        removed,
        adopted,
        clusters: sorted.clusters,
        loose: LooseDocuments(sorted.loose),
    };
    (parts, findings)
}

/// Checks the clusters of a fleet, by themselves and together.
pub fn clusters(drafts: Vec<Draft>, fleet: Option<&Fleet>) -> (Checked, Findings) {
    let mut findings = Findings::new();
    let mut candidates = Vec::with_capacity(drafts.len());
    // The rules of the kind take long enough that the check of thousands of clusters would be waited for.
    for (candidate, problems) in in_shares(drafts, check_share).into_iter().flatten() {
        candidates.push(candidate);
        findings.extend(problems);
    }
    let (clusters, rejected) = across::check(candidates, fleet, &mut findings);
    (Checked { clusters, rejected }, findings)
}

fn check_share(drafts: Vec<Draft>) -> Vec<(Candidate, Findings)> {
    let mut remembered = cluster::Remembered::default();
    drafts
        .into_iter()
        .map(|draft| cluster::check(draft, &mut remembered))
        .collect()
}
