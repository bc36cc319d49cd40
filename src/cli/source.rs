//! Reads what PATH names, and says what is wrong with it.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Source;
use super::error::{CliError, ErrorKind};
use super::show::findings;
use super::ui::Ui;
use crate::api::fleet::Fleet;
use crate::compose::{self, Reading};
use crate::diagnostic::SourceTree;
use crate::load;
use crate::load::git::{self, Access, Address, Agent, KnownHosts, Token};

/// Longest time that reading a repository of a server may take.
const FETCH: Duration = Duration::from_secs(300);
/// Largest file of a token or of known hosts.
const SETTING_BYTES_MAX: u64 = 1 << 20;

/// The files and all they say.
pub struct Files {
    pub tree: SourceTree,
    pub reading: Reading,
}

impl Files {
    fn of(tree: SourceTree) -> Self {
        let reading = compose::read(&tree);
        Self { tree, reading }
    }
}

/// Reads a directory, a file, a Git repository or, for `-`, standard input.
///
/// *Errors*: what cannot be read at all, and a path that holds no file of a fleet. What is wrong *in* the files are
/// findings.
pub fn read(source: &Source) -> Result<Files, CliError> {
    tree(source).map(Files::of)
}

/// Reads a directory or file of the disk.
pub fn read_disk(path: &Path) -> Result<Files, CliError> {
    address(path)?;
    something(load::directory(path)?, path).map(Files::of)
}

/// Reads the files without saying what they mean, as [`read`] does.
pub fn tree(source: &Source) -> Result<SourceTree, CliError> {
    let path = source.path();
    let address = address(&path)?;
    let tree = match (address, source.revision()) {
        (Some(_), Some(_)) => {
            return Err(
                CliError::failed("--rev is about the local repository, and PATH is an address")
                    .hint("write the revision into the address: `?ref=REVISION`"),
            );
        }
        (Some(address), None) => {
            let (cache, temporary) = (cache_folder(), std::env::temp_dir());
            git::remote(&address, access()?, cache.as_deref(), &temporary, FETCH)?
        }
        (None, Some(_)) if path == Path::new("-") => {
            return Err(CliError::failed(
                "--rev is about the local repository, and PATH is standard input",
            ));
        }
        (None, Some(revision)) => git::local(&path, revision)?,
        (None, None) if path == Path::new("-") => load::stdin(std::io::stdin().lock())?,
        (None, None) => load::directory(&path)?,
    };
    something(tree, &path)
}

/// Reads the address that a path may be; `None` for a path of the disk.
///
/// *Errors*: what cannot be an address, without repeating it, since it may hold a secret. Whoever shows a path calls this
/// first.
pub fn address(path: &Path) -> Result<Option<Address>, CliError> {
    Ok(path.to_str().and_then(Address::parse).transpose()?)
}

/// Refuses a tree in which nothing is that was asked for.
fn something(tree: SourceTree, path: &Path) -> Result<SourceTree, CliError> {
    if !tree.selects_anything() {
        let message = format!("there is no YAML or JSON file in `{}`", path.display());
        return Err(CliError::failed(message)
            .hint("name the directory of the fleet, or begin one with `k0smotron-fleet init`"));
    }
    Ok(tree)
}

/// A variable of the environment; an empty one is none.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

/// Where fetched repositories are kept. Without a home folder they are not.
fn cache_folder() -> Option<PathBuf> {
    let standard = || {
        let folder = variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|folder| folder.is_absolute())
            .or_else(|| home().map(|home| home.join(".cache")))?;
        Some(folder.join("k0smotron-fleet"))
    };
    variable("K0SMOTRON_FLEET_GIT_CACHE")
        .map(PathBuf::from)
        .or_else(standard)
}

/// What servers are shown and how they are known, from the environment. No program is asked.
fn access() -> Result<Access, CliError> {
    let given = variable("K0SMOTRON_FLEET_GIT_TOKEN").and_then(|text| Token::new(text.to_str()?));
    let token = match (given, variable("K0SMOTRON_FLEET_GIT_TOKEN_FILE")) {
        (None, Some(file)) => Token::new(&setting(Path::new(&file))?),
        (given, _) => given,
    };
    let user = variable("K0SMOTRON_FLEET_GIT_USERNAME").and_then(|user| user.into_string().ok());
    let known_hosts = match variable("K0SMOTRON_FLEET_GIT_KNOWN_HOSTS") {
        Some(file) => setting(Path::new(&file))?,
        // Those of ssh itself, as far as they are there.
        None => [
            home().map(|home| home.join(".ssh/known_hosts")),
            Some("/etc/ssh/ssh_known_hosts".into()),
        ]
        .into_iter()
        .flatten()
        .filter_map(|file| setting(&file).ok())
        .collect::<Vec<_>>()
        .join("\n"),
    };
    Ok(Access {
        token,
        user,
        ssh_key: variable("K0SMOTRON_FLEET_GIT_SSH_KEY").map(PathBuf::from),
        agent: match variable("SSH_AUTH_SOCK") {
            Some(_) => Agent::Asked,
            None => Agent::Unused,
        },
        known_hosts: KnownHosts::new(known_hosts),
    })
}

/// Reads a file that the environment names.
fn setting(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SETTING_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| CliError::failed(format!("cannot read `{}`", path.display())).caused_by(&error))?;
    Ok(text)
}

/// Whether to go on with what is right when something in the files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnErrors {
    Stop,
    KeepGoing,
}

impl OnErrors {
    /// Reads `--keep-going`.
    pub fn of(keep_going: bool) -> Self {
        if keep_going { Self::KeepGoing } else { Self::Stop }
    }
}

/// Reads what PATH names, as [`read`] does, and says what is wrong in it, as [`report`] does. `expects` is told the Fleet
/// as soon as there is one, while all else is still to be read; whether it can be used is told by the end alone.
pub fn read_reported(
    source: &Source,
    on_errors: OnErrors,
    expects: impl FnOnce(Fleet),
    ui: &mut Ui,
) -> Result<Files, CliError> {
    let tree = tree(source)?;
    if let Some(fleet) = compose::fleet_in(&tree, load::FLEET_FILE) {
        expects(fleet);
    }
    let files = Files::of(tree);
    report(&files, on_errors, ui)?;
    Ok(files)
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
