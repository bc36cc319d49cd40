//! `protect`: keeps clusters from being deleted.

use clap::Args;

use crate::cli::args::{self, ClusterName, Hub};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;
use crate::cli::{block_on, hub};
use crate::client::chain;
use crate::fleet::{self, Protection};

/// Keep clusters from being deleted, by whatever tool, until `unprotect`
///
/// The annotation on the cluster is held by a field manager of its own, so no file takes it away. Its namespace and the
/// definition of clusters get a label, so that they are not deleted with it.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub clusters: Clusters,
    #[command(flatten)]
    hub: Hub,
}

/// Clusters that are named one by one.
#[derive(Debug, Args)]
pub struct Clusters {
    /// Cluster (can be repeated)
    #[arg(value_name = "NAMESPACE/NAME", required = true, value_parser = args::cluster_name)]
    pub clusters: Vec<ClusterName>,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        let mut exit = Exit::Success;
        for name in &arguments.clusters.clusters {
            let done = fleet::protect(&client, &name.id()).await?;
            exit = exit.max(answer(name, done, "protected", ui)?);
        }
        Ok(exit)
    })
}

/// Says what came of one cluster; `state` is what it is now.
pub fn answer(
    name: &ClusterName,
    done: Option<Protection>,
    state: &str,
    ui: &mut Ui,
) -> Result<Exit, CliError> {
    let ClusterName { namespace, name } = name;
    let Some(done) = done else {
        return Err(CliError::failed(format!(
            "there is no cluster {namespace}/{name}"
        )));
    };
    let before = if done.was_before { " already" } else { "" };
    ui.answer(&format!("{namespace}/{name} is {state}{before}\n"))?;
    for (holder, error) in &done.left {
        ui.warning(&format!("the label of {holder} stays as it is: {}", chain(error)));
    }
    Ok(if done.left.is_empty() {
        Exit::Success
    } else {
        Exit::Partial
    })
}
