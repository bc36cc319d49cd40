//! Plans in files: saved, shown, checked again and done exactly, or not at all.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::cli::{exists, transcript};
use crate::cli_fleet::{Fleet, ONE};

const NEXT: &str = "v1.35.8+k0s.0";

impl Fleet {
    fn saved(&self, path: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.program.folder().join(path)).unwrap()).unwrap()
    }

    /// Two clusters that are applied, and a plan for three changes of them.
    async fn with_a_saved_plan(hint: &str) -> Self {
        let fleet = Self::new(hint, "").await;
        for name in ["berlin", "paris"] {
            fleet.cluster(name, ONE);
        }
        assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
        fleet.cluster("berlin", &ONE.replace("v1.35.7+k0s.0", NEXT));
        fleet.remove("paris");
        fleet.cluster("rome", ONE);
        let output = fleet.run(&["plan", "--prune", "--out", "plan.json"]).await;
        assert_eq!(output.code, 0, "{}", output.stderr);
        fleet
    }

    async fn is_as_before(&self) {
        assert_eq!(self.names().await, ["berlin", "paris"]);
        assert_ne!(self.live().await[0]["spec"]["version"], NEXT);
    }
}

#[tokio::test]
async fn a_saved_plan_is_done_without_files_and_without_a_question() {
    let fleet = Fleet::with_a_saved_plan("saved").await;
    let file = fleet.program.folder().join("plan.json");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let schema: Value =
        serde_json::from_str(&fleet.program.run(&["schema", "SavedPlan"]).await.success()).unwrap();
    let document = fleet.saved("plan.json");
    let problems: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(problems, [""; 0]);
    let shown = fleet.program.run(&["show", "plan.json"]).await.success();
    assert!(shown.contains("+ ") && shown.contains("spec.version"), "{shown}");
    let digest = document["digest"].as_str().unwrap();
    assert!(shown.ends_with(&format!("Digest: {digest}\n")), "{shown}");

    // The files say something else by now, and are not read.
    std::fs::remove_dir_all(fleet.program.folder().join("clusters")).unwrap();
    fleet.write("fleet.yaml", "not: [even");
    let output = fleet
        .run(&["apply", "plan.json", "--approve", &"0".repeat(12)])
        .await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    fleet.is_as_before().await;
    // A status write is no change.
    let status = json!({"status": {"ready": "1/1", "observedGeneration": 1}});
    for name in ["berlin", "paris"] {
        fleet.patch(name, &["--subresource=status"], status.clone()).await;
    }
    let output = fleet
        .run(&["apply", "plan.json", "--approve", &digest[..12]])
        .await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stdout.contains("Applied: 1 created, 1 changed, 1 deleted"),
        "{}",
        output.stdout
    );
    assert_eq!(fleet.names().await, ["berlin", "rome"]);
    assert_eq!(fleet.live().await[0]["spec"]["version"], NEXT);
    // Again: everything is done already.
    let output = fleet.run(&["apply", "plan.json"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
}

#[tokio::test]
async fn what_moved_since_the_plan_is_named_and_nothing_is_written() {
    let fleet = Fleet::with_a_saved_plan("stale").await;
    fleet
        .patch(
            "berlin",
            &["--field-manager=kubectl-edit"],
            json!({"spec": {"version": "v1.35.6+k0s.0"}}),
        )
        .await;
    let output = fleet.run(&["apply", "plan.json"]).await;
    let stderr = output.stderr.replace(&fleet.namespace.name, "NS");
    insta::assert_snapshot!(stderr, @r"
      ! NS/berlin  stale
          spec.version v1.35.7+k0s.0 -> v1.35.6+k0s.0 (written by kubectl-edit)
    error: the plan is stale: 1 field moved since it was saved; nothing was written
    hint: plan again, or do what still fits with --skip-stale
    ");
    assert_eq!(output.code, 3);
    fleet.is_as_before().await;
    let output = fleet.run(&["apply", "plan.json", "--skip-stale"]).await;
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    assert_eq!(fleet.names().await, ["berlin", "rome"]);
    assert_eq!(fleet.live().await[0]["spec"]["version"], "v1.35.6+k0s.0");
}

#[tokio::test]
async fn a_created_a_recreated_and_a_differently_deleted_cluster_are_stale() {
    let fleet = Fleet::with_a_saved_plan("moved").await;
    fleet
        .patch(
            "paris",
            &["--field-manager=k9s"],
            json!({"spec": {"deletionPolicy": "Delete"}}),
        )
        .await;
    let namespace = fleet.namespace.name.clone();
    fleet
        .servers
        .kubectl(&["delete", "k0c", "berlin", "-n", &namespace])
        .await
        .success();
    let manifest = |name: &str| {
        format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{replicas: 1}}\n"
        )
    };
    for name in ["berlin", "rome"] {
        fleet.write("by-hand.yml", &manifest(name));
        let file = fleet.program.folder().join("by-hand.yml");
        fleet
            .servers
            .kubectl(&["create", "-f", file.to_str().unwrap()])
            .await
            .success();
    }
    let output = fleet.run(&["apply", "plan.json"]).await;
    assert_eq!(output.code, 3, "{}", output.stderr);
    let expected = [
        "/berlin  stale\n      metadata.uid ",
        "/rome  stale\n      metadata.uid (unset) -> ",
        "(written by\n      kubectl-create)",
        "/paris  stale\n      spec.deletionPolicy (unset) -> Delete (written by k9s)",
    ];
    for words in expected {
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
    assert_eq!(fleet.names().await, ["berlin", "paris", "rome"]);
}

#[tokio::test]
async fn guards_are_asked_again_before_a_saved_plan_is_done() {
    let fleet = Fleet::with_a_saved_plan("guards").await;
    let protect = json!({"metadata": {"annotations": {"fleet.k0smotron.io/protect": "true"}}});
    fleet.patch("paris", &[], protect).await;
    let output = fleet.run(&["apply", "plan.json"]).await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    assert!(output.stderr.contains("protected"), "{}", output.stderr);
    fleet.is_as_before().await;
}

#[tokio::test]
async fn a_plan_that_was_altered_or_is_of_another_version_is_not_done() {
    let fleet = Fleet::with_a_saved_plan("altered").await;
    let mut document = fleet.saved("plan.json");
    document["entries"][0]["impact"] = json!("safe");
    document["entries"][0]["patch"]["spec"]["replicas"] = json!(7);
    fleet.write("altered.json", &document.to_string());
    let output = fleet.run(&["apply", "altered.json"]).await;
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(
        output.stderr.contains("it was changed after it was written"),
        "{}",
        output.stderr
    );
    document["formatVersion"] = json!(99);
    fleet.write("newer.json", &document.to_string());
    let output = fleet.program.run(&["show", "newer.json"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: `newer.json` cannot be used: it was written by another version of the program (format 99, this one knows 3)
    hint: plan again with this program: `k0smotron-fleet plan --out FILE`
    --- exit 1
    ");
    assert!(!exists(&fleet.program, "plan.json.tmp"));
    fleet.is_as_before().await;
}

/// A spec with a value that may be a secret.
fn with_values(replicas: u8) -> String {
    format!(
        "spec:\n  replicas: {replicas}\n  version: v1.35.7+k0s.0\n  service: {{type: ClusterIP}}\n  k0sConfig:\n    \
         apiVersion: k0s.k0sproject.io/v1beta1\n    kind: ClusterConfig\n    spec:\n      extensions:\n        helm:\n          charts:\n          \
         - {{name: a, chartname: a/a, namespace: a, values: 'password: canary-7f3a'}}\n"
    )
}

#[tokio::test]
async fn a_value_that_is_missing_is_never_written_as_its_mask_beside_what_is_stale() {
    let fleet = Fleet::new("masked", "").await;
    fleet.cluster("berlin", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.cluster("berlin", &ONE.replace("v1.35.7+k0s.0", NEXT));
    fleet.cluster("rome", &with_values(1));
    assert_eq!(fleet.run(&["plan", "--out", "plan.json"]).await.code, 0);
    let older = json!({"spec": {"version": "v1.35.6+k0s.0"}});
    fleet
        .patch("berlin", &["--field-manager=kubectl-edit"], older)
        .await;
    let output = fleet.run(&["apply", "plan.json", "--skip-stale"]).await;
    assert_eq!(output.code, 4, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("--values-from"), "{}", output.stderr);
    assert_eq!(fleet.names().await, ["berlin"]);
    let output = fleet
        .run(&["apply", "plan.json", "--skip-stale", "--values-from", "."])
        .await;
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    let live = fleet.live().await;
    let chart = live[1].pointer("/spec/k0sConfig/spec/extensions/helm/charts/0/values");
    assert_eq!(chart, Some(&json!("password: canary-7f3a")));
}

#[tokio::test]
async fn values_that_may_be_secrets_are_not_in_a_saved_plan_and_come_from_the_files() {
    let fleet = Fleet::new("withheld", "").await;
    fleet.cluster("berlin", &with_values(1));
    let output = fleet.run(&["plan", "--out", "plan.json"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!fleet.saved("plan.json").to_string().contains("canary-7f3a"));
    let output = fleet.run(&["apply", "plan.json", "--first-apply"]).await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    assert!(output.stderr.contains("--values-from"), "{}", output.stderr);
    let output = fleet
        .run(&["apply", "plan.json", "--first-apply", "--values-from", "."])
        .await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let live = fleet.live().await;
    let chart = live[0].pointer("/spec/k0sConfig/spec/extensions/helm/charts/0/values");
    assert_eq!(chart, Some(&json!("password: canary-7f3a")));
    // What is live already needs no files.
    fleet.cluster("berlin", &with_values(3));
    assert_eq!(fleet.run(&["plan", "--out", "plan.json"]).await.code, 0);
    let output = fleet.run(&["apply", "plan.json"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
}
