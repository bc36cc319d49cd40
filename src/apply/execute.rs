//! One action: the requests it means, and what their answers say.

use serde_json::{Value, json};

use super::Run;
use super::foreign::{Found, judge};
use super::keyring::Unsigned;
use crate::api::labels;
use crate::client::{ClientError, Conflicts, Created, Removal, SecretData};
use crate::hosted::{self, Changed};
use crate::keys::{self, KeyError, Made};
use crate::object::{Object, ObjectId, kinds};
use crate::pki::Issue;
use crate::plan::{Action, ActionResult, Failure, FailureKind, Operation, Propagation};

/// Returns what must have been done before, where it is part of the same plan: what the action says, and the CA that
/// signs.
pub(super) fn needs(action: &Action) -> impl Iterator<Item = ObjectId> {
    let issuer = match &action.operation {
        Operation::Issue { issue, .. } | Operation::Reissue { issue, .. } => issue.issuer(),
        Operation::Create { .. }
        | Operation::Apply { .. }
        | Operation::Adopt { .. }
        | Operation::Fill { .. }
        | Operation::Grow { .. }
        | Operation::Recreate { .. }
        | Operation::PatchMetadata { .. }
        | Operation::Delete { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. } => None,
    };
    let authority = issuer.map(|issuer| ObjectId::new(kinds::SECRET, &action.id.namespace, &issuer.secret));
    action.needs.iter().cloned().chain(authority)
}

impl Run<'_> {
    pub(super) async fn execute(&self, action: &Action) -> ActionResult {
        let manager = self.options.manager;
        let id = &action.id;
        match &action.operation {
            Operation::Create { body } => self.create(id, body, None).await,
            Operation::Apply { body, uid } => done(
                self.client
                    .apply(body, None, uid, manager, Conflicts::Force)
                    .await
                    .map(Some),
            ),
            Operation::Adopt {
                body,
                uid,
                resource_version,
                managed_fields,
            } => {
                self.adopt(id, body, uid, resource_version, managed_fields.as_ref())
                    .await
            }
            Operation::Issue {
                purpose: _,
                secret,
                issue,
            } => {
                let (secret, mut made) = match self.make(id, secret, issue).await {
                    Ok(made) => made,
                    Err(result) => return result,
                };
                let authority = made.authority.take();
                let result = self.create(id, &secret, Some(&made.data)).await;
                if let (ActionResult::Done { live: Some(live) }, Some(authority)) = (&result, authority)
                    // When somebody else created it first, other bytes are stored.
                    && live.annotation(labels::FINGERPRINT) == Some(authority.fingerprint())
                {
                    self.keyring.keep(id, authority);
                }
                result
            }
            Operation::Reissue {
                purpose: _,
                uid,
                secret,
                issue,
            } => {
                let (secret, made) = match self.make(id, secret, issue).await {
                    Ok(made) => made,
                    Err(result) => return result,
                };
                let apply = self
                    .client
                    .apply(&secret, Some(&made.data), uid, manager, Conflicts::Force);
                done(apply.await.map(Some))
            }
            Operation::Fill { secret, fill, uid } => self.fill(id, secret, fill, uid.as_deref()).await,
            Operation::Grow { uid, size } => {
                done(self.client.grow_claim(id, uid, size, manager).await.map(Some))
            }
            Operation::Recreate {
                body,
                uid,
                resource_version,
            } => self.recreate(id, body, uid, resource_version).await,
            Operation::PatchMetadata {
                uid,
                resource_version,
                metadata,
            } => done(
                self.client
                    .patch_metadata(id, uid, resource_version.as_deref(), metadata, manager)
                    .await
                    .map(Some),
            ),
            Operation::Delete {
                uid,
                resource_version,
                propagation,
            } => {
                let removal = Removal {
                    uid: uid.clone(),
                    resource_version: Some(resource_version.clone()),
                    propagation: *propagation,
                };
                done(self.client.delete(id, &removal).await.map(|_| None))
            }
            Operation::ChangeMembers { etcd, change } => {
                changed(hosted::change_members(self.client, etcd, change).await)
            }
            Operation::ReplacePod { uid } => {
                let removal = Removal {
                    uid: uid.clone(),
                    resource_version: None,
                    propagation: Propagation::Background,
                };
                done(self.client.delete(id, &removal).await.map(|_| None))
            }
        }
    }

    /// Creates; when an object of that name is there, says whose it is.
    pub(super) async fn create(
        &self,
        id: &ObjectId,
        body: &Object,
        data: Option<&SecretData>,
    ) -> ActionResult {
        match self.client.create_only(body, data, self.options.manager).await {
            Ok(Created::New(live)) => ActionResult::Done { live: Some(live) },
            Ok(Created::Exists) => match self.client.get(id).await {
                Ok(Some(live)) => match judge(body, &live) {
                    Found::Ours => ActionResult::Done { live: Some(live) },
                    Found::Foreign { owner } => ActionResult::Foreign { owner },
                },
                Ok(None) => ActionResult::Skipped {
                    because: format!("{id} was there a moment ago and is not any more"),
                },
                // The create did nothing, so nothing is unknown.
                Err(error) => ActionResult::Failed(error.to_failure()),
            },
            Err(error) => failed(&error),
        }
    }

    /// Makes the bytes of a Secret, and writes into it what can be told of them.
    async fn make(
        &self,
        id: &ObjectId,
        secret: &Object,
        issue: &Issue,
    ) -> Result<(Object, Made), ActionResult> {
        let authority = match issue.issuer() {
            None => None,
            Some(issuer) => match self.keyring.authority(self.client, &id.namespace, issuer).await {
                Ok(authority) => Some(authority),
                Err(Unsigned::Moved { because }) => return Err(ActionResult::Skipped { because }),
                Err(Unsigned::Failed(failure)) => return Err(ActionResult::Failed(failure)),
            },
        };
        let (wanted, now) = (issue.clone(), self.keys.now);
        // An RSA key takes as long as a hundred requests.
        let made = tokio::task::spawn_blocking(move || keys::make(&wanted, authority.as_deref(), now)).await;
        match made {
            Ok(Ok(made)) => Ok((annotated(secret, &made), made)),
            Ok(Err(error)) => Err(ActionResult::Failed(unmade(&error))),
            Err(error) => Err(ActionResult::Failed(Failure {
                kind: FailureKind::Unexpected,
                message: format!("the key for {id} was not made: {error}"),
            })),
        }
    }
}

