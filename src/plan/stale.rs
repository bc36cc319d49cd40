//! What moved since a plan was saved: each field with what it was, what it is and who wrote it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::saved::{SavedAction, SavedEntry, SavedPlan};
use super::{Action, Held, Operation, Plan, adopt, shown, tracking};
use crate::api::labels;
use crate::object::{Object, ObjectId, Observed, differences, digest, pointer};
use crate::render::{HubOperator, Settings};

/// One thing that is not as it was when the plan was saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Stale {
    /// `None`: the hub or its operator.
    pub object: Option<ObjectId>,
    /// Field path, such as `spec.version` or `metadata.uid`.
    pub field: String,
    /// `None`: it was not set.
    pub old: Option<Value>,
    pub new: Option<Value>,
    /// Who wrote it last, where that is known.
    pub manager: Option<String>,
}

impl Stale {
    fn new(object: Option<&ObjectId>, field: &str, old: Option<Value>, new: Option<Value>) -> Self {
        Self {
            object: object.cloned(),
            field: field.to_owned(),
            old,
            new,
            manager: None,
        }
    }
}

/// An object as it is now, against an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Just as it was.
    Fits,
    /// What the entry does is done already, as after a run that was interrupted.
    Done,
    Moved(Vec<Stale>),
}

/// Returns the live fields that a write of `body` touches or that the fleet owns; without a body, those that decide what
/// a deletion takes away, or what letting go does.
///
/// *Shape*: by JSON pointer; a list is one value. What may be a secret is a digest.
pub(super) fn seen(action: SavedAction, live: &Object, body: Option<&Object>) -> BTreeMap<String, Value> {
    let mut pointers = BTreeSet::new();
    match body {
        Some(body) => {
            for part in ["/spec", "/metadata/labels", "/metadata/annotations"] {
                leaves(part, body.0.pointer(part), &mut pointers);
            }
            if let Some(owned) = tracking::applied(live) {
                owned_leaves("", owned, &live.0, &mut pointers);
            }
        }
        None => {
            // Whatever its spec is, it stays.
            if action != SavedAction::Orphan {
                leaves("/spec", live.0.pointer("/spec"), &mut pointers);
            }
            let id = pointer::push("/metadata/labels", labels::FLEET_ID);
            let tracking = pointer::push("/metadata/annotations", labels::TRACKING);
            pointers.extend([id, tracking]);
        }
    }
    pointers
        .into_iter()
        .filter_map(|pointer| {
            let value = live.0.pointer(&pointer)?;
            let value = masked(&pointer, value);
            Some((pointer, value))
        })
        .collect()
}

/// Judges one entry of a saved plan by the object that is there now.
pub(super) fn standing(entry: &SavedEntry, live: Option<&Object>, body: Option<&Object>) -> Standing {
    let one = |field: &str, old, new| Stale::new(Some(&entry.object), field, old, new);
    let uid = |live: Option<&Object>| live.and_then(Object::uid).map(Value::from);
    let is_as_wanted =
        |live: &Object, body: &Object| differences(body, live, labels::FLEET_MANAGER).is_empty();
    match (entry.action, live) {
        (SavedAction::Create, None) => Standing::Fits,
        (SavedAction::Delete | SavedAction::Orphan, None) => Standing::Done,
        (SavedAction::Create, Some(found)) => match body {
            Some(body) if is_as_wanted(found, body) => Standing::Done,
            Some(_) | None => Standing::Moved(vec![Stale {
                manager: tracking::last_writer(found, "/spec"),
                ..one("metadata.uid", None, uid(live))
            }]),
        },
        (SavedAction::Change | SavedAction::Adopt, None) => Standing::Moved(vec![one(
            "metadata.uid",
            entry.uid.clone().map(Value::from),
            None,
        )]),
        (
            SavedAction::Change | SavedAction::Adopt | SavedAction::Delete | SavedAction::Orphan,
            Some(found),
        ) => {
            if found.uid() != entry.uid.as_deref() {
                return Standing::Moved(vec![one(
                    "metadata.uid",
                    entry.uid.clone().map(Value::from),
                    uid(live),
                )]);
            }
            if let Some(body) = body
                && is_as_wanted(found, body)
            {
                return Standing::Done;
            }
            if entry.action == SavedAction::Orphan && found.label(labels::FLEET_ID).is_none() {
                return Standing::Done;
            }
            let seen = |live: &Object| seen(entry.action, live, entry.patch.as_ref());
            let now = match &entry.adoption {
                Some(adoption) => seen(&adopt::as_ours(found, &adoption.from).seen),
                None => seen(found),
            };
            if entry.live_digest == Some(digest(&now)) {
                return Standing::Fits;
            }
            let moved = moved(&entry.live, &now).map(|(pointer, old, new)| Stale {
                manager: tracking::last_writer(found, pointer),
                ..one(&pointer::to_field_path(pointer), old, new)
            });
            Standing::Moved(moved.collect())
        }
    }
}

