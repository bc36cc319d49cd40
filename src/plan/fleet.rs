//! A fleet: the clusters that the files want against those that are there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::adopt::Taking;
use super::entry::Files;
use super::impact::Consequence;
use super::tracking::{self, Tracked};
use super::{
    Action, AdoptRecord, FieldChange, FleetEntry, FleetInput, FleetPolicy, Held, HeldReason, Operation, Plan,
    Wave, sort_held,
};
use super::{adopt, deletions, empty, preview, replaced, shown};
use crate::api::fleet_rollout::{CHANGES, DELETIONS, NAMESPACES};
use crate::api::{cel, labels};
use crate::object::{
    Difference, Object, ObjectId, Observed, Unreadable, differences, in_stripes, is_applied_by, kinds,
    pointer,
};

/// Plans a fleet.
///
/// *Shape*: waves `namespaces`, `changes`, those of the rollout, `deletions`; empty ones are left out. A cluster is in at most one action,
/// and may be held besides for a part of it that is left to somebody else. The order of the entries does not matter.
/// Never fails: what must not be done is held, each for itself.
pub fn fleet(input: &FleetInput<'_>, policy: &FleetPolicy) -> Plan {
    let mut desired: BTreeMap<&ObjectId, Vec<&FleetEntry>> = BTreeMap::new();
    for entry in input.desired {
        desired.entry(&entry.id).or_default().push(entry);
    }
    let named: BTreeSet<&ObjectId> = desired.keys().copied().chain(input.rejected).collect();
    let replaced = replaced::files(input, policy, &named);
    // Running the operator ahead takes long enough that thousands of clusters would be waited for, and those that change
    // are often neighbours.
    let parts = in_stripes(desired.iter().collect(), |share| {
        let mut part = Planner::new(input, policy, &replaced);
        for (id, entries) in share {
            match entries.as_slice() {
                [entry] => part.want(entry),
                _ => part.hold_duplicates(id, entries),
            }
        }
        part
    });
    let mut planner = Planner::new(input, policy, &replaced);
    for part in parts {
        planner.changes.extend(part.changes);
        planner.held.extend(part.held);
        planner.unchanged.extend(part.unchanged);
    }
    planner.changes.sort_by(|one, other| one.id.cmp(&other.id));
    planner.unchanged.sort();
    for id in input.rejected.iter().filter(|id| !desired.contains_key(id)) {
        if input.observed.objects.get(id).is_some() {
            planner.hold(
                id,
                HeldReason::ErrorFindings,
                "its file has errors; it stays as it is".to_owned(),
            );
        }
    }
    let (deletions, held) = deletions::plan(input, policy, &named, &replaced);
    planner.held.extend(held);
    planner.finish(deletions)
}

/// Returns the clusters that another plan of the same input need not compare: they are as the files say, and nothing of
/// them is held.
pub fn settled(plan: &Plan) -> BTreeSet<ObjectId> {
    let held: BTreeSet<&ObjectId> = plan.held.iter().map(|held| &held.id).collect();
    let settled = plan.unchanged.iter().filter(|id| !held.contains(id));
    settled.cloned().collect()
}

/// Returns the clusters that a plan writes: those whose children must be looked at to say what that does.
pub fn written(plan: &Plan) -> BTreeSet<ObjectId> {
    plan.actions()
        .filter(|action| action.id.kind == kinds::K0SMOTRON_CLUSTER)
        .map(|action| action.id.clone())
        .collect()
}

/// Returns why absence in this part of the hub cannot be believed.
pub(super) fn gap<'a>(observed: &'a Observed, id: &ObjectId) -> Option<&'a Unreadable> {
    observed
        .unreadable
        .iter()
        .find(|gap| gap.kind == id.kind && (gap.namespace.is_empty() || gap.namespace == id.namespace))
}

/// How a cluster is taken over, and the record that says so.
type Claimed<'a> = Option<(Taking, &'a AdoptRecord)>;

struct Planner<'a> {
    input: &'a FleetInput<'a>,
    policy: &'a FleetPolicy,
    /// Files whose clusters would be replaced by others, with the reason why none of them is.
    replaced: &'a BTreeMap<&'a str, String>,
    changes: Vec<Action>,
    held: Vec<Held>,
    unchanged: Vec<ObjectId>,
}

