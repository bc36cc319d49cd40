//! What clusters that are gone have left behind: keys and volumes that were retained.

use std::collections::{BTreeMap, BTreeSet};

use super::FleetError;
use crate::api::cluster_parts::DeletionPolicy;
use crate::api::labels;
use crate::client::{Client, ListQuery};
use crate::object::{Kind, Object, ObjectId, kinds};
use crate::observe;
use crate::plan::{self, Action, ApprovedPlan, FailureKind, Impact, Operation, Plan, Propagation, Wave};

/// What one cluster left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leftover {
    pub keys: Vec<Object>,
    pub volumes: Vec<Object>,
}

/// What was left behind, by the cluster it was made for.
pub type Leftovers = BTreeMap<ObjectId, Leftover>;

/// Looks for what was left behind in these namespaces; in all when the set is empty. `None`: it may not be listed.
///
/// *Shape*: of Secrets only metadata.
/// *Effects*: two paged lists for each namespace.
pub async fn leftovers(
    client: &Client,
    namespaces: &BTreeSet<String>,
) -> Result<Option<Leftovers>, FleetError> {
    let places: Vec<&str> = match namespaces.is_empty() {
        true => vec![""],
        false => namespaces.iter().map(String::as_str).collect(),
    };
    let mut found = Leftovers::new();
    for namespace in places {
        for kind in [kinds::SECRET, kinds::PERSISTENT_VOLUME_CLAIM] {
            match client.list_all(&query(kind, namespace)).await {
                Ok(objects) => objects.into_iter().for_each(|object| note(&mut found, object)),
                Err(error) if error.kind() == FailureKind::Forbidden => return Ok(None),
                Err(error) => return Err(FleetError::observe(error)),
            }
        }
    }
    Ok(Some(found))
}

fn query(kind: Kind, namespace: &str) -> ListQuery {
    let selector = format!("{},{}=true", observe::our_selector(), labels::RETAINED);
    ListQuery::new(kind, namespace)
        .with_labels(selector)
        .metadata_only()
}

fn note(found: &mut Leftovers, object: Object) {
    let is_owned = object
        .0
        .pointer("/metadata/ownerReferences")
        .is_some_and(|owners| owners.as_array().is_some_and(|owners| !owners.is_empty()));
    let (Some(id), Some(cluster), false) = (object.id(), object.label(labels::CLUSTER), is_owned) else {
        return;
    };
    let cluster = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &id.namespace, cluster);
    let left = found.entry(cluster).or_default();
    if id.kind == kinds::SECRET {
        left.keys.push(object);
    } else {
        left.volumes.push(object);
    }
}

/// Plans the deletion of what a cluster left behind: volumes first, for its CA tells which are its own.
///
/// *Errors*: the cluster lives.
/// *Effects*: one GET.
pub async fn purge(client: &Client, cluster: &ObjectId, left: &Leftover) -> Result<ApprovedPlan, FleetError> {
    if client
        .get_metadata(cluster)
        .await
        .map_err(FleetError::observe)?
        .is_some()
    {
        return Err(FleetError::Lives {
            cluster: Box::new(cluster.clone()),
        });
    }
    let wave = |name: &str, objects: &[Object], needs: &[ObjectId]| Wave {
        name: name.to_owned(),
        actions: objects
            .iter()
            .filter_map(|object| delete(object, needs))
            .collect(),
    };
    let volumes = wave("volumes", &left.volumes, &[]);
    let needs: Vec<ObjectId> = volumes.actions.iter().map(|action| action.id.clone()).collect();
    let keys = wave("keys", &left.keys, &needs);
    let plan = Plan {
        waves: vec![volumes, keys],
        ..Plan::default()
    };
    // Whoever asks for it by name has the consent that the policy of a cluster is otherwise.
    Ok(plan::approve_release(plan, DeletionPolicy::Delete))
}

fn delete(object: &Object, needs: &[ObjectId]) -> Option<Action> {
    Some(Action {
        id: object.id()?,
        operation: Operation::Delete {
            uid: object.uid()?.to_owned(),
            resource_version: object.resource_version()?.to_owned(),
            propagation: Propagation::Background,
        },
        impact: Impact::DataLoss,
        reason: "it was left behind".to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: needs.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: Kind, name: &str, owners: serde_json::Value) -> Object {
        Object(
            json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"namespace": "edge",
            "name": name, "uid": name, "resourceVersion": "1", "ownerReferences": owners,
            "labels": {labels::CLUSTER: "berlin"}}}),
        )
    }

    #[test]
    fn what_somebody_owns_is_not_left_behind() {
        let mut found = Leftovers::new();
        note(&mut found, object(kinds::SECRET, "berlin-ca", json!([])));
        note(
            &mut found,
            object(
                kinds::SECRET,
                "berlin-sa",
                json!([{"uid": "x", "controller": true}]),
            ),
        );
        note(
            &mut found,
            object(kinds::PERSISTENT_VOLUME_CLAIM, "data-berlin-0", json!([])),
        );
        let cluster = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", "berlin");
        assert_eq!(
            (found[&cluster].keys.len(), found[&cluster].volumes.len()),
            (1, 1)
        );
    }
}