/// Compares what is common to a whole plan: the hub and how its operator renders.
pub fn common(saved: &SavedPlan, hub_uid: Option<&str>, operator: &HubOperator) -> Vec<Stale> {
    let mut stale = Vec::new();
    if saved.hub.uid.as_deref() != hub_uid {
        let old = saved.hub.uid.clone().map(Value::from);
        stale.push(Stale::new(None, "hub.uid", old, hub_uid.map(Value::from)));
    }
    let (old, new) = (of_operator(&saved.operator), of_operator(operator));
    stale.extend(
        moved(&old, &new)
            .map(|(pointer, old, new)| Stale::new(None, &pointer::to_field_path(pointer), old, new)),
    );
    stale
}

/// Returns what is known of an operator, each by JSON pointer. Why nothing is known is no part of it: who plans may have
/// other rights than who applies.
fn of_operator(operator: &HubOperator) -> BTreeMap<String, Value> {
    let of_settings = |settings: &Settings| match json!(settings) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let fields = match operator {
        HubOperator::Published(published) => {
            let mut fields = of_settings(&published.settings);
            fields.insert("version".to_owned(), json!(published.version));
            fields.insert(
                "rendererRevisions".to_owned(),
                json!(published.renderer_revisions),
            );
            fields
        }
        HubOperator::Unreadable { version } => Map::from_iter([(
            "version".to_owned(),
            json!(version.as_deref().unwrap_or("unreadable")),
        )]),
        HubOperator::Assumed { why: _, settings } => of_settings(settings),
    };
    fields
        .into_iter()
        .map(|(key, value)| (pointer::push("/operator", &key), value))
        .collect()
}

/// What becomes of a saved plan on the hub as it is now.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub stale: Vec<Stale>,
    /// Entries that a guard holds now, with its words.
    pub refused: Vec<Held>,
    /// Entries that need no write any more.
    pub done: Vec<ObjectId>,
    /// Values that actions of `plan` must send and that nobody has: object and field path in words. While there are
    /// any, `plan` holds masks and must not be executed.
    pub withheld: Vec<String>,
    /// The entries that fit, exactly as they were saved but for the resource versions of what is deleted.
    pub plan: Plan,
}

/// Compares every entry of a saved plan with what is there, and with a plan made anew from the same desired objects:
/// only what both want alike is left.
///
/// `bodies` holds what entries send, complete.
pub fn check(
    saved: &SavedPlan,
    bodies: &BTreeMap<ObjectId, Object>,
    observed: &Observed,
    mut anew: Plan,
) -> Checked {
    let mut checked = Checked::default();
    let actions: BTreeMap<&ObjectId, &Action> = anew.actions().map(|action| (&action.id, action)).collect();
    let mut held: BTreeMap<&ObjectId, Vec<&Held>> = BTreeMap::new();
    for one in &anew.held {
        held.entry(&one.id).or_default().push(one);
    }
    let mut fitting = BTreeSet::new();
    for entry in &saved.entries {
        // Whether a namespace is there is seen when the plan is made anew.
        if entry.object.namespace.is_empty() {
            fitting.insert(entry.object.clone());
            continue;
        }
        let (live, body) = (observed.objects.get(&entry.object), bodies.get(&entry.object));
        match standing(entry, live, body) {
            Standing::Done => checked.done.push(entry.object.clone()),
            Standing::Moved(stale) => checked.stale.extend(stale),
            Standing::Fits => match agreed(entry, body, actions.get(&entry.object).copied()) {
                Agreed::Yes => {
                    fitting.insert(entry.object.clone());
                }
                Agreed::Stale(stale) => checked.stale.push(*stale),
                Agreed::NotPlanned => match held.get(&entry.object) {
                    Some(held) => checked.refused.extend(held.iter().copied().cloned()),
                    None => {
                        let (old, new) = (Some(json!(entry.action)), Some(json!("none")));
                        checked
                            .stale
                            .push(Stale::new(Some(&entry.object), "action", old, new));
                    }
                },
            },
        }
    }
    for wave in &mut anew.waves {
        wave.actions.retain(|action| fitting.contains(&action.id));
    }
    anew.waves.retain(|wave| !wave.actions.is_empty());
    checked.plan = Plan {
        revision: saved.revision.clone(),
        waves: anew.waves,
        held: saved.held.clone(),
        unchanged: saved.unchanged.clone(),
    };
    checked
}

