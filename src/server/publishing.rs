//! Says to those who plan how this process renders.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::api::labels;
use crate::client::{Client, ClientError, Conflicts, chain};
use crate::object::differences;
use crate::render::{HubOperator, Published};

/// It is looked at again this often, for somebody may have changed or deleted it.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);
/// The same after a failure: while it is missing, plans suppose another operator.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Whether something had to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    Written,
    AsItWas,
}

/// Keeps what is said in this namespace as it is, until `stop`.
pub async fn keep(client: &Client, published: &Published, namespace: &str, stop: &CancellationToken) {
    loop {
        let pause = match publish(client, published, namespace).await {
            Ok(Publication::Written) => {
                tracing::info!(
                    namespace,
                    name = crate::render::PUBLISHED_NAME,
                    "published how it renders"
                );
                LOOK_EVERY
            }
            Ok(Publication::AsItWas) => LOOK_EVERY,
            // As outside of a cluster where nothing is installed.
            Err(ClientError::NoNamespace { .. }) => {
                tracing::info!(
                    namespace,
                    "does not publish how it renders: the namespace is not there"
                );
                LOOK_EVERY
            }
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "cannot publish how it renders; plans may suppose something else"
                );
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Publishes once.
///
/// *Effects*: one GET, and one server-side apply when what is there differs.
pub async fn publish(
    client: &Client,
    published: &Published,
    namespace: &str,
) -> Result<Publication, ClientError> {
    let wanted = published.to_object(namespace);
    let found = client.get(&HubOperator::id(namespace)).await?;
    let uid = match &found {
        Some(found) if differences(&wanted, found, labels::OPERATOR_MANAGER).is_empty() => {
            return Ok(Publication::AsItWas);
        }
        Some(found) => found.uid(),
        None => None,
    };
    match uid {
        Some(uid) => {
            client
                .apply(&wanted, None, uid, labels::OPERATOR_MANAGER, Conflicts::Force)
                .await?;
        }
        // One that somebody made in between is seen at the next look.
        None => {
            client
                .create_only(&wanted, None, labels::OPERATOR_MANAGER)
                .await?;
        }
    }
    Ok(Publication::Written)
}
