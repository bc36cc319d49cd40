//! Trees of Git as somebody could write them who has no Git: any bytes are a tree object.

use std::cell::RefCell;

use git2::{ObjectType, Oid, Repository};
use k0smotron_fleet::load::git::{CommitId, Database};

use crate::engine;

/// After so many trees the repository is thrown away, or its folders become slow.
const TREES_MAX: usize = 1000;

struct Store {
    folder: tempfile::TempDir,
    repository: Repository,
    trees: usize,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let store = Self {
            folder,
            repository,
            trees: 0,
        };
        store.write(ObjectType::Blob, BLOB);
        store.write(ObjectType::Tree, &entry("100644", b"b.yaml", blob()));
        store
    }

    /// Writes an object as it is, valid or not.
    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Oid {
        self.repository.odb().unwrap().write(kind, bytes).unwrap()
    }

    /// Reads the fleet in a commit of this tree.
    fn read(&self, tree: &[u8]) {
        let tree = self.write(ObjectType::Tree, tree);
        let commit = format!("tree {tree}\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n");
        let commit = self.write(ObjectType::Commit, commit.as_bytes());
        let commit = CommitId::parse(&commit.to_string()).unwrap();
        let database = Database::open_existing(self.folder.path()).unwrap();
        for directory in ["", "dir", "..", "."] {
            let Ok(tree) = database.read(&commit, directory) else {
                continue;
            };
            for (_, file) in tree.files() {
                assert!(!file.path.starts_with('/'), "{}", file.path);
                assert!(
                    !file.path.split('/').any(|step| step == ".." || step == ".git"),
                    "{}",
                    file.path
                );
            }
            super::show(tree.findings(), &tree);
        }
    }
}

const BLOB: &[u8] = b"a: 1\n";

fn blob() -> Oid {
    Oid::hash_object(ObjectType::Blob, BLOB).unwrap()
}

fn entry(mode: &str, name: &[u8], id: Oid) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", id.as_bytes()].concat()
}

#[test]
fn git_trees() {
    let below = Oid::hash_object(ObjectType::Tree, &entry("100644", b"b.yaml", blob())).unwrap();
    let missing = Oid::from_bytes(&[0x11; 20]).unwrap();
    let seeds = vec![
        Vec::new(),
        [entry("100644", b"a.yaml", blob()), entry("40000", b"dir", below)].concat(),
        [
            entry("120000", b"a.yaml", blob()),
            entry("100644", b"a.yaml", blob()),
            entry("40000", b"a.yaml", below),
        ]
        .concat(),
        [
            entry("40000", b"..", below),
            entry("40000", b".git", below),
            entry("100644", b"../x.yaml", blob()),
        ]
        .concat(),
        [
            entry("160000", b"sub", missing),
            entry("100755", b".fleetignore", blob()),
        ]
        .concat(),
        [
            entry("100644", b"gone.yaml", missing),
            entry("40000", b"gone", missing),
        ]
        .concat(),
        [
            entry("100644", b"\xff.yaml", blob()),
            entry("40755", b"dir", blob()),
            entry("100644", b"", below),
        ]
        .concat(),
    ];
    let words = &[
        "100644 ",
        "120000 ",
        "40000 ",
        "160000 ",
        "0 ",
        "777777777777 ",
        "\0",
        "..",
        "/",
        ".yaml",
        ".git",
    ];
    let store = RefCell::new(Store::new());
    engine::run("tree", seeds, words, |bytes| {
        let mut store = store.borrow_mut();
        if store.trees >= TREES_MAX {
            *store = Store::new();
        }
        store.trees += 1;
        store.read(bytes);
    });
}
