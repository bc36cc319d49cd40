//! Writes, each with its precondition.

use http::{Method, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::connect::Client;
use super::error::ClientError;
use super::read::{Parts, read_object, remove_managed_fields};
use super::redact;
use super::request::{Answer, Call, RequestName, Verb};
use super::secret::SecretData;
use crate::object::{Object, ObjectId};
use crate::plan::{FailureKind, Propagation};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// What an apply does about fields of other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// They become ours.
    Force,
    /// The apply is refused and names the managers.
    Refuse,
}

/// What came of a create.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// It was made; as the server returned it.
    New(Object),
    /// An object of that name was there; nothing was changed.
    Exists,
}

/// What came of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It goes, as soon as its finalizers let it.
    Asked,
    /// It was not there any more.
    AlreadyGone,
}

/// The very object that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub uid: String,
    /// `None`: whatever its version.
    pub resource_version: Option<String>,
    pub propagation: Propagation,
}

impl Client {
    /// Creates an object and leaves one that exists alone.
    ///
    /// *Effects*: one server-side apply that can only create: with `resourceVersion: "1"`, which no stored object has,
    /// the server answers 201 when the object is absent and 409 when it is there, whatever its owner or content. (An
    /// ordinary POST would leave an `Update` entry in the managed fields, which keeps fields alive that later applies
    /// drop.) Repeating is harmless. `data` is for Secrets.
    pub async fn create_only(
        &self,
        object: &Object,
        data: Option<&SecretData>,
        manager: &str,
    ) -> Result<Created, ClientError> {
        let id = identity(Verb::Create, object)?;
        let body = with_metadata(object, &[("resourceVersion", "1")]);
        let request = RequestName::of(Verb::Create, &id);
        match self
            .send_apply(&request, &body, data, manager, Conflicts::Force, &[])
            .await
        {
            Ok(answer) if answer.status == StatusCode::CREATED => {
                self.applied(&request, &answer).map(Created::New)
            }
            Ok(_) => Err(ClientError::Answer {
                request: request.into(),
                reason: "an object was changed that should only have been created".to_owned(),
            }),
            Err(ClientError::Refused { source, .. })
                if matches!(
                    source.kind,
                    FailureKind::Conflict { .. } | FailureKind::AlreadyExists
                ) =>
            {
                Ok(Created::Exists)
            }
            Err(error) => Err(error),
        }
    }

    /// Applies the complete object to the very object with this uid; returns it.
    ///
    /// *Errors*: a conflict when it is gone, is another object of that name, has another `resourceVersion` than the one
    /// in `object` (if there is one), or, with [`Conflicts::Refuse`], when others own a field.
    /// *Effects*: one server-side apply; creates nothing. `data` is for Secrets.
    pub async fn apply(
        &self,
        object: &Object,
        data: Option<&SecretData>,
        uid: &str,
        manager: &str,
        conflicts: Conflicts,
    ) -> Result<Object, ClientError> {
        let id = identity(Verb::Apply, object)?;
        let body = with_metadata(object, &[("uid", uid)]);
        let request = RequestName::of(Verb::Apply, &id);
        let answer = self
            .send_apply(&request, &body, data, manager, conflicts, &[])
            .await?;
        self.applied(&request, &answer)
    }

