//! A certificate as a manifest: a Secret that k0s applies in the workload cluster.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::KeyPair;
use zeroize::Zeroizing;

use super::Authority;

/// Returns a manifest of a Secret with `server.pem` (certificate, then key) and `ca.crt`. JSON, which is YAML, too.
///
/// *Shape*: `namespace` and `name` are names of objects, which need no escaping.
pub(super) fn manifest(
    namespace: &str,
    name: &str,
    authority: &Authority,
    certificate: &str,
    key: &KeyPair,
) -> Zeroizing<Vec<u8>> {
    let key = Zeroizing::new(key.serialize_pem());
    let server = Zeroizing::new([certificate, key.as_str()].concat());
    let (server, authority) = (
        Zeroizing::new(BASE64.encode(server.as_bytes())),
        BASE64.encode(authority.certificate()),
    );
    let parts = [
        r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":""#,
        name,
        r#"","namespace":""#,
        namespace,
        r#""},"type":"Opaque","data":{"ca.crt":""#,
        &authority,
        r#"","server.pem":""#,
        &server,
        "\"}}\n",
    ];
    Zeroizing::new(parts.concat().into_bytes())
}
