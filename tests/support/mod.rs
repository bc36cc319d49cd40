//! Real servers, a stand-in for the nodes, a fault proxy and the program under test, for integration tests and the demo.
//!
//! Input: binaries that `tests/servers/build.sh` makes. Output: handles that stop what they started.
//!
//! **Invariant:** nothing outlives the process that started it, however that process ends ([`watchdog`]). Everything
//! listens on loopback, on ports that were free, and keeps its files in one temporary folder.
#![allow(
    dead_code,
    unused_imports,
    reason = "each target that includes this module uses another part of it"
)]

pub mod audit;
pub mod certificates;
pub mod crds;
pub mod distance;
pub mod gateway;
pub mod generated;
pub mod git;
pub mod hosting;
pub mod kubelet;
pub mod loader;
pub mod measure;
pub mod namespace;
pub mod namespaced;
pub mod pod_security;
pub mod ports;
pub mod proc;
pub mod process;
pub mod program;
pub mod proxy;
pub mod servers;
pub mod ssh;
pub mod tls;
pub mod wait;
pub mod watchdog;

pub use namespace::Namespace;
pub use process::{Output, Process};
pub use program::Program;
pub use proxy::{Action, Proxy, Rule};
pub use servers::{Options, Servers};
pub use wait::{eventually, try_eventually};
