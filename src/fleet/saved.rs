//! A plan that was saved: stored with what it was made from, and checked against the hub before it is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::look::{Access, Live, facts, look_at};
use super::planning::{self, Entries, PlanOptions, Planned, Sight, content};
use super::{FleetError, check_hub};
use crate::compose::Reading;
use crate::object::{Object, ObjectId, kinds};
use crate::plan::{
    AdoptRecord, Checked, EmptySet, Files, FleetEntry, FleetPolicy, Plan, Prune, RemovedRecord,
    SavedAdoption, SavedFrom, SavedHub, SavedPlan, check_saved, put_back, stale_in_common,
};
use crate::validate::{Adopted, Adoption};

/// Clusters as the files say, for values that a saved plan does not hold. Empty: only what is live is taken.
pub type Values = BTreeMap<ObjectId, Object>;

/// Values that nobody has: object and field path in words, by the object they are for.
type Withheld = BTreeMap<ObjectId, Vec<String>>;

/// Returns a plan as it is stored.
pub fn save(plan: &Plan, reading: &Reading, live: &Live, options: &PlanOptions) -> SavedPlan {
    let cluster = |namespace: &str, name: &str| ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name);
    let rejected = reading
        .rejected
        .iter()
        .map(|(namespace, name)| cluster(namespace, name));
    let named: BTreeSet<ObjectId> = reading
        .clusters
        .iter()
        .map(|composed| composed.id())
        .chain(rejected)
        .collect();
    SavedPlan::of(
        plan,
        &SavedFrom {
            fleet: reading.fleet.as_ref(),
            content: content(reading),
            hub: SavedHub {
                server: live.hub.server.clone(),
                uid: live.hub.uid.clone(),
            },
            operator: &live.operator,
            prune: options.prune,
            force_conflicts: options.force_conflicts.clone(),
            has_errors: reading.findings.has_errors(),
            namespaces: live.namespaces.clone(),
            named,
            live: &live.observed.objects,
            adopted: adopted(reading),
            tool: env!("CARGO_PKG_VERSION"),
        },
    )
}

fn adopted(reading: &Reading) -> BTreeMap<ObjectId, SavedAdoption> {
    let saved = |record: &Adoption| {
        let Adopted {
            target,
            from,
            if_different,
        } = record.spec.clone();
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, target.namespace, target.name);
        (id, SavedAdoption { from, if_different })
    };
    reading.adopted.iter().map(saved).collect()
}

/// Looks at what a saved plan was made from.
///
/// *Errors* and *effects*: those of [`super::look`].
pub async fn look_again(access: Access<'_>, saved: &SavedPlan) -> Result<Live, FleetError> {
    let wanted = |entry: &&crate::plan::SavedEntry| {
        entry.action.of_removed().is_none() && !entry.object.namespace.is_empty()
    };
    let in_files = saved.entries.iter().filter(wanted);
    let in_files = in_files.map(|entry| entry.object.namespace.clone()).collect();
    let facts = facts(access.memory, access.operator).await?;
    look_at(
        access,
        facts,
        saved.fleet().as_ref(),
        in_files,
        saved.namespaces.clone(),
    )
    .await
}

