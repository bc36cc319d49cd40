//! Plan and apply against a real API server.

use std::fmt::Display;
use std::sync::Arc;

use k0smotron_fleet::api::labels;
use serde_json::{Value, json};

use crate::cli::{assert_fits, program, transcript, write};
use crate::operator::{Bench, Controller, settings};
use crate::support::kubelet::Policy;
use crate::support::{Namespace, Output, Process, Program, Proxy, Servers, crds};

/// A fleet in a namespace of its own.
pub struct Fleet {
    pub program: Program,
    pub namespace: Arc<Namespace>,
    pub servers: &'static Servers,
}

impl Fleet {
    pub async fn new(hint: &str, spec: &str) -> Self {
        let servers = Servers::shared().await;
        crds::install(&servers.client().await).await;
        Self::on(servers, hint, spec).await
    }

    /// On servers that have the definitions.
    pub async fn on(servers: &'static Servers, hint: &str, spec: &str) -> Self {
        let namespace = servers.namespace(hint).await;
        Self::within(servers, namespace, spec)
    }

    /// In a namespace of this name, which no other test has: whatever is aligned is so in every run.
    pub async fn called(name: &str, spec: &str) -> Self {
        let servers = Servers::shared().await;
        crds::install(&servers.client().await).await;
        let namespace = servers.namespace_named(name).await;
        Self::within(servers, namespace, spec)
    }

