//! Takes, keeps and gives back the lease that [`super::decide`] decides about.

use std::fmt;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::decide::{Decision, Moment, Params, View, decide};
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
    /// Field manager of the writes.
    pub manager: &'static str,
    pub params: Params,
}

/// Who holds a lease, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    /// RFC 3339, by the holder's own clock.
    pub since: Option<String>,
}

/// For sentences: `alice@laptop, pid 12, since 2026-01-01T00:00:00Z`.
impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.since {
            Some(since) => write!(formatter, "{}, since {since}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// What came of asking for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours, and nobody had it.
    Held,
    /// It is ours, after another that had it.
    HeldAfter(Holder),
    /// Somebody else has it still.
    Refused(Holder),
}

/// How asking for a lease begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    Look,
    /// As it was found a moment ago: one request less if it was free and nobody has taken it since.
    Found(Found),
    /// Where there is probably none yet: one request less if so, and one more if not.
    Create,
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

/// The version of a lease that the server had.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    uid: String,
    resource_version: String,
    transitions: i64,
    acquired: Option<String>,
}

impl Stored {
    fn of(live: &Object) -> Option<Self> {
        Some(Self {
            uid: live.uid()?.to_owned(),
            resource_version: live.resource_version()?.to_owned(),
            transitions: live.integer("/spec/leaseTransitions").unwrap_or(0),
            acquired: said(live, "/spec/acquireTime"),
        })
    }
}

/// Returns a text that is there and not empty.
fn said(live: &Object, pointer: &str) -> Option<String> {
    let text = live.text(pointer).filter(|text| !text.is_empty());
    text.map(str::to_owned)
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

    /// Asks for the lease for as long as `wait`; `waiting` hears of each holder that is waited for.
    ///
    /// *Errors*: what the server refuses at once; that it cannot be reached only after a while.
    /// *Effects*: one read a look; one write to claim.
    pub async fn claim(
        &mut self,
        first: First,
        wait: Duration,
        mut waiting: impl FnMut(&Holder),
    ) -> Result<Claim, ClientError> {
        let begun = self.now();
        let patience = begun + wait.max(self.election.params.duration);
        let mut before: Option<Holder> = None;
        let mut asked = match first {
            First::Found(found) if found.holder.is_none() => {
                self.view.seen = self.now();
                self.stored = Some(found.stored);
                Ok(())
            }
            First::Look | First::Found(_) => self.look().await,
            // What is not known yet is taken for free, and a write then finds out.
            First::Create => Ok(()),
        };
        loop {
            if let Err(error) = asked {
                if !is_passing(&error) || self.now() >= patience {
                    return Err(error);
                }
                sleep(self.election.params.look_every).await;
                asked = self.look().await;
                continue;
            }
            match self.decision() {
                Decision::Acquire => asked = self.write_or_look().await,
                Decision::Wait(until) => {
                    let holder = self.holder();
                    if self.now() >= begun + wait {
                        return Ok(Claim::Refused(holder));
                    }
                    if before.as_ref() != Some(&holder) {
                        waiting(&holder);
                    }
                    before = Some(holder);
                    sleep(until.min(begun + wait).saturating_sub(self.now())).await;
                    asked = self.look().await;
                }
                Decision::Renew | Decision::Lost => return Ok(before.map_or(Claim::Held, Claim::HeldAfter)),
            }
            if self.view.held_since.is_some() {
                return Ok(before.map_or(Claim::Held, Claim::HeldAfter));
            }
        }
    }

    fn holder(&self) -> Holder {
        Holder {
            name: self.view.holder.clone().unwrap_or_default(),
            since: self.stored.as_ref().and_then(|stored| stored.acquired.clone()),
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
        let mut given = self.give_back().await;
        // A renewal whose answer was not waited for has made another version of it.
        if given.as_ref().is_err_and(is_conflict) {
            given = match self.look().await {
                Ok(()) if self.view.holder.as_ref() == Some(&self.election.identity) => {
                    self.give_back().await
                }
                looked => looked,
            };
        }
        self.log_failure(given, "cannot give the lease back");
    }

    async fn give_back(&self) -> Result<(), ClientError> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let body = self.body("", Some(stored), stored.transitions);
        self.apply(&body, &stored.uid).await.map(|_| ())
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
        let written = self.write_or_look().await;
        self.log_failure(written, "cannot write the lease")
    }

    async fn write_or_look(&mut self) -> Result<(), ClientError> {
        let written = self.write().await;
        if written.as_ref().is_err_and(is_conflict) {
            return self.look().await;
        }
        written
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
                .create_only(&body, None, self.election.manager)
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
            .apply(body, None, uid, self.election.manager, Conflicts::Force)
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
        self.view.seen = self.now();
        self.view.holder = live.and_then(|live| said(live, "/spec/holderIdentity"));
        self.view.duration = live
            .and_then(|live| live.integer("/spec/leaseDurationSeconds"))
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.election.params.duration, Duration::from_secs);
        self.stored = live.and_then(Stored::of);
    }
}

fn is_conflict(error: &ClientError) -> bool {
    matches!(error.kind(), FailureKind::Conflict { .. })
}

/// Says whether asking again may help.
fn is_passing(error: &ClientError) -> bool {
    match error.kind() {
        FailureKind::Unavailable | FailureKind::Timeout => true,
        FailureKind::NotFound
        | FailureKind::Conflict { .. }
        | FailureKind::AlreadyExists
        | FailureKind::Invalid
        | FailureKind::Forbidden
        | FailureKind::Gone
        | FailureKind::Unexpected => false,
    }
}

/// A lease as it was found, by somebody who does not take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `None`: it was given back.
    pub holder: Option<Holder>,
    /// RFC 3339: when the holder last said that it is there, by its own clock.
    pub renewed: Option<String>,
    stored: Stored,
}

/// Looks at a lease; `None` when there is none.
///
/// *Effects*: one GET.
pub async fn find(client: &Client, id: &ObjectId) -> Result<Option<Found>, ClientError> {
    let live = client.get(id).await?;
    Ok(live.and_then(|live| {
        let stored = Stored::of(&live)?;
        Some(Found {
            holder: said(&live, "/spec/holderIdentity").map(|name| Holder {
                name,
                since: stored.acquired.clone(),
            }),
            renewed: said(&live, "/spec/renewTime"),
            stored,
        })
    }))
}

/// Takes a lease away from whoever holds it, if it is still as it was found. A holder that lives notices.
///
/// *Errors*: a conflict when it was renewed or given back meanwhile.
/// *Effects*: one write.
pub async fn take_away(
    client: &Client,
    id: &ObjectId,
    found: &Found,
    manager: &str,
) -> Result<(), ClientError> {
    let body = Object(json!({
        "apiVersion": kinds::LEASE.api_version(),
        "kind": kinds::LEASE.kind,
        "metadata": {
            "namespace": id.namespace, "name": id.name, "resourceVersion": found.stored.resource_version,
        },
        "spec": { "holderIdentity": "" },
    }));
    let applied = client.apply(&body, None, &found.stored.uid, manager, Conflicts::Force);
    applied.await.map(|_| ())
}
