//! Asking the members of an etcd, when there is something to find out from them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Operator;
use crate::api::{labels, names};
use crate::client::{ListQuery, chain};
use crate::etcd::{self, Answer, Asked, Place, Step};
use crate::hosted;
use crate::object::{ObjectId, kinds};
use crate::render::{Facts, ResolvedCluster};

/// While a change goes on: members catch up and pods start within seconds.
const SOON: Duration = Duration::from_secs(2);
/// Where they could not be reached they will hardly be in a moment.
const UNREACHABLE: Duration = Duration::from_secs(60);

impl Operator {
    /// Asks the members and looks at their pods.
    ///
    /// Never fails. *Effects*: nothing for a while after they could not be reached; else look-ups of their names, and
    /// where these lead somewhere one LIST of pods, two GETs of Secrets, and questions to the members.
    pub(super) async fn ask_members(&self, key: &ObjectId, facts: &Facts, place: &Place) -> Asked {
        if let Some((at, asked)) = self.unreachable().get(key)
            && at.elapsed() < UNREACHABLE
        {
            return asked.clone();
        }
        let members = hosted::members(&self.options.client, place).await;
        if let Answer::Unreachable { .. } = &members {
            let asked = Asked {
                members,
                pods: BTreeMap::new(),
            };
            self.unreachable()
                .insert(key.clone(), (Instant::now(), asked.clone()));
            return asked;
        }
        self.unreachable().remove(key);
        let query = ListQuery::new(kinds::POD, &place.namespace).with_labels(format!(
            "{}={},{}={},{}={}",
            labels::APP,
            labels::APP_VALUE,
            labels::CLUSTER,
            facts.name,
            labels::COMPONENT,
            labels::COMPONENT_ETCD
        ));
        let set = facts.stateful_sets.get(&names::etcd(&facts.name));
        let revision = set.and_then(|set| set.update_revision.as_deref());
        match self.options.client.list_all(&query).await {
            Ok(pods) => Asked {
                members,
                pods: etcd::pods(&pods, &place.stateful_set, revision),
            },
            Err(error) => Asked {
                members: Answer::Silent { why: chain(&error) },
                pods: BTreeMap::new(),
            },
        }
    }
}

/// Members that there should be now: where they cannot be reached, those that there are.
pub(super) fn expected(cluster: &ResolvedCluster) -> i32 {
    let membership = &cluster.etcd.membership;
    match &membership.step {
        Some(Step::Held { .. }) => membership.record.running,
        Some(
            Step::Settled
            | Step::Wait { .. }
            | Step::Change(_)
            | Step::Record { .. }
            | Step::ReplacePod { .. },
        )
        | None => membership.wanted,
    }
}

/// What goes on among the members, as a sentence without full stop.
pub(super) fn in_words(cluster: &ResolvedCluster) -> Option<String> {
    let membership = &cluster.etcd.membership;
    let (running, wanted) = (membership.record.running, membership.wanted);
    let why = match membership.step.as_ref()? {
        Step::Settled | Step::Held { .. } => return None,
        Step::Wait { why }
        | Step::Record { record: _, why }
        | Step::ReplacePod {
            member: _,
            uid: _,
            why,
        } => why,
        Step::Change(change) => &change.why,
    };
    Some(if running == wanted {
        why.clone()
    } else {
        format!("{running} of {wanted} members; {why}")
    })
}

/// Says when to look at the members again although nothing changes; `None` when there is no need to.
pub(super) fn look_again(cluster: &ResolvedCluster) -> Option<Duration> {
    match cluster.etcd.membership.step.as_ref()? {
        Step::Settled => None,
        Step::Held { .. } => Some(UNREACHABLE),
        Step::Wait { .. } | Step::Change(_) | Step::Record { .. } | Step::ReplacePod { .. } => Some(SOON),
    }
}
