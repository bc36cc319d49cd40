//! The status of one cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::conditions::{self, ORDER, Verdict, reason};
use super::input::{Input, Wanted};
use crate::api::cluster_status::{CertificateStatus, EtcdStatus, HeldStatus};
use crate::api::{ClusterStatus, condition, labels, names};
use crate::object::ObjectId;
use crate::pki::KeyPurpose;
use crate::plan::{ActionResult, HeldReason};
use crate::render::Stalled;

/// Returns the status to be written, or `None` when the one that stands says the same.
pub fn update(input: &Input<'_>) -> Option<ClusterStatus> {
    let new = of(input);
    (input.previous != Some(&new)).then_some(new)
}

/// Returns the status of a cluster after a pass. Never fails.
///
/// *Shape*: of a generation that is not rendered only `Ready` and `Stalled` speak; the other conditions go on saying
/// what is true of the generation that runs. While paused, nothing but the words of `Ready` changes.
pub fn of(input: &Input<'_>) -> ClusterStatus {
    if input.spec.paused == Some(true) {
        return paused(input);
    }
    match &input.wanted {
        Ok(wanted) => of_wanted(input, wanted),
        Err(stalled) => of_stalled(input, stalled),
    }
}

fn paused(input: &Input<'_>) -> ClusterStatus {
    let mut status = input.previous.cloned().unwrap_or_default();
    let observed = status.observed_generation.unwrap_or_default();
    let verdict = Verdict::unknown(
        reason::PAUSED,
        "Nothing is reconciled until spec.paused is false or removed.",
    );
    status.conditions.retain(|condition| {
        ![condition::RECONCILING, condition::STALLED].contains(&condition.type_.as_str())
    });
    put(&mut status.conditions, verdict, condition::READY, observed, input);
    status
}

fn of_stalled(input: &Input<'_>, stalled: &Stalled) -> ClusterStatus {
    let mut status = numbers(input, input.previous.cloned().unwrap_or_default());
    let generation = input.facts.generation;
    status.observed_generation = Some(generation);
    status
        .conditions
        .retain(|condition| condition.type_ != condition::RECONCILING);
    let message = &stalled.message;
    let not_ready = Verdict::no(&stalled.reason, message);
    put(
        &mut status.conditions,
        not_ready,
        condition::READY,
        generation,
        input,
    );
    let stalled = Verdict::yes(&stalled.reason, message);
    put(
        &mut status.conditions,
        stalled,
        condition::STALLED,
        generation,
        input,
    );
    status
}

fn of_wanted(input: &Input<'_>, wanted: &Wanted) -> ClusterStatus {
    let mut status = numbers(input, ClusterStatus::default());
    let generation = input.facts.generation;
    status.observed_generation = Some(generation);
    status.ready = Some(format!(
        "{}/{}",
        status.ready_replicas.unwrap_or_default(),
        wanted.replicas
    ));
    status.storage = Some(wanted.storage.as_str().to_owned());
    status.service = Some(wanted.service.as_str().to_owned());
    status.endpoint = wanted.endpoint.as_ref().ok().cloned();
    status.pins = Some(wanted.pins.clone());
    status.held = held(input, wanted);
    status.held_count = Some(i32::try_from(status.held.len()).unwrap_or(i32::MAX));

    let available = conditions::available(&input.availability, wanted);
    let up_to_date = conditions::up_to_date(input, wanted);
    let exposed = conditions::exposed(wanted);
    let certificates = conditions::certificates_valid(input, wanted);
    let kubeconfig = conditions::kubeconfig_ready(input, wanted);
    status.version = if up_to_date.is_true() {
        Some(wanted.version.clone())
    } else {
        input.previous.and_then(|previous| previous.version.clone())
    };

    let stalled =
        conditions::needs_a_person(input, wanted).map(|(reason, message)| Verdict::yes(&reason, message));
    let ready = match &stalled {
        Some(stalled) => Verdict::no(&stalled.reason, stalled.message.clone()),
        None => ready(
            input,
            wanted,
            [&exposed, &certificates, &kubeconfig, &up_to_date],
            &available,
        ),
    };
    let reconciling =
        (!ready.is_true() && stalled.is_none()).then(|| Verdict::yes(&ready.reason, ready.message.clone()));
    for (type_, verdict) in [
        (condition::READY, Some(ready)),
        (condition::AVAILABLE, Some(available)),
        (condition::UP_TO_DATE, Some(up_to_date)),
        (condition::EXPOSED, Some(exposed)),
        (condition::CERTIFICATES_VALID, Some(certificates)),
        (condition::KUBECONFIG_READY, Some(kubeconfig)),
        (condition::RECONCILING, reconciling),
        (condition::STALLED, stalled),
    ] {
        if let Some(verdict) = verdict {
            put(&mut status.conditions, verdict, type_, generation, input);
        }
    }
    status
}

