//! Keys and certificates that the user gives, in Secrets that stay the user's.
//!
//! Nothing of such a Secret is copied, changed or taken: pods mount it where they would mount ours, and certificates
//! that are made are signed with it. The pins, which stand on the Secret of the cluster CA otherwise, then stand on an
//! empty Secret of their own that lives as a key does.

use serde_json::json;

use super::answer::{Answer, Answers, Desired, Stalled};
use super::facts::Facts;
use super::key_secrets::{SECRET_TYPE, pins, right};
use super::parts::{Pods, object};
use super::resolved::ResolvedCluster;
use crate::api::{ClusterSpec, labels, names};
use crate::object::kinds;
use crate::pki::{self, Given, GivenKey, KeyFacts, KeyPurpose};

use std::collections::BTreeMap;

/// Reason when a Secret that is given cannot be used.
pub const UNUSABLE: &str = "CertificateRefUnusable";

/// Certificates of etcd that its CA signs.
const OF_ETCD: [KeyPurpose; 3] = [
    KeyPurpose::ApiserverEtcdClient,
    KeyPurpose::EtcdServer,
    KeyPurpose::EtcdPeer,
];

/// Name of the Secret with a key or certificate: the user's where one is given.
pub(super) fn secret_name(spec: &ClusterSpec, cluster: &str, purpose: KeyPurpose) -> String {
    let mut refs = spec.certificate_refs.iter();
    let given = refs.find(|one| KeyPurpose::given_as(one.certificate_type) == purpose);
    given.map_or_else(
        || names::key(cluster, purpose.suffix()),
        |given| given.name.clone(),
    )
}

/// Fingerprint of the cluster CA when it is given.
pub(super) fn authority(facts: &Facts) -> Option<String> {
    let given = facts.given.get(&KeyPurpose::Ca)?;
    given.found.as_ref().ok().map(|key| key.fingerprint.clone())
}

/// Certificates of CAs that k0s cannot read where they are given, for more stands beside them.
pub(super) fn lone_certificates(facts: &Facts) -> BTreeMap<KeyPurpose, String> {
    let certificate = |given: &Given| given.found.as_ref().ok()?.lone_certificate.clone();
    let all = facts.given.iter();
    all.filter_map(|(purpose, given)| Some((*purpose, certificate(given)?)))
        .collect()
}

impl ResolvedCluster {
    /// Name of the Secret with a key or certificate of this cluster: the user's where one is given.
    pub fn key_secret(&self, purpose: KeyPurpose) -> String {
        secret_name(&self.spec, &self.name, purpose)
    }
}

impl Facts {
    /// Name of the Secret with a key or certificate: the user's where one is given.
    pub(super) fn key_secret(&self, purpose: KeyPurpose) -> String {
        let given = self.given.get(&purpose);
        given.map_or_else(
            || names::key(&self.name, purpose.suffix()),
            |given| given.secret.clone(),
        )
    }

    /// Adds what was read of the Secrets that the user gives. What cannot be used is no key.
    pub fn with_given(mut self, given: BTreeMap<KeyPurpose, Given>) -> Self {
        let is_retained = self.pins_secret.as_ref().is_some_and(|pins| pins.is_retained);
        let etcd = given
            .get(&KeyPurpose::Etcd)
            .and_then(|etcd| etcd.found.as_ref().ok());
        let signer = etcd.map(|etcd| etcd.fingerprint.clone());
        for (&purpose, given) in &given {
            let Ok(found) = &given.found else {
                self.keys.remove(&purpose);
                continue;
            };
            let facts = KeyFacts {
                uid: found.uid.clone(),
                cluster_uid: Some(self.uid.clone()),
                fingerprint: Some(found.fingerprint.clone()),
                not_after: found.not_after.clone(),
                issuer: signer.clone().filter(|_| OF_ETCD.contains(&purpose)),
                content_digest: None,
                is_retained: is_retained && purpose.is_root(),
            };
            self.keys.insert(purpose, facts);
        }
        self.given = given;
        self
    }
}

/// Says why nothing can be made with what is given. Nothing is made then, so that nothing is half made.
pub(super) fn refusal(spec: &ClusterSpec, facts: &Facts) -> Option<Stalled> {
    for one in &spec.certificate_refs {
        let field = format!("spec.certificateRefs[{}]", one.certificate_type.as_str());
        let purpose = KeyPurpose::given_as(one.certificate_type);
        let Some(given) = facts.given.get(&purpose) else {
            return Some(Stalled {
                reason: "NotReadable".to_owned(),
                message: format!("{field}: Secret `{}` was not looked at", one.name),
            });
        };
        let why = match &given.found {
            Err(why) => Some(why.clone()),
            Ok(found) => wrong(purpose, found, facts),
        };
        if let Some(why) = why {
            return Some(Stalled {
                reason: UNUSABLE.to_owned(),
                message: format!("{field}: Secret `{}` {why}", one.name),
            });
        }
    }
    None
}

