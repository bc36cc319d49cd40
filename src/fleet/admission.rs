//! What only the server can know about a plan: its admission, asked with dry runs.

use futures::StreamExt as _;
use serde::Serialize;

use super::Access;
use crate::api::labels;
use crate::client::chain;
use crate::object::{Object, ObjectId, kinds};
use crate::plan::{Action, FailureKind, Operation, Plan};

/// Dry runs at the same time.
const PARALLELISM: usize = 32;

/// Whether the server would take what a plan sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    pub checked: usize,
    /// In the order of the plan.
    pub denied: Vec<Denied>,
    /// Objects that were not tried, and why, once for each reason.
    pub not_checked: Vec<NotChecked>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Denied {
    pub object: ObjectId,
    /// The server's words.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotChecked {
    pub reason: String,
    pub objects: usize,
}

enum Verdict {
    Admitted,
    Denied(String),
    NotChecked(String),
}

impl Admission {
    /// Returns the answer of somebody who asked nobody.
    pub fn not_asked(plan: &Plan, reason: &str) -> Self {
        let mut admission = Self::default();
        for _ in plan.actions().filter(|action| body(action).is_some()) {
            admission.leave_out(reason.to_owned());
        }
        admission
    }

    fn leave_out(&mut self, reason: String) {
        match self.not_checked.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.objects += 1,
            None => self.not_checked.push(NotChecked { reason, objects: 1 }),
        }
    }
}

/// Asks the server about every cluster that a plan creates or changes.
///
/// *Effects*: one dry run each, several at a time. Nothing is stored. Never fails: what could not be asked is said.
pub async fn admission(access: Access<'_>, plan: &Plan) -> Admission {
    let new: Vec<&ObjectId> = plan
        .actions()
        .filter(|action| action.id.kind == kinds::NAMESPACE)
        .map(|action| &action.id)
        .collect();
    let candidates = plan.actions().filter_map(|action| {
        let (object, uid) = body(action)?;
        Some((&action.id, object, uid))
    });
    let mut asked = futures::stream::iter(candidates)
        .map(|(id, object, uid)| {
            let is_homeless = new.iter().any(|namespace| namespace.name == id.namespace);
            async move {
                if is_homeless {
                    return (id, Verdict::NotChecked("the namespace is made first".to_owned()));
                }
                let verdict = match access.clusters.dry_run(object, uid, labels::FLEET_MANAGER).await {
                    Ok(()) => Verdict::Admitted,
                    Err(error) => match error.kind() {
                        FailureKind::Forbidden if error.is_about_rights() => {
                            Verdict::NotChecked("these credentials may not write clusters".to_owned())
                        }
                        FailureKind::Forbidden | FailureKind::Invalid => Verdict::Denied(chain(&error)),
                        FailureKind::NotFound
                        | FailureKind::Conflict { .. }
                        | FailureKind::AlreadyExists
                        | FailureKind::Gone
                        | FailureKind::Unavailable
                        | FailureKind::Timeout
                        | FailureKind::Unexpected => Verdict::NotChecked(chain(&error)),
                    },
                };
                (id, verdict)
            }
        })
        .buffered(PARALLELISM);
    let mut admission = Admission::default();
    while let Some((id, verdict)) = asked.next().await {
        match verdict {
            Verdict::Admitted => admission.checked += 1,
            Verdict::Denied(message) => {
                admission.checked += 1;
                admission.denied.push(Denied {
                    object: id.clone(),
                    message,
                });
            }
            Verdict::NotChecked(reason) => admission.leave_out(reason),
        }
    }
    admission
}

/// Returns what is asked about: what a cluster is created with, or changed to and the uid of what is there.
fn body(action: &Action) -> Option<(&Object, Option<&str>)> {
    if action.id.kind != kinds::K0SMOTRON_CLUSTER {
        return None;
    }
    match &action.operation {
        Operation::Create { body } => Some((body, None)),
        Operation::Apply { body, uid } | Operation::Adopt { body, uid, .. } => Some((body, Some(uid))),
        Operation::Issue { .. }
        | Operation::Reissue { .. }
        | Operation::Fill { .. }
        | Operation::Grow { .. }
        | Operation::Recreate { .. }
        | Operation::PatchMetadata { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. }
        | Operation::Delete { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Impact, Wave};

    #[test]
    fn only_clusters_are_counted_as_not_asked_about() {
        let create = |id: ObjectId| Action {
            operation: Operation::Create {
                body: Object(json!({})),
            },
            id,
            impact: Impact::Safe,
            reason: String::new(),
            changes: Vec::new(),
            effects: Vec::new(),
            needs: Vec::new(),
        };
        let ids = [
            ObjectId::new(kinds::NAMESPACE, "", "edge"),
            ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", "berlin"),
        ];
        let plan = Plan {
            waves: vec![Wave {
                name: "changes".to_owned(),
                actions: ids.map(create).into(),
            }],
            ..Plan::default()
        };
        let expected = NotChecked {
            reason: "nobody".to_owned(),
            objects: 1,
        };
        assert_eq!(Admission::not_asked(&plan, "nobody").not_checked, [expected]);
    }
}
