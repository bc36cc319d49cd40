//! The conditions of one cluster, one function each.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::input::{Availability, Input, Wanted};
use crate::api::{condition, names};
use crate::object::{ObjectId, kinds};
use crate::pki::KeyPurpose;
use crate::plan::{ActionResult, FailureKind, HeldReason};
use crate::render::{MATCHES_NOTHING, StatefulSetFacts};

/// The words that conditions give as reasons. Dashboards and scripts compare them, so they are listed once.
pub mod reason {
    pub const READY: &str = "Ready";
    pub const HIBERNATED: &str = crate::api::condition::HIBERNATED;
    pub const PAUSED: &str = "Paused";
    /// Objects of the cluster are not there yet.
    pub const CREATING: &str = "Creating";
    /// Pods do not run the wanted template yet.
    pub const ROLLING: &str = "Rolling";
    pub const PODS_NOT_READY: &str = "PodsNotReady";
    pub const ADDRESS_PENDING: &str = "AddressPending";
    pub const ADDRESS_CHANGED: &str = "AddressChanged";
    /// A kind that the hosting cluster does not have.
    pub const NOT_INSTALLED: &str = "NotInstalled";
    pub const ADDRESS_KNOWN: &str = "AddressKnown";
    pub const ANSWERS: &str = "Answers";
    pub const NO_ANSWER: &str = "NoAnswer";
    pub const NOT_ASKED: &str = "NotAsked";
    pub const UP_TO_DATE: &str = "UpToDate";
    pub const VALID: &str = "Valid";
    pub const MISSING: &str = "Missing";
    pub const EXPIRES_SOON: &str = "ExpiresSoon";
    pub const EXPIRED: &str = "Expired";
    pub const CURRENT: &str = "Current";
    /// An object that exists is not ours.
    pub const FOREIGN_OBJECT: &str = "ForeignObject";
    /// A key that is there was made for another cluster of this name.
    pub const LEFTOVER_KEY: &str = "LeftoverKey";
    /// The Secret with the data source of kine is not there.
    pub const DATA_SOURCE_MISSING: &str = "DataSourceMissing";
    /// It is there, and its value cannot be used.
    pub const DATA_SOURCE_UNUSABLE: &str = "DataSourceUnusable";
    /// What is asked for cannot be done to what exists.
    pub const NOT_POSSIBLE: &str = "NotPossible";
    /// A version that may not follow the one that runs.
    pub const VERSION_SKEW: &str = "VersionSkew";
    /// The API server refuses what would be written.
    pub const REFUSED: &str = "Refused";
    pub const FORBIDDEN: &str = "Forbidden";
    pub const NOT_READABLE: &str = "NotReadable";
    /// Something failed that may succeed when it is tried again.
    pub const RETRYING: &str = "Retrying";
}

/// What one condition says, without the fields that follow from the generation and the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub status: &'static str,
    pub reason: String,
    pub message: String,
}

impl Verdict {
    fn new(status: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self::new("True", reason, message)
    }

    pub(super) fn no(reason: &str, message: impl Into<String>) -> Self {
        Self::new("False", reason, message)
    }

    pub(super) fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self::new("Unknown", reason, message)
    }

    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Makes the condition; the time of transition stays while the status does.
    pub(super) fn into_condition(
        self,
        type_: &str,
        generation: i64,
        previous: &[Condition],
        now: Timestamp,
    ) -> Condition {
        let unchanged_since = previous
            .iter()
            .find(|condition| condition.type_ == type_ && condition.status == self.status)
            .map(|condition| condition.last_transition_time.clone());
        // What is stored has whole seconds, and it must equal what is computed from it.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Condition {
            last_transition_time: unchanged_since.unwrap_or(Time(now)),
            message: self.message,
            observed_generation: Some(generation),
            reason: self.reason,
            status: self.status.to_owned(),
            type_: type_.to_owned(),
        }
    }
}

