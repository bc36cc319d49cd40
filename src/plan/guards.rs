//! One function per thing that must not happen. Each says why, as a sentence for people, or `None` when it may.

use super::{Action, Operation};
use crate::object::{ObjectId, kinds};
use crate::pki::KeyPurpose;

/// Volumes and root keys live as long as the data: nothing that is planned for a living cluster deletes them.
pub fn never_while_the_cluster_lives(action: &Action) -> Option<String> {
    match &action.operation {
        Operation::Delete { .. } => never_deleted(&action.id),
        Operation::Reissue { purpose, .. } => never_reissued(*purpose),
        Operation::Create { .. }
        | Operation::Apply { .. }
        | Operation::Adopt { .. }
        | Operation::Issue { .. }
        | Operation::Fill { .. }
        | Operation::Grow { .. }
        | Operation::Recreate { .. }
        | Operation::PatchMetadata { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. } => None,
    }
}

/// A volume or a key of a living cluster is never deleted, whatever the answer about it says.
pub fn never_deleted(id: &ObjectId) -> Option<String> {
    if id.kind == kinds::PERSISTENT_VOLUME_CLAIM {
        return Some("a volume is never deleted while its cluster lives".to_owned());
    }
    if id.kind == kinds::SECRET && is_root_key_name(&id.name) {
        return Some("a root key is never deleted while its cluster lives".to_owned());
    }
    if id.kind == kinds::NAMESPACE || id.kind == kinds::CUSTOM_RESOURCE_DEFINITION {
        return Some("it holds more than one cluster".to_owned());
    }
    None
}

/// A root key is made once: a new one would lock out every client, worker and member.
pub fn never_reissued(purpose: KeyPurpose) -> Option<String> {
    purpose
        .is_root()
        .then(|| "a root key that exists is never made anew".to_owned())
}

/// A fleet writes clusters, and deletes nothing else.
pub fn never_by_a_fleet(action: &Action) -> Option<String> {
    let is_cluster = action.id.kind == kinds::K0SMOTRON_CLUSTER;
    match &action.operation {
        Operation::Delete { .. } if is_cluster => None,
        Operation::Delete { .. } => Some("a fleet deletes nothing but clusters".to_owned()),
        Operation::Adopt { .. } if is_cluster => None,
        Operation::Adopt { .. } => Some("a fleet takes over nothing but clusters".to_owned()),
        Operation::Issue { .. } | Operation::Reissue { .. } | Operation::Fill { .. } => {
            Some("a fleet makes no keys".to_owned())
        }
        Operation::Grow { .. } | Operation::Recreate { .. } => Some("a fleet touches no volumes".to_owned()),
        Operation::ChangeMembers { .. } | Operation::ReplacePod { .. } => {
            Some("a fleet leaves etcd to the operator".to_owned())
        }
        Operation::Create { .. } | Operation::Apply { .. } | Operation::PatchMetadata { .. } => None,
    }
}

/// Names end with the purpose, and pins may stand in a Secret of their own.
fn is_root_key_name(name: &str) -> bool {
    let suffixes = KeyPurpose::ALL
        .into_iter()
        .filter(|purpose| purpose.is_root())
        .map(KeyPurpose::suffix)
        .chain(["pins"]);
    suffixes
        .map(|suffix| format!("-{suffix}"))
        .any(|ending| name.ends_with(&ending))
}
