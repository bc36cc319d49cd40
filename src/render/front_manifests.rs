//! What the workload cluster needs when its API is behind an Ingress or a Gateway: a way in for its own pods.
//!
//! Pods dial the address of the Service `kubernetes` and say no host name, by which a front would know where they want
//! to go. So a proxy on each worker takes their connections, shows a certificate of the cluster's CA, and passes them on
//! by name.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Answers, Desired};
use super::config_map::yaml;
use super::front::{Agents, Front};
use super::konnectivity_agents;
use super::parts::{Pods, object, restricted};
use super::resolved::ResolvedCluster;
use crate::api::{labels, names};
use crate::k0s::Network;
use crate::object::{digest, kinds};
use crate::pki::{DELIVERY, KeyPurpose, SubjectAltName};

const IMAGE: &str = "docker.io/library/haproxy:3.0";
/// The user of the image; the certificate belongs to its group.
const USER: i64 = 99;
/// On every worker, in the network of the node.
const PORT: i32 = 7443;
const NAMESPACE: &str = "default";
const NAME: &str = "k0smotron-haproxy";
const CERTIFICATES: &str = "/etc/haproxy/certs";
/// Reserved for documentation: it leads nowhere, which is why it may stand where an address has to be.
const NOWHERE: &str = "192.0.2.1";

/// Of the manifests, in the order in which k0s is to apply them.
const FILES: [&str; 4] = [
    "0_kubernetes-endpoints.yaml",
    "1_haproxy-configmap.yaml",
    "2_haproxy-daemonset.yaml",
    "3_kubernetes-service.yaml",
];
const AGENTS_KEY: &str = "konnectivity-agent.yaml";
const MANIFESTS: &str = "/var/lib/k0s/manifests";

/// Name and namespace of the Secret in the workload cluster.
pub(super) const DELIVERED: (&str, &str) = (NAMESPACE, NAME);

/// Names that pods know the API by, and the address of the Service `kubernetes`.
pub(super) fn names_of_the_proxy(cluster_network: &Network) -> Vec<SubjectAltName> {
    let domain = &cluster_network.domain;
    [
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{domain}"),
    ]
    .into_iter()
    .map(SubjectAltName::Dns)
    .chain([SubjectAltName::Ip(cluster_network.kubernetes_service)])
    .collect()
}

/// Answers for the ConfigMap. It goes once no pod mounts it any more.
pub(super) fn answer(cluster: &ResolvedCluster, config_digest: Option<&str>, answers: &mut Answers) {
    let name = names::front_manifests(&cluster.name);
    let answer = match (&cluster.front, cluster.haproxy_fingerprint(), &cluster.endpoint) {
        (None, ..) => after_the_roll(
            cluster,
            config_digest,
            "neither `spec.ingress` nor `spec.gateway` is written",
        ),
        (Some(_), Err(waiting_on), _) => Answer::Keep { waiting_on },
        (Some(_), Ok(_), Err(waiting_on)) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        (Some(front), Ok(fingerprint), Ok(_)) => {
            let metadata = cluster.owned_metadata(&name, Pods::ControlPlane, "ingress");
            let data = json!({"data": data(cluster, front, fingerprint)});
            Answer::Want(Desired::Object(object(kinds::CONFIG_MAP, metadata, data)))
        }
    };
    answers.insert(cluster.id(kinds::CONFIG_MAP, name), answer);
}

/// Drops something that pods of an older template still mount, when the live set shows that there are none.
///
/// *Shape*: `config_digest` is that of the pods as they are to be, once their address is known.
pub(super) fn after_the_roll(cluster: &ResolvedCluster, config_digest: Option<&str>, why: &str) -> Answer {
    let settled = cluster
        .stateful_sets
        .get(&names::control_plane(&cluster.name))
        .filter(|pods| {
            pods.observed_generation >= pods.generation
                && pods.updated_replicas == pods.spec_replicas
                && pods.replicas == pods.spec_replicas
        });
    let live = settled.and_then(|pods| pods.config_digest.as_deref());
    if live.is_some() && live == config_digest {
        Answer::Drop { why: why.to_owned() }
    } else {
        Answer::Keep {
            waiting_on: "the control plane to run without it".to_owned(),
        }
    }
}

impl ResolvedCluster {
    /// Fingerprint of the certificate of the proxies: another one replaces them.
    pub(super) fn haproxy_fingerprint(&self) -> Result<&str, String> {
        self.haproxy_fingerprint
            .as_deref()
            .ok_or_else(|| format!("Secret `{}`", self.key_secret(KeyPurpose::IngressHaproxy)))
    }
}

