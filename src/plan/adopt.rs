//! A cluster that somebody else looks after, and the record by which it becomes this fleet's.
//!
//! A server-side apply takes away only what its own field manager applied before. So the fields of whoever had the
//! cluster become the fleet's first, and what the files do not say then really goes.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::marks::{Tool, marks};
use super::{AdoptRecord, HeldReason, Operation, empty, is_of_a_tool, shown, tracking};
use crate::api::fleet_files::{AdoptSource, IfDifferent};
use crate::api::labels;
use crate::diagnostic::visible;
use crate::object::{Difference, Object, ObjectId, kinds, pointer};

/// Differences that are told when a record does not allow any.
const TOLD_MAX: usize = 10;

/// A live cluster that may be taken over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taking {
    /// The live object as if the fleet had applied what the other one did.
    pub seen: Object,
    /// What the managed fields become before anything is applied; `None` when they need not change.
    pub managed_fields: Option<Value>,
}

/// Decides whether a record is about the one who has a live cluster, which `whose` names in words.
///
/// *Errors*: why the cluster stays as it is.
pub(super) fn claim(
    id: &ObjectId,
    live: &Object,
    record: &AdoptRecord,
    whose: &str,
) -> Result<Taking, (HeldReason, String)> {
    let other = |why: String| Err((HeldReason::OtherOwner, why));
    if let Some(owner) = tracking::owner(live) {
        return other(format!(
            "it belongs to {owner}; what an object owns is not taken over"
        ));
    }
    match &record.from {
        AdoptSource::Fleet(fleet) => {
            let is_theirs = live.label(labels::FLEET_ID) == Some(fleet)
                && live.annotation(labels::TRACKING) == Some(&tracking::tracking(fleet, id));
            if !is_theirs {
                return other(format!(
                    "{} names the fleet `{fleet}`, and that is not who has it: {whose}",
                    record.place
                ));
            }
            if let Some((mark, _)) = marks(live).next() {
                return other(format!(
                    "{} looks after it too; take it out there first",
                    mark.tool.name()
                ));
            }
        }
        AdoptSource::Manager(manager) => {
            if let Some(writer) = another_writer(live, manager) {
                return other(format!(
                    "{whose}, by the field manager `{writer}`, and {} names `{manager}`",
                    record.place
                ));
            }
            let names = main_managers(live);
            // A run that was stopped half way has taken the fields and not yet the mark.
            if !names.contains(&manager.as_str()) && tracking::applied(live).is_none() {
                return other(format!(
                    "{} names the field manager `{manager}`, and it was written by {}",
                    record.place,
                    listed(&names)
                ));
            }
        }
    }
    Ok(as_ours(live, &record.from))
}

/// Returns the record's source that would take a live cluster over.
///
/// *Errors*: why none can.
pub fn adoptable(id: &ObjectId, live: &Object) -> Result<AdoptSource, String> {
    if let Some(owner) = tracking::owner(live) {
        return Err(format!(
            "it belongs to {owner}; what an object owns is not taken over"
        ));
    }
    if let Some(fleet) = live.label(labels::FLEET_ID)
        && live.annotation(labels::TRACKING) == Some(&tracking::tracking(fleet, id))
    {
        return Ok(AdoptSource::Fleet(fleet.to_owned()));
    }
    let marked = marks(live).find_map(|(mark, _)| writers(live, &mark.pointer()).next());
    let author = || {
        tracking::managers(live)
            .filter(|(manager, _, subresource, _)| {
                subresource.is_empty()
                    && *manager != labels::OPERATOR_MANAGER
                    && *manager != labels::PROTECT_MANAGER
            })
            .max_by_key(|(_, operation, _, fields)| (fields.get("f:spec").is_some(), *operation == "Apply"))
            .map(|(manager, ..)| manager)
    };
    match marked.or_else(author) {
        Some(manager) if manager != labels::FLEET_MANAGER => Ok(AdoptSource::Manager(manager.to_owned())),
        Some(_) => Err(
            "it was made by `apply` without a fleet: a fleet whose files name it takes it up by itself"
                .to_owned(),
        ),
        None => Err("it is not recorded who wrote it".to_owned()),
    }
}

