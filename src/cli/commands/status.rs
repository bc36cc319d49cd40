//! `status`: the clusters of a fleet as they are.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::args::{Format, Hub, Output, Selection, Source};
use crate::cli::block_on;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::show::{json, rolling, table, text};
use crate::cli::source::{self, Files, count};
use crate::cli::ui::Ui;
use crate::cli::{flow, hub};
use crate::client::Client;
use crate::diagnostic::visible;
use crate::fleet::select::Filter;
use crate::fleet::{self, Leftover, Leftovers, PlanOptions};
use crate::object::{Object, ObjectId, ObjectSet, kinds};
use crate::observe;
use crate::plan::Prune;
use crate::plan::rollout::State;
use crate::render::HubOperator;
use crate::status::{FleetRow, fleet_rows};

/// Show the clusters of a fleet: version, readiness, endpoint, what differs, is held, on its way or expires, and what was
/// left behind
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// All clusters of the hub, whatever the files say
    #[arg(short = 'A', long, conflicts_with_all = ["path", "file"])]
    all: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    hub: Hub,
    #[command(flatten)]
    output: Output,
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

/// How often a watched table is made anew. The operator needs seconds for whatever it does.
const EVERY: Duration = Duration::from_secs(2);
/// Certificates that end within this time are named.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Most clusters that are named for one thing: a version that changes is one for all of them.
const NAMED_MAX: usize = 20;

/// One line of the table.
struct Line {
    row: FleetRow,
    /// What the table says in place of the state of the object.
    instead: Option<&'static str>,
    held: Vec<Value>,
    /// It is there and not as the files say.
    differs: bool,
}

/// Everything that is shown.
struct Shown {
    operator: HubOperator,
    lines: Vec<Line>,
    /// What clusters that are gone left behind; `None`: it may not be listed.
    leftovers: Option<Leftovers>,
    /// Of the fleet of the files, as the hub remembers it.
    rollout: Option<State>,
}

