//! What clusters may not share beyond names: addresses of load balancers, directories of nodes.

use std::collections::BTreeMap;

use super::Cluster;
use super::across::{Claim, Shown};
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
            shown: Shown::Words(format!("port {port} of the address {}", quote(address))),
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

/// Directories that may meet on one node.
pub(super) struct Overlaps<'a> {
    /// Each directory that is another, or lies in it, behind the first such one.
    pub pairs: Vec<(Directory<'a>, Directory<'a>)>,
    /// All that any pair would name.
    pub clusters: Vec<&'a Cluster>,
}

/// Finds directories of which one is the other, or lies in it, and that may be on one node.
pub(super) fn overlapping<'a>(clusters: &[&'a Cluster]) -> Overlaps<'a> {
    let mut by_path: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let directories: Vec<Directory<'a>> = clusters.iter().filter_map(|cluster| directory(cluster)).collect();
    for (position, directory) in directories.iter().enumerate() {
        by_path.entry(directory.path).or_default().push(position);
    }
    let mut is_wrong = vec![false; directories.len()];
    let mut pairs = Vec::new();
    for (position, &inner) in directories.iter().enumerate() {
        let ends = inner
            .path
            .match_indices('/')
            .map(|(end, _)| end)
            .filter(|&end| end > 0);
        let above = ends.flat_map(|end| by_path.get(&inner.path[..end]).into_iter().flatten());
        let at_the_same = by_path.get(inner.path).into_iter().flatten();
        // Of two that are the same, the later is the one that is used again.
        let same = at_the_same.take_while(|&&other| other < position);
        let mut first = None;
        for &outer in above.chain(same) {
            // Only the first pair is told: ten thousand clusters with one directory are fifty million pairs.
            let is_news = first.is_none() || !is_wrong[outer];
            if is_news && may_share_a_node(directories[outer].cluster, inner.cluster) {
                is_wrong[outer] = true;
                first.get_or_insert(outer);
            }
        }
        if let Some(outer) = first {
            is_wrong[position] = true;
            pairs.push((directories[outer], inner));
        }
    }
    let wrong = directories.iter().zip(is_wrong).filter(|(_, is_wrong)| *is_wrong);
    Overlaps {
        pairs,
        clusters: wrong.map(|(directory, _)| directory.cluster).collect(),
    }
}

/// Node selectors that want two values of one label keep clusters apart.
fn may_share_a_node(one: &Cluster, other: &Cluster) -> bool {
    let other = &other.spec.node_selector;
    !one.spec
        .node_selector
        .iter()
        .any(|(key, value)| other.get(key).is_some_and(|wanted| wanted != value))
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{Code, Findings, SourceTree};
    use crate::parse;
    use crate::validate::{self, Basis, Checked, Draft};

    /// Clusters with a directory and, if it is not empty, a node selector for the label `rack`.
    fn check(clusters: impl Iterator<Item = (String, &'static str)>) -> (Checked, Findings) {
        let texts = clusters.enumerate().map(|(number, (path, rack))| {
            let selector = match rack {
                "" => String::new(),
                rack => format!("nodeSelector: {{rack: {rack}}}, "),
            };
            format!(
                "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\n\
                 metadata: {{name: edge-{number}, namespace: tenant-7}}\n\
                 spec: {{{selector}persistence: {{type: hostPath, hostPath: {path}}}}}\n"
            )
        });
        let text = texts.collect::<Vec<_>>().join("---\n");
        let (documents, problems) = parse::documents(&SourceTree::from_texts([("a.yaml", text.as_str())]));
        assert!(problems.is_empty());
        let drafts = documents.into_iter().map(|document| Draft {
            document,
            basis: Basis::Known,
        });
        validate::clusters(drafts.collect(), None)
    }

    fn messages(findings: &Findings) -> Vec<&str> {
        let same = findings.iter().filter(|finding| finding.code == Code::SamePath);
        same.map(|finding| finding.message.as_str()).collect()
    }

    #[test]
    fn a_directory_that_overlaps_with_several_is_told_once_and_all_of_them_are_wrong() {
        // The racks keep the first two apart; the third may be on both.
        let clusters = [("/srv", "one"), ("/srv/k0s", "two"), ("/srv/k0s/data", "")];
        let (checked, findings) = check(clusters.map(|(path, rack)| (path.to_owned(), rack)).into_iter());
        assert_eq!(
            messages(&findings),
            ["the directory `/srv/k0s/data` of `tenant-7/edge-2` lies in `/srv` of `tenant-7/edge-0`"]
        );
        assert_eq!((checked.clusters.len(), checked.rejected.len()), (0, 3));
    }

    #[test]
    fn one_directory_of_many_clusters_is_one_finding_for_each_but_the_first() {
        let (checked, findings) = check((0..200).map(|_| ("/srv/k0s".to_owned(), "")));
        let messages = messages(&findings);
        assert_eq!(messages.len(), 199);
        assert_eq!(
            messages[198],
            "the directory `/srv/k0s` is used by `tenant-7/edge-0` and `tenant-7/edge-199`"
        );
        assert_eq!((checked.clusters.len(), checked.rejected.len()), (0, 200));
    }

    #[test]
    fn directories_that_are_apart_or_on_other_nodes_are_right() {
        let clusters = [
            ("/srv/a", ""),
            ("/srv/ab", ""),
            ("/data", "one"),
            ("/data/", "two"),
        ];
        let (checked, findings) = check(clusters.map(|(path, rack)| (path.to_owned(), rack)).into_iter());
        assert_eq!(messages(&findings), [""; 0]);
        assert_eq!((checked.clusters.len(), checked.rejected.len()), (4, 0));
    }
}
