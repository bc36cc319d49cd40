//! Requests to an API server: the only room that knows how one is reached and asked.
//!
//! Identities ([`crate::object::ObjectId`]) and JSON ([`crate::object::Object`]) -> requests; answers -> JSON, or one
//! [`ClientError`] that is classified once.
//!
//! **Invariants:** every request has a deadline and a user agent. Bodies of Secrets come back only from
//! [`Client::get_secret`]: every other method asks the server for their metadata alone. No error quotes an answer about
//! a Secret. A list is whole or an error, never short.

mod connect;
mod dry_run;
mod error;
mod event;
mod gateway;
mod kubeconfig;
mod pace;
mod read;
mod ready;
mod redact;
mod refusal;
mod request;
mod secret;
#[cfg(test)]
pub(crate) mod stub;
mod transport;
mod watch;
mod write;

pub use connect::{Client, HostedServer, Identity, Target, USER_AGENT};
pub use error::{ClientError, chain};
pub use event::{EventType, Note};
pub use gateway::{GatewayError, resolves};
pub use read::{ListEnd, ListQuery, Parts};
pub use ready::Readiness;
pub use refusal::Refusal;
pub use request::{RequestName, Verb};
pub use secret::{SecretBody, SecretData};
pub use watch::WatchEvent;
pub use write::{Conflicts, Created, Deleted, Removal};

#[cfg(test)]
mod tests;
