//! An approved plan, wave after wave: decides with [`crate::plan::rollout`], writes, remembers, looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::look::{Access, Live};
use super::run::{Pace, replace};
use super::{FleetError, StoredParent, recall};
use crate::api::labels;
use crate::apply::{self, KeySource, Progress};
use crate::client::{Client, chain};
use crate::object::{Object, ObjectId, ObjectSet};
use crate::observe;
use crate::plan::rollout::{self, Evidence, Rollout, State, Step, Verdict, Waiting};
use crate::plan::{ActionResult, ApprovedPlan, Outcome};

/// Up to this many clusters are read one by one.
const FEW: usize = 16;

/// One run of a rollout.
pub(super) struct Rolling<'a> {
    pub access: Access<'a>,
    pub rollout: &'a Rollout,
    pub live: &'a Live,
    pub pace: Pace,
    pub how: apply::Options,
    pub progress: Option<&'a UnboundedSender<Progress>>,
    pub stop: &'a CancellationToken,
}

/// What came of it.
pub(super) struct Rolled {
    /// One result for each action of the plan.
    pub outcome: Outcome,
    pub stored: StoredParent,
    pub waiting: Option<Waiting>,
}

impl Rolling<'_> {
    /// Writes what may be written, until nothing is left or the rest waits for longer than this run does.
    ///
    /// *Effects*: those of [`apply::run`]; a write of the parent before and after those of each step, and a read of it
    /// and of the changed clusters between.
    pub async fn run(&self, mut stored: StoredParent, mut left: ApprovedPlan) -> Rolled {
        let end = self
            .how
            .deadline
            .and_then(|time| Instant::now().checked_add(time));
        let mut outcome = Outcome::default();
        let waiting = loop {
            let state = stored.parent.rollout.clone().unwrap_or_default();
            let changed: BTreeSet<ObjectId> = state.changed().map(|(id, _)| id).collect();
            // Anew each time: what cannot be read now is not what it was before.
            let seen = evidence(self.access.clusters, &changed).await;
            let Step {
                open,
                state: next,
                waiting,
            } = rollout::step(
                self.rollout,
                &state,
                left.plan(),
                &self.live.observed,
                &seen,
                Timestamp::now(),
            );
            // Before anything is sent: whoever goes on after a crash must know what may have been.
            match self.remember(&stored, next).await {
                Ok(remembered) => stored = remembered,
                // Somebody paused it, say, at this very moment: what is there now counts.
                Err(FleetError::Raced) => match self.recall(&stored).await {
                    Ok(recalled) => {
                        stored = recalled;
                        continue;
                    }
                    Err(error) => break Some(Cause::of(&error)),
                },
                Err(error) => break Some(Cause::of(&error)),
            }
            let part = left.take(&open);
            let done = self.send(&part, end).await;
            let lost = self.lost(&part, &done);
            outcome.results.extend(done.results);
            let mut state = stored.parent.rollout.clone().unwrap_or_default();
            self.rollout.take_back(&mut state, &outcome.results);
            match self.remember(&stored, state).await {
                Ok(remembered) => stored = remembered,
                Err(error) => break Some(Cause::of(&error)),
            }
            // What such a cluster ran before would pass for the evidence of what may never have been written.
            if let (Some(lost), false) = (lost, left.is_empty()) {
                break Some(Cause::Error(format!("whether {lost} was changed is not known")));
            }
            // What waits for nothing was sent.
            let Some(waiting) = waiting.filter(|_| !left.is_empty()) else {
                break None;
            };
            let is_for_now = match self.pace {
                Pace::Through { look_every } if !waiting.is_for_a_person() => {
                    self.report(&waiting);
                    self.pause(look_every, end).await
                }
                Pace::Through { .. } | Pace::OneStep => false,
            };
            if !is_for_now {
                break Some(Cause::Waiting(waiting));
            }
            match self.recall(&stored).await {
                Ok(recalled) => stored = recalled,
                Err(error) => break Some(Cause::of(&error)),
            }
        };
        let because = waiting.as_ref().map(ToString::to_string).unwrap_or_default();
        let undone = left.plan().actions().map(|action| {
            let because = because.clone();
            (action.id.clone(), ActionResult::Skipped { because })
        });
        outcome.results.extend(undone);
        Rolled {
            outcome,
            stored,
            waiting: waiting.and_then(Cause::into_waiting),
        }
    }

    async fn send(&self, part: &ApprovedPlan, end: Option<Instant>) -> Outcome {
        if part.is_empty() {
            return Outcome::default();
        }
        let how = apply::Options {
            deadline: end.map(|end| end.saturating_duration_since(Instant::now())),
            ..self.how
        };
        let keys = KeySource::at(Timestamp::now());
        apply::run(self.access.clusters, part, &how, keys, self.progress, self.stop).await
    }

    /// Returns a change that others wait for, of which nobody knows whether it was made.
    fn lost(&self, part: &ApprovedPlan, done: &Outcome) -> Option<ObjectId> {
        let gated: BTreeSet<&ObjectId> = part
            .waves()
            .iter()
            .filter(|wave| self.rollout.has(&wave.name))
            .flat_map(|wave| wave.actions.iter().map(|action| &action.id))
            .collect();
        let mut results = done.results.iter();
        results
            .find(|(id, result)| matches!(result, ActionResult::Unknown(_)) && gated.contains(id))
            .map(|(id, _)| id.clone())
    }

    /// Waits for the next look. Returns whether there is one.
    async fn pause(&self, time: Duration, end: Option<Instant>) -> bool {
        let next = Instant::now() + time;
        if end.is_some_and(|end| end <= next) {
            return false;
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep_until(next) => true,
        }
    }

    async fn remember(&self, stored: &StoredParent, state: State) -> Result<StoredParent, FleetError> {
        let parent = stored.parent.with_rollout(state);
        if parent == stored.parent {
            return Ok(stored.clone());
        }
        replace(self.access, stored, &parent).await
    }

    /// Reads the parent again: a person may have told it something. Another run ends this one.
    async fn recall(&self, stored: &StoredParent) -> Result<StoredParent, FleetError> {
        let fleet_id = &stored.parent.fleet_id;
        recall(self.access.memory, fleet_id, self.access.parent_namespace)
            .await?
            .filter(|found| found.uid == stored.uid && found.parent.runs == stored.parent.runs)
            .ok_or(FleetError::Raced)
    }

    fn report(&self, waiting: &Waiting) {
        if let Some(progress) = self.progress {
            // Nobody listens any more: the run goes on.
            let _ = progress.send(Progress::Waiting {
                for_what: waiting.to_string(),
            });
        }
    }
}

