//! The folder in which object databases are kept, one for each source.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Only this process's user: what a repository holds is nobody else's business, and nobody may put a link here.
const MODE: u32 = 0o700;
/// Names that are tried. Each that is taken belongs to another run.
const ATTEMPTS: u32 = 1000;

/// A folder for object databases. A temporary one goes when this is dropped.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    is_temporary: bool,
}

impl Cache {
    /// Uses a folder, which is made if it is missing, and leaves it when dropped.
    pub fn at(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(MODE).create(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            is_temporary: false,
        })
    }

    /// Makes a new folder below `parent`.
    pub fn temporary(parent: &Path) -> io::Result<Self> {
        let process = std::process::id();
        for attempt in 0..ATTEMPTS {
            let folder = parent.join(format!("k0smotron-fleet-{process}-{attempt}"));
            // Not recursive: a folder, or a link, that is there already is never used.
            match DirBuilder::new().mode(MODE).create(&folder) {
                Ok(()) => {
                    return Ok(Self {
                        folder,
                        is_temporary: true,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Returns the folder of one source. Different keys have different folders, whatever is in them.
    pub fn folder_of(&self, key: &str) -> PathBuf {
        let mut name = String::from("git-");
        for byte in key.bytes() {
            match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'-' => name.push(char::from(byte)),
                _ => name.push_str(&format!("_{byte:02x}")),
            }
        }
        self.folder.join(name)
    }

    /// Removes what is kept of one source. That there is nothing is a success.
    pub fn remove(&self, key: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.folder_of(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed now is removed with all temporary files some day.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_private_new_and_goes_with_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let one = Cache::temporary(parent.path()).unwrap();
        let other = Cache::temporary(parent.path()).unwrap();
        assert_ne!(one.folder, other.folder);
        let mode = fs::metadata(&one.folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        fs::create_dir(one.folder_of("a")).unwrap();
        let folder = one.folder.clone();
        drop(one);
        assert!(!folder.exists() && other.folder.exists());
    }

    #[test]
    fn no_key_leads_out_of_the_folder_or_to_the_folder_of_another() {
        let parent = tempfile::tempdir().unwrap();
        let cache = Cache::at(&parent.path().join("a/b")).unwrap();
        let keys = ["0f3c-11", "..", "../x", "/etc", "A", "a", "a_41", "", "_41"];
        let folders: std::collections::BTreeSet<_> = keys.iter().map(|key| cache.folder_of(key)).collect();
        assert_eq!(folders.len(), keys.len());
        assert!(
            folders
                .iter()
                .all(|folder| folder.parent() == Some(cache.folder.as_path()))
        );
        cache.remove("never-there").unwrap();
    }
}