impl<'a> Planner<'a> {
    fn new(
        input: &'a FleetInput<'a>,
        policy: &'a FleetPolicy,
        replaced: &'a BTreeMap<&'a str, String>,
    ) -> Self {
        Self {
            input,
            policy,
            replaced,
            changes: Vec::new(),
            held: Vec::new(),
            unchanged: Vec::new(),
        }
    }

    fn want(&mut self, entry: &FleetEntry) {
        if self.input.unchanged.contains(&entry.id) {
            self.unchanged.push(entry.id.clone());
            return;
        }
        let upstream = ObjectId::new(kinds::UPSTREAM_CLUSTER, &entry.id.namespace, &entry.id.name);
        if self.input.observed.objects.get(&upstream).is_some() {
            let why = format!(
                "a cluster of this name runs under k0smotron, whose objects have the same names; use another name, or \
                 delete that one first (`kubectl delete {}.{} -n {} {}`), with its keys and data",
                upstream.kind.plural, upstream.kind.group, upstream.namespace, upstream.name
            );
            self.hold(&entry.id, HeldReason::Refused, why);
            return;
        }
        match self.input.observed.objects.get(&entry.id) {
            None => self.create(entry),
            Some(live) => self.change(entry, live),
        }
    }

    fn create(&mut self, entry: &FleetEntry) {
        let id = &entry.id;
        if let Some(gap) = gap(self.input.observed, id) {
            let why = format!("it is not known whether it exists ({})", gap.reason);
            self.hold(id, HeldReason::NotReadable, why);
            return;
        }
        if let Some(record) = self.policy.adopted.get(id) {
            let why = format!(
                "{} says that it runs and is taken over, and it is not there; delete the record to create a new one",
                record.place
            );
            self.hold(id, HeldReason::Waiting, why);
            return;
        }
        if let Some(why) = self.replaced.get(entry.source.as_str()) {
            self.hold(id, HeldReason::Refused, why.clone());
            return;
        }
        let body = self.body(entry, None);
        if let Some(hold) = body.annotation(labels::HOLD) {
            let why = format!("its file holds it: {hold}");
            self.hold(id, HeldReason::Hold, why);
            return;
        }
        match preview::of_create(id, &body, self.input.preview.as_ref().ok()) {
            Err(refused) => self.hold(id, HeldReason::Refused, refused),
            Ok(consequence) => {
                let namespace = ObjectId::new(kinds::NAMESPACE, "", &id.namespace);
                let is_missing = self.policy.missing_namespaces.contains(&id.namespace);
                let needs = is_missing.then_some(namespace).into_iter().collect();
                self.add(entry, Operation::Create { body }, consequence, Vec::new(), needs);
            }
        }
    }

    fn change(&mut self, entry: &FleetEntry, live: &Object) {
        let id = &entry.id;
        let claimed = match claim(id, live, self.policy) {
            Ok(claimed) => claimed,
            Err((reason, why)) => {
                self.hold(id, reason, why);
                return;
            }
        };
        let Some(uid) = live.uid().map(str::to_owned) else {
            self.hold(id, HeldReason::NotReadable, "its uid is not known".to_owned());
            return;
        };
        if live.text("/metadata/deletionTimestamp").is_some() {
            let why = "it is being deleted and is made again when it is gone".to_owned();
            self.hold(id, HeldReason::Waiting, why);
            return;
        }
        let mut body = self.body(entry, Some(live));
        if let Some(why) = frozen(live, &body) {
            self.hold(id, HeldReason::Hold, why);
            return;
        }
        let is_yielded = self.yield_replicas(id, &mut body, live);
        let seen = claimed.as_ref().map_or(live, |(taking, _)| &taking.seen);
        let mut differences = differences(&body, seen, labels::FLEET_MANAGER);
        differences.retain(|difference| !(is_yielded && difference.pointer == "/spec/replicas"));
        if differences
            .iter()
            .all(|difference| is_only_the_file(entry, difference))
        {
            self.unchanged.push(id.clone());
            return;
        }
        if let Some((manager, field)) = tracking::conflict(seen, &body, &self.policy.force_conflicts) {
            let why = format!(
                "`{manager}` applies {field} too; take it out of one of the two, or pass `--force-conflicts={manager}`"
            );
            self.hold(id, HeldReason::OtherOwner, why);
            return;
        }
        let refused = claimed
            .as_ref()
            .and_then(|(_, record)| adopt::refusal(record, &differences))
            .or_else(|| broken_rule(&body, live));
        let consequence = match refused {
            Some(refused) => Err(refused),
            None => preview::of_change(live, &differences, self.input.preview),
        };
        match consequence {
            Err(refused) => self.hold(id, HeldReason::Refused, refused),
            Ok(mut consequence) => {
                let changes = changes(entry, differences);
                let Some((taking, record)) = claimed else {
                    let operation = Operation::Apply { body, uid };
                    self.add(entry, operation, consequence, changes, Vec::new());
                    return;
                };
                consequence.effects.extend(adopt::effects(id, live, record));
                let operation = Operation::Adopt {
                    body,
                    uid,
                    resource_version: live.resource_version().unwrap_or_default().to_owned(),
                    managed_fields: taking.managed_fields,
                };
                self.changes.push(Action {
                    id: id.clone(),
                    operation,
                    impact: consequence.impact,
                    reason: record.place.clone(),
                    changes,
                    effects: consequence.effects,
                    needs: Vec::new(),
                });
            }
        }
    }

