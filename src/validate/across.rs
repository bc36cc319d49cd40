//! What clusters of one fleet may not share: identity, generated objects, node ports, host names, databases, addresses
//! and directories.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Cluster;
use super::cluster::Candidate;
use super::shared::{self, DIRECTORY, Overlaps};
use crate::api::cluster_parts::ServiceType;
use crate::api::fleet::Fleet;
use crate::api::names;
use crate::diagnostic::{Code, Finding, Findings, Span, quote};
use crate::object::in_shares;

type Identity = (String, String);

/// Most clusters whose claims are held at the same time.
const CLAIMING_MAX: usize = 1024;

/// Something that only one cluster can have.
pub(super) struct Claim {
    /// What is unique, with the scope in which it is.
    pub key: String,
    /// The same for people, as far as it is not in the key.
    pub shown: Shown,
    /// Where it was asked for.
    pub pointer: Cow<'static, str>,
}

/// What is claimed, for people. A large fleet claims hundreds of thousands of objects, and hardly ever says so.
pub(super) enum Shown {
    /// An object of this kind, whose name is the end of the key.
    Object(&'static str),
    Words(String),
}

impl Claim {
    fn shown(&self) -> String {
        match &self.shown {
            Shown::Object(kind) => {
                let name = self.key.rsplit('/').next().unwrap_or_default();
                format!("{kind} `{name}`")
            }
            Shown::Words(words) => words.clone(),
        }
    }
}

/// Returns the clusters that are right also beside each other, and the identities of those that are not.
pub(super) fn check(
    candidates: Vec<Candidate>,
    fleet: Option<&Fleet>,
    findings: &mut Findings,
) -> (Vec<Cluster>, BTreeSet<Identity>) {
    let mut rejected = same_clusters(&candidates, findings);
    let broken = candidates.iter().filter(|candidate| candidate.cluster.is_none());
    rejected.extend(broken.filter_map(|candidate| candidate.identity.clone()));
    let clusters: Vec<Cluster> = candidates
        .into_iter()
        .filter_map(|candidate| candidate.cluster)
        .collect();
    let alone: Vec<&Cluster> = clusters
        .iter()
        .filter(|cluster| !is_among(&rejected, cluster))
        .collect();
    let mut wrong = BTreeSet::new();
    if let Some(fleet) = fleet {
        outside(&alone, fleet, &mut wrong, findings);
    }
    for (code, claims) in [
        (Code::SameObject, objects as fn(&Cluster) -> Vec<Claim>),
        (Code::SameNodePort, node_ports),
        (Code::SameHost, hosts),
        (Code::SameDataSource, data_sources),
        (Code::SameAddress, shared::addresses),
    ] {
        claimed_once(&alone, code, claims, &mut wrong, findings);
    }
    directories(&alone, &mut wrong, findings);
    rejected.extend(wrong);
    let right = clusters
        .into_iter()
        .filter(|cluster| !is_among(&rejected, cluster))
        .collect();
    (right, rejected)
}

/// Mostly nothing is rejected, and nobody's names are copied for it.
fn is_among(rejected: &BTreeSet<Identity>, cluster: &Cluster) -> bool {
    !rejected.is_empty() && rejected.contains(&identity(cluster))
}

fn identity(cluster: &Cluster) -> Identity {
    (cluster.namespace.clone(), cluster.name.clone())
}

fn title(cluster: &Cluster) -> String {
    format!("`{}/{}`", cluster.namespace, cluster.name)
}

/// Finds clusters that are written twice, also when one of them is wrong otherwise.
fn same_clusters(candidates: &[Candidate], findings: &mut Findings) -> BTreeSet<Identity> {
    let mut first: BTreeMap<&Identity, Span> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for candidate in candidates {
        let Some(identity) = &candidate.identity else {
            continue;
        };
        let Some(&earlier) = first.get(identity) else {
            first.insert(identity, candidate.place);
            continue;
        };
        let shown = quote(&format!("{}/{}", identity.0, identity.1));
        findings.push(
            Finding::new(Code::SameCluster, format!("the cluster {shown} is written twice"))
                .primary(candidate.place, "written again here")
                .secondary(earlier, "first written here")
                .hint("remove one, or give it another name or namespace"),
        );
        twice.insert(identity.clone());
    }
    twice
}

fn outside(clusters: &[&Cluster], fleet: &Fleet, wrong: &mut BTreeSet<Identity>, findings: &mut Findings) {
    for cluster in clusters
        .iter()
        .filter(|cluster| !fleet.spec.allows_namespace(&cluster.namespace))
    {
        let message = format!(
            "the fleet `{}` may not use the namespace `{}`",
            fleet.name, cluster.namespace
        );
        findings.push(
            Finding::new(Code::NamespaceNotAllowed, message)
                .primary(place(cluster, "/metadata/namespace"), "")
                .hint("add it to `spec.namespaces.allow` of the Fleet, or use another"),
        );
        wrong.insert(identity(cluster));
    }
}

/// Finds what is claimed twice. The later claim is the primary place; both clusters are wrong.
fn claimed_once(
    clusters: &[&Cluster],
    code: Code,
    claims: fn(&Cluster) -> Vec<Claim>,
    wrong: &mut BTreeSet<Identity>,
    findings: &mut Findings,
) {
    // The claims of all clusters of a large fleet would be a fifth of all it takes.
    let asked = clusters.chunks(CLAIMING_MAX).flat_map(|some| {
        let asked = in_shares(some.to_vec(), |share| {
            share
                .into_iter()
                .map(|cluster| (cluster, claims(cluster)))
                .collect::<Vec<_>>()
        });
        asked.into_iter().flatten()
    });
    let mut first: HashMap<String, (&Cluster, Cow<'static, str>)> = HashMap::new();
    for (cluster, asked) in asked {
        let mut reported = BTreeSet::new();
        for claim in asked {
            let Some((other, other_pointer)) = first.get(&claim.key) else {
                first.insert(claim.key, (cluster, claim.pointer));
                continue;
            };
            wrong.extend([identity(cluster), identity(other)]);
            // Two clusters that share a generated object or an address share several; one finding for each pair says
            // enough.
            let is_shared_whole = matches!(code, Code::SameObject | Code::SameAddress);
            if is_shared_whole && !reported.insert(identity(other)) {
                continue;
            }
            let shown = claim.shown();
            let (message, hint) = if code == Code::SameObject {
                let both = format!("{} and {}", title(other), title(cluster));
                (
                    format!("{both} would both make the {shown}"),
                    "give one of them another name",
                )
            } else if identity(other) == identity(cluster) {
                (
                    format!("{shown} is used twice by {}", title(cluster)),
                    instead(code),
                )
            } else {
                (
                    format!("{shown} is used by {} and {}", title(other), title(cluster)),
                    instead(code),
                )
            };
            findings.push(
                Finding::new(code, message)
                    .primary(place(cluster, &claim.pointer), "used again here")
                    .secondary(place(other, other_pointer), "first used here")
                    .hint(hint),
            );
        }
    }
}

fn instead(code: Code) -> &'static str {
    match code {
        Code::SameNodePort => "write another port, or none for a free one",
        Code::SameDataSource => "give each a database of its own: in one they overwrite each other",
        _ => "change one of them",
    }
}

/// Finds directories of nodes that two clusters would write into.
fn directories(clusters: &[&Cluster], wrong: &mut BTreeSet<Identity>, findings: &mut Findings) {
    let Overlaps { pairs, clusters } = shared::overlapping(clusters);
    wrong.extend(clusters.into_iter().map(identity));
    for (outer, inner) in pairs {
        let [outer_title, inner_title] = [outer, inner].map(|directory| title(directory.cluster));
        let message = if outer.path == inner.path {
            format!(
                "the directory {} is used by {outer_title} and {inner_title}",
                quote(outer.path)
            )
        } else {
            format!(
                "the directory {} of {inner_title} lies in {} of {outer_title}",
                quote(inner.path),
                quote(outer.path)
            )
        };
        findings.push(
            Finding::new(Code::SamePath, message)
                .primary(place(inner.cluster, DIRECTORY), "used again here")
                .secondary(place(outer.cluster, DIRECTORY), "first used here")
                .hint("write another directory, or node selectors that keep the two apart"),
        );
    }
}

fn place(cluster: &Cluster, pointer: &str) -> Span {
    cluster.document.root.nearest_place(pointer).value
}

/// Generated objects, as far as two clusters of one namespace can make the same.
fn objects(cluster: &Cluster) -> Vec<Claim> {
    let objects = names::claimed(&cluster.name, &cluster.spec);
    let claim = |(kind, object): (&'static str, String)| Claim {
        key: format!("{}/{kind}/{object}", cluster.namespace),
        shown: Shown::Object(kind),
        pointer: "/metadata/name".into(),
    };
    objects.into_iter().map(claim).collect()
}

/// Node ports belong to the whole hosting cluster.
fn node_ports(cluster: &Cluster) -> Vec<Claim> {
    let Some(service) = &cluster.spec.service else {
        return Vec::new();
    };
    if service.service_type.unwrap_or(ServiceType::NodePort) != ServiceType::NodePort {
        return Vec::new();
    }
    let ports = [
        (service.api_port, "/spec/service/apiPort"),
        (service.konnectivity_port, "/spec/service/konnectivityPort"),
    ];
    let claim = |(port, pointer): (Option<i32>, &'static str)| {
        port.map(|port| Claim {
            key: port.to_string(),
            shown: Shown::Words(format!("the node port {port}")),
            pointer: Cow::Borrowed(pointer),
        })
    };
    ports.into_iter().filter_map(claim).collect()
}

/// Host names lead to one place, whatever the namespace.
fn hosts(cluster: &Cluster) -> Vec<Claim> {
    let ingress = cluster.spec.ingress.iter().flat_map(|ingress| {
        [
            (&ingress.api_host, "/spec/ingress/apiHost"),
            (&ingress.konnectivity_host, "/spec/ingress/konnectivityHost"),
        ]
    });
    let gateway = cluster.spec.gateway.iter().flat_map(|gateway| {
        [
            (&gateway.api_host, "/spec/gateway/apiHost"),
            (&gateway.konnectivity_host, "/spec/gateway/konnectivityHost"),
        ]
    });
    let claim = |(host, pointer): (&String, &'static str)| Claim {
        key: host.to_ascii_lowercase(),
        shown: Shown::Words(format!("the host name {}", quote(host))),
        pointer: Cow::Borrowed(pointer),
    };
    ingress.chain(gateway).map(claim).collect()
}

/// The Secret with the address of a kine database, and the key in it.
fn data_sources(cluster: &Cluster) -> Vec<Claim> {
    let kine = cluster
        .spec
        .storage
        .as_ref()
        .and_then(|storage| storage.kine.as_ref());
    let Some(kine) = kine else { return Vec::new() };
    let Some(secret) = &kine.data_source_secret_name else {
        return Vec::new();
    };
    let key = kine.data_source_secret_key.as_deref().unwrap_or_default();
    vec![Claim {
        key: format!("{}/{secret}/{key}", cluster.namespace),
        shown: Shown::Words(format!("the data source {}", quote(secret))),
        pointer: "/spec/storage/kine/dataSourceSecretName".into(),
    }]
}
