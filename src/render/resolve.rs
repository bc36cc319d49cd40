//! A spec and facts -> a cluster in which everything is decided.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answer::Stalled;
use super::exposure::{self, Exposure};
use super::facts::{Facts, Settings};
use super::key_plan::Keys;
use super::patches::Patches;
use super::resolved::{EtcdPlan, Growth, ResolvedCluster};
use super::{
    Front, additions, allowed, etcd_plan, given_keys, k0s_settings, objects, persistence, revisions, routes,
    services, storage_plan, supported,
};
use crate::api::cluster_parts::{KeyAlgorithm, StorageType, UpdatePolicy};
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, Pins, names};
use crate::etcd::{self, SettingRefusal};
use crate::k0s::{self, Network, Refusal, Version};
use crate::pki::{KeyDecision, KeyPurpose};

/// Decides every default, pin and refusal of a cluster.
///
/// Errors when nothing of this generation may be rendered; the message says what a person must do.
pub fn resolve(spec: &ClusterSpec, facts: &Facts, settings: &Settings) -> Result<ResolvedCluster, Stalled> {
    check(spec, facts, settings)?;
    let patches = Patches::read(spec)?;
    let mut held = Vec::new();
    let version = version(spec, facts, settings, &mut held)?;
    if let Some(refusal) = k0s_settings::refusal(spec, version) {
        return Err(refusal);
    }
    let image = k0s::reference(spec.image.as_deref(), spec.image_repository.as_deref(), version);
    let revision = revision(spec, facts, settings, &image, &mut held)?;
    let replicas = spec.replicas.unwrap_or(1);
    if !(0..=9).contains(&replicas) {
        return Err(invalid("spec.replicas", "write a number from 0 to 9"));
    }
    let replicas = storage_plan::replicas(spec, facts, replicas, &mut held);
    let storage = storage_plan::decide(spec, facts, &mut held)?;
    let mut growth = Growth::default();
    let data_volume = persistence::decide(spec, facts, &mut held, &mut growth)?;
    let nats_claim = persistence::nats_claim(spec, facts, &mut held, &mut growth);
    let etcd_settings = etcd_settings(spec)?;
    let front = Front::read(spec, version)?;
    held.extend(routes::held(spec, facts.routes));
    let exposure = exposure::decide(spec, facts, settings, front.as_ref(), &mut held);
    let network = Network::read(spec.k0s_config.as_ref());
    let can_change = exposure.endpoint.is_ok();
    let etcd = match storage.storage_type() {
        StorageType::Etcd => etcd_plan::decide(
            spec,
            facts,
            settings,
            replicas,
            can_change,
            &mut held,
            &mut growth,
        )?,
        StorageType::Kine | StorageType::Nats => etcd_plan::none(),
    };
    let key_algorithm = facts
        .pins
        .key_algorithm
        .or_else(|| spec.pki.as_ref()?.key_algorithm)
        .unwrap_or(KeyAlgorithm::EcdsaP256);
    let known_uids = known_uids(facts);
    let keys = Keys {
        spec,
        facts,
        settings,
        exposure: &exposure,
        front: front.as_ref(),
        network: &network,
        algorithm: key_algorithm,
        known_uids: &known_uids,
    };
    let renew_before = keys.leaf_renew_before()?;
    let keys = keys.decide(&mut held)?;
    let pins = pins(
        facts,
        version,
        (storage.storage_type(), &etcd),
        &exposure,
        key_algorithm,
        revision,
    );
    growth.is_refused = held.iter().any(|held| held.reason == "NotPossible");
    held.extend(services::held(spec, facts));
    let mut cluster = ResolvedCluster {
        name: facts.name.clone(),
        namespace: facts.namespace.clone(),
        uid: facts.uid.clone(),
        known_uids,
        spec: spec.clone(),
        revision,
        version,
        image,
        replicas,
        storage,
        data_volume,
        nats_claim,
        growth,
        etcd,
        etcd_settings,
        haproxy_fingerprint: haproxy_fingerprint(&keys, facts),
        front,
        routes: facts.routes,
        network,
        service_type: exposure.service_type,
        services: exposure::by_type(facts),
        endpoint: exposure.endpoint,
        ports: exposure.ports,
        keys_wait: exposure.keys_wait,
        key_algorithm,
        keys,
        given_ca: given_keys::authority(facts),
        lone_certificates: given_keys::lone_certificates(facts),
        pins_secret: facts.pins_secret.clone(),
        renew_before,
        volumes: facts.volumes.clone(),
        found_pins: facts.pins.clone(),
        pins,
        stored_pins: facts.stored_pins.clone(),
        stateful_sets: facts.stateful_sets.clone(),
        cluster_domain: settings.cluster_domain.clone(),
        network_policies: settings.network_policies.clone(),
        patches,
        held,
    };
    let of_no_use = objects::check(&cluster, settings)?;
    cluster.held.extend(of_no_use);
    cluster.held.sort();
    cluster.held.dedup();
    Ok(cluster)
}

