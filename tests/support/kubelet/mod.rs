//! A stand-in for the nodes: no scheduler and no container engine is needed to see what a control plane's objects do.
//!
//! [`Kubelet`] writes what a node would write about pods (level 1, "patch").

mod patch;

pub use patch::{Kubelet, Policy};
