//! From documents to a fleet whose every cluster can be sent: schema, rules, names, and what several clusters may not
//! share.
//!
//! [`Document`]s -> [`FleetFiles`] and [`Findings`].
//!
//! **Invariant:** pure. Every problem is found, not the first; what has an error finding is not in the result, and
//! what has none is. After this room nobody checks a cluster again.
//!
//! **Invariant:** nothing that could be a cluster is passed over in silence. Kinds of our groups are read or are an
//! error; all others are named in a warning.

mod across;
mod cluster;
mod fleet;
mod kind;
mod metadata;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use self::cluster::{Candidate, Verdicts};
use crate::api::ClusterSpec;
use crate::api::fleet::Fleet;
use crate::diagnostic::{FileId, Findings};
use crate::parse::Document;

/// Fewest clusters that are worth a thread.
const SHARE_MIN: usize = 64;

/// Everything a directory says, as far as it is right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetFiles {
    /// `None` when there is no document of kind Fleet, and when it has errors; see [`Self::is_fleet_broken`].
    pub fleet: Option<Fleet>,
    /// A Fleet is there and cannot be used. What it guards must not be decided without it.
    pub is_fleet_broken: bool,
    /// In the order of files and documents; unique by namespace and name.
    pub clusters: Vec<Cluster>,
    /// Namespace and name of clusters that the files name and that have errors. They are not absent.
    pub rejected: BTreeSet<(String, String)>,
}

/// A cluster as written, checked.
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

/// Checks all documents of a fleet, by themselves and together.
pub fn files(documents: Vec<Document>) -> (FleetFiles, Findings) {
    let mut findings = Findings::new();
    let sorted = kind::sort(documents, &mut findings);
    let (fleet, is_fleet_broken) = fleet::check(&sorted.fleets, &mut findings);
    let mut candidates = Vec::with_capacity(sorted.clusters.len());
    for (candidate, problems) in in_parallel(sorted.clusters) {
        candidates.push(candidate);
        findings.extend(problems);
    }
    let (clusters, rejected) = across::check(candidates, fleet.as_ref(), &mut findings);
    (
        FleetFiles {
            fleet,
            is_fleet_broken,
            clusters,
            rejected,
        },
        findings,
    )
}

/// Checks clusters on all processors, in their order. The rules of the kind take long enough that the check of
/// thousands of clusters would be waited for.
fn in_parallel(documents: Vec<Document>) -> Vec<(Candidate, Findings)> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let length = documents.len().div_ceil(processors).max(SHARE_MIN);
    let mut documents = documents.into_iter();
    let shares = std::iter::from_fn(|| {
        let share: Vec<Document> = documents.by_ref().take(length).collect();
        (!share.is_empty()).then_some(share)
    });
    let mut shares: Vec<Vec<Document>> = shares.collect();
    if shares.len() <= 1 {
        return check_share(shares.pop().unwrap_or_default());
    }
    thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || check_share(share)))
            .collect();
        let checked = threads.into_iter().map(thread::ScopedJoinHandle::join);
        checked
            .flat_map(|share| share.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn check_share(documents: Vec<Document>) -> Vec<(Candidate, Findings)> {
    let mut verdicts = Verdicts::default();
    documents
        .into_iter()
        .map(|document| cluster::check(document, &mut verdicts))
        .collect()
}
