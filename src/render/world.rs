//! A hosting cluster as tests need it: it does what the answers say and what Kubernetes makes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Answer, Answers, Desired, Facts, ResolvedCluster, Settings, SourceFacts, Stalled, objects, resolve,
};
use crate::api::{K0smotronCluster, labels, names};
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::pki::{Given, Issue, KeyPurpose};

pub(super) const NOW: &str = "2026-09-01T12:00:00Z";

#[derive(Clone)]
pub(super) struct World {
    pub cluster: K0smotronCluster,
    pub live: BTreeMap<ObjectId, Object>,
    pub nodes: Vec<String>,
    pub settings: Settings,
    pub given: BTreeMap<KeyPurpose, Given>,
    /// What a look at the data source of kine tells.
    pub data_source: Option<SourceFacts>,
    pub storage_classes: BTreeMap<String, bool>,
    /// Deletions so far.
    pub dropped: Vec<ObjectId>,
    /// Claims that were grown so far, in order.
    pub grown: Vec<String>,
}

impl World {
    pub fn new(spec: Value) -> Self {
        let cluster = json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {
                "name": "edge", "namespace": "tenant-7", "uid": "uid-1", "generation": 1,
                "creationTimestamp": "2026-09-01T11:00:00Z",
            },
            "spec": spec,
        });
        Self {
            cluster: serde_json::from_value(cluster).unwrap(),
            live: BTreeMap::new(),
            nodes: vec!["203.0.113.7".into(), "203.0.113.8".into()],
            settings: Settings::standard(),
            given: BTreeMap::new(),
            data_source: Some(SourceFacts::Usable {
                version: "uid-db/1".into(),
            }),
            storage_classes: BTreeMap::from([("fast".to_owned(), true), ("rigid".to_owned(), false)]),
            dropped: Vec::new(),
            grown: Vec::new(),
        }
    }

    /// A cluster that has been made and runs.
    pub fn settled(spec: Value) -> Self {
        let mut world = Self::new(spec);
        world.settle();
        world
    }

    pub fn facts(&self) -> Facts {
        let observed = Observed {
            objects: self.live.clone().into_iter().collect(),
            unreadable: Vec::new(),
        };
        let facts = Facts {
            data_source: self.data_source.clone(),
            storage_classes: self.storage_classes.clone(),
            ..Facts::gather(&self.cluster, &observed, &self.nodes, NOW.parse().unwrap())
        };
        facts.with_given(self.given.clone())
    }

    pub fn resolve(&self) -> Result<ResolvedCluster, Stalled> {
        resolve(&self.cluster.spec, &self.facts(), &self.settings)
    }

    pub fn resolved(&self) -> ResolvedCluster {
        self.resolve().unwrap()
    }

    pub fn answers(&self) -> Answers {
        objects(&self.resolved())
    }

    pub fn respec(&mut self, spec: Value) {
        self.cluster.spec = serde_json::from_value(spec).unwrap();
        let generation = &mut self.cluster.metadata.generation;
        *generation = generation.map(|generation| generation + 1);
    }

    pub fn cluster_spec(&self) -> Value {
        serde_json::to_value(&self.cluster.spec).unwrap()
    }

    /// Reasons why something is held, in order.
    pub fn held(&self) -> Vec<String> {
        self.resolved().held.into_iter().map(|held| held.reason).collect()
    }

    pub fn get(&self, kind: crate::object::Kind, name: &str) -> &Object {
        let id = ObjectId::new(kind, "tenant-7", name);
        self.live.get(&id).unwrap_or_else(|| panic!("no {id}"))
    }

    /// Pod templates, claims, ports, addresses and keys: what must not change under a running control plane.
    pub fn lasting(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (id, object) in &self.live {
            let part = match id.kind {
                kinds::STATEFUL_SET => json!([
                    object.0["spec"]["template"],
                    object.0["spec"]["volumeClaimTemplates"],
                    object.0["spec"]["selector"]
                ]),
                kinds::SERVICE => object.0["spec"]["ports"].clone(),
                kinds::SECRET => json!(object.annotation(labels::FINGERPRINT)),
                _ => continue,
            };
            all.insert(id.to_string(), part);
        }
        all
    }

    pub fn template(&self, name: &str) -> Value {
        self.get(kinds::STATEFUL_SET, name).0["spec"]["template"].clone()
    }

    /// Runs passes until one changes nothing; returns how many changed something.
    pub fn settle(&mut self) -> usize {
        for pass in 0..8 {
            if !self.pass() {
                return pass;
            }
        }
        panic!("still changing after eight passes");
    }

    /// Runs one pass; says whether it changed anything.
    pub fn pass(&mut self) -> bool {
        let before = self.live.clone();
        // Roots first, as apply does.
        let answers = self.answers();
        let (roots, rest): (Vec<_>, Vec<_>) = answers.into_iter().partition(
            |(_, answer)| matches!(answer, Answer::Want(Desired::Key { purpose, .. }) if purpose.is_root()),
        );
        for (id, answer) in roots.into_iter().chain(rest) {
            match answer {
                Answer::Keep { .. } | Answer::Want(Desired::AsItIs) => {}
                Answer::Drop { .. } => {
                    if self.live.remove(&id).is_some() {
                        self.dropped.push(id);
                    }
                }
                Answer::Want(Desired::Object(object)) => self.write(id, object),
                Answer::Want(Desired::Key { secret, issue, .. }) => self.issue(id, secret, &issue),
                Answer::Want(Desired::Filled { mut secret, fill }) => {
                    let told = [labels::CONTENT_DIGEST, labels::SOURCE_VERSION];
                    let is_same = |live: &Object| {
                        told.iter()
                            .all(|key| live.annotation(key) == secret.annotation(key))
                    };
                    if self.live.get(&id).is_some_and(is_same) {
                        continue;
                    }
                    secret.0["metadata"]["annotations"][labels::SOURCE_DIGEST] =
                        json!(format!("digest-of-{}", fill.source.version.as_str()));
                    self.write(id, secret);
                }
                Answer::Want(Desired::Grown { size }) => {
                    let claim = self.live.get_mut(&id).unwrap();
                    claim.0["spec"]["resources"]["requests"]["storage"] = json!(size);
                    claim.0["status"]["capacity"]["storage"] = json!(size);
                    self.grown.push(id.name);
                }
                Answer::Want(Desired::Metadata { patch }) => {
                    let live = self.live.get_mut(&id).unwrap();
                    merge(&mut live.0["metadata"], patch);
                }
            }
        }
        self.live != before
    }

    fn write(&mut self, id: ObjectId, mut object: Object) {
        let old = self.live.get(&id).cloned();
        object.0["metadata"]["uid"] = json!(format!("uid-of-{}-{}", id.kind, id.name));
        match id.kind {
            kinds::SERVICE => serve(&mut object, old.as_ref()),
            kinds::STATEFUL_SET => {
                let replicas = object.0["spec"]["replicas"].clone();
                object.0["metadata"]["generation"] = json!(1);
                object.0["status"] = json!({
                    "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas,
                    "updatedReplicas": replicas,
                });
                self.claim(&id, &object);
            }
            _ => {}
        }
        self.live.insert(id, object);
    }

    fn claim(&mut self, id: &ObjectId, object: &Object) {
        let templates = object
            .0
            .pointer("/spec/volumeClaimTemplates")
            .and_then(Value::as_array);
        for template in templates.into_iter().flatten() {
            for ordinal in 0..object.integer("/spec/replicas").unwrap_or_default() {
                let first = template["metadata"]["name"].as_str().unwrap();
                let name = format!("{first}-{}-{ordinal}", id.name);
                let claim = ObjectId::new(kinds::PERSISTENT_VOLUME_CLAIM, "tenant-7", &name);
                self.live.entry(claim).or_insert_with(|| {
                    let mut claim = template.clone();
                    claim["metadata"]["name"] = json!(name);
                    claim["metadata"]["namespace"] = json!("tenant-7");
                    let capacity = claim["spec"]["resources"]["requests"].clone();
                    claim["status"] = json!({"phase": "Bound", "capacity": capacity});
                    Object(claim)
                });
            }
        }
    }

    fn issue(&mut self, id: ObjectId, mut secret: Object, issue: &Issue) {
        let serial = self.live.get(&id).map_or(1, |_| 2);
        let annotations = &mut secret.0["metadata"]["annotations"];
        annotations[labels::FINGERPRINT] = json!(format!("print-of-{}-{serial}", id.name));
        annotations[labels::NOT_AFTER] = json!("2027-09-01T12:00:00Z");
        if let Issue::Leaf { issuer, .. }
        | Issue::Delivered { issuer, .. }
        | Issue::Kubeconfig { issuer, .. } = issue
        {
            let of_user = self.given.values().find(|given| given.secret == issuer.secret);
            let print = match of_user {
                Some(given) => given.found.as_ref().unwrap().fingerprint.clone(),
                None => {
                    let signer = &self.live[&ObjectId::new(kinds::SECRET, "tenant-7", &issuer.secret)];
                    signer.annotation(labels::FINGERPRINT).unwrap().to_owned()
                }
            };
            let print = print.as_str();
            assert!(
                issuer
                    .fingerprint
                    .as_deref()
                    .is_none_or(|expected| expected == print)
            );
            annotations[labels::ISSUER] = json!(print);
        }
        secret.0["metadata"]["uid"] = json!(format!("uid-of-secret-{}", id.name));
        self.live.insert(id, secret);
    }
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
    if matches!(object.text("/spec/type"), Some("NodePort" | "LoadBalancer")) {
        for (index, default) in [(0, 30443), (1, 30132)] {
            let port = &mut object.0["spec"]["ports"][index];
            if port.get("nodePort").is_none() {
                *port
                    .pointer_mut("")
                    .unwrap()
                    .as_object_mut()
                    .unwrap()
                    .entry("nodePort")
                    .or_insert(Value::Null) =
                    kept(&format!("/spec/ports/{index}/nodePort")).unwrap_or(json!(default));
            }
        }
    }
    if let Some(status) = kept("/status") {
        object.0["status"] = status;
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// Gives the load balancer an address.
pub(super) fn balancer_address(world: &mut World, ip: &str) {
    let id = ObjectId::new(kinds::SERVICE, "tenant-7", names::service_load_balancer("edge"));
    world.live.get_mut(&id).unwrap().0["status"] = json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
}

/// Running clusters of different shape.
pub(super) fn worlds() -> Vec<World> {
    let mut balanced = World::settled(json!({"replicas": 3, "service": {"type": "LoadBalancer"}}));
    balancer_address(&mut balanced, "198.51.100.4");
    balanced.settle();
    vec![
        World::settled(json!({})),
        balanced,
        World::settled(json!({"replicas": 5, "service": {"type": "ClusterIP", "apiPort": 443}})),
        World::settled(json!({
            "gateway": {"apiHost": "a.example", "konnectivityHost": "b.example", "parentRefs": [{"name": "edge"}]},
            "monitoring": {"enabled": true},
        })),
        World::settled(json!({"replicas": 2, "podDisruptionBudget": {"enabled": false}})),
        World::settled(json!({"storage": {"etcd": {"defragJob": {"enabled": true}}}})),
    ]
}

/// Running clusters that keep their data elsewhere than in etcd.
pub(super) fn worlds_without_etcd() -> Vec<World> {
    vec![
        World::settled(json!({"replicas": 2, "storage": {"type": "nats"}})),
        World::settled(json!({"storage": {"type": "kine", "kine": {"dataSourceSecretName": "db"}}})),
    ]
}
