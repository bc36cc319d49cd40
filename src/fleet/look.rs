//! What is there: the hub, what it remembers, and the clusters.

use std::collections::BTreeSet;

use futures::StreamExt as _;

use super::{
    FleetError, Hub, OperatorSource, StoredParent, check_hub, find_lock, identify, operator, recall,
};
use crate::api::fleet::Fleet;
use crate::client::{Client, ClientError};
use crate::compose::Reading;
use crate::lease::Found;
use crate::object::{ObjectId, Observed, kinds};
use crate::observe;
use crate::plan::FailureKind;
use crate::render::HubOperator;

/// Requests at the same time for namespaces of which nothing is known.
const PARALLELISM: usize = 16;

/// As whom a fleet is looked at and written.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Reads and writes clusters.
    pub clusters: &'a Client,
    /// Reads and writes what the hub remembers: for a sync, the controller's own identity.
    pub memory: &'a Client,
    /// Namespace of the parent.
    pub parent_namespace: &'a str,
    /// Who says how the operator of the hub renders.
    pub operator: OperatorSource<'a>,
}

/// What a hub is asked before anything is known of a fleet.
#[derive(Clone, Debug)]
pub struct HubFacts {
    pub hub: Hub,
    pub operator: HubOperator,
    /// `None`: nobody looked, or it could not be read.
    ahead: Option<Ahead>,
}

/// What was seen of a fleet before its files were read.
#[derive(Clone, Debug)]
struct Ahead {
    fleet_id: String,
    parent: Option<StoredParent>,
    lock: Option<Found>,
    /// Those that the hub remembers.
    namespaces: BTreeSet<String>,
    observed: Observed,
}

/// The live side of a fleet.
#[derive(Clone, Debug)]
pub struct Live {
    pub hub: Hub,
    pub operator: HubOperator,
    /// `None`: the hub has never seen the fleet, or there is no Fleet.
    pub parent: Option<StoredParent>,
    /// The lock as it was seen ahead of a run that writes. `None`: nobody looked, or there was none.
    pub lock: Option<Found>,
    /// Namespaces of the files and those the hub remembers.
    pub namespaces: BTreeSet<String>,
    /// All clusters in the namespaces of the files and in those the hub remembers, and the names of those that the
    /// Go operator k0smotron runs there.
    pub observed: Observed,
    /// Namespaces that the files name and that are known not to be there.
    pub missing_namespaces: BTreeSet<String>,
}

/// What somebody looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Show,
    Write,
}

/// Asks a hub which one it is, and its operator how it renders: at once, the hub may be far away.
///
/// *Errors*: those of [`identify`] before those of [`operator`].
/// *Effects*: two GETs, or one where the operator is this process.
pub async fn facts(client: &Client, source: OperatorSource<'_>) -> Result<HubFacts, FleetError> {
    let (hub, operator) = tokio::join!(identify(client), operator(client, source));
    Ok(HubFacts {
        hub: hub?,
        operator: operator?,
        ahead: None,
    })
}

/// Looks at everything that a plan is made from, but for the children of clusters.
///
/// *Errors*: another hub than the Fleet names, before anything of the fleet is asked; what cannot be read at all.
/// *Effects*: those of [`facts`]; one GET each for the parent and every namespace without a cluster; the lists of
/// [`observe::fleet`] and [`observe::upstream`]. Nothing is written.
pub async fn look(access: Access<'_>, reading: &Reading) -> Result<Live, FleetError> {
    look_at_known(access, facts(access.memory, access.operator).await?, reading).await
}

/// Looks as [`look`] does, at a hub whose facts are known; what was looked at ahead is not asked again.
pub async fn look_at_known(
    access: Access<'_>,
    facts: HubFacts,
    reading: &Reading,
) -> Result<Live, FleetError> {
    let (in_files, rejected) = (namespaces_of_clusters(reading), namespaces_of_rejected(reading));
    look_at(access, facts, reading.fleet.as_ref(), in_files, rejected).await
}

impl HubFacts {
    /// Looks where the hub remembers clusters of a fleet, while its files are still being read.
    ///
    /// *Shape*: what cannot be read is left out: [`look_at_known`] asks again, and says why.
    /// *Effects*: none at another hub than the Fleet names; else one GET of the parent, and the lists of [`look`] in the
    /// namespaces of the parent; to write, one GET of the lock of a fleet that the hub remembers.
    #[must_use]
    pub async fn look_ahead(self, access: Access<'_>, fleet: &Fleet, purpose: Purpose) -> Self {
        Self {
            ahead: look_ahead(access, &self.hub, fleet, purpose).await,
            ..self
        }
    }
}

