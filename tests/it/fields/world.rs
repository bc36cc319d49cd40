//! Servers on which many clusters live at once, and what is seen of them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k0smotron_fleet::api::{K0smotronCluster, labels};
use k0smotron_fleet::client::{Client, Target};
use k0smotron_fleet::object::{Object, ObjectId, Observed, kinds};
use k0smotron_fleet::observe;
use k0smotron_fleet::plan::{self, Files, FleetEntry, FleetInput, FleetPolicy, Impact, Owner, Plan, Preview};
use k0smotron_fleet::render::{self, Facts};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::cases::{Answers, Case};
use crate::operator::{Bench, Controller, has_its_pods, settings};
use crate::support::audit::Mark;
use crate::support::certificates::Authority;
use crate::support::process::Process;
use crate::support::{gateway, hosting, kubelet, ports, try_eventually};

/// For what takes a second when nothing else runs on the machine.
pub const LONG: Duration = Duration::from_secs(120);

pub struct World<'a> {
    pub bench: Bench<'a>,
    pub client: Client,
    clusters: Store<K0smotronCluster>,
    sets: Store<StatefulSet>,
    _controller: Controller,
    _tasks: JoinSet<()>,
}

/// What is seen of a cluster once nothing more is to be done about its object.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Revisions that the pods of the two StatefulSets have.
    pub control_plane: Option<String>,
    pub etcd: Option<String>,
    /// Reason for which nothing of this generation is applied.
    pub stalled: Option<String>,
    /// What is not done: `what reason`.
    pub held: BTreeSet<String>,
}

/// What the plan of a fleet said about a change before it was made.
#[derive(Clone, Debug)]
pub struct Foreseen {
    pub control_plane: bool,
    pub etcd: bool,
    pub impact: Impact,
    pub effects: Vec<String>,
}

impl<'a> World<'a> {
    pub async fn new(bench: Bench<'a>) -> Self {
        surroundings(&bench).await;
        let target = Target {
            kubeconfig: Some(bench.servers.kubeconfig()),
            context: None,
            identity: None,
        };
        let mut tasks = JoinSet::new();
        let clusters = follow(bench.clusters(), &mut tasks);
        let sets = follow(bench.api::<StatefulSet>(), &mut tasks);
        tasks.spawn(give_addresses(bench.client.clone(), bench.namespace.name.clone()));
        Self {
            client: Client::connect(&target)
                .await
                .expect("the kubeconfig is complete"),
            clusters,
            sets,
            _controller: bench.controller().await,
            _tasks: tasks,
            bench,
        }
    }

    fn namespace(&self) -> &str {
        &self.bench.namespace.name
    }

