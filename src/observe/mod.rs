//! Reads what a plan compares with.
//!
//! A scope -> paged lists -> [`Observed`].
//!
//! **Invariants:** what could not be read is named in [`Observed::unreadable`], never missing in silence. Of Secrets
//! only metadata is asked for, but of the one that a user names for a value. Nothing is written.

mod nodes;
mod snapshot;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use crate::api::labels;
use crate::client::{Client, ClientError, ListQuery, chain};
use crate::object::{Kind, Object, ObjectId, ObjectSet, Observed, Unreadable, kinds};
use crate::plan::FailureKind;

pub use nodes::Nodes;
pub use snapshot::{Snapshot, SnapshotError, SnapshotGap, SnapshotHub, SnapshotOf, snapshot};
pub use source::data_source;

/// Kinds whose objects belong to a cluster.
pub const CHILDREN: [Kind; 11] = [
    kinds::SERVICE,
    kinds::SECRET,
    kinds::CONFIG_MAP,
    kinds::PERSISTENT_VOLUME_CLAIM,
    kinds::STATEFUL_SET,
    kinds::POD_DISRUPTION_BUDGET,
    kinds::CRON_JOB,
    kinds::NETWORK_POLICY,
    kinds::INGRESS,
    kinds::TLS_ROUTE,
    kinds::TLS_ROUTE_ALPHA,
];

/// Says whether a hosting cluster may lack the kind as a matter of course.
pub fn is_optional(kind: Kind) -> bool {
    kind == kinds::TLS_ROUTE || kind == kinds::TLS_ROUTE_ALPHA
}

/// Returns the selector of everything that the operator makes.
pub fn our_selector() -> String {
    format!("{}={}", labels::APP_MANAGED_BY, labels::APP_MANAGED_BY_VALUE)
}

/// Returns the query for children of one kind: never the bytes of a Secret.
pub fn child_query(kind: Kind, namespace: &str, selector: &str) -> ListQuery {
    let query = ListQuery::new(kind, namespace).with_labels(selector);
    if kind == kinds::SECRET {
        query.metadata_only()
    } else {
        query
    }
}

/// The kinds of children that a plan looks at.
///
/// What becomes of the others disturbs no pod, and is not worth a request that most servers refuse.
fn planned_children() -> impl Iterator<Item = Kind> {
    CHILDREN.into_iter().filter(|kind| !is_optional(*kind))
}

/// Up to this many namespaces are listed one by one; more are listed as a whole, if that is allowed.
const FEW_NAMESPACES: usize = 4;
/// Up to this many clusters are named in one selector: more make an address that proxies refuse.
const FEW_CLUSTERS: usize = 50;
/// Up to this many clusters of a namespace are named at all, in several lists; for more, all of it is listed.
const NAMED_CLUSTERS_MAX: usize = 500;
/// Lists at the same time.
const PARALLELISM: usize = 8;

/// Reads the clusters in these namespaces; of all namespaces when the set is empty.
///
/// *Shape*: every cluster there, whoever made it: a name that is taken must be seen. Whole objects with managed fields.
/// *Errors*: when nothing at all could be read, the reason. Otherwise a namespace that is forbidden, or whose list broke
/// off, is in `unreadable`.
/// *Effects*: one paged list for each of up to four namespaces, one for all of more; where that is forbidden, one each.
pub async fn fleet(client: &Client, namespaces: &BTreeSet<String>) -> Result<Observed, ClientError> {
    let every = |namespace: &str| ListQuery::new(kinds::K0SMOTRON_CLUSTER, namespace);
    let mut observed = match as_a_whole(namespaces) {
        true => match lists(client, vec![every("")]).await {
            Err(error) if error.kind() == FailureKind::Forbidden && !namespaces.is_empty() => {
                lists(
                    client,
                    namespaces.iter().map(|namespace| every(namespace)).collect(),
                )
                .await?
            }
            other => other?,
        },
        false => {
            lists(
                client,
                namespaces.iter().map(|namespace| every(namespace)).collect(),
            )
            .await?
        }
    };
    if !namespaces.is_empty() {
        observed
            .objects
            .retain(|id, _| namespaces.contains(&id.namespace));
    }
    Ok(observed)
}

