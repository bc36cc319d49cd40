//! Clusters of others that become a fleet's, on a real API server.

use std::path::Path;

use k0smotron_fleet::api::labels;
use serde_json::{Value, json};

use crate::api_crds::clusters_of_another_product;
use crate::cli_fleet::{Fleet, ONE};
use crate::support::crds;

/// Adds something that the files of these tests do not say.
const LEFT_OVER: &str = "  podLabels: {left: over}\n";

impl Fleet {
    fn manifest(&self, name: &str, metadata: &str, spec: &str) -> String {
        format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: {name}\n  namespace: \
             {}\n{metadata}{spec}",
            self.namespace.name
        )
    }

    /// Applies a manifest as another tool does.
    async fn others(&self, manifest: &str, flags: &[&str]) {
        let arguments = [&["apply", "-f", "-"], flags].concat();
        let kubeconfig = self.servers.kubeconfig();
        let output = self.servers.kubectl_with(&kubeconfig, &arguments, manifest).await;
        output.success();
    }

    fn record_of(&self, name: &str, from: &str, if_different: &str) -> String {
        format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Adopt\nmetadata: {{name: {name}}}\nspec:\n  target: \
             {{namespace: {}, name: {name}}}\n  from: {from}\n  ifDifferent: {if_different}\n",
            self.namespace.name
        )
    }

    fn record(&self, name: &str, from: &str, if_different: &str) {
        let record = self.record_of(name, from, if_different);
        self.write(&format!("changes/{name}.yaml"), &record);
    }

    async fn cluster_named(&self, name: &str) -> Value {
        let namespace = &self.namespace.name;
        let arguments = [
            "get",
            "k0c",
            "-n",
            namespace,
            name,
            "-o",
            "json",
            "--show-managed-fields",
        ];
        serde_json::from_str(&self.servers.kubectl(&arguments).await.success()).unwrap()
    }
}

fn managers(cluster: &Value) -> Vec<&str> {
    let entries = cluster["metadata"]["managedFields"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect()
}

const ARGO: &str = "  annotations: {argocd.argoproj.io/tracking-id: 'payments:x'}\n";

#[tokio::test]
async fn a_cluster_of_kubectl_or_argo_cd_is_taken_over_and_what_only_they_said_goes() {
    let fleet = Fleet::new("adopt", "").await;
    let spec = format!("{ONE}{LEFT_OVER}");
    fleet.others(&fleet.manifest("berlin", "", &spec), &[]).await;
    let argo = ["--server-side", "--field-manager=argocd-controller"];
    fleet.others(&fleet.manifest("paris", ARGO, &spec), &argo).await;
    for name in ["berlin", "paris"] {
        fleet.cluster(name, ONE);
    }
    let held = fleet.run(&["plan", "--detailed-exitcode"]).await;
    assert_eq!(
        held.code, 0,
        "without a record nothing is touched: {}",
        held.stdout
    );

    fleet.record("berlin", "{manager: kubectl-client-side-apply}", "Fail");
    fleet.record("paris", "{manager: argocd-controller}", "Overwrite");
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r#"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      > NS/paris   adopt  safe
          at              changes/paris.yaml:5:38
          metadata.annotations["fleet.k0smotron.io/source"]
                          (unset) -> clusters/paris.yaml (clusters/paris.yaml:3:1)
          metadata.annotations["fleet.k0smotron.io/tracking"]
                          (unset) -> NS/NS/paris (clusters/paris.yaml:3:1)
          metadata.annotations["argocd.argoproj.io/tracking-id"]
                          payments:x -> (unset)
          metadata.labels (unset) -> {"fleet.k0smotron.io/id":"NS"}
                          (clusters/paris.yaml:3:1)
          spec.podLabels  {"left":"over"} -> (unset)
          effect          taken over from `argocd-controller` (Argo CD,
                          `payments:x`)
                          Argo CD applies and marks it again as long as its source
                          has it: take it out there now. Without the mark, which
                          goes, it does not delete it
      ! NS/berlin  refused
          why            it is not as the files say, and changes/berlin.yaml:5:38
                         takes it over only as it is: spec.podLabels {"left":"over"}
                         -> (unset); change the files (`k0smotron-fleet export`
                         prints what is there), or write `ifDifferent: Overwrite`
                         into the record
    Plan: 0 to create, 0 to change, 1 to adopt, 0 to DELETE, 1 refused
    --- stderr
    warning: SERVER has never seen this fleet: apply needs --first-apply
    --- exit 0
    "#);
    fleet.record("berlin", "{manager: kubectl-client-side-apply}", "Overwrite");
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 2);
    let output = fleet
        .run(&["apply", "-y", "--first-apply", "--parallelism", "1"])
        .await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("2 adopted"), "{}", output.stdout);
    for name in ["berlin", "paris"] {
        let live = fleet.cluster_named(name).await;
        assert_eq!(live["spec"]["podLabels"], Value::Null, "{name}");
        assert_eq!(managers(&live), [labels::FLEET_MANAGER], "{name}");
        let annotations = live["metadata"]["annotations"].as_object().unwrap();
        let keys: Vec<&str> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, [labels::SOURCE, labels::TRACKING], "{name}");
    }
    let after = fleet.transcript(&["plan"]).await;
    assert!(after.contains("nothing to do, 2 unchanged"), "{after}");
    assert!(after.contains("note: changes/berlin.yaml:5:"), "{after}");
    // A field that leaves the files is gone now as of any other cluster.
    fleet.cluster("paris", "spec:\n  replicas: 1\n  service: {type: ClusterIP}\n");
    fleet.run(&["apply", "-y"]).await;
    assert_eq!(fleet.cluster_named("paris").await["spec"]["version"], Value::Null);
}

