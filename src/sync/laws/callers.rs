//! The callers of plan and apply: syncs as [`super::super::carry`] calls them, and one as the command line does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::world::Files;
use crate::api::fleet_sync::{Deletions, MaxImpact};
use crate::client::{Client, chain};
use crate::fleet::{
    self, Access, FirstApply, FleetError, Live, LockOptions, OperatorSource, Pace, PlanOptions, RunOptions,
    Subject, parent,
};
use crate::object::Object;
use crate::plan::{self, Approval, ApprovedPlan, Consent, Fights, Loosened, Outcome, Plan, Prune, SavedPlan};
use crate::sync::carry::{self, Settings};
use crate::sync::order::Limits;

/// Who calls.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A FleetSync whose limits let it delete.
    Sync,
    Command(Prune),
    /// Somebody who does a saved plan.
    Saved(Arc<SavedPlan>),
}

/// What a run that ended by itself did.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Whatever was planned was tried.
    Ran { plan: Plan, outcome: Outcome },
    /// Nothing was written.
    Refused(String),
}

const ALL: Approval = Approval {
    writes: Consent::Given,
    deletions: Consent::Given,
    data_loss: Consent::Given,
};

pub fn access(client: &Client) -> Access<'_> {
    Access {
        clusters: client,
        memory: client,
        parent_namespace: parent::NAMESPACE,
        operator: OperatorSource::Published {
            namespace: parent::NAMESPACE,
        },
    }
}

pub fn options(prune: Prune) -> PlanOptions {
    PlanOptions {
        prune,
        force_conflicts: BTreeSet::new(),
        renderer_revision: None,
        now: Timestamp::now(),
    }
}

/// One run as somebody who is called `who`.
pub async fn run(
    kind: Kind,
    client: Client,
    who: String,
    files: Arc<Files>,
    fights: Arc<Mutex<Fights>>,
) -> Ending {
    let ended = match kind {
        Kind::Sync => sync(&client, who, &files, fights).await,
        Kind::Command(prune) => command(&client, &who, &files, prune)
            .await
            .map_err(|error| chain(&error)),
        Kind::Saved(saved) => match apply_saved(&client, &who, &files, &saved).await {
            Ok(Some(outcome)) => Ok((saved.to_plan(), outcome)),
            Ok(None) => Err("it is stale, or a guard holds a part of it".to_owned()),
            Err(error) => Err(chain(&error)),
        },
    };
    match ended {
        Ok((plan, outcome)) => Ending::Ran { plan, outcome },
        Err(why) => Ending::Refused(why),
    }
}

async fn sync(
    client: &Client,
    holder: String,
    files: &Files,
    fights: Arc<Mutex<Fights>>,
) -> Result<(Plan, Outcome), String> {
    let settings = Settings {
        holder,
        fights,
        max_impact: MaxImpact::DataLoss,
        limits: Limits {
            deletions: Some(Deletions::Omission),
            ..Limits::default()
        },
        deadline: Duration::from_secs(300),
    };
    let stop = CancellationToken::new();
    let carried = carry::out(access(client), &files.reading, &files.tree, &settings, &stop).await;
    let carried = carried.map_err(|error| chain(&error))?;
    Ok((carried.limited.plan, carried.outcome))
}

/// What is known before anything is written.
pub struct Prepared {
    pub live: Live,
    pub plan: Plan,
    pub loosened: Vec<Loosened>,
}

impl Prepared {
    /// Says whether `plan --detailed-exitcode` ends with 2.
    pub fn writes(&self) -> bool {
        !self.plan.is_empty() || !self.loosened.is_empty()
    }
}

pub async fn prepare(client: &Client, files: &Files, prune: Prune) -> Result<Prepared, FleetError> {
    let options = options(prune);
    let live = fleet::look(access(client), &files.reading).await?;
    let plan = fleet::plan(access(client), &files.reading, &files.tree, &live, &options).await?;
    let loosened = fleet::loosened(files.reading.fleet.as_ref(), &live, prune);
    Ok(Prepared { live, plan, loosened })
}

