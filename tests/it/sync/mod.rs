//! Syncs on real servers: a namespace for each test, a local repository, and a controller that sees nothing else.

mod directory;
mod files;
mod limits;
mod repository;
mod rights;
mod thousand;
mod waves;

use std::time::Duration;

use k0smotron_fleet::api::fleet_sync::{FleetSync, FleetSyncStatus};
use k0smotron_fleet::api::{K0smotronCluster, labels};
use k0smotron_fleet::client::{Client, Target, USER_AGENT};
use k0smotron_fleet::load::Cache;
use k0smotron_fleet::load::git::FileSources;
use k0smotron_fleet::render::Settings;
use k0smotron_fleet::sync::{SyncOptions, Syncs};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client as KubeClient;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::audit::{self, Mark};
use crate::support::{Namespace, Servers, crds, eventually};
use repository::Repository;

/// For what takes a second when nothing else runs on the machine.
pub const SOON: Duration = Duration::from_secs(60);
/// The account that has the rights of a team in its namespace.
pub const ACCOUNT: &str = "fleet-sync";

/// Servers, a namespace on them, and a repository.
pub struct Bench {
    pub servers: &'static Servers,
    pub client: KubeClient,
    pub namespace: Namespace,
    pub repository: Repository,
    /// Also part of every name that the hub has only once.
    pub fleet_id: String,
}

impl Bench {
    /// With a Fleet in the repository, and the account of a team.
    pub async fn new(hint: &str) -> Self {
        let servers = Servers::shared().await;
        let client = servers.client().await;
        crds::install(&client).await;
        let namespace = servers.namespace(hint).await;
        let fleet_id = format!("{}-id", namespace.name);
        let mut bench = Self {
            servers,
            client,
            namespace,
            repository: Repository::new(),
            fleet_id,
        };
        bench.repository.write("fleet.yaml", &bench.fleet_yaml());
        bench
            .account(ACCOUNT, &["get", "list", "watch", "create", "patch"])
            .await;
        bench
    }

