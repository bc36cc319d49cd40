//! `plan`: says what `apply` would do, and what that does to running control planes.

use clap::Args;

use crate::cli::args::{Format, Output};
use crate::cli::block_on;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow::{self, PlanArguments};
use crate::cli::show::json;
use crate::cli::ui::Ui;

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
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    block_on(async {
        let prepared = flow::prepare(&arguments.plan, ui).await?;
        match arguments.output.output {
            Format::Text => ui.answer(&prepared.text(ui))?,
            Format::Json => ui.answer(&json::document("plan", prepared.document().into()))?,
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
