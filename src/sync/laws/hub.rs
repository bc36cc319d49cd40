//! An API server in memory: it answers what the engine asks, and remembers every write that changed something.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use crate::api::labels;
use crate::client::stub::Asked;
use crate::object::{Kind, Object, ObjectId, kinds};
use crate::plan::tests::model;

/// Kinds that are served. Those of children are forbidden, so that every impact is unknown and every change waits for its
/// wave; that of the other operator is not installed.
const SERVED: [Kind; 6] = [
    kinds::NAMESPACE,
    kinds::CONFIG_MAP,
    kinds::LEASE,
    kinds::STATEFUL_SET,
    kinds::K0SMOTRON_CLUSTER,
    kinds::FLEET_SYNC,
];

/// A write of a cluster that was let through.
#[derive(Clone, Debug)]
pub struct Written {
    /// Number of the run that sent it.
    pub run: usize,
    pub id: ObjectId,
    pub before: Option<Object>,
    /// `None`: it was deleted.
    pub after: Option<Object>,
    /// All clusters as they were just before.
    pub clusters: BTreeMap<ObjectId, Object>,
    /// The StatefulSets.
    pub sets: BTreeMap<ObjectId, Object>,
}

#[derive(Clone, Debug, Default)]
pub struct Hub {
    pub objects: BTreeMap<ObjectId, Object>,
    numbers: u64,
    pub written: Vec<Written>,
    /// Clusters that somebody asked to change or delete, whatever came of it, with the number of the run.
    pub asked: Vec<(usize, ObjectId)>,
}

/// What stands in the way of a write.
enum Refused {
    Missing,
    Conflict,
}

impl Hub {
    pub fn new(namespaces: &[&str]) -> Self {
        let mut hub = Self::default();
        for name in namespaces {
            let id = ObjectId::new(kinds::NAMESPACE, "", *name);
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            hub.put(&id, None, Object(body));
        }
        hub
    }

    pub fn of_kind(&self, kind: Kind) -> BTreeMap<ObjectId, Object> {
        let found = self.objects.iter().filter(|(id, _)| id.kind == kind);
        found.map(|(id, object)| (id.clone(), object.clone())).collect()
    }

    /// What of the clusters is not numbers, times and owners of fields. What is on its way out is gone.
    pub fn contents(&self) -> BTreeMap<ObjectId, Value> {
        let clusters = self.of_kind(kinds::K0SMOTRON_CLUSTER).into_iter();
        clusters
            .filter(|(_, object)| object.text("/metadata/deletionTimestamp").is_none())
            .map(|(id, object)| (id, content(&object)))
            .collect()
    }

    /// Stores what somebody else than a run wrote.
    pub fn put(&mut self, id: &ObjectId, before: Option<&Object>, mut after: Object) -> Object {
        let is_same = before.is_some_and(|before| bare(before) == bare(&after));
        if let (Some(before), true) = (before, is_same) {
            return before.clone();
        }
        self.numbers += 1;
        let metadata = &mut after.0["metadata"];
        metadata["resourceVersion"] = json!(self.numbers.to_string());
        match before {
            None => {
                metadata["uid"] = json!(format!("uid-{}", self.numbers));
                metadata["generation"] = json!(1);
            }
            Some(before) if before.0["spec"] != after.0["spec"] => {
                let generation = before.integer("/metadata/generation").unwrap_or_default();
                after.0["metadata"]["generation"] = json!(generation + 1);
            }
            Some(_) => {}
        }
        self.objects.insert(id.clone(), after.clone());
        after
    }

    pub fn edit(&mut self, id: &ObjectId, edit: impl FnOnce(&mut Value)) {
        if let Some(before) = self.objects.get(id).cloned() {
            let mut after = before.clone();
            edit(&mut after.0);
            self.put(id, Some(&before), after);
        }
    }

