//! Whose an object is that was found where one should have been created.

use serde_json::Value;

use crate::api::labels;
use crate::object::{Object, kinds};

/// Whether a found object is the one that should have been created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Made for the same owner, by an earlier run or by another one at this moment.
    Ours,
    /// `owner` says in words whose it is.
    Foreign { owner: String },
}

/// Compares what should have been created with what is there.
///
/// Ours is what has the same controller, was made for the same cluster, or is the same object of the same fleet. A name
/// alone proves nothing. A namespace belongs to nobody: that it exists is enough.
pub(super) fn judge(desired: &Object, live: &Object) -> Found {
    let is_namespace = live.id().is_some_and(|id| id.kind == kinds::NAMESPACE);
    let is_parent = live.id().is_some_and(|id| id.kind == kinds::CONFIG_MAP);
    let same = |of: fn(&Object) -> Option<&str>| of(desired).is_some() && of(desired) == of(live);
    let is_ours = is_namespace
        || same(Object::controller_uid)
        || same(|object| object.label(labels::CLUSTER_UID))
        || same(|object| object.annotation(labels::TRACKING))
        || is_parent && same(|object| object.label(labels::FLEET_ID));
    if is_ours {
        Found::Ours
    } else {
        Found::Foreign { owner: owner(live) }
    }
}

/// Names the owner: its controller, the tool that says that it manages it, or who wrote it.
fn owner(live: &Object) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some((kind, name)) = live
        .controller()
        .and_then(|owner| Some((text(owner, "kind")?, text(owner, "name")?)))
    {
        return format!("{kind} {name}");
    }
    if let Some(tracking) = live.annotation(labels::TRACKING) {
        return format!("fleet object {tracking}");
    }
    if let Some(uid) = live.label(labels::CLUSTER_UID) {
        return format!("the cluster with uid {uid}");
    }
    if let Some(tool) = live.label(labels::APP_MANAGED_BY) {
        return tool.to_owned();
    }
    let entries = live
        .0
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    match entries
        .into_iter()
        .flatten()
        .find_map(|entry| text(entry, "manager"))
    {
        Some(manager) => format!("somebody who wrote it with {manager}"),
        None => "somebody else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(metadata: Value) -> Object {
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
        object["metadata"]["name"] = "edge-ca".into();
        Object(object)
    }

    fn owned_by(uid: &str) -> Value {
        json!({"ownerReferences": [{"controller": true, "kind": "K0smotronCluster", "name": "edge", "uid": uid}]})
    }

    #[test]
    fn a_name_alone_does_not_make_an_object_ours() {
        let found = judge(&object(json!({})), &object(json!({})));
        let owner = "somebody else".to_owned();
        assert_eq!(found, Found::Foreign { owner });
    }

    #[test]
    fn the_same_controller_or_cluster_makes_it_ours() {
        assert_eq!(judge(&object(owned_by("1")), &object(owned_by("1"))), Found::Ours);
        let label = |uid: &str| object(json!({"labels": {labels::CLUSTER_UID: uid}}));
        assert_eq!(judge(&label("1"), &label("1")), Found::Ours);
        let owner = "the cluster with uid 2".to_owned();
        assert_eq!(judge(&label("1"), &label("2")), Found::Foreign { owner });
        let owner = "K0smotronCluster edge".to_owned();
        assert_eq!(
            judge(&object(owned_by("1")), &object(owned_by("2"))),
            Found::Foreign { owner }
        );
    }

    #[test]
    fn a_foreign_object_is_named_by_whoever_manages_it() {
        let helm = object(json!({"labels": {labels::APP_MANAGED_BY: "Helm"}}));
        let owner = "Helm".to_owned();
        assert_eq!(judge(&object(owned_by("1")), &helm), Found::Foreign { owner });
        let edited = object(json!({"managedFields": [{"manager": "kubectl-create"}]}));
        let owner = "somebody who wrote it with kubectl-create".to_owned();
        assert_eq!(judge(&object(owned_by("1")), &edited), Found::Foreign { owner });
    }
}
