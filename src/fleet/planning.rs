//! The plan of a fleet, with what each change does to running control planes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::look::{Access, Live};
use super::writers::last_guards;
use super::{FleetError, parent};
use crate::api::fleet::{Fleet, FleetSpec};
use crate::api::fleet_files::RemovedSpec;
use crate::client::ClientError;
use crate::compose::Reading;
use crate::diagnostic::SourceTree;
use crate::object::{Object, ObjectId, Observed, kinds};
use crate::observe::{self, Snapshot};
use crate::plan::{
    self, Action, AdoptRecord, Begun, Files, FleetEntry, FleetInput, FleetPolicy, Guards, Held, HeldReason,
    Operation, Plan, Preview, Prune, RemovedRecord, Upgraded,
};
use crate::render::Settings;
use crate::validate::{Adopted, Adoption, Removal};

/// What a run may do besides what the Fleet says.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    pub prune: Prune,
    /// Field managers whose fields are taken over.
    pub force_conflicts: BTreeSet<String>,
    /// A renderer revision that is supposed instead of the operator's own.
    pub renderer_revision: Option<u32>,
    pub now: Timestamp,
}

/// Why impacts are not known when the children of clusters were not looked at.
const NOT_LOOKED_AT: &str = "the pods of the cluster were not looked at";

/// Where the children of clusters are seen.
#[derive(Clone, Copy)]
pub enum Sight<'a> {
    Hub(Access<'a>),
    Recorded(&'a Snapshot),
}

/// Plans a fleet.
///
/// *Errors*: pruning without a Fleet; children that cannot be read for another reason than missing rights (with those,
/// impacts are unknown).
/// *Effects*: for a plan with changes the lists of [`observe::children`] and one of nodes. Nothing is written.
pub async fn plan(
    access: Access<'_>,
    reading: &Reading,
    tree: &SourceTree,
    live: &Live,
    options: &PlanOptions,
) -> Result<Plan, FleetError> {
    of_reading(Sight::Hub(access), reading, tree, live, options).await
}

/// Plans what files say, with children seen wherever.
pub(super) async fn of_reading(
    sight: Sight<'_>,
    reading: &Reading,
    tree: &SourceTree,
    live: &Live,
    options: &PlanOptions,
) -> Result<Plan, FleetError> {
    let entries = Entries {
        bare: entries(reading, tree),
        add_places: &|entry| {
            if let Some(cluster) = reading.cluster(&entry.id) {
                entry.add_places(cluster, tree);
            }
        },
    };
    let rejected = reading
        .rejected
        .iter()
        .map(|(namespace, name)| ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name))
        .collect();
    let policy = policy(reading, tree, live, options)?;
    of_entries(sight, entries, &rejected, live, &policy, options).await
}

fn entries(reading: &Reading, tree: &SourceTree) -> Vec<FleetEntry> {
    let clusters = reading.clusters.iter();
    clusters.map(|cluster| FleetEntry::of(cluster, tree)).collect()
}

/// Clusters that are wanted, and how the places of what they say are found.
pub(super) struct Entries<'a> {
    pub bare: Vec<FleetEntry>,
    pub add_places: &'a (dyn Fn(&mut FleetEntry) + Sync),
}

/// Plans clusters that are wanted, whoever wants them. `rejected` are named besides, and stay as they are.
pub(super) async fn of_entries(
    sight: Sight<'_>,
    entries: Entries<'_>,
    rejected: &BTreeSet<ObjectId>,
    live: &Live,
    policy: &FleetPolicy,
    options: &PlanOptions,
) -> Result<Plan, FleetError> {
    let Entries { mut bare, add_places } = entries;
    let settings = live.operator.settings(options.renderer_revision);
    let plan_with = |desired: &[FleetEntry], unchanged: &BTreeSet<ObjectId>, preview| {
        let input = FleetInput {
            desired,
            rejected,
            observed: &live.observed,
            unchanged,
            preview,
        };
        plan::fleet(&input, policy)
    };
    let unseen = Err(settings.as_ref().err().map_or(NOT_LOOKED_AT, String::as_str));
    let blind = plan_with(&bare, &BTreeSet::new(), unseen);
    let written = plan::written(&blind);
    if written.is_empty() {
        return Ok(without_namespace(blind, live, policy));
    }
    let seen = match &settings {
        Ok(settings) => {
            let seen = look_at_children(sight, &written).await?;
            seen.map(|seen| (seen, settings))
        }
        Err(_) => None,
    };
    // Of a new cluster nothing changes.
    let changes = |id: &ObjectId| written.contains(id) && live.observed.objects.get(id).is_some();
    bare.iter_mut()
        .filter(|entry| changes(&entry.id))
        .for_each(add_places);
    let preview = match &seen {
        Some((seen, settings)) => Ok(seen.preview(settings, options.now)),
        None => unseen,
    };
    let plan = plan_with(&bare, &plan::settled(&blind), preview);
    Ok(without_namespace(plan, live, policy))
}

