//! Desired against observed -> what to do, in which order, at which cost, and what not to do and why.
//!
//! [`crate::object::ObjectSet`] or [`crate::render::Answers`], and [`crate::object::Observed`] -> [`Plan`];
//! [`Plan`] and the answers to its questions -> [`ApprovedPlan`]; what came of it -> [`Outcome`]. [`Plan`] ->
//! [`SavedPlan`]; that and the hub as it is later -> [`Checked`].
//!
//! **Invariants:** deterministic (equal inputs give equal bytes), so specific that execution has no choices left, and
//! every deletion carries the uid and resource version of what was looked at. Refusals are data, never aborts.
//! [`ApprovedPlan`] can only be made here.

mod action;
mod adopt;
mod aliases;
mod approve;
mod children;
mod claims;
mod deletions;
mod empty;
mod entry;
mod fights;
mod fleet;
mod guards;
mod impact;
mod marks;
mod members;
mod metadata;
mod offspring;
mod outcome;
mod ownership;
mod preview;
mod rehearsal;
mod replaced;
pub mod rollout;
mod saved;
mod shown;
mod stale;
mod steps;
mod strict;
mod tracking;
mod upgrade;
mod withheld;

pub use action::{
    Action, Counts, FieldChange, Held, HeldReason, Impact, Operation, Plan, Propagation, Verb, Wave,
    sort_held,
};
pub use adopt::adoptable;
pub use approve::{
    Approval, ApprovedPlan, Consent, Question, Refusal, approve, approve_children, approve_release,
};
pub use children::children;
pub use entry::{
    AdoptRecord, Begun, Budget, EmptySet, Files, FleetEntry, FleetInput, FleetPolicy, Preview, Prune,
    RemovedRecord, place,
};
pub use fights::{Fights, PAUSE as FIGHT_PAUSE};
pub use fleet::{fleet, settled, written};
pub use marks::is_of_a_tool;
pub use members::members;
pub use offspring::of_operation as children_of_operation;
pub use outcome::{ActionResult, Failure, FailureKind, Outcome};
pub use ownership::{Owner, Ownership, of_child};
pub use saved::{
    FORMAT as SAVED_FORMAT, SavedAction, SavedAdoption, SavedEntry, SavedFleet, SavedFrom, SavedHub,
    SavedPlan, SavedPlanError, schema as saved_schema,
};
pub use stale::{Checked, Stale, check as check_saved, common as stale_in_common};
pub use strict::{Guards, Loosened};
pub use tracking::is_member;
pub use upgrade::{Upgraded, of_upgrade};
pub use withheld::{hidden_places, hidden_values, put_back};

#[cfg(test)]
pub(crate) mod tests;
