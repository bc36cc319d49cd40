//! etcd, kube-apiserver and kube-controller-manager on loopback.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::sync::OnceCell;
use tower::{BoxError, ServiceBuilder};

use super::audit::AuditLog;
use super::certificates::{Authority, Pair};
use super::process::{self, Output, Process};
use super::wait::try_eventually;
use super::{Namespace, ports, watchdog};

/// A cold start takes 2 s on two idle cores; tests compile and run beside it.
const START: Duration = Duration::from_secs(60);

/// Controllers that a hosted control plane needs. Without the aggregation, `admin` and `edit` are empty; without the
/// claim one, the finalizer that admission puts on every claim never goes; without the quota one, quotas are not enforced.
const CONTROLLERS: &[&str] = &[
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "statefulset-controller",
];

/// What a private set of servers has that the shared one has not.
#[derive(Default, Clone)]
pub struct Options {
    /// Further flags of kube-apiserver; they come last and win.
    pub api_server: Vec<String>,
    /// Further flags of etcd.
    pub etcd: Vec<String>,
    /// No kube-controller-manager: nothing makes pods, nothing collects garbage.
    pub without_controllers: bool,
}

/// A running set of servers. Stops when dropped, and in any case when this process ends.
pub struct Servers {
    pub etcd: Process,
    pub api_server: Process,
    pub controller_manager: Option<Process>,
    /// Requests that the API server answered, as the API server saw them.
    pub audit: AuditLog,
    pub authority: Authority,
    pub port: u16,
    /// A loopback address that only this set uses: for Nodes, so that NodePorts of two sets never meet.
    pub node_address: Ipv4Addr,
    admin: Pair,
    binaries: PathBuf,
    folder: PathBuf,
}

static SHARED: OnceCell<Servers> = OnceCell::const_new();

