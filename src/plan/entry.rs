//! What the plan of a fleet is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::Guards;
use super::rollout::Rollout;
use crate::api::fleet::FleetSpec;
use crate::api::fleet_files::{AdoptSource, IfDifferent, RemovalPolicy};
use crate::api::fleet_sync::Deletions;
use crate::compose::Composed;
use crate::diagnostic::{SourceTree, Span};
use crate::object::{Object, ObjectId, Observed};
use crate::render::Settings;

/// One cluster that the files want.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetEntry {
    pub id: ObjectId,
    /// As it was written: without anything the fleet adds.
    pub object: Arc<Object>,
    /// Path of the file.
    pub source: String,
    /// That file holds a set, and hardly anything else.
    pub is_of_set: bool,
    /// `file:line:column` of the document.
    pub place: String,
    /// `file:line:column` of values, by JSON pointer into the object.
    pub places: BTreeMap<String, String>,
}

impl FleetEntry {
    /// Returns the entry of a composed cluster, without the places of its values.
    pub fn of(composed: &Composed, tree: &SourceTree) -> Self {
        Self {
            id: composed.id(),
            object: Arc::clone(&composed.object),
            source: composed.source_path.clone(),
            is_of_set: composed.is_of_set,
            place: match composed.provenance.beginning() {
                Some(beginning) => place(beginning, tree),
                None => composed.source_path.clone(),
            },
            places: BTreeMap::new(),
        }
    }

    /// Adds the places of the values, as text. They cost as much as all the rest, and only those of a cluster that changes
    /// are ever told.
    pub fn add_places(&mut self, composed: &Composed, tree: &SourceTree) {
        let values = composed.provenance.by_pointer().into_iter();
        let places = values.map(|(pointer, span)| (pointer, place(span, tree)));
        self.places = places.collect();
    }

    /// Returns where the value at a pointer was written, or the nearest value around it.
    pub fn place_of(&self, pointer: &str) -> Option<&str> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return Some(place);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

/// Returns `file:line:column`, with the path as it is.
pub fn place(span: Span, tree: &SourceTree) -> String {
    let position = tree.position(span);
    format!("{}:{}:{}", position.path, position.line, position.column)
}

/// What a run may do.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetPolicy {
    /// Commit or other name of what the files were read from.
    pub revision: Option<String>,
    /// `None`: clusters are created and changed, and none is ever deleted.
    pub id: Option<String>,
    pub deletions: Deletions,
    pub prune: Prune,
    pub budget: Budget,
    /// Deletions of this very content that earlier runs began: trying again does not refill the budget.
    pub begun: Begun,
    pub empty_set: EmptySet,
    pub files: Files,
    /// Field managers whose fields are taken over although they apply the same objects.
    pub force_conflicts: BTreeSet<String>,
    /// Namespaces that are missing and that the fleet makes.
    pub missing_namespaces: BTreeSet<String>,
    /// Clusters of which a record says that they were taken out of the files on purpose.
    pub removed: BTreeMap<ObjectId, RemovedRecord>,
    /// Clusters of which a record says that somebody else made them and that they are the fleet's from now on.
    pub adopted: BTreeMap<ObjectId, AdoptRecord>,
    /// The waves of changes that restart pods. `None`: all at once.
    pub rollout: Option<Rollout>,
}

/// What a record of kind Removed says about one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedRecord {
    pub policy: RemovalPolicy,
    /// For people.
    pub reason: Option<String>,
    /// `file:line:column`.
    pub place: String,
}

/// What a record of kind Adopt says about one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptRecord {
    pub from: AdoptSource,
    pub if_different: IfDifferent,
    /// `file:line:column`.
    pub place: String,
}

impl FleetPolicy {
    /// Returns the most careful policy for a fleet: its own settings, nothing allowed on top.
    ///
    /// Without `fleet` it has no id.
    pub fn of(fleet: Option<&FleetSpec>, files: Files) -> Self {
        let guards = fleet.map_or(
            Guards {
                deletions: Deletions::Never,
                budget: Budget { count: 0, percent: 0 },
                empty_set: EmptySet::Suspicious,
            },
            Guards::of,
        );
        Self {
            revision: None,
            id: fleet.map(|fleet| fleet.id.clone()),
            deletions: guards.deletions,
            prune: Prune::No,
            budget: guards.budget,
            begun: Begun::default(),
            empty_set: guards.empty_set,
            files,
            force_conflicts: BTreeSet::new(),
            missing_namespaces: BTreeSet::new(),
            removed: BTreeMap::new(),
            adopted: BTreeMap::new(),
            rollout: fleet.and_then(Rollout::of),
        }
    }
}

/// Whether this one run deletes what left the files, although the fleet does not say so by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    No,
    Yes,
}

impl Prune {
    pub fn when(is_asked: bool) -> Self {
        if is_asked { Self::Yes } else { Self::No }
    }
}

/// The most deletions of one revision; both numbers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub count: u32,
    /// Of the clusters of the fleet, rounded up, and at least one unless it is 0.
    pub percent: u32,
}

impl Budget {
    /// Returns how many of `members` clusters may be deleted.
    pub fn limit(self, members: usize) -> usize {
        let percent = usize::try_from(self.percent).unwrap_or(usize::MAX);
        let part = members.saturating_mul(percent).div_ceil(100);
        let part = if percent == 0 { 0 } else { part.max(1) };
        part.min(usize::try_from(self.count).unwrap_or(usize::MAX))
    }
}

/// Deletions that were begun for one content of the files. Whether each was done, nobody may know: its run was killed,
/// say. To do it again costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Uids of the clusters.
    pub uids: BTreeSet<String>,
    /// How many more, whose uids are not known.
    pub unnamed: usize,
}

impl Begun {
    pub fn count(&self) -> usize {
        self.uids.len().saturating_add(self.unnamed)
    }

    pub(super) fn has(&self, live: &Object) -> bool {
        live.uid().is_some_and(|uid| self.uids.contains(uid))
    }
}

/// What files without a single cluster mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptySet {
    /// A mistake: nothing is deleted.
    Suspicious,
    /// What they say.
    Allowed,
}

/// Whether the files could be read without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    Sound,
    /// Nothing is deleted anywhere.
    WithErrors,
}

/// What the impact of a change is computed from: what the operator would look at, and how it is set.
#[derive(Clone, Copy, Debug)]
pub struct Preview<'a> {
    /// Children of the clusters that are written (see [`super::written`]); may hold more.
    pub children: &'a Observed,
    pub node_addresses: &'a [String],
    pub settings: &'a Settings,
    pub now: Timestamp,
}

/// Everything the plan of a fleet depends on.
#[derive(Clone, Copy, Debug)]
pub struct FleetInput<'a> {
    pub desired: &'a [FleetEntry],
    /// Clusters that files name but that have errors: they are not gone.
    pub rejected: &'a BTreeSet<ObjectId>,
    /// All clusters of the namespaces concerned, whoever made them.
    pub observed: &'a Observed,
    /// Clusters that are not compared again, as [`super::settled`] says.
    pub unchanged: &'a BTreeSet<ObjectId>,
    /// `Err`: impacts of changes are not known, and why, as a phrase.
    pub preview: Result<Preview<'a>, &'a str>,
}
