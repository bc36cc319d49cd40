//! `export`: live clusters as files.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::args::{Hub, Selection};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::new_file::{make_directory, write_new};
use crate::cli::show::names::name;
use crate::cli::show::yaml;
use crate::cli::ui::Ui;
use crate::cli::{block_on, hub, source};
use crate::fleet::export::{self, Exported};

/// Print live clusters as files, whoever made them, without what the server and tools wrote
///
/// Credentials are left out and named on stderr.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write `NAMESPACE/NAME.yaml` for each cluster below this directory instead of printing them
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    hub: Hub,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let export = block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        Ok(export::export(&client, &arguments.selection.filter()).await?)
    })?;
    match &arguments.out {
        None => {
            let objects = export
                .clusters
                .iter()
                .map(|cluster| (path(cluster), &cluster.object))
                .collect::<Vec<_>>();
            let documents = objects.iter().map(|(path, object)| (path.as_str(), *object));
            ui.answer(&yaml::documents(documents)?)?;
        }
        Some(directory) => write(directory, &export.clusters, ui)?,
    }
    for cluster in &export.clusters {
        for field in &cluster.left_out {
            ui.warning(&format!(
                "{}: {field} is left out: it holds a credential",
                name(&cluster.id)
            ));
        }
        for field in &cluster.doubtful {
            ui.warning(&format!(
                "{}: {field} may hold a secret: look at it before it is stored",
                name(&cluster.id)
            ));
        }
    }
    for gap in &export.unreadable {
        ui.warning(&format!(
            "not exported: namespace `{}` ({})",
            gap.namespace, gap.reason
        ));
    }
    if export.clusters.is_empty() {
        ui.status("there is no such cluster");
    }
    Ok(if export.unreadable.is_empty() {
        Exit::Success
    } else {
        Exit::Partial
    })
}

/// Where a cluster is written, below the directory.
fn path(cluster: &Exported) -> String {
    format!("{}/{}.yaml", cluster.id.namespace, cluster.id.name)
}

/// Writes one file a cluster; none when one of them is there already.
fn write(directory: &Path, clusters: &[Exported], ui: &mut Ui) -> Result<(), CliError> {
    let files: Vec<(PathBuf, &Exported)> = clusters
        .iter()
        .map(|cluster| (directory.join(path(cluster)), cluster))
        .collect();
    if let Some((taken, _)) = files.iter().find(|(path, _)| path.exists()) {
        let message = format!("`{}` is there already; nothing was written", taken.display());
        return Err(CliError::failed(message).hint("name a directory that is empty or not there yet"));
    }
    for (path, cluster) in &files {
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        write_new(path, &yaml::document(&cluster.object)?)?;
    }
    ui.status(&format!(
        "wrote {} to `{}`",
        source::count(files.len(), "cluster"),
        directory.display()
    ));
    Ok(())
}
