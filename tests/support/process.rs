//! Programs: one that runs in the background, one that is run to its end.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::watchdog;

/// A background process. Killed when dropped, and in any case when this process ends.
pub struct Process {
    name: String,
    command: Mutex<Command>,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with stdout and stderr appended to `log`, in a process group of its own.
    ///
    /// Panics when it cannot be started at all.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let child = Self::spawn(&mut command, &name, log);
        Self {
            name,
            command: Mutex::new(command),
            child: Mutex::new(child),
            log: log.to_owned(),
        }
    }

    fn spawn(command: &mut Command, name: &str, log: &Path) -> Child {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .expect("the log folder is writable")
        };
        let (key, value) = watchdog::mark();
        command
            .env(key, value)
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .process_group(0);
        command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Returns the exit status, or nothing while the process runs.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().try_wait().expect("a child can be waited for")
    }

    /// Kills it (SIGKILL) and waits until it is gone. Repeating is harmless.
    pub fn kill(&self) {
        let mut child = self.child();
        // Fails only when it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Sends a signal by name (`TERM`, `STOP`, `CONT`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.id())])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIG{name} to {}",
            self.name
        );
    }

    /// Sends SIGTERM and returns the exit status; kills after `grace`.
    pub fn terminate(&self, grace: Duration) -> ExitStatus {
        if self.ended().is_none() {
            self.signal("TERM");
        }
        let start = Instant::now();
        while start.elapsed() < grace {
            if let Some(status) = self.ended() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        self.ended().expect("it was waited for")
    }

    /// Kills what may still run and starts the same command again, with the same log.
    pub fn restart(&self) {
        self.kill();
        let mut command = self.command.lock().unwrap_or_else(PoisonError::into_inner);
        *self.child() = Self::spawn(&mut command, &self.name, &self.log);
    }

    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns the last `lines` lines of the log, for messages.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a program that ran to its end left behind.
#[derive(Debug, Clone)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
}

impl Output {
    /// Returns stdout, and panics with everything when the exit code is not 0.
    pub fn success(self) -> String {
        assert!(
            self.code == 0,
            "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}

/// Runs a command to its end, with `input` on stdin. It is killed when the future is dropped.
pub async fn run(command: Command, input: &[u8]) -> Output {
    use tokio::io::AsyncWriteExt as _;
    let (key, value) = watchdog::mark();
    let mut command = tokio::process::Command::from(command);
    command
        .env(key, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin was asked for");
    let write = async move {
        // A program that does not read its input closes the pipe early, which is its right.
        let _ = stdin.write_all(input).await;
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.expect("a child can be waited for");
    Output {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output
            .status
            .code()
            .or(output.status.signal().map(|signal| 128 + signal))
            .unwrap_or(-1),
    }
}
