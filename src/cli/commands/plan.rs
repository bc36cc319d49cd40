//! `plan`: says what `apply` would do, and what that does to running control planes.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::args::{Format, Output};
use crate::cli::block_on;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow::{self, PlanArguments, Prepared};
use crate::cli::plan_file;
use crate::cli::show::json;
use crate::cli::ui::Ui;
use crate::fleet;

/// Say what `apply` would do and what that does to running control planes; writes nothing
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    plan: PlanArguments,
    #[command(flatten)]
    output: Output,
    /// Exit with 2 when `apply` would write something now
    #[arg(long, env = "K0SMOTRON_FLEET_DETAILED_EXITCODE", value_parser = clap::builder::FalseyValueParser::new())]
    detailed_exitcode: bool,
    /// Save the plan in this file, for `show` and `apply`
    #[arg(long, value_name = "FILE", env = "K0SMOTRON_FLEET_OUT")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    block_on(async {
        let prepared = flow::prepare(&arguments.plan, ui).await?;
        match arguments.output.output {
            Format::Text => ui.answer(&prepared.text(ui))?,
            Format::Json => ui.answer(&json::document("plan", prepared.document().into()))?,
        }
        if let Some(path) = &arguments.out {
            save(&prepared, path, ui)?;
        }
        if prepared.files.reading.fleet.is_some() && prepared.live.parent.is_none() {
            ui.warning(&format!(
                "{} has never seen this fleet: apply needs --first-apply",
                prepared.live.hub.server
            ));
        }
        let has_errors = prepared.files.reading.findings.has_errors();
        Ok(match (has_errors, arguments.detailed_exitcode) {
            (true, _) => Exit::Partial,
            (false, true) if !prepared.plan.is_empty() => Exit::Changes,
            (false, _) => Exit::Success,
        })
    })
}

fn save(prepared: &Prepared, path: &Path, ui: &mut Ui) -> Result<(), CliError> {
    let saved = fleet::save(
        &prepared.plan,
        &prepared.files.reading,
        &prepared.live,
        &prepared.options,
    );
    plan_file::write(path, &saved.text())?;
    ui.status(&format!(
        "saved: `k0smotron-fleet apply {}` does exactly this (digest {})",
        path.display(),
        saved.digest.get(..12).unwrap_or(&saved.digest)
    ));
    Ok(())
}
