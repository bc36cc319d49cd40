//! What can be written on the command line. One file a verb is in `commands/`.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::commands;
use super::show::text::Detail;
use super::ui::{Colour, Verbosity};
use crate::api::duration::GoDuration;
use crate::fleet::select::Filter;
use crate::fleet::selector::Selector;
use crate::fleet::{OperatorSource, parent};
use crate::object::{ObjectId, kinds};

/// Runs hosted k0s control planes and keeps a fleet of them as files say.
#[derive(Debug, Parser)]
#[command(
    name = "k0smotron-fleet",
    bin_name = "k0smotron-fleet",
    version,
    term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 success, 1 error, 2 changes (--detailed-exitcode), 3 stale plan, 4 refused,\n\
                  5 partial, 6 invalid input, 130 interrupted."
)]
pub struct CommandLine {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Init(commands::init::Arguments),
    Validate(commands::validate::Arguments),
    Schema(commands::schema::Arguments),
    Render(commands::render::Arguments),
    Convert(commands::convert::Arguments),
    Plan(commands::plan::Arguments),
    Snapshot(commands::snapshot::Arguments),
    Export(commands::export::Arguments),
    Adopt(commands::adopt::Arguments),
    Show(commands::show::Arguments),
    Apply(commands::apply::Arguments),
    Rollout(commands::rollout::Arguments),
    Status(commands::status::Arguments),
    Protect(commands::protect::Arguments),
    Unprotect(commands::unprotect::Arguments),
    Purge(commands::purge::Arguments),
    Unlock(commands::unlock::Arguments),
    Controller(commands::controller::Arguments),
    Install(commands::install::Arguments),
    Crds(commands::crds::Arguments),
    Explain(commands::explain::Arguments),
    Completion(commands::completion::Arguments),
    Version(commands::version::Arguments),
}

/// Flags that every command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Global {
    /// Print without colour, as does the environment variable NO_COLOR
    #[arg(long, global = true, env = "K0SMOTRON_FLEET_NO_COLOR", value_parser = FalseyValueParser::new())]
    pub no_color: bool,
    /// Say more: every unchanged cluster, and where every value was written
    #[arg(short, long, global = true, env = "K0SMOTRON_FLEET_VERBOSE", value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// Say nothing on stderr but warnings, errors and questions
    #[arg(short, long, global = true, env = "K0SMOTRON_FLEET_QUIET", conflicts_with = "verbose",
          value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

impl Global {
    pub fn colour(&self) -> Colour {
        if self.no_color {
            Colour::Never
        } else {
            Colour::Automatic
        }
    }

    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
            (false, true) => Verbosity::Verbose,
        }
    }
}

/// Namespace of the controller, and name of its lease.
pub const SYSTEM_NAMESPACE: &str = parent::NAMESPACE;

/// Where the files of the fleet are.
#[derive(Debug, Args)]
pub struct Source {
    /// Directory, file, `-` for stdin, or a Git address like `https://host/repo.git//path?ref=main`. The fleet is
    /// what the nearest `fleet.yaml` upward holds; all of it is read, and PATH selects from it [default: .]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// The same as PATH
    #[arg(short = 'f', long = "file", value_name = "PATH", conflicts_with = "path")]
    file: Option<PathBuf>,
    /// Read PATH as it is in this revision of its Git repository, such as `HEAD` or `main~2`, instead of the disk
    #[arg(long, value_name = "REVISION", env = "K0SMOTRON_FLEET_REV", value_parser = NonEmptyStringValueParser::new())]
    rev: Option<String>,
}

impl Source {
    /// The revision of the local repository that was asked for.
    pub fn revision(&self) -> Option<&str> {
        self.rev.as_deref()
    }

    pub fn path(&self) -> PathBuf {
        self.path
            .clone()
            .or_else(|| self.file.clone())
            .unwrap_or_else(|| PathBuf::from("."))
    }
}

