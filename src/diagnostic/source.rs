//! The files of a fleet as text, and places in them.

use std::collections::BTreeMap;

use super::{Code, Finding, Findings};

/// Largest file that is read. A cluster is about 1 KiB; 1 MiB holds a thousand, and bounds what one file can cost.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most files of one tree: twice the 10,000 clusters the tool is built for, one file each.
pub const FILES_MAX: usize = 20_000;
/// Most bytes of one tree. All of it is held in memory while it is read.
pub const TREE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A file of one [`SourceTree`]. Means nothing in another tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A half-open range of bytes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub file: FileId,
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self {
            file,
            start,
            end: end.max(start),
        }
    }

    /// Returns the empty span at the beginning of a file, for what concerns the file as a whole.
    pub fn start_of(file: FileId) -> Self {
        Self {
            file,
            start: 0,
            end: 0,
        }
    }
}

/// A place as editors count it: line and column start at 1, columns are characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub path: String,
    pub line: usize,
    pub column: usize,
}

/// `clusters/edge.yaml:6:3`.
impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}:{}:{}",
            quote_path(&self.path),
            self.line,
            self.column
        )
    }
}

/// Escapes what would break a line of output or hide in it. File names come from whoever can push.
fn quote_path(path: &str) -> String {
    if path.chars().any(super::words::is_hidden) {
        super::quote(path)
    } else {
        path.to_owned()
    }
}

/// One file as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the root of the tree, with `/`.
    pub path: String,
    /// The text, or the part before the first byte that is not text when `is_whole` is false.
    pub content: String,
    /// False for a file that was refused; it then has an error finding in the tree and must not be parsed.
    pub is_whole: bool,
    /// A table (`.csv`), which means something only to what names it. It is no document of the fleet.
    pub is_table: bool,
    line_starts: Vec<usize>,
}

impl SourceFile {
    fn new(path: String, content: String, is_whole: bool) -> Self {
        let line_starts = std::iter::once(0)
            .chain(content.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let is_table = path
            .rsplit_once('.')
            .is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("csv"));
        Self {
            path,
            content,
            is_whole,
            is_table,
            line_starts,
        }
    }

    /// Returns line and column of a byte, both from 1. A byte behind the end counts as the end.
    pub fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let byte = floor_boundary(&self.content, byte);
        let line = self.line_starts.partition_point(|&start| start <= byte);
        let start = self.line_starts[line - 1];
        (line, self.content[start..byte].chars().count() + 1)
    }

    /// Returns the text of a span; spans that do not fit are cut to the file.
    pub fn text(&self, span: Span) -> &str {
        let range = self.range(span);
        &self.content[range]
    }

    /// Returns the bytes of a span, cut to the file and to whole characters.
    pub fn range(&self, span: Span) -> std::ops::Range<usize> {
        let start = floor_boundary(&self.content, span.start);
        start..floor_boundary(&self.content, span.end).max(start)
    }
}

fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// What a person asked for when they named a path. The whole tree is composed in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    #[default]
    All,
    /// One file or everything below one directory, relative to the root, with `/`.
    Below(String),
}

/// Why a file is in the tree without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A symbolic link (Git mode 120000), to a directory or to a place outside of the tree.
    SymbolicLink,
    /// A submodule (Git mode 160000).
    Submodule,
    /// Larger than [`FILE_BYTES_MAX`].
    TooLarge,
    /// A path that is not UTF-8.
    PathNotText,
}

/// The tree is larger than what this tool is willing to hold in memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetExceeded {
    #[error("more than {FILES_MAX} YAML, JSON and CSV files; point at the directory that holds the fleet")]
    Files,
    #[error("more than {} MiB of YAML, JSON and CSV; point at the directory that holds the fleet", TREE_BYTES_MAX >> 20)]
    Bytes,
}

/// The files of one fleet at one revision, and what was wrong with them as files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceTree {
    /// The commit, where there is one.
    pub revision: Option<String>,
    /// Put in front of paths when they are shown (`fleets/acme/`), so that they can be opened from where one is.
    pub prefix: String,
    pub selection: Selection,
    files: Vec<SourceFile>,
    findings: Findings,
    /// What is wrong with tables as files. Nobody's problem until a table is named.
    table_findings: BTreeMap<FileId, Finding>,
    bytes: usize,
}

