//! A plan with a recorded hub: the same functions, with what was read then.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::look::{all_namespaces, namespaces_of_clusters, namespaces_of_rejected};
use super::planning::{self, PlanOptions, Sight};
use super::{FleetError, Hub, HubFacts, Live, OperatorSource, Parent, check_hub, parent};
use crate::client::Client;
use crate::compose::Reading;
use crate::diagnostic::SourceTree;
use crate::observe::{self, Snapshot, SnapshotOf};
use crate::plan::Plan;

/// Records a hub.
///
/// *Effects*: those of [`super::facts`] and [`observe::snapshot`]. Nothing is written.
pub async fn record(
    client: &Client,
    namespaces: &BTreeSet<String>,
    parent_namespace: &str,
    operator: OperatorSource<'_>,
    now: Timestamp,
) -> Result<Snapshot, FleetError> {
    let HubFacts { hub, operator, .. } = super::facts(client, operator).await?;
    let of = SnapshotOf {
        namespaces,
        parent_namespace,
        hub_uid: hub.uid.as_deref(),
        operator: &operator,
        now,
    };
    observe::snapshot(client, &of).await.map_err(FleetError::observe)
}

/// Returns what [`super::look`] would have seen.
///
/// *Errors*: another hub than the Fleet names; namespaces that were not recorded; a memory that cannot be used.
pub fn look(snapshot: &Snapshot, reading: &Reading, parent_namespace: &str) -> Result<Live, FleetError> {
    let hub = Hub {
        server: snapshot.hub.server.clone(),
        uid: snapshot.hub.uid.clone(),
    };
    let fleet = reading.fleet.as_ref();
    check_hub(fleet, &hub)?;
    let parent = fleet
        .and_then(|fleet| {
            let id = Some(parent::id(parent_namespace, &fleet.spec.id));
            let object = snapshot.objects.iter().find(|object| object.id() == id)?;
            Some(Parent::from_object(object, &fleet.spec.id))
        })
        .transpose()
        .map_err(|source| FleetError::Parent { source })?;
    let in_files = namespaces_of_clusters(reading);
    let others = namespaces_of_rejected(reading);
    let namespaces = all_namespaces(&in_files, others, parent.as_ref());
    let unknown: Vec<String> = namespaces
        .iter()
        .filter(|namespace| !snapshot.covers(namespace))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Err(FleetError::NotRecorded { namespaces: unknown });
    }
    let missing_namespaces = match &snapshot.namespaces {
        Some(known) => in_files.difference(known).cloned().collect(),
        None => BTreeSet::new(),
    };
    Ok(Live {
        hub,
        operator: snapshot.operator.clone(),
        parent,
        lock: None,
        observed: snapshot.clusters(&namespaces),
        namespaces,
        missing_namespaces,
    })
}

/// Plans as [`super::plan`] does. Asks nobody.
pub async fn plan(
    snapshot: &Snapshot,
    reading: &Reading,
    tree: &SourceTree,
    live: &Live,
    options: &PlanOptions,
) -> Result<Plan, FleetError> {
    planning::of_reading(Sight::Recorded(snapshot), reading, tree, live, options).await
}
