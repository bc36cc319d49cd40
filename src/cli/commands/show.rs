//! `show`: reads a saved plan to people and programs.

use std::path::PathBuf;

use clap::Args;

use crate::cli::args::{Format, Output};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::plan_file;
use crate::cli::show::{json, saved};
use crate::cli::ui::Ui;

/// Show a plan that `plan --out` saved; needs no cluster
#[derive(Debug, Args)]
pub struct Arguments {
    /// File that `plan --out` wrote
    #[arg(value_name = "PLAN")]
    path: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let path = &arguments.path;
    let Some(plan) = plan_file::read_if_meant(path)? else {
        return Err(CliError::failed(format!("`{}` is no saved plan", path.display()))
            .hint("`k0smotron-fleet plan --out FILE` writes one"));
    };
    match arguments.output.output {
        Format::Text => {
            ui.answer(&saved::text(&plan, ui.verbosity()))?;
            ui.answer(&format!("Digest: {}\n", plan.digest))?;
        }
        Format::Json => ui.answer(&json::document("plan", saved::document(&plan).into()))?,
    }
    Ok(Exit::Success)
}
