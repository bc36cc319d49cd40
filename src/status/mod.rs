//! What a pass found and did -> what the cluster object says about itself; all clusters -> the rows of the status table.
//!
//! Facts, [`crate::plan::Plan`], [`crate::plan::Outcome`] and whether the API answered -> [`crate::api::ClusterStatus`].
//!
//! **Invariants:** pure; the time is a parameter. Equal findings give an equal status, times of transition included, so
//! that a pass without news writes nothing ([`update`]). A condition is true only on evidence of its own generation.

mod cluster;
mod conditions;
mod fleet;
mod input;

pub use cluster::{of, update};
pub use conditions::reason;
pub use fleet::{FleetRow, fleet_rows};
pub use input::{Availability, Input, Wanted};

#[cfg(test)]
mod tests;
