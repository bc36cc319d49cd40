//! Everything that can go wrong between this program and an API server, in words a person can act on.

use std::error::Error;
use std::path::PathBuf;

use super::refusal::Refusal;
use super::request::RequestName;
use crate::object::Kind;
use crate::plan::{Failure, FailureKind};

type Cause = Box<dyn Error + Send + Sync>;

/// Why a server could not be asked, did not answer, or refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot read kubeconfig `{}`", path.display())]
    ReadKubeconfig { path: PathBuf, source: std::io::Error },
    #[error("there is no kubeconfig, and this does not run inside a cluster")]
    NoConfiguration,
    /// `reason` never quotes the file: it may hold keys.
    #[error("{origin} cannot be used: {reason}")]
    InvalidKubeconfig { origin: String, reason: String },
    #[error("{origin} has no context `{context}`")]
    UnknownContext {
        origin: String,
        context: String,
        known: Vec<String>,
    },
    #[error("{origin} names no current context")]
    NoContext { origin: String },
    #[error("the identity to act as has no {missing}")]
    BlankIdentity { missing: &'static str },
    #[error("cannot reach the API server at {server}")]
    Connect { server: String, source: Cause },
    /// The request may have been carried out.
    #[error("cannot {request}: the connection broke before an answer came")]
    Broken {
        request: Box<RequestName>,
        source: Cause,
    },
    /// The request may have been carried out.
    #[error("cannot {request}: no answer within {seconds} s")]
    Timeout { request: Box<RequestName>, seconds: u64 },
    #[error("not allowed to {}", request.permission())]
    Forbidden {
        request: Box<RequestName>,
        source: Refusal,
    },
    #[error("the API server does not accept these credentials")]
    Unauthorized { server: String },
    /// It does not even know a kind of the core.
    #[error("{server} does not answer as a Kubernetes API server")]
    NotKubernetes { server: String },
    #[error("{kind} is not known to the API server: its CustomResourceDefinition is not installed")]
    NotInstalled { kind: Kind },
    #[error("cannot {request}: namespace `{}` does not exist", request.namespace)]
    NoNamespace { request: Box<RequestName> },
    #[error("cannot {request}")]
    Refused {
        request: Box<RequestName>,
        source: Refusal,
    },
    #[error("cannot {request}: the answer is not what the Kubernetes API defines: {reason}")]
    Answer {
        request: Box<RequestName>,
        reason: String,
    },
    /// What came before is not a list: nothing may be called absent because of it.
    #[error("cannot {request}: the list broke off after {received} objects")]
    ListBrokeOff {
        request: Box<RequestName>,
        received: usize,
        source: Box<Self>,
    },
}

