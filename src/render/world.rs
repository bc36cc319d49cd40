//! A hosting cluster as tests need it: it does what the answers say and what Kubernetes makes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::imagined::{self, Executed};
use super::{
    Answer, Answers, Desired, Facts, ResolvedCluster, Settings, SourceFacts, Stalled, objects, resolve,
};
use crate::api::{K0smotronCluster, labels, names};
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::pki::{Given, KeyPurpose};

pub(super) use super::imagined::NOW;

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
        let answers = self.answers();
        let Executed { dropped, grown } = imagined::execute(&mut self.live, answers.clone(), &self.given);
        self.dropped.extend(dropped);
        self.grown.extend(grown);
        self.assert_signed_by_whom_was_meant(&answers);
        self.live != before
    }

    fn assert_signed_by_whom_was_meant(&self, answers: &Answers) {
        for (id, answer) in answers {
            if let Answer::Want(Desired::Key { issue, .. }) = answer
                && let Some(issuer) = issue.issuer()
            {
                let print = self.live[id].annotation(labels::ISSUER).unwrap();
                let meant = issuer.fingerprint.as_deref();
                assert!(meant.is_none_or(|meant| meant == print), "{id}");
            }
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
