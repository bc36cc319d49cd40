//! Waves on real servers: an operator, pods that are as ready as the test says, and the program in the middle of it.

use k0smotron_fleet::api::labels;
use serde_json::{Value, json};

use crate::cli::assert_fits;
use crate::cli_fleet::Fleet;
use crate::operator::{Bench, Controller, SOON};
use crate::support::kubelet::Policy;
use crate::support::{Output, Process, eventually};

const OLD: &str = "v1.36.2+k0s.0";
const NEW: &str = "v1.36.3+k0s.2";
/// A cluster for the canary, two for the wave after it, and one that no wave chooses.
const CLUSTERS: [(&str, &str); 4] = [
    ("one", "canary"),
    ("two", "prod"),
    ("three", "prod"),
    ("four", "lab"),
];

/// A fleet whose clusters run.
struct World {
    bench: Bench<'static>,
    fleet: Fleet,
    controller: Option<Controller>,
}

impl World {
    async fn new(hint: &str, rollout: &str) -> Self {
        let rollout = format!(
            "  rollout:\n    canary: {{selector: {{matchLabels: {{stage: canary}}}}}}\n    \
             waves: [{{name: prod, selector: {{matchLabels: {{stage: prod}}}}}}]\n    {rollout}\n"
        );
        let fleet = Fleet::new(hint, &rollout).await;
        let (bench, controller) = fleet.hosted().await;
        let world = Self {
            bench,
            fleet,
            controller: Some(controller),
        };
        world.version(OLD);
        for (name, stage) in CLUSTERS {
            let labels = format!("{{stage: {stage}}}");
            world.fleet.labelled(name, &labels, "spec: {replicas: 1}\n");
        }
        world.apply(&["--first-apply"]).await.success();
        for (name, _) in CLUSTERS {
            world.bench.until_ready(name).await;
        }
        world
    }

    /// Writes which version all clusters are to run.
    fn version(&self, version: &str) {
        let defaults = format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nspec: {{version: {version}}}\n"
        );
        self.fleet.write("defaults.yaml", &defaults);
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let output = self.fleet.run(arguments).await;
        if !arguments.contains(&"json") {
            assert_fits(&output);
        }
        output
    }

    async fn apply(&self, more: &[&str]) -> Output {
        self.run(&[&["apply", "-y"], more].concat()).await
    }

    fn start_apply(&self) -> Process {
        self.fleet.start(&["apply", "-y"])
    }

    async fn rollout(&self) -> Value {
        let output = self.run(&["rollout", "status", "-o", "json"]).await;
        serde_json::from_str(&output.success()).unwrap()
    }

    /// Names of the clusters whose spec has the new version.
    async fn changed(&self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        for (name, _) in CLUSTERS {
            let cluster = self.bench.cluster(name).await;
            if cluster.spec.version.as_deref() == Some(NEW) {
                changed.push(name);
            }
        }
        changed
    }

    async fn until_changed(&self, names: &[&str]) {
        eventually(&format!("{names:?} are changed"), SOON, async || {
            let changed = self.changed().await;
            if changed == names {
                Ok(())
            } else {
                Err(format!("{changed:?}"))
            }
        })
        .await;
    }

    /// Waits until somebody has looked at the cluster and seen this.
    async fn until_it_waits_for(&self, words: &str) -> Value {
        eventually(&format!("the rollout waits for {words}"), SOON, async || {
            let status = self.rollout().await;
            let found = status["clusters"].as_array().unwrap().iter().any(|cluster| {
                let lacks = cluster["lacks"].as_str().unwrap_or_default();
                lacks.contains(words)
            });
            if found {
                Ok(status)
            } else {
                Err(status.to_string())
            }
        })
        .await
    }
}

