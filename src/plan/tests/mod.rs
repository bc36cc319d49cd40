//! Tests of whole plans: tables, laws, and the operator's passes on a model of the API server.

mod adopt;
mod children;
mod fleet;
mod laws;
pub(crate) mod model;
mod preview;
mod removed;
mod replaced;
mod saved;
mod stale;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::api::fleet_sync::Deletions;
use crate::api::labels;
use crate::object::{Object, ObjectId, ObjectSet, Observed, kinds};

const FLEET: &str = "acme-7f3a";

fn cluster_id(namespace: &str, name: &str) -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name)
}

fn cluster(namespace: &str, name: &str, spec: Value) -> Object {
    Object(json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    }))
}

fn entry(namespace: &str, name: &str, spec: Value) -> FleetEntry {
    let source = format!("clusters/{name}.yaml");
    FleetEntry {
        id: cluster_id(namespace, name),
        object: cluster(namespace, name, spec).into(),
        place: format!("{source}:1:1"),
        places: [
            ("/spec".to_owned(), format!("{source}:5:1")),
            ("/spec/version".to_owned(), format!("{source}:9:3")),
        ]
        .into(),
        source,
        is_of_set: false,
    }
}

fn policy() -> FleetPolicy {
    FleetPolicy {
        revision: None,
        id: Some(FLEET.to_owned()),
        deletions: Deletions::Never,
        prune: Prune::No,
        budget: Budget {
            count: 10,
            percent: 10,
        },
        begun: Default::default(),
        empty_set: EmptySet::Suspicious,
        files: Files::Sound,
        force_conflicts: Default::default(),
        missing_namespaces: Default::default(),
        removed: Default::default(),
        adopted: Default::default(),
        rollout: None,
    }
}

/// Applies a plan of a fleet to the model, whatever its questions.
fn applied(plan: &Plan, observed: &Observed) -> Observed {
    model::apply(plan, observed, labels::FLEET_MANAGER)
}

/// The clusters of a fleet that was applied to an empty hub.
fn hub(entries: &[FleetEntry]) -> Observed {
    let nothing = Observed::default();
    applied(&planned(entries, &nothing, &policy()), &nothing)
}

fn planned(entries: &[FleetEntry], observed: &Observed, policy: &FleetPolicy) -> Plan {
    let rejected = Default::default();
    let input = FleetInput {
        desired: entries,
        rejected: &rejected,
        observed,
        unchanged: &BTreeSet::new(),
        preview: Err("the pods of the cluster were not looked at"),
    };
    let plan = super::fleet(&input, policy);
    let again = FleetInput {
        unchanged: &super::settled(&plan),
        ..input
    };
    assert_eq!(super::fleet(&again, policy), plan, "what is settled stays so");
    plan
}

/// `+ name`, `~ name impact`, `- name impact`, `! name Reason`, in the order of the plan.
fn lines(plan: &Plan) -> Vec<String> {
    let action = |action: &Action| {
        let name = &action.id.name;
        match action.operation.verb() {
            Verb::Create => format!("+ {name}"),
            Verb::Delete => format!("- {name} {}", action.impact.as_str()),
            Verb::Adopt => format!("> {name} {}", action.impact.as_str()),
            Verb::Change => format!("~ {name} {}", action.impact.as_str()),
        }
    };
    let held = plan
        .held
        .iter()
        .map(|held| format!("! {} {}", held.id.name, held.reason.as_str()));
    plan.actions().map(action).chain(held).collect()
}

fn edited(observed: &Observed, id: &ObjectId, edit: impl FnOnce(&mut Value)) -> Observed {
    let mut observed = observed.clone();
    let mut object = observed.objects.remove(id).expect("the object is there");
    edit(&mut object.0);
    observed.objects.insert(id.clone(), object);
    observed
}

fn set_of(objects: impl IntoIterator<Item = Object>) -> ObjectSet {
    objects
        .into_iter()
        .map(|object| (object.id().expect("a known kind"), object))
        .collect()
}