/// Writes what can be told of a key into the annotations of its Secret, so that nobody has to read the Secret for it.
fn annotated(secret: &Object, made: &Made) -> Object {
    let mut secret = secret.clone();
    let Some(metadata) = secret.0.get_mut("metadata").and_then(Value::as_object_mut) else {
        return secret;
    };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    annotations[labels::FINGERPRINT] = made.fingerprint.as_str().into();
    if let Some(end) = made.not_after {
        annotations[labels::NOT_AFTER] = end.to_string().into();
    }
    if let Some(issuer) = &made.issuer {
        annotations[labels::ISSUER] = issuer.as_str().into();
    }
    secret
}

fn unmade(error: &KeyError) -> Failure {
    Failure {
        kind: match error {
            KeyError::Generate { .. } | KeyError::Sign { .. } | KeyError::NoIssuer { .. } => {
                FailureKind::Unexpected
            }
            KeyError::Name { .. } | KeyError::Lifetime { .. } | KeyError::Authority { .. } => {
                FailureKind::Invalid
            }
        },
        message: crate::client::chain(error),
    }
}

fn changed(result: Changed) -> ActionResult {
    match result {
        Changed::Done => ActionResult::Done { live: None },
        Changed::NotNow { because } => ActionResult::Skipped { because },
        Changed::Unknown { why } => ActionResult::Unknown(Failure {
            kind: FailureKind::Unavailable,
            message: format!("etcd was asked to change its members and did not answer: {why}"),
        }),
    }
}

pub(super) fn done(result: Result<Option<Object>, ClientError>) -> ActionResult {
    match result {
        Ok(live) => ActionResult::Done { live },
        Err(error) => failed(&error),
    }
}

pub(super) fn failed(error: &ClientError) -> ActionResult {
    if error.is_outcome_unknown() {
        ActionResult::Unknown(error.to_failure())
    } else {
        ActionResult::Failed(error.to_failure())
    }
}
