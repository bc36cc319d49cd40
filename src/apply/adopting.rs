//! A cluster that becomes the fleet's.

use serde_json::{Value, json};

use super::Run;
use super::execute::{done, failed};
use crate::client::Conflicts;
use crate::object::{Object, ObjectId};
use crate::plan::ActionResult;

impl Run<'_> {
    /// Makes the fields of others the fleet's, and applies.
    ///
    /// *Effects*: one apply; with `managed_fields` first a dry run of it, so that what the server refuses changes
    /// nothing, and a patch of the managed fields. Stopped in between, the cluster is as it was, and a plan of what is
    /// there takes it over.
    pub(super) async fn adopt(
        &self,
        id: &ObjectId,
        body: &Object,
        uid: &str,
        resource_version: &str,
        managed_fields: Option<&Value>,
    ) -> ActionResult {
        let manager = self.options.manager;
        let mut version = resource_version.to_owned();
        if let Some(fields) = managed_fields {
            if let Err(error) = self.client.dry_run(body, Some(uid), manager).await {
                return failed(&error);
            }
            match self
                .client
                .replace_managed_fields(id, uid, resource_version, fields, manager)
                .await
            {
                Ok(live) => version = live.resource_version().unwrap_or_default().to_owned(),
                Err(error) => return failed(&error),
            }
        }
        let mut body = body.clone();
        body.0["metadata"]["resourceVersion"] = json!(version);
        let applied = self.client.apply(&body, None, uid, manager, Conflicts::Force);
        done(applied.await.map(Some))
    }
}
