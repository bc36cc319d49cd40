//! The operator: watches what is there, and brings every cluster to what its object says.
//!
//! Changes on the server -> keys in a queue -> one pass for each key at a time.
//!
//! **Invariants:** a pass gets a key, never an event, so that what woke it does not matter. No pass runs before every
//! watch has had a whole list. No worker sleeps until something may have changed: what must be looked at again is asked
//! for again. A write alone may take moments: one that a busy server puts off, or a StatefulSet that is made again.
//! Nothing destructive is decided from an absence in the store.

mod classes;
mod events;
mod holders;
mod leaving;
mod looking;
mod members;
mod metrics;
mod pass;
mod release;
mod reporting;
mod rivals;
mod sources;
mod tokens;
mod watching;
mod writing;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::api::labels;
use crate::client::{Client, chain};
use crate::etcd::Asked;
use crate::hosted::{Dialer, Reach};
use crate::object::{Cache, Kind, ObjectId, kinds};
use crate::observe::{CHILDREN, Nodes};
use crate::pki::{Given, KeyPurpose};
use crate::plan::Fights;
use crate::queue::{Next, Queue};
use crate::render::Settings;
use classes::Classes;
use holders::Protected;
use looking::Look;
use metrics::PassLabels;
use pass::{PassError, Passed};
use sources::Sources;

pub use metrics::{Ended, Metrics};

/// What an operator is told from outside.
pub struct OperatorOptions {
    pub client: Client,
    /// Empty: all.
    pub namespaces: Vec<String>,
    pub settings: Settings,
    /// From where control planes are dialled.
    pub reach: Reach,
    /// Objects worked on at once, at least one.
    pub concurrency: usize,
    /// Name of this process in Events.
    pub instance: String,
}

/// One operator. Watching and working are two futures, so that a process can watch before it may work.
pub struct Operator {
    options: OperatorOptions,
    store: Mutex<Store>,
    queue: Queue<ObjectId>,
    metrics: Metrics,
    dialer: Dialer,
    /// The last look at each control plane.
    looks: Mutex<BTreeMap<ObjectId, Look>>,
    /// Etcds whose members could not be reached, and when that was found.
    unreachable: Mutex<BTreeMap<ObjectId, (std::time::Instant, Asked)>>,
    /// Secrets of users that clusters take a value from.
    sources: Sources,
    classes: Classes,
    /// Generations whose first status waits for a moment.
    deferred: Mutex<BTreeMap<ObjectId, i64>>,
    /// What the last look at the Secrets that users give told.
    given: Mutex<BTreeMap<ObjectId, BTreeMap<KeyPurpose, Given>>>,
    /// Fields that somebody else takes back.
    fights: Mutex<Fights>,
    protected: Protected,
    ready: watch::Sender<bool>,
}

/// What the watches told.
struct Store {
    /// Clusters, join tokens and children.
    objects: Cache,
    nodes: Nodes,
}

/// Says whether a kind has passes of its own.
fn is_root(kind: Kind) -> bool {
    kind == kinds::K0SMOTRON_CLUSTER || kind == kinds::K0SMOTRON_JOIN_TOKEN
}

impl Operator {
    pub fn new(options: OperatorOptions) -> Arc<Self> {
        Arc::new(Self {
            dialer: Dialer::new(&options.client, options.reach),
            looks: Mutex::default(),
            unreachable: Mutex::default(),
            sources: Sources::default(),
            classes: Classes::default(),
            deferred: Mutex::default(),
            given: Mutex::default(),
            fights: Mutex::default(),
            protected: Protected::default(),
            options,
            store: Mutex::new(Store {
                objects: Cache::new(labels::OPERATOR_MANAGER),
                nodes: Nodes::default(),
            }),
            queue: Queue::default(),
            metrics: Metrics::default(),
            ready: watch::channel(false).0,
        })
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Turns true once everything has been read for the first time.
    pub fn is_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A pass that panics does not hold it: passes copy what they need.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looks(&self) -> MutexGuard<'_, BTreeMap<ObjectId, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable(&self) -> MutexGuard<'_, BTreeMap<ObjectId, (std::time::Instant, Asked)>> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self) -> MutexGuard<'_, BTreeMap<ObjectId, BTreeMap<KeyPurpose, Given>>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deferred(&self) -> MutexGuard<'_, BTreeMap<ObjectId, i64>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fights(&self) -> MutexGuard<'_, Fights> {
        self.fights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches until `stop`. Writes nothing.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        watching::run(self, stop).await;
    }

    /// Works until `stop`, then lets the passes that have begun end. Dropping the future ends them at once.
    pub async fn work(self: &Arc<Self>, stop: CancellationToken) {
        let mut is_ready = self.is_ready();
        tokio::select! {
            read = is_ready.wait_for(|is_ready| *is_ready) => if read.is_err() { return },
            () = stop.cancelled() => return,
        }
        let mut passes = JoinSet::new();
        let holders = holders::keep(self, &stop);
        tokio::pin!(holders);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut holders => break,
                Some(_) = passes.join_next(), if !passes.is_empty() => {}
                key = self.queue.take(), if passes.len() < self.options.concurrency.max(1) => {
                    passes.spawn(self.clone().pass(key));
                }
            }
        }
        while passes.join_next().await.is_some() {}
    }

    /// Works on one key, whatever happens in it.
    async fn pass(self: Arc<Self>, key: ObjectId) {
        let begun = Instant::now();
        let span = tracing::info_span!("pass", kind = %key.kind, namespace = key.namespace, name = key.name);
        // A panic is a bug of ours about one object; the others go on.
        let passed = AssertUnwindSafe(self.reconcile(&key))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        let (next, result) = match passed {
            Ok(Ok(Passed { next, ended })) => (next, ended),
            Ok(Err(error)) => {
                let _entered = span.enter();
                tracing::warn!(error = chain(&error), "the pass failed and is tried again");
                (Next::Retry, Ended::Failed)
            }
            Err(_) => {
                let _entered = span.enter();
                tracing::error!("the pass panicked and is tried again; this is a bug, please report it");
                (Next::Retry, Ended::Panicked)
            }
        };
        self.queue.finish(&key, next);
        self.metrics.passes.get_or_create(&PassLabels { result }).inc();
        self.metrics.pass_seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics
            .queue_length
            .set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
    }

    async fn reconcile(&self, key: &ObjectId) -> Result<Passed, PassError> {
        if key.kind == kinds::K0SMOTRON_JOIN_TOKEN {
            self.reconcile_token(key).await
        } else {
            self.reconcile_cluster(key).await
        }
    }
}

#[cfg(test)]
mod tests;
