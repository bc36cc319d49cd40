//! The controller process: leads or waits, runs what decides, answers probes, stops when told to.
//!
//! [`ControllerOptions`] -> a process that runs until a signal or until it has lost the lease.
//!
//! **Invariants:** nothing is decided before the lease is held; watching and answering probes begin at once, so that a
//! process that waits for the lease is ready to take over. Everything that runs here ends with one stop token.

pub mod http;
pub mod publishing;
mod signals;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use http::Probes;
use signals::Signals;

use crate::api::fleet_sync::MaxImpact;
use crate::client::Client;
use crate::hosted::Reach;
use crate::lease::{Election, Elector};
use crate::load::Cache;
use crate::load::git::FileSources;
use crate::operator::{Operator, OperatorOptions};
use crate::render::{Published, Settings};
use crate::sync::{self, DirectoryOptions, SyncOptions, Syncs};

/// What has begun when the process is told to end may take this long to end. Kubernetes kills after 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Everything a controller process is told from outside.
pub struct ControllerOptions {
    pub client: Client,
    /// `None`: no other process can be there (a run outside the cluster), nothing is asked for.
    pub election: Option<Election>,
    /// Empty: all.
    pub namespaces: Vec<String>,
    /// Where probes and metrics are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    pub settings: Settings,
    /// From where control planes are dialled.
    pub reach: Reach,
    /// Objects worked on at once; `None`: four for each core.
    pub concurrency: Option<usize>,
    /// Name of this process in Events.
    pub instance: String,
    /// How FleetSyncs are followed; `None`: they are left alone.
    pub syncs: Option<FollowSyncs>,
    /// A directory of this machine that is followed as well.
    pub directory: Option<FollowDirectory>,
    /// Namespace of what this hub remembers of its fleets.
    pub parent_namespace: String,
    /// Where those who plan are told how this process renders; `None`: nowhere.
    pub published_in: Option<String>,
}

/// How FleetSyncs are followed.
pub struct FollowSyncs {
    /// Where fetched objects are kept.
    pub cache: Cache,
    pub file_sources: FileSources,
}

/// Which directory is followed, and how far.
pub struct FollowDirectory {
    pub path: PathBuf,
    pub max_impact: MaxImpact,
}

/// Everything that decides, ready to begin.
struct Workers {
    operator: Arc<Operator>,
    syncs: Option<Arc<Syncs>>,
    directory: Option<DirectoryOptions>,
    publishing: Option<Publishing>,
}

