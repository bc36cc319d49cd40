//! The volume claims of the pods: made by their StatefulSets, never dropped, and taken back from a predecessor.

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::resolved::ResolvedCluster;
use crate::api::labels;
use crate::object::kinds;

/// Answers for the claims that exist. Only a deletion policy ever removes one.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    for (name, volume) in &cluster.volumes {
        if let Some(size) = cluster.growth.claims.get(name) {
            let size = size.clone();
            answers.insert(
                cluster.id(kinds::PERSISTENT_VOLUME_CLAIM, name),
                Answer::Want(Desired::Grown { size }),
            );
            continue;
        }
        // One that says nothing belongs to whoever has the keys: the StatefulSet made it.
        let Some(uid) = &volume.cluster_uid else { continue };
        let is_ours = *uid == cluster.uid && !volume.is_retained;
        let answer = if !cluster.known_uids.contains(uid) {
            Answer::Keep {
                waiting_on: format!(
                    "a person: it belongs to another cluster (uid {uid}); delete it if its data is not needed"
                ),
            }
        } else if is_ours {
            Answer::Want(Desired::AsItIs)
        } else {
            Answer::Want(Desired::Metadata {
                patch: json!({"labels": {labels::CLUSTER_UID: cluster.uid, labels::RETAINED: Value::Null}}),
            })
        };
        answers.insert(cluster.id(kinds::PERSISTENT_VOLUME_CLAIM, name), answer);
    }
}
