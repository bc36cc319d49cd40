//! The CAs that sign in one run: those it made, and those it read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::client::{Client, ClientError};
use crate::keys::{Authority, KeyError};
use crate::object::{ObjectId, kinds};
use crate::pki::Issuer;
use crate::plan::{Failure, FailureKind};

/// Why nothing signs.
#[derive(Debug)]
pub(super) enum Unsigned {
    /// The CA is another one than the plan was made for, or was made by somebody else just now: read again.
    Moved {
        because: String,
    },
    Failed(Failure),
}

#[derive(Debug, thiserror::Error)]
enum AuthorityError {
    #[error("cannot read the CA of {id}")]
    Read { id: ObjectId, source: ClientError },
    #[error("{id} cannot be signed with")]
    Use { id: ObjectId, source: KeyError },
}

type Slot = Arc<OnceCell<Arc<Authority>>>;

/// CAs by the identity of their Secret.
pub(super) struct Keyring {
    slots: Mutex<BTreeMap<ObjectId, Slot>>,
}

impl Keyring {
    pub(super) fn new() -> Self {
        Self {
            slots: Mutex::new(BTreeMap::new()),
        }
    }

    /// Keeps a CA whose Secret was created in this run, with these very bytes.
    pub(super) fn keep(&self, id: &ObjectId, authority: Authority) {
        let slot = Arc::new(OnceCell::new_with(Some(Arc::new(authority))));
        self.slots().insert(id.clone(), slot);
    }

    /// Returns the CA that must sign.
    ///
    /// *Effects*: at most one GET of each Secret in a run.
    pub(super) async fn authority(
        &self,
        client: &Client,
        namespace: &str,
        issuer: &Issuer,
    ) -> Result<Arc<Authority>, Unsigned> {
        let id = ObjectId::new(kinds::SECRET, namespace, &issuer.secret);
        let slot = match &issuer.fingerprint {
            // It was to be made in this run: only bytes that are known to be stored may sign.
            None => match self.slots().get(&id) {
                Some(slot) => Arc::clone(slot),
                None => {
                    return Err(Unsigned::Moved {
                        because: format!("{id} was not created by this run: it must be read again first"),
                    });
                }
            },
            Some(_) => Arc::clone(self.slots().entry(id.clone()).or_default()),
        };
        let authority = slot.get_or_try_init(|| read(client, &id)).await?;
        match &issuer.fingerprint {
            Some(fingerprint) if fingerprint != authority.fingerprint() => Err(Unsigned::Moved {
                because: format!("{id} holds another CA than it did: it must be read again first"),
            }),
            Some(_) | None => Ok(Arc::clone(authority)),
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectId, Slot>> {
        // Nothing panics while it is held; and a map of finished values is whole at any moment.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(client: &Client, id: &ObjectId) -> Result<Arc<Authority>, Unsigned> {
    let failed = |kind, error: AuthorityError| {
        let message = crate::client::chain(&error);
        Unsigned::Failed(Failure { kind, message })
    };
    let secret = client
        .get_secret(&id.namespace, &id.name)
        .await
        .map_err(|source| {
            let kind = source.kind();
            failed(
                kind,
                AuthorityError::Read {
                    id: id.clone(),
                    source,
                },
            )
        })?;
    let Some(secret) = secret else {
        return Err(Unsigned::Moved {
            because: format!("{id} is not there any more: it must be read again first"),
        });
    };
    Authority::read(&secret.data).map(Arc::new).map_err(|source| {
        let id = id.clone();
        failed(FailureKind::Invalid, AuthorityError::Use { id, source })
    })
}