/// What is said of this process, and where.
struct Publishing {
    client: Client,
    published: Published,
    namespace: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot take over signals")]
    Signals(#[source] std::io::Error),
    #[error("serving probes and metrics ended")]
    Serve(#[source] std::io::Error),
    #[error("the lease is lost: another process leads now, or the API server could not be asked in time")]
    LeaseLost,
    #[error("a second signal came before everything had ended")]
    Aborted,
}

/// Runs the controller until SIGTERM or SIGINT.
///
/// *Errors*: what keeps it from starting; a lost lease; a second signal while it stops. The process must end then.
pub async fn run(options: ControllerOptions) -> Result<(), ServerError> {
    let mut signals = Signals::new().map_err(ServerError::Signals)?;
    let stop = CancellationToken::new();
    let work = run_until(options, stop.clone());
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => return ended,
        () = signals.next() => {}
    }
    tracing::info!("stops: what has begun may end");
    stop.cancel();
    tokio::select! {
        ended = &mut work => ended,
        () = signals.next() => Err(ServerError::Aborted),
    }
}

/// Runs the controller until `stop`.
///
/// *Errors*: as [`run`].
pub async fn run_until(options: ControllerOptions, stop: CancellationToken) -> Result<(), ServerError> {
    let listener = match options.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let (client, election) = (options.client.clone(), options.election.clone());
    let workers = Workers::new(options);
    let mut registry = Registry::default();
    workers.register(&mut registry);
    let probes = Probes {
        is_ready: workers.operator.is_ready(),
        registry: Arc::new(Mutex::new(registry)),
    };

    // Ends with this function, however it ends.
    let ended = stop.child_token();
    let _end = ended.clone().drop_guard();
    let tasks = TaskTracker::new();
    tasks.spawn(workers.operator.clone().watch(ended.clone()));
    if let Some(syncs) = &workers.syncs {
        tasks.spawn(syncs.clone().watch(ended.clone()));
    }
    let serve = async {
        match listener {
            Some(listener) => http::serve(listener, probes, ended.clone())
                .await
                .map_err(ServerError::Serve),
            None => std::future::pending().await,
        }
    };
    let lead = lead(client, election, workers, stop.clone());
    tokio::select! {
        served = serve => served,
        led = lead => led,
    }
}

/// Waits for the lease, works, and gives it back.
async fn lead(
    client: Client,
    election: Option<Election>,
    workers: Workers,
    stop: CancellationToken,
) -> Result<(), ServerError> {
    let Some(election) = election else {
        workers.work(&stop).await;
        return Ok(());
    };
    let mut elector = Elector::new(&client, election);
    tokio::select! {
        () = elector.acquire() => {}
        () = stop.cancelled() => return Ok(()),
    }
    tokio::select! {
        () = workers.work(&stop) => {}
        // What was begun is dropped in the middle: every write carries its own precondition.
        () = elector.keep() => return Err(ServerError::LeaseLost),
    }
    elector.vacate().await;
    Ok(())
}

impl Workers {
    fn new(options: ControllerOptions) -> Self {
        let ControllerOptions {
            client,
            election: _,
            namespaces,
            listen: _,
            settings,
            reach,
            concurrency,
            instance,
            syncs,
            directory,
            parent_namespace,
            published_in,
        } = options;
        let syncs = syncs.map(|FollowSyncs { cache, file_sources }| {
            Syncs::new(SyncOptions {
                client: client.clone(),
                namespaces: namespaces.clone(),
                cache,
                file_sources,
                parent_namespace: parent_namespace.clone(),
                settings: settings.clone(),
                instance: instance.clone(),
            })
        });
        let directory = directory.map(|FollowDirectory { path, max_impact }| DirectoryOptions {
            client: client.clone(),
            path,
            max_impact,
            parent_namespace,
            settings: settings.clone(),
            instance: instance.clone(),
        });
        let publishing = published_in.map(|namespace| Publishing {
            client: client.clone(),
            published: Published::of_this_program(&settings),
            namespace,
        });
        let operator = Operator::new(OperatorOptions {
            client,
            namespaces,
            settings,
            reach,
            concurrency: concurrency.unwrap_or_else(default_concurrency),
            instance,
        });
        Self {
            operator,
            syncs,
            directory,
            publishing,
        }
    }

    fn register(&self, registry: &mut Registry) {
        self.operator.metrics().register(registry);
        if let Some(syncs) = &self.syncs {
            syncs.metrics().register(registry);
        }
    }

    /// Works until `stop`, and gives what has begun some time to end.
    async fn work(self, stop: &CancellationToken) {
        let Self {
            operator,
            syncs,
            directory,
            publishing,
        } = self;
        let follow_syncs = async {
            if let Some(syncs) = &syncs {
                syncs.work(stop.clone()).await;
            }
        };
        let follow_directory = async {
            if let Some(directory) = directory {
                sync::follow_directory(directory, stop.clone()).await;
            }
        };
        let publish = async {
            if let Some(Publishing {
                client,
                published,
                namespace,
            }) = &publishing
            {
                publishing::keep(client, published, namespace, stop).await;
            }
        };
        let working = async {
            tokio::join!(
                operator.work(stop.clone()),
                follow_syncs,
                follow_directory,
                publish
            )
        };
        tokio::pin!(working);
        tokio::select! {
            _ = &mut working => return,
            () = stop.cancelled() => {}
        }
        if timeout(GRACE, working).await.is_err() {
            tracing::warn!("some passes did not end in time");
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = http::bind(address).await;
    let listener = listener.map_err(|source| ServerError::Listen { address, source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serves probes and metrics");
    }
    Ok(listener)
}

fn default_concurrency() -> usize {
    4 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