/// Which entries of the finished plan to show and do. Nothing that is not named is deleted.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct Selection {
    /// Only clusters of this namespace (can be repeated)
    #[arg(
        short,
        long = "namespace",
        value_name = "NAMESPACE",
        env = "K0SMOTRON_FLEET_NAMESPACE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub namespaces: Vec<String>,
    /// Only clusters with these labels, for example `tier=prod,site!=lab`
    #[arg(short = 'l', long, value_name = "SELECTOR", env = "K0SMOTRON_FLEET_SELECTOR", value_parser = crate::fleet::selector::parse)]
    pub selector: Option<Selector>,
    /// Only this cluster (can be repeated); the one filter under which deletions are done
    #[arg(long, value_name = "NAMESPACE/NAME", env = "K0SMOTRON_FLEET_ONLY", value_delimiter = ',', value_parser = cluster_name)]
    pub only: Vec<ClusterName>,
}

impl Selection {
    pub fn filter(&self) -> Filter {
        Filter {
            namespaces: self.namespaces.iter().cloned().collect(),
            selector: self.selector.clone(),
            only: self
                .only
                .iter()
                .map(|name| (name.namespace.clone(), name.name.clone()))
                .collect(),
        }
    }
}

/// The hub: the cluster in which the control planes run.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Hub")]
pub struct Hub {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE", env = "K0SMOTRON_FLEET_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", env = "K0SMOTRON_FLEET_CONTEXT")]
    pub context: Option<String>,
    /// Act as this user, with their rights and no others
    #[arg(long = "as", value_name = "USER", env = "K0SMOTRON_FLEET_AS", value_parser = NonEmptyStringValueParser::new())]
    pub as_user: Option<String>,
    /// Act as a member of this group (can be repeated); goes with --as
    #[arg(long, value_name = "GROUP", env = "K0SMOTRON_FLEET_AS_GROUP", value_delimiter = ',', requires = "as_user",
          value_parser = NonEmptyStringValueParser::new())]
    pub as_group: Vec<String>,
    /// Most requests a second [default: as many as the server takes]
    #[arg(long, value_name = "NUMBER", env = "K0SMOTRON_FLEET_QPS")]
    pub qps: Option<NonZeroU32>,
    /// Longest time that one request may take
    #[arg(long, value_name = "DURATION", env = "K0SMOTRON_FLEET_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Namespace of the ConfigMap that remembers the fleet on this hub
    #[arg(long, value_name = "NAMESPACE", env = "K0SMOTRON_FLEET_PARENT_NAMESPACE", default_value = parent::NAMESPACE)]
    pub parent_namespace: String,
    /// Namespace in which the operator of this hub says how it renders
    #[arg(long, value_name = "NAMESPACE", env = "K0SMOTRON_FLEET_OPERATOR_NAMESPACE", default_value = SYSTEM_NAMESPACE)]
    pub operator_namespace: String,
}

impl Hub {
    /// Returns from whom it is known how the operator renders.
    pub fn operator(&self) -> OperatorSource<'_> {
        OperatorSource::Published {
            namespace: &self.operator_namespace,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One documented document, for programs
    Json,
}

#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Format of the answer
    #[arg(
        short,
        long = "output",
        value_name = "FORMAT",
        env = "K0SMOTRON_FLEET_OUTPUT",
        default_value = "text"
    )]
    pub output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// One documented document, for programs
    Json,
    /// A comment of a pull request, of at most 60,000 bytes
    Markdown,
    /// Annotations of a GitHub Actions run
    Github,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct PlanOutput {
    /// Format of the answer
    #[arg(
        short,
        long = "output",
        value_name = "FORMAT",
        env = "K0SMOTRON_FLEET_OUTPUT",
        default_value = "text"
    )]
    pub output: PlanFormat,
    /// Show each change by itself; otherwise four or more equal ones are told once
    #[arg(long, env = "K0SMOTRON_FLEET_FULL", value_parser = FalseyValueParser::new())]
    pub full: bool,
    /// Show a line for each change and no more
    #[arg(long, env = "K0SMOTRON_FLEET_COMPACT", conflicts_with = "full", value_parser = FalseyValueParser::new())]
    pub compact: bool,
}

impl PlanOutput {
    pub fn detail(&self, verbosity: Verbosity) -> Detail {
        match (self.full, self.compact) {
            (_, true) => Detail::Compact,
            (true, false) => Detail::of(verbosity).max(Detail::Full),
            (false, false) => Detail::of(verbosity),
        }
    }
}

/// A cluster as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterName {
    pub namespace: String,
    pub name: String,
}

impl ClusterName {
    pub fn id(&self) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, &self.namespace, &self.name)
    }
}