enum Agreed {
    Yes,
    NotPlanned,
    Stale(Box<Stale>),
}

/// Compares an entry and what it sends with the action that is planned anew for its object.
fn agreed(entry: &SavedEntry, wanted: Option<&Object>, anew: Option<&Action>) -> Agreed {
    let one = |field: &str, old: Value, new: Value| {
        Agreed::Stale(Box::new(Stale::new(
            Some(&entry.object),
            field,
            Some(old),
            Some(new),
        )))
    };
    let Some(action) = anew else {
        return Agreed::NotPlanned;
    };
    let is_same = match (&action.operation, entry.action) {
        (Operation::Create { body }, SavedAction::Create) => wanted == Some(body),
        (Operation::Apply { body, uid }, SavedAction::Change) => {
            wanted == Some(body) && Some(uid) == entry.uid.as_ref()
        }
        (Operation::Adopt { body, uid, .. }, SavedAction::Adopt) => {
            wanted == Some(body) && Some(uid) == entry.uid.as_ref()
        }
        (Operation::Delete { uid, .. }, SavedAction::Delete)
        | (Operation::PatchMetadata { uid, .. }, SavedAction::Orphan) => Some(uid) == entry.uid.as_ref(),
        (_, _) => false,
    };
    if !is_same {
        return one("action", json!(entry.action), json!("another one"));
    }
    if action.impact > entry.impact {
        return one("impact", json!(entry.impact), json!(action.impact));
    }
    Agreed::Yes
}

fn moved<'a>(
    old: &'a BTreeMap<String, Value>,
    new: &'a BTreeMap<String, Value>,
) -> impl Iterator<Item = (&'a str, Option<Value>, Option<Value>)> {
    let pointers: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    pointers.into_iter().filter_map(|pointer| {
        let (old, new) = (old.get(pointer), new.get(pointer));
        (old != new).then(|| (pointer.as_str(), old.cloned(), new.cloned()))
    })
}

/// Pointers of everything in a value that is no object with fields.
fn leaves(at: &str, value: Option<&Value>, pointers: &mut BTreeSet<String>) {
    match value {
        None => {}
        Some(Value::Object(fields)) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(&pointer::push(at, key), Some(value), pointers);
            }
        }
        Some(_) => {
            pointers.insert(at.to_owned());
        }
    }
}

/// Pointers of the fields in a `fieldsV1`; what is owned inside of a list is the list.
fn owned_leaves(at: &str, owned: &Value, live: &Value, pointers: &mut BTreeSet<String>) {
    let below: Vec<(&str, &Value)> = owned
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix("f:")?, value)))
        .collect();
    if below.is_empty() {
        if !at.is_empty() {
            leaves(at, live.pointer(at), pointers);
        }
        return;
    }
    for (key, value) in below {
        owned_leaves(&pointer::push(at, key), value, live, pointers);
    }
}

fn masked(at: &str, value: &Value) -> Value {
    let shown = shown::value(at, value);
    if shown == *value {
        shown
    } else {
        json!({ "shown": shown, "sha256": digest(value) })
    }
}
