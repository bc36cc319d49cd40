//! `apply`: plans, asks, and does what was planned.

mod saved_plan;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::fleet::Fleet;
use crate::apply::FLEET_PARALLELISM;
use crate::cli::args::{Format, Output};
use crate::cli::confirm::{self, Answers};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow::{self, Asking, PlanArguments, Prepared};
use crate::cli::plan_file;
use crate::cli::progress;
use crate::cli::show::{json, outcome};
use crate::cli::signal;
use crate::cli::source;
use crate::cli::ui::Ui;
use crate::cli::who;
use crate::cli::writers::{self, Written};
use crate::cli::{block_on, leave};
use crate::fleet::{
    self, Access, Awaited, Executed, FirstApply, Live, Lock, LockEnd, LockOptions, Pace, RunOptions, Subject,
    WaitOptions, Waited,
};
use crate::lease::Holder;
use crate::plan::rollout::Waiting;
use crate::plan::{ApprovedPlan, Plan};

/// Plan, ask, and do what was planned; or do what a saved plan says
///
/// With PATH a file that `plan --out` wrote, no files are read and nothing is asked: the plan is checked against the hub
/// as it is now, and either all of it is done or, when anything moved, nothing (exit 3).
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
    deadline: Option<Duration>,
    /// Longest time to wait for another run that writes this fleet
    #[arg(long, value_name = "DURATION", env = "K0SMOTRON_FLEET_LOCK_TIMEOUT", default_value = "30s",
          value_parser = crate::cli::args::wait)]
    lock_timeout: Duration,
    /// Wait until the clusters that were written run what was written, and those that were deleted are gone
    #[arg(long, env = "K0SMOTRON_FLEET_WAIT", value_parser = FalseyValueParser::new())]
    wait: bool,
    /// Longest time that --wait waits after the last write
    #[arg(long, value_name = "DURATION", env = "K0SMOTRON_FLEET_WAIT_TIMEOUT", default_value = "10m",
          value_parser = crate::cli::args::wait)]
    wait_timeout: Duration,
    #[command(flatten)]
    overrides: writers::Overrides,
    #[command(flatten)]
    saved: SavedArguments,
}

/// How often clusters are looked at that a wave waits for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What concerns a saved plan alone.
#[derive(Debug, Args)]
#[command(next_help_heading = "Saved plan")]
struct SavedArguments {
    /// Do the saved plan only if it has this digest, of which twelve digits are enough
    #[arg(long, value_name = "DIGEST")]
    approve: Option<String>,
    /// Leave out what moved since the plan was saved and do the rest; the exit code is then 5
    #[arg(long)]
    skip_stale: bool,
    /// Take values that the plan does not hold, because they may be secrets, from these files
    #[arg(long, value_name = "PATH", env = "K0SMOTRON_FLEET_VALUES_FROM")]
    values_from: Option<std::path::PathBuf>,
}

fn parallelism(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=512) => Ok(number),
        _ => Err("write a number from 1 to 512".to_owned()),
    }
}

impl Arguments {
    fn first_apply(&self) -> FirstApply {
        if self.first_apply {
            FirstApply::Allowed
        } else {
            FirstApply::Refused
        }
    }

    /// Takes the lock of the fleet before the first write; `None`: there is no Fleet, or nothing to write.
    async fn lock(
        &self,
        access: Access<'_>,
        fleet: Option<&Fleet>,
        live: &Live,
        ui: &mut Ui,
    ) -> Result<Option<Lock>, CliError> {
        let Some(fleet) = fleet else {
            return Ok(None);
        };
        let holder = who::holder()?;
        let options = LockOptions {
            holder: &holder,
            wait: self.lock_timeout,
            first_apply: self.first_apply(),
        };
        let waiting = |holder: &Holder| ui.status(&format!("waits for the lock of the fleet: {holder}"));
        Ok(Some(fleet::lock(access, fleet, live, &options, waiting).await?))
    }

    fn wants_document(&self) -> bool {
        self.output.output == Format::Json
    }

    fn run_options<'a>(&self, revision: Option<&'a str>) -> RunOptions<'a> {
        RunOptions {
            parallelism: self.parallelism,
            deadline: self.deadline,
            revision,
            pace: Pace::Through {
                look_every: LOOK_EVERY,
            },
        }
    }
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let path = arguments.plan.source.path();
    match plan_file::read_if_meant(&path)? {
        Some(saved) => block_on(saved_plan::apply(arguments, &saved, ui)),
        None if arguments.saved.approve.is_some() || arguments.saved.skip_stale => {
            source::address(&path)?;
            Err(CliError::failed(format!("`{}` is no saved plan", path.display()))
                .hint("--approve and --skip-stale are for a file that `plan --out FILE` wrote"))
        }
        None => block_on(apply(arguments, ui)),
    }
}

