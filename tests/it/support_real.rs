//! The real kubelet runs etcd and kube-apiserver from objects alone, and notices when they fail.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, PostParams};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::support::certificates::{Authority, Pair};
use crate::support::kubelet::RealPods;
use crate::support::{Servers, eventually, ports, servers};

/// Three members and an API server start in 5 s; other tests run beside them.
const SOON: Duration = Duration::from_secs(90);
const NAME: &str = "berlin";
const ETCD: &str = "kmc-berlin-etcd";

struct Made {
    client: Client,
    namespace: String,
    host: String,
    port: u16,
}

impl Made {
    async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api = Api::<K>::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    async fn secret(&self, purpose: &str, certificate: &str, key: &str) {
        let object = json!({ "metadata": { "name": format!("{NAME}-{purpose}") },
            "stringData": { "tls.crt": certificate, "tls.key": key } });
        self.create::<Secret>(object).await;
    }

    /// All keys: RSA for the cluster, ECDSA for etcd. Returns the cluster's authority.
    async fn keys(&self) -> Authority {
        let rsa = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let (cluster, etcd) = (
            Authority::with_key("kubernetes-ca", rsa()),
            Authority::new("etcd-ca"),
        );
        let (front, accounts) = (Authority::new("kubernetes-front-proxy-ca"), rsa());
        self.secret("ca", &cluster.certificate, &cluster.key()).await;
        self.secret("proxy", &front.certificate, &front.key()).await;
        self.secret("sa", &accounts.public_key_pem(), &accounts.serialize_pem())
            .await;
        self.secret("etcd", &etcd.certificate, &etcd.key()).await;
        let names = [
            ETCD.to_owned(),
            format!("*.{ETCD}"),
            format!("*.{ETCD}.{}.svc", self.namespace),
        ];
        for purpose in ["etcd-server", "etcd-peer", "apiserver-etcd-client"] {
            let Pair { certificate, key } = etcd.issue(purpose, None, &names);
            self.secret(purpose, &certificate, &key).await;
        }
        cluster
    }

    fn member(&self, member: usize) -> Value {
        let url = |member: usize, port: u16| {
            format!("https://{ETCD}-{member}.{ETCD}.{}.svc:{port}", self.namespace)
        };
        let all: Vec<String> = (0..3)
            .map(|member| format!("{ETCD}-{member}={}", url(member, 2380)))
            .collect();
        let transport = |name: &str| {
            json!({ "cert-file": format!("/etc/etcd/pki/{name}.crt"), "key-file": format!("/etc/etcd/pki/{name}.key"),
                "trusted-ca-file": "/etc/etcd/pki/ca.crt", "client-cert-auth": true })
        };
        json!({
            "name": format!("{ETCD}-{member}"),
            "data-dir": "/var/lib/etcd/data",
            "listen-client-urls": "https://0.0.0.0:2379",
            "listen-peer-urls": "https://0.0.0.0:2380",
            "advertise-client-urls": url(member, 2379),
            "initial-advertise-peer-urls": url(member, 2380),
            "initial-cluster": all.join(","),
            "initial-cluster-state": "new",
            "client-transport-security": transport("server"),
            "peer-transport-security": transport("peer"),
        })
    }

    async fn configuration(&self) {
        let k0s = json!({ "apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig", "spec": {
            "api": { "port": self.port, "externalAddress": self.host, "sans": [self.host] },
            "storage": { "type": "etcd", "etcd": { "externalCluster": {
                "endpoints": [format!("https://{ETCD}:2379")], "etcdPrefix": NAME,
                "caFile": "/var/lib/k0s/pki/etcd-ca.crt",
                "clientCertFile": "/var/lib/k0s/pki/apiserver-etcd-client.crt",
                "clientKeyFile": "/var/lib/k0s/pki/apiserver-etcd-client.key" } } } } });
        let mut data = json!({ "k0s.yaml": k0s.to_string() });
        for member in 0..3 {
            data[format!("{ETCD}-{member}.yaml")] = Value::String(self.member(member).to_string());
        }
        let object = json!({ "metadata": { "name": format!("kmc-{NAME}-config") }, "data": data });
        self.create::<ConfigMap>(object).await;
    }

