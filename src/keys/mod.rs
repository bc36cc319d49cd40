//! Makes the bytes that an [`Issue`] describes.
//!
//! An [`Issue`], the authority that signs and a point in time -> [`Made`]: Secret data, and what can be said of it
//! without reading it.
//!
//! **Invariants:** the only room that draws random numbers for keys. Nothing here reads a clock or sends anything. No
//! type that holds a private key can be printed, and private keys are overwritten when dropped.

mod certificate;
mod delivery;
mod fill;
mod given;
mod kubeconfig;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{Certificate, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::api::cluster_parts::KeyAlgorithm;
use crate::client::SecretData;
use crate::object::hex;
use crate::pki::{CertificateUse, DELIVERY, Issue, TOKEN};

pub use fill::{FillError, Filled, Unusable, fill, unusable};
pub use given::inspect;

/// Secret key of a certificate, or of the public half of a bare key pair.
pub const CERTIFICATE: &str = "tls.crt";
/// Secret key of a private key.
pub const PRIVATE_KEY: &str = "tls.key";
/// Secret key of a kubeconfig.
pub const KUBECONFIG: &str = "value";

/// Clocks of nodes differ; a certificate must be valid on the one that is late.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot make a key")]
    Generate { source: rcgen::Error },
    #[error("cannot make the certificate of `{common_name}`")]
    Sign {
        common_name: String,
        source: rcgen::Error,
    },
    #[error("`{name}` is not a DNS name")]
    Name { name: String },
    #[error("the lifetime of {seconds} s ends after the last date there is")]
    Lifetime { seconds: u64 },
    /// `reason` never quotes the Secret.
    #[error("the CA cannot sign: {reason}")]
    Authority { reason: &'static str },
    #[error("nothing signs `{common_name}`")]
    NoIssuer { common_name: String },
}

/// A CA that can sign.
pub struct Authority {
    certificate: String,
    key: Zeroizing<String>,
    fingerprint: String,
}

/// Bytes for one Secret, and what can be told of them.
pub struct Made {
    pub data: SecretData,
    /// SHA-256 of the certificate or public key, hex.
    pub fingerprint: String,
    /// End of the certificate; `None` for a bare key pair.
    pub not_after: Option<Timestamp>,
    /// Fingerprint of the CA that signed; `None` when it signed itself, or nothing did.
    pub issuer: Option<String>,
    /// What was made can sign.
    pub authority: Option<Authority>,
}

impl Authority {
    /// Reads a CA from the data of its Secret.
    pub fn read(data: &SecretData) -> Result<Self, KeyError> {
        let failed = |reason| KeyError::Authority { reason };
        let text = |key, reason| {
            let bytes = data.get(key).ok_or(failed(reason))?;
            std::str::from_utf8(bytes).map_err(|_| failed("it is not PEM"))
        };
        let certificate = text(CERTIFICATE, "its Secret has no `tls.crt`")?;
        let key = text(PRIVATE_KEY, "its Secret has no `tls.key`")?;
        let certificate = given::signing_certificate(certificate, key).map_err(failed)?;
        let pem = x509_parser::pem::parse_x509_pem(certificate.as_bytes())
            .map_err(|_| failed("its `tls.crt` is not PEM"))?
            .1;
        let is_ca = pem
            .parse_x509()
            .map_err(|_| failed("its `tls.crt` is not a certificate"))?
            .is_ca();
        if !is_ca {
            return Err(failed("its `tls.crt` is not the certificate of a CA"));
        }
        Ok(Self {
            certificate: certificate.to_owned(),
            key: Zeroizing::new(key.to_owned()),
            fingerprint: fingerprint(&pem.contents),
        })
    }

