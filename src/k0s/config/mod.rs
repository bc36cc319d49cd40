//! The configuration of k0s: the document that a controller is started with, and what is wrong with one that a
//! person wrote.
//!
//! **Invariant:** a problem is [`Weight::Refused`] only when k0s itself does not start with it. Everything else that
//! is wrong must not stop a cluster that runs.

mod document;
mod fields;
mod networks;
mod rules;
mod shape;

use std::fmt;

use serde_json::{Map, Value};

use super::Version;

pub use self::document::{Forced, ForcedStorage, configuration, has_node_local_load_balancing};
pub use self::shape::is_credential;

/// What follows from a problem of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// k0s does not start with it.
    Refused,
    /// k0s starts, and does not do what was meant.
    Mistake,
    /// It has no effect, or one that a person may not expect.
    Advice,
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    UnknownField,
    Value,
    NoEffect,
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// JSON pointer into the document to what is wrong; to the mapping when something is missing in it.
    pub pointer: String,
    pub kind: ProblemKind,
    pub weight: Weight,
    /// What is wrong, as it follows on the path of the field: `is no network`.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl Problem {
    fn new(
        weight: Weight,
        pointer: impl Into<String>,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            kind: ProblemKind::Value,
            weight,
            what: what.into(),
            instead: instead.into(),
        }
    }

    fn of_kind(self, kind: ProblemKind) -> Self {
        Self { kind, ..self }
    }

    fn without_effect(
        pointer: impl Into<String>,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) -> Self {
        Self::new(Weight::Advice, pointer, what, instead).of_kind(ProblemKind::NoEffect)
    }
}

/// `is no network; write ...`, without the path.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.what, self.instead)
    }
}

/// Returns everything that is wrong with a configuration as a person wrote it, sorted by place.
///
/// *Shape*: empty for a right one. Without a version, what only some versions know is right.
pub fn problems(document: &Map<String, Value>, version: Option<Version>) -> Vec<Problem> {
    let mut problems = shape::problems(document, version);
    problems.extend(rules::problems(document));
    problems.extend(networks::problems(document));
    for problem in &mut problems {
        // What the operator replaces never reaches k0s.
        if problem.weight == Weight::Refused && is_replaced(document, &problem.pointer) {
            problem.weight = Weight::Mistake;
        }
    }
    problems.sort();
    problems.dedup_by(|later, earlier| later.pointer == earlier.pointer && later.kind == earlier.kind);
    problems
}

/// What the operator sets itself: the place, and where the value comes from.
const FORCED: [(&str, &str); 9] = [
    ("/apiVersion", ""),
    ("/kind", ""),
    ("/spec/api/port", "`spec.service.apiPort` of the cluster"),
    (
        "/spec/api/externalAddress",
        "`spec.externalAddress` of the cluster",
    ),
    (
        "/spec/konnectivity/agentPort",
        "`spec.service.konnectivityPort` of the cluster",
    ),
    ("/spec/storage/type", "`spec.storage` of the cluster"),
    (
        "/spec/storage/etcd/externalCluster",
        "`spec.storage` of the cluster",
    ),
    (
        "/spec/storage/kine/dataSource",
        "`spec.storage.kine` of the cluster",
    ),
    ("/spec/telemetry/enabled", "the operator, which leaves it off"),
];

/// Tells whether the operator lays something of its own over a value.
fn is_replaced(document: &Map<String, Value>, pointer: &str) -> bool {
    let is_at_or_below = |place: &str, above: &str| {
        place
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_mapping = at(document, pointer).is_some_and(Value::is_object);
    FORCED.iter().any(|&(forced, _)| {
        is_at_or_below(pointer, forced) || (is_at_or_below(forced, pointer) && !is_mapping)
    })
}

/// Returns what a JSON pointer leads to in a configuration. Its first step is a plain word.
pub fn at<'a>(document: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let steps = pointer.strip_prefix('/')?;
    let (first, rest) = steps.split_at(steps.find('/').unwrap_or(steps.len()));
    document.get(first)?.pointer(rest)
}

#[cfg(test)]
mod tests;
