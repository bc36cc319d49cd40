//! A hosting cluster that does at once what it is asked for: what a cluster comes to that nobody has made yet.
//!
//! **Invariant:** the answers are those of [`super::objects()`]; only what the server, the kubelet and the key maker add to
//! them is imagined, and each addition that shows in an object is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Answer, Answers, Desired, Facts, Settings, SourceFacts, Stalled, StoragePlan, data_source_of, objects,
    resolve,
};
use crate::api::cluster_parts::ServiceType;
use crate::api::cluster_status::HeldStatus;
use crate::api::{K0smotronCluster, labels};
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::pki::{Given, GivenKey, Issue, KeyPurpose};

/// The time at which everything happens.
pub(super) const NOW: &str = "2026-09-01T12:00:00Z";
/// The end of every certificate.
const NOT_AFTER: &str = "2027-09-01T12:00:00Z";
/// Addresses that are nobody's (RFC 5737).
const NODE: &str = "192.0.2.10";
const BALANCER: &str = "192.0.2.20";
/// Stands for the uid that only the server knows.
const UID: &str = "assigned-by-the-server";
/// A control plane is made in four passes; more means that it never comes to rest.
const PASSES_MAX: usize = 16;

/// An object that the operator makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// As it is sent; a Secret whose bytes are made where it is written is without its data.
    pub object: Object,
    /// Where that data comes from.
    pub data: Option<String>,
}

/// All that is made of a cluster of which nothing is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Imagined {
    pub children: BTreeMap<ObjectId, Child>,
    /// What is not made, and what it waits for.
    pub waiting: BTreeMap<ObjectId, String>,
    pub held: Vec<HeldStatus>,
    /// What was taken to be so, one sentence each without full stop.
    pub assumed: Vec<String>,
}

/// Makes a cluster in a hosting cluster that was not looked at, until nothing changes any more.
///
/// *Errors*: what keeps the operator from making it at all.
pub fn imagine(cluster: &Object, settings: &Settings) -> Result<Imagined, Stalled> {
    let cluster = read(cluster)?;
    let spec = &cluster.spec;
    let given = given(&cluster);
    let mut assumed = Vec::new();
    let service_type = spec.service.as_ref().and_then(|service| service.service_type);
    if matches!(service_type, None | Some(ServiceType::NodePort)) && spec.external_address.is_none() {
        assumed.push(format!("a Node has the address {NODE}"));
    }
    assumed.extend(
        given
            .values()
            .map(|given| format!("Secret `{}` holds what its reference says", given.secret)),
    );
    let mut live = BTreeMap::new();
    let mut children: BTreeMap<ObjectId, Child> = BTreeMap::new();
    let mut last = None;
    for _ in 0..PASSES_MAX {
        let observed = Observed {
            objects: live.clone().into_iter().collect(),
            unreadable: Vec::new(),
        };
        let now = NOW.parse().map_err(|_| unreadable("the time"))?;
        let facts = Facts {
            // Whether it can be used is for the operator to find out.
            data_source: Some(SourceFacts::Usable {
                version: UID.to_owned(),
            }),
            ..Facts::gather(&cluster, &observed, &[NODE.to_owned()], now)
        };
        let resolved = resolve(spec, &facts.with_given(given.clone()), settings)?;
        let answers = objects(&resolved);
        keep(&answers, &mut children);
        let before = live.clone();
        execute(&mut live, answers.clone(), &given);
        balance(&mut live);
        last = Some((resolved, answers));
        if live == before {
            break;
        }
    }
    let (resolved, answers) = last.ok_or_else(|| unreadable("nothing"))?;
    assumed.extend(live.values().filter_map(served));
    if let (Some((secret, key)), StoragePlan::Kine(_)) = (data_source_of(spec), &resolved.storage) {
        assumed.push(format!("Secret `{secret}` holds a data source in `{key}`"));
    }
    let waiting = answers.into_iter().filter_map(|(id, answer)| match answer {
        Answer::Keep { waiting_on } => Some((id, waiting_on)),
        Answer::Want(_) | Answer::Drop { .. } => None,
    });
    Ok(Imagined {
        children,
        waiting: waiting.collect(),
        held: resolved.held,
        assumed,
    })
}

fn unreadable(what: &str) -> Stalled {
    Stalled {
        reason: "NotReadable".to_owned(),
        message: format!("{what} cannot be read"),
    }
}

