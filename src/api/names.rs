//! One function per derived name. The table that documents them is `docs/reference/objects.md`.
//!
//! **Invariant:** none of these may ever give another answer for the same input: a name that moves is a control
//! plane that restarts with a new address or new keys.

use sha2::{Digest as _, Sha256};

use super::ClusterSpec;
use super::cluster_parts::{IngressSpec, MonitoringSpec, ServiceType, StorageType};

/// Longest name of a K0smotronCluster. Leaves room for every suffix below within the 52 characters that a
/// StatefulSet name can have (its pods carry `<name>-<10 characters>` as a label value of at most 63).
pub const CLUSTER_NAME_MAX: usize = 40;

/// Name of the control-plane StatefulSet, and of the Service of type ClusterIP.
pub fn control_plane(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}"))
}

/// Name of the API Service of type NodePort.
pub fn service_node_port(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-nodeport"))
}

/// Name of the API Service of type LoadBalancer.
pub fn service_load_balancer(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-lb"))
}

/// Name of the etcd StatefulSet and of its headless Service.
pub fn etcd(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-etcd"))
}

/// Name of the CronJob that defragments etcd. A CronJob's name has room for 52 characters.
pub fn defrag_job(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-defrag"))
}

/// Name of the headless Service by which the NATS servers of a control plane find each other.
pub fn nats(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-nats"))
}

/// Name of the configuration object: k0s.yaml, etcd member files, telemetry and endpoint manifests.
pub fn config(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-config"))
}

/// Name of the Ingress, and of the TLSRoute to the API.
pub fn ingress(cluster: &str) -> String {
    control_plane(cluster)
}

/// Name of the TLSRoute to konnectivity.
pub fn konnectivity_route(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-konnectivity"))
}

/// Name of the ConfigMap with what the workload cluster needs behind an Ingress or a Gateway.
pub fn front_manifests(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-ingress"))
}

/// Name of the ConfigMap with the configuration of the monitoring sidecars.
pub fn monitoring(cluster: &str) -> String {
    shorten(format!("kmc-{cluster}-monitoring"))
}

/// Name of the admin kubeconfig Secret. Never shortened.
pub fn kubeconfig(cluster: &str) -> String {
    format!("{cluster}-kubeconfig")
}

/// Name of the Secret of one key or certificate (`ca`, `etcd-peer`, ...). Never shortened.
///
/// That of the NATS token alone is called like an object of the operator, as other tools know it.
pub fn key(cluster: &str, purpose: &str) -> String {
    if purpose == NATS_TOKEN {
        return format!("kmc-{cluster}-{purpose}");
    }
    format!("{cluster}-{purpose}")
}

/// Suffix of the Secret with the token of NATS.
pub const NATS_TOKEN: &str = "nats-token";

/// Name of the Secret that holds the pins of a cluster whose CA is the user's own.
pub fn pins(cluster: &str) -> String {
    format!("{cluster}-pins")
}

/// Name of the ConfigMap that is the parent of a fleet.
pub fn fleet_parent(fleet_id: &str) -> String {
    shorten(format!("k0smotron-fleet-{fleet_id}"))
}

/// Returns what a cluster with this spec makes, as kind and name: what two clusters of a namespace cannot both have.
///
/// *Shape*: not the Services of the types it does not have, nor the volumes, which have the name of their StatefulSet.
pub fn claimed(cluster: &str, spec: &ClusterSpec) -> Vec<(&'static str, String)> {
    let service_type = spec.service.as_ref().and_then(|service| service.service_type);
    let service = match service_type.unwrap_or(ServiceType::NodePort) {
        ServiceType::NodePort => service_node_port(cluster),
        ServiceType::LoadBalancer => service_load_balancer(cluster),
        ServiceType::ClusterIp => control_plane(cluster),
    };
    let mut claimed = vec![
        ("StatefulSet", control_plane(cluster)),
        ("Service", service),
        ("ConfigMap", config(cluster)),
        ("PodDisruptionBudget", control_plane(cluster)),
        ("NetworkPolicy", control_plane(cluster)),
    ];
    let storage = spec.storage.as_ref().and_then(|storage| storage.storage_type);
    match storage.unwrap_or(StorageType::Etcd) {
        StorageType::Etcd => {
            let kinds = ["StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"];
            claimed.extend(kinds.map(|kind| (kind, etcd(cluster))));
            claimed.push(("CronJob", defrag_job(cluster)));
        }
        StorageType::Kine => claimed.push(("Secret", config(cluster))),
        StorageType::Nats => claimed.extend([
            ("Secret", config(cluster)),
            ("Secret", key(cluster, NATS_TOKEN)),
            ("Service", nats(cluster)),
        ]),
    }
    if spec.ingress.is_some() || spec.gateway.is_some() {
        claimed.push(("ConfigMap", front_manifests(cluster)));
        claimed.push(("Secret", key(cluster, "ingress-haproxy")));
    }
    let deploys = |ingress: &IngressSpec| ingress.deploy != Some(false);
    if spec.ingress.as_ref().is_some_and(deploys) {
        claimed.push(("Ingress", ingress(cluster)));
    }
    if spec.gateway.is_some() {
        claimed.push(("TLSRoute", ingress(cluster)));
        claimed.push(("TLSRoute", konnectivity_route(cluster)));
    }
    let enabled = |sidecars: &MonitoringSpec| sidecars.enabled == Some(true);
    if spec.monitoring.as_ref().is_some_and(enabled) {
        claimed.push(("ConfigMap", monitoring(cluster)));
        claimed.push(("Secret", key(cluster, "monitoring")));
    }
    let secrets = [
        "ca",
        "sa",
        "proxy",
        "etcd",
        "apiserver-etcd-client",
        "etcd-server",
        "etcd-peer",
        "kubeconfig",
        "pins",
    ];
    claimed.extend(secrets.map(|purpose| ("Secret", key(cluster, purpose))));
    claimed
}

/// Keeps names of at most 63 bytes; others become their first 57 bytes, `-`, and five hex digits of a hash.
///
/// The Go operator hashes with MD5; no cluster of ours reaches that length (see [`CLUSTER_NAME_MAX`]), so only
/// taken-over objects would differ, and those are found by their live name.
fn shorten(name: String) -> String {
    if name.len() <= 63 {
        return name;
    }
    let hash = Sha256::digest(name.as_bytes());
    let cut = (0..=57).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    format!(
        "{}-{:02x}{:02x}{:x}",
        &name[..cut],
        hash[0],
        hash[1],
        hash[2] >> 4
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_allowed_cluster_name_is_never_shortened() {
        let name = "a".repeat(CLUSTER_NAME_MAX);
        for derived in [
            control_plane(&name),
            etcd(&name),
            config(&name),
            service_node_port(&name),
        ] {
            assert!(derived.len() <= 53 && derived.contains(&name), "{derived}");
        }
        assert!(etcd(&name).len() <= 52);
        assert!(defrag_job(&name).len() <= 52);
    }

    #[test]
    fn longer_names_keep_63_bytes_and_stay_apart() {
        let (one, other) = (config(&"b".repeat(70)), config(&format!("{}c", "b".repeat(69))));
        assert_eq!(one.len(), 63);
        assert_ne!(one, other);
    }
}
