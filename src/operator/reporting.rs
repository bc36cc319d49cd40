//! The end of a pass: does the workload API answer, what does the status say, when to look again.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::Operator;
use super::classes::ASKED_AGAIN;
use super::events;
use super::looking::{Look, Subject};
use super::members;
use super::metrics::Ended;
use super::pass::{Pass, PassError, Passed};
use crate::api::names;
use crate::hosted::{self, Plane};
use crate::object::{Object, ObjectId};
use crate::pki::KeyPurpose;
use crate::plan::{ActionResult, FIGHT_PAUSE, HeldReason, Outcome, Plan};
use crate::queue::Next;
use crate::render::{Facts, GIVEN_UNUSABLE, ResolvedCluster, SourceFacts};
use crate::status::{self, Availability, Input, Wanted};

/// An object that is not ours carries no label of ours, so nobody tells when it goes.
const FOREIGN: Duration = Duration::from_secs(60);
/// A status written right after the objects would say that nothing runs yet, and be replaced at once.
const DEFERRED: Duration = Duration::from_secs(1);
/// Timers end; a certificate that is renewed a year from now is looked at every day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Operator {
    /// Writes what a pass found, if it differs, and says when to look again.
    ///
    /// *Effects*: a status and Events if it differs; one question to the control plane when it is time to ask.
    pub(super) async fn report(
        &self,
        key: &ObjectId,
        object: &Object,
        pass: Pass,
    ) -> Result<Passed, PassError> {
        let facts = self.facts(key, &pass.cluster, &self.observed(key));
        let (availability, good_for) = self.look(key, &facts, &pass).await;
        let previous = pass.cluster.status.as_ref();
        let input = Input {
            spec: &pass.cluster.spec,
            facts: &facts,
            previous,
            wanted: pass.resolved.as_ref().map(wanted).map_err(Clone::clone),
            plan: &pass.plan,
            outcome: &pass.outcome,
            availability,
            now: facts.now,
        };
        let new = status::update(&input);
        if new.is_some() && has_only_begun(&pass) && self.defers(key, facts.generation) {
            return Ok(Passed {
                next: Next::After(DEFERRED),
                ended: Ended::Changed,
            });
        }
        if let Some(new) = &new {
            self.deferred().remove(key);
            self.write_status(object, &json!(new)).await?;
            self.write_events(object, &events::between(previous, new)).await;
        }
        let is_changed = new.is_some() || !pass.outcome.results.is_empty();
        Ok(passed(&pass, &facts, good_for, is_changed))
    }

    /// Says whether the status of this generation may wait for a moment: once.
    fn defers(&self, key: &ObjectId, generation: i64) -> bool {
        self.deferred().insert(key.clone(), generation) != Some(generation)
    }

    /// Asks the control plane whether it answers, unless the last answer is still good; says how long it is.
    async fn look(&self, key: &ObjectId, facts: &Facts, pass: &Pass) -> (Availability, Option<Duration>) {
        let not_asked = |why: &str| (Availability::NotAsked(why.to_owned()), None);
        let Ok(resolved) = &pass.resolved else {
            return not_asked("nothing of this generation is applied");
        };
        let ready = facts
            .stateful_sets
            .get(&names::control_plane(&facts.name))
            .map_or(0, |pods| pods.ready_replicas);
        if ready == 0 {
            return not_asked("no pod is ready");
        }
        let Some(fingerprint) = facts
            .keys
            .get(&KeyPurpose::Ca)
            .and_then(|ca| ca.fingerprint.as_deref())
        else {
            return not_asked("its CA is not known yet");
        };
        let endpoint = resolved.endpoint.as_ref().ok();
        let subject = Subject {
            uid: facts.uid.clone(),
            url: endpoint.map(|endpoint| endpoint.url.clone()).unwrap_or_default(),
            authority: Some(fingerprint.to_owned()),
            ready_replicas: ready,
        };
        let earlier = self.looks().get(key).cloned();
        let good_for = earlier.as_ref().map_or(Duration::ZERO, |earlier| {
            earlier.good_for(Instant::now(), &subject)
        });
        let look = match earlier {
            Some(earlier) if !good_for.is_zero() => earlier,
            earlier => {
                let authority = resolved.key_secret(KeyPurpose::Ca);
                let plane = Plane {
                    cluster: key,
                    uid: &facts.uid,
                    authority: &authority,
                    fingerprint,
                    endpoint: endpoint.map(|endpoint| (endpoint.host.as_str(), endpoint.api_port)),
                    service: service_of(resolved),
                };
                let answer = match self.dialer.available(&plane, Timestamp::now()).await {
                    hosted::Availability::Available => Availability::Answers,
                    hosted::Availability::NotYet { why } | hosted::Availability::Refused { why } => {
                        Availability::Silent(why)
                    }
                    hosted::Availability::Unknown { why } => Availability::NotAsked(why),
                };
                let look = Look::new(Instant::now(), earlier.as_ref(), subject.clone(), answer);
                self.looks().insert(key.clone(), look.clone());
                look
            }
        };
        let good_for = look.good_for(Instant::now(), &subject);
        (look.answer, Some(good_for))
    }

    /// Forgets what is kept in memory about a cluster that is gone.
    pub(super) fn forget_look(&self, key: &ObjectId) {
        self.deferred().remove(key);
        self.unreachable().remove(key);
        if let Some(look) = self.looks().remove(key) {
            self.dialer.forget(look.uid());
        }
    }
}

