//! The lock of a fleet: one run at a time writes it.
//!
//! It keeps two runs from being in each other's way. That they do no harm is seen to by the parent, which is changed at
//! the version a plan was made with.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::look::{Access, Live};
use super::run::{FirstApply, may_write};
use super::{FleetError, create_namespace};
use crate::api::fleet::Fleet;
use crate::api::{labels, names};
use crate::client::ClientError;
use crate::lease::{Claim, Election, Elector, First, Found, Holder, Params};
use crate::object::{ObjectId, kinds};

/// How to ask for the lock.
#[derive(Clone, Copy, Debug)]
pub struct LockOptions<'a> {
    /// Who asks, as other people read it. No other run has the same.
    pub holder: &'a str,
    /// How long to wait for whoever has it.
    pub wait: Duration,
    pub first_apply: FirstApply,
}

/// The lock of one fleet, held until it is dropped or lost.
pub struct Lock {
    fleet: Fleet,
    after: Option<Holder>,
    lost: CancellationToken,
    keeper: JoinHandle<()>,
    give_back: DropGuard,
}

/// Whether a run had its lock to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockEnd {
    Kept,
    /// It was taken away or could not be renewed: the run stopped as if it had been interrupted.
    Lost,
}

/// Returns the identity of the lock of a fleet: beside its parent, with the same name.
pub fn id(namespace: &str, fleet_id: &str) -> ObjectId {
    ObjectId::new(kinds::LEASE, namespace, names::fleet_parent(fleet_id))
}

/// Takes the lock of a fleet; `waiting` hears of each holder that is waited for.
///
/// *Errors*: a hub that does not know the fleet; [`FleetError::Locked`] when the time is over; a lease that cannot be
/// read or written.
/// *Effects*: one read a look, the first of which a hub is spared that does not know the fleet or where the lock was seen
/// to be free, and one write; if the namespace is missing, that too. Then one write every five seconds.
pub async fn lock(
    access: Access<'_>,
    fleet: &Fleet,
    live: &Live,
    options: &LockOptions<'_>,
    mut waiting: impl FnMut(&Holder),
) -> Result<Lock, FleetError> {
    may_write(access, Some(fleet), live, options.first_apply)?;
    let election = Election {
        namespace: access.parent_namespace.to_owned(),
        name: names::fleet_parent(&fleet.spec.id),
        identity: options.holder.to_owned(),
        manager: labels::FLEET_MANAGER,
        params: Params::default(),
    };
    let mut elector = Elector::new(access.memory, election);
    // Who never wrote the fleet never locked it either.
    let first = match (&live.parent, &live.lock) {
        (None, _) => First::Create,
        (Some(_), Some(found)) => First::Found(found.clone()),
        (Some(_), None) => First::Look,
    };
    let mut claimed = elector.claim(first, options.wait, &mut waiting).await;
    if let Err(ClientError::NoNamespace { .. }) = claimed {
        create_namespace(access.memory, access.parent_namespace)
            .await
            .map_err(failed)?;
        claimed = elector.claim(First::Create, options.wait, &mut waiting).await;
    }
    let after = match claimed.map_err(failed)? {
        Claim::Held => None,
        Claim::HeldAfter(holder) => Some(holder),
        Claim::Refused(holder) => {
            return Err(FleetError::Locked {
                fleet_id: fleet.spec.id.clone(),
                holder,
            });
        }
    };
    let (lost, give_back) = (CancellationToken::new(), CancellationToken::new());
    let (is_lost, is_given_back) = (lost.clone(), give_back.clone());
    let keeper = tokio::spawn(async move {
        tokio::select! {
            () = elector.keep() => is_lost.cancel(),
            () = is_given_back.cancelled() => elector.vacate().await,
        }
    });
    Ok(Lock {
        fleet: fleet.clone(),
        after,
        lost,
        keeper,
        give_back: give_back.drop_guard(),
    })
}

impl Lock {
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Returns who had it when it was asked for: what was planned before that may be old.
    pub fn after(&self) -> Option<&Holder> {
        self.after.as_ref()
    }

    /// Gives it back, so that the next run need not wait.
    ///
    /// *Effects*: one write.
    pub async fn release(self) {
        drop(self.give_back);
        // It neither panics nor is it aborted; and what it could not give back expires.
        let _ = self.keeper.await;
    }

    /// Works until the work ends; when the lock is lost, what the work was given is cancelled.
    pub(super) async fn hold<T>(
        &self,
        stop: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> (T, LockEnd) {
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => (done, LockEnd::Kept),
            () = self.lost.cancelled() => {
                stop.cancel();
                (work.await, LockEnd::Lost)
            }
        }
    }
}

/// Looks at the lock of a fleet; `None` when there never was one.
///
/// *Effects*: one GET.
pub async fn find_lock(access: Access<'_>, fleet_id: &str) -> Result<Option<Found>, FleetError> {
    let id = id(access.parent_namespace, fleet_id);
    crate::lease::find(access.memory, &id).await.map_err(failed)
}

/// Takes the lock away from whoever was found to hold it. A run that still goes on stops.
///
/// *Effects*: one write.
pub async fn unlock(access: Access<'_>, fleet_id: &str, found: &Found) -> Result<(), FleetError> {
    let id = id(access.parent_namespace, fleet_id);
    crate::lease::take_away(access.memory, &id, found, labels::FLEET_MANAGER)
        .await
        .map_err(failed)
}

fn failed(source: ClientError) -> FleetError {
    FleetError::Lock {
        source: Box::new(source),
    }
}
