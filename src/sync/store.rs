//! What the watches know: the syncs with what is remembered of each, and which clusters belong to a fleet.
//!
//! **Invariant:** an older version never replaces a newer one, whoever brings it: a watch, a list, or the answer to a
//! write of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rivals::Claim;
use crate::api::labels;
use crate::load::git::CommitId;
use crate::object::{Object, ObjectId, digest};

/// A plan is made this often although nothing seems to have changed: a watch may have missed something.
pub const PLAN_AGAIN: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub struct Store {
    syncs: BTreeMap<ObjectId, Followed>,
    clusters: BTreeMap<ObjectId, Seen>,
}

#[derive(Debug)]
struct Followed {
    object: Object,
    memory: Memory,
}

/// What is remembered of a sync while this process lives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What the last pass that came to its end was about.
    pub handled: Option<Handled>,
    /// The fleet that it writes.
    pub claim: Option<String>,
    /// A pass came far enough to know what the files say, or that they cannot be read.
    pub was_tried: bool,
    /// A cluster of its fleet changed since the last plan began.
    pub is_drifted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Handled {
    pub commit: CommitId,
    pub generation: Option<i64>,
    pub at: Instant,
}

impl Memory {
    /// Says whether a plan could bring anything that the last one did not.
    pub fn needs_plan(&self, commit: &CommitId, generation: Option<i64>, now: Instant) -> bool {
        self.is_drifted
            || self.handled.as_ref().is_none_or(|handled| {
                handled.commit != *commit
                    || handled.generation != generation
                    || now.saturating_duration_since(handled.at) >= PLAN_AGAIN
            })
    }
}

/// What is kept of a cluster: enough to tell that somebody changed it.
#[derive(Debug, PartialEq)]
struct Seen {
    fleet_id: Option<String>,
    digest: String,
}

impl Seen {
    fn of(object: &Object) -> Self {
        let field = |pointer: &str| object.0.pointer(pointer).cloned().unwrap_or_default();
        let content = json!([
            field("/metadata/uid"),
            field("/metadata/generation"),
            field("/metadata/labels"),
            field("/metadata/annotations"),
            field("/metadata/deletionTimestamp"),
        ]);
        Self {
            fleet_id: object.label(labels::FLEET_ID).map(str::to_owned),
            digest: digest(&content),
        }
    }
}

/// What taking a sync in told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Somebody asks for something else than before.
    pub is_asked: bool,
    /// Uid of the sync of that name that is gone.
    pub gone: Option<String>,
}

impl Store {
    /// Takes a sync in.
    pub fn note_sync(&mut self, id: &ObjectId, object: Object) -> News {
        let known = self.syncs.get_mut(id);
        match known {
            Some(known) if known.object.uid() == object.uid() => {
                if version(&object) < version(&known.object) {
                    return News::default();
                }
                let is_asked = wish(&object) != wish(&known.object);
                known.object = object;
                News { is_asked, gone: None }
            }
            Some(_) | None => {
                let memory = Memory {
                    claim: object.text("/status/fleetId").map(str::to_owned),
                    ..Memory::default()
                };
                let old = self.syncs.insert(id.clone(), Followed { object, memory });
                News {
                    is_asked: true,
                    gone: old.and_then(|old| old.object.uid().map(str::to_owned)),
                }
            }
        }
    }

    /// Forgets a sync and returns its uid; `None` if a newer one of that name is known.
    pub fn forget_sync(&mut self, id: &ObjectId, deleted: &Object) -> Option<String> {
        let known = self.syncs.get(id)?;
        (known.object.uid() == deleted.uid()).then(|| self.syncs.remove(id))?;
        deleted.uid().map(str::to_owned)
    }

