//! The operator on real servers: a namespace for each test, and a controller that sees no other.

mod change;
mod crash;
mod deletion;
mod exposure;
mod fights;
mod foreign;
mod growth;
mod ready;
mod requests;
mod rivals;
mod settings;
mod storage;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k0smotron_fleet::api::{K0smotronCluster, labels};
use k0smotron_fleet::client::{Client, Target, USER_AGENT};
use k0smotron_fleet::hosted::Reach;
use k0smotron_fleet::render::{PUBLISHED_NAME, Published, Settings};
use k0smotron_fleet::server::{ControllerOptions, ServerError, run_until};
use k0smotron_fleet::telemetry::{self, LogFormat};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client as KubeClient, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::audit::{self, Mark};
use crate::support::kubelet::{Answers, Kubelet, Policy};
use crate::support::{Namespace, Servers, crds, eventually, hosting};

/// For what takes a second when nothing else runs on the machine.
pub const SOON: Duration = Duration::from_secs(60);
/// No write for this long means that nothing is going on: longer than any gathering of reports, and than the first
/// looks at a control plane that is not there yet.
const QUIET: Duration = Duration::from_secs(3);

/// Servers, a namespace on them, and nodes for its pods.
pub struct Bench<'a> {
    pub servers: &'a Servers,
    pub client: KubeClient,
    pub namespace: Arc<Namespace>,
    pub kubelet: Kubelet,
    _answers: Answers,
}

impl Bench<'static> {
    /// On the servers that all tests share.
    pub async fn new(hint: &str) -> Self {
        Self::on(Servers::shared().await, hint, Policy::Ready).await
    }

    /// With a controller and a cluster that is ready.
    pub async fn with_cluster(hint: &str, name: &str, spec: Value) -> (Self, Controller) {
        let bench = Self::new(hint).await;
        let controller = bench.controller().await;
        bench.apply(name, spec).await;
        bench.until_ready(name).await;
        (bench, controller)
    }

    /// With pods that do as `policy` says.
    pub async fn with_pods(hint: &str, policy: Policy) -> Self {
        Self::on(Servers::shared().await, hint, policy).await
    }
}

impl<'a> Bench<'a> {
    pub async fn on(servers: &'a Servers, hint: &str, policy: Policy) -> Self {
        let namespace = servers.namespace(hint).await;
        Self::of(servers, namespace, servers.node_address, policy).await
    }

    /// In this namespace, with a Node that has this address.
    pub async fn of(
        servers: &'a Servers,
        namespace: impl Into<Arc<Namespace>>,
        node: Ipv4Addr,
        policy: Policy,
    ) -> Self {
        let namespace = namespace.into();
        let client = servers.client().await;
        if std::env::var_os("TEST_LOG").is_some() {
            // Started once for all tests of this process.
            let _ = telemetry::start(LogFormat::Text, "k0smotron_fleet=debug");
        }
        crds::install(&client).await;
        hosting::node(&client, "node-1", node.into()).await;
        hosting::default_storage_class(&client).await;
        Self {
            kubelet: Kubelet::start(client.clone(), Some(&namespace.name), policy),
            _answers: Answers::start(client.clone(), Some(&namespace.name)),
            servers,
            client,
            namespace,
        }
    }

    /// Starts a controller in this process.
    pub async fn controller(&self) -> Controller {
        self.controller_with(settings()).await
    }

    pub async fn controller_with(&self, settings: Settings) -> Controller {
        self.start(settings, None).await
    }

    /// One that tells in the namespace of the bench how it renders, and has done so.
    pub async fn controller_publishing(&self, settings: Settings) -> Controller {
        let namespace = &self.namespace.name;
        let wanted = Published::of_this_program(&settings).to_object(namespace).0["data"].clone();
        let controller = self.start(settings, Some(namespace.clone())).await;
        let published: Api<ConfigMap> = self.api();
        eventually("it is published how the operator renders", SOON, async || {
            let found = published.get_opt(PUBLISHED_NAME).await;
            let found = found.map_err(|error| error.to_string())?;
            match json!(found)["data"] == wanted {
                true => Ok(()),
                false => Err(json!(found).to_string()),
            }
        })
        .await;
        controller
    }

    async fn start(&self, settings: Settings, published_in: Option<String>) -> Controller {
        let target = Target {
            kubeconfig: Some(self.servers.kubeconfig()),
            context: None,
            identity: None,
        };
        let options = ControllerOptions {
            client: Client::connect(&target)
                .await
                .expect("the kubeconfig is complete"),
            election: None,
            namespaces: vec![self.namespace.name.clone()],
            listen: None,
            settings,
            reach: Reach::Outside,
            concurrency: Some(4),
            instance: "test".to_owned(),
            syncs: None,
            directory: None,
            parent_namespace: "k0smotron-fleet".to_owned(),
            published_in,
        };
        let stop = CancellationToken::new();
        Controller {
            running: tokio::spawn(run_until(options, stop.clone())),
            _guard: stop.clone().drop_guard(),
            stop,
        }
    }

