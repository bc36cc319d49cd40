//! Writes that the server judges and does not store.

use super::connect::Client;
use super::error::ClientError;
use super::request::{RequestName, Verb};
use super::write::{Conflicts, identity, with_metadata};
use crate::object::Object;

impl Client {
    /// Asks whether the server would take this object: as a new one without `uid`, otherwise in place of that very
    /// object. Everything that judges a real write judges it: schema, rules, policies, webhooks, quotas.
    ///
    /// *Errors*: the server's refusal.
    /// *Effects*: one server-side apply with `dryRun=All`; nothing is stored.
    pub async fn dry_run(
        &self,
        object: &Object,
        uid: Option<&str>,
        manager: &str,
    ) -> Result<(), ClientError> {
        let verb = if uid.is_some() { Verb::Apply } else { Verb::Create };
        let request = RequestName::of(verb, &identity(verb, object)?);
        // No stored object has that version, so an apply with it can only create.
        let precondition = uid.map_or(("resourceVersion", "1"), |uid| ("uid", uid));
        let body = with_metadata(object, &[precondition]);
        let dry_run = [("dryRun", "All")];
        self.send_apply(&request, &body, None, manager, Conflicts::Force, &dry_run)
            .await
            .map(|_| ())
    }
}
