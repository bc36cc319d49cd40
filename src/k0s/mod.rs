//! What is true of k0s: its versions and how they may follow each other, its images, its configuration document.
//!
//! Words of a spec -> [`Version`], an image reference, the configuration a controller is started with.
//!
//! **Invariant:** pure. Nothing here knows that control planes run as pods.

mod config;
mod image;
mod network;
mod version;

pub use config::{
    Forced, ForcedStorage, Problem, ProblemKind, Weight, at, configuration, has_node_local_load_balancing,
    is_credential, problems,
};
pub use image::{DEFAULT_IMAGE, reference, with_repository};
pub use network::Network;
pub use version::{DEFAULT_VERSION, Refusal, Version, choose};
