//! A plan in a file: what executing it later needs, and what shows that it no longer fits.
//!
//! [`Plan`] and the live objects it was made from -> [`SavedPlan`] -> JSON and back.
//!
//! **Invariant:** no value that may be a secret is in it. Where one would be sent, its place and digest are kept
//! ([`SavedEntry::withheld`]); executing takes the value from the live object or from the files, if it is the same.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::rollout::Rollout;
use super::withheld::{self, Withheld};
use super::{
    Action, FieldChange, Held, Impact, Operation, Plan, Propagation, Prune, Wave, adopt, deletions, stale,
};
use crate::api::fleet::{Fleet, FleetSpec};
use crate::api::fleet_files::{AdoptSource, IfDifferent, RemovalPolicy};
use crate::api::fleet_rollout::{CHANGES, DELETIONS, NAMESPACES};
use crate::api::labels;
use crate::object::{Object, ObjectId, ObjectSet, Observed, digest, kinds};
use crate::render::HubOperator;

/// What the first field of the file says.
pub const FORMAT: &str = "k0smotron-fleet/saved-plan";
/// Grows when a field changes its meaning, goes or comes: who knows an older one must not execute a newer one.
pub const FORMAT_VERSION: u32 = 3;
/// Fewest digits of a digest that name a plan.
const DIGEST_MIN: usize = 12;

/// A plan as it is stored by `plan --out`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedPlan {
    /// `k0smotron-fleet/saved-plan`.
    pub format: String,
    pub format_version: u32,
    /// SHA-256 of everything else here: what `apply --approve` takes.
    #[serde(default)]
    pub digest: String,
    /// Version of the program that wrote it.
    pub tool: String,
    /// The Fleet with its guards; null without a `fleet.yaml`.
    pub fleet: Option<SavedFleet>,
    /// Commit or other name of what the files were read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of the Fleet and all composed clusters.
    pub content: String,
    pub hub: SavedHub,
    /// How the operator of the hub renders.
    pub operator: HubOperator,
    /// The run deletes what left the files (`--prune`).
    pub prune: bool,
    /// Field managers whose fields are taken over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub force_conflicts: BTreeSet<String>,
    /// The files had errors and the valid clusters were planned (`--keep-going`): nothing is deleted.
    pub has_errors: bool,
    /// Namespaces of the fleet on the hub.
    pub namespaces: BTreeSet<String>,
    /// What will be written, in the order of execution.
    pub entries: Vec<SavedEntry>,
    /// What will not be written, and why.
    pub held: Vec<Held>,
    /// Clusters that are as the files say.
    pub unchanged: Vec<ObjectId>,
    /// Clusters of the files that are in no list above: not selected.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub others: BTreeSet<ObjectId>,
}

/// The Fleet that was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedFleet {
    pub name: String,
    pub spec: FleetSpec,
}

/// The hub that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedHub {
    /// `https://host:port`; for people.
    pub server: String,
    /// Uid of the namespace kube-system; null when it could not be read.
    pub uid: Option<String>,
}

/// What one entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SavedAction {
    Create,
    Change,
    Adopt,
    Delete,
    /// Takes a cluster out of the fleet and leaves it running.
    Orphan,
}

impl SavedAction {
    /// Returns what becomes of a cluster that left the files; `None` for those that are in them.
    pub fn of_removed(self) -> Option<RemovalPolicy> {
        match self {
            Self::Create | Self::Change | Self::Adopt => None,
            Self::Delete => Some(RemovalPolicy::Delete),
            Self::Orphan => Some(RemovalPolicy::Orphan),
        }
    }
}

/// One write, and what it was planned against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedEntry {
    pub object: ObjectId,
    pub action: SavedAction,
    /// Of the live object; absent for what is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    pub impact: Impact,
    /// `path:line:column`, or words.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// Of `adopt`: the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<SavedAdoption>,
    /// Entries without which this one is not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<ObjectId>,
    /// What is sent as a server-side apply; absent for deletions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Object>,
    /// SHA-256 of what is sent, with the withheld values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_digest: Option<String>,
    /// Values that may be secrets and are not in `patch`: JSON pointer to SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<String, String>,
    /// The live fields that the entry writes or that the fleet owns (of a deletion the whole spec, of a cluster that is
    /// let go what makes it a member), by JSON pointer. A value that may be a secret is replaced by its digest. If any of them moves, the entry is stale.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub live: BTreeMap<String, Value>,
    /// SHA-256 of `live`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_digest: Option<String>,
}

/// What the record of a cluster that is taken over says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedAdoption {
    pub from: AdoptSource,
    pub if_different: IfDifferent,
}

/// What a plan does not say itself.
#[derive(Clone, Debug)]
pub struct SavedFrom<'a> {
    pub fleet: Option<&'a Fleet>,
    pub content: String,
    pub hub: SavedHub,
    pub operator: &'a HubOperator,
    pub prune: Prune,
    pub force_conflicts: BTreeSet<String>,
    pub has_errors: bool,
    pub namespaces: BTreeSet<String>,
    /// All clusters that the files name, those with errors too.
    pub named: BTreeSet<ObjectId>,
    /// What the plan was made from.
    pub live: &'a ObjectSet,
    pub adopted: BTreeMap<ObjectId, SavedAdoption>,
    pub tool: &'static str,
}

