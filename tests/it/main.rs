//! Everything that talks to a real API server or runs the built program.

#[path = "../support/mod.rs"]
mod support;

mod support_servers;
