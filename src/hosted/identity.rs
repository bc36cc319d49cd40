//! The certificate with which the operator identifies itself to a hosted control plane.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use crate::api::cluster_parts::KeyAlgorithm;
use crate::client::{Client, ClientError};
use crate::keys::{self, Authority, KeyError};
use crate::pki::{CertificateUse, Issue, Issuer};

/// Short, so that it is worth little; long enough that a thousand clusters do not mean a thousand reads an hour.
const LIFETIME: SignedDuration = SignedDuration::from_hours(8);
/// Signed anew when less than this is left.
const RENEWED: SignedDuration = SignedDuration::from_hours(2);

const USER: &str = "k0smotron-fleet-operator";
/// The group that needs no role: right after the start of a control plane there are none. Whoever signs this can read
/// the CA's key, so a lesser group would protect nothing.
const GROUP: &str = "system:masters";

#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("the CA in Secret `{secret}` cannot be read")]
    Read { secret: String, source: ClientError },
    #[error("its CA, Secret `{secret}`, does not exist yet")]
    Missing { secret: String },
    #[error("Secret `{secret}` holds another CA than it did")]
    Moved { secret: String },
    #[error("the CA in Secret `{secret}` cannot sign for the operator")]
    Sign { secret: String, source: KeyError },
}

pub(super) struct Identity {
    authority: String,
    fingerprint: String,
    certificate: String,
    key: Zeroizing<String>,
    end: Timestamp,
}

impl Identity {
    /// Signs a client certificate.
    ///
    /// *Effects*: one GET of the CA's Secret.
    pub(super) async fn sign(
        client: &Client,
        namespace: &str,
        secret: &str,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let named = || secret.to_owned();
        let body = client
            .get_secret(namespace, secret)
            .await
            .map_err(|source| IdentityError::Read {
                secret: named(),
                source,
            })?
            .ok_or_else(|| IdentityError::Missing { secret: named() })?;
        let cannot_sign = |source| IdentityError::Sign {
            secret: named(),
            source,
        };
        let authority = Authority::read(&body.data).map_err(cannot_sign)?;
        if authority.fingerprint() != fingerprint {
            return Err(IdentityError::Moved { secret: named() });
        }
        let issue = Issue::Leaf {
            issuer: Issuer {
                secret: named(),
                fingerprint: Some(fingerprint.to_owned()),
            },
            common_name: USER.to_owned(),
            organization: GROUP.to_owned(),
            sans: Vec::new(),
            usage: CertificateUse::Client,
            algorithm: KeyAlgorithm::EcdsaP256,
            lifetime_seconds: LIFETIME.as_secs().unsigned_abs(),
        };
        let made = keys::make(&issue, Some(&authority), now).map_err(cannot_sign)?;
        let text = |key| String::from_utf8_lossy(made.data.get(key).unwrap_or_default()).into_owned();
        Ok(Self {
            authority: authority.certificate().to_owned(),
            fingerprint: fingerprint.to_owned(),
            certificate: text(keys::CERTIFICATE),
            key: Zeroizing::new(text(keys::PRIVATE_KEY)),
            end: made.not_after.unwrap_or(now),
        })
    }

    /// Says whether it is of this CA and good for a while.
    pub(super) fn is_good(&self, fingerprint: &str, now: Timestamp) -> bool {
        self.fingerprint == fingerprint && self.end.duration_since(now) > RENEWED
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }
}
