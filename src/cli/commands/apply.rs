//! `apply`: plans, asks, and does what was planned.

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::fleet::Fleet;
use crate::apply::FLEET_PARALLELISM;
use crate::cli::args::{Format, Output};
use crate::cli::block_on;
use crate::cli::confirm::{self, Answers};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow::{self, PlanArguments, Prepared};
use crate::cli::progress;
use crate::cli::show::{json, outcome};
use crate::cli::signal;
use crate::cli::ui::Ui;
use crate::fleet::{self, Executed, FirstApply, RunOptions};

/// Plan, ask, and do what was planned
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    plan: PlanArguments,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    answers: Answers,
    /// Allow a hub that has never seen this fleet; guards against the wrong context
    #[arg(long)]
    first_apply: bool,
    /// Most requests at the same time
    #[arg(long, value_name = "NUMBER", env = "K0SMOTRON_FLEET_PARALLELISM", default_value_t = FLEET_PARALLELISM,
          value_parser = parallelism)]
    parallelism: usize,
    /// Longest time that all writes together may take; what is not done then is left for the next run
    #[arg(long, value_name = "DURATION", env = "K0SMOTRON_FLEET_DEADLINE", value_parser = crate::cli::args::duration)]
    deadline: Option<std::time::Duration>,
}

fn parallelism(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=512) => Ok(number),
        _ => Err("write a number from 1 to 512".to_owned()),
    }
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    block_on(apply(arguments, ui))
}

async fn apply(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let format = arguments.output.output;
    let prepared = flow::prepare(&arguments.plan, ui).await?;
    let access = prepared.access(&arguments.plan.hub);
    let fleet = prepared.files.reading.fleet.as_ref();
    let first_apply = if arguments.first_apply {
        FirstApply::Allowed
    } else {
        FirstApply::Refused
    };
    if format == Format::Text {
        ui.answer(&prepared.text(ui))?;
    }
    if !prepared.plan.is_empty() {
        // Before the question: nobody should be asked what will be refused.
        fleet::may_write(access, fleet, &prepared.live, first_apply)?;
    }
    let name = fleet.map_or("delete", |fleet: &Fleet| fleet.name.as_str());
    let approved = confirm::approve(prepared.plan.clone(), name, &arguments.answers, format, ui)?;
    let stop = CancellationToken::new();
    let interrupted = signal::cancel_on_interrupt(&stop)?;
    let options = RunOptions {
        first_apply,
        parallelism: arguments.parallelism,
        deadline: arguments.deadline,
        revision: prepared.files.tree.revision.as_deref(),
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    let shown = progress::show(receiver, approved.plan(), ui);
    let run = async {
        let sender = sender;
        fleet::execute(
            access,
            &prepared.files.reading,
            &prepared.live,
            &approved,
            &options,
            Some(&sender),
            &stop,
        )
        .await
    };
    let (executed, ()) = tokio::join!(run, shown);
    let executed = executed?;
    finish(&prepared, &executed, format, interrupted.is_cancelled(), ui)
}

/// Says what came of it.
fn finish(
    prepared: &Prepared,
    executed: &Executed,
    format: Format,
    is_interrupted: bool,
    ui: &mut Ui,
) -> Result<Exit, CliError> {
    let result = &executed.outcome;
    match format {
        Format::Text if prepared.plan.is_empty() => {}
        Format::Text => ui.answer(&outcome::text(&prepared.plan, result))?,
        Format::Json => {
            let mut document = prepared.document();
            document.insert("results".to_owned(), outcome::json(result));
            document.insert("isInterrupted".to_owned(), json!(is_interrupted));
            ui.answer(&json::document("apply", document.into()))?;
        }
    }
    if let Some(error) = &executed.forgotten {
        let chain = crate::client::chain(error);
        ui.warning(&format!(
            "everything was done, but the hub does not remember the revision: {chain}"
        ));
    }
    if is_interrupted {
        ui.hint("the state is consistent: run the same command again to do the rest");
        return Ok(Exit::Interrupted);
    }
    let is_whole = result.is_complete() && !prepared.files.reading.findings.has_errors();
    if !result.is_complete() {
        ui.hint("run the same command again to do the rest");
    }
    Ok(if is_whole { Exit::Success } else { Exit::Partial })
}
