//! From files to written clusters, as one identity and within the ceilings of a sync.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::ceiling::{self, Limited};
use super::order::{Limits, Stall};
use super::reason;
use crate::api::fleet::Fleet;
use crate::api::fleet_sync::MaxImpact;
use crate::apply;
use crate::client::{ClientError, chain};
use crate::compose::Reading;
use crate::diagnostic::SourceTree;
use crate::fleet::{
    self, Access, FirstApply, FleetError, Live, Lock, LockEnd, LockOptions, Pace, PlanOptions, RunOptions,
};
use crate::lease::Holder;
use crate::object::{Object, ObjectId};
use crate::plan::rollout::Waiting;
use crate::plan::{
    self, ActionResult, Approval, Consent, FailureKind, Fights, Held, HeldReason, Outcome, Prune,
};

/// Longer than a lock lives whose holder is gone; a pass that did not get it comes back later.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// What one run may do.
pub struct Settings {
    /// Who runs, as other people read it in the lock.
    pub holder: String,
    /// Fields that somebody else takes back, over all runs of this process.
    pub fights: Arc<Mutex<Fights>>,
    pub max_impact: MaxImpact,
    pub limits: Limits,
    /// For the plan, and again for the writes.
    pub deadline: Duration,
}

impl Settings {
    fn fights(&self) -> MutexGuard<'_, Fights> {
        self.fights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    #[error("the fleet cannot be applied")]
    Fleet(#[source] FleetError),
    #[error("the fleet cannot be applied")]
    Identity(#[source] ClientError),
    #[error("the plan was not finished within {seconds} s")]
    Timeout { seconds: u64 },
}

impl CarryError {
    /// Says whether somebody must change something first.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Fleet(FleetError::Raced | FleetError::Locked { .. }) => false,
            Self::Fleet(error) => error.is_refusal(),
            Self::Identity(_) | Self::Timeout { .. } => false,
        }
    }

    pub fn reason(&self) -> &'static str {
        match self {
            Self::Fleet(FleetError::Locked { .. }) => reason::LOCKED,
            Self::Fleet(error) if error.is_refusal() => reason::REFUSED,
            Self::Fleet(
                FleetError::Observe { source }
                | FleetError::Identify { source }
                | FleetError::ReadParent { source }
                | FleetError::Lock { source }
                | FleetError::WriteParent { source },
            ) if source.kind() == FailureKind::Forbidden => reason::FORBIDDEN,
            Self::Fleet(_) | Self::Identity(_) | Self::Timeout { .. } => reason::PLAN_FAILED,
        }
    }
}

/// What was planned and what came of it.
pub struct Carried {
    pub limited: Limited,
    pub outcome: Outcome,
    /// What the changes wait for whose wave has not come.
    pub waiting: Option<Waiting>,
}

