//! What users give as keys and certificates: any algorithm and PEM form that the control plane reads.

use k8s_openapi::jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use super::{CERTIFICATE, PRIVATE_KEY, fingerprint};
use crate::client::SecretData;
use crate::pki::{GivenKey, KeyPurpose};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Says what can be told of a Secret that stands in for one of ours. `uid` is the Secret's.
///
/// *Shape*: PKCS#1, SEC 1 and PKCS#8 keys; text around the PEM blocks is skipped. There may be several certificates, in
/// any order where a key tells which is meant, else the CA's own first. k0s starts with exactly one for `ca` and `proxy`,
/// so that is told where there is more.
/// *Errors*: why it cannot be used, as a phrase that follows the Secret's name. It never quotes the Secret.
pub fn inspect(purpose: KeyPurpose, uid: &str, data: &SecretData) -> Result<GivenKey, String> {
    let text = |key: &str| -> Result<Option<&str>, String> {
        let Some(bytes) = data.get(key).filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes).map_err(|_| format!("has a `{key}` that is not PEM"))?;
        Ok(Some(text))
    };
    let public = text(CERTIFICATE)?.ok_or("has no `tls.crt`")?;
    let key = match text(PRIVATE_KEY)? {
        Some(text) => Some(private_key(text).map_err(|why| format!("has a `tls.key` that {why}"))?),
        None if purpose == KeyPurpose::Etcd => None,
        None => return Err("has no `tls.key`".to_owned()),
    };
    if purpose == KeyPurpose::Sa {
        let key = key.as_ref().ok_or("has no `tls.key`")?;
        if key.is_compatible(&PKCS_ED25519) {
            return Err(
                "has an Ed25519 key, with which the API server signs no tokens; use RSA or ECDSA".to_owned(),
            );
        }
        if !is_public_half(public, key) {
            return Err(
                "has a `tls.crt` that is not the public key (or a certificate) of its `tls.key`".to_owned(),
            );
        }
        return Ok(GivenKey {
            uid: uid.to_owned(),
            fingerprint: fingerprint(&key.subject_public_key_info()),
            not_after: None,
            has_key: true,
            subject: None,
            signer: None,
            lone_certificate: None,
        });
    }
    let blocks = certificates(public);
    let ders = blocks.iter().map(|block| der(block)).collect::<Option<Vec<_>>>();
    let ders = ders.filter(|ders| !ders.is_empty());
    let ders = ders.ok_or("has a `tls.crt` that is not a certificate in PEM")?;
    let parsed = ders
        .iter()
        .zip(&blocks)
        .map(|(der, block)| {
            X509Certificate::from_der(der)
                .ok()
                .map(|(_, certificate)| (der, block, certificate))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or("has a `tls.crt` that is not a certificate")?;
    let own = match &key {
        None => parsed.first(),
        Some(key) => parsed
            .iter()
            .find(|(_, _, certificate)| is_of(certificate.public_key(), key)),
    };
    let (der, block, own) = own.ok_or("has a `tls.crt` and a `tls.key` that do not belong together")?;
    let is_authority = matches!(purpose, KeyPurpose::Ca | KeyPurpose::Proxy | KeyPurpose::Etcd);
    if is_authority && !own.is_ca() {
        return Err("has the certificate of something that is no CA".to_owned());
    }
    // k0s passes over text before the certificate, and over nothing behind it.
    let is_too_much = matches!(purpose, KeyPurpose::Ca | KeyPurpose::Proxy)
        && (blocks.len() > 1 || !public.trim_end().ends_with(END));
    let end = Timestamp::from_second(own.validity().not_after.timestamp()).ok();
    Ok(GivenKey {
        uid: uid.to_owned(),
        fingerprint: fingerprint(der),
        not_after: end.map(|end| end.to_string()),
        has_key: key.is_some(),
        subject: Some(fingerprint(own.subject().as_raw())),
        signer: Some(fingerprint(own.issuer().as_raw())),
        lone_certificate: is_too_much.then(|| format!("{block}\n")),
    })
}

/// Reads the private key of a PEM text, whatever is around it. `Err` is a phrase that follows what is read.
pub(super) fn private_key(text: &str) -> Result<Zeroizing<KeyPair>, &'static str> {
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let Ok(block) = block else {
            return Err("is not PEM");
        };
        let contents = Zeroizing::new(block.contents);
        match block.label.as_str() {
            "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => {
                let key = KeyPair::try_from(contents.as_slice());
                return key.map(Zeroizing::new).map_err(|_| "is not a private key");
            }
            "ENCRYPTED PRIVATE KEY" => return Err("is encrypted"),
            // Parameters of a curve stand before the key that they are for.
            _ => {}
        }
    }
    Err("is not a private key")
}

/// Returns the one certificate of a PEM text that belongs to the key, as PEM.
pub(super) fn signing_certificate(text: &str, key: &str) -> Result<String, &'static str> {
    let blocks = certificates(text);
    if let [_] | [] = blocks.as_slice() {
        return Ok(text.to_owned());
    }
    let key = private_key(key).map_err(|_| "its `tls.key` is not a private key")?;
    let own = blocks.into_iter().find(|block| {
        der(block).is_some_and(|der| {
            let certificate = X509Certificate::from_der(&der);
            certificate.is_ok_and(|(_, certificate)| is_of(certificate.public_key(), &key))
        })
    });
    own.map(str::to_owned)
        .ok_or("none of its certificates belongs to its `tls.key`")
}

/// The certificates of a PEM text, each with its borders. The text is read once, however often one begins in it.
fn certificates(text: &str) -> Vec<&str> {
    let (mut rest, mut found) = (text, Vec::new());
    while let Some(block) = rest.find(BEGIN).and_then(|begin| rest.get(begin..)) {
        let Some(end) = block.find(END) else { break };
        let (block, after) = block.split_at(end + END.len());
        found.push(block);
        rest = after;
    }
    found
}

fn der(block: &str) -> Option<Vec<u8>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(block.as_bytes()).ok()?;
    Some(pem.contents)
}

fn is_of(public: &SubjectPublicKeyInfo<'_>, key: &KeyPair) -> bool {
    *public.subject_public_key.data == *key.public_key_raw()
}

/// Of a service account's key a bare public key is enough; RSA's own form of one is not read by the API server.
fn is_public_half(text: &str, key: &KeyPair) -> bool {
    let blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    let mut known = blocks.filter_map(|block| match block.label.as_str() {
        "PUBLIC KEY" => {
            let public = SubjectPublicKeyInfo::from_der(&block.contents);
            Some(public.is_ok_and(|(_, public)| is_of(&public, key)))
        }
        "CERTIFICATE" => {
            let certificate = X509Certificate::from_der(&block.contents);
            Some(certificate.is_ok_and(|(_, certificate)| is_of(certificate.public_key(), key)))
        }
        _ => None,
    });
    known.next() == Some(true)
}
