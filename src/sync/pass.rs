//! One look at one sync: order, commit, files, plan, apply, status.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::carry::{self, Carried, CarryError, Settings, holder};
use super::metrics::Ended;
use super::order::{Order, Stall};
use super::report::{self, Done, Report, Verdict};
use super::rivals::{self, Turn};
use super::source::{Source, SourceError};
use super::store::{Handled, Memory};
use super::{Syncs, reason};
use crate::api::fleet_sync::{FleetProblem, FleetSyncSpec, FleetSyncStatus};
use crate::api::labels;
use crate::client::{self, ClientError, chain};
use crate::diagnostic::{Findings, Severity, SourceTree};
use crate::fleet::{Access, OperatorSource};
use crate::load::git::CommitId;
use crate::object::{Object, ObjectId};
use crate::plan::rollout::Waiting;
use crate::queue::Next;

/// Problems that fit a status.
const PROBLEMS_MAX: usize = 20;
/// Another sync is about to be looked at; this takes it no longer.
const SETTLE: Duration = Duration::from_secs(1);

/// Clusters of a wave are looked at this often: they need a minute or more.
const ROLL: Duration = Duration::from_secs(10);

/// What a look ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub next: Next,
    pub ended: Ended,
}

/// One FleetSync as it was when the look began.
struct Subject {
    id: ObjectId,
    uid: String,
    object: Object,
    generation: Option<i64>,
    status: FleetSyncStatus,
    memory: Memory,
    /// Value of the annotation that asks for a look, if it was not answered yet.
    request: Option<String>,
}

impl Subject {
    fn new(id: &ObjectId, object: Object, memory: Memory) -> Self {
        let status = object.0.get("status").cloned().unwrap_or_default();
        // A status that somebody else broke is written anew.
        let status: FleetSyncStatus = serde_json::from_value(status).unwrap_or_default();
        let request = object
            .annotation(labels::REQUESTED_AT)
            .map(str::to_owned)
            .filter(|request| status.last_handled_request.as_ref() != Some(request));
        Self {
            id: id.clone(),
            uid: object.uid().unwrap_or_default().to_owned(),
            generation: object.integer("/metadata/generation"),
            status,
            memory,
            request,
            object,
        }
    }

    fn report(&self, verdict: Verdict) -> Report {
        Report {
            verdict,
            revision: None,
            problems: None,
            generation: self.generation,
            request: self.request.clone(),
        }
    }

    fn stalled(&self, stall: Stall) -> Report {
        self.report(Verdict::Stalled(stall))
    }
}

impl Syncs {
    /// Looks at one sync, and does what there is to do.
    ///
    /// *Effects*: one ls-refs; nothing more when it brings the commit that was handled last.
    pub(super) async fn look(&self, key: &ObjectId, stop: &CancellationToken) -> Passed {
        let Some((object, memory)) = self.store().sync(key) else {
            return Passed {
                next: Next::Forget,
                ended: Ended::Unchanged,
            };
        };
        let subject = Subject::new(key, object, memory);
        let (report, next, ended) = self.decide(&subject, stop).await;
        let Some(report) = report else {
            return Passed { next, ended };
        };
        self.remember(&subject, |memory| memory.was_tried = true);
        match self.write_status(&subject, report).await {
            Ok(()) => Passed { next, ended },
            Err(error) => {
                tracing::warn!(error = chain(&error), "the status cannot be written");
                Passed {
                    next: Next::Retry,
                    ended: Ended::Failed,
                }
            }
        }
    }

