//! The only place where guards open.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use super::guards;
use super::{Action, Held, HeldReason, Impact, Operation, Plan, Wave, sort_held};
use crate::api::cluster_parts::DeletionPolicy;
use crate::object::ObjectId;

/// A plan that may be executed as it is. Can only be made by the functions of this file.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovedPlan {
    /// Shared with whoever shows it: the plan of a large fleet is as large as its objects.
    plan: Arc<Plan>,
}

impl ApprovedPlan {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn waves(&self) -> &[Wave] {
        &self.plan.waves
    }

    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// Takes these actions out, in their waves and order. What was approved together is approved in parts.
    #[must_use]
    pub fn take(&mut self, ids: &BTreeSet<ObjectId>) -> Self {
        let mut waves = Vec::new();
        let plan = Arc::make_mut(&mut self.plan);
        for wave in &mut plan.waves {
            let (taken, left) = std::mem::take(&mut wave.actions)
                .into_iter()
                .partition(|action| ids.contains(&action.id));
            wave.actions = left;
            waves.push(Wave {
                name: wave.name.clone(),
                actions: taken,
            });
        }
        plan.waves.retain(|wave| !wave.actions.is_empty());
        waves.retain(|wave| !wave.actions.is_empty());
        let plan = Plan {
            revision: plan.revision.clone(),
            waves,
            ..Plan::default()
        };
        Self { plan: plan.into() }
    }
}

/// Something that must be answered before a plan may be executed. What is not asked needs no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "question", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Question {
    /// Write at all.
    Write {
        creates: usize,
        changes: usize,
        adoptions: usize,
    },
    /// Delete these, of which `losing_data` lose data or keys.
    Delete { ids: Vec<ObjectId>, losing_data: usize },
    /// Make these changes, by which data or keys go though nothing is deleted by name.
    LoseData { ids: Vec<ObjectId> },
}

/// Whether somebody who may has said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Given,
    NotGiven,
}

impl Consent {
    pub fn when(is_given: bool) -> Self {
        if is_given { Self::Given } else { Self::NotGiven }
    }
}

/// The answers to the questions of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    pub writes: Consent,
    /// Covers the data that goes with what is deleted.
    pub deletions: Consent,
    pub data_loss: Consent,
}

/// A guard that stayed closed. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("the plan was not confirmed")]
    NotConfirmed,
    #[error("deleting {} was not confirmed", list(ids))]
    DeletionsNotConfirmed { ids: Vec<ObjectId> },
    #[error("data or keys of {} would go, and that was not allowed", list(ids))]
    DataLossNotAllowed { ids: Vec<ObjectId> },
    /// No plan of this room looks like that; a plan that was read from a file may.
    #[error("{id} must not be written that way: {why}")]
    Unsafe { id: Box<ObjectId>, why: String },
}

fn list(ids: &[ObjectId]) -> String {
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Plan {
    /// Returns what must be answered before this plan may be executed, mildest first. Empty when it writes nothing.
    pub fn questions(&self) -> Vec<Question> {
        let counts = self.counts();
        let mut questions = Vec::new();
        if counts.create + counts.change + counts.adopt > 0 {
            questions.push(Question::Write {
                creates: counts.create,
                changes: counts.change,
                adoptions: counts.adopt,
            });
        }
        let losing = self.ids_of(|action| !is_delete(action) && action.impact == Impact::DataLoss);
        if !losing.is_empty() {
            questions.push(Question::LoseData { ids: losing });
        }
        let deletions = self.ids_of(is_delete);
        if !deletions.is_empty() {
            let losing_data = self
                .actions()
                .filter(|action| is_delete(action) && action.impact == Impact::DataLoss)
                .count();
            questions.push(Question::Delete {
                ids: deletions,
                losing_data,
            });
        }
        questions
    }

    fn ids_of(&self, is_meant: impl Fn(&Action) -> bool) -> Vec<ObjectId> {
        self.actions()
            .filter(|action| is_meant(action))
            .map(|action| action.id.clone())
            .collect()
    }
}

fn is_delete(action: &Action) -> bool {
    matches!(action.operation, Operation::Delete { .. })
}

/// Approves the plan of a fleet.
///
/// *Errors*: every question of the plan that has no consent, the hardest first; and anything that no fleet may do,
/// whatever the answers.
pub fn approve(plan: impl Into<Arc<Plan>>, approval: &Approval) -> Result<ApprovedPlan, Refusal> {
    let plan = plan.into();
    if let Some((action, why)) = plan
        .actions()
        .find_map(|action| Some((action, guards::never_by_a_fleet(action)?)))
    {
        return Err(Refusal::Unsafe {
            id: Box::new(action.id.clone()),
            why,
        });
    }
    for question in plan.questions().into_iter().rev() {
        let (consent, refusal) = match question {
            Question::Delete { ids, .. } => (approval.deletions, Refusal::DeletionsNotConfirmed { ids }),
            Question::LoseData { ids } => (approval.data_loss, Refusal::DataLossNotAllowed { ids }),
            Question::Write { .. } => (approval.writes, Refusal::NotConfirmed),
        };
        match consent {
            Consent::Given => {}
            Consent::NotGiven => return Err(refusal),
        }
    }
    Ok(ApprovedPlan { plan })
}

/// Approves what the operator does for a living cluster. Asks nothing: the spec is the consent.
///
/// Never fails. What must never happen to a living cluster (a volume or a root key deleted) is taken out and held,
/// whoever planned it.
pub fn approve_children(plan: Plan) -> ApprovedPlan {
    keep_back(plan, guards::never_while_the_cluster_lives)
}

/// Approves what the operator does for a cluster that is being deleted.
///
/// Never fails. Volumes and keys are only deleted when the cluster's own policy is [`DeletionPolicy::Delete`].
pub fn approve_release(plan: Plan, policy: DeletionPolicy) -> ApprovedPlan {
    match policy {
        DeletionPolicy::Delete => ApprovedPlan { plan: plan.into() },
        DeletionPolicy::Retain => keep_back(plan, guards::never_while_the_cluster_lives),
    }
}

fn keep_back(mut plan: Plan, guard: impl Fn(&Action) -> Option<String>) -> ApprovedPlan {
    let Plan { waves, held, .. } = &mut plan;
    for wave in waves.iter_mut() {
        wave.actions.retain(|action| match guard(action) {
            None => true,
            Some(why) => {
                held.push(Held {
                    id: action.id.clone(),
                    reason: HeldReason::Refused,
                    waiting_on: why,
                });
                false
            }
        });
    }
    waves.retain(|wave| !wave.actions.is_empty());
    sort_held(held);
    ApprovedPlan { plan: plan.into() }
}
