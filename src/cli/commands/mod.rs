//! One file a verb: its arguments and what it does.

pub mod completion;
pub mod crds;
pub mod explain;
pub mod install;
pub mod version;