async fn look_ahead(access: Access<'_>, hub: &Hub, fleet: &Fleet, purpose: Purpose) -> Option<Ahead> {
    check_hub(Some(fleet), hub).ok()?;
    let parent = recall(access.memory, &fleet.spec.id, access.parent_namespace)
        .await
        .ok()?;
    let namespaces = all_namespaces(&BTreeSet::new(), BTreeSet::new(), parent.as_ref());
    let lock = async {
        match (purpose, &parent) {
            // Whoever takes it looks again, and says why it cannot be read.
            (Purpose::Write, Some(_)) => find_lock(access, &fleet.spec.id).await.ok().flatten(),
            (Purpose::Write, None) | (Purpose::Show, _) => None,
        }
    };
    let (observed, lock) = tokio::join!(clusters(access.clusters, &namespaces), lock);
    Some(Ahead {
        fleet_id: fleet.spec.id.clone(),
        lock,
        parent,
        namespaces,
        observed: observed.ok()?,
    })
}

/// Reads the clusters in these namespaces, and the names of those that the Go operator k0smotron runs there. No namespace
/// holds none.
async fn clusters(client: &Client, namespaces: &BTreeSet<String>) -> Result<Observed, ClientError> {
    // No namespace at all would mean every namespace.
    if namespaces.is_empty() {
        return Ok(Observed::default());
    }
    let (mut observed, upstream) = tokio::try_join!(
        observe::fleet(client, namespaces),
        observe::upstream(client, namespaces),
    )?;
    observed.merge(upstream);
    Ok(observed)
}

pub(super) fn namespaces_of_clusters(reading: &Reading) -> BTreeSet<String> {
    let clusters = reading.clusters.iter();
    clusters.map(|cluster| cluster.namespace.clone()).collect()
}

/// Returns the namespaces of clusters that have errors: they are not gone.
pub(super) fn namespaces_of_rejected(reading: &Reading) -> BTreeSet<String> {
    let rejected = reading.rejected.iter();
    rejected.map(|(namespace, _)| namespace.clone()).collect()
}

/// Returns the namespaces that are named, and those that the hub remembers.
pub(super) fn all_namespaces(
    in_files: &BTreeSet<String>,
    others: BTreeSet<String>,
    parent: Option<&StoredParent>,
) -> BTreeSet<String> {
    let remembered = parent.into_iter().flat_map(|stored| &stored.parent.namespaces);
    in_files.iter().chain(remembered).cloned().chain(others).collect()
}

/// Looks as [`look`] does, at the namespaces that are named: those that clusters are wanted in, and others.
pub(super) async fn look_at(
    access: Access<'_>,
    facts: HubFacts,
    fleet: Option<&Fleet>,
    in_files: BTreeSet<String>,
    others: BTreeSet<String>,
) -> Result<Live, FleetError> {
    let HubFacts { hub, operator, ahead } = facts;
    check_hub(fleet, &hub)?;
    let ahead = ahead.filter(|ahead| fleet.is_some_and(|fleet| fleet.spec.id == ahead.fleet_id));
    let (parent, lock, seen) = match (fleet, ahead) {
        (Some(_), Some(ahead)) => {
            let seen = (ahead.namespaces, ahead.observed);
            (ahead.parent, ahead.lock, Some(seen))
        }
        (Some(fleet), None) => {
            let parent = recall(access.memory, &fleet.spec.id, access.parent_namespace).await?;
            (parent, None, None)
        }
        (None, _) => (None, None, None),
    };
    let namespaces = all_namespaces(&in_files, others, parent.as_ref());
    let observe = async {
        match seen {
            Some((seen, observed)) if seen == namespaces => Ok(observed),
            // The files name namespaces that the hub does not remember.
            Some(_) | None => clusters(access.clusters, &namespaces).await,
        }
    };
    // What nobody remembers may well not be there, and is asked for at once: the hub may be far away.
    let remembered = parent.as_ref().map(|stored| &stored.parent.namespaces);
    let (known, new): (Vec<String>, Vec<String>) = in_files
        .into_iter()
        .partition(|namespace| remembered.is_some_and(|remembered| remembered.contains(namespace)));
    let (observed, mut missing_namespaces) =
        tokio::try_join!(observe, missing(access.clusters, new)).map_err(FleetError::observe)?;
    let with_clusters: BTreeSet<&str> = observed
        .objects
        .iter()
        .map(|(id, _)| id.namespace.as_str())
        .collect();
    let unknown = known
        .into_iter()
        .filter(|namespace| !with_clusters.contains(namespace.as_str()));
    let others = missing(access.clusters, unknown.collect()).await;
    missing_namespaces.extend(others.map_err(FleetError::observe)?);
    Ok(Live {
        hub,
        operator,
        parent,
        lock,
        namespaces,
        observed,
        missing_namespaces,
    })
}

/// Returns the namespaces that are not there. One that may not be read is taken to be there: the write will tell.
async fn missing(client: &Client, namespaces: Vec<String>) -> Result<BTreeSet<String>, ClientError> {
    let mut asked = futures::stream::iter(namespaces)
        .map(|name| async move {
            let found = client
                .get_metadata(&ObjectId::new(kinds::NAMESPACE, "", &name))
                .await;
            (name, found)
        })
        .buffered(PARALLELISM);
    let mut missing = BTreeSet::new();
    while let Some((name, found)) = asked.next().await {
        match found {
            Ok(Some(_)) => {}
            Ok(None) => {
                missing.insert(name);
            }
            Err(error) if error.kind() == FailureKind::Forbidden => {}
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}
