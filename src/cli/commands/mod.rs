//! One file a verb: its arguments and what it does.

pub mod adopt;
pub mod apply;
pub mod completion;
pub mod controller;
pub mod convert;
pub mod crds;
pub mod explain;
pub mod export;
pub mod init;
pub mod install;
pub mod plan;
pub mod protect;
pub mod purge;
pub mod render;
pub mod rollout;
pub mod schema;
pub mod show;
pub mod snapshot;
pub mod status;
pub mod unlock;
pub mod unprotect;
pub mod validate;
pub mod version;