/// Looks at a live cluster as if the fleet had applied what `source` did, and what people changed by hand.
///
/// Of metadata only labels and annotations are taken: finalizers and owner references are never given away by an apply.
pub(super) fn as_ours(live: &Object, source: &AdoptSource) -> Taking {
    let unchanged = || Taking {
        seen: live.clone(),
        managed_fields: None,
    };
    // Another fleet applies with the very same field manager.
    let AdoptSource::Manager(manager) = source else {
        return unchanged();
    };
    let text = |entry: &Value, field: &str| {
        entry
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let is_ours = |entry: &Value| {
        text(entry, "manager") == labels::FLEET_MANAGER && text(entry, "operation") == "Apply"
    };
    let is_taken = |entry: &&Value| {
        let by = text(entry, "manager");
        text(entry, "subresource").is_empty()
            && (by == *manager || tracking::is_a_persons_tool(&by) || is_ours(entry))
    };
    let entries = live
        .0
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let (taken, kept): (Vec<&Value>, Vec<&Value>) = entries.into_iter().flatten().partition(is_taken);
    if taken.iter().all(|entry| is_ours(entry)) {
        return unchanged();
    }
    let mut fields = json!({});
    for entry in &taken {
        unite(&mut fields, &wanted_part(entry.get("fieldsV1")));
    }
    let mut ours = json!({
        "manager": labels::FLEET_MANAGER,
        "operation": "Apply",
        "apiVersion": kinds::K0SMOTRON_CLUSTER.api_version(),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    let time = taken.iter().filter_map(|entry| entry.get("time")).next_back();
    if let Some(time) = time {
        ours["time"] = time.clone();
    }
    let managed_fields: Value = kept.into_iter().cloned().chain([ours]).collect();
    let mut seen = live.clone();
    seen.0["metadata"]["managedFields"] = managed_fields.clone();
    Taking {
        seen,
        managed_fields: Some(managed_fields),
    }
}

/// Returns the live object as an operation finds it when it applies: with the fields that it takes over first.
pub(super) fn seen<'a>(operation: &Operation, live: &'a Object) -> Cow<'a, Object> {
    match operation {
        Operation::Adopt {
            managed_fields: Some(fields),
            ..
        } => {
            let mut seen = live.clone();
            seen.0["metadata"]["managedFields"] = fields.clone();
            Cow::Owned(seen)
        }
        _ => Cow::Borrowed(live),
    }
}

/// Says why a record that allows no difference does not take the cluster over; `None` when it does.
pub(super) fn refusal(record: &AdoptRecord, differences: &[Difference]) -> Option<String> {
    match record.if_different {
        IfDifferent::Overwrite => return None,
        IfDifferent::Fail => {}
    }
    let told: Vec<String> = differences
        .iter()
        .filter(|difference| !is_bookkeeping(difference) && !is_nothing(difference))
        .map(|difference| {
            let value = |value: &Option<Value>| match value {
                None => "(unset)".to_owned(),
                Some(value) => match shown::value(&difference.pointer, value) {
                    Value::String(text) => visible(&text),
                    other => visible(&other.to_string()),
                },
            };
            format!(
                "{} {} -> {}",
                pointer::to_field_path(&difference.pointer),
                value(&difference.old),
                value(&difference.new)
            )
        })
        .collect();
    if told.is_empty() {
        return None;
    }
    let more = match told.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!(
        "it is not as the files say, and {} takes it over only as it is: {}{more}; change the files (`k0smotron-fleet \
         export` prints what is there), or write `ifDifferent: Overwrite` into the record",
        record.place,
        told.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join(", ")
    ))
}

/// Says what the one who had the cluster will do next, and who that was.
pub(super) fn effects(id: &ObjectId, live: &Object, record: &AdoptRecord) -> Vec<String> {
    let from = match &record.from {
        AdoptSource::Fleet(fleet) => {
            return vec![
                format!("taken over from the fleet `{}`", visible(fleet)),
                format!(
                    "that fleet leaves it alone from now on, and deletes nothing; take {}/{} out of its files",
                    id.namespace, id.name
                ),
            ];
        }
        AdoptSource::Manager(manager) => visible(manager),
    };
    let tool = marks(live).next();
    let next = match tool.map(|(mark, _)| mark.tool) {
        Some(tool @ (Tool::ArgoCd | Tool::Flux | Tool::RancherFleet)) => format!(
            "{} applies and marks it again as long as its source has it: take it out there now. Without the mark, which \
             goes, it does not delete it",
            tool.name()
        ),
        Some(Tool::Helm) => {
            "the Helm release still lists it: an upgrade that leaves it out, and an uninstall, delete it. \
             First annotate it in the chart with `helm.sh/resource-policy: keep`"
                .to_owned()
        }
        None if tracking::is_a_persons_tool(&from) => {
            "whoever applies its manifest again changes it again, and the next run corrects that".to_owned()
        }
        None => format!("if `{from}` applies it again, the fleet holds it as a conflict; take it out there"),
    };
    let of = match tool {
        Some((mark, Some(value))) => format!(" ({}, `{}`)", mark.tool.name(), visible(value)),
        Some((mark, None)) => format!(" ({})", mark.tool.name()),
        None => String::new(),
    };
    vec![format!("taken over from `{from}`{of}"), next]
}

