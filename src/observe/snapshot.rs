//! All that a plan reads from a hub, as one value that can be stored and planned with later, without the hub.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CHILDREN, child_query, fleet, gathered, lists, node_addresses, our_selector, planned_children, upstream,
};
use crate::api::labels;
use crate::client::{Client, ClientError, ListQuery};
use crate::object::{Kind, Object, ObjectSet, Observed, Unreadable, kinds};
use crate::plan::FailureKind;
use crate::render::HubOperator;

/// What the first field of the file says.
pub const FORMAT: &str = "k0smotron-fleet/snapshot";
/// Grows when a field changes its meaning or goes.
pub const FORMAT_VERSION: u32 = 2;

/// A hub as it was at one moment.
///
/// *Shape*: of Secrets only metadata is in it. Clusters and what belongs to them are as the server stores them, so it
/// shows whatever somebody who may read them sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    pub format: String,
    pub format_version: u32,
    /// Version of the program that wrote it.
    pub tool: String,
    pub taken_at: Timestamp,
    pub hub: SnapshotHub,
    /// How the operator of the hub renders.
    pub operator: HubOperator,
    /// The namespaces that were looked at; empty: all.
    pub scope: BTreeSet<String>,
    /// All namespaces of the hub; `None` when they may not be listed.
    pub namespaces: Option<BTreeSet<String>>,
    /// Where node ports can be reached, best first.
    pub node_addresses: Vec<String>,
    pub unreadable: Vec<SnapshotGap>,
    /// Clusters, what belongs to them, and what the hub remembers of fleets; by kind, namespace and name.
    pub objects: Vec<Object>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotHub {
    pub server: String,
    pub uid: Option<String>,
}

/// A part that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotGap {
    pub kind: Kind,
    /// Empty: all namespaces.
    pub namespace: String,
    pub reason: String,
}

/// Why a file is no snapshot that this program reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("it is no snapshot: {reason}")]
    Malformed { reason: String },
    #[error(
        "it was written by another version of the program (format {found}, this one knows {FORMAT_VERSION})"
    )]
    OtherVersion { found: u64 },
}

/// Who is asked and what for.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOf<'a> {
    /// Empty: all.
    pub namespaces: &'a BTreeSet<String>,
    /// Namespace of what the hub remembers of fleets.
    pub parent_namespace: &'a str,
    pub hub_uid: Option<&'a str>,
    pub operator: &'a HubOperator,
    pub now: Timestamp,
}

/// Records a hub.
///
/// *Errors*: when clusters cannot be read at all. What else is forbidden is named in it, and a plan made with it then
/// says what it does not know.
/// *Effects*: paged lists of clusters, those of k0smotron too, of each kind of children that a plan looks at, of nodes, namespaces and the memory of fleets.
pub async fn snapshot(client: &Client, of: &SnapshotOf<'_>) -> Result<Snapshot, ClientError> {
    let clusters = fleet(client, of.namespaces).await?;
    let upstream = upstream(client, of.namespaces).await?;
    let ours = our_selector();
    let places: Vec<&str> = match of.namespaces.is_empty() {
        true => vec![""],
        false => of.namespaces.iter().map(String::as_str).collect(),
    };
    let queries = places.iter().flat_map(|namespace| {
        let ours = &ours;
        planned_children().map(move |kind| child_query(kind, namespace, ours))
    });
    let children = unless_forbidden(gathered(client, queries.collect(), &|_| true).await)?;
    let parents = ListQuery::new(kinds::CONFIG_MAP, of.parent_namespace)
        .with_labels(format!("{}=true", labels::FLEET_PARENT));
    let parents = unless_forbidden(gathered(client, vec![parents], &|_| true).await)?;
    let all = ListQuery::new(kinds::NAMESPACE, "").metadata_only();
    let namespaces = match lists(client, vec![all]).await {
        Ok(found) => Some(found.objects.iter().map(|(id, _)| id.name.clone()).collect()),
        Err(error) if error.kind() == FailureKind::Forbidden => None,
        Err(error) => return Err(error),
    };
    let node_addresses = node_addresses(client).await?;
    let mut objects = ObjectSet::new();
    let mut unreadable = Vec::new();
    for observed in [clusters, upstream, children, parents] {
        for (id, object) in observed.objects.iter() {
            objects.insert(id.clone(), without_copies(object));
        }
        unreadable.extend(observed.unreadable.into_iter().map(|gap| SnapshotGap {
            kind: gap.kind,
            namespace: gap.namespace,
            reason: gap.reason,
        }));
    }
    Ok(Snapshot {
        format: FORMAT.to_owned(),
        format_version: FORMAT_VERSION,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: of.now,
        hub: SnapshotHub {
            server: client.server().to_owned(),
            uid: of.hub_uid.map(str::to_owned),
        },
        operator: of.operator.clone(),
        scope: of.namespaces.clone(),
        namespaces,
        node_addresses,
        unreadable,
        objects: objects.iter().map(|(_, object)| object.clone()).collect(),
    })
}

