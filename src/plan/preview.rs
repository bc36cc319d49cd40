//! What the operator would do about a change of a cluster: its own renderer, run ahead.

use serde_json::Value;

pub(super) use super::impact::Consequence;
use super::rehearsal::{self, rehearse};
use super::{Action, Impact, Operation, Owner, Plan, Preview};
use crate::api::cluster_status::HeldStatus;
use crate::api::{K0smotronCluster, names};
use crate::k0s::{self, Refusal, Version};
use crate::object::{Difference, Object, ObjectId, kinds, pointer};
use crate::pki::KeyPurpose;
use crate::render::{self, Facts, ResolvedCluster, Stalled};

/// Says why a change must not be made, as a sentence.
pub(super) type Refused = String;

/// Says what a change of a live cluster does.
///
/// *Shape*: `differences` are those of the cluster object. `Err` when the change must not be made: a version that may
/// not follow the one that runs, or a spec that the operator would not render.
pub(super) fn of_change(
    live: &Object,
    differences: &[Difference],
    preview: Result<Preview<'_>, &str>,
) -> Result<Consequence, Refused> {
    // What reaches a pod depends on the spec alone.
    if !differences
        .iter()
        .any(|difference| is_of_spec(&difference.pointer))
    {
        return Ok(Consequence::none());
    }
    let after = changed_spec(live, differences);
    if let Some(refused) = refused_version(live, &after) {
        return Err(refused);
    }
    let preview = match preview {
        Ok(preview) => preview,
        Err(why) => return Ok(unknown(why)),
    };
    let preview = &preview;
    let Ok(cluster) = serde_json::from_value::<K0smotronCluster>(live.0.clone()) else {
        return Ok(unknown("this version cannot read the live object"));
    };
    let changed = match serde_json::from_value(after) {
        Ok(spec) => K0smotronCluster {
            spec,
            ..cluster.clone()
        },
        Err(error) => return Err(format!("the spec cannot be read: {error}")),
    };
    let after = match rehearse(&changed, preview) {
        Ok(after) => after,
        Err(stalled) => return of_stalled(stalled),
    };
    let before = rehearse(&cluster, preview).ok();
    let held_before = before.as_ref().map_or(&[][..], |before| &before.last.held);
    if let Some(refused) = newly_refused(&after.last.held, held_before) {
        return Err(refused);
    }
    if changed.spec.paused == Some(true) {
        return Ok(Consequence {
            impact: Impact::Safe,
            effects: vec!["nothing is reconciled while spec.paused is true".to_owned()],
        });
    }
    // What was written while it was paused is done when it goes on.
    let anyway = before
        .as_ref()
        .filter(|_| cluster.spec.paused != Some(true))
        .map(|before| before.plan.clone())
        .unwrap_or_default();
    let mut consequence = of_children(&after.plan, &anyway, &after.owner);
    if let Some(before) = &before {
        add_address(&mut consequence, &before.last, &after.last);
    }
    add_members(
        &mut consequence,
        before.as_ref().map(|before| &before.first),
        &after.first,
    );
    consequence
        .effects
        .extend(not_done(&after.last.held, held_before));
    // Said also when it was held before: who changes a cluster wants to know that this is not taken along.
    let still_held = after
        .last
        .held
        .iter()
        .filter(|held| is_by_update_policy(&held.reason))
        .filter(|held| held_before.contains(held));
    consequence.effects.extend(
        still_held.map(|held| format!("still held by updatePolicy: {}: {}", held.what, held.message)),
    );
    Ok(consequence)
}

/// Says what is held back and was not before. What only waits for another step of the operator is done in the end.
fn not_done<'a>(held: &'a [HeldStatus], before: &'a [HeldStatus]) -> impl Iterator<Item = String> + 'a {
    let newly_held = held
        .iter()
        .filter(|held| held.reason != "Waiting" && !before.contains(held));
    newly_held.map(|held| {
        let done = if is_by_update_policy(&held.reason) {
            "held by updatePolicy"
        } else {
            "not done"
        };
        format!("{done}: {}: {}", held.what, held.message)
    })
}

fn is_by_update_policy(reason: &str) -> bool {
    reason == render::revisions::HELD
}

