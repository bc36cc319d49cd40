//! Fields that another writer takes back again and again: after some writes in short time they are left for a while.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Action, FieldChange, Held, HeldReason, Operation, Outcome, Plan, sort_held};
use crate::object::{ObjectId, digest, pointer};
use crate::plan::ActionResult;

/// So many writes of one field ...
const WRITES: usize = 10;
/// ... within this time are a fight.
const WINDOW: Duration = Duration::from_secs(600);
/// Pause between two writes of a field that is fought about. After twice that without a write it is over.
pub const PAUSE: Duration = Duration::from_secs(600);

/// What was written lately, and taken back: object and JSON pointer to times.
#[derive(Clone, Debug, Default)]
pub struct Fights {
    fields: BTreeMap<ObjectId, BTreeMap<String, Field>>,
}

#[derive(Clone, Debug, Default)]
struct Field {
    /// What was written; another value is no fight but another wish.
    wanted: Option<Value>,
    /// The last writes, oldest first; at most [`WRITES`].
    writes: VecDeque<Instant>,
    is_fought: bool,
}

impl Field {
    fn write(&mut self, wanted: Option<&Value>, now: Instant) {
        if self.wanted.as_ref() != wanted {
            *self = Self {
                wanted: wanted.cloned(),
                ..Self::default()
            };
        }
        if self.writes.len() == WRITES {
            self.writes.pop_front();
        }
        self.writes.push_back(now);
        let is_full = self.writes.len() == WRITES;
        self.is_fought |= is_full && self.writes.front().is_some_and(|first| now - *first <= WINDOW);
    }

    /// Says whether it is to be left alone now.
    fn rests(&self, wanted: Option<&Value>, now: Instant) -> bool {
        self.is_fought
            && self.wanted.as_ref() == wanted
            && self.writes.back().is_some_and(|last| now - *last < PAUSE)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.writes.back().is_none_or(|last| now - *last >= 2 * PAUSE)
    }
}

impl Fights {
    /// Holds the changes that would only go on with a fight. What changes other fields too is done as a whole.
    pub fn leave(&mut self, plan: &mut Plan, now: Instant) {
        self.fields.retain(|_, fields| {
            fields.retain(|_, field| !field.is_over(now));
            !fields.is_empty()
        });
        let Plan { waves, held, .. } = plan;
        for wave in waves.iter_mut() {
            wave.actions.retain(|action| match self.fought(action, now) {
                None => true,
                Some(waiting_on) => {
                    held.push(Held {
                        id: action.id.clone(),
                        reason: HeldReason::Fought,
                        waiting_on,
                    });
                    false
                }
            });
        }
        waves.retain(|wave| !wave.actions.is_empty());
        sort_held(held);
    }

    /// Takes in what was written.
    pub fn note(&mut self, plan: &Plan, outcome: &Outcome, now: Instant) {
        let is_done = |id: &ObjectId| {
            let mut results = outcome.results.iter();
            results.any(|(other, result)| other == id && matches!(result, ActionResult::Done { .. }))
        };
        for action in plan
            .actions()
            .filter(|action| is_change(action) && is_done(&action.id))
        {
            let fields = self.fields.entry(action.id.clone()).or_default();
            for change in &action.changes {
                let field = fields.entry(change.pointer.clone()).or_default();
                field.write(wanted(action, change).as_ref(), now);
            }
        }
    }

    fn fought(&self, action: &Action, now: Instant) -> Option<String> {
        if !is_change(action) || action.changes.is_empty() {
            return None;
        }
        let fields = self.fields.get(&action.id)?;
        let all = action.changes.iter().all(|change| {
            let field = fields.get(&change.pointer);
            field.is_some_and(|field| field.rests(wanted(action, change).as_ref(), now))
        });
        let first = pointer::to_field_path(&action.changes.first()?.pointer);
        all.then(|| {
            format!(
                "another writer takes {first} back again and again: it was written {WRITES} times in {} minutes, and is \
                 left for {} minutes; find out who writes it (`kubectl get --show-managed-fields`)",
                WINDOW.as_secs() / 60,
                PAUSE.as_secs() / 60
            )
        })
    }
}

