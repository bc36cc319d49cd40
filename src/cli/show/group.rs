//! Equal changes, told once: clusters with the same change become one block with their names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::verb;
use crate::api::fleet_rollout::{CHANGES, DELETIONS, NAMESPACES};
use crate::object::ObjectId;
use crate::plan::{Action, FieldChange, Held, HeldReason, Impact, Verb};

/// Fewer equal changes than this stay one by one: three blocks are still read.
pub(super) const FEWEST: usize = 4;
/// Stands for the name of each cluster of a block.
const EACH: &str = "*";

/// Whether equal changes are told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    Equal,
    Nothing,
}

/// One action, or several that differ in nothing but the name.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    pub wave: &'a str,
    pub first: &'a Action,
    /// In the order of the plan; never empty.
    pub ids: Vec<&'a ObjectId>,
    pub changes: Vec<FieldChange>,
    pub effects: Vec<String>,
    /// `path:line:column` or words; of several the path they share, or nothing.
    pub reason: String,
}

impl Block<'_> {
    /// What is done to each of them.
    pub fn verb(&self) -> Verb {
        self.first.operation.verb()
    }

    /// The wave that it waits for, where it does.
    pub fn waits_for(&self) -> Option<&str> {
        (![NAMESPACES, CHANGES, DELETIONS].contains(&self.wave)).then_some(self.wave)
    }
}

/// One thing that is not done, or several for the same reason.
#[derive(Clone, Debug)]
pub struct HeldBlock<'a> {
    pub reason: HeldReason,
    pub ids: Vec<&'a ObjectId>,
    pub waiting_on: String,
}

/// Puts actions together, each block at the place of its first.
pub fn blocks<'a>(
    actions: impl Iterator<Item = (&'a str, &'a Action)>,
    grouping: Grouping,
) -> Vec<Block<'a>> {
    if grouping == Grouping::Nothing {
        return actions.map(|(wave, action)| alone(wave, action)).collect();
    }
    let actions: Vec<((&str, String), &Action)> = actions
        .map(|(wave, action)| ((wave, key(action)), action))
        .collect();
    let mut members: BTreeMap<&(&str, String), Vec<&'a Action>> = BTreeMap::new();
    for (key, action) in &actions {
        members.entry(key).or_default().push(action);
    }
    let mut blocks = Vec::new();
    for (key, action) in &actions {
        let wave = key.0;
        let count = members.get(key).map_or(0, Vec::len);
        if count > 0 && count < FEWEST {
            blocks.push(alone(wave, action));
        } else if let Some(members) = members.remove(key) {
            // Those that come later find their key taken.
            blocks.extend(together(wave, &members));
        }
    }
    blocks
}

/// Puts what is held together, each block at the place of its first.
pub fn held(held: &[Held], grouping: Grouping) -> Vec<HeldBlock<'_>> {
    let key = |held: &Held| (held.reason, general(&held.waiting_on, &held.id));
    let mut counts: BTreeMap<(HeldReason, String), usize> = BTreeMap::new();
    for one in held {
        *counts.entry(key(one)).or_default() += 1;
    }
    let mut places: BTreeMap<(HeldReason, String), usize> = BTreeMap::new();
    let mut blocks: Vec<HeldBlock<'_>> = Vec::new();
    for one in held {
        let key = key(one);
        let is_grouped =
            grouping == Grouping::Equal && counts.get(&key).is_some_and(|count| *count >= FEWEST);
        let place = places.get(&key).copied().and_then(|place| blocks.get_mut(place));
        match place {
            Some(block) if is_grouped => block.ids.push(&one.id),
            Some(_) | None => {
                places.insert(key.clone(), blocks.len());
                blocks.push(HeldBlock {
                    reason: one.reason,
                    ids: vec![&one.id],
                    waiting_on: if is_grouped { key.1 } else { one.waiting_on.clone() },
                });
            }
        }
    }
    blocks
}

/// Everything of an action that is told, but for its name and places.
fn key(action: &Action) -> String {
    let changes: Vec<(String, Option<Value>, Option<Value>)> = action
        .changes
        .iter()
        .map(|change| {
            let value = |value: &Option<Value>| value.as_ref().map(|value| general_value(value, &action.id));
            (change.pointer.clone(), value(&change.old), value(&change.new))
        })
        .collect();
    let effects: Vec<String> = action
        .effects
        .iter()
        .map(|effect| general(effect, &action.id))
        .collect();
    let words = if place(&action.reason).is_some() {
        ""
    } else {
        action.reason.as_str()
    };
    let kind = action.id.kind.kind;
    let impact: Impact = action.impact;
    serde_json::json!([kind, verb(&action.operation), impact, changes, effects, words]).to_string()
}

fn alone<'a>(wave: &'a str, action: &'a Action) -> Block<'a> {
    Block {
        wave,
        first: action,
        ids: vec![&action.id],
        changes: action.changes.clone(),
        effects: action.effects.clone(),
        reason: action.reason.clone(),
    }
}

