//! Level 2: one process answers for all control planes, at their endpoints, with their own certificates.
//!
//! A control plane is answered for while its StatefulSet has a ready pod (level 1 makes those) and its
//! `status.endpoint` leads to loopback. The serving certificate is signed by the cluster's own `<name>-ca` Secret, and
//! client certificates of any other authority are refused, so trust works as with a real API server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::super::certificates::Authority;
use super::super::tls;
use super::patch::AGAIN;

/// Answers for control planes. Stops, with all connections, when dropped.
pub struct Answers {
    _tasks: JoinSet<()>,
}

impl Answers {
    /// Answers for the clusters of `namespace`, or of all namespaces, on the current runtime.
    pub fn start(client: Client, namespace: Option<&str>) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(run(client, namespace.map(str::to_owned)));
        Self { _tasks: tasks }
    }
}

/// Namespace and name.
type Key = (String, String);

/// What decides about a listener; when any of it changes, a new one takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    uid: String,
    host: String,
    port: u16,
    version: String,
}

#[derive(Default)]
struct State {
    /// Cluster -> uid, host, port.
    endpoints: BTreeMap<Key, (String, String, u16)>,
    /// Cluster -> version that its ready pods run.
    ready: BTreeMap<Key, String>,
    listeners: BTreeMap<Key, (Place, JoinSet<()>)>,
}

async fn run(client: Client, namespace: Option<String>) {
    let kind = GroupVersionKind::gvk("k0smotron.io", "v1beta1", "K0smotronCluster");
    let kind = ApiResource::from_gvk_with_plural(&kind, "k0smotronclusters");
    let (clusters, sets): (Api<DynamicObject>, Api<StatefulSet>) = match &namespace {
        Some(name) => (
            Api::namespaced_with(client.clone(), name, &kind),
            Api::namespaced(client.clone(), name),
        ),
        None => (Api::all_with(client.clone(), &kind), Api::all(client.clone())),
    };
    let mut clusters = watcher(clusters, watcher::Config::default()).boxed();
    let mut sets = watcher(sets, watcher::Config::default()).boxed();
    let mut state = State::default();
    loop {
        tokio::select! {
            event = clusters.next() => match event {
                None => return,
                // The CRD may come later; the stream asks again by itself.
                Some(Err(_)) => tokio::time::sleep(AGAIN).await,
                Some(Ok(event)) => state.note_cluster(event),
            },
            event = sets.next() => match event {
                None => return,
                Some(Err(_)) => tokio::time::sleep(AGAIN).await,
                Some(Ok(event)) => state.note_set(event),
            },
            // A key that is not there yet, or a port that is still taken, comes with no event.
            () = tokio::time::sleep(AGAIN), if state.is_behind() => {}
        }
        state.catch_up(&client).await;
    }
}

impl State {
    fn note_cluster(&mut self, event: watcher::Event<DynamicObject>) {
        match event {
            watcher::Event::Init | watcher::Event::InitDone => {}
            watcher::Event::Delete(cluster) => {
                self.endpoints.remove(&key(&cluster));
            }
            watcher::Event::Apply(cluster) | watcher::Event::InitApply(cluster) => {
                match endpoint(&cluster.data) {
                    Some((host, port)) => {
                        let place = (cluster.uid().unwrap_or_default(), host, port);
                        self.endpoints.insert(key(&cluster), place);
                    }
                    None => {
                        self.endpoints.remove(&key(&cluster));
                    }
                };
            }
        }
    }

    fn note_set(&mut self, event: watcher::Event<StatefulSet>) {
        let (set, exists) = match event {
            watcher::Event::Init | watcher::Event::InitDone => return,
            watcher::Event::Delete(set) => (set, false),
            watcher::Event::Apply(set) | watcher::Event::InitApply(set) => (set, true),
        };
        // `kmc-<cluster>-etcd` is another cluster's control plane only for a cluster that is called so.
        let Some(cluster) = set.name_any().strip_prefix("kmc-").map(str::to_owned) else {
            return;
        };
        let key = (set.namespace().unwrap_or_default(), cluster);
        let ready = set
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or_default();
        if exists && ready > 0 {
            self.ready.insert(key, version(&set));
        } else {
            self.ready.remove(&key);
        }
    }

    fn wanted(&self) -> BTreeMap<Key, Place> {
        let ready = self.ready.iter().filter_map(|(key, version)| {
            let (uid, host, port) = self.endpoints.get(key)?.clone();
            Some((
                key.clone(),
                Place {
                    uid,
                    host,
                    port,
                    version: version.clone(),
                },
            ))
        });
        ready.collect()
    }

    fn is_behind(&self) -> bool {
        let wanted = self.wanted();
        let have = self.listeners.iter().map(|(key, (place, _))| (key, place));
        !wanted.iter().eq(have)
    }

    async fn catch_up(&mut self, client: &Client) {
        let wanted = self.wanted();
        self.listeners
            .retain(|key, (place, _)| wanted.get(key) == Some(place));
        for (key, place) in wanted {
            if !self.listeners.contains_key(&key)
                && let Ok(tasks) = listen(client, &key, &place).await
            {
                self.listeners.insert(key, (place, tasks));
            }
        }
    }
}

fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Returns host and API port of a cluster that has an endpoint.
fn endpoint(cluster: &Value) -> Option<(String, u16)> {
    let endpoint = cluster.pointer("/status/endpoint")?;
    let host = endpoint.get("host")?.as_str()?;
    let port = u16::try_from(endpoint.get("apiPort")?.as_u64()?).ok()?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Returns the Kubernetes version in the tag of the control plane's image: `v1.36.3` of `v1.36.3-k0s.2`.
fn version(set: &StatefulSet) -> String {
    let containers = set
        .spec
        .iter()
        .filter_map(|spec| spec.template.spec.as_ref())
        .flat_map(|pod| &pod.containers);
    let image = containers
        .filter_map(|container| container.image.as_deref())
        .next()
        .unwrap_or_default();
    let tag = image
        .split('@')
        .next()
        .and_then(|image| image.rsplit_once(':'))
        .map_or("v0.0.0", |(_, tag)| tag);
    tag.split('-').next().unwrap_or(tag).to_owned()
}

/// Returns the addresses of a host, and refuses every one that is not loopback.
///
/// No name server is asked: where none answers, that takes seconds, in which no other control plane is answered for.
async fn loopback(host: &str, port: u16) -> Result<SocketAddr, String> {
    if host != "localhost" && host.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("{host} is not on loopback"));
    }
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| error.to_string())?;
    let mut addresses = addresses.filter(|address| address.ip().is_loopback());
    addresses
        .next()
        .ok_or_else(|| format!("{host} is not on loopback"))
}

async fn listen(client: &Client, (namespace, name): &Key, place: &Place) -> Result<JoinSet<()>, String> {
    let address = loopback(&place.host, place.port).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets
        .get(&format!("{name}-ca"))
        .await
        .map_err(|error| error.to_string())?;
    let text = |key: &str| {
        let bytes = secret
            .data
            .as_ref()
            .and_then(|data| data.get(key))
            .ok_or(format!("no {key}"))?;
        String::from_utf8(bytes.0.clone()).map_err(|error| error.to_string())
    };
    let authority =
        Authority::from_pem(&text("tls.crt")?, &text("tls.key")?).map_err(|error| error.to_string())?;
    let hosts = [
        place.host.as_str(),
        "localhost",
        "kubernetes",
        "kubernetes.default.svc",
    ]
    .map(str::to_owned);
    let pair = authority.issue("kube-apiserver", None, &hosts);
    let acceptor = tls::acceptor(&pair, Some(&authority.certificate))?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| error.to_string())?;
    let answer = Arc::new(Answering {
        version: place.version.clone(),
        uid: format!("kube-system-of-{}", place.uid),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(listener, acceptor, answer));
    Ok(tasks)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, answering: Arc<Answering>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, answering) = (acceptor.clone(), answering.clone());
        connections.spawn(async move {
            // Whoever does not trust us, or is not trusted, goes away.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let caller = match stream.get_ref().1.peer_certificates() {
                Some(_) => Caller::Known,
                None => Caller::Anonymous,
            };
            let service = service_fn(move |request| {
                let answer = answering.answer(&request, caller);
                async move { Ok::<_, Infallible>(answer) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

#[derive(Clone, Copy)]
enum Caller {
    /// Showed a certificate of the cluster's authority.
    Known,
    Anonymous,
}

struct Answering {
    version: String,
    uid: String,
}

impl Answering {
    fn answer(&self, request: &Request<Incoming>, caller: Caller) -> Response<Full<Bytes>> {
        let namespace = json!({ "kind": "Namespace", "apiVersion": "v1", "status": { "phase": "Active" },
            "metadata": { "name": "kube-system", "uid": self.uid, "creationTimestamp": "2026-01-01T00:00:00Z" } });
        match (request.uri().path(), caller) {
            // k0s runs its API server with `--anonymous-auth=false`: that holds for the health paths too.
            (_, Caller::Anonymous) => refusal(StatusCode::UNAUTHORIZED, "Unauthorized"),
            ("/readyz" | "/livez" | "/healthz", Caller::Known) => text(StatusCode::OK, "ok"),
            ("/version", Caller::Known) => {
                let mut parts = self.version.trim_start_matches('v').split('.');
                let (major, minor) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
                let version = json!({ "major": major, "minor": minor, "gitVersion": format!("{}+k0s", self.version),
                    "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "",
                    "compiler": "gc", "platform": "linux/amd64" });
                object(StatusCode::OK, &version)
            }
            ("/api/v1/namespaces/kube-system", Caller::Known) => object(StatusCode::OK, &namespace),
            ("/api/v1/namespaces", Caller::Known) => {
                let list = json!({ "kind": "NamespaceList", "apiVersion": "v1",
                    "metadata": { "resourceVersion": "1" }, "items": [namespace] });
                object(StatusCode::OK, &list)
            }
            (_, Caller::Known) => refusal(StatusCode::NOT_FOUND, "NotFound"),
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

fn object(status: StatusCode, object: &Value) -> Response<Full<Bytes>> {
    let mut response = text(status, &object.to_string());
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn refusal(status: StatusCode, reason: &str) -> Response<Full<Bytes>> {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": reason, "code": status.as_u16() });
    object(status, &body)
}