/// The manifests by file; also what a control plane starts with, so that another one rolls it.
pub(super) fn data(cluster: &ResolvedCluster, front: &Front, fingerprint: &str) -> Map<String, Value> {
    let network = &cluster.network;
    let configuration = configuration(front, network);
    let daemon_set = daemon_set(cluster, &digest(&configuration), fingerprint);
    let documents = [placeholder(), configuration, daemon_set, service(network)];
    let text = |document: &Value| Value::String(yaml(document));
    let mut data: Map<String, Value> = FILES
        .map(str::to_owned)
        .into_iter()
        .zip(documents.iter().map(text))
        .collect();
    match front.agents {
        Agents::SentByK0s => {}
        Agents::OurManifests => {
            let documents = konnectivity_agents::documents(cluster, front);
            let texts: Vec<String> = documents.iter().map(yaml).collect();
            data.insert(AGENTS_KEY.to_owned(), Value::String(texts.join("---\n")));
        }
    }
    data
}

/// The volumes, and where k0s finds them.
pub(super) fn volumes(cluster: &ResolvedCluster) -> Vec<(Value, Value)> {
    let Some(front) = &cluster.front else {
        return Vec::new();
    };
    let config = names::front_manifests(&cluster.name);
    let secret = cluster.key_secret(KeyPurpose::IngressHaproxy);
    let item = |key: &str| json!({"key": key, "path": key});
    let ingress = json!({"name": "ingress", "projected": {"defaultMode": 0o440, "sources": [
        {"configMap": {"name": config, "items": FILES.map(item)}},
        // Of the certificate only what k0s is to apply.
        {"secret": {"name": secret, "items": [item(DELIVERY)]}},
    ]}});
    let mount = |name: &str, folder: &str| json!({"name": name, "mountPath": format!("{MANIFESTS}/{folder}"), "readOnly": true});
    let mut volumes = vec![(ingress, mount("ingress", "k0smotron-ingress"))];
    match front.agents {
        Agents::SentByK0s => {}
        Agents::OurManifests => {
            let agents = json!({"name": "konnectivity", "configMap": {
                "name": config, "defaultMode": 0o644, "items": [item(AGENTS_KEY)],
            }});
            // Over the folder of k0s' own manifests, which would send the agents elsewhere.
            volumes.push((agents, mount("konnectivity", "konnectivity")));
        }
    }
    volumes
}

/// k0s tells no worker anything before the Service `kubernetes` has an address. The proxies' replace this one.
fn placeholder() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": NAMESPACE},
        "subsets": [{"addresses": [{"ip": NOWHERE}], "ports": [{"name": "https", "port": PORT, "protocol": "TCP"}]}],
    })
}

fn configuration(front: &Front, network: &Network) -> Value {
    let Front {
        api_host,
        konnectivity_host: _,
        port,
        agents: _,
    } = front;
    let bind = match network.kubernetes_service {
        IpAddr::V4(_) => "0.0.0.0",
        IpAddr::V6(_) => "[::]",
    };
    let text = format!(
        "global\n    log stdout format raw local0 notice\n\
         defaults\n    mode tcp\n    log global\n    timeout connect 10s\n    timeout client 1h\n    timeout server 1h\n\
         resolvers node\n    parse-resolv-conf\n    hold valid 30s\n\
         frontend pods\n    bind {bind}:{PORT} ssl crt {CERTIFICATES}/server.pem\n    default_backend api\n\
         backend api\n    server api {api_host}:{port} ssl verify required ca-file {CERTIFICATES}/ca.crt \
         sni str({api_host}) resolvers node init-addr last,libc,none\n"
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": {"haproxy.cfg": text},
    })
}

fn daemon_set(cluster: &ResolvedCluster, config_digest: &str, fingerprint: &str) -> Value {
    let app = json!({"app": NAME});
    let tolerations = [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.cloudprovider.kubernetes.io/uninitialized",
    ]
    .map(|key| json!({"key": key, "operator": "Exists", "effect": "NoSchedule"}));
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": app},
        "spec": {
            "selector": {"matchLabels": app},
            "template": {
                // HAProxy reads both once.
                "metadata": {
                    "labels": app,
                    "annotations": {labels::CONFIG_DIGEST: config_digest, labels::FINGERPRINT: fingerprint},
                },
                "spec": {
                    "automountServiceAccountToken": false,
                    // Nothing else works on a worker before the API can be reached.
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": tolerations,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "haproxy",
                        "image": konnectivity_agents::in_workload(cluster, IMAGE, cluster.spec.image_repository.as_deref()),
                        "args": ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
                        "ports": [{"name": "https", "containerPort": PORT, "protocol": "TCP"}],
                        "securityContext": restricted(),
                        "volumeMounts": [
                            {"name": "config", "mountPath": "/usr/local/etc/haproxy", "readOnly": true},
                            {"name": "certificates", "mountPath": CERTIFICATES, "readOnly": true},
                        ],
                    }],
                    "volumes": [
                        {"name": "config", "configMap": {"name": NAME}},
                        {"name": "certificates", "secret": {"secretName": NAME, "defaultMode": 0o440}},
                    ],
                },
            },
        },
    })
}

/// The Service that the API server makes without selector, with the proxies behind it: each pod takes that of its node.
fn service(network: &Network) -> Value {
    let family = match network.kubernetes_service {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": network.kubernetes_service,
            "internalTrafficPolicy": "Local",
            "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": PORT}],
            "selector": {"app": NAME},
        },
    })
}