/// The first thing that does not hold gives `Ready` its words.
fn ready(input: &Input<'_>, wanted: &Wanted, needed: [&Verdict; 4], available: &Verdict) -> Verdict {
    if let Some(failed) = conditions::retrying(input) {
        return failed;
    }
    if let Some(unmet) = needed.into_iter().find(|verdict| !verdict.is_true()) {
        return Verdict::no(&unmet.reason, unmet.message.clone());
    }
    if wanted.replicas == 0 {
        return Verdict::yes(
            reason::HIBERNATED,
            "No pods run; raise spec.replicas to wake the cluster.",
        );
    }
    let pods = conditions::pods_ready(input, wanted);
    if pods.is_true() && !available.is_true() {
        return Verdict::no(&available.reason, available.message.clone());
    }
    pods
}

fn put(conditions: &mut Vec<Condition>, verdict: Verdict, type_: &str, generation: i64, input: &Input<'_>) {
    let previous = input
        .previous
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.push(verdict.into_condition(type_, generation, previous, input.now));
    let place = |condition: &Condition| ORDER.iter().position(|known| *known == condition.type_);
    conditions.sort_by_key(place);
}

/// Fills in what is counted, whatever is wanted.
fn numbers(input: &Input<'_>, mut status: ClusterStatus) -> ClusterStatus {
    let facts = input.facts;
    let name = &facts.name;
    let control_plane = facts.stateful_sets.get(&names::control_plane(name));
    let count = |of: fn(&crate::render::StatefulSetFacts) -> i32| Some(control_plane.map_or(0, of));
    status.replicas = count(|facts| facts.replicas);
    status.ready_replicas = count(|facts| facts.ready_replicas);
    status.updated_replicas = count(|facts| facts.updated_replicas);
    status.selector = Some(format!(
        "{}={},{}={name},{}={}",
        labels::APP,
        labels::APP_VALUE,
        labels::CLUSTER,
        labels::COMPONENT,
        labels::COMPONENT_CLUSTER
    ));
    status.etcd = facts
        .stateful_sets
        .get(&names::etcd(name))
        .map(|etcd| EtcdStatus {
            members: etcd.replicas,
            ready_members: etcd.ready_replicas,
        });
    status.certificates = facts
        .keys
        .iter()
        .filter_map(|(purpose, key)| {
            Some(CertificateStatus {
                name: purpose.suffix().to_owned(),
                not_after: key.not_after.clone()?,
            })
        })
        .collect();
    status.certificates_expire = status
        .certificates
        .iter()
        .filter_map(|certificate| certificate.not_after.parse::<Timestamp>().ok())
        .min()
        .map(|end| end.to_string().chars().take("2030-01-31".len()).collect());
    status.kubeconfig_secret = facts
        .keys
        .contains_key(&KeyPurpose::Kubeconfig)
        .then(|| names::kubeconfig(name));
    if let Some(fingerprint) = facts
        .keys
        .get(&KeyPurpose::Ca)
        .and_then(|key| key.fingerprint.clone())
    {
        status.ca_fingerprint = Some(fingerprint);
    }
    status.expires_at = expires_at(input);
    status
}

fn expires_at(input: &Input<'_>) -> Option<String> {
    let life = input.spec.ttl.as_ref()?.to_duration()?;
    let created: Timestamp = input.facts.created_at.as_ref()?.parse().ok()?;
    let end = created.checked_add(SignedDuration::try_from(life).ok()?).ok()?;
    Some(end.to_string())
}

/// What the renderer holds, and what is held among the children but for what is only a matter of order.
fn held(input: &Input<'_>, wanted: &Wanted) -> Vec<HeldStatus> {
    let what = |id: &ObjectId| format!("{}/{}", id.kind, id.name);
    let mut all = wanted.held.clone();
    all.extend(input.plan.held.iter().filter_map(|held| {
        let reason = match held.reason {
            HeldReason::Waiting => return None,
            HeldReason::Foreign => reason::FOREIGN_OBJECT,
            other => other.as_str(),
        };
        Some(HeldStatus {
            what: what(&held.id),
            reason: reason.to_owned(),
            message: format!("{}.", held.waiting_on),
        })
    }));
    all.extend(
        input
            .outcome
            .results
            .iter()
            .filter_map(|(id, result)| match result {
                ActionResult::Foreign { owner } => Some(HeldStatus {
                    what: what(id),
                    reason: reason::FOREIGN_OBJECT.to_owned(),
                    message: format!(
                        "it exists and is not ours ({owner}); delete or rename it, or rename the cluster."
                    ),
                }),
                ActionResult::Done { .. }
                | ActionResult::Skipped { .. }
                | ActionResult::Failed(_)
                | ActionResult::Unknown(_) => None,
            }),
    );
    all.sort();
    all.dedup();
    all
}
