//! The members of etcd.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::gather::ETCD_CLAIM;
use super::parts::{KeyFiles, Pods, claim_spec, object, restricted, set_resources};
use super::resolved::{ResolvedCluster, StoragePlan};
use crate::api::{labels, names};
use crate::etcd::{CLIENT_PORT, METRICS_PORT, PEER_PORT};
use crate::object::{Object, digest, kinds};
use crate::pki::KeyPurpose;

/// User and group of the members, whatever the image says: the volume belongs to this group.
const USER: i64 = 1001;
const KEY_MODE: i32 = 0o440;

/// What members get to see. No key of a CA: they sign nothing.
const FILES: [KeyFiles; 3] = [
    (KeyPurpose::Etcd, &[("tls.crt", "ca.crt")]),
    (
        KeyPurpose::EtcdServer,
        &[("tls.crt", "server.crt"), ("tls.key", "server.key")],
    ),
    (
        KeyPurpose::EtcdPeer,
        &[("tls.crt", "peer.crt"), ("tls.key", "peer.key")],
    ),
];

/// Answers for the StatefulSet of etcd. Its claims are never answered for: only a deletion policy touches them.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    if cluster.storage != StoragePlan::Etcd {
        return;
    }
    let name = names::etcd(&cluster.name);
    let answer = match (
        &cluster.endpoint,
        cluster.unsettled_key(&FILES.map(|(purpose, _)| purpose)),
    ) {
        // The members' configuration lies in one object with that of k0s.
        (Err(waiting_on), _) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        (Ok(_), Some(waiting_on)) => Answer::Keep { waiting_on },
        (Ok(_), None) => Answer::Want(Desired::Object(stateful_set(cluster, &name))),
    };
    answers.insert(cluster.id(kinds::STATEFUL_SET, name), answer);
}

fn stateful_set(cluster: &ResolvedCluster, name: &str) -> Object {
    let mut metadata = cluster.owned_metadata(name, Pods::Etcd, "etcd");
    metadata["annotations"] = json!({labels::RENDERER_REVISION: cluster.revision.to_string()});
    let mut annotations = BTreeMap::new();
    // Members read their files only at start. Membership is not among what is digested: it changes while they run.
    if !cluster.etcd_settings.is_empty() {
        let settings = Value::Object(cluster.etcd_settings.clone());
        annotations.insert(labels::CONFIG_DIGEST, digest(&settings));
    }
    let claim = claim_spec(&cluster.etcd.volume_size, cluster.etcd.storage_class.as_deref());
    object(
        kinds::STATEFUL_SET,
        metadata,
        json!({"spec": {
            "replicas": cluster.etcd.replicas,
            "serviceName": name,
            "selector": {"matchLabels": cluster.selector(Pods::Etcd)},
            // Members find each other only when all of them start.
            "podManagementPolicy": "Parallel",
            // Members are replaced one by one by whoever can see that the others are healthy, never by this set.
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "template": {
                "metadata": cluster.template_metadata(Pods::Etcd, "etcd", annotations),
                "spec": pod(cluster),
            },
            "volumeClaimTemplates": [cluster.claim_template(Pods::Etcd, "etcd", ETCD_CLAIM, &claim)],
        }}),
    )
}

fn pod(cluster: &ResolvedCluster) -> Value {
    let mut pod = cluster.pod_spec(Pods::Etcd);
    pod.insert(
        "securityContext".to_owned(),
        json!({
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    pod.insert("containers".to_owned(), json!([container(cluster)]));
    pod.insert("volumes".to_owned(), volumes(cluster));
    Value::Object(pod)
}

fn container(cluster: &ResolvedCluster) -> Value {
    let port = |name: &str, port: i32| json!({"name": name, "protocol": "TCP", "containerPort": port});
    // Each member is asked for itself. Alive is one that answers; ready is one that has a leader.
    let probe = |path: &str, period: i32, failures: i32| {
        json!({
            "httpGet": {"path": path, "port": "metrics", "scheme": "HTTP"},
            "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures,
        })
    };
    let mut container = json!({
        "name": "etcd",
        "image": cluster.etcd.image,
        "imagePullPolicy": cluster.pull_policy(),
        // One file a member, so that nothing about members is in this template.
        "command": ["etcd", "--config-file=/etc/etcd/$(POD_NAME).yaml"],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
        "ports": [
            port("client", CLIENT_PORT),
            port("peer", PEER_PORT),
            port("metrics", METRICS_PORT),
        ],
        // Ten minutes, for a large database to be read.
        "startupProbe": probe("/livez", 5, 120),
        "livenessProbe": probe("/livez", 15, 8),
        "readinessProbe": probe("/readyz", 5, 3),
        "securityContext": restricted(),
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/etcd", "readOnly": true},
            {"name": "keys", "mountPath": "/etc/etcd-pki", "readOnly": true},
            {"name": ETCD_CLAIM, "mountPath": "/var/lib/etcd"},
        ],
    });
    let etcd = cluster
        .spec
        .storage
        .as_ref()
        .and_then(|storage| storage.etcd.as_ref());
    set_resources(&mut container, etcd.and_then(|etcd| etcd.resources.as_ref()));
    container
}

fn volumes(cluster: &ResolvedCluster) -> Value {
    let sources = cluster.key_sources(&FILES, |_| KEY_MODE);
    json!([
        // The whole object: a list of files would be a list of members.
        {"name": "config", "configMap": {"name": names::config(&cluster.name), "defaultMode": 0o644}},
        {"name": "keys", "projected": {"defaultMode": KEY_MODE, "sources": sources}},
    ])
}
