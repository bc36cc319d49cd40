//! What clusters may not share beyond names: addresses of load balancers, directories of nodes.

use std::collections::BTreeMap;

use super::Cluster;
use super::across::Claim;
use crate::api::cluster_parts::{API_PORT, KONNECTIVITY_PORT, PersistenceType, ServiceType};
use crate::diagnostic::quote;
use crate::object::pointer;

/// Annotations of a Service that ask for addresses, separated by commas.
const ADDRESS_ANNOTATIONS: [&str; 5] = [
    "metallb.io/loadBalancerIPs",
    "metallb.universe.tf/loadBalancerIPs",
    "kube-vip.io/loadbalancerIPs",
    "lbipam.cilium.io/ips",
    "io.cilium/lb-ipam-ips",
];

/// Addresses of load balancers with their ports: two ports of one address can lead to two clusters.
pub(super) fn addresses(cluster: &Cluster) -> Vec<Claim> {
    let Some(service) = &cluster.spec.service else {
        return Vec::new();
    };
    if service.service_type != Some(ServiceType::LoadBalancer) {
        return Vec::new();
    }
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    if let Some(address) = &cluster.spec.external_address {
        written.insert(address.to_ascii_lowercase(), "/spec/externalAddress".to_owned());
    }
    for name in ADDRESS_ANNOTATIONS {
        let list = service
            .annotations
            .get(name)
            .map(String::as_str)
            .unwrap_or_default();
        for address in list
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
        {
            let place = pointer::push("/spec/service/annotations", name);
            written.entry(address.to_ascii_lowercase()).or_insert(place);
        }
    }
    let ports = [
        service.api_port.unwrap_or(API_PORT),
        service.konnectivity_port.unwrap_or(KONNECTIVITY_PORT),
    ];
    let claims = written.iter().flat_map(|(address, place)| {
        ports.map(|port| Claim {
            key: format!("{address} {port}"),
            shown: format!("port {port} of the address {}", quote(address)),
            pointer: place.clone().into(),
        })
    });
    claims.collect()
}

/// One directory that holds the data of a cluster.
#[derive(Clone, Copy)]
pub(super) struct Directory<'a> {
    pub cluster: &'a Cluster,
    pub path: &'a str,
}

pub(super) const DIRECTORY: &str = "/spec/persistence/hostPath";

fn directory(cluster: &Cluster) -> Option<Directory<'_>> {
    let persistence = cluster.spec.persistence.as_ref()?;
    let path = persistence.host_path.as_deref()?.trim_end_matches('/');
    (persistence.persistence_type == Some(PersistenceType::HostPath)).then_some(Directory { cluster, path })
}

/// Returns pairs of directories of which the second is the first, or lies in it, and that may be on one node.
pub(super) fn overlapping<'a>(clusters: &[&'a Cluster]) -> Vec<(Directory<'a>, Directory<'a>)> {
    let mut by_path: BTreeMap<&str, Vec<Directory<'a>>> = BTreeMap::new();
    let directories: Vec<Directory<'a>> = clusters.iter().filter_map(|cluster| directory(cluster)).collect();
    for &directory in &directories {
        by_path.entry(directory.path).or_default().push(directory);
    }
    let mut pairs = Vec::new();
    for (position, &inner) in directories.iter().enumerate() {
        let ends = inner
            .path
            .match_indices('/')
            .map(|(end, _)| end)
            .filter(|&end| end > 0);
        let above = ends.flat_map(|end| by_path.get(&inner.path[..end]).into_iter().flatten());
        // Of two that are the same, the later is the one that is used again.
        let same = directories[..position]
            .iter()
            .filter(|other| other.path == inner.path);
        pairs.extend(
            above
                .chain(same)
                .filter(|outer| may_share_a_node(outer.cluster, inner.cluster))
                .map(|&outer| (outer, inner)),
        );
    }
    pairs
}

/// Node selectors that want two values of one label keep clusters apart.
fn may_share_a_node(one: &Cluster, other: &Cluster) -> bool {
    let other = &other.spec.node_selector;
    !one.spec
        .node_selector
        .iter()
        .any(|(key, value)| other.get(key).is_some_and(|wanted| wanted != value))
}
