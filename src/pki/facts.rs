//! What is known of a key or certificate that exists, from the metadata of its Secret alone.

use serde::{Deserialize, Serialize};

/// A Secret of the user's that stands in for one of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// Name of the Secret.
    pub secret: String,
    /// What was read of it; `Err` says why it cannot be used, as a phrase that follows its name.
    pub found: Result<GivenKey, String>,
}

/// What can be told of a key or certificate that a user gives. No byte of the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenKey {
    /// Uid of the Secret.
    pub uid: String,
    /// SHA-256 of the certificate or public key, hex.
    pub fingerprint: String,
    /// End of the certificate, RFC 3339; `None` for a bare key pair.
    pub not_after: Option<String>,
    /// It has a private key, which belongs to the certificate.
    pub has_key: bool,
    /// Digest of the name that the certificate is for; `None` for a bare key pair.
    pub subject: Option<String>,
    /// Digest of the name of who signed it.
    pub signer: Option<String>,
    /// The certificate of a CA alone, as PEM, where its Secret has more than k0s reads; else `None`.
    // Not in what earlier versions recorded.
    #[serde(default)]
    pub lone_certificate: Option<String>,
}

/// A Secret with a key or certificate, from its metadata alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFacts {
    pub uid: String,
    /// Value of the label with the uid of the cluster it was made for; `None` on a Secret that is not ours.
    pub cluster_uid: Option<String>,
    pub fingerprint: Option<String>,
    pub not_after: Option<String>,
    /// Fingerprint of the CA that signed it.
    pub issuer: Option<String>,
    pub content_digest: Option<String>,
    pub is_retained: bool,
}
