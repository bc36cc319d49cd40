//! `completion`: a script that completes commands and flags in a shell.

use clap::Args;
use clap_complete::Shell;

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::reference;
use crate::cli::ui::Ui;

/// Print a completion script, for example `source <(k0smotron-fleet completion bash)`
#[derive(Debug, Args)]
pub struct Arguments {
    /// Shell to complete in
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut reference::command(),
        "k0smotron-fleet",
        &mut script,
    );
    ui.answer(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
