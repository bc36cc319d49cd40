//! A TLS proxy between a program and the API server that loses, delays and answers requests as a test says.
//!
//! A request passes unless a rule takes it. Rules are asked in the order in which they were added; the first that
//! takes the request decides. HTTP/1.1, so each connection carries one request at a time.
//!
//! **Invariant:** the program needs no credentials of its own: a request without a token is forwarded as the
//! administrator; one with a token is forwarded as it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{Servers, servers, tls};

/// A request that reached the proxy, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub uri: String,
    pub user_agent: String,
    /// All headers but the token.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn is_write(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD && !self.is_review()
    }

    /// Access reviews are sent with POST and change nothing.
    fn is_review(&self) -> bool {
        self.uri.starts_with("/apis/authorization.k8s.io/")
            || self.uri.starts_with("/apis/authentication.k8s.io/")
    }

    pub fn is_watch(&self) -> bool {
        self.uri.contains("watch=1") || self.uri.contains("watch=true")
    }
}

/// What happens to a request that a rule takes.
#[derive(Clone)]
pub enum Action {
    /// The server is not asked; this status comes back, with a Kubernetes `Status` as body.
    Answer {
        code: u16,
        reason: String,
        headers: Vec<(String, String)>,
    },
    /// Any body comes back.
    AnswerRaw {
        code: u16,
        content_type: String,
        body: Vec<u8>,
    },
    /// The connection breaks, the server never saw it.
    DropRequest,
    /// The server does it, the connection breaks before the answer.
    DropAnswer,
    /// Nothing comes back for as long as the connection lives; the server never saw it.
    Hold,
    /// Passes after this time.
    Delay(Duration),
    /// Calls (for example: kills the program), then loses the request.
    Before(Arc<dyn Fn() + Send + Sync>),
    /// Lets the server do it, calls, then loses the answer.
    After(Arc<dyn Fn() + Send + Sync>),
}

impl Action {
    pub fn answer(code: u16, reason: &str) -> Self {
        Self::Answer {
            code,
            reason: reason.to_owned(),
            headers: Vec::new(),
        }
    }

    /// Answers as an API server that refuses with these words.
    pub fn refusal(code: u16, reason: &str, message: &str) -> Self {
        Self::AnswerRaw {
            code,
            content_type: "application/json".to_owned(),
            body: status(code, reason, message),
        }
    }
}

/// A Kubernetes `Status` of a failure.
fn status(code: u16, reason: &str, message: &str) -> Vec<u8> {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code });
    status.to_string().into_bytes()
}

/// Which of the requests that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Every,
    /// Counted from 1.
    Only(usize),
    First(usize),
}

type Predicate = Box<dyn Fn(&Seen) -> bool + Send + Sync>;

/// Which requests, and what happens to them.
pub struct Rule {
    conditions: Vec<Predicate>,
    which: Which,
    action: Action,
    matched: usize,
}

impl Rule {
    /// Takes every request; the methods below narrow it.
    pub fn new(action: Action) -> Self {
        Self {
            conditions: Vec::new(),
            which: Which::Every,
            action,
            matched: 0,
        }
    }

    pub fn when(mut self, condition: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Box::new(condition));
        self
    }

    /// Only requests that change something.
    pub fn writes(self) -> Self {
        self.when(Seen::is_write)
    }

    pub fn watches(self) -> Self {
        self.when(Seen::is_watch)
    }

    pub fn method(self, method: Method) -> Self {
        self.when(move |seen| seen.method == method)
    }

    /// Only when path and query contain this text.
    pub fn path(self, text: &str) -> Self {
        let text = text.to_owned();
        self.when(move |seen| seen.uri.contains(&text))
    }

    /// Only when the user agent begins so.
    pub fn agent(self, text: &str) -> Self {
        let text = text.to_owned();
        self.when(move |seen| seen.user_agent.starts_with(&text))
    }

    /// Only the nth request (from 1) that all conditions hold for.
    pub fn nth(mut self, nth: usize) -> Self {
        self.which = Which::Only(nth);
        self
    }

    /// Only the first so many.
    pub fn first(mut self, count: usize) -> Self {
        self.which = Which::First(count);
        self
    }

    /// Counts the request if it matches, and tells whether this rule takes it.
    fn takes(&mut self, seen: &Seen) -> bool {
        if !self.conditions.iter().all(|condition| condition(seen)) {
            return false;
        }
        self.matched += 1;
        match self.which {
            Which::Every => true,
            Which::Only(nth) => self.matched == nth,
            Which::First(count) => self.matched <= count,
        }
    }
}

