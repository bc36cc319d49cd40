use git2::Signature;

use super::*;

/// A repository with one commit per list of `(path, mode, content)`; returns its folder and the commits.
pub(super) fn repository(commits: &[&[(&str, i32, &str)]]) -> (tempfile::TempDir, Vec<CommitId>) {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let who = Signature::new("tenant", "tenant@example.org", &git2::Time::new(0, 0)).unwrap();
    let mut ids = Vec::new();
    for files in commits {
        let mut index = git2::Index::new().unwrap();
        for (path, mode, content) in *files {
            let id = match mode {
                0o160_000 => Oid::from_str(&"1".repeat(40)).unwrap(),
                _ => repository.blob(content.as_bytes()).unwrap(),
            };
            let entry = git2::IndexEntry {
                ctime: git2::IndexTime::new(0, 0),
                mtime: git2::IndexTime::new(0, 0),
                dev: 0,
                ino: 0,
                mode: u32::try_from(*mode).unwrap(),
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            };
            index.add(&entry).unwrap();
        }
        let tree = repository
            .find_tree(index.write_tree_to(&repository).unwrap())
            .unwrap();
        let parent = repository
            .find_reference("refs/heads/main")
            .ok()
            .map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        let id = repository
            .commit(Some("refs/heads/main"), &who, &who, "change", &tree, &parents)
            .unwrap();
        ids.push(CommitId(id));
    }
    (folder, ids)
}

fn url(folder: &tempfile::TempDir) -> RepositoryUrl {
    RepositoryUrl::parse(
        &format!("file://{}", folder.path().display()),
        FileSources::Allowed,
    )
    .unwrap()
}

pub(super) const FILE: i32 = 0o100_644;

#[test]
fn a_branch_is_resolved_once_fetched_and_read_below_its_path() {
    let (folder, commits) = repository(&[
        &[("fleets/a/one.yaml", FILE, "one")],
        &[
            ("fleets/a/one.yaml", FILE, "two"),
            ("fleets/a/b/x.yml", FILE, "x"),
            ("README.md", FILE, "no"),
        ],
    ]);
    let branch = Reference::Branch("main".into());
    let cache = tempfile::tempdir().unwrap();
    let database = Database::open(cache.path()).unwrap();
    let commit = database.resolve(&url(&folder), &branch).unwrap();
    assert_eq!(commit, commits[1]);
    assert_eq!(CommitId::parse(&commit.to_string()), Some(commit.clone()));
    assert!(!database.has(&commit));
    database
        .fetch(&url(&folder), &branch, Duration::from_secs(60))
        .unwrap();
    let tree = database.read(&commit, "/fleets/a/").unwrap();
    let files: Vec<_> = tree
        .whole_files()
        .into_iter()
        .map(|(_, file)| (&*file.path, &*file.content))
        .collect();
    assert_eq!(files, [("b/x.yml", "x"), ("one.yaml", "two")]);
    assert_eq!(tree.revision, Some(commit.to_string()));
    assert!(database.is_ancestor(&commits[0], &commit) && !database.is_ancestor(&commit, &commits[0]));
}

#[test]
fn links_and_submodules_are_refused_and_never_followed() {
    let (folder, commits) = repository(&[&[
        ("passwd.yaml", 0o120_000, "/etc/passwd"),
        ("sub", 0o160_000, ""),
        ("fine.yaml", FILE, "a: 1"),
    ]]);
    let database = Database::open_existing(folder.path()).unwrap();
    let tree = database.read(&commits[0], "").unwrap();
    assert_eq!(tree.whole_files().len(), 1);
    assert_eq!(tree.findings().iter().count(), 2);
}

#[test]
fn what_the_ignore_file_of_the_commit_names_is_not_read() {
    let (folder, commits) = repository(&[
        &[
            ("fleet/.fleetignore", FILE, "old/\n*.draft.yaml\nlink.yaml\n"),
            ("fleet/a.yaml", FILE, "a: 1"),
            ("fleet/old/b.yaml", FILE, "b: 1"),
            ("fleet/c.draft.yaml", FILE, "c: 1"),
            ("fleet/link.yaml", 0o120_000, "/etc/passwd"),
        ],
        &[
            ("fleet/.fleetignore", 0o120_000, "/etc/passwd"),
            ("fleet/a.yaml", FILE, "a: 1"),
        ],
    ]);
    let database = Database::open_existing(folder.path()).unwrap();
    let tree = database.read(&commits[0], "fleet").unwrap();
    assert_eq!(tree.whole_files().len(), 1);
    assert!(tree.findings().is_empty());
    assert!(matches!(
        database.read(&commits[1], "fleet"),
        Err(GitError::Ignore { .. })
    ));
}

