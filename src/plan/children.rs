//! The children of one cluster: what render answers against what is there.

use serde_json::{Value, json};

use super::aliases;
use super::claims;
use super::impact::{self, Consequence};
use super::metadata;
use super::ownership::{self, Ownership};
use super::steps::{Step, Steps};
use super::{
    Action, FieldChange, Held, HeldReason, Impact, Operation, Owner, Plan, Propagation, fleet, guards, shown,
    sort_held,
};
use crate::api::labels;
use crate::object::{Difference, Object, ObjectId, Observed, differences, kinds, pointer};
use crate::pki::{Issue, KeyPurpose};
use crate::render::{Answer, Answers, Desired, Fill};

/// Plans what the operator does for one cluster.
///
/// *Shape*: waves in the order root keys and pins, certificates, services and configuration, pods, ownership,
/// deletions; empty ones are left out. Nothing differs: no wave. Never fails, and never takes what is not ours.
pub fn children(answers: &Answers, observed: &Observed, owner: &Owner) -> Plan {
    let mut planner = Planner {
        observed,
        owner,
        steps: Steps::default(),
        held: Vec::new(),
        unchanged: Vec::new(),
    };
    for (id, answer) in answers {
        match answer {
            Answer::Want(desired) => planner.want(id, desired),
            Answer::Drop { why } => planner.drop(id, why),
            Answer::Keep { waiting_on } => planner.hold(id, HeldReason::Waiting, waiting_on.clone()),
        }
    }
    planner.finish()
}

struct Planner<'a> {
    observed: &'a Observed,
    owner: &'a Owner,
    steps: Steps,
    held: Vec<Held>,
    unchanged: Vec<ObjectId>,
}

