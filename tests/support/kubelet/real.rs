//! Level 3: a real etcd for each member and a real kube-apiserver, with exactly the objects that were generated.
//!
//! Each pod gets a root folder with its files in their places. etcd runs with the pod's own arguments; of its
//! configuration only "all interfaces" becomes the member's loopback address. kube-apiserver runs as k0s would start
//! it. Members find each other by name, through a hosts file of their own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tokio::task::{AbortHandle, JoinSet};

use super::super::namespaced::with_root;
use super::super::process::Process;
use super::super::{Servers, ports, watchdog};
use super::member::{self, MEMBERS, Names};
use super::patch::{AGAIN, Policy, act};
use super::{control_plane, filesystem};

/// The pods of one cluster, run for real. Everything stops when dropped.
pub struct RealPods {
    node: Arc<Node>,
    _tasks: JoinSet<()>,
}

struct Node {
    client: Client,
    binaries: PathBuf,
    folder: PathBuf,
    names: Names,
    running: Mutex<BTreeMap<String, Arc<Process>>>,
    /// Pod -> why it does not run.
    problems: Mutex<BTreeMap<String, String>>,
}

/// Tells whether a pod belongs to a cluster, so that another level leaves it alone.
pub fn belongs_to(pod: &Pod, namespace: &str, cluster: &str) -> bool {
    pod.namespace().as_deref() == Some(namespace)
        && pod.labels().get("cluster").is_some_and(|name| name == cluster)
}

impl RealPods {
    /// Runs the pods of `cluster`, on the current runtime.
    pub async fn start(servers: &Servers, namespace: &str, cluster: &str) -> Self {
        Self::start_selected(servers, namespace, cluster, &format!("cluster={cluster}")).await
    }

    /// Runs the members of etcd alone; control-plane pods stay pending.
    pub async fn start_members(servers: &Servers, namespace: &str, cluster: &str) -> Self {
        let selector = format!("cluster={cluster},component=etcd");
        Self::start_selected(servers, namespace, cluster, &selector).await
    }

