//! Which deletions were begun for what the files said: what a budget is spent on.
//!
//! **Invariant:** a cluster that is deleted for the same content a second time, because the first try was cut off, costs
//! nothing. Going from one content to another and back refills nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::plan::Begun;

/// So many contents of the files are remembered. Whoever has so many others between two runs of one is no retry.
const CONTENTS: usize = 16;
/// So many uids: of more only their number is kept, so that the parent stays far below the largest object.
const UIDS: usize = 2_000;

/// What is remembered, the content that was last deleted for last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletions(Vec<OfContent>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfContent {
    content: String,
    uids: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    unnamed: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// It is no list of deletions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its list of deletions cannot be read at column {column}; nothing is deleted as long as it is like that"
)]
pub struct DeletionsError {
    column: usize,
}

impl Deletions {
    /// Returns the deletions that were begun for a content.
    pub fn begun_for(&self, content: &str) -> Begun {
        let found = self.0.iter().find(|one| one.content == content);
        found.map_or_else(Begun::default, |one| Begun {
            uids: one.uids.clone(),
            unnamed: one.unnamed,
        })
    }

    /// Notes deletions before they are sent.
    pub fn begin(&mut self, content: &str, uids: &BTreeSet<String>) {
        let mut one = self.take(content);
        one.uids.extend(uids.iter().cloned());
        self.0.push(one);
        self.bound();
    }

    /// Takes in how many an earlier version has counted in all.
    pub fn add_unnamed(&mut self, content: &str, count: usize) {
        let mut one = self.take(content);
        one.unnamed = one.unnamed.max(count.saturating_sub(one.uids.len()));
        self.0.push(one);
    }

    /// Returns the content that was last deleted for, and how many deletions were begun for it.
    pub fn last(&self) -> Option<(&str, usize)> {
        let last = self.0.last()?;
        Some((&last.content, last.uids.len().saturating_add(last.unnamed)))
    }

    /// Returns what is stored; `None`: nothing was ever deleted.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| serde_json::to_string(&self.0).expect("texts and numbers are JSON"))
    }

    /// Reads what [`Self::text`] wrote.
    pub fn read(text: &str) -> Result<Self, DeletionsError> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| DeletionsError {
                column: error.column(),
            })
    }

    fn take(&mut self, content: &str) -> OfContent {
        match self.0.iter().position(|one| one.content == content) {
            Some(place) => self.0.remove(place),
            None => OfContent {
                content: content.to_owned(),
                uids: BTreeSet::new(),
                unnamed: 0,
            },
        }
    }

    /// Forgets the oldest, and of many uids all but their number.
    fn bound(&mut self) {
        self.0.drain(..self.0.len().saturating_sub(CONTENTS));
        let mut left = UIDS;
        for one in self.0.iter_mut().rev() {
            while one.uids.len() > left {
                one.uids.pop_last();
                one.unnamed += 1;
            }
            left -= one.uids.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
        numbers.map(|number| format!("{number:036}")).collect()
    }

    #[test]
    fn a_try_again_costs_nothing_and_each_content_has_a_budget_of_its_own() {
        let mut deletions = Deletions::default();
        deletions.begin("one", &uids(0..3));
        deletions.begin("two", &uids(0..2));
        deletions.begin("one", &uids(2..4));
        let count = |content: &str| deletions.begun_for(content).count();
        assert_eq!((count("one"), count("two"), count("three")), (4, 2, 0));
        assert_eq!(deletions.last(), Some(("one", 4)));
        let text = deletions.text().unwrap();
        assert_eq!(Deletions::read(&text), Ok(deletions));
        assert_eq!(Deletions::default().text(), None);
    }

    #[test]
    fn what_is_remembered_stays_small_and_no_number_gets_lost() {
        let mut deletions = Deletions::default();
        for number in 0..40 {
            deletions.begin(&format!("{number:064}"), &uids(0..1_500));
        }
        deletions.begin("last", &uids(0..5_000));
        assert_eq!(deletions.begun_for("last").count(), 5_000);
        assert_eq!(deletions.begun_for(&format!("{:064}", 39)).count(), 1_500);
        assert!(deletions.text().unwrap().len() < 100_000);
    }

    #[test]
    fn what_an_earlier_version_counted_is_not_counted_twice() {
        let mut deletions = Deletions::default();
        deletions.begin("one", &uids(0..2));
        deletions.add_unnamed("one", 2);
        assert_eq!(deletions.begun_for("one").count(), 2);
        deletions.add_unnamed("one", 5);
        assert_eq!(deletions.begun_for("one").count(), 5);
        deletions.add_unnamed("two", usize::MAX / 2);
        assert!(deletions.begun_for("two").count() > 1_000_000);
    }
}
