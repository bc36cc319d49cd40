//! What may be written now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Changed, Evidence, Phase, Rollout, Stage, State, Verdict, gated_body};
use crate::api::fleet_rollout::{DELETIONS, OnFailure};
use crate::api::labels;
use crate::object::{Object, ObjectId, Observed, differences, digest};
use crate::plan::preview::changed_spec;
use crate::plan::{Action, ActionResult, Impact, Plan};

/// What a cluster lacks of which nothing can be known yet.
const JUST_NOW: &str = "changed just now";

/// What a rollout does next.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The actions that may be sent now.
    pub open: BTreeSet<ObjectId>,
    /// The state to be remembered before they are sent.
    pub state: State,
    /// What the others wait for; `None` when nothing is left to be sent.
    pub waiting: Option<Waiting>,
}

/// Why something is not sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// For clusters of this wave, with what each lacks as far as it was seen. Later waves are behind it.
    Wave {
        name: String,
        clusters: BTreeMap<ObjectId, String>,
    },
    /// As many clusters as may be are unavailable.
    Unavailable { clusters: Vec<ObjectId> },
    /// For somebody.
    Person { phase: Phase, why: String },
}

impl Waiting {
    /// Says whether it can end by itself.
    pub fn is_for_a_person(&self) -> bool {
        match self {
            Self::Person { .. } => true,
            Self::Wave { .. } | Self::Unavailable { .. } => false,
        }
    }
}

/// Names some clusters: `edge/berlin (1 of 3 pods are ready), edge/rome and 3 more`.
fn some<'a>(clusters: impl ExactSizeIterator<Item = (&'a ObjectId, Option<&'a str>)>) -> String {
    const MOST: usize = 3;
    let count = clusters.len();
    let names: Vec<String> = clusters
        .take(MOST)
        .map(|(id, lacks)| match lacks {
            Some(lacks) => format!("{}/{} ({})", id.namespace, id.name, lacks.trim_end_matches('.')),
            None => format!("{}/{}", id.namespace, id.name),
        })
        .collect();
    let more = if count > MOST {
        format!(" and {} more", count - MOST)
    } else {
        String::new()
    };
    format!("{}{more}", names.join(", "))
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wave { name, clusters } => {
                let shown = clusters.iter().map(|(id, lacks)| (id, Some(lacks.as_str())));
                let count = clusters.len();
                let noun = if count == 1 { "cluster" } else { "clusters" };
                write!(formatter, "wave {name} waits for {count} {noun}: {}", some(shown))
            }
            Self::Unavailable { clusters } => {
                let shown = clusters.iter().map(|id| (id, None));
                write!(formatter, "maxUnavailable is reached: {}", some(shown))
            }
            Self::Person { phase, why } => write!(formatter, "the rollout is {}: {why}", phase.as_str()),
        }
    }
}

/// Decides what of a plan may be written now.
///
/// *Shape*: `plan` holds what was not sent yet, arranged by [`Rollout::arrange`]; `seen` has a look at each cluster that
/// `state` says was changed, as far as it could be looked at; `observed` holds the clusters as the plan saw them.
pub fn step(
    rollout: &Rollout,
    state: &State,
    plan: &Plan,
    observed: &Observed,
    seen: &BTreeMap<ObjectId, Evidence>,
    now: Timestamp,
) -> Step {
    let mut state = state.clone();
    rollout.take_in(&mut state, seen, now);
    let gated: Vec<(&str, &Action)> = plan
        .waves
        .iter()
        .filter(|wave| rollout.has(&wave.name))
        .flat_map(|wave| wave.actions.iter().map(|action| (wave.name.as_str(), action)))
        .collect();
    let mut open: BTreeSet<ObjectId> = plan
        .waves
        .iter()
        .filter(|wave| !rollout.has(&wave.name) && wave.name != DELETIONS)
        .flat_map(|wave| wave.actions.iter().map(|action| action.id.clone()))
        .collect();
    let mut begin = |state: &mut State, wave: &str, action: &Action| {
        let live = observed.objects.get(&action.id);
        let is_available = live.is_some_and(|live| super::evidence::of_cluster(live).is_available);
        let changed = Changed {
            wave: wave.to_owned(),
            at: now,
            counts: is_available,
            settled_at: None,
            failed: None,
            is_available: is_available && action.impact == Impact::Rolling,
            before: live.map(spec_digest),
        };
        state.insert(&action.id, changed);
        open.insert(action.id.clone());
    };
    let mut left: Vec<(&str, &Action)> = Vec::new();
    for (wave, action) in gated {
        // What is still under way goes back to what it came from, whatever else waits.
        match is_return(&state, action, observed) {
            true => begin(&mut state, wave, action),
            false => left.push((wave, action)),
        }
    }
    let waiting = match state.phase {
        Phase::Running => rollout.open_waves(&mut state, &left, observed, seen, &mut begin),
        Phase::Paused | Phase::Halted | Phase::Aborted => (!left.is_empty()).then(|| Waiting::Person {
            phase: state.phase,
            why: state.why.clone().unwrap_or_default(),
        }),
    };
    if waiting.is_none() {
        let deletions = plan.waves.iter().filter(|wave| wave.name == DELETIONS);
        open.extend(deletions.flat_map(|wave| wave.actions.iter().map(|action| action.id.clone())));
    }
    Step { open, state, waiting }
}

