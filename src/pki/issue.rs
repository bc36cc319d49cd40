//! Descriptions of keys and certificates that are to be made.

use serde::{Deserialize, Serialize};

use crate::api::cluster_parts::{CertificateType, KeyAlgorithm, StorageType};
use crate::api::names;

/// The keys and certificates of one control plane, by the suffix of their Secret's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPurpose {
    /// Cluster CA. Signs API server, kubelet and user certificates.
    Ca,
    /// Front-proxy CA.
    Proxy,
    /// Service-account signing key pair.
    Sa,
    /// CA of etcd.
    Etcd,
    ApiserverEtcdClient,
    EtcdServer,
    EtcdPeer,
    /// What the NATS servers of a control plane show each other.
    NatsToken,
    /// The admin's kubeconfig: a client certificate and where to use it.
    Kubeconfig,
    /// What the proxies on the workers show to pods, when the API is behind an Ingress or a Gateway.
    IngressHaproxy,
    /// With which metrics are read, and nothing else.
    Monitoring,
}

impl KeyPurpose {
    pub const ALL: [Self; 11] = [
        Self::Ca,
        Self::Proxy,
        Self::Sa,
        Self::Etcd,
        Self::ApiserverEtcdClient,
        Self::EtcdServer,
        Self::EtcdPeer,
        Self::NatsToken,
        Self::Kubeconfig,
        Self::IngressHaproxy,
        Self::Monitoring,
    ];

    /// Returns what a user gives with a reference of this type.
    pub fn given_as(certificate_type: CertificateType) -> Self {
        match certificate_type {
            CertificateType::Ca => Self::Ca,
            CertificateType::Sa => Self::Sa,
            CertificateType::Proxy => Self::Proxy,
            CertificateType::Etcd => Self::Etcd,
            CertificateType::ApiserverEtcdClient => Self::ApiserverEtcdClient,
            CertificateType::EtcdServer => Self::EtcdServer,
            CertificateType::EtcdPeer => Self::EtcdPeer,
        }
    }

    /// Suffix of the Secret's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Proxy => "proxy",
            Self::Sa => "sa",
            Self::Etcd => "etcd",
            Self::ApiserverEtcdClient => "apiserver-etcd-client",
            Self::EtcdServer => "etcd-server",
            Self::EtcdPeer => "etcd-peer",
            Self::NatsToken => names::NATS_TOKEN,
            Self::Kubeconfig => "kubeconfig",
            Self::IngressHaproxy => "ingress-haproxy",
            Self::Monitoring => "monitoring",
        }
    }

    /// Says whether a control plane with this storage has the key.
    pub fn is_needed_with(self, storage: StorageType) -> bool {
        match self {
            Self::Ca | Self::Proxy | Self::Sa | Self::Kubeconfig => true,
            Self::Etcd | Self::ApiserverEtcdClient | Self::EtcdServer | Self::EtcdPeer => {
                storage == StorageType::Etcd
            }
            Self::NatsToken => storage == StorageType::Nats,
            // Whatever the storage: what else is asked for decides.
            Self::IngressHaproxy | Self::Monitoring => true,
        }
    }

    /// Says whether the key lives as long as the data: never regenerated, never dropped, kept by `Retain`.
    ///
    /// The others are signed by one of these and can be made again at any time.
    pub fn is_root(self) -> bool {
        match self {
            Self::Ca | Self::Proxy | Self::Sa | Self::Etcd | Self::NatsToken => true,
            Self::ApiserverEtcdClient
            | Self::EtcdServer
            | Self::EtcdPeer
            | Self::Kubeconfig
            | Self::IngressHaproxy
            | Self::Monitoring => false,
        }
    }
}

/// Secret key of a token.
pub const TOKEN: &str = "token";
/// Secret key of the manifest with which k0s brings a certificate into the workload cluster.
pub const DELIVERY: &str = "haproxy-certificate.yaml";

/// One key or certificate to make. Complete: whoever makes it has no choice left but the random bytes.
///
/// *Units*: lifetimes in seconds from now; certificates are backdated by five minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Issue {
    /// A self-signed CA: Secret keys `tls.crt`, `tls.key` (PKCS#8).
    Authority {
        common_name: String,
        algorithm: KeyAlgorithm,
        lifetime_seconds: u64,
    },
    /// A bare key pair: `tls.crt` holds the PKIX public key, `tls.key` the PKCS#8 private key.
    KeyPair { algorithm: KeyAlgorithm },
    /// A random text: Secret key `token`, 64 hex digits.
    Token,
    /// A certificate signed by a CA of the same control plane: `tls.crt`, `tls.key`.
    Leaf {
        issuer: Issuer,
        common_name: String,
        organization: String,
        sans: Vec<SubjectAltName>,
        usage: CertificateUse,
        algorithm: KeyAlgorithm,
        lifetime_seconds: u64,
    },
    /// The certificate of a server in the workload cluster: `tls.crt`, `tls.key`, and under [`DELIVERY`] a manifest of a
    /// Secret there, with `server.pem` (certificate and key) and `ca.crt`.
    Delivered {
        issuer: Issuer,
        common_name: String,
        organization: String,
        sans: Vec<SubjectAltName>,
        /// Namespace and name of the Secret in the workload cluster.
        namespace: String,
        name: String,
        algorithm: KeyAlgorithm,
        lifetime_seconds: u64,
    },
    /// A kubeconfig with a client certificate: Secret key `value`.
    Kubeconfig {
        issuer: Issuer,
        cluster: String,
        server: String,
        user: String,
        group: String,
        algorithm: KeyAlgorithm,
        lifetime_seconds: u64,
    },
}

impl Issue {
    /// Returns the CA that must sign, where one must.
    pub fn issuer(&self) -> Option<&Issuer> {
        match self {
            Self::Leaf { issuer, .. } | Self::Delivered { issuer, .. } | Self::Kubeconfig { issuer, .. } => {
                Some(issuer)
            }
            Self::Authority { .. } | Self::KeyPair { .. } | Self::Token => None,
        }
    }
}

/// The CA that must sign: the very one with this fingerprint, or the one made earlier in the same plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// Name of the Secret, in the namespace of what is issued.
    pub secret: String,
    /// `None`: the Secret is created by the same plan, and nothing is issued when that create does not happen.
    pub fingerprint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubjectAltName {
    Dns(String),
    Ip(std::net::IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CertificateUse {
    Client,
    Server,
    /// Server and client: what etcd members use among themselves.
    ServerAndClient,
}
