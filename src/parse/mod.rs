//! YAML, JSON and CSV, read strictly and with the place of every key, value and cell.
//!
//! [`SourceTree`] -> [`Document`]s and [`Findings`].
//!
//! A fleet file must mean the same here and to kubectl, so what YAML 1.1 and 1.2 read differently is reported, and
//! what readers disagree about (duplicate keys, merge keys, tags) is refused.
//!
//! **Invariant:** never fails and never panics, on any bytes: one broken file or document does not hide the others.
//!
//! **Invariant:** time and memory are bounded by the size of a file; see [`limits`]. Nothing grows with what an
//! alias or a bracket promises.

mod events;
pub mod limits;
mod node;
mod reference;
mod resolve;
mod scalar;
mod syntax;
mod table;
#[cfg(test)]
mod tests;

pub use node::{Data, Entry, Node, Place};
pub use reference::{BrokenReference, Piece, Reference, pieces};
pub use scalar::number;
pub use table::table;

use crate::diagnostic::{FileId, Findings, SourceFile, SourceTree, Span};
use crate::object::in_shares_of;

/// Fewest bytes of text that are worth a thread.
const SHARE_BYTES_MIN: usize = 64 * 1024;

/// Largest file that is small: a Fleet with all its comments, and not the clusters of hundreds of sites.
const SMALL_BYTES_MAX: usize = 16 * 1024;

/// One document of a file. Empty documents (only comments, or nothing between `---`) are not documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub file: FileId,
    pub root: Node,
}

impl Document {
    /// Returns a place for what concerns the document as a whole: its first line.
    pub fn beginning(&self) -> Span {
        match &self.root.data {
            Data::Mapping(entries) if !entries.is_empty() => entries[0].key_span,
            Data::Null
            | Data::Bool(_)
            | Data::Number(_)
            | Data::Text(_)
            | Data::Sequence(_)
            | Data::Mapping(_) => self.root.span,
        }
    }
}

/// Reads all files that are whole, in the order of their paths. A document with an error is not among the documents.
pub fn documents(tree: &SourceTree) -> (Vec<Document>, Findings) {
    let mut documents = Vec::new();
    let mut findings = Findings::new();
    let mut files = tree.whole_files();
    files.retain(|(_, file)| !is_of_this_program(&file.content));
    let bytes: usize = files.iter().map(|(_, file)| file.content.len()).sum();
    let least = (SHARE_BYTES_MIN * files.len()).div_ceil(bytes.max(1)).max(1);
    let read = in_shares_of(least, files, |share| {
        let read = share.into_iter().map(|(id, file)| file_documents(id, file));
        read.collect::<Vec<_>>()
    });
    for (read, problems) in read.into_iter().flatten() {
        documents.extend(read);
        findings.extend(problems);
    }
    (documents, findings)
}

/// Reads one small file alone, as [`documents`] reads it among the others. A larger one is not worth to be read twice.
pub fn documents_of_small(tree: &SourceTree, path: &str) -> Vec<Document> {
    let mut files = tree.whole_files().into_iter();
    let found = files.find(|(_, file)| file.path == path && file.content.len() <= SMALL_BYTES_MAX);
    match found {
        Some((id, file)) if !is_of_this_program(&file.content) => file_documents(id, file).0,
        Some(_) | None => Vec::new(),
    }
}

/// Says whether a file was written by this program itself (a saved plan, a snapshot), as its first field says. It may
/// lie among the files of a fleet, and is none of them.
fn is_of_this_program(content: &str) -> bool {
    let Some(rest) = content.trim_start().strip_prefix('{') else {
        return false;
    };
    let Some(rest) = rest.trim_start().strip_prefix("\"format\"") else {
        return false;
    };
    let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
    value.is_some_and(|value| value.starts_with("\"k0smotron-fleet/"))
}

fn file_documents(id: FileId, file: &SourceFile) -> (Vec<Document>, Findings) {
    let mut findings = Findings::new();
    if let Some(finding) = syntax::control_character(id, &file.content) {
        findings.push(finding);
        return (Vec::new(), findings);
    }
    let mut documents = Vec::new();
    for raw in events::read(id, &file.content, &mut findings) {
        let (root, problems) = resolve::document(id, &file.content, &raw);
        if let Some(root) = root
            && !problems.has_errors()
        {
            documents.push(Document { file: id, root });
        }
        findings.extend(problems);
    }
    (documents, findings)
}
