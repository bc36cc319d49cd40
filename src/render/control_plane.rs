//! The pods that run k0s.

use serde_json::{Value, json};

use super::additions;
use super::answer::{Answer, Answers, Desired};
use super::config_map::{ENDPOINT_KEY, K0S_KEY, TELEMETRY_KEY};
use super::parts::{KeyFiles, Pods, object, set_resources};
use super::resolved::{ResolvedCluster, StoragePlan};
use super::{config_secret, front_manifests, monitoring, nats, persistence, revisions};
use crate::api::cluster_status::Endpoint;
use crate::api::{labels, names};
use crate::object::{Object, kinds};
use crate::pki::KeyPurpose;

/// Mode of certificates, and of keys: readable for root's group, which is that of every process of k0s.
const CERTIFICATE_MODE: i32 = 0o444;
const KEY_MODE: i32 = 0o440;

/// Where the init container finds the keys.
const KEYS: &str = "/keys";
const PKI: &str = "/var/lib/k0s/pki";

/// Where the keys of each Secret go. The CA of etcd is here without its key: nothing in these pods signs with it.
const FILES: [KeyFiles; 5] = [
    (KeyPurpose::Ca, &[("tls.crt", "ca.crt"), ("tls.key", "ca.key")]),
    (
        KeyPurpose::Proxy,
        &[
            ("tls.crt", "front-proxy-ca.crt"),
            ("tls.key", "front-proxy-ca.key"),
        ],
    ),
    (KeyPurpose::Sa, &[("tls.crt", "sa.pub"), ("tls.key", "sa.key")]),
    (KeyPurpose::Etcd, &[("tls.crt", "etcd-ca.crt")]),
    (
        KeyPurpose::ApiserverEtcdClient,
        &[
            ("tls.crt", "apiserver-etcd-client.crt"),
            ("tls.key", "apiserver-etcd-client.key"),
        ],
    ),
];

/// The same of CAs whose certificates are in the configuration: the keys alone.
const KEYS_ALONE: [KeyFiles; 2] = [
    (KeyPurpose::Ca, &[("tls.key", "ca.key")]),
    (KeyPurpose::Proxy, &[("tls.key", "front-proxy-ca.key")]),
];

/// Name, in the configuration and in the pods, of the certificate of a CA that is given among others.
fn certificate_file(purpose: KeyPurpose) -> Option<&'static str> {
    let (_, files) = FILES.iter().find(|(known, _)| *known == purpose)?;
    files
        .iter()
        .find_map(|(key, file)| (*key == "tls.crt").then_some(*file))
}

/// Certificates that the configuration holds, by file.
pub(super) fn certificates(cluster: &ResolvedCluster) -> impl Iterator<Item = (&'static str, &str)> {
    let all = cluster.lone_certificates.iter();
    all.filter_map(|(purpose, certificate)| Some((certificate_file(*purpose)?, certificate.as_str())))
}

/// Answers for the StatefulSet of the control plane.
pub(super) fn answer(cluster: &ResolvedCluster, config_digest: Option<&str>, answers: &mut Answers) {
    let name = names::control_plane(&cluster.name);
    let needed: Vec<KeyPurpose> = files(cluster).map(|(purpose, _)| *purpose).collect();
    let answer = match (
        &cluster.endpoint,
        cluster
            .unsettled_key(&needed)
            .or_else(|| monitoring::waits_for(cluster))
            .or_else(|| {
                cluster
                    .haproxy_fingerprint()
                    .err()
                    .filter(|_| cluster.front.is_some())
            }),
        config_secret::source_digest(cluster),
    ) {
        (Err(waiting_on), ..) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        (Ok(_), Some(waiting_on), _) | (Ok(_), None, Err(waiting_on)) => Answer::Keep { waiting_on },
        (Ok(endpoint), None, Ok(source)) => {
            let digests = [
                (labels::CONFIG_DIGEST, config_digest.map(str::to_owned)),
                (labels::SOURCE_DIGEST, source),
            ];
            Answer::Want(Desired::Object(stateful_set(cluster, &name, endpoint, digests)))
        }
    };
    answers.insert(cluster.id(kinds::STATEFUL_SET, name), answer);
}

/// The keys that these pods have with their storage.
fn files(cluster: &ResolvedCluster) -> impl Iterator<Item = &'static KeyFiles> {
    let storage = cluster.storage.storage_type();
    FILES
        .iter()
        .filter(move |(purpose, _)| purpose.is_needed_with(storage))
}

