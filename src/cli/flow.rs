//! What `plan`, `apply` and `status` have in common: read the files, look at the hub, plan, select.

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::args::{Hub, Selection, Source};
use super::error::CliError;
use super::hub;
use super::show::{json, text};
use super::source::{self, Files, OnErrors};
use super::ui::Ui;
use crate::client::Client;
use crate::fleet::{self, Access, Live, PlanOptions, select};
use crate::object::{Object, ObjectId};
use crate::plan::{Plan, Prune};
use crate::render::Settings;

/// What `plan` and `apply` are told alike.
#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub hub: Hub,
    /// Delete the clusters that left the files, within the budget of the Fleet; their data goes as their own
    /// deletionPolicy says
    #[arg(long)]
    pub prune: bool,
    /// Take fields over from this field manager although it applies the same objects (can be repeated)
    #[arg(long, value_name = "MANAGER", value_delimiter = ',')]
    pub force_conflicts: Vec<String>,
    /// Go on with the valid clusters although others have errors; nothing is deleted, and the exit code is then 5
    #[arg(long, env = "K0SMOTRON_FLEET_KEEP_GOING", value_parser = clap::builder::FalseyValueParser::new())]
    pub keep_going: bool,
}

/// Everything that is known before anything is written.
pub struct Prepared {
    pub files: Files,
    pub client: Client,
    pub live: Live,
    pub options: PlanOptions,
    /// The selected entries.
    pub plan: Plan,
}

impl Prepared {
    pub fn access<'a>(&'a self, hub: &'a Hub) -> Access<'a> {
        Access {
            clusters: &self.client,
            memory: &self.client,
            parent_namespace: &hub.parent_namespace,
        }
    }

    /// Returns the plan as text.
    pub fn text(&self, ui: &Ui) -> String {
        let heading = text::Heading {
            fleet: self.files.reading.fleet.as_ref(),
            revision: self.plan.revision.as_deref(),
            hub: &self.live.hub,
        };
        text::plan(&self.plan, &heading, text::Detail::of(ui.verbosity()))
    }

    /// Returns the fields of the document of a plan.
    pub fn document(&self) -> Map<String, Value> {
        let mut document = json::plan(&self.plan);
        let reading = &self.files.reading;
        document.insert("fleet".to_owned(), json::fleet(reading.fleet.as_ref()));
        document.insert("hub".to_owned(), json!({ "uid": self.live.hub.uid }));
        let is_known = reading.fleet.is_none() || self.live.parent.is_some();
        document.insert("isKnownToHub".to_owned(), json!(is_known));
        let findings = json::findings(&reading.findings, &self.files.tree);
        document.insert("findings".to_owned(), findings);
        document
    }
}

/// Reads, looks and plans. Writes nothing.
pub async fn prepare(arguments: &PlanArguments, ui: &mut Ui) -> Result<Prepared, CliError> {
    let files = source::read(&arguments.source.path())?;
    let on_errors = if arguments.keep_going {
        OnErrors::KeepGoing
    } else {
        OnErrors::Stop
    };
    source::report(&files, on_errors, ui)?;
    let client = hub::connect(&arguments.hub).await?;
    let access = Access {
        clusters: &client,
        memory: &client,
        parent_namespace: &arguments.hub.parent_namespace,
    };
    let live = fleet::look(access, &files.reading).await?;
    let options = PlanOptions {
        prune: if arguments.prune { Prune::Yes } else { Prune::No },
        force_conflicts: arguments.force_conflicts.iter().cloned().collect(),
        settings: Settings::of_another_process(),
        now: Timestamp::now(),
    };
    let whole = fleet::plan(access, &files.reading, &files.tree, &live, &options).await?;
    let plan = narrow(whole, &arguments.selection, &files, &live);
    Ok(Prepared {
        files,
        client,
        live,
        options,
        plan,
    })
}

/// Keeps what PATH and the flags select.
fn narrow(plan: Plan, selection: &Selection, files: &Files, live: &Live) -> Plan {
    let filter = selection.filter();
    let tree = &files.tree;
    let is_whole = tree.selection == crate::diagnostic::Selection::All;
    if filter.is_all() && is_whole {
        return plan;
    }
    let is_selected = |id: &ObjectId| {
        let composed = files.reading.clusters.iter().find(|cluster| cluster.id() == *id);
        let found = live.observed.objects.get(id);
        // What left the files has no path, so only who names it means it.
        let is_below = match composed {
            Some(composed) => tree.selects(&composed.source_path),
            None => is_whole || filter.names(id),
        };
        let object: Option<&Object> = composed.map(|composed| &composed.object).or(found);
        is_below && filter.matches(id, object)
    };
    select::select(plan, &filter, is_selected)
}