impl Servers {
    /// Returns the one set that all tests of this process use, each in its own namespaces.
    ///
    /// The first call starts it. Panics when it cannot be started.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(Options::default())).await
    }

    /// Starts a private set. Panics when it cannot be started, with the end of the log that says why.
    pub async fn start(options: Options) -> Self {
        Self::try_start(&options)
            .await
            .unwrap_or_else(|reason| panic!("the test servers did not start: {reason}"))
    }

    /// Starts a private set; the error is a text for people.
    pub async fn try_start(options: &Options) -> Result<Self, String> {
        let binaries = binaries()?;
        let mut last = String::new();
        // A port that was free may be taken before the server binds it; that, and only that, is tried again.
        for _ in 0..3 {
            match Self::attempt(options, &binaries).await {
                Ok(servers) => return Ok(servers),
                Err(reason) if reason.contains("address already in use") => last = reason,
                Err(reason) => return Err(reason),
            }
        }
        Err(last)
    }

    async fn attempt(options: &Options, binaries: &Path) -> Result<Self, String> {
        let folder = watchdog::folder("servers");
        let authority = Authority::new("test-servers");
        let admin = authority.issue("test-admin", Some("system:masters"), &[]);
        write_files(&folder, &authority)?;
        let (etcd_port, port) = (ports::free(), ports::free());
        let etcd = Process::start(
            etcd_command(binaries, &folder, etcd_port, &options.etcd),
            &folder.join("etcd.log"),
        );
        let command = api_server_command(binaries, &folder, etcd_port, port, &options.api_server);
        let api_server = Process::start(command, &folder.join("kube-apiserver.log"));
        let mut servers = Self {
            etcd,
            api_server,
            controller_manager: None,
            audit: AuditLog::new(folder.join("audit.log")),
            authority,
            port,
            node_address: ports::address(),
            admin,
            binaries: binaries.to_owned(),
            folder,
        };
        servers.write_kubeconfig("admin", &servers.admin_user());
        servers.wait_until_ready().await?;
        if !options.without_controllers {
            let command = controller_manager_command(binaries, &servers.folder);
            let log = servers.folder.join("kube-controller-manager.log");
            servers.controller_manager = Some(Process::start(command, &log));
        }
        Ok(servers)
    }

    /// Waits until the API server answers, for example after [`Process::restart`].
    pub async fn wait_until_ready(&self) -> Result<(), String> {
        let client = self.client().await;
        let ready = try_eventually(START, async || {
            if let Some(dead) = [&self.etcd, &self.api_server]
                .into_iter()
                .find(|process| process.ended().is_some())
            {
                return Ok(Err(format!("{} ended:\n{}", dead.name(), dead.log_tail(15))));
            }
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .expect("a valid request");
            client
                .request_text(request)
                .await
                .map_err(|error| error.to_string())?;
            let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
            namespaces
                .get("default")
                .await
                .map(|_| Ok(()))
                .map_err(|error| error.to_string())
        });
        match ready.await {
            Ok(outcome) => outcome,
            Err(reason) => Err(format!("not ready: {reason}\n{}", self.api_server.log_tail(15))),
        }
    }

    /// Folder of the built binaries (`etcd`, `kube-apiserver`, `kubectl`, ...).
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// Temporary folder of this set; removed when this process ends.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Kubeconfig file of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// Client certificate of the administrator, for what stands between a program and the server.
    pub fn admin(&self) -> &Pair {
        &self.admin
    }

    fn admin_user(&self) -> serde_json::Value {
        json!({
            "client-certificate-data": BASE64.encode(&self.admin.certificate),
            "client-key-data": BASE64.encode(&self.admin.key),
        })
    }

    fn write_kubeconfig(&self, name: &str, user: &serde_json::Value) -> PathBuf {
        let path = self.folder.join(format!("{name}.kubeconfig"));
        let text = kubeconfig(&self.url(), &self.authority.certificate, user);
        std::fs::write(&path, text).expect("the folder of the servers is writable");
        path
    }

    /// Client with all rights and the user agent `test-support`.
    pub async fn client(&self) -> Client {
        client_of(&self.kubeconfig(), "test-support").await
    }

    /// Client with all rights and a user agent of its own, to find its requests in the audit log.
    pub async fn client_named(&self, user_agent: &str) -> Client {
        client_of(&self.kubeconfig(), user_agent).await
    }

    /// Makes a ServiceAccount (if it is missing) and returns a kubeconfig file with a token of it.
    pub async fn service_account(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(name.to_owned());
        match accounts.create(&PostParams::default(), &account).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => panic!("cannot create ServiceAccount {namespace}/{name}: {error}"),
        }
        let spec = TokenRequestSpec {
            expiration_seconds: Some(7200),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec,
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let token = answer
            .expect("the API server issues tokens")
            .status
            .expect("an answer has a status")
            .token;
        self.write_kubeconfig(&format!("{namespace}.{name}"), &json!({ "token": token }))
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(&self.kubeconfig(), arguments, "").await
    }

    /// Runs kubectl with another kubeconfig and with `input` on stdin.
    pub async fn kubectl_with(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.binaries.join("kubectl"));
        command
            .env_clear()
            .env("HOME", &self.folder)
            .env("KUBECONFIG", kubeconfig)
            .args(arguments);
        process::run(command, input.as_bytes()).await
    }

    /// Makes a namespace whose name begins with `hint`; it is deleted when the handle is dropped.
    pub async fn namespace(&self, hint: &str) -> Namespace {
        Namespace::create(self.kubeconfig(), self.client().await, hint).await
    }

    /// Makes the namespace of this name, which no other test may use; those of [`Self::namespace`] end with a number.
    pub async fn namespace_named(&self, name: &str) -> Namespace {
        Namespace::named(self.kubeconfig(), self.client().await, name.to_owned()).await
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in self
            .controller_manager
            .iter()
            .chain([&self.api_server, &self.etcd])
        {
            process.kill();
        }
        // The watchdog tries again at the end of this process.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Client for a kubeconfig file.
pub async fn client_of(kubeconfig: &Path, user_agent: &str) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig is readable");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    let mut config = config.expect("the kubeconfig is complete");
    let agent = http::HeaderValue::from_str(user_agent).expect("a printable user agent");
    config.headers.push((http::header::USER_AGENT, agent));
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    // As the program does: a request that follows another one is sent at once.
    connector.set_nodelay(true);
    let connector = config.rustls_https_connector_with_connector(connector);
    let connector = connector.expect("the certificates can be used");
    let connections: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().expect("the credentials can be used"))
        .layer(config.extra_headers_layer().expect("the headers can be sent"))
        .map_err(BoxError::from)
        .service(connections);
    ClientBuilder::new(service, config.default_namespace).build()
}

