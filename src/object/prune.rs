//! What of a live object need not be kept to compare and judge it.

use serde_json::Value;

use super::{Kind, Object, kinds};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what nothing reads: managed fields of others, what kubectl writes about itself, and the chatter of a status.
///
/// *Shape*: what stays is unchanged. Of a StatefulSet the numbers and revisions of the status stay, of a Service its
/// load balancer, of a claim its phase and size, of kinds of ours everything.
pub(super) fn prune(object: &mut Object, kind: Kind, manager: &str) {
    let Some(fields) = object.0.as_object_mut() else {
        return;
    };
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
        if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
            entries.retain(|entry| {
                entry.get("manager").and_then(Value::as_str) == Some(manager)
                    && entry.get("operation").and_then(Value::as_str) == Some("Apply")
                    && entry.get("subresource").is_none()
            });
            if entries.is_empty() {
                metadata.remove("managedFields");
            }
        }
    }
    if kind == kinds::SECRET {
        fields.remove("data");
        fields.remove("stringData");
    }
    let kept: &[&str] = if kind == kinds::STATEFUL_SET {
        &[
            "observedGeneration",
            "replicas",
            "readyReplicas",
            "updatedReplicas",
            "currentReplicas",
            "availableReplicas",
            "currentRevision",
            "updateRevision",
        ]
    } else if kind == kinds::SERVICE {
        &["loadBalancer"]
    } else if kind == kinds::PERSISTENT_VOLUME_CLAIM {
        &["phase", "capacity"]
    } else if kind == kinds::POD_DISRUPTION_BUDGET
        || kind == kinds::CRON_JOB
        || kind == kinds::INGRESS
        || kind == kinds::TLS_ROUTE
        || kind == kinds::TLS_ROUTE_ALPHA
        || kind == kinds::CONFIG_MAP
        || kind == kinds::NETWORK_POLICY
        || kind == kinds::SECRET
    {
        &[]
    } else {
        return;
    };
    if let Some(status) = fields.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|field, _| kept.contains(&field.as_str()));
        if status.is_empty() {
            fields.remove("status");
        }
    }
}
