//! A plan with a recorded hub: the same functions, with what was read then.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::planning::{self, PlanOptions, Sight};
use super::{Access, FleetError, Hub, Live, Parent, check_hub, parent};
use crate::client::{Client, ClientError};
use crate::compose::Reading;
use crate::diagnostic::SourceTree;
use crate::object::{ObjectId, ObjectSet, kinds};
use crate::observe::{self, Snapshot, SnapshotOf};
use crate::plan::{Action, Plan, Upgraded};
use crate::render::Settings;

/// Records a hub.
///
/// *Effects*: those of [`super::identify`] and [`observe::snapshot`]. Nothing is written.
pub async fn record(
    client: &Client,
    namespaces: &BTreeSet<String>,
    parent_namespace: &str,
    settings: &Settings,
    now: Timestamp,
) -> Result<Snapshot, FleetError> {
    let hub = super::identify(client).await?;
    let of = SnapshotOf {
        namespaces,
        parent_namespace,
        hub_uid: hub.uid.as_deref(),
        settings,
        now,
    };
    observe::snapshot(client, &of)
        .await
        .map_err(|source: ClientError| FleetError::Observe {
            source: Box::new(source),
        })
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
    let recorded: ObjectSet = snapshot
        .objects
        .iter()
        .filter(|object| object.id().is_some_and(|id| id.kind == kinds::CONFIG_MAP))
        .filter_map(|object| Some((object.id()?, object.clone())))
        .collect();
    let parent = fleet
        .and_then(|fleet| {
            let object = recorded.get(&parent::id(parent_namespace, &fleet.spec.id))?;
            Some(Parent::from_object(object, &fleet.spec.id))
        })
        .transpose()
        .map_err(|source| FleetError::Parent { source })?;
    let in_files: BTreeSet<String> = reading
        .clusters
        .iter()
        .map(|cluster| cluster.namespace.clone())
        .collect();
    let mut namespaces = in_files.clone();
    namespaces.extend(reading.rejected.iter().map(|(namespace, _)| namespace.clone()));
    if let Some(stored) = &parent {
        namespaces.extend(stored.parent.namespaces.iter().cloned());
    }
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
        parent,
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

/// What to see more of than the plan.
#[derive(Clone, Copy)]
pub enum Seen<'a> {
    Hub(Access<'a>),
    Recorded(&'a Snapshot),
}

impl<'a> Seen<'a> {
    fn sight(self) -> Sight<'a> {
        match self {
            Self::Hub(access) => Sight::Hub(access),
            Self::Recorded(snapshot) => Sight::Recorded(snapshot),
        }
    }
}

/// Says what an operator with other settings would do to clusters whose files stay as they are.
///
/// *Effects*: the lists of children, unless recorded.
pub async fn upgrade(
    seen: Seen<'_>,
    live: &Live,
    clusters: &BTreeSet<ObjectId>,
    now: &PlanOptions,
    then: &Settings,
) -> Result<Vec<Upgraded>, FleetError> {
    planning::upgraded(seen.sight(), live, clusters, now, then).await
}

/// Returns what the operator would write because of each entry of a plan, as it may be shown.
///
/// *Effects*: as [`upgrade`].
pub async fn children(
    seen: Seen<'_>,
    live: &Live,
    plan: &Plan,
    options: &PlanOptions,
) -> Result<BTreeMap<ObjectId, Vec<Action>>, FleetError> {
    planning::offspring(seen.sight(), live, plan, options).await
}