/// Checks every entry of a saved plan, and plans its desired objects anew, so that everything that guards a plan guards
/// it a second time.
///
/// *Errors*: another hub than the Fleet names; values that the plan does not hold and nobody else has
/// ([`FleetError::Withheld`]), unless the plan is stale or refused anyway; then [`Checked::withheld`] names them.
/// *Effects*: those of [`super::plan`].
pub async fn check(
    access: Access<'_>,
    saved: &SavedPlan,
    live: &Live,
    values: &Values,
    now: Timestamp,
) -> Result<Checked, FleetError> {
    check_hub(saved.fleet().as_ref(), &live.hub)?;
    let common = stale_in_common(saved, live.hub.uid.as_deref(), &live.operator);
    if !common.is_empty() {
        return Ok(Checked {
            stale: common,
            ..Checked::default()
        });
    }
    let (bodies, withheld) = bodies(saved, live, values);
    let entries: Vec<FleetEntry> = saved
        .entries
        .iter()
        .filter(|entry| !entry.object.namespace.is_empty())
        .filter_map(|entry| {
            Some(FleetEntry {
                id: entry.object.clone(),
                object: Arc::new(bodies.get(&entry.object)?.clone()),
                source: entry.source().to_owned(),
                // What was to be written then is a change still, whatever it is.
                is_of_set: true,
                place: entry.reason.clone(),
                places: BTreeMap::new(),
            })
        })
        .collect();
    let options = PlanOptions {
        prune: Prune::when(saved.prune),
        force_conflicts: saved.force_conflicts.clone(),
        renderer_revision: None,
        now,
    };
    let named = saved.not_written();
    let mut policy = policy(saved, live, &options);
    if !entries.is_empty() || !named.is_empty() {
        // Not all clusters of the files are entries: that none is does not make the set empty.
        policy.empty_set = EmptySet::Allowed;
    }
    let entries = Entries {
        bare: entries,
        // A saved plan holds its reasons.
        add_places: &|_| {},
    };
    let anew = planning::of_entries(Sight::Hub(access), entries, &named, live, &policy, &options).await?;
    let mut checked = check_saved(saved, &bodies, &live.observed, anew);
    if checked.stale.is_empty() && checked.refused.is_empty() && !withheld.is_empty() {
        let missing = withheld.into_values().flatten().collect();
        return Err(FleetError::Withheld { missing });
    }
    let left: BTreeSet<&ObjectId> = checked.plan.actions().map(|action| &action.id).collect();
    checked.withheld = withheld
        .into_iter()
        .filter(|(id, _)| left.contains(id))
        .flat_map(|(_, missing)| missing)
        .collect();
    Ok(checked)
}

/// Returns what entries send, and of those with values that are not found the places of these: such a body holds masks
/// and is only to be compared.
fn bodies(saved: &SavedPlan, live: &Live, values: &Values) -> (BTreeMap<ObjectId, Object>, Withheld) {
    let mut bodies = BTreeMap::new();
    let mut withheld = Withheld::new();
    for entry in &saved.entries {
        let Some(patch) = &entry.patch else { continue };
        let found = [
            values.get(&entry.object),
            live.observed.objects.get(&entry.object),
        ];
        let found: Vec<&Object> = found.into_iter().flatten().collect();
        let body = match put_back(patch, &entry.withheld, &found) {
            Ok(body) => body,
            Err(pointers) => {
                let path = |pointer: &String| crate::object::pointer::to_field_path(pointer);
                let missing = pointers
                    .iter()
                    .map(|pointer| format!("{} {}", entry.object, path(pointer)));
                withheld.insert(entry.object.clone(), missing.collect());
                patch.clone()
            }
        };
        bodies.insert(entry.object.clone(), body);
    }
    (bodies, withheld)
}

/// The guards of the Fleet as it was saved, and what the hub says now.
fn policy(saved: &SavedPlan, live: &Live, options: &PlanOptions) -> FleetPolicy {
    let fleet = saved.fleet();
    let planned = Planned {
        fleet: fleet.as_ref(),
        files: if saved.has_errors {
            Files::WithErrors
        } else {
            Files::Sound
        },
        revision: saved.revision.as_deref(),
        content: &|| saved.content.clone(),
    };
    // That a record named them was seen when the plan was made.
    let removed = saved
        .entries
        .iter()
        .filter_map(|entry| {
            let record = RemovedRecord {
                policy: entry.action.of_removed()?,
                reason: None,
                place: entry.reason.clone(),
            };
            Some((entry.object.clone(), record))
        })
        .collect();
    // The place of the record is what the entry gives as its reason.
    let adopted = saved
        .entries
        .iter()
        .filter_map(|entry| {
            let SavedAdoption { from, if_different } = entry.adoption.clone()?;
            let record = AdoptRecord {
                from,
                if_different,
                place: entry.reason.clone(),
            };
            Some((entry.object.clone(), record))
        })
        .collect();
    FleetPolicy {
        removed,
        adopted,
        ..planning::policy_of(&planned, live, options)
    }
}
