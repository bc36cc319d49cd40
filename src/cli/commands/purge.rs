//! `purge`: deletes the keys and volumes that a cluster left behind.

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::api::labels;
use crate::apply::{self, CHILDREN_PARALLELISM, KeySource};
use crate::cli::args::{self, ClusterName, Hub};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::outcome;
use crate::cli::source::count;
use crate::cli::ui::Ui;
use crate::cli::{block_on, confirm, hub};
use crate::fleet;

/// Delete the keys and volumes that a deleted cluster left behind (deletionPolicy Retain); `status` shows them
///
/// Nothing of a cluster that lives is touched. After this nobody can take the cluster back.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Cluster that is gone
    #[arg(value_name = "NAMESPACE/NAME", value_parser = args::cluster_name)]
    cluster: ClusterName,
    #[command(flatten)]
    hub: Hub,
    /// Do not ask
    #[arg(short = 'y', long)]
    auto_approve: bool,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let ClusterName { namespace, name } = &arguments.cluster;
    let cluster = arguments.cluster.id();
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        let found = fleet::leftovers(&client, &[namespace.clone()].into()).await?;
        let Some(mut found) = found else {
            return Err(CliError::failed(format!(
                "what was left behind in namespace `{namespace}` may not be listed"
            ))
            .hint("a Role must grant `list` of secrets and persistentvolumeclaims there"));
        };
        let Some(left) = found.remove(&cluster) else {
            ui.answer(&format!("{namespace}/{name} has left nothing behind\n"))?;
            return Ok(Exit::Success);
        };
        let approved = fleet::purge(&client, &cluster, &left).await?;
        for action in approved.plan().actions() {
            ui.answer(&format!("  - {}  DELETE\n", action.id))?;
        }
        ui.answer(&format!(
            "Purge: {} and {} to DELETE\n",
            count(left.keys.len(), "key"),
            count(left.volumes.len(), "volume")
        ))?;
        if !arguments.auto_approve {
            let question = format!("The data of {namespace}/{name} goes for good. Type `{name}`:");
            confirm::typed(&question, name, ui)?;
        }
        let how = apply::Options {
            manager: labels::FLEET_MANAGER,
            parallelism: CHILDREN_PARALLELISM,
            deadline: None,
        };
        let keys = KeySource::at(Timestamp::now());
        let stop = CancellationToken::new();
        let outcome = apply::run(&client, &approved, &how, keys, None, &stop).await;
        ui.answer(&outcome::text(approved.plan(), &outcome))?;
        Ok(if outcome.is_complete() {
            Exit::Success
        } else {
            Exit::Partial
        })
    })
}
