//! `unprotect`: lets clusters be deleted again.

use clap::Args;

use super::protect::{self, Clusters};
use crate::cli::args::Hub;
use crate::cli::confirm;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;
use crate::cli::{block_on, hub};
use crate::fleet;

/// Let clusters that were protected be deleted again
///
/// A cluster whose file says `fleet.k0smotron.io/protect: "true"` is protected again by the next apply.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    clusters: Clusters,
    #[command(flatten)]
    hub: Hub,
    /// Do not ask
    #[arg(short = 'y', long)]
    auto_approve: bool,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let clusters = &arguments.clusters.clusters;
    if !arguments.auto_approve {
        let names: Vec<String> = clusters
            .iter()
            .map(|name| format!("{}/{}", name.namespace, name.name))
            .collect();
        let question = format!("Take the protection of {} away? Type `yes`:", names.join(", "));
        confirm::typed(&question, "yes", ui)?;
    }
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        let mut exit = Exit::Success;
        for name in clusters {
            let done = fleet::unprotect(&client, &name.id()).await?;
            exit = exit.max(protect::answer(name, done, "not protected", ui)?);
        }
        Ok(exit)
    })
}
