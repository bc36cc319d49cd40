//! From an approved plan to what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::lock::{Lock, LockEnd};
use super::look::{Access, Live};
use super::{FleetError, Parent, StoredParent, parent, recall, register};
use crate::api::fleet::Fleet;
use crate::api::labels;
use crate::apply::{self, KeySource, Progress};
use crate::client::Conflicts;
use crate::object::kinds;
use crate::plan::{ApprovedPlan, FailureKind, Operation, Outcome};

/// Whether a hub may get a fleet that it has never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstApply {
    Refused,
    Allowed,
}

/// How to execute.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    pub parallelism: usize,
    /// For the whole run. `None`: as long as it takes.
    pub deadline: Option<Duration>,
    /// Commit that counts as applied once everything was done.
    pub revision: Option<&'a str>,
}

/// What was done.
#[derive(Debug)]
pub struct Executed {
    pub outcome: Outcome,
    /// The writes went as `outcome` says, but the hub does not remember the revision.
    pub forgotten: Option<FleetError>,
    pub lock: LockEnd,
}

/// Says whether a run may write to this hub at all.
///
/// *Errors*: [`FleetError::UnknownFleet`].
pub fn may_write(
    access: Access<'_>,
    fleet: Option<&Fleet>,
    live: &Live,
    first_apply: FirstApply,
) -> Result<(), FleetError> {
    match (fleet, &live.parent, first_apply) {
        (Some(fleet), None, FirstApply::Refused) => Err(FleetError::UnknownFleet {
            server: live.hub.server.clone(),
            fleet_id: fleet.spec.id.clone(),
            parent: Box::new(parent::id(access.parent_namespace, &fleet.spec.id)),
        }),
        (Some(_), None, FirstApply::Allowed) | (Some(_), Some(_), _) | (None, _, _) => Ok(()),
    }
}

/// What a run is for: the Fleet, whose lock is held, and the digest of what its files say.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// `None`: there is no Fleet, or the plan is empty.
    pub lock: Option<&'a Lock>,
    pub content: &'a str,
}

/// Executes an approved plan. Nothing is sent for an empty one.
///
/// *Errors*: before the first write of a cluster: another run that came first, a parent that cannot be written. Afterwards never: what failed is in the outcome.
/// *Effects*: one write of the parent, those of [`apply::run`], and with a revision one more of the parent.
pub async fn execute(
    access: Access<'_>,
    subject: Subject<'_>,
    live: &Live,
    approved: &ApprovedPlan,
    options: &RunOptions<'_>,
    progress: Option<&UnboundedSender<Progress>>,
    stop: &CancellationToken,
) -> Result<Executed, FleetError> {
    if approved.is_empty() {
        return Ok(Executed {
            outcome: Outcome::default(),
            forgotten: None,
            lock: LockEnd::Kept,
        });
    }
    let claimed = match subject.lock {
        Some(lock) => Some(claim(access, lock.fleet(), subject.content, live, approved).await?),
        None => None,
    };
    let how = apply::Options {
        manager: labels::FLEET_MANAGER,
        parallelism: options.parallelism,
        deadline: options.deadline,
    };
    let keys = KeySource::at(Timestamp::now());
    let stop = stop.child_token();
    let work = apply::run(access.clusters, approved, &how, keys, progress, &stop);
    let (outcome, lock) = match subject.lock {
        Some(lock) => lock.hold(&stop, work).await,
        None => (work.await, LockEnd::Kept),
    };
    let mut forgotten = None;
    if let (Some(claimed), Some(revision), true) = (&claimed, options.revision, outcome.is_complete())
        && claimed.parent.revision.as_deref() != Some(revision)
    {
        let after = claimed.parent.after_run(Some(revision));
        forgotten = replace(access, claimed, &after).await.err();
    }
    Ok(Executed {
        outcome,
        forgotten,
        lock,
    })
}

/// Changes the parent at the version that the plan was made with.
async fn claim(
    access: Access<'_>,
    fleet: &Fleet,
    content: &str,
    live: &Live,
    approved: &ApprovedPlan,
) -> Result<StoredParent, FleetError> {
    let stored = match &live.parent {
        Some(stored) => stored.clone(),
        None => {
            register(access.memory, fleet, access.parent_namespace).await?;
            recall(access.memory, &fleet.spec.id, access.parent_namespace)
                .await?
                .ok_or(FleetError::Raced)?
        }
    };
    let is_cluster = |kind| kind == kinds::K0SMOTRON_CLUSTER;
    let actions = || {
        approved
            .plan()
            .actions()
            .filter(|action| is_cluster(action.id.kind))
    };
    let namespaces: BTreeSet<String> = actions().map(|action| action.id.namespace.clone()).collect();
    let deletions = actions()
        .filter(|action| matches!(action.operation, Operation::Delete { .. }))
        .count();
    let before = stored.parent.before_run(fleet, namespaces, content, deletions);
    replace(access, &stored, &before).await
}

async fn replace(
    access: Access<'_>,
    stored: &StoredParent,
    parent: &Parent,
) -> Result<StoredParent, FleetError> {
    let object = stored.replacement(parent, access.parent_namespace);
    let applied = access
        .memory
        .apply(
            &object,
            None,
            &stored.uid,
            labels::FLEET_MANAGER,
            Conflicts::Force,
        )
        .await;
    match applied {
        Ok(object) => {
            Parent::from_object(&object, &parent.fleet_id).map_err(|source| FleetError::Parent { source })
        }
        Err(error) => match error.kind() {
            FailureKind::Conflict { .. } => Err(FleetError::Raced),
            _ => Err(FleetError::WriteParent {
                source: Box::new(error),
            }),
        },
    }
}
