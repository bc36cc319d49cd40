//! What a person names on the command line: an address, or a revision of the repository they are in.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use git2::ObjectType;

use super::{Access, Address, CommitId, Database, GitError, unreachable};
use crate::diagnostic::{Selection, SourceTree};
use crate::load::{Cache, FLEET_FILE};

/// How often it is asked again when a branch moved between asking and fetching.
const ATTEMPTS: usize = 3;
/// What the work may take beyond the deadline that it knows of itself.
const GRACE: Duration = Duration::from_secs(5);

/// Reads the fleet that an address leads to.
///
/// *Shape*: as [`crate::load::directory`]: the root is the nearest directory upward with a `fleet.yaml`, and the path
/// becomes the selection. `cache` keeps what was fetched; without one, and while another run uses it, a temporary
/// folder below `temporary` does.
/// *Effects*: one ls-refs, and one fetch if the commit is not in the cache; both once more when the cache is damaged. All
/// of it takes no longer than `deadline`.
pub fn remote(
    address: &Address,
    access: Access,
    cache: Option<&Path>,
    temporary: &Path,
    deadline: Duration,
) -> Result<SourceTree, GitError> {
    let (address, url) = (address.clone(), address.url.to_string());
    let (cache, temporary) = (cache.map(Path::to_owned), temporary.to_owned());
    let (sender, receiver) = mpsc::channel();
    // A server that says nothing holds a thread in the library for as long as it likes: that one is left alone.
    std::thread::spawn(move || {
        let _ = sender.send(read_remote(
            &address,
            access,
            cache.as_deref(),
            &temporary,
            deadline,
        ));
    });
    let too_long = || GitError::TooMuch {
        url,
        reason: "it took too long",
    };
    receiver.recv_timeout(deadline + GRACE).map_err(|_| too_long())?
}

fn read_remote(
    address: &Address,
    access: Access,
    cache: Option<&Path>,
    temporary: &Path,
    deadline: Duration,
) -> Result<SourceTree, GitError> {
    let (cache, _lock) = open_cache(cache, temporary)?;
    let key = address.url.as_str();
    let read = || read_kept(address, access.clone(), &cache.folder_of(key), deadline);
    match read() {
        // What was fetched can be fetched again, and nobody else repairs what is damaged.
        Err(error) if error.is_of_database() && cache.remove(key).is_ok() => read(),
        outcome => outcome,
    }
}

/// Reads with the database in a folder, which is made if it is missing.
fn read_kept(
    address: &Address,
    access: Access,
    folder: &Path,
    deadline: Duration,
) -> Result<SourceTree, GitError> {
    let url = &address.url;
    let database = Database::open(folder)?.with_access(access);
    let mut outcome = Err(GitError::Empty { url: url.to_string() });
    for _ in 0..ATTEMPTS {
        let (reference, commit) = database.find(url, address.revision.as_deref())?;
        if !database.has(&commit) {
            database.fetch(url, &reference, deadline)?;
        }
        outcome = database.read_fleet(&commit, &address.path);
        if !matches!(outcome, Err(GitError::Commit { .. })) {
            break;
        }
    }
    outcome
}

/// Opens the cache and holds it until the lock is dropped.
fn open_cache(cache: Option<&Path>, temporary: &Path) -> Result<(Cache, Option<File>), GitError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| GitError::Cache { path, source }
    };
    if let Some(path) = cache {
        let opened = Cache::at(path).map_err(failed(path))?;
        let lock = File::create(path.join("lock")).map_err(failed(path))?;
        match lock.try_lock() {
            Ok(()) => return Ok((opened, Some(lock))),
            // Two writers of one database can meet half a pack.
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(failed(path)(source)),
        }
    }
    Ok((Cache::temporary(temporary).map_err(failed(temporary))?, None))
}

/// Reads the fleet that a path belongs to, as it is in a revision of the local repository (`HEAD~2`, `main`, `v1`).
///
/// *Shape*: as [`crate::load::directory`]. The path need not be there any more. Nothing is checked out.
pub fn local(path: &Path, revision: &str) -> Result<SourceTree, GitError> {
    let (real, rest) = existing(path);
    let database = Database::open_existing(&real)?;
    let top = match database.repository.workdir() {
        Some(top) => fs::canonicalize(top).unwrap_or_else(|_| top.to_owned()),
        None => real.clone(),
    };
    let below = real.strip_prefix(&top).unwrap_or(Path::new("")).join(rest);
    let steps: Vec<String> = below
        .components()
        .map(|step| step.as_os_str().to_string_lossy().into_owned())
        .collect();
    let commit = database.revision(revision)?;
    database.read_fleet(&commit, &steps.join("/"))
}

