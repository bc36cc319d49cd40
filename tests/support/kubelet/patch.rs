//! Level 1: pods become ready, stay pending, or fail, as the test says; nothing runs.
//!
//! The StatefulSet controller counts a pod as ready when its status says `phase: Running` and condition
//! `Ready: True`. It never asks whether anything runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pause before something that failed is tried again; a kubelet waits longer.
pub(super) const AGAIN: Duration = Duration::from_millis(200);

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Running and ready at once.
    Ready,
    /// Running at once, ready after this time.
    ReadyAfter(Duration),
    /// Running, and never ready. A ready pod stops being ready.
    NeverReady,
    /// Untouched: stays pending, or is somebody else's business.
    Leave,
    /// Ends with phase `Failed` (the StatefulSet controller then makes it anew).
    Fail,
}

type Decide = Arc<dyn Fn(&Pod) -> Policy + Send + Sync>;

/// The pods of one namespace, or of all. Stops when dropped.
pub struct Kubelet {
    decide: Arc<Mutex<Decide>>,
    changed: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Kubelet {
    /// Plays the nodes for the pods of `namespace`, or of all namespaces.
    ///
    /// Runs on the current runtime. `client` should have a user agent that the test does not count.
    pub fn start(client: Client, namespace: Option<&str>, policy: Policy) -> Self {
        Self::start_with(client, namespace, move |_| policy)
    }

    /// Like [`Kubelet::start`], with a decision for each pod.
    pub fn start_with(
        client: Client,
        namespace: Option<&str>,
        decide: impl Fn(&Pod) -> Policy + Send + Sync + 'static,
    ) -> Self {
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Arc::new(decide)));
        let changed = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(run(
            client,
            namespace.map(str::to_owned),
            decide.clone(),
            changed.clone(),
        ));
        Self {
            decide,
            changed,
            _tasks: tasks,
        }
    }

    /// Changes the decision, also for the pods that exist.
    pub fn decide(&self, decide: impl Fn(&Pod) -> Policy + Send + Sync + 'static) {
        *self.decide.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(decide);
        self.changed.notify_one();
    }

    /// Changes the policy of all pods, also of those that exist.
    pub fn set(&self, policy: Policy) {
        self.decide(move |_| policy);
    }
}

/// A pod, and what this node decided about it.
struct Placed {
    pod: Pod,
    address: IpAddr,
    /// When a pod with a delay becomes ready.
    due: Option<Instant>,
}

async fn run(client: Client, namespace: Option<String>, decide: Arc<Mutex<Decide>>, changed: Arc<Notify>) {
    let api: Api<Pod> = match &namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let mut events = watcher(api, watcher::Config::default()).boxed();
    let mut pods: BTreeMap<String, Placed> = BTreeMap::new();
    loop {
        let next_due = pods.values().filter_map(|placed| placed.due).min();
        let touched: Vec<String> = tokio::select! {
            event = events.next() => match event {
                None => return,
                // The stream goes on by itself; the pause keeps a server that is down from being asked in a loop.
                Some(Err(_)) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Some(Ok(event)) => note(&mut pods, event).into_iter().collect(),
            },
            () = changed.notified() => pods.keys().cloned().collect(),
            () = tokio::time::sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {
                let now = Instant::now();
                pods.iter().filter(|(_, placed)| placed.due.is_some_and(|due| due <= now)).map(|(uid, _)| uid.clone()).collect()
            }
        };
        for uid in touched {
            let Some(placed) = pods.get_mut(&uid) else {
                continue;
            };
            let decide = decide.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let policy = settle(decide(&placed.pod), placed);
            act(&client, &placed.pod, placed.address, policy).await;
        }
    }
}

/// Takes an event in, and returns the pod that has to be looked at.
fn note(pods: &mut BTreeMap<String, Placed>, event: watcher::Event<Pod>) -> Option<String> {
    match event {
        watcher::Event::Init | watcher::Event::InitDone => None,
        watcher::Event::Delete(pod) => {
            pods.remove(&pod.uid()?);
            None
        }
        watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
            let uid = pod.uid()?;
            match pods.get_mut(&uid) {
                Some(placed) => placed.pod = pod,
                None => {
                    let address = address_of(&pod).unwrap_or_else(next_address);
                    pods.insert(
                        uid.clone(),
                        Placed {
                            pod,
                            address,
                            due: None,
                        },
                    );
                }
            }
            Some(uid)
        }
    }
}

/// Turns a delay into what holds now, and remembers when it ends.
fn settle(policy: Policy, placed: &mut Placed) -> Policy {
    let Policy::ReadyAfter(delay) = policy else {
        placed.due = None;
        return policy;
    };
    if is_ready(&placed.pod) {
        placed.due = None;
        return Policy::Ready;
    }
    let due = *placed.due.get_or_insert_with(|| Instant::now() + delay);
    if Instant::now() < due {
        return Policy::NeverReady;
    }
    placed.due = None;
    Policy::Ready
}

fn address_of(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// Pod addresses lead nowhere; they only have to differ.
fn next_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [third, fourth] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(10, 244, third, fourth).into()
}

/// Tells whether the status of a pod says that it is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Brings one pod to what the policy says. Sends nothing when it is there already.
pub(super) async fn act(client: &Client, pod: &Pod, address: IpAddr, policy: Policy) {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    let (wanted, ready) = match policy {
        Policy::Leave => return,
        Policy::Ready | Policy::ReadyAfter(_) => ("Running", true),
        Policy::NeverReady => ("Running", false),
        Policy::Fail => ("Failed", false),
    };
    loop {
        let done = if pod.metadata.deletion_timestamp.is_some() {
            let delete = DeleteParams {
                preconditions: same(pod),
                ..DeleteParams::default().grace_period(0)
            };
            api.delete(&name, &delete).await.map(|_| ())
        } else if (phase(pod), is_ready(pod)) != (wanted, ready) {
            let patch = Patch::Merge(status(pod, address, wanted, ready));
            let patched = api.patch_status(&name, &PatchParams::default(), &patch).await;
            patched.map(|_| ())
        } else {
            Ok(())
        };
        match done {
            Ok(()) => return,
            // One that is gone, is another one by now, or was changed meanwhile comes with an event of its own.
            Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => return,
            // No event comes of a request that failed: a pod that ends would do so for ever.
            Err(error) => {
                eprintln!("the node asks again for pod {name}: {error}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

fn same(pod: &Pod) -> Option<kube::api::Preconditions> {
    Some(kube::api::Preconditions {
        uid: pod.uid(),
        resource_version: None,
    })
}

fn status(pod: &Pod, address: IpAddr, phase: &str, ready: bool) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let text = |is: bool| if is { "True" } else { "False" };
    let condition =
        |name: &str, is: bool| json!({ "type": name, "status": text(is), "lastTransitionTime": now });
    let state = match phase {
        "Running" => json!({ "running": { "startedAt": now } }),
        _ => json!({ "terminated": { "exitCode": 1, "reason": "Error", "finishedAt": now } }),
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses: Vec<Value> = containers
        .map(|container| {
            json!({ "name": container.name, "image": container.image, "imageID": "", "restartCount": 0,
                "ready": ready, "started": phase == "Running", "state": state })
        })
        .collect();
    json!({ "metadata": { "uid": pod.uid() }, "status": {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "podIP": address.to_string(),
        "podIPs": [{ "ip": address.to_string() }],
        "startTime": now,
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": statuses,
    }})
}
