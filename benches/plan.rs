//! What a plan costs: `make bench`.
//!
//! Real etcd and kube-apiserver on this machine, no controllers. All clusters are applied and all their StatefulSets are
//! there, as bare objects; one in a hundred is really made by the operator, and is what then changes. Measured are the
//! program without a change and with one per cent changed, and in the same run `kubectl diff --server-side` of the same
//! file, unchanged, with 1 and with 8 requests at once. Of large fleets kubectl gets only the first clusters, for it
//! takes minutes: `of` says how many, and its figures are of those alone. Seconds, processor and peak memory are those of
//! the process as the kernel counts them; requests are those in the audit log. Of three runs the median one is shown.
//! Absolute figures belong to the machine; what stands beside each other is the result.

#[path = "../tests/support/mod.rs"]
mod support;

use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, ListParams, ObjectList};
use kube::core::PartialObjectMeta;
use serde_json::{Value, json};
use support::measure::{self, Cost};
use support::{Namespace, Program, Servers, audit, eventually, loader};

const BEFORE: &str = "v1.35.7+k0s.0";
const AFTER: &str = "v1.35.8+k0s.0";
/// Most clusters that kubectl is given.
const KUBECTL_MAX: usize = 1_000;
const RUNS: usize = 3;
/// Clusters of one file: one larger than a megabyte is refused.
const FILE_MAX: usize = 1_000;

#[tokio::main]
async fn main() {
    let Some(counts) = measure::counts(&[1_000, 10_000]) else {
        return;
    };
    println!(
        "{:>9} {:<24} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "clusters", "what", "of", "seconds", "cpu s", "peak MiB", "requests"
    );
    for count in counts {
        measure_plans(count).await;
    }
}

async fn measure_plans(count: usize) {
    let servers = measure::hub().await;
    let made = servers.namespace("fleet").await;
    let namespace = made.name.clone();
    let program = Program::new(env!("CARGO_BIN_EXE_k0smotron-fleet")).kubeconfig(&servers.kubeconfig());
    let changing = count / 100;
    host(&servers, &program, &namespace, changing).await;
    write_fleet(&program, &namespace, count, 0);
    apply(&program, &namespace).await;
    loader::stateful_sets(&servers, &namespace).await;

    let bench = Bench {
        _namespace: made,
        servers,
        count,
    };
    let plan = program.command(&["plan", "--parent-namespace", &namespace]);
    let none = bench
        .row("plan, unchanged", count, "k0smotron-fleet/", || command(&plan))
        .await;
    assert_eq!(none.code, 0, "{}", none.stderr);
    assert!(
        none.stdout.contains(&format!("nothing to do, {count} unchanged")),
        "{}",
        none.stdout
    );
    write_fleet(&program, &namespace, count, changing);
    let some = bench
        .row("plan, 1 % changed", count, "k0smotron-fleet/", || command(&plan))
        .await;
    assert_eq!(some.code, 0, "{}", some.stderr);
    assert!(
        some.stdout.contains(&format!("{changing} to change")),
        "{}",
        some.stdout
    );

    let share = count.min(KUBECTL_MAX);
    let file = bench.servers.folder().join("unchanged.yaml");
    std::fs::write(&file, clusters(&namespace, 0..share, 0)).expect("the folder is writable");
    for concurrency in ["1", "8"] {
        let mut diff = Command::new(bench.servers.binaries().join("kubectl"));
        diff.env_clear()
            .env("HOME", program.folder())
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", bench.servers.kubeconfig())
            .args([
                "diff",
                "--server-side",
                "--force-conflicts",
                "--concurrency",
                concurrency,
                "-f",
            ])
            .arg(&file);
        let what = format!("kubectl diff, {concurrency} at once");
        let found = bench.once(&what, share, "kubectl", command(&diff)).await;
        assert_eq!(found.code, 0, "{}{}", found.stdout, found.stderr);
    }
}

struct Bench {
    _namespace: Namespace,
    servers: Servers,
    count: usize,
}