    pub fn answer(&mut self, run: usize, asked: &Asked) -> (u16, Value) {
        let (path, query) = asked.uri.split_once('?').unwrap_or((&asked.uri, ""));
        let Some((kind, namespace, name)) = target(path) else {
            return if path.contains("/clusters") {
                (
                    404,
                    json!({"kind": "Status", "code": 404, "message": "page not found"}),
                )
            } else {
                let message = "x is forbidden: User \"ann\" cannot list resource \"x\"";
                (
                    403,
                    json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": message}),
                )
            };
        };
        let Some(name) = name else {
            let found = self
                .objects
                .iter()
                .filter(|(id, _)| id.kind == kind && (namespace.is_empty() || id.namespace == namespace));
            let items: Vec<&Value> = found.map(|(_, object)| &object.0).collect();
            let metadata = json!({"resourceVersion": self.numbers.to_string()});
            return (200, json!({"metadata": metadata, "items": items}));
        };
        let id = ObjectId::new(kind, namespace, name);
        if asked.method == Method::GET {
            let found = self.objects.get(&id).map(|object| object.0.clone());
            return found.map_or_else(|| missing(&id), |object| (200, object));
        }
        if query.split('&').any(|pair| pair == "dryRun=All") {
            let mut really = asked.clone();
            really.uri = really.uri.replace("dryRun=All", "");
            return self.clone().answer(run, &really);
        }
        if kind == kinds::K0SMOTRON_CLUSTER {
            self.asked.push((run, id.clone()));
        }
        let (before, clusters) = (
            self.objects.get(&id).cloned(),
            self.of_kind(kinds::K0SMOTRON_CLUSTER),
        );
        let sets = self.of_kind(kinds::STATEFUL_SET);
        let done = match (&asked.method, asked.content_type.as_str()) {
            (&Method::DELETE, _) => self.delete(&id, &asked.body),
            (_, "application/apply-patch+yaml") => {
                let manager = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("fieldManager="));
                self.apply(&id, &asked.body, manager.unwrap_or_default())
            }
            (_, _) => self.merge(&id, &asked.body),
        };
        let after = self.objects.get(&id).cloned();
        if kind == kinds::K0SMOTRON_CLUSTER && before != after {
            self.written.push(Written {
                run,
                id: id.clone(),
                before: before.clone(),
                after,
                clusters,
                sets,
            });
        }
        match done {
            Ok(object) => (if before.is_none() { 201 } else { 200 }, object.0),
            Err(Refused::Missing) => missing(&id),
            Err(Refused::Conflict) => conflict(),
        }
    }

    fn apply(&mut self, id: &ObjectId, body: &Value, manager: &str) -> Result<Object, Refused> {
        let before = self.objects.get(id).cloned();
        let wants = |field: &str| body["metadata"][field].as_str();
        match &before {
            None if wants("uid").is_none() && wants("resourceVersion") == Some("1") => {}
            None => return Err(Refused::Conflict),
            Some(live) => fits(live, body)?,
        }
        let mut body = Object(body.clone());
        if let Some(metadata) = body.0["metadata"].as_object_mut() {
            metadata.remove("uid");
            metadata.remove("resourceVersion");
        }
        let after = model::merged(before.as_ref(), &body, manager);
        Ok(self.put(id, before.as_ref(), after))
    }

    fn merge(&mut self, id: &ObjectId, body: &Value) -> Result<Object, Refused> {
        let before = self.objects.get(id).cloned().ok_or(Refused::Missing)?;
        fits(&before, body)?;
        let mut after = before.clone();
        json_patch::merge(&mut after.0, body);
        Ok(self.put(id, Some(&before), after))
    }

    /// It goes when the operator lets it.
    fn delete(&mut self, id: &ObjectId, options: &Value) -> Result<Object, Refused> {
        let before = self.objects.get(id).cloned().ok_or(Refused::Missing)?;
        fits(&before, &json!({"metadata": options["preconditions"]}))?;
        let mut after = before.clone();
        after.0["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
        Ok(self.put(id, Some(&before), after))
    }

    /// Lets the operator, the StatefulSet controller or the kubelet take one step for the nth cluster.
    pub fn operate(&mut self, nth: usize) {
        let clusters: Vec<ObjectId> = self.of_kind(kinds::K0SMOTRON_CLUSTER).into_keys().collect();
        let Some(id) = clusters.get(nth % clusters.len().max(1)) else {
            return;
        };
        let Some(cluster) = self.objects.get(id).cloned() else {
            return;
        };
        let set_id = set_of(id);
        if cluster.text("/metadata/deletionTimestamp").is_some() {
            self.objects.remove(id);
            self.objects.remove(&set_id);
            return;
        }
        let generation = cluster.integer("/metadata/generation");
        if cluster.integer("/status/observedGeneration") != generation {
            self.see(id, &set_id, &cluster);
        } else if !is_rolled(self.objects.get(&set_id)) {
            let count = json!(1);
            self.edit(&set_id, |set| {
                set["status"] = json!({"observedGeneration": set["metadata"]["generation"], "replicas": count,
                    "readyReplicas": count, "updatedReplicas": count});
            });
        } else {
            self.edit(id, |cluster| cluster["status"] = status(generation, "True"));
        }
    }

    /// The operator writes the StatefulSet. Of every second change it says too early that all is well.
    fn see(&mut self, id: &ObjectId, set_id: &ObjectId, cluster: &Object) {
        let generation = cluster.integer("/metadata/generation");
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"namespace": id.namespace, "name": set_id.name,
                "labels": {labels::APP_MANAGED_BY: labels::APP_MANAGED_BY_VALUE, labels::CLUSTER: id.name}},
            "spec": {"replicas": 1, "template": cluster.0["spec"]}});
        let before = self.objects.get(set_id).cloned();
        let mut after = before.clone().unwrap_or_else(|| Object(set.clone()));
        after.0["spec"] = set["spec"].clone();
        self.put(set_id, before.as_ref(), after);
        let is_rash = generation.is_some_and(|generation| generation % 2 == 0);
        let word = if is_rash { "True" } else { "False" };
        self.edit(id, |cluster| cluster["status"] = status(generation, word));
    }

    /// Lets every cluster come to rest.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            for nth in (0..self.of_kind(kinds::K0SMOTRON_CLUSTER).len()).rev() {
                self.operate(nth);
            }
        }
    }
}

