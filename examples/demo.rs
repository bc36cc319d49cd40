//! `make demo`: the main job of the product on real API servers, in front of the reader.
//!
//! Argument: the path of the binary. Everything is started here on free ports and ends with this process; with
//! `DEMO_KEEP=1` it stays until Enter or Ctrl-C.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use k0smotron_fleet::fleet::parent::NAMESPACE as SYSTEM_NAMESPACE;
use k0smotron_fleet::render::PUBLISHED_NAME;
use serde_json::{Value, json};
use support::kubelet::{self, Answers, Kubelet, Policy, RealPods};
use support::{Options, Process, Servers, try_eventually};

/// The cluster whose pods are a real etcd and a real kube-apiserver.
const REAL: (&str, &str) = ("ci", "runner");
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T = ()> = Result<T, String>;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: demo PATH-OF-K0SMOTRON-FLEET (or: make demo)");
        return ExitCode::FAILURE;
    };
    let run = async {
        let demo = Demo::start(&program).await?;
        demo.show().await?;
        demo.keep().await
    };
    let outcome = tokio::select! {
        outcome = run => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted; everything is stopped".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\ndemo: {reason}");
            ExitCode::FAILURE
        }
    }
}

struct Demo {
    program: PathBuf,
    folder: PathBuf,
    servers: Servers,
    controller: Process,
    started: Instant,
    _kubelet: Kubelet,
    _answers: Answers,
    _real: RealPods,
}

impl Demo {
    async fn start(program: &Path) -> Outcome<Self> {
        let started = Instant::now();
        println!("Control-plane pods are simulated; API objects, plan and restarts are real.");
        println!(
            "({}/{} is the exception: a real etcd and kube-apiserver run for it.)",
            REAL.0, REAL.1
        );
        heading("A hosting cluster: etcd, kube-apiserver, kube-controller-manager on loopback");
        let servers = Servers::try_start(&Options::default()).await?;
        support::hosting::node(&servers.client().await, "edge-node", servers.node_address.into()).await;
        println!(
            "ready after {:.1} s; one Node, {}",
            started.elapsed().as_secs_f64(),
            servers.node_address
        );
        let folder = support::watchdog::folder("demo");
        copy(Path::new("fleet-examples/platform"), &folder.join("fleet"))
            .map_err(|error| error.to_string())?;

        heading(
            "Install: CRDs and a namespace (in a cluster, `install` adds rights, policies, the Deployment)",
        );
        let crds = quiet(program, &folder, &servers, &["crds"])?;
        echo("k0smotron-fleet crds | kubectl apply --server-side -f -");
        let applied = servers
            .kubectl_with(
                &servers.kubeconfig(),
                &["apply", "--server-side", "-f", "-"],
                &crds,
            )
            .await;
        print!("{}", applied.success());
        for name in ["k0smotronclusters.k0smotron.io", "fleetsyncs.fleet.k0smotron.io"] {
            let name = format!("crd/{name}");
            servers
                .kubectl(&["wait", "--for=condition=Established", &name])
                .await
                .success();
        }
        let namespace = ["create", "namespace", SYSTEM_NAMESPACE];
        echo(&format!("kubectl {}", namespace.join(" ")));
        print!("{}", servers.kubectl(&namespace).await.success());
        let controller = controller(program, &folder, &servers);
        let kubelet = Kubelet::start_with(servers.client_named("test-kubelet").await, None, |pod| {
            if kubelet::belongs_to(pod, REAL.0, REAL.1) {
                Policy::Leave
            } else {
                Policy::Ready
            }
        });
        let answers = Answers::start(servers.client_named("test-kubelet").await, None);
        let real = RealPods::start(&servers, REAL.0, REAL.1).await;
        Ok(Self {
            program: program.to_owned(),
            folder,
            servers,
            controller,
            started,
            _kubelet: kubelet,
            _answers: answers,
            _real: real,
        })
    }

    /// Waits until the operator has said how it renders: plans show its version.
    async fn published(&self) -> Outcome {
        try_eventually(PATIENCE, async || {
            let published = ["get", "configmap", "-n", SYSTEM_NAMESPACE, PUBLISHED_NAME];
            let found = self.servers.kubectl(&published).await;
            if found.code == 0 {
                Ok(())
            } else {
                Err(found.stderr)
            }
        })
        .await
        .map_err(|reason| self.because(&reason))
    }