    pub fn clusters(&self) -> Api<K0smotronCluster> {
        self.api()
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace.name)
    }

    /// Applies a cluster as a user does; `spec: null` is a spec too.
    pub async fn apply(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": { "name": name, "namespace": self.namespace.name }, "spec": spec,
        });
        let how = PatchParams::apply("test-user").force();
        let applied = self.clusters().patch(name, &how, &Patch::Apply(object)).await;
        applied.unwrap_or_else(|error| panic!("cannot apply cluster {name}: {error}"));
    }

    pub async fn merge(&self, name: &str, patch: Value) {
        let merged = self
            .clusters()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        merged.unwrap_or_else(|error| panic!("cannot patch cluster {name}: {error}"));
    }

    pub async fn cluster(&self, name: &str) -> K0smotronCluster {
        self.clusters().get(name).await.expect("the cluster is there")
    }

    /// Waits until a condition has this status and reason for the current generation.
    pub async fn until(&self, name: &str, kind: &str, status: &str, reason: &str) -> K0smotronCluster {
        eventually(
            &format!("{name} has {kind}={status}/{reason}"),
            SOON,
            async || {
                let cluster = self
                    .clusters()
                    .get(name)
                    .await
                    .map_err(|error| error.to_string())?;
                let (live, generation) = (
                    cluster.status.clone().unwrap_or_default(),
                    cluster.metadata.generation,
                );
                let condition = live.conditions.iter().find(|condition| condition.type_ == kind);
                match condition {
                    Some(condition)
                        if (condition.status.as_str(), condition.reason.as_str()) == (status, reason)
                            && condition.observed_generation == generation =>
                    {
                        Ok(cluster)
                    }
                    _ => Err(json!(live).to_string()),
                }
            },
        )
        .await
    }

    /// Waits until nothing of the current generation is applied for this reason, and returns the words for it.
    pub async fn until_stalled(&self, name: &str, reason: &str) -> String {
        let status = self.until(name, "Stalled", "True", reason).await.status;
        let conditions = status.unwrap_or_default().conditions;
        let stalled = conditions
            .into_iter()
            .find(|condition| condition.type_ == "Stalled");
        stalled.expect("it was waited for").message
    }

    pub async fn until_ready(&self, name: &str) -> K0smotronCluster {
        eventually(&format!("{name} is ready"), SOON, async || {
            let cluster = self
                .clusters()
                .get(name)
                .await
                .map_err(|error| error.to_string())?;
            let status = cluster.status.clone().unwrap_or_default();
            let is_ready = status.observed_generation == cluster.metadata.generation
                && status
                    .conditions
                    .iter()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            if is_ready {
                Ok(cluster)
            } else {
                Err(json!(status).to_string())
            }
        })
        .await
    }

    pub async fn mark(&self) -> Mark {
        self.servers.audit.mark(&self.client).await
    }

    /// Returns what the controller asked for in this namespace since then.
    pub async fn since(&self, mark: Mark) -> Vec<audit::Event> {
        let events = self.servers.audit.since(&self.client, mark).await;
        audit::within(audit::by(events, USER_AGENT), &self.namespace.name)
    }

    /// Waits until the controller has written nothing for a while, and returns everything it asked for since `mark`.
    pub async fn quiet(&self, mark: Mark) -> Vec<audit::Event> {
        let writes = |events: &[audit::Event]| audit::counts(events).writes;
        audit::quiet(QUIET, SOON, writes, async || self.since(mark).await).await
    }

    /// Asserts that the controller writes nothing for a while.
    pub async fn assert_no_write(&self, since: Mark, why: &str) {
        let events = self.quiet(since).await;
        let writes: Vec<_> = events.into_iter().filter(audit::Event::is_write).collect();
        assert!(writes.is_empty(), "{why}:\n{}", audit::summary(&writes));
    }

    /// Asserts that nothing is to be done: what was seen last may still be reported, and then nothing more is written.
    pub async fn assert_at_rest(&self, why: &str) {
        let events = self.quiet(self.mark().await).await;
        let is_work = |event: &audit::Event| event.is_write() && !event.is_report();
        let work: Vec<_> = events.into_iter().filter(is_work).collect();
        assert!(work.is_empty(), "{why}:\n{}", audit::summary(&work));
        self.assert_no_write(self.mark().await, why).await;
    }

    /// Starts a controller, and asserts that it says nothing of these clusters and writes nothing but for a new one.
    pub async fn take_over(&self, names: &[String]) -> Controller {
        let said = async || {
            let mut said = Vec::new();
            for name in names {
                said.push((name, self.events(name).await));
            }
            said
        };
        let before = said().await;
        let mark = self.mark().await;
        let controller = self.controller().await;
        // One that is new shows that the others have been looked at: its turn comes after theirs.
        self.apply("last", Value::Null).await;
        self.until_ready("last").await;
        let events = self.quiet(mark).await;
        // The server gives Events their names, so the log does not say which cluster one is about.
        let is_about_others = |event: &audit::Event| {
            event.is_write() && event.resource != "events" && !event.name.contains("last")
        };
        let writes: Vec<_> = events.into_iter().filter(is_about_others).collect();
        assert!(writes.is_empty(), "{}", audit::summary(&writes));
        assert_eq!(said().await, before);
        controller
    }

    pub async fn delete(&self, name: &str) {
        self.clusters()
            .delete(name, &DeleteParams::default())
            .await
            .expect("the cluster is there");
    }

    pub async fn until_gone(&self, name: &str) {
        eventually(&format!("{name} is gone"), SOON, async || {
            match self.clusters().get_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(cluster)) => Err(json!(cluster).to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Waits until there is no object of this kind and name.
    pub async fn until_none<K>(&self, name: &str)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        eventually(&format!("{name} is gone"), SOON, async || {
            let object = self.api::<K>().get_opt(name).await.unwrap();
            object.is_none().then_some(())
        })
        .await;
    }

    /// Names of all objects of a kind, sorted.
    pub async fn names<K>(&self) -> Vec<String>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        let objects = self.api::<K>().list(&ListParams::default()).await.unwrap();
        let mut names: Vec<String> = objects.iter().map(|object| object.name_any()).collect();
        names.sort();
        names
    }

    /// Names and uids of all pods, sorted.
    pub async fn pods(&self) -> Vec<String> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await.unwrap();
        let mut pods: Vec<String> = pods
            .iter()
            .map(|pod| format!("{} {}", pod.name_any(), pod.uid().unwrap()))
            .collect();
        pods.sort();
        pods
    }

    /// Events about a cluster, as `reason: note`.
    pub async fn events(&self, name: &str) -> Vec<String> {
        let events: Api<Event> = self.api();
        let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let events = events.list(&about).await.expect("events can be listed").items;
        events
            .into_iter()
            .map(|event| {
                format!(
                    "{}: {}",
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default()
                )
            })
            .collect()
    }

    /// Names and uids of everything of ours in the namespace, sorted.
    pub async fn children(&self) -> Vec<String> {
        let ours = ListParams::default().labels(&format!(
            "{}={}",
            labels::APP_MANAGED_BY,
            labels::APP_MANAGED_BY_VALUE
        ));
        let mut all = Vec::new();
        for name in self.api::<StatefulSet>().list(&ours).await.unwrap().items {
            all.push(format!(
                "StatefulSet/{} {}",
                name.metadata.name.unwrap(),
                name.metadata.uid.unwrap()
            ));
        }
        for name in self.api::<Service>().list(&ours).await.unwrap().items {
            all.push(format!(
                "Service/{} {}",
                name.metadata.name.unwrap(),
                name.metadata.uid.unwrap()
            ));
        }
        for name in self.api::<Secret>().list(&ours).await.unwrap().items {
            all.push(format!(
                "Secret/{} {}",
                name.metadata.name.unwrap(),
                name.metadata.uid.unwrap()
            ));
        }
        for name in self
            .api::<PersistentVolumeClaim>()
            .list(&ours)
            .await
            .unwrap()
            .items
        {
            all.push(format!(
                "Claim/{} {}",
                name.metadata.name.unwrap(),
                name.metadata.uid.unwrap()
            ));
        }
        all.sort();
        all
    }

    /// Bytes of a Secret's value, for comparisons.
    pub async fn secret(&self, name: &str, key: &str) -> Vec<u8> {
        let secret = self.api::<Secret>().get(name).await;
        let secret = secret.unwrap_or_else(|error| panic!("no Secret {name}: {error}"));
        let mut data = secret.data.unwrap_or_default();
        data.remove(key)
            .unwrap_or_else(|| panic!("Secret {name} has no {key}"))
            .0
    }

    /// Revision that the pods of a StatefulSet are to have: another one means that they roll.
    pub async fn revision(&self, name: &str) -> String {
        let set = self.api::<StatefulSet>().get(name).await;
        let set = set.unwrap_or_else(|error| panic!("no StatefulSet {name}: {error}"));
        set.status
            .and_then(|status| status.update_revision)
            .unwrap_or_default()
    }
}

/// Whether a StatefulSet as it is now has all its pods, and they are ready.
pub fn has_its_pods(set: &StatefulSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    status.observed_generation == set.metadata.generation
        && status.replicas == replicas
        && status.ready_replicas.unwrap_or_default() == replicas
}

/// A controller that runs in this process. Stops when dropped.
pub struct Controller {
    running: JoinHandle<Result<(), ServerError>>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Controller {
    /// Ends it as SIGTERM does.
    pub async fn end(self) {
        self.stop.cancel();
        self.running
            .await
            .expect("it does not panic")
            .expect("it ends well");
    }
}

pub fn settings() -> Settings {
    Settings::standard()
}
