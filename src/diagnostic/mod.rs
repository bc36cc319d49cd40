//! What is said to a person about the files of a fleet: findings with a code, places in the source, and hints.
//!
//! Files as text -> [`SourceTree`]; problems in them -> [`Findings`].
//!
//! **Invariant:** pure. A finding is data: nothing here prints, and nothing here decides what follows from a finding.
//!
//! **Invariant:** a file that could not be read whole is still in the tree and has an error finding. An unreadable
//! file must never look like one that is not there, or its clusters would look deleted.

pub mod codes;
mod finding;
mod source;
mod words;

pub use codes::Code;
pub use finding::{Finding, Findings, Label, LabelRole, Severity};
pub use source::{
    BudgetExceeded, FILE_BYTES_MAX, FILES_MAX, FileId, Position, Refusal, Selection, SourceFile, SourceTree,
    Span, TREE_BYTES_MAX,
};
pub use words::{WRITE_A_LIST, WRITE_FIELDS, nearest, quote, visible};
