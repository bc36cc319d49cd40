//! Kubernetes objects as both halves see them: an identity, JSON, sets of them, and what was observed.
//!
//! JSON from files or a server -> [`Object`], [`ObjectSet`], [`Observed`].
//!
//! **Invariant:** pure, and ordered wherever an order can be seen. Secret bytes never enter an [`Object`] that is
//! observed: they are left out where it is read.

mod cache;
mod compare;
mod digest;
mod kind;
mod lists;
mod observed;
pub mod pointer;
mod prune;
pub mod quantity;
mod share;
mod value;

pub use cache::{Cache, News};
pub use compare::{Difference, differences, is_applied_by};
pub use digest::{digest, hex};
pub use kind::{Kind, kinds};
pub use observed::{Observed, Unreadable};
pub use share::{in_shares, in_shares_of, in_stripes};
pub use value::{Object, ObjectId, ObjectSet};
