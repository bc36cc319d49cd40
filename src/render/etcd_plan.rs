//! How many members an etcd has, of which image, on which volumes.

use super::answer::Stalled;
use super::etcd_members::{self, Awake, WantedMembers};
use super::facts::{Facts, Settings};
use super::gather::ETCD_CLAIM;
use super::growth::{Claims, DEFAULT_SIZE, Size};
use super::resolve::invalid;
use super::resolved::{EtcdPlan, Growth, Membership};
use crate::api::cluster_parts::{EtcdSpec, VolumeSize};
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, EtcdPins, names};
use crate::k0s;

/// Decides about the etcd of a cluster, and adds to `held` what is not done.
pub(super) fn decide(
    spec: &ClusterSpec,
    facts: &Facts,
    settings: &Settings,
    replicas: i32,
    can_change: bool,
    held: &mut Vec<HeldStatus>,
    growth: &mut Growth,
) -> Result<EtcdPlan, Stalled> {
    let etcd = spec
        .storage
        .as_ref()
        .and_then(|storage| storage.etcd.clone())
        .unwrap_or_default();
    let EtcdSpec {
        image: written_image,
        members: written_members,
        persistence,
        args: _,
        resources: _,
        defrag_job: _,
    } = etcd;
    let derived = match replicas {
        ..=1 => 1,
        2..=3 => 3,
        _ => 5,
    };
    if written_members.is_some_and(|written| ![1, 3, 5].contains(&written)) {
        return Err(invalid("spec.storage.etcd.members", "write 1, 3 or 5"));
    }
    let wanted = WantedMembers {
        written: written_members,
        derived,
    };
    let awake = if replicas == 0 {
        Awake::Hibernated
    } else {
        Awake::Yes
    };
    let membership = etcd_members::decide(wanted, facts, settings, awake, can_change, held);
    let mut hold = |what: &str, reason: &str, message: String| {
        held.push(HeldStatus {
            what: what.to_owned(),
            reason: reason.to_owned(),
            message,
        });
    };

    let default_image = k0s::with_repository(&settings.default_etcd_image, spec.image_repository.as_deref());
    let image = match (written_image, facts.pins.etcd_image.clone()) {
        (Some(written), Some(pinned)) => match refused_image(&pinned, &written) {
            Some(why) => {
                hold("spec.storage.etcd.image", "VersionSkew", why);
                pinned
            }
            None => written,
        },
        (Some(written), None) => written,
        (None, pinned) => pinned.unwrap_or(default_image),
    };

    let VolumeSize { storage_class, size } = persistence.unwrap_or_default();
    let claims = Claims {
        facts,
        stateful_set: &names::etcd(&facts.name),
        template: ETCD_CLAIM,
        field: "spec.storage.etcd.persistence",
    };
    let Size {
        size: volume_size,
        storage_class,
    } = claims.decide(size.map(|size| size.0), storage_class, held, growth);
    Ok(EtcdPlan {
        image,
        replicas: match awake {
            Awake::Yes => membership.record.running,
            Awake::Hibernated => 0,
        },
        membership,
        volume_size,
        storage_class,
    })
}

/// Returns the etcd of a cluster that keeps its data elsewhere.
pub(super) fn none() -> EtcdPlan {
    EtcdPlan {
        image: String::new(),
        membership: Membership {
            wanted: 0,
            record: EtcdPins::as_it_began(0),
            stored: None,
            question: None,
            step: None,
        },
        replicas: 0,
        volume_size: DEFAULT_SIZE.to_owned(),
        storage_class: None,
    }
}

/// Says why an etcd cannot go from one image to another; `None` also when a tag tells no version.
fn refused_image(from: &str, to: &str) -> Option<String> {
    let (from, to) = (release(from)?, release(to)?);
    if to < from {
        Some(format!(
            "{}.{}.{} runs, and etcd does not go back",
            from.0, from.1, from.2
        ))
    } else if to.0 != from.0 || to.1 > from.1 + 1 {
        Some(format!(
            "{}.{}.{} runs, and etcd goes one minor version at a time; write {}.{} first",
            from.0,
            from.1,
            from.2,
            from.0,
            from.1 + 1
        ))
    } else {
        None
    }
}

/// Major, minor and patch of a tag like `v3.7.1` or `3.6.5-0`.
fn release(image: &str) -> Option<(u32, u32, u32)> {
    let image = image.split_once('@').map_or(image, |(before, _)| before);
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let tag = name.split_once(':')?.1;
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let mut parts = tag.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_goes_forward_one_minor_at_a_time() {
        let refused =
            |from: &str, to: &str| refused_image(&format!("r/etcd:{from}"), &format!("q:5000/etcd:{to}"));
        assert_eq!(refused("v3.6.4", "v3.7.1"), None);
        assert_eq!(refused("v3.7.1", "3.7.3-0"), None);
        assert!(refused("v3.7.1", "v3.6.9").is_some());
        assert!(refused("v3.5.9", "v3.7.1").is_some_and(|why| why.contains("3.6 first")));
        assert_eq!(refused("v3.7.1", "latest"), None);
        assert_eq!(refused_image("etcd@sha256:aa", "etcd:v3.5.0"), None);
    }
}
