//! `.fleetignore` at the root of a fleet: files and directories that are no part of it.
//!
//! *Source*: the syntax and meaning of gitignore(5).

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::FLEET_FILE;

/// Name of the file.
pub(super) const IGNORE_FILE: &str = ".fleetignore";
/// Largest file that is read. A pattern is a line, and each costs time for every path.
pub(super) const IGNORE_BYTES_MAX: usize = 64 * 1024;

/// What is passed over.
pub(super) struct Ignored(Option<Gitignore>);

/// A line that is no pattern.
#[derive(Debug, thiserror::Error)]
pub enum IgnoreError {
    #[error("line {line} of `{IGNORE_FILE}` is not a pattern")]
    Pattern { line: usize, source: ignore::Error },
    #[error("`{IGNORE_FILE}` is larger than {} KiB", IGNORE_BYTES_MAX >> 10)]
    TooLarge,
    #[error("`{IGNORE_FILE}` is not UTF-8 text")]
    NotText,
    #[error("`{IGNORE_FILE}` is a link")]
    Link,
}

impl Ignored {
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Reads the patterns.
    ///
    /// *Errors*: never less is ignored than was meant, nor more: a line that cannot be read is an error.
    pub fn read(bytes: &[u8]) -> Result<Self, IgnoreError> {
        if bytes.len() > IGNORE_BYTES_MAX {
            return Err(IgnoreError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| IgnoreError::NotText)?;
        // Paths are given relative to the root, so no directory stands in front of them.
        let mut builder = GitignoreBuilder::new("");
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            builder
                .add_line(None, line)
                .map_err(|source| IgnoreError::Pattern {
                    line: index + 1,
                    source,
                })?;
        }
        let patterns = builder
            .build()
            .map_err(|source| IgnoreError::Pattern { line: 1, source })?;
        Ok(Self(Some(patterns)))
    }

    /// Tells whether a file is passed over. Directories above it are asked for when they are entered. The file that
    /// marks the root never is.
    pub fn file(&self, path: &str) -> bool {
        path != FLEET_FILE && self.matches(path, false)
    }

    /// Tells whether a directory is passed over with all below it.
    pub fn directory(&self, path: &str) -> bool {
        self.matches(path.trim_end_matches('/'), true)
    }

    fn matches(&self, path: &str, is_directory: bool) -> bool {
        self.0
            .as_ref()
            .is_some_and(|patterns| patterns.matched(path, is_directory).is_ignore())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let ignored =
            Ignored::read(b"# comment\n*.draft.yaml\n/old/\n!keep.draft.yaml\nlab/*.yaml\nfleet.yaml\n")
                .unwrap();
        for (path, expected) in [
            ("a.draft.yaml", true),
            ("clusters/a.draft.yaml", true),
            ("keep.draft.yaml", false),
            ("lab/a.yaml", true),
            ("lab/b/a.yaml", false),
            ("fleet.yaml", false),
            ("old", false),
            ("clusters/a.yaml", false),
        ] {
            assert_eq!(ignored.file(path), expected, "{path}");
        }
        assert!(
            ignored.directory("old/")
                && !ignored.directory("clusters/old/")
                && !ignored.directory("clusters/")
        );
        assert!(!Ignored::nothing().file("a.yaml"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_ignores_nothing() {
        assert!(matches!(
            Ignored::read(b"ok\n[z-a]\n"),
            Err(IgnoreError::Pattern { line: 2, .. })
        ));
        assert!(matches!(Ignored::read(b"\xff"), Err(IgnoreError::NotText)));
        assert!(matches!(
            Ignored::read(&vec![b'a'; IGNORE_BYTES_MAX + 1]),
            Err(IgnoreError::TooLarge)
        ));
    }
}