pub(super) fn available(availability: &Availability, wanted: &Wanted) -> Verdict {
    if wanted.replicas == 0 {
        return Verdict::no(reason::HIBERNATED, "No pods run while replicas is 0.");
    }
    match availability {
        Availability::Answers => Verdict::yes(reason::ANSWERS, "The Kubernetes API of the cluster answers."),
        Availability::Silent(why) => Verdict::no(
            reason::NO_ANSWER,
            format!("The Kubernetes API of the cluster does not answer: {why}."),
        ),
        Availability::NotAsked(why) => Verdict::unknown(
            reason::NOT_ASKED,
            format!("The Kubernetes API of the cluster was not asked: {why}."),
        ),
    }
}

/// True when every pod runs the wanted template, on the StatefulSets' own evidence.
pub(super) fn up_to_date(input: &Input<'_>, wanted: &Wanted) -> Verdict {
    let is_changing = |name: &str| {
        let step = wanted.etcd_step.as_ref()?;
        (name == names::etcd(&input.facts.name)).then(|| format!("etcd: {step}."))
    };
    let mut sets = vec![(names::control_plane(&input.facts.name), wanted.replicas)];
    if wanted.etcd_members > 0 {
        let members = if wanted.replicas == 0 {
            0
        } else {
            wanted.etcd_members
        };
        sets.push((names::etcd(&input.facts.name), members));
    }
    for (name, replicas) in sets {
        let Some(facts) = input.facts.stateful_sets.get(&name) else {
            return Verdict::no(
                reason::CREATING,
                format!("StatefulSet `{name}` does not exist yet."),
            );
        };
        let id = ObjectId::new(kinds::STATEFUL_SET, &input.facts.namespace, &name);
        if is_written_without_success(input, &id) {
            return Verdict::no(
                reason::RETRYING,
                format!("StatefulSet `{name}` could not be brought up to date; it is tried again."),
            );
        }
        if let Some(missing) = missing_evidence(facts, replicas) {
            let message = is_changing(&name).unwrap_or_else(|| format!("StatefulSet `{name}`: {missing}."));
            return Verdict::no(reason::ROLLING, message);
        }
    }
    if let Some(step) = &wanted.etcd_step {
        return Verdict::no(reason::ROLLING, format!("etcd: {step}."));
    }
    Verdict::yes(reason::UP_TO_DATE, format!("All pods run {}.", wanted.version))
}

fn is_written_without_success(input: &Input<'_>, id: &ObjectId) -> bool {
    let is_planned = input.plan.actions().any(|action| action.id == *id);
    let is_done = input
        .outcome
        .results
        .iter()
        .any(|(done, result)| done == id && matches!(result, ActionResult::Done { .. }));
    is_planned && !is_done
}

fn missing_evidence(facts: &StatefulSetFacts, replicas: i32) -> Option<String> {
    if facts.observed_generation < facts.generation {
        return Some("its last change has not been looked at yet".to_owned());
    }
    if facts.spec_replicas != replicas {
        return Some(format!(
            "it has {} replicas instead of {replicas}",
            facts.spec_replicas
        ));
    }
    if facts.replicas != replicas {
        return Some(format!("{} of {replicas} pods exist", facts.replicas));
    }
    // Counted, not told from the revisions: with OnDelete the current one never moves on its own, and after a template
    // that was taken back while it rolled both are the same and pods of the other one are still there.
    (facts.updated_replicas < replicas).then(|| {
        format!(
            "{} of {replicas} pods run the new template",
            facts.updated_replicas
        )
    })
}

