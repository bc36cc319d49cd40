//! `crds`: prints the CustomResourceDefinitions.

use clap::Args;

use crate::api::crd;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;

/// Print the CustomResourceDefinitions as YAML, for `kubectl apply --server-side -f -`
#[derive(Debug, Args)]
pub struct Arguments {}

pub fn run(_: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    ui.answer(&crd::all_yaml())?;
    Ok(Exit::Success)
}
