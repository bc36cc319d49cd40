//! What another renderer revision of the operator would do to clusters whose spec stays as it is.

use serde::Serialize;

use super::preview::{Consequence, new_actions, of_children};
use super::rehearsal::rehearse;
use super::{Impact, Preview};
use crate::api::K0smotronCluster;
use crate::object::{Object, ObjectId, kinds};
use crate::render::{self, Settings};

/// One cluster that another revision concerns.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgraded {
    pub object: ObjectId,
    pub impact: Impact,
    pub effects: Vec<String>,
    /// Names of the StatefulSets that would change.
    pub stateful_sets: Vec<String>,
    /// Why the revision is not taken up now, when the cluster's update policy holds it back.
    pub held: Option<String>,
}

impl Upgraded {
    /// Says of a cluster that it is not known; `why` is a phrase.
    pub fn unknown(id: &ObjectId, why: &str) -> Self {
        Self {
            object: id.clone(),
            impact: Impact::Unknown,
            effects: vec![format!("not known: {why}")],
            stateful_sets: Vec::new(),
            held: None,
        }
    }
}

/// Says what changes for a live cluster when its operator goes from the settings of `preview` to `then`; `None` when
/// nothing does.
pub fn of_upgrade(id: &ObjectId, live: &Object, preview: &Preview<'_>, then: &Settings) -> Option<Upgraded> {
    let Ok(cluster) = serde_json::from_value::<K0smotronCluster>(live.0.clone()) else {
        return Some(Upgraded::unknown(id, "this version cannot read the live object"));
    };
    let before = rehearse(&cluster, preview).ok()?;
    let then = Preview {
        settings: then,
        ..*preview
    };
    let after = match rehearse(&cluster, &then) {
        Ok(after) => after,
        Err(stalled) => return Some(Upgraded::unknown(id, &stalled.message)),
    };
    let Consequence { impact, effects } = of_children(&after.plan, &before.plan, &after.owner);
    let stateful_sets: Vec<String> = new_actions(&after.plan, &before.plan)
        .filter(|action| action.id.kind == kinds::STATEFUL_SET)
        .map(|action| action.id.name.clone())
        .collect();
    let held = after
        .last
        .held
        .iter()
        .find(|held| held.reason == render::revisions::HELD)
        .map(|held| held.message.clone());
    let is_concerned = impact > Impact::Safe || !stateful_sets.is_empty() || held.is_some();
    is_concerned.then(|| Upgraded {
        object: id.clone(),
        impact,
        effects,
        stateful_sets,
        held,
    })
}
