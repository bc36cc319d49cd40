//! Who else writes a fleet, and which guards hold between them.

use super::FleetError;
use super::look::Live;
use crate::api::fleet::Fleet;
use crate::api::fleet_sync::{FleetSyncSpec, FleetSyncStatus};
use crate::client::{Client, ClientError, ListQuery};
use crate::object::{Object, kinds};
use crate::plan::{FailureKind, Guards, Loosened, Prune};

/// The syncs of a hub, whatever fleet they write.
#[derive(Clone, Debug)]
pub enum Syncs {
    Known(Vec<Object>),
    /// They may not be listed.
    NotReadable,
}

/// Which syncs follow a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followers {
    /// `namespace/name`, sorted.
    Known(Vec<String>),
    /// They may not be listed.
    NotReadable,
}

/// Looks for the syncs of this hub.
///
/// *Errors*: all but a missing permission and a missing definition.
/// *Effects*: one paged list.
pub async fn syncs(client: &Client) -> Result<Syncs, FleetError> {
    match client.list_all(&ListQuery::new(kinds::FLEET_SYNC, "")).await {
        Ok(syncs) => Ok(Syncs::Known(syncs)),
        Err(ClientError::NotInstalled { .. }) => Ok(Syncs::Known(Vec::new())),
        Err(error) if error.kind() == FailureKind::Forbidden => Ok(Syncs::NotReadable),
        Err(error) => Err(FleetError::observe(error)),
    }
}

impl Syncs {
    /// Returns those that write a fleet by themselves.
    pub fn followers(&self, fleet_id: &str) -> Followers {
        let Self::Known(syncs) = self else {
            return Followers::NotReadable;
        };
        let mut names: Vec<String> = syncs
            .iter()
            .filter(|sync| follows(sync, fleet_id))
            .filter_map(Object::id)
            .map(|id| format!("{}/{}", id.namespace, id.name))
            .collect();
        names.sort();
        Followers::Known(names)
    }
}

/// A sync follows the fleet that its files named last, or the only one it may.
fn follows(sync: &Object, fleet_id: &str) -> bool {
    fn part<T: serde::de::DeserializeOwned>(sync: &Object, name: &str) -> Option<T> {
        serde_json::from_value(sync.0.get(name)?.clone()).ok()
    }
    let spec: Option<FleetSyncSpec> = part(sync, "spec");
    let status: Option<FleetSyncStatus> = part(sync, "status");
    let is_active = spec.as_ref().is_none_or(|spec| spec.suspend != Some(true))
        && sync.text("/metadata/deletionTimestamp").is_none();
    let allowed = spec.and_then(|spec| spec.limits?.fleet_id);
    let written = status.and_then(|status| status.fleet_id);
    is_active && [allowed, written].iter().flatten().any(|id| id == fleet_id)
}

/// Returns the guards that the files open further than the Fleet that was applied last. They hold from the next run on.
pub fn loosened(fleet: Option<&Fleet>, live: &Live, prune: Prune) -> Vec<Loosened> {
    let (Some(fleet), Some(last)) = (fleet, last_guards(live)) else {
        return Vec::new();
    };
    Guards::of(&fleet.spec).loosened(last, prune)
}

/// Returns the guards of the Fleet that was applied last; `None` when none was.
pub(super) fn last_guards(live: &Live) -> Option<Guards> {
    let fleet = live.parent.as_ref()?.parent.fleet.as_deref()?;
    Some(Guards::remembered(fleet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sync_follows_the_fleet_that_it_writes_or_may_write_unless_it_is_suspended() {
        let source = json!({"git": {"url": "https://git.example.org/fleet.git"}});
        let sync = |spec: serde_json::Value, status: serde_json::Value| {
            let mut whole = json!({"source": source, "serviceAccountName": "fleet-sync"});
            for (key, value) in spec.as_object().unwrap() {
                whole[key] = value.clone();
            }
            Object(
                json!({"metadata": {"namespace": "team", "name": "sync"}, "spec": whole, "status": status}),
            )
        };
        let cases = [
            (sync(json!({}), json!({"fleetId": "acme"})), true),
            (sync(json!({"suspend": true}), json!({"fleetId": "acme"})), false),
            (sync(json!({"limits": {"fleetId": "acme"}}), json!({})), true),
            (sync(json!({}), json!({"fleetId": "other"})), false),
            (sync(json!({}), json!({})), false),
        ];
        for (sync, expected) in cases {
            assert_eq!(follows(&sync, "acme"), expected, "{sync:?}");
        }
    }
}
