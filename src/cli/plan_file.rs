//! Saved plans and snapshots as files.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::error::CliError;
use super::source;
use crate::observe::Snapshot;
use crate::plan::SavedPlan;

/// Largest plan that is read. Ten thousand new clusters are about 30 MB.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reads a path that names a saved plan; `None` for everything else (a directory, a file of a fleet, stdin).
///
/// *Errors*: a saved plan that cannot be used.
pub fn read_if_meant(path: &Path) -> Result<Option<SavedPlan>, CliError> {
    if path == Path::new("-") || !path.is_file() {
        return Ok(None);
    }
    let file = fs::File::open(path).map_err(|error| failed("read", path, &error))?;
    let mut text = String::new();
    match file.take(BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 <= BYTES_MAX => {}
        Ok(_) => return Ok(None),
        // Not even text; whoever reads files of a fleet says so with its place.
        Err(_) => return Ok(None),
    }
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(document) if SavedPlan::is_meant(&document) => {
            let saved = SavedPlan::read(document).map_err(|error| {
                CliError::failed(format!("`{}` cannot be used: {error}", path.display()))
                    .hint("plan again with this program: `k0smotron-fleet plan --out FILE`")
            })?;
            Ok(Some(saved))
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Reads what `snapshot` wrote.
pub fn read_snapshot(path: &Path) -> Result<Snapshot, CliError> {
    source::address(path)?;
    let text = fs::read_to_string(path).map_err(|error| failed("read", path, &error))?;
    Snapshot::read(&text).map_err(|error| {
        CliError::failed(format!("`{}` cannot be used: {error}", path.display()))
            .hint("`k0smotron-fleet snapshot --out FILE` writes one")
    })
}

/// Writes text that only its owner may read, as a whole or not at all.
pub fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // What is left of it is of no use to anybody; that it cannot be removed changes nothing about the failure.
        let _ = fs::remove_file(&temporary);
        failed("write", path, &error)
    })
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("cannot {verb} `{}`", path.display())).caused_by(error)
}
