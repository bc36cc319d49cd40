//! What a pass sends, and what it learns from the answers.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Operator;
use super::events::{Note, Tone};
use super::metrics::KindLabels;
use super::pass::PassError;
use super::release::with_finalizer;
use crate::api::labels;
use crate::apply::{self, KeySource};
use crate::client::{self, EventType, chain};
use crate::object::{Kind, Object, ObjectId};
use crate::plan::{ActionResult, ApprovedPlan, Outcome};

/// What an Event says that we did.
const EVENT_ACTION: &str = "Reconcile";

impl Operator {
    /// Executes an approved plan, takes the answers in, and logs each change.
    ///
    /// *Effects*: one write for each action; nothing for an empty plan.
    pub(super) async fn run(&self, approved: &ApprovedPlan) -> Outcome {
        if approved.is_empty() {
            return Outcome::default();
        }
        let options = apply::Options {
            manager: labels::OPERATOR_MANAGER,
            parallelism: apply::CHILDREN_PARALLELISM,
            deadline: None,
        };
        let keys = KeySource::at(Timestamp::now());
        // A pass that has begun may end: being told to stop only means that no other begins.
        let never = CancellationToken::new();
        let outcome = apply::run(&self.options.client, approved, &options, keys, None, &never).await;
        for (id, result) in &outcome.results {
            self.learn(approved, id, result);
        }
        outcome
    }

    fn learn(&self, approved: &ApprovedPlan, id: &ObjectId, result: &ActionResult) {
        match result {
            ActionResult::Done { live } => {
                self.count_write(id.kind);
                let reason = approved.plan().actions().find(|action| action.id == *id);
                tracing::info!(object = %id, reason = reason.map(|action| action.reason.as_str()), "written");
                if let Some(live) = live {
                    self.take_in(live.clone());
                }
            }
            ActionResult::Foreign { owner } => {
                tracing::warn!(object = %id, owner, "not written: it is not ours");
            }
            ActionResult::Skipped { because } => tracing::debug!(object = %id, because, "not written"),
            ActionResult::Failed(failure) => {
                tracing::warn!(object = %id, error = failure.message, "not written");
            }
            ActionResult::Unknown(failure) => {
                tracing::warn!(object = %id, error = failure.message, "written or not: no answer came");
            }
        }
    }

    /// Takes in what the server answered, without asking for another pass: the one that wrote it goes on.
    fn take_in(&self, live: Object) {
        self.store().objects.note(live);
    }

    /// Returns the cluster with our finalizer on it: nothing is made that could be left behind unnoticed.
    ///
    /// *Effects*: one write if it is not there.
    pub(super) async fn ensure_finalizer(
        &self,
        key: &ObjectId,
        cluster: Object,
    ) -> Result<Object, PassError> {
        let Some(metadata) = with_finalizer(&cluster) else {
            return Ok(cluster);
        };
        let uid = cluster.uid().unwrap_or_default();
        // The list is sent whole, so it must be the list that was looked at.
        let version = cluster.resource_version();
        let patched = self
            .options
            .client
            .patch_metadata(key, uid, version, &metadata, labels::OPERATOR_MANAGER)
            .await
            .map_err(PassError::Finalizer)?;
        self.count_write(key.kind);
        self.take_in(patched.clone());
        Ok(patched)
    }

    /// Writes the status of an object as a whole.
    ///
    /// *Effects*: one write.
    pub(super) async fn write_status(&self, object: &Object, status: &Value) -> Result<(), PassError> {
        let Some(id) = object.id() else { return Ok(()) };
        let uid = object.uid().unwrap_or_default();
        let patched = self
            .options
            .client
            .patch_status(&id, uid, status, labels::OPERATOR_MANAGER)
            .await
            .map_err(PassError::Status)?;
        self.count_write(id.kind);
        self.take_in(patched);
        Ok(())
    }

    /// Writes Events. One that cannot be written is logged and lost: what it says is in the status too.
    ///
    /// *Effects*: one write each.
    pub(super) async fn write_events(&self, object: &Object, notes: &[Note]) {
        let (Some(id), Some(uid)) = (object.id(), object.uid()) else {
            return;
        };
        for note in notes {
            let event = client::Note {
                regarding: &id,
                uid,
                event_type: match note.tone {
                    Tone::Normal => EventType::Normal,
                    Tone::Warning => EventType::Warning,
                },
                reason: &note.reason,
                action: EVENT_ACTION,
                note: &note.message,
            };
            let written = self
                .options
                .client
                .create_event(&event, &self.options.instance, Timestamp::now())
                .await;
            match written {
                Ok(()) => self
                    .metrics
                    .writes
                    .get_or_create(&KindLabels { kind: "Event" })
                    .inc(),
                Err(error) => {
                    tracing::warn!(reason = note.reason, error = chain(&error), "an event is lost");
                    0
                }
            };
        }
    }

    fn count_write(&self, kind: Kind) {
        self.metrics
            .writes
            .get_or_create(&KindLabels { kind: kind.kind })
            .inc();
    }
}
