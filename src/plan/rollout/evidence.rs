//! What is seen of a cluster that was changed.

use serde_json::Value;

use crate::api::condition::{AVAILABLE, HIBERNATED, READY, STALLED, UP_TO_DATE};
use crate::object::Object;

/// One look at one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub verdict: Verdict,
    /// Its API answered when the operator asked last.
    pub is_available: bool,
}

/// How far a change of a cluster has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All pods run what was written, are ready, and the API answers; or there are no pods on purpose.
    Settled,
    /// Not yet, with what is missing, as words.
    Progressing(String),
    /// The operator cannot go on by itself.
    Failed(String),
    /// It is not there any more, or is being deleted.
    Gone,
}

/// Judges a cluster by its own status.
///
/// Nothing counts that the operator said before it saw the generation that is there now. That is the one which was
/// written, or a later one: the object comes from the server and not from a cache.
pub fn of_cluster(cluster: &Object) -> Evidence {
    let is_available = condition(cluster, AVAILABLE).is_some_and(|(status, _, _)| status == "True");
    let verdict = judge(cluster, is_available);
    Evidence {
        verdict,
        is_available,
    }
}

fn judge(cluster: &Object, is_available: bool) -> Verdict {
    if cluster.text("/metadata/deletionTimestamp").is_some() {
        return Verdict::Gone;
    }
    let waits = |what: &str| Verdict::Progressing(what.to_owned());
    let generation = cluster.integer("/metadata/generation");
    if generation.is_none() || cluster.integer("/status/observedGeneration") != generation {
        return waits("the operator has not looked at the change yet");
    }
    if let Some(("True", reason, message)) = condition(cluster, STALLED) {
        return Verdict::Failed(format!("{reason}: {message}"));
    }
    match condition(cluster, UP_TO_DATE) {
        Some(("True", _, _)) => {}
        Some((_, _, message)) => return waits(message),
        None => return waits("the operator has not said that all pods run it"),
    }
    let is_hibernated =
        condition(cluster, READY).is_some_and(|(status, reason, _)| (status, reason) == ("True", HIBERNATED));
    if is_available || is_hibernated {
        return Verdict::Settled;
    }
    match condition(cluster, AVAILABLE) {
        Some((_, _, message)) => waits(message),
        None => waits("the operator has not said that its API answers"),
    }
}

/// Judges a cluster by its StatefulSets too: the operator may have spoken before the pods changed.
///
/// `sets` are all of the cluster.
pub fn with_sets<'a>(evidence: Evidence, sets: impl IntoIterator<Item = &'a Object>) -> Evidence {
    let missing = || {
        let mut sets = sets.into_iter().peekable();
        match sets.peek() {
            Some(_) => sets.find_map(missing),
            None => Some("no StatefulSet of it was found".to_owned()),
        }
    };
    match evidence.verdict {
        Verdict::Settled => Evidence {
            verdict: missing().map_or(Verdict::Settled, Verdict::Progressing),
            ..evidence
        },
        Verdict::Progressing(_) | Verdict::Failed(_) | Verdict::Gone => evidence,
    }
}

fn missing(set: &Object) -> Option<String> {
    let number = |pointer: &str| set.integer(pointer);
    let name = set.text("/metadata/name").unwrap_or_default();
    if number("/status/observedGeneration") != number("/metadata/generation") {
        return Some(format!("StatefulSet `{name}` was changed and not looked at yet"));
    }
    let wanted = number("/spec/replicas").unwrap_or(1);
    let count = |pointer: &str| number(pointer).unwrap_or(0);
    let (ready, exist) = (count("/status/readyReplicas"), count("/status/replicas"));
    if exist != wanted || ready < wanted {
        return Some(format!(
            "StatefulSet `{name}`: {ready} of {wanted} pods are ready"
        ));
    }
    // With OnDelete the current revision never becomes the new one by itself; then the number counts.
    let updated = count("/status/updatedReplicas");
    (!set.is_at_one_revision() && updated < wanted)
        .then(|| format!("StatefulSet `{name}`: {updated} of {wanted} pods run the new template"))
}

/// Returns `(status, reason, message)`.
fn condition<'a>(cluster: &'a Object, type_: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = cluster.0.pointer("/status/conditions")?.as_array()?;
    let text = |condition: &'a Value, key: &str| condition.get(key).and_then(Value::as_str);
    let found = conditions
        .iter()
        .find(|condition| text(condition, "type") == Some(type_))?;
    let word = |key: &str| text(found, key).unwrap_or_default();
    Some((word("status"), word("reason"), word("message")))
}
