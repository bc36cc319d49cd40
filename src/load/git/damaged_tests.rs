//! Repositories from which something is missing, or in which it is not what it is called.

use std::fs;
use std::path::{Path, PathBuf};

use super::tests::{FILE, repository};
use super::*;

fn file_of(folder: &Path, id: &str) -> PathBuf {
    let (first, rest) = id.split_at(2);
    folder.join("objects").join(first).join(rest)
}

/// Two files in a folder, and one commit.
fn fleet() -> (tempfile::TempDir, CommitId) {
    let (folder, commits) = repository(&[&[
        ("clusters/a.yaml", FILE, "a: 1"),
        ("clusters/b.yaml", FILE, "b: 1"),
        ("fleet.yaml", FILE, "c: 1"),
    ]]);
    (folder, commits[0].clone())
}

/// The object at a path of a commit; the commit itself at the path `commit`.
fn id_at(folder: &Path, commit: &CommitId, path: &str) -> String {
    let repository = Repository::open_bare(folder).unwrap();
    let found = repository.find_commit(commit.0).unwrap();
    let tree = found.tree().unwrap();
    match path {
        "commit" => found.id().to_string(),
        "" => tree.id().to_string(),
        path => tree.get_path(Path::new(path)).unwrap().id().to_string(),
    }
}

/// Reads the commit, which must fail.
fn unreadable(folder: &Path, commit: &CommitId) -> GitError {
    let error = Database::open_existing(folder)
        .unwrap()
        .read(commit, "")
        .unwrap_err();
    assert!(
        matches!(error, GitError::Read { .. } | GitError::Commit { .. }),
        "{error:?}"
    );
    error
}

#[rstest::rstest]
#[case::a_file("clusters/b.yaml")]
#[case::a_folder("clusters")]
#[case::the_root("")]
#[case::the_commit("commit")]
fn an_object_that_is_missing_is_an_error_and_never_a_smaller_fleet(#[case] path: &str) {
    let (folder, commit) = fleet();
    fs::remove_file(file_of(folder.path(), &id_at(folder.path(), &commit, path))).unwrap();
    let error = unreadable(folder.path(), &commit);
    if let GitError::Read { .. } = error {
        assert!(error.hint().unwrap().contains("partial clone"));
    }

    // Nor is it fetched from whoever lacks it, and what was fetched before stays readable.
    let cache = tempfile::tempdir().unwrap();
    let database = Database::open(cache.path()).unwrap();
    let address = format!("file://{}", folder.path().display());
    let url = RepositoryUrl::parse(&address, FileSources::Allowed).unwrap();
    let branch = Reference::Branch("main".into());
    database
        .fetch(&url, &branch, Duration::from_secs(60))
        .unwrap_err();
    assert!(!database.has(&commit));
}

#[rstest::rstest]
#[case::a_file("clusters/a.yaml", "clusters/b.yaml")]
#[case::a_folder("clusters", "")]
#[case::a_folder_that_is_a_file("clusters", "fleet.yaml")]
#[case::a_commit_that_is_a_folder("commit", "clusters")]
fn an_object_that_is_another_than_its_name_says_is_an_error(#[case] path: &str, #[case] other: &str) {
    let (folder, commit) = fleet();
    let [file, other] =
        [path, other].map(|path| file_of(folder.path(), &id_at(folder.path(), &commit, path)));
    fs::remove_file(&file).unwrap();
    fs::copy(other, file).unwrap();
    unreadable(folder.path(), &commit);
}
