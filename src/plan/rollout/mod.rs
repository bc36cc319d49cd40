//! In which order running control planes are changed, and when the next one may be.
//!
//! [`Rollout`] and a plan -> the plan in waves. That, what an earlier run left ([`State`]) and what is seen of the
//! clusters that were changed ([`Evidence`]) -> [`Step`]: what may be written now, and what the rest waits for.
//!
//! **Invariant:** only what restarts pods waits. Nothing opens a gate but evidence of the generation that was written:
//! a status of the one before, however green, does not.

mod evidence;
mod state;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use evidence::{Evidence, Verdict, of_cluster, with_sets};
pub use state::{Changed, Phase, State, StateError};
pub use step::{Step, Waiting, step};

use super::{Action, Held, HeldReason, Impact, Operation, Plan, Wave, sort_held};
use crate::api::fleet::FleetSpec;
use crate::api::fleet_rollout::{self, Amount, CANARY, DELETIONS, OnFailure, REST};
use crate::api::selector::Selector;
use crate::object::{Object, ObjectId, Observed, kinds};

/// How a fleet is rolled out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// In order; the last takes what no other does.
    stages: Vec<Stage>,
    max_unavailable: Option<Amount>,
    max_failures: usize,
    min_success_time: Duration,
    progress_deadline: Duration,
    on_failure: OnFailure,
}

/// Clusters that are changed together.
#[derive(Clone, Debug, PartialEq)]
struct Stage {
    name: String,
    selector: Selector,
    max_concurrent: Option<Amount>,
}

impl Rollout {
    /// Returns what a Fleet says; `None` when it does not want waves.
    pub fn of(fleet: &FleetSpec) -> Option<Self> {
        let written = fleet.rollout.as_ref()?;
        let fleet_rollout::Rollout {
            canary,
            waves,
            max_unavailable,
            // Read with their defaults.
            max_failures: _,
            min_success_time: _,
            progress_deadline: _,
            on_failure: _,
        } = written;
        let canary = canary.iter().map(|canary| Stage {
            name: CANARY.to_owned(),
            selector: canary.selector.clone(),
            max_concurrent: canary.max_concurrent.clone(),
        });
        let waves = waves.iter().map(|wave| Stage {
            name: wave.name.clone(),
            selector: wave.selector.clone(),
            max_concurrent: wave.max_concurrent.clone(),
        });
        let rest = Stage {
            name: REST.to_owned(),
            selector: Selector::default(),
            max_concurrent: None,
        };
        Some(Self {
            stages: canary.chain(waves).chain([rest]).collect(),
            max_unavailable: max_unavailable.clone(),
            max_failures: written.max_failures(),
            min_success_time: written.min_success_time(),
            progress_deadline: written.progress_deadline(),
            on_failure: written.on_failure(),
        })
    }

    /// Says whether a wave of a plan is one of this rollout.
    pub fn has(&self, wave: &str) -> bool {
        self.stages.iter().any(|stage| stage.name == wave)
    }

    /// Returns the names of the waves in order.
    pub fn waves(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().map(|stage| stage.name.as_str())
    }

    fn stage_of(&self, object: &Object) -> Option<&Stage> {
        let labels = labels(object);
        self.stages.iter().find(|stage| stage.selector.matches(&labels))
    }

    /// Puts the changes of a plan that restart pods into their waves, behind everything else but deletions.
    ///
    /// *Shape*: in a wave, clusters that are not ready come last: a roll that fails should meet healthy ones first, or
    /// its failures would say nothing. What was in order stays in order.
    pub fn arrange(&self, plan: Plan, observed: &Observed) -> Plan {
        let Plan {
            revision,
            waves,
            held,
            unchanged,
        } = plan;
        let mut gated: BTreeMap<&str, Vec<Action>> = BTreeMap::new();
        let mut arranged = Vec::new();
        let mut deletions = Vec::new();
        for Wave { name, actions } in waves {
            let mut open = Vec::new();
            for action in actions {
                match gated_body(&action).and_then(|body| self.stage_of(body)) {
                    Some(stage) => gated.entry(&stage.name).or_default().push(action),
                    None => open.push(action),
                }
            }
            let wave = Wave { name, actions: open };
            match wave.name == DELETIONS {
                true => deletions.push(wave),
                false => arranged.push(wave),
            }
        }
        for stage in &self.stages {
            let Some(mut actions) = gated.remove(stage.name.as_str()) else {
                continue;
            };
            // Stable.
            actions.sort_by_key(|action| !is_ready(observed.objects.get(&action.id)));
            arranged.push(Wave {
                name: stage.name.clone(),
                actions,
            });
        }
        arranged.extend(deletions);
        arranged.retain(|wave| !wave.actions.is_empty());
        Plan {
            revision,
            waves: arranged,
            held,
            unchanged,
        }
    }
}

impl Rollout {
    /// Holds the changes of an arranged plan whose wave comes after that of a cluster which cannot be seen: whether that
    /// one runs what the files say is not known.
    ///
    /// *Shape*: `unseen` are clusters as the files want them.
    pub fn hold_behind<'a>(
        &self,
        unseen: impl Iterator<Item = (&'a ObjectId, &'a Object)>,
        mut plan: Plan,
    ) -> Plan {
        let place = |name: &str| self.stages.iter().position(|stage| stage.name == name);
        let of_object = |object: &Object| place(&self.stage_of(object)?.name);
        let unseen = unseen.filter_map(|(id, object)| Some((of_object(object)?, id)));
        let Some((first, id)) = unseen.min() else {
            return plan;
        };
        let waiting_on = format!("its wave comes after that of {id}, which cannot be read");
        for wave in &mut plan.waves {
            if place(&wave.name).is_some_and(|place| place > first) {
                plan.held.extend(wave.actions.drain(..).map(|action| Held {
                    id: action.id,
                    reason: HeldReason::Waiting,
                    waiting_on: waiting_on.clone(),
                }));
            }
        }
        plan.waves.retain(|wave| !wave.actions.is_empty());
        sort_held(&mut plan.held);
        plan
    }
}

/// Returns what is applied by a change that must wait for its wave.
fn gated_body(action: &Action) -> Option<&Object> {
    match &action.operation {
        Operation::Apply { body, .. } | Operation::Adopt { body, .. }
            if action.id.kind == kinds::K0SMOTRON_CLUSTER =>
        {
            (action.impact >= Impact::Rolling).then_some(body)
        }
        Operation::Apply { .. }
        | Operation::Adopt { .. }
        | Operation::Create { .. }
        | Operation::Issue { .. }
        | Operation::Reissue { .. }
        | Operation::Fill { .. }
        | Operation::Grow { .. }
        | Operation::Recreate { .. }
        | Operation::PatchMetadata { .. }
        | Operation::Delete { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. } => None,
    }
}

fn labels(object: &Object) -> BTreeMap<String, String> {
    let labels = object.0.pointer("/metadata/labels").cloned().unwrap_or_default();
    serde_json::from_value(labels).unwrap_or_default()
}

fn is_ready(live: Option<&Object>) -> bool {
    live.is_some_and(|live| evidence::of_cluster(live).is_available)
}