impl Rollout {
    /// Takes into the state which changes were not written after all, and stops it when too many of this run were
    /// refused. What was only not begun (somebody interrupted it) is nobody's failure.
    ///
    /// *Shape*: `results` are those of the whole run.
    pub fn take_back(&self, state: &mut State, results: &[(ObjectId, ActionResult)]) {
        let mut refused = BTreeMap::new();
        for (id, result) in results {
            match result {
                ActionResult::Failed(failure) => refused.insert(id.clone(), failure.message.clone()),
                ActionResult::Foreign { owner } => {
                    refused.insert(id.clone(), format!("it belongs to {owner}"))
                }
                ActionResult::Skipped { .. } => None,
                ActionResult::Done { .. } | ActionResult::Unknown(_) => continue,
            };
            state.remove(id);
        }
        self.stop_after(state, &refused);
    }

    fn stop_after(&self, state: &mut State, failures: &BTreeMap<ObjectId, String>) {
        let (Phase::Running, Some((first, why))) = (state.phase, failures.first_key_value()) else {
            return;
        };
        if failures.len() <= self.max_failures {
            return;
        }
        state.phase = match self.on_failure {
            OnFailure::Pause => Phase::Halted,
            OnFailure::Abort => Phase::Aborted,
        };
        let (count, most) = (failures.len(), self.max_failures);
        state.why = Some(format!(
            "{count} failed, maxFailures is {most}; {}/{}: {why}",
            first.namespace, first.name
        ));
    }

    /// Takes what was seen into the state, and stops it when too many clusters have failed.
    fn take_in(&self, state: &mut State, seen: &BTreeMap<ObjectId, Evidence>, now: Timestamp) {
        let ids: Vec<ObjectId> = state.changed().map(|(id, _)| id).collect();
        for id in ids {
            let Some(evidence) = seen.get(&id) else { continue };
            let Some(changed) = state.get_mut(&id) else {
                continue;
            };
            changed.is_available = evidence.is_available;
            let is_done = match &evidence.verdict {
                Verdict::Gone => true,
                Verdict::Settled => {
                    let since = *changed.settled_at.get_or_insert(now);
                    changed.failed = None;
                    has_passed(since, self.min_success_time, now)
                }
                Verdict::Failed(why) => {
                    (changed.settled_at, changed.failed) = (None, Some(why.clone()));
                    false
                }
                Verdict::Progressing(why) => {
                    changed.settled_at = None;
                    if has_passed(changed.at, self.progress_deadline, now) {
                        let seconds = self.progress_deadline.as_secs();
                        changed.failed = Some(format!("not up to date after {seconds} s: {why}"));
                    }
                    false
                }
            };
            if is_done && let Some(done) = state.remove(&id) {
                *state.done.entry(done.wave).or_default() += 1;
            }
        }
        let failures = state.failures().map(|(id, why)| (id, why.to_owned())).collect();
        self.stop_after(state, &failures);
    }

