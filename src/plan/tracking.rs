//! Whose a live cluster is: this fleet's, nobody's, or somebody's who must not be disturbed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::empty;
use super::marks::marks;
use crate::api::labels;
use crate::object::{Object, ObjectId, pointer};

/// Whose a live cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tracked {
    /// Carries the id of this fleet and names itself.
    Member,
    /// Made by this program without a fleet, by its managed fields; or nothing but a name.
    Untracked,
    /// Made by somebody else, who does not track it. Who, as words.
    Foreign(String),
    /// Tracked by another tool or fleet, or owned by another object.
    Other(String),
}

/// Field managers of this program.
const OURS: [&str; 3] = [
    labels::FLEET_MANAGER,
    labels::PROTECT_MANAGER,
    labels::OPERATOR_MANAGER,
];

/// Returns the value of the tracking annotation of a member.
pub(super) fn tracking(fleet: &str, id: &ObjectId) -> String {
    format!("{fleet}/{}/{}", id.namespace, id.name)
}

/// Says whether a live cluster belongs to the fleet with this id.
pub fn is_member(id: &ObjectId, live: &Object, fleet: &str) -> bool {
    of(id, live, Some(fleet)) == Tracked::Member
}

/// Says whose a live cluster is, for the fleet with the id `own` or for nobody's files.
pub(super) fn of(id: &ObjectId, live: &Object, own: Option<&str>) -> Tracked {
    if let Some(other) = other_tracker(live) {
        return Tracked::Other(other);
    }
    let fleet = live.label(labels::FLEET_ID);
    let annotation = live.annotation(labels::TRACKING);
    match (own, fleet, annotation) {
        (Some(own), Some(fleet), Some(annotation)) if fleet == own => {
            if annotation == tracking(own, id) {
                Tracked::Member
            } else {
                Tracked::Foreign(format!(
                    "a copy: its annotation `{}` names `{annotation}`",
                    labels::TRACKING
                ))
            }
        }
        (Some(own), Some(fleet), _) if fleet != own => Tracked::Other(format!("fleet `{fleet}`")),
        (None, Some(fleet), _) => Tracked::Other(format!("fleet `{fleet}`")),
        (_, None, Some(annotation)) => Tracked::Foreign(format!(
            "it has lost its label `{}` and its annotation says `{annotation}`",
            labels::FLEET_ID
        )),
        (_, _, None) => {
            if appliers(live).any(|(manager, _)| manager == labels::FLEET_MANAGER) || is_blank(live) {
                Tracked::Untracked
            } else {
                Tracked::Foreign("it was not made from these files".to_owned())
            }
        }
        (Some(_), Some(_), Some(_)) => Tracked::Foreign("its fleet is not known".to_owned()),
    }
}

/// Says whether a live cluster is nothing but a name that nobody says to have written: of an apply without a single
/// field, as of a file with `spec: null`, the server records nothing.
fn is_blank(live: &Object) -> bool {
    let has_author =
        managers(live).any(|(manager, _, subresource, _)| subresource.is_empty() && !OURS.contains(&manager));
    let spec = live.0.get("spec").and_then(Value::as_object);
    // The schema fills in one replica.
    let is_filled_in = |key: &str, value: &Value| key == "replicas" && *value == 1;
    let says_nothing =
        |(key, value): (&String, &Value)| empty::says_nothing(value) || is_filled_in(key, value);
    !has_author && spec.is_none_or(|spec| spec.iter().all(says_nothing))
}

/// Returns who tracks a live cluster besides fleets of this program.
fn other_tracker(live: &Object) -> Option<String> {
    if let Some(owner) = owner(live) {
        return Some(owner);
    }
    let (mark, value) = marks(live).next()?;
    Some(match value {
        Some(value) => format!("{} (`{value}`)", mark.tool.name()),
        None => mark.tool.name().to_owned(),
    })
}

/// Returns kind and name of the object that a live cluster belongs to.
pub(super) fn owner(live: &Object) -> Option<String> {
    let owners = live.0.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.first()?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{} `{}`", text("kind"), text("name")))
}

