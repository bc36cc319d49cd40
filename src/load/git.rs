//! A commit of a Git repository as a [`SourceTree`], read from the object database and never checked out.
//!
//! **Invariants:** a reference is resolved to a commit once and that commit is used throughout; nothing is followed
//! out of the tree (links and submodules are refused); every failure is an error, never an empty tree. A server is asked
//! at the address that was checked, or not at all.

mod access;
mod address;
mod error;
mod known_hosts;
mod person;
mod revision;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, Direction, ErrorClass, FetchOptions, ObjectType, Oid, Remote, RemoteRedirect, Repository,
};

pub use access::{Access, AccessError, Agent, Token};
pub use address::{Address, FileSources, RepositoryUrl};
pub use error::GitError;
pub use known_hosts::{KnownHosts, Verdict};
pub use person::{Descent, descent, local, remote};
use revision::Advertised;

use super::ignored::{IGNORE_BYTES_MAX, IGNORE_FILE, IgnoreError, Ignored};
use super::{is_fleet_file, is_hidden};
use crate::diagnostic::{FILE_BYTES_MAX, Refusal, SourceTree};

/// Most bytes one fetch may receive. A fleet of 10,000 clusters with ten years of history is far below.
const FETCH_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most objects one fetch may announce; a pack that promises more is not a fleet.
const FETCH_OBJECTS_MAX: usize = 5_000_000;
const FOLLOW_REDIRECTS: &str = "http.followRedirects";
/// Deepest folder. Git itself has no limit, and every level costs a look-up.
const DEPTH_MAX: usize = 64;

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Branch(String),
    Tag(String),
    /// A whole commit id, 40 hex digits.
    Commit(String),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Branch(name) => write!(formatter, "branch `{name}`"),
            Self::Tag(name) => write!(formatter, "tag `{name}`"),
            Self::Commit(id) => write!(formatter, "commit `{id}`"),
        }
    }
}

/// A commit that was resolved from a reference: 40 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(Oid);

impl CommitId {
    /// Reads 40 hex digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 40)
            .then(|| Oid::from_str(text).ok())
            .flatten()
            .map(Self)
    }
}

impl std::fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A bare object database that commits are fetched into.
pub struct Database {
    repository: Repository,
    access: Access,
}