/// Says what a Secret lacks that can be read, as a phrase that follows its name.
fn wrong(purpose: KeyPurpose, found: &GivenKey, facts: &Facts) -> Option<String> {
    let given = |purpose: KeyPurpose| facts.given.get(&purpose).and_then(|one| one.found.as_ref().ok());
    let is_given = |purpose: &&KeyPurpose| facts.given.contains_key(*purpose);
    match purpose {
        KeyPurpose::Ca => {
            let known = facts
                .pins_secret
                .as_ref()
                .and_then(|pins| pins.fingerprint.as_ref());
            let known = known.or(facts.ca_fingerprint.as_ref());
            known.filter(|known| **known != found.fingerprint).map(|_| {
                "holds another CA than the cluster was made with; workers and clients trust that one: put it back"
                    .to_owned()
            })
        }
        KeyPurpose::Etcd if !found.has_key => {
            let missing: Vec<&str> = OF_ETCD
                .iter()
                .filter(|purpose| !is_given(purpose))
                .map(|purpose| purpose.suffix())
                .collect();
            (!missing.is_empty()).then(|| {
                format!(
                    "has no `tls.key`, and what it would have to sign is not given: {}; add the key, or these references",
                    missing.join(", ")
                )
            })
        }
        KeyPurpose::ApiserverEtcdClient | KeyPurpose::EtcdServer | KeyPurpose::EtcdPeer => {
            match given(KeyPurpose::Etcd) {
                Some(etcd) if etcd.subject == found.signer => None,
                Some(_) => Some("is not signed by the CA that is given for etcd".to_owned()),
                None if facts.given.contains_key(&KeyPurpose::Etcd) => None,
                None => Some(
                    "is of no use without the CA that signed it; add a reference of type etcd".to_owned(),
                ),
            }
        }
        KeyPurpose::Etcd
        | KeyPurpose::Proxy
        | KeyPurpose::Sa
        | KeyPurpose::NatsToken
        | KeyPurpose::Kubeconfig
        | KeyPurpose::IngressHaproxy
        | KeyPurpose::Monitoring => None,
    }
}

