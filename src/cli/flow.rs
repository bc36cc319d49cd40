//! What `plan`, `apply` and `status` have in common: read the files, look at the hub, plan, select.

use std::panic::resume_unwind;
use std::sync::Arc;

use clap::Args;
use clap::builder::FalseyValueParser;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::args::{Hub, Selection, Source};
use super::error::CliError;
use super::hub;
use super::show::{json, text};
use super::source::{self, Files, OnErrors};
use super::ui::Ui;
use super::writers::Overrides;
use crate::client::Client;
use crate::fleet::{
    self, Access, Admission, FleetError, HubFacts, Live, PlanOptions, Purpose, Syncs, select,
};
use crate::object::{Object, ObjectId};
use crate::observe::Snapshot;
use crate::plan::{Loosened, Plan, Prune};

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
    #[arg(long, env = "K0SMOTRON_FLEET_KEEP_GOING", value_parser = FalseyValueParser::new())]
    pub keep_going: bool,
}

/// Everything that is known before anything is written.
pub struct Prepared {
    pub files: Files,
    pub live: Live,
    pub options: PlanOptions,
    pub admission: Admission,
    /// `None`: nobody asked. That they cannot be read matters to those alone who write.
    pub syncs: Option<Result<Syncs, FleetError>>,
    /// The selected entries.
    pub plan: Arc<Plan>,
    /// What somebody should know besides.
    pub notes: Vec<String>,
    /// Guards that the files open.
    pub loosened: Vec<Loosened>,
}

impl Prepared {
    /// Says whether `apply` would write something.
    pub fn writes(&self) -> bool {
        !self.plan.is_empty() || !self.loosened.is_empty()
    }

    /// Returns the plan as text.
    pub fn text(&self, ui: &Ui) -> String {
        text::plan(&self.plan, &self.heading(), text::Detail::of(ui.verbosity()))
    }

    pub fn heading(&self) -> text::Heading<'_> {
        text::Heading {
            fleet: self.files.reading.fleet.as_ref(),
            revision: self.plan.revision.as_deref(),
            hub: &self.live.hub,
            operator: &self.live.operator,
            loosened: &self.loosened,
        }
    }

    /// Returns the fields of the document of a plan.
    pub fn document(&self) -> Map<String, Value> {
        let mut document = json::plan(&self.plan);
        let reading = &self.files.reading;
        document.insert("fleet".to_owned(), json::fleet(reading.fleet.as_ref()));
        document.insert("hub".to_owned(), json!({ "uid": self.live.hub.uid }));
        document.insert("operator".to_owned(), json!(self.live.operator));
        document.insert("loosened".to_owned(), json::loosened(&self.loosened));
        let is_known = reading.fleet.is_none() || self.live.parent.is_some();
        document.insert("isKnownToHub".to_owned(), json!(is_known));
        let findings = json::findings(&reading.findings, &self.files.tree);
        document.insert("findings".to_owned(), findings);
        document.insert("admission".to_owned(), json::admission(&self.admission));
        document.insert("notes".to_owned(), json!(self.notes));
        document
    }
}

/// Returns whom a hub is asked as.
pub fn access<'a>(client: &'a Client, hub: &'a Hub) -> Access<'a> {
    Access {
        clusters: client,
        memory: client,
        parent_namespace: &hub.parent_namespace,
        operator: hub.operator(),
    }
}

/// What the hub is asked besides.
#[derive(Clone, Copy, Debug)]
pub enum Asking {
    /// What it would say to the plan, by dry runs.
    Admission,
    /// Who else writes the fleet.
    Writers(Overrides),
}

impl Asking {
    fn purpose(self) -> Purpose {
        match self {
            Self::Admission => Purpose::Show,
            Self::Writers(_) => Purpose::Write,
        }
    }
}

