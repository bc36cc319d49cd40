//! Clusters that would make objects of the same names: `a` has an etcd called as the control plane of `a-etcd` is.
//!
//! The younger one is refused as a whole: half of it would be a control plane with the other's etcd or Service.

use super::Operator;
use super::pass::decode;
use crate::api::{ClusterSpec, K0smotronCluster, names};
use crate::object::{Kind, Object, ObjectId, kinds};
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
        let parent = |(kind, name): &(&str, String)| {
            let id = ObjectId::new(kind_of(kind)?, key.namespace.clone(), name);
            store.objects.parent(&id)
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

fn kind_of(name: &str) -> Option<Kind> {
    kinds::ALL.iter().find(|kind| kind.kind == name).copied()
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

    #[test]
    fn the_older_one_is_the_one_created_first_and_then_the_one_with_the_lesser_uid() {
        let object =
            |time: &str, uid: &str| Object(json!({"metadata": {"creationTimestamp": time, "uid": uid}}));
        assert!(age(&object("2030-01-01T00:00:00Z", "b")) < age(&object("2030-01-01T00:00:01Z", "a")));
        assert!(age(&object("2030-01-01T00:00:00Z", "a")) < age(&object("2030-01-01T00:00:00Z", "b")));
    }
}
