//! One pass over one cluster: facts, answers, plan, outcome, status.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;

use super::metrics::Ended;
use super::release::{self, is_going};
use super::{CHILDREN, Operator};
use crate::api::{ClusterStatus, K0smotronCluster};
use crate::apply;
use crate::client::ClientError;
use crate::object::{Object, ObjectId, Observed};
use crate::plan::{self, ApprovedPlan, Outcome, Owner, Plan, Wave};
use crate::queue::Next;
use crate::render::{self, Facts, ResolvedCluster, Stalled};

/// Facts that an apply brings about (a port, a fingerprint) let the next round do more. Two are usual.
const ROUNDS: usize = 5;

/// What a pass ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub next: Next,
    pub ended: Ended,
}

impl Passed {
    pub fn unchanged() -> Self {
        Self {
            next: Next::Rest,
            ended: Ended::Unchanged,
        }
    }
}

/// Why a pass could not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error("cannot set the finalizer")]
    Finalizer(#[source] ClientError),
    #[error("cannot write the status")]
    Status(#[source] ClientError),
    #[error("cannot read the definition of the kind")]
    Definition(#[source] ClientError),
}

/// What a pass knows at its end.
pub struct Pass {
    pub cluster: K0smotronCluster,
    /// What the renderer decided, or why it did not.
    pub resolved: Result<ResolvedCluster, Stalled>,
    /// The last plan of the pass: empty when nothing differed any more.
    pub plan: Plan,
    /// What came of all of them.
    pub outcome: Outcome,
}

impl Operator {
    /// Brings one cluster to what its object says.
    pub(super) async fn reconcile_cluster(&self, key: &ObjectId) -> Result<Passed, PassError> {
        let Some(object) = self.store().objects.get(key) else {
            return Ok(self.forget(key));
        };
        let (cluster, readable) = decode(&object);
        if is_going(&object) {
            return self.release(key, &object, &cluster.spec).await;
        }
        if cluster.spec.paused == Some(true) {
            return self
                .report(key, &object, Pass::without_plan(cluster, paused()))
                .await;
        }
        if let Some(rival) = self.rival(key, &object, &cluster) {
            return self
                .report(key, &object, Pass::without_plan(cluster, rival))
                .await;
        }
        let object = self.ensure_finalizer(key, object).await?;
        let pass = match readable {
            Ok(()) => self.converge(key, cluster).await,
            Err(stalled) => Pass::without_plan(cluster, stalled),
        };
        self.report(key, &object, pass).await
    }

    /// Plans and applies until no apply brings a new fact. Sends nothing when nothing differs.
    async fn converge(&self, key: &ObjectId, cluster: K0smotronCluster) -> Pass {
        let mut outcome = Outcome::default();
        self.look_at_given(key, &cluster).await;
        self.look_at_source(key, &cluster.spec).await;
        let mut has_asked = false;
        for round in 1.. {
            let observed = self.observed(key);
            let mut facts = self.facts(key, &cluster, &observed);
            let mut resolved = render::resolve(&cluster.spec, &facts, &self.options.settings);
            if let Ok(known) = &resolved
                && let Some(place) = &known.etcd.membership.question
            {
                facts.etcd = Some(self.ask_members(key, &facts, place).await);
                resolved = render::resolve(&cluster.spec, &facts, &self.options.settings);
            }
            let resolved = match resolved {
                Ok(resolved) => resolved,
                Err(stalled) => return Pass::without_plan(cluster, stalled),
            };
            if !resolved.growth.ask.is_empty() && !has_asked {
                self.look_at_classes(&resolved.growth.ask).await;
                has_asked = true;
                continue;
            }
            let answers = render::objects(&resolved);
            let mut plan = plan::children(&answers, &observed, &Owner::of(&facts));
            plan::members(&mut plan, &resolved);
            take_volumes_back(key, &facts.uid, &observed, &mut plan);
            self.fights().leave(&mut plan, Instant::now());
            let approved = plan::approve_children(plan);
            let sent = self.run(&approved).await;
            self.fights().note(approved.plan(), &sent, Instant::now());
            let is_last = approved.is_empty() || !sent.is_complete() || round >= ROUNDS;
            outcome.results.extend(sent.results);
            if is_last {
                return Pass {
                    cluster,
                    resolved: Ok(resolved),
                    plan: approved.plan().clone(),
                    outcome,
                };
            }
        }
        unreachable!("the last round returns")
    }

    pub(super) fn observed(&self, key: &ObjectId) -> Observed {
        self.store().objects.children_of(key, &CHILDREN)
    }

    pub(super) fn facts(&self, key: &ObjectId, cluster: &K0smotronCluster, observed: &Observed) -> Facts {
        let addresses = self.store().nodes.addresses();
        let facts = Facts {
            data_source: self.source(key),
            storage_classes: self.classes(),
            ..Facts::gather(cluster, observed, &addresses, Timestamp::now())
        };
        let given = self.given().get(key).cloned();
        facts.with_given(given.unwrap_or_default())
    }

    /// Looks at the keys that the user gives: nobody tells when they change.
    ///
    /// *Effects*: one GET of each Secret that the spec refers to.
    async fn look_at_given(&self, key: &ObjectId, cluster: &K0smotronCluster) {
        let refs = &cluster.spec.certificate_refs;
        if refs.is_empty() {
            return;
        }
        let given = apply::look_at_given(&self.options.client, &key.namespace, refs).await;
        self.given().insert(key.clone(), given);
    }

    fn forget(&self, key: &ObjectId) -> Passed {
        self.forget_look(key);
        self.given().remove(key);
        self.forget_source(key);
        Passed {
            next: Next::Forget,
            ended: Ended::Unchanged,
        }
    }
}

impl Pass {
    fn without_plan(cluster: K0smotronCluster, stalled: Stalled) -> Self {
        Self {
            cluster,
            resolved: Err(stalled),
            plan: Plan::default(),
            outcome: Outcome::default(),
        }
    }
}

fn paused() -> Stalled {
    Stalled {
        reason: "Paused".to_owned(),
        message: "nothing is reconciled".to_owned(),
    }
}

fn take_volumes_back(key: &ObjectId, uid: &str, observed: &Observed, plan: &mut Plan) {
    let actions = release::taken_back(key, uid, observed);
    if !actions.is_empty() {
        plan.waves.push(Wave {
            name: "volumes".to_owned(),
            actions,
        });
    }
}

/// Reads a cluster. Of one that cannot be read there is at least its metadata, and who must do what.
pub(super) fn decode(object: &Object) -> (K0smotronCluster, Result<(), Stalled>) {
    let mut value = object.0.clone();
    if let Some(fields) = value.as_object_mut() {
        // The server fills in an empty spec; an object from before that default has none.
        fields.entry("spec").or_insert_with(|| serde_json::json!({}));
    }
    let error = match serde_json::from_value(value) {
        Ok(cluster) => return (cluster, Ok(())),
        Err(error) => error,
    };
    let part = |name: &str| object.0.get(name).cloned().unwrap_or_default();
    let cluster = K0smotronCluster {
        metadata: serde_json::from_value(part("metadata")).unwrap_or_default(),
        status: serde_json::from_value::<ClusterStatus>(part("status")).ok(),
        ..K0smotronCluster::default()
    };
    let stalled = Stalled {
        reason: "Unreadable".to_owned(),
        message: format!("this version cannot read the object ({error}); nothing of it is applied"),
    };
    (cluster, Err(stalled))
}

/// What a pass ends with after a plan was executed: tried again when something was not done.
pub fn passed_after(approved: &ApprovedPlan, outcome: &Outcome) -> Passed {
    if !outcome.is_complete() || !approved.plan().held.is_empty() {
        return Passed {
            next: Next::Retry,
            ended: Ended::Failed,
        };
    }
    let ended = if approved.is_empty() {
        Ended::Unchanged
    } else {
        Ended::Changed
    };
    Passed {
        next: Next::Rest,
        ended,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_cannot_be_read_still_has_a_name_and_says_so() {
        let object = Object(json!({
            "metadata": { "name": "edge", "namespace": "tenant-7", "uid": "uid-berlin", "generation": 3 },
            "spec": { "replicas": "many" },
        }));
        let (cluster, readable) = decode(&object);
        assert_eq!(cluster.metadata.uid.as_deref(), Some("uid-berlin"));
        let stalled = readable.unwrap_err();
        assert!(stalled.message.contains("many"), "{}", stalled.message);
    }

    #[test]
    fn no_spec_is_an_empty_one() {
        for spec in [json!({}), json!({ "spec": {} })] {
            let mut object = json!({ "metadata": { "name": "edge" } });
            object
                .as_object_mut()
                .unwrap()
                .extend(spec.as_object().unwrap().clone());
            let (cluster, readable) = decode(&Object(object));
            assert_eq!(readable, Ok(()), "{spec}");
            assert_eq!(cluster.spec, Default::default());
        }
    }
}