    pub fn fleet_yaml(&self) -> String {
        format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: team}}\nspec: {{id: {}}}\n",
            self.fleet_id
        )
    }

    /// Returns a file with one cluster of this namespace; `spec` as YAML.
    pub fn cluster_yaml(&self, name: &str, spec: &str) -> String {
        cluster_yaml(&self.namespace.name, name, spec)
    }

    /// Makes an account that may do this to clusters of this namespace.
    pub async fn account(&self, name: &str, verbs: &[&str]) {
        let namespace = &self.namespace.name;
        let created: Result<ServiceAccount, _> = self
            .api::<ServiceAccount>()
            .create(
                &PostParams::default(),
                &object(json!({ "metadata": { "name": name } })),
            )
            .await;
        created.unwrap();
        let role: Role = object(json!({
            "metadata": { "name": name },
            "rules": [
                { "apiGroups": ["k0smotron.io"], "resources": ["k0smotronclusters"], "verbs": verbs },
                { "apiGroups": ["", "apps", "batch", "networking.k8s.io", "policy"], "verbs": ["list"],
                  "resources": ["services", "configmaps", "statefulsets", "poddisruptionbudgets", "cronjobs", "ingresses",
                      "persistentvolumeclaims", "secrets"] },
            ] }));
        let binding: RoleBinding = object(json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }] }));
        self.api::<Role>()
            .create(&PostParams::default(), &role)
            .await
            .unwrap();
        self.api::<RoleBinding>()
            .create(&PostParams::default(), &binding)
            .await
            .unwrap();
    }

    /// Makes an account that may read and write clusters of this namespace and sees nothing else.
    pub async fn clusters_only(&self, name: &str) {
        self.account(name, &["get", "list", "create", "patch"]).await;
        let rules = json!({ "rules": [{ "apiGroups": ["k0smotron.io"], "resources": ["k0smotronclusters"],
            "verbs": ["get", "list", "create", "patch"] }] });
        self.api::<Role>()
            .patch(name, &PatchParams::default(), &Patch::Merge(&rules))
            .await
            .unwrap();
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace.name)
    }

    /// Applies a FleetSync of the repository; `more` is merged into its spec.
    pub async fn sync(&self, name: &str, more: Value) -> FleetSync {
        let mut spec = json!({
            "source": { "git": { "url": self.repository.url() } }, "interval": "1s", "serviceAccountName": ACCOUNT });
        merge(&mut spec, more);
        let body = json!({
            "apiVersion": "fleet.k0smotron.io/v1alpha1", "kind": "FleetSync",
            "metadata": { "name": name }, "spec": spec });
        let how = PatchParams::apply("test-user").force();
        self.api::<FleetSync>()
            .patch(name, &how, &Patch::Apply(&body))
            .await
            .unwrap()
    }

    /// Asks for a look at once, by annotation.
    pub async fn request(&self, name: &str, value: &str) {
        let body = json!({ "metadata": { "annotations": { labels::REQUESTED_AT: value } } });
        let syncs = self.api::<FleetSync>();
        syncs
            .patch(name, &PatchParams::default(), &Patch::Merge(&body))
            .await
            .unwrap();
    }

    pub async fn status(&self, name: &str) -> FleetSyncStatus {
        self.api::<FleetSync>()
            .get(name)
            .await
            .unwrap()
            .status
            .unwrap_or_default()
    }

    /// Waits until a status says something, and returns it.
    pub async fn status_that(
        &self,
        name: &str,
        what: &str,
        says: impl Fn(&FleetSyncStatus) -> bool,
    ) -> FleetSyncStatus {
        eventually(what, SOON, async || {
            let status = self.status(name).await;
            if says(&status) {
                Ok(status)
            } else {
                Err(serde_json::to_string(&status).unwrap())
            }
        })
        .await
    }

    /// Waits until Ready gives this reason.
    pub async fn ready(&self, name: &str, reason: &str) -> FleetSyncStatus {
        self.status_that(name, &format!("{name} is {reason}"), |status| {
            ready(status).1 == reason
        })
        .await
    }

    /// Waits until this commit is applied.
    pub async fn applied(&self, name: &str, commit: &str) -> FleetSyncStatus {
        let says = |status: &FleetSyncStatus| status.last_applied_revision.as_deref() == Some(commit);
        self.status_that(name, &format!("{commit} is applied"), says)
            .await
    }

    /// Waits until this commit was looked at.
    pub async fn attempted(&self, name: &str, commit: &str) -> FleetSyncStatus {
        let says = |status: &FleetSyncStatus| status.last_attempted_revision.as_deref() == Some(commit);
        self.status_that(name, &format!("{commit} is looked at"), says)
            .await
    }

    /// Returns the clusters of this namespace by name, with their replicas.
    pub async fn clusters(&self) -> Vec<(String, Option<i32>)> {
        let list = self
            .api::<K0smotronCluster>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let one =
            |cluster: K0smotronCluster| (cluster.metadata.name.unwrap_or_default(), cluster.spec.replicas);
        list.items.into_iter().map(one).collect()
    }

    pub async fn mark(&self) -> Mark {
        self.servers.audit.mark(&self.client).await
    }

    /// Returns what the controller of this test asked for since the mark, watches left out.
    pub async fn requests(&self, mark: Mark) -> Vec<audit::Event> {
        let events = audit::within(
            self.servers.audit.since(&self.client, mark).await,
            &self.namespace.name,
        );
        let mut events = audit::by(events, USER_AGENT);
        events.retain(|event| event.verb != "watch");
        events
    }

    /// Starts the syncs of this namespace in this process.
    pub async fn controller(&self) -> Controller {
        self.controller_with(FileSources::Allowed).await
    }

    pub async fn controller_with(&self, file_sources: FileSources) -> Controller {
        let options = SyncOptions {
            client: connect(self.servers).await,
            namespaces: vec![self.namespace.name.clone()],
            cache: Cache::temporary(&std::env::temp_dir()).unwrap(),
            file_sources,
            parent_namespace: self.namespace.name.clone(),
            settings: Settings::standard(),
            instance: "test".to_owned(),
        };
        let syncs = Syncs::new(options);
        let stop = CancellationToken::new();
        tokio::spawn(syncs.clone().watch(stop.clone()));
        let working = (syncs, stop.clone());
        tokio::spawn(async move { working.0.work(working.1).await });
        Controller {
            _guard: stop.drop_guard(),
        }
    }
}

/// Syncs that run until this is dropped.
pub struct Controller {
    _guard: DropGuard,
}

pub async fn connect(servers: &Servers) -> Client {
    let target = Target {
        kubeconfig: Some(servers.kubeconfig()),
        context: None,
        identity: None,
    };
    Client::connect(&target).await.unwrap()
}

pub fn cluster_yaml(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {spec}\n"
    )
}

/// Returns status and reason of Ready.
pub fn ready(status: &FleetSyncStatus) -> (&str, &str) {
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    ready.map_or(("", ""), |ready| (&ready.status, &ready.reason))
}

pub fn message(status: &FleetSyncStatus) -> &str {
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    ready.map_or("", |ready| &ready.message)
}

pub fn is_stalled(status: &FleetSyncStatus) -> bool {
    let stalled = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Stalled");
    stalled.is_some_and(|stalled| stalled.status == "True")
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
