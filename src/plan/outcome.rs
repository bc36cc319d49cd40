//! What came of a plan. Returned also when the run stopped half way.

use crate::object::{Object, ObjectId};

/// The result of every action, in the order they ended, and the objects as the server returned them.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub results: Vec<(ObjectId, ActionResult)>,
}

#[derive(Clone, Debug)]
pub enum ActionResult {
    /// Done. `live` is the object as the server answered, of a Secret its metadata; `None` for deletions.
    Done {
        live: Option<Object>,
    },
    /// Not done, and known not to be: an object of that name exists and is not ours.
    Foreign {
        owner: String,
    },
    /// Not done because something it needs was not done.
    Skipped {
        because: String,
    },
    Failed(Failure),
    /// The request was sent and no answer came: it may or may not have happened.
    Unknown(Failure),
}

/// Why an action failed, classified once; nobody above sees an HTTP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// The whole chain in one line, redacted.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    NotFound,
    /// Another object or another version than the one looked at, or a field of another manager.
    Conflict {
        managers: Vec<String>,
    },
    AlreadyExists,
    Invalid,
    Forbidden,
    Gone,
    Unavailable,
    Timeout,
    Unexpected,
}

impl Outcome {
    /// Says whether every action was done.
    pub fn is_complete(&self) -> bool {
        self.results
            .iter()
            .all(|(_, result)| matches!(result, ActionResult::Done { .. }))
    }

    pub fn failures(&self) -> impl Iterator<Item = (&ObjectId, &Failure)> {
        self.results.iter().filter_map(|(id, result)| match result {
            ActionResult::Failed(failure) | ActionResult::Unknown(failure) => Some((id, failure)),
            ActionResult::Done { .. } | ActionResult::Foreign { .. } | ActionResult::Skipped { .. } => None,
        })
    }
}
