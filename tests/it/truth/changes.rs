//! Shapes of clusters, and random changes of them made of the values of `tests/golden/fields.yaml`.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::fields::cases::{self, Case, set};
use crate::fields::schema;
use crate::fields::walk::merge;

/// Random numbers that are the same for the same seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, number: usize) -> Self {
        Self(
            seed.wrapping_mul(1_000_003)
                .wrapping_add(u64::try_from(number).unwrap()),
        )
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What clusters are before the first change.
pub fn shapes() -> Vec<Value> {
    let hosts = json!({"apiHost": "api.example", "konnectivityHost": "konnectivity.example"});
    let mut gateway = hosts.clone();
    gateway["parentRefs"] = json!([{"name": "public"}]);
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let mut shapes = vec![
        json!({}),
        json!({"replicas": 3, "storage": {"etcd": {"members": 3}}}),
        json!({"service": {"type": "LoadBalancer"}, "replicas": 2}),
        json!({"externalAddress": "{address}", "service": {"type": "ClusterIP"}, "deletionPolicy": "Delete"}),
        json!({"ingress": hosts}),
        json!({"gateway": gateway, "replicas": 2}),
        json!({"storage": {"type": "kine", "kine": {"dataSourceSecretName": "kine-dsn"}}, "replicas": 2}),
        json!({"storage": {"type": "nats"}, "deletionPolicy": "Delete"}),
        json!({"version": "v1.34.1+k0s.0", "replicas": 3}),
        json!({"persistence": {"type": "pvc", "persistentVolumeClaim": {"spec": claim}}, "replicas": 2}),
        json!({"updatePolicy": "Always", "monitoring": {"enabled": true}, "replicas": 0}),
        json!({"certificateRefs": [{"type": "ca", "name": "own-ca"}], "version": "v1.35.1+k0s.0"}),
    ];
    for shape in &mut shapes {
        // Members join through etcd itself, which does not run here, so replicas must not ask for more of them.
        if shape["storage"]["type"].is_null() && shape["storage"]["etcd"]["members"].is_null() {
            set(shape, "storage.etcd.members", Some(&json!(1)));
        }
    }
    shapes
}

/// A cluster as it is to be, and what is changed in words.
pub struct Change {
    pub words: Vec<String>,
    pub object: Value,
}

/// What changes are made of: read once, for it takes a while.
struct Table {
    cases: Vec<Case>,
    schema: jsonschema::Validator,
}

impl Table {
    fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self {
            cases: cases::all().into_iter().filter(is_tried).collect(),
            schema: jsonschema::validator_for(&schema::spec()).unwrap(),
        })
    }
}

/// Changes one to three fields, rarely more.
pub fn next(dice: &mut Dice, object: &Value) -> Change {
    let table = Table::get();
    loop {
        let change = once(dice, &table.cases, object);
        // What the schema refuses never gets as far as a plan.
        if change.object != *object && table.schema.is_valid(&change.object["spec"]) {
            return change;
        }
    }
}

fn once(dice: &mut Dice, cases: &[Case], object: &Value) -> Change {
    let mut change = Change {
        words: Vec::new(),
        object: object.clone(),
    };
    let count = 1 + dice.below(3) + if dice.chance(10) { 3 } else { 0 };
    while change.words.len() < count {
        let words = match dice.below(10) {
            0 => replicas(dice, &mut change.object),
            1 => version(dice, &mut change.object),
            _ => match field(dice, cases, &mut change.object) {
                Some(words) => words,
                None => continue,
            },
        };
        change.words.push(words);
    }
    change
}

/// Members join and leave through etcd itself.
fn is_tried(case: &Case) -> bool {
    case.field != "storage.etcd.members"
}

fn replicas(dice: &mut Dice, object: &mut Value) -> String {
    let replicas = dice.below(4);
    object["spec"]["replicas"] = json!(replicas);
    format!("replicas {replicas}")
}

fn version(dice: &mut Dice, object: &mut Value) -> String {
    const VERSIONS: [&str; 5] = [
        "v1.34.1+k0s.0",
        "v1.34.3+k0s.0",
        "v1.35.1+k0s.0",
        "v1.36.2+k0s.0",
        "v1.36.3+k0s.2",
    ];
    let version = dice.one_of(&VERSIONS);
    object["spec"]["version"] = json!(version);
    format!("version {version}")
}

/// Writes, changes or removes one field of the table; `None` where it does not fit this cluster.
fn field(dice: &mut Dice, cases: &[Case], object: &mut Value) -> Option<String> {
    let case = dice.one_of(cases);
    let storage = |spec: &Value| spec["storage"]["type"].as_str().unwrap_or("etcd").to_owned();
    let path = match case.field.strip_prefix("metadata.") {
        Some(_) => case.field.clone(),
        None => format!("spec.{}", case.field),
    };
    let is_of_storage = ["etcd", "kine", "nats"]
        .into_iter()
        .find(|kind| case.field.starts_with(&format!("storage.{kind}")));
    let is_strange = is_of_storage.is_some_and(|kind| kind != storage(&object["spec"]));
    if is_strange && !dice.chance(5) {
        return None;
    }
    // The storage cannot be another one, which is soon tried often enough.
    if [
        "storage",
        "certificateRefs",
        "persistence",
        "ttl",
        "remoteHostCluster",
        "pki.keyAlgorithm",
    ]
    .contains(&case.field.as_str())
        && !dice.chance(20)
    {
        return None;
    }
    if dice.chance(25) {
        let pointer = format!("/{}", path.replace('.', "/"));
        object.pointer(&pointer)?;
        set(object, &path, None);
        return Some(format!("{path} removed"));
    }
    let value = if dice.chance(8) && !case.bad.is_empty() {
        dice.one_of(&case.bad).clone()
    } else if dice.chance(50) {
        case.first()
    } else {
        case.second()?
    };
    // Of two ways in there can only be one.
    for (one, other) in [("ingress", "gateway"), ("gateway", "ingress")] {
        if case.field.starts_with(one) && dice.chance(90) {
            set(object, &format!("spec.{other}"), None);
        }
    }
    merge(&mut object["spec"], &case.base);
    set(object, &path, Some(&value));
    Some(format!("{path} {value}"))
}

#[test]
fn the_same_seed_makes_the_same_changes() {
    let changes = |seed| {
        let mut dice = Dice::new(seed, 3);
        let start = json!({"metadata": {"name": "a"}, "spec": shapes()[1]});
        let mut object = start.clone();
        for _ in 0..20 {
            object = next(&mut dice, &object).object;
        }
        object
    };
    assert_eq!(changes(1), changes(1));
    assert_ne!(changes(1), changes(2));
}