    async fn show(&self) -> Outcome {
        self.published().await?;
        heading("Twenty control planes from a directory: plan, then apply");
        self.run(&["plan", "fleet"])?;
        self.run(&["apply", "fleet", "--first-apply", "--auto-approve"])?;
        let applied = Instant::now();
        self.all_ready().await?;
        println!(
            "all Ready {:.1} s after the apply",
            applied.elapsed().as_secs_f64()
        );
        self.run(&["status", "fleet"])?;

        heading("The kubeconfig of one of them, used on its real API server");
        self.use_kubeconfig().await?;

        heading("A version bump in one file and a new one for the stores: which pods will restart?");
        self.edit("clusters/prod/search.yaml", "v1.35.7+k0s.0", "v1.36.3+k0s.2")?;
        self.edit("clusters/edge/stores.yaml", "v1.35.7+k0s.0", "v1.36.3+k0s.2")?;
        self.run(&["plan", "fleet"])?;
        self.run(&["apply", "fleet", "--auto-approve"])?;
        self.version("prod", "search", "v1.36.3+k0s.2").await?;
        self.version("edge", "store-0001", "v1.36.3+k0s.2").await?;
        self.all_ready().await?;
        self.run(&["status", "fleet"])?;

        heading("A file removed: nothing is deleted until somebody says so");
        std::fs::remove_file(self.folder.join("fleet/clusters/prod/catalog.yaml"))
            .map_err(|error| error.to_string())?;
        self.run(&["plan", "fleet"])?;

        heading("From inside the cluster: a FleetSync follows a Git repository");
        self.follow_git().await?;
        println!(
            "\n{:.0} seconds in all. Nothing is left running.",
            self.started.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Runs a command of the product as a user would, with its output going where ours goes.
    fn run(&self, arguments: &[&str]) -> Outcome {
        echo(&format!("k0smotron-fleet {}", arguments.join(" ")));
        let status = command(&self.program, &self.folder, &self.servers, arguments)
            .status()
            .map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(self.because(&format!("`{}` ended with {status}", arguments.join(" "))))
        }
    }

    fn because(&self, what: &str) -> String {
        format!(
            "{what}\nthe end of the controller's log:\n{}",
            self.controller.log_tail(20)
        )
    }

    async fn clusters(&self) -> Outcome<Vec<Value>> {
        let listed = self
            .servers
            .kubectl(&["get", "k0c", "-A", "-o", "json"])
            .await
            .success();
        let listed: Value = serde_json::from_str(&listed).map_err(|error| error.to_string())?;
        Ok(listed["items"].as_array().cloned().unwrap_or_default())
    }

    async fn all_ready(&self) -> Outcome {
        try_eventually(PATIENCE, async || {
            let clusters = self.clusters().await?;
            let waiting: Vec<String> = clusters
                .iter()
                .filter(|cluster| !is_ready(cluster))
                .map(name)
                .collect();
            if waiting.is_empty() && !clusters.is_empty() {
                Ok(())
            } else {
                Err(format!("not Ready: {}", waiting.join(", ")))
            }
        })
        .await
        .map_err(|reason| self.because(&reason))
    }

    async fn version(&self, namespace: &str, cluster: &str, wanted: &str) -> Outcome {
        try_eventually(PATIENCE, async || {
            let arguments = [
                "get",
                "k0c",
                "-n",
                namespace,
                cluster,
                "-o",
                "jsonpath={.status.version}",
            ];
            let version = self.servers.kubectl(&arguments).await.stdout;
            if version.trim() == wanted {
                Ok(())
            } else {
                Err(format!("{namespace}/{cluster} runs {version}"))
            }
        })
        .await
        .map_err(|reason| self.because(&reason))
    }

    fn edit(&self, path: &str, old: &str, new: &str) -> Outcome {
        let path = self.folder.join("fleet").join(path);
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        std::fs::write(&path, text.replace(old, new)).map_err(|error| error.to_string())
    }

    async fn use_kubeconfig(&self) -> Outcome {
        let secret = format!("secret/{}-kubeconfig", REAL.1);
        let encoded = self
            .servers
            .kubectl(&[
                "get",
                "-n",
                REAL.0,
                &secret,
                "-o",
                "go-template={{.data.value|base64decode}}",
            ])
            .await;
        let path = self.folder.join("runner.kubeconfig");
        std::fs::write(&path, encoded.success()).map_err(|error| error.to_string())?;
        echo("kubectl --kubeconfig runner.kubeconfig get namespaces");
        let listed = self.servers.kubectl_with(&path, &["get", "namespaces"], "").await;
        print!("{}", listed.success());
        Ok(())
    }

    async fn follow_git(&self) -> Outcome {
        let git = |error: git2::Error| error.message().to_owned();
        let path = self.folder.join("fleet.git");
        let repository = git2::Repository::init_bare(&path).map_err(git)?;
        let cluster = |version: &str| {
            json!({
                "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
                "metadata": { "name": "pos-lab", "namespace": "edge" }, "spec": { "version": version },
            })
            .to_string()
        };
        let fleet = "{apiVersion: fleet.k0smotron.io/v1alpha1, kind: Fleet, metadata: {name: lab}, spec: {id: lab-demo}}";
        let push = |version: &str| {
            commit(
                &repository,
                &[("fleet.yaml", fleet), ("lab.json", &cluster(version))],
            )
        };
        push("v1.35.7+k0s.0").map_err(git)?;
        let manifests = format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: fleet, namespace: edge}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: fleet, namespace: edge}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\n\
             subjects: [{{kind: ServiceAccount, name: fleet, namespace: edge}}]\n---\n\
             apiVersion: fleet.k0smotron.io/v1alpha1\nkind: FleetSync\nmetadata: {{name: lab, namespace: edge}}\n\
             spec:\n  source: {{git: {{url: 'file://{}'}}}}\n  interval: 1s\n  serviceAccountName: fleet\n\
             \x20 maxImpact: Disruptive\n",
            path.display()
        );
        echo("kubectl apply -f sync.yaml     # source file://.../fleet.git, interval 1s");
        print!(
            "{}",
            self.servers
                .kubectl_with(&self.servers.kubeconfig(), &["apply", "-f", "-"], &manifests)
                .await
                .success()
        );
        self.version("edge", "pos-lab", "v1.35.7+k0s.0").await?;
        println!("edge/pos-lab was created from the first commit and runs v1.35.7+k0s.0");
        echo("git commit -m 'pos-lab: v1.36.3' && git push");
        push("v1.36.3+k0s.2").map_err(git)?;
        let pushed = Instant::now();
        self.version("edge", "pos-lab", "v1.36.3+k0s.2").await?;
        println!(
            "{:.1} s after the push it runs v1.36.3+k0s.2",
            pushed.elapsed().as_secs_f64()
        );
        echo("kubectl get fleetsync -n edge");
        print!(
            "{}",
            self.servers
                .kubectl(&["get", "fleetsync", "-n", "edge"])
                .await
                .success()
        );
        Ok(())
    }

    async fn keep(&self) -> Outcome {
        if std::env::var_os("DEMO_KEEP").is_none_or(|value| value.is_empty() || value == "0") {
            return Ok(());
        }
        println!("\nIt keeps running. In another terminal:");
        println!("  export KUBECONFIG={}", self.servers.kubeconfig().display());
        println!(
            "  {} get k0c -A",
            self.servers.binaries().join("kubectl").display()
        );
        println!(
            "The copy of the fleet is {}. Ctrl-C ends it all.",
            self.folder.join("fleet").display()
        );
        std::future::pending().await
    }
}

