//! How values are shown: as text for people and as JSON for programs.

pub mod codes;
pub mod findings;
pub mod json;
pub mod outcome;
pub mod saved;
pub mod table;
pub mod text;