    /// Does everything but the status, which is `None` when there is nothing to say.
    async fn decide(&self, subject: &Subject, stop: &CancellationToken) -> (Option<Report>, Next, Ended) {
        if subject.object.text("/metadata/deletionTimestamp").is_some() {
            return (None, Next::Rest, Ended::Unchanged);
        }
        let spec = subject.object.0.get("spec").cloned().unwrap_or_default();
        let order = serde_json::from_value::<FleetSyncSpec>(spec)
            .map_err(|error| Stall::new(reason::INVALID_SPEC, format!("spec: {error}")))
            .and_then(|spec| {
                let order = Order::read(&spec, &subject.id.namespace, self.options.file_sources);
                Ok((spec.suspend == Some(true), order?))
            });
        let order = match order {
            Ok((false, order)) => order,
            Ok((true, _)) => {
                self.remember(subject, |memory| (memory.claim, memory.handled) = (None, None));
                return (
                    Some(subject.report(Verdict::Suspended)),
                    Next::Rest,
                    Ended::Suspended,
                );
            }
            Err(stall) => {
                self.remember(subject, |memory| (memory.claim, memory.handled) = (None, None));
                return (Some(subject.stalled(stall)), Next::Rest, Ended::Stalled);
            }
        };
        let later = Next::After(order.interval);
        let commit = match self.repositories.resolve(&subject.uid, &order).await {
            Ok(commit) => commit,
            Err(error) => return source_failed(subject, &error, None),
        };
        let needs_plan = subject
            .memory
            .needs_plan(&commit, subject.generation, Instant::now());
        if !needs_plan && subject.request.is_none() {
            return (None, later, Ended::Unchanged);
        }
        let earlier = earlier(subject, &order);
        let source = match self
            .repositories
            .read(&subject.uid, &order, &commit, earlier)
            .await
        {
            Ok(source) => source,
            Err(error) => return source_failed(subject, &error, Some(&commit)),
        };
        let mut report = match self.judge(subject, &order, &commit, &source) {
            Err(Unsettled) => return (None, Next::After(SETTLE), Ended::Unchanged),
            Ok(Err(stall)) => {
                self.handled(subject, &stall, &commit);
                (subject.stalled(stall), later, Ended::Stalled)
            }
            Ok(Ok(fleet_id)) => {
                self.carry_out(subject, &order, &commit, &source, fleet_id, stop)
                    .await
            }
        };
        report.0.revision = Some(commit.to_string());
        report.0.problems = Some(problems(&source.reading.findings, &source.tree));
        (Some(report.0), report.1, report.2)
    }

    /// Says which fleet may be written, or why none.
    fn judge(
        &self,
        subject: &Subject,
        order: &Order,
        commit: &CommitId,
        source: &Source,
    ) -> Result<Result<String, Stall>, Unsettled> {
        let stall = |reason, message: String| Ok(Err(Stall::new(reason, message)));
        if source.is_rewritten {
            let earlier = subject
                .status
                .last_applied_revision
                .as_deref()
                .unwrap_or_default();
            return stall(
                reason::HISTORY_REWRITTEN,
                format!("commit {earlier}, which was applied last, is not an ancestor of {commit}"),
            );
        }
        if source.reading.is_fleet_broken {
            return stall(
                reason::REFUSED,
                "the Fleet in the files has errors, so what it guards is not known".to_owned(),
            );
        }
        let Some(fleet) = &source.reading.fleet else {
            return stall(
                reason::NO_FLEET_ID,
                "there is no fleet.yaml with an id in the directory; `k0smotron-fleet init` writes one"
                    .to_owned(),
            );
        };
        let fleet_id = fleet.spec.id.clone();
        if let Some(allowed) = order
            .limits
            .fleet_id
            .as_ref()
            .filter(|allowed| **allowed != fleet_id)
        {
            return stall(
                reason::OTHER_FLEET,
                format!("the files are of fleet `{fleet_id}`; spec.limits.fleetId allows `{allowed}`"),
            );
        }
        // Decided and claimed under one lock: two passes that run at once cannot both claim.
        let mut store = self.store();
        match rivals::decide(&store.claims(), &subject.id, &fleet_id) {
            Turn::Mine => {
                store.remember(&subject.id, &subject.uid, |memory| {
                    memory.claim = Some(fleet_id.clone());
                    memory.was_tried = true;
                    memory.is_drifted = false;
                });
                Ok(Ok(fleet_id))
            }
            Turn::Taken(other) => {
                let text = format!("fleet `{fleet_id}` is written by {other}");
                Ok(Err(Stall::new(reason::FLEET_TAKEN, text)))
            }
            Turn::Unsettled(_) => Err(Unsettled),
        }
    }

