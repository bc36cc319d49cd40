//! The Secrets: what is to be issued, and the pins on the cluster CA's.

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::front_manifests::after_the_roll;
use super::given_keys;
use super::parts::{Pods, add_below, object};
use super::resolved::ResolvedCluster;
use crate::api::{labels, names};
use crate::object::{Object, kinds};
use crate::pki::{KeyDecision, KeyPurpose, Ownership};

/// Type and label that other tools of this ecosystem look for.
pub(super) const SECRET_TYPE: &str = "cluster.x-k8s.io/secret";
const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";

/// Answers for every key. None is ever dropped but those of sidecars and proxies that are gone.
pub(super) fn answer(cluster: &ResolvedCluster, config_digest: Option<&str>, answers: &mut Answers) {
    for (&purpose, decision) in &cluster.keys {
        let name = names::key(&cluster.name, purpose.suffix());
        let answer = match decision {
            KeyDecision::Make {
                issue,
                content_digest,
                why: _,
            } => Answer::Want(Desired::Key {
                purpose,
                secret: secret(cluster, purpose, &name, content_digest),
                issue: issue.clone(),
            }),
            KeyDecision::Right { ownership } => Answer::Want(right(cluster, purpose, *ownership)),
            KeyDecision::Given => {
                if purpose == KeyPurpose::Ca {
                    given_keys::answer_pins(cluster, answers);
                }
                continue;
            }
            KeyDecision::Wait(waiting_on) => Answer::Keep {
                waiting_on: waiting_on.clone(),
            },
            KeyDecision::Refused { reason: _, message } => Answer::Keep {
                waiting_on: format!("a person: {message}"),
            },
        };
        answers.insert(cluster.id(kinds::SECRET, name), answer);
    }
    for (purpose, why) in [
        (
            KeyPurpose::IngressHaproxy,
            "neither `spec.ingress` nor `spec.gateway` is written",
        ),
        (KeyPurpose::Monitoring, "`spec.monitoring.enabled` is not true"),
    ] {
        if !cluster.keys.contains_key(&purpose) {
            let name = names::key(&cluster.name, purpose.suffix());
            let answer = after_the_roll(cluster, config_digest, why);
            answers.insert(cluster.id(kinds::SECRET, name), answer);
        }
    }
}

/// Everything of a Secret but its data, and the annotations that only its maker can know.
fn secret(cluster: &ResolvedCluster, purpose: KeyPurpose, name: &str, content_digest: &str) -> Object {
    // A root lives as long as the data, so nothing that goes with the cluster object may own it.
    let mut metadata = if purpose.is_root() {
        cluster.metadata(name, Pods::ControlPlane, component(purpose))
    } else {
        cluster.owned_metadata(name, Pods::ControlPlane, component(purpose))
    };
    metadata["labels"][CLUSTER_NAME] = json!(cluster.name);
    metadata["annotations"][labels::CONTENT_DIGEST] = json!(content_digest);
    match purpose {
        KeyPurpose::Ca => metadata["annotations"][labels::PINS] = json!(pins(cluster)),
        KeyPurpose::Kubeconfig => {
            if let Some(kubeconfig) = &cluster.spec.kubeconfig {
                add_below(&mut metadata, "labels", &kubeconfig.labels);
                add_below(&mut metadata, "annotations", &kubeconfig.annotations);
            }
        }
        KeyPurpose::Proxy
        | KeyPurpose::Sa
        | KeyPurpose::Etcd
        | KeyPurpose::ApiserverEtcdClient
        | KeyPurpose::EtcdServer
        | KeyPurpose::EtcdPeer
        | KeyPurpose::NatsToken
        | KeyPurpose::IngressHaproxy
        | KeyPurpose::Monitoring => {}
    }
    object(kinds::SECRET, metadata, json!({"type": SECRET_TYPE}))
}

fn component(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Kubeconfig => "kubeconfig",
        KeyPurpose::Ca
        | KeyPurpose::Proxy
        | KeyPurpose::Sa
        | KeyPurpose::Etcd
        | KeyPurpose::ApiserverEtcdClient
        | KeyPurpose::EtcdServer
        | KeyPurpose::EtcdPeer
        | KeyPurpose::IngressHaproxy
        | KeyPurpose::Monitoring => "pki",
        KeyPurpose::NatsToken => "nats",
    }
}

/// A key that stays: pins that have changed, and a new owner where the old one is gone, are metadata. The Secret that
/// holds the pins beside a CA of the user is as the CA's own.
pub(super) fn right(cluster: &ResolvedCluster, purpose: KeyPurpose, ownership: Ownership) -> Desired {
    let mut patch = json!({});
    if ownership == Ownership::Predecessor {
        patch["labels"] = json!({labels::CLUSTER_UID: cluster.uid, labels::RETAINED: Value::Null});
        if !purpose.is_root() {
            let metadata = cluster.owned_metadata("", Pods::ControlPlane, component(purpose));
            patch["ownerReferences"] = metadata["ownerReferences"].clone();
        }
    }
    if purpose == KeyPurpose::Ca && cluster.stored_pins.as_ref() != Some(&cluster.pins) {
        patch["annotations"] = json!({labels::PINS: pins(cluster)});
    }
    if patch == json!({}) {
        Desired::AsItIs
    } else {
        Desired::Metadata { patch }
    }
}

pub(super) fn pins(cluster: &ResolvedCluster) -> String {
    serde_json::to_string(&cluster.pins).expect("pins are plain data")
}