    /// SHA-256 of the certificate, hex.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The certificate as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

/// Makes what `issue` describes. `issuer` is the CA that it names, and is only used for what is signed.
///
/// *Effects*: draws random bytes; takes 0.1 ms for P-256 and up to half a second for RSA: call it where blocking is
/// allowed.
pub fn make(issue: &Issue, issuer: Option<&Authority>, now: Timestamp) -> Result<Made, KeyError> {
    match issue {
        Issue::Authority {
            common_name,
            algorithm,
            lifetime_seconds,
        } => {
            let key = generate(*algorithm)?;
            let validity = Validity::new(now, *lifetime_seconds)?;
            let certificate = certificate::authority(common_name, &key, &validity)?;
            let mut made = signed(&certificate, &key, validity.end, None);
            made.authority = Some(Authority {
                certificate: certificate.pem(),
                key: Zeroizing::new(key.serialize_pem()),
                fingerprint: made.fingerprint.clone(),
            });
            Ok(made)
        }
        Issue::KeyPair { algorithm } => {
            let key = generate(*algorithm)?;
            let mut data = SecretData::new();
            data.insert(CERTIFICATE, Zeroizing::new(key.public_key_pem().into_bytes()));
            data.insert(PRIVATE_KEY, Zeroizing::new(key.serialize_pem().into_bytes()));
            Ok(Made {
                data,
                fingerprint: fingerprint(&key.subject_public_key_info()),
                not_after: None,
                issuer: None,
                authority: None,
            })
        }
        Issue::Token => {
            let token = fill::random_text()?;
            let print = fingerprint(token.as_bytes());
            let mut data = SecretData::new();
            data.insert(TOKEN, Zeroizing::new(token.as_bytes().to_vec()));
            Ok(Made {
                data,
                fingerprint: print,
                not_after: None,
                issuer: None,
                authority: None,
            })
        }
        Issue::Leaf {
            issuer: _,
            common_name,
            organization,
            sans,
            usage,
            algorithm,
            lifetime_seconds,
        } => {
            let subject = certificate::Subject {
                common_name,
                organization,
                names: sans,
                usage: *usage,
            };
            Ok(issued(issuer, &subject, *algorithm, *lifetime_seconds, now)?.made)
        }
        Issue::Delivered {
            issuer: _,
            common_name,
            organization,
            sans,
            namespace,
            name,
            algorithm,
            lifetime_seconds,
        } => {
            let subject = certificate::Subject {
                common_name,
                organization,
                names: sans,
                usage: CertificateUse::Server,
            };
            let Issued {
                authority,
                key,
                certificate,
                mut made,
            } = issued(issuer, &subject, *algorithm, *lifetime_seconds, now)?;
            let manifest = delivery::manifest(namespace, name, authority, &certificate, &key);
            made.data.insert(DELIVERY, manifest);
            Ok(made)
        }
        Issue::Kubeconfig {
            issuer: _,
            cluster,
            server,
            user,
            group,
            algorithm,
            lifetime_seconds,
        } => {
            let subject = certificate::Subject::client(user, group);
            let Issued {
                authority,
                key,
                certificate,
                made,
            } = issued(issuer, &subject, *algorithm, *lifetime_seconds, now)?;
            let data = kubeconfig::data(cluster, server, authority, &certificate, &key);
            Ok(Made { data, ..made })
        }
    }
}

/// When a certificate begins and ends, in whole seconds.
struct Validity {
    begin: Timestamp,
    end: Timestamp,
}

impl Validity {
    fn new(now: Timestamp, lifetime_seconds: u64) -> Result<Self, KeyError> {
        let too_long = KeyError::Lifetime {
            seconds: lifetime_seconds,
        };
        let lifetime = i64::try_from(lifetime_seconds)
            .ok()
            .map(SignedDuration::from_secs);
        let at = |second: i64, add| Timestamp::from_second(second).ok()?.checked_add(add).ok();
        let begin = at(now.as_second(), -BACKDATED);
        let end = lifetime.and_then(|lifetime| at(now.as_second(), lifetime));
        match (begin, end) {
            (Some(begin), Some(end)) => Ok(Self { begin, end }),
            (_, _) => Err(too_long),
        }
    }
}

/// A certificate with its key, and who signed it.
struct Issued<'a> {
    authority: &'a Authority,
    key: Zeroizing<KeyPair>,
    /// As PEM.
    certificate: String,
    made: Made,
}

/// Makes a key and the certificate of `subject` for it.
fn issued<'a>(
    issuer: Option<&'a Authority>,
    subject: &certificate::Subject<'_>,
    algorithm: KeyAlgorithm,
    lifetime_seconds: u64,
    now: Timestamp,
) -> Result<Issued<'a>, KeyError> {
    let authority = issuer.ok_or_else(|| KeyError::NoIssuer {
        common_name: subject.common_name.to_owned(),
    })?;
    let key = generate(algorithm)?;
    let validity = Validity::new(now, lifetime_seconds)?;
    let certificate = certificate::leaf(subject, &key, &validity, authority)?;
    Ok(Issued {
        authority,
        made: signed(&certificate, &key, validity.end, Some(authority)),
        certificate: certificate.pem(),
        key,
    })
}

fn generate(algorithm: KeyAlgorithm) -> Result<Zeroizing<KeyPair>, KeyError> {
    let key = match algorithm {
        KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    };
    key.map(Zeroizing::new)
        .map_err(|source| KeyError::Generate { source })
}

fn signed(certificate: &Certificate, key: &KeyPair, end: Timestamp, issuer: Option<&Authority>) -> Made {
    let mut data = SecretData::new();
    data.insert(CERTIFICATE, Zeroizing::new(certificate.pem().into_bytes()));
    data.insert(PRIVATE_KEY, Zeroizing::new(key.serialize_pem().into_bytes()));
    Made {
        data,
        fingerprint: fingerprint(certificate.der()),
        not_after: Some(end),
        issuer: issuer.map(|authority| authority.fingerprint.clone()),
        authority: None,
    }
}

fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

#[cfg(test)]
mod tests;
