//! Desired against observed -> what to do, in which order, at which cost, and what not to do and why.
//!
//! [`crate::object::ObjectSet`] or [`crate::render::Answers`], and [`crate::object::Observed`] -> [`Plan`];
//! [`Plan`] and the answers to its questions -> [`ApprovedPlan`]; what came of it -> [`Outcome`].
//!
//! **Invariants:** deterministic (equal inputs give equal bytes), so specific that execution has no choices left, and
//! every deletion carries the uid and resource version of what was looked at. Refusals are data, never aborts.
//! [`ApprovedPlan`] can only be made here.

mod action;
mod approve;
mod children;
mod deletions;
mod entry;
mod fleet;
mod guards;
mod impact;
mod metadata;
mod outcome;
mod ownership;
mod preview;
mod shown;
mod tracking;

pub use action::{Action, Counts, FieldChange, Held, HeldReason, Impact, Operation, Plan, Propagation, Wave};
pub use approve::{
    Approval, ApprovedPlan, Consent, Question, Refusal, approve, approve_children, approve_release,
};
pub use children::children;
pub use entry::{Budget, EmptySet, Files, FleetEntry, FleetInput, FleetPolicy, Preview, Prune};
pub use fleet::{candidates, fleet};
pub use outcome::{ActionResult, Failure, FailureKind, Outcome};
pub use ownership::{Owner, Ownership, of_child};

#[cfg(test)]
mod tests;
