//! One field of one cluster: written, changed, written wrongly and corrected, removed.
//!
//! After the removal, and with `WALK=whole` (`make test-walk`) after the change too, the cluster is compared with a fresh
//! one of the same spec and pins. `FIELD=service.` walks only the fields that begin so, and prints what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures::{FutureExt as _, StreamExt as _};
use k0smotron_fleet::api::labels;
use k0smotron_fleet::plan::Impact;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::cases::{self, Case, From, Removed};
use super::compare::{difference, objects};
use super::world::{Foreseen, LONG, Standing, World, next_address};
use crate::operator::Bench;
use crate::support::kubelet::Policy;
use crate::support::{Options, Servers, try_eventually};

/// As many as two cores keep busy.
const AT_ONCE: usize = 12;

/// What one step did to the pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Rolls {
        control_plane: bool,
        etcd: bool,
    },
    /// Not done, and said so.
    Held,
    /// By the API server.
    Refused,
    /// By the operator, with this reason: nothing of the generation is applied.
    Stalled(String),
    /// The cluster is made so.
    AtCreation,
    NotTried,
}

/// What one field did.
#[derive(Clone, Debug)]
pub(super) struct Walked {
    pub row: String,
    pub written: Effect,
    pub changed: Effect,
    pub removed: Effect,
    /// What is wrong, each a sentence.
    pub faults: Vec<String>,
    /// Where the plan of a fleet said something else than what happened.
    pub unforeseen: Vec<String>,
}

/// Walks every field of the schema, once for all tests of this process: a walk that panics fails each of them.
pub(super) async fn everything() -> &'static [Walked] {
    static WALKED: OnceCell<Result<Vec<Walked>, String>> = OnceCell::const_new();
    let walk = || async {
        let walk = AssertUnwindSafe(async { walk(cases::all()).await });
        walk.catch_unwind().await.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("its panic has no words").to_owned()
        })
    };
    match WALKED.get_or_init(walk).await {
        Ok(walked) => walked,
        Err(words) => panic!("the walk did not come to its end: {words}"),
    }
}