impl Planner<'_> {
    fn want(&mut self, id: &ObjectId, desired: &Desired) {
        let Some(live) = self.observed.objects.get(id) else {
            if self.observed.is_complete_for(id.kind, &id.namespace) {
                self.make(id, desired);
            } else {
                self.hold(id, HeldReason::NotReadable, self.gap(id));
            }
            return;
        };
        let ownership = ownership::of_child(live, self.owner);
        if let Ownership::Foreign(whose) = ownership {
            self.hold(
                id,
                HeldReason::Foreign,
                format!("it exists and is not ours ({whose}); delete or rename it, or rename the cluster"),
            );
            return;
        }
        let Some(uid) = live.uid().map(str::to_owned) else {
            self.hold(id, HeldReason::Waiting, "it has no uid yet".to_owned());
            return;
        };
        if live.text("/metadata/deletionTimestamp").is_some() {
            self.hold(
                id,
                HeldReason::Waiting,
                "it is being deleted and is made again when it is gone".to_owned(),
            );
            return;
        }
        // An apply would add a second controlling owner, which no server takes: the one there is is renamed first.
        let is_owned_by_another = ownership == Ownership::TakenBack && live.controller_uid().is_some();
        if is_owned_by_another && !matches!(desired, Desired::Metadata { .. }) {
            self.patch(id, live, uid, &Desired::AsItIs);
            return;
        }
        let body = match desired {
            Desired::Object(body) => Some(body),
            Desired::Filled { secret, fill } => {
                self.refill(id, live, uid, secret, fill);
                return;
            }
            Desired::Key {
                purpose,
                secret,
                issue,
            } if guards::never_reissued(*purpose).is_none() => {
                self.reissue(id, uid, *purpose, secret, issue);
                return;
            }
            Desired::Grown { size } => {
                self.grow(id, live, uid, size);
                return;
            }
            Desired::Key { .. } | Desired::AsItIs | Desired::Metadata { .. } => None,
        };
        match body {
            Some(body) => self.apply(id, live, uid, body),
            None => self.patch(id, live, uid, desired),
        }
    }

    fn make(&mut self, id: &ObjectId, desired: &Desired) {
        let (step, operation, needs) = match desired {
            Desired::Object(body) => {
                let operation = Operation::Create { body: body.clone() };
                (Step::of_object(id), operation, Vec::new())
            }
            Desired::Key {
                purpose,
                secret,
                issue,
            } => {
                let step = if purpose.is_root() {
                    Step::RootKeys
                } else {
                    Step::Certificates
                };
                let operation = Operation::Issue {
                    purpose: *purpose,
                    secret: secret.clone(),
                    issue: issue.clone(),
                };
                (step, operation, issuer_of(id, issue).into_iter().collect())
            }
            Desired::Filled { secret, fill } => {
                let operation = Operation::Fill {
                    secret: secret.clone(),
                    fill: fill.clone(),
                    uid: None,
                };
                (Step::Surroundings, operation, Vec::new())
            }
            Desired::Metadata { .. } | Desired::Grown { .. } | Desired::AsItIs => {
                self.hold(
                    id,
                    HeldReason::Waiting,
                    "it went away while this was planned; the next pass looks again".to_owned(),
                );
                return;
            }
        };
        self.add(
            step,
            id,
            operation,
            "it does not exist",
            Consequence::none(),
            Vec::new(),
            needs,
        );
    }

    fn apply(&mut self, id: &ObjectId, live: &Object, uid: String, body: &Object) {
        let differences = differences(body, live, labels::OPERATOR_MANAGER);
        if differences.is_empty() {
            self.unchanged.push(id.clone());
            return;
        }
        let immutable = impact::immutable(id, &differences);
        if !immutable.is_empty() && claims::are_all_that_differs(&immutable) {
            self.recreate(id, live, uid, body, differences);
            return;
        }
        if !immutable.is_empty() {
            let fields: Vec<String> = immutable
                .iter()
                .map(|field| pointer::to_field_path(field))
                .collect();
            self.hold(
                id,
                HeldReason::Refused,
                format!("{} cannot change once it exists", fields.join(", ")),
            );
            return;
        }
        let consequence = impact::of_apply(id, live, &differences, &self.observed.objects, self.owner);
        let reason = differs_in(&differences);
        let changes = field_changes(id, differences);
        let body = aliases::emptied(body, live);
        self.add(
            Step::of_object(id),
            id,
            Operation::Apply { body, uid },
            &reason,
            consequence,
            changes,
            Vec::new(),
        );
    }

    /// Only when the pods that run keep their claims: whoever takes back a pod with other claims cannot go on.
    fn recreate(
        &mut self,
        id: &ObjectId,
        live: &Object,
        uid: String,
        body: &Object,
        differences: Vec<Difference>,
    ) {
        if let Some(refusal) = claims::refusal(live, body) {
            self.hold(id, HeldReason::Refused, refusal);
            return;
        }
        let Some(resource_version) = live.resource_version().map(str::to_owned) else {
            self.hold(id, HeldReason::Waiting, "its version is not known".to_owned());
            return;
        };
        let mut consequence = impact::of_apply(id, live, &differences, &self.observed.objects, self.owner);
        consequence.effects.push(format!(
            "StatefulSet {} made again around its pods, which go on",
            id.name
        ));
        let reason = differs_in(&differences);
        let changes = field_changes(id, differences);
        let operation = Operation::Recreate {
            body: body.clone(),
            uid,
            resource_version,
        };
        self.add(
            Step::Pods,
            id,
            operation,
            &reason,
            consequence,
            changes,
            Vec::new(),
        );
    }

    fn grow(&mut self, id: &ObjectId, live: &Object, uid: String, size: &str) {
        let old = live.text("/spec/resources/requests/storage").unwrap_or("nothing");
        let consequence = Consequence {
            impact: Impact::Safe,
            effects: vec![format!("volume {} grows from {old} to {size}", id.name)],
        };
        let size = size.to_owned();
        let operation = Operation::Grow { uid, size };
        self.add(
            Step::Surroundings,
            id,
            operation,
            "it is to be larger",
            consequence,
            Vec::new(),
            Vec::new(),
        );
    }

    /// The data is not observed: version of the source and digest of the rest are among the annotations.
    fn refill(&mut self, id: &ObjectId, live: &Object, uid: String, secret: &Object, fill: &Fill) {
        // Of a Secret nothing but the metadata is observed, its type as little as its data.
        let told = Object(json!({
            "apiVersion": secret.0["apiVersion"], "kind": secret.0["kind"], "metadata": secret.0["metadata"],
        }));
        let differences = differences(&told, live, labels::OPERATOR_MANAGER);
        if differences.is_empty() {
            self.unchanged.push(id.clone());
            return;
        }
        let operation = Operation::Fill {
            secret: secret.clone(),
            fill: fill.clone(),
            uid: Some(uid),
        };
        let reason = differs_in(&differences);
        let changes = field_changes(id, differences);
        self.add(
            Step::Surroundings,
            id,
            operation,
            &reason,
            Consequence::none(),
            changes,
            Vec::new(),
        );
    }

    fn reissue(&mut self, id: &ObjectId, uid: String, purpose: KeyPurpose, secret: &Object, issue: &Issue) {
        let needs = issuer_of(id, issue).into_iter().collect();
        let operation = Operation::Reissue {
            purpose,
            uid,
            secret: secret.clone(),
            issue: issue.clone(),
        };
        let consequence = Consequence {
            impact: Impact::Safe,
            effects: vec![match purpose {
                KeyPurpose::Kubeconfig => {
                    "kubeconfig made anew; copies of the old one work until they expire".to_owned()
                }
                KeyPurpose::Ca
                | KeyPurpose::Proxy
                | KeyPurpose::Sa
                | KeyPurpose::Etcd
                | KeyPurpose::ApiserverEtcdClient
                | KeyPurpose::EtcdServer
                | KeyPurpose::EtcdPeer
                | KeyPurpose::NatsToken
                | KeyPurpose::IngressHaproxy
                | KeyPurpose::Monitoring => format!("certificate {} made anew", purpose.suffix()),
            }],
        };
        let reason = "it is to be renewed";
        self.add(
            Step::Certificates,
            id,
            operation,
            reason,
            consequence,
            Vec::new(),
            needs,
        );
    }

    fn patch(&mut self, id: &ObjectId, live: &Object, uid: String, desired: &Desired) {
        let patch = match desired {
            Desired::Metadata { patch } => Some(patch.clone()),
            Desired::Object(_)
            | Desired::Key { .. }
            | Desired::Filled { .. }
            | Desired::Grown { .. }
            | Desired::AsItIs => ownership::taken_back(live, self.owner),
        };
        let changes = patch
            .as_ref()
            .map(|patch| metadata::changes(patch, live))
            .unwrap_or_default();
        let Some(metadata) = patch.filter(|_| !changes.is_empty()) else {
            self.unchanged.push(id.clone());
            return;
        };
        let names_the_owner = metadata["annotations"].get(labels::PINS).is_some();
        let step = if names_the_owner && self.owner.pinned_uid.is_some() {
            Step::Ownership
        } else {
            Step::RootKeys
        };
        let fields: Vec<String> = changes
            .iter()
            .map(|change| pointer::to_field_path(&change.pointer))
            .collect();
        let operation = Operation::PatchMetadata {
            uid,
            resource_version: live.resource_version().map(str::to_owned),
            metadata,
        };
        let reason = format!("it differs in {}", fields.join(", "));
        self.add(
            step,
            id,
            operation,
            &reason,
            Consequence::none(),
            changes,
            Vec::new(),
        );
    }

    fn drop(&mut self, id: &ObjectId, why: &str) {
        let Some(live) = self.observed.objects.get(id) else {
            return;
        };
        // What is not ours is not wanted either, and none of our business.
        if ownership::of_child(live, self.owner) != Ownership::Ours
            || live.text("/metadata/deletionTimestamp").is_some()
        {
            return;
        }
        if let Some(refusal) = guards::never_deleted(id) {
            self.hold(id, HeldReason::Refused, refusal);
            return;
        }
        let (Some(uid), Some(resource_version)) = (live.uid(), live.resource_version()) else {
            self.hold(id, HeldReason::Waiting, "its uid is not known".to_owned());
            return;
        };
        let operation = Operation::Delete {
            uid: uid.to_owned(),
            resource_version: resource_version.to_owned(),
            propagation: Propagation::Background,
        };
        let consequence = impact::of_delete(id, live);
        self.add(
            Step::Deletions,
            id,
            operation,
            why,
            consequence,
            Vec::new(),
            Vec::new(),
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one action, which is built in this one place"
    )]
    fn add(
        &mut self,
        step: Step,
        id: &ObjectId,
        operation: Operation,
        reason: &str,
        consequence: Consequence,
        changes: Vec<FieldChange>,
        needs: Vec<ObjectId>,
    ) {
        let action = Action {
            id: id.clone(),
            operation,
            impact: consequence.impact,
            reason: reason.to_owned(),
            changes,
            effects: consequence.effects,
            needs,
        };
        self.steps.add(step, action);
    }

    fn hold(&mut self, id: &ObjectId, reason: HeldReason, waiting_on: String) {
        self.held.push(Held {
            id: id.clone(),
            reason,
            waiting_on,
        });
    }

    fn gap(&self, id: &ObjectId) -> String {
        let gap = fleet::gap(self.observed, id);
        let why = gap.map_or("unknown", |gap| gap.reason.as_str());
        format!("{} objects could not be read ({why})", id.kind)
    }

    fn finish(mut self) -> Plan {
        self.held.extend(self.steps.hold_what_needs(&self.held));
        sort_held(&mut self.held);
        Plan {
            revision: None,
            waves: self.steps.into_waves(),
            held: self.held,
            unchanged: self.unchanged,
        }
    }
}