fn together<'a>(wave: &'a str, members: &[&'a Action]) -> Option<Block<'a>> {
    let (first, others) = members.split_first()?;
    let mut block = alone(wave, first);
    let id = &block.first.id;
    for change in &mut block.changes {
        change.old = change.old.as_ref().map(|value| general_value(value, id));
        change.new = change.new.as_ref().map(|value| general_value(value, id));
    }
    for effect in &mut block.effects {
        *effect = general(effect, id);
    }
    for member in others {
        for (change, other) in block.changes.iter_mut().zip(&member.changes) {
            if change.source != other.source {
                change.source = None;
            }
        }
        block.reason = common(&block.reason, &member.reason);
        block.ids.push(&member.id);
    }
    Some(block)
}

/// What two reasons have in common: all, their path, or nothing.
fn common(one: &str, other: &str) -> String {
    if one == other {
        return one.to_owned();
    }
    let path = |reason: &str| place(reason).map_or(reason.to_owned(), |(path, _, _)| path.to_owned());
    let (one, other) = (path(one), path(other));
    if one == other { one } else { String::new() }
}

/// Reads `path:line:column`.
pub fn place(reason: &str) -> Option<(&str, usize, usize)> {
    let (rest, column) = reason.rsplit_once(':')?;
    let (path, line) = rest.rsplit_once(':')?;
    Some((path, line.parse().ok()?, column.parse().ok()?))
}

fn general_value(value: &Value, id: &ObjectId) -> Value {
    match value {
        Value::String(text) => Value::from(general(text, id)),
        other => other.clone(),
    }
}

/// Replaces the name of the object where it stands as a word of its own.
fn general(text: &str, id: &ObjectId) -> String {
    // An empty name would be found at every place, for ever.
    if id.name.is_empty() {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&id.name) {
        let (before, after) = (&rest[..at], &rest[at + id.name.len()..]);
        let is_open = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
        out.push_str(before);
        let last = before.chars().next_back().or_else(|| out.chars().next_back());
        if is_open(last) && is_open(after.chars().next()) {
            out.push_str(EACH);
        } else {
            out.push_str(&id.name);
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Object, kinds};
    use crate::plan::Operation;

    fn bump(name: &str, to: &str) -> Action {
        Action {
            id: ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name),
            operation: Operation::Apply {
                body: Object(json!({"n": name})),
                uid: name.to_owned(),
            },
            impact: Impact::Rolling,
            reason: format!("clusters/{name}.yaml:5:3"),
            changes: vec![FieldChange {
                pointer: "/spec/version".to_owned(),
                old: Some(json!("v1")),
                new: Some(json!(to)),
                source: Some("defaults.yaml:2:3".to_owned()),
            }],
            effects: vec![format!("3 pods kmc-{name}-{{0..2}} replaced one by one")],
            needs: Vec::new(),
        }
    }

    fn in_one_wave(actions: &[Action]) -> impl Iterator<Item = (&str, &Action)> {
        actions.iter().map(|action| (CHANGES, action))
    }

    #[test]
    fn changes_of_two_waves_are_told_apart() {
        let actions: Vec<Action> = (0..8)
            .map(|store| bump(&format!("store-{store}"), "v2"))
            .collect();
        let waves = actions.iter().enumerate().map(|(index, action)| {
            let wave = if index < 4 { "canary" } else { CHANGES };
            (wave, action)
        });
        let blocks = blocks(waves, Grouping::Equal);
        let shown: Vec<(usize, Option<&str>)> = blocks
            .iter()
            .map(|block| (block.ids.len(), block.waits_for()))
            .collect();
        assert_eq!(shown, [(4, Some("canary")), (4, None)]);
    }

    #[test]
    fn equal_changes_become_one_block_with_all_names() {
        let mut actions: Vec<Action> = (0..10)
            .map(|store| bump(&format!("store-{store}"), "v2"))
            .collect();
        actions.insert(3, bump("lab", "v3"));
        let blocks = blocks(in_one_wave(&actions), Grouping::Equal);
        let sizes: Vec<usize> = blocks.iter().map(|block| block.ids.len()).collect();
        assert_eq!(sizes, [10, 1]);
        assert_eq!(blocks[0].effects, ["3 pods kmc-*-{0..2} replaced one by one"]);
        assert_eq!(blocks[0].changes[0].source.as_deref(), Some("defaults.yaml:2:3"));
        assert_eq!(super::blocks(in_one_wave(&actions), Grouping::Nothing).len(), 11);
    }

    #[test]
    fn a_few_equal_changes_stay_one_by_one() {
        let actions: Vec<Action> = ["a", "b", "c"].iter().map(|name| bump(name, "v2")).collect();
        assert_eq!(blocks(in_one_wave(&actions), Grouping::Equal).len(), 3);
    }

    #[test]
    fn a_name_inside_of_a_word_is_not_the_name() {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", "pod");
        assert_eq!(general("3 pods kmc-pod-0, pod", &id), "3 pods kmc-*-0, *");
    }

    /// A saved plan is a file that anybody can have written.
    #[test]
    fn an_object_without_a_name_is_shown() {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", "");
        assert_eq!(general("3 pods kmc-pod-0", &id), "3 pods kmc-pod-0");
    }
}
