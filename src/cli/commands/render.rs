//! `render`: the clusters as they are composed from the files.

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::args::{Selection, Source};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::{json, yaml};
use crate::cli::source::{self, OnErrors};
use crate::cli::ui::Ui;
use crate::compose::Composed;

/// Print the clusters as they are composed from the files
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    selection: Selection,
    /// Print the valid clusters although others have errors; the exit code is then 5
    #[arg(long, env = "K0SMOTRON_FLEET_KEEP_GOING", value_parser = FalseyValueParser::new())]
    keep_going: bool,
    /// Format of the answer
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        env = "K0SMOTRON_FLEET_RENDER_OUTPUT",
        default_value = "yaml"
    )]
    output: RenderFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RenderFormat {
    /// One document a cluster, for people and kubectl
    Yaml,
    /// One documented document, for programs
    Json,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let files = source::read_reported(&arguments.source, OnErrors::of(arguments.keep_going), ui)?;
    let filter = arguments.selection.filter();
    let selected: Vec<&Composed> = files
        .reading
        .clusters
        .iter()
        .filter(|cluster| files.tree.selects(&cluster.source_path))
        .filter(|cluster| filter.matches(&cluster.id(), Some(&cluster.object)))
        .collect();
    match arguments.output {
        RenderFormat::Yaml => {
            let objects = selected
                .iter()
                .map(|cluster| (cluster.source_path.as_str(), &cluster.object));
            ui.answer(&yaml::documents(objects)?)?;
        }
        RenderFormat::Json => {
            let clusters: Vec<_> = selected
                .iter()
                .map(|cluster| json!({ "source": cluster.source_path, "object": cluster.object }))
                .collect();
            ui.answer(&json::document("render", json!({ "clusters": clusters })))?;
        }
    }
    Ok(if files.reading.findings.has_errors() {
        Exit::Partial
    } else {
        Exit::Success
    })
}
