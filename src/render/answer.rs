//! What render says about each object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fill::Fill;
use crate::object::{Object, ObjectId};
use crate::pki::{Issue, KeyPurpose};

/// Answers for every object a cluster could ever have, by identity.
pub type Answers = BTreeMap<ObjectId, Answer>;

/// What is to happen to one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It should exist and look like this.
    Want(Desired),
    /// It should not exist any more. The only answer that deletes.
    Drop { why: String },
    /// Leave it as it is, there or not, until what is named has happened.
    Keep { waiting_on: String },
}

impl Answer {
    /// The object, when all of it is known.
    pub(super) fn object(&self) -> Option<&Object> {
        match self {
            Self::Want(Desired::Object(object)) => Some(object),
            Self::Want(
                Desired::Key { .. }
                | Desired::Filled { .. }
                | Desired::Grown { .. }
                | Desired::Metadata { .. }
                | Desired::AsItIs,
            )
            | Self::Drop { .. }
            | Self::Keep { .. } => None,
        }
    }

    pub(super) fn object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Self::Want(Desired::Object(object)) => Some(object),
            Self::Want(
                Desired::Key { .. }
                | Desired::Filled { .. }
                | Desired::Grown { .. }
                | Desired::Metadata { .. }
                | Desired::AsItIs,
            )
            | Self::Drop { .. }
            | Self::Keep { .. } => None,
        }
    }
}

/// An object that should exist.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired {
    /// A complete object, sent as it is.
    Object(Object),
    /// A Secret whose bytes are made where it is written. `secret` holds everything but the data.
    Key {
        purpose: KeyPurpose,
        secret: Object,
        issue: Issue,
    },
    /// A Secret that is filled with a value of another one where it is written. `secret` holds everything but the
    /// data; a digest of the rest of it is among the annotations.
    Filled { secret: Object, fill: Fill },
    /// A claim that exists and is to have this size.
    Grown { size: String },
    /// An object of ours that exists and keeps its content, and whose metadata is to be this (pins, labels, owner).
    ///
    /// *Shape*: a JSON merge patch of `metadata`; nothing is sent when the live metadata holds it already. A Secret's
    /// data is never part of an apply: a server-side apply without `data` would take the keys away.
    Metadata { patch: Value },
    /// Nothing to do: it exists and is right (a key that is neither to be renewed nor annotated).
    AsItIs,
}

/// A reason that a whole cluster is not rendered: what a person must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stalled {
    /// One word, stable: `NotSupported`, `InvalidSpec`, `LeftoverVolume`, ...
    pub reason: String,
    pub message: String,
}