/// What is known of the certificate of the proxies; nothing of one that is not ours.
fn haproxy_fingerprint(keys: &BTreeMap<KeyPurpose, KeyDecision>, facts: &Facts) -> Option<String> {
    let purpose = KeyPurpose::IngressHaproxy;
    let is_ours = keys.get(&purpose).is_some_and(KeyDecision::is_settled);
    let found = facts.keys.get(&purpose).filter(|_| is_ours);
    found.and_then(|found| found.fingerprint.clone())
}

/// Returns the refusal of a field that the API server should not have let through.
pub(super) fn invalid(field: &str, what_to_do: &str) -> Stalled {
    Stalled {
        reason: "InvalidSpec".to_owned(),
        message: format!("{field} cannot be used; {what_to_do}"),
    }
}

fn etcd_settings(spec: &ClusterSpec) -> Result<Map<String, Value>, Stalled> {
    let Some(etcd) = spec.storage.as_ref().and_then(|storage| storage.etcd.as_ref()) else {
        return Ok(Map::new());
    };
    etcd::settings(&etcd.args).map_err(|SettingRefusal { name, what_to_do }| {
        invalid(&format!("spec.storage.etcd.args[{name}]"), &what_to_do)
    })
}

/// Reasons not to look any further.
fn check(spec: &ClusterSpec, facts: &Facts, settings: &Settings) -> Result<(), Stalled> {
    let stalled = |reason: &str, message: String| {
        Err(Stalled {
            reason: reason.to_owned(),
            message,
        })
    };
    if facts.name.len() > names::CLUSTER_NAME_MAX {
        return stalled(
            "NameTooLong",
            format!(
                "the name has {} characters and may have {}; make a cluster with a shorter one",
                facts.name.len(),
                names::CLUSTER_NAME_MAX
            ),
        );
    }
    if !is_label(&facts.name) {
        return stalled(
            "InvalidName",
            "the name is no DNS label; make a cluster whose name has only a-z, 0-9 and `-`, and begins with a letter"
                .to_owned(),
        );
    }
    if let Some(refusal) = supported::unsupported(spec) {
        return Err(refusal);
    }
    if let Some(refusal) = allowed::refusal_of_spec(spec, settings) {
        return Err(refusal);
    }
    if let Some(refusal) = additions::refusal(spec) {
        return Err(refusal);
    }
    if let Some(refusal) = given_keys::refusal(spec, facts) {
        return Err(refusal);
    }
    if let Some(refusal) = storage_plan::change(spec, facts) {
        return Err(refusal);
    }
    if !facts.unreadable.is_empty() {
        return stalled(
            "NotReadable",
            format!("cannot read all of: {}", facts.unreadable.join(", ")),
        );
    }
    check_leftovers(facts, storage_plan::wanted_type(spec))
}

/// Services must be called by names that begin with a letter; ours begin with `kmc-`, but a Secret's does not.
fn is_label(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(|&byte| byte != b'-');
    name.bytes().all(allowed) && edge(name.as_bytes().first()) && edge(name.as_bytes().last())
}

