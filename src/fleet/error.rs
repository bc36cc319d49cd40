//! Why a fleet could not be looked at or written.

use super::parent::ParentError;
use crate::client::ClientError;
use crate::lease::Holder;
use crate::object::ObjectId;
use crate::plan::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("cannot tell which hub this is")]
    Identify { source: Box<ClientError> },
    #[error("the fleet is bound to the hub {wanted}, and {server} is {}", found.as_deref().unwrap_or("one whose uid cannot be read"))]
    OtherHub {
        server: String,
        wanted: String,
        found: Option<String>,
    },
    #[error("cannot read what the hub remembers of the fleet")]
    ReadParent { source: Box<ClientError> },
    #[error("what the hub remembers of the fleet cannot be used")]
    Parent { source: ParentError },
    #[error("cannot read how the operator of the hub is set")]
    ReadOperator { source: Box<ClientError> },
    #[error("cannot read the clusters on the hub")]
    Observe { source: Box<ClientError> },
    #[error("{server} has never seen the fleet `{fleet_id}` ({parent} is not there)")]
    UnknownFleet {
        server: String,
        fleet_id: String,
        parent: Box<ObjectId>,
    },
    #[error("the fleet was changed by another run since this plan was made")]
    Raced,
    #[error("the fleet `{fleet_id}` is locked by {holder}")]
    Locked { fleet_id: String, holder: Holder },
    #[error("cannot take the lock of the fleet")]
    Lock { source: Box<ClientError> },
    #[error("the protection cannot be changed")]
    Protection { source: Box<ClientError> },
    #[error("{cluster} lives: nothing of it was left behind")]
    Lives { cluster: Box<ObjectId> },
    #[error("cannot write what the hub has to remember of the fleet")]
    WriteParent { source: Box<ClientError> },
    #[error("the plan may not be executed")]
    Refused { source: Refusal },
    #[error("the snapshot does not hold {}", list_of_namespaces(namespaces))]
    NotRecorded { namespaces: Vec<String> },
    #[error("the saved plan does not hold values that may be secrets: {}", missing.join(", "))]
    Withheld { missing: Vec<String> },
    #[error("without a Fleet nothing can be deleted: nobody knows which clusters belong to the files")]
    PruneWithoutFleet,
}

impl FleetError {
    /// Says of an error that it kept somebody from reading what is on the hub.
    pub(super) fn observe(error: ClientError) -> Self {
        Self::Observe {
            source: Box::new(error),
        }
    }

    /// Says whether a guard refused, before the first write.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::OtherHub { .. }
            | Self::UnknownFleet { .. }
            | Self::Raced
            | Self::Locked { .. }
            | Self::Lives { .. }
            | Self::Parent { .. }
            | Self::Refused { .. }
            | Self::Withheld { .. }
            | Self::PruneWithoutFleet => true,
            Self::NotRecorded { .. }
            | Self::Identify { .. }
            | Self::ReadParent { .. }
            | Self::ReadOperator { .. }
            | Self::Observe { .. }
            | Self::Lock { .. }
            | Self::Protection { .. }
            | Self::WriteParent { .. } => false,
        }
    }

    /// Returns what a person can do about it, as one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Identify { source }
            | Self::ReadParent { source }
            | Self::ReadOperator { source }
            | Self::Observe { source }
            | Self::Lock { source }
            | Self::Protection { source }
            | Self::WriteParent { source } => source.hint(),
            Self::OtherHub { .. } => Some(
                "choose its context, or change spec.hub.uid of the Fleet if the hub was replaced".to_owned(),
            ),
            Self::UnknownFleet { .. } => Some(
                "if this is the right hub, pass --first-apply once (or run `k0smotron-fleet init --hub`)"
                    .to_owned(),
            ),
            Self::Raced => Some("nothing was written; plan and apply again".to_owned()),
            Self::Locked { .. } => Some(
                "wait longer with `--lock-timeout 10m`; if that run is gone, `k0smotron-fleet unlock` takes it away"
                    .to_owned(),
            ),
            Self::PruneWithoutFleet => {
                Some("no fleet id: run `k0smotron-fleet init` in the directory of the files".to_owned())
            }
            Self::NotRecorded { .. } => {
                Some("record it anew without `-n`, or with these namespaces too".to_owned())
            }
            Self::Withheld { .. } => Some(
                "pass the files that were planned with `--values-from PATH`; only the values with the same digest are taken"
                    .to_owned(),
            ),
            Self::Lives { .. } | Self::Parent { .. } | Self::Refused { .. } => None,
        }
    }
}

fn list_of_namespaces(namespaces: &[String]) -> String {
    format!("the namespaces {}", namespaces.join(", "))
}