#[tokio::test]
async fn waves_go_one_after_another_and_any_machine_can_go_on_with_them() {
    let world = World::new("waves", "").await;
    world.bench.kubelet.set(Policy::Leave);
    world.version(NEW);
    let plan = world.run(&["plan"]).await.success();
    for line in ["one  ", "two  "] {
        assert!(plan.contains(line), "{plan}");
    }
    assert_eq!(plan.matches("disruptive  wave canary").count(), 1, "{plan}");
    assert_eq!(plan.matches("disruptive  wave prod").count(), 2, "{plan}");
    assert_eq!(plan.matches("disruptive  wave rest").count(), 1, "{plan}");

    let first = world.start_apply();
    world.until_it_waits_for("no pod is ready").await;
    assert_eq!(world.changed().await, ["one"]);
    // kill -9: what was begun is remembered on the hub.
    drop(first);
    let second = world.start_apply();
    let status = world.until_it_waits_for("no pod is ready").await;
    assert_eq!(status["clusters"].as_array().unwrap().len(), 1);
    assert_eq!(world.changed().await, ["one"]);
    world.bench.kubelet.set(Policy::Ready);
    world.until_changed(&["one", "two", "three", "four"]).await;
    let log = eventually("apply ends", SOON, async || {
        let log = second.log();
        if log.contains("Applied:") {
            Ok(log)
        } else {
            Err(log)
        }
    })
    .await;
    assert!(log.contains("3 changed"), "{log}");
    for (name, _) in CLUSTERS {
        world.bench.until_ready(name).await;
    }
    assert_eq!(world.run(&["plan", "--detailed-exitcode"]).await.code, 0);
}

#[tokio::test]
async fn a_status_of_the_generation_before_never_opens_a_wave() {
    let mut world = World::new("stale", "").await;
    // Green, and from now on nobody changes it.
    world.controller.take().unwrap().end().await;
    world.version(NEW);
    let output = world.apply(&["--deadline", "6s"]).await;
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(
        output.stdout.contains("wave canary waits for 1 cluster"),
        "{}",
        output.stdout
    );
    assert_eq!(world.changed().await, ["one"]);
    let live = world.bench.cluster("one").await.status.unwrap();
    assert!(
        live.conditions
            .iter()
            .any(|one| one.type_ == "Available" && one.status == "True")
    );
}

#[tokio::test]
async fn too_many_failures_halt_and_somebody_lets_it_go_on() {
    let world = World::new("halt", "progressDeadline: 3s").await;
    world.bench.kubelet.set(Policy::Leave);
    world.version(NEW);
    let output = world.apply(&[]).await;
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(output.stderr.contains("rollout resume"), "{}", output.stderr);
    let status = world.rollout().await;
    assert_eq!(status["phase"], "halted");
    assert!(
        status["why"]
            .as_str()
            .unwrap()
            .starts_with("1 failed, maxFailures is 0"),
        "{status}"
    );
    // Another run changes nothing of that.
    assert_eq!(world.apply(&[]).await.code, 5);
    assert_eq!(world.changed().await, ["one"]);
    let text = world.run(&["rollout", "status"]).await.success();
    assert!(text.contains("halted") && text.contains("canary"), "{text}");
    let table = world.run(&["status"]).await.success();
    assert!(table.contains("Rollout: halted"), "{table}");
    assert!(table.contains("/one  wave canary, failed"), "{table}");
    let document: Value = serde_json::from_str(&world.run(&["status", "-o", "json"]).await.stdout).unwrap();
    assert_eq!(document["rollout"]["phase"], "halted");
    assert_eq!(document["rollout"]["clusters"][0]["object"]["name"], "one");

    world.bench.kubelet.set(Policy::Ready);
    world.bench.until_ready("one").await;
    assert_eq!(world.changed().await, ["one"]);
    world.run(&["rollout", "resume"]).await.success();
    world.apply(&[]).await.success();
    assert_eq!(world.changed().await.len(), 4);
}

#[tokio::test]
async fn a_return_to_what_runs_needs_no_gate_and_a_pause_holds_the_rest() {
    let world = World::new("return", "").await;
    world.bench.kubelet.set(Policy::Leave);
    world.version(NEW);
    let running = world.start_apply();
    world.until_it_waits_for("no pod is ready").await;
    world
        .run(&["rollout", "pause", "--reason", "a bad version"])
        .await
        .success();
    let log = eventually("apply ends", SOON, async || {
        let log = running.log();
        if log.contains("Applied:") {
            Ok(log)
        } else {
            Err(log)
        }
    })
    .await;
    assert!(log.contains("the rollout is paused: a bad version"), "{log}");
    assert_eq!(world.apply(&[]).await.code, 5);
    assert_eq!(world.changed().await, ["one"]);

    world.version(OLD);
    let output = world.apply(&[]).await;
    assert_eq!(
        (output.code, world.changed().await),
        (0, Vec::new()),
        "{}{}",
        output.stdout,
        output.stderr
    );
    let one = world.bench.cluster("one").await;
    assert_eq!(
        one.metadata.labels.unwrap()[labels::FLEET_ID],
        world.bench.namespace.name
    );
    assert_eq!(world.rollout().await["phase"], json!("running"));
}