fn stateful_set(
    cluster: &ResolvedCluster,
    name: &str,
    endpoint: &Endpoint,
    digests: [(&'static str, Option<String>); 2],
) -> Object {
    let mut metadata = cluster.owned_metadata(name, Pods::ControlPlane, "control-plane");
    metadata["annotations"] = json!({labels::RENDERER_REVISION: cluster.revision.to_string()});
    let mut annotations = monitoring::annotations(&cluster.spec);
    annotations.extend(
        digests
            .into_iter()
            .filter_map(|(name, digest)| Some((name, digest?))),
    );
    if cluster.revision >= revisions::FIRST_FOR_TESTS {
        annotations.insert(labels::RENDERER_REVISION, cluster.revision.to_string());
    }
    let mut set = object(
        kinds::STATEFUL_SET,
        metadata,
        json!({"spec": {
            "replicas": cluster.replicas,
            "selector": {"matchLabels": cluster.selector(Pods::ControlPlane)},
            // Replicas do not wait for each other, so that a broken pod can be replaced while others are not ready.
            "podManagementPolicy": "Parallel",
            // Without a partition the StatefulSet controller makes pods anew from the old revision, as many as its status
            // counts. With `Parallel` that count is wrong when replicas shrink in the same write, and it makes and deletes
            // the same pod hundreds of times, with a status that is refused.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {
                "metadata": cluster.template_metadata(Pods::ControlPlane, "control-plane", annotations),
                "spec": pod(cluster, endpoint),
            },
        }}),
    );
    let claims = persistence::claim_templates(cluster);
    if !claims.is_empty() {
        set.0["spec"]["volumeClaimTemplates"] = json!(claims);
        set.0["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    }
    if let StoragePlan::Nats(_) = cluster.storage {
        set.0["spec"]["serviceName"] = json!(names::nats(&cluster.name));
    }
    set
}

fn pod(cluster: &ResolvedCluster, endpoint: &Endpoint) -> Value {
    let mut pod = cluster.pod_spec(Pods::ControlPlane);
    let mut security = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    let (api_port, konnectivity_port) = cluster.listening_ports(endpoint);
    let lowest = api_port.min(konnectivity_port);
    if lowest < 1024 {
        // The API server is not root; with this, any process of the pod may listen from this port on.
        security["sysctls"] =
            json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": lowest.to_string()}]);
    }
    pod.insert("securityContext".to_owned(), security);
    let mut containers = vec![controller(cluster, endpoint)];
    containers.extend(monitoring::containers(cluster));
    pod.insert("initContainers".to_owned(), json!([keys_container(cluster)]));
    pod.insert("containers".to_owned(), Value::Array(containers));
    pod.insert("volumes".to_owned(), volumes(cluster));
    let mut pod = Value::Object(pod);
    if let StoragePlan::Nats(_) = cluster.storage {
        nats::extend_pod(cluster, &mut pod);
    }
    pod
}

/// Copies the keys to where k0s can change owners and add its own. A mounted Secret could not be written to.
fn keys_container(cluster: &ResolvedCluster) -> Value {
    // Forced: when the sandbox of a pod is made anew, the keys of the first run are there and belong to other users.
    let mut command = vec!["cp".to_owned(), "-f".to_owned()];
    let files = files(cluster).flat_map(|(_, files)| files.iter());
    command.extend(files.map(|(_, file)| format!("{KEYS}/{file}")));
    command.push(format!("{PKI}/"));
    json!({
        "name": "keys",
        "image": cluster.image,
        "imagePullPolicy": cluster.pull_policy(),
        "command": command,
        "securityContext": {
            "runAsUser": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "keys", "mountPath": KEYS, "readOnly": true},
            {"name": "pki", "mountPath": PKI},
        ],
    })
}

fn controller(cluster: &ResolvedCluster, endpoint: &Endpoint) -> Value {
    // Asking the API server takes a new process in the container, which is too dear to do often.
    let ready = json!({"command": ["k0s", "kubectl", "get", "--raw=/readyz"]});
    let port = |name: &str, port: i32| json!({"name": name, "protocol": "TCP", "containerPort": port});
    let (api_port, konnectivity_port) = cluster.listening_ports(endpoint);
    // The prober asks a server on the internet; the join API hands out the CA's key, and no controller joins.
    let mut disabled = "--disable-components=control-api,update-prober".to_owned();
    if cluster.front.is_some() {
        // It would give pods the address of the front, which takes no connection without a host name.
        disabled.push_str(",endpoint-reconciler");
    }
    let mut container = json!({
        "name": "controller",
        "image": cluster.image,
        "imagePullPolicy": cluster.pull_policy(),
        // The image's own entrypoint stays: it reaps processes and passes signals on.
        "args": [
            "k0s",
            "controller",
            "--config=/etc/k0s/k0s.yaml",
            disabled,
        ],
        "ports": [
            port("api", api_port),
            port("konnectivity", konnectivity_port),
        ],
        // Ten minutes: a controller whose etcd is not there yet restarts its parts on its own for some of them.
        "startupProbe": {"exec": ready, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 60},
        "livenessProbe": {"exec": ready, "periodSeconds": 60, "timeoutSeconds": 20, "failureThreshold": 5},
        "readinessProbe": {"tcpSocket": {"port": "api"}, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 3},
        "securityContext": {
            // k0s gives each of its processes a user of its own, which takes root and these capabilities.
            "runAsUser": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {
                "drop": ["ALL"],
                "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
            },
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/k0s", "readOnly": true},
            {"name": "run", "mountPath": "/run"},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": cluster.data_volume.volume_name(), "mountPath": "/var/lib/k0s"},
            {"name": "endpoint", "mountPath": "/var/lib/k0s/manifests/control-plane-endpoint", "readOnly": true},
            {"name": "telemetry", "mountPath": "/var/lib/k0s/manifests/k0s-telemetry", "readOnly": true},
            {"name": "pki", "mountPath": PKI},
        ],
    });
    extend(
        &mut container["args"],
        cluster.spec.control_plane_flags.iter().map(|flag| json!(flag)),
    );
    let of_front = front_manifests::volumes(cluster);
    extend(
        &mut container["volumeMounts"],
        of_front.into_iter().map(|(_, mount)| mount),
    );
    extend(
        &mut container["volumeMounts"],
        additions::volume_mounts(&cluster.spec),
    );
    set_resources(&mut container, cluster.spec.resources.as_ref());
    container
}

fn volumes(cluster: &ResolvedCluster) -> Value {
    let config = names::config(&cluster.name);
    let file = |volume: &str, key: &str, path: &str| {
        let items = json!([{"key": key, "path": path}]);
        match cluster.storage {
            StoragePlan::Etcd => {
                json!({"name": volume, "configMap": {"name": config, "defaultMode": 0o644, "items": items}})
            }
            StoragePlan::Kine(_) | StoragePlan::Nats(_) => {
                json!({"name": volume, "secret": {"secretName": config, "defaultMode": KEY_MODE, "items": items}})
            }
        }
    };
    let mode = |key: &str| {
        if key == "tls.key" {
            KEY_MODE
        } else {
            CERTIFICATE_MODE
        }
    };
    let in_secrets = files(cluster).map(|of_secret| {
        let alone = KEYS_ALONE.iter().find(|(purpose, _)| *purpose == of_secret.0);
        alone
            .filter(|(purpose, _)| cluster.lone_certificates.contains_key(purpose))
            .unwrap_or(of_secret)
    });
    let mut sources = cluster.key_sources(in_secrets, mode);
    let certificates: Vec<Value> = certificates(cluster)
        .map(|(file, _)| json!({"key": file, "path": file, "mode": CERTIFICATE_MODE}))
        .collect();
    if !certificates.is_empty() {
        let source = json!({"name": config, "items": certificates});
        sources.push(match cluster.storage {
            StoragePlan::Etcd => json!({"configMap": source}),
            StoragePlan::Kine(_) | StoragePlan::Nats(_) => json!({"secret": source}),
        });
    }
    let mut volumes = json!([file("config", K0S_KEY, "k0s.yaml")]);
    // k0s unpacks its binaries here and runs them.
    extend(&mut volumes, cluster.data_volume.volume());
    let more = [
        file("endpoint", ENDPOINT_KEY, "endpoint.yaml"),
        json!({"name": "keys", "projected": {"defaultMode": KEY_MODE, "sources": sources}}),
        // Keys never reach a disk.
        json!({"name": "pki", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}),
        json!({"name": "run", "emptyDir": {}}),
        file("telemetry", TELEMETRY_KEY, "configmap.yaml"),
        json!({"name": "tmp", "emptyDir": {}}),
    ];
    extend(&mut volumes, more);
    let of_front = front_manifests::volumes(cluster);
    extend(&mut volumes, of_front.into_iter().map(|(volume, _)| volume));
    extend(&mut volumes, monitoring::volumes(cluster));
    extend(&mut volumes, additions::volumes(&cluster.spec));
    volumes
}

fn extend(list: &mut Value, more: impl IntoIterator<Item = Value>) {
    if let Value::Array(items) = list {
        items.extend(more);
    }
}