/// `apply --keep-going -y --allow-data-loss`, with the yes to every plan that is shown.
async fn command(
    client: &Client,
    who: &str,
    files: &Files,
    prune: Prune,
) -> Result<(Plan, Outcome), FleetError> {
    let mut prepared = prepare(client, files, prune).await?;
    let Some(fleet) = files.reading.fleet.as_ref().filter(|_| prepared.writes()) else {
        return Ok((prepared.plan, Outcome::default()));
    };
    fleet::may_write(access(client), Some(fleet), &prepared.live, FirstApply::Allowed)?;
    let lock = take_lock(client, who, files, &prepared.live).await?;
    let write = async {
        if lock.after().is_some() {
            prepared = prepare(client, files, prune).await?;
        }
        let approved = approved(prepared.plan.clone())?;
        let outcome = execute(client, files, &lock, &prepared.live, &approved).await?;
        Ok((prepared.plan, outcome))
    };
    let written = write.await;
    lock.release().await;
    written
}

fn approved(plan: Plan) -> Result<ApprovedPlan, FleetError> {
    plan::approve(plan, &ALL).map_err(|source| FleetError::Refused { source })
}

async fn take_lock(
    client: &Client,
    who: &str,
    files: &Files,
    live: &Live,
) -> Result<fleet::Lock, FleetError> {
    let fleet = files.reading.fleet.as_ref().expect("these files have a Fleet");
    let options = LockOptions {
        holder: who,
        wait: Duration::from_secs(60),
        first_apply: FirstApply::Allowed,
    };
    fleet::lock(access(client), fleet, live, &options, |_| {}).await
}

async fn execute(
    client: &Client,
    files: &Files,
    lock: &fleet::Lock,
    live: &Live,
    approved: &ApprovedPlan,
) -> Result<Outcome, FleetError> {
    let options = RunOptions {
        parallelism: 4,
        deadline: None,
        revision: files.tree.revision.as_deref(),
        pace: Pace::Through {
            look_every: Duration::from_secs(2),
        },
    };
    let subject = Subject {
        lock: Some(lock),
        content: &files.content,
    };
    let stop = CancellationToken::new();
    let executed = fleet::execute(access(client), subject, live, approved, &options, None, &stop).await?;
    Ok(executed.outcome)
}

/// `plan --out`.
pub async fn save(client: &Client, files: &Files, prune: Prune) -> Result<SavedPlan, FleetError> {
    let prepared = prepare(client, files, prune).await?;
    Ok(fleet::save(
        &prepared.plan,
        &files.reading,
        &prepared.live,
        &options(prune),
    ))
}

/// `apply PLAN`; `None` when it was stale or a guard held a part of it.
async fn apply_saved(
    client: &Client,
    who: &str,
    files: &Files,
    saved: &SavedPlan,
) -> Result<Option<Outcome>, FleetError> {
    let values = files
        .reading
        .clusters
        .iter()
        .map(|cluster| (cluster.id(), Object::clone(&cluster.object)));
    let values: fleet::Values = values.collect::<std::collections::BTreeMap<_, Object>>();
    let check = async || {
        let live = fleet::look_again(access(client), saved).await?;
        let checked = fleet::check(access(client), saved, &live, &values, Timestamp::now()).await?;
        let is_whole = checked.stale.is_empty() && checked.refused.is_empty();
        Ok::<_, FleetError>(is_whole.then_some((live, checked.plan)))
    };
    let Some((mut live, mut plan)) = check().await? else {
        return Ok(None);
    };
    if plan.is_empty() {
        return Ok(Some(Outcome::default()));
    }
    let lock = take_lock(client, who, files, &live).await?;
    let write = async {
        if lock.after().is_some() {
            match check().await? {
                None => return Ok(None),
                Some(again) => (live, plan) = again,
            }
        }
        let approved = approved(plan)?;
        execute(client, files, &lock, &live, &approved).await.map(Some)
    };
    let written = write.await;
    lock.release().await;
    written
}
