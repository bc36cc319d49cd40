//! Takes, keeps and gives back the lease that [`super::lease`] decides about.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use super::lease::{Decision, Moment, Params, View, decide};
use crate::api::labels;
use crate::client::{Client, ClientError, Conflicts, Created, chain};
use crate::object::{Object, ObjectId, kinds};
use crate::plan::FailureKind;

/// Which lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct Election {
    pub namespace: String,
    pub name: String,
    /// Of this very process: two lives of one pod have two identities.
    pub identity: String,
    pub params: Params,
}

/// One process's part in an election.
pub struct Elector {
    client: Client,
    election: Election,
    id: ObjectId,
    view: View,
    /// What the next write must find.
    stored: Option<Stored>,
    start: Instant,
}

struct Stored {
    uid: String,
    resource_version: String,
    transitions: i64,
    acquired: Option<String>,
}

impl Elector {
    pub fn new(client: &Client, election: Election) -> Self {
        let view = View {
            holder: None,
            duration: election.params.duration,
            seen: Moment::ZERO,
            held_since: None,
        };
        Self {
            // Several attempts must fit before the claim ends.
            client: client.with_deadline(election.params.duration / 5),
            id: ObjectId::new(kinds::LEASE, &election.namespace, &election.name),
            election,
            view,
            stored: None,
            start: Instant::now(),
        }
    }

    fn now(&self) -> Moment {
        self.start.elapsed()
    }

    fn decision(&self) -> Decision {
        decide(
            self.now(),
            &self.view,
            &self.election.identity,
            &self.election.params,
        )
    }

    /// Returns once this process leads. Errors of the server are logged and waited out.
    ///
    /// *Effects*: one read a look; one write to claim.
    pub async fn acquire(&mut self) {
        let mut is_read = self.attempt_look().await;
        loop {
            match self.decision() {
                Decision::Acquire if is_read => is_read = self.attempt_write().await,
                Decision::Acquire => is_read = self.pause_and_look().await,
                Decision::Wait(until) => {
                    sleep(until.saturating_sub(self.now())).await;
                    is_read = self.attempt_look().await;
                }
                // Only a holder gets these: the claim just now has succeeded.
                Decision::Renew | Decision::Lost => return,
            }
            if self.view.held_since.is_some() {
                tracing::info!(lease = %self.id, identity = self.election.identity, "leads");
                return;
            }
        }
    }

    /// Renews until the lease is lost, and returns then. The process must end.
    ///
    /// *Effects*: one write every third of the duration.
    pub async fn keep(&mut self) {
        loop {
            match self.decision() {
                Decision::Wait(until) => sleep(until.saturating_sub(self.now())).await,
                Decision::Renew => {
                    if !self.attempt_write().await {
                        self.pause_and_look().await;
                    }
                }
                Decision::Acquire | Decision::Lost => return,
            }
        }
    }

    /// Gives the lease back, so that another process need not wait. Failing only means that it waits.
    ///
    /// *Effects*: one write if this process leads.
    pub async fn vacate(&mut self) {
        if self.view.held_since.take().is_none() {
            return;
        }
        if let Some(stored) = &self.stored {
            let body = self.body("", Some(stored), stored.transitions);
            if let Err(error) = self.apply(&body, &stored.uid).await {
                tracing::warn!(lease = %self.id, error = chain(&error), "cannot give the lease back");
            }
        }
    }

    async fn pause_and_look(&mut self) -> bool {
        sleep(self.election.params.look_every.min(Duration::from_secs(1))).await;
        self.attempt_look().await
    }

    async fn attempt_look(&mut self) -> bool {
        let looked = self.look().await;
        self.log_failure(looked, "cannot read the lease")
    }

    /// Claims or renews. A conflict means that somebody was faster, or that an answer of ours was lost: read again.
    async fn attempt_write(&mut self) -> bool {
        let is_conflict = |error: &ClientError| matches!(error.kind(), FailureKind::Conflict { .. });
        let mut written = self.write().await;
        if written.as_ref().is_err_and(is_conflict) {
            written = self.look().await;
        }
        self.log_failure(written, "cannot write the lease")
    }

    fn log_failure(&self, result: Result<(), ClientError>, message: &'static str) -> bool {
        if let Err(error) = &result {
            tracing::warn!(lease = %self.id, error = chain(error), "{message}");
        }
        result.is_ok()
    }

    async fn look(&mut self) -> Result<(), ClientError> {
        let read = self.client.get(&self.id).await?;
        self.note(read.as_ref());
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ClientError> {
        let sent = self.now();
        let me = self.election.identity.clone();
        let transitions = match &self.stored {
            None => 0,
            Some(stored) if self.view.holder.as_deref() == Some(me.as_str()) => stored.transitions,
            Some(stored) => stored.transitions + 1,
        };
        let body = self.body(&me, self.stored.as_ref(), transitions);
        let live = match &self.stored {
            Some(stored) => self.apply(&body, &stored.uid).await?,
            None => match self
                .client
                .create_only(&body, None, labels::OPERATOR_MANAGER)
                .await?
            {
                Created::New(live) => live,
                Created::Exists => return self.look().await,
            },
        };
        self.note(Some(&live));
        self.view.held_since = Some(sent);
        Ok(())
    }

    async fn apply(&self, body: &Object, uid: &str) -> Result<Object, ClientError> {
        self.client
            .apply(body, None, uid, labels::OPERATOR_MANAGER, Conflicts::Force)
            .await
    }

    fn body(&self, holder: &str, stored: Option<&Stored>, transitions: i64) -> Object {
        let now = format!("{:.6}", Timestamp::now());
        let is_new = self.view.held_since.is_none() && !holder.is_empty();
        let acquired = stored
            .and_then(|stored| stored.acquired.clone())
            .filter(|_| !is_new);
        let mut body = json!({
            "apiVersion": kinds::LEASE.api_version(),
            "kind": kinds::LEASE.kind,
            "metadata": { "namespace": self.id.namespace, "name": self.id.name },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": self.election.params.duration.as_secs().max(1),
                "acquireTime": acquired.unwrap_or_else(|| now.clone()),
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        });
        if let Some(stored) = stored {
            body["metadata"]["resourceVersion"] = stored.resource_version.clone().into();
        }
        Object(body)
    }

    /// Takes in what the server has. Only another version than the one known is news.
    fn note(&mut self, live: Option<&Object>) {
        let version = live.and_then(Object::resource_version);
        let known = self
            .stored
            .as_ref()
            .map(|stored| stored.resource_version.as_str());
        if version == known && (version.is_some() || self.view.holder.is_none()) {
            return;
        }
        let text = |pointer: &str| live.and_then(|live| live.text(pointer));
        self.view.seen = self.now();
        self.view.holder = text("/spec/holderIdentity")
            .filter(|holder| !holder.is_empty())
            .map(str::to_owned);
        self.view.duration = live
            .and_then(|live| live.integer("/spec/leaseDurationSeconds"))
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.election.params.duration, Duration::from_secs);
        self.stored = live.and_then(|live| {
            Some(Stored {
                uid: live.uid()?.to_owned(),
                resource_version: live.resource_version()?.to_owned(),
                transitions: live.integer("/spec/leaseTransitions").unwrap_or(0),
                acquired: live.text("/spec/acquireTime").map(str::to_owned),
            })
        });
    }
}