/// Returns who wrote a mark of the cluster, when it was neither the manager that a record names nor, for the mark of a
/// tool, a run of this fleet that was stopped half way.
fn another_writer<'a>(live: &'a Object, manager: &str) -> Option<&'a str> {
    let of_tools = marks(live).map(|(mark, _)| (mark.pointer(), true));
    let of_fleets = [
        pointer::push("/metadata/labels", labels::FLEET_ID),
        pointer::push("/metadata/annotations", labels::TRACKING),
    ]
    .into_iter()
    .filter(|at| live.0.pointer(at).is_some())
    .map(|at| (at, false));
    of_tools.chain(of_fleets).find_map(|(at, is_of_a_tool)| {
        let mut found = writers(live, &at).peekable();
        let first = *found.peek()?;
        let is_meant = |writer: &str| writer == manager || is_of_a_tool && writer == labels::FLEET_MANAGER;
        (!found.any(is_meant)).then_some(first)
    })
}

/// Returns the managers that own the field at a pointer.
fn writers<'a>(live: &'a Object, at: &str) -> impl Iterator<Item = &'a str> {
    let steps = pointer::steps(at).count();
    tracking::managers(live)
        .filter(move |(_, _, _, fields)| tracking::owned_depth(fields, at) == steps)
        .map(|(manager, ..)| manager)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Returns the managers of the object itself, without those of its status and scale.
fn main_managers(live: &Object) -> Vec<&str> {
    tracking::managers(live)
        .filter(|(_, _, subresource, _)| subresource.is_empty())
        .map(|(manager, ..)| manager)
        .collect()
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "nobody that is recorded".to_owned(),
        names => {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", visible(name))).collect();
            quoted.join(", ")
        }
    }
}

/// Whether a difference takes away what says nothing.
fn is_nothing(difference: &Difference) -> bool {
    difference.new.is_none() && difference.old.as_ref().is_some_and(empty::says_nothing)
}

/// Whether a difference is the membership itself, or what a tool wrote for itself.
fn is_bookkeeping(difference: &Difference) -> bool {
    let is_tools = |key: &str, value: &Value| is_of_a_tool(key, value.as_str().unwrap_or_default());
    let values = || [&difference.old, &difference.new].into_iter().flatten();
    let steps: Vec<_> = pointer::steps(&difference.pointer).collect();
    match steps.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice() {
        ["metadata", "labels" | "annotations", key] => values().all(|value| is_tools(key, value)),
        // There were none at all.
        ["metadata", "labels" | "annotations"] => values()
            .filter_map(Value::as_object)
            .flatten()
            .all(|(key, value)| is_tools(key, value)),
        _ => false,
    }
}

/// Returns the part of somebody's fields that a fleet writes too.
fn wanted_part(fields: Option<&Value>) -> Value {
    let mut part = json!({});
    let Some(fields) = fields else { return part };
    if let Some(spec) = fields.get("f:spec") {
        part["f:spec"] = spec.clone();
    }
    for key in ["f:labels", "f:annotations"] {
        if let Some(words) = fields.get("f:metadata").and_then(|metadata| metadata.get(key)) {
            part["f:metadata"][key] = words.clone();
        }
    }
    part
}

/// Adds the fields of one set to another.
fn unite(into: &mut Value, other: &Value) {
    let Some(fields) = other.as_object() else { return };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (key, below) in fields {
        match into.get_mut(key) {
            Some(known) => unite(known, below),
            None => into[key.as_str()] = below.clone(),
        }
    }
}