pub(super) fn pods_ready(input: &Input<'_>, wanted: &Wanted) -> Verdict {
    let ready = |name: &str| {
        input
            .facts
            .stateful_sets
            .get(name)
            .map_or(0, |facts| facts.ready_replicas)
    };
    let control_plane = ready(&names::control_plane(&input.facts.name));
    let etcd = ready(&names::etcd(&input.facts.name));
    if control_plane < wanted.replicas {
        return Verdict::no(
            reason::PODS_NOT_READY,
            format!(
                "{control_plane} of {} control-plane pods are ready.",
                wanted.replicas
            ),
        );
    }
    if wanted.replicas > 0 && etcd < wanted.etcd_members {
        return Verdict::no(
            reason::PODS_NOT_READY,
            format!("{etcd} of {} etcd members are ready.", wanted.etcd_members),
        );
    }
    Verdict::yes(reason::READY, "The control plane is ready.")
}

pub(super) fn exposed(wanted: &Wanted) -> Verdict {
    if let Some(held) = wanted
        .held
        .iter()
        .find(|held| held.reason == reason::ADDRESS_CHANGED)
    {
        return Verdict::no(reason::ADDRESS_CHANGED, held.message.clone());
    }
    if let Some(held) = wanted
        .held
        .iter()
        .find(|held| held.reason == reason::NOT_INSTALLED)
    {
        return Verdict::no(reason::NOT_INSTALLED, format!("{}: {}.", held.what, held.message));
    }
    match &wanted.endpoint {
        Ok(endpoint) => Verdict::yes(
            reason::ADDRESS_KNOWN,
            format!("Clients and workers use {}.", endpoint.url),
        ),
        Err(waiting_on) => Verdict::no(reason::ADDRESS_PENDING, format!("Waiting for {waiting_on}.")),
    }
}

pub(super) fn certificates_valid(input: &Input<'_>, wanted: &Wanted) -> Verdict {
    let mut missing = Vec::new();
    let mut expired = Vec::new();
    let mut soon = Vec::new();
    for purpose in wanted
        .keys
        .iter()
        .filter(|purpose| **purpose != KeyPurpose::Kubeconfig)
    {
        let Some(key) = input.facts.keys.get(purpose) else {
            missing.push(purpose.suffix());
            continue;
        };
        let end: Option<Timestamp> = key.not_after.as_deref().and_then(|text| text.parse().ok());
        let Some(end) = end else { continue };
        let left = end.duration_since(input.now);
        if left.is_negative() {
            expired.push(purpose.suffix());
        } else if !purpose.is_root() && left <= wanted.renew_before {
            soon.push(purpose.suffix());
        }
    }
    let (reason, names, what) = if !expired.is_empty() {
        (reason::EXPIRED, expired, "expired")
    } else if !missing.is_empty() {
        (reason::MISSING, missing, "not there yet")
    } else if !soon.is_empty() {
        (reason::EXPIRES_SOON, soon, "due to be renewed")
    } else {
        return Verdict::yes(reason::VALID, "All certificates and keys are present and valid.");
    };
    Verdict::no(
        reason,
        format!("Certificates and keys {what}: {}.", names.join(", ")),
    )
}

pub(super) fn kubeconfig_ready(input: &Input<'_>, wanted: &Wanted) -> Verdict {
    let name = names::kubeconfig(&input.facts.name);
    let id = ObjectId::new(kinds::SECRET, &input.facts.namespace, &name);
    if let Err(waiting_on) = &wanted.endpoint {
        return Verdict::no(
            reason::ADDRESS_PENDING,
            format!("Secret `{name}` waits for {waiting_on}."),
        );
    }
    let is_held = input.plan.held.iter().any(|held| held.id == id);
    let Some(key) = input.facts.keys.get(&KeyPurpose::Kubeconfig) else {
        return Verdict::no(reason::MISSING, format!("Secret `{name}` does not exist yet."));
    };
    if is_held || is_written_without_success(input, &id) {
        return Verdict::no(reason::RETRYING, format!("Secret `{name}` is not up to date."));
    }
    let end: Option<Timestamp> = key.not_after.as_deref().and_then(|text| text.parse().ok());
    if end.is_some_and(|end| end <= input.now) {
        return Verdict::no(
            reason::EXPIRED,
            format!("The certificate in Secret `{name}` has expired."),
        );
    }
    Verdict::yes(
        reason::CURRENT,
        format!("Secret `{name}` has a current kubeconfig."),
    )
}

