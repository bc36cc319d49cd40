//! From an approved plan to what came of it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::lock::{Lock, LockEnd};
use super::look::{Access, Live};
use super::parent::Beginning;
use super::rolling::{Rolled, Rolling};
use super::{FleetError, Parent, StoredParent, parent, register};
use crate::api::fleet::Fleet;
use crate::api::labels;
use crate::apply::{self, KeySource, Progress};
use crate::client::Conflicts;
use crate::object::kinds;
use crate::plan::rollout::{Rollout, Waiting};
use crate::plan::{Action, ApprovedPlan, FailureKind, Operation, Outcome};

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
    pub pace: Pace,
}

/// Whether a run waits until the gates of a rollout open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It goes through all waves, looking this often.
    Through { look_every: Duration },
    /// It does what may be done now, and whoever called comes again.
    OneStep,
}

/// What was done.
#[derive(Debug)]
pub struct Executed {
    pub outcome: Outcome,
    /// The writes went as `outcome` says, but the hub does not remember the revision.
    pub forgotten: Option<FleetError>,
    pub lock: LockEnd,
    /// What the changes wait for that were not made because their wave has not come.
    pub waiting: Option<Waiting>,
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
    /// `None`: there is no Fleet, or nothing to write.
    pub lock: Option<&'a Lock>,
    pub content: &'a str,
}

/// Executes an approved plan. For an empty one nothing is sent, unless the lock is held to remember the Fleet.
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
    // Guards that were opened are remembered also when no cluster changes, or they would never hold.
    if approved.is_empty() && subject.lock.is_none() {
        return Ok(Executed {
            outcome: Outcome::default(),
            forgotten: None,
            lock: LockEnd::Kept,
            waiting: None,
        });
    }
    let claimed = match subject.lock {
        Some(lock) => Some(claim(access, lock.fleet(), subject, options.revision, live, approved).await?),
        None => None,
    };
    let rollout = subject.lock.and_then(|lock| Rollout::of(&lock.fleet().spec));
    let how = apply::Options {
        manager: labels::FLEET_MANAGER,
        parallelism: options.parallelism,
        deadline: options.deadline,
    };
    let clusters = access.clusters.with_short_answers();
    let access = Access {
        clusters: &clusters,
        ..access
    };
    let stop = stop.child_token();
    let work = async {
        match rollout.zip(claimed.clone()) {
            Some((rollout, claimed)) => {
                let rolling = Rolling {
                    access,
                    rollout: &rollout,
                    live,
                    pace: options.pace,
                    how,
                    progress,
                    stop: &stop,
                };
                let Rolled {
                    outcome,
                    stored,
                    waiting,
                } = rolling.run(claimed, approved.clone()).await;
                (outcome, Some(stored), waiting)
            }
            None => {
                let keys = KeySource::at(Timestamp::now());
                let outcome = apply::run(access.clusters, approved, &how, keys, progress, &stop).await;
                (outcome, claimed, None)
            }
        }
    };
    let ((outcome, claimed, waiting), lock) = match subject.lock {
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
        waiting,
    })
}

/// Changes the parent at the version that the plan was made with, or makes it where there was none.
async fn claim(
    access: Access<'_>,
    fleet: &Fleet,
    subject: Subject<'_>,
    revision: Option<&str>,
    live: &Live,
    approved: &ApprovedPlan,
) -> Result<StoredParent, FleetError> {
    let is_cluster = |kind| kind == kinds::K0SMOTRON_CLUSTER;
    let actions = || {
        approved
            .plan()
            .actions()
            .filter(|action| is_cluster(action.id.kind))
    };
    let beginning = Beginning {
        namespaces: actions().map(|action| action.id.namespace.clone()).collect(),
        content: subject.content,
        deletions: actions().filter_map(deleted).collect(),
        revision,
    };
    match &live.parent {
        Some(stored) => replace(access, stored, &stored.parent.before_run(fleet, &beginning)).await,
        None => {
            let first = Parent::new(fleet).before_run(fleet, &beginning);
            register(access.memory, &first, access.parent_namespace)
                .await?
                .ok_or(FleetError::Raced)
        }
    }
}

/// Returns the uid of the cluster that an action deletes.
fn deleted(action: &Action) -> Option<String> {
    match &action.operation {
        Operation::Delete { uid, .. } => Some(uid.clone()),
        Operation::Create { .. }
        | Operation::Apply { .. }
        | Operation::Adopt { .. }
        | Operation::Issue { .. }
        | Operation::Reissue { .. }
        | Operation::Fill { .. }
        | Operation::Grow { .. }
        | Operation::Recreate { .. }
        | Operation::PatchMetadata { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. } => None,
    }
}

pub(super) async fn replace(
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