/// How one commit stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// It follows the other, or is the same.
    Later,
    /// The other follows it.
    Earlier,
    /// Neither follows the other.
    Apart,
    /// The repository lacks one of them.
    Unknown,
}

/// Says how a commit of the local repository stands to an earlier one; `None`: there is no repository, or no commit.
///
/// *Shape*: without `revision` the commit is HEAD.
pub fn descent(path: &Path, revision: Option<&str>, earlier: &str) -> Option<Descent> {
    let database = Database::open_existing(&existing(path).0).ok()?;
    let earlier = CommitId::parse(earlier)?;
    let commit = match revision {
        Some(revision) => CommitId::parse(revision)?,
        None => database.revision("HEAD").ok()?,
    };
    Some(if !database.has(&commit) || !database.has(&earlier) {
        Descent::Unknown
    } else if database.is_ancestor(&earlier, &commit) {
        Descent::Later
    } else if database.is_ancestor(&commit, &earlier) {
        Descent::Earlier
    } else {
        Descent::Apart
    })
}

/// The part of a path that is there, and the rest.
fn existing(path: &Path) -> (PathBuf, PathBuf) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (fs::canonicalize(ancestor), path.strip_prefix(ancestor)) {
            return (real, rest.to_owned());
        }
    }
    (path, PathBuf::new())
}

impl Database {
    /// Reads the fleet that a path of a commit belongs to; the path becomes the selection.
    pub fn read_fleet(&self, commit: &CommitId, path: &str) -> Result<SourceTree, GitError> {
        let path = path.trim_matches('/');
        let no_path = || GitError::NoPath {
            commit: commit.to_string(),
            path: path.to_owned(),
        };
        let top = self
            .repository
            .find_commit(commit.0)
            .and_then(|found| found.tree())
            .map_err(|source| GitError::Commit {
                commit: commit.to_string(),
                source,
            })?;
        if path.is_empty() {
            return self.read(commit, "");
        }
        if path.split('/').any(|step| matches!(step, "" | "." | "..")) {
            return Err(no_path());
        }
        let entry = top
            .get_path(Path::new(path))
            .map_err(|source| unreachable(source, commit, path, no_path()))?;
        let file = match (entry.kind(), entry.filemode_raw()) {
            (Some(ObjectType::Tree), _) => None,
            (Some(ObjectType::Blob), mode) if mode != 0o120_000 => Some(entry.id()),
            _ => return Err(no_path()),
        };
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let start = if file.is_some() { parent } else { path };
        let is_root = |folder: &&str| {
            let marker = Path::new(folder).join(FLEET_FILE);
            top.get_path(&marker)
                .is_ok_and(|entry| entry.kind() == Some(ObjectType::Blob))
        };
        let Some(root) = upward(start).find(is_root) else {
            return match file {
                None => self.read(commit, path),
                Some(id) => {
                    let mut tree = SourceTree::new();
                    tree.revision = Some(commit.to_string());
                    self.add(commit, id, path.to_owned(), &mut tree)?;
                    Ok(tree)
                }
            };
        };
        let mut tree = self.read(commit, root)?;
        let selected = path[root.len()..].trim_start_matches('/').to_owned();
        if selected.is_empty() {
            return Ok(tree);
        }
        if let Some(id) = file
            && !tree.has(&selected)
        {
            // Named by a person, so it is read whatever it is called.
            self.add(commit, id, selected.clone(), &mut tree)?;
        }
        tree.selection = Selection::Below(selected);
        Ok(tree)
    }
}

