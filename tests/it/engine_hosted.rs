//! A hosted control plane, asked whether it is ready.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k0smotron_fleet::client::USER_AGENT;
use k0smotron_fleet::hosted::{Availability, Dialer, Plane, Reach};
use k0smotron_fleet::object::kinds;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::engine_apply::start;
use crate::support::audit;

#[tokio::test]
async fn a_control_plane_is_asked_with_a_certificate_of_its_own_ca_and_trusted_for_nothing_else() {
    let place = start("hosted").await;
    // The API server of the test stands for a hosted one: its CA in a Secret is all that is needed.
    let store = |name: &'static str, certificate: String, key: String| {
        let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
            "data": { "tls.crt": BASE64.encode(certificate), "tls.key": BASE64.encode(key) } })
        .to_string();
        let place = &place;
        async move {
            let kubeconfig = place.servers.kubeconfig();
            let arguments = ["-n", &place.namespace.name, "create", "-f", "-"];
            let created = place.servers.kubectl_with(&kubeconfig, &arguments, &object);
            created.await.success();
        }
    };
    let authority = &place.servers.authority;
    store("edge-ca", authority.certificate.clone(), authority.key()).await;
    let stranger = crate::support::certificates::Authority::new("kubernetes-ca");
    store("core-ca", stranger.certificate.clone(), stranger.key()).await;
    let fingerprint = |certificate: &str| {
        use sha2::Digest as _;
        let pem = x509_parser::pem::parse_x509_pem(certificate.as_bytes())
            .unwrap()
            .1;
        let hash = sha2::Sha256::digest(&pem.contents);
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (right, wrong) = (
        fingerprint(&authority.certificate),
        fingerprint(&stranger.certificate),
    );
    let cluster = place.id(kinds::K0SMOTRON_CLUSTER, "edge");
    let port = i32::from(place.servers.port);
    let plane = Plane {
        cluster: &cluster,
        uid: "edge-uid",
        authority: "edge-ca",
        fingerprint: &right,
        endpoint: Some(("127.0.0.1", port)),
        service: None,
    };
    let admin = place.servers.client().await;
    let dialer = Dialer::new(&place.client, Reach::Outside);
    let mark = place.servers.audit.mark(&admin).await;
    for _ in 0..3 {
        assert_eq!(
            dialer.available(&plane, Timestamp::now()).await,
            Availability::Available
        );
    }
    let events = place.servers.audit.since(&admin, mark).await;
    let reads = audit::by(audit::within(events, &place.namespace.name), USER_AGENT);
    assert_eq!(audit::summary(&reads).trim(), "get secrets/edge-ca -> 200");

    let other_ca = Plane {
        uid: "core-uid",
        authority: "core-ca",
        fingerprint: &wrong,
        ..plane.clone()
    };
    let refused = dialer.available(&other_ca, Timestamp::now()).await;
    let Availability::Refused { why } = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("certificate"), "{why}");
    let moved = Plane {
        uid: "moved-uid",
        fingerprint: &wrong,
        ..plane.clone()
    };
    let waits = dialer.available(&moved, Timestamp::now()).await;
    assert!(
        matches!(&waits, Availability::NotYet { why } if why.contains("another CA")),
        "{waits:?}"
    );
    let nobody = Plane {
        endpoint: Some(("127.0.0.1", 1)),
        ..plane.clone()
    };
    let waits = dialer.available(&nobody, Timestamp::now()).await;
    assert!(
        matches!(&waits, Availability::NotYet { why } if why.contains("refused")),
        "{waits:?}"
    );
    let inside = Dialer::new(&place.client, Reach::Inside);
    let waits = inside.available(&plane, Timestamp::now()).await;
    assert!(
        matches!(&waits, Availability::NotYet { why } if why.contains("cluster IP")),
        "{waits:?}"
    );
}
