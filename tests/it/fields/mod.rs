//! Every field of a cluster's spec, driven by the schema: what it restarts, and that it leaves nothing behind.
//!
//! `tests/golden/fields.yaml` says which values are tried. A field that a new version of the schema has and that table
//! has not fails a test by name; so does one that no golden file of `tests/golden/render` shows.

pub mod cases;
mod compare;
mod golden;
mod nulls;
mod restarts;
pub mod schema;
pub mod walk;
pub mod world;