/// Text of a kubeconfig with one context.
pub fn kubeconfig(url: &str, authority: &str, user: &serde_json::Value) -> String {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test",
            "cluster": { "server": url, "certificate-authority-data": BASE64.encode(authority) } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    format!("{text:#}\n")
}

/// Builds what is missing (its progress goes to stderr) and returns the folder of the binaries.
pub fn binaries() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/build.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", script.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), text.lines().last()) {
        (true, Some(folder)) => Ok(PathBuf::from(folder)),
        _ => Err(format!(
            "{} failed; its message is above. `make servers` repeats it",
            script.display()
        )),
    }
}

fn write_files(folder: &Path, authority: &Authority) -> Result<(), String> {
    let hosts = [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    let server = authority.issue("kube-apiserver", None, &hosts.map(str::to_owned));
    let signer = rcgen::KeyPair::generate().map_err(|error| error.to_string())?;
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        // The API server's own loopback requests are not what tests ask about.
        "rules": [{ "level": "None", "users": ["system:apiserver"] }, { "level": "Metadata" }],
    });
    for (name, text) in [
        ("ca.crt", &authority.certificate),
        ("server.crt", &server.certificate),
        ("server.key", &server.key),
        ("sa.key", &signer.serialize_pem()),
        ("sa.pub", &signer.public_key_pem()),
        ("audit-policy.yaml", &policy.to_string()),
    ] {
        std::fs::write(folder.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))?;
    }
    Ok(())
}

fn etcd_command(binaries: &Path, folder: &Path, port: u16, further: &[String]) -> Command {
    let mut command = Command::new(binaries.join("etcd"));
    let (client, peer) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{}", ports::free()),
    );
    command
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .args([
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ]);
    command.args(further);
    command
}

fn api_server_command(binaries: &Path, folder: &Path, etcd: u16, port: u16, further: &[String]) -> Command {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new(binaries.join("kube-apiserver"));
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", path("server.crt")),
        format!("--tls-private-key-file={}", path("server.key")),
        format!("--client-ca-file={}", path("ca.crt")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/12".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", path("sa.pub")),
        format!("--service-account-signing-key-file={}", path("sa.key")),
        // No pod here ever needs a token, and no ServiceAccount `default` has to be awaited.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--audit-policy-file={}", path("audit-policy.yaml")),
        format!("--audit-log-path={}", path("audit.log")),
        // Megabytes. A rotated log would lose its beginning.
        "--audit-log-maxsize=100000".to_owned(),
    ]);
    command.args(further);
    command
}

fn controller_manager_command(binaries: &Path, folder: &Path) -> Command {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new(binaries.join("kube-controller-manager"));
    command.args([
        format!("--kubeconfig={}", path("admin.kubeconfig")),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        format!("--service-account-private-key-file={}", path("sa.key")),
        format!("--root-ca-file={}", path("ca.crt")),
        // The defaults of 20 and 30 a second are what one would wait for.
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=2000".to_owned(),
        format!("--controllers={}", CONTROLLERS.join(",")),
    ]);
    command
}
