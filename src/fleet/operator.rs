//! How the operator of the hub renders.

use super::FleetError;
use crate::client::Client;
use crate::plan::FailureKind;
use crate::render::{HubOperator, Settings};

/// From whom it is known how the operator of the hub renders.
#[derive(Clone, Copy)]
pub enum OperatorSource<'a> {
    /// It says so itself, in this namespace.
    Published { namespace: &'a str },
    /// It is this process.
    This(&'a Settings),
}

/// Asks the operator of the hub how it renders.
///
/// *Errors*: all but a missing permission, with which its defaults are assumed, as where it says nothing.
/// *Effects*: one GET, unless it is this process.
pub async fn operator(client: &Client, source: OperatorSource<'_>) -> Result<HubOperator, FleetError> {
    let namespace = match source {
        OperatorSource::Published { namespace } => namespace,
        OperatorSource::This(settings) => return Ok(HubOperator::this(settings)),
    };
    let id = HubOperator::id(namespace);
    match client.get(&id).await {
        Ok(Some(object)) => Ok(HubOperator::of_object(&object)),
        Ok(None) => Ok(HubOperator::assumed(&format!("{id} is not there"))),
        Err(error) if error.kind() == FailureKind::Forbidden => {
            Ok(HubOperator::assumed(&format!("{id} may not be read")))
        }
        Err(error) => Err(FleetError::ReadOperator {
            source: Box::new(error),
        }),
    }
}