fn command(program: &Path, folder: &Path, servers: &Servers, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    let (key, value) = support::watchdog::mark();
    command
        .args(arguments)
        .current_dir(folder)
        .env("KUBECONFIG", servers.kubeconfig())
        .env("HOME", folder)
        .env(key, value);
    command
}

fn controller(program: &Path, folder: &Path, servers: &Servers) -> Process {
    let kubeconfig = servers.kubeconfig();
    let kubeconfig = kubeconfig.to_string_lossy();
    let arguments = ["controller", "--kubeconfig", &kubeconfig, "--allow-file-sources"];
    echo("k0smotron-fleet controller --kubeconfig hub.kubeconfig --allow-file-sources &");
    Process::start(
        command(program, folder, servers, &arguments),
        &folder.join("controller.log"),
    )
}

fn quiet(program: &Path, folder: &Path, servers: &Servers, arguments: &[&str]) -> Outcome<String> {
    let output = command(program, folder, servers, arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn echo(line: &str) {
    println!("\n$ {line}");
}

fn name(cluster: &Value) -> String {
    let text = |key: &str| cluster["metadata"][key].as_str().unwrap_or("?").to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

fn is_ready(cluster: &Value) -> bool {
    let generation = &cluster["metadata"]["generation"];
    cluster["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| {
            conditions.iter().any(|condition| {
                condition["type"] == "Ready"
                    && condition["status"] == "True"
                    && condition["observedGeneration"] == *generation
            })
        })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Commits files to the branch `main`, as a push would leave it.
fn commit(repository: &git2::Repository, files: &[(&str, &str)]) -> Result<(), git2::Error> {
    let mut builder = repository.treebuilder(None)?;
    for (path, text) in files {
        builder.insert(path, repository.blob(text.as_bytes())?, 0o100_644)?;
    }
    let tree = repository.find_tree(builder.write()?)?;
    let who = git2::Signature::now("platform", "platform@example.org")?;
    let parent = repository
        .find_reference("refs/heads/main")
        .ok()
        .and_then(|head| head.peel_to_commit().ok());
    let parents: Vec<_> = parent.iter().collect();
    repository.commit(Some("refs/heads/main"), &who, &who, "change", &tree, &parents)?;
    Ok(())
}