/// Returns what the renderer decided, as far as a status repeats or judges it.
fn wanted(resolved: &ResolvedCluster) -> Wanted {
    Wanted {
        version: resolved.version.to_string(),
        replicas: resolved.replicas,
        etcd_members: members::expected(resolved),
        etcd_step: members::in_words(resolved),
        storage: resolved.storage.storage_type(),
        service: resolved.service_type,
        endpoint: resolved.endpoint.clone(),
        pins: resolved.pins.clone(),
        keys: resolved.keys.keys().copied().collect(),
        renew_before: resolved.renew_before,
        held: resolved.held.clone(),
    }
}

/// Says whether a pass did all it meant to do: what comes of it shows in a moment.
fn has_only_begun(pass: &Pass) -> bool {
    pass.resolved.is_ok() && !pass.outcome.results.is_empty() && pass.outcome.is_complete()
}

/// Cluster IP and port of the API Service.
fn service_of(resolved: &ResolvedCluster) -> Option<(&str, i32)> {
    let service = resolved.services.get(&resolved.service_type)?;
    Some((service.cluster_ips.first()?.as_str(), resolved.service_ports().0))
}

fn passed(pass: &Pass, facts: &Facts, good_for: Option<Duration>, is_changed: bool) -> Passed {
    let is_unread = matches!(facts.data_source, Some(SourceFacts::Unreadable { .. }));
    if is_unread || is_to_be_tried_again(&pass.plan, &pass.outcome) {
        return Passed {
            next: Next::Retry,
            ended: Ended::Failed,
        };
    }
    let foreign = is_foreign(&pass.plan, &pass.outcome).then_some(FOREIGN);
    let is_fought = pass
        .plan
        .held
        .iter()
        .any(|held| held.reason == HeldReason::Fought);
    let fought = is_fought.then_some(FIGHT_PAUSE);
    let asks = |resolved: &ResolvedCluster| resolved.growth.is_held();
    let growth = pass.resolved.as_ref().is_ok_and(asks).then_some(ASKED_AGAIN);
    let renewal = pass.resolved.as_ref().ok().and_then(|_| until_renewal(facts));
    // A Secret of the user's carries no label of ours either.
    let given = pass
        .resolved
        .as_ref()
        .err()
        .filter(|stalled| stalled.reason == GIVEN_UNUSABLE);
    let given = given.map(|_| FOREIGN);
    let members = pass.resolved.as_ref().ok().and_then(members::look_again);
    let next = [good_for, foreign, fought, given, growth, renewal, members]
        .into_iter()
        .flatten()
        .min();
    Passed {
        next: next.map_or(Next::Rest, |delay| Next::After(delay.min(LONGEST))),
        ended: if is_changed {
            Ended::Changed
        } else {
            Ended::Unchanged
        },
    }
}

/// Says whether something was not done that another pass may do.
fn is_to_be_tried_again(plan: &Plan, outcome: &Outcome) -> bool {
    let results = || outcome.results.iter().map(|(_, result)| result);
    let is_blocked = results().any(|result| matches!(result, ActionResult::Foreign { .. }));
    let is_unfinished = !plan.is_empty() && outcome.is_complete();
    is_unfinished
        || results().any(|result| match result {
            ActionResult::Failed(_) | ActionResult::Unknown(_) => true,
            // What needs something foreign has to wait as long as that does.
            ActionResult::Skipped { .. } => !is_blocked,
            ActionResult::Done { .. } | ActionResult::Foreign { .. } => false,
        })
}

fn is_foreign(plan: &Plan, outcome: &Outcome) -> bool {
    plan.held.iter().any(|held| held.reason == HeldReason::Foreign)
        || outcome
            .results
            .iter()
            .any(|(_, result)| matches!(result, ActionResult::Foreign { .. }))
}

/// Returns the time until half of what is left of the certificate that ends first: the renderer decides when to renew,
/// and is asked often enough to do so in time.
fn until_renewal(facts: &Facts) -> Option<Duration> {
    let ends = facts
        .keys
        .iter()
        .filter(|(purpose, _)| !purpose.is_root())
        .filter_map(|(_, key)| key.not_after.as_ref()?.parse::<Timestamp>().ok());
    let left = ends.min()?.duration_since(facts.now);
    // Also one that has ended must not be looked at in a loop.
    let half = Duration::try_from(left).unwrap_or_default() / 2;
    Some(half.max(Duration::from_secs(60)))
}
