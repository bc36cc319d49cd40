//! What is known of a key or certificate that exists, from the metadata of its Secret alone.

use serde::{Deserialize, Serialize};

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
