//! Whose a live object is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::labels;
use crate::object::{Object, ObjectId};
use crate::render::Facts;

/// The cluster whose children are planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub cluster: ObjectId,
    pub uid: String,
    /// Uid that the pins name: another one than `uid` after a backup was restored, or when what an earlier cluster of
    /// that name left behind is taken up again.
    pub pinned_uid: Option<String>,
}

impl Owner {
    /// Returns the owner as the facts about it say.
    pub fn of(facts: &Facts) -> Self {
        Self {
            cluster: ObjectId::new(
                crate::object::kinds::K0SMOTRON_CLUSTER,
                &facts.namespace,
                &facts.name,
            ),
            uid: facts.uid.clone(),
            pinned_uid: facts
                .pins
                .cluster_uid
                .clone()
                .filter(|pinned| *pinned != facts.uid),
        }
    }
}

/// Whose one child is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    Ours,
    /// Made for the cluster that the pins name: ours again once owner reference and label say so.
    TakenBack,
    /// Somebody else's; who, as words.
    Foreign(String),
}

/// Says whose a live child is: by the controlling owner, and where there is none by the label with the cluster's uid.
pub fn of_child(live: &Object, owner: &Owner) -> Ownership {
    let of_uid = |uid: &str, who: String| {
        if uid == owner.uid {
            Ownership::Ours
        } else if Some(uid) == owner.pinned_uid.as_deref() {
            Ownership::TakenBack
        } else {
            Ownership::Foreign(who)
        }
    };
    if let Some(uid) = live.controller_uid() {
        return of_uid(uid, format!("controlled by {}", controller_name(live)));
    }
    if is_claim_of(live, owner) {
        return Ownership::Ours;
    }
    match live.label(labels::CLUSTER_UID) {
        Some(uid) => of_uid(uid, format!("made for another cluster, uid {uid}")),
        None => Ownership::Foreign(last_writer(live)),
    }
}

/// The StatefulSet controller makes the claims, with labels that never change, so the uid is not among them until a
/// cluster leaves them behind.
fn is_claim_of(live: &Object, owner: &Owner) -> bool {
    live.id().is_some_and(|id| {
        id.kind == crate::object::kinds::PERSISTENT_VOLUME_CLAIM && id.namespace == owner.cluster.namespace
    }) && live.label(labels::CLUSTER_UID).is_none()
        && live.label(labels::APP_MANAGED_BY) == Some(labels::APP_MANAGED_BY_VALUE)
        && live.label(labels::APP_INSTANCE) == Some(owner.cluster.name.as_str())
}

/// Returns the metadata that makes a child of the pinned uid, or one that was left behind, the owner's again. `None`
/// when it already is.
pub fn taken_back(live: &Object, owner: &Owner) -> Option<Value> {
    let mut metadata = json!({});
    let is_kept_alive = live.label(labels::RETAINED).is_some();
    if live.label(labels::CLUSTER_UID) != Some(owner.uid.as_str()) {
        metadata["labels"][labels::CLUSTER_UID] = json!(owner.uid);
    }
    if is_kept_alive {
        metadata["labels"][labels::RETAINED] = Value::Null;
    }
    let owners = live
        .0
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    if let Some(pinned) = &owner.pinned_uid
        && let Some(owners) = owners
        && owners.iter().any(|reference| reference["uid"] == **pinned)
    {
        let renamed = owners.iter().cloned().map(|mut reference| {
            if reference["uid"] == **pinned {
                reference["uid"] = json!(owner.uid);
            }
            reference
        });
        metadata["ownerReferences"] = renamed.collect();
    }
    (metadata != json!({})).then_some(metadata)
}

fn controller_name(live: &Object) -> String {
    let text = |field: &str| {
        live.controller()
            .and_then(|owner| owner.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!("{} `{}`", text("kind"), text("name"))
}

/// Says who wrote an object, as far as its managed fields tell.
fn last_writer(live: &Object) -> String {
    let entries = live
        .0
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let managers: BTreeSet<&str> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("manager").and_then(Value::as_str))
        .collect();
    if managers.is_empty() {
        return "without an owner that is known here".to_owned();
    }
    let managers: Vec<String> = managers
        .into_iter()
        .map(|manager| format!("`{manager}`"))
        .collect();
    format!("written by {}", managers.join(", "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::object::kinds;

    fn owner() -> Owner {
        Owner {
            cluster: ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "edge"),
            uid: "new".into(),
            pinned_uid: Some("old".into()),
        }
    }

    fn object(controller: Option<&str>, label: Option<&str>) -> Object {
        let mut object = json!({"metadata": {"managedFields": [{"manager": "helm"}]}});
        if let Some(uid) = controller {
            object["metadata"]["ownerReferences"] =
                json!([{"kind": "K0smotronCluster", "name": "x", "uid": uid, "controller": true}]);
        }
        if let Some(uid) = label {
            object["metadata"]["labels"] = json!({labels::CLUSTER_UID: uid});
        }
        Object(object)
    }

    #[rstest]
    #[case(Some("new"), None, Ownership::Ours)]
    #[case(Some("old"), None, Ownership::TakenBack)]
    #[case(None, Some("new"), Ownership::Ours)]
    #[case(None, Some("old"), Ownership::TakenBack)]
    #[case(Some("else"), Some("new"), Ownership::Foreign("controlled by K0smotronCluster `x`".into()))]
    #[case(None, Some("else"), Ownership::Foreign("made for another cluster, uid else".into()))]
    #[case(None, None, Ownership::Foreign("written by `helm`".into()))]
    fn the_controller_counts_before_the_label(
        #[case] controller: Option<&str>,
        #[case] label: Option<&str>,
        #[case] expected: Ownership,
    ) {
        assert_eq!(of_child(&object(controller, label), &owner()), expected);
    }

    #[test]
    fn taking_back_rewrites_uid_label_and_owner_reference_and_nothing_else() {
        let metadata = taken_back(&object(Some("old"), Some("old")), &owner()).unwrap();
        assert_eq!(metadata["labels"], json!({labels::CLUSTER_UID: "new"}));
        assert_eq!(metadata["ownerReferences"][0]["uid"], "new");
        assert_eq!(taken_back(&object(Some("new"), Some("new")), &owner()), None);
    }

    #[test]
    fn what_was_retained_is_no_longer_marked_so() {
        let mut retained = object(None, Some("new"));
        retained.0["metadata"]["labels"][labels::RETAINED] = json!("true");
        assert_eq!(
            taken_back(&retained, &owner()),
            Some(json!({"labels": {labels::RETAINED: null}}))
        );
    }
}
