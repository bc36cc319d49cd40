//! A local repository that tests push to.

use std::collections::BTreeMap;

use git2::{Index, IndexEntry, IndexTime, Oid, Repository as Git, Signature, Time};

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_000;
const BRANCH: &str = "refs/heads/main";

/// A bare repository in a folder that goes with it.
pub struct Repository {
    folder: tempfile::TempDir,
    files: BTreeMap<String, (u32, String)>,
}

impl Repository {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Git::init_bare(folder.path()).unwrap();
        Self {
            folder,
            files: BTreeMap::new(),
        }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    fn git(&self) -> Git {
        Git::open_bare(self.folder.path()).unwrap()
    }

    /// Puts a file into the next commit.
    pub fn write(&mut self, path: &str, content: &str) {
        self.files.insert(path.to_owned(), (FILE, content.to_owned()));
    }

    /// Puts a symbolic link into the next commit.
    pub fn link(&mut self, path: &str, target: &str) {
        self.files.insert(path.to_owned(), (LINK, target.to_owned()));
    }

    pub fn remove(&mut self, path: &str) {
        assert!(self.files.remove(path).is_some(), "{path} is there");
    }

    /// Commits what was written on top of the branch; returns the id.
    pub fn commit(&self) -> String {
        let git = self.git();
        let parent = git
            .find_reference(BRANCH)
            .ok()
            .map(|branch| branch.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        self.commit_on(&git, &parents).to_string()
    }

    /// Puts what was written into a first commit and moves the branch there.
    pub fn rewrite(&self) -> String {
        let git = self.git();
        git.find_reference(BRANCH).unwrap().delete().unwrap();
        self.commit_on(&git, &[]).to_string()
    }

    /// Moves the branch to a commit.
    pub fn reset(&self, commit: &str) {
        let id = Oid::from_str(commit).unwrap();
        self.git().reference(BRANCH, id, true, "reset").unwrap();
    }

    pub fn delete_branch(&self) {
        self.git().find_reference(BRANCH).unwrap().delete().unwrap();
    }

    fn commit_on(&self, git: &Git, parents: &[&git2::Commit<'_>]) -> Oid {
        let mut index = Index::new().unwrap();
        for (path, (mode, content)) in &self.files {
            let entry = IndexEntry {
                ctime: IndexTime::new(0, 0),
                mtime: IndexTime::new(0, 0),
                dev: 0,
                ino: 0,
                mode: *mode,
                uid: 0,
                gid: 0,
                file_size: 0,
                id: git.blob(content.as_bytes()).unwrap(),
                flags: 0,
                flags_extended: 0,
                path: path.clone().into_bytes(),
            };
            index.add(&entry).unwrap();
        }
        let tree = git.find_tree(index.write_tree_to(git).unwrap()).unwrap();
        let who = Signature::new("tenant", "tenant@example.org", &Time::new(0, 0)).unwrap();
        git.commit(Some(BRANCH), &who, &who, "change", &tree, parents)
            .unwrap()
    }
}
