//! Runs that do not go as planned, the memory on the hub, and the status table.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::assert_fits;
use crate::cli_fleet::{Fleet, ONE};
use crate::support::{Action, Output, Proxy, Rule, eventually};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_plan_without_changes_reads_little_and_writes_nothing() {
    let fleet = Fleet::new("quiet", "").await;
    for name in ["berlin", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    let proxy = Proxy::start(fleet.servers).await;
    let through = fleet.through(&proxy);
    let output = through.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let seen = proxy.seen();
    let asked: Vec<&str> = seen.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(
        seen.len(),
        7,
        "kube-system, operator, syncs, parent, lock, clusters, those of k0smotron: {asked:?}"
    );
    assert!(seen.iter().all(|request| !request.is_write()), "{asked:?}");
    assert!(
        seen.iter()
            .all(|request| request.user_agent.starts_with("k0smotron-fleet/"))
    );
}

#[tokio::test]
async fn an_interrupted_run_says_what_is_done_and_goes_on_when_repeated() {
    let fleet = Fleet::new("stop", "").await;
    for name in ["berlin", "madrid", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    let proxy = Proxy::start(fleet.servers).await;
    proxy.add(
        Rule::new(Action::Delay(Duration::from_secs(2)))
            .writes()
            .path("k0smotronclusters")
            .nth(2),
    );
    let through = fleet.through(&proxy);
    let process = through.start(&["apply", "-y", "--first-apply", "--parallelism", "1"]);
    eventually("the second cluster is being written", SOON, async || {
        let writes = proxy
            .seen()
            .into_iter()
            .filter(|seen| seen.is_write() && seen.uri.contains("k0smotronclusters"));
        (writes.count() >= 2).then_some(())
    })
    .await;
    process.signal("INT");
    let status = eventually("the run ends", SOON, async || process.ended()).await;
    let log = process.log();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(
        log.contains("Applied: 2 created, 0 changed, 0 deleted, 2 not done"),
        "{log}"
    );
    assert!(log.contains("run the same command again to do the rest"), "{log}");
    assert_eq!(fleet.names().await, ["berlin", "madrid"]);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await.len(), 4);
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
}

#[tokio::test]
async fn a_lost_answer_is_told_as_such_and_the_next_run_converges() {
    let fleet = Fleet::new("lost", "").await;
    for name in ["berlin", "paris"] {
        fleet.cluster(name, ONE);
    }
    let proxy = Proxy::start(fleet.servers).await;
    proxy.add(
        Rule::new(Action::DropAnswer)
            .writes()
            .path("k0smotronclusters")
            .nth(1),
    );
    let through = fleet.through(&proxy);
    let arguments = ["apply", "-y", "--first-apply", "--parallelism", "1"];
    let output = through.run(&arguments).await;
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    assert!(
        output
            .stdout
            .contains("1 created, 0 changed, 0 deleted, 1 done or not"),
        "{}",
        output.stdout
    );
    assert_fits(&output);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
}

#[tokio::test]
async fn with_keep_going_the_valid_clusters_go_on_and_nothing_is_deleted() {
    let fleet = Fleet::new("going", "  deletions: Omission\n").await;
    for name in ["berlin", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.remove("rome");
    fleet.cluster("paris", "spec:\n  repicas: 3\n");
    fleet.cluster("tokyo", ONE);
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!((output.code, output.stdout.as_str()), (6, ""));
    let output = fleet.run(&["apply", "-y", "--keep-going"]).await;
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert_eq!(fleet.names().await, ["berlin", "paris", "rome", "tokyo"]);
    fleet.cluster("paris", ONE);
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(fleet.names().await, ["berlin", "paris", "tokyo"]);
}

#[tokio::test]
async fn one_broken_file_among_a_thousand_stops_every_deletion_and_nothing_else() {
    let fleet = Fleet::new(
        "thousand",
        "  deletions: Omission\n  maxDeletions: {count: 1000, percent: 100}\n",
    )
    .await;
    let name = |number: usize| format!("edge-{number:03}");
    for number in 0..1000 {
        fleet.cluster(&name(number), ONE);
    }
    let output = fleet.run(&["apply", "-y", "--first-apply", "-o", "json"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let path = |name: &str| format!("clusters/{name}.yaml");
    fleet.write(&path("edge-500"), "kind: [\n");
    fleet.remove("edge-007");
    fleet.cluster("edge-008", &ONE.replace("replicas: 1", "replicas: 3"));

    for command in ["plan", "apply"] {
        let arguments = [command, "--prune", "-y"];
        let arguments = if command == "plan" {
            &arguments[..2]
        } else {
            &arguments
        };
        let output = fleet.run(arguments).await;
        assert_eq!((output.code, output.stdout.as_str()), (6, ""), "{command}");
        let said = "clusters/edge-500.yaml:1:7: error[FLT0204]";
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    let summary = |output: &Output| {
        let document: Value = serde_json::from_str(&output.stdout).unwrap();
        document["summary"].clone()
    };
    let plan = fleet
        .run(&["plan", "--prune", "--keep-going", "-o", "json"])
        .await;
    let counted = summary(&plan);
    assert_eq!(plan.code, 5);
    assert_eq!((&counted["change"], &counted["delete"]), (&json!(1), &json!(0)));
    // The one that left its file, and the one of which nobody can say whether its file is the broken one.
    assert_eq!(
        (&counted["held"], &counted["unchanged"]),
        (&json!(2), &json!(997)),
        "{counted}"
    );
    let output = fleet
        .run(&["apply", "-y", "--prune", "--keep-going", "-o", "json"])
        .await;
    assert_eq!(output.code, 5, "{}", output.stderr);
    let live = fleet.live().await;
    assert_eq!((live.len(), &live[8]["spec"]["replicas"]), (1000, &json!(3)));

    fleet.cluster("edge-500", ONE);
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(
        fleet.live().await.len(),
        999,
        "deletions were allowed all the time"
    );
}

#[tokio::test]
async fn a_missing_namespace_is_made_only_when_the_fleet_says_so() {
    let fleet = Fleet::new("spaces", "").await;
    let other = format!("{}-new", fleet.namespace.name);
    let cluster = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: berlin, namespace: {other}}}\nspec: null\n"
    );
    fleet.write("clusters/berlin.yaml", &cluster);
    let output = fleet.run(&["plan", "--detailed-exitcode"]).await;
    assert_eq!(output.code, 0, "{}", output.stdout);
    assert!(
        output
            .stdout
            .contains(&format!("namespace `{other}` does not exist")),
        "{}",
        output.stdout
    );
    let with = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  id: {}\n  namespaces: {{create: true}}\n",
        fleet.namespace.name
    );
    fleet.write("fleet.yaml", &with);
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stdout.contains(&format!("+ namespace {other}")),
        "{}",
        output.stdout
    );
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    let delete = ["delete", "namespace", &other, "--wait=false"];
    fleet.servers.kubectl(&delete).await.success();
}