/// Reads `NAMESPACE/NAME`.
pub fn cluster_name(text: &str) -> Result<ClusterName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(ClusterName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        }
        Some(_) | None => Err("write it as NAMESPACE/NAME".to_owned()),
    }
}

/// Reads `30s`, `1m30s`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    match GoDuration(text.to_owned()).to_duration() {
        Some(duration) if !duration.is_zero() => Ok(duration),
        Some(_) | None => Err("write it like `30s`, `5m` or `1h30m`".to_owned()),
    }
}

/// Reads a time for which something may be waited for; `0s` is not at all.
pub fn wait(text: &str) -> Result<Duration, String> {
    let waited = GoDuration(text.to_owned()).to_duration();
    waited.ok_or_else(|| "write it like `0s`, `30s` or `10m`".to_owned())
}

/// What those who write clusters may ask of the hub.
#[derive(Debug, Clone, Args)]
pub struct HubProtection {
    /// Allow clusters to use directories of nodes: `hostPath` in persistence, mounts and manifests
    // No environment variable, as no flag that allows has one: the Deployment passes its setting as the value.
    #[arg(
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true,
        value_name = "true|false",
        help_heading = "Protection of the hub"
    )]
    pub allow_host_path: bool,
    /// Allow only images below this name, for example `quay.io/k0sproject` (can be repeated) [default: all]
    #[arg(
        long,
        value_name = "PREFIX",
        env = "K0SMOTRON_FLEET_ALLOWED_IMAGES",
        value_delimiter = ',',
        value_parser = image_prefix,
        help_heading = "Protection of the hub"
    )]
    pub allowed_images: Vec<String>,
    /// Allow pods to run as this ServiceAccount only (can be repeated) [default: all]
    #[arg(
        long,
        value_name = "NAME",
        env = "K0SMOTRON_FLEET_ALLOWED_SERVICE_ACCOUNTS",
        value_delimiter = ',',
        value_parser = account_name,
        help_heading = "Protection of the hub"
    )]
    pub allowed_service_accounts: Vec<String>,
    /// Make NetworkPolicies for every cluster: etcd is reached by nobody else
    #[arg(long, env = "K0SMOTRON_FLEET_NETWORK_POLICIES", value_parser = FalseyValueParser::new(), help_heading = "Protection of the hub")]
    pub network_policies: bool,
}

impl HubProtection {
    /// Prefixes of images that may be used, sorted; empty: all.
    pub fn images(&self) -> Vec<String> {
        sorted(&self.allowed_images)
    }

    /// ServiceAccounts that may be used, sorted; empty: all.
    pub fn service_accounts(&self) -> Vec<String> {
        sorted(&self.allowed_service_accounts)
    }
}

/// An empty value is none: a list may end with a comma, and what is empty is the beginning of every name.
fn sorted(values: &[String]) -> Vec<String> {
    let values: BTreeSet<&String> = values.iter().filter(|value| !value.is_empty()).collect();
    values.into_iter().cloned().collect()
}

fn image_prefix(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
    if text.trim().chars().all(is_allowed) {
        Ok(text.trim().to_owned())
    } else {
        Err("write the beginning of image names, for example `quay.io/k0sproject`".to_owned())
    }
}

fn account_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if text.trim().chars().all(is_allowed) {
        Ok(text.trim().to_owned())
    } else {
        Err("write the name of a ServiceAccount".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_dangerous_flag_reads_the_environment() {
        let command = CommandLine::command();
        for verb in command.get_subcommands() {
            for argument in verb.get_arguments() {
                let Some(long) = argument.get_long() else { continue };
                let is_dangerous = [
                    "auto-approve",
                    "prune",
                    "first-apply",
                    "force-conflicts",
                    "skip-stale",
                ]
                .contains(&long)
                    || long.starts_with("override-")
                    || long.starts_with("allow-");
                assert!(
                    !is_dangerous || argument.get_env().is_none(),
                    "--{long} of `{}` can be left over in an environment",
                    verb.get_name()
                );
            }
        }
    }

    #[test]
    fn help_has_no_full_stops_and_fits_the_imperative() {
        for verb in CommandLine::command().get_subcommands() {
            for argument in verb.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(
                    !help.is_empty() || argument.is_hide_set(),
                    "{:?} has no help",
                    argument.get_id()
                );
                assert!(!help.ends_with('.'), "{help}");
            }
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("30").is_err() && duration("0s").is_err());
    }
}