struct Shared {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    upstream_port: u16,
    as_admin: TlsConnector,
    as_caller: TlsConnector,
}

/// A running proxy. Stops, with all its connections, when dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    kubeconfig: PathBuf,
    folder: PathBuf,
    authority: String,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy in front of `servers`, on the current runtime.
    pub async fn start(servers: &Servers) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let authority = servers.authority.certificate.clone();
        let pair = servers.authority.issue("proxy", None, &["127.0.0.1".to_owned()]);
        let acceptor = tls::acceptor(&pair, None).expect("a fresh certificate serves");
        let connector =
            |client| tls::connector(&authority, client).expect("the authority of the servers is valid");
        let shared = Arc::new(Shared {
            rules: Mutex::new(Vec::new()),
            seen: Mutex::new(Vec::new()),
            upstream_port: servers.port,
            as_admin: connector(Some(servers.admin())),
            as_caller: connector(None),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, shared.clone()));
        let folder = servers.folder().to_owned();
        let mut proxy = Self {
            port,
            shared,
            kubeconfig: PathBuf::new(),
            folder,
            authority,
            _tasks: tasks,
        };
        proxy.kubeconfig = proxy.write_kubeconfig("admin", &json!({}));
        proxy
    }

    /// Kubeconfig file that leads through the proxy, with all rights.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Makes a kubeconfig file that leads through the proxy with the user of another one (a token).
    pub fn kubeconfig_for(&self, original: &Path) -> PathBuf {
        let text = std::fs::read_to_string(original).expect("the kubeconfig is readable");
        let file: Value = serde_json::from_str(&text).expect("kubeconfigs of the test support are JSON");
        let name = original.file_stem().unwrap_or_default().to_string_lossy();
        self.write_kubeconfig(&name, &file["users"][0]["user"])
    }

    fn write_kubeconfig(&self, name: &str, user: &Value) -> PathBuf {
        let path = self.folder.join(format!("proxy-{}-{name}.kubeconfig", self.port));
        let url = format!("https://127.0.0.1:{}", self.port);
        let text = servers::kubeconfig(&url, &self.authority, user);
        std::fs::write(&path, text).expect("the folder of the servers is writable");
        path
    }

    /// Adds a rule behind those there are.
    pub fn add(&self, rule: Rule) {
        lock(&self.shared.rules).push(rule);
    }

    /// Forgets all rules: everything passes.
    pub fn clear(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Returns what arrived so far, taken or not.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Forgets what arrived so far.
    pub fn forget(&self) {
        lock(&self.shared.seen).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        connections.spawn(async move {
            // A client that does not trust the certificate, or goes away, is the client's business.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let upstream = Arc::new(AsyncMutex::new(Upstream {
                shared,
                admin: None,
                caller: None,
            }));
            let service = service_fn(move |request| handle(upstream.clone(), request));
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = Either<Full<Bytes>, Incoming>;

/// Why a connection is broken on purpose.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("lost as a rule says")]
    Lost,
    #[error("the API server is not reachable: {0}")]
    Upstream(String),
}

