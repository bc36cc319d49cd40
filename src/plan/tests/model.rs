//! An API server small enough to be obviously right: server-side apply, uids, and what controllers fill in.

use serde_json::{Map, Value, json};

use crate::api::labels;
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::pki::Issue;
use crate::plan::{Action, Operation, Plan};

/// Executes every action in order.
pub fn apply(plan: &Plan, observed: &Observed, manager: &str) -> Observed {
    let mut server = observed.clone();
    for action in plan.actions() {
        execute(&mut server, action, manager);
    }
    server
}

fn execute(server: &mut Observed, action: &Action, manager: &str) {
    let id = &action.id;
    match &action.operation {
        Operation::Create { body } => create(server, id, body, manager),
        Operation::Issue { secret, issue, .. } => {
            let secret = issued(server, id, secret, issue);
            create(server, id, &secret, manager);
        }
        Operation::Apply { body, uid } => update(server, id, uid, body, manager),
        Operation::Reissue {
            secret, issue, uid, ..
        } => {
            let secret = issued(server, id, secret, issue);
            update(server, id, uid, &secret, manager);
        }
        Operation::Adopt {
            body,
            uid,
            resource_version,
            managed_fields,
        } => {
            let mut live = server.objects.remove(id).expect("what is taken over exists");
            assert_eq!(live.resource_version(), Some(resource_version.as_str()), "{id}");
            if let Some(fields) = managed_fields {
                live.0["metadata"]["managedFields"] = fields.clone();
            }
            put(server, id, live);
            update(server, id, uid, body, manager);
        }
        Operation::Fill { secret, uid, .. } => match uid {
            None => create(server, id, secret, manager),
            Some(uid) => update(server, id, uid, secret, manager),
        },
        Operation::Grow { uid, size } => {
            let mut live = server.objects.remove(id).expect("a claim that grows exists");
            assert_eq!(live.uid(), Some(uid.as_str()), "{id}");
            live.0["spec"]["resources"]["requests"]["storage"] = json!(size);
            put(server, id, live);
        }
        Operation::Recreate { body, uid, .. } => {
            let live = server.objects.remove(id).expect("what is made again exists");
            assert_eq!(live.uid(), Some(uid.as_str()), "{id}");
            create(server, id, body, manager);
        }
        Operation::PatchMetadata { uid, metadata, .. } => {
            let mut live = server.objects.remove(id).expect("a patched object exists");
            assert_eq!(live.uid(), Some(uid.as_str()), "{id}");
            json_patch::merge(&mut live.0["metadata"], metadata);
            put(server, id, live);
        }
        Operation::Delete { uid, .. } => {
            let live = server.objects.remove(id).expect("a deleted object exists");
            assert_eq!(live.uid(), Some(uid.as_str()), "{id}");
        }
        Operation::ChangeMembers { .. } | Operation::ReplacePod { .. } => {
            panic!("{id}: this server has neither pods nor members")
        }
    }
}

fn create(server: &mut Observed, id: &ObjectId, body: &Object, manager: &str) {
    assert!(server.objects.get(id).is_none(), "{id} exists");
    let mut live = merged(None, body, manager);
    live.0["metadata"]["uid"] = json!(format!("uid-of-{}-{}", id.kind.plural, id.name));
    live.0["metadata"]["generation"] = json!(1);
    put(server, id, live);
}

fn update(server: &mut Observed, id: &ObjectId, uid: &str, body: &Object, manager: &str) {
    let live = server.objects.remove(id).expect("an applied object exists");
    assert_eq!(live.uid(), Some(uid), "{id}");
    put(server, id, merged(Some(&live), body, manager));
}

/// Returns what a server-side apply makes of what is there, or of nothing, before the server numbers it.
pub(crate) fn merged(live: Option<&Object>, body: &Object, manager: &str) -> Object {
    let mut merged = match live {
        None => body.clone(),
        Some(live) => {
            let mut merged = live.clone();
            let entries = live
                .0
                .pointer("/metadata/managedFields")
                .and_then(Value::as_array);
            let before = entries
                .into_iter()
                .flatten()
                .find(|entry| entry["manager"] == manager)
                .map(|entry| entry["fieldsV1"].clone());
            if let Some(before) = before {
                remove_unapplied(&mut merged.0, &before, &body.0);
            }
            overlay(&mut merged.0, &body.0);
            merged
        }
    };
    let is_cluster = body.text("/kind") == Some(kinds::K0SMOTRON_CLUSTER.kind);
    if is_cluster && merged.0["spec"]["replicas"].is_null() {
        merged.0["spec"]["replicas"] = json!(1);
    }
    manage(&mut merged, body, manager);
    merged
}