/// A list that is forbidden is a gap, here as everywhere, also when all of them are.
fn unless_forbidden((observed, error): (Observed, Option<ClientError>)) -> Result<Observed, ClientError> {
    match error {
        None | Some(ClientError::Forbidden { .. }) => Ok(observed),
        Some(error) => Err(error),
    }
}

/// Drops the copy of itself that kubectl keeps in an object.
fn without_copies(object: &Object) -> Object {
    let mut object = object.clone();
    if let Some(annotations) = object
        .0
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}

impl Snapshot {
    /// Reads the text of a file.
    pub fn read(text: &str) -> Result<Self, SnapshotError> {
        let malformed = |error: serde_json::Error| SnapshotError::Malformed {
            reason: error.to_string(),
        };
        let document: Value = serde_json::from_str(text).map_err(malformed)?;
        if document.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(SnapshotError::Malformed {
                reason: format!("its format is not {FORMAT}"),
            });
        }
        let found = document
            .get("formatVersion")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        if found != u64::from(FORMAT_VERSION) {
            return Err(SnapshotError::OtherVersion { found });
        }
        serde_json::from_value(document).map_err(malformed)
    }

    /// Returns the text of the file: one object a line, so that two snapshots can be compared.
    pub fn text(&self) -> String {
        let mut head = self.clone();
        let objects: Vec<String> = head
            .objects
            .drain(..)
            .map(|object| object.0.to_string())
            .collect();
        let head = serde_json::to_string(&head).unwrap_or_default();
        let head = head.strip_suffix("[]}").unwrap_or(&head);
        format!("{head}[\n{}\n]}}\n", objects.join(",\n"))
    }

    /// Returns the clusters in these namespaces, whoever made them, and the names of those that k0smotron runs.
    pub fn clusters(&self, namespaces: &BTreeSet<String>) -> Observed {
        let clusters = [kinds::K0SMOTRON_CLUSTER, kinds::UPSTREAM_CLUSTER];
        self.part(|kind, namespace| clusters.contains(&kind) && namespaces.contains(namespace))
    }

    /// Returns everything that belongs to clusters.
    pub fn children(&self) -> Observed {
        self.part(|kind, _| CHILDREN.contains(&kind))
    }

    fn part(&self, is_meant: impl Fn(Kind, &str) -> bool) -> Observed {
        let objects = self
            .objects
            .iter()
            .filter_map(|object| Some((object.id()?, object.clone())));
        let gaps = self
            .unreadable
            .iter()
            .filter(|gap| gap.namespace.is_empty() || is_meant(gap.kind, &gap.namespace));
        Observed {
            objects: objects
                .filter(|(id, _)| is_meant(id.kind, &id.namespace))
                .collect(),
            unreadable: gaps
                .map(|gap| Unreadable {
                    kind: gap.kind,
                    namespace: gap.namespace.clone(),
                    reason: gap.reason.clone(),
                })
                .collect(),
        }
    }

    /// Says whether a namespace was looked at.
    pub fn covers(&self, namespace: &str) -> bool {
        self.scope.is_empty() || self.scope.contains(namespace)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::Settings;

    fn snapshot() -> Snapshot {
        let cluster = json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {"name": "berlin", "namespace": "edge", "uid": "u"}, "spec": {}});
        Snapshot {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            tool: "0.1.0".to_owned(),
            taken_at: "2026-09-01T12:00:00Z".parse().unwrap(),
            hub: SnapshotHub {
                server: "https://hub:6443".to_owned(),
                uid: None,
            },
            operator: HubOperator::this(&Settings::standard()),
            scope: BTreeSet::new(),
            namespaces: None,
            node_addresses: vec!["192.0.2.1".to_owned()],
            unreadable: Vec::new(),
            objects: vec![Object(cluster)],
        }
    }

    #[test]
    fn a_snapshot_is_read_as_it_was_written_one_object_a_line() {
        let text = snapshot().text();
        assert_eq!(Snapshot::read(&text), Ok(snapshot()));
        assert_eq!(text.lines().count(), 3);
        let mut empty = snapshot();
        empty.objects.clear();
        assert_eq!(Snapshot::read(&empty.text()), Ok(empty));
    }

    #[test]
    fn only_the_namespaces_that_are_asked_for_are_seen() {
        let edge = snapshot().clusters(&["edge".to_owned()].into());
        assert_eq!(
            (
                edge.objects.len(),
                snapshot().clusters(&["prod".to_owned()].into()).objects.len()
            ),
            (1, 0)
        );
    }
}
