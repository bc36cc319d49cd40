//! The whole way from files and a hub to an outcome, for the command line and the sync alike.
//!
//! `Reading` and a `Client` -> `Live` -> `Plan`; `ApprovedPlan` -> parent changed, plan executed -> `Outcome`.
//!
//! **Invariants:** nothing is written before a plan is approved. On a hub that does not know the fleet nothing is
//! written at all, unless the caller says that this is the first time. Before the first write of a run the parent of
//! the fleet is changed at the very version the plan was made with, so that of two runs that planned at the same moment
//! only one goes on, and a budget of deletions is spent once.

pub mod admission;
mod begun;
mod error;
pub mod export;
mod hub;
mod leftovers;
mod lock;
mod look;
mod notes;
pub mod offline;
mod operator;
pub mod parent;
mod planning;
mod protection;
mod rolling;
mod run;
mod saved;
pub mod select;
pub mod selector;
mod waiting;
mod writers;

pub use admission::Admission;
pub use error::FleetError;
pub use hub::{Hub, KUBE_SYSTEM, check_hub, identify};
pub use leftovers::{Leftover, Leftovers, leftovers, purge};
pub use lock::{Lock, LockEnd, LockOptions, find_lock, lock, unlock};
pub use look::{Access, HubFacts, Live, Purpose, facts, look, look_at_known};
pub use notes::notes;
pub use operator::{OperatorSource, operator};
pub use parent::{Parent, StoredParent};
pub use planning::{PlanOptions, Sight, children, content, differing, plan, upgrade};
pub use protection::{
    Marks, Protection, holders, is_protected, mark_holder, marked_holders, protect, unmark_holder, unprotect,
};
pub use rolling::{evidence, steer};
pub use run::{Executed, FirstApply, Pace, RunOptions, Subject, execute, may_write};
pub use saved::{Values, check, look_again, save};
pub use waiting::{Awaited, WaitOptions, Waited, wait};
pub use writers::{Followers, Syncs, loosened, syncs};

use crate::api::labels;
use crate::client::{Client, ClientError, Created};
use crate::object::Object;

/// Makes a fleet known to a hub, with this memory; `None` when the hub knew it before, with whatever memory.
///
/// *Effects*: one create of the parent; if its namespace is missing, that too.
pub async fn register(
    client: &Client,
    parent: &Parent,
    namespace: &str,
) -> Result<Option<StoredParent>, FleetError> {
    let body = parent.to_object(namespace);
    let create = || client.create_only(&body, None, labels::FLEET_MANAGER);
    let created = match create().await {
        Err(ClientError::NoNamespace { .. }) => {
            create_namespace(client, namespace)
                .await
                .map_err(|error| FleetError::WriteParent {
                    source: Box::new(error),
                })?;
            create().await
        }
        other => other,
    };
    match created {
        Ok(Created::New(object)) => Parent::from_object(&object, &parent.fleet_id)
            .map(Some)
            .map_err(|source| FleetError::Parent { source }),
        Ok(Created::Exists) => Ok(None),
        Err(error) => Err(FleetError::WriteParent {
            source: Box::new(error),
        }),
    }
}

async fn create_namespace(client: &Client, name: &str) -> Result<Created, ClientError> {
    let body = serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    client
        .create_only(&Object(body), None, labels::FLEET_MANAGER)
        .await
}

/// Reads what the hub remembers of a fleet; `None` when it has never seen it.
///
/// *Effects*: one GET.
pub async fn recall(
    client: &Client,
    fleet_id: &str,
    namespace: &str,
) -> Result<Option<StoredParent>, FleetError> {
    let found = client
        .get(&parent::id(namespace, fleet_id))
        .await
        .map_err(|error| FleetError::ReadParent {
            source: Box::new(error),
        })?;
    found
        .map(|object| Parent::from_object(&object, fleet_id))
        .transpose()
        .map_err(|source| FleetError::Parent { source })
}
