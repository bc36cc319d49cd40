//! A Lease that one process at a time holds: who leads the controllers, and who writes a fleet.
//!
//! What was seen of a Lease, and a clock -> [`Decision`]; an [`Election`] -> a Lease that is claimed, renewed and given
//! back.
//!
//! A lease saves work, it does not guard it: two processes that both believe to hold it do no harm, because every write
//! carries its own precondition. So the rules here are simple, and err on the side of waiting.
//!
//! **Invariants:** clocks of other machines are never compared with ours: what counts is how long, by our own clock,
//! a version of the lease has been seen unchanged. A holder gives up before anybody else may take over.

mod decide;
mod elector;

pub use decide::{Decision, Moment, Params, View, decide};
pub use elector::{Claim, Election, Elector, First, Found, Holder, find, take_away};
