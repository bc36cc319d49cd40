//! What a test process started ends with it, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Process, Servers, eventually, watchdog};

const HOLD: &str = "TEST_HOLD_SERVERS";

/// Starts servers, says which ones, and waits to be killed.
async fn hold(report: &Path) -> ! {
    let servers = Servers::shared().await;
    let controllers = servers.controller_manager.as_ref().unwrap();
    let pids = [&servers.etcd, &servers.api_server, controllers].map(|process| process.id().to_string());
    let text = format!("{}\n{}", servers.folder().display(), pids.join("\n"));
    std::fs::write(report.with_extension("new"), text).unwrap();
    std::fs::rename(report.with_extension("new"), report).unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn nothing_outlives_a_killed_test_process() {
    if let Some(report) = std::env::var_os(HOLD) {
        hold(Path::new(&report)).await;
    }
    let folder = watchdog::folder("holder");
    let report = folder.join("report");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "support_watchdog::nothing_outlives_a_killed_test_process",
        ])
        .env(HOLD, &report)
        .stdin(Stdio::null());
    let holder = Process::start(command, &folder.join("log"));
    let text = eventually(
        "the other process has servers",
        Duration::from_secs(60),
        async || {
            std::fs::read_to_string(&report).map_err(|error| format!("{error}\n{}", holder.log_tail(20)))
        },
    )
    .await;
    let mut lines = text.lines();
    let files = PathBuf::from(lines.next().unwrap());
    let processes: Vec<PathBuf> = lines
        .map(|pid| Path::new("/proc").join(pid).join("exe"))
        .collect();
    assert_eq!(processes.iter().filter(|link| link.exists()).count(), 3, "{text}");
    assert!(files.join("audit.log").exists());

    holder.kill();
    eventually(
        "its servers and their folder are gone",
        Duration::from_secs(10),
        async || {
            let left: Vec<_> = processes
                .iter()
                .chain([&files])
                .filter(|path| path.exists())
                .collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        },
    )
    .await;
}
