//! Which Events a change of status is worth: transitions only, so that a quiet cluster has none.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::ClusterStatus;
use crate::api::condition::{READY, STALLED};

/// How an Event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Normal,
    Warning,
}

/// One Event to be written about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub tone: Tone,
    pub reason: String,
    pub message: String,
}

/// Returns what happened between two statuses: what a person must do now, what is newly held, else what `Ready` says
/// now. Usually one, never more than one and the number of newly held things.
pub fn between(old: Option<&ClusterStatus>, new: &ClusterStatus) -> Vec<Note> {
    let old_conditions = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let old_held = old.map(|status| status.held.as_slice()).unwrap_or_default();
    let mut notes: Vec<Note> = new
        .held
        .iter()
        .filter(|held| {
            !old_held
                .iter()
                .any(|known| (&known.what, &known.reason) == (&held.what, &held.reason))
        })
        .map(|held| Note {
            tone: Tone::Warning,
            reason: held.reason.clone(),
            message: format!("{}: {}", held.what, held.message),
        })
        .collect();
    if let Some(stalled) = changed(old_conditions, &new.conditions, STALLED) {
        if stalled.status == "True" {
            notes.push(note(Tone::Warning, stalled));
        }
    } else if let Some(ready) = changed(old_conditions, &new.conditions, READY) {
        // A held thing has an Event of its own that says more.
        let is_said = notes.iter().any(|said| said.reason == ready.reason);
        if !is_said {
            notes.push(note(Tone::Normal, ready));
        }
    }
    notes
}

fn note(tone: Tone, condition: &Condition) -> Note {
    Note {
        tone,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    }
}

/// Returns the condition if it says something else than before. Another message alone is no transition, nor is another
/// reason of not being ready: a new cluster has one after the other, and one Event is enough.
fn changed<'a>(old: &[Condition], new: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    let is_kind = |condition: &&Condition| condition.type_ == kind;
    let current = new.iter().find(is_kind)?;
    let before = old.iter().find(is_kind);
    let is_same = before.is_some_and(|before| {
        before.status == current.status && (current.status == "False" || before.reason == current.reason)
    });
    (!is_same).then_some(current)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::api::cluster_status::HeldStatus;

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
        Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn status(conditions: &[Condition]) -> ClusterStatus {
        ClusterStatus {
            conditions: conditions.to_vec(),
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn a_transition_of_ready_is_one_event_and_another_reason_for_waiting_is_none() {
        let waiting = status(&[condition(READY, "False", "Progressing", "0 of 3 pods are ready")]);
        let still = status(&[condition(READY, "False", "NoAnswer", "2 of 3 pods are ready")]);
        let ready = status(&[condition(READY, "True", "Ready", "all is well")]);
        assert_eq!(between(None, &waiting).len(), 1);
        assert_eq!(between(Some(&waiting), &still), []);
        let expected = Note {
            tone: Tone::Normal,
            reason: "Ready".into(),
            message: "all is well".into(),
        };
        assert_eq!(between(Some(&still), &ready), [expected]);
    }

    #[test]
    fn what_a_person_must_do_is_a_warning_and_replaces_the_event_of_ready() {
        let stalled = status(&[
            condition(READY, "False", "NotSupported", "spec.ingress"),
            condition(
                STALLED,
                "True",
                "NotSupported",
                "spec.ingress is not supported yet",
            ),
        ]);
        let notes = between(None, &stalled);
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].tone, Tone::Warning);
        assert_eq!(between(Some(&stalled), &stalled), []);
    }

    #[test]
    fn what_is_newly_held_is_named_once() {
        let mut held = status(&[condition(
            READY,
            "False",
            "ForeignObject",
            "Secret/edge-ca is not ours",
        )]);
        held.held = vec![HeldStatus {
            what: "Secret/edge-ca".into(),
            reason: "ForeignObject".into(),
            message: "exists and is not ours".into(),
        }];
        let notes = between(None, &held);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert_eq!(notes[0].message, "Secret/edge-ca: exists and is not ours");
        assert_eq!(between(Some(&held), &held), []);
    }
}