    /// Ends a list of syncs: forgets those that were not in it and are not newer. Returns their uids.
    pub fn end_sync_list(
        &mut self,
        namespace: &str,
        listed: &BTreeSet<ObjectId>,
        list_version: &str,
    ) -> Vec<String> {
        let list_version = list_version.parse().unwrap_or(0);
        let gone: Vec<ObjectId> = self
            .syncs
            .iter()
            .filter(|(id, known)| {
                is_below(id, namespace) && !listed.contains(*id) && version(&known.object) <= list_version
            })
            .map(|(id, _)| id.clone())
            .collect();
        let forgotten = gone.iter().filter_map(|id| self.syncs.remove(id));
        forgotten
            .filter_map(|known| known.object.uid().map(str::to_owned))
            .collect()
    }

    pub fn sync(&self, id: &ObjectId) -> Option<(Object, Memory)> {
        let known = self.syncs.get(id)?;
        Some((known.object.clone(), known.memory.clone()))
    }

    pub fn syncs(&self) -> usize {
        self.syncs.len()
    }

    /// Changes what is remembered of a sync, if it is still the one of that uid.
    pub fn remember(&mut self, id: &ObjectId, uid: &str, change: impl FnOnce(&mut Memory)) {
        if let Some(known) = self.syncs.get_mut(id)
            && known.object.uid() == Some(uid)
        {
            change(&mut known.memory);
        }
    }

    /// Returns what every sync that is not suspended or going writes or may write.
    pub fn claims(&self) -> Vec<Claim> {
        let is_active = |object: &Object| {
            object.0.pointer("/spec/suspend") != Some(&Value::Bool(true))
                && object.text("/metadata/deletionTimestamp").is_none()
        };
        self.syncs
            .iter()
            .filter(|(_, known)| is_active(&known.object))
            .map(|(id, known)| Claim {
                sync: id.clone(),
                created: known
                    .object
                    .text("/metadata/creationTimestamp")
                    .unwrap_or_default()
                    .to_owned(),
                fleet_id: known.memory.claim.clone(),
                was_tried: known.memory.was_tried,
            })
            .collect()
    }

    /// Takes a cluster in; returns the syncs whose fleet it belongs or belonged to, if somebody changed it.
    pub fn note_cluster(&mut self, id: &ObjectId, object: &Object) -> Vec<ObjectId> {
        let seen = Seen::of(object);
        if self.clusters.get(id) == Some(&seen) {
            return Vec::new();
        }
        let fleet_id = seen.fleet_id.clone();
        let old = self.clusters.insert(id.clone(), seen);
        self.drifted([fleet_id, old.and_then(|old| old.fleet_id)])
    }

    /// Takes in what we wrote ourselves, which is no drift.
    pub fn note_written(&mut self, id: &ObjectId, object: &Object) {
        self.clusters.insert(id.clone(), Seen::of(object));
    }

    pub fn forget_cluster(&mut self, id: &ObjectId) -> Vec<ObjectId> {
        let old = self.clusters.remove(id);
        self.drifted([old.and_then(|old| old.fleet_id), None])
    }

    /// Ends a list of clusters: those that were not in it are gone.
    pub fn end_cluster_list(&mut self, namespace: &str, listed: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        let gone: Vec<ObjectId> = self
            .clusters
            .keys()
            .filter(|id| is_below(id, namespace) && !listed.contains(*id))
            .cloned()
            .collect();
        gone.iter().flat_map(|id| self.forget_cluster(id)).collect()
    }

    fn drifted(&mut self, fleet_ids: [Option<String>; 2]) -> Vec<ObjectId> {
        let is_meant = |memory: &Memory| memory.claim.is_some() && fleet_ids.contains(&memory.claim);
        self.syncs
            .iter_mut()
            .filter(|(_, known)| is_meant(&known.memory))
            .map(|(id, known)| {
                known.memory.is_drifted = true;
                id.clone()
            })
            .collect()
    }
}

fn is_below(id: &ObjectId, namespace: &str) -> bool {
    namespace.is_empty() || id.namespace == namespace
}

/// What somebody asks for: the status is ours and asks for nothing.
fn wish(object: &Object) -> (Option<i64>, Option<&str>, bool) {
    (
        object.integer("/metadata/generation"),
        object.annotation(labels::REQUESTED_AT),
        object.text("/metadata/deletionTimestamp").is_some(),
    )
}

