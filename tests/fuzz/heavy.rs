//! Repositories and folders of a size that nobody has who means well. They take a minute and some disk, so only
//! `make test-fuzz` makes them.

use std::fs;
use std::io::Write as _;

use git2::{ObjectType, Oid, Repository};
use k0smotron_fleet::diagnostic::Code;
use k0smotron_fleet::load::git::{Address, CommitId, Database};
use k0smotron_fleet::load::{self};

use crate::engine;

const BLOB_BYTES: usize = 2 << 30;
const FILES: usize = 200_000;
const REFERENCES: usize = 1_000_000;

fn repository() -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    (folder, repository)
}

fn commit(repository: &Repository, entries: &[(String, Oid)]) -> CommitId {
    let tree: Vec<u8> = entries
        .iter()
        .flat_map(|(name, id)| [b"100644 ", name.as_bytes(), b"\0", id.as_bytes()].concat())
        .collect();
    let database = repository.odb().unwrap();
    let tree = database.write(ObjectType::Tree, &tree).unwrap();
    let text = format!("tree {tree}\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n");
    let commit = database.write(ObjectType::Commit, text.as_bytes()).unwrap();
    CommitId::parse(&commit.to_string()).unwrap()
}

#[test]
fn a_file_of_two_gigabytes_is_refused_before_it_is_read() {
    if !engine::is_asked_for() {
        return;
    }
    let (folder, repository) = repository();
    let database = repository.odb().unwrap();
    let mut writer = database.writer(BLOB_BYTES, ObjectType::Blob).unwrap();
    let zeros = vec![b'#'; 1 << 20];
    for _ in 0..BLOB_BYTES / zeros.len() {
        writer.write_all(&zeros).unwrap();
    }
    let large = writer.finalize().unwrap();
    drop(writer);
    let small = repository.blob(b"").unwrap();
    let reader = Database::open_existing(folder.path()).unwrap();
    let read = |name: &str| {
        let entries = [(name.to_owned(), large), ("b.yaml".to_owned(), small)];
        reader.read(&commit(&repository, &entries), "")
    };
    let tree = read("a.yaml").unwrap();
    assert_eq!((tree.len(), tree.whole_files().len()), (2, 1));
    assert_eq!(tree.findings().iter().next().unwrap().code, Code::FileTooLarge);
    assert_eq!(
        read("a.bin").unwrap().len(),
        1,
        "nobody looks at what is not read"
    );
    let error = read(".fleetignore").unwrap_err();
    assert!(error.to_string().contains("which files are ignored"), "{error}");
    engine::assert_memory("large file");
}

#[test]
fn two_hundred_thousand_files_are_refused_as_a_whole() {
    if !engine::is_asked_for() {
        return;
    }
    let (folder, repository) = repository();
    let id = repository.blob(b"").unwrap();
    let entries = |ending: &str| -> Vec<(String, Oid)> {
        (0..FILES)
            .map(|number| (format!("{number:06}.{ending}"), id))
            .collect()
    };
    let reader = Database::open_existing(folder.path()).unwrap();
    let error = reader
        .read(&commit(&repository, &entries("yaml")), "")
        .unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with("more than 20000 YAML"), "{error}: {source}");
    assert!(
        reader
            .read(&commit(&repository, &entries("txt")), "")
            .unwrap()
            .is_empty()
    );

    let disk = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        fs::write(disk.path().join(format!("{number:06}.yaml")), "").unwrap();
    }
    let error = load::directory(disk.path()).unwrap_err();
    assert_eq!(error.to_string(), "the fleet is too large");
    engine::assert_memory("many files");
}

#[test]
fn a_million_references_are_a_list_and_nothing_else() {
    if !engine::is_asked_for() {
        return;
    }
    let (folder, repository) = repository();
    let id = commit(
        &repository,
        &[("a.yaml".to_owned(), repository.blob(b"").unwrap())],
    );
    let lines = (0..REFERENCES).map(|number| format!("{id} refs/heads/{number:07}\n"));
    let list = format!(
        "# pack-refs with: peeled fully-peeled sorted \n{}",
        lines.collect::<String>()
    );
    fs::write(folder.path().join("packed-refs"), list).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let database = Database::open(cache.path()).unwrap();
    let address = Address::parse(&format!("file://{}", folder.path().display()))
        .unwrap()
        .unwrap();
    let (_, found) = database.find(&address.url, Some("0999999")).unwrap();
    assert_eq!(found, id);
    let error = database.find(&address.url, Some("gone")).unwrap_err();
    assert!(
        error.to_string().contains("has no branch, tag or commit `gone`"),
        "{error}"
    );
    engine::assert_memory("many references");
}
