//! How objects are named, one and several.

use crate::object::{Kind, ObjectId, kinds};

/// Clusters are what a fleet is about, so only other kinds are named with their kind.
pub fn name(id: &ObjectId) -> String {
    if id.kind == kinds::K0SMOTRON_CLUSTER {
        format!("{}/{}", id.namespace, id.name)
    } else if id.kind == kinds::NAMESPACE {
        format!("namespace {}", id.name)
    } else {
        id.to_string()
    }
}

/// The name of one, the number of several.
pub(super) fn title(ids: &[&ObjectId]) -> String {
    match ids {
        [id] => name(id),
        many => count(many),
    }
}

/// How many there are of what: `14 clusters`, `4 namespaces`; of several kinds, `5 objects`.
pub(super) fn count(ids: &[&ObjectId]) -> String {
    let word = if are_all(ids, kinds::K0SMOTRON_CLUSTER) {
        "clusters"
    } else if are_all(ids, kinds::NAMESPACE) {
        "namespaces"
    } else {
        "objects"
    };
    format!("{} {word}", ids.len())
}

fn are_all(ids: &[&ObjectId], kind: Kind) -> bool {
    ids.iter().all(|id| id.kind == kind)
}

/// The name of each of several, below their [`title`], which says the kind of namespaces.
pub(super) fn each<'a>(ids: &'a [&ObjectId]) -> impl Iterator<Item = String> + 'a {
    let are_namespaces = ids.len() > 1 && are_all(ids, kinds::NAMESPACE);
    ids.iter().map(move |id| match are_namespaces {
        true => id.name.clone(),
        false => name(id),
    })
}

/// The names of several: all of what is deleted, some of everything else.
pub(super) fn names_of(ids: &[&ObjectId], most: usize) -> String {
    let names: Vec<String> = each(ids).take(most).collect();
    let more = if ids.len() > most {
        format!(" and {} more (--full)", ids.len() - most)
    } else {
        String::new()
    };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_counted_as_what_they_are() {
        let namespaces = ["ci", "edge"].map(|name| ObjectId::new(kinds::NAMESPACE, "", name));
        let cluster = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "ci", "run-1");
        let [ci, edge] = &namespaces;
        let shown = |ids: &[&ObjectId]| (title(ids), names_of(ids, 12));
        assert_eq!(shown(&[ci]), ("namespace ci".into(), "namespace ci".into()));
        assert_eq!(shown(&[ci, edge]), ("2 namespaces".into(), "ci, edge".into()));
        assert_eq!(
            shown(&[&cluster, &cluster]),
            ("2 clusters".into(), "ci/run-1, ci/run-1".into())
        );
        assert_eq!(
            shown(&[ci, &cluster]),
            ("2 objects".into(), "namespace ci, ci/run-1".into())
        );
    }
}