async fn apply(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let asking = Asking::Writers(arguments.overrides);
    let (mut prepared, client) = flow::prepare(&arguments.plan, None, asking, ui).await?;
    let access = flow::access(&client, &arguments.plan.hub);
    let fleet = prepared.files.reading.fleet.clone().filter(|_| prepared.writes());
    show(&prepared, arguments, ui)?;
    // Before the question: nobody should be asked what will be refused.
    fleet::may_write(access, fleet.as_ref(), &prepared.live, arguments.first_apply())?;
    let path = arguments.plan.source.path();
    let written = Written {
        path: &path,
        revision: prepared.files.tree.revision.as_deref(),
    };
    let syncs = prepared.syncs.take();
    arguments
        .overrides
        .check(syncs, fleet.as_ref(), &prepared.live, written, ui)?;
    let approved = approve(&prepared, arguments, ui)?;
    let lock = arguments.lock(access, fleet.as_ref(), &prepared.live, ui).await?;
    let write = async {
        let (prepared, approved) = match lock.as_ref().and_then(Lock::after) {
            None => (prepared, approved),
            // Whoever had it may have written.
            Some(_) => {
                let Prepared {
                    files,
                    plan,
                    loosened,
                    ..
                } = prepared;
                let facts = fleet::facts(&client, access.operator).await?;
                let again = flow::prepare_again(files, &arguments.plan, None, &client, facts).await?;
                let approved = if again.plan == plan && again.loosened == loosened {
                    approved
                } else {
                    ui.say("The plan has changed while this run waited for the lock.");
                    show(&again, arguments, ui)?;
                    approve(&again, arguments, ui)?
                };
                (again, approved)
            }
        };
        write_prepared(arguments, prepared, &approved, access, lock.as_ref(), ui).await
    };
    let written = write.await;
    release(lock).await;
    end(written?, arguments, access, ui).await
}

fn show(prepared: &Prepared, arguments: &Arguments, ui: &mut Ui) -> Result<(), CliError> {
    match arguments.output.output {
        Format::Text => ui.answer(&prepared.text(ui)),
        Format::Json => Ok(()),
    }
}

fn approve(prepared: &Prepared, arguments: &Arguments, ui: &mut Ui) -> Result<ApprovedPlan, CliError> {
    let fleet = prepared.files.reading.fleet.as_ref();
    let name = fleet.map_or("delete", |fleet: &Fleet| fleet.name.as_str());
    let format = arguments.output.output;
    confirm::approve(
        Arc::clone(&prepared.plan),
        &prepared.loosened,
        name,
        &arguments.answers,
        format,
        ui,
    )
}

async fn write_prepared(
    arguments: &Arguments,
    prepared: Prepared,
    approved: &ApprovedPlan,
    access: Access<'_>,
    lock: Option<&Lock>,
    ui: &mut Ui,
) -> Result<Run, CliError> {
    let options = arguments.run_options(prepared.files.tree.revision.as_deref());
    let content = match lock {
        Some(_) => fleet::content(&prepared.files.reading),
        // Nothing is written, and nothing remembered.
        None => String::new(),
    };
    let subject = Subject {
        lock,
        content: &content,
    };
    let (executed, is_interrupted) = execute(access, subject, &prepared.live, approved, &options, ui).await?;
    if lock.is_some() && approved.is_empty() {
        ui.status("the hub remembers the guards of the Fleet");
    }
    let run = Run {
        document: arguments.wants_document().then(|| prepared.document()),
        left_out: LeftOut::of(prepared.files.reading.findings.has_errors()),
        plan: Arc::clone(&prepared.plan),
        executed,
        is_interrupted,
    };
    leave(prepared);
    Ok(run)
}

/// Gives the lock back also when the run failed: a program that ends at once would leave it to expire.
async fn release(lock: Option<Lock>) {
    if let Some(lock) = lock {
        lock.release().await;
    }
}

