//! The program under test, with nothing of this machine in its environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{self, Output, Process};
use super::{namespaced, watchdog};

/// How to call the binary: its path, environment and directory.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    folder: PathBuf,
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
    hosts: Option<PathBuf>,
}

impl Program {
    /// `path` is `env!("CARGO_BIN_EXE_k0smotron-fleet")` in a test.
    ///
    /// It runs in an empty home folder of its own, without colour, locale or kubeconfig.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let folder = watchdog::folder("program");
        Self {
            path: path.into(),
            directory: folder.clone(),
            folder,
            environment: Vec::new(),
            hosts: None,
        }
    }

    /// Home folder of the program, and where it runs unless told otherwise.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets the folder in which it runs.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    pub fn environment(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    pub fn kubeconfig(self, path: &Path) -> Self {
        self.environment("KUBECONFIG", path)
    }

    /// Lets the program (and nobody else) see this file as `/etc/hosts`.
    pub fn hosts(mut self, path: &Path) -> Self {
        self.hosts = Some(path.to_owned());
        self
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    /// Runs it to its end, with `input` on stdin.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        process::run(self.command(arguments), input.as_bytes()).await
    }

    /// Starts it in the background; stdout and stderr go to a log ([`Process::log`]).
    pub fn start(&self, arguments: &[&str]) -> Process {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let log = self
            .folder
            .join(format!("{}.log", NEXT.fetch_add(1, Ordering::Relaxed)));
        Process::start(self.command(arguments), &log)
    }

    /// Returns how it is called with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.hosts {
            None => Command::new(&self.path),
            Some(hosts) => namespaced::with_hosts(hosts, &self.path),
        };
        command
            .env_clear()
            .env("HOME", &self.folder)
            .env("TMPDIR", &self.folder)
            .env("PATH", "/usr/bin:/bin");
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.current_dir(&self.directory).args(arguments);
        command
    }
}
