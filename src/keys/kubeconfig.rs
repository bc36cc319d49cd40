//! The admin's kubeconfig as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::KeyPair;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Authority, KUBECONFIG};
use crate::client::SecretData;

/// Writes a kubeconfig with one cluster, one user and one context, which is the current one.
///
/// The names are those that tooling around hosted k0s control planes looks for.
pub(super) fn data(
    cluster: &str,
    server: &str,
    authority: &Authority,
    certificate: &str,
    key: &KeyPair,
) -> SecretData {
    let key = Zeroizing::new(key.serialize_pem());
    let key = Zeroizing::new(BASE64.encode(key.as_bytes()));
    let authority = BASE64.encode(&authority.certificate);
    let certificate = BASE64.encode(certificate);
    // Quoted as JSON strings, which are YAML strings whatever is in them.
    let server = Value::from(server).to_string();
    let [cluster_name, user, context] = [
        format!("{cluster}-k0s"),
        format!("{cluster}-admin"),
        format!("{cluster}-admin@{cluster}-k0s"),
    ]
    .map(|name| Value::from(name).to_string());
    // Parts put into one buffer of the right size, so that no copy of the key stays behind.
    let parts = [
        "apiVersion: v1\nkind: Config\nclusters:\n- name: ",
        &cluster_name,
        "\n  cluster:\n    server: ",
        &server,
        "\n    certificate-authority-data: ",
        &authority,
        "\nusers:\n- name: ",
        &user,
        "\n  user:\n    client-certificate-data: ",
        &certificate,
        "\n    client-key-data: ",
        &key,
        "\ncontexts:\n- name: ",
        &context,
        "\n  context:\n    cluster: ",
        &cluster_name,
        "\n    user: ",
        &user,
        "\ncurrent-context: ",
        &context,
        "\n",
    ];
    let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    let mut data = SecretData::new();
    data.insert(KUBECONFIG, text);
    data
}
