//! What can be told of the Secrets that users give, without letting go of their bytes.

use std::collections::BTreeMap;

use crate::api::cluster_parts::CertificateRef;
use crate::client::{Client, chain};
use crate::keys;
use crate::pki::{Given, KeyPurpose};

/// Reads every Secret that is referred to.
///
/// *Shape*: one entry for each reference. Never fails: why one cannot be used is its value.
/// *Effects*: one GET each.
pub async fn look(client: &Client, namespace: &str, refs: &[CertificateRef]) -> BTreeMap<KeyPurpose, Given> {
    let mut all = BTreeMap::new();
    for one in refs {
        let purpose = KeyPurpose::given_as(one.certificate_type);
        let found = match client.get_secret(namespace, &one.name).await {
            Ok(Some(secret)) => {
                keys::inspect(purpose, secret.metadata.uid().unwrap_or_default(), &secret.data)
            }
            Ok(None) => Err("is not there".to_owned()),
            Err(error) => Err(format!("cannot be read ({})", chain(&error))),
        };
        let secret = one.name.clone();
        all.insert(purpose, Given { secret, found });
    }
    all
}
