//! Files that commands make for people.

use std::io::Write as _;
use std::path::Path;

use super::error::CliError;

/// Makes a directory and those around it, unless they are there.
pub fn make_directory(path: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(path).map_err(|error| {
        CliError::failed(format!("cannot make the directory `{}`", path.display())).caused_by(&error)
    })
}

/// Writes a file that is not there yet; whoever made it meanwhile keeps it.
pub fn write_new(path: &Path, content: &str) -> Result<(), CliError> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()));
    written.map_err(|error| CliError::failed(format!("cannot write `{}`", path.display())).caused_by(&error))
}
