//! The order in which the children of a cluster are written, and what needs what.

use std::collections::BTreeMap;

use super::{Action, Held, HeldReason, Operation, Wave};
use crate::object::{ObjectId, kinds};
use crate::pki::KeyPurpose;

/// When something is done, in the order of the waves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    RootKeys,
    Certificates,
    Surroundings,
    Pods,
    /// The pins name the uid under which everything else is found again, so they follow last.
    Ownership,
    Deletions,
}

impl Step {
    /// Returns when an object is created or applied that is no key.
    pub(super) fn of_object(id: &ObjectId) -> Self {
        if id.kind == kinds::STATEFUL_SET {
            Self::Pods
        } else {
            Self::Surroundings
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::RootKeys => "keys",
            Self::Certificates => "certificates",
            Self::Surroundings => "services and configuration",
            Self::Pods => "pods",
            Self::Ownership => "ownership",
            Self::Deletions => "deletions",
        }
    }
}

/// What is planned so far, by step.
#[derive(Default)]
pub(super) struct Steps(BTreeMap<Step, Vec<Action>>);

impl Steps {
    pub(super) fn add(&mut self, step: Step, action: Action) {
        self.0.entry(step).or_default().push(action);
    }

    /// Takes out what needs an object that is held, and returns it as held too.
    ///
    /// A certificate of a CA that is not ours, or pods with keys, ports or a configuration that are not ours, would be
    /// a control plane that nobody asked for.
    pub(super) fn hold_what_needs(&mut self, held: &[Held]) -> Vec<Held> {
        let is_obstacle = |held: &&Held| matches!(held.reason, HeldReason::Foreign | HeldReason::NotReadable);
        let obstacles: Vec<&ObjectId> = held.iter().filter(is_obstacle).map(|held| &held.id).collect();
        let mut waiting = Vec::new();
        for (step, actions) in &mut self.0 {
            actions.retain(|action| {
                let obstacle = obstacles.iter().find(|obstacle| match step {
                    Step::Pods => is_needed_by_pods(obstacle),
                    Step::Certificates => action.needs.contains(obstacle),
                    Step::RootKeys | Step::Surroundings | Step::Ownership | Step::Deletions => false,
                });
                let Some(obstacle) = obstacle else { return true };
                waiting.push(Held {
                    id: action.id.clone(),
                    reason: HeldReason::Waiting,
                    waiting_on: format!("it needs {obstacle}, which is held"),
                });
                false
            });
        }
        waiting
    }

    /// Returns the waves, each action with what it needs of what is written before; empty ones are left out.
    pub(super) fn into_waves(mut self) -> Vec<Wave> {
        self.note_needs();
        self.0
            .into_iter()
            .filter(|(_, actions)| !actions.is_empty())
            .map(|(step, actions)| Wave {
                name: step.name().to_owned(),
                actions,
            })
            .collect()
    }

    fn note_needs(&mut self) {
        let writes: Vec<(Step, ObjectId, bool)> = self
            .0
            .iter()
            .flat_map(|(step, actions)| {
                actions.iter().map(|action| {
                    let is_needed = match &action.operation {
                        Operation::Issue { purpose, .. } | Operation::Reissue { purpose, .. } => {
                            *purpose != KeyPurpose::Kubeconfig
                        }
                        Operation::Create { .. } | Operation::Apply { .. } | Operation::Fill { .. } => {
                            is_needed_by_pods(&action.id)
                        }
                        Operation::PatchMetadata { .. }
                        | Operation::Adopt { .. }
                        | Operation::Grow { .. }
                        | Operation::Recreate { .. }
                        | Operation::Delete { .. }
                        | Operation::ChangeMembers { .. }
                        | Operation::ReplacePod { .. } => false,
                    };
                    (*step, action.id.clone(), is_needed)
                })
            })
            .collect();
        for (step, actions) in &mut self.0 {
            for action in actions {
                match step {
                    Step::Certificates => action
                        .needs
                        .retain(|need| writes.iter().any(|(_, id, _)| id == need)),
                    Step::Pods => {
                        let earlier = writes
                            .iter()
                            .filter(|(other, _, is_needed)| other < step && *is_needed);
                        action.needs = earlier.map(|(_, id, _)| id.clone()).collect();
                    }
                    // Whatever still has the old uid must be found by it in the next pass.
                    Step::Ownership => {
                        let earlier = writes.iter().filter(|(other, _, _)| other < step);
                        action.needs = earlier.map(|(_, id, _)| id.clone()).collect();
                    }
                    Step::RootKeys | Step::Surroundings | Step::Deletions => {}
                }
            }
        }
    }
}

fn is_needed_by_pods(id: &ObjectId) -> bool {
    [kinds::SECRET, kinds::CONFIG_MAP, kinds::SERVICE].contains(&id.kind)
}
