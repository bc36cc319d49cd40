//! What a program costs that runs to its end: time, processor and memory, as the kernel says of the very process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Options, Servers, crds, proc, watchdog};

/// Memory only grows in this figure, so what is missed is what was added after the last look. Looking more often would take
/// a part of the processors from who is measured.
const LOOK_EVERY: Duration = Duration::from_millis(10);

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
    let folder = proc::of(child.id());
    let mut peak = 0.0_f64;
    loop {
        peak = peak.max(proc::mebibytes(&folder, "VmHWM").unwrap_or_default());
        if let Err(cpu) = proc::cpu_seconds(&folder) {
            return (peak, cpu);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Starts a hub to measure at: nobody works on it but who is measured.
pub async fn hub() -> Servers {
    let servers = Servers::start(Options {
        without_controllers: true,
        ..Options::default()
    })
    .await;
    crds::install(&servers.client().await).await;
    servers
}

/// Returns how many clusters a benchmark is asked to measure, `usual` when nobody says. `None` when it is no benchmark:
/// `cargo test --benches` and `cargo bench` both call it, only the latter with --bench.
pub fn counts(usual: &[usize]) -> Option<Vec<usize>> {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return None;
    }
    let asked: Vec<usize> = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    Some(if asked.is_empty() { usual.to_vec() } else { asked })
}
