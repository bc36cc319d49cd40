//! What the operator does in the end: its passes, run ahead on a copy of what is there until nothing is left to do.
//!
//! One pass often makes only what the next one needs: a Service whose ports go into the configuration, a certificate
//! whose fingerprint the pods wait for. The last decision against the first sight is what a change comes to.

use std::net::Ipv4Addr;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Action, Operation, Owner, Plan, Preview, Wave, children};
use crate::api::cluster_parts::StorageType;
use crate::api::cluster_status::Endpoint;
use crate::api::{K0smotronCluster, labels};
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::render::{self, Facts, ResolvedCluster, SourceFacts, Stalled};

/// More than any change needs: the passes that follow one another bring a Service, its address, keys and pods.
const ROUNDS: usize = 8;
/// For a certificate of the rehearsal; how long it is valid decides nothing within it.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// Stands for everything that is known once it is made. It is no name and no address, so nothing live equals it.
const MADE: &str = "(known when it is made)";
/// Stand for ports that the API server will choose: no Service gets them.
const PORTS: [u16; 2] = [1, 2];

/// A cluster as it is when the operator has nothing to do any more.
pub(super) struct Rehearsed {
    pub owner: Owner,
    /// As the first pass decides: nothing in it is made up.
    pub first: ResolvedCluster,
    /// As the last pass decides. Ports, addresses and fingerprints that are not made yet are made up.
    pub last: ResolvedCluster,
    /// What all passes do together to what is there.
    pub plan: Plan,
}

/// Runs the operator's passes ahead for a cluster with the spec that it is to have.
///
/// *Errors*: the operator would not render it, in the first pass or in a later one.
pub(super) fn rehearse(cluster: &K0smotronCluster, preview: &Preview<'_>) -> Result<Rehearsed, Stalled> {
    let resolve = |children: &Observed| {
        let facts = facts(cluster, children, preview);
        let resolved = render::resolve(&cluster.spec, &facts, preview.settings)?;
        Ok((Owner::of(&facts), resolved))
    };
    let seen = own(cluster, preview.children);
    let (owner, first) = resolve(&seen)?;
    let mut last = first.clone();
    let mut answers = render::objects(&last);
    let mut step = children(&answers, &seen, &owner);
    let mut stage = seen.clone();
    let mut made = Vec::new();
    for _ in 0..ROUNDS {
        if step.is_empty() {
            break;
        }
        for action in step.actions() {
            carry_out(&mut stage, &action.id, &action.operation, preview.now);
        }
        made.extend(step.actions().filter(|action| is_made_once(action)).cloned());
        (_, last) = resolve(&stage)?;
        answers = render::objects(&last);
        step = children(&answers, &stage, &owner);
    }
    let mut plan = children(&answers, &seen, &owner);
    let name = "made on the way".to_owned();
    plan.waves.insert(0, Wave { name, actions: made });
    Ok(Rehearsed {
        owner,
        first,
        last,
        plan,
    })
}

/// Returns what can matter to one cluster of all that was read, which is copied: its name is in all of its names.
fn own(cluster: &K0smotronCluster, children: &Observed) -> Observed {
    let metadata = &cluster.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let objects = children
        .objects
        .iter()
        .filter(|(id, _)| id.namespace == namespace && id.name.contains(name));
    Observed {
        objects: objects.map(|(id, object)| (id.clone(), object.clone())).collect(),
        unreadable: children.unreadable.clone(),
    }
}

/// Says whether the last decision no longer shows that something is done: what is made then is as it should be.
fn is_made_once(action: &Action) -> bool {
    match action.operation {
        Operation::Issue { .. } | Operation::Reissue { .. } | Operation::Grow { .. } => true,
        Operation::Create { .. }
        | Operation::Apply { .. }
        | Operation::Adopt { .. }
        | Operation::Fill { .. }
        | Operation::Recreate { .. }
        | Operation::PatchMetadata { .. }
        | Operation::Delete { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. } => false,
    }
}

/// Says whether a part of an address is not known before it is made.
pub(super) fn is_made_up(endpoint: &Endpoint) -> bool {
    let Endpoint {
        host,
        api_port,
        konnectivity_port,
        konnectivity_host: _,
        url: _,
    } = endpoint;
    let is_port = |port: &i32| PORTS.iter().any(|made_up| i32::from(*made_up) == *port);
    host == MADE || is_port(api_port) || is_port(konnectivity_port)
}

