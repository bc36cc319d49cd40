//! What a pass found -> the status of a FleetSync, and which Events that is worth.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::order::Stall;
use super::reason;
use crate::api::condition::{READY, RECONCILING, STALLED};
use crate::api::fleet_sync::{FleetCounts, FleetProblem, FleetSyncStatus, PendingChanges};
use crate::client::EventType;

/// Longest message of a condition: the API allows 32 KiB, a table and a chat take this.
const MESSAGE_MAX: usize = 1024;

/// What a pass ended with.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing is done before somebody changes the FleetSync or the files.
    Stalled(Stall),
    Suspended,
    /// Nothing was written; it is tried again.
    Failed {
        reason: &'static str,
        message: String,
    },
    /// Planned, and applied as far as it may be.
    Done(Done),
}

/// A plan that was made and carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What keeps it from being all that the files say; `None`: nothing.
    pub lacks: Option<Stall>,
    pub summary: String,
    /// Repository and reference, for the next look at history.
    pub source: String,
    pub is_applied: bool,
    /// Nothing differed: nothing was written.
    pub is_quiet: bool,
    pub counts: FleetCounts,
    pub pending: Option<PendingChanges>,
    pub fleet_id: String,
}

/// Everything a status is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub verdict: Verdict,
    /// The commit that was looked at, where one was found.
    pub revision: Option<String>,
    /// `None`: the files were not read.
    pub problems: Option<Vec<FleetProblem>>,
    pub generation: Option<i64>,
    /// Value of the annotation that asked for this pass, if one did.
    pub request: Option<String>,
}

/// Returns the status after a pass. What the pass could not learn stays as it was.
///
/// *Shape*: equal findings give an equal status, times of transition included, so that a pass without news writes
/// nothing.
pub fn status(old: &FleetSyncStatus, report: Report, now: Timestamp) -> FleetSyncStatus {
    let Report {
        verdict,
        revision,
        problems,
        generation,
        request,
    } = report;
    let mut new = FleetSyncStatus {
        observed_generation: generation,
        last_attempted_revision: revision.clone().or_else(|| old.last_attempted_revision.clone()),
        last_handled_request: request.or_else(|| old.last_handled_request.clone()),
        problems: problems.unwrap_or_else(|| old.problems.clone()),
        conditions: Vec::new(),
        ..old.clone()
    };
    let said = Said::of(&verdict);
    let is_same_content = old.observed_generation == generation
        && old.last_attempted_revision == new.last_attempted_revision
        && is_said(&old.conditions, &said);
    let mut kept_message = None;
    match verdict {
        Verdict::Stalled(stall) => {
            // A history that was rewritten is still that of this fleet: nobody else may take it over for that.
            if stall.reason != reason::HISTORY_REWRITTEN {
                new.fleet_id = None;
            }
            new.pending = None;
        }
        Verdict::Suspended => new.fleet_id = None,
        Verdict::Failed { .. } => {}
        Verdict::Done(done) => {
            new.fleet_id = Some(done.fleet_id);
            if done.is_applied {
                new.last_applied_revision = revision;
                new.last_applied_source = Some(done.source);
            }
            // A look that found nothing to do has nothing to tell beyond what the last change told.
            if done.is_quiet && is_same_content && old.pending == done.pending {
                kept_message = message(&old.conditions, READY);
            } else {
                new.counts = Some(done.counts);
            }
            new.pending = done.pending;
        }
    }
    new.conditions = said.conditions(kept_message, &old.conditions, generation, now);
    new
}

/// What the conditions say.
struct Said {
    ready: (&'static str, &'static str, String),
    /// It goes on by itself.
    is_reconciling: bool,
    is_stalled: bool,
}

impl Said {
    fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Stalled(Stall { reason, message }) => Self {
                ready: ("False", reason, message.clone()),
                is_reconciling: false,
                is_stalled: true,
            },
            Verdict::Suspended => Self {
                ready: ("Unknown", reason::SUSPENDED, "spec.suspend is true".to_owned()),
                is_reconciling: false,
                is_stalled: false,
            },
            Verdict::Failed { reason, message } => Self {
                ready: ("False", reason, message.clone()),
                is_reconciling: true,
                is_stalled: false,
            },
            Verdict::Done(Done {
                lacks: Some(Stall { reason, message }),
                summary,
                ..
            }) => Self {
                ready: ("False", reason, format!("{message}; {summary}")),
                is_reconciling: *reason == reason::ROLLING,
                is_stalled: false,
            },
            Verdict::Done(Done {
                lacks: None, summary, ..
            }) => Self {
                ready: ("True", reason::APPLIED, summary.clone()),
                is_reconciling: false,
                is_stalled: false,
            },
        }
    }

    fn conditions(
        self,
        kept_message: Option<String>,
        old: &[Condition],
        generation: Option<i64>,
        now: Timestamp,
    ) -> Vec<Condition> {
        let (ready, why, text) = self.ready;
        let text = cut(kept_message.unwrap_or(text));
        // Reconciling and Stalled are only there while they are true: that is what kstatus expects.
        let mut conditions = Vec::new();
        let mut add = |kind: &str, status: &str| {
            let before = old.iter().find(|condition| condition.type_ == kind);
            let since = before
                .filter(|before| before.status == status)
                .map_or(Time(now), |before| before.last_transition_time.clone());
            conditions.push(Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: why.to_owned(),
                message: text.clone(),
                observed_generation: generation,
                last_transition_time: since,
            });
        };
        add(READY, ready);
        if self.is_reconciling {
            add(RECONCILING, "True");
        }
        if self.is_stalled {
            add(STALLED, "True");
        }
        conditions
    }
}

