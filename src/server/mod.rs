//! The controller process: leads or waits, runs what decides, answers probes, stops when told to.
//!
//! Options -> a process that runs until a signal or until it has lost the lease.
//!
//! **Invariant:** everything that runs here ends with the process's one stop token, and nothing is decided before the
//! lease is held.

pub mod http;
pub mod lease;