/// Reads a cluster as the server stores it.
fn read(cluster: &Object) -> Result<K0smotronCluster, Stalled> {
    let mut cluster = cluster.0.clone();
    cluster["metadata"]["uid"] = json!(UID);
    // As the server does: the type has no default for the spec, the schema has.
    if cluster.get("spec").is_none_or(Value::is_null) {
        cluster["spec"] = json!({});
    }
    serde_json::from_value(cluster).map_err(|error| unreadable(&format!("the cluster ({error})")))
}

/// Keys and certificates of the user, all as they should be.
fn given(cluster: &K0smotronCluster) -> BTreeMap<KeyPurpose, Given> {
    let one = |(purpose, secret): (KeyPurpose, &String)| {
        let is_of_etcd = matches!(
            purpose,
            KeyPurpose::ApiserverEtcdClient | KeyPurpose::EtcdServer | KeyPurpose::EtcdPeer
        );
        let subject = |purpose: KeyPurpose| Some(purpose.suffix().to_owned());
        let found = GivenKey {
            uid: UID.to_owned(),
            fingerprint: format!("of-{secret}"),
            not_after: Some(NOT_AFTER.to_owned()),
            has_key: true,
            subject: subject(purpose),
            signer: subject(if is_of_etcd { KeyPurpose::Etcd } else { purpose }),
            lone_certificate: None,
        };
        let given = Given {
            secret: secret.clone(),
            found: Ok(found),
        };
        (purpose, given)
    };
    let references = cluster.spec.certificate_refs.iter();
    let references = references.map(|one| (KeyPurpose::given_as(one.certificate_type), &one.name));
    references.map(one).collect()
}

/// Remembers what is sent, and forgets what is taken away again.
fn keep(answers: &Answers, children: &mut BTreeMap<ObjectId, Child>) {
    for (id, answer) in answers {
        let (object, data) = match answer {
            Answer::Want(Desired::Object(object)) => (object, None),
            Answer::Want(Desired::Key { secret, purpose, .. }) => (
                secret,
                Some(format!("made by the operator ({})", purpose.suffix())),
            ),
            Answer::Want(Desired::Filled { secret, fill }) => (
                secret,
                Some(format!(
                    "filled by the operator with Secret `{}`",
                    fill.source.secret
                )),
            ),
            Answer::Drop { .. } => {
                children.remove(id);
                continue;
            }
            Answer::Want(Desired::Metadata { .. } | Desired::Grown { .. } | Desired::AsItIs)
            | Answer::Keep { .. } => continue,
        };
        let object = object.clone();
        children.insert(id.clone(), Child { object, data });
    }
}

/// Gives load balancers their addresses.
fn balance(live: &mut BTreeMap<ObjectId, Object>) {
    for object in live.values_mut() {
        if object.text("/spec/type") == Some("LoadBalancer") {
            object.0["status"] = json!({"loadBalancer": {"ingress": [{"ip": BALANCER}]}});
        }
    }
}

/// Tells what the server made of a Service.
fn served(object: &Object) -> Option<String> {
    let name = object.text("/metadata/name")?;
    let address = object.text("/spec/clusterIPs/0")?;
    let ports = object.0.pointer("/spec/ports").and_then(Value::as_array)?;
    let ports: BTreeSet<i64> = ports
        .iter()
        .filter_map(|port| port.get("nodePort")?.as_i64())
        .collect();
    let ports: Vec<String> = ports.iter().map(i64::to_string).collect();
    let mut told = vec![format!("the cluster IP {address}")];
    if !ports.is_empty() {
        told.push(format!("the node ports {}", ports.join(" and ")));
    }
    if let Some(address) = object.text("/status/loadBalancer/ingress/0/ip") {
        told.push(format!("the address {address}"));
    }
    Some(format!("Service `{name}` gets {}", told.join(", ")))
}

/// What went and what grew.
#[derive(Debug, Default)]
pub(super) struct Executed {
    pub dropped: Vec<ObjectId>,
    /// Names of claims.
    pub grown: Vec<String>,
}

