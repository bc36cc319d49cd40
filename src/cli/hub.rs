//! Connects to the hub that was asked for.

use super::args::Hub;
use super::error::CliError;
use crate::client::{Client, Identity, Target};

/// Prepares a connection. Sends nothing.
pub async fn connect(hub: &Hub) -> Result<Client, CliError> {
    let target = Target {
        kubeconfig: hub.kubeconfig.clone(),
        context: hub.context.clone(),
        identity: hub.as_user.as_ref().map(|user| Identity {
            user: user.clone(),
            groups: hub.as_group.clone(),
        }),
    };
    let client = Client::connect(&target).await?.with_deadline(hub.timeout);
    Ok(match hub.qps {
        Some(requests_per_second) => client.with_pace(requests_per_second),
        None => client,
    })
}
