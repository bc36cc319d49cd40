//! A stand-in for the nodes: no scheduler and no container engine is needed to see what a control plane's objects do.
//!
//! Three levels: [`Kubelet`] writes what a node would write about pods ("patch"); [`Answers`] serves the few requests
//! that tell whether a control plane is available ("answer"); [`RealPods`] runs etcd and kube-apiserver ("real").

mod answer;
mod control_plane;
mod filesystem;
mod member;
mod patch;
mod real;

pub use answer::Answers;
pub use patch::{Kubelet, Policy, is_ready};
pub use real::{RealPods, belongs_to};
