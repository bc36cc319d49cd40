//! Live clusters as files would have written them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::FleetError;
use super::select::Filter;
use crate::client::Client;
use crate::k0s;
use crate::object::{Object, ObjectId, Unreadable, kinds, pointer};
use crate::{observe, plan};

/// One live cluster without anything that the server, an operator or a tool wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    pub id: ObjectId,
    pub object: Object,
    /// Field paths of credentials, which are not in `object`.
    pub left_out: Vec<String>,
    /// Field paths of values in it that may be secrets.
    pub doubtful: Vec<String>,
}

/// Clusters as files, and what could not be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// By namespace and name.
    pub clusters: Vec<Exported>,
    pub unreadable: Vec<Unreadable>,
}

/// Returns the live clusters that pass a filter, whoever made them; in its namespaces, or in all.
///
/// *Effects*: the lists of [`observe::fleet`]. Nothing is written.
pub async fn export(client: &Client, filter: &Filter) -> Result<Export, FleetError> {
    let named = filter.only.iter().map(|(namespace, _)| namespace);
    let namespaces: BTreeSet<String> = match filter.namespaces.is_empty() {
        true => named.cloned().collect(),
        false => filter.namespaces.clone(),
    };
    let observed = observe::fleet(client, &namespaces)
        .await
        .map_err(FleetError::observe)?;
    let chosen = observed
        .objects
        .iter()
        .filter(|(id, live)| filter.matches(id, Some(live)));
    Ok(Export {
        clusters: chosen.map(|(id, live)| clean(id, live)).collect(),
        unreadable: observed.unreadable,
    })
}

/// Returns a live cluster as a file says it. Never fails.
pub fn clean(id: &ObjectId, live: &Object) -> Exported {
    let mut metadata = json!({ "name": id.name, "namespace": id.namespace });
    for part in ["labels", "annotations"] {
        let words = live
            .0
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(part));
        let own: Map<String, Value> = words
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(key, value)| !plan::is_of_a_tool(key, value.as_str().unwrap_or_default()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !own.is_empty() {
            metadata[part] = Value::Object(own);
        }
    }
    let mut spec = live.0.get("spec").cloned().unwrap_or_else(|| json!({}));
    let mut left_out = Vec::new();
    if let Some(config) = spec.get_mut("k0sConfig") {
        take_credentials("/spec/k0sConfig", config, &mut left_out);
    }
    let object = Object(json!({
        "apiVersion": kinds::K0SMOTRON_CLUSTER.api_version(),
        "kind": kinds::K0SMOTRON_CLUSTER.kind,
        "metadata": metadata,
        "spec": spec,
    }));
    let doubtful = plan::hidden_places(&object);
    Exported {
        id: id.clone(),
        object,
        left_out,
        doubtful: doubtful.iter().map(|at| pointer::to_field_path(at)).collect(),
    }
}