impl Database {
    /// Opens the database in a directory, or makes one there.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        let open = || {
            let repository = Repository::open_bare(path).or_else(|_| Repository::init_bare(path))?;
            // Trust belongs to the host that was named. Fetches say so themselves; asking for references cannot.
            let mut configuration = repository.config()?;
            if configuration.get_bool(FOLLOW_REDIRECTS).unwrap_or(true) {
                configuration.set_bool(FOLLOW_REDIRECTS, false)?;
            }
            Ok(repository)
        };
        let repository = open().map_err(|source| GitError::Database {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            repository,
            access: Access::default(),
        })
    }

    /// Sets what servers are shown and how they are known.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Opens the repository that a directory belongs to, for reading its commits.
    pub fn open_existing(path: &Path) -> Result<Self, GitError> {
        let repository = Repository::discover(path).map_err(|source| GitError::NoRepository {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            repository,
            access: Access::default(),
        })
    }

    /// Returns the commit a revision of this repository names (`HEAD`, `main~2`, a tag).
    pub fn revision(&self, revision: &str) -> Result<CommitId, GitError> {
        self.repository
            .revparse_single(revision)
            .and_then(|object| object.peel_to_commit())
            .map(|commit| CommitId(commit.id()))
            .map_err(|source| GitError::Commit {
                commit: revision.to_owned(),
                source,
            })
    }

    /// Asks the server which commit a reference points to.
    ///
    /// *Effects*: one ls-refs request; for [`Reference::Commit`] none. Blocks; call it off the async threads.
    pub fn resolve(&self, url: &RepositoryUrl, reference: &Reference) -> Result<CommitId, GitError> {
        let no_reference = || GitError::NoReference {
            url: url.to_string(),
            reference: reference.clone(),
        };
        let wanted = match reference {
            Reference::Commit(id) => return CommitId::parse(id).ok_or_else(no_reference),
            Reference::Branch(name) => format!("refs/heads/{name}"),
            Reference::Tag(name) => format!("refs/tags/{name}"),
        };
        let heads = self.advertised(url)?;
        revision::commit_of(&heads, &wanted)
            .map(CommitId)
            .ok_or_else(no_reference)
    }

    /// Asks the server what a branch, tag or commit id of a person means; `None` is the head of the repository.
    ///
    /// *Effects*: one ls-refs request; for a commit id none. Blocks.
    pub fn find(
        &self,
        url: &RepositoryUrl,
        revision: Option<&str>,
    ) -> Result<(Reference, CommitId), GitError> {
        if let Some(commit) = revision.and_then(CommitId::parse) {
            return Ok((Reference::Commit(commit.to_string()), commit));
        }
        let heads = self.advertised(url)?;
        revision::choose(&heads, revision)
            .map(|(reference, id)| (reference, CommitId(id)))
            .map_err(|why| why.error(url, revision))
    }

    /// Asks the server for its references.
    fn advertised(&self, url: &RepositoryUrl) -> Result<Vec<Advertised>, GitError> {
        let connect_error = |source| GitError::Connect {
            url: url.to_string(),
            source,
        };
        let mut remote = self.remote(url, connect_error)?;
        let (callbacks, refused) = self.access.callbacks(url);
        let list = || {
            let connection = remote.connect_auth(Direction::Fetch, Some(callbacks), None)?;
            let heads = connection.list()?;
            Ok(heads.iter().map(Advertised::from).collect())
        };
        list().map_err(|source| refused.or(url, connect_error(source)))
    }

    /// Returns the remote of an address that is asked as it is written.
    ///
    /// *Errors*: [`GitError::Rewritten`] when the configuration of the machine or of the person makes another address
    /// of it: nobody has checked that one, and it would be shown the credentials of the named host.
    fn remote(
        &self,
        url: &RepositoryUrl,
        failed: impl FnOnce(git2::Error) -> GitError,
    ) -> Result<Remote<'_>, GitError> {
        // Not a detached remote: that one would follow a first redirect, this one obeys the database's configuration.
        let remote = self.repository.remote_anonymous(url.as_str()).map_err(failed)?;
        if remote.url_bytes() == url.as_str().as_bytes() {
            Ok(remote)
        } else {
            Err(GitError::Rewritten { url: url.to_string() })
        }
    }

    /// Says whether a commit is here already, so that nothing needs to be fetched.
    pub fn has(&self, commit: &CommitId) -> bool {
        self.repository.find_commit(commit.0).is_ok()
    }

    /// Says whether `ancestor` is reached from `commit` by following parents. Equal commits count.
    pub fn is_ancestor(&self, ancestor: &CommitId, commit: &CommitId) -> bool {
        ancestor == commit
            || self
                .repository
                .graph_descendant_of(commit.0, ancestor.0)
                .unwrap_or(false)
    }

    /// Fetches a reference. Redirects to another host are not followed: credentials and trust belong to the one that was
    /// named.
    ///
    /// *Effects*: at most 512 MiB are received within `deadline`. Blocks.
    pub fn fetch(
        &self,
        url: &RepositoryUrl,
        reference: &Reference,
        deadline: Duration,
    ) -> Result<(), GitError> {
        let refspec = match reference {
            Reference::Branch(name) => format!("+refs/heads/{name}:refs/fleet/branch"),
            Reference::Tag(name) => format!("+refs/tags/{name}:refs/fleet/tag"),
            Reference::Commit(id) => format!("+{id}:refs/fleet/commit"),
        };
        let started = Instant::now();
        let stopped = std::cell::Cell::new(None);
        let (mut callbacks, refused) = self.access.callbacks(url);
        callbacks.transfer_progress(|progress| {
            if progress.received_bytes() > FETCH_BYTES_MAX {
                stopped.set(Some("more than 512 MiB were sent"));
            } else if progress.total_objects() > FETCH_OBJECTS_MAX {
                stopped.set(Some("more than 5,000,000 objects were announced"));
            } else if started.elapsed() > deadline {
                stopped.set(Some("it took too long"));
            }
            stopped.get().is_none()
        });
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .download_tags(AutotagOption::None);
        options
            .follow_redirects(RemoteRedirect::None)
            .update_fetchhead(false);
        let fetch_error = |source| GitError::Fetch {
            url: url.to_string(),
            reference: reference.clone(),
            source,
        };
        let mut remote = self.remote(url, fetch_error)?;
        let result = remote.fetch(&[refspec.as_str()], Some(&mut options), None);
        drop(options);
        match (result, stopped.get()) {
            (_, Some(reason)) => Err(GitError::TooMuch {
                url: url.to_string(),
                reason,
            }),
            (Err(source), None) => Err(refused.or(url, fetch_error(source))),
            (Ok(()), None) => Ok(()),
        }
    }

    /// Reads the fleet files below a directory of a commit.
    ///
    /// *Shape*: `directory` is relative with `/`, empty for the root. Links, submodules and files that are too large
    /// are in the tree as error findings.
    pub fn read(&self, commit: &CommitId, directory: &str) -> Result<SourceTree, GitError> {
        let id = commit.to_string();
        let commit_error = |source| GitError::Commit {
            commit: id.clone(),
            source,
        };
        let root = self
            .repository
            .find_commit(commit.0)
            .and_then(|commit| commit.tree())
            .map_err(commit_error)?;
        let directory = directory.trim_matches('/').trim_start_matches("./");
        let no_directory = || GitError::NoDirectory {
            commit: id.clone(),
            path: directory.to_owned(),
        };
        let start = if directory.is_empty() || directory == "." {
            root
        } else {
            if directory
                .split('/')
                .any(|step| step.is_empty() || step == "." || step == "..")
            {
                return Err(no_directory());
            }
            let entry = root
                .get_path(Path::new(directory))
                .map_err(|source| unreachable(source, commit, directory, no_directory()))?;
            if entry.kind() != Some(ObjectType::Tree) {
                return Err(no_directory());
            }
            self.repository
                .find_tree(entry.id())
                .map_err(|source| GitError::Read {
                    commit: id.clone(),
                    path: directory.to_owned(),
                    source,
                })?
        };
        let mut tree = SourceTree::new();
        tree.revision = Some(id);
        if !directory.is_empty() && directory != "." {
            tree.prefix = format!("{directory}/");
        }
        let ignored = self.ignored(commit, &start)?;
        self.read_folder(commit, &start, &ignored, "", 0, &mut tree)?;
        Ok(tree)
    }

    /// Reads what is ignored below the root of a fleet.
    fn ignored(&self, commit: &CommitId, root: &git2::Tree<'_>) -> Result<Ignored, GitError> {
        let Some(entry) = root.get_name(IGNORE_FILE) else {
            return Ok(Ignored::nothing());
        };
        let ignore_error = |source| GitError::Ignore {
            commit: commit.to_string(),
            source,
        };
        let read_error = |source| GitError::Read {
            commit: commit.to_string(),
            path: IGNORE_FILE.to_owned(),
            source,
        };
        if entry.kind() != Some(ObjectType::Blob) || entry.filemode_raw() == 0o120_000 {
            return Err(ignore_error(IgnoreError::Link));
        }
        let database = self.repository.odb().map_err(read_error)?;
        let (size, _) = database.read_header(entry.id()).map_err(read_error)?;
        if size > IGNORE_BYTES_MAX {
            return Err(ignore_error(IgnoreError::TooLarge));
        }
        let blob = self.repository.find_blob(entry.id()).map_err(read_error)?;
        Ignored::read(blob.content()).map_err(ignore_error)
    }

    fn read_folder(
        &self,
        commit: &CommitId,
        folder: &git2::Tree<'_>,
        ignored: &Ignored,
        prefix: &str,
        depth: usize,
        tree: &mut SourceTree,
    ) -> Result<(), GitError> {
        let commit_text = || commit.to_string();
        if depth > DEPTH_MAX {
            return Err(GitError::TooDeep {
                commit: commit_text(),
                path: prefix.to_owned(),
            });
        }
        let budget_error = |source| GitError::Budget {
            commit: commit_text(),
            source,
        };
        let mut names = BTreeSet::new();
        for entry in folder {
            let forged = |reason| GitError::Forged {
                commit: commit_text(),
                path: format!("{prefix}{}", String::from_utf8_lossy(entry.name_bytes())),
                reason,
            };
            // Any bytes are a tree. What leaves its folder, or is there twice, is read by each reader as another thing.
            if matches!(entry.name_bytes(), b"" | b"." | b"..") || entry.name_bytes().contains(&b'/') {
                return Err(forged("it is not a name"));
            }
            if !names.insert(entry.name_bytes().to_vec()) {
                return Err(forged("it is there twice"));
            }
            let name = String::from_utf8_lossy(entry.name_bytes());
            let path = format!("{prefix}{name}");
            let read_error = |source| GitError::Read {
                commit: commit_text(),
                path: path.clone(),
                source,
            };
            let is_ignored = match entry.filemode_raw() {
                0o040_000 => ignored.directory(&path),
                _ => ignored.file(&path),
            };
            // As in a directory: what is hidden or ignored is not looked at, whatever it is.
            if is_hidden(&name) || is_ignored {
                continue;
            }
            let is_text = std::str::from_utf8(entry.name_bytes()).is_ok();
            match entry.filemode_raw() {
                0o120_000 => {
                    tree.refuse(path, Refusal::SymbolicLink).map_err(budget_error)?;
                }
                0o160_000 => {
                    tree.refuse(path, Refusal::Submodule).map_err(budget_error)?;
                }
                mode if !is_text && (mode == 0o040_000 || is_fleet_file(&name)) => {
                    tree.refuse(path, Refusal::PathNotText).map_err(budget_error)?;
                }
                0o040_000 => {
                    let below = self.repository.find_tree(entry.id()).map_err(read_error)?;
                    self.read_folder(commit, &below, ignored, &format!("{path}/"), depth + 1, tree)?;
                }
                _ if !is_fleet_file(&name) => {}
                _ => {
                    self.add(commit, entry.id(), path, tree)?;
                }
            }
        }
        Ok(())
    }

    /// Adds one file to the tree.
    fn add(&self, commit: &CommitId, id: Oid, path: String, tree: &mut SourceTree) -> Result<(), GitError> {
        let read_error = |source| GitError::Read {
            commit: commit.to_string(),
            path: path.clone(),
            source,
        };
        let database = self.repository.odb().map_err(read_error)?;
        // The header first: the size is known before anything of that size is held.
        let (size, _) = database.read_header(id).map_err(read_error)?;
        let added = if size > FILE_BYTES_MAX {
            tree.refuse(path, Refusal::TooLarge)
        } else {
            let blob = self.repository.find_blob(id).map_err(read_error)?;
            tree.add(path, blob.content().to_vec())
        };
        added.map(|_| ()).map_err(|source| GitError::Budget {
            commit: commit.to_string(),
            source,
        })
    }
}

/// Says why a path of a commit leads nowhere: `absent` when it is not in the tree, and not when a tree on the way is lost.
fn unreachable(source: git2::Error, commit: &CommitId, path: &str, absent: GitError) -> GitError {
    match source.class() {
        ErrorClass::Tree => absent,
        _ => GitError::Read {
            commit: commit.to_string(),
            path: path.to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod damaged_tests;
#[cfg(test)]
mod tests;