/// Executes with progress on stderr, until a signal stops it. Returns also whether one did.
async fn execute(
    access: Access<'_>,
    subject: Subject<'_>,
    live: &Live,
    approved: &ApprovedPlan,
    options: &RunOptions<'_>,
    ui: &mut Ui,
) -> Result<(Executed, bool), CliError> {
    let stop = CancellationToken::new();
    let interrupted = signal::cancel_on_interrupt(&stop)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let shown = progress::show(receiver, approved.plan(), ui);
    let run = async {
        let sender = sender;
        fleet::execute(access, subject, live, approved, options, Some(&sender), &stop).await
    };
    let (executed, ()) = tokio::join!(run, shown);
    Ok((executed?, interrupted.is_cancelled()))
}

/// Whether something was not even tried: clusters with errors, stale entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeftOut {
    Nothing,
    Something,
}

impl LeftOut {
    fn of(is_something: bool) -> Self {
        if is_something {
            Self::Something
        } else {
            Self::Nothing
        }
    }
}

/// A run that ended.
struct Run {
    plan: Arc<Plan>,
    executed: Executed,
    is_interrupted: bool,
    left_out: LeftOut,
    /// The plan, where JSON is asked for.
    document: Option<Map<String, Value>>,
}

/// Waits if that is asked for, and says what came of it all. Other runs may write meanwhile.
async fn end(run: Run, arguments: &Arguments, access: Access<'_>, ui: &mut Ui) -> Result<Exit, CliError> {
    let format = arguments.output.output;
    if format == Format::Text && !run.plan.is_empty() {
        ui.answer(&outcome::text(&run.plan, &run.executed.outcome))?;
    }
    let waited = match arguments.wait && !run.is_interrupted {
        true => Some(wait(&run, arguments.wait_timeout, access, ui).await?),
        false => None,
    };
    if let (Format::Text, Some(waited), false) = (format, &waited, run.plan.is_empty()) {
        ui.answer(&outcome::waited(waited))?;
    }
    finish(run, waited.as_ref(), format, ui)
}

async fn wait(run: &Run, timeout: Duration, access: Access<'_>, ui: &mut Ui) -> Result<Waited, CliError> {
    let awaited = Awaited::of(&run.plan, &run.executed.outcome);
    let options = WaitOptions {
        timeout,
        look_every: LOOK_EVERY,
    };
    let stop = CancellationToken::new();
    signal::cancel_on_interrupt(&stop)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let nothing = Plan::default();
    let shown = progress::show(receiver, &nothing, ui);
    let looks = async {
        let sender = sender;
        fleet::wait(access.clusters, &awaited, options, &sender, &stop).await
    };
    let (waited, ()) = tokio::join!(looks, shown);
    Ok(waited)
}

/// Says what is to be said besides.
fn finish(run: Run, waited: Option<&Waited>, format: Format, ui: &mut Ui) -> Result<Exit, CliError> {
    let Run {
        plan,
        executed,
        is_interrupted,
        left_out,
        document,
    } = run;
    leave(plan);
    let result = &executed.outcome;
    let is_interrupted = is_interrupted || waited.is_some_and(|waited| waited.is_interrupted);
    match format {
        Format::Text => {}
        Format::Json => {
            let mut document = document.unwrap_or_default();
            document.insert("results".to_owned(), outcome::json(result));
            document.insert("isInterrupted".to_owned(), json!(is_interrupted));
            if let Some(waited) = waited {
                document.insert("waited".to_owned(), outcome::json_of_waited(waited));
            }
            ui.answer(&json::document("apply", document.into()))?;
        }
    }
    if let Some(error) = &executed.forgotten {
        let chain = crate::client::chain(error);
        ui.warning(&format!(
            "everything was done, but the hub does not remember the revision: {chain}"
        ));
    }
    if executed.lock == LockEnd::Lost {
        ui.warning("the lock of the fleet was lost: what had not begun was not done");
    }
    if is_interrupted {
        ui.hint("the state is consistent: run the same command again to do the rest");
        return Ok(Exit::Interrupted);
    }
    if executed.waiting.as_ref().is_some_and(Waiting::is_for_a_person) {
        ui.hint("look with `rollout status`; `rollout resume` lets it go on with the next `apply`");
        return Ok(Exit::Partial);
    }
    let is_ready = waited.is_none_or(|waited| waited.lacking.is_empty());
    if !is_ready {
        ui.hint("all of it was written; look with `status -w`, or wait longer with `--wait-timeout 30m`");
    }
    let is_whole = result.is_complete() && left_out == LeftOut::Nothing && is_ready;
    if !result.is_complete() {
        ui.hint("run the same command again to do the rest");
    }
    Ok(if is_whole { Exit::Success } else { Exit::Partial })
}
