//! `explain CODE`: the rule behind a finding, with a good and a bad example.

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::ui::{COLUMNS, Ui, wrap};
use crate::diagnostic::Code;
use crate::diagnostic::codes::Example;

/// Explain the code of a finding, with a bad and a good example; without a code, list them
#[derive(Debug, Args)]
pub struct Arguments {
    /// Code as it is printed in brackets, for example FLT0103
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let Some(text) = &arguments.code else {
        let list: String = Code::ALL
            .iter()
            .map(|code| format!("{code}  {:7}  {}\n", code.severity().as_str(), code.title()))
            .collect();
        ui.answer(&list)?;
        return Ok(Exit::Success);
    };
    let Some(code) = Code::find(text) else {
        return Err(CliError::failed(format!("there is no code `{text}`"))
            .hint("`k0smotron-fleet explain` without a code lists them all"));
    };
    ui.answer(&explanation(code))?;
    Ok(Exit::Success)
}

fn explanation(code: Code) -> String {
    let mut text = format!("{code}: {} ({})\n\n", code.title(), code.severity().as_str());
    for line in wrap(code.rule(), COLUMNS) {
        text.push_str(&format!("{line}\n"));
    }
    for (heading, example) in [("Bad", code.bad()), ("Good", code.good())] {
        match example {
            Example::Files(files) => {
                for (path, content) in files {
                    text.push_str(&format!("\n{heading}: {path}\n\n"));
                    text.extend(content.lines().map(|line| format!("    {line}\n")));
                }
            }
            Example::Told(words) => {
                text.push_str(&format!("\n{heading}:\n\n"));
                text.extend(
                    wrap(words, COLUMNS - 4)
                        .iter()
                        .map(|line| format!("    {line}\n")),
                );
            }
        }
    }
    text
}
