//! What came of a plan, as text and as JSON.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::group::FEWEST;
use super::json::id;
use super::names::{self, name};
use super::table;
use crate::apply::Ending;
use crate::fleet::Waited;
use crate::object::ObjectId;
use crate::plan::{ActionResult, Operation, Outcome, Plan, Verb};

/// What is said of actions while they end.
pub struct Lines {
    /// Reasons for which something was not done, with how often each was said.
    said: BTreeMap<(&'static str, String), usize>,
    /// The line with which a reason is said for the last time.
    last: usize,
}

impl Lines {
    /// Of all actions, however often the same is said.
    pub fn all() -> Self {
        Self {
            said: BTreeMap::new(),
            last: usize::MAX,
        }
    }

    /// The same reason a few times.
    pub fn few() -> Self {
        Self {
            last: FEWEST,
            ..Self::all()
        }
    }

    /// Returns one line about one ended action, without line end; `None` when its reason has been said often enough:
    /// of a hub that is gone there are as many as the fleet has clusters.
    pub fn of(&mut self, id: &ObjectId, done: &str, ending: &Ending) -> Option<String> {
        let name = name(id);
        let (word, why) = match ending {
            Ending::Done => return Some(format!("{done} {name}")),
            Ending::Foreign { owner } => ("not done", format!("it exists and belongs to {owner}")),
            Ending::Skipped { because } => ("not done", because.clone()),
            Ending::Failed(failure) => ("failed", failure.message.clone()),
            Ending::Unknown(failure) => ("done or not", failure.message.clone()),
        };
        let line = format!("{word}: {name}: {why}");
        let count = self.said.entry((word, why)).or_default();
        *count += 1;
        match (*count).cmp(&self.last) {
            Ordering::Less => Some(line),
            Ordering::Equal => Some(format!("{word}: {name}: the same; more of it is told at the end")),
            Ordering::Greater => None,
        }
    }
}

/// Returns what is not there in time, with what it lacks, and how much is.
pub fn waited(waited: &Waited) -> String {
    let mut text = String::new();
    for (id, why) in &waited.lacking {
        text.push_str(&format!("  ! {}  not ready\n", name(id)));
        text.push_str(&table::indented(why, 6));
    }
    let (ready, lacking) = (waited.ready.len(), waited.lacking.len());
    format!("{text}Waited: {ready} ready, {lacking} not ready\n")
}

/// Returns the same as JSON.
pub fn json_of_waited(waited: &Waited) -> Value {
    let ready: Vec<Value> = waited.ready.iter().map(id).collect();
    let lacking: Vec<Value> = waited
        .lacking
        .iter()
        .map(|(object, why)| json!({ "object": id(object), "lacks": why }))
        .collect();
    json!({ "ready": ready, "notReady": lacking })
}

/// Returns what was not done, the same reason told once for many, and the summary as the last line.
pub fn text(plan: &Plan, outcome: &Outcome) -> String {
    let operations: BTreeMap<&ObjectId, &Operation> = plan
        .actions()
        .map(|action| (&action.id, &action.operation))
        .collect();
    let (mut created, mut changed, mut adopted, mut deleted) = (0, 0, 0, 0);
    let mut undone: BTreeMap<(&str, &str), Vec<&ObjectId>> = BTreeMap::new();
    let (mut not_done, mut failed, mut unknown) = (0, 0, 0);
    for (id, result) in &outcome.results {
        match result {
            ActionResult::Done { .. } => match operations.get(id).map(|operation| operation.verb()) {
                Some(Verb::Create) | None => created += 1,
                Some(Verb::Change) => changed += 1,
                Some(Verb::Adopt) => adopted += 1,
                Some(Verb::Delete) => deleted += 1,
            },
            ActionResult::Foreign { owner } => {
                not_done += 1;
                undone
                    .entry(("not done, belongs to", owner))
                    .or_default()
                    .push(id);
            }
            ActionResult::Skipped { because } => {
                not_done += 1;
                undone.entry(("not done", because)).or_default().push(id);
            }
            ActionResult::Failed(failure) => {
                failed += 1;
                undone.entry(("failed", &failure.message)).or_default().push(id);
            }
            ActionResult::Unknown(failure) => {
                unknown += 1;
                undone
                    .entry(("done or not", &failure.message))
                    .or_default()
                    .push(id);
            }
        }
    }
    let mut told: Vec<(Vec<&ObjectId>, &str, &str)> = Vec::new();
    for ((word, why), mut ids) in undone {
        ids.sort_unstable();
        match ids.len() < FEWEST {
            true => told.extend(ids.into_iter().map(|id| (vec![id], word, why))),
            false => told.push((ids, word, why)),
        }
    }
    told.sort_unstable();
    let mut text = String::new();
    for (ids, word, why) in told {
        text.push_str(&format!("  ! {}  {word}\n", names::title(&ids)));
        if ids.len() > 1 {
            text.push_str(&table::indented(&names::names_of(&ids, usize::MAX), 6));
        }
        text.push_str(&table::indented(why, 6));
    }
    let mut parts = vec![format!("{created} created"), format!("{changed} changed")];
    if adopted > 0 {
        parts.push(format!("{adopted} adopted"));
    }
    parts.push(format!("{deleted} deleted"));
    for (count, word) in [
        (not_done, "not done"),
        (failed, "failed"),
        (unknown, "done or not"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    format!("{text}Applied: {}\n", parts.join(", "))
}

/// Returns one entry for each action, by identity.
pub fn json(outcome: &Outcome) -> Value {
    let mut results: Vec<(&ObjectId, Value)> = outcome
        .results
        .iter()
        .map(|(object, result)| {
            let (word, message) = match result {
                ActionResult::Done { .. } => ("done", None),
                ActionResult::Foreign { owner } => ("foreign", Some(owner)),
                ActionResult::Skipped { because } => ("skipped", Some(because)),
                ActionResult::Failed(failure) => ("failed", Some(&failure.message)),
                ActionResult::Unknown(failure) => ("unknown", Some(&failure.message)),
            };
            (
                object,
                json!({ "object": id(object), "result": word, "message": message }),
            )
        })
        .collect();
    results.sort_by_key(|(object, _)| *object);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kinds;
    use crate::plan::{Failure, FailureKind};

    fn said(mut lines: Lines, endings: &[Ending]) -> Vec<String> {
        let ids = (0..).map(|number| ObjectId::new(kinds::K0SMOTRON_CLUSTER, "a", format!("{number}")));
        let lines = ids
            .zip(endings)
            .filter_map(|(id, ending)| lines.of(&id, "created", ending));
        lines.collect()
    }

    #[test]
    fn a_reason_is_said_a_few_times_and_what_is_done_always() {
        let gone = Ending::Failed(Failure {
            kind: FailureKind::NotFound,
            message: "nobody answers".to_owned(),
        });
        let refused = Ending::Skipped {
            because: "it is held".to_owned(),
        };
        let mut endings = vec![gone; 6];
        endings.push(refused);
        endings.resize(12, Ending::Done);
        insta::assert_snapshot!(said(Lines::few(), &endings).join("\n"), @"
        failed: a/0: nobody answers
        failed: a/1: nobody answers
        failed: a/2: nobody answers
        failed: a/3: the same; more of it is told at the end
        not done: a/6: it is held
        created a/7
        created a/8
        created a/9
        created a/10
        created a/11
        ");
        assert_eq!(said(Lines::all(), &endings).len(), endings.len());
    }
}