    /// What is sent: what was written, and what makes it a member.
    fn body(&self, entry: &FleetEntry, live: Option<&Object>) -> Object {
        let mut body = Object::clone(&entry.object);
        if let Some(Value::Object(spec)) = body.0.get_mut("spec") {
            empty::take_out(spec);
        }
        if let Some(fleet) = &self.policy.id {
            let metadata = &mut body.0["metadata"];
            metadata["labels"][labels::FLEET_ID] = json!(fleet);
            metadata["annotations"][labels::TRACKING] = json!(tracking::tracking(fleet, &entry.id));
            metadata["annotations"][labels::SOURCE] = json!(entry.source);
        }
        // A file can protect a cluster and cannot take that away again.
        let is_protected = live.is_some_and(|live| live.annotation(labels::PROTECT) == Some("true"));
        if is_protected {
            body.0["metadata"]["annotations"][labels::PROTECT] = json!("true");
        }
        body
    }

    /// Leaves the replicas to whoever scales the live cluster.
    fn yield_replicas(&mut self, id: &ObjectId, body: &mut Object, live: &Object) -> bool {
        let Some(scaler) = tracking::scaler(live) else {
            return false;
        };
        let Some(spec) = body.0.get_mut("spec").and_then(Value::as_object_mut) else {
            return false;
        };
        let Some(wanted) = spec.remove("replicas") else {
            return false;
        };
        let actual = live.0.pointer("/spec/replicas").cloned().unwrap_or_default();
        if wanted != actual {
            let why =
                format!("spec.replicas is left to `{scaler}`: it says {actual}, the files say {wanted}");
            self.hold(id, HeldReason::Yielded, why);
        }
        true
    }

    fn hold_duplicates(&mut self, id: &ObjectId, entries: &[&FleetEntry]) {
        let mut places: Vec<&str> = entries.iter().map(|entry| entry.place.as_str()).collect();
        places.sort_unstable();
        let why = format!("it is written in more than one place: {}", places.join(", "));
        self.hold(id, HeldReason::Refused, why);
    }

    fn hold(&mut self, id: &ObjectId, reason: HeldReason, waiting_on: String) {
        self.held.push(Held {
            id: id.clone(),
            reason,
            waiting_on,
        });
    }

    fn add(
        &mut self,
        entry: &FleetEntry,
        operation: Operation,
        consequence: Consequence,
        changes: Vec<FieldChange>,
        needs: Vec<ObjectId>,
    ) {
        // The line of the first changed value says more than where the cluster begins.
        let place = changes.iter().find_map(|change| change.source.clone());
        self.changes.push(Action {
            id: entry.id.clone(),
            operation,
            impact: consequence.impact,
            reason: place.unwrap_or_else(|| entry.place.clone()),
            changes,
            effects: consequence.effects,
            needs,
        });
    }