/// Versions are numbers, and of one kind they can be compared.
fn version(object: &Object) -> u64 {
    object
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kinds;

    fn sync(uid: &str, version: u64, generation: i64) -> (ObjectId, Object) {
        let object = Object(json!({
            "apiVersion": "fleet.k0smotron.io/v1alpha1", "kind": "FleetSync",
            "metadata": { "namespace": "tenant-7", "name": "platform", "uid": uid, "generation": generation,
                "resourceVersion": version.to_string(), "creationTimestamp": "2026-11-01T00:00:00Z" },
            "spec": {}, "status": { "fleetId": "edge" } }));
        (object.id().unwrap(), object)
    }

    fn cluster(generation: i64, fleet: Option<&str>) -> (ObjectId, Object) {
        let mut object = Object(json!({ "metadata": { "uid": "u", "generation": generation } }));
        if let Some(fleet) = fleet {
            object.0["metadata"]["labels"] = json!({ labels::FLEET_ID: fleet });
        }
        (
            ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "berlin"),
            object,
        )
    }

    #[test]
    fn a_status_asks_for_nothing_and_a_new_sync_of_the_same_name_begins_anew() {
        let mut store = Store::default();
        let (id, first) = sync("one", 5, 1);
        assert!(store.note_sync(&id, first).is_asked);
        store.remember(&id, "one", |memory| memory.was_tried = true);
        assert_eq!(store.note_sync(&id, sync("one", 6, 1).1), News::default());
        assert!(!store.note_sync(&id, sync("one", 4, 9).1).is_asked, "older");
        assert!(store.note_sync(&id, sync("one", 7, 2).1).is_asked);
        assert!(store.sync(&id).unwrap().1.was_tried);
        let news = store.note_sync(&id, sync("two", 8, 1).1);
        assert_eq!(news.gone.as_deref(), Some("one"));
        assert_eq!(store.sync(&id).unwrap().1.claim.as_deref(), Some("edge"));
        assert_eq!(store.forget_sync(&id, &sync("one", 9, 1).1), None);
        assert_eq!(store.end_sync_list("", &BTreeSet::new(), "7"), [""; 0]);
        assert_eq!(store.end_sync_list("tenant-7", &BTreeSet::new(), "8"), ["two"]);
    }

    #[test]
    fn only_what_somebody_else_changed_is_drift() {
        let mut store = Store::default();
        let (sync_id, object) = sync("one", 5, 1);
        store.note_sync(&sync_id, object);
        let (id, written) = cluster(1, Some("edge"));
        store.note_written(&id, &written);
        assert!(store.note_cluster(&id, &written).is_empty());
        assert!(!store.sync(&sync_id).unwrap().1.is_drifted);
        assert_eq!(
            store.note_cluster(&id, &cluster(2, None).1),
            std::slice::from_ref(&sync_id),
            "its label is gone"
        );
        assert!(
            store.note_cluster(&id, &cluster(3, None).1).is_empty(),
            "of no fleet"
        );
        store.note_cluster(&id, &cluster(3, Some("core")).1);
        assert!(store.forget_cluster(&id).is_empty(), "of another fleet");
        assert!(store.sync(&sync_id).unwrap().1.is_drifted);
    }

    #[test]
    fn a_plan_is_due_for_a_commit_a_generation_drift_and_time() {
        let commit = |digit: &str| CommitId::parse(&digit.repeat(40)).unwrap();
        let now = Instant::now();
        let mut memory = Memory::default();
        assert!(memory.needs_plan(&commit("a"), Some(1), now));
        memory.handled = Some(Handled {
            commit: commit("a"),
            generation: Some(1),
            at: now,
        });
        assert!(!memory.needs_plan(&commit("a"), Some(1), now));
        assert!(memory.needs_plan(&commit("b"), Some(1), now));
        assert!(memory.needs_plan(&commit("a"), Some(2), now));
        assert!(memory.needs_plan(&commit("a"), Some(1), now + PLAN_AGAIN));
        memory.is_drifted = true;
        assert!(memory.needs_plan(&commit("a"), Some(1), now));
    }
}
