//! `show`: reads a saved plan to people and programs.

use std::path::PathBuf;

use clap::Args;

use crate::cli::args::{PlanFormat, PlanOutput};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::plan_file;
use crate::cli::show::{github, json, saved, text};
use crate::cli::source;
use crate::cli::ui::Ui;
use crate::diagnostic::{Findings, SourceTree};

/// Show a plan that `plan --out` saved; needs no cluster
#[derive(Debug, Args)]
pub struct Arguments {
    /// File that `plan --out` wrote
    #[arg(value_name = "PLAN")]
    path: PathBuf,
    #[command(flatten)]
    output: PlanOutput,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let path = &arguments.path;
    let Some(plan) = plan_file::read_if_meant(path)? else {
        source::address(path)?;
        return Err(CliError::failed(format!("`{}` is no saved plan", path.display()))
            .hint("`k0smotron-fleet plan --out FILE` writes one"));
    };
    match arguments.output.output {
        PlanFormat::Text => {
            ui.answer(&saved::text(&plan, arguments.output.detail(ui.verbosity())))?;
            ui.answer(&format!("Digest: {}\n", plan.digest))?;
        }
        PlanFormat::Json => ui.answer(&json::document("plan", saved::document(&plan).into()))?,
        PlanFormat::Markdown => ui.answer(&saved::markdown(&plan))?,
        PlanFormat::Github => {
            let shown = plan.to_plan();
            let none = (Findings::default(), SourceTree::default());
            let summary = text::summary(&shown, plan.fleet().as_ref(), &[]);
            ui.answer(&github::annotations(&shown, &none.0, &none.1, &summary))?;
        }
    }
    Ok(Exit::Success)
}