/// Answers for the Secret that holds the pins.
pub(super) fn answer_pins(cluster: &ResolvedCluster, answers: &mut Answers) {
    let name = names::pins(&cluster.name);
    let answer = match &cluster.pins_secret {
        None => {
            // It lives as long as the data, so nothing that goes with the cluster object may own it.
            let mut metadata = cluster.metadata(&name, Pods::ControlPlane, "pki");
            metadata["annotations"] =
                json!({labels::PINS: pins(cluster), labels::FINGERPRINT: cluster.given_ca});
            let secret = object(kinds::SECRET, metadata, json!({"type": SECRET_TYPE}));
            Answer::Want(Desired::Object(secret))
        }
        Some(found) => match pki::ownership(&name, found, &cluster.known_uids) {
            Ok(ownership) => Answer::Want(right(cluster, KeyPurpose::Ca, ownership)),
            Err((_, message)) => Answer::Keep {
                waiting_on: format!("a person: {message}"),
            },
        },
    };
    answers.insert(cluster.id(kinds::SECRET, name), answer);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::api::cluster_parts::StorageType;
    use crate::object::ObjectId;
    use crate::render::Part;
    use crate::render::world::World;

    fn key(name: &str, has_key: bool, signer: &str) -> Given {
        Given {
            secret: format!("my-{name}"),
            found: Ok(GivenKey {
                uid: format!("uid-{name}"),
                fingerprint: format!("print-{name}"),
                not_after: Some("2036-01-01T00:00:00Z".into()),
                has_key,
                subject: Some(name.to_owned()),
                signer: Some(signer.to_owned()),
                lone_certificate: None,
            }),
        }
    }

    fn world(given: &[(&str, bool)]) -> World {
        let refs: Vec<Value> = given
            .iter()
            .map(|(name, _)| json!({"type": name, "name": format!("my-{name}")}))
            .collect();
        let mut world = World::new(json!({"certificateRefs": refs}));
        world.given = given
            .iter()
            .map(|(name, has_key)| {
                let purpose = KeyPurpose::ALL
                    .into_iter()
                    .find(|one| one.suffix() == *name)
                    .unwrap();
                let signer = if OF_ETCD.contains(&purpose) { "etcd" } else { name };
                (purpose, key(name, *has_key, signer))
            })
            .collect();
        world
    }

    const ROOTS: [(&str, bool); 4] = [("ca", true), ("proxy", true), ("sa", true), ("etcd", true)];

    #[test]
    fn what_is_not_given_is_made_and_signed_by_what_is() {
        let mut world = world(&ROOTS);
        world.settle();
        let secrets: Vec<&str> = world
            .live
            .keys()
            .filter(|id| id.kind == kinds::SECRET)
            .map(|id| id.name.as_str())
            .collect();
        let made = [
            "apiserver-etcd-client",
            "etcd-peer",
            "etcd-server",
            "kubeconfig",
            "pins",
        ];
        assert_eq!(secrets, made.map(|name| format!("edge-{name}")));
        let mounted = world.template("kmc-edge").to_string();
        assert!(
            mounted.contains("\"my-ca\"") && !mounted.contains("\"edge-ca\""),
            "{mounted}"
        );
        assert_eq!(world.held(), Vec::<String>::new());
        assert_eq!(world.resolved().stored_pins, Some(world.resolved().pins));
        let pins = world.get(kinds::SECRET, "edge-pins");
        assert_eq!(pins.annotation(labels::FINGERPRINT), Some("print-ca"));
        assert!(pins.controller_uid().is_none());
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({"type": "kine", "kine": {"dataSourceSecretName": "db"}}))]
    fn of_a_ca_among_others_k0s_reads_the_certificate_from_the_configuration(#[case] storage: Value) {
        let mut world = world(&[("ca", true), ("proxy", true)]);
        let ca = world.given.get_mut(&KeyPurpose::Ca).unwrap();
        ca.found.as_mut().unwrap().lone_certificate = Some("the one".into());
        world.cluster.spec.storage = serde_json::from_value(storage).unwrap();
        let is_etcd = crate::render::storage_plan::wanted_type(&world.cluster.spec) == StorageType::Etcd;
        world.settle();
        let template = world.template("kmc-edge");
        let volumes = template["spec"]["volumes"].as_array().unwrap();
        let keys = volumes.iter().find(|volume| volume["name"] == "keys").unwrap();
        let sources = keys["projected"]["sources"].as_array().unwrap();
        let of = |kind: &str, name: &str| {
            let source = sources.iter().find(|source| source[kind]["name"] == name);
            source.unwrap()[kind]["items"].clone()
        };
        let file = |key: &str, path: &str, mode: i32| json!([{"key": key, "path": path, "mode": mode}]);
        assert_eq!(of("secret", "my-ca"), file("tls.key", "ca.key", 0o440));
        assert_eq!(of("secret", "my-proxy").as_array().unwrap().len(), 2);
        let kind = if is_etcd { "configMap" } else { "secret" };
        assert_eq!(of(kind, "kmc-edge-config"), file("ca.crt", "ca.crt", 0o444));
        if is_etcd {
            let config = world.get(kinds::CONFIG_MAP, "kmc-edge-config");
            assert_eq!(config.text("/data/ca.crt"), Some("the one"));
        } else {
            let id = ObjectId::new(kinds::SECRET, "tenant-7", "kmc-edge-config");
            let answers = world.answers();
            let Some(Answer::Want(Desired::Filled { fill, .. })) = answers.get(&id) else {
                panic!("no configuration");
            };
            assert_eq!(fill.files["ca.crt"], [Part::Text("the one".into())]);
        }
        assert_eq!(world.held(), Vec::<String>::new());
    }

    #[test]
    fn a_restored_backup_takes_the_pins_back() {
        let mut world = world(&ROOTS);
        world.settle();
        let before = world.lasting();
        world.cluster.metadata.uid = Some("uid-2".into());
        world.settle();
        assert_eq!(world.lasting(), before);
        assert_eq!(world.resolved().pins.cluster_uid.as_deref(), Some("uid-2"));
        assert_eq!(
            world.get(kinds::SECRET, "edge-pins").label(labels::CLUSTER_UID),
            Some("uid-2")
        );
    }

    #[rstest]
    #[case(&[("etcd", false)], "apiserver-etcd-client, etcd-server, etcd-peer")]
    #[case(&[("etcd", false), ("etcd-server", true), ("etcd-peer", true)], "not given: apiserver-etcd-client;")]
    #[case(&[("etcd-peer", true)], "without the CA that signed it")]
    fn what_does_not_fit_together_is_refused_before_anything_is_made(
        #[case] given: &[(&str, bool)],
        #[case] expected: &str,
    ) {
        let stalled = world(given).resolve().unwrap_err();
        assert_eq!(stalled.reason, UNUSABLE);
        assert!(stalled.message.contains(expected), "{}", stalled.message);
    }

    #[test]
    fn another_ca_under_the_same_name_and_one_that_is_gone_stop_everything() {
        let mut world = world(&ROOTS);
        world.settle();
        let ca = KeyPurpose::Ca;
        let mut other = key("ca", true, "ca");
        other.found.as_mut().unwrap().fingerprint = "print-of-another".into();
        world.given.insert(ca, other);
        assert!(world.resolve().unwrap_err().message.contains("holds another CA"));
        world.given.get_mut(&ca).unwrap().found = Err("is not there".into());
        let stalled = world.resolve().unwrap_err();
        assert_eq!(
            stalled.message,
            "spec.certificateRefs[ca]: Secret `my-ca` is not there"
        );
        let id = ObjectId::new(kinds::SECRET, "tenant-7", "edge-pins");
        assert!(world.live.contains_key(&id));
    }
}
