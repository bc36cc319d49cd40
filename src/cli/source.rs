//! Reads what PATH names, and says what is wrong with it.

use std::path::Path;

use super::error::{CliError, ErrorKind};
use super::show::findings;
use super::ui::Ui;
use crate::compose::{self, Reading};
use crate::diagnostic::SourceTree;
use crate::load;

/// The files and all they say.
pub struct Files {
    pub tree: SourceTree,
    pub reading: Reading,
}

/// Reads a directory, a file or, for `-`, standard input.
///
/// *Errors*: what cannot be read at all, and a path that holds no file of a fleet. What is wrong *in* the files are
/// findings.
pub fn read(path: &Path) -> Result<Files, CliError> {
    let tree = tree(path)?;
    let reading = compose::read(&tree);
    Ok(Files { tree, reading })
}

/// Reads the files without saying what they mean, as [`read`] does.
pub fn tree(path: &Path) -> Result<SourceTree, CliError> {
    let tree = if path == Path::new("-") {
        load::stdin(std::io::stdin().lock())?
    } else {
        load::directory(path)?
    };
    if !tree.selects_anything() {
        let message = format!("there is no YAML or JSON file in `{}`", path.display());
        return Err(CliError::failed(message)
            .hint("name the directory of the fleet, or begin one with `k0smotron-fleet init`"));
    }
    Ok(tree)
}

/// Whether to go on with what is right when something in the files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnErrors {
    Stop,
    KeepGoing,
}

/// Says on stderr what is wrong in the files.
///
/// *Errors*: when there are errors and the command is not to go on; also with [`OnErrors::KeepGoing`] when the Fleet
/// itself is broken, because then nobody knows what guards it.
pub fn report(files: &Files, on_errors: OnErrors, ui: &mut Ui) -> Result<(), CliError> {
    let found = &files.reading.findings;
    if !found.is_empty() {
        ui.say(&text(files, Stream::Errors, ui));
    }
    if !found.has_errors() {
        return Ok(());
    }
    let message = format!(
        "{} in the files; nothing was written",
        count(found.errors(), "error")
    );
    let error = CliError::new(ErrorKind::InvalidInput, message);
    match on_errors {
        OnErrors::KeepGoing if files.reading.is_fleet_broken => {
            Err(error
                .hint("--keep-going cannot help while the Fleet itself is wrong: its guards are not known"))
        }
        OnErrors::KeepGoing => Ok(()),
        OnErrors::Stop => Err(error.hint("`k0smotron-fleet explain CODE` says more about each code")),
    }
}

/// Which stream findings go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Answer,
    Errors,
}

/// Returns all findings: with their source underlined where a person looks, one line each elsewhere.
pub fn text(files: &Files, stream: Stream, ui: &Ui) -> String {
    let (is_terminal, colour) = match stream {
        Stream::Answer => (ui.stdout_is_terminal(), ui.stdout_has_colour()),
        Stream::Errors => (ui.stderr_is_terminal(), ui.stderr_has_colour()),
    };
    if is_terminal {
        findings::render(&files.reading.findings, &files.tree, colour)
    } else {
        findings::lines(&files.reading.findings, &files.tree)
    }
}

/// Returns `1 error`, `2 errors`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