fn put(server: &mut Observed, id: &ObjectId, mut live: Object) {
    let version: u64 = live
        .resource_version()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    live.0["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    server.objects.insert(id.clone(), live);
}

fn manage(live: &mut Object, body: &Object, manager: &str) {
    let mut fields = fields_of(&body.0);
    for known in ["f:apiVersion", "f:kind"] {
        fields.as_object_mut().unwrap().remove(known);
    }
    for known in ["f:name", "f:namespace"] {
        fields["f:metadata"].as_object_mut().unwrap().remove(known);
    }
    let entries = live.0["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut entries: Vec<Value> = entries
        .into_iter()
        .filter(|entry| entry["manager"] != manager)
        .collect();
    entries.push(json!({"manager": manager, "operation": "Apply", "fieldsV1": fields}));
    live.0["metadata"]["managedFields"] = Value::Array(entries);
}

/// Every list counts as one value, which is true of custom resources.
fn fields_of(value: &Value) -> Value {
    let Value::Object(fields) = value else {
        return json!({});
    };
    let below = fields
        .iter()
        .map(|(key, value)| (format!("f:{key}"), fields_of(value)));
    Value::Object(below.collect::<Map<_, _>>())
}

fn remove_unapplied(live: &mut Value, before: &Value, body: &Value) {
    let (Value::Object(live), Value::Object(before)) = (live, before) else {
        return;
    };
    for (key, below) in before {
        let key = key.trim_start_matches("f:");
        match body.get(key) {
            None => {
                live.remove(key);
            }
            Some(body) => {
                if let Some(live) = live.get_mut(key) {
                    remove_unapplied(live, below, body);
                }
            }
        }
    }
}

fn overlay(live: &mut Value, body: &Value) {
    match (live, body) {
        (Value::Object(live), Value::Object(body)) => {
            for (key, value) in body {
                overlay(live.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (live, body) => *live = body.clone(),
    }
}

/// Writes what a key source writes: fingerprint, issuer, end.
fn issued(server: &Observed, id: &ObjectId, secret: &Object, issue: &Issue) -> Object {
    let mut secret = secret.clone();
    let annotations = &mut secret.0["metadata"]["annotations"];
    annotations[labels::FINGERPRINT] = json!(format!("fingerprint-{}", id.name));
    if let Some(issuer) = issue.issuer() {
        let issuer = ObjectId::new(kinds::SECRET, &id.namespace, &issuer.secret);
        let authority = server.objects.get(&issuer).expect("what signs exists");
        annotations[labels::ISSUER] = json!(authority.annotation(labels::FINGERPRINT));
    }
    if !matches!(issue, Issue::KeyPair { .. } | Issue::Token) {
        annotations[labels::NOT_AFTER] = json!("2035-01-01T00:00:00Z");
    }
    secret
}

/// Does what controllers and kubelets do: ports, and pods that are ready at the newest template.
pub fn settle(observed: &Observed) -> Observed {
    let mut settled = observed.clone();
    for (id, object) in observed.objects.iter() {
        let mut live = object.clone();
        if id.kind == kinds::SERVICE {
            live.0["spec"]["clusterIPs"] = json!(["10.96.0.7"]);
            if live.text("/spec/type") == Some("NodePort") {
                let ports = live.0["spec"]["ports"].as_array_mut().unwrap();
                for (port, number) in ports.iter_mut().zip(30_443..) {
                    if port["nodePort"].is_null() {
                        port["nodePort"] = json!(number);
                    }
                }
            }
        } else if id.kind == kinds::STATEFUL_SET {
            let replicas = live.0["spec"]["replicas"].clone();
            let template = crate::object::digest(&live.0["spec"]["template"]);
            live.0["status"] = json!({
                "observedGeneration": live.0["metadata"]["generation"], "replicas": replicas,
                "readyReplicas": replicas, "updatedReplicas": replicas,
                "currentRevision": template, "updateRevision": template,
            });
        }
        settled.objects.insert(id.clone(), live);
    }
    settled
}