/// Returns what a change writes: not as it is shown, or two values that are both hidden would be the same wish.
fn wanted(action: &Action, change: &FieldChange) -> Option<Value> {
    let Operation::Apply { body, uid: _ } = &action.operation else {
        return change.new.clone();
    };
    let mut pointer = change.pointer.as_str();
    loop {
        if let Some(value) = body.0.pointer(pointer) {
            // A digest: values may be long, and nobody has to keep them.
            return Some(digest(value).into());
        }
        // What is gone, or stands inside of a text, is a part of what is around it.
        pointer = pointer.rsplit_once('/')?.0;
    }
}

/// Only what exists and is written again can be taken back.
fn is_change(action: &Action) -> bool {
    matches!(
        action.operation,
        Operation::Apply { .. } | Operation::PatchMetadata { .. }
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Object, kinds};
    use crate::plan::{Impact, Wave};

    fn plan(pointers: &[&str]) -> Plan {
        plan_of(pointers, 2)
    }

    fn plan_of(pointers: &[&str], wanted: u8) -> Plan {
        let change = |pointer: &&str| FieldChange {
            pointer: (*pointer).to_owned(),
            old: Some(json!("(not shown)")),
            new: Some(json!("(not shown)")),
            source: None,
        };
        let spec = json!({"type": wanted, "ports": wanted, "replicas": wanted});
        let action = Action {
            id: ObjectId::new(kinds::SERVICE, "edge", "kmc-berlin"),
            operation: Operation::Apply {
                body: Object(json!({ "spec": spec })),
                uid: "one".to_owned(),
            },
            impact: Impact::Safe,
            reason: String::new(),
            changes: pointers.iter().map(change).collect(),
            effects: Vec::new(),
            needs: Vec::new(),
        };
        Plan {
            waves: vec![Wave {
                name: "one".to_owned(),
                actions: vec![action],
            }],
            ..Plan::default()
        }
    }

    /// Plans and writes at a moment; says whether it was written.
    fn pass(fights: &mut Fights, pointers: &[&str], now: Instant) -> bool {
        let mut plan = plan(pointers);
        fights.leave(&mut plan, now);
        let done = |action: &Action| (action.id.clone(), ActionResult::Done { live: None });
        let outcome = Outcome {
            results: plan.actions().map(done).collect(),
        };
        fights.note(&plan, &outcome, now);
        assert_eq!(
            plan.is_empty(),
            plan.held.iter().any(|held| held.reason == HeldReason::Fought)
        );
        !plan.is_empty()
    }

    #[test]
    fn a_field_that_is_taken_back_ten_times_is_left_and_retried_slowly() {
        let (mut fights, start) = (Fights::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let written: Vec<u64> = (0..4000)
            .step_by(5)
            .filter(|seconds| pass(&mut fights, &["/spec/type"], at(*seconds)))
            .collect();
        assert_eq!(written[..10], [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]);
        assert_eq!(written[10..], [645, 1245, 1845, 2445, 3045, 3645]);
    }

    #[test]
    fn other_fields_and_rare_changes_are_no_fight() {
        let (mut fights, start) = (Fights::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for time in 0..10 {
            assert!(pass(&mut fights, &["/spec/type"], at(time)));
        }
        assert!(!pass(&mut fights, &["/spec/type"], at(11)));
        assert!(
            pass(&mut fights, &["/spec/type", "/spec/ports"], at(12)),
            "something new"
        );
        let mut rare = Fights::default();
        assert!((0..50).all(|time| pass(&mut rare, &["/spec/type"], at(time * 70))));
    }

    #[test]
    fn another_wish_is_no_fight() {
        let (mut fights, now) = (Fights::default(), Instant::now());
        for wanted in 0..40 {
            let mut plan = plan_of(&["/spec/replicas"], wanted % 2);
            fights.leave(&mut plan, now);
            let results = plan
                .actions()
                .map(|action| (action.id.clone(), ActionResult::Done { live: None }));
            let outcome = Outcome {
                results: results.collect(),
            };
            assert_eq!(outcome.results.len(), 1);
            fights.note(&plan, &outcome, now);
        }
    }

    #[test]
    fn a_fight_that_has_ended_is_forgotten() {
        let (mut fights, start) = (Fights::default(), Instant::now());
        for time in 0..10 {
            pass(&mut fights, &["/spec/type"], start + Duration::from_secs(time));
        }
        fights.leave(&mut Plan::default(), start + 3 * PAUSE);
        assert!(fights.fields.is_empty());
    }
}
