//! `status`: the clusters of a fleet as they are.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::{Format, Hub, Output, Selection, Source};
use crate::cli::block_on;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::hub;
use crate::cli::show::{json, table};
use crate::cli::source::{self, Files, count};
use crate::cli::ui::Ui;
use crate::client::Client;
use crate::fleet::select::Filter;
use crate::fleet::{self, Access};
use crate::object::{Object, ObjectId, ObjectSet, kinds};
use crate::observe;
use crate::status::{FleetRow, fleet_rows};

/// Show the clusters of a fleet: version, readiness, endpoint, and what is not done and why
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

/// One line of the table.
struct Line {
    row: FleetRow,
    /// What the table says in place of the state of the object.
    instead: Option<&'static str>,
    held: Vec<Value>,
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
        let mut last = String::new();
        loop {
            let lines = lines(arguments, files.as_ref(), &client).await?;
            let text = match arguments.output.output {
                Format::Text => text(&lines),
                Format::Json => json::document("status", document(files.as_ref(), &lines)),
            };
            if text != last {
                let gap = if last.is_empty() { "" } else { "\n" };
                ui.answer(&format!("{gap}{text}"))?;
                last = text;
            }
            if !arguments.watch {
                return Ok(Exit::Success);
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Success),
            }
        }
    })
}

async fn lines(arguments: &Arguments, files: Option<&Files>, client: &Client) -> Result<Vec<Line>, CliError> {
    let filter = arguments.selection.filter();
    let Some(files) = files else {
        let observed = observe::fleet(client, &filter.namespaces).await?;
        return Ok(of_objects(&observed.objects, &filter, |_| true));
    };
    let access = Access {
        clusters: client,
        memory: client,
        parent_namespace: &arguments.hub.parent_namespace,
    };
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
    let mut lines = of_objects(&members, &filter, is_below);
    for line in &mut lines {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &line.row.namespace, &line.row.name);
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
            let alone: ObjectSet = [(id, composed.object.clone())].into_iter().collect();
            lines.extend(fleet_rows(&alone).into_iter().map(|row| Line {
                row,
                instead: Some("NotApplied"),
                held: Vec::new(),
            }));
        }
    }
    lines.sort_by(|one, other| key(one).cmp(&key(other)));
    Ok(lines)
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
        }
    };
    fleet_rows(&selected).into_iter().map(line).collect()
}

fn text(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "No clusters\n".to_owned();
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
    if !held.is_empty() {
        text.push_str("\nHeld:\n");
    }
    for (line, held) in held {
        let field = |name: &str| held[name].as_str().unwrap_or_default();
        let name = format!("{}/{}", line.row.namespace, line.row.name);
        text.push_str(&format!("  ! {name}  {}  {}\n", field("what"), field("reason")));
        text.push_str(&table::indented(field("message"), 6));
    }
    let ready = lines.iter().filter(|line| is_ready(line)).count();
    let not_ready = lines.len() - ready;
    let summary = match not_ready {
        0 => format!("{}, all ready", count(lines.len(), "cluster")),
        some => format!(
            "{}: {ready} ready, {some} not ready",
            count(lines.len(), "cluster")
        ),
    };
    format!("{text}\n{summary}\n")
}

fn is_ready(line: &Line) -> bool {
    line.row.is_ready && matches!(line.instead, None | Some("NotInFiles"))
}

fn document(files: Option<&Files>, lines: &[Line]) -> Value {
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
            value
        })
        .collect();
    let ready = lines.iter().filter(|line| is_ready(line)).count();
    json!({
        "fleet": json::fleet(files.and_then(|files| files.reading.fleet.as_ref())),
        "clusters": clusters,
        "summary": { "clusters": lines.len(), "ready": ready, "notReady": lines.len() - ready },
    })
}