    /// The object as a user writes it.
    pub fn object(&self, case: &Case, name: &str, value: Option<&Value>, address: Ipv4Addr) -> Value {
        let mut object = json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": name, "namespace": self.namespace() }, "spec": case.spec(value),
        });
        if let (Some(field), Some(value)) = (case.field.strip_prefix("metadata."), value) {
            object["metadata"][field] = value.clone();
        }
        serde_json::from_str(&object.to_string().replace("{address}", &address.to_string())).unwrap()
    }

    /// Applies it, and returns its generation, or the words with which the API server refused it.
    pub async fn apply(&self, object: &Value) -> Result<i64, String> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let how = PatchParams::apply(labels::FLEET_MANAGER).force();
        match self
            .bench
            .clusters()
            .patch(name, &how, &Patch::Apply(object))
            .await
        {
            Ok(cluster) => Ok(cluster.metadata.generation.unwrap_or_default()),
            // A value of a wrong type is 500 for an apply, before the schema is asked.
            Err(kube::Error::Api(status)) if [422, 500].contains(&status.code) => Err(status.message.clone()),
            Err(error) => panic!("cannot apply {object}: {error}"),
        }
    }

    /// Waits until nothing more is to be done about a generation.
    pub async fn settle(&self, name: &str, generation: i64, answers: Answers) -> Result<Standing, String> {
        let mut replaced = BTreeSet::new();
        let settled = try_eventually(LONG, async || {
            self.settled(name, generation, answers, &mut replaced).await
        });
        self.at_rest(name, settled.await).await
    }

    /// Adds to the reason why a cluster is not at rest all that tells whether the test or its servers stand still.
    async fn at_rest(&self, name: &str, outcome: Result<Standing, String>) -> Result<Standing, String> {
        let reason = match outcome {
            Ok(standing) => return Ok(standing),
            Err(reason) => reason,
        };
        let ours = ListParams::default().labels(&format!("{}={name}", labels::CLUSTER));
        let sets = self.bench.api::<StatefulSet>().list(&ours).await;
        let sets = sets
            .into_iter()
            .flatten()
            .map(|set| format!("{}: {}", set.name_any(), json!(set.status)));
        let pods = self.bench.api::<Pod>().list(&ours).await;
        let pods = pods.into_iter().flatten().map(|pod| {
            let ends = &pod.metadata.deletion_timestamp;
            let revision = pod.labels().get("controller-revision-hash");
            let is_ready = kubelet::is_ready(&pod);
            format!(
                "{} of {revision:?}, ready {is_ready}, ends {ends:?}",
                pod.name_any()
            )
        });
        let servers = self.bench.servers;
        let (set, namespace) = (format!("kmc-{name}"), self.namespace());
        let log = servers.controller_manager.as_ref().map(Process::log);
        let log = log.unwrap_or_default();
        let log = log
            .lines()
            .filter(|line| line.contains(namespace) && line.contains(&set));
        let requests =
            servers.audit.read(Mark::BEGINNING).into_iter().filter(|event| {
                event.is_write() && event.namespace == namespace && event.name.starts_with(&set)
            });
        let requests =
            requests.map(|event| format!("{} {} {}", event.received, event.user_agent, event.summary()));
        let (log, requests) = (last(log.map(str::to_owned)), last(requests));
        let seen: Vec<String> = sets.chain(pods).chain(log).chain(requests).collect();
        Err(format!(
            "{name} is not at rest: {reason}\n    {}",
            seen.join("\n    ")
        ))
    }

    /// Returns what is seen, or what is still to be done.
    async fn settled(
        &self,
        name: &str,
        generation: i64,
        answers: Answers,
        replaced: &mut BTreeSet<String>,
    ) -> Result<Standing, String> {
        let names = [format!("kmc-{name}"), format!("kmc-{name}-etcd")];
        let sets = names
            .each_ref()
            .map(|set| self.sets.get(&ObjectRef::new(set).within(self.namespace())));
        if let Some(unsettled) = sets.iter().flatten().find(|set| !is_settled(set)) {
            self.replace_members(unsettled, replaced).await;
            return Err(format!("pods: {}", json!(unsettled.status)));
        }
        let cluster = self.clusters.get(&ObjectRef::new(name).within(self.namespace()));
        let cluster = cluster.ok_or("no cluster")?;
        let standing = standing(&cluster, generation, answers)
            .ok_or_else(|| json!(cluster.status.clone().unwrap_or_default().conditions).to_string())?;
        let [control_plane, etcd] = &names;
        Ok(Standing {
            control_plane: self.revision(control_plane).await?,
            etcd: self.revision(etcd).await?,
            ..standing
        })
    }

    /// Returns the revision of a StatefulSet that is settled, as the server has it: the two watches tell what happened
    /// in any order, so the one of StatefulSets may know less than the one of clusters.
    async fn revision(&self, name: &str) -> Result<Option<String>, String> {
        let sets = self.bench.api::<StatefulSet>();
        let set = sets.get_opt(name).await.map_err(|error| error.to_string())?;
        match set {
            Some(set) if !is_settled(&set) => Err(format!("pods: {}", json!(set.status))),
            Some(set) => Ok(set.status.and_then(|status| status.update_revision)),
            None => Ok(None),
        }
    }

    /// Members of etcd are replaced one by one by whoever sees that it is safe: here nobody but the test can.
    async fn replace_members(&self, set: &StatefulSet, replaced: &mut BTreeSet<String>) {
        let wanted = set
            .status
            .as_ref()
            .and_then(|status| status.update_revision.clone());
        let name = set.metadata.name.clone().unwrap_or_default();
        if !name.ends_with("-etcd") {
            return;
        }
        let pods: Api<Pod> = self.bench.api();
        let members = set
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or_default();
        for pod in (0..members).map(|ordinal| format!("{name}-{ordinal}")) {
            let Ok(Some(found)) = pods.get_opt(&pod).await else {
                continue;
            };
            let revision = found
                .metadata
                .labels
                .unwrap_or_default()
                .remove("controller-revision-hash");
            if revision != wanted && replaced.insert(found.metadata.uid.unwrap_or_default()) {
                let _ = pods.delete(&pod, &DeleteParams::default()).await;
            }
        }
    }

    /// Plans a fleet of this one cluster; `None`: it left the files.
    pub async fn plan(&self, id: &ObjectId, desired: Option<&Value>, policy: &FleetPolicy) -> Plan {
        let mut live = observe::fleet(&self.client, &[self.namespace().to_owned()].into())
            .await
            .expect("clusters can be read");
        live.objects = live
            .objects
            .iter()
            .filter(|(other, _)| *other == id)
            .map(|(id, object)| (id.clone(), object.clone()))
            .collect();
        let (children, addresses) = self.children(id).await;
        let desired: Vec<FleetEntry> = desired
            .into_iter()
            .map(|object| FleetEntry {
                id: id.clone(),
                object: Object(object.clone()).into(),
                source: "cluster.yaml".to_owned(),
                is_of_set: false,
                place: "cluster.yaml:1:1".to_owned(),
                places: Default::default(),
            })
            .collect();
        let (rejected, settings) = (BTreeSet::new(), settings());
        let input = FleetInput {
            desired: &desired,
            rejected: &rejected,
            observed: &live,
            unchanged: &BTreeSet::new(),
            preview: Ok(Preview {
                children: &children,
                node_addresses: &addresses,
                settings: &settings,
                now: Timestamp::now(),
            }),
        };
        plan::fleet(&input, policy)
    }

    /// What the operator would look at.
    async fn children(&self, id: &ObjectId) -> (Observed, Vec<String>) {
        let children = observe::children(&self.client, &[id.clone()].into())
            .await
            .expect("children can be read");
        let addresses = observe::node_addresses(&self.client)
            .await
            .expect("nodes can be read");
        (children, addresses)
    }

    /// Waits until nothing more is to be done, also by the operator's own decision.
    pub async fn rest(&self, id: &ObjectId, generation: i64, answers: Answers) -> Result<Standing, String> {
        let mut replaced = BTreeSet::new();
        let rest = try_eventually(LONG, async || {
            let standing = self.settled(&id.name, generation, answers, &mut replaced).await?;
            let cluster = self.bench.cluster(&id.name).await;
            if standing.stalled.is_some() || cluster.spec.paused == Some(true) {
                return Ok(standing);
            }
            let (children, addresses) = self.children(id).await;
            let facts = Facts::gather(&cluster, &children, &addresses, Timestamp::now());
            let Ok(resolved) = render::resolve(&cluster.spec, &facts, &settings()) else {
                return Ok(standing);
            };
            let plan = plan::children(&render::objects(&resolved), &children, &Owner::of(&facts));
            // Kinds that some servers lack are not looked at.
            let mut work = plan
                .actions()
                .filter(|action| !observe::is_optional(action.id.kind));
            match (work.next(), &resolved.endpoint) {
                (None, Ok(_)) => Ok(standing),
                (action, endpoint) => Err(format!("{endpoint:?} {action:?}")),
            }
        });
        self.at_rest(&id.name, rest.await).await
    }

    /// Asks for the plan of a fleet that changes this one cluster.
    pub async fn foresee(&self, object: &Value) -> Foreseen {
        let name = object["metadata"]["name"].as_str().unwrap();
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, self.namespace(), name);
        let plan = self
            .plan(&id, Some(object), &FleetPolicy::of(None, Files::Sound))
            .await;
        let effects: Vec<String> = plan.actions().flat_map(|action| action.effects.clone()).collect();
        let replaces = |effect: &&String| effect.contains(" replaced");
        Foreseen {
            control_plane: effects
                .iter()
                .filter(replaces)
                .any(|effect| !effect.starts_with("etcd: ")),
            etcd: effects
                .iter()
                .filter(replaces)
                .any(|effect| effect.starts_with("etcd: ")),
            impact: plan
                .actions()
                .map(|action| action.impact)
                .max()
                .unwrap_or(Impact::Safe),
            effects,
        }
    }
}

