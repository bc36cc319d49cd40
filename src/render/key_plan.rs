//! What is to be done about every key and certificate of a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::Front;
use super::answer::Stalled;
use super::exposure::Exposure;
use super::facts::{Facts, Settings};
use super::given_keys;
use super::resolve::invalid;
use super::{front_manifests, monitoring, storage_plan};
use crate::api::cluster_parts::KeyAlgorithm;
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, labels, names};
use crate::k0s::Network;
use crate::pki::{self, EtcdCertificates, Issue, Issuer, KeyDecision, KeyPurpose, KeyRefusal, Wanted};

/// The decisions about all keys of a cluster.
pub(super) struct Keys<'a> {
    pub spec: &'a ClusterSpec,
    pub facts: &'a Facts,
    pub settings: &'a Settings,
    pub exposure: &'a Exposure,
    pub front: Option<&'a Front>,
    pub network: &'a Network,
    pub algorithm: KeyAlgorithm,
    pub known_uids: &'a [String],
}

impl Keys<'_> {
    /// Decides about every key, and adds to `held` which Secrets cannot be used.
    pub fn decide(&self, held: &mut Vec<HeldStatus>) -> Result<BTreeMap<KeyPurpose, KeyDecision>, Stalled> {
        let mut decided = BTreeMap::new();
        let storage = storage_plan::wanted_type(self.spec);
        // Roots first: what they sign needs to know which one it is.
        for purpose in KeyPurpose::ALL {
            if !purpose.is_needed_with(storage) || !self.is_needed(purpose) {
                continue;
            }
            if self.facts.given.contains_key(&purpose) {
                decided.insert(purpose, KeyDecision::Given);
                continue;
            }
            let name = self.secret(purpose);
            let wanted = self.wanted(purpose, &decided)?;
            let found = self.facts.keys.get(&purpose);
            let decision = pki::decide(&name, wanted, found, self.known_uids, self.facts.now);
            if let KeyDecision::Refused { reason, message } = &decision {
                let reason = match reason {
                    KeyRefusal::Foreign => "ForeignObject",
                    KeyRefusal::Leftover => "LeftoverKey",
                };
                held.push(HeldStatus {
                    what: format!("Secret/{name}"),
                    reason: reason.to_owned(),
                    message: message.clone(),
                });
            }
            decided.insert(purpose, decision);
        }
        Ok(decided)
    }

    fn is_needed(&self, purpose: KeyPurpose) -> bool {
        match purpose {
            KeyPurpose::IngressHaproxy => self.front.is_some(),
            KeyPurpose::Monitoring => monitoring::is_enabled(self.spec),
            KeyPurpose::Ca
            | KeyPurpose::Proxy
            | KeyPurpose::Sa
            | KeyPurpose::Etcd
            | KeyPurpose::ApiserverEtcdClient
            | KeyPurpose::EtcdServer
            | KeyPurpose::EtcdPeer
            | KeyPurpose::NatsToken
            | KeyPurpose::Kubeconfig => true,
        }
    }

    fn secret(&self, purpose: KeyPurpose) -> String {
        given_keys::secret_name(self.spec, &self.facts.name, purpose)
    }

    fn wanted(
        &self,
        purpose: KeyPurpose,
        decided: &BTreeMap<KeyPurpose, KeyDecision>,
    ) -> Result<Wanted, Stalled> {
        if let Some(issue) = pki::root(purpose, self.algorithm) {
            let content_digest = pki::content_digest(&issue, &Value::Null);
            return Ok(Wanted {
                issue: self.exposure.keys_wait.clone().map_or(Ok(issue), Err),
                content_digest,
                renew_before: None,
            });
        }
        let lifetime = self.lifetime(purpose)?;
        let renew_before = self.renew_before(purpose, lifetime)?;
        let issue = self
            .issuer(purpose, decided)
            .and_then(|issuer| self.leaf(purpose, issuer, lifetime.as_secs()));
        let extra = self.metadata_of(purpose);
        let content_digest = issue
            .as_ref()
            .map(|issue| pki::content_digest(issue, &extra))
            .unwrap_or_default();
        Ok(Wanted {
            issue,
            content_digest,
            renew_before: Some(renew_before),
        })
    }

    fn lifetime(&self, purpose: KeyPurpose) -> Result<Duration, Stalled> {
        let (written, field) = if purpose == KeyPurpose::Kubeconfig {
            let kubeconfig = self.spec.kubeconfig.as_ref();
            let written = kubeconfig.and_then(|kubeconfig| kubeconfig.lifetime.as_ref());
            (written, "spec.kubeconfig.lifetime")
        } else {
            let pki = self.spec.pki.as_ref();
            (
                pki.and_then(|pki| pki.leaf_lifetime.as_ref()),
                "spec.pki.leafLifetime",
            )
        };
        match written {
            Some(text) => text
                .to_duration()
                .ok_or_else(|| invalid(field, "write a duration, for example 8760h")),
            None => Ok(Duration::from_secs(8760 * 3600)),
        }
    }

    /// How long before its end a certificate of the pods is made anew. The kubeconfig's life is a setting of its own.
    pub fn leaf_renew_before(&self) -> Result<SignedDuration, Stalled> {
        // Any of them: all live equally long.
        let purpose = KeyPurpose::ApiserverEtcdClient;
        self.renew_before(purpose, self.lifetime(purpose)?)
    }

    /// The CA that signs, or what is waited for.
    fn issuer(
        &self,
        purpose: KeyPurpose,
        decided: &BTreeMap<KeyPurpose, KeyDecision>,
    ) -> Result<Issuer, String> {
        let by = pki::issuer(purpose).unwrap_or(KeyPurpose::Ca);
        let secret = self.secret(by);
        match decided.get(&by) {
            Some(KeyDecision::Make { .. }) => Ok(Issuer {
                secret,
                fingerprint: None,
            }),
            Some(KeyDecision::Right { .. } | KeyDecision::Given) => {
                match self.facts.keys.get(&by).and_then(|ca| ca.fingerprint.clone()) {
                    Some(fingerprint) => Ok(Issuer {
                        secret,
                        fingerprint: Some(fingerprint),
                    }),
                    None => Err(format!(
                        "annotation `{}` on Secret `{secret}`",
                        labels::FINGERPRINT
                    )),
                }
            }
            Some(KeyDecision::Wait(waiting_on)) => Err(waiting_on.clone()),
            Some(KeyDecision::Refused { .. }) | None => Err(format!("Secret `{secret}`")),
        }
    }

    fn leaf(&self, purpose: KeyPurpose, issuer: Issuer, lifetime_seconds: u64) -> Result<Issue, String> {
        let name = &self.facts.name;
        let etcd = EtcdCertificates {
            service: &names::etcd(name),
            namespace: &self.facts.namespace,
            cluster_domain: &self.settings.cluster_domain,
            algorithm: self.algorithm,
            lifetime_seconds,
        };
        if let Some(leaf) = etcd.leaf(purpose, issuer.clone()) {
            return Ok(leaf);
        }
        if purpose == KeyPurpose::IngressHaproxy {
            let (namespace, name) = front_manifests::DELIVERED;
            return Ok(Issue::Delivered {
                issuer,
                common_name: "ingress-haproxy".to_owned(),
                organization: "kubernetes".to_owned(),
                sans: front_manifests::names_of_the_proxy(self.network),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                algorithm: self.algorithm,
                lifetime_seconds,
            });
        }
        if purpose == KeyPurpose::Monitoring {
            return Ok(monitoring::certificate(issuer, self.algorithm, lifetime_seconds));
        }
        let endpoint = self.exposure.endpoint.clone()?;
        let group = self
            .spec
            .kubeconfig
            .as_ref()
            .and_then(|kubeconfig| kubeconfig.group.clone());
        Ok(Issue::Kubeconfig {
            issuer,
            cluster: format!("{name}-k0s"),
            server: endpoint.url,
            user: format!("{name}-admin"),
            group: group.unwrap_or_else(|| "system:masters".to_owned()),
            algorithm: self.algorithm,
            lifetime_seconds,
        })
    }

    /// Labels and annotations that a user wants on the Secret: a change of them is a change of the Secret.
    fn metadata_of(&self, purpose: KeyPurpose) -> Value {
        match (purpose, &self.spec.kubeconfig) {
            (KeyPurpose::Kubeconfig, Some(kubeconfig)) => json!([kubeconfig.labels, kubeconfig.annotations]),
            (KeyPurpose::Kubeconfig, None) => json!([{}, {}]),
            _ => Value::Null,
        }
    }

    /// How long before its end a certificate is made anew: as written if that is less than its life, else a third.
    fn renew_before(&self, purpose: KeyPurpose, lifetime: Duration) -> Result<SignedDuration, Stalled> {
        let written = self.spec.pki.as_ref().and_then(|pki| pki.renew_before.as_ref());
        let written = match written {
            Some(text) => Some(
                text.to_duration()
                    .ok_or_else(|| invalid("spec.pki.renewBefore", "write a duration, for example 720h"))?,
            ),
            None => None,
        };
        let third = lifetime / 3;
        let renew_before = match purpose {
            // Its life is a setting of its own, and may be shorter than what is meant for the others.
            KeyPurpose::Kubeconfig => written.map_or(third, |written| written.min(third)),
            _ => written.filter(|written| *written < lifetime).unwrap_or(third),
        };
        Ok(SignedDuration::try_from(renew_before).unwrap_or(SignedDuration::MAX))
    }
}
