//! Where files come from: a directory, one file, standard input, or a commit of a Git repository.
//!
//! A path, a stream or a repository address -> [`crate::diagnostic::SourceTree`].
//!
//! **Invariant:** fails closed. A source that cannot be read is an error and never an empty tree: an empty tree would
//! mean that every cluster was removed from the files. A file that cannot be read is in the tree with an error
//! finding, and never left out.

mod cache;
mod directory;
pub mod git;
mod ignored;
mod watch;

pub use cache::Cache;
pub use directory::{directory, stdin};
pub use ignored::IgnoreError;
pub use watch::{Watch, watch};

use std::io;
use std::path::PathBuf;

use crate::diagnostic::BudgetExceeded;

/// Name of the file that marks the root of a fleet.
pub const FLEET_FILE: &str = "fleet.yaml";

/// Path of the only file of a tree from standard input.
pub const STDIN_PATH: &str = "<stdin>";

/// Why there is no tree. Git has its own, [`git::GitError`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there is no file or directory `{}`", path.display())]
    NotFound { path: PathBuf, source: io::Error },
    #[error("cannot read the directory `{}`", path.display())]
    ReadDirectory { path: PathBuf, source: io::Error },
    #[error("cannot read the file `{}`", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("`{}` is neither a file nor a directory", path.display())]
    NeitherFileNorDirectory { path: PathBuf },
    #[error("cannot read standard input")]
    ReadStdin { source: io::Error },
    #[error("cannot tell which files are ignored in `{}`", path.display())]
    Ignore { path: PathBuf, source: IgnoreError },
    #[error("the fleet is too large")]
    TooLarge { source: BudgetExceeded },
    #[error("directories are nested too deep in `{}`", path.display())]
    TooDeep { path: PathBuf },
    #[error("cannot watch `{}`", path.display())]
    Watch { path: PathBuf, source: notify::Error },
}

impl From<BudgetExceeded> for LoadError {
    fn from(source: BudgetExceeded) -> Self {
        Self::TooLarge { source }
    }
}

/// Says whether a file may hold parts of a fleet, by its name. Letter case does not count: a file that is passed over
/// for its `.YAML` would look deleted.
fn is_fleet_file(name: &str) -> bool {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ["yaml", "yml", "json", "csv"].contains(&ending.as_str()))
}

/// Says whether a file or directory is hidden (`.git`, `.github`). Those hold no part of a fleet.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}
