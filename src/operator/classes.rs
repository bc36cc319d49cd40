//! StorageClasses, asked for by name when a volume is to grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Operator;
use crate::client::chain;
use crate::object::{ObjectId, kinds};

/// Nothing tells when a class is made to allow growth, so one that does not is asked again.
pub(super) const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// Whether volumes of a class may grow, and when that was asked.
#[derive(Default)]
pub struct Classes(Mutex<BTreeMap<String, (Instant, bool)>>);

impl Classes {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, bool)>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operator {
    /// Returns what is known of classes and not too old.
    pub(super) fn classes(&self) -> BTreeMap<String, bool> {
        let mut known = self.classes.known();
        known.retain(|_, (at, _)| at.elapsed() < ASKED_AGAIN);
        known
            .iter()
            .map(|(name, (_, is_expandable))| (name.clone(), *is_expandable))
            .collect()
    }

    /// Asks whether volumes of these classes may grow.
    ///
    /// *Effects*: one GET for each.
    pub(super) async fn look_at_classes(&self, names: &BTreeSet<String>) {
        for name in names {
            let id = ObjectId::new(kinds::STORAGE_CLASS, "", name);
            let is_expandable = match self.options.client.get(&id).await {
                Ok(class) => {
                    class.is_some_and(|class| class.0.get("allowVolumeExpansion") == Some(&true.into()))
                }
                Err(error) => {
                    tracing::warn!(object = %id, error = chain(&error), "it is not known whether volumes can grow");
                    continue;
                }
            };
            self.classes
                .known()
                .insert(name.clone(), (Instant::now(), is_expandable));
        }
    }
}
