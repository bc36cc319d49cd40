use std::net::{IpAddr, Ipv6Addr};

use kube::config::Kubeconfig;
use x509_parser::pem::Pem;
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::*;
use crate::pki::{CertificateUse, Issuer, SubjectAltName};

const ALGORITHMS: [KeyAlgorithm; 2] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048];

fn now() -> Timestamp {
    "2026-11-26T08:00:00.75Z".parse().unwrap()
}

fn issuer() -> Issuer {
    Issuer {
        secret: "edge-ca".to_owned(),
        fingerprint: None,
    }
}

fn authority(algorithm: KeyAlgorithm) -> Made {
    let issue = Issue::Authority {
        common_name: "kubernetes-ca".to_owned(),
        algorithm,
        lifetime_seconds: 315_360_000,
    };
    make(&issue, None, now()).unwrap()
}

fn leaf(sans: Vec<SubjectAltName>, usage: CertificateUse, algorithm: KeyAlgorithm) -> Issue {
    Issue::Leaf {
        issuer: issuer(),
        common_name: "etcd-peer".to_owned(),
        organization: "peers".to_owned(),
        sans,
        usage,
        algorithm,
        lifetime_seconds: 31_536_000,
    }
}

fn text<'a>(made: &'a Made, key: &str) -> &'a str {
    std::str::from_utf8(made.data.get(key).unwrap()).unwrap()
}

fn pem(made: &Made) -> Pem {
    let text = text(made, CERTIFICATE);
    assert_eq!(
        text.matches("-----BEGIN").count(),
        1,
        "exactly one certificate a file"
    );
    x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap().1
}

fn has_its_own_key(certificate: &X509Certificate<'_>, made: &Made) {
    let text = text(made, PRIVATE_KEY);
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8");
    let key = KeyPair::from_pem(text).unwrap();
    assert_eq!(key.subject_public_key_info(), certificate.public_key().raw);
}

#[test]
fn an_authority_signs_itself_and_may_sign_leaves_only() {
    for algorithm in ALGORITHMS {
        let made = authority(algorithm);
        let pem = pem(&made);
        let certificate = pem.parse_x509().unwrap();
        certificate.verify_signature(None).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=kubernetes-ca");
        let constraints = certificate.basic_constraints().unwrap().unwrap().value;
        assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.digital_signature() && usage.key_encipherment());
        assert!(!usage.crl_sign());
        let begin = certificate.validity().not_before.timestamp();
        assert_eq!(begin, now().as_second() - 300);
        let end = certificate.validity().not_after.timestamp();
        assert_eq!(end, now().as_second() + 315_360_000);
        assert_eq!(made.not_after.unwrap().as_second(), end);
        assert_eq!(made.not_after.unwrap().to_string(), "2036-11-23T08:00:00Z");
        has_its_own_key(&certificate, &made);
        assert_eq!(made.fingerprint, fingerprint(&pem.contents));
        assert_eq!(made.issuer, None);
    }
}

#[test]
fn a_leaf_verifies_against_its_authority_and_against_no_other() {
    for algorithm in ALGORITHMS {
        let (signer, other) = (authority(algorithm), authority(algorithm));
        let names = vec![
            SubjectAltName::Dns("*.kmc-edge-etcd.tenant-7.svc".to_owned()),
            SubjectAltName::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        let issue = leaf(names, CertificateUse::ServerAndClient, algorithm);
        let made = make(&issue, signer.authority.as_ref(), now()).unwrap();
        let (pem, signer_pem, other_pem) = (pem(&made), pem(&signer), pem(&other));
        let certificate = pem.parse_x509().unwrap();
        let signer_certificate = signer_pem.parse_x509().unwrap();
        certificate
            .verify_signature(Some(signer_certificate.public_key()))
            .unwrap();
        let other_key = other_pem.parse_x509().unwrap();
        assert!(
            certificate
                .verify_signature(Some(other_key.public_key()))
                .is_err()
        );
        assert_eq!(certificate.issuer(), signer_certificate.subject());
        assert_eq!(certificate.subject().to_string(), "CN=etcd-peer, O=peers");
        assert!(!certificate.is_ca());
        let extended = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && extended.client_auth && !extended.any);
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(
            names.general_names,
            [
                GeneralName::DNSName("*.kmc-edge-etcd.tenant-7.svc"),
                GeneralName::IPAddress(&Ipv6Addr::LOCALHOST.octets()),
            ]
        );
        assert_eq!(made.issuer.as_deref(), Some(signer.fingerprint.as_str()));
        has_its_own_key(&certificate, &made);
    }
}

