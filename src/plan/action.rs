//! The plan as a value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::etcd::{Change, Place};
use crate::object::{Object, ObjectId};
use crate::pki::{Issue, KeyPurpose};
use crate::render::Fill;

/// What will be done, what will not and why, and how much needs nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Commit or other name of what the desired side was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// In order; the actions of one wave may run at the same time. Deletions are in the last.
    pub waves: Vec<Wave>,
    /// What is not done, in order of identity.
    pub held: Vec<Held>,
    pub unchanged: Vec<ObjectId>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    pub name: String,
    pub actions: Vec<Action>,
}

/// One write, complete with its precondition and its reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    pub id: ObjectId,
    pub operation: Operation,
    pub impact: Impact,
    /// Why: for a fleet `file:line:column`, for children a phrase.
    pub reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Consequences in words, with names and counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// Writes of earlier waves without which this one must not happen. What is not in the plan needs no write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<ObjectId>,
}

/// The write itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// Creates; never takes over: an object of that name that exists is read and, if not ours, reported.
    Create { body: Object },
    /// Forced server-side apply of the complete desired object to the very object with this uid.
    Apply { body: Object, uid: String },
    /// Takes over a cluster that somebody else looked after, in the very version that was looked at: first the fields
    /// of others become the fleet's, if `managed_fields` says how, then as `Apply`.
    Adopt {
        body: Object,
        uid: String,
        resource_version: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        managed_fields: Option<Value>,
    },
    /// Creates a Secret (all but its data given) with bytes made by the key source.
    Issue {
        purpose: KeyPurpose,
        secret: Object,
        issue: Issue,
    },
    /// Makes the bytes of a Secret of ours anew, for the very object with this uid.
    Reissue {
        purpose: KeyPurpose,
        uid: String,
        secret: Object,
        issue: Issue,
    },
    /// Fills a Secret of ours with a value of another one, which is read where it is written. `uid`: the very object
    /// that exists; `None` creates.
    Fill {
        secret: Object,
        fill: Fill,
        uid: Option<String>,
    },
    /// Asks for more room in the very claim with this uid.
    Grow { uid: String, size: String },
    /// Deletes the very StatefulSet with this uid, without its pods, and creates it again, which takes them back: a
    /// claim template cannot be changed in another way.
    Recreate {
        body: Object,
        uid: String,
        resource_version: String,
    },
    /// JSON merge patch of `metadata` only (pins, labels, finalizers, owner references) with preconditions.
    PatchMetadata {
        uid: String,
        resource_version: Option<String>,
        metadata: Value,
    },
    /// Deletes the very object that was looked at.
    Delete {
        uid: String,
        resource_version: String,
        propagation: Propagation,
    },
    /// Changes who is a member of an etcd, if the members are still those that this was decided on.
    ChangeMembers { etcd: Place, change: Change },
    /// Deletes the very pod that was looked at, whatever has become of its status; its set makes it anew.
    ReplacePod { uid: String },
}

/// What an operation does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Change,
    Adopt,
    Delete,
}

impl Operation {
    pub fn verb(&self) -> Verb {
        match self {
            Self::Create { .. } | Self::Issue { .. } | Self::Fill { uid: None, .. } => Verb::Create,
            Self::Apply { .. }
            | Self::Reissue { .. }
            | Self::Fill { uid: Some(_), .. }
            | Self::Grow { .. }
            | Self::Recreate { .. }
            | Self::PatchMetadata { .. }
            | Self::ChangeMembers { .. }
            | Self::ReplacePod { .. } => Verb::Change,
            Self::Adopt { .. } => Verb::Adopt,
            Self::Delete { .. } => Verb::Delete,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Propagation {
    Background,
    Orphan,
}

/// What a change does to a running control plane, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// No pod restarts.
    Safe,
    /// Pods are replaced one by one; the API stays available.
    Rolling,
    /// Clients or workers notice.
    Disruptive,
    /// Cannot be computed. Every gate treats it as disruptive.
    Unknown,
    /// Data or keys go.
    DataLoss,
}

impl Impact {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Rolling => "rolling",
            Self::Disruptive => "disruptive",
            Self::Unknown => "unknown",
            Self::DataLoss => "data-loss",
        }
    }
}

/// One field that an action changes. Values of secret-capable fields are masked before they get here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// JSON pointer.
    pub pointer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// `file:line:column` the new value came from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Something that is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub id: ObjectId,
    pub reason: HeldReason,
    /// What it waits for or what to do instead, as a sentence for people.
    pub waiting_on: String,
}

/// Puts what is held into the order of plans.
pub fn sort_held(held: &mut [Held]) {
    held.sort_by(|one, other| (&one.id, one.reason).cmp(&(&other.id, other.reason)));
}

/// Why something is not done; one word for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HeldReason {
    /// Exists and is not ours.
    Foreign,
    /// Tracked by another fleet or tool.
    OtherOwner,
    /// Carries the protect annotation.
    Protected,
    /// Carries the hold annotation.
    Hold,
    /// Left the files, and deletions are not enabled for this run.
    DeletionsOff,
    /// More deletions than the budget allows: none is done.
    OverBudget,
    /// Nothing is desired at all: nothing is deleted.
    EmptySet,
    /// Errors in the files: nothing is deleted.
    ErrorFindings,
    /// That part of the cluster could not be read: nothing is deleted there.
    NotReadable,
    /// Waits for another object or fact.
    Waiting,
    /// The impact is above what this run may do.
    AboveMaxImpact,
    /// Fields that are left to another writer, such as the replicas of an autoscaler.
    Yielded,
    /// Another writer takes it back again and again; it is retried slowly.
    Fought,
    /// Cannot or must not be done (a refused version change, an immutable field).
    Refused,
}

impl HeldReason {
    /// Returns the word as it is serialized.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "Foreign",
            Self::OtherOwner => "OtherOwner",
            Self::Protected => "Protected",
            Self::Hold => "Hold",
            Self::DeletionsOff => "DeletionsOff",
            Self::OverBudget => "OverBudget",
            Self::EmptySet => "EmptySet",
            Self::ErrorFindings => "ErrorFindings",
            Self::NotReadable => "NotReadable",
            Self::Waiting => "Waiting",
            Self::AboveMaxImpact => "AboveMaxImpact",
            Self::Yielded => "Yielded",
            Self::Fought => "Fought",
            Self::Refused => "Refused",
        }
    }
}

/// How many of each, for summary lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub create: usize,
    pub change: usize,
    pub adopt: usize,
    pub delete: usize,
    pub held: usize,
    pub unchanged: usize,
}

impl Plan {
    /// Returns all actions in order of execution.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.waves.iter().flat_map(|wave| &wave.actions)
    }

    /// Returns all actions in order of execution, each with the name of its wave.
    pub fn in_waves(&self) -> impl Iterator<Item = (&str, &Action)> {
        self.waves
            .iter()
            .flat_map(|wave| wave.actions.iter().map(|action| (wave.name.as_str(), action)))
    }

    /// Says whether applying it would write nothing.
    pub fn is_empty(&self) -> bool {
        self.actions().next().is_none()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            held: self.held.len(),
            unchanged: self.unchanged.len(),
            ..Counts::default()
        };
        for action in self.actions() {
            match action.operation.verb() {
                Verb::Create => counts.create += 1,
                Verb::Change => counts.change += 1,
                Verb::Adopt => counts.adopt += 1,
                Verb::Delete => counts.delete += 1,
            }
        }
        counts
    }
}
