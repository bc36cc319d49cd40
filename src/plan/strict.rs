//! The guards of two Fleets, of which the stricter ones hold: a commit cannot open a guard and pass it at once.

use serde::Deserialize;

use super::{Budget, EmptySet, Prune};
use crate::api::fleet::FleetSpec;
use crate::api::fleet_sync::{Deletions, MaxDeletions};

/// What of a Fleet judges deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    pub deletions: Deletions,
    pub budget: Budget,
    pub empty_set: EmptySet,
}

/// A guard that a commit opens further than the Fleet that was applied last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loosened {
    /// Path in the Fleet.
    pub field: &'static str,
    pub old: String,
    pub new: String,
}

impl Guards {
    /// Returns the guards of a Fleet.
    pub fn of(fleet: &FleetSpec) -> Self {
        Self {
            deletions: fleet.deletions(),
            budget: Budget {
                count: fleet.max_deletions_count(),
                percent: fleet.max_deletions_percent(),
            },
            empty_set: if fleet.allows_empty() {
                EmptySet::Allowed
            } else {
                EmptySet::Suspicious
            },
        }
    }

    /// Reads the guards of a Fleet that a hub remembers, whatever version of the program wrote it.
    ///
    /// *Shape*: what cannot be read lets nothing be deleted.
    pub fn remembered(fleet: &str) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Remembered {
            deletions: Option<Deletions>,
            #[serde(default)]
            max_deletions: MaxDeletions,
            allow_empty: Option<bool>,
        }
        match serde_json::from_str::<Remembered>(fleet) {
            Ok(remembered) => Self::of(&FleetSpec {
                deletions: remembered.deletions,
                max_deletions: remembered.max_deletions,
                allow_empty: remembered.allow_empty,
                ..FleetSpec::default()
            }),
            Err(_) => Self {
                deletions: Deletions::Tombstone,
                budget: Budget { count: 0, percent: 0 },
                empty_set: EmptySet::Suspicious,
            },
        }
    }

    /// Returns the stricter of each.
    #[must_use]
    pub fn stricter(self, other: Self, prune: Prune) -> Self {
        Self {
            deletions: if rank(other.deletions, prune) < rank(self.deletions, prune) {
                other.deletions
            } else {
                self.deletions
            },
            budget: Budget {
                count: self.budget.count.min(other.budget.count),
                percent: self.budget.percent.min(other.budget.percent),
            },
            empty_set: match (self.empty_set, other.empty_set) {
                (EmptySet::Allowed, EmptySet::Allowed) => EmptySet::Allowed,
                (EmptySet::Suspicious, _) | (_, EmptySet::Suspicious) => EmptySet::Suspicious,
            },
        }
    }

    /// Returns what these guards let pass that those applied last did not.
    pub fn loosened(self, last: Self, prune: Prune) -> Vec<Loosened> {
        let mut loosened = Vec::new();
        let mut add = |is_looser: bool, field, old: String, new: String| {
            if is_looser {
                loosened.push(Loosened { field, old, new });
            }
        };
        let (old, new) = (last.deletions, self.deletions);
        add(
            rank(new, prune) > rank(old, prune),
            "spec.deletions",
            old.to_string(),
            new.to_string(),
        );
        let (old, new) = (last.budget, self.budget);
        let numbers = [
            ("spec.maxDeletions.count", old.count, new.count),
            ("spec.maxDeletions.percent", old.percent, new.percent),
        ];
        for (field, old, new) in numbers {
            add(new > old, field, old.to_string(), new.to_string());
        }
        let is_looser = (last.empty_set, self.empty_set) == (EmptySet::Suspicious, EmptySet::Allowed);
        add(
            is_looser,
            "spec.allowEmpty",
            "false".to_owned(),
            "true".to_owned(),
        );
        loosened
    }
}

/// How much a setting lets go, with the consent of this run.
fn rank(deletions: Deletions, prune: Prune) -> u8 {
    match (deletions, prune) {
        (Deletions::Never, Prune::No) => 0,
        (Deletions::Tombstone, Prune::No | Prune::Yes) => 1,
        // A run that prunes deletes whatever left the files.
        (Deletions::Omission, Prune::No | Prune::Yes) | (Deletions::Never, Prune::Yes) => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guards(deletions: Deletions, count: u32, percent: u32, empty_set: EmptySet) -> Guards {
        Guards {
            deletions,
            budget: Budget { count, percent },
            empty_set,
        }
    }

    #[test]
    fn a_loosening_is_named_and_a_tightening_is_not() {
        let strict = guards(Deletions::Never, 10, 10, EmptySet::Suspicious);
        let loose = guards(Deletions::Omission, 50, 100, EmptySet::Allowed);
        let fields = |loosened: Vec<Loosened>| -> Vec<String> {
            let text = |one: Loosened| format!("{} {} -> {}", one.field, one.old, one.new);
            loosened.into_iter().map(text).collect()
        };
        assert_eq!(
            fields(loose.loosened(strict, Prune::No)),
            [
                "spec.deletions Never -> Omission",
                "spec.maxDeletions.count 10 -> 50",
                "spec.maxDeletions.percent 10 -> 100",
                "spec.allowEmpty false -> true",
            ]
        );
        assert_eq!(strict.loosened(loose, Prune::No), []);
    }

    #[test]
    fn a_run_that_prunes_needs_the_records_that_the_last_fleet_asked_for() {
        let last = guards(Deletions::Tombstone, 10, 10, EmptySet::Suspicious);
        let now = guards(Deletions::Never, 10, 10, EmptySet::Suspicious);
        assert_eq!(now.stricter(last, Prune::Yes).deletions, Deletions::Tombstone);
        assert_eq!(now.stricter(last, Prune::No).deletions, Deletions::Never);
        assert_eq!(now.loosened(last, Prune::Yes).len(), 1);
    }

    #[test]
    fn a_fleet_that_cannot_be_read_lets_nothing_go_and_one_of_another_version_can_be_read() {
        assert_eq!(Guards::remembered("no JSON").budget.limit(1000), 0);
        let newer = Guards::remembered(r#"{"id": "a", "deletions": "Omission", "rollout": {"waves": []}}"#);
        assert_eq!(newer.deletions, Deletions::Omission);
    }

    fn any_guards() -> impl Strategy<Value = Guards> {
        let deletions =
            prop::sample::select(vec![Deletions::Never, Deletions::Tombstone, Deletions::Omission]);
        let empty_set = prop::sample::select(vec![EmptySet::Allowed, EmptySet::Suspicious]);
        (deletions, 0u32..20, 0u32..100, empty_set)
            .prop_map(|(deletions, count, percent, empty_set)| guards(deletions, count, percent, empty_set))
    }

    proptest! {
        #[test]
        fn what_holds_is_never_looser_than_either(one in any_guards(), other in any_guards(), is_pruning: bool) {
            let prune = Prune::when(is_pruning);
            let strict = one.stricter(other, prune);
            prop_assert_eq!(strict.loosened(one, prune), []);
            prop_assert_eq!(strict.loosened(other, prune), []);
        }
    }
}