/// Changes the state of a rollout, whoever is running it, and returns what there is now.
///
/// *Shape*: `change` may be called more than once, each time with the state as it is at that moment.
/// *Errors*: a hub that does not know the fleet, a parent that cannot be read or written.
/// *Effects*: a read and a write of the parent; more when somebody else writes it at the same moment.
pub async fn steer(
    access: Access<'_>,
    fleet_id: &str,
    change: impl Fn(&mut State),
) -> Result<Option<State>, FleetError> {
    const ATTEMPTS: usize = 5;
    for _ in 0..ATTEMPTS {
        let Some(stored) = recall(access.memory, fleet_id, access.parent_namespace).await? else {
            return Ok(None);
        };
        let mut state = stored.parent.rollout.clone().unwrap_or_default();
        change(&mut state);
        let parent = stored.parent.with_rollout(state);
        if parent == stored.parent {
            return Ok(parent.rollout);
        }
        match replace(access, &stored, &parent).await {
            Err(FleetError::Raced) => {}
            other => return Ok(other?.parent.rollout),
        }
    }
    Err(FleetError::Raced)
}

/// Why a run ended before its plan.
enum Cause {
    Waiting(Waiting),
    Error(String),
}

impl Cause {
    fn of(error: &FleetError) -> Self {
        Self::Error(chain(error))
    }

    fn into_waiting(self) -> Option<Waiting> {
        match self {
            Self::Waiting(waiting) => Some(waiting),
            Self::Error(_) => None,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting(waiting) => waiting.fmt(formatter),
            Self::Error(error) => error.fmt(formatter),
        }
    }
}

/// Looks at clusters, and at the StatefulSets of those that say that they are settled.
///
/// *Shape*: a cluster that cannot be read has no entry.
/// *Effects*: one GET each, or the lists of [`observe::fleet`] for more than a few; those of [`observe::stateful_sets`].
pub async fn evidence(client: &Client, clusters: &BTreeSet<ObjectId>) -> BTreeMap<ObjectId, Evidence> {
    let mut seen: BTreeMap<ObjectId, Evidence> = read(client, clusters).await;
    let settled: BTreeSet<ObjectId> = seen
        .iter()
        .filter(|(_, evidence)| evidence.verdict == Verdict::Settled)
        .map(|(id, _)| id.clone())
        .collect();
    if settled.is_empty() {
        return seen;
    }
    let sets = observe::stateful_sets(client, &settled).await;
    for id in settled {
        let Some(evidence) = seen.remove(&id) else {
            continue;
        };
        let judged = match &sets {
            Ok(sets) => rollout::with_sets(evidence, of(&id, sets)),
            Err(error) => Evidence {
                verdict: Verdict::Progressing(format!("its StatefulSets cannot be read: {}", chain(error))),
                ..evidence
            },
        };
        seen.insert(id, judged);
    }
    seen
}

async fn read(client: &Client, clusters: &BTreeSet<ObjectId>) -> BTreeMap<ObjectId, Evidence> {
    let gone = || Evidence {
        verdict: Verdict::Gone,
        is_available: false,
    };
    let judge = |found: Option<&Object>| found.map_or_else(gone, rollout::of_cluster);
    if clusters.len() > FEW {
        let namespaces = clusters.iter().map(|id| id.namespace.clone()).collect();
        let Ok(observed) = observe::fleet(client, &namespaces).await else {
            return BTreeMap::new();
        };
        return clusters
            .iter()
            .filter(|id| observed.is_complete_for(id.kind, &id.namespace))
            .map(|id| (id.clone(), judge(observed.objects.get(id))))
            .collect();
    }
    let looks = clusters
        .iter()
        .map(|id| async move { (id.clone(), client.get(id).await) });
    let found = futures::future::join_all(looks).await;
    found
        .into_iter()
        .filter_map(|(id, found)| Some((id, judge(found.ok()?.as_ref()))))
        .collect()
}

fn of<'a>(cluster: &'a ObjectId, sets: &'a ObjectSet) -> impl Iterator<Item = &'a Object> {
    sets.iter()
        .filter(|(id, set)| {
            id.namespace == cluster.namespace && set.label(labels::CLUSTER) == Some(&cluster.name)
        })
        .map(|(_, set)| set)
}