/// Takes the fields out that hold passwords, and notes where they were.
fn take_credentials(at: &str, value: &mut Value, left_out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.retain(|key, value| {
            let here = pointer::push(at, key);
            if k0s::is_credential(&here) && !value.is_null() {
                left_out.push(pointer::to_field_path(&here));
                return false;
            }
            take_credentials(&here, value, left_out);
            true
        }),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                take_credentials(&format!("{at}/{index}"), item, left_out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::api::fleet_sync::Deletions;
    use crate::api::labels;
    use crate::object::Observed;
    use crate::plan::{Files, FleetEntry, FleetInput, FleetPolicy, Operation, Plan};

    const FLEET: &str = "acme-7f3a";

    fn entry(name: &str, object: Object, source: &str, is_of_set: bool) -> FleetEntry {
        FleetEntry {
            id: ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name),
            object: object.into(),
            source: source.to_owned(),
            is_of_set,
            place: format!("{source}:1:1"),
            places: BTreeMap::new(),
        }
    }

    fn planned(desired: &[FleetEntry], observed: &Observed) -> Plan {
        let input = FleetInput {
            desired,
            rejected: &BTreeSet::new(),
            observed,
            unchanged: &BTreeSet::new(),
            preview: Err("not looked at"),
        };
        let policy = FleetPolicy {
            id: Some(FLEET.to_owned()),
            deletions: Deletions::Omission,
            ..FleetPolicy::of(None, Files::Sound)
        };
        plan::fleet(&input, &policy)
    }

    fn spec() -> impl Strategy<Value = Value> {
        let field = prop::sample::select(vec![
            ("replicas", json!(3)),
            ("version", json!("v1.36.3+k0s.2")),
            ("externalAddress", json!("edge.example.org")),
            (
                "service",
                json!({"type": "NodePort", "labels": {"a": "b"}, "annotations": {}}),
            ),
            ("ttl", json!("72h")),
            ("controlPlaneFlags", json!(["--debug", "--debug"])),
            ("nodeSelector", json!({})),
            (
                "storage",
                json!({"type": "etcd", "etcd": {"args": {"snapshot-count": "10"}}}),
            ),
            (
                "k0sConfig",
                json!({"spec": {"api": {"sans": []}, "network": null}}),
            ),
            ("manifests", json!([{"name": "a", "configMap": {"name": "b"}}])),
        ]);
        prop::collection::vec(field, 0..6).prop_map(|fields| {
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::Object(fields.collect())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_plan_of_what_was_exported_is_empty_wherever_it_is_written(
            clusters in prop::collection::vec((spec(), any::<bool>(), any::<bool>(), any::<bool>()), 1..8),
            is_one_file in any::<bool>(),
        ) {
            let desired: Vec<FleetEntry> = clusters
                .into_iter()
                .enumerate()
                .map(|(number, (spec, is_of_set, is_labelled, is_protected))| {
                    let name = format!("c{number}");
                    let mut object = json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
                        "metadata": {"name": name, "namespace": "edge"}, "spec": spec});
                    if is_labelled {
                        object["metadata"]["labels"] = json!({"tier": "no"});
                    }
                    if is_protected {
                        object["metadata"]["annotations"] = json!({labels::PROTECT: "true", "note": ""});
                    }
                    entry(&name, Object(object), &format!("old/{number}.yaml"), is_of_set)
                })
                .collect();
            let mut observed = Observed::default();
            for action in planned(&desired, &observed).actions() {
                let Operation::Create { body } = &action.operation else {
                    panic!("{action:?}")
                };
                let mut live = body.clone();
                live.0["metadata"]["uid"] = json!(action.id.name);
                live.0["metadata"]["resourceVersion"] = json!("7");
                observed.objects.insert(action.id.clone(), live);
            }
            prop_assert_eq!(observed.objects.iter().count(), desired.len());
            let exported: Vec<FleetEntry> = observed
                .objects
                .iter()
                .map(|(id, live)| {
                    let path = if is_one_file { "all.yaml".to_owned() } else { format!("all/{}.yaml", id.name) };
                    entry(&id.name, clean(id, live).object, &path, false)
                })
                .collect();
            let plan = planned(&exported, &observed);
            prop_assert!(plan.is_empty() && plan.held.is_empty(), "{plan:?}");
            prop_assert_eq!(plan.unchanged.len(), desired.len());
        }
    }

    #[test]
    fn what_others_wrote_and_credentials_are_not_in_a_file() {
        let live = Object(json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {
                "name": "berlin", "namespace": "edge", "uid": "u", "resourceVersion": "7", "generation": 3,
                "finalizers": ["k0smotron.io/finalizer"], "managedFields": [{"manager": "helm"}],
                "labels": {"tier": "prod", "fleet.k0smotron.io/id": "acme", "app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"note": "x", "fleet.k0smotron.io/protect": "true", "meta.helm.sh/release-name": "a",
                    "kubectl.kubernetes.io/last-applied-configuration": "canary"},
            },
            "spec": {"replicas": 3, "k0sConfig": {"spec": {
                "storage": {"kine": {"dataSource": "postgres://user:canary@db"}},
                "extensions": {"helm": {"charts": [{"name": "a", "values": "pw"}],
                    "repositories": [{"name": "r", "password": "canary"}]}}}}},
            "status": {"ready": "3/3"},
        }));
        let exported = clean(&live.id().unwrap(), &live);
        assert_eq!(
            exported.object.0["metadata"],
            json!({"name": "berlin", "namespace": "edge", "labels": {"tier": "prod"}, "annotations": {"note": "x"}})
        );
        let text = exported.object.0.to_string();
        assert!(!text.contains("canary") && !text.contains("status"), "{text}");
        assert_eq!(
            exported.left_out,
            [
                "spec.k0sConfig.spec.extensions.helm.repositories[0].password",
                "spec.k0sConfig.spec.storage.kine.dataSource"
            ]
        );
        assert_eq!(
            exported.doubtful,
            ["spec.k0sConfig.spec.extensions.helm.charts[0].values"]
        );
    }
}
