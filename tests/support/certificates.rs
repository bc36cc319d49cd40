//! Certificates of the servers themselves (not of the clusters that the operator makes).

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
}

/// A certificate and its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

fn params(name: &str, organization: Option<&str>, hosts: &[String]) -> CertificateParams {
    let mut params = CertificateParams::new(hosts.to_vec()).expect("hosts are DNS names or addresses");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name, None, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

impl Authority {
    /// Makes one with an ECDSA P-256 key.
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().expect("the key generator works"))
    }

    pub fn with_key(name: &str, key: KeyPair) -> Self {
        let params = authority(name);
        let certificate = params.self_signed(&key).expect("the key signs").pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Reads an authority from PEM, such as a cluster's `<n>-ca` Secret.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        Ok(Self {
            issuer,
            certificate: certificate.to_owned(),
        })
    }

    /// Makes one below this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("the key generator works");
        let params = authority(name);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the authority signs")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Private key, PEM (PKCS#8).
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate that serves and identifies: `hosts` are its DNS names and addresses.
    pub fn issue(&self, name: &str, organization: Option<&str>, hosts: &[String]) -> Pair {
        self.sign(params(name, organization, hosts))
    }

    /// Issues one that is out of date.
    pub fn issue_expired(&self, name: &str, hosts: &[String]) -> Pair {
        let mut params = params(name, None, hosts);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Pair {
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("the key generator works");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the authority signs")
            .pem();
        Pair {
            certificate,
            key: key.serialize_pem(),
        }
    }
}