    /// Plans and applies as the account of the sync.
    async fn carry_out(
        &self,
        subject: &Subject,
        order: &Order,
        commit: &CommitId,
        source: &Source,
        fleet_id: String,
        stop: &CancellationToken,
    ) -> (Report, Next, Ended) {
        let settings = Settings {
            holder: holder(
                &format!("FleetSync {}/{}", subject.id.namespace, subject.id.name),
                &self.options.instance,
            ),
            fights: self.fights.clone(),
            max_impact: order.max_impact,
            limits: order.limits.clone(),
            deadline: order.timeout,
        };
        let account = &order.account;
        let own = &self.options.client;
        let carried = match own.as_service_account(&account.namespace, &account.name) {
            Ok(client) => {
                let access = Access {
                    clusters: &client,
                    memory: own,
                    parent_namespace: &self.options.parent_namespace,
                    operator: OperatorSource::This(&self.options.settings),
                };
                carry::out(access, &source.reading, &source.tree, &settings, stop).await
            }
            Err(error) => Err(CarryError::Identity(error)),
        };
        let carried = match carried {
            Ok(carried) => carried,
            Err(error) if error.is_refusal() => {
                let stall = Stall::new(reason::REFUSED, chain(&error));
                self.handled(subject, &stall, commit);
                return (
                    subject.stalled(stall),
                    Next::After(order.interval),
                    Ended::Stalled,
                );
            }
            Err(error) => {
                self.remember(subject, |memory| memory.handled = None);
                let verdict = Verdict::Failed {
                    reason: error.reason(),
                    message: format!("{}, acting as {account}", chain(&error)),
                };
                return (subject.report(verdict), Next::Retry, Ended::Failed);
            }
        };
        self.learn(&carried);
        let findings = &source.reading.findings;
        let lacks = carried.lacks(findings.errors());
        let is_complete = carried.outcome.is_complete();
        self.remember(subject, |memory| {
            memory.handled = is_complete.then(|| Handled {
                commit: commit.clone(),
                generation: subject.generation,
                at: Instant::now(),
            });
        });
        let is_quiet = carried.limited.plan.is_empty();
        let done = Done {
            lacks,
            summary: carried.summary(&commit.to_string()),
            source: source_name(order),
            is_applied: is_complete && (!is_quiet || carried.limited.pending.is_none()),
            is_quiet,
            counts: carried.limited.counts,
            pending: carried.limited.pending,
            fleet_id,
        };
        let is_rolling = carried.outcome.failures().next().is_none() && carried.waiting.is_some();
        let is_stopped = carried.waiting.as_ref().is_some_and(Waiting::is_for_a_person);
        let (next, ended) = match (is_complete, is_quiet) {
            (false, _) if is_rolling && is_stopped => (Next::After(order.interval), Ended::Applied),
            (false, _) if is_rolling => (Next::After(ROLL.min(order.interval)), Ended::Applied),
            (false, _) => (Next::Retry, Ended::Failed),
            (true, true) => (Next::After(order.interval), Ended::Planned),
            (true, false) => (Next::After(order.interval), Ended::Applied),
        };
        (subject.report(Verdict::Done(done)), next, ended)
    }

    /// Takes in what was written, so that the watch's echo of it is no drift, and logs it.
    fn learn(&self, carried: &Carried) {
        let mut store = self.store();
        for (id, live) in carried.written() {
            store.note_written(id, live);
        }
        drop(store);
        carried.log();
        let failed = carried.outcome.failures().count() as u64;
        self.metrics.write_failures.inc_by(failed);
        self.metrics.writes.inc_by(carried.written().count() as u64);
    }

