//! Protection of one cluster from deletion, and of what would take it along.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::FleetError;
use crate::api::labels;
use crate::client::{Client, ClientError, Conflicts, ListQuery};
use crate::object::{Object, ObjectId, kinds};
use crate::plan::FailureKind;

/// Name of the definition of clusters.
const DEFINITION: &str = "k0smotronclusters.k0smotron.io";

/// Whose mark is taken away from what holds no protected cluster any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    OfAnybody,
    /// One that somebody has written with another tool stays.
    OfThisProgram,
}

/// What came of it.
#[derive(Debug)]
pub struct Protection {
    /// The cluster was like that before.
    pub was_before: bool,
    /// Namespace and definition whose label could not be set or taken away, and why.
    pub left: Vec<(ObjectId, ClientError)>,
}

/// Protects a cluster: nobody deletes it, its namespace or the definition of clusters before it is unprotected, where the
/// policies of `install` are. `None`: there is no such cluster.
///
/// *Effects*: one GET and, unless it is protected, one write; the same for its namespace and for the definition.
pub async fn protect(client: &Client, cluster: &ObjectId) -> Result<Option<Protection>, FleetError> {
    let Some(live) = client.get_metadata(cluster).await.map_err(failed)? else {
        return Ok(None);
    };
    let was_before = is_protected(&live);
    if !was_before {
        let annotations = json!({ "annotations": { labels::PROTECT: "true" } });
        hold(client, cluster, &live, annotations).await.map_err(failed)?;
    }
    let mut left = Vec::new();
    for holder in holders(&cluster.namespace) {
        if let Err(error) = mark_holder(client, &holder).await {
            left.push((holder, error));
        }
    }
    Ok(Some(Protection { was_before, left }))
}

/// Takes the protection of a cluster away, and the labels of what holds no other protected one. `None`: there is no such
/// cluster.
///
/// *Effects*: one GET and, if it is protected, one write; one list each, and one write each where nothing protected is
/// left.
pub async fn unprotect(client: &Client, cluster: &ObjectId) -> Result<Option<Protection>, FleetError> {
    let Some(live) = client.get_metadata(cluster).await.map_err(failed)? else {
        return Ok(None);
    };
    let was_before = !is_protected(&live);
    if !was_before {
        // Whoever wrote it: a fleet sends it along for as long as it is there.
        let metadata = json!({ "annotations": { labels::PROTECT: Value::Null } });
        let_go(client, cluster, &live, &metadata).await.map_err(failed)?;
    }
    let mut left = Vec::new();
    for holder in holders(&cluster.namespace) {
        if let Err(error) = unmark_holder(client, &holder, Marks::OfAnybody).await {
            left.push((holder, error));
        }
    }
    Ok(Some(Protection { was_before, left }))
}

/// Says whether a cluster is protected from deletion.
pub fn is_protected(live: &Object) -> bool {
    live.annotation(labels::PROTECT) == Some("true")
}

/// What would take a cluster along when it is deleted: its namespace and the definition of clusters.
pub fn holders(namespace: &str) -> [ObjectId; 2] {
    [ObjectId::new(kinds::NAMESPACE, "", namespace), definition()]
}

fn definition() -> ObjectId {
    ObjectId::new(kinds::CUSTOM_RESOURCE_DEFINITION, "", DEFINITION)
}

/// Marks what holds a protected cluster, so that the policies of `install` keep it.
///
/// *Effects*: one GET and, unless it is marked, one write.
pub async fn mark_holder(client: &Client, holder: &ObjectId) -> Result<(), ClientError> {
    match client.get_metadata(holder).await? {
        Some(live) if live.label(labels::HOLDS_PROTECTED).is_none() => {
            let mark = json!({ "labels": { labels::HOLDS_PROTECTED: "true" } });
            hold(client, holder, &live, mark).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Takes the mark away from what holds no protected cluster, as the server says at this moment.
///
/// *Effects*: one GET and, if it is marked, one list; where nothing protected is left, one write.
pub async fn unmark_holder(client: &Client, holder: &ObjectId, whose: Marks) -> Result<(), ClientError> {
    let Some(live) = client.get_metadata(holder).await? else {
        return Ok(());
    };
    if live.label(labels::HOLDS_PROTECTED).is_none() {
        return Ok(());
    }
    let namespace = match holder.kind == kinds::NAMESPACE {
        true => holder.name.as_str(),
        false => "",
    };
    let clusters = ListQuery::new(kinds::K0SMOTRON_CLUSTER, namespace).metadata_only();
    if client.list_all(&clusters).await?.iter().any(is_protected) {
        return Ok(());
    }
    match whose {
        Marks::OfAnybody => {
            let metadata = json!({ "labels": { labels::HOLDS_PROTECTED: Value::Null } });
            let_go(client, holder, &live, &metadata).await
        }
        // To apply nothing takes away what nobody else has applied.
        Marks::OfThisProgram => hold(client, holder, &live, json!({})).await,
    }
}

/// Looks for everything that is marked.
///
/// *Effects*: one paged list of namespaces, and one GET of the definition.
pub async fn marked_holders(client: &Client) -> Result<BTreeSet<ObjectId>, ClientError> {
    let namespaces = ListQuery::new(kinds::NAMESPACE, "").with_labels(labels::HOLDS_PROTECTED);
    let listed = client.list_all(&namespaces.metadata_only()).await?;
    let definition = client.get_metadata(&definition()).await?;
    let marked = definition.filter(|live| live.label(labels::HOLDS_PROTECTED).is_some());
    Ok(listed.iter().chain(&marked).filter_map(Object::id).collect())
}

/// Takes metadata away from the very version of an object that was read.
async fn let_go(client: &Client, id: &ObjectId, live: &Object, metadata: &Value) -> Result<(), ClientError> {
    let (uid, version) = (live.uid().unwrap_or_default(), live.resource_version());
    client
        .patch_metadata(id, uid, version, metadata, labels::PROTECT_MANAGER)
        .await
        .map(|_| ())
}

/// Writes metadata of the very object that was read, with a field manager that writes nothing else.
async fn hold(client: &Client, id: &ObjectId, live: &Object, metadata: Value) -> Result<(), ClientError> {
    let mut body = json!({
        "apiVersion": id.kind.api_version(), "kind": id.kind.kind, "metadata": metadata,
    });
    body["metadata"]["name"] = json!(id.name);
    if id.kind.is_namespaced {
        body["metadata"]["namespace"] = json!(id.namespace);
    }
    let uid = live.uid().unwrap_or_default();
    client
        .apply(
            &Object(body),
            None,
            uid,
            labels::PROTECT_MANAGER,
            Conflicts::Force,
        )
        .await
        .map(|_| ())
}

fn failed(source: ClientError) -> FleetError {
    match source.kind() {
        FailureKind::Conflict { .. } => FleetError::Raced,
        _ => FleetError::Protection {
            source: Box::new(source),
        },
    }
}