/// Puts words in the place of ports that are made up, in a value that is shown.
pub(super) fn mark_made_up(pointer: &str, value: &mut Value) {
    let is_made_up = |number: i64| PORTS.iter().any(|port| i64::from(*port) == number);
    match value {
        Value::Number(number) => {
            let field = pointer.rsplit('/').next().unwrap_or_default().to_lowercase();
            if field.ends_with("port") && number.as_i64().is_some_and(is_made_up) {
                *value = json!(MADE);
            }
        }
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(key, value)| mark_made_up(key, value)),
        Value::Array(items) => items.iter_mut().for_each(|item| mark_made_up(pointer, item)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn facts(cluster: &K0smotronCluster, children: &Observed, preview: &Preview<'_>) -> Facts {
    let facts = Facts::gather(cluster, children, preview.node_addresses, preview.now);
    // The Secret of the user is not read for a plan: its value is taken to be the one that is in use.
    let storage = cluster.spec.storage.as_ref();
    let is_kine = storage.and_then(|storage| storage.storage_type) == Some(StorageType::Kine);
    let used = facts
        .config
        .as_ref()
        .and_then(|config| config.source_version.clone());
    let data_source = used
        .filter(|_| is_kine)
        .map(|version| SourceFacts::Usable { version });
    Facts { data_source, ..facts }
}

/// Makes of an operation what the API server and the controllers of Kubernetes make of it.
fn carry_out(stage: &mut Observed, id: &ObjectId, operation: &Operation, now: Timestamp) {
    let live = stage.objects.get(id).cloned();
    match operation {
        Operation::Create { body } | Operation::Apply { body, .. } | Operation::Recreate { body, .. } => {
            write(stage, id, body, live.as_ref());
        }
        Operation::Issue { secret, issue, .. } | Operation::Reissue { secret, issue, .. } => {
            let issuer = issue.issuer().and_then(|issuer| {
                let id = ObjectId::new(kinds::SECRET, &id.namespace, &issuer.secret);
                stage
                    .objects
                    .get(&id)?
                    .annotation(labels::FINGERPRINT)
                    .map(str::to_owned)
            });
            let mut secret = stored(secret, live.as_ref());
            let not_after = now.checked_add(LIFETIME).unwrap_or(now);
            let annotations = &mut secret.0["metadata"]["annotations"];
            annotations[labels::FINGERPRINT] = json!(MADE);
            annotations[labels::NOT_AFTER] = json!(not_after.to_string());
            if let Some(issuer) = issuer {
                annotations[labels::ISSUER] = json!(issuer);
            }
            stage.objects.insert(id.clone(), secret);
        }
        Operation::Fill { secret, .. } => {
            let mut secret = stored(secret, live.as_ref());
            let version = |object: &Object| object.annotation(labels::SOURCE_VERSION).map(str::to_owned);
            let is_new_value = live.as_ref().and_then(version) != version(&secret);
            if is_new_value {
                secret.0["metadata"]["annotations"][labels::SOURCE_DIGEST] = json!(MADE);
            }
            stage.objects.insert(id.clone(), secret);
        }
        Operation::Grow { size, .. } => {
            if let Some(mut claim) = live {
                claim.0["spec"]["resources"]["requests"]["storage"] = json!(size);
                claim.0["status"]["capacity"]["storage"] = json!(size);
                stage.objects.insert(id.clone(), claim);
            }
        }
        Operation::PatchMetadata { metadata, .. } => {
            if let Some(mut object) = live {
                json_patch::merge(&mut object.0["metadata"], metadata);
                stage.objects.insert(id.clone(), object);
            }
        }
        Operation::Delete { .. } => {
            stage.objects.remove(id);
        }
        // Members are looked after beside what is rendered, and no child is taken over.
        Operation::ChangeMembers { .. } | Operation::ReplacePod { .. } | Operation::Adopt { .. } => {}
    }
}

/// What is applied is what is there afterwards, with the identity it had.
fn stored(body: &Object, live: Option<&Object>) -> Object {
    let mut object = body.clone();
    let kept = |pointer: &str| live.and_then(|live| live.0.pointer(pointer).cloned());
    for field in ["uid", "resourceVersion"] {
        let value = kept(&format!("/metadata/{field}")).unwrap_or_else(|| json!(MADE));
        object.0["metadata"][field] = value;
    }
    if let Some(status) = kept("/status") {
        object.0["status"] = status;
    }
    object
}

fn write(stage: &mut Observed, id: &ObjectId, body: &Object, live: Option<&Object>) {
    let mut object = stored(body, live);
    if id.kind == kinds::SERVICE {
        serve(&mut object, live);
    } else if id.kind == kinds::STATEFUL_SET {
        for (claim, made) in render::pods_of(id, &mut object) {
            if stage.objects.get(&claim).is_none() {
                stage.objects.insert(claim, made);
            }
        }
    }
    stage.objects.insert(id.clone(), object);
}

/// Gives a Service the addresses and node ports that it keeps or gets.
fn serve(service: &mut Object, live: Option<&Object>) {
    let kept = |pointer: &str| live.and_then(|live| live.0.pointer(pointer).cloned());
    if service.text("/spec/clusterIP") != Some("None") {
        let addresses =
            kept("/spec/clusterIPs").unwrap_or_else(|| json!([Ipv4Addr::UNSPECIFIED.to_string()]));
        service.0["spec"]["clusterIPs"] = addresses;
    }
    let service_type = service.text("/spec/type").unwrap_or_default().to_owned();
    if !["NodePort", "LoadBalancer"].contains(&service_type.as_str()) {
        return;
    }
    let ports = service.0.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        if port.get("nodePort").is_none() {
            let given = || json!(PORTS.get(index).unwrap_or(&PORTS[1]));
            port["nodePort"] = kept(&format!("/spec/ports/{index}/nodePort")).unwrap_or_else(given);
        }
    }
    if service_type == "LoadBalancer" && service.0.pointer("/status/loadBalancer/ingress").is_none() {
        service.0["status"]["loadBalancer"]["ingress"] = json!([{ "hostname": MADE }]);
    }
}