/// Reads the names of the clusters that the Go operator k0smotron runs in these namespaces; in all when the set is empty.
///
/// *Shape*: metadata. Empty where the kind of that operator is not installed.
/// *Errors*: what concerns more than one list; a list that is forbidden or broke off is in `unreadable`.
/// *Effects*: as [`fleet`], one list after another; where the kind is not installed one request in all.
pub async fn upstream(client: &Client, namespaces: &BTreeSet<String>) -> Result<Observed, ClientError> {
    let whole = BTreeSet::from([String::new()]);
    if !as_a_whole(namespaces) {
        return upstream_in(client, namespaces).await;
    }
    let observed = upstream_in(client, &whole).await?;
    if observed.unreadable.is_empty() || namespaces.is_empty() {
        return Ok(observed);
    }
    upstream_in(client, namespaces).await
}

async fn upstream_in(client: &Client, namespaces: &BTreeSet<String>) -> Result<Observed, ClientError> {
    let mut observed = Observed::default();
    for namespace in namespaces {
        let query = ListQuery::new(kinds::UPSTREAM_CLUSTER, namespace).metadata_only();
        match client.list_all(&query).await {
            Ok(objects) => {
                let named = objects
                    .into_iter()
                    .filter_map(|object| Some((object.id()?, object)));
                for (id, object) in named {
                    observed.objects.insert(id, object);
                }
            }
            Err(ClientError::NotInstalled { .. }) => return Ok(Observed::default()),
            Err(error) if is_of_one_list(&error) => observed.unreadable.push(Unreadable {
                kind: query.kind,
                namespace: query.namespace,
                // What the server says of a right that is missing is the same once more.
                reason: error.to_string(),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(observed)
}

/// Reads the children of these clusters, by our labels.
///
/// *Shape*: Secrets come as metadata.
/// *Errors* and unreadable parts: as [`fleet`].
/// *Effects*: for each kind of [`CHILDREN`] that no hosting cluster lacks one paged list for every fifty clusters of up to
/// four namespaces, or one for all.
pub async fn children(client: &Client, clusters: &BTreeSet<ObjectId>) -> Result<Observed, ClientError> {
    let kinds: Vec<Kind> = planned_children().collect();
    of_kinds(client, clusters, &kinds).await
}

/// Reads the StatefulSets of these clusters, by our labels.
///
/// *Errors*: as [`fleet`]; of what else could not be read nothing is returned.
/// *Effects*: as [`children`] for one kind.
pub async fn stateful_sets(client: &Client, clusters: &BTreeSet<ObjectId>) -> Result<ObjectSet, ClientError> {
    let observed = of_kinds(client, clusters, &[kinds::STATEFUL_SET]).await?;
    Ok(observed.objects)
}

async fn of_kinds(
    client: &Client,
    clusters: &BTreeSet<ObjectId>,
    kinds: &[Kind],
) -> Result<Observed, ClientError> {
    if clusters.is_empty() {
        return Ok(Observed::default());
    }
    let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for cluster in clusters {
        by_namespace
            .entry(&cluster.namespace)
            .or_default()
            .push(&cluster.name);
    }
    let ours = our_selector();
    let one_by_one = || {
        let selectors = by_namespace.iter().flat_map(|(namespace, names)| {
            let named = |names: &[&str]| format!("{ours},{} in ({})", labels::CLUSTER, names.join(","));
            let selectors: Vec<String> = if names.len() <= NAMED_CLUSTERS_MAX {
                names.chunks(FEW_CLUSTERS).map(named).collect()
            } else {
                vec![ours.clone()]
            };
            selectors.into_iter().map(|selector| (*namespace, selector))
        });
        let pairs: Vec<(&str, String)> = selectors.collect();
        let of_kind = |kind: &Kind| {
            let kind = *kind;
            pairs
                .iter()
                .map(move |(namespace, selector)| child_query(kind, namespace, selector))
        };
        kinds.iter().flat_map(of_kind).collect()
    };
    // Of a list of everything, what belongs to others is dropped page by page: a large fleet would not fit into memory.
    let is_wanted = |child: &Object| {
        let of = child.label(labels::CLUSTER).unwrap_or_default();
        let cluster = child
            .id()
            .map(|id| ObjectId::new(kinds::K0SMOTRON_CLUSTER, &id.namespace, of));
        cluster.is_some_and(|cluster| clusters.contains(&cluster))
    };
    if by_namespace.len() <= FEW_NAMESPACES {
        return lists_of(client, one_by_one(), &is_wanted).await;
    }
    let whole = kinds.iter().map(|kind| child_query(*kind, "", &ours)).collect();
    match lists_of(client, whole, &is_wanted).await {
        Err(error) if error.kind() == FailureKind::Forbidden => {
            lists_of(client, one_by_one(), &is_wanted).await
        }
        other => other,
    }
}

/// Reads where NodePorts can be reached, best first. Empty when Nodes may not be read: then no address is known.
///
/// *Errors*: all but a missing permission.
/// *Effects*: one paged list.
pub async fn node_addresses(client: &Client) -> Result<Vec<String>, ClientError> {
    let mut nodes = Nodes::default();
    let query = ListQuery::new(kinds::NODE, "");
    let listed = client.list(&query, |page| {
        for node in page {
            if let Some(id) = node.id() {
                nodes.note(&id.name, &node);
            }
        }
    });
    match listed.await {
        Ok(_) => Ok(nodes.addresses()),
        Err(error) if error.kind() == FailureKind::Forbidden => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn as_a_whole(namespaces: &BTreeSet<String>) -> bool {
    namespaces.is_empty() || namespaces.len() > FEW_NAMESPACES
}

/// Runs the lists and puts them together.
///
/// *Errors*: those of [`gathered`].
async fn lists(client: &Client, queries: Vec<ListQuery>) -> Result<Observed, ClientError> {
    lists_of(client, queries, &|_| true).await
}

/// Runs the lists, as [`lists`] does, and keeps of them what is wanted.
async fn lists_of(
    client: &Client,
    queries: Vec<ListQuery>,
    is_wanted: &(dyn Fn(&Object) -> bool + Sync),
) -> Result<Observed, ClientError> {
    match gathered(client, queries, is_wanted).await {
        (observed, None) => Ok(observed),
        (_, Some(error)) => Err(error),
    }
}

/// Runs the lists and returns what was read and is wanted, and which could not be read, with the first error when none
/// could; and at once when the server cannot be asked at all.
async fn gathered(
    client: &Client,
    queries: Vec<ListQuery>,
    is_wanted: &(dyn Fn(&Object) -> bool + Sync),
) -> (Observed, Option<ClientError>) {
    let total = queries.len();
    let wanted_of = async |query: &ListQuery| {
        let mut wanted = Vec::new();
        let pages = client.list(query, |page| wanted.extend(page.into_iter().filter(is_wanted)));
        pages.await.map(|_| wanted)
    };
    let mut results = futures::stream::iter(queries)
        .map(|query| async { (wanted_of(&query).await, query) })
        // In order, so that equal servers give equal answers.
        .buffered(PARALLELISM);
    let mut observed = Observed::default();
    let mut first = None;
    let mut failed = 0;
    while let Some((result, query)) = results.next().await {
        let error = match result {
            Ok(objects) => {
                for object in objects {
                    if let Some(id) = object.id() {
                        observed.objects.insert(id, object);
                    }
                }
                continue;
            }
            Err(error) => error,
        };
        if !is_of_one_list(&error) {
            return (observed, Some(error));
        }
        failed += 1;
        observed.unreadable.push(Unreadable {
            kind: query.kind,
            namespace: query.namespace,
            reason: chain(&error),
        });
        first.get_or_insert(error);
    }
    (observed, first.filter(|_| failed == total))
}

/// Says whether an error concerns one list and leaves the others worth reading.
fn is_of_one_list(error: &ClientError) -> bool {
    match error {
        ClientError::Forbidden { .. }
        | ClientError::ListBrokeOff { .. }
        | ClientError::Refused { .. }
        | ClientError::Timeout { .. }
        | ClientError::Broken { .. }
        | ClientError::Answer { .. } => true,
        ClientError::ReadKubeconfig { .. }
        | ClientError::NoConfiguration
        | ClientError::InvalidKubeconfig { .. }
        | ClientError::UnknownContext { .. }
        | ClientError::NoContext { .. }
        | ClientError::BlankIdentity { .. }
        | ClientError::Connect { .. }
        | ClientError::Unauthorized { .. }
        | ClientError::NotKubernetes { .. }
        | ClientError::NotInstalled { .. }
        | ClientError::NoNamespace { .. } => false,
    }
}

#[cfg(test)]
mod tests;