    /// Applies the status of the very object with this uid, as a whole.
    ///
    /// *Effects*: one server-side apply on the status subresource, forced.
    pub async fn patch_status(
        &self,
        id: &ObjectId,
        uid: &str,
        status: &Value,
        manager: &str,
    ) -> Result<Object, ClientError> {
        let mut request = RequestName::of(Verb::Apply, id);
        request.subresource = Some("status");
        let body = json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.kind,
            "metadata": { "name": id.name, "namespace": id.namespace, "uid": uid },
            "status": status,
        });
        let answer = self
            .send_apply(&request, &body, None, manager, Conflicts::Force, &[])
            .await?;
        self.applied(&request, &answer)
    }

    /// Merges into the metadata of the very object with this uid, and of this version if one is given.
    ///
    /// *Shape*: `metadata` is a JSON merge patch: `null` removes a key, lists are replaced whole.
    /// *Effects*: one PATCH.
    pub async fn patch_metadata(
        &self,
        id: &ObjectId,
        uid: &str,
        resource_version: Option<&str>,
        metadata: &Value,
        manager: &str,
    ) -> Result<Object, ClientError> {
        let mut preconditions = vec![("uid", uid)];
        preconditions.extend(resource_version.map(|version| ("resourceVersion", version)));
        let body = with_metadata(&Object(json!({ "metadata": metadata })), &preconditions);
        self.merge(id, &body, manager).await
    }

    /// Says anew which manager owns which field of the very object with this uid and version. Its content stays.
    ///
    /// *Shape*: `fields` is the whole list.
    /// *Effects*: one PATCH.
    pub async fn replace_managed_fields(
        &self,
        id: &ObjectId,
        uid: &str,
        resource_version: &str,
        fields: &Value,
        manager: &str,
    ) -> Result<Object, ClientError> {
        let body = json!({
            "metadata": { "uid": uid, "resourceVersion": resource_version, "managedFields": fields },
        });
        self.merge(id, &body, manager).await
    }

    /// Asks for more room in the very claim with this uid.
    ///
    /// *Effects*: one PATCH.
    pub async fn grow_claim(
        &self,
        id: &ObjectId,
        uid: &str,
        size: &str,
        manager: &str,
    ) -> Result<Object, ClientError> {
        let body = json!({
            "metadata": { "uid": uid },
            "spec": { "resources": { "requests": { "storage": size } } },
        });
        self.merge(id, &body, manager).await
    }

    /// Deletes the very object that was looked at. That it is gone already is a success.
    ///
    /// *Errors*: a conflict when an object of that name is there that is another one or another version.
    /// *Effects*: one DELETE with preconditions.
    pub async fn delete(&self, id: &ObjectId, removal: &Removal) -> Result<Deleted, ClientError> {
        let mut preconditions = json!({ "uid": removal.uid });
        if let Some(version) = &removal.resource_version {
            preconditions["resourceVersion"] = version.as_str().into();
        }
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": match removal.propagation {
                Propagation::Background => "Background",
                Propagation::Orphan => "Orphan",
            },
        });
        let call = Call {
            name: RequestName::of(Verb::Delete, id),
            method: Method::DELETE,
            query: Vec::new(),
            accept: Parts::Whole.accept(id.kind),
            body: Some((super::read::JSON, options.to_string().into())),
        };
        match self.call(call).await {
            Ok(_) => Ok(Deleted::Asked),
            Err(ClientError::Refused { source, .. }) if source.is_missing_object() => {
                Ok(Deleted::AlreadyGone)
            }
            Err(error) => Err(error),
        }
    }

    async fn merge(&self, id: &ObjectId, body: &Value, manager: &str) -> Result<Object, ClientError> {
        let request = RequestName::of(Verb::Patch, id);
        let call = Call {
            name: request.clone(),
            method: Method::PATCH,
            query: vec![("fieldManager", manager)],
            accept: Parts::Whole.accept(id.kind),
            body: Some((MERGE, body.to_string().into())),
        };
        let answer = self.call(call).await?;
        read_object(&request, &answer.body)
    }

    /// Sends a server-side apply, with `more` in its query.
    pub(super) async fn send_apply(
        &self,
        request: &RequestName,
        body: &Value,
        data: Option<&SecretData>,
        manager: &str,
        conflicts: Conflicts,
        more: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        let bytes = match data {
            // The buffer is overwritten when the last clone of these bytes is dropped.
            Some(data) => Bytes::from_owner(data.write_into(body)),
            None => body.to_string().into(),
        };
        let force = match conflicts {
            Conflicts::Force => "true",
            Conflicts::Refuse => "false",
        };
        // Strict: a field the server does not know would be dropped in silence and differ for ever.
        let mut query = vec![
            ("fieldManager", manager),
            ("force", force),
            ("fieldValidation", "Strict"),
        ];
        query.extend(more);
        let call = Call {
            name: request.clone(),
            method: Method::PATCH,
            query,
            accept: self.answers.accept(request.kind),
            body: Some((APPLY, bytes)),
        };
        self.call(call)
            .await
            .map_err(|error| redact::refusal(error, body))
    }

    /// Reads what was applied.
    fn applied(&self, request: &RequestName, answer: &Answer) -> Result<Object, ClientError> {
        let mut object = read_object(request, &answer.body)?;
        if self.answers == Parts::Metadata {
            remove_managed_fields(&mut object);
        }
        Ok(object)
    }
}

pub(super) fn identity(verb: Verb, object: &Object) -> Result<ObjectId, ClientError> {
    object.id().ok_or_else(|| ClientError::Answer {
        request: RequestName::collection(verb, crate::object::kinds::CUSTOM_RESOURCE_DEFINITION, "").into(),
        reason: "the object has no name or is of a kind that is not ours".to_owned(),
    })
}

pub(super) fn with_metadata(object: &Object, entries: &[(&str, &str)]) -> Value {
    let mut body = object.0.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        // An apply with managed fields is refused.
        metadata.remove("managedFields");
        for (key, value) in entries {
            metadata.insert((*key).to_owned(), (*value).into());
        }
    }
    body
}
