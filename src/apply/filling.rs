//! Filling a Secret of ours with a value that another Secret holds.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Run;
use super::execute::done;
use crate::api::labels;
use crate::client::{Conflicts, SecretBody};
use crate::keys::{self, FillError};
use crate::object::{Object, ObjectId};
use crate::plan::{ActionResult, Failure, FailureKind};
use crate::render::{Fill, Source, SourceVersion};

impl Run<'_> {
    /// Reads the value, puts it where it belongs, and writes the Secret.
    ///
    /// *Effects*: one GET of the source; one of the Secret itself when it exists, for its salt; one write.
    pub(super) async fn fill(
        &self,
        id: &ObjectId,
        secret: &Object,
        fill: &Fill,
        uid: Option<&str>,
    ) -> ActionResult {
        let source = &fill.source;
        let read = match self.client.get_secret(&id.namespace, &source.secret).await {
            Ok(Some(read)) if is_meant(source, &read) => read,
            Ok(Some(_)) => return moved(source, "is another one than it was"),
            Ok(None) => return moved(source, "is not there any more"),
            Err(error) => return ActionResult::Failed(error.to_failure()),
        };
        let Some(value) = read.data.get(&source.key) else {
            return moved(source, "does not have the key any more");
        };
        let before = match uid {
            None => None,
            Some(_) => match self.client.get_secret(&id.namespace, &id.name).await {
                Ok(before) => before.map(|before| before.data),
                Err(error) => return ActionResult::Failed(error.to_failure()),
            },
        };
        let value = Zeroizing::new(value.to_vec());
        let filled = match keys::fill(fill, &value, before.as_ref()) {
            Ok(filled) => filled,
            Err(error) => return ActionResult::Failed(unfilled(source, &error)),
        };
        let mut secret = secret.clone();
        if let Some(metadata) = secret.0.get_mut("metadata").and_then(Value::as_object_mut) {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[labels::SOURCE_DIGEST] = filled.digest.as_str().into();
        }
        match uid {
            None => self.create(id, &secret, Some(&filled.data)).await,
            Some(uid) => {
                let manager = self.options.manager;
                let apply = self
                    .client
                    .apply(&secret, Some(&filled.data), uid, manager, Conflicts::Force);
                done(apply.await.map(Some))
            }
        }
    }
}

fn is_meant(source: &Source, read: &SecretBody) -> bool {
    match &source.version {
        SourceVersion::Object(version) => read.metadata.version() == *version,
        SourceVersion::Fingerprint(fingerprint) => {
            read.metadata.annotation(labels::FINGERPRINT) == Some(fingerprint)
        }
    }
}

fn moved(source: &Source, how: &str) -> ActionResult {
    ActionResult::Skipped {
        because: format!(
            "Secret `{}` {how}: it must be looked at again first",
            source.secret
        ),
    }
}

fn unfilled(source: &Source, error: &FillError) -> Failure {
    Failure {
        kind: match error {
            FillError::Value(_) => FailureKind::Invalid,
            FillError::Random(_) => FailureKind::Unexpected,
        },
        message: format!("Secret `{}`: {}", source.secret, crate::client::chain(error)),
    }
}
