//! X.509 certificates as control planes need them.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use super::{Authority, KeyError, Validity, given};
use crate::pki::{CertificateUse, SubjectAltName};

/// Whom a leaf certificate names, and for what.
pub(super) struct Subject<'a> {
    pub common_name: &'a str,
    /// Empty: none.
    pub organization: &'a str,
    pub names: &'a [SubjectAltName],
    pub usage: CertificateUse,
}

impl<'a> Subject<'a> {
    pub(super) fn client(common_name: &'a str, organization: &'a str) -> Self {
        Self {
            common_name,
            organization,
            names: &[],
            usage: CertificateUse::Client,
        }
    }
}

/// A self-signed CA that signs leaf certificates and no other CA.
pub(super) fn authority(
    common_name: &str,
    key: &KeyPair,
    validity: &Validity,
) -> Result<Certificate, KeyError> {
    let mut params = params(common_name, "", validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.self_signed(key).map_err(|source| KeyError::Sign {
        common_name: common_name.to_owned(),
        source,
    })
}

/// A certificate signed by `authority`.
pub(super) fn leaf(
    subject: &Subject<'_>,
    key: &KeyPair,
    validity: &Validity,
    authority: &Authority,
) -> Result<Certificate, KeyError> {
    let mut params = params(subject.common_name, subject.organization, validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = match subject.usage {
        CertificateUse::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        CertificateUse::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        CertificateUse::ServerAndClient => vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ],
    };
    params.subject_alt_names = subject.names.iter().map(name).collect::<Result<_, _>>()?;
    let signing_key = given::private_key(&authority.key).map_err(|_| KeyError::Authority {
        reason: "its `tls.key` is not a private key",
    })?;
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, &*signing_key).map_err(|_| KeyError::Authority {
            reason: "its `tls.crt` is not a certificate",
        })?;
    params.signed_by(key, &issuer).map_err(|source| KeyError::Sign {
        common_name: subject.common_name.to_owned(),
        source,
    })
}

fn params(common_name: &str, organization: &str, validity: &Validity) -> Result<CertificateParams, KeyError> {
    let moment = |second| OffsetDateTime::from_unix_timestamp(second).ok();
    let mut params = CertificateParams::default();
    match (
        moment(validity.begin.as_second()),
        moment(validity.end.as_second()),
    ) {
        (Some(begin), Some(end)) => (params.not_before, params.not_after) = (begin, end),
        (_, _) => {
            let seconds = validity.end.as_second().unsigned_abs();
            return Err(KeyError::Lifetime { seconds });
        }
    }
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if !organization.is_empty() {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    Ok(params)
}

fn name(name: &SubjectAltName) -> Result<SanType, KeyError> {
    match name {
        SubjectAltName::Ip(address) => Ok(SanType::IpAddress(*address)),
        SubjectAltName::Dns(text) => match text.as_str().try_into() {
            Ok(ascii) => Ok(SanType::DnsName(ascii)),
            Err(_) => Err(KeyError::Name { name: text.clone() }),
        },
    }
}