    fn finish(mut self, deletions: Vec<Action>) -> Plan {
        let needed: BTreeSet<&ObjectId> = self.changes.iter().flat_map(|action| &action.needs).collect();
        let namespaces: Vec<Action> = needed
            .into_iter()
            .map(|id| Action {
                id: id.clone(),
                operation: Operation::Create {
                    body: Object(json!({
                        "apiVersion": id.kind.api_version(), "kind": id.kind.kind, "metadata": {"name": id.name}
                    })),
                },
                impact: super::Impact::Safe,
                reason: "clusters are in it".to_owned(),
                changes: Vec::new(),
                effects: Vec::new(),
                needs: Vec::new(),
            })
            .collect();
        sort_held(&mut self.held);
        let waves = [
            (NAMESPACES, namespaces),
            (CHANGES, self.changes),
            (DELETIONS, deletions),
        ];
        let plan = Plan {
            revision: self.policy.revision.clone(),
            waves: waves
                .into_iter()
                .filter(|(_, actions)| !actions.is_empty())
                .map(|(name, actions)| Wave {
                    name: name.to_owned(),
                    actions,
                })
                .collect(),
            held: self.held,
            unchanged: self.unchanged,
        };
        let Some(rollout) = &self.policy.rollout else {
            return plan;
        };
        let observed = self.input.observed;
        let is_unseen = |entry: &&FleetEntry| {
            observed.objects.get(&entry.id).is_none() && gap(observed, &entry.id).is_some()
        };
        let unseen = self.input.desired.iter().filter(is_unseen);
        let unseen = unseen.map(|entry| (&entry.id, &*entry.object));
        rollout.hold_behind(unseen, rollout.arrange(plan, observed))
    }
}

/// Decides whose a live cluster is. `None`: the fleet's or nobody's; otherwise how it is taken over.
///
/// *Errors*: why it is left alone.
fn claim<'a>(
    id: &ObjectId,
    live: &Object,
    policy: &'a FleetPolicy,
) -> Result<Claimed<'a>, (HeldReason, String)> {
    let (whose, without_record) = match tracking::of(id, live, policy.id.as_deref()) {
        Tracked::Member | Tracked::Untracked => return Ok(None),
        Tracked::Foreign(why) => {
            let held = format!("it exists and does not belong to this fleet: {why}");
            (why, (HeldReason::Foreign, held))
        }
        Tracked::Other(whose) => {
            let held = format!("{whose} looks after it; take it out of one of the two");
            (format!("{whose} looks after it"), (HeldReason::OtherOwner, held))
        }
    };
    // Without an id there is nothing that it could belong to.
    match (&policy.id, policy.adopted.get(id)) {
        (Some(_), Some(record)) => Ok(Some((adopt::claim(id, live, record, &whose)?, record))),
        (None, _) | (_, None) => Err(without_record),
    }
}

/// Says whether a difference is not worth a write of its own: the file of a cluster moved, or a file of all clusters was
/// exported. It goes along with the next change. Of a set it is written at once: by it the set is known again when its
/// key changes.
fn is_only_the_file(entry: &FleetEntry, difference: &Difference) -> bool {
    let pointer = pointer::push("/metadata/annotations", labels::SOURCE);
    !entry.is_of_set && difference.pointer == pointer && difference.old.is_some() && difference.new.is_some()
}

/// Says why nothing of a live cluster is changed. A hold that came from a file ends when it leaves the file.
pub(super) fn frozen(live: &Object, body: &Object) -> Option<String> {
    if let Some(hold) = body.annotation(labels::HOLD) {
        return Some(format!("its file holds it: {hold}"));
    }
    let hold = live.annotation(labels::HOLD)?;
    let pointer = pointer::push("/metadata/annotations", labels::HOLD);
    (!is_applied_by(live, labels::FLEET_MANAGER, &pointer)).then(|| format!("it is held: {hold}"))
}

/// Returns a rule of the API that the change would break.
fn broken_rule(body: &Object, live: &Object) -> Option<String> {
    let spec = |object: &Object| object.0.get("spec").cloned().unwrap_or_default();
    let violations = cel::violations(&spec(body), Some(&spec(live)));
    let violation = violations.first()?;
    Some(format!(
        "{}: {}",
        pointer::to_field_path(&violation.pointer),
        violation.message
    ))
}

fn changes(entry: &FleetEntry, differences: Vec<Difference>) -> Vec<FieldChange> {
    differences
        .into_iter()
        .map(|difference| {
            let Difference { pointer, old, new } = difference;
            let source = new
                .as_ref()
                .and_then(|_| entry.place_of(&pointer))
                .map(str::to_owned);
            FieldChange {
                old: old.map(|old| shown::value(&pointer, &old)),
                new: new.map(|new| shown::value(&pointer, &new)),
                source,
                pointer,
            }
        })
        .collect()
}

/// Says whether the files are sound enough to believe that something left them.
pub(super) fn files_hold_deletions(policy: &FleetPolicy) -> Option<String> {
    match policy.files {
        Files::Sound => None,
        Files::WithErrors => Some("the files have errors; nothing is deleted while they do".to_owned()),
    }
}