/// Does what the answers say, and what Kubernetes makes of it: Services get addresses and ports, pods become ready,
/// claims get volumes, Secrets keys.
pub(super) fn execute(
    live: &mut BTreeMap<ObjectId, Object>,
    answers: Answers,
    given: &BTreeMap<KeyPurpose, Given>,
) -> Executed {
    let mut executed = Executed::default();
    // Roots first, as apply does.
    let (roots, rest): (Vec<_>, Vec<_>) = answers.into_iter().partition(
        |(_, answer)| matches!(answer, Answer::Want(Desired::Key { purpose, .. }) if purpose.is_root()),
    );
    for (id, answer) in roots.into_iter().chain(rest) {
        match answer {
            Answer::Keep { .. } | Answer::Want(Desired::AsItIs) => {}
            Answer::Drop { .. } => {
                if live.remove(&id).is_some() {
                    executed.dropped.push(id);
                }
            }
            Answer::Want(Desired::Object(object)) => write(live, id, object),
            Answer::Want(Desired::Key { secret, issue, .. }) => make_key(live, id, secret, &issue, given),
            Answer::Want(Desired::Filled { mut secret, fill }) => {
                let told = [labels::CONTENT_DIGEST, labels::SOURCE_VERSION];
                let is_same = |live: &Object| {
                    told.iter()
                        .all(|key| live.annotation(key) == secret.annotation(key))
                };
                if live.get(&id).is_some_and(is_same) {
                    continue;
                }
                secret.0["metadata"]["annotations"][labels::SOURCE_DIGEST] =
                    json!(format!("digest-of-{}", fill.source.written_version()));
                write(live, id, secret);
            }
            Answer::Want(Desired::Grown { size }) => {
                if let Some(claim) = live.get_mut(&id) {
                    claim.0["spec"]["resources"]["requests"]["storage"] = json!(size);
                    claim.0["status"]["capacity"]["storage"] = json!(size);
                }
                executed.grown.push(id.name);
            }
            Answer::Want(Desired::Metadata { patch }) => {
                if let Some(live) = live.get_mut(&id) {
                    json_patch::merge(&mut live.0["metadata"], &patch);
                }
            }
        }
    }
    executed
}

fn write(live: &mut BTreeMap<ObjectId, Object>, id: ObjectId, mut object: Object) {
    object.0["metadata"]["uid"] = json!(format!("uid-of-{}-{}", id.kind, id.name));
    match id.kind {
        kinds::SERVICE => serve(&mut object, live.get(&id)),
        kinds::STATEFUL_SET => {
            for (claim, made) in pods_of(&id, &mut object) {
                live.entry(claim).or_insert(made);
            }
        }
        _ => {}
    }
    live.insert(id, object);
}

/// Makes of a StatefulSet what its controllers do: all its pods are ready, and each has its claims with a volume of
/// their size, which are returned.
pub fn pods_of(id: &ObjectId, set: &mut Object) -> Vec<(ObjectId, Object)> {
    let replicas = set.integer("/spec/replicas").unwrap_or(1);
    set.0["metadata"]["generation"] = json!(1);
    set.0["status"] = json!({
        "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
    });
    let labels = set.0.pointer("/spec/selector/matchLabels").cloned();
    let labels = labels.unwrap_or_else(|| json!({}));
    let templates = set
        .0
        .pointer("/spec/volumeClaimTemplates")
        .and_then(Value::as_array);
    let claim = |template: &Value, ordinal: i64| {
        let first = template["metadata"]["name"].as_str().unwrap_or_default();
        let name = format!("{first}-{}-{ordinal}", id.name);
        let mut claim = template.clone();
        json_patch::merge(&mut claim["metadata"]["labels"], &labels);
        claim["metadata"]["name"] = json!(name);
        claim["metadata"]["namespace"] = json!(id.namespace);
        let capacity = claim["spec"]["resources"]["requests"].clone();
        claim["status"] = json!({"phase": "Bound", "capacity": capacity});
        let id = ObjectId::new(kinds::PERSISTENT_VOLUME_CLAIM, &id.namespace, name);
        (id, Object(claim))
    };
    templates
        .into_iter()
        .flatten()
        .flat_map(|template| (0..replicas).map(move |ordinal| (template, ordinal)))
        .map(|(template, ordinal)| claim(template, ordinal))
        .collect()
}

/// Makes a key, of which nothing but its metadata is ever looked at.
fn make_key(
    live: &mut BTreeMap<ObjectId, Object>,
    id: ObjectId,
    mut secret: Object,
    issue: &Issue,
    given: &BTreeMap<KeyPurpose, Given>,
) {
    let serial = live.get(&id).map_or(1, |_| 2);
    let annotations = &mut secret.0["metadata"]["annotations"];
    annotations[labels::FINGERPRINT] = json!(format!("print-of-{}-{serial}", id.name));
    annotations[labels::NOT_AFTER] = json!(NOT_AFTER);
    if let Some(issuer) = issue.issuer() {
        let of_user = given.values().find(|given| given.secret == issuer.secret);
        let signer = ObjectId::new(kinds::SECRET, &id.namespace, &issuer.secret);
        annotations[labels::ISSUER] = match of_user {
            Some(given) => json!(given.found.as_ref().ok().map(|found| &found.fingerprint)),
            None => json!(
                live.get(&signer)
                    .and_then(|signer| signer.annotation(labels::FINGERPRINT))
            ),
        };
    }
    secret.0["metadata"]["uid"] = json!(format!("uid-of-secret-{}", id.name));
    live.insert(id, secret);
}

