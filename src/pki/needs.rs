//! What each key and certificate of a control plane is made of.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{CertificateUse, Issue, Issuer, KeyPurpose, SubjectAltName};
use crate::api::cluster_parts::KeyAlgorithm;
use crate::etcd::PEER_COMMON_NAME;
use crate::object::hex;

/// Ten years. k0s cannot replace a CA under running workers, so one must outlive them.
const AUTHORITY_LIFETIME_SECONDS: u64 = 87_600 * 3600;

/// Returns what a key that depends on no other is made of; `None` for those that a CA signs.
///
/// The subjects are fixed: k0s renews a certificate at start only when its issuer has one of these very names.
pub fn root(purpose: KeyPurpose, algorithm: KeyAlgorithm) -> Option<Issue> {
    let authority = |name: &str| Issue::Authority {
        common_name: name.to_owned(),
        algorithm,
        lifetime_seconds: AUTHORITY_LIFETIME_SECONDS,
    };
    match purpose {
        KeyPurpose::Ca => Some(authority("kubernetes-ca")),
        KeyPurpose::Proxy => Some(authority("kubernetes-front-proxy-ca")),
        KeyPurpose::Etcd => Some(authority("etcd-ca")),
        KeyPurpose::Sa => Some(Issue::KeyPair { algorithm }),
        KeyPurpose::NatsToken => Some(Issue::Token),
        KeyPurpose::ApiserverEtcdClient
        | KeyPurpose::EtcdServer
        | KeyPurpose::EtcdPeer
        | KeyPurpose::Kubeconfig
        | KeyPurpose::IngressHaproxy
        | KeyPurpose::Monitoring => None,
    }
}

/// Says which CA signs a certificate; `None` for the keys that depend on no other.
pub fn issuer(purpose: KeyPurpose) -> Option<KeyPurpose> {
    match purpose {
        KeyPurpose::Ca | KeyPurpose::Proxy | KeyPurpose::Sa | KeyPurpose::Etcd | KeyPurpose::NatsToken => {
            None
        }
        KeyPurpose::ApiserverEtcdClient | KeyPurpose::EtcdServer | KeyPurpose::EtcdPeer => {
            Some(KeyPurpose::Etcd)
        }
        KeyPurpose::Kubeconfig | KeyPurpose::IngressHaproxy | KeyPurpose::Monitoring => Some(KeyPurpose::Ca),
    }
}

/// What the certificates of an etcd are made of.
#[derive(Clone, Debug)]
pub struct EtcdCertificates<'a> {
    /// Name of the headless Service.
    pub service: &'a str,
    pub namespace: &'a str,
    pub cluster_domain: &'a str,
    pub algorithm: KeyAlgorithm,
    pub lifetime_seconds: u64,
}

impl EtcdCertificates<'_> {
    /// Returns what a certificate of this etcd is made of; `None` when the purpose is not one.
    pub fn leaf(&self, purpose: KeyPurpose, issuer: Issuer) -> Option<Issue> {
        let (common_name, sans, usage) = match purpose {
            // Only dials: with names in it, it could stand in for a server.
            KeyPurpose::ApiserverEtcdClient => ("apiserver-etcd-client", Vec::new(), CertificateUse::Client),
            KeyPurpose::EtcdServer => ("etcd-server", self.names(), CertificateUse::ServerAndClient),
            KeyPurpose::EtcdPeer => (PEER_COMMON_NAME, self.names(), CertificateUse::ServerAndClient),
            KeyPurpose::Ca
            | KeyPurpose::Proxy
            | KeyPurpose::Sa
            | KeyPurpose::Etcd
            | KeyPurpose::NatsToken
            | KeyPurpose::Kubeconfig
            | KeyPurpose::IngressHaproxy
            | KeyPurpose::Monitoring => {
                return None;
            }
        };
        Some(Issue::Leaf {
            issuer,
            common_name: common_name.to_owned(),
            organization: common_name.to_owned(),
            sans,
            usage,
            algorithm: self.algorithm,
            lifetime_seconds: self.lifetime_seconds,
        })
    }

    /// The Service, every member by wildcard (so that a new member needs no new certificate), and loopback for tools
    /// in the pod.
    fn names(&self) -> Vec<SubjectAltName> {
        let (service, namespace, domain) = (self.service, self.namespace, self.cluster_domain);
        let of_service = [
            service.to_owned(),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.{domain}"),
        ];
        let of_members = of_service
            .iter()
            .map(|name| format!("*.{name}"))
            .collect::<Vec<_>>();
        std::iter::once("localhost".to_owned())
            .chain(of_service)
            .chain(of_members)
            .map(SubjectAltName::Dns)
            .chain([SubjectAltName::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))])
            .collect()
    }
}

