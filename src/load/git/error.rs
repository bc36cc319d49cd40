//! Why a repository could not be read, and what to do about it.

use std::path::PathBuf;

use super::access::AccessError;
use super::{DEPTH_MAX, Reference};
use crate::diagnostic::BudgetExceeded;
use crate::load::ignored::IgnoreError;

/// Why a repository could not be read. Nothing is written or deleted because of any of these.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("the repository address cannot be used: {reason}")]
    Url { reason: &'static str },
    #[error("cannot open the object database `{path}`")]
    Database { path: PathBuf, source: git2::Error },
    #[error("`{path}` does not belong to a Git repository")]
    NoRepository { path: PathBuf, source: git2::Error },
    #[error("cannot reach `{url}`")]
    Connect { url: String, source: git2::Error },
    #[error("the configuration of Git on this machine rewrites the address `{url}` (insteadOf)")]
    Rewritten { url: String },
    #[error("`{url}` was not read")]
    Access { url: String, source: AccessError },
    #[error("`{url}` has no commit")]
    Empty { url: String },
    #[error("`{url}` has no branch, tag or commit `{revision}`")]
    NoRevision { url: String, revision: String },
    #[error("`{url}` has both a branch and a tag `{revision}`, which are not the same commit")]
    Ambiguous { url: String, revision: String },
    #[error("cannot use the cache `{path}`")]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("`{url}` has no {reference}")]
    NoReference { url: String, reference: Reference },
    #[error("cannot fetch {reference} from `{url}`")]
    Fetch {
        url: String,
        reference: Reference,
        source: git2::Error,
    },
    #[error("fetching from `{url}` was given up: {reason}")]
    TooMuch { url: String, reason: &'static str },
    #[error("commit `{commit}` is not in the object database or is damaged")]
    Commit { commit: String, source: git2::Error },
    #[error("commit `{commit}` has no directory `{path}`")]
    NoDirectory { commit: String, path: String },
    #[error("commit `{commit}` has no file or directory `{path}`")]
    NoPath { commit: String, path: String },
    #[error("a directory of commit `{commit}` holds `{path}`, which no Git would write: {reason}")]
    Forged {
        commit: String,
        path: String,
        reason: &'static str,
    },
    #[error("cannot read `{path}` of commit `{commit}`")]
    Read {
        commit: String,
        path: String,
        source: git2::Error,
    },
    #[error("the fleet in commit `{commit}` is too large")]
    Budget { commit: String, source: BudgetExceeded },
    #[error("cannot tell which files are ignored in commit `{commit}`")]
    Ignore { commit: String, source: IgnoreError },
    #[error("`{path}` of commit `{commit}` is more than {DEPTH_MAX} folders deep")]
    TooDeep { commit: String, path: String },
}

impl GitError {
    /// Says whether the object database itself may be damaged, so that beginning with an empty one can help.
    pub fn is_of_database(&self) -> bool {
        match self {
            Self::Database { .. } | Self::Commit { .. } | Self::Read { .. } => true,
            Self::Url { .. }
            | Self::NoRepository { .. }
            | Self::Connect { .. }
            | Self::Rewritten { .. }
            | Self::Access { .. }
            | Self::Empty { .. }
            | Self::NoRevision { .. }
            | Self::Ambiguous { .. }
            | Self::Cache { .. }
            | Self::NoPath { .. }
            | Self::Forged { .. }
            | Self::NoReference { .. }
            | Self::Fetch { .. }
            | Self::TooMuch { .. }
            | Self::NoDirectory { .. }
            | Self::Budget { .. }
            | Self::Ignore { .. }
            | Self::TooDeep { .. } => false,
        }
    }

    /// What a person can do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Access { url: _, source } => Some(source.hint()),
            Self::Connect { url: _, source } | Self::Fetch { source, .. } => transport_hint(source),
            Self::Rewritten { .. } => Some(
                "name the address that is meant, or set HOME to a folder without a `.gitconfig` for this command",
            ),
            Self::NoReference { .. } | Self::NoRevision { .. } => {
                Some("`git ls-remote URL` lists what is there")
            }
            Self::Ambiguous { .. } => Some("write `ref=refs/heads/NAME` or `ref=refs/tags/NAME`"),
            Self::NoRepository { .. } => {
                Some("`--rev` reads a commit of the repository that PATH belongs to")
            }
            Self::NoPath { .. } | Self::NoDirectory { .. } => {
                Some("write the path inside of the repository behind two slashes: `URL//PATH`")
            }
            Self::Read { source, .. } if source.code() == git2::ErrorCode::NotFound => Some(
                "the clone lacks it; `git fetch --refetch --no-filter` completes a partial clone, and a damaged one is \
                 made anew",
            ),
            Self::Cache { .. } => Some("set K0SMOTRON_FLEET_GIT_CACHE to a folder that can be written"),
            Self::Url { .. }
            | Self::Database { .. }
            | Self::Empty { .. }
            | Self::TooMuch { .. }
            | Self::Commit { .. }
            | Self::Read { .. }
            | Self::Budget { .. }
            | Self::Ignore { .. }
            | Self::Forged { .. }
            | Self::TooDeep { .. } => None,
        }
    }
}

fn transport_hint(error: &git2::Error) -> Option<&'static str> {
    let message = error.message();
    let is_of_tls = error.code() == git2::ErrorCode::Certificate || error.class() == git2::ErrorClass::Ssl;
    match error.code() {
        _ if is_of_tls => {
            Some("if the authority is one of your own, set SSL_CERT_FILE to a file with its certificate")
        }
        git2::ErrorCode::Auth => Some("the credentials do not give access to this repository"),
        _ if message.contains("redirect") => {
            Some("redirects to another host are not followed; name the address that it leads to")
        }
        _ if message.contains("404") => {
            Some("is the path right? many servers say so too when access is missing")
        }
        _ if message.contains("401") || message.contains("403") => {
            Some("the credentials do not give access to this repository")
        }
        _ if message.contains("resolve") => Some("is the name of the host right?"),
        _ => None,
    }
}