/// Returns what only a person can resolve, the most fundamental first: `(reason, message)`.
pub(super) fn needs_a_person(input: &Input<'_>, wanted: &Wanted) -> Option<(String, String)> {
    // The others wait for something, or have no effect.
    const FOR_A_PERSON: [&str; 9] = [
        reason::FOREIGN_OBJECT,
        reason::LEFTOVER_KEY,
        reason::DATA_SOURCE_MISSING,
        reason::DATA_SOURCE_UNUSABLE,
        reason::NOT_POSSIBLE,
        reason::VERSION_SKEW,
        reason::ADDRESS_CHANGED,
        MATCHES_NOTHING,
        reason::NOT_INSTALLED,
    ];
    let by_the_renderer = || {
        FOR_A_PERSON.iter().find_map(|reason| {
            let held = wanted.held.iter().find(|held| held.reason == *reason)?;
            Some((held.reason.clone(), format!("{}: {}", held.what, held.message)))
        })
    };
    let of_held = |wanted: HeldReason, reason: &str| {
        let held = input.plan.held.iter().find(|held| held.reason == wanted)?;
        Some((reason.to_owned(), format!("{}: {}.", held.id, held.waiting_on)))
    };
    let foreign = of_held(HeldReason::Foreign, reason::FOREIGN_OBJECT);
    let met = || {
        input.outcome.results.iter().find_map(|(id, result)| match result {
            ActionResult::Foreign { owner } => Some((
                reason::FOREIGN_OBJECT.to_owned(),
                format!("{id}: it exists and is not ours ({owner}); delete or rename it, or rename the cluster."),
            )),
            ActionResult::Done { .. }
            | ActionResult::Skipped { .. }
            | ActionResult::Failed(_)
            | ActionResult::Unknown(_) => None,
        })
    };
    let refused = || {
        input.outcome.failures().find_map(|(id, failure)| {
            let (reason, advice) = match &failure.kind {
                FailureKind::Forbidden => (
                    reason::FORBIDDEN,
                    "allow it to the ServiceAccount of the operator, or raise the quota",
                ),
                FailureKind::Invalid => (reason::REFUSED, "change the field of the spec that leads to it"),
                FailureKind::NotFound
                | FailureKind::Conflict { .. }
                | FailureKind::AlreadyExists
                | FailureKind::Gone
                | FailureKind::Unavailable
                | FailureKind::Timeout
                | FailureKind::Unexpected => return None,
            };
            Some((
                reason.to_owned(),
                format!("{id} is refused by the API server; {advice}: {}", failure.message),
            ))
        })
    };
    foreign
        .or_else(met)
        .or_else(by_the_renderer)
        .or_else(|| of_held(HeldReason::Refused, reason::REFUSED))
        .or_else(refused)
}

/// Returns what failed and is tried again.
pub(super) fn retrying(input: &Input<'_>) -> Option<Verdict> {
    if let Some(held) = input
        .plan
        .held
        .iter()
        .find(|held| held.reason == HeldReason::NotReadable)
    {
        return Some(Verdict::no(
            reason::NOT_READABLE,
            format!("{}: {}.", held.id, held.waiting_on),
        ));
    }
    let (id, failure) = input.outcome.failures().next()?;
    Some(Verdict::no(
        reason::RETRYING,
        format!("{id} was not written and is tried again: {}", failure.message),
    ))
}

/// The types in the order in which they are written.
pub(super) const ORDER: [&str; 8] = [
    condition::READY,
    condition::AVAILABLE,
    condition::UP_TO_DATE,
    condition::EXPOSED,
    condition::CERTIFICATES_VALID,
    condition::KUBECONFIG_READY,
    condition::RECONCILING,
    condition::STALLED,
];
