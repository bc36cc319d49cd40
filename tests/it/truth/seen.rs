//! Which pods a plan names, and which are made anew, added and taken away.

use std::collections::{BTreeMap, BTreeSet};

/// Names of pods.
pub type Names = BTreeSet<String>;

/// What becomes of the pods of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    pub replaced: Names,
    pub added: Names,
    pub gone: Names,
}

impl Pods {
    /// Reads what a plan says: `3 pods kmc-a-{0..2} replaced one by one`, `etcd: 1 pod kmc-a-etcd-0 added`.
    pub fn said(effects: &[String]) -> Self {
        let mut said = Self::default();
        for effect in effects {
            let effect = effect.strip_prefix("etcd: ").unwrap_or(effect);
            let Some((names, verb)) = named(effect) else {
                continue;
            };
            let place = match verb {
                "replaced" => &mut said.replaced,
                "added" => &mut said.added,
                "stopped" | "removed" | "deleted" => &mut said.gone,
                _ => continue,
            };
            place.extend(names);
        }
        said
    }

    /// Compares the uids of all pods.
    pub fn seen(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Self {
        let without = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            one.keys()
                .filter(|name| !other.contains_key(*name))
                .cloned()
                .collect()
        };
        Self {
            replaced: before
                .iter()
                .filter(|(name, uid)| after.get(*name).is_some_and(|other| other != *uid))
                .map(|(name, _)| name.clone())
                .collect(),
            added: without(after, before),
            gone: without(before, after),
        }
    }

    pub fn is_disturbed(&self) -> bool {
        !self.replaced.is_empty() || !self.gone.is_empty()
    }
}

/// Reads `1 pod NAME` and `N pods NAME-{a..b}`, and returns the names and the word behind them.
fn named(effect: &str) -> Option<(Names, &str)> {
    let (count, rest) = effect.split_once(' ')?;
    let count: usize = count.parse().ok()?;
    let rest = rest.strip_prefix("pods ").or_else(|| rest.strip_prefix("pod "))?;
    let (name, rest) = rest.split_once(' ')?;
    let verb = rest.split([' ', ';', ',']).next()?;
    let names: Names = match name.split_once('{') {
        None => [name.to_owned()].into(),
        Some((stem, range)) => {
            let (from, to) = range.strip_suffix('}')?.split_once("..")?;
            let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
            (from..=to).map(|ordinal| format!("{stem}{ordinal}")).collect()
        }
    };
    assert_eq!(names.len(), count, "{effect}");
    Some((names, verb))
}

#[test]
fn the_words_of_a_plan_name_pods() {
    let said = Pods::said(&[
        "3 pods kmc-a-{0..2} replaced one by one".to_owned(),
        "etcd: 1 pod kmc-a-etcd-0 replaced; the API does not answer until it is ready again".to_owned(),
        "2 pods kmc-a-{3..4} added".to_owned(),
        "1 pod kmc-b-0 stopped; the API does not answer".to_owned(),
        "etcd not restarted; kubeconfig and tokens stay valid".to_owned(),
    ]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Names>();
    assert_eq!(
        said.replaced,
        names(&["kmc-a-0", "kmc-a-1", "kmc-a-2", "kmc-a-etcd-0"])
    );
    assert_eq!(said.added, names(&["kmc-a-3", "kmc-a-4"]));
    assert_eq!(said.gone, names(&["kmc-b-0"]));
}
