//! What a rollout has come to, so that any machine can go on with it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::object::{ObjectId, kinds};

/// Version of what is written. A newer one is not touched.
const VERSION: u32 = 1;

/// The state of the rollout of one content of the files. It is part of the parent of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    version: u32,
    /// Digest of what the files say.
    pub content: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    pub phase: Phase,
    /// Why it is paused, halted or aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Waves whose clusters somebody has vouched for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub promoted: BTreeSet<String>,
    /// How many clusters of each wave are done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<String, usize>,
    /// Clusters that were changed and are not done, by `namespace/name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    changed: BTreeMap<String, Changed>,
}

/// Whether a rollout goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    #[default]
    Running,
    /// Somebody paused it.
    Paused,
    /// Too many clusters failed; it waits for somebody.
    Halted,
    /// It is over; only other files go on.
    Aborted,
}

impl Phase {
    /// Returns the word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Aborted => "aborted",
        }
    }
}

/// A cluster that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub wave: String,
    /// Just before the change was sent.
    pub at: Timestamp,
    /// It was available before the change, and nobody has forgiven it since: that it is not up to date after the
    /// deadline is a failure of the change.
    pub counts: bool,
    /// Since when it was seen settled, without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// Why it counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Whether its API answered when it was looked at last.
    #[serde(default)]
    pub is_available: bool,
    /// Digest of the spec that it ran before: going back to that needs no gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A state that this version cannot use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("the rollout was begun by a newer version (format {0}); use that version")]
    Newer(u32),
    #[error("the state of the rollout cannot be read: {0}")]
    Malformed(String),
}

impl State {
    /// Returns the state of a rollout of this content that has not begun.
    pub fn new(content: &str, revision: Option<&str>) -> Self {
        Self {
            version: VERSION,
            content: content.to_owned(),
            revision: revision.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Returns the state to go on with for this content: the same, or a new one.
    ///
    /// A new rollout remembers the clusters that the last one left on their way, so that a return to what they ran is
    /// known; that they are not well is not its failure.
    #[must_use]
    pub fn for_content(self, content: &str, revision: Option<&str>) -> Self {
        if self.content == content {
            return Self {
                revision: revision.map(str::to_owned).or(self.revision),
                ..self
            };
        }
        let mut changed = self.changed;
        for one in changed.values_mut() {
            (one.counts, one.failed) = (false, None);
        }
        Self {
            changed,
            ..Self::new(content, revision)
        }
    }

    /// Reads what [`Self::text`] wrote.
    pub fn read(text: &str) -> Result<Self, StateError> {
        let state: Self =
            serde_json::from_str(text).map_err(|error| StateError::Malformed(error.to_string()))?;
        if state.version > VERSION {
            return Err(StateError::Newer(state.version));
        }
        Ok(state)
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the clusters that were changed and are not done.
    pub fn changed(&self) -> impl Iterator<Item = (ObjectId, &Changed)> {
        self.changed.iter().map(|(key, changed)| (id(key), changed))
    }

    pub fn get(&self, id: &ObjectId) -> Option<&Changed> {
        self.changed.get(&key(id))
    }

    pub fn insert(&mut self, id: &ObjectId, changed: Changed) {
        self.changed.insert(key(id), changed);
    }

    pub fn remove(&mut self, id: &ObjectId) -> Option<Changed> {
        self.changed.remove(&key(id))
    }

    pub(super) fn get_mut(&mut self, id: &ObjectId) -> Option<&mut Changed> {
        self.changed.get_mut(&key(id))
    }

    /// Says whether nothing is on its way and nothing is kept from going on.
    pub fn is_over(&self) -> bool {
        self.changed.is_empty() && self.phase == Phase::Running
    }

    /// Stops it until somebody resumes it.
    pub fn pause(&mut self, why: &str) {
        (self.phase, self.why) = (Phase::Paused, Some(why.to_owned()));
    }

    /// Ends it: what the files say now is not rolled out any further.
    pub fn abort(&mut self, why: &str) {
        (self.phase, self.why) = (Phase::Aborted, Some(why.to_owned()));
    }

    /// Goes on. The clusters that have failed are not counted any more.
    pub fn resume(&mut self) {
        (self.phase, self.why) = (Phase::Running, None);
        for one in self.changed.values_mut().filter(|one| one.failed.is_some()) {
            (one.counts, one.failed) = (false, None);
        }
    }

    /// Goes on with the wave after the one whose clusters are on their way. Returns the waves that are vouched for.
    pub fn promote(&mut self) -> BTreeSet<String> {
        self.resume();
        let waves: BTreeSet<String> = self.changed.values().map(|one| one.wave.clone()).collect();
        self.promoted.extend(waves.iter().cloned());
        waves
    }

    pub fn failures(&self) -> impl Iterator<Item = (ObjectId, &str)> {
        self.changed()
            .filter_map(|(id, one)| Some((id, one.failed.as_deref().filter(|_| one.counts)?)))
    }
}

fn key(id: &ObjectId) -> String {
    format!("{}/{}", id.namespace, id.name)
}

fn id(key: &str) -> ObjectId {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name)
}