#[test]
fn what_is_not_there_is_an_error_and_never_an_empty_tree() {
    let (folder, commits) = repository(&[&[("a.yaml", FILE, "a: 1")]]);
    let database = Database::open_existing(folder.path()).unwrap();
    for path in ["missing", "a.yaml", "../x", "a/./b"] {
        assert!(
            matches!(
                database.read(&commits[0], path),
                Err(GitError::NoDirectory { .. })
            ),
            "{path}"
        );
    }
    let gone = Reference::Branch("gone".into());
    assert!(matches!(
        database.resolve(&url(&folder), &gone),
        Err(GitError::NoReference { .. })
    ));
    let nowhere = RepositoryUrl::parse("file:///nowhere/at/all", FileSources::Allowed).unwrap();
    assert!(matches!(
        database.resolve(&nowhere, &gone),
        Err(GitError::Connect { .. })
    ));
    let unknown = CommitId(Oid::from_str(&"2".repeat(40)).unwrap());
    assert!(matches!(
        database.read(&unknown, ""),
        Err(GitError::Commit { .. })
    ));
}

/// Writes a tree object as it is, and a commit of it.
fn commit_of_tree(repository: &Repository, tree: &[u8]) -> CommitId {
    let database = repository.odb().unwrap();
    let tree = database.write(ObjectType::Tree, tree).unwrap();
    let text = format!("tree {tree}\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n");
    CommitId(database.write(ObjectType::Commit, text.as_bytes()).unwrap())
}

#[rstest::rstest]
#[case::up(&[("40000", "..")])]
#[case::here(&[("40000", ".")])]
#[case::nothing(&[("100644", "")])]
#[case::a_path(&[("100644", "../x.yaml")])]
#[case::a_path_below(&[("100644", "clusters/x.yaml")])]
#[case::an_absolute_path(&[("100644", "/etc/passwd.yaml")])]
#[case::a_link_and_a_file(&[("120000", "a.yaml"), ("100644", "a.yaml")])]
#[case::a_link_and_a_directory(&[("120000", "a"), ("40000", "a")])]
#[case::twice(&[("100644", "a.yaml"), ("100644", "a.yaml")])]
fn a_tree_that_no_git_would_write_is_not_read(#[case] entries: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let blob = repository.blob(b"a: 1\n").unwrap();
    let below = repository.odb().unwrap().write(ObjectType::Tree, b"").unwrap();
    let mut bytes = Vec::new();
    for (mode, name) in entries {
        let id = if *mode == "40000" { below } else { blob };
        bytes.extend([mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat());
    }
    let commit = commit_of_tree(&repository, &bytes);
    let database = Database::open_existing(folder.path()).unwrap();
    let error = database.read(&commit, "").unwrap_err();
    // The library refuses some of them itself.
    assert!(
        matches!(error, GitError::Forged { .. } | GitError::Commit { .. }),
        "{error:?}"
    );
}

#[test]
fn an_address_that_the_configuration_of_the_machine_rewrites_is_not_asked() {
    let (named, commits) = repository(&[&[("a.yaml", FILE, "named: 1")]]);
    let (other, _) = repository(&[&[("a.yaml", FILE, "other: 1")]]);
    let cache = tempfile::tempdir().unwrap();
    // As a person has it in ~/.gitconfig.
    let configured = Repository::init_bare(cache.path()).unwrap();
    let rule = format!("url.{}.insteadOf", url(&other));
    configured
        .config()
        .unwrap()
        .set_str(&rule, url(&named).as_str())
        .unwrap();
    let database = Database::open(cache.path()).unwrap();
    let branch = Reference::Branch("main".into());
    let asked = database.resolve(&url(&named), &branch).map(|_| ());
    let found = database.find(&url(&named), None).map(|_| ());
    let fetched = database.fetch(&url(&named), &branch, Duration::from_secs(60));
    for refused in [asked, found, fetched] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, GitError::Rewritten { .. }), "{error:?}");
        assert!(error.to_string().contains("insteadOf") && error.hint().is_some());
    }
    assert!(!database.has(&commits[0]));
}