/// The end of what was told, which is what matters of something that does not go on.
fn last(lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.collect();
    lines[lines.len().saturating_sub(25)..].to_vec()
}

fn standing(cluster: &K0smotronCluster, generation: i64, answers: Answers) -> Option<Standing> {
    let status = cluster.status.clone().unwrap_or_default();
    let of = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
    let is_current = |kind: &str| of(kind).is_some_and(|one| one.observed_generation == Some(generation));
    let is_true = |kind: &str| is_current(kind) && of(kind).is_some_and(|one| one.status == "True");
    if cluster.metadata.generation < Some(generation) {
        return None;
    }
    let stalled = is_true("Stalled")
        .then(|| of("Stalled").map(|one| one.reason.clone()))
        .flatten();
    let paused = of("Ready")
        .filter(|ready| ready.reason == "Paused")
        .map(|ready| ready.reason.clone());
    let is_paused = cluster.spec.paused == Some(true) && paused.is_some();
    let is_done = is_true("Ready")
        || stalled.is_some()
        || is_paused
        || (answers == Answers::Nobody && is_true("UpToDate") && is_current("Ready"));
    is_done.then(|| Standing {
        stalled,
        held: status
            .held
            .iter()
            .filter(|held| held.reason != "Waiting")
            .map(|held| format!("{} {}", held.what, held.reason))
            .collect(),
        ..Standing::default()
    })
}