/// Why a file is no plan that this program executes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SavedPlanError {
    #[error("it is no saved plan: {reason}")]
    Malformed { reason: String },
    #[error(
        "it was written by another version of the program (format {found}, this one knows {FORMAT_VERSION})"
    )]
    OtherVersion { found: u64 },
    #[error("it was changed after it was written: its digest is {actual}, and it says {stated}")]
    Altered { stated: String, actual: String },
    #[error("the digest that was approved is {approved}, and that of the plan is {actual}")]
    NotApproved { approved: String, actual: String },
}

impl SavedPlan {
    /// Returns a plan as it is stored.
    pub fn of(plan: &Plan, from: &SavedFrom<'_>) -> Self {
        let entries: Vec<SavedEntry> = plan.actions().map(|action| entry(action, from)).collect();
        let mut others = from.named.clone();
        for id in entries.iter().map(|entry| &entry.object).chain(&plan.unchanged) {
            others.remove(id);
        }
        let mut saved = Self {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            digest: String::new(),
            tool: from.tool.to_owned(),
            fleet: from.fleet.map(|fleet| SavedFleet {
                name: fleet.name.clone(),
                spec: fleet.spec.clone(),
            }),
            revision: plan.revision.clone(),
            content: from.content.clone(),
            hub: from.hub.clone(),
            operator: from.operator.clone(),
            prune: from.prune == Prune::Yes,
            force_conflicts: from.force_conflicts.clone(),
            has_errors: from.has_errors,
            namespaces: from.namespaces.clone(),
            entries,
            held: plan.held.clone(),
            unchanged: plan.unchanged.clone(),
            others,
        };
        saved.digest = saved.computed_digest();
        saved
    }

    /// Says whether a JSON document is meant to be a saved plan, of whatever version.
    pub fn is_meant(document: &Value) -> bool {
        document.get("format").and_then(Value::as_str) == Some(FORMAT)
    }

    /// Reads a document for which [`SavedPlan::is_meant`] holds.
    pub fn read(document: Value) -> Result<Self, SavedPlanError> {
        let found = document
            .get("formatVersion")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        if found != u64::from(FORMAT_VERSION) {
            return Err(SavedPlanError::OtherVersion { found });
        }
        let saved: Self = serde_json::from_value(document).map_err(|error| SavedPlanError::Malformed {
            reason: error.to_string(),
        })?;
        let actual = saved.computed_digest();
        if saved.digest != actual {
            return Err(SavedPlanError::Altered {
                stated: saved.digest,
                actual,
            });
        }
        match saved.entries.iter().find_map(contradiction) {
            Some(reason) => Err(SavedPlanError::Malformed { reason }),
            None => Ok(saved),
        }
    }

    /// Returns the file's text.
    pub fn text(&self) -> String {
        // Fields in their order, the header first.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{text}\n")
    }

    /// Checks an approval given as a digest, which may be shortened to twelve digits.
    pub fn check_approval(&self, approved: &str) -> Result<(), SavedPlanError> {
        if approved.len() >= DIGEST_MIN && self.digest.starts_with(approved) {
            return Ok(());
        }
        Err(SavedPlanError::NotApproved {
            approved: approved.to_owned(),
            actual: self.digest.clone(),
        })
    }

    /// Returns the plan as it was, to be shown; what was withheld is not in it.
    pub fn to_plan(&self) -> Plan {
        let mut waves: Vec<Wave> = Vec::new();
        for entry in &self.entries {
            let name = wave_name(entry);
            match waves.last_mut() {
                Some(wave) if wave.name == name => wave.actions.push(action(entry)),
                Some(_) | None => waves.push(Wave {
                    name: name.to_owned(),
                    actions: vec![action(entry)],
                }),
            }
        }
        let plan = Plan {
            revision: self.revision.clone(),
            waves,
            held: self.held.clone(),
            unchanged: self.unchanged.clone(),
        };
        let rollout = self.fleet.as_ref().and_then(|fleet| Rollout::of(&fleet.spec));
        match rollout {
            // The order of what was saved is that of the waves already.
            Some(rollout) => rollout.arrange(plan, &Observed::default()),
            None => plan,
        }
    }

    pub fn fleet(&self) -> Option<Fleet> {
        self.fleet.as_ref().map(|fleet| Fleet {
            name: fleet.name.clone(),
            spec: fleet.spec.clone(),
        })
    }

    /// Returns all clusters of the files that no entry writes.
    pub fn not_written(&self) -> BTreeSet<ObjectId> {
        self.unchanged.iter().chain(&self.others).cloned().collect()
    }

    fn computed_digest(&self) -> String {
        let mut content = json!(self);
        if let Some(fields) = content.as_object_mut() {
            fields.remove("digest");
        }
        digest(&content)
    }
}