async fn handle(
    upstream: Arc<AsyncMutex<Upstream>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| Broken::Upstream(error.to_string()))?
        .to_bytes();
    let mut headers = parts.headers.clone();
    headers.remove(AUTHORIZATION);
    let user_agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let seen = Seen {
        method: parts.method.clone(),
        uri: parts.uri.to_string(),
        user_agent,
        headers,
        body: body.clone(),
    };
    let mut upstream = upstream.lock().await;
    let action = {
        let mut rules = lock(&upstream.shared.rules);
        let taken = rules
            .iter_mut()
            .find_map(|rule| rule.takes(&seen).then(|| rule.action.clone()));
        lock(&upstream.shared.seen).push(seen);
        taken
    };
    let request = Request::from_parts(parts, Full::new(body));
    match action {
        None => upstream.send(request).await,
        Some(Action::Delay(time)) => {
            tokio::time::sleep(time).await;
            upstream.send(request).await
        }
        Some(Action::Answer {
            code,
            reason,
            headers,
        }) => {
            let body = status(code, &reason, &format!("{reason}, said the proxy"));
            let mut answer = raw_answer(code, "application/json", body);
            for (name, value) in headers {
                let name: http::HeaderName = name.parse().expect("a rule names valid headers");
                answer
                    .headers_mut()
                    .insert(name, value.parse().expect("a rule has valid header values"));
            }
            Ok(answer)
        }
        Some(Action::AnswerRaw {
            code,
            content_type,
            body,
        }) => Ok(raw_answer(code, &content_type, body)),
        Some(Action::Hold) => std::future::pending().await,
        Some(Action::DropRequest) => Err(Broken::Lost),
        Some(Action::Before(call)) => {
            call();
            Err(Broken::Lost)
        }
        Some(Action::DropAnswer) => {
            upstream.complete(request).await?;
            Err(Broken::Lost)
        }
        Some(Action::After(call)) => {
            upstream.complete(request).await?;
            call();
            Err(Broken::Lost)
        }
    }
}

fn raw_answer(code: u16, content_type: &str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
    *response.status_mut() = StatusCode::from_u16(code).expect("a rule has a valid status");
    let value = content_type.parse().expect("a rule has a valid content type");
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}

/// The connections to the API server that belong to one connection of a program.
struct Upstream {
    shared: Arc<Shared>,
    admin: Option<SendRequest<Full<Bytes>>>,
    caller: Option<SendRequest<Full<Bytes>>>,
}

impl Upstream {
    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Body>, Broken> {
        let host = format!("127.0.0.1:{}", self.shared.upstream_port);
        request
            .headers_mut()
            .insert(HOST, host.parse().expect("an address and a port"));
        let has_token = request.headers().contains_key(AUTHORIZATION);
        let (slot, connector) = if has_token {
            (&mut self.caller, &self.shared.as_caller)
        } else {
            (&mut self.admin, &self.shared.as_admin)
        };
        let mut sender = match slot.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => open(connector, self.shared.upstream_port).await?,
        };
        // An idle connection that the server has closed shows itself only here.
        if sender.ready().await.is_err() {
            sender = open(connector, self.shared.upstream_port).await?;
        }
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| Broken::Upstream(error.to_string()))?;
        *slot = Some(sender);
        Ok(answer.map(Either::Right))
    }

    /// Sends, and returns when the server has answered completely.
    async fn complete(&mut self, request: Request<Full<Bytes>>) -> Result<(), Broken> {
        let answer = self.send(request).await?;
        answer
            .into_body()
            .collect()
            .await
            .map_err(|error| Broken::Upstream(error.to_string()))?;
        Ok(())
    }
}

async fn open(connector: &TlsConnector, port: u16) -> Result<SendRequest<Full<Bytes>>, Broken> {
    let stream = tls::connect(connector, "127.0.0.1", port)
        .await
        .map_err(Broken::Upstream)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| Broken::Upstream(error.to_string()))?;
    // Ends with either side of it.
    tokio::spawn(connection);
    Ok(sender)
}
