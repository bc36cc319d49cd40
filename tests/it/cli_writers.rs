//! Other writers of the same fleet: syncs, older commits, and files that open their own guards.

use serde_json::{Value, json};

use crate::cli_fleet::{Fleet, ONE};
use crate::support::git;

fn text(fleet: &Fleet, spec: &str) -> String {
    format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  id: {}\n{spec}",
        fleet.namespace.name
    )
}

#[tokio::test]
async fn while_a_sync_follows_the_fleet_nobody_else_writes_it() {
    let fleet = Fleet::new("followed", "").await;
    fleet.cluster("berlin", ONE);
    let namespace = fleet.namespace.name.as_str();
    let sync = json!({
        "apiVersion": "fleet.k0smotron.io/v1alpha1", "kind": "FleetSync",
        "metadata": {"name": "platform", "namespace": namespace},
        "spec": {"serviceAccountName": "fleet-sync", "limits": {"fleetId": namespace},
            "source": {"git": {"url": "https://git.example.org/fleet.git"}}},
    });
    let kubeconfig = fleet.servers.kubeconfig();
    let create = ["create", "-f", "-"];
    fleet
        .servers
        .kubectl_with(&kubeconfig, &create, &sync.to_string())
        .await
        .success();
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    let named = format!("the FleetSync {namespace}/platform follows the fleet `{namespace}`");
    assert!(output.stderr.contains(&named), "{}", output.stderr);
    assert_eq!(fleet.names().await, [""; 0]);

    let output = fleet
        .run(&["apply", "-y", "--first-apply", "--override-sync"])
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let suspend = [
        "patch",
        "fleetsync",
        "platform",
        "-n",
        namespace,
        "--type=merge",
        "-p",
    ];
    let patch = json!({"spec": {"suspend": true}}).to_string();
    fleet
        .servers
        .kubectl(&[&suspend[..], &[&patch]].concat())
        .await
        .success();
    fleet.cluster("paris", ONE);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
}

#[tokio::test]
async fn a_commit_older_than_the_one_applied_last_is_refused_and_a_revert_is_not() {
    let fleet = Fleet::new("rewind", "").await;
    let folder = fleet.program.folder().join("work");
    let namespace = fleet.namespace.name.as_str();
    let cluster = |replicas: u8| {
        format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: berlin, namespace: {namespace}}}\n\
             spec: {{replicas: {replicas}, service: {{type: ClusterIP}}}}\n"
        )
    };
    let commit = |replicas| {
        let files = [("fleet.yaml", text(&fleet, "")), ("a.yaml", cluster(replicas))];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        git::commit(&folder.join(".git"), &files).unwrap().to_string()
    };
    let (old, new) = (commit(1), commit(3));
    let config = git2::Repository::open(folder.join(".git")).unwrap();
    config.config().unwrap().set_bool("core.bare", false).unwrap();
    let apply = async |more: &[&str]| {
        fleet
            .run(&[&["apply", "work", "-y", "--first-apply"], more].concat())
            .await
    };
    let output = apply(&["--rev", &new]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);

    let output = apply(&["--rev", &old]).await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    let older = format!(
        "commit {} is older than {}, which was applied last",
        &old[..12],
        &new[..12]
    );
    assert!(output.stderr.contains(&older), "{}", output.stderr);
    assert_eq!(fleet.live().await[0]["spec"]["replicas"], 3);
    let output = apply(&["--rev", &old, "--allow-rewind"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(fleet.live().await[0]["spec"]["replicas"], 1);

    assert_eq!(apply(&["--rev", &new]).await.code, 0);
    let output = apply(&["--rev", &commit(1)]).await;
    assert_eq!(
        (output.code, output.stderr.contains("warning")),
        (0, false),
        "{}",
        output.stderr
    );
    // Somebody else has applied what was not fetched here.
    let parent = format!("k0smotron-fleet-{namespace}");
    let patch = json!({"data": {"revision": "0123456789012345678901234567890123456789"}}).to_string();
    let arguments = [
        "patch",
        "configmap",
        &parent,
        "-n",
        namespace,
        "--type=merge",
        "-p",
        &patch,
    ];
    fleet.servers.kubectl(&arguments).await.success();
    let output = apply(&["--rev", &commit(5)]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output
            .stderr
            .contains("follows 012345678901, which was applied last, cannot be"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn a_commit_that_opens_a_guard_is_judged_by_the_one_before() {
    let fleet = Fleet::new("loosened", "").await;
    for name in ["berlin", "paris"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.write(
        "fleet.yaml",
        &text(&fleet, "  deletions: Omission\n  maxDeletions: {percent: 50}\n"),
    );
    fleet.remove("paris");
    insta::assert_snapshot!(fleet.transcript(&["plan"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      ! NS/paris  held
          why            it left the files and is kept: deletions are off; pass
                         `--prune` once, or set `deletions` of the Fleet
      = 1 unchanged
      ! spec.deletions  loosened
          why            Never -> Omission: apply remembers it; this run is judged
                         by the stricter, the next one by the new
      ! spec.maxDeletions.percent  loosened
          why            10 -> 50: apply remembers it; this run is judged by the
                         stricter, the next one by the new
    Plan: 0 to create, 0 to change, 0 to DELETE, 2 loosened, 1 held,
          1 unchanged
    --- exit 0
    ");
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 2);
    let output = fleet.run(&["plan", "-o", "json"]).await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        document["loosened"][0],
        json!({"field": "spec.deletions", "old": "Never", "new": "Omission"})
    );
    assert_eq!(
        fleet.run(&["apply"]).await.code,
        4,
        "opening a guard is asked for"
    );
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
    let output = fleet.run(&["plan"]).await;
    assert!(
        output.stdout.contains("1 to DELETE") && !output.stdout.contains("spec.deletions"),
        "{}",
        output.stdout
    );
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin"]);
}
