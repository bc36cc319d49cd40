//! What was read from a live cluster or a snapshot, and what could not be.

use super::{Kind, ObjectSet};

/// The live side of a plan.
///
/// **Invariant:** an object that is not in `objects` is absent only if nothing in `unreadable` covers it, so only a
/// complete observation can yield a deletion ([`Observed::is_complete_for`]).
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Secrets are here without `data` and `stringData`; managed fields are kept.
    pub objects: ObjectSet,
    pub unreadable: Vec<Unreadable>,
}

/// A part of the cluster that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub kind: Kind,
    /// Empty: all namespaces.
    pub namespace: String,
    /// For people: `forbidden: ...`, `the list broke off after 500 objects`.
    pub reason: String,
}

impl Observed {
    /// Adds what was read besides.
    pub fn merge(&mut self, other: Self) {
        for (id, object) in other.objects.iter() {
            self.objects.insert(id.clone(), object.clone());
        }
        self.unreadable.extend(other.unreadable);
    }

    /// Says whether absence of an object of this kind and namespace may be believed.
    pub fn is_complete_for(&self, kind: Kind, namespace: &str) -> bool {
        !self
            .unreadable
            .iter()
            .any(|gap| gap.kind == kind && (gap.namespace.is_empty() || gap.namespace == namespace))
    }
}