#[test]
fn a_client_certificate_cannot_serve() {
    let signer = authority(KeyAlgorithm::EcdsaP256);
    let issue = leaf(Vec::new(), CertificateUse::Client, KeyAlgorithm::EcdsaP256);
    let made = make(&issue, signer.authority.as_ref(), now()).unwrap();
    let pem = pem(&made);
    let certificate = pem.parse_x509().unwrap();
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth);
}

#[test]
fn an_authority_read_back_from_its_secret_signs_as_before() {
    for algorithm in ALGORITHMS {
        let signer = authority(algorithm);
        let read = Authority::read(&signer.data).unwrap();
        assert_eq!(read.fingerprint(), signer.fingerprint);
        let issue = leaf(Vec::new(), CertificateUse::Client, KeyAlgorithm::EcdsaP256);
        let made = make(&issue, Some(&read), now()).unwrap();
        let (pem, signer_pem) = (pem(&made), pem(&signer));
        let signer_certificate = signer_pem.parse_x509().unwrap();
        pem.parse_x509()
            .unwrap()
            .verify_signature(Some(signer_certificate.public_key()))
            .unwrap();
    }
}

#[test]
fn a_secret_that_is_not_a_ca_does_not_sign_and_is_not_quoted() {
    let signer = authority(KeyAlgorithm::EcdsaP256);
    let issue = leaf(Vec::new(), CertificateUse::Client, KeyAlgorithm::EcdsaP256);
    let not_a_ca = make(&issue, signer.authority.as_ref(), now()).unwrap();
    let mut garbage = SecretData::new();
    garbage.insert(CERTIFICATE, Zeroizing::new(b"hunter2".to_vec()));
    garbage.insert(PRIVATE_KEY, Zeroizing::new(b"hunter2".to_vec()));
    for data in [&not_a_ca.data, &garbage, &SecretData::new()] {
        let Err(error) = Authority::read(data) else {
            panic!("it signs");
        };
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    let Err(error) = make(&issue, None, now()) else {
        panic!("nothing signed it");
    };
    assert_eq!(error.to_string(), "nothing signs `etcd-peer`");
}

#[test]
fn a_key_pair_is_a_public_and_a_private_key() {
    for algorithm in ALGORITHMS {
        let made = make(&Issue::KeyPair { algorithm }, None, now()).unwrap();
        assert!(text(&made, CERTIFICATE).starts_with("-----BEGIN PUBLIC KEY-----"));
        let key = KeyPair::from_pem(text(&made, PRIVATE_KEY)).unwrap();
        assert_eq!(key.public_key_pem(), text(&made, CERTIFICATE));
        assert_eq!((made.not_after, made.issuer), (None, None));
    }
}

#[test]
fn a_kubeconfig_names_what_tooling_looks_for() {
    let signer = authority(KeyAlgorithm::EcdsaP256);
    let issue = Issue::Kubeconfig {
        issuer: issuer(),
        cluster: "edge".to_owned(),
        server: "https://[2001:db8::1]:30443".to_owned(),
        user: "kubernetes-admin".to_owned(),
        group: "system:masters".to_owned(),
        algorithm: KeyAlgorithm::EcdsaP256,
        lifetime_seconds: 60,
    };
    let made = make(&issue, signer.authority.as_ref(), now()).unwrap();
    assert_eq!(made.data.keys().collect::<Vec<_>>(), [KUBECONFIG]);
    let parsed = Kubeconfig::from_yaml(text(&made, KUBECONFIG)).unwrap();
    assert_eq!(parsed.current_context.as_deref(), Some("edge-admin@edge-k0s"));
    let context = parsed.contexts[0].context.clone().unwrap();
    assert_eq!(context.cluster, "edge-k0s");
    assert_eq!(context.user.as_deref(), Some("edge-admin"));
    let cluster = parsed.clusters[0].cluster.clone().unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://[2001:db8::1]:30443"));
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let user = parsed.auth_infos[0].auth_info.clone().unwrap();
    let certificate = decode(&user.client_certificate_data.unwrap());
    let pem = x509_parser::pem::parse_x509_pem(&certificate).unwrap().1;
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(
        certificate.subject().to_string(),
        "CN=kubernetes-admin, O=system:masters"
    );
    assert_eq!(made.fingerprint, fingerprint(&pem.contents));
    let authority = decode(&cluster.certificate_authority_data.unwrap());
    assert_eq!(authority, text(&signer, CERTIFICATE).as_bytes());
}

#[test]
fn a_lifetime_beyond_all_dates_is_an_error() {
    for lifetime_seconds in [u64::MAX, 300_000_000_000] {
        let issue = Issue::Authority {
            common_name: "kubernetes-ca".to_owned(),
            algorithm: KeyAlgorithm::EcdsaP256,
            lifetime_seconds,
        };
        assert!(matches!(
            make(&issue, None, now()),
            Err(KeyError::Lifetime { .. })
        ));
    }
}

/// A key of the user's in the forms in which keys are kept.
mod given {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{
        CertificateParams, IsCa, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        PKCS_RSA_SHA256,
    };

    use super::*;
    use crate::pki::KeyPurpose;

    fn ca(key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(key).unwrap().pem()
    }

    fn secret(certificate: &str, key: &str) -> SecretData {
        let mut data = SecretData::new();
        data.insert(CERTIFICATE, Zeroizing::new(certificate.as_bytes().to_vec()));
        if !key.is_empty() {
            data.insert(PRIVATE_KEY, Zeroizing::new(key.as_bytes().to_vec()));
        }
        data
    }

    /// The key inside a PKCS#8 envelope, which is its last octet string.
    fn unwrapped(key: &KeyPair, label: &str) -> String {
        let der = key.serialize_der();
        // SEQUENCE { INTEGER, SEQUENCE algorithm, OCTET STRING inner }
        let (_, header) = length(&der[1..]);
        let mut rest = &der[1 + header..];
        for _ in 0..2 {
            let (size, header) = length(&rest[1..]);
            rest = &rest[1 + header + size..];
        }
        let (size, header) = length(&rest[1..]);
        let inner = &rest[1 + header..1 + header + size];
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(inner)
        )
    }

    fn length(der: &[u8]) -> (usize, usize) {
        match der[0] {
            short @ 0..0x80 => (usize::from(short), 1),
            long => {
                let bytes = usize::from(long & 0x7f);
                let size = der[1..=bytes]
                    .iter()
                    .fold(0, |size, byte| size << 8 | usize::from(*byte));
                (size, bytes + 1)
            }
        }
    }

    #[test]
    fn a_ca_of_any_algorithm_and_form_can_be_used_and_signs() {
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let keys = [
            (
                KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
                "EC PRIVATE KEY",
                parameters,
            ),
            (
                KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
                "EC PRIVATE KEY",
                "a comment\n",
            ),
            (KeyPair::generate_for(&PKCS_ED25519).unwrap(), "", ""),
            (
                KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
                "RSA PRIVATE KEY",
                "",
            ),
        ];
        for (key, label, before) in &keys {
            let mut forms = vec![key.serialize_pem()];
            if !label.is_empty() {
                forms.push(format!("{before}{}", unwrapped(key, label)));
            }
            for form in forms {
                let data = secret(&ca(key), &form);
                let found = inspect(KeyPurpose::Ca, "uid", &data).unwrap();
                assert!(found.has_key);
                let authority = Authority::read(&data).unwrap();
                assert_eq!(authority.fingerprint(), found.fingerprint);
                let issue = leaf(Vec::new(), CertificateUse::Client, KeyAlgorithm::EcdsaP256);
                assert_eq!(
                    make(&issue, Some(&authority), now()).unwrap().issuer,
                    Some(found.fingerprint)
                );
            }
        }
    }

    #[test]
    fn of_several_certificates_the_one_of_the_key_signs_and_k0s_is_given_it_alone() {
        let [own, other] = [0, 1].map(|_| KeyPair::generate().unwrap());
        let (signs, another) = (ca(&own), ca(&other));
        for certificates in [format!("{another}{signs}"), format!("{signs}{another}")] {
            let data = secret(&certificates, &own.serialize_pem());
            let authority = Authority::read(&data).unwrap();
            assert_eq!(authority.certificate().matches("BEGIN").count(), 1);
            for purpose in [KeyPurpose::Etcd, KeyPurpose::Ca, KeyPurpose::Proxy] {
                let found = inspect(purpose, "uid", &data).unwrap();
                assert_eq!(authority.fingerprint(), found.fingerprint);
                let is_alone = found.lone_certificate.is_some_and(|alone| alone == signs);
                assert_eq!(is_alone, purpose != KeyPurpose::Etcd, "{purpose:?}");
            }
        }
    }

    #[test]
    fn only_what_stands_behind_a_certificate_is_too_much_for_k0s() {
        let key = KeyPair::generate().unwrap();
        let alone = |certificates: String| {
            let data = secret(&certificates, &key.serialize_pem());
            inspect(KeyPurpose::Ca, "uid", &data).unwrap().lone_certificate
        };
        let certificate = ca(&key);
        assert_eq!(alone(format!("subject=CN = edge\n{certificate}\n")), None);
        assert_eq!(
            alone(format!("{certificate}the end\n")),
            Some(certificate.clone())
        );
    }

    #[test]
    fn certificates_that_only_begin_are_read_over_once() {
        let begin = "-----BEGIN CERTIFICATE-----";
        let key = KeyPair::generate().unwrap().serialize_pem();
        // As much as a Secret holds.
        let begins = begin.repeat((1 << 20) / begin.len());
        for certificates in [begins.clone(), format!("{begins}-----END CERTIFICATE-----")] {
            let why = inspect(KeyPurpose::Ca, "uid", &secret(&certificates, &key)).unwrap_err();
            assert_eq!(why, "has a `tls.crt` that is not a certificate in PEM");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_without_quoting_it() {
        let [own, other] = [0, 1].map(|_| KeyPair::generate().unwrap());
        let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = ca(&own);
        let no_ca = CertificateParams::default().self_signed(&own).unwrap().pem();
        let rsa_public = "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (purpose, certificate, key, expected) in [
            (
                KeyPurpose::Ca,
                certificate.as_str(),
                other.serialize_pem(),
                "do not belong together",
            ),
            (KeyPurpose::Ca, &certificate, String::new(), "has no `tls.key`"),
            (KeyPurpose::Ca, &certificate, encrypted.to_owned(), "is encrypted"),
            (
                KeyPurpose::Ca,
                &certificate,
                "nonsense".to_owned(),
                "is not a private key",
            ),
            (
                KeyPurpose::Ca,
                "nonsense",
                own.serialize_pem(),
                "not a certificate",
            ),
            (KeyPurpose::Proxy, &no_ca, own.serialize_pem(), "no CA"),
            (
                KeyPurpose::Sa,
                &ed.public_key_pem(),
                ed.serialize_pem(),
                "Ed25519",
            ),
            (
                KeyPurpose::Sa,
                rsa_public,
                own.serialize_pem(),
                "not the public key",
            ),
            (
                KeyPurpose::Sa,
                &other.public_key_pem(),
                own.serialize_pem(),
                "not the public key",
            ),
            (KeyPurpose::EtcdPeer, &no_ca, String::new(), "has no `tls.key`"),
        ] {
            let why = inspect(purpose, "uid", &secret(certificate, &key)).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert!(
            inspect(
                KeyPurpose::Sa,
                "uid",
                &secret(&own.public_key_pem(), &own.serialize_pem())
            )
            .is_ok()
        );
        assert!(inspect(KeyPurpose::Sa, "uid", &secret(&certificate, &own.serialize_pem())).is_ok());
        let without_key = inspect(KeyPurpose::Etcd, "uid", &secret(&certificate, "")).unwrap();
        assert!(!without_key.has_key);
    }
}

#[test]
fn a_delivered_certificate_serves_only_and_its_manifest_holds_the_very_pair_and_no_key_of_the_ca() {
    let signer = authority(KeyAlgorithm::EcdsaP256);
    let issue = Issue::Delivered {
        issuer: issuer(),
        common_name: "ingress-haproxy".to_owned(),
        organization: "kubernetes".to_owned(),
        sans: vec![SubjectAltName::Dns("kubernetes".to_owned())],
        namespace: "default".to_owned(),
        name: "k0smotron-haproxy".to_owned(),
        algorithm: KeyAlgorithm::EcdsaP256,
        lifetime_seconds: 3600,
    };
    let made = make(&issue, signer.authority.as_ref(), now()).unwrap();
    let pem = pem(&made);
    let certificate = pem.parse_x509().unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    let manifest: serde_json::Value = serde_json::from_str(text(&made, crate::pki::DELIVERY)).unwrap();
    let delivered: k8s_openapi::api::core::v1::Secret = serde_json::from_value(manifest).unwrap();
    assert_eq!(delivered.metadata.name.as_deref(), Some("k0smotron-haproxy"));
    let data = delivered.data.unwrap();
    let file = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
    assert_eq!(
        file("server.pem"),
        [text(&made, CERTIFICATE), text(&made, PRIVATE_KEY)].concat()
    );
    assert_eq!(file("ca.crt"), text(&signer, CERTIFICATE));
    assert_eq!(data.len(), 2);
}
