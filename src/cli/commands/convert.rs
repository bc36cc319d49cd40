//! `convert`: objects of the Go operator k0smotron, as objects of this one.

use clap::Args;

use crate::cli::args::Source;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::yaml;
use crate::cli::source::{self, Files, OnErrors};
use crate::cli::ui::Ui;
use crate::compose::{self, Reading};

/// Print k0smotron's Cluster and JoinTokenRequest as the K0smotronCluster and K0smotronJoinToken that mean the same
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let tree = source::tree(&arguments.source)?;
    let (converted, findings) = compose::convert(&tree);
    let files = Files {
        tree,
        reading: Reading {
            findings,
            ..Reading::default()
        },
    };
    source::report(&files, OnErrors::Stop, ui)?;
    let selected = converted
        .iter()
        .filter(|one| files.tree.selects(&one.source_path));
    let text = yaml::documents(selected.map(|one| (one.source_path.as_str(), &one.object)))?;
    if text.is_empty() {
        ui.say("nothing to convert: there is no `Cluster` and no `JoinTokenRequest` of k0smotron\n");
    }
    ui.answer(&text)?;
    Ok(Exit::Success)
}