impl SourceTree {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a tree of texts. Meant for tests and examples.
    ///
    /// # Panics
    /// When the texts are larger than a tree may be.
    pub fn from_texts<P: Into<String>, T: Into<Vec<u8>>>(texts: impl IntoIterator<Item = (P, T)>) -> Self {
        let mut tree = Self::new();
        for (path, text) in texts {
            tree.add(path, text.into())
                .expect("tests and examples stay far below the budget");
        }
        tree
    }

    /// Adds one file. What is not UTF-8 or too large gets an error finding and is kept without (all of) its content.
    ///
    /// *Errors*: when the whole tree becomes too large; it must then not be used at all.
    pub fn add(&mut self, path: impl Into<String>, bytes: Vec<u8>) -> Result<FileId, BudgetExceeded> {
        if bytes.len() > FILE_BYTES_MAX {
            return self.refuse(path, Refusal::TooLarge);
        }
        self.bytes += bytes.len();
        if self.bytes > TREE_BYTES_MAX {
            return Err(BudgetExceeded::Bytes);
        }
        match String::from_utf8(bytes) {
            Ok(content) => self.push(SourceFile::new(path.into(), content, true)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
                let content = String::from_utf8_lossy(&bytes[..valid]).into_owned();
                let id = self.push(SourceFile::new(path.into(), content, false))?;
                let finding = Finding::new(Code::NotUtf8, "the file is not UTF-8 text").primary(
                    Span::new(id, valid, valid),
                    format!("byte {:#04x} is not UTF-8", bytes[valid]),
                );
                self.report(
                    id,
                    if is_utf16 {
                        finding.hint("the file looks like UTF-16; save it as UTF-8")
                    } else {
                        finding.hint("save the file as UTF-8")
                    },
                );
                Ok(id)
            }
        }
    }