/// Returns the managers that apply the main resource, with their fields.
fn appliers(live: &Object) -> impl Iterator<Item = (&str, &Value)> {
    managers(live).filter_map(|(manager, operation, subresource, fields)| {
        (operation == "Apply" && subresource.is_empty()).then_some((manager, fields))
    })
}

/// Manager, operation, subresource and fields of every entry.
pub(super) fn managers(live: &Object) -> impl Iterator<Item = (&str, &str, &str, &Value)> {
    let entries = live
        .0
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(|entry| {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        Some((
            text("manager"),
            text("operation"),
            text("subresource"),
            entry.get("fieldsV1")?,
        ))
    })
}

/// Returns another applier that owns a field of the spec which `body` sends: `(manager, field)`. People's tools do not
/// count: what they wrote is corrected.
pub(super) fn conflict(live: &Object, body: &Object, forced: &BTreeSet<String>) -> Option<(String, String)> {
    let sent = body.0.get("spec").and_then(Value::as_object)?;
    appliers(live)
        .filter(|(manager, _)| {
            !OURS.contains(manager) && !forced.contains(*manager) && !is_a_persons_tool(manager)
        })
        .find_map(|(manager, fields)| {
            let path = common(sent, fields.get("f:spec")?, "spec")?;
            Some((manager.to_owned(), path))
        })
}

/// Says whether a field manager is a tool that people use by hand.
pub(super) fn is_a_persons_tool(manager: &str) -> bool {
    const TOOLS: [&str; 5] = ["kubectl", "k9s", "lens", "headlamp", "dashboard"];
    let lower = manager.to_lowercase();
    TOOLS.iter().any(|tool| lower.starts_with(tool))
}

/// Finds the first field that is both sent and owned.
fn common(sent: &Map<String, Value>, owned: &Value, at: &str) -> Option<String> {
    sent.iter().find_map(|(key, value)| {
        let owned = owned.get(format!("f:{key}"))?;
        let here = format!("{at}.{key}");
        match (value, owned.as_object()) {
            (Value::Object(fields), Some(below)) if !below.is_empty() => common(fields, owned, &here),
            _ => Some(here),
        }
    })
}

/// Returns who scales the live cluster through the scale subresource, such as an autoscaler.
pub(super) fn scaler(live: &Object) -> Option<&str> {
    managers(live).find_map(|(manager, _, subresource, fields)| {
        let owns_replicas = fields
            .get("f:spec")
            .and_then(|spec| spec.get("f:replicas"))
            .is_some();
        (subresource == "scale" && owns_replicas && manager != labels::FLEET_MANAGER).then_some(manager)
    })
}

/// Returns the fields that this program applied as a fleet.
pub(super) fn applied(live: &Object) -> Option<&Value> {
    appliers(live).find_map(|(manager, fields)| (manager == labels::FLEET_MANAGER).then_some(fields))
}

/// Returns who wrote the field at a JSON pointer last, or what is around it when nobody owns the field itself.
pub(super) fn last_writer(live: &Object, pointer: &str) -> Option<String> {
    let entries = live
        .0
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)?;
    let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
    let mut writers: Vec<(usize, String, String)> = entries
        .iter()
        .filter(|entry| text(entry, "subresource").is_none_or(|subresource| subresource != "status"))
        .filter_map(|entry| {
            let depth = owned_depth(entry.get("fieldsV1")?, pointer);
            let time = text(entry, "time").unwrap_or_default();
            (depth > 0).then_some((depth, time, text(entry, "manager")?))
        })
        .collect();
    writers.sort();
    writers.pop().map(|(_, _, manager)| manager)
}

/// How many steps of a pointer a `fieldsV1` holds.
pub(super) fn owned_depth(fields: &Value, pointer: &str) -> usize {
    let mut at = fields;
    let mut depth = 0;
    for step in pointer::steps(pointer) {
        match at.get(format!("f:{step}")) {
            Some(below) => at = below,
            None => break,
        }
        depth += 1;
    }
    depth
}
