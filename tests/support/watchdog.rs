//! A second process that outlives this one just long enough to clean up after it.
//!
//! `Drop` does not run for statics, after `kill -9` or after Ctrl-C, and a parent-death signal would need unsafe code
//! and follows a thread, not a process. So one small shell waits for the end of a pipe that only this process holds;
//! then it kills every process that carries this process' marker in its environment, and removes the folders.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Environment variable that marks everything this process starts.
const MARKER: &str = "TEST_SUPPORT_OWNER";

struct Watchdog {
    marker: String,
    pipe: Mutex<ChildStdin>,
}

#[expect(clippy::zombie_processes, reason = "it outlives this process on purpose")]
static WATCHDOG: LazyLock<Watchdog> = LazyLock::new(|| {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    let marker = format!("{}-{since}", std::process::id());
    // stderr stays open on purpose: who reads the output of the tests to its end also waits for the cleaning up.
    let mut child = Command::new("sh")
        .args([
            "-c",
            include_str!("watchdog.sh"),
            "watchdog",
            &format!("{MARKER}={marker}"),
        ])
        // A watchdog that carried the marker of a process further up would end with that one's children.
        .env_remove(MARKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell can be started");
    let pipe = child.stdin.take().expect("stdin was asked for");
    Watchdog {
        marker,
        pipe: Mutex::new(pipe),
    }
});

/// Marks a command that is about to be started, so that it cannot outlive this process.
pub fn mark() -> (&'static str, &'static str) {
    (MARKER, &WATCHDOG.marker)
}

/// Makes an empty folder that is removed after the end of this process.
pub fn folder(purpose: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "fleet-{purpose}-{}-{}",
        WATCHDOG.marker,
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let folder = std::env::temp_dir().join(name);
    remove_at_end(&folder);
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}

fn remove_at_end(folder: &Path) {
    let mut pipe = WATCHDOG
        .pipe
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    writeln!(pipe, "{}", folder.display()).expect("the watchdog reads for as long as this process lives");
}
