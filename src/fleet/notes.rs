//! What somebody who looks at a plan should know and nothing of the plan says.

use super::Live;
use super::planning::adopted;
use crate::compose::Reading;
use crate::diagnostic::SourceTree;
use crate::object::{Unreadable, kinds};
use crate::plan;

/// Returns one sentence each: records whose effect has happened, and what could not be looked at.
pub fn notes(reading: &Reading, tree: &SourceTree, live: &Live) -> Vec<String> {
    let fleet = reading.fleet.as_ref().map(|fleet| fleet.spec.id.as_str());
    let done = adopted(reading, tree).into_iter().filter_map(|(id, record)| {
        let object = live.observed.objects.get(&id)?;
        plan::is_member(&id, object, fleet?).then(|| {
            format!(
                "{}: {}/{} belongs to the fleet; the record took effect and may go",
                record.place, id.namespace, id.name
            )
        })
    });
    let is_unread = |gap: &&Unreadable| gap.kind == kinds::UPSTREAM_CLUSTER;
    // One of several namespaces stands for all.
    let unread = live.observed.unreadable.iter().find(is_unread).map(|gap| {
        format!(
            "not known whether k0smotron runs clusters of the same names: {}",
            gap.reason
        )
    });
    done.chain(unread).collect()
}
