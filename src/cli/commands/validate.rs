//! `validate`: checks the files of a fleet, without a cluster.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::args::Source;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::{github, json};
use crate::cli::source::{self, Files, Stream, count};
use crate::cli::ui::Ui;

/// Check the files of a fleet, without a cluster
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Format of the answer
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        env = "K0SMOTRON_FLEET_OUTPUT",
        default_value = "text",
        help_heading = "Output"
    )]
    output: ValidateFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ValidateFormat {
    /// For people
    Text,
    /// One documented document, for programs
    Json,
    /// Annotations of a GitHub Actions run
    Github,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let files = source::read(&arguments.source)?;
    match arguments.output {
        ValidateFormat::Text => {
            let mut text = source::text(&files, Stream::Answer, ui);
            if !text.is_empty() && ui.stdout_is_terminal() {
                text.push('\n');
            }
            ui.answer(&format!("{text}{}\n", summary(&files)))?;
        }
        ValidateFormat::Json => ui.answer(&json::document("validation", document(&files)))?,
        ValidateFormat::Github => {
            let findings = &files.reading.findings;
            ui.answer(&github::findings(findings, &files.tree, &summary(&files)))?;
        }
    }
    Ok(if files.reading.findings.has_errors() {
        Exit::InvalidInput
    } else {
        Exit::Success
    })
}

fn summary(files: &Files) -> String {
    let reading = &files.reading;
    let clusters = count(reading.clusters.len() + reading.rejected.len(), "cluster");
    let place = match &reading.fleet {
        Some(fleet) => format!("{clusters} in fleet {}", fleet.name),
        None => clusters,
    };
    match (reading.findings.errors(), reading.findings.warnings()) {
        (0, 0) => format!("Valid: {place}, no problems"),
        (0, warnings) => format!("Valid: {place}, {}", count(warnings, "warning")),
        (errors, 0) => format!("Invalid: {place}, {}", count(errors, "error")),
        (errors, warnings) => {
            format!(
                "Invalid: {place}, {}, {}",
                count(errors, "error"),
                count(warnings, "warning")
            )
        }
    }
}

fn document(files: &Files) -> serde_json::Value {
    let reading = &files.reading;
    json!({
        "fleet": json::fleet(reading.fleet.as_ref()),
        "revision": files.tree.revision,
        "clusters": reading.clusters.len(),
        "rejected": reading.rejected.len(),
        "errors": reading.findings.errors(),
        "warnings": reading.findings.warnings(),
        "findings": json::findings(&reading.findings, &files.tree),
    })
}