impl ClientError {
    /// Returns the class that everything above decides by.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::ReadKubeconfig { .. }
            | Self::NoConfiguration
            | Self::InvalidKubeconfig { .. }
            | Self::UnknownContext { .. }
            | Self::NoContext { .. }
            | Self::BlankIdentity { .. } => FailureKind::Invalid,
            Self::Connect { .. } | Self::Broken { .. } => FailureKind::Unavailable,
            Self::Timeout { .. } => FailureKind::Timeout,
            Self::Forbidden { .. } | Self::Unauthorized { .. } => FailureKind::Forbidden,
            Self::NotInstalled { .. } | Self::NoNamespace { .. } => FailureKind::NotFound,
            Self::Refused { source, .. } => source.kind.clone(),
            Self::Answer { .. } | Self::NotKubernetes { .. } => FailureKind::Unexpected,
            Self::ListBrokeOff { source, .. } => source.kind(),
        }
    }

    /// Says whether the server may have done what was asked although no answer says so.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Timeout { .. } | Self::Answer { .. } => true,
            Self::Refused { source, .. } => source.kind == FailureKind::Timeout,
            Self::ReadKubeconfig { .. }
            | Self::NoConfiguration
            | Self::InvalidKubeconfig { .. }
            | Self::UnknownContext { .. }
            | Self::NoContext { .. }
            | Self::BlankIdentity { .. }
            | Self::Connect { .. }
            | Self::Forbidden { .. }
            | Self::Unauthorized { .. }
            | Self::NotKubernetes { .. }
            | Self::NotInstalled { .. }
            | Self::NoNamespace { .. }
            | Self::ListBrokeOff { .. } => false,
        }
    }

    /// Says whether the credentials are good and merely lack a right.
    pub fn is_about_rights(&self) -> bool {
        match self {
            // A policy or webhook refuses with the same status as a missing right, in whatever words it likes.
            Self::Forbidden { source, .. } => {
                source.message.contains(" is forbidden: User \"") && source.message.contains("\" cannot ")
            }
            Self::ReadKubeconfig { .. }
            | Self::NoConfiguration
            | Self::InvalidKubeconfig { .. }
            | Self::UnknownContext { .. }
            | Self::NoContext { .. }
            | Self::BlankIdentity { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::Unauthorized { .. }
            | Self::NotKubernetes { .. }
            | Self::NotInstalled { .. }
            | Self::NoNamespace { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::ListBrokeOff { .. } => false,
        }
    }

    /// Returns what a person can do about it, as one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ReadKubeconfig { .. } => {
                Some("name another file with `--kubeconfig` or `KUBECONFIG`".to_owned())
            }
            Self::NoConfiguration => {
                Some("name a file with `--kubeconfig` or `KUBECONFIG`, or create `~/.kube/config`".to_owned())
            }
            Self::UnknownContext { known, .. } if !known.is_empty() => {
                Some(format!("it has: {}", known.join(", ")))
            }
            Self::NoContext { .. } => {
                Some("choose one with `--context` or `kubectl config use-context`".to_owned())
            }
            Self::Connect { server, .. } | Self::NotKubernetes { server } => Some(format!(
                "check that the server runs and that {server} is right for the chosen context"
            )),
            Self::Forbidden { request, .. } => Some(format!(
                "a Role or ClusterRole must grant it; ask with `kubectl auth can-i {}`",
                request.can_i()
            )),
            Self::Unauthorized { .. } => {
                Some("the certificate or token may have expired, or belong to another cluster".to_owned())
            }
            Self::NotInstalled { .. } => {
                Some("install it with `k0smotron-fleet crds | kubectl apply -f -`".to_owned())
            }
            Self::NoNamespace { request } => Some(format!(
                "create it with `kubectl create namespace {}`",
                request.namespace
            )),
            Self::ListBrokeOff { source, .. } => source.hint(),
            Self::Refused { source, .. } => match &source.kind {
                FailureKind::Conflict { managers } if !managers.is_empty() => {
                    Some(format!("the field belongs to {}", managers.join(", ")))
                }
                FailureKind::Conflict { .. } => {
                    Some("the object changed since it was read: run again".to_owned())
                }
                FailureKind::NotFound
                | FailureKind::AlreadyExists
                | FailureKind::Invalid
                | FailureKind::Forbidden
                | FailureKind::Gone
                | FailureKind::Unavailable
                | FailureKind::Timeout
                | FailureKind::Unexpected => None,
            },
            Self::UnknownContext { .. }
            | Self::InvalidKubeconfig { .. }
            | Self::BlankIdentity { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::Answer { .. } => None,
        }
    }

    /// Returns class and whole chain, for an outcome.
    pub fn to_failure(&self) -> Failure {
        Failure {
            kind: self.kind(),
            message: chain(self),
        }
    }
}

/// Joins an error and its causes into one line, leaving out causes that their parent already quotes.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !last.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
            last = words;
        }
        next = cause.source();
    }
    text
}

/// Returns the words of the innermost cause: of a connection that did not come about or broke, it says most, and what is
/// around it names layers of libraries.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let words = last.to_string();
    // A library sends whoever programs with it to its manual.
    match words.split_once(": https://docs.rs/") {
        Some((words, _)) => words.to_owned(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_broken_connection_the_innermost_words_are_said_without_the_manual_of_a_library() {
        let closed = "peer closed connection without sending TLS close_notify";
        let manual =
            format!("{closed}: https://docs.rs/rustls/latest/rustls/manual/index.html#unexpected-eof");
        let inner = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, manual);
        let outer = ClientError::Connect {
            server: "https://hub.example".to_owned(),
            source: inner.into(),
        };
        assert_eq!(innermost(&outer), closed);
        assert_eq!(innermost(&std::io::Error::other("no route")), "no route");
    }
}