/// A folder, the one above it, and so on to the top, which is empty.
fn upward(folder: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(folder);
    std::iter::from_fn(move || {
        let folder = next?;
        next = match folder.rsplit_once('/') {
            Some((parent, _)) => Some(parent),
            None if folder.is_empty() => None,
            None => Some(""),
        };
        Some(folder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::git::tests::{FILE, repository};

    #[test]
    fn a_folder_is_followed_up_to_the_top() {
        assert_eq!(upward("a/b/c").collect::<Vec<_>>(), ["a/b/c", "a/b", "a", ""]);
        assert_eq!(upward("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_path_of_a_commit_selects_from_the_whole_fleet() {
        let (folder, commits) = repository(&[&[
            ("fleets/a/fleet.yaml", FILE, "a: 1"),
            ("fleets/a/prod/x.yaml", FILE, "x: 1"),
            ("fleets/a/prod/note.txt", FILE, "n: 1"),
            ("other/y.yaml", FILE, "y: 1"),
            ("link", 0o120_000, "fleets"),
        ]]);
        let database = Database::open_existing(folder.path()).unwrap();
        let read = |path: &str| database.read_fleet(&commits[0], path);
        let paths = |tree: &SourceTree| -> Vec<String> {
            tree.files().iter().map(|(_, file)| file.path.clone()).collect()
        };
        for (path, selection, expected) in [
            ("fleets/a", Selection::All, &["fleet.yaml", "prod/x.yaml"][..]),
            (
                "fleets/a/prod/",
                Selection::Below("prod".into()),
                &["fleet.yaml", "prod/x.yaml"],
            ),
            (
                "fleets/a/prod/x.yaml",
                Selection::Below("prod/x.yaml".into()),
                &["fleet.yaml", "prod/x.yaml"],
            ),
            (
                "fleets/a/prod/note.txt",
                Selection::Below("prod/note.txt".into()),
                &["fleet.yaml", "prod/note.txt", "prod/x.yaml"],
            ),
            ("other", Selection::All, &["y.yaml"]),
            ("other/y.yaml", Selection::All, &["other/y.yaml"]),
        ] {
            let tree = read(path).unwrap();
            assert_eq!(tree.selection, selection, "{path}");
            assert_eq!(paths(&tree), expected, "{path}");
            assert!(tree.revision.is_some());
        }
        for path in [
            "missing",
            "link",
            "link/a",
            "fleets/../other",
            "other//y.yaml",
            "other/y.yaml/z",
        ] {
            assert!(matches!(read(path), Err(GitError::NoPath { .. })), "{path}");
        }
    }

    #[test]
    fn a_cache_that_lost_an_object_is_fetched_again() {
        let (source, _) = repository(&[&[("fleets/a/fleet.yaml", FILE, "a: 1")]]);
        let whole = git2::Repository::open_bare(source.path()).unwrap();
        let address = format!("file://{}//fleets/a?ref=main", source.path().display());
        let address = Address::parse(&address).unwrap().unwrap();
        let objects = |repository: &git2::Repository| {
            let (mut ids, odb) = (Vec::new(), repository.odb().unwrap());
            odb.foreach(|id| {
                ids.push(*id);
                true
            })
            .unwrap();
            ids
        };
        for lost in [
            "main^{tree}",
            "main:fleets",
            "main:fleets/a",
            "main:fleets/a/fleet.yaml",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let cache = folder.path().join("cache");
            let kept = Cache::at(&cache).unwrap().folder_of(address.url.as_str());
            let damaged = git2::Repository::init_bare(kept).unwrap();
            let lost_id = whole.revparse_single(lost).unwrap().id();
            for id in objects(&whole).into_iter().filter(|id| *id != lost_id) {
                let odb = whole.odb().unwrap();
                let object = odb.read(id).unwrap();
                damaged
                    .odb()
                    .unwrap()
                    .write(object.kind(), object.data())
                    .unwrap();
            }
            let tree = remote(
                &address,
                Access::default(),
                Some(&cache),
                folder.path(),
                Duration::from_secs(60),
            );
            let tree = tree.unwrap_or_else(|error| panic!("without {lost}: {error:?}"));
            assert_eq!(tree.files().len(), 1);
        }
    }

    #[test]
    fn a_cache_in_use_is_left_to_its_user() {
        let folder = tempfile::tempdir().unwrap();
        let (first, lock) = open_cache(Some(&folder.path().join("cache")), folder.path()).unwrap();
        let (second, no_lock) = open_cache(Some(&folder.path().join("cache")), folder.path()).unwrap();
        assert!(lock.is_some() && no_lock.is_none());
        assert_ne!(first.folder_of("x"), second.folder_of("x"));
        drop(lock);
        assert!(
            open_cache(Some(&folder.path().join("cache")), folder.path())
                .unwrap()
                .1
                .is_some()
        );
    }
}