/// Says what the operator would do at another renderer revision to clusters whose files stay as they are: those of `ids`.
///
/// *Effects*: the lists of children, unless recorded.
pub async fn upgrade(
    sight: Sight<'_>,
    live: &Live,
    ids: &BTreeSet<ObjectId>,
    revision: u32,
    now: Timestamp,
) -> Result<Vec<Upgraded>, FleetError> {
    let found = ids
        .iter()
        .filter_map(|id| Some((id, live.observed.objects.get(id)?)));
    let settings = live.operator.settings(None);
    let (before, after) = match (settings, live.operator.settings(Some(revision))) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(why), _) | (_, Err(why)) => {
            return Ok(found.map(|(id, _)| Upgraded::unknown(id, &why)).collect());
        }
    };
    let Some(seen) = look_at_children(sight, ids).await? else {
        return Ok(Vec::new());
    };
    let preview = seen.preview(&before, now);
    Ok(found
        .filter_map(|(id, object)| plan::of_upgrade(id, object, &preview, &after))
        .collect())
}

/// Returns what the operator would write because of each entry of a plan, as it may be shown.
///
/// *Effects*: as [`upgrade`].
pub async fn children(
    sight: Sight<'_>,
    live: &Live,
    plan: &Plan,
    options: &PlanOptions,
) -> Result<BTreeMap<ObjectId, Vec<Action>>, FleetError> {
    let clusters: Vec<&Action> = plan
        .actions()
        .filter(|action| action.id.kind == kinds::K0SMOTRON_CLUSTER)
        .collect();
    let ids = clusters.iter().map(|action| action.id.clone()).collect();
    let Ok(settings) = live.operator.settings(options.renderer_revision) else {
        return Ok(BTreeMap::new());
    };
    let Some(seen) = look_at_children(sight, &ids).await? else {
        return Ok(BTreeMap::new());
    };
    let preview = seen.preview(&settings, options.now);
    Ok(clusters
        .into_iter()
        .map(|action| {
            let live = live.observed.objects.get(&action.id);
            let children = plan::children_of_operation(&action.operation, live, &preview);
            (action.id.clone(), children)
        })
        .collect())
}

/// Returns the clusters of the files that are there and not as the files say.
///
/// *Errors*: those of [`plan()`]. Nothing is read.
pub fn differing(
    reading: &Reading,
    tree: &SourceTree,
    live: &Live,
    options: &PlanOptions,
) -> Result<BTreeSet<ObjectId>, FleetError> {
    let desired = entries(reading, tree);
    let input = FleetInput {
        desired: &desired,
        rejected: &BTreeSet::new(),
        observed: &live.observed,
        unchanged: &BTreeSet::new(),
        preview: Err(NOT_LOOKED_AT),
    };
    let differing = plan::written(&plan::fleet(&input, &policy(reading, tree, live, options)?));
    let is_there = |id: &ObjectId| live.observed.objects.get(id).is_some() && reading.cluster(id).is_some();
    Ok(differing.into_iter().filter(is_there).collect())
}

fn policy(
    reading: &Reading,
    tree: &SourceTree,
    live: &Live,
    options: &PlanOptions,
) -> Result<FleetPolicy, FleetError> {
    let fleet = reading.fleet.as_ref();
    if fleet.is_none() && options.prune == Prune::Yes {
        return Err(FleetError::PruneWithoutFleet);
    }
    let files = if reading.findings.has_errors() {
        Files::WithErrors
    } else {
        Files::Sound
    };
    let planned = Planned {
        fleet,
        files,
        revision: tree.revision.as_deref(),
        content: &|| content(reading),
    };
    Ok(FleetPolicy {
        removed: removed(reading, tree),
        adopted: adopted(reading, tree),
        ..policy_of(&planned, live, options)
    })
}

/// What is planned, read from files or from a saved plan.
pub(super) struct Planned<'a> {
    pub fleet: Option<&'a Fleet>,
    pub files: Files,
    pub revision: Option<&'a str>,
    /// Returns the digest of it all.
    pub content: &'a dyn Fn() -> String,
}

