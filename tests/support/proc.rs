//! What the kernel says of a process.

use std::path::{Path, PathBuf};

/// Returns where the kernel tells of a process.
pub fn of(process: u32) -> PathBuf {
    Path::new("/proc").join(process.to_string())
}

/// User and system time so far, in seconds. `Err`: the process has ended, with its last times if nobody has waited for it
/// yet.
pub fn cpu_seconds(folder: &Path) -> Result<f64, f64> {
    let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
    // The name in brackets may hold anything.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    // The kernel counts in hundredths of a second on every Linux.
    let seconds = [11, 12].into_iter().filter_map(ticks).sum::<f64>() / 100.0;
    match fields.first() {
        None | Some(&"Z") => Err(seconds),
        Some(_) => Ok(seconds),
    }
}

/// A figure of its memory, such as `VmHWM`, in mebibytes.
pub fn mebibytes(folder: &Path, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}