/// Says what creating a cluster does: nothing to anybody, unless the operator would refuse it.
pub(super) fn of_create(
    id: &ObjectId,
    desired: &Object,
    preview: Option<&Preview<'_>>,
) -> Result<Consequence, Refused> {
    let Some(preview) = preview else {
        return Ok(Consequence::none());
    };
    let mut created = desired.0.clone();
    // As the API server does: the type has no default for the spec, the schema has.
    if created.get("spec").is_none_or(Value::is_null) {
        created["spec"] = Value::Object(serde_json::Map::new());
    }
    let cluster: K0smotronCluster = match serde_json::from_value(created) {
        Ok(cluster) => cluster,
        Err(error) => return Err(format!("the object cannot be read: {error}")),
    };
    let facts = Facts::gather(&cluster, preview.children, preview.node_addresses, preview.now);
    match render::resolve(&cluster.spec, &facts, preview.settings) {
        Ok(resolved) => {
            let leftovers = resolved.held.iter().find(|held| held.reason == "LeftoverKey");
            if let Some(held) = leftovers {
                return Err(format!("{}: {}", held.what, held.message));
            }
            match newly_refused(&resolved.held, &[]) {
                Some(refused) => Err(refused),
                None => Ok(taken_up(id, &facts, &resolved.held)),
            }
        }
        Err(Stalled { reason, message: _ }) if reason == render_reason::NOT_READABLE => {
            Ok(Consequence::none())
        }
        Err(stalled) => Err(stalled.message),
    }
}

/// The reasons of [`Stalled`] that say that something is not known, rather than that it must not be.
mod render_reason {
    pub const NOT_READABLE: &str = "NotReadable";
    pub const OPERATOR_TOO_OLD: &str = "OperatorTooOld";
}

/// Members come and go one after another, long after the plan of a fleet: it says where that leads.
fn add_members(consequence: &mut Consequence, before: Option<&ResolvedCluster>, after: &ResolvedCluster) {
    let membership = |cluster: &ResolvedCluster| cluster.etcd.membership.wanted;
    let (running, wanted) = (after.etcd.membership.record.running, membership(after));
    if wanted != running && before.map(membership) != Some(wanted) {
        consequence.effects.push(format!(
            "etcd goes from {running} to {wanted} members, one at a time"
        ));
        if wanted < running {
            consequence.impact = consequence.impact.max(Impact::Rolling);
        }
    }
}

fn taken_up(id: &ObjectId, facts: &Facts, held: &[HeldStatus]) -> Consequence {
    let is_taken_up = facts.keys.get(&KeyPurpose::Ca).is_some_and(|ca| ca.is_retained);
    let effect = is_taken_up.then(|| {
        format!(
            "takes up the keys and {} volumes that an earlier cluster `{}` left behind",
            facts.volumes.len(),
            id.name
        )
    });
    Consequence {
        impact: Impact::Safe,
        effects: effect.into_iter().chain(not_done(held, &[])).collect(),
    }
}

fn unknown(why: &str) -> Consequence {
    Consequence {
        impact: Impact::Unknown,
        effects: vec![format!("not known: {why}")],
    }
}

fn of_stalled(stalled: Stalled) -> Result<Consequence, Refused> {
    match stalled.reason.as_str() {
        render_reason::NOT_READABLE | render_reason::OPERATOR_TOO_OLD => Ok(unknown(&stalled.message)),
        _ => Err(stalled.message),
    }
}

fn is_of_spec(pointer: &str) -> bool {
    pointer == "/spec" || pointer.starts_with("/spec/")
}

/// Returns the live spec as it is once the differences are applied.
pub(super) fn changed_spec(live: &Object, differences: &[Difference]) -> Value {
    let mut object = live.0.clone();
    // From the end, so that removing an item of a list does not move those that are still to be removed.
    for difference in differences
        .iter()
        .rev()
        .filter(|difference| is_of_spec(&difference.pointer))
    {
        let Some((parent, step)) = pointer::split_last(&difference.pointer) else {
            continue;
        };
        if parent == "/spec" && !object["spec"].is_object() {
            object["spec"] = Value::Object(serde_json::Map::new());
        }
        match (object.pointer_mut(parent), &difference.new) {
            (Some(Value::Object(fields)), Some(new)) => {
                fields.insert(step.into_owned(), new.clone());
            }
            (Some(Value::Object(fields)), None) => {
                fields.remove(step.as_ref());
            }
            (Some(Value::Array(items)), Some(new)) => {
                if let Some(item) = step.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                    *item = new.clone();
                }
            }
            _ => {}
        }
    }
    object
        .get("spec")
        .cloned()
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

