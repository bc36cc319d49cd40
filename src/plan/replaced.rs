//! Files whose clusters would become others: a key of a set that changed makes a new cluster of every row.

use std::collections::{BTreeMap, BTreeSet};

use super::deletions;
use super::tracking::{self, Tracked};
use super::{FleetInput, FleetPolicy};
use crate::api::labels;
use crate::object::{ObjectId, kinds};

/// What becomes of the clusters of one file.
#[derive(Default)]
struct Count {
    /// Live members that came from it.
    members: usize,
    /// Those that the files do not name any more.
    left: usize,
    /// Those of them that would be deleted.
    deleted: usize,
    created: usize,
}

/// Returns the files of which more clusters would go, and more would come, than the budget allows of that file's: each
/// with the reason why none of these is written.
///
/// A live cluster knows its file by its annotation, which may be an older one for those that the files name. When none of the old ones stays, those count that are only kept,
/// too: it would be odd for all rows of a table to be others.
pub(super) fn files<'a>(
    input: &FleetInput<'a>,
    policy: &FleetPolicy,
    named: &BTreeSet<&ObjectId>,
) -> BTreeMap<&'a str, String> {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let now: BTreeMap<&ObjectId, &str> = input
        .desired
        .iter()
        .map(|entry| (&entry.id, entry.source.as_str()))
        .collect();
    for (id, live) in input.observed.objects.iter() {
        let Some(source) = now.get(id).copied().or_else(|| live.annotation(labels::SOURCE)) else {
            continue;
        };
        let is_member = id.kind == kinds::K0SMOTRON_CLUSTER
            && tracking::of(id, live, policy.id.as_deref()) == Tracked::Member;
        if !is_member {
            continue;
        }
        let count = counts.entry(source).or_default();
        count.members += 1;
        if named.contains(id) || live.text("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        count.left += 1;
        if deletions::obstacle(live, policy.removed.get(id), input, policy).is_none() {
            count.deleted += 1;
        }
    }
    for entry in input.desired {
        if input.observed.objects.get(&entry.id).is_none()
            && let Some(count) = counts.get_mut(entry.source.as_str())
        {
            count.created += 1;
        }
    }
    counts
        .into_iter()
        .filter_map(|(source, count)| {
            let limit = policy.budget.limit(count.members);
            let gone = if count.left == count.members {
                count.left
            } else {
                count.deleted
            };
            (gone > limit && count.created > limit).then(|| (source, why(source, gone, &count, limit)))
        })
        .collect()
}

fn why(source: &str, gone: usize, count: &Count, limit: usize) -> String {
    format!(
        "{gone} of the {} clusters of {source} would go and {} others come in their place, and the budget allows {limit} \
         of that file's; did the key or the names change? If that is meant, raise `maxDeletions` of the Fleet for it",
        count.members, count.created
    )
}