impl Bench {
    /// Shows the median run.
    async fn row(&self, what: &str, of: usize, agent: &str, command: impl Fn() -> Command) -> Cost {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(self.run(agent, command()).await);
        }
        runs.sort_by(|(one, _), (other, _)| one.seconds.total_cmp(&other.seconds));
        let (cost, requests) = runs.swap_remove(RUNS / 2);
        self.show(what, of, &cost, requests);
        cost
    }

    async fn once(&self, what: &str, of: usize, agent: &str, command: Command) -> Cost {
        let (cost, requests) = self.run(agent, command).await;
        self.show(what, of, &cost, requests);
        cost
    }

    async fn run(&self, agent: &str, command: Command) -> (Cost, usize) {
        let client = self.servers.client().await;
        let mark = self.servers.audit.mark(&client).await;
        let folder = self.servers.folder().to_owned();
        let cost = tokio::task::spawn_blocking(move || measure::run(command, &folder)).await;
        let events = audit::by(self.servers.audit.since(&client, mark).await, agent);
        (cost.expect("measuring does not panic"), events.len())
    }

    fn show(&self, what: &str, of: usize, cost: &Cost, requests: usize) {
        println!(
            "{:>9} {what:<24} {of:>7} {:>9.2} {:>9.2} {:>9.0} {requests:>9}",
            self.count, cost.seconds, cost.cpu_seconds, cost.peak_mebibytes
        );
    }
}

/// Returns the same command once more.
fn command(of: &Command) -> Command {
    let mut command = Command::new(of.get_program());
    command.env_clear().args(of.get_args());
    command.envs(of.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.current_dir(of.get_current_dir().unwrap_or(Path::new("/")));
    command
}

/// Lets the operator make the first clusters.
async fn host(servers: &Servers, program: &Program, namespace: &str, count: usize) {
    write_fleet(program, namespace, count, 0);
    apply(program, namespace).await;
    let kubeconfig = servers.kubeconfig();
    let arguments = ["controller", "--kubeconfig", &kubeconfig.to_string_lossy()];
    let controller = program.start(&arguments);
    let client = servers.client().await;
    let sets: Api<PartialObjectMeta<StatefulSet>> = Api::namespaced(client.clone(), namespace);
    eventually(
        "the first clusters are made",
        Duration::from_secs(300),
        async || {
            let list: ObjectList<_> = sets
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            if list.items.len() == 2 * count {
                Ok(())
            } else {
                Err(format!(
                    "{} of {}\n{}",
                    list.items.len(),
                    2 * count,
                    controller.log_tail(5)
                ))
            }
        },
    )
    .await;
    controller.terminate(Duration::from_secs(30));
}

fn cluster(namespace: &str, index: usize, version: &str) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": { "name": format!("site-{index:05}"), "namespace": namespace },
        "spec": { "replicas": 1, "version": version, "service": { "type": "ClusterIP" } },
    })
}

/// Returns the clusters as YAML, of which the first `changed` have another version.
fn clusters(namespace: &str, indices: Range<usize>, changed: usize) -> String {
    let version = |index: usize| if index < changed { AFTER } else { BEFORE };
    indices
        .map(|index| format!("---\n{}\n", cluster(namespace, index, version(index))))
        .collect()
}

fn write_fleet(program: &Program, namespace: &str, count: usize, changed: usize) {
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: bench}}\nspec: {{id: {namespace}}}\n"
    );
    let mut files = vec![("fleet.yaml".to_owned(), fleet)];
    for first in (0..count).step_by(FILE_MAX) {
        let several = first..count.min(first + FILE_MAX);
        files.push((
            format!("clusters-{first:05}.yaml"),
            clusters(namespace, several, changed),
        ));
    }
    for (path, text) in files {
        std::fs::write(program.folder().join(path), text).expect("the folder is writable");
    }
}

async fn apply(program: &Program, namespace: &str) {
    let arguments = ["apply", "-y", "-q", "--first-apply", "--parallelism", "64"];
    let hub = ["--parent-namespace", namespace];
    program.run(&[&arguments[..], &hub].concat()).await.success();
}
