//! `version`: what this program is.

use clap::Args;
use serde_json::json;

use crate::cli::args::{Format, Output};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::json;
use crate::cli::ui::Ui;

/// Print the version of this program
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    output: Output,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    match arguments.output.output {
        Format::Text => ui.answer(&format!("k0smotron-fleet {version}\n"))?,
        Format::Json => ui.answer(&json::document("version", json!({ "version": version })))?,
    }
    Ok(Exit::Success)
}
