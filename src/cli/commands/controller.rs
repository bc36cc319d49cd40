//! `controller`: runs what makes control planes of clusters, until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

use crate::api::fleet_sync::MaxImpact;
use crate::api::labels;
use crate::cli::args::{HubProtection, SYSTEM_NAMESPACE};
use crate::cli::block_on;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::who::{host_name, random_word};
use crate::client::{Client, Target};
use crate::hosted::Reach;
use crate::lease::{Election, Params};
use crate::load::Cache;
use crate::load::git::FileSources;
use crate::render::{NetworkPolicySettings, Settings};
use crate::server::{self, ControllerOptions, FollowDirectory, FollowSyncs};
use crate::telemetry::{self, LogFormat};

/// Run the controller: the operator of clusters, in a cluster or beside it, until it is told to stop
#[derive(Debug, Args)]
pub struct Arguments {
    /// Kubeconfig file; the controller then runs outside of the hub and alone, without leader election
    #[arg(long, value_name = "FILE", env = "K0SMOTRON_FLEET_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(
        long,
        value_name = "NAME",
        env = "K0SMOTRON_FLEET_CONTEXT",
        requires = "kubeconfig"
    )]
    context: Option<String>,
    /// Only clusters of this namespace (can be repeated) [default: all]
    #[arg(
        short,
        long = "namespace",
        value_name = "NAMESPACE",
        env = "K0SMOTRON_FLEET_NAMESPACE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    namespaces: Vec<String>,
    /// Address of probes and metrics, or `none` [default: 0.0.0.0:8080 in a cluster, none outside]
    #[arg(long, value_name = "ADDRESS", env = "K0SMOTRON_FLEET_LISTEN", value_parser = listen)]
    listen: Option<Listen>,
    /// Whether to work only while holding a lease
    #[arg(
        long,
        value_name = "WHEN",
        env = "K0SMOTRON_FLEET_LEADER_ELECTION",
        default_value = "auto"
    )]
    leader_election: LeaderElection,
    /// Namespace of the lease, and of the ConfigMap that tells those who plan how this operator renders
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = SYSTEM_NAMESPACE)]
    lease_namespace: String,
    /// Name of this process in the lease and in Events [default: name of the host]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    instance: Option<String>,
    /// Clusters worked on at the same time [default: four for each core]
    #[arg(long, value_name = "NUMBER", env = "K0SMOTRON_FLEET_CONCURRENCY", value_parser = concurrency)]
    concurrency: Option<usize>,
    /// Version of k0s for clusters that name none
    #[arg(long, value_name = "VERSION", env = "K0SMOTRON_FLEET_DEFAULT_VERSION", default_value = crate::k0s::DEFAULT_VERSION,
          value_parser = version)]
    default_version: String,
    /// DNS domain of the hub
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "K0SMOTRON_FLEET_CLUSTER_DOMAIN",
        default_value = "cluster.local"
    )]
    cluster_domain: String,
    /// Seconds for which a member of etcd crashes again and again, while all others are healthy, before it is replaced by
    /// an empty one
    #[arg(
        long,
        value_name = "SECONDS",
        env = "K0SMOTRON_FLEET_REPLACE_MEMBER_AFTER",
        default_value_t = 600
    )]
    replace_member_after: u64,
    #[command(flatten)]
    protection: HubProtection,
    /// Follow the fleet in this directory too, as FleetSyncs are followed; what is wrong is in the log
    #[arg(
        long,
        value_name = "PATH",
        env = "K0SMOTRON_FLEET_DIRECTORY",
        help_heading = "Sync"
    )]
    directory: Option<PathBuf>,
    /// Changes of the directory with more impact are held: None, Safe, Rolling, Disruptive or DataLoss
    #[arg(long, value_name = "IMPACT", env = "K0SMOTRON_FLEET_MAX_IMPACT", default_value = "Rolling",
          value_parser = max_impact, requires = "directory", help_heading = "Sync")]
    max_impact: MaxImpact,
    /// Let FleetSyncs read repositories of this machine (`file://`)
    #[arg(long, help_heading = "Sync")]
    allow_file_sources: bool,
    /// Directory for fetched Git objects [default: a temporary one]
    #[arg(
        long,
        value_name = "DIRECTORY",
        env = "K0SMOTRON_FLEET_SYNC_CACHE",
        help_heading = "Sync"
    )]
    sync_cache: Option<PathBuf>,
    /// Namespace of the ConfigMaps that remember the fleets on this hub
    #[arg(long, value_name = "NAMESPACE", env = "K0SMOTRON_FLEET_PARENT_NAMESPACE", default_value = SYSTEM_NAMESPACE,
          help_heading = "Sync")]
    parent_namespace: String,
    /// Form of the log
    #[arg(
        long,
        value_name = "FORMAT",
        env = "K0SMOTRON_FLEET_LOG_FORMAT",
        default_value = "text"
    )]
    log_format: Log,
    /// What is logged, for example `info,k0smotron_fleet=debug`
    #[arg(long, value_name = "FILTER", env = "K0SMOTRON_FLEET_LOG", default_value = telemetry::DEFAULT_FILTER)]
    log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Log {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LeaderElection {
    /// In a cluster
    Auto,
    On,
    Off,
}

/// Where probes and metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listen {
    Nowhere,
    At(SocketAddr),
}

fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::Nowhere);
    }
    let address = text.parse().map(Listen::At);
    address.map_err(|_| "write it as ADDRESS:PORT, for example `127.0.0.1:8080`, or `none`".to_owned())
}

fn concurrency(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1024) => Ok(number),
        _ => Err("write a number from 1 to 1024".to_owned()),
    }
}

fn version(text: &str) -> Result<String, String> {
    match crate::k0s::Version::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("write it like `{}`", crate::k0s::DEFAULT_VERSION)),
    }
}

fn max_impact(text: &str) -> Result<MaxImpact, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "write None, Safe, Rolling, Disruptive or DataLoss".to_owned())
}

/// Makes the folder for what is fetched.
fn cache(folder: Option<&Path>) -> Result<Cache, CliError> {
    let temporary = std::env::temp_dir();
    let made = match folder {
        Some(folder) => Cache::at(folder),
        None => Cache::temporary(&temporary),
    };
    made.map_err(|error| {
        let folder = folder.unwrap_or(&temporary).display();
        CliError::failed(format!("cannot make the directory for Git objects in `{folder}`"))
            .caused_by(&error)
            .hint("name another directory with `--sync-cache`")
    })
}

/// Where this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    InCluster,
    Outside,
}

/// A pod is told where its API server is; who names a kubeconfig means another one.
fn place(kubeconfig: Option<&PathBuf>) -> Place {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if kubeconfig.is_none() && !is_set("KUBECONFIG") && is_set("KUBERNETES_SERVICE_HOST") {
        Place::InCluster
    } else {
        Place::Outside
    }
}

pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let format = match arguments.log_format {
        Log::Text => LogFormat::Text,
        Log::Json => LogFormat::Json,
    };
    telemetry::start(format, &arguments.log)?;
    block_on(async {
        server::run(options(arguments).await?).await?;
        Ok(Exit::Success)
    })
}

async fn options(arguments: &Arguments) -> Result<ControllerOptions, CliError> {
    let place = place(arguments.kubeconfig.as_ref());
    let client = Client::connect(&Target {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context.clone(),
        identity: None,
    })
    .await?;
    let instance = match &arguments.instance {
        Some(instance) => instance.clone(),
        None => host_name(),
    };
    let election = match (arguments.leader_election, place) {
        (LeaderElection::On, _) | (LeaderElection::Auto, Place::InCluster) => Some(Election {
            namespace: arguments.lease_namespace.clone(),
            name: SYSTEM_NAMESPACE.to_owned(),
            identity: format!("{instance}_{}", random_word()?),
            manager: labels::OPERATOR_MANAGER,
            params: Params::default(),
        }),
        (LeaderElection::Off, _) | (LeaderElection::Auto, Place::Outside) => None,
    };
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 8080));
    let listen = match (arguments.listen, place) {
        (Some(Listen::At(address)), _) => Some(address),
        (None, Place::InCluster) => Some(everywhere),
        (Some(Listen::Nowhere), _) | (None, Place::Outside) => None,
    };
    Ok(ControllerOptions {
        client,
        election,
        namespaces: arguments.namespaces.clone(),
        listen,
        settings: Settings {
            default_version: arguments.default_version.clone(),
            cluster_domain: arguments.cluster_domain.clone(),
            allows_host_path: arguments.protection.allow_host_path,
            allowed_images: arguments.protection.images(),
            allowed_service_accounts: arguments.protection.service_accounts(),
            network_policies: arguments
                .protection
                .network_policies
                .then(|| NetworkPolicySettings {
                    operator_namespace: arguments.lease_namespace.clone(),
                }),
            replace_member_after_seconds: arguments.replace_member_after,
            ..Settings::standard()
        },
        reach: match place {
            Place::InCluster => Reach::Inside,
            Place::Outside => Reach::Outside,
        },
        concurrency: arguments.concurrency,
        instance,
        syncs: Some(FollowSyncs {
            cache: cache(arguments.sync_cache.as_deref())?,
            file_sources: if arguments.allow_file_sources {
                FileSources::Allowed
            } else {
                FileSources::Refused
            },
        }),
        directory: arguments.directory.clone().map(|path| FollowDirectory {
            path,
            max_impact: arguments.max_impact,
        }),
        parent_namespace: arguments.parent_namespace.clone(),
        published_in: Some(arguments.lease_namespace.clone()),
    })
}
