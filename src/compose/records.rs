//! What records say about clusters, against what the files say about them.

use std::collections::{BTreeMap, BTreeSet};

use super::Composed;
use crate::api::fleet_files::Target;
use crate::diagnostic::{Code, Finding, Findings, Span};
use crate::validate::{Adoption, Removal};

/// All records of the files.
pub(super) struct Records<'a> {
    pub removed: &'a [Removal],
    pub adopted: &'a [Adoption],
    /// There is a document of kind Fleet.
    pub has_fleet: bool,
}

/// Compares the records with the clusters, and with one another.
pub(super) fn check(
    records: &Records<'_>,
    clusters: &[Composed],
    rejected: &BTreeSet<(String, String)>,
    findings: &mut Findings,
) {
    let written = clusters.iter().map(|cluster| {
        let place = cluster.origin("/metadata/name");
        ((cluster.namespace.as_str(), cluster.name.as_str()), place)
    });
    let broken = rejected
        .iter()
        .map(|(namespace, name)| ((namespace.as_str(), name.as_str()), None));
    let places: BTreeMap<(&str, &str), Option<Span>> = written.chain(broken).collect();
    let place_of = |target: &Target| {
        places
            .get(&(target.namespace.as_str(), target.name.as_str()))
            .copied()
    };
    let removals: BTreeMap<&Target, Span> = records
        .removed
        .iter()
        .map(|record| (&record.spec.target, record.place))
        .collect();
    for record in records.removed {
        let target = &record.spec.target;
        let Some(place) = place_of(target) else { continue };
        let message = format!(
            "the cluster `{}/{}` is in the files, and a record says that it was removed",
            target.namespace, target.name
        );
        let finding = Finding::new(Code::RemovedAndWritten, message).primary(record.place, "this record");
        let finding = match place {
            Some(place) => finding.secondary(place, "this cluster"),
            None => finding,
        };
        findings.push(finding.hint("delete the record, or the cluster"));
    }
    for record in records.adopted {
        let target = &record.spec.target;
        let name = format!("{}/{}", target.namespace, target.name);
        let finding = match (removals.get(target), place_of(target)) {
            (Some(removal), _) => Finding::new(
                Code::SameRecord,
                format!("a record takes the cluster `{name}` over, and another says that it was removed"),
            )
            .primary(record.place, "taken over here")
            .secondary(*removal, "removed here")
            .hint("keep the one that is meant"),
            (None, None) => Finding::new(
                Code::IdleRecord,
                format!("a record takes the cluster `{name}` over, and it is not in the files"),
            )
            .primary(record.place, "")
            .hint("`k0smotron-fleet export` writes what runs as files; or delete the record"),
            (None, Some(_)) if !records.has_fleet => Finding::new(
                Code::IdleRecord,
                format!(
                    "a record takes the cluster `{name}` over, and there is no Fleet that it could belong to"
                ),
            )
            .primary(record.place, "")
            .hint("begin a fleet with `k0smotron-fleet init`"),
            (None, Some(_)) => continue,
        };
        findings.push(finding);
    }
}