/// Returns the StatefulSet of a cluster.
pub fn set_of(cluster: &ObjectId) -> ObjectId {
    ObjectId::new(
        kinds::STATEFUL_SET,
        &cluster.namespace,
        format!("kmc-{}", cluster.name),
    )
}

pub fn content(object: &Object) -> Value {
    let metadata = &object.0["metadata"];
    json!({"spec": object.0["spec"], "labels": metadata["labels"], "annotations": metadata["annotations"]})
}

/// Says whether a cluster runs what was written last, by everything that there is to see.
pub fn is_settled(cluster: &Object, set: Option<&Object>) -> bool {
    let up_to_date = cluster.text("/status/conditions/0/status");
    cluster.integer("/status/observedGeneration") == cluster.integer("/metadata/generation")
        && up_to_date == Some("True")
        && is_rolled(set)
}

/// Says whether the pods of a StatefulSet are what its template says.
fn is_rolled(set: Option<&Object>) -> bool {
    set.is_some_and(|set| {
        set.integer("/status/observedGeneration") == set.integer("/metadata/generation")
            && set.integer("/status/readyReplicas") == Some(1)
    })
}

fn status(generation: Option<i64>, up_to_date: &str) -> Value {
    let condition =
        |name: &str, status: &str| json!({"type": name, "status": status, "reason": "R", "message": "m"});
    json!({"observedGeneration": generation,
        "conditions": [condition("UpToDate", up_to_date), condition("Available", "True"), condition("Ready", "True")]})
}

fn bare(object: &Object) -> Object {
    let mut object = object.clone();
    if let Some(metadata) = object.0["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    object
}

/// Compares uid and version with what a write insists on.
fn fits(live: &Object, wanted: &Value) -> Result<(), Refused> {
    let is_met = |field: &str, found: Option<&str>| {
        let wanted = wanted["metadata"][field].as_str();
        wanted.is_none() || wanted == found
    };
    match is_met("uid", live.uid()) && is_met("resourceVersion", live.resource_version()) {
        true => Ok(()),
        false => Err(Refused::Conflict),
    }
}

fn missing(id: &ObjectId) -> (u16, Value) {
    let details = json!({"name": id.name, "kind": id.kind.plural});
    let body = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found", "details": details});
    (404, body)
}

pub fn conflict() -> (u16, Value) {
    (
        409,
        json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "it was modified"}),
    )
}

/// Kind, namespace and name of a path.
fn target(path: &str) -> Option<(Kind, &str, Option<&str>)> {
    let steps: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, rest) = match steps.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, plural, name) = match *rest {
        ["namespaces", namespace, plural, name] => (namespace, plural, Some(name)),
        ["namespaces", namespace, plural] => (namespace, plural, None),
        [plural, name] => ("", plural, Some(name)),
        [plural] => ("", plural, None),
        _ => return None,
    };
    let kind = SERVED
        .into_iter()
        .find(|kind| kind.group == group && kind.plural == plural)?;
    Some((kind, namespace, name))
}

/// Says whether a request needs no turn of its own: what it answers is always the same, or it asks for nothing of a
/// fleet.
pub fn is_constant(asked: &Asked) -> bool {
    let path = asked.uri.split('?').next().unwrap_or_default();
    let kind = target(path).map(|(kind, ..)| kind);
    let turns: BTreeSet<Kind> = [
        kinds::CONFIG_MAP,
        kinds::LEASE,
        kinds::K0SMOTRON_CLUSTER,
        kinds::STATEFUL_SET,
    ]
    .into();
    kind.is_none_or(|kind| !turns.contains(&kind))
}
