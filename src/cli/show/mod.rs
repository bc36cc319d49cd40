//! How values are shown: as text for people and as JSON for programs.

pub mod children;
pub mod codes;
pub mod difference;
pub mod findings;
pub mod github;
pub mod group;
pub mod json;
pub mod markdown;
pub mod names;
pub mod outcome;
pub mod rolling;
pub mod saved;
pub mod table;
pub mod text;
pub mod why;
pub mod yaml;

#[cfg(test)]
mod secret_tests;
