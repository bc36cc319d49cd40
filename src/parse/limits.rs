//! What one file may cost. Each is far above what a fleet needs and far below what hurts.

/// Largest document, in bytes. The API server takes objects of at most 1.5 MiB; a cluster with a long k0s
/// configuration has some 20 KiB.
pub const DOCUMENT_BYTES: usize = 256 * 1024;
/// Most documents of one file; about what fits into the largest file with a cluster each.
pub const DOCUMENTS: usize = 1000;
/// Deepest nesting. Pod templates, the deepest of our fields, need about 15; the API server stops at 10,000.
pub const DEPTH: usize = 64;
/// Most values of one document, after aliases are expanded.
pub const NODES: usize = 50_000;
/// Most aliases of one document.
pub const ALIASES: usize = 100;
/// Most bytes of text after aliases are expanded, as a multiple of the document's bytes.
pub const EXPANSION: usize = 4;
/// Most findings of one document. A file that is not a fleet file at all should not fill the screen.
pub const FINDINGS: usize = 50;
