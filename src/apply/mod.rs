//! Executes an approved plan.
//!
//! [`ApprovedPlan`] -> requests, progress -> [`Outcome`].
//!
//! **Invariants:** no choices: every write is in the plan, carries its precondition, and is sent once. A write whose
//! needs were not met is not sent. What was done is returned also when the run was stopped half way. Key bytes exist
//! only between their making and their request.

mod adopting;
mod execute;
mod filling;
mod foreign;
mod given;
mod keyring;
mod recreating;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::object::ObjectId;
use crate::plan::{Action, ActionResult, ApprovedPlan, Failure, FailureKind, Outcome};
use keyring::Keyring;

pub use given::look as look_at_given;

/// Requests at the same time when a whole fleet is applied.
pub const FLEET_PARALLELISM: usize = 32;
/// Requests at the same time for the children of one cluster: none has more that may be written together.
pub const CHILDREN_PARALLELISM: usize = 16;

/// After a stop, for the requests that are under way. Then they are given up and their outcome is unknown.
const GRACE: Duration = Duration::from_secs(5);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Field manager of every write.
    pub manager: &'static str,
    /// At least 1.
    pub parallelism: usize,
    /// For the whole run; afterwards it stops as if it had been told to. `None`: as long as it takes.
    pub deadline: Option<Duration>,
}

/// Where the bytes of keys come from: the system's random source, at one moment for the whole run.
#[derive(Clone, Copy, Debug)]
pub struct KeySource {
    now: Timestamp,
}

impl KeySource {
    /// Certificates begin five minutes before `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now }
    }
}

/// What a run reports while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Started {
        id: ObjectId,
    },
    Ended {
        id: ObjectId,
        ending: Ending,
    },
    /// Nothing can be begun before something else happens.
    Waiting {
        for_what: String,
    },
}

/// [`ActionResult`] without what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    Foreign { owner: String },
    Skipped { because: String },
    Failed(Failure),
    Unknown(Failure),
}

impl Ending {
    fn of(result: &ActionResult) -> Self {
        match result {
            ActionResult::Done { .. } => Self::Done,
            ActionResult::Foreign { owner } => Self::Foreign { owner: owner.clone() },
            ActionResult::Skipped { because } => Self::Skipped {
                because: because.clone(),
            },
            ActionResult::Failed(failure) => Self::Failed(failure.clone()),
            ActionResult::Unknown(failure) => Self::Unknown(failure.clone()),
        }
    }
}

/// One run of one plan.
struct Run<'a> {
    client: &'a Client,
    options: &'a Options,
    keys: KeySource,
    keyring: Keyring,
    stop: CancellationToken,
    progress: Option<&'a UnboundedSender<Progress>>,
}

/// Executes the plan, wave after wave, as much of a wave at the same time as its needs allow.
///
/// *Shape*: one result for each action, in the order they ended. Never fails as a whole.
/// *Effects*: one write for each action; for a create that meets an object one GET more; to sign, one GET of each CA
/// that was not made in this run. Nothing is sent for an empty plan. After `stop` nothing new is begun. Running the
/// plan of a fresh observation afterwards converges, wherever this run ended.
pub async fn run(
    client: &Client,
    plan: &ApprovedPlan,
    options: &Options,
    keys: KeySource,
    progress: Option<&UnboundedSender<Progress>>,
    stop: &CancellationToken,
) -> Outcome {
    let run = Run {
        client,
        options,
        keys,
        keyring: Keyring::new(),
        stop: stop.child_token(),
        progress,
    };
    let work = run.waves(plan);
    match options.deadline {
        None => work.await,
        Some(deadline) => {
            tokio::pin!(work);
            match tokio::time::timeout(deadline, &mut work).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    run.stop.cancel();
                    work.await
                }
            }
        }
    }
}

impl Run<'_> {
    async fn waves(&self, plan: &ApprovedPlan) -> Outcome {
        let mut outcome = Outcome::default();
        let mut met = BTreeMap::new();
        for wave in plan.waves() {
            let mut waiting: Vec<&Action> = wave.actions.iter().collect();
            while !waiting.is_empty() {
                let (ready, later) = split(&waiting);
                waiting = later;
                let met_before = &met;
                // Boxed one by one: a closure in the stream would keep the whole run from moving between threads.
                let requests: Vec<_> = ready
                    .into_iter()
                    .map(|action| {
                        async move { (action.id.clone(), self.one(action, met_before).await) }.boxed()
                    })
                    .collect();
                let mut results =
                    futures::stream::iter(requests).buffer_unordered(self.options.parallelism.max(1));
                let mut ended_now = Vec::new();
                while let Some((id, result)) = results.next().await {
                    self.report(Progress::Ended {
                        id: id.clone(),
                        ending: Ending::of(&result),
                    });
                    ended_now.push((id.clone(), matches!(result, ActionResult::Done { .. })));
                    outcome.results.push((id, result));
                }
                drop(results);
                met.extend(ended_now);
            }
        }
        outcome
    }

    /// Executes one action, unless the run was stopped or what it needs was not done.
    async fn one(&self, action: &Action, met: &BTreeMap<ObjectId, bool>) -> ActionResult {
        if self.stop.is_cancelled() {
            return ActionResult::Skipped {
                because: "the run was stopped before".to_owned(),
            };
        }
        if let Some(missing) = execute::needs(action).find(|id| met.get(id) == Some(&false)) {
            return ActionResult::Skipped {
                because: format!("it needs {missing}, which was not done"),
            };
        }
        self.report(Progress::Started {
            id: action.id.clone(),
        });
        tokio::select! {
            biased;
            result = self.execute(action) => result,
            () = self.grace_is_over() => ActionResult::Unknown(Failure {
                kind: FailureKind::Timeout,
                message: "the run was stopped while the request was under way".to_owned(),
            }),
        }
    }

    async fn grace_is_over(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    fn report(&self, progress: Progress) {
        if let Some(sender) = self.progress {
            // Nobody listens any more: the run goes on.
            let _ = sender.send(progress);
        }
    }
}

/// Takes out the actions that need nothing of the others; all of them when they need each other in a circle, which no
/// plan does: they then run at the same time, as a wave says.
fn split<'a>(waiting: &[&'a Action]) -> (Vec<&'a Action>, Vec<&'a Action>) {
    let ids: BTreeSet<&ObjectId> = waiting.iter().map(|action| &action.id).collect();
    let waits = |action: &Action| execute::needs(action).any(|need| need != action.id && ids.contains(&need));
    let (later, ready): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|action| waits(action));
    if ready.is_empty() {
        (later, ready)
    } else {
        (ready, later)
    }
}

#[cfg(test)]
mod tests;
