//! `snapshot`: records what a plan reads from a hub.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::jiff::Timestamp;

use crate::cli::args::Hub;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;
use crate::cli::{block_on, hub, plan_file, source};
use crate::fleet;

/// Record what a plan reads from the hub, for `plan --snapshot` without cluster and credentials
///
/// Of Secrets only metadata is recorded. Clusters and ConfigMaps are in it as the server stores them.
#[derive(Debug, Args)]
pub struct Arguments {
    /// File to write, for its owner alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only this namespace (can be repeated) [default: all]
    #[arg(
        short,
        long = "namespace",
        value_name = "NAMESPACE",
        env = "K0SMOTRON_FLEET_NAMESPACE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    namespaces: Vec<String>,
    #[command(flatten)]
    hub: Hub,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        let namespaces = arguments.namespaces.iter().cloned().collect();
        let snapshot = fleet::offline::record(
            &client,
            &namespaces,
            &arguments.hub.parent_namespace,
            arguments.hub.operator(),
            Timestamp::now(),
        )
        .await?;
        plan_file::write(&arguments.out, &snapshot.text())?;
        for gap in &snapshot.unreadable {
            ui.warning(&format!("not recorded: {} ({})", gap.kind, gap.reason));
        }
        ui.status(&format!(
            "recorded {} of {} in `{}`",
            source::count(snapshot.objects.len(), "object"),
            snapshot.hub.server,
            arguments.out.display()
        ));
        Ok(Exit::Success)
    })
}
