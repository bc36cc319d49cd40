//! Follows Git repositories, or a local directory, and keeps the clusters of a fleet as its files say.
//!
//! A FleetSync (or a path) -> commit -> plan -> approved as far as its ceilings allow -> apply -> status (or log).
//!
//! **Invariants:** nothing is deleted here unless the limits of a sync let it, which those of no FleetSync can yet. A
//! source that cannot be read changes nothing but the status. Whatever is read or written for a sync is read and written
//! as the ServiceAccount that it names; only its own status and Events are not. A look that finds the same commit sends
//! no request to the API server.

mod carry;
mod ceiling;
mod directory;
mod metrics;
mod order;
mod pass;
mod reason;
mod report;
mod rivals;
mod source;
mod store;
mod watching;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::client::Client;
use crate::load::Cache;
use crate::load::git::FileSources;
use crate::object::ObjectId;
use crate::plan::Fights;
use crate::queue::{Next, Queue, When};
use crate::render::Settings;
use metrics::PollLabels;
use pass::Passed;
use source::Repositories;
use store::Store;

pub use directory::{DirectoryOptions, follow_directory};
pub use metrics::{Ended, Metrics};

/// Fleets worked on at once: each may send many requests of its own.
const CONCURRENCY: usize = 8;

/// What the syncs are told from outside.
pub struct SyncOptions {
    pub client: Client,
    /// Where FleetSyncs are looked for; empty: everywhere.
    pub namespaces: Vec<String>,
    /// Where fetched objects are kept.
    pub cache: Cache,
    pub file_sources: FileSources,
    /// Namespace of what this hub remembers of its fleets.
    pub parent_namespace: String,
    /// How the operator of this hub is set: what a change does to pods is computed with it.
    pub settings: Settings,
    /// Name of this process in Events.
    pub instance: String,
}

/// All syncs. Watching and working are two futures, so that a process can watch before it may work.
pub struct Syncs {
    options: Options,
    repositories: Arc<Repositories>,
    store: Mutex<Store>,
    queue: Queue<ObjectId>,
    metrics: Metrics,
    /// Fields that somebody else takes back.
    fights: Arc<Mutex<Fights>>,
    ready: watch::Sender<bool>,
    tasks: TaskTracker,
}

/// [`SyncOptions`] without what has an owner of its own.
struct Options {
    client: Client,
    namespaces: Vec<String>,
    file_sources: FileSources,
    parent_namespace: String,
    settings: Settings,
    instance: String,
}

impl Syncs {
    pub fn new(options: SyncOptions) -> Arc<Self> {
        let SyncOptions {
            client,
            namespaces,
            cache,
            file_sources,
            parent_namespace,
            settings,
            instance,
        } = options;
        Arc::new(Self {
            options: Options {
                client,
                namespaces,
                file_sources,
                parent_namespace,
                settings,
                instance,
            },
            repositories: Arc::new(Repositories::new(cache)),
            store: Mutex::default(),
            queue: Queue::default(),
            metrics: Metrics::default(),
            fights: Arc::default(),
            ready: watch::channel(false).0,
            tasks: TaskTracker::new(),
        })
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A pass that panics does not hold it: passes copy what they need.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches until `stop`. Writes nothing.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        watching::run(&self, stop).await;
    }

    /// Works until `stop`, then lets the passes that have begun end. Dropping the future ends them at once.
    pub async fn work(self: &Arc<Self>, stop: CancellationToken) {
        let mut is_ready = self.ready.subscribe();
        tokio::select! {
            read = is_ready.wait_for(|is_ready| *is_ready) => if read.is_err() { return },
            () = stop.cancelled() => return,
        }
        let mut passes = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = passes.join_next(), if !passes.is_empty() => {}
                key = self.queue.take(), if passes.len() < CONCURRENCY => {
                    passes.spawn(self.clone().pass(key, stop.clone()));
                }
            }
        }
        while passes.join_next().await.is_some() {}
    }

    /// Works on one sync, whatever happens in it.
    async fn pass(self: Arc<Self>, key: ObjectId, stop: CancellationToken) {
        let begun = Instant::now();
        let span = tracing::info_span!("sync", namespace = key.namespace, name = key.name);
        // A panic is a bug of ours about one fleet; the others go on.
        let passed = AssertUnwindSafe(self.look(&key, &stop))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        let Passed { next, ended } = passed.unwrap_or_else(|_| {
            let _entered = span.enter();
            tracing::error!("the pass panicked and is tried again; this is a bug, please report it");
            Passed {
                next: Next::Retry,
                ended: Ended::Panicked,
            }
        });
        self.queue.finish(&key, next);
        self.metrics
            .polls
            .get_or_create(&PollLabels { result: ended })
            .inc();
        self.metrics.poll_seconds.observe(begun.elapsed().as_secs_f64());
        let syncs = self.store().syncs();
        self.metrics.syncs.set(i64::try_from(syncs).unwrap_or(i64::MAX));
    }

    fn ask_all(&self) {
        let claims = self.store().claims();
        for claim in claims {
            self.queue.ask(claim.sync, When::Settled);
        }
    }
}

#[cfg(test)]
mod laws;
