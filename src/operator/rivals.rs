//! Clusters that would make objects of the same names: `a` has an etcd called as the control plane of `a-etcd` is.
//!
//! The younger one is refused as a whole: half of it would be a control plane with the other's etcd or Service.

use super::Operator;
use super::pass::decode;
use crate::api::{ClusterSpec, K0smotronCluster, names};
use crate::object::{Object, ObjectId, kinds};
use crate::render::Stalled;

impl Operator {
    /// Returns why a cluster must not be made beside another; `None` when it may.
    pub(super) fn rival(
        &self,
        key: &ObjectId,
        object: &Object,
        cluster: &K0smotronCluster,
    ) -> Option<Stalled> {
        let store = self.store();
        // A route is known in the version that is served.
        let parent = |(word, name): &(&str, String)| {
            let kinds = kinds::ALL.iter().filter(|kind| kind.kind == *word);
            kinds
                .map(|kind| ObjectId::new(*kind, key.namespace.clone(), name))
                .find_map(|id| store.objects.parent(&id))
        };
        // Who has made an object keeps it, also while it goes.
        let made = names::claimed(&key.name, &cluster.spec)
            .into_iter()
            .find_map(|claim| Some((parent(&claim).filter(|owner| *owner != key)?, claim)));
        if let Some((owner, (kind, name))) = made {
            return Some(refusal(&owner.name, kind, &name));
        }
        let older = store
            .objects
            .related(key)
            .into_iter()
            // Few others can collide, and an object is read from text.
            .filter(|other| may_share(&key.name, &cluster.spec, &other.name))
            .filter_map(|other| Some((store.objects.get(&other)?, other)))
            .filter(|(other, _)| age(other) < age(object));
        let mut refusals = older.filter_map(|(other, id)| {
            let spec = decode(&other).0.spec;
            let mut contested = shared(&key.name, &cluster.spec, &id.name, &spec).into_iter();
            contested
                .find(|claim| parent(claim) != Some(key))
                .map(|(kind, name)| refusal(&id.name, kind, &name))
        });
        refusals.next()
    }
}

/// Creation times of one server are text of one form, so they compare as times do.
fn age(object: &Object) -> (&str, &str) {
    let created = object.text("/metadata/creationTimestamp").unwrap_or_default();
    (created, object.uid().unwrap_or_default())
}

/// Says whether two clusters could have a name in common as far as is seen without the other's spec.
///
/// A longer name must go on as one of our own suffixes does: `a-etcd` as that of the etcd of `a`, `a-b` as none. Of a
/// shorter one nothing is known; it has only as many as there are dashes.
fn may_share(name: &str, spec: &ClusterSpec, other: &str) -> bool {
    let Some(rest) = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')) else {
        return true;
    };
    let suffix = format!("x-{rest}");
    let claimed = names::claimed("x", spec);
    claimed.iter().any(|(_, name)| name.contains(&suffix))
}

fn shared(
    one: &str,
    one_spec: &ClusterSpec,
    other: &str,
    other_spec: &ClusterSpec,
) -> Vec<(&'static str, String)> {
    let claimed = names::claimed(other, other_spec);
    let mut shared = names::claimed(one, one_spec);
    shared.retain(|claim| claimed.contains(claim));
    shared
}

fn refusal(other: &str, kind: &str, name: &str) -> Stalled {
    Stalled {
        reason: "NameCollision".to_owned(),
        message: format!(
            "the cluster `{other}` has the {kind} `{name}` too and was there first; make this cluster with another name"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn spec(spec: Value) -> ClusterSpec {
        serde_json::from_value(spec).unwrap()
    }

    #[rstest]
    #[case("a", json!({}), "a-etcd", json!({}), true)]
    #[case("a", json!({"storage": {"type": "kine"}}), "a-etcd", json!({}), false)]
    #[case("a", json!({"service": {"type": "LoadBalancer"}}), "a-lb", json!({"service": {"type": "ClusterIP"}}), true)]
    #[case("a", json!({}), "a-lb", json!({"service": {"type": "ClusterIP"}}), false)]
    #[case("a", json!({}), "a-nodeport", json!({}), false)]
    #[case("a", json!({}), "a-b", json!({}), false)]
    fn only_what_both_make_is_shared(
        #[case] one: &str,
        #[case] one_spec: Value,
        #[case] other: &str,
        #[case] other_spec: Value,
        #[case] expected: bool,
    ) {
        let (one_spec, other_spec) = (spec(one_spec), spec(other_spec));
        assert_eq!(!shared(one, &one_spec, other, &other_spec).is_empty(), expected);
        assert_eq!(!shared(other, &other_spec, one, &one_spec).is_empty(), expected);
    }

    /// Every suffix that some cluster has, and more of the same kind.
    #[test]
    fn whoever_shares_a_name_is_looked_at() {
        let specs = [
            json!({}),
            json!({"service": {"type": "LoadBalancer"}, "storage": {"type": "nats"}}),
            json!({"service": {"type": "ClusterIP"}, "storage": {"type": "kine"}, "monitoring": {"enabled": true}}),
            json!({"gateway": {"apiHost": "a.example.org", "konnectivityHost": "k.example.org", "parentRefs": []}}),
            json!({"ingress": {"apiHost": "a.example.org", "konnectivityHost": "k.example.org"}}),
        ]
        .map(spec);
        let claimed = specs.iter().flat_map(|spec| names::claimed("x", spec));
        let mut rests: BTreeSet<String> = claimed
            .filter_map(|(_, name)| Some(name.split_once("x-")?.1.to_owned()))
            .collect();
        rests.extend(["b", "b-etcd", "etcd-b", "etcd-etcd"].map(str::to_owned));
        let mut shares = 0;
        // Names of clusters have 40 letters at most; names of 63 and more would be shortened.
        for name in ["a", "edge-7", &"a".repeat(40), &"b-".repeat(20), &"c".repeat(60)] {
            for (rest, one, other) in cases(&rests, &specs) {
                let longer = format!("{name}-{rest}");
                let is_shared = !shared(name, one, &longer, other).is_empty();
                shares += usize::from(is_shared);
                assert!(!is_shared || may_share(name, one, &longer), "{name} {longer}");
                assert!(may_share(&longer, other, name), "{name} {longer}");
            }
        }
        assert!(shares > 10, "{shares}");
        assert!(!may_share("edge", &specs[0], "edge-7"));
        assert!(!may_share("edge", &specs[0], "edge-etcd-7"));
    }

    fn cases<'a>(
        rests: &'a BTreeSet<String>,
        specs: &'a [ClusterSpec],
    ) -> impl Iterator<Item = (&'a String, &'a ClusterSpec, &'a ClusterSpec)> {
        rests.iter().flat_map(move |rest| {
            specs
                .iter()
                .flat_map(move |one| specs.iter().map(move |other| (rest, one, other)))
        })
    }

    #[test]
    fn the_older_one_is_the_one_created_first_and_then_the_one_with_the_lesser_uid() {
        let object =
            |time: &str, uid: &str| Object(json!({"metadata": {"creationTimestamp": time, "uid": uid}}));
        assert!(age(&object("2030-01-01T00:00:00Z", "b")) < age(&object("2030-01-01T00:00:01Z", "a")));
        assert!(age(&object("2030-01-01T00:00:00Z", "a")) < age(&object("2030-01-01T00:00:00Z", "b")));
    }
}