    fn set(name: &str, replicas: usize, component: &str, pod: Value) -> Value {
        let labels = json!({ "app": "k0smotron", "cluster": NAME, "component": component });
        json!({ "metadata": { "name": name }, "spec": { "serviceName": name, "replicas": replicas,
            "podManagementPolicy": "Parallel", "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod } } })
    }

    async fn stateful_sets(&self) {
        let pair = |purpose: &str, name: &str| {
            json!({ "secret": { "name": format!("{NAME}-{purpose}"), "items": [
                { "key": "tls.crt", "path": format!("{name}.crt") }, { "key": "tls.key", "path": format!("{name}.key") }] } })
        };
        let authority = json!({ "secret": { "name": format!("{NAME}-etcd"),
            "items": [{ "key": "tls.crt", "path": "ca.crt" }] } });
        let config = json!({ "name": "config", "configMap": { "name": format!("kmc-{NAME}-config") } });
        let pod_name =
            json!([{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
        let etcd = json!({
            "containers": [{ "name": "etcd", "image": "example.org/etcd:v3.7.1", "env": pod_name,
                "command": ["etcd", "--config-file=/etc/etcd/config/$(POD_NAME).yaml"],
                "volumeMounts": [{ "name": "config", "mountPath": "/etc/etcd/config" },
                    { "name": "pki", "mountPath": "/etc/etcd/pki" },
                    { "name": "etcd-data", "mountPath": "/var/lib/etcd" }] }],
            "volumes": [config, { "name": "pki", "projected": { "sources": [
                authority, pair("etcd-server", "server"), pair("etcd-peer", "peer")] } }],
        });
        let mut set = Self::set(ETCD, 3, "etcd", etcd);
        set["spec"]["volumeClaimTemplates"] = json!([{ "metadata": { "name": "etcd-data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }]);
        self.create::<StatefulSet>(set).await;

        let keys = json!({ "sources": [pair("ca", "ca"), pair("proxy", "front-proxy-ca"), pair("apiserver-etcd-client",
            "apiserver-etcd-client"), pair("etcd", "etcd-ca"), { "secret": { "name": format!("{NAME}-sa"), "items": [
            { "key": "tls.crt", "path": "sa.pub" }, { "key": "tls.key", "path": "sa.key" }] } }] });
        let state = json!({ "name": "state", "mountPath": "/var/lib/k0s" });
        let control_plane = json!({
            "initContainers": [{ "name": "keys", "image": "example.org/k0s:v1.36.3-k0s.2",
                "command": ["cp", "-rL", "/keys", "/var/lib/k0s/pki"],
                "volumeMounts": [{ "name": "keys", "mountPath": "/keys" }, state] }],
            "containers": [{ "name": "controller", "image": "example.org/k0s:v1.36.3-k0s.2",
                "args": ["k0s", "controller", "--config=/etc/k0s/k0s.yaml"],
                "volumeMounts": [{ "name": "config", "mountPath": "/etc/k0s/k0s.yaml", "subPath": "k0s.yaml" }, state] }],
            "volumes": [config, { "name": "keys", "projected": keys }, { "name": "state", "emptyDir": {} }],
        });
        self.create::<StatefulSet>(Self::set(&format!("kmc-{NAME}"), 1, "cluster", control_plane))
            .await;
    }

    async fn ready(&self, set: &str, wanted: i32, pods: &RealPods) {
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &self.namespace);
        eventually(&format!("{wanted} ready pods of {set}"), SOON, async || {
            let status = sets
                .get(set)
                .await
                .map_err(|error| error.to_string())?
                .status
                .unwrap_or_default();
            let ready = status.ready_replicas.unwrap_or_default();
            if ready == wanted {
                Ok(())
            } else {
                Err(format!("{ready} are ready: {:#?}", pods.problems()))
            }
        })
        .await;
    }

    /// Writes a kubeconfig with a client certificate of `authority`.
    fn kubeconfig(&self, pods: &RealPods, authority: &Authority, signer: &Authority) -> std::path::PathBuf {
        use base64::Engine as _;
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let pair = signer.issue("kubernetes-admin", Some("system:masters"), &[]);
        let user = json!({ "client-certificate-data": base64(&pair.certificate), "client-key-data": base64(&pair.key) });
        let path = pods.root("kubeconfig");
        let url = format!("https://{}:{}", self.host, self.port);
        std::fs::write(&path, servers::kubeconfig(&url, &authority.certificate, &user)).unwrap();
        path
    }
}

#[tokio::test]
async fn three_members_and_an_api_server_run_from_their_objects() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("real").await;
    let host = ports::address().to_string();
    let client = servers.client().await;
    let made = Made {
        client,
        namespace: namespace.name.clone(),
        host,
        port: ports::free(),
    };
    let pods = RealPods::start(servers, &namespace.name, NAME).await;
    let cluster = made.keys().await;
    made.configuration().await;
    made.stateful_sets().await;
    made.ready(ETCD, 3, &pods).await;
    made.ready("kmc-berlin", 1, &pods).await;

    let kubeconfig = made.kubeconfig(&pods, &cluster, &cluster);
    let text = eventually("the API server answers", SOON, async || {
        let output = servers
            .kubectl_with(&kubeconfig, &["get", "namespaces", "-o", "name"], "")
            .await;
        if output.code == 0 && output.stdout.contains("namespace/default") {
            Ok(output.stdout)
        } else {
            Err(output.stderr)
        }
    })
    .await;
    assert!(text.contains("namespace/kube-system"), "{text}");
    let stranger = made.kubeconfig(&pods, &cluster, &Authority::new("kubernetes-ca"));
    let refused = servers.kubectl_with(&stranger, &["get", "namespaces"], "").await;
    assert!(refused.code != 0, "{refused:?}");

    // Killed, a member comes back with its data and under the same names; the other two go on.
    let member = format!("{ETCD}-1");
    let process = pods.process(&member).unwrap();
    process.kill();
    eventually("another process runs the member", SOON, async || {
        pods.process(&member).filter(|other| other.id() != process.id())
    })
    .await;
    made.ready(ETCD, 3, &pods).await;
    // It answers before it has said so.
    let log = eventually("it is connected with the others", SOON, async || {
        let log = pods.process(&member).unwrap().log();
        match log.contains("established TCP streaming connection with remote peer") {
            true => Ok(log),
            false => Err(log),
        }
    })
    .await;
    assert!(!log.contains("rejected connection"), "{log}");
}