/// Reads, looks and plans. Writes nothing.
pub async fn prepare(
    arguments: &PlanArguments,
    renderer_revision: Option<u32>,
    asking: Asking,
    ui: &mut Ui,
) -> Result<(Prepared, Client), CliError> {
    let hub = arguments.hub.clone();
    let (expects, expected) = oneshot::channel();
    let asking_hub = AbortOnDropHandle::new(tokio::spawn(async move {
        let client = hub::connect(&hub).await?;
        let syncs = async {
            match asking {
                Asking::Admission => None,
                Asking::Writers(overrides) => overrides.syncs(&client).await,
            }
        };
        let (facts, syncs) = tokio::join!(fleet::facts(&client, hub.operator()), syncs);
        let facts = match (facts?, expected.await) {
            (facts, Ok(fleet)) => {
                facts
                    .look_ahead(access(&client, &hub), &fleet, asking.purpose())
                    .await
            }
            (facts, Err(_)) => facts,
        };
        Ok::<_, CliError>((facts, syncs, client))
    }));
    // While the hub answers, which may be far away. This is the thread that waits for the runtime, and none of its own:
    // nobody is kept from asking. What is wrong with the files is told before what is wrong with the hub.
    let expects = |fleet| {
        // Nobody listens when the hub could not be asked, which is told below.
        let _ = expects.send(fleet);
    };
    let on_errors = OnErrors::of(arguments.keep_going);
    let files = source::read_reported(&arguments.source, on_errors, expects, ui)?;
    let answered = asking_hub.await;
    let (facts, syncs, client) = answered.unwrap_or_else(|error| resume_unwind(error.into_panic()))?;
    let mut prepared = prepare_again(files, arguments, renderer_revision, &client, facts).await?;
    prepared.syncs = syncs;
    say(&prepared.notes, ui);
    if let Asking::Admission = asking {
        let access = access(&client, &arguments.hub);
        prepared.admission = fleet::admission::admission(access, &prepared.plan).await;
    }
    Ok((prepared, client))
}

/// Looks and plans with files that were read, at a hub whose facts are known. Writes nothing.
pub async fn prepare_again(
    files: Files,
    arguments: &PlanArguments,
    renderer_revision: Option<u32>,
    client: &Client,
    facts: HubFacts,
) -> Result<Prepared, CliError> {
    let access = access(client, &arguments.hub);
    let live = fleet::look_at_known(access, facts, &files.reading).await?;
    let options = options(arguments, renderer_revision, Timestamp::now());
    let whole = fleet::plan(access, &files.reading, &files.tree, &live, &options).await?;
    let plan = narrow(whole, &arguments.selection, &files, &live);
    let loosened = fleet::loosened(files.reading.fleet.as_ref(), &live, options.prune);
    Ok(Prepared {
        notes: fleet::notes(&files.reading, &files.tree, &live),
        files,
        live,
        options,
        admission: Admission::default(),
        syncs: None,
        plan: plan.into(),
        loosened,
    })
}

/// Reads and plans with a recorded hub. Asks nobody.
pub async fn prepare_offline(
    arguments: &PlanArguments,
    renderer_revision: Option<u32>,
    snapshot: &Snapshot,
    ui: &mut Ui,
) -> Result<Prepared, CliError> {
    let on_errors = OnErrors::of(arguments.keep_going);
    let files = source::read_reported(&arguments.source, on_errors, |_| {}, ui)?;
    let live = fleet::offline::look(snapshot, &files.reading, &arguments.hub.parent_namespace)?;
    // The moment of the record: a certificate that is renewed since then was not when the hub looked like that.
    let options = options(arguments, renderer_revision, snapshot.taken_at);
    let whole = fleet::offline::plan(snapshot, &files.reading, &files.tree, &live, &options).await?;
    let plan = narrow(whole, &arguments.selection, &files, &live);
    let notes = fleet::notes(&files.reading, &files.tree, &live);
    say(&notes, ui);
    let loosened = fleet::loosened(files.reading.fleet.as_ref(), &live, options.prune);
    Ok(Prepared {
        admission: Admission::not_asked(&plan, "planned with a snapshot"),
        syncs: None,
        notes,
        files,
        live,
        options,
        plan: plan.into(),
        loosened,
    })
}

fn say(notes: &[String], ui: &mut Ui) {
    for note in notes {
        ui.status(&format!("note: {note}"));
    }
}

fn options(arguments: &PlanArguments, renderer_revision: Option<u32>, now: Timestamp) -> PlanOptions {
    PlanOptions {
        prune: Prune::when(arguments.prune),
        force_conflicts: arguments.force_conflicts.iter().cloned().collect(),
        renderer_revision,
        now,
    }
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
        let composed = files.reading.cluster(id);
        let found = live.observed.objects.get(id);
        // What left the files has no path, so only who names it means it.
        let is_below = match composed {
            Some(composed) => tree.selects(&composed.source_path),
            None => is_whole || filter.names(id),
        };
        let object: Option<&Object> = composed.map(|composed| &*composed.object).or(found);
        is_below && filter.matches(id, object)
    };
    select::select(plan, &filter, is_selected)
}