/// Plans and applies, through the functions that the command line uses.
///
/// *Effects*: those of [`fleet::look`], [`fleet::plan`] and, for a plan with something to do within the ceilings,
/// [`fleet::execute`].
pub async fn out(
    access: Access<'_>,
    reading: &Reading,
    tree: &SourceTree,
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<Carried, CarryError> {
    // Of all the files: a budget is not had twice by writing only a part of them.
    let content = fleet::content(reading);
    let (reading, outside) = ceiling::within_namespaces(reading.clone(), &settings.limits);
    let options = PlanOptions {
        prune: Prune::No,
        force_conflicts: BTreeSet::new(),
        renderer_revision: None,
        now: Timestamp::now(),
    };
    let planning = async {
        let live = fleet::look(access, &reading).await?;
        let planned = fleet::plan(access, &reading, tree, &live, &options).await?;
        Ok((live, planned))
    };
    let (live, planned) = tokio::time::timeout(settings.deadline, planning)
        .await
        .map_err(|_| CarryError::Timeout {
            seconds: settings.deadline.as_secs(),
        })?
        .map_err(CarryError::Fleet)?;
    let mut limited = ceiling::limit(planned, outside, settings.max_impact, &settings.limits);
    settings.fights().leave(&mut limited.plan, Instant::now());
    let approval = Approval {
        writes: Consent::Given,
        // What the limits hold back is not in the plan any more.
        deletions: Consent::when(settings.limits.may_delete()),
        data_loss: Consent::when(settings.max_impact == MaxImpact::DataLoss),
    };
    let approved = plan::approve(limited.plan.clone(), &approval)
        .map_err(|source| CarryError::Fleet(FleetError::Refused { source }))?;
    let is_loosened = !fleet::loosened(reading.fleet.as_ref(), &live, options.prune).is_empty();
    let lock = match &reading.fleet {
        Some(fleet) if !approved.is_empty() || is_loosened => {
            Some(take_lock(access, fleet, &live, &settings.holder).await?)
        }
        Some(_) | None => None,
    };
    let run = RunOptions {
        parallelism: apply::FLEET_PARALLELISM,
        deadline: Some(settings.deadline),
        revision: tree.revision.as_deref(),
        // A pass must not wait for pods: others would wait for it.
        pace: Pace::OneStep,
    };
    let subject = fleet::Subject {
        lock: lock.as_ref(),
        content: &content,
    };
    let executed = fleet::execute(access, subject, &live, &approved, &run, None, stop).await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    let executed = executed.map_err(CarryError::Fleet)?;
    settings
        .fights()
        .note(approved.plan(), &executed.outcome, Instant::now());
    if executed.lock == LockEnd::Lost {
        tracing::warn!("the lock of the fleet was lost; what was not begun is left for the next pass");
    }
    if let Some(error) = &executed.forgotten {
        tracing::warn!(
            error = chain(error),
            "the hub does not remember the commit that was applied"
        );
    }
    Ok(Carried {
        limited,
        outcome: executed.outcome,
        waiting: executed.waiting,
    })
}

/// Names a run in the lock of its fleet. No two runs are named alike: none may take the lock of another for its own.
pub fn holder(who: &str, instance: &str) -> String {
    let unique = RandomState::new().build_hasher().finish();
    format!("{who}, controller {instance} ({unique:016x})")
}

async fn take_lock(access: Access<'_>, fleet: &Fleet, live: &Live, holder: &str) -> Result<Lock, CarryError> {
    let options = LockOptions {
        holder,
        wait: LOCK_WAIT,
        // Who wrote the FleetSync, or started this process, has said that this hub gets the fleet.
        first_apply: FirstApply::Allowed,
    };
    let waiting = |holder: &Holder| tracing::info!(%holder, "waits for the lock of the fleet");
    fleet::lock(access, fleet, live, &options, waiting)
        .await
        .map_err(CarryError::Fleet)
}

impl Carried {
    /// Returns every object that was written, as the server answered.
    pub fn written(&self) -> impl Iterator<Item = (&ObjectId, &Object)> {
        self.outcome
            .results
            .iter()
            .filter_map(|(id, result)| match result {
                ActionResult::Done { live } => Some((id, live.as_ref()?)),
                ActionResult::Foreign { .. }
                | ActionResult::Skipped { .. }
                | ActionResult::Failed(_)
                | ActionResult::Unknown(_) => None,
            })
    }

    /// Returns what keeps the clusters from being all that the files say; `None` when nothing does.
    pub fn lacks(&self, errors: usize) -> Option<Stall> {
        let mut lacks: Vec<Stall> = Vec::new();
        if let Some((id, failure)) = self.outcome.failures().next() {
            let count = self.outcome.failures().count();
            let is_forbidden = self
                .outcome
                .failures()
                .all(|(_, failure)| failure.kind == FailureKind::Forbidden);
            let reason = if is_forbidden {
                reason::FORBIDDEN
            } else {
                reason::APPLY_FAILED
            };
            let text = format!("{count} not written; the first: {id}: {}", failure.message);
            lacks.push(Stall::new(reason, text));
        }
        let left: Vec<(&ObjectId, &str)> = self.outcome.results.iter().filter_map(left_undone).collect();
        if let Some(waiting) = &self.waiting {
            let reason = match waiting.is_for_a_person() {
                true => reason::ROLLOUT_STOPPED,
                false => reason::ROLLING,
            };
            lacks.push(Stall::new(
                reason,
                format!("{} not written yet: {waiting}", left.len()),
            ));
        }
        if let (true, Some((id, why))) = (lacks.is_empty(), left.first()) {
            let text = format!("{} not written; the first: {id}: {why}", left.len());
            lacks.push(Stall::new(reason::APPLY_FAILED, text));
        }
        if errors > 0 {
            let text = format!("{errors} errors in the files, see status.problems; what has none goes on");
            lacks.push(Stall::new(reason::INVALID_FILES, text));
        }
        if let Some(pending) = &self.limited.pending {
            let first = self.held(|held| held.reason == HeldReason::AboveMaxImpact);
            let text = format!("{} above spec.maxImpact; the first: {first}", pending.entries);
            lacks.push(Stall::new(reason::PENDING, text));
        }
        let held = self.limited.plan.held.iter().filter(|held| is_lack(held)).count();
        if held > 0 {
            let text = format!("{held} held; the first: {}", self.held(is_lack));
            lacks.push(Stall::new(reason::HELD, text));
        }
        let reason = lacks.first()?.reason;
        let texts: Vec<String> = lacks.into_iter().map(|lack| lack.message).collect();
        Some(Stall::new(reason, texts.join("; ")))
    }

    fn held(&self, is_meant: impl Fn(&Held) -> bool) -> String {
        let first = self.limited.plan.held.iter().find(|held| is_meant(held));
        first
            .map(|held| format!("{}: {}", held.id, held.waiting_on))
            .unwrap_or_default()
    }

    /// Returns what was done, in one line.
    pub fn summary(&self, revision: &str) -> String {
        let counts = &self.limited.counts.actions;
        let parts: Vec<String> = counts
            .iter()
            .map(|(action, count)| format!("{count} {action}"))
            .collect();
        let parts = if parts.is_empty() {
            "no cluster".to_owned()
        } else {
            parts.join(", ")
        };
        format!("{revision}: {parts}")
    }

    pub fn log(&self) {
        for (id, result) in &self.outcome.results {
            match result {
                ActionResult::Done { .. } => tracing::info!(object = %id, "written"),
                ActionResult::Foreign { owner } => {
                    tracing::warn!(object = %id, owner, "not written: it is not ours");
                }
                ActionResult::Skipped { because } => tracing::debug!(object = %id, because, "not written"),
                ActionResult::Failed(failure) => {
                    tracing::warn!(object = %id, error = failure.message, "not written");
                }
                ActionResult::Unknown(failure) => {
                    tracing::warn!(object = %id, error = failure.message, "written or not: no answer came");
                }
            }
        }
    }
}

/// Says why a write was left undone without having failed.
fn left_undone((id, result): &(ObjectId, ActionResult)) -> Option<(&ObjectId, &str)> {
    match result {
        ActionResult::Foreign { owner } => Some((id, owner)),
        ActionResult::Skipped { because } => Some((id, because)),
        ActionResult::Done { .. } | ActionResult::Failed(_) | ActionResult::Unknown(_) => None,
    }
}

/// Says whether a held entry means that a cluster is not what the files say. What is kept, protected or left to others
/// on purpose is as it should be.
fn is_lack(held: &Held) -> bool {
    match held.reason {
        HeldReason::Foreign
        | HeldReason::OtherOwner
        | HeldReason::NotReadable
        | HeldReason::Waiting
        | HeldReason::Hold
        | HeldReason::Fought
        | HeldReason::Refused => true,
        HeldReason::Protected
        | HeldReason::DeletionsOff
        | HeldReason::OverBudget
        | HeldReason::EmptySet
        | HeldReason::ErrorFindings
        // Counted as pending.
        | HeldReason::AboveMaxImpact
        | HeldReason::Yielded => false,
    }
}