    /// Adds a file that is there but is not read, with an error finding that says why.
    pub fn refuse(&mut self, path: impl Into<String>, refusal: Refusal) -> Result<FileId, BudgetExceeded> {
        let id = self.push(SourceFile::new(path.into(), String::new(), false))?;
        let (code, message, hint) = match refusal {
            Refusal::SymbolicLink => (
                Code::LinkNotFollowed,
                "the symbolic link is not followed".to_owned(),
                "links to directories and out of the fleet are not read; put the file itself here",
            ),
            Refusal::Submodule => (
                Code::LinkNotFollowed,
                "the Git submodule is not read".to_owned(),
                "put the files themselves into the fleet's repository",
            ),
            Refusal::TooLarge => (
                Code::FileTooLarge,
                format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20),
                "split it into several files",
            ),
            Refusal::PathNotText => (
                Code::NotUtf8,
                "the path is not UTF-8 text".to_owned(),
                "rename the file or its folder",
            ),
        };
        let finding = Finding::new(code, message).primary(Span::start_of(id), "");
        self.report(id, finding.hint(hint));
        Ok(id)
    }

    fn report(&mut self, id: FileId, finding: Finding) {
        if self.file(id).is_table {
            self.table_findings.insert(id, finding);
        } else {
            self.findings.push(finding);
        }
    }

    fn push(&mut self, file: SourceFile) -> Result<FileId, BudgetExceeded> {
        if self.files.len() >= FILES_MAX {
            return Err(BudgetExceeded::Files);
        }
        let id = FileId(u32::try_from(self.files.len()).map_err(|_| BudgetExceeded::Files)?);
        self.files.push(file);
        Ok(id)
    }

    /// Returns the documents' files that can be parsed, in the order of their paths.
    pub fn whole_files(&self) -> Vec<(FileId, &SourceFile)> {
        let mut files: Vec<_> = (0..)
            .map(FileId)
            .zip(&self.files)
            .filter(|(_, file)| file.is_whole && !file.is_table)
            .collect();
        files.sort_by(|(_, one), (_, other)| one.path.cmp(&other.path));
        files
    }

    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns what was wrong with the files as files.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Returns where a span begins, with the path as it is shown to people.
    pub fn position(&self, span: Span) -> Position {
        let file = self.file(span.file);
        let (line, column) = file.line_and_column(span.start);
        Position {
            path: format!("{}{}", self.prefix, file.path),
            line,
            column,
        }
    }

    /// Tells whether a path of the tree is among those that were asked for.
    pub fn selects(&self, path: &str) -> bool {
        match &self.selection {
            Selection::All => true,
            Selection::Below(selected) => {
                path == selected
                    || path
                        .strip_prefix(selected.as_str())
                        .is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }

    /// Finds a file by its path.
    pub fn find(&self, path: &str) -> Option<(FileId, &SourceFile)> {
        (0..)
            .map(FileId)
            .zip(&self.files)
            .find(|(_, file)| file.path == path)
    }

    /// Returns what is wrong with a table as a file.
    pub fn table_finding(&self, id: FileId) -> Option<&Finding> {
        self.table_findings.get(&id)
    }

    /// Returns all files, in the order of their paths.
    pub fn files(&self) -> Vec<(FileId, &SourceFile)> {
        let mut files: Vec<_> = (0..).map(FileId).zip(&self.files).collect();
        files.sort_by(|(_, one), (_, other)| one.path.cmp(&other.path));
        files
    }

    /// Tells whether a file of this path is in the tree.
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// Tells whether anything is there that was asked for.
    pub fn selects_anything(&self) -> bool {
        let mut documents = self.files.iter().filter(|file| !file.is_table);
        documents.any(|file| self.selects(&file.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_lines_start_at_one() {
        let tree = SourceTree::from_texts([("a.yaml", "größe: 1\nzwei: 2\n")]);
        let (id, file) = tree.whole_files()[0];
        assert_eq!(file.line_and_column(0), (1, 1));
        assert_eq!(file.line_and_column("größe".len()), (1, 6));
        assert_eq!(file.line_and_column("größe: 1\nz".len()), (2, 2));
        assert_eq!(file.line_and_column(10_000), (3, 1));
        assert_eq!(
            tree.position(Span::new(id, 3, 4)).to_string(),
            "a.yaml:1:3",
            "the middle of a character"
        );
    }

    #[test]
    fn a_file_that_is_not_text_stays_in_the_tree_with_a_finding() {
        let tree = SourceTree::from_texts([("a.yaml", b"name: caf\xe9\n".to_vec())]);
        assert!(tree.whole_files().is_empty());
        let finding = tree.findings().iter().next().unwrap();
        assert_eq!(finding.code, Code::NotUtf8);
        assert_eq!(tree.position(finding.span().unwrap()).to_string(), "a.yaml:1:10");
    }

    #[test]
    fn a_file_over_the_limit_is_refused_and_the_tree_goes_on() {
        let mut tree = SourceTree::new();
        tree.add("big.yaml", vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
        tree.add("small.yaml", b"a: 1".to_vec()).unwrap();
        assert_eq!(tree.findings().iter().next().unwrap().code, Code::FileTooLarge);
        assert_eq!(tree.whole_files().len(), 1);
    }

    #[test]
    fn a_tree_over_the_budget_is_an_error_not_a_smaller_tree() {
        let mut tree = SourceTree::new();
        let outcome = (0..=TREE_BYTES_MAX / FILE_BYTES_MAX)
            .map(|number| tree.add(format!("{number}.yaml"), vec![b'#'; FILE_BYTES_MAX]))
            .collect::<Result<Vec<_>, _>>();
        assert_eq!(outcome, Err(BudgetExceeded::Bytes));
    }

    #[test]
    fn a_path_selects_itself_and_what_is_below() {
        let tree = SourceTree {
            selection: Selection::Below("clusters/prod".into()),
            ..SourceTree::new()
        };
        assert!(tree.selects("clusters/prod") && tree.selects("clusters/prod/a.yaml"));
        assert!(!tree.selects("clusters/production/a.yaml") && !tree.selects("clusters"));
    }
}
