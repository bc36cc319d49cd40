//! What a status is made of.

use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::cluster_parts::{ServiceType, StorageType};
use crate::api::cluster_status::{Endpoint, HeldStatus};
use crate::api::{ClusterSpec, ClusterStatus, Pins};
use crate::pki::KeyPurpose;
use crate::plan::{Outcome, Plan};
use crate::render::{Facts, Stalled};

/// Everything the status of one cluster depends on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    pub spec: &'a ClusterSpec,
    /// The facts after the pass: what it wrote is among them.
    pub facts: &'a Facts,
    pub previous: Option<&'a ClusterStatus>,
    /// What the renderer decided, or why it did not.
    pub wanted: Result<Wanted, Stalled>,
    /// The plan of the pass and what came of it; an empty plan when nothing differed.
    pub plan: &'a Plan,
    pub outcome: &'a Outcome,
    pub availability: Availability,
    pub now: Timestamp,
}

/// What the renderer decided, as far as a status repeats or judges it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The version in effect.
    pub version: String,
    pub replicas: i32,
    /// Members of etcd; 0 when another storage is used.
    pub etcd_members: i32,
    /// What goes on among the members of etcd, as a sentence without full stop.
    pub etcd_step: Option<String>,
    pub storage: StorageType,
    pub service: ServiceType,
    /// `Err` says what is waited for, as a phrase that follows "waiting for".
    pub endpoint: Result<Endpoint, String>,
    pub pins: Pins,
    /// Keys that must be there.
    pub keys: BTreeSet<KeyPurpose>,
    /// How long before its end a certificate should have been renewed.
    pub renew_before: SignedDuration,
    pub held: Vec<HeldStatus>,
}

/// Whether the hosted cluster's own API answered, asked after the pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    Answers,
    /// It was asked and did not answer; why, as a phrase without full stop.
    Silent(String),
    /// It was not asked; why, as a phrase without full stop.
    NotAsked(String),
}