fn is_said(conditions: &[Condition], said: &Said) -> bool {
    let ready = conditions.iter().find(|condition| condition.type_ == READY);
    ready.is_some_and(|ready| (ready.status.as_str(), ready.reason.as_str()) == (said.ready.0, said.ready.1))
}

fn message(conditions: &[Condition], kind: &str) -> Option<String> {
    let found = conditions.iter().find(|condition| condition.type_ == kind);
    found.map(|condition| condition.message.clone())
}

fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_MAX {
        let end = (0..=MESSAGE_MAX - 3).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// One Event about a FleetSync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub event_type: EventType,
    pub reason: String,
    pub message: String,
}

/// Returns the Event that a change of status is worth: another word in Ready, or another commit applied.
pub fn event(old: &FleetSyncStatus, new: &FleetSyncStatus) -> Option<Event> {
    let ready = |status: &FleetSyncStatus| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == READY);
        found.map(|ready| (ready.status.clone(), ready.reason.clone()))
    };
    let is_transition = ready(old) != ready(new);
    let is_new_commit = old.last_applied_revision != new.last_applied_revision;
    if !is_transition && !is_new_commit {
        return None;
    }
    let (status, reason) = ready(new)?;
    Some(Event {
        event_type: if status == "False" {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason,
        message: message(&new.conditions, READY).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(is_quiet: bool, created: i64) -> Verdict {
        let counts = if is_quiet {
            ("unchanged", 3)
        } else {
            ("create", created)
        };
        Verdict::Done(Done {
            lacks: None,
            summary: format!("{} clusters", counts.0),
            source: "https://git.example.com/fleet.git branch `main`".into(),
            is_applied: true,
            is_quiet,
            counts: FleetCounts {
                actions: [(counts.0.to_owned(), counts.1)].into(),
                ..FleetCounts::default()
            },
            pending: None,
            fleet_id: "edge".into(),
        })
    }

    fn report(verdict: Verdict, revision: &str) -> Report {
        Report {
            verdict,
            revision: Some(revision.to_owned()),
            problems: Some(Vec::new()),
            generation: Some(1),
            request: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_look_that_finds_nothing_to_do_leaves_the_status_as_it_is() {
        let applied = status(&FleetSyncStatus::default(), report(done(false, 3), "aaa"), at(1));
        assert_eq!(applied.last_applied_revision.as_deref(), Some("aaa"));
        let looked = status(&applied, report(done(true, 0), "aaa"), at(900));
        assert_eq!(looked, applied);
        assert_eq!(event(&applied, &looked), None);
        let next = status(&applied, report(done(true, 0), "bbb"), at(900));
        assert_eq!(next.counts.as_ref().unwrap().actions["unchanged"], 3);
        assert!(event(&applied, &next).is_some());
    }

    #[test]
    fn a_failure_keeps_what_was_applied_and_says_that_it_goes_on() {
        let applied = status(&FleetSyncStatus::default(), report(done(false, 3), "aaa"), at(1));
        let failed = Verdict::Failed {
            reason: reason::SOURCE_FAILED,
            message: "no branch `main`".into(),
        };
        let mut lost = report(failed, "aaa");
        (lost.revision, lost.problems) = (None, None);
        let failed = status(&applied, lost.clone(), at(5));
        assert_eq!(failed.last_applied_revision.as_deref(), Some("aaa"));
        let kinds: Vec<_> = failed
            .conditions
            .iter()
            .map(|condition| &*condition.type_)
            .collect();
        assert_eq!(kinds, [READY, RECONCILING]);
        let event = event(&applied, &failed).unwrap();
        assert_eq!(
            (event.event_type, &*event.reason),
            (EventType::Warning, reason::SOURCE_FAILED)
        );
        assert_eq!(
            status(&failed, lost, at(50)),
            failed,
            "the time of transition stays"
        );
        let back = status(&failed, report(done(true, 0), "aaa"), at(60));
        assert_eq!(back.conditions.len(), 1);
    }

    #[test]
    fn a_stalled_sync_gives_its_fleet_back() {
        let applied = status(&FleetSyncStatus::default(), report(done(false, 3), "aaa"), at(1));
        let stall = Stall::new(reason::NOT_SUPPORTED, "x".repeat(5000));
        let stalled = status(&applied, report(Verdict::Stalled(stall), "aaa"), at(5));
        assert_eq!(stalled.fleet_id, None);
        assert_eq!(stalled.conditions[1].type_, STALLED);
        assert!(stalled.conditions[0].message.len() <= MESSAGE_MAX);
    }
}