    async fn start_selected(servers: &Servers, namespace: &str, cluster: &str, selector: &str) -> Self {
        let folder = watchdog::folder("pods");
        let addresses = std::iter::repeat_with(ports::address).take(MEMBERS).collect();
        let names = Names::new(&format!("kmc-{cluster}-etcd"), namespace, addresses);
        std::fs::write(folder.join("hosts"), names.hosts()).expect("the temporary folder is writable");
        let node = Arc::new(Node {
            client: servers.client_named("test-kubelet").await,
            binaries: servers.binaries().to_owned(),
            folder,
            names,
            running: Mutex::default(),
            problems: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(run(node.clone(), namespace.to_owned(), selector.to_owned()));
        Self { node, _tasks: tasks }
    }

    /// File for [`super::super::Program::hosts`]: with it the members' names resolve.
    pub fn hosts(&self) -> PathBuf {
        self.node.folder.join("hosts")
    }

    /// Address of an etcd member.
    pub fn member_address(&self, member: usize) -> IpAddr {
        self.node
            .names
            .address(member)
            .expect("there are enough addresses")
            .into()
    }

    /// The process of a pod, to kill or look at. Dropping it stops nothing.
    pub fn process(&self, pod: &str) -> Option<Arc<Process>> {
        lock(&self.node.running).get(pod).cloned()
    }

    /// Folder that a pod sees as its root.
    pub fn root(&self, pod: &str) -> PathBuf {
        self.node.folder.join(pod)
    }

    /// Why pods do not run, by pod, for messages.
    pub fn problems(&self) -> BTreeMap<String, String> {
        lock(&self.node.problems).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(node: Arc<Node>, namespace: String, selector: String) {
    let api: Api<Pod> = Api::namespaced(node.client.clone(), &namespace);
    let selector = watcher::Config::default().labels(&selector);
    let mut events = watcher(api, selector).boxed();
    let mut lives = JoinSet::new();
    // Pod uid -> its life.
    let mut pods: BTreeMap<String, AbortHandle> = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                if pod.metadata.deletion_timestamp.is_some() {
                    end(&node, &mut pods, &pod);
                    act(&node.client, &pod, IpAddr::from([127, 0, 0, 1]), Policy::Ready).await;
                } else {
                    pods.entry(uid)
                        .or_insert_with(|| lives.spawn(live(node.clone(), pod)));
                }
            }
            Ok(watcher::Event::Delete(pod)) => end(&node, &mut pods, &pod),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn end(node: &Node, pods: &mut BTreeMap<String, AbortHandle>, pod: &Pod) {
    let Some(life) = pods.remove(&pod.uid().unwrap_or_default()) else {
        return;
    };
    life.abort();
    // The successor of the same name is not there before the server has forgotten this one.
    if let Some(process) = lock(&node.running).remove(&pod.name_any()) {
        process.kill();
    }
}

/// What is needed to run one pod, whatever it runs.
struct Ready {
    command: std::process::Command,
    address: IpAddr,
    probe: Probe,
}

enum Probe {
    Member(serde_json::Value),
    /// A kubelet's TCP probe.
    Port(u16),
}

/// Starts a pod, starts it again when it ends, and says whether it is ready, until it is aborted.
async fn live(node: Arc<Node>, pod: Pod) {
    let name = pod.name_any();
    let root = node.folder.join(&name);
    for restarts in 0.. {
        match start(&node, &pod, &root).await {
            Ok(ready) => {
                lock(&node.problems).remove(&name);
                let process = Arc::new(Process::start(
                    ready.command,
                    &node.folder.join(format!("{name}.log")),
                ));
                lock(&node.running).insert(name.clone(), process.clone());
                if restarts > 0 {
                    count_restarts(&node.client, &pod, restarts).await;
                }
                watch(&node, &pod, &root, &process, ready.address, &ready.probe).await;
                lock(&node.problems).insert(name.clone(), process.log_tail(10));
            }
            Err(problem) => {
                lock(&node.problems).insert(name.clone(), problem);
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Says in the status of a pod how often its container was started again.
async fn count_restarts(client: &Client, pod: &Pod, restarts: i32) {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let Ok(current) = api.get(&pod.name_any()).await else {
        return;
    };
    let mut containers = current
        .status
        .and_then(|status| status.container_statuses)
        .unwrap_or_default();
    for container in &mut containers {
        container.restart_count = restarts;
    }
    let patch = serde_json::json!({ "metadata": { "uid": pod.uid() }, "status": { "containerStatuses": containers } });
    // A pod that is gone meanwhile is no matter.
    let _ = api
        .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
        .await;
}

/// Reports readiness whenever it changes; returns when the process has ended.
async fn watch(node: &Node, pod: &Pod, root: &Path, process: &Process, address: IpAddr, probe: &Probe) {
    let api: Api<Pod> = Api::namespaced(node.client.clone(), &pod.namespace().unwrap_or_default());
    let mut reported = None;
    loop {
        let runs = process.ended().is_none();
        let ready = runs && probe.asks(root, address).await;
        if reported != Some(ready)
            && let Ok(current) = api.get(&pod.name_any()).await
            && current.uid() == pod.uid()
        {
            let policy = if ready { Policy::Ready } else { Policy::NeverReady };
            act(&node.client, &current, address, policy).await;
            reported = Some(ready);
        }
        if !runs {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Probe {
    async fn asks(&self, root: &Path, address: IpAddr) -> bool {
        let answer = async {
            match self {
                Self::Member(config) => member::ask(root, config, address).await.is_ok(),
                Self::Port(port) => tokio::net::TcpStream::connect((address, *port)).await.is_ok(),
            }
        };
        tokio::time::timeout(Duration::from_secs(2), answer)
            .await
            .unwrap_or(false)
    }
}

async fn start(node: &Node, pod: &Pod, root: &Path) -> Result<Ready, String> {
    filesystem::build(&node.client, pod, root).await?;
    let spec = pod.spec.as_ref().ok_or("a pod without spec")?;
    for container in spec.init_containers.iter().flatten() {
        filesystem::run_init(pod, container, root).await?;
    }
    let container = spec.containers.first().ok_or("a pod without containers")?;
    let ordinal = pod
        .name_any()
        .rsplit('-')
        .next()
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or_default();
    let etc = root.join("etc");
    let write = |name: &str, text: String| {
        std::fs::create_dir_all(&etc)
            .and_then(|()| std::fs::write(etc.join(name), text))
            .map_err(|e| e.to_string())
    };
    write("nsswitch.conf", "hosts: files\n".to_owned())?;
    match pod.labels().get("component").map(String::as_str) {
        Some("etcd") => {
            write("hosts", node.names.hosts_of_members())?;
            start_member(node, pod, container, root, ordinal)
        }
        Some("cluster") => {
            write("hosts", node.names.hosts())?;
            start_control_plane(node, pod, container, root, ordinal)
        }
        other => Err(format!("component {other:?} is not played here")),
    }
}

fn start_member(
    node: &Node,
    pod: &Pod,
    container: &Container,
    root: &Path,
    ordinal: usize,
) -> Result<Ready, String> {
    let address = IpAddr::from(node.names.address(ordinal).ok_or("too many members")?);
    let call = filesystem::call(pod, container, &address.to_string());
    let file = flag(&call.argv, "--config-file").ok_or("etcd is called without --config-file")?;
    let config = member::settle_file(root, file, address)?;
    install(&node.binaries, root, "etcd")?;
    let mut command = with_root(root, "/usr/local/bin/etcd");
    command
        .args(call.argv.iter().skip_while(|word| !word.starts_with("--")))
        .envs(call.environment);
    Ok(Ready {
        command,
        address,
        probe: Probe::Member(config),
    })
}

fn start_control_plane(
    node: &Node,
    pod: &Pod,
    container: &Container,
    root: &Path,
    ordinal: usize,
) -> Result<Ready, String> {
    let own = IpAddr::from(ports::address());
    let call = filesystem::call(pod, container, &own.to_string());
    let file = flag(&call.argv, "--config").unwrap_or("/etc/k0s/k0s.yaml");
    let config = control_plane::read(root, file)?;
    // One replica can listen at the endpoint; a Service would spread over all of them.
    let start = control_plane::prepare(root, &config, own, ordinal == 0)?;
    install(&node.binaries, root, "kube-apiserver")?;
    let mut command = with_root(root, "/usr/local/bin/kube-apiserver");
    command.args(start.arguments);
    Ok(Ready {
        command,
        address: start.address,
        probe: Probe::Port(start.port),
    })
}

/// Returns the value of a flag in both of its forms.
fn flag<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    argv.iter()
        .enumerate()
        .find_map(|(at, word)| match word.strip_prefix(name)? {
            "" => argv.get(at + 1).map(String::as_str),
            rest => rest.strip_prefix('='),
        })
}

fn install(binaries: &Path, root: &Path, name: &str) -> Result<(), String> {
    let folder = root.join("usr/local/bin");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let from = binaries
        .join(name)
        .canonicalize()
        .map_err(|error| format!("{name}: {error}"))?;
    let to = folder.join(name);
    // A link costs nothing, and is not always possible.
    std::fs::hard_link(&from, &to)
        .or_else(|_| std::fs::copy(&from, &to).map(|_| ()))
        .map_err(|error| format!("{name}: {error}"))
}