/// Says why an entry is none that a plan of a fleet has: then what it shows need not be what it writes.
fn contradiction(entry: &SavedEntry) -> Option<String> {
    let id = &entry.object;
    if id.kind != kinds::K0SMOTRON_CLUSTER && id.kind != kinds::NAMESPACE {
        return Some(format!("{id} is neither a cluster nor a namespace"));
    }
    if id.name.is_empty() || id.namespace.is_empty() == id.kind.is_namespaced {
        return Some(format!("{id} has no whole name"));
    }
    let written = entry.patch.as_ref().map(Object::id);
    written
        .filter(|written| written.as_ref() != Some(id))
        .map(|_| format!("the entry of {id} writes another object"))
}

fn entry(action: &Action, from: &SavedFrom<'_>) -> SavedEntry {
    let (kind, uid, body) = match &action.operation {
        Operation::Create { body } => (SavedAction::Create, None, Some(body)),
        Operation::Apply { body, uid } => (SavedAction::Change, Some(uid.clone()), Some(body)),
        Operation::Adopt { body, uid, .. } => (SavedAction::Adopt, Some(uid.clone()), Some(body)),
        Operation::Delete { uid, .. } => (SavedAction::Delete, Some(uid.clone()), None),
        // Of a fleet's plan this is what a record lets go.
        Operation::PatchMetadata { uid, .. } => (SavedAction::Orphan, Some(uid.clone()), None),
        // No plan of a fleet has these; they keep their names only, and executing finds them stale.
        Operation::Issue { .. } | Operation::Fill { uid: None, .. } => (SavedAction::Create, None, None),
        Operation::Reissue { uid, .. }
        | Operation::Fill { uid: Some(uid), .. }
        | Operation::Grow { uid, .. }
        | Operation::Recreate { uid, .. }
        | Operation::ReplacePod { uid } => (SavedAction::Change, Some(uid.clone()), None),
        Operation::ChangeMembers { .. } => (SavedAction::Change, None, None),
    };
    let Withheld { object, digests } = body.map(withheld::take).unwrap_or_default();
    let live = match (kind, from.live.get(&action.id)) {
        (SavedAction::Create, _) | (_, None) => BTreeMap::new(),
        (
            SavedAction::Change | SavedAction::Adopt | SavedAction::Delete | SavedAction::Orphan,
            Some(live),
        ) => {
            let live = adopt::seen(&action.operation, live);
            stale::seen(kind, &live, body.is_some().then_some(&object))
        }
    };
    SavedEntry {
        object: action.id.clone(),
        action: kind,
        uid,
        impact: action.impact,
        reason: action.reason.clone(),
        changes: action.changes.clone(),
        effects: action.effects.clone(),
        adoption: match kind {
            SavedAction::Adopt => from.adopted.get(&action.id).cloned(),
            SavedAction::Create | SavedAction::Change | SavedAction::Delete | SavedAction::Orphan => None,
        },
        needs: action.needs.clone(),
        patch: body.is_some().then_some(object),
        desired_digest: body.map(|body| digest(&body.0)),
        withheld: digests,
        live_digest: (!live.is_empty()).then(|| digest(&live)),
        live,
    }
}

fn wave_name(entry: &SavedEntry) -> &'static str {
    match entry.action {
        SavedAction::Delete | SavedAction::Orphan => DELETIONS,
        SavedAction::Create | SavedAction::Change if entry.object.namespace.is_empty() => NAMESPACES,
        SavedAction::Create | SavedAction::Change | SavedAction::Adopt => CHANGES,
    }
}

fn action(entry: &SavedEntry) -> Action {
    let body = entry.patch.clone().unwrap_or_default();
    let uid = entry.uid.clone().unwrap_or_default();
    Action {
        id: entry.object.clone(),
        operation: match entry.action {
            SavedAction::Create => Operation::Create { body },
            SavedAction::Change => Operation::Apply { body, uid },
            SavedAction::Adopt => Operation::Adopt {
                body,
                uid,
                resource_version: String::new(),
                managed_fields: None,
            },
            SavedAction::Delete => Operation::Delete {
                uid,
                resource_version: String::new(),
                propagation: Propagation::Background,
            },
            SavedAction::Orphan => Operation::PatchMetadata {
                uid,
                resource_version: None,
                metadata: deletions::let_go_metadata(),
            },
        },
        impact: entry.impact,
        reason: entry.reason.clone(),
        changes: entry.changes.clone(),
        effects: entry.effects.clone(),
        needs: entry.needs.clone(),
    }
}

impl SavedEntry {
    /// Returns path of the file that the object came from.
    pub fn source(&self) -> &str {
        let patch = self.patch.as_ref();
        patch
            .and_then(|patch| patch.annotation(labels::SOURCE))
            .unwrap_or_default()
    }
}

/// Returns the JSON Schema of the file.
pub fn schema() -> Value {
    let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let mut schema = Value::from(generator.into_root_schema_for::<SavedPlan>());
    schema["properties"]["format"]["const"] = json!(FORMAT);
    schema["properties"]["formatVersion"] = json!({"const": FORMAT_VERSION});
    schema
}