#[tokio::test]
async fn a_cluster_moves_from_one_fleet_to_another_and_the_first_deletes_nothing() {
    let first = Fleet::new("moves", "  deletions: Omission\n  maxDeletions: {percent: 100}\n").await;
    for name in ["berlin", "paris"] {
        first.cluster(name, ONE);
    }
    assert_eq!(first.run(&["apply", "-y", "--first-apply"]).await.code, 0);

    let second = Fleet::new("second", "").await;
    second.write(
        "clusters/berlin.yaml",
        &first.manifest("berlin", "", &ONE.replace("replicas: 1", "replicas: 3")),
    );
    let from = format!("{{fleet: {}}}", first.namespace.name);
    second.write(
        "changes/berlin.yaml",
        &first.record_of("berlin", &from, "Overwrite"),
    );
    // The plan is kept, and what moves in between is found.
    let output = second.run(&["plan", "--out", "plan.json"]).await;
    assert!(output.stdout.contains("1 to adopt"), "{}", output.stdout);
    first.patch("berlin", &[], json!({"spec": {"replicas": 5}})).await;
    let output = second.run(&["apply", "plan.json", "--first-apply"]).await;
    assert_eq!(output.code, 3, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stderr.contains("spec.replicas 1 -> 5"),
        "{}",
        output.stderr
    );
    first.patch("berlin", &[], json!({"spec": {"replicas": 1}})).await;
    let output = second.run(&["apply", "plan.json", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let berlin = first.cluster_named("berlin").await;
    assert_eq!(
        berlin["metadata"]["labels"][labels::FLEET_ID],
        second.namespace.name.as_str()
    );
    assert_eq!(berlin["spec"]["replicas"], 3);

    let output = first.run(&["plan"]).await;
    assert!(output.stdout.contains("fleet `"), "{}", output.stdout);
    first.remove("berlin");
    let output = first.run(&["apply", "-y"]).await;
    assert!(
        output.stdout.contains("nothing to do, 1 unchanged"),
        "{}",
        output.stdout
    );
    assert_eq!(first.names().await, ["berlin", "paris"]);
}

#[tokio::test]
async fn the_record_and_the_file_of_what_runs_are_printed_and_take_it_over_as_it_is() {
    let fleet = Fleet::new("printed", "").await;
    let flux = "  labels: {kustomize.toolkit.fluxcd.io/name: infra, tier: prod}\n";
    let flags = ["--server-side", "--field-manager=kustomize-controller"];
    fleet
        .others(
            &fleet.manifest("berlin", flux, &format!("{ONE}{LEFT_OVER}")),
            &flags,
        )
        .await;
    let name = format!("{}/berlin", fleet.namespace.name);
    let hub = fleet.program.clone();
    let record = hub.run(&["adopt", &name]).await.success();
    assert!(record.contains("manager: kustomize-controller"), "{record}");
    fleet.write("changes/adopt.yaml", &record);
    hub.run(&["export", "--only", &name, "--out", "clusters"])
        .await
        .success();
    let again = hub.run(&["export", "--only", &name, "--out", "clusters"]).await;
    assert_eq!(again.code, 1, "nothing is overwritten: {}", again.stderr);
    let path = format!("clusters/{name}.yaml");
    let written = std::fs::read_to_string(fleet.program.folder().join(&path)).unwrap();
    insta::assert_snapshot!(written.replace(&fleet.namespace.name, "NS"), @r"
    apiVersion: k0smotron.io/v1beta1
    kind: K0smotronCluster
    metadata:
      labels:
        tier: prod
      name: berlin
      namespace: NS
    spec:
      podLabels:
        left: over
      replicas: 1
      service:
        type: ClusterIP
      version: v1.35.7+k0s.0
    ");
    let output = fleet.run(&["plan"]).await;
    assert!(
        output.stdout.contains("adopt  safe"),
        "{}{}",
        output.stdout,
        output.stderr
    );
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    let refused = hub.run(&["adopt", "nowhere/berlin"]).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
}

#[tokio::test]
async fn a_cluster_of_the_same_name_under_k0smotron_is_refused_here_and_in_a_snapshot() {
    let fleet = Fleet::new("upstream", "").await;
    let client = fleet.servers.client().await;
    crds::install_one(&client, &clusters_of_another_product()).await;
    let upstream = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: Cluster\nmetadata: {{name: berlin, namespace: {}}}\nspec: {{replicas: 1}}\n",
        fleet.namespace.name
    );
    fleet.others(&upstream, &["--server-side"]).await;
    for name in ["berlin", "paris"] {
        fleet.cluster(name, ONE);
    }
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      + NS/paris   create
          at             clusters/paris.yaml:1:1
      ! NS/berlin  refused
          why            a cluster of this name runs under k0smotron, whose objects
                         have the same names; use another name, or delete that one
                         first (`kubectl delete clusters.k0smotron.io -n NS
                         berlin`), with its keys and data
    Plan: 1 to create, 0 to change, 0 to DELETE, 1 refused
    --- stderr
    warning: SERVER has never seen this fleet: apply needs --first-apply
    --- exit 0
    ");
    let namespace = fleet.namespace.name.as_str();
    let output = fleet
        .run(&["snapshot", "--out", "live.json", "-n", namespace])
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let offline = fleet.run(&["plan", "--snapshot", "live.json"]).await;
    assert_eq!(offline.stdout, fleet.run(&["plan"]).await.stdout);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    assert_eq!(fleet.names().await, ["paris"]);
    assert!(Path::new(&fleet.program.folder().join("live.json")).exists());
}
