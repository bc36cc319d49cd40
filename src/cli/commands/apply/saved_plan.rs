//! `apply PLAN`: does what a saved plan says, if the hub is as it was.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::{Arguments, LeftOut, Run, end, execute, release};
use crate::cli::args::Format;
use crate::cli::error::{CliError, ErrorKind};
use crate::cli::exit::Exit;
use crate::cli::show::{saved, text};
use crate::cli::ui::Ui;
use crate::cli::writers::Written;
use crate::cli::{flow, hub, source};
use crate::fleet::{self, Access, FleetError, Live, Lock, Subject, Values};
use crate::plan::{self, Approval, Checked, Consent, Prune, SavedPlan};

/// Checks a saved plan against the hub and does it.
pub(super) async fn apply(arguments: &Arguments, saved: &SavedPlan, ui: &mut Ui) -> Result<Exit, CliError> {
    let format = arguments.output.output;
    if let Some(approved) = &arguments.saved.approve {
        saved.check_approval(approved).map_err(|error| {
            CliError::refused(format!("nothing was written: {error}")).hint("look at it again with `show`")
        })?;
    }
    if arguments.plan.prune
        || !arguments.plan.force_conflicts.is_empty()
        || !arguments.plan.selection.filter().is_all()
    {
        return Err(CliError::failed("a saved plan is done as it is")
            .hint("pass --prune, --force-conflicts and selections to `plan --out`"));
    }
    let values = match &arguments.saved.values_from {
        Some(path) => {
            let composed = source::read_disk(path)?.reading.clusters;
            composed
                .into_iter()
                .map(|cluster| (cluster.id(), Arc::unwrap_or_clone(cluster.object)))
                .collect()
        }
        None => Values::new(),
    };
    let client = hub::connect(&arguments.plan.hub).await?;
    let access = flow::access(&client, &arguments.plan.hub);
    let check = async || {
        let live = fleet::look_again(access, saved).await?;
        let checked = fleet::check(access, saved, &live, &values, Timestamp::now()).await?;
        Ok::<_, CliError>((live, checked))
    };
    let (live, checked) = check().await?;
    if format == Format::Text {
        ui.answer(&saved::text(saved, text::Detail::of(ui.verbosity())))?;
    }
    may_be_done(&checked, arguments, ui)?;
    let prune = Prune::when(saved.prune);
    let loosened = fleet::loosened(saved.fleet().as_ref(), &live, prune);
    let fleet = saved
        .fleet()
        .filter(|_| !checked.plan.is_empty() || !loosened.is_empty());
    let written = Written {
        path: Path::new("."),
        revision: saved.revision.as_deref(),
    };
    let syncs = match &fleet {
        Some(_) => arguments.overrides.syncs(&client).await,
        None => None,
    };
    arguments
        .overrides
        .check(syncs, fleet.as_ref(), &live, written, ui)?;
    let lock = arguments.lock(access, fleet.as_ref(), &live, ui).await?;
    let write = async {
        let (live, checked) = match lock.as_ref().and_then(Lock::after) {
            None => (live, checked),
            // Whoever had it may have written.
            Some(_) => {
                let (live, checked) = check().await?;
                may_be_done(&checked, arguments, ui)?;
                (live, checked)
            }
        };
        write_saved(arguments, saved, access, &live, checked, lock.as_ref(), ui).await
    };
    let written = write.await;
    release(lock).await;
    end(written?, arguments, access, ui).await
}

/// Refuses what moved, what a guard holds, and what the plan does not hold and nobody else has.
fn may_be_done(checked: &Checked, arguments: &Arguments, ui: &mut Ui) -> Result<(), CliError> {
    if !checked.stale.is_empty() {
        ui.say(&saved::stale(&checked.stale));
    }
    if !checked.stale.is_empty() && !arguments.saved.skip_stale {
        return Err(CliError::new(
            ErrorKind::Stale,
            format!(
                "the plan is stale: {} moved since it was saved; nothing was written",
                source::count(checked.stale.len(), "field")
            ),
        )
        .hint("plan again, or do what still fits with --skip-stale"));
    }
    if let Some(held) = checked.refused.first() {
        let error = CliError::refused(format!("nothing was written: {}: {}", held.id, held.waiting_on));
        return Err(error.hint("plan again: a guard holds what was planned"));
    }
    if !checked.withheld.is_empty() {
        let missing = checked.withheld.clone();
        return Err(FleetError::Withheld { missing }.into());
    }
    Ok(())
}

/// Does what is left of a saved plan after it was checked.
async fn write_saved(
    arguments: &Arguments,
    saved: &SavedPlan,
    access: Access<'_>,
    live: &Live,
    checked: Checked,
    lock: Option<&Lock>,
    ui: &mut Ui,
) -> Result<Run, CliError> {
    let approval = Approval {
        writes: Consent::Given,
        deletions: Consent::Given,
        data_loss: Consent::when(arguments.answers.allow_data_loss),
    };
    let plan = Arc::new(checked.plan);
    let approved = plan::approve(Arc::clone(&plan), &approval).map_err(|refusal| {
        CliError::refused(format!("nothing was written: {refusal}"))
            .hint("pass --allow-data-loss if that is meant")
    })?;
    let options = arguments.run_options(saved.revision.as_deref());
    let subject = Subject {
        lock,
        content: &saved.content,
    };
    let (executed, is_interrupted) = execute(access, subject, live, &approved, &options, ui).await?;
    Ok(Run {
        left_out: LeftOut::of(!checked.stale.is_empty() || saved.has_errors),
        plan,
        executed,
        is_interrupted,
        document: arguments.wants_document().then(|| saved::document(saved)),
    })
}
