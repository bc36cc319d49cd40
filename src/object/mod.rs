//! Kubernetes objects as both halves see them: an identity, JSON, sets of them, and what was observed.
//!
//! JSON from files or a server -> [`Object`], [`ObjectSet`], [`Observed`].
//!
//! **Invariant:** pure, and ordered wherever an order can be seen. Secret bytes never enter an [`Object`] that is
//! observed: see [`redact`].

mod kind;
mod observed;
pub mod pointer;
mod value;

pub use kind::{Kind, kinds};
pub use observed::{Observed, Unreadable};
pub use value::{Object, ObjectId, ObjectSet};