fn is_settled(set: &StatefulSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    has_its_pods(set) && status.updated_replicas.unwrap_or_default() == status.replicas
}

fn follow<K>(api: Api<K>, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (reader, writer) = store();
    let objects = reflector(writer, watcher(api, watcher::Config::default()).default_backoff());
    tasks.spawn(objects.applied_objects().for_each(|_| async {}));
    reader
}

/// A loopback address that no other cluster has.
pub fn next_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    address(NEXT.fetch_add(1, Ordering::Relaxed), std::process::id())
}

/// Beside those of other processes, of Nodes, whose last number is even, and of the clusters of a previous build.
fn address(number: u32, process: u32) -> Ipv4Addr {
    let [_, _, third, fourth] = (number * 2 + 1).to_be_bytes();
    let [_, _, second, _] = process.to_be_bytes();
    Ipv4Addr::new(127, 128 | (second & 0x3F), third, fourth)
}

#[test]
fn an_address_is_given_once_and_is_no_nodes_and_none_of_a_previous_build() {
    for process in (0..=0xFF).map(|byte| byte << 8) {
        let addresses: BTreeSet<Ipv4Addr> = (0..1000).map(|number| address(number, process)).collect();
        assert_eq!(addresses.len(), 1000);
        for address in addresses {
            let [_, second, _, fourth] = address.octets();
            assert!(second != 77 && fourth % 2 == 1, "{address}");
        }
    }
    for _ in 0..1000 {
        assert_eq!(ports::address().octets()[3] % 2, 0);
    }
}

/// Plays the load balancer.
async fn give_addresses(client: kube::Client, namespace: String) {
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let mut given = BTreeSet::new();
    let mut events = watcher(services, watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    while let Some(event) = events.next().await {
        let Ok(service) = event else { continue };
        let is_balancer = service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"));
        let has_address = service
            .status
            .and_then(|status| status.load_balancer?.ingress)
            .is_some_and(|ingress| !ingress.is_empty());
        let is_first = is_balancer && !has_address && given.insert(service.metadata.uid.clone());
        if is_first && service.metadata.deletion_timestamp.is_none() {
            let name = service.metadata.name.unwrap_or_default();
            hosting::load_balancer(&client, &namespace, &name, next_address().into()).await;
        }
    }
}

/// What the values of the table name.
async fn surroundings(bench: &Bench<'_>) {
    gateway::install(&bench.client, "v1").await;
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-ca"}, "stringData": {"tls.crt": own.certificate, "tls.key": own.key()}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other-ca"}, "stringData": {"tls.crt": other.certificate, "tls.key": other.key()}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "other"}, "provisioner": "example.org/none"}),
    ];
    for name in ["kine-dsn", "other-dsn"] {
        let url = "postgres://k0s:secret@database.example:5432/k0s";
        objects.push(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"K0SMOTRON_KINE_DATASOURCE_URL": url, "other": url, "third": url}}),
        );
    }
    for name in ["control-planes", "others"] {
        objects.push(json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000}));
    }
    for name in ["sandboxed", "others"] {
        objects.push(json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runsc"}));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let create = ["create", "-n", &bench.namespace.name, "-f", "-"];
    bench
        .servers
        .kubectl_with(&bench.servers.kubeconfig(), &create, &list)
        .await
        .success();
    // A list shows that the namespace is served before fifty clusters ask at once.
    bench.api::<Service>().list(&ListParams::default()).await.unwrap();
}