#[tokio::test]
async fn a_fleet_can_be_registered_once_and_is_then_known() {
    let fleet = Fleet::new("known", "").await;
    fleet.cluster("berlin", ONE);
    let memory = format!("{}-memory", fleet.namespace.name);
    let run = async |arguments: &[&str]| {
        fleet
            .program
            .run(&[arguments, &["--parent-namespace", memory.as_str()]].concat())
            .await
    };
    let output = run(&["init", "--hub"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stdout.contains("registered: ConfigMap"),
        "{}",
        output.stdout
    );
    assert!(
        output.stderr.contains("to bind the fleet to this hub"),
        "{}",
        output.stderr
    );
    let output = run(&["init", "--hub"]).await;
    assert!(output.stdout.contains("registered already"), "{}", output.stdout);
    let output = run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    fleet
        .servers
        .kubectl(&["delete", "namespace", &memory, "--wait=false"])
        .await
        .success();
}

#[tokio::test]
async fn status_tells_what_is_there_what_is_missing_and_what_is_held() {
    let fleet = Fleet::new("table", "").await;
    for name in ["berlin", "paris"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    let status = json!({"status": {
        "observedGeneration": 1, "version": "v1.35.7+k0s.0", "ready": "1/1", "heldCount": 1,
        "endpoint": {"host": "192.0.2.7", "apiPort": 30443, "konnectivityPort": 30132, "url": "https://192.0.2.7:30443"},
        "held": [{"what": "renderer", "reason": "RendererRevision", "message": "a newer revision waits for the next roll"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "All pods are ready.",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}],
    }});
    let patch = [
        "patch",
        "k0c",
        "berlin",
        "-n",
        &fleet.namespace.name,
        "--subresource=status",
        "--type=merge",
        "-p",
    ];
    fleet
        .servers
        .kubectl(&[&patch[..], &[&status.to_string()]].concat())
        .await
        .success();
    fleet.cluster("rome", ONE);
    fleet.remove("paris");
    // The first column is as wide as the namespace, whose name differs.
    let table = fleet.transcript(&["status"]).await;
    let table: Vec<String> = table
        .lines()
        .map(|line| {
            line.split("  ")
                .filter(|cell| !cell.is_empty())
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(" | ")
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    --- stdout
    NAMESPACE/NAME | VERSION | READY | ENDPOINT | STATUS
    NS/berlin | v1.35.7+k0s.0 | 1/1 | https://192.0.2.7:30443 | Ready
    NS/paris | - | - | - | NotInFiles
    NS/rome | - | - | - | NotApplied

    Held:
    ! NS/berlin | renderer | RendererRevision
    a newer revision waits for the next roll

    3 clusters: 1 ready, 2 not ready
    --- exit 0
    ");
    let output = fleet.run(&["status", "-o", "json"]).await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        document["summary"],
        json!({"clusters": 3, "ready": 1, "notReady": 2})
    );
    assert!(!output.stdout.contains("createdAt"));
    let output = fleet.run(&["status", "-A", "-n", &fleet.namespace.name]).await;
    assert!(
        output.stdout.contains("/paris") && !output.stdout.contains("/rome"),
        "{}",
        output.stdout
    );
}
