//! A directory of this machine that is followed: the same way as a FleetSync, with a log in place of a status.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::carry::{self, CarryError, Settings, holder};
use super::order::Limits;
use super::store::PLAN_AGAIN;
use crate::api::fleet_sync::MaxImpact;
use crate::client::{Client, chain};
use crate::compose::{self, Reading};
use crate::diagnostic::{Severity, SourceTree};
use crate::fleet::{Access, OperatorSource};
use crate::load::{self, LoadError, Watch};
use crate::plan::Fights;
use crate::render;

/// For one plan and apply.
const TIMEOUT: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is followed, and how far.
pub struct DirectoryOptions {
    /// Everything is read and written as who this is: the directory belongs to whoever runs the process.
    pub client: Client,
    pub path: PathBuf,
    pub max_impact: MaxImpact,
    /// Namespace of what this hub remembers of its fleets.
    pub parent_namespace: String,
    /// How the operator of this hub is set.
    pub settings: render::Settings,
    /// Name of this process.
    pub instance: String,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the directory cannot be read")]
    Load(#[source] LoadError),
    #[error("the Fleet in the files has errors, so what it guards is not known")]
    BrokenFleet,
    #[error("there is no fleet.yaml with an id; `k0smotron-fleet init` writes one")]
    NoFleetId,
    #[error("the fleet cannot be applied")]
    Carry(#[source] CarryError),
    #[error("some clusters were not written")]
    Incomplete,
    #[error("reading the directory failed unexpectedly; this is a bug, please report it")]
    Panicked,
}

/// Follows a directory until `stop`. Never fails: what is wrong is logged and tried again.
///
/// *Effects*: a plan at first, after every change of a file, and every ten minutes; one write for each difference.
pub async fn follow_directory(options: DirectoryOptions, stop: CancellationToken) {
    let span = tracing::info_span!("directory", path = %options.path.display());
    let follow = tracing::Instrument::instrument(follow(&options, &stop), span);
    tokio::select! {
        () = follow => {}
        // The apply below has the token too, and ends what it has begun.
        () = after(&stop) => {}
    }
}

/// Returns some time after `stop`: what has begun may end.
async fn after(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
}

async fn follow(options: &DirectoryOptions, stop: &CancellationToken) {
    let mut watch = None;
    let fights = Arc::default();
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        // The watch begins before the look, so that no change falls between them.
        if watch.is_none() {
            watch = load::watch(&options.path)
                .inspect_err(|error| tracing::warn!(error = chain(error), "the directory cannot be watched"))
                .ok();
        }
        let is_well = match look(options, &fights, stop).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = chain(&error), "nothing more is done; it is tried again");
                false
            }
        };
        let wait = if is_well && watch.is_some() {
            PLAN_AGAIN
        } else {
            pause
        };
        pause = if is_well {
            FIRST_PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        tokio::select! {
            () = stop.cancelled() => return,
            is_alive = changed(&mut watch) => if is_alive { pause = FIRST_PAUSE } else { watch = None },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Waits for a change; false when the watch has ended.
async fn changed(watch: &mut Option<Watch>) -> bool {
    match watch {
        Some(watch) => watch.changed(tokio::time::sleep).await.is_some(),
        None => std::future::pending().await,
    }
}

async fn look(
    options: &DirectoryOptions,
    fights: &Arc<Mutex<Fights>>,
    stop: &CancellationToken,
) -> Result<(), LookError> {
    let path = options.path.clone();
    let read = tokio::task::spawn_blocking(move || {
        let tree = load::directory(&path)?;
        let reading = compose::read(&tree);
        Ok((tree, reading))
    });
    let (tree, reading) = read
        .await
        .map_err(|_| LookError::Panicked)?
        .map_err(LookError::Load)?;
    log_findings(&reading, &tree);
    if reading.is_fleet_broken {
        return Err(LookError::BrokenFleet);
    }
    if reading.fleet.is_none() {
        return Err(LookError::NoFleetId);
    }
    let settings = Settings {
        holder: holder(
            &format!("directory {}", options.path.display()),
            &options.instance,
        ),
        fights: fights.clone(),
        max_impact: options.max_impact,
        limits: Limits::default(),
        deadline: TIMEOUT,
    };
    let access = Access {
        clusters: &options.client,
        memory: &options.client,
        parent_namespace: &options.parent_namespace,
        operator: OperatorSource::This(&options.settings),
    };
    let carried = carry::out(access, &reading, &tree, &settings, stop)
        .await
        .map_err(LookError::Carry)?;
    carried.log();
    for held in &carried.limited.plan.held {
        tracing::info!(object = %held.id, reason = held.reason.as_str(), waiting_on = held.waiting_on, "held");
    }
    if !carried.limited.plan.is_empty() {
        tracing::info!(summary = carried.summary("the directory"), "applied");
    }
    if carried.outcome.is_complete() {
        Ok(())
    } else {
        Err(LookError::Incomplete)
    }
}

/// Logs what is wrong with the files: place, code and message, never their text.
fn log_findings(reading: &Reading, tree: &SourceTree) {
    for finding in &reading.findings {
        let place = finding.span().map(|span| tree.position(span).to_string());
        let code = finding.code.as_str();
        match finding.severity {
            Severity::Error => tracing::error!(code, place, "{}", finding.message),
            Severity::Warning => tracing::warn!(code, place, "{}", finding.message),
        }
    }
}