fn issuer_of(id: &ObjectId, issue: &Issue) -> Option<ObjectId> {
    let issuer = issue.issuer()?;
    Some(ObjectId::new(kinds::SECRET, &id.namespace, &issuer.secret))
}

/// Returns `differs in spec.replicas, spec.template.spec.containers[0].image and 3 more`.
fn differs_in(differences: &[Difference]) -> String {
    const SHOWN: usize = 3;
    let fields: Vec<String> = differences
        .iter()
        .take(SHOWN)
        .map(|difference| pointer::to_field_path(&difference.pointer))
        .collect();
    let more = match differences.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it differs in {}{more}", fields.join(", "))
}

/// Configuration may hold what users keep secret, so its values do not enter a plan that is shown.
fn field_changes(id: &ObjectId, differences: Vec<Difference>) -> Vec<FieldChange> {
    let may_hold_secrets = id.kind == kinds::CONFIG_MAP || id.kind == kinds::SECRET;
    let change = |Difference { pointer, old, new }| {
        let is_shown = !may_hold_secrets || pointer.starts_with("/metadata");
        let shown = |value: Value| if is_shown { value } else { json!(shown::MASK) };
        FieldChange {
            old: old.map(shown),
            new: new.map(shown),
            source: None,
            pointer,
        }
    };
    differences.into_iter().map(change).collect()
}