    fn within(servers: &'static Servers, namespace: Namespace, spec: &str) -> Self {
        let namespace = Arc::new(namespace);
        let program = program().kubeconfig(&servers.kubeconfig());
        let fleet = Self {
            program,
            namespace,
            servers,
        };
        fleet.write("fleet.yaml", &format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  id: {}\n{spec}",
            fleet.namespace.name
        ));
        fleet
    }

    pub fn write(&self, path: &str, content: &str) {
        write(&self.program, &[(path, content)]);
    }

    pub fn cluster(&self, name: &str, spec: &str) {
        let namespace = &self.namespace.name;
        let text = format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: {name}\n  namespace: {namespace}\n{spec}"
        );
        self.write(&format!("clusters/{name}.yaml"), &text);
    }

    /// Writes a cluster with these labels, as YAML.
    pub fn labelled(&self, name: &str, labels: &str, spec: &str) {
        self.cluster(name, &format!("  labels: {labels}\n{spec}"));
    }

    /// Writes the set of the stores: one cluster for each row of a table.
    pub fn stores(&self, rows: &[impl Display]) {
        let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.write("sets/stores.csv", &format!("store\n{rows}"));
        let namespace = &self.namespace.name;
        let set = format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {{name: stores}}\nspec:\n  generators: [{{csv: {{path: stores.csv}}}}]\n  \
             key: store\n  template:\n    metadata: {{name: 'store-${{store}}', namespace: {namespace}}}\n    spec: {{replicas: 1, service: {{type: ClusterIP}}}}\n"
        );
        self.write("sets/stores.yaml", &set);
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.program.folder().join(format!("clusters/{name}.yaml"))).unwrap();
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.program.run(&self.arguments(arguments)).await
    }

    /// Returns the same fleet, for which all requests of the program go through a proxy.
    pub fn through(&self, proxy: &Proxy) -> Self {
        Self {
            program: self.program.clone().kubeconfig(proxy.kubeconfig()),
            namespace: self.namespace.clone(),
            servers: self.servers,
        }
    }

    /// Starts it in the background.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.program.start(&self.arguments(arguments))
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let namespace = self.namespace.name.as_str();
        let hub = ["--parent-namespace", namespace, "--operator-namespace", namespace];
        [arguments, &hub].concat()
    }

    /// Starts an operator and pods for the clusters of the fleet.
    pub async fn hosted(&self) -> (Bench<'static>, Controller) {
        let (servers, namespace) = (self.servers, self.namespace.clone());
        let bench = Bench::of(servers, namespace, servers.node_address, Policy::Ready).await;
        let controller = bench.controller_publishing(settings()).await;
        (bench, controller)
    }

    /// Changes a cluster as somebody does who has no files; `more` are flags of `kubectl patch`.
    pub async fn patch(&self, name: &str, more: &[&str], patch: Value) {
        let patch = patch.to_string();
        let arguments = [
            "patch",
            "k0c",
            name,
            "-n",
            &self.namespace.name,
            "--type=merge",
            "-p",
            &patch,
        ];
        self.servers
            .kubectl(&[&arguments[..], more].concat())
            .await
            .success();
    }

    /// A transcript without what differs between runs.
    pub async fn transcript(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_fits(&output);
        let uid = self.hub_uid().await;
        let url = self.servers.url();
        let short = format!("{}…", &uid[..8]);
        let operator = concat!("operator ", env!("CARGO_PKG_VERSION"));
        transcript(
            &output,
            &[
                (self.namespace.name.as_str(), "NS"),
                (url.as_str(), "SERVER"),
                (short.as_str(), "HUB"),
                (operator, "operator VERSION"),
            ],
        )
    }

    pub async fn hub_uid(&self) -> String {
        let arguments = [
            "get",
            "namespace",
            "kube-system",
            "-o",
            "jsonpath={.metadata.uid}",
        ];
        self.servers.kubectl(&arguments).await.success()
    }

    pub async fn live(&self) -> Vec<Value> {
        let arguments = ["get", "k0c", "-n", &self.namespace.name, "-o", "json"];
        let list: Value = serde_json::from_str(&self.servers.kubectl(&arguments).await.success()).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    pub async fn names(&self) -> Vec<String> {
        let live = self.live().await;
        live.iter()
            .map(|cluster| cluster["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub const ONE: &str = "spec:\n  replicas: 1\n  version: v1.35.7+k0s.0\n  service: {type: ClusterIP}\n";

#[tokio::test]
async fn a_fleet_is_planned_applied_and_then_there_is_nothing_to_do() {
    let fleet = Fleet::new("whole", "").await;
    fleet.cluster("berlin", "spec: null\n");
    fleet.cluster("paris", ONE);
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      + NS/berlin  create
          at             clusters/berlin.yaml:1:1
      + NS/paris   create
          at             clusters/paris.yaml:1:1
    Plan: 2 to create, 0 to change, 0 to DELETE
    --- stderr
    warning: SERVER has never seen this fleet: apply needs --first-apply
    --- exit 0
    ");
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 2);
    insta::assert_snapshot!(fleet.transcript(&["apply", "-y"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      + NS/berlin  create
          at             clusters/berlin.yaml:1:1
      + NS/paris   create
          at             clusters/paris.yaml:1:1
    Plan: 2 to create, 0 to change, 0 to DELETE
    --- stderr
    error: SERVER has never seen the fleet `NS` (ConfigMap NS/k0smotron-fleet-NS is not there)
    hint: if this is the right hub, pass --first-apply once (or run `k0smotron-fleet init --hub`)
    --- exit 4
    ");
    assert_eq!(fleet.names().await, [""; 0]);
    insta::assert_snapshot!(fleet.transcript(&["apply", "-y", "--first-apply", "--parallelism", "1"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      + NS/berlin  create
          at             clusters/berlin.yaml:1:1
      + NS/paris   create
          at             clusters/paris.yaml:1:1
    Plan: 2 to create, 0 to change, 0 to DELETE
    Applied: 2 created, 0 changed, 0 deleted
    --- stderr
    created NS/berlin
    created NS/paris
    --- exit 0
    ");

    let live = fleet.live().await;
    let id = &fleet.namespace.name;
    assert_eq!(live[0]["metadata"]["labels"][labels::FLEET_ID], id.as_str());
    assert_eq!(
        live[0]["metadata"]["annotations"][labels::TRACKING],
        format!("{id}/{id}/berlin")
    );
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r"
    --- stdout
    Plan: nothing to do, 2 unchanged
    --- exit 0
    ");
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    insta::assert_snapshot!(fleet.transcript(&["apply", "-y"]).await, @r"
    --- stdout
    Plan: nothing to do, 2 unchanged
    --- exit 0
    ");

    fleet.cluster("paris", &ONE.replace("replicas: 1", "replicas: 3"));
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      ~ NS/paris  safe
          at             clusters/paris.yaml:7:3
          spec.replicas  1 -> 3
      = 1 unchanged
    Plan: 0 to create, 1 to change (1 safe), 0 to DELETE
    --- exit 0
    ");
    let output = fleet.run(&["apply", "-y", "-o", "json"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["summary"]["change"], 1);
    assert_eq!(document["results"][0]["result"], "done");
    assert_eq!(fleet.live().await[1]["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_plan_as_json_is_the_same_each_time() {
    let fleet = Fleet::new("json", "").await;
    for name in ["berlin", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    let first = fleet.run(&["plan", "-o", "json"]).await;
    let second = fleet.run(&["plan", "-o", "json"]).await;
    assert_eq!(first.stdout, second.stdout);
    let document: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(document["format"], "k0smotron-fleet/plan");
    assert_eq!(document["entries"][2]["object"]["name"], "rome");
    assert!(
        !first.stdout.contains("test"),
        "no name of a context: {}",
        first.stdout
    );
}

#[tokio::test]
async fn without_a_terminal_nothing_is_written_and_the_flag_is_named() {
    let fleet = Fleet::new("terminal", "").await;
    fleet.cluster("berlin", "spec: null\n");
    insta::assert_snapshot!(fleet.transcript(&["apply", "--first-apply", "-q"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      + NS/berlin  create
          at             clusters/berlin.yaml:1:1
    Plan: 1 to create, 0 to change, 0 to DELETE
    --- stderr
    error: nothing was written: there is no terminal to ask on
    hint: pass -y to apply without a question
    --- exit 4
    ");
    assert_eq!(fleet.names().await, [""; 0]);
}

#[tokio::test]
async fn what_leaves_the_files_is_held_and_goes_only_with_prune_within_the_budget() {
    let fleet = Fleet::new("prune", "  maxDeletions: {count: 2, percent: 60}\n").await;
    for name in ["berlin", "madrid", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    let protect = format!("{}=true", labels::PROTECT);
    let annotate = ["annotate", "k0c", "-n", &fleet.namespace.name, "madrid", &protect];
    fleet.servers.kubectl(&annotate).await.success();
    for name in ["madrid", "paris"] {
        fleet.remove(name);
    }
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      ! NS/madrid  protected
          why            it left the files and is protected; `k0smotron-fleet
                         unprotect` lets it go
      ! NS/paris   held
          why            it left the files and is kept: deletions are off; pass
                         `--prune` once, or set `deletions` of the Fleet
      = 2 unchanged
    Plan: nothing to do, 1 protected, 1 held, 2 unchanged
    --- exit 0
    ");
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await.len(), 4);

    insta::assert_snapshot!(fleet.transcript(&["apply", "-y", "--prune"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      ! NS/madrid  protected
          why            it left the files and is protected; `k0smotron-fleet
                         unprotect` lets it go
      = 2 unchanged
      - NS/paris   DELETE  disruptive
          why            it left the files; last written from clusters/paris.yaml
          effect         deletionPolicy Retain: pods and address go; keys and 0
                         volumes stay, and a cluster of that name takes them back
    Plan: 0 to create, 0 to change, 1 to DELETE (budget 2 / 60 %), 1 protected
    Applied: 0 created, 0 changed, 1 deleted
    --- stderr
    deleted NS/paris
    --- exit 0
    ");
    assert_eq!(fleet.names().await, ["berlin", "madrid", "rome"]);

    fleet.remove("berlin");
    fleet.remove("rome");
    let output = fleet.run(&["apply", "-y", "--prune"]).await;
    assert_eq!(
        fleet.names().await,
        ["berlin", "madrid", "rome"],
        "nothing is wanted: {}",
        output.stdout
    );
}

#[tokio::test]
async fn a_budget_is_not_refilled_by_trying_again() {
    let fleet = Fleet::new("budget", "  maxDeletions: {count: 1, percent: 100}\n").await;
    for name in ["berlin", "madrid", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.remove("madrid");
    fleet.remove("paris");
    let output = fleet.run(&["apply", "-y", "--prune"]).await;
    assert_eq!(
        fleet.names().await.len(),
        4,
        "two are over the budget of one: {}",
        output.stdout
    );
    fleet.cluster("paris", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--prune"]).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin", "paris", "rome"]);
    // The same content again, with one that somebody else brought back.
    fleet.cluster("madrid", ONE);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    fleet.remove("madrid");
    let output = fleet.run(&["apply", "-y", "--prune"]).await;
    assert_eq!(
        fleet.names().await.len(),
        4,
        "the budget of this content is spent: {}",
        output.stdout
    );
}

#[tokio::test]
async fn a_part_of_the_fleet_can_be_applied_and_deletes_nothing_that_is_not_named() {
    let fleet = Fleet::new("part", "").await;
    for name in ["berlin", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    let only = format!("{}/berlin", fleet.namespace.name);
    assert_eq!(
        fleet
            .run(&["apply", "-y", "--first-apply", "--only", &only])
            .await
            .code,
        0
    );
    assert_eq!(fleet.names().await, ["berlin"]);
    assert_eq!(fleet.run(&["apply", "clusters/paris.yaml", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
    fleet.remove("berlin");
    let namespace = fleet.namespace.name.as_str();
    let output = fleet.run(&["apply", "-y", "--prune", "-n", namespace]).await;
    assert_eq!(
        fleet.names().await,
        ["berlin", "paris", "rome"],
        "{}",
        output.stdout
    );
    assert_eq!(
        fleet.run(&["apply", "-y", "--prune", "--only", &only]).await.code,
        0
    );
    assert_eq!(fleet.names().await, ["paris", "rome"]);
}

#[tokio::test]
async fn of_two_runs_that_planned_alike_one_goes_on() {
    let fleet = Fleet::new("race", "").await;
    fleet.cluster("berlin", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.cluster("paris", ONE);
    let runs = futures::future::join_all((0..4).map(|_| fleet.run(&["apply", "-y"]))).await;
    let codes: Vec<i32> = runs.iter().map(|output| output.code).collect();
    assert!(
        codes.contains(&0) && codes.iter().all(|code| [0, 4].contains(code)),
        "{codes:?}"
    );
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
}

#[tokio::test]
async fn a_field_whose_last_word_leaves_the_file_goes_although_the_mapping_around_it_stays() {
    let fleet = Fleet::new("emptied", "").await;
    fleet.cluster(
        "edge",
        "spec:\n  podLabels: {tier: gold}\n  storage:\n    etcd:\n      members: 3\n",
    );
    fleet.run(&["apply", "-y", "--first-apply"]).await.success();
    fleet.cluster("edge", "spec:\n  podLabels: {}\n  storage:\n    etcd:\n");
    fleet.run(&["apply", "-y"]).await.success();
    assert_eq!(fleet.live().await[0]["spec"], json!({"replicas": 1}));
    let again = fleet.run(&["plan"]).await.success();
    assert!(again.contains("nothing to do, 1 unchanged"), "{again}");
}
