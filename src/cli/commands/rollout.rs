//! `rollout`: looks at the waves of a fleet, stops them, and lets them go on.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::fleet::Fleet;
use crate::cli::args::{Format, Hub, Output, Source};
use crate::cli::block_on;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow;
use crate::cli::hub;
use crate::cli::show::{json, names, rolling, table};
use crate::cli::source;
use crate::cli::ui::Ui;
use crate::fleet::{self, FleetError, parent};
use crate::object::ObjectId;
use crate::plan::rollout::{Evidence, State, Verdict};

/// Look at the waves of a fleet, stop them, or let them go on
///
/// The state of a rollout is kept on the hub, so any machine can do this, whoever runs `apply`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how far it has come and what it waits for
    Status(Common),
    /// Begin no more clusters until somebody resumes it; what restarts nothing goes on
    Pause(WithReason),
    /// Go on after a pause or too many failures; those that have failed are not counted any more
    Resume(Common),
    /// Vouch for the clusters that are on their way, and go on with the next wave without waiting for them
    Promote(Common),
    /// End it: clusters that were not begun stay as they are until the files say something else, or it is resumed
    Abort(WithReason),
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    hub: Hub,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct WithReason {
    #[command(flatten)]
    common: Common,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
    reason: String,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let common = match &arguments.verb {
        Verb::Status(common) | Verb::Resume(common) | Verb::Promote(common) => common,
        Verb::Pause(with) | Verb::Abort(with) => &with.common,
    };
    let files = source::read(&common.source)?;
    let Some(fleet) = &files.reading.fleet else {
        return Err(
            CliError::failed("there is no Fleet here, and waves belong to one")
                .hint("run it in the directory of a fleet, or run `k0smotron-fleet init`"),
        );
    };
    let id = &fleet.spec.id;
    block_on(async {
        let client = hub::connect(&common.hub).await?;
        let access = flow::access(&client, &common.hub);
        fleet::check_hub(Some(fleet), &fleet::identify(&client).await?)?;
        let state = match &arguments.verb {
            Verb::Status(_) => fleet::steer(access, id, |_| {}).await,
            Verb::Pause(with) => fleet::steer(access, id, |state| state.pause(&with.reason)).await,
            Verb::Abort(with) => fleet::steer(access, id, |state| state.abort(&with.reason)).await,
            Verb::Resume(_) => fleet::steer(access, id, State::resume).await,
            Verb::Promote(_) => {
                let promote = |state: &mut State| {
                    state.promote();
                };
                fleet::steer(access, id, promote).await
            }
        }?;
        let Some(state) = state else {
            return Err(FleetError::UnknownFleet {
                server: client.server().to_owned(),
                fleet_id: id.clone(),
                parent: Box::new(parent::id(access.parent_namespace, id)),
            }
            .into());
        };
        let changed: BTreeSet<ObjectId> = state.changed().map(|(id, _)| id).collect();
        let seen = fleet::evidence(&client, &changed).await;
        match common.output.output {
            Format::Text => ui.answer(&shown(fleet, &state, &seen))?,
            Format::Json => ui.answer(&json::document("rollout", document(fleet, &state, &seen)))?,
        }
        Ok(Exit::Success)
    })
}

/// What a cluster on its way lacks, as it was seen just now.
fn lacks(seen: Option<&Evidence>) -> String {
    match seen.map(|evidence| &evidence.verdict) {
        Some(Verdict::Settled) => "up to date and available".to_owned(),
        Some(Verdict::Progressing(why) | Verdict::Failed(why)) => why.clone(),
        Some(Verdict::Gone) => "it is gone".to_owned(),
        None => "it could not be read".to_owned(),
    }
}

fn shown(fleet: &Fleet, state: &State, seen: &BTreeMap<ObjectId, Evidence>) -> String {
    let revision = state
        .revision
        .as_deref()
        .map(|revision| format!(" @ {}", &revision[..revision.len().min(12)]));
    let phase = rolling::phase(state);
    let mut words = format!(
        "Rollout of {}{}: {phase}\n",
        fleet.name,
        revision.unwrap_or_default()
    );
    if let Some(why) = &state.why {
        words.push_str(&table::indented(why, 6));
    }
    let waves = rolling::waves(fleet, state);
    if !waves.is_empty() {
        let head = ["WAVE", "DONE", "ON THEIR WAY", "FAILED"].map(str::to_owned);
        let rows = waves.into_iter().map(|(wave, (done, on_their_way, failed))| {
            [
                wave,
                done.to_string(),
                on_their_way.to_string(),
                failed.to_string(),
            ]
        });
        words.push('\n');
        words.push_str(&table::aligned(std::iter::once(head).chain(rows)));
    }
    let changed: Vec<_> = state.changed().collect();
    if !changed.is_empty() {
        words.push('\n');
    }
    for (id, one) in &changed {
        let (symbol, why) = match &one.failed {
            Some(why) => ('!', why.clone()),
            None => ('~', lacks(seen.get(id))),
        };
        words.push_str(&format!("  {symbol} {}  wave {}\n", names::name(id), one.wave));
        words.push_str(&table::indented(&why, 6));
    }
    words
}

fn document(fleet: &Fleet, state: &State, seen: &BTreeMap<ObjectId, Evidence>) -> Value {
    let mut document = rolling::document(fleet, state, |id, cluster| {
        cluster["lacks"] = json!(lacks(seen.get(id)));
    });
    let on_their_way = document["clusters"].as_array().map_or(0, Vec::len);
    document["fleet"] = json::fleet(Some(fleet));
    document["summary"] = json!({ "onTheirWay": on_their_way });
    document
}
