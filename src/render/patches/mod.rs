//! Changes that users make to generated objects, as the last step of rendering.
//!
//! `spec.patches` -> [`Patches`], read once -> changed answers.
//!
//! **Invariant:** a patch reaches nothing but what is rendered whole for this cluster, and no Secret. What identifies,
//! selects or owns an object stays ours (`guarded`), and a patched pod breaks no rule of the Pod Security level
//! `baseline` that it did not break before: who may write clusters must not thereby become root on the nodes of the
//! hosting cluster.

mod guarded;
pub mod merge_keys;
pub mod strategic;

use serde_json::Value;

use super::answer::{Answer, Answers, Stalled};
use super::pod_security;
use crate::api::cluster_parts::ObjectPatch;
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, labels};
use crate::object::{Object, ObjectId, kinds};
use crate::patch::{self, Change, Patch};

/// Reason of what is held when a patch is of no use.
pub const MATCHES_NOTHING: &str = "PatchMatchesNothing";

/// An object with this many values is not one that anybody wants: copies of copies grow without end.
const MOST_VALUES: usize = 100_000;
/// Text counts as one value more for each of these: about what a short value takes in memory.
const VALUE_BYTES: usize = 64;

/// The patches of a cluster, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patches(Vec<Patch>);

impl Patches {
    /// Reads the patches of a spec.
    ///
    /// *Errors*: the first one that is no patch, or that is meant for what must not be patched.
    pub(super) fn read(spec: &ClusterSpec) -> Result<Self, Stalled> {
        let read = |(index, patch): (usize, &ObjectPatch)| {
            patch::read(patch).map_err(|no| {
                refused(
                    &place(index, &patch.target.kind, &patch.target.component),
                    &no.why,
                )
            })
        };
        spec.patches
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Changes the answers; says which patches found nothing to change.
    ///
    /// *Errors*: a patch that cannot be applied to what it is meant for, or that changes what it must not. The answers
    /// may then be half patched.
    pub(super) fn apply(&self, answers: &mut Answers) -> Result<Vec<HeldStatus>, Stalled> {
        let mut held = Vec::new();
        for (index, patch) in self.0.iter().enumerate() {
            let place = place(index, &patch.kind, &patch.component);
            let mut is_used = false;
            for (id, object) in answers.iter_mut().filter_map(rendered) {
                if patch.is_for(id, object) {
                    is_used = true;
                    patch
                        .apply(object)
                        .map_err(|why| refused(&place, &format!("{}: {why}", shown(id))))?;
                }
            }
            // What still waits for something may turn out to be what is meant.
            let is_awaited = answers
                .iter()
                .any(|(id, answer)| id.kind.kind == patch.kind && matches!(answer, Answer::Keep { .. }));
            if !is_used && !is_awaited {
                held.push(HeldStatus {
                    what: place,
                    reason: MATCHES_NOTHING.to_owned(),
                    message: format!(
                        "no {} with component `{}` is made for this cluster; correct or remove the patch",
                        patch.kind, patch.component
                    ),
                });
            }
        }
        Ok(held)
    }
}

/// Returns the answers that are whole objects, but no Secret.
fn rendered<'a>((id, answer): (&'a ObjectId, &'a mut Answer)) -> Option<(&'a ObjectId, &'a mut Object)> {
    let object = answer.object_mut().filter(|_| id.kind != kinds::SECRET)?;
    Some((id, object))
}

impl Patch {
    fn is_for(&self, id: &ObjectId, object: &Object) -> bool {
        id.kind.kind == self.kind && object.label(labels::APP_COMPONENT) == Some(&self.component)
    }

    fn apply(&self, object: &mut Object) -> Result<(), String> {
        let before = object.clone();
        match &self.change {
            Change::Json(operations) => operate(&mut object.0, operations)?,
            Change::Merge(patch) => json_patch::merge(&mut object.0, patch),
            Change::Strategic(patch) => strategic::apply(&self.kind, &mut object.0, patch)?,
        }
        if let Some(what) = guarded::changed(&before.0, &object.0) {
            return Err(what);
        }
        let known = pod_security::violations_of(&before.0);
        match pod_security::violations_of(&object.0).difference(&known).next() {
            Some(violation) => Err(format!(
                "its pods would not pass the Pod Security level baseline any more: {violation}"
            )),
            None => Ok(()),
        }
    }
}

/// Applies the operations one by one, so that none can make more than the next one needs.
fn operate(object: &mut Value, patch: &json_patch::Patch) -> Result<(), String> {
    for (index, operation) in patch.0.iter().enumerate() {
        json_patch::patch_unsafe(object, std::slice::from_ref(operation))
            .map_err(|error| format!("operation {index} at `{}`: {}", operation.path(), error.kind))?;
        if values(object, MOST_VALUES) == 0 {
            return Err(format!("operation {index} makes more than {MOST_VALUES} values"));
        }
    }
    Ok(())
}

/// Counts down from `left` by the values in `value`; nothing is left when there are more. Long text, also as a key,
/// counts as several.
fn values(value: &Value, left: usize) -> usize {
    let of_text = |text: &str| text.len() / VALUE_BYTES;
    let left = left.saturating_sub(1);
    let rest = |left: usize, value: &Value| if left == 0 { 0 } else { values(value, left) };
    match value {
        Value::Object(fields) => fields.iter().fold(left, |left, (key, value)| {
            rest(left.saturating_sub(of_text(key)), value)
        }),
        Value::Array(items) => items.iter().fold(left, rest),
        Value::String(text) => left.saturating_sub(of_text(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => left,
    }
}

fn place(index: usize, kind: &str, component: &str) -> String {
    format!("spec.patches[{index}] ({kind}, {component})")
}

fn shown(id: &ObjectId) -> String {
    format!("{} `{}`", id.kind, id.name)
}

fn refused(place: &str, why: &str) -> Stalled {
    Stalled {
        reason: "InvalidPatch".to_owned(),
        message: format!("{place} cannot be applied: {why}"),
    }
}

#[cfg(test)]
#[path = "patches_tests.rs"]
mod tests;
