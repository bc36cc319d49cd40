//! Hosted k0s control planes: the operator that runs them and the fleet manager that plans them.
//!
//! The rooms, in the order of the flow; `docs/architecture.md` says what each may touch and `tests/rooms.rs` checks it.

pub mod api;
pub mod apply;
pub mod cli;
pub mod client;
pub mod compose;
pub mod diagnostic;
pub mod etcd;
pub mod fleet;
pub mod hosted;
pub mod k0s;
pub mod keys;
pub mod lease;
pub mod load;
pub mod object;
pub mod observe;
pub mod operator;
pub mod parse;
pub mod patch;
pub mod pki;
pub mod plan;
pub mod queue;
pub mod render;
pub mod server;
pub mod status;
pub mod sync;
pub mod telemetry;
pub mod validate;
