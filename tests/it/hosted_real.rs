//! What the operator generates is run as it is: a real etcd and a real kube-apiserver with exactly its Secrets, files,
//! names and ports.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::cli::{controller, program};
use crate::support::certificates::Authority;
use crate::support::kubelet::RealPods;
use crate::support::{Namespace, Process, Servers, crds, eventually, hosting};

/// Three members and an API server start in 8 s; other tests run beside them.
const SOON: Duration = Duration::from_secs(120);

/// A namespace whose clusters an operator runs.
struct Hub {
    servers: &'static Servers,
    namespace: Namespace,
    controller: Process,
}

impl Hub {
    async fn start(hint: &str) -> Self {
        let servers = Servers::shared().await;
        let client = servers.client().await;
        crds::install(&client).await;
        hosting::node(&client, "real-node", servers.node_address.into()).await;
        let namespace = servers.namespace(hint).await;
        Self {
            controller: controller(&program(), &servers.kubeconfig(), &namespace.name, &[]),
            servers,
            namespace,
        }
    }

    async fn create(&self, name: &str, spec: &str) {
        let manifest = format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: {name}, namespace: {}}}\nspec: {spec}\n",
            self.namespace.name
        );
        let applied = self
            .servers
            .kubectl_with(&self.servers.kubeconfig(), &["apply", "-f", "-"], &manifest)
            .await;
        applied.success();
    }

    async fn ready(&self, name: &str, pods: &RealPods) {
        let arguments = ["get", "k0c", "-n", &self.namespace.name, name, "-o", "json"];
        eventually(&format!("{name} is Ready"), SOON, async || {
            let cluster: Value =
                serde_json::from_str(&self.servers.kubectl(&arguments).await.stdout).unwrap_or_default();
            let conditions = cluster["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let is_ready = conditions
                .iter()
                .any(|one| one["type"] == "Ready" && one["status"] == "True");
            if is_ready {
                Ok(())
            } else {
                let problems = pods.problems();
                Err(format!(
                    "{conditions:#?}\npods: {problems:#?}\nlog: {}",
                    self.controller.log_tail(20)
                ))
            }
        })
        .await;
    }

    /// Writes the kubeconfig of a cluster to a file.
    async fn kubeconfig(&self, name: &str) -> PathBuf {
        let secrets: Api<Secret> = Api::namespaced(self.servers.client().await, &self.namespace.name);
        let secret = secrets.get(&format!("{name}-kubeconfig")).await.unwrap();
        let path = self
            .servers
            .folder()
            .join(format!("{}-{name}.kubeconfig", self.namespace.name));
        std::fs::write(&path, &secret.data.unwrap()["value"].0).unwrap();
        path
    }

    async fn lists_namespaces(&self, kubeconfig: &std::path::Path) -> Result<String, String> {
        let output = self
            .servers
            .kubectl_with(kubeconfig, &["get", "namespaces", "-o", "name"], "")
            .await;
        if output.code == 0 {
            Ok(output.stdout)
        } else {
            Err(output.stderr)
        }
    }
}

/// The kubeconfig of one cluster with the address and CA of another.
fn transplanted(client_of: &std::path::Path, server_of: &std::path::Path) -> PathBuf {
    let read = |path| serde_saphyr::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut client, server) = (read(client_of), read(server_of));
    client["clusters"][0]["cluster"] = server["clusters"][0]["cluster"].clone();
    let path = client_of.with_extension("transplanted");
    std::fs::write(&path, client.to_string()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfigs_work_for_ecdsa_and_rsa_and_open_no_other_cluster() {
    let hub = Hub::start("real-keys").await;
    let ecdsa = RealPods::start(hub.servers, &hub.namespace.name, "ecdsa").await;
    let rsa = RealPods::start(hub.servers, &hub.namespace.name, "rsa").await;
    hub.create("ecdsa", "null").await;
    hub.create("rsa", "{pki: {keyAlgorithm: RSA-2048}}").await;
    hub.ready("ecdsa", &ecdsa).await;
    hub.ready("rsa", &rsa).await;
    let (of_ecdsa, of_rsa) = (hub.kubeconfig("ecdsa").await, hub.kubeconfig("rsa").await);
    for kubeconfig in [&of_ecdsa, &of_rsa] {
        let namespaces = hub.lists_namespaces(kubeconfig).await.unwrap();
        assert!(namespaces.contains("namespace/kube-system"), "{namespaces}");
    }
    let refused = hub
        .lists_namespaces(&transplanted(&of_ecdsa, &of_rsa))
        .await
        .unwrap_err();
    assert!(
        refused.contains("Unauthorized") || refused.contains("logged in"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_below_another_one_can_be_given_with_their_chain() {
    let hub = Hub::start("real-chain").await;
    let root = Authority::new("root");
    let secrets: Api<Secret> = Api::namespaced(hub.servers.client().await, &hub.namespace.name);
    for name in ["ca", "proxy", "etcd"] {
        let own = root.intermediate(name);
        let secret = json!({
            "metadata": {"name": format!("my-{name}")},
            "stringData": {"tls.crt": own.certificate.clone() + &root.certificate, "tls.key": own.key()},
        });
        let secret = serde_json::from_value(secret).unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
    let pods = RealPods::start(hub.servers, &hub.namespace.name, "chain").await;
    hub.create(
        "chain",
        "{certificateRefs: [{type: ca, name: my-ca}, {type: proxy, name: my-proxy}, {type: etcd, name: my-etcd}]}",
    )
    .await;
    hub.ready("chain", &pods).await;
    let namespaces = hub
        .lists_namespaces(&hub.kubeconfig("chain").await)
        .await
        .unwrap();
    assert!(namespaces.contains("namespace/kube-system"), "{namespaces}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_form_an_etcd_with_verified_peer_certificates() {
    let hub = Hub::start("real-etcd").await;
    let pods = RealPods::start(hub.servers, &hub.namespace.name, "trio").await;
    hub.create("trio", "{replicas: 3, service: {type: NodePort}}")
        .await;
    hub.ready("trio", &pods).await;
    let namespaces = hub.lists_namespaces(&hub.kubeconfig("trio").await).await.unwrap();
    assert!(namespaces.contains("namespace/default"), "{namespaces}");
    for member in 0..3 {
        let log = pods.process(&format!("kmc-trio-etcd-{member}")).unwrap().log();
        let lines = |text: &str| {
            log.lines()
                .filter(|line| line.contains(text))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let connected = lines("established TCP streaming connection with remote peer");
        assert!(!connected.is_empty(), "member {member} has no peer");
        // Who dials a member shows a certificate of its CA, or is turned away.
        let transport = lines("starting with peer TLS");
        assert!(
            transport
                .iter()
                .any(|line| line.contains("client-cert-auth = true")),
            "{transport:?}"
        );
        // A connection that ends before it begins (a peer that starts again) is no refusal.
        let mut refused = lines("rejected connection on peer endpoint");
        refused.retain(|line| !line.contains("EOF") && !line.contains("reset by peer"));
        assert!(refused.is_empty(), "{refused:?}");
    }
}
