//! The controller process: leads or waits, runs what decides, answers probes, stops when told to.
//!
//! [`ControllerOptions`] -> a process that runs until a signal or until it has lost the lease.
//!
//! **Invariants:** nothing is decided before the lease is held; watching and answering probes begin at once, so that a
//! process that waits for the lease is ready to take over. Everything that runs here ends with one stop token.

mod election;
pub mod http;
pub mod lease;
mod signals;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use election::Election;
use election::Elector;
use http::Probes;
use signals::Signals;

use crate::client::Client;
use crate::hosted::Reach;
use crate::operator::{Operator, OperatorOptions};
use crate::render::Settings;

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
    let operator = Operator::new(OperatorOptions {
        client: options.client.clone(),
        namespaces: options.namespaces,
        settings: options.settings,
        reach: options.reach,
        concurrency: options.concurrency.unwrap_or_else(default_concurrency),
        instance: options.instance,
    });
    let mut registry = Registry::default();
    operator.metrics().register(&mut registry);
    let probes = Probes {
        is_ready: operator.is_ready(),
        registry: Arc::new(Mutex::new(registry)),
    };

    // Ends with this function, however it ends.
    let ended = stop.child_token();
    let _end = ended.clone().drop_guard();
    let tasks = TaskTracker::new();
    tasks.spawn(operator.clone().watch(ended.clone()));
    // What follows Git repositories is started here too: it watches now, and decides where the operator works.
    let serve = async {
        match listener {
            Some(listener) => http::serve(listener, probes, ended.clone())
                .await
                .map_err(ServerError::Serve),
            None => std::future::pending().await,
        }
    };
    let lead = lead(options.client, options.election, operator, stop.clone());
    tokio::select! {
        served = serve => served,
        led = lead => led,
    }
}

/// Waits for the lease, works, and gives it back.
async fn lead(
    client: Client,
    election: Option<Election>,
    operator: Arc<Operator>,
    stop: CancellationToken,
) -> Result<(), ServerError> {
    let Some(election) = election else {
        work(&operator, &stop).await;
        return Ok(());
    };
    let mut elector = Elector::new(&client, election);
    tokio::select! {
        () = elector.acquire() => {}
        () = stop.cancelled() => return Ok(()),
    }
    tokio::select! {
        () = work(&operator, &stop) => {}
        // What was begun is dropped in the middle: every write carries its own precondition.
        () = elector.keep() => return Err(ServerError::LeaseLost),
    }
    elector.vacate().await;
    Ok(())
}

async fn work(operator: &Arc<Operator>, stop: &CancellationToken) {
    let working = operator.work(stop.clone());
    tokio::pin!(working);
    tokio::select! {
        () = &mut working => return,
        () = stop.cancelled() => {}
    }
    if timeout(GRACE, working).await.is_err() {
        tracing::warn!("some passes did not end in time");
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