pub fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit, CliError> {
    let files = if arguments.all {
        None
    } else {
        let files = source::read(&arguments.source)?;
        // What cannot be read is said, and the rest is shown all the same: a status writes nothing.
        if !files.reading.findings.is_empty() {
            ui.say(&source::text(&files, source::Stream::Errors, ui));
        }
        Some(files)
    };
    block_on(async {
        let client = hub::connect(&arguments.hub).await?;
        let (mut last, mut is_blind) = (String::new(), false);
        loop {
            let shown = match look(arguments, files.as_ref(), &client).await {
                Ok(shown) => shown,
                // Whoever watches wants to see it through the restart of an API server.
                Err(error) if arguments.watch && !last.is_empty() => {
                    if !is_blind {
                        ui.say(&format!(
                            "warning: {}; it is tried again\n",
                            error.chain.join(": ")
                        ));
                    }
                    is_blind = true;
                    if is_interrupted().await {
                        return Ok(Exit::Success);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            is_blind = false;
            let text = match arguments.output.output {
                Format::Text => text(&shown, Timestamp::now()),
                Format::Json => json::document("status", document(files.as_ref(), &shown)),
            };
            if text != last {
                let gap = if last.is_empty() { "" } else { "\n" };
                ui.answer(&format!("{gap}{text}"))?;
                last = text;
            }
            if !arguments.watch || is_interrupted().await {
                return Ok(Exit::Success);
            }
        }
    })
}

/// Waits until it is time for the next look. Says whether somebody had enough before.
async fn is_interrupted() -> bool {
    tokio::select! {
        () = tokio::time::sleep(EVERY) => false,
        _ = tokio::signal::ctrl_c() => true,
    }
}

async fn look(arguments: &Arguments, files: Option<&Files>, client: &Client) -> Result<Shown, CliError> {
    let filter = arguments.selection.filter();
    let Some(files) = files else {
        let observed = observe::fleet(client, &filter.namespaces).await?;
        let lines = of_objects(&observed.objects, &filter, |_| true);
        let leftovers = left_behind(client, &filter.namespaces, &filter).await?;
        return Ok(Shown {
            operator: fleet::operator(client, arguments.hub.operator()).await?,
            lines,
            leftovers,
            rollout: None,
        });
    };
    let access = flow::access(client, &arguments.hub);
    let live = fleet::look(access, &files.reading).await?;
    let reading = &files.reading;
    let wanted: BTreeSet<ObjectId> = reading.clusters.iter().map(|cluster| cluster.id()).collect();
    let own = reading.fleet.as_ref().map(|fleet| fleet.spec.id.as_str());
    let is_member = |id: &ObjectId, object: &Object| {
        wanted.contains(id) || own.is_some() && object.label(crate::api::labels::FLEET_ID) == own
    };
    let members: ObjectSet = live
        .observed
        .objects
        .iter()
        .filter(|(id, object)| is_member(id, object))
        .map(|(id, object)| (id.clone(), object.clone()))
        .collect();
    let source = |id: &ObjectId| reading.clusters.iter().find(|cluster| cluster.id() == *id);
    let is_below = |id: &ObjectId| match source(id) {
        Some(composed) => files.tree.selects(&composed.source_path),
        None => files.tree.selection == crate::diagnostic::Selection::All,
    };
    let options = PlanOptions {
        prune: Prune::No,
        force_conflicts: BTreeSet::new(),
        renderer_revision: None,
        now: Timestamp::now(),
    };
    let differing = fleet::differing(reading, &files.tree, &live, &options)?;
    let mut lines = of_objects(&members, &filter, is_below);
    for line in &mut lines {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &line.row.namespace, &line.row.name);
        line.differs = differing.contains(&id);
        let is_rejected = reading
            .rejected
            .contains(&(id.namespace.clone(), id.name.clone()));
        if !wanted.contains(&id) && !is_rejected && line.instead.is_none() {
            line.instead = Some("NotInFiles");
        }
    }
    for composed in &reading.clusters {
        let id = composed.id();
        if members.get(&id).is_none() && is_below(&id) && filter.matches(&id, Some(&composed.object)) {
            let alone: ObjectSet = [(id, Object::clone(&composed.object))].into_iter().collect();
            lines.extend(fleet_rows(&alone).into_iter().map(|row| Line {
                row,
                instead: Some("NotApplied"),
                held: Vec::new(),
                differs: false,
            }));
        }
    }
    lines.sort_by(|one, other| key(one).cmp(&key(other)));
    let leftovers = match live.namespaces.is_empty() {
        // No namespace at all would mean every namespace.
        true => Some(Leftovers::new()),
        false => left_behind(client, &live.namespaces, &filter).await?,
    };
    let rollout = live.parent.and_then(|stored| stored.parent.rollout);
    Ok(Shown {
        operator: live.operator,
        lines,
        leftovers,
        rollout,
    })
}

/// What was left behind by the clusters that are selected. Labels are gone with the cluster, so a selector finds nothing.
async fn left_behind(
    client: &Client,
    namespaces: &BTreeSet<String>,
    filter: &Filter,
) -> Result<Option<Leftovers>, CliError> {
    let found = fleet::leftovers(client, namespaces).await?;
    Ok(found.map(|found| {
        let selected = found.into_iter().filter(|(id, _)| filter.matches(id, None));
        selected.collect()
    }))
}

fn key(line: &Line) -> (&str, &str) {
    (&line.row.namespace, &line.row.name)
}

fn of_objects(objects: &ObjectSet, filter: &Filter, is_selected: impl Fn(&ObjectId) -> bool) -> Vec<Line> {
    let selected: ObjectSet = objects
        .iter()
        .filter(|(id, object)| filter.matches(id, Some(object)) && is_selected(id))
        .map(|(id, object)| (id.clone(), object.clone()))
        .collect();
    let line = |row: FleetRow| {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &row.namespace, &row.name);
        let object = selected.get(&id).map(|object| &object.0);
        let held = object.and_then(|object| object.pointer("/status/held")?.as_array().cloned());
        let is_leaving = object.is_some_and(|object| object.pointer("/metadata/deletionTimestamp").is_some());
        Line {
            row,
            instead: is_leaving.then_some("Deleting"),
            held: held.unwrap_or_default(),
            differs: false,
        }
    };
    fleet_rows(&selected).into_iter().map(line).collect()
}

fn text(shown: &Shown, now: Timestamp) -> String {
    let lines = &shown.lines;
    if lines.is_empty() {
        return format!("{}No clusters\n", leftovers(shown));
    }
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = lines.iter().map(|line| {
        let row = &line.row;
        let mut status = line.instead.unwrap_or(&row.status).to_owned();
        if row.is_protected {
            status.push_str(" (protected)");
        }
        [
            format!("{}/{}", row.namespace, row.name),
            dash(&row.version),
            dash(&row.ready),
            dash(&row.endpoint),
            status,
        ]
    });
    let head = ["NAMESPACE/NAME", "VERSION", "READY", "ENDPOINT", "STATUS"].map(str::to_owned);
    let mut text = table::aligned(std::iter::once(head).chain(rows));
    let held: Vec<(&Line, &Value)> = lines
        .iter()
        .flat_map(|line| line.held.iter().map(move |held| (line, held)))
        .collect();
    let differ = "Differ from the files (`k0smotron-fleet plan` shows how)";
    text.push_str(&section(differ, lines, |line| line.differs.then(String::new)));
    if let Some(state) = &shown.rollout {
        let is_shown = |id: &ObjectId| {
            lines
                .iter()
                .any(|line| key(line) == (id.namespace.as_str(), id.name.as_str()))
        };
        text.push_str(&rolling::section(state, is_shown));
    }
    text.push_str(&section("On hold", lines, |line| {
        line.row.hold.as_deref().map(visible)
    }));
    text.push_str(&section("Certificates expire", lines, |line| {
        let end = line.row.certificates_expire.as_deref()?;
        expires_soon(end, now).then(|| end.to_owned())
    }));
    if !held.is_empty() {
        text.push_str("\nHeld:\n");
    }
    for (line, held) in held {
        let field = |name: &str| held[name].as_str().unwrap_or_default();
        let name = format!("{}/{}", line.row.namespace, line.row.name);
        text.push_str(&format!("  ! {name}  {}  {}\n", field("what"), field("reason")));
        text.push_str(&table::indented(field("message"), 6));
    }
    text.push_str(&leftovers(shown));
    let ready = lines.iter().filter(|line| is_ready(line)).count();
    let not_ready = lines.len() - ready;
    let summary = match not_ready {
        0 => format!("{}, all ready", count(lines.len(), "cluster")),
        some => format!(
            "{}: {ready} ready, {some} not ready",
            count(lines.len(), "cluster")
        ),
    };
    let operator = match &shown.operator {
        HubOperator::Assumed { .. } => String::new(),
        operator @ (HubOperator::Published(_) | HubOperator::Unreadable { .. }) => {
            format!("; {}", text::operator(operator))
        }
    };
    format!("{text}\n{summary}{operator}\n")
}

/// Returns a line for each cluster about which there is something to say, up to [`NAMED_MAX`].
fn section(title: &str, lines: &[Line], of: impl Fn(&Line) -> Option<String>) -> String {
    let said: Vec<String> = lines
        .iter()
        .filter_map(|line| Some((line, of(line)?)))
        .map(|(line, said)| {
            let said = format!("  ! {}/{}  {said}", line.row.namespace, line.row.name);
            format!("{}\n", said.trim_end())
        })
        .collect();
    if said.is_empty() {
        return String::new();
    }
    let more = match said.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("  ! {more} more\n"),
    };
    let named: String = said.into_iter().take(NAMED_MAX).collect();
    format!("\n{title}:\n{named}{more}")
}