    fn remember(&self, subject: &Subject, change: impl FnOnce(&mut Memory)) {
        self.store().remember(&subject.id, &subject.uid, change);
    }

    /// Remembers a commit that is not to be looked at again before something changes.
    fn handled(&self, subject: &Subject, stall: &Stall, commit: &CommitId) {
        // Another sync may go at any time, and nothing tells this one.
        let is_final = stall.reason != reason::FLEET_TAKEN;
        let is_kept = stall.reason == reason::HISTORY_REWRITTEN;
        self.remember(subject, |memory| {
            memory.handled = is_final.then(|| Handled {
                commit: commit.clone(),
                generation: subject.generation,
                at: Instant::now(),
            });
            if !is_kept {
                memory.claim = None;
            }
        });
    }

    /// Writes the status if it differs, and an Event if that is a transition.
    ///
    /// *Effects*: none, or two writes at most.
    async fn write_status(&self, subject: &Subject, report: Report) -> Result<(), ClientError> {
        let new = report::status(&subject.status, report, Timestamp::now());
        if new == subject.status {
            return Ok(());
        }
        let client = &self.options.client;
        let written = client
            .patch_status(&subject.id, &subject.uid, &json!(new), labels::FLEET_MANAGER)
            .await;
        let live = match written {
            Ok(live) => live,
            // Gone meanwhile, or another one of that name: nobody waits for this status.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.store().note_sync(&subject.id, live);
        let Some(event) = report::event(&subject.status, &new) else {
            return Ok(());
        };
        let note = client::Note {
            regarding: &subject.id,
            uid: &subject.uid,
            event_type: event.event_type,
            reason: &event.reason,
            action: "Sync",
            note: &event.message,
        };
        let (reason, message) = (&event.reason, &event.message);
        tracing::info!(reason, message, "the status changed");
        if let Err(error) = client
            .create_event(&note, &self.options.instance, Timestamp::now())
            .await
        {
            tracing::warn!(reason, error = chain(&error), "an event is lost");
        }
        Ok(())
    }
}

/// Another sync must be looked at before this one may be decided.
struct Unsettled;

fn source_failed(
    subject: &Subject,
    error: &SourceError,
    commit: Option<&CommitId>,
) -> (Option<Report>, Next, Ended) {
    let mut message = chain(error);
    if let Some(applied) = &subject.status.last_applied_revision {
        message = format!("{message}; commit {applied} stays applied");
    }
    let mut report = subject.report(Verdict::Failed {
        reason: reason::SOURCE_FAILED,
        message,
    });
    report.revision = commit.map(ToString::to_string);
    (Some(report), Next::Retry, Ended::SourceFailed)
}

/// Returns the commit that must be an ancestor: the one applied last, if it came from the same place. Another place is
/// the decision of whoever wrote the FleetSync, not of whoever can push.
fn earlier(subject: &Subject, order: &Order) -> Option<CommitId> {
    let is_same = subject.status.last_applied_source.as_deref() == Some(source_name(order).as_str());
    let applied = subject.status.last_applied_revision.as_deref()?;
    is_same.then(|| CommitId::parse(applied)).flatten()
}

fn source_name(order: &Order) -> String {
    format!("{} {}", order.url, order.reference)
}

fn problems(findings: &Findings, tree: &SourceTree) -> Vec<FleetProblem> {
    // Errors first: they must not be crowded out by warnings.
    let of = |severity| {
        findings
            .iter()
            .filter(move |finding| finding.severity == severity)
    };
    of(Severity::Error)
        .chain(of(Severity::Warning))
        .take(PROBLEMS_MAX)
        .map(|finding| FleetProblem {
            code: finding.code.as_str().to_owned(),
            message: finding.message.clone(),
            place: finding.span().map(|span| tree.position(span).to_string()),
        })
        .collect()
}

fn is_gone(error: &ClientError) -> bool {
    use crate::plan::FailureKind;
    matches!(error.kind(), FailureKind::NotFound | FailureKind::Conflict { .. })
}
