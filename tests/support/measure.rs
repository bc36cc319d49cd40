//! What a program costs that runs to its end: time, processor and memory, as the kernel says of the very process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::watchdog;

/// Memory only grows in this figure, so what is missed is what was added after the last look.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What one run cost. Processes that it started itself are not counted.
#[derive(Clone, Debug)]
pub struct Cost {
    pub code: i32,
    /// What was written to stdout and stderr.
    pub stdout: String,
    pub stderr: String,
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub peak_mebibytes: f64,
}

/// Runs a command to its end. Blocks; `folder` is for its output.
pub fn run(mut command: Command, folder: &Path) -> Cost {
    let files = ["measured.out", "measured.err"].map(|name| folder.join(name));
    let [stdout, stderr] = files
        .each_ref()
        .map(|path| std::fs::File::create(path).expect("the folder is writable"));
    let (key, value) = watchdog::mark();
    command
        .env(key, value)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    let started = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (peak_mebibytes, cpu_seconds) = watch(&child);
    let seconds = started.elapsed().as_secs_f64();
    let status = child.wait().expect("a child can be waited for");
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    Cost {
        code: status.code().unwrap_or(-1),
        stdout: read(&files[0]),
        stderr: read(&files[1]),
        seconds,
        cpu_seconds,
        peak_mebibytes,
    }
}

/// Looks at a child until it has ended; nobody has waited for it yet, so its times are still there.
fn watch(child: &Child) -> (f64, f64) {
    let folder = Path::new("/proc").join(child.id().to_string());
    let mut peak = 0.0_f64;
    loop {
        if let Some(found) = peak_of(&folder) {
            peak = peak.max(found);
        }
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
        // The name in brackets may hold anything.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        if matches!(fields.first(), None | Some(&"Z")) {
            let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
            // The kernel counts in hundredths of a second on every Linux.
            let cpu = [11, 12].into_iter().filter_map(ticks).sum::<f64>() / 100.0;
            return (peak, cpu);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn peak_of(folder: &Path) -> Option<f64> {
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}