/// Renewed ones never come this close to their end, which is a day.
fn expires_soon(end: &str, now: Timestamp) -> bool {
    let end = format!("{end}T00:00:00Z").parse::<Timestamp>();
    // Worth a look, whatever it means.
    end.map_or(true, |end| {
        end.duration_since(now).as_secs() < SOON.as_secs().cast_signed()
    })
}

fn leftovers(shown: &Shown) -> String {
    let Some(found) = &shown.leftovers else {
        return "\nLeft behind: not known, Secrets and volume claims may not be listed\n".to_owned();
    };
    let lines: Vec<String> = found
        .iter()
        .map(|(id, left)| {
            let (keys, volumes) = (count(left.keys.len(), "key"), count(left.volumes.len(), "volume"));
            format!("  ! {}/{}  {keys}, {volumes}\n", id.namespace, id.name)
        })
        .collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!(
            "\nLeft behind (a cluster of that name takes it back; `purge` deletes it):\n{}",
            lines.concat()
        ),
    }
}

fn is_ready(line: &Line) -> bool {
    line.row.is_ready && matches!(line.instead, None | Some("NotInFiles"))
}

fn document(files: Option<&Files>, shown: &Shown) -> Value {
    let lines = &shown.lines;
    let clusters: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut value = json!(line.row);
            if let Some(fields) = value.as_object_mut() {
                // When it was made is no part of how it is, and would differ between equal hubs.
                fields.remove("createdAt");
            }
            value["status"] = json!(line.instead.unwrap_or(&line.row.status));
            value["isReady"] = json!(is_ready(line));
            value["held"] = json!(line.held);
            value["differs"] = json!(line.differs);
            value
        })
        .collect();
    let fleet = files.and_then(|files| files.reading.fleet.as_ref());
    let rollout = fleet
        .zip(shown.rollout.as_ref())
        .map(|(fleet, state)| rolling::document(fleet, state, |_, _| {}));
    let ready = lines.iter().filter(|line| is_ready(line)).count();
    let leftovers: Option<Vec<Value>> = shown.leftovers.as_ref().map(|found| {
        let one = |(id, left): (&ObjectId, &Leftover)| {
            json!({"namespace": id.namespace, "name": id.name, "keys": left.keys.len(), "volumes": left.volumes.len()})
        };
        found.iter().map(one).collect()
    });
    json!({
        "leftovers": leftovers,
        "operator": shown.operator,
        "fleet": json::fleet(fleet),
        "clusters": clusters,
        "rollout": rollout,
        "summary": { "clusters": lines.len(), "ready": ready, "notReady": lines.len() - ready },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_expires_soon_within_a_month_of_its_last_day() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        for (end, is_soon) in [
            ("2027-11-26", false),
            ("2026-12-27", false),
            ("2026-12-26", true),
            ("2026-11-20", true),
            ("soon", true),
        ] {
            assert_eq!(expires_soon(end, now), is_soon, "{end}");
        }
    }
}