/// Returns the guards of a Fleet, or the stricter ones of the Fleet that was applied last, with what the hub and the
/// options say. Nothing was removed on purpose in it.
pub(super) fn policy_of(planned: &Planned<'_>, live: &Live, options: &PlanOptions) -> FleetPolicy {
    let spec = planned.fleet.map(|fleet| &fleet.spec);
    let stored = live.parent.as_ref();
    let makes_namespaces = spec.is_some_and(FleetSpec::creates_namespaces);
    let mut policy = FleetPolicy::of(spec, planned.files);
    if let (Some(spec), Some(last)) = (spec, last_guards(live)) {
        let guards = Guards::of(spec).stricter(last, options.prune);
        (policy.deletions, policy.budget, policy.empty_set) =
            (guards.deletions, guards.budget, guards.empty_set);
    }
    FleetPolicy {
        revision: planned.revision.map(str::to_owned),
        prune: options.prune,
        force_conflicts: options.force_conflicts.clone(),
        begun: stored.map_or_else(Begun::default, |stored| stored.parent.begun_for(planned.content)),
        missing_namespaces: match makes_namespaces {
            true => live.missing_namespaces.clone(),
            false => BTreeSet::new(),
        },
        ..policy
    }
}

/// Returns what the records say about clusters that were taken out of the files on purpose.
fn removed(reading: &Reading, tree: &SourceTree) -> BTreeMap<ObjectId, RemovedRecord> {
    let record = |removal: &Removal| {
        let RemovedSpec {
            target,
            policy,
            reason,
        } = &removal.spec;
        let record = RemovedRecord {
            policy: *policy,
            reason: reason.clone(),
            place: plan::place(removal.place, tree),
        };
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &target.namespace, &target.name);
        (id, record)
    };
    reading.removed.iter().map(record).collect()
}

/// Returns what the records say about clusters that somebody else made.
pub(super) fn adopted(reading: &Reading, tree: &SourceTree) -> BTreeMap<ObjectId, AdoptRecord> {
    let record = |adoption: &Adoption| {
        let Adopted {
            target,
            from,
            if_different,
        } = &adoption.spec;
        let record = AdoptRecord {
            from: from.clone(),
            if_different: *if_different,
            place: plan::place(adoption.place, tree),
        };
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, &target.namespace, &target.name);
        (id, record)
    };
    reading.adopted.iter().map(record).collect()
}

/// Returns the digest of what the files say, which a budget of deletions is spent on.
pub fn content(reading: &Reading) -> String {
    let removed = |removal: &Removal| Object(serde_json::json!({"kind": "Removed", "spec": removal.spec}));
    let adopted = |adoption: &Adoption| Object(serde_json::json!({"kind": "Adopt", "spec": adoption.spec}));
    let records: Vec<Object> = reading
        .removed
        .iter()
        .map(removed)
        .chain(reading.adopted.iter().map(adopted))
        .collect();
    let clusters = reading.clusters.iter().map(|cluster| &*cluster.object);
    parent::content(reading.fleet.as_ref(), clusters.chain(&records))
}

/// What the operator would look at.
struct Seen {
    children: Observed,
    node_addresses: Vec<String>,
}

impl Seen {
    fn preview<'a>(&'a self, settings: &'a Settings, now: Timestamp) -> Preview<'a> {
        Preview {
            children: &self.children,
            node_addresses: &self.node_addresses,
            settings,
            now,
        }
    }
}

/// Reads what the operator would look at; `None` when that is not allowed.
async fn look_at_children(
    sight: Sight<'_>,
    candidates: &BTreeSet<ObjectId>,
) -> Result<Option<Seen>, FleetError> {
    if candidates.is_empty() {
        return Ok(None);
    }
    let access = match sight {
        Sight::Hub(access) => access,
        Sight::Recorded(snapshot) => {
            return Ok(Some(Seen {
                children: snapshot.children(),
                node_addresses: snapshot.node_addresses.clone(),
            }));
        }
    };
    let read = async {
        tokio::try_join!(
            observe::children(access.clusters, candidates),
            observe::node_addresses(access.clusters),
        )
    };
    match read.await {
        Ok((children, node_addresses)) => Ok(Some(Seen {
            children,
            node_addresses,
        })),
        Err(ClientError::Forbidden { .. }) => Ok(None),
        Err(error) => Err(FleetError::observe(error)),
    }
}

/// Holds what would be created in a namespace that is not there and that the fleet does not make.
fn without_namespace(mut plan: Plan, live: &Live, policy: &FleetPolicy) -> Plan {
    let Plan { waves, held, .. } = &mut plan;
    for wave in waves.iter_mut() {
        wave.actions.retain(|action| {
            let namespace = &action.id.namespace;
            let is_homeless = matches!(action.operation, Operation::Create { .. })
                && live.missing_namespaces.contains(namespace)
                && !policy.missing_namespaces.contains(namespace);
            if is_homeless {
                held.push(Held {
                    id: action.id.clone(),
                    reason: HeldReason::Waiting,
                    waiting_on: format!(
                        "namespace `{namespace}` does not exist; create it, or set spec.namespaces.create of the Fleet"
                    ),
                });
            }
            !is_homeless
        });
    }
    waves.retain(|wave| !wave.actions.is_empty());
    plan::sort_held(held);
    plan
}