async fn walk(cases: Vec<Case>) -> Vec<Walked> {
    let only = std::env::var("FIELD").ok();
    let servers = Servers::start(Options::default()).await;
    let world = World::new(Bench::on(&servers, "fields", Policy::Ready).await).await;
    let fresh = Fresh::default();
    let meant = cases
        .into_iter()
        .filter(|case| only.as_deref().is_none_or(|field| case.row().starts_with(field)));
    let mut walked: Vec<(usize, Walked)> = futures::stream::iter(meant.enumerate())
        .map(|(number, case)| {
            let (world, fresh) = (&world, &fresh);
            async move { (number, Walker::new(world, fresh, &case, number).walk().await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    walked.sort_by_key(|(number, _)| *number);
    walked.into_iter().map(|(_, walked)| walked).collect()
}

/// Whether every step is compared, with a fresh cluster for each field; else only the last one, where many fields come
/// to the same.
fn is_whole() -> bool {
    std::env::var_os("WALK").is_some_and(|value| value == "whole")
}

/// A cluster that is made once, or why it could not be.
type Made = OnceCell<Result<Place, String>>;

/// Clusters that were never changed, by what was written.
#[derive(Default)]
struct Fresh {
    clusters: Mutex<BTreeMap<String, Arc<Made>>>,
}

#[derive(Clone)]
struct Place {
    name: String,
    address: Ipv4Addr,
}

impl Fresh {
    /// Makes a cluster, or takes the one that another field asked for.
    async fn like(
        &self,
        world: &World<'_>,
        case: &Case,
        spec: &Case,
        value: Option<&Value>,
        key: &str,
    ) -> Result<Place, String> {
        let written = world.object(spec, "", value, Ipv4Addr::UNSPECIFIED).to_string() + key;
        let cell = {
            let mut clusters = self.clusters.lock().unwrap();
            let number = clusters.len();
            let entry = clusters
                .entry(written)
                .or_insert_with(|| (Arc::default(), number).0)
                .clone();
            (entry, number)
        };
        let make = || async {
            let place = Place {
                name: format!("f-{:03}", cell.1),
                address: next_address(),
            };
            let generation = world
                .apply(&world.object(spec, &place.name, value, place.address))
                .await?;
            world.settle(&place.name, generation, case.answers).await?;
            Ok(place)
        };
        cell.0.get_or_init(make).await.clone()
    }
}

struct Walker<'a> {
    world: &'a World<'a>,
    fresh: &'a Fresh,
    case: &'a Case,
    place: Place,
    /// The value that the API server has, and what is seen of the cluster with it.
    value: Option<Value>,
    standing: Standing,
    /// What the API server said last.
    refusal: String,
    walked: Walked,
}

impl<'a> Walker<'a> {
    fn new(world: &'a World<'a>, fresh: &'a Fresh, case: &'a Case, number: usize) -> Self {
        Self {
            world,
            fresh,
            case,
            place: Place {
                name: format!("w-{number:03}"),
                address: next_address(),
            },
            value: case.start(),
            standing: Standing::default(),
            refusal: String::new(),
            walked: Walked {
                row: case.row().to_owned(),
                written: Effect::AtCreation,
                changed: Effect::NotTried,
                removed: Effect::NotTried,
                faults: Vec::new(),
                unforeseen: Vec::new(),
            },
        }
    }

    async fn walk(mut self) -> Walked {
        if let Err(fault) = self.steps().await {
            self.walked.faults.push(fault);
        }
        self.walked
    }

    async fn steps(&mut self) -> Result<(), String> {
        let first = self.object(self.value.as_ref());
        let generation = self.world.apply(&first).await?;
        self.standing = self.settle(generation).await?;
        if self.case.from == From::Base {
            self.walked.written = self.step("written", Some(self.case.first())).await?;
        }
        if let Some(second) = self.case.second() {
            self.walked.changed = self.step("changed", Some(second)).await?;
        }
        for bad in &self.case.bad {
            self.try_bad(bad).await?;
        }
        let is_effective = !self.is_stalled() && !self.is_held();
        let effective = if is_effective {
            self.value.clone()
        } else {
            self.case.start()
        };
        if is_whole() {
            self.compare("with the field changed", effective.as_ref()).await?;
        }
        self.remove(effective).await
    }

    async fn remove(&mut self, effective: Option<Value>) -> Result<(), String> {
        let expected = self.case.removed();
        // Of two required hosts the second cannot go alone.
        self.walked.removed = self.step("removed", None).await?;
        let is_refused = self.walked.removed == Effect::Refused;
        if is_refused != (expected == Removed::Refused) {
            return Err(format!(
                "removing it is {expected:?} in the reference, and {:?} {}",
                self.walked.removed, self.refusal
            ));
        }
        match expected {
            Removed::Refused => Ok(()),
            Removed::Default => self.compare("with the field removed", None).await,
            Removed::Keeps => self.compare("with the field removed", effective.as_ref()).await,
        }
    }

    fn is_stalled(&self) -> bool {
        self.standing.stalled.is_some()
    }

    /// The field's own values are not in effect.
    fn is_held(&self) -> bool {
        [&self.walked.written, &self.walked.changed].contains(&&Effect::Held)
    }

    fn object(&self, value: Option<&Value>) -> Value {
        self.world
            .object(self.case, &self.place.name, value, self.place.address)
    }

    async fn settle(&self, generation: i64) -> Result<Standing, String> {
        self.world
            .settle(&self.place.name, generation, self.case.answers)
            .await
    }

    /// Writes a value, and sees what that does.
    async fn step(&mut self, what: &str, value: Option<Value>) -> Result<Effect, String> {
        let object = self.object(value.as_ref());
        let foreseen = self.world.foresee(&object).await;
        let generation = match self.world.apply(&object).await {
            Ok(generation) => generation,
            Err(words) => {
                self.refusal = words;
                return Ok(Effect::Refused);
            }
        };
        let before = std::mem::take(&mut self.standing);
        self.standing = self.settle(generation).await?;
        self.value = value;
        let effect = effect(&before, &self.standing);
        self.check_foreseen(what, &foreseen, &effect);
        Ok(effect)
    }

    fn check_foreseen(&mut self, what: &str, foreseen: &Foreseen, effect: &Effect) {
        let (control_plane, etcd) = match effect {
            Effect::Rolls { control_plane, etcd } => (*control_plane, *etcd),
            Effect::Held | Effect::Refused | Effect::Stalled(_) | Effect::AtCreation | Effect::NotTried => {
                (false, false)
            }
        };
        let is_announced = !(control_plane || etcd) || foreseen.impact >= Impact::Rolling;
        if (foreseen.control_plane, foreseen.etcd) != (control_plane, etcd) || !is_announced {
            self.walked.unforeseen.push(format!(
                "`{}` {what}: {effect:?}, and the plan said {} {:?}",
                self.walked.row,
                foreseen.impact.as_str(),
                foreseen.effects
            ));
        }
    }

    /// Writes a value that is wrong, and then the one before again.
    async fn try_bad(&mut self, bad: &Value) -> Result<(), String> {
        let Ok(generation) = self.world.apply(&self.object(Some(bad))).await else {
            return Ok(());
        };
        let wrong = self.settle(generation).await;
        let generation = self.world.apply(&self.object(self.value.as_ref())).await?;
        self.standing = self.settle(generation).await?;
        match wrong {
            Ok(wrong) if wrong.stalled.is_none() && wrong.held == self.standing.held => {
                Err(format!("{bad} is taken, although it is wrong"))
            }
            Ok(_) => Ok(()),
            Err(reason) => Err(format!("with {bad}: {reason}")),
        }
    }

    /// Compares the cluster with a fresh one.
    async fn compare(&mut self, when: &str, value: Option<&Value>) -> Result<(), String> {
        if self.case.differs.is_some() {
            return Ok(());
        }
        // What nothing was ever made for has nothing to compare.
        if self.case.from == From::Creation && self.is_stalled() {
            return Ok(());
        }
        let mut spec = self.case.clone();
        if value.is_some() {
            merge(&mut spec.base, &self.case.pins);
        }
        let (world, case) = (self.world, self.case);
        let mut like = self.fresh.like(world, case, &spec, value, "").await?;
        if lasting(&self.pins(&self.place).await) != lasting(&self.pins(&like).await) {
            // The same pins have to be given.
            like = self
                .fresh
                .like(world, case, &spec, value, &format!("{} {when}", case.row()))
                .await?;
            self.give_pins(&like).await;
        }
        let mut last = None;
        // An operator outside its cluster finds out only after a while that a fresh cluster's pins were changed.
        let alike = try_eventually(LONG, async || {
            let walked = objects(world, &self.place.name, &self.place.address.to_string()).await;
            let fresh = objects(world, &like.name, &like.address.to_string()).await;
            last = difference(&walked, &fresh);
            last.is_none().then_some(())
        });
        match alike.await {
            Ok(()) => {}
            Err(_) => self.walked.faults.push(format!(
                "{when}, it is not like a fresh one:\n    {}",
                last.unwrap_or_default()
            )),
        }
        Ok(())
    }

    async fn pins(&self, place: &Place) -> Value {
        let secret = self
            .world
            .bench
            .api::<Secret>()
            .get_opt(&format!("{}-ca", place.name))
            .await
            .unwrap();
        let annotations = secret
            .and_then(|secret| secret.metadata.annotations)
            .unwrap_or_default();
        let text = annotations
            .get(labels::PINS)
            .cloned()
            .unwrap_or_else(|| "null".to_owned());
        let host = self.host(place).await;
        let text = text.replace(&format!("\"{host}\""), "\"{host}\"");
        let ip = self.address_of_service(place).await;
        let text = text
            .replace(&place.name, "{name}")
            .replace(&format!("\"{ip}\""), "\"{ip}\"");
        serde_json::from_str(&text.replace(&place.address.to_string(), "{address}")).unwrap()
    }

    async fn host(&self, place: &Place) -> String {
        let status = self
            .world
            .bench
            .cluster(&place.name)
            .await
            .status
            .unwrap_or_default();
        status
            .endpoint
            .map_or_else(|| "-".to_owned(), |endpoint| endpoint.host)
    }

    /// The address that the Service in use has within the cluster.
    async fn address_of_service(&self, place: &Place) -> String {
        let mine = kube::api::ListParams::default().labels(&format!("{}={}", labels::CLUSTER, place.name));
        let services = self
            .world
            .bench
            .api::<k8s_openapi::api::core::v1::Service>()
            .list(&mine)
            .await
            .unwrap();
        let ips: BTreeSet<String> = services
            .into_iter()
            .filter_map(|service| service.spec?.cluster_ip)
            .filter(|ip| ip != "None")
            .collect();
        ips.into_iter().next().unwrap_or_else(|| "-".to_owned())
    }

    /// Gives a fresh cluster the pins that the walked one has from its past.
    async fn give_pins(&self, like: &Place) {
        let text = json!(lasting(&self.pins(&self.place).await)).to_string();
        let text = text
            .replace("{name}", &like.name)
            .replace("{address}", &like.address.to_string());
        let text = text.replace("{ip}", &self.address_of_service(like).await);
        let text = text.replace("{host}", &self.host(like).await);
        let (mut names, address): (Vec<String>, Value) = serde_json::from_str(&text).unwrap();
        names.sort();
        let secrets = self.world.bench.api::<Secret>();
        let name = format!("{}-ca", like.name);
        let live = secrets.get(&name).await.unwrap();
        let annotations = live.metadata.annotations.unwrap_or_default();
        let mut pins: Value = serde_json::from_str(&annotations[labels::PINS]).unwrap();
        pins["sans"] = json!(names);
        if !address.is_null() {
            pins["externalAddress"] = address;
        }
        let patch = json!({"metadata": {"annotations": {labels::PINS: pins.to_string()}}});
        secrets
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }
}

/// Pins that tell of the past: names are never taken away again, and behind hosts of its own a cluster keeps the address
/// that it had before.
fn lasting(pins: &Value) -> [&Value; 2] {
    [&pins["sans"], &pins["externalAddress"]]
}

fn effect(before: &Standing, after: &Standing) -> Effect {
    if let Some(reason) = &after.stalled {
        return Effect::Stalled(reason.clone());
    }
    let rolls = |before: &Option<String>, after: &Option<String>| matches!((before, after), (Some(before), Some(after)) if before != after);
    let (control_plane, etcd) = (
        rolls(&before.control_plane, &after.control_plane),
        rolls(&before.etcd, &after.etcd),
    );
    if !control_plane && !etcd && after.held.difference(&before.held).next().is_some() {
        return Effect::Held;
    }
    Effect::Rolls { control_plane, etcd }
}

/// Lays one mapping over another, key by key.
pub fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
