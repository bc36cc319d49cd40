//! Connects to the hub that was asked for.

use super::args::Hub;
use super::error::CliError;
use crate::client::{Client, Target};

/// Prepares a connection. Sends nothing.
pub async fn connect(hub: &Hub) -> Result<Client, CliError> {
    let target = Target {
        kubeconfig: hub.kubeconfig.clone(),
        context: hub.context.clone(),
    };
    let client = Client::connect(&target).await?;
    Ok(client.with_deadline(hub.timeout))
}
