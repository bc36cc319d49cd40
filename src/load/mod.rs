//! Where files come from: a directory, one file, standard input, or a commit of a Git repository.
//!
//! A path, a stream or a repository address -> [`crate::diagnostic::SourceTree`].
//!
//! **Invariant:** fails closed. A source that cannot be read is an error and never an empty tree: an empty tree would
//! mean that every cluster was removed from the files.

pub mod git;

/// Says whether a file may hold parts of a fleet, by its name.
fn is_fleet_file(name: &str) -> bool {
    [".yaml", ".yml", ".json"]
        .iter()
        .any(|ending| name.ends_with(ending))
}