/// A root key that is gone while what was made with it is still there is never made anew: the data, or every worker,
/// belongs to the old one.
fn check_leftovers(facts: &Facts, storage: StorageType) -> Result<(), Stalled> {
    let secret = |purpose: KeyPurpose| names::key(&facts.name, purpose.suffix());
    let missing: Vec<String> = KeyPurpose::ALL
        .into_iter()
        .filter(|purpose| {
            purpose.is_root() && purpose.is_needed_with(storage) && !facts.keys.contains_key(purpose)
        })
        .map(secret)
        .collect();
    let ca = facts.keys.get(&KeyPurpose::Ca);
    let with_other_ca = facts.volumes.iter().find(|(_, volume)| {
        let fingerprint = ca.and_then(|ca| ca.fingerprint.as_ref());
        volume.ca_fingerprint.is_some() && volume.ca_fingerprint.as_ref() != fingerprint
    });
    let leftover = match (ca, with_other_ca, facts.volumes.keys().next()) {
        (_, Some((name, _)), _) => Some(name),
        (None, None, Some(name)) if facts.stateful_sets.is_empty() => Some(name),
        _ => None,
    };
    if let Some(name) = leftover {
        return Err(Stalled {
            reason: "LeftoverVolume".to_owned(),
            message: format!(
                "PersistentVolumeClaim `{name}` is left over from another cluster of this name whose keys are not \
                 here; delete it if its data is not needed, or restore the Secrets that belong to it"
            ),
        });
    }
    let has_run = !facts.stateful_sets.is_empty() || !facts.volumes.is_empty();
    let is_lost = has_run || (facts.ca_fingerprint.is_some() && ca.is_none());
    if is_lost && !missing.is_empty() {
        return Err(Stalled {
            reason: "KeyMissing".to_owned(),
            message: format!(
                "gone: Secret {}. Keys are never made anew for a cluster that exists; restore them from a backup, or \
                 delete the cluster",
                missing
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        });
    }
    Ok(())
}

fn version(
    spec: &ClusterSpec,
    facts: &Facts,
    settings: &Settings,
    held: &mut Vec<HeldStatus>,
) -> Result<Version, Stalled> {
    let parse = |text: &String| Version::parse(text);
    let target = facts.pins.version.as_ref().and_then(parse);
    let running = facts.running_version.as_ref().and_then(parse);
    let wanted = match &spec.version {
        Some(text) => parse(text)
            .ok_or_else(|| invalid("spec.version", "write v1.36.3+k0s.2, v1.36.3-k0s.2 or v1.36.3"))?,
        None => match target {
            Some(target) => target,
            None => parse(&settings.default_version).ok_or_else(|| {
                invalid(
                    "the operator's default version",
                    "give the operator a k0s version as default",
                )
            })?,
        },
    };
    let (chosen, refusal) = k0s::choose(wanted, target, running);
    if let Some(refusal) = refusal {
        let (reason, message) = match refusal {
            Refusal::Skew(message) => ("VersionSkew", message),
            Refusal::Rolling(message) => ("Rolling", message),
        };
        held.push(HeldStatus {
            what: "spec.version".to_owned(),
            reason: reason.to_owned(),
            message,
        });
    }
    Ok(chosen)
}

/// The renderer revision in effect.
fn revision(
    spec: &ClusterSpec,
    facts: &Facts,
    settings: &Settings,
    image: &str,
    held: &mut Vec<HeldStatus>,
) -> Result<u32, Stalled> {
    let newest = settings.renderer_revision;
    let Some(pinned) = facts.pins.renderer_revision else {
        return Ok(newest);
    };
    if !revisions::is_known(pinned) {
        return Err(Stalled {
            reason: "OperatorTooOld".to_owned(),
            message: format!(
                "made with renderer revision {pinned}, and this operator knows up to {}; run a newer operator",
                revisions::newest()
            ),
        });
    }
    if pinned >= newest {
        return Ok(pinned);
    }
    let live_image = facts
        .stateful_sets
        .get(&names::control_plane(&facts.name))
        .and_then(|pods| pods.image.as_deref());
    let rolls_anyway = live_image.is_some_and(|live| live != image);
    let why = match spec.update_policy.unwrap_or(UpdatePolicy::WithNextRoll) {
        UpdatePolicy::Always => return Ok(newest),
        UpdatePolicy::WithNextRoll if rolls_anyway => return Ok(newest),
        UpdatePolicy::WithNextRoll => "it is taken up when the pods roll for another reason",
        UpdatePolicy::Pinned => "`updatePolicy: Pinned` keeps the old one",
    };
    held.push(HeldStatus {
        what: "renderer".to_owned(),
        reason: revisions::HELD.to_owned(),
        message: format!("revision {newest} is there and {pinned} is in use; {why}"),
    });
    Ok(pinned)
}

fn known_uids(facts: &Facts) -> Vec<String> {
    let pinned = facts
        .pins
        .cluster_uid
        .iter()
        .filter(|pinned| **pinned != facts.uid);
    std::iter::once(&facts.uid).chain(pinned).cloned().collect()
}

/// What is stored, so that neither a lost status nor a restored backup changes anything.
fn pins(
    facts: &Facts,
    version: Version,
    (storage, etcd): (StorageType, &EtcdPlan),
    exposure: &Exposure,
    key_algorithm: KeyAlgorithm,
    revision: u32,
) -> Pins {
    let is_retained = facts.keys.get(&KeyPurpose::Ca).is_some_and(|ca| ca.is_retained);
    let created_at = facts.pins.created_at.clone();
    let cluster_uid = match &facts.pins.cluster_uid {
        // Not yet: what still names the old uid would no longer be known as ours.
        Some(pinned) if !facts.left_to_adopt.is_empty() => pinned.clone(),
        _ => facts.uid.clone(),
    };
    let pins = Pins {
        version: Some(version.to_string()),
        // Etcd's members say that it is etcd.
        storage_type: Some(storage).filter(|storage| *storage != StorageType::Etcd),
        etcd_image: Some(etcd.image.clone()).filter(|_| storage == StorageType::Etcd),
        etcd_members: Some(etcd.membership.wanted).filter(|_| storage == StorageType::Etcd),
        etcd: etcd.membership.stored.clone(),
        service_type: Some(exposure.service_type),
        api_port: exposure.ports.0,
        konnectivity_port: exposure.ports.1,
        external_address: exposure.host.clone(),
        written_address: exposure.written_address.clone(),
        sans: exposure.sans.clone(),
        key_algorithm: Some(key_algorithm),
        renderer_revision: Some(revision),
        // A cluster that takes up what another left behind begins to live now; a restored one goes on.
        created_at: created_at
            .filter(|_| !is_retained)
            .or_else(|| facts.created_at.clone()),
        cluster_uid: Some(cluster_uid),
    };
    // An earlier release did not note this, which alone is no reason to write.
    let without = Pins {
        written_address: None,
        ..pins.clone()
    };
    if facts.stored_pins.as_ref() == Some(&without) {
        without
    } else {
        pins
    }
}
