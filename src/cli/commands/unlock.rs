//! `unlock`: takes the lock of a fleet away from a run that is gone.

use clap::Args;

use crate::cli::args::{Hub, Source};
use crate::cli::block_on;
use crate::cli::confirm;
use crate::cli::error::{CliError, ErrorKind};
use crate::cli::exit::Exit;
use crate::cli::flow;
use crate::cli::hub;
use crate::cli::source;
use crate::cli::ui::Ui;
use crate::fleet::{self, FleetError};
use crate::plan::FailureKind;

/// Take the lock of a fleet away from a run that is gone; a lock that is not renewed ends by itself within 15 seconds
///
/// A run that still goes on notices within five seconds, and stops as if it had been interrupted.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    hub: Hub,
    /// Do not ask
    #[arg(short = 'y', long)]
    auto_approve: bool,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let files = source::read(&arguments.source)?;
    let Some(fleet) = &files.reading.fleet else {
        return Err(CliError::failed("without a Fleet there is no lock"));
    };
    let id = fleet.spec.id.as_str();
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        fleet::check_hub(Some(fleet), &fleet::identify(&client).await?)?;
        let access = flow::access(&client, &arguments.hub);
        let found = fleet::find_lock(access, id).await?;
        let Some((found, holder)) = found.and_then(|found| Some((found.clone(), found.holder?))) else {
            ui.answer(&format!("the fleet `{id}` is not locked\n"))?;
            return Ok(Exit::Success);
        };
        let renewed = found.renewed.as_deref().unwrap_or("an unknown time");
        ui.say(&format!(
            "The fleet `{id}` is locked by {holder}; renewed at {renewed}."
        ));
        if !arguments.auto_approve {
            confirm::typed("Take the lock away? Type `yes`:", "yes", ui)?;
        }
        match fleet::unlock(access, id, &found).await {
            Ok(()) => {
                ui.answer(&format!("unlocked the fleet `{id}`\n"))?;
                Ok(Exit::Success)
            }
            Err(FleetError::Lock { source }) if matches!(source.kind(), FailureKind::Conflict { .. }) => {
                Err(CliError::new(
                    ErrorKind::Refused,
                    "nothing was done: the lock was renewed or given back in this moment, so its holder is alive",
                )
                .hint("run it again to take it away all the same"))
            }
            Err(error) => Err(error.into()),
        }
    })
}