/// Returns a digest of what a certificate says, to be compared with the annotation of the one that exists.
///
/// *Shape*: 32 hex digits. Not in it: the very CA (compared on its own), and the lifetime of a leaf (a new one counts
/// from the next renewal). `extra` is whatever else the Secret was made for. The text that is hashed is written out
/// here and not derived, since a field that is added one day must not make every certificate anew.
pub fn content_digest(issue: &Issue, extra: &Value) -> String {
    let content = match issue {
        Issue::Authority {
            common_name,
            algorithm,
            lifetime_seconds: _,
        } => json!(["authority", common_name, algorithm]),
        Issue::KeyPair { algorithm } => json!(["pair", algorithm]),
        Issue::Token => json!(["token"]),
        Issue::Leaf {
            issuer: _,
            common_name,
            organization,
            sans,
            usage,
            algorithm,
            lifetime_seconds: _,
        } => {
            let sans = texts(sans);
            let usage = match usage {
                CertificateUse::Client => "client",
                CertificateUse::Server => "server",
                CertificateUse::ServerAndClient => "server+client",
            };
            json!(["leaf", common_name, organization, sans, usage, algorithm])
        }
        Issue::Delivered {
            issuer: _,
            common_name,
            organization,
            sans,
            namespace,
            name,
            algorithm,
            lifetime_seconds: _,
        } => json!([
            "delivered",
            common_name,
            organization,
            texts(sans),
            namespace,
            name,
            algorithm
        ]),
        Issue::Kubeconfig {
            issuer: _,
            cluster,
            server,
            user,
            group,
            algorithm,
            lifetime_seconds,
        } => json!([
            "kubeconfig",
            cluster,
            server,
            user,
            group,
            algorithm,
            lifetime_seconds
        ]),
    };
    let digest = Sha256::digest(json!([content, extra]).to_string().as_bytes());
    hex(&digest[..16])
}

fn texts(sans: &[SubjectAltName]) -> Vec<String> {
    sans.iter()
        .map(|san| match san {
            SubjectAltName::Dns(name) => format!("dns:{name}"),
            SubjectAltName::Ip(address) => format!("ip:{address}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd() -> EtcdCertificates<'static> {
        EtcdCertificates {
            service: "kmc-edge-etcd",
            namespace: "tenant-7",
            cluster_domain: "cluster.local",
            algorithm: KeyAlgorithm::EcdsaP256,
            lifetime_seconds: 31_536_000,
        }
    }

    fn issuer_with(fingerprint: Option<&str>) -> Issuer {
        Issuer {
            secret: "edge-etcd".into(),
            fingerprint: fingerprint.map(str::to_owned),
        }
    }

    #[test]
    fn the_subjects_that_k0s_looks_for_are_exact() {
        let names: Vec<_> = KeyPurpose::ALL
            .iter()
            .filter_map(|&purpose| match root(purpose, KeyAlgorithm::EcdsaP256)? {
                Issue::Authority { common_name, .. } => Some(common_name),
                _ => None,
            })
            .collect();
        assert_eq!(names, ["kubernetes-ca", "kubernetes-front-proxy-ca", "etcd-ca"]);
    }

    #[test]
    fn every_purpose_is_a_root_or_has_an_issuer() {
        for purpose in KeyPurpose::ALL {
            assert_eq!(root(purpose, KeyAlgorithm::Rsa2048).is_some(), purpose.is_root());
            assert_eq!(issuer(purpose).is_none(), purpose.is_root());
        }
    }

    #[test]
    fn members_are_named_by_wildcard_and_the_client_has_no_names() {
        let Some(Issue::Leaf { sans, usage, .. }) = etcd().leaf(KeyPurpose::EtcdPeer, issuer_with(None))
        else {
            panic!("a leaf")
        };
        assert!(sans.contains(&SubjectAltName::Dns("*.kmc-edge-etcd.tenant-7.svc".into())));
        assert_eq!(sans.len(), 8);
        assert_eq!(usage, CertificateUse::ServerAndClient);
        let client = etcd().leaf(KeyPurpose::ApiserverEtcdClient, issuer_with(None));
        assert!(
            matches!(client, Some(Issue::Leaf { sans, usage: CertificateUse::Client, .. }) if sans.is_empty())
        );
    }

    #[test]
    fn the_digest_of_a_leaf_is_frozen_and_independent_of_its_ca_and_life() {
        let digest = |etcd: EtcdCertificates<'_>, fingerprint| {
            content_digest(
                &etcd.leaf(KeyPurpose::EtcdPeer, issuer_with(fingerprint)).unwrap(),
                &Value::Null,
            )
        };
        let known = digest(etcd(), None);
        // Another value here makes the certificates of every running cluster anew.
        assert_eq!(known, "8ef0894153368fa2339af0c5daeaf34c");
        let longer = EtcdCertificates {
            lifetime_seconds: 1,
            ..etcd()
        };
        assert_eq!(digest(longer, Some("ab")), known);
        let elsewhere = EtcdCertificates {
            namespace: "tenant-8",
            ..etcd()
        };
        assert_ne!(digest(elsewhere, None), known);
    }
}
