//! `plan`: says what `apply` would do, and what that does to running control planes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use k8s_openapi::jiff::Timestamp;

use crate::cli::args::{PlanFormat, PlanOutput};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow::{self, Asking, PlanArguments, Prepared};
use crate::cli::plan_file;
use crate::cli::show::markdown::{self, Comment};
use crate::cli::show::text::Children;
use crate::cli::show::{github, json, names, text};
use crate::cli::ui::Ui;
use crate::cli::{block_on, leave};
use crate::fleet::{self, Sight};
use crate::observe::Snapshot;
use crate::plan::Upgraded;
use crate::render::revisions;

/// Say what `apply` would do and what that does to running control planes; writes nothing
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    plan: PlanArguments,
    #[command(flatten)]
    output: PlanOutput,
    /// Exit with 2 when `apply` would write something now
    #[arg(long, env = "K0SMOTRON_FLEET_DETAILED_EXITCODE", value_parser = FalseyValueParser::new())]
    detailed_exitcode: bool,
    /// Save the plan in this file, for `show` and `apply`
    #[arg(long, value_name = "FILE", env = "K0SMOTRON_FLEET_OUT")]
    out: Option<PathBuf>,
    /// Plan with a hub that `snapshot` recorded in this file; no cluster and no credentials are needed
    #[arg(
        long,
        value_name = "FILE",
        env = "K0SMOTRON_FLEET_SNAPSHOT",
        conflicts_with = "out"
    )]
    snapshot: Option<PathBuf>,
    /// Show also which objects of each cluster the operator would write
    #[arg(long, env = "K0SMOTRON_FLEET_CHILDREN", value_parser = FalseyValueParser::new())]
    children: bool,
    /// Say what an operator with this renderer revision would do, also to clusters whose files stay as they are
    #[arg(long, value_name = "NUMBER", env = "K0SMOTRON_FLEET_RENDERER_REVISION", value_parser = revision,
          conflicts_with = "out")]
    renderer_revision: Option<u32>,
}

fn revision(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if revisions::is_known(number) => Ok(number),
        Ok(_) | Err(_) => Err(format!(
            "this program renders revisions up to {}; use the program of the release in question",
            revisions::newest()
        )),
    }
}

/// A snapshot older than this is warned about.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let recorded = arguments
        .snapshot
        .as_deref()
        .map(plan_file::read_snapshot)
        .transpose()?;
    block_on(async {
        let revision = arguments.renderer_revision;
        let client;
        let (prepared, sight) = match &recorded {
            Some(snapshot) => {
                warn_if_old(snapshot, ui);
                let prepared = flow::prepare_offline(&arguments.plan, revision, snapshot, ui).await?;
                (prepared, Sight::Recorded(snapshot))
            }
            None => {
                let online = flow::prepare(&arguments.plan, revision, Asking::Admission, ui).await?;
                client = online.1;
                (online.0, Sight::Hub(flow::access(&client, &arguments.plan.hub)))
            }
        };
        let more = More::of(arguments, &prepared, sight).await?;
        answer(arguments, &prepared, &more, ui)?;
        for denied in &prepared.admission.denied {
            ui.warning(&format!(
                "the server would refuse {}: {}",
                names::name(&denied.object),
                denied.message
            ));
        }
        if let Some(path) = &arguments.out {
            save(&prepared, path, ui)?;
        }
        if prepared.files.reading.fleet.is_some() && prepared.live.parent.is_none() {
            ui.warning(&format!(
                "{} has never seen this fleet: apply needs --first-apply",
                prepared.live.hub.server
            ));
        }
        let has_errors = prepared.files.reading.findings.has_errors();
        let exit = match (has_errors, arguments.detailed_exitcode) {
            (true, _) => Exit::Partial,
            (false, true) if prepared.writes() => Exit::Changes,
            (false, _) => Exit::Success,
        };
        leave(prepared);
        Ok(exit)
    })
}

/// What is asked for beyond the plan.
struct More {
    children: Children,
    /// Of an operator at another revision.
    upgrade: Option<Upgrade>,
}

struct Upgrade {
    /// `None`: it is not known.
    from: Option<u32>,
    to: u32,
    clusters: Vec<Upgraded>,
}

impl More {
    async fn of(arguments: &Arguments, prepared: &Prepared, sight: Sight<'_>) -> Result<Self, CliError> {
        let Prepared {
            live, plan, options, ..
        } = prepared;
        let children = if arguments.children {
            fleet::children(sight, live, plan, options).await?
        } else {
            Children::new()
        };
        let upgrade = match arguments.renderer_revision {
            None => None,
            Some(to) => {
                let unchanged = plan.unchanged.iter().cloned().collect();
                Some(Upgrade {
                    from: live.operator.renderer_revision(),
                    to,
                    clusters: fleet::upgrade(sight, live, &unchanged, to, options.now).await?,
                })
            }
        };
        Ok(Self { children, upgrade })
    }
}

fn answer(arguments: &Arguments, prepared: &Prepared, more: &More, ui: &mut Ui) -> Result<(), CliError> {
    let heading = prepared.heading();
    let text = match arguments.output.output {
        PlanFormat::Text => {
            let detail = arguments.output.detail(ui.verbosity());
            let upgrade = more
                .upgrade
                .as_ref()
                .map(|upgrade| text::upgrade(&upgrade.clusters, upgrade.from, upgrade.to));
            let plan = text::with_children(&prepared.plan, &heading, &more.children, detail);
            upgrade.unwrap_or_default() + &plan
        }
        PlanFormat::Json => {
            let mut document = prepared.document();
            if arguments.children {
                document.insert("children".to_owned(), json::children(&more.children));
            }
            if let Some(upgrade) = &more.upgrade {
                let upgrade = json::upgrade(&upgrade.clusters, upgrade.from, upgrade.to);
                document.insert("upgrade".to_owned(), upgrade);
            }
            json::document("plan", document.into())
        }
        PlanFormat::Markdown => markdown::comment(&Comment {
            plan: &prepared.plan,
            heading: &heading,
            admission: &prepared.admission,
            digest: None,
        }),
        PlanFormat::Github => github::annotations(
            &prepared.plan,
            &prepared.files.reading.findings,
            &prepared.files.tree,
            &text::summary(&prepared.plan, heading.fleet, &prepared.loosened),
        ),
    };
    ui.answer(&text)
}

fn warn_if_old(snapshot: &Snapshot, ui: &mut Ui) {
    let age = Timestamp::now().duration_since(snapshot.taken_at);
    if age.as_secs() > OLD.as_secs().cast_signed() {
        let days = match age.as_hours() / 24 {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        ui.warning(&format!(
            "the snapshot is {days} old: the hub may look different by now"
        ));
    }
}

fn save(prepared: &Prepared, path: &Path, ui: &mut Ui) -> Result<(), CliError> {
    let saved = fleet::save(
        &prepared.plan,
        &prepared.files.reading,
        &prepared.live,
        &prepared.options,
    );
    plan_file::write(path, &saved.text())?;
    ui.status(&format!(
        "saved: `k0smotron-fleet apply {}` does exactly this (digest {})",
        path.display(),
        saved.digest.get(..12).unwrap_or(&saved.digest)
    ));
    Ok(())
}