/// Judges a wanted version against what runs, from the cluster object alone.
fn refused_version(live: &Object, after: &Value) -> Option<Refused> {
    let wanted = Version::parse(after.get("version")?.as_str()?)?;
    let parsed = |pointer: &str| live.text(pointer).and_then(Version::parse);
    let running = parsed("/status/version");
    let target = parsed("/status/pins/version").or(running)?;
    match k0s::choose(wanted, Some(target), running).1? {
        Refusal::Skew(why) | Refusal::Rolling(why) => Some(why),
    }
}

/// The renderer holds back what may not follow, and what cannot be done to what exists; then the files ask for something
/// that will not happen.
fn newly_refused(after: &[HeldStatus], before: &[HeldStatus]) -> Option<Refused> {
    let is_new = |held: &HeldStatus| {
        !before
            .iter()
            .any(|other| (&other.what, &other.reason) == (&held.what, &held.reason))
    };
    let mut new = after.iter().filter(|held| is_new(held));
    new.find_map(|held| match held.reason.as_str() {
        "VersionSkew" | "Rolling" => Some(held.message.clone()),
        // Of a version the message says what it is about; of these the field does.
        "NotPossible" => Some(format!("{}: {}", held.what, held.message)),
        _ => None,
    })
}

/// Returns the actions of a plan that another one does not have.
pub(super) fn new_actions<'a>(plan: &'a Plan, anyway: &'a Plan) -> impl Iterator<Item = &'a Action> {
    plan.actions()
        .filter(|action| !anyway.actions().any(|other| other == *action))
}

/// Sums up what the operator would do, less what it does anyway.
pub(super) fn of_children(plan: &Plan, anyway: &Plan, owner: &Owner) -> Consequence {
    let new: Vec<&Action> = new_actions(plan, anyway).collect();
    let impact = new
        .iter()
        .map(|action| action.impact)
        .max()
        .unwrap_or(Impact::Safe);
    let mut effects: Vec<String> = new
        .iter()
        .flat_map(|action| action.effects.iter().cloned())
        .collect();
    let is_changed = |name: &str, is_meant: fn(&Action) -> bool| {
        let id = ObjectId::new(kinds::STATEFUL_SET, &owner.cluster.namespace, name);
        new.iter().any(|action| action.id == id && is_meant(action))
    };
    let has_new_kubeconfig = new.iter().any(|action| {
        matches!(
            action.operation,
            Operation::Issue {
                purpose: KeyPurpose::Kubeconfig,
                ..
            } | Operation::Reissue {
                purpose: KeyPurpose::Kubeconfig,
                ..
            }
        )
    });
    if is_changed(&names::control_plane(&owner.cluster.name), rolls) {
        let mut stays = Vec::new();
        if !is_changed(&names::etcd(&owner.cluster.name), touches_pods) {
            stays.push("etcd not restarted");
        }
        if !has_new_kubeconfig {
            stays.push("kubeconfig and tokens stay valid");
        }
        effects.extend((!stays.is_empty()).then(|| stays.join("; ")));
    }
    let refused = plan
        .held
        .iter()
        .filter(|held| !anyway.held.contains(held) && held.reason == super::HeldReason::Refused);
    effects.extend(refused.map(|held| format!("not done: {}: {}", held.id, held.waiting_on)));
    Consequence { impact, effects }
}

/// Members that are added or stopped are not left alone either.
fn touches_pods(action: &Action) -> bool {
    rolls(action)
        || action
            .changes
            .iter()
            .any(|change| change.pointer == "/spec/replicas")
}

fn rolls(action: &Action) -> bool {
    action
        .changes
        .iter()
        .any(|change| change.pointer.starts_with("/spec/template"))
}

fn add_address(consequence: &mut Consequence, before: &ResolvedCluster, after: &ResolvedCluster) {
    let (Ok(old), Ok(new)) = (&before.endpoint, &after.endpoint) else {
        return;
    };
    if old == new {
        return;
    }
    let new = match rehearsal::is_made_up(new) {
        true => "one that is known when its Service is made",
        false => new.url.as_str(),
    };
    consequence.impact = consequence.impact.max(Impact::Disruptive);
    consequence.effects.push(format!(
        "address {} -> {new}; clients and workers have to use the new one",
        old.url
    ));
}