/// What the API server makes of a Service: addresses and node ports, which it keeps once they are given.
fn serve(object: &mut Object, old: Option<&Object>) {
    let is_headless = object.text("/spec/clusterIP") == Some("None");
    let kept = |pointer: &str| old.and_then(|old| old.0.pointer(pointer).cloned());
    if !is_headless {
        let seed = object.text("/metadata/name").map_or(0, str::len);
        object.0["spec"]["clusterIPs"] =
            kept("/spec/clusterIPs").unwrap_or_else(|| json!([format!("10.96.0.{seed}")]));
    }
    if matches!(object.text("/spec/type"), Some("NodePort" | "LoadBalancer"))
        && let Some(Value::Array(ports)) = object.0.pointer_mut("/spec/ports")
    {
        for ((index, port), free) in ports.iter_mut().enumerate().zip([30_443, 30_132]) {
            if port.get("nodePort").is_none() {
                let kept = kept(&format!("/spec/ports/{index}/nodePort"));
                port["nodePort"] = kept.unwrap_or(json!(free));
            }
        }
    }
    if let Some(status) = kept("/status") {
        object.0["status"] = status;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn cluster(spec: Value) -> Object {
        Object(json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {"name": "edge", "namespace": "tenant-7"}, "spec": spec,
        }))
    }

    #[rstest]
    #[case::nothing(json!(null))]
    #[case::balanced(json!({"replicas": 3, "service": {"type": "LoadBalancer"}}))]
    #[case::inside(json!({"service": {"type": "ClusterIP"}, "monitoring": {"enabled": true}}))]
    #[case::kine(json!({"storage": {"type": "kine", "kine": {"dataSourceSecretName": "db"}}}))]
    #[case::nats(json!({"replicas": 2, "storage": {"type": "nats"}}))]
    #[case::keys(json!({"certificateRefs": [{"type": "ca", "name": "my-ca"}]}))]
    fn a_cluster_that_was_never_made_comes_to_its_pods(#[case] spec: Value) {
        let imagined = imagine(&cluster(spec), &Settings::standard()).unwrap();
        assert_eq!(imagined.waiting, BTreeMap::new());
        assert_eq!(imagined.held, []);
        let pods = ObjectId::new(kinds::STATEFUL_SET, "tenant-7", "kmc-edge");
        assert!(imagined.children.contains_key(&pods));
        for child in imagined.children.values() {
            let is_pins = child.object.text("/metadata/name") == Some("edge-pins");
            let is_secret = child.object.text("/kind") == Some("Secret") && !is_pins;
            assert_eq!(child.data.is_some(), is_secret, "{:?}", child.object);
            assert!(child.object.0.get("data").is_none_or(|_| !is_secret));
        }
    }

    #[test]
    fn what_is_assumed_is_told() {
        let told = |spec| imagine(&cluster(spec), &Settings::standard()).unwrap().assumed;
        assert_eq!(
            told(json!({"service": {"type": "LoadBalancer"}})),
            [
                "Service `kmc-edge-lb` gets the cluster IP 10.96.0.11, the node ports 30132 and 30443, the address \
                 192.0.2.20"
            ]
        );
        let kine = told(json!({"storage": {"type": "kine", "kine": {"dataSourceSecretName": "db"}}}));
        assert!(
            kine.contains(&"a Node has the address 192.0.2.10".to_owned()),
            "{kine:?}"
        );
        assert!(
            kine.contains(&"Secret `db` holds a data source in `K0SMOTRON_KINE_DATASOURCE_URL`".to_owned()),
            "{kine:?}"
        );
    }

    #[test]
    fn what_the_operator_refuses_is_no_cluster() {
        let stalled = imagine(
            &cluster(json!({"remoteHostCluster": {"name": "x"}})),
            &Settings::standard(),
        );
        assert!(stalled.is_err(), "{stalled:?}");
    }
}
