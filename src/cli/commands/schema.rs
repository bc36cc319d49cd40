//! `schema`: prints the JSON Schemas of fleet files.

use clap::Args;

use crate::api::file_schemas;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::Ui;
use crate::diagnostic::{nearest, quote};
use crate::plan;

/// Print the JSON Schema of a kind of fleet files or of a saved plan; without a kind, list the kinds
#[derive(Debug, Args)]
pub struct Arguments {
    /// Kind, for example ClusterSet
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

/// The name of the format of a saved plan, beside the kinds of fleet files.
const SAVED_PLAN: &str = "SavedPlan";

/// Returns the schema of a kind, or of a saved plan, as the text of its file.
pub fn text(kind: &str) -> Option<String> {
    if kind == SAVED_PLAN {
        return Some(format!("{:#}\n", plan::saved_schema()));
    }
    file_schemas::text(kind)
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let Some(kind) = &arguments.kind else {
        let list: String = file_schemas::NAMES
            .iter()
            .map(|(kind, _)| *kind)
            .chain([SAVED_PLAN])
            .map(|kind| format!("{kind}\n"))
            .collect();
        ui.answer(&list)?;
        return Ok(Exit::Success);
    };
    let kinds = file_schemas::NAMES
        .iter()
        .map(|(kind, _)| *kind)
        .chain([SAVED_PLAN]);
    let known = kinds.clone().find(|known| known.eq_ignore_ascii_case(kind));
    match known.and_then(text) {
        Some(text) => {
            ui.answer(&text)?;
            Ok(Exit::Success)
        }
        None => {
            let hint = match nearest(kind, kinds) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`k0smotron-fleet schema` lists the kinds".to_owned(),
            };
            Err(CliError::failed(format!("there is no schema of {}", quote(kind))).hint(hint))
        }
    }
}
