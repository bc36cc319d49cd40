//! The command line: arguments -> calls of the other rooms -> text on two streams and an exit code.
//!
//! **Invariant:** stdout carries the answer and nothing else; it works without colour, without a terminal and in 80
//! columns. Every failure is printed once, says what to do, and has an exit code of [`exit::Exit`].
//!
//! **Invariant:** nothing is decided here. What a plan holds and what is refused comes from the rooms above; a command
//! reads arguments, calls them, and shows what they return.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::{Command, FromArgMatches as _, error::ErrorKind as UsageError};

pub mod args;
pub mod commands;
pub mod confirm;
pub mod error;
pub mod exit;
pub mod flow;
pub mod hub;
pub mod new_file;
pub mod plan_file;
pub mod progress;
pub mod reference;
pub mod show;
pub mod signal;
pub mod source;
pub mod ui;
pub mod who;
pub mod writers;

use args::{CommandLine, Verb};
use error::{CliError, ErrorKind};
use exit::Exit;
use ui::Ui;

/// Runs the program with its arguments, the name of the program first, and returns how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command_line = match parse(&arguments) {
        Ok(command_line) => command_line,
        Err(exit) => return exit,
    };
    let mut ui = Ui::new(command_line.global.colour(), command_line.global.verbosity());
    match run(command_line.verb, &mut ui) {
        Ok(exit) => exit,
        Err(error) => {
            ui.error(&error);
            error.kind.exit()
        }
    }
}

/// Reads the arguments; prints help, version or what is wrong with them.
fn parse(arguments: &[OsString]) -> Result<CommandLine, Exit> {
    let is_plain = arguments.iter().any(|argument| argument == "--no-color");
    let command = without_empty_variables(reference::command()).color(if is_plain {
        clap::ColorChoice::Never
    } else {
        clap::ColorChoice::Auto
    });
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| CommandLine::from_arg_matches(&matches));
    parsed.map_err(|error| {
        // Nothing can be done about a stream that is gone.
        let _ = error.print();
        match error.kind() {
            UsageError::DisplayHelp | UsageError::DisplayVersion => Exit::Success,
            _ => Exit::Error,
        }
    })
}

/// A variable that is set to nothing is not set, for every flag alike: scripts pass on what they may not have.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|argument| match argument.get_env() {
            Some(name) if is_empty(name) => argument.env(Resettable::Reset),
            Some(_) | None => argument,
        })
        .mut_subcommands(without_empty_variables)
}

fn run(verb: Verb, ui: &mut Ui) -> Result<Exit, CliError> {
    match verb {
        Verb::Crds(arguments) => commands::crds::run(&arguments, ui),
        Verb::Init(arguments) => commands::init::run(&arguments, ui),
        Verb::Validate(arguments) => commands::validate::run(&arguments, ui),
        Verb::Render(arguments) => commands::render::run(&arguments, ui),
        Verb::Schema(arguments) => commands::schema::run(&arguments, ui),
        Verb::Convert(arguments) => commands::convert::run(&arguments, ui),
        Verb::Plan(arguments) => commands::plan::run(&arguments, ui),
        Verb::Export(arguments) => commands::export::run(&arguments, ui),
        Verb::Adopt(arguments) => commands::adopt::run(&arguments, ui),
        Verb::Snapshot(arguments) => commands::snapshot::run(&arguments, ui),
        Verb::Show(arguments) => commands::show::run(&arguments, ui),
        Verb::Apply(arguments) => commands::apply::run(&arguments, ui),
        Verb::Protect(arguments) => commands::protect::run(&arguments, ui),
        Verb::Unprotect(arguments) => commands::unprotect::run(&arguments, ui),
        Verb::Purge(arguments) => commands::purge::run(&arguments, ui),
        Verb::Unlock(arguments) => commands::unlock::run(&arguments, ui),
        Verb::Rollout(arguments) => commands::rollout::run(&arguments, ui),
        Verb::Status(arguments) => commands::status::run(&arguments, ui),
        Verb::Controller(arguments) => commands::controller::run(&arguments),
        Verb::Install(arguments) => commands::install::run(&arguments, ui),
        Verb::Explain(arguments) => commands::explain::run(&arguments, ui),
        Verb::Completion(arguments) => commands::completion::run(&arguments, ui),
        Verb::Version(arguments) => commands::version::run(&arguments, ui),
    }
}

/// Leaves what a command has made to the system, which takes it back as a whole when the program ends, as it soon does.
/// To give a large fleet back value by value takes a tenth of the time of a plan.
fn leave<T>(value: T) {
    std::mem::forget(value);
}

/// Runs what talks to servers on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(ErrorKind::Failed, "cannot start threads").caused_by(&error))?;
    let result = runtime.block_on(future);
    // What still waits for a server must not keep the program from ending.
    runtime.shutdown_background();
    result
}