    /// Opens what the first wave with something to do or to wait for lets through.
    fn open_waves(
        &self,
        state: &mut State,
        left: &[(&str, &Action)],
        observed: &Observed,
        seen: &BTreeMap<ObjectId, Evidence>,
        begin: &mut impl FnMut(&mut State, &str, &Action),
    ) -> Option<Waiting> {
        for (index, stage) in self.stages.iter().enumerate() {
            let on_its_way = on_its_way(state, stage, seen);
            let of_wave: Vec<&Action> = left
                .iter()
                .filter(|(wave, _)| *wave == stage.name)
                .map(|(_, action)| *action)
                .collect();
            let has_later = self
                .stages
                .iter()
                .skip(index + 1)
                .any(|later| left.iter().any(|(wave, _)| *wave == later.name));
            if of_wave.is_empty() {
                if !has_later {
                    return None;
                }
                let is_promoted = state.promoted.contains(&stage.name);
                let counted: BTreeMap<ObjectId, String> = on_its_way
                    .into_iter()
                    .filter(|(id, _)| {
                        state
                            .get(id)
                            .is_some_and(|one| one.counts && one.failed.is_none())
                    })
                    .collect();
                if counted.is_empty() || is_promoted {
                    continue;
                }
                return Some(Waiting::Wave {
                    name: stage.name.clone(),
                    clusters: counted,
                });
            }
            let waiting = self.open_wave(state, stage, &of_wave, on_its_way, observed, begin);
            return waiting.or_else(|| {
                // What was opened just now is to be seen before the next wave.
                let opened = of_wave
                    .iter()
                    .map(|action| (action.id.clone(), JUST_NOW.to_owned()));
                has_later.then(|| Waiting::Wave {
                    name: stage.name.clone(),
                    clusters: opened.collect(),
                })
            });
        }
        None
    }

    fn open_wave(
        &self,
        state: &mut State,
        stage: &Stage,
        of_wave: &[&Action],
        mut on_its_way: BTreeMap<ObjectId, String>,
        observed: &Observed,
        begin: &mut impl FnMut(&mut State, &str, &Action),
    ) -> Option<Waiting> {
        let size =
            of_wave.len() + on_its_way.len() + state.done.get(&stage.name).copied().unwrap_or_default();
        let most = stage
            .max_concurrent
            .as_ref()
            .map_or(usize::MAX, |most| most.of(size));
        let mut unavailable: Vec<ObjectId> = state
            .changed()
            .filter(|(_, one)| !one.is_available)
            .map(|(id, _)| id)
            .collect();
        let fleet = observed.objects.len();
        let limit = self
            .max_unavailable
            .as_ref()
            .map_or(usize::MAX, |most| most.of(fleet));
        for action in of_wave {
            if on_its_way.len() >= most {
                return Some(Waiting::Wave {
                    name: stage.name.clone(),
                    clusters: on_its_way,
                });
            }
            if unavailable.len() >= limit {
                return Some(Waiting::Unavailable {
                    clusters: unavailable,
                });
            }
            begin(state, &stage.name, action);
            on_its_way.insert(action.id.clone(), JUST_NOW.to_owned());
            if state.get(&action.id).is_some_and(|one| !one.is_available) {
                unavailable.push(action.id.clone());
            }
        }
        None
    }
}

/// Returns the clusters of a wave that were changed and neither are done nor have failed, with what each lacks.
fn on_its_way(
    state: &State,
    stage: &Stage,
    seen: &BTreeMap<ObjectId, Evidence>,
) -> BTreeMap<ObjectId, String> {
    state
        .changed()
        .filter(|(_, one)| one.wave == stage.name && one.failed.is_none())
        .map(|(id, one)| {
            let lacks = match seen.get(&id).map(|evidence| &evidence.verdict) {
                Some(Verdict::Progressing(why) | Verdict::Failed(why)) => why.clone(),
                Some(Verdict::Settled) if one.settled_at.is_some() => "minSuccessTime runs".to_owned(),
                Some(Verdict::Settled | Verdict::Gone) | None => "not looked at yet".to_owned(),
            };
            (id, lacks)
        })
        .collect()
}

fn has_passed(since: Timestamp, time: Duration, now: Timestamp) -> bool {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    now.duration_since(since) >= time
}

/// Says whether a change brings a cluster back to what it ran before the rollout changed it, which it has not left yet.
fn is_return(state: &State, action: &Action, observed: &Observed) -> bool {
    let before = state
        .get(&action.id)
        .and_then(|changed| changed.before.as_deref());
    let body_and_live = gated_body(action).zip(observed.objects.get(&action.id));
    let Some((before, (body, live))) = before.zip(body_and_live) else {
        return false;
    };
    let after = changed_spec(live, &differences(body, live, labels::FLEET_MANAGER));
    digest(&after) == before
}

fn spec_digest(object: &Object) -> String {
    digest(object.0.get("spec").unwrap_or(&serde_json::Value::Null))
}
