use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use super::*;
use crate::api::cluster_parts::{ServiceType, StorageType};
use crate::api::cluster_status::{Endpoint, HeldStatus};
use crate::api::duration::GoDuration;
use crate::api::{ClusterSpec, ClusterStatus, Pins, condition};
use crate::object::{ObjectId, kinds};
use crate::pki::{KeyFacts, KeyPurpose};
use crate::plan::{ActionResult, Failure, FailureKind, Held, HeldReason, Outcome, Plan};
use crate::render::{Facts, Stalled, StatefulSetFacts};

const NOW: &str = "2030-01-01T00:00:00Z";

/// Everything of a cluster with three replicas that is as it should be.
struct World {
    spec: ClusterSpec,
    facts: Facts,
    wanted: Result<Wanted, Stalled>,
    plan: Plan,
    outcome: Outcome,
    availability: Availability,
    previous: Option<ClusterStatus>,
}

fn pods(replicas: i32) -> StatefulSetFacts {
    StatefulSetFacts {
        spec_replicas: replicas,
        generation: 4,
        observed_generation: 4,
        replicas,
        ready_replicas: replicas,
        updated_replicas: replicas,
        current_revision: Some("a".into()),
        update_revision: Some("a".into()),
        ..StatefulSetFacts::default()
    }
}

fn world() -> World {
    let key = |end: &str| KeyFacts {
        not_after: Some(end.to_owned()),
        fingerprint: Some("ab12".into()),
        ..KeyFacts::default()
    };
    World {
        spec: ClusterSpec::default(),
        facts: Facts {
            name: "edge".into(),
            namespace: "tenant-7".into(),
            uid: "uid-edge".into(),
            generation: 5,
            created_at: Some("2029-12-31T00:00:00Z".into()),
            now: NOW.parse().unwrap(),
            pins: Pins::default(),
            stored_pins: None,
            services: Default::default(),
            given: std::collections::BTreeMap::new(),
            pins_secret: None,
            keys: [
                (KeyPurpose::Ca, key("2040-01-01T00:00:00Z")),
                (KeyPurpose::EtcdPeer, key("2030-12-24T00:00:00Z")),
                (KeyPurpose::Kubeconfig, key("2030-12-31T00:00:00Z")),
            ]
            .into(),
            stateful_sets: [("kmc-edge".into(), pods(3)), ("kmc-edge-etcd".into(), pods(3))].into(),
            routes: None,
            node_addresses: Vec::new(),
            volumes: Default::default(),
            config: None,
            data_source: None,
            storage_classes: Default::default(),
            running_version: None,
            ca_fingerprint: None,
            left_to_adopt: Vec::new(),
            not_ready_since: None,
            etcd: None,
            unreadable: Vec::new(),
        },
        wanted: Ok(Wanted {
            version: "v1.36.3+k0s.2".into(),
            replicas: 3,
            etcd_members: 3,
            etcd_step: None,
            storage: StorageType::Etcd,
            service: ServiceType::NodePort,
            endpoint: Ok(Endpoint {
                host: "192.0.2.7".into(),
                api_port: 30443,
                konnectivity_port: 30132,
                konnectivity_host: None,
                url: "https://192.0.2.7:30443".into(),
            }),
            pins: Pins::default(),
            keys: BTreeSet::from([KeyPurpose::Ca, KeyPurpose::EtcdPeer, KeyPurpose::Kubeconfig]),
            renew_before: SignedDuration::from_hours(24 * 120),
            held: Vec::new(),
        }),
        plan: Plan::default(),
        outcome: Outcome::default(),
        availability: Availability::Answers,
        previous: None,
    }
}

impl World {
    fn at(&self, now: &str) -> ClusterStatus {
        of(&self.input(now))
    }

    fn input(&self, now: &str) -> Input<'_> {
        Input {
            spec: &self.spec,
            facts: &self.facts,
            previous: self.previous.as_ref(),
            wanted: self.wanted.clone(),
            plan: &self.plan,
            outcome: &self.outcome,
            availability: self.availability.clone(),
            now: now.parse().unwrap(),
        }
    }

    fn wanted(&mut self) -> &mut Wanted {
        self.wanted.as_mut().unwrap()
    }

    fn control_plane(&mut self) -> &mut StatefulSetFacts {
        self.facts.stateful_sets.get_mut("kmc-edge").unwrap()
    }
}

/// `True Reason`, or nothing for a condition that is not there.
fn says(status: &ClusterStatus, type_: &str) -> String {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_);
    found.map_or_else(String::new, |condition| {
        format!("{} {}", condition.status, condition.reason)
    })
}

fn message<'a>(status: &'a ClusterStatus, type_: &str) -> &'a str {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_);
    &found.unwrap().message
}

#[test]
fn a_cluster_of_which_everything_holds_is_ready() {
    let status = world().at(NOW);
    for type_ in [
        condition::AVAILABLE,
        condition::UP_TO_DATE,
        condition::EXPOSED,
        condition::CERTIFICATES_VALID,
        condition::KUBECONFIG_READY,
    ] {
        assert!(
            says(&status, type_).starts_with("True"),
            "{type_}: {}",
            says(&status, type_)
        );
    }
    assert_eq!(says(&status, condition::READY), "True Ready");
    assert_eq!(
        says(&status, condition::RECONCILING) + &says(&status, condition::STALLED),
        ""
    );
    assert_eq!(status.ready.as_deref(), Some("3/3"));
    assert_eq!(status.version.as_deref(), Some("v1.36.3+k0s.2"));
    assert_eq!(status.certificates_expire.as_deref(), Some("2030-12-24"));
    assert_eq!(
        status.selector.as_deref(),
        Some("app=k0smotron,cluster=edge,component=cluster")
    );
    assert_eq!(status.kubeconfig_secret.as_deref(), Some("edge-kubeconfig"));
    assert_eq!(status.observed_generation, Some(5));
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.observed_generation == Some(5))
    );
}

#[test]
fn an_hour_later_nothing_is_written() {
    let mut world = world();
    world.previous = Some(world.at(NOW));
    assert_eq!(update(&world.input("2030-01-01T01:00:00.123456Z")), None);
    // Nor after the round trip through the server.
    let text = serde_json::to_string(&world.previous).unwrap();
    world.previous = serde_json::from_str(&text).unwrap();
    assert_eq!(update(&world.input("2030-01-01T01:00:00.123456Z")), None);
}

#[test]
fn the_time_of_a_transition_moves_only_with_the_status_of_a_condition() {
    let mut world = world();
    world.control_plane().ready_replicas = 1;
    world.previous = Some(world.at(NOW));
    world.control_plane().ready_replicas = 2;
    let later = "2030-01-01T02:00:00.5Z";
    let still = update(&world.input(later)).unwrap();
    let time = |status: &ClusterStatus| status.conditions[0].last_transition_time.0;
    assert_eq!(
        message(&still, condition::READY),
        "2 of 3 control-plane pods are ready."
    );
    assert_eq!(time(&still), NOW.parse::<Timestamp>().unwrap());
    world.previous = Some(still);
    world.control_plane().ready_replicas = 3;
    let ready = update(&world.input(later)).unwrap();
    assert_eq!(time(&ready), "2030-01-01T02:00:00Z".parse::<Timestamp>().unwrap());
}

/// One thing at a time does not hold; `Ready` takes its words.
#[rstest]
#[case::not_created(|world: &mut World| { world.facts.stateful_sets.clear(); }, "Creating", condition::UP_TO_DATE)]
#[case::not_looked_at(|world: &mut World| world.control_plane().generation = 5, "Rolling", condition::UP_TO_DATE)]
#[case::half_rolled(|world: &mut World| {
    world.control_plane().updated_replicas = 1;
    world.control_plane().update_revision = Some("b".into());
}, "Rolling", condition::UP_TO_DATE)]
#[case::wrong_number(|world: &mut World| world.control_plane().spec_replicas = 1, "Rolling", condition::UP_TO_DATE)]
#[case::pods(|world: &mut World| world.control_plane().ready_replicas = 2, "PodsNotReady", condition::READY)]
#[case::members(|world: &mut World| {
    world.facts.stateful_sets.get_mut("kmc-edge-etcd").unwrap().ready_replicas = 2;
}, "PodsNotReady", condition::READY)]
#[case::silent(|world: &mut World| world.availability = Availability::Silent("refused".into()), "NoAnswer", condition::AVAILABLE)]
#[case::not_asked(|world: &mut World| world.availability = Availability::NotAsked("outside".into()), "NotAsked", condition::AVAILABLE)]
#[case::no_address(|world: &mut World| world.wanted().endpoint = Err("a load balancer".into()), "AddressPending", condition::EXPOSED)]
#[case::missing(|world: &mut World| { world.facts.keys.remove(&KeyPurpose::EtcdPeer); }, "Missing", condition::CERTIFICATES_VALID)]
#[case::soon(|world: &mut World| world.wanted().renew_before = SignedDuration::from_hours(9000), "ExpiresSoon", condition::CERTIFICATES_VALID)]
#[case::kubeconfig(|world: &mut World| { world.facts.keys.remove(&KeyPurpose::Kubeconfig); }, "Missing", condition::KUBECONFIG_READY)]
fn what_does_not_hold_is_named_by_ready_and_is_being_worked_on(
    #[case] spoil: fn(&mut World),
    #[case] reason: &str,
    #[case] type_: &str,
) {
    let mut world = world();
    spoil(&mut world);
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::READY), format!("False {reason}"));
    assert_eq!(says(&status, condition::RECONCILING), format!("True {reason}"));
    assert_eq!(says(&status, condition::STALLED), "");
    assert!(!says(&status, type_).starts_with("True"), "{type_}");
}

#[test]
fn an_expired_certificate_is_told_from_one_that_is_due() {
    let status = world().at("2031-06-01T00:00:00Z");
    assert_eq!(says(&status, condition::CERTIFICATES_VALID), "False Expired");
    assert_eq!(
        message(&status, condition::CERTIFICATES_VALID),
        "Certificates and keys expired: etcd-peer."
    );
}

#[test]
fn the_version_advances_only_when_all_pods_run_it() {
    let mut world = world();
    world.previous = Some(ClusterStatus {
        version: Some("v1.35.0+k0s.0".into()),
        ..ClusterStatus::default()
    });
    world.control_plane().observed_generation = 3;
    assert_eq!(world.at(NOW).version.as_deref(), Some("v1.35.0+k0s.0"));
    world.control_plane().observed_generation = 4;
    assert_eq!(world.at(NOW).version.as_deref(), Some("v1.36.3+k0s.2"));
}

#[test]
fn members_that_are_replaced_by_hand_are_counted_and_not_compared_by_revision() {
    let mut world = world();
    let etcd = world.facts.stateful_sets.get_mut("kmc-edge-etcd").unwrap();
    etcd.update_revision = Some("b".into());
    assert_eq!(says(&world.at(NOW), condition::UP_TO_DATE), "True UpToDate");
}

#[rstest]
#[case::control_plane("kmc-edge")]
#[case::etcd("kmc-edge-etcd")]
fn a_template_that_is_taken_back_while_it_rolls_is_in_force_when_all_pods_run_it_again(#[case] set: &str) {
    let mut world = world();
    let pods = world.facts.stateful_sets.get_mut(set).unwrap();
    // Both revisions are the old one again, and one pod still runs the other.
    pods.updated_replicas = 2;
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::UP_TO_DATE), "False Rolling");
    assert_eq!(
        message(&status, condition::UP_TO_DATE),
        format!("StatefulSet `{set}`: 2 of 3 pods run the new template.")
    );
    assert_eq!(says(&status, condition::READY), "False Rolling");
}

#[test]
fn a_hibernated_cluster_is_ready_and_not_available() {
    let mut world = world();
    world.wanted().replicas = 0;
    for pods in world.facts.stateful_sets.values_mut() {
        *pods = self::pods(0);
    }
    world.availability = Availability::NotAsked("no pod is ready".into());
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::READY), "True Hibernated");
    assert_eq!(says(&status, condition::AVAILABLE), "False Hibernated");
    assert_eq!(status.ready.as_deref(), Some("0/0"));
}

#[test]
fn while_paused_only_the_words_of_ready_change() {
    let mut world = world();
    world.previous = Some(world.at(NOW));
    world.facts.generation = 6;
    world.spec.paused = Some(true);
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::READY), "Unknown Paused");
    assert_eq!(status.observed_generation, Some(5));
    let others = |status: &ClusterStatus| status.conditions[1..].to_vec();
    assert_eq!(others(&status), others(world.previous.as_ref().unwrap()));
}

#[test]
fn a_spec_that_is_not_rendered_says_what_to_do_and_keeps_what_is_true_of_the_running_one() {
    let mut world = world();
    world.previous = Some(world.at(NOW));
    world.facts.generation = 6;
    world.wanted = Err(Stalled {
        reason: "NotSupported".into(),
        message: "not supported yet: spec.ingress".into(),
    });
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::READY), "False NotSupported");
    assert_eq!(says(&status, condition::STALLED), "True NotSupported");
    assert_eq!(
        message(&status, condition::STALLED),
        "not supported yet: spec.ingress"
    );
    assert_eq!(status.observed_generation, Some(6));
    let exposed = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == condition::EXPOSED);
    assert_eq!(exposed.unwrap().observed_generation, Some(5));
    assert_eq!(status.version.as_deref(), Some("v1.36.3+k0s.2"));
    world.previous = Some(status);
    assert_eq!(update(&world.input("2030-01-02T00:00:00Z")), None);
}

fn secret() -> ObjectId {
    ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca")
}

#[test]
fn an_object_of_somebody_else_needs_a_person_however_it_was_found() {
    let foreign = |spoil: fn(&mut World)| {
        let mut world = world();
        spoil(&mut world);
        let status = world.at(NOW);
        assert_eq!(says(&status, condition::STALLED), "True ForeignObject");
        assert_eq!(says(&status, condition::READY), "False ForeignObject");
        assert_eq!(says(&status, condition::RECONCILING), "");
        assert_eq!(status.held_count, Some(1));
        assert_eq!(
            (&*status.held[0].what, &*status.held[0].reason),
            ("Secret/edge-ca", "ForeignObject")
        );
        assert!(message(&status, condition::READY).contains("edge-ca"));
    };
    foreign(|world| {
        world.plan.held.push(Held {
            id: secret(),
            reason: HeldReason::Foreign,
            waiting_on: "it exists and is not ours".into(),
        });
    });
    foreign(|world| {
        let owner = "written by `helm`".to_owned();
        world
            .outcome
            .results
            .push((secret(), ActionResult::Foreign { owner }));
    });
    foreign(|world| {
        world.wanted().held.push(HeldStatus {
            what: "Secret/edge-ca".into(),
            reason: "ForeignObject".into(),
            message: "Secret `edge-ca` exists and was not made for this cluster".into(),
        });
    });
}

#[test]
fn a_renderer_revision_that_waits_is_told_and_has_no_effect() {
    let mut world = world();
    world.wanted().held.push(HeldStatus {
        what: "renderer".into(),
        reason: "RendererRevision".into(),
        message: "revision 2 is there".into(),
    });
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::READY), "True Ready");
    assert_eq!(status.held_count, Some(1));
}

#[test]
fn a_version_that_may_not_follow_is_not_ready_until_it_is_changed() {
    let mut world = world();
    world.wanted().held.push(HeldStatus {
        what: "spec.version".into(),
        reason: "VersionSkew".into(),
        message: "v1.34 runs".into(),
    });
    assert_eq!(says(&world.at(NOW), condition::STALLED), "True VersionSkew");
}

#[rstest]
#[case(FailureKind::Forbidden, "False Forbidden", "True Forbidden")]
#[case(FailureKind::Invalid, "False Refused", "True Refused")]
#[case(FailureKind::Timeout, "False Retrying", "")]
#[case(FailureKind::Unavailable, "False Retrying", "")]
fn a_failure_needs_a_person_or_is_tried_again(
    #[case] kind: FailureKind,
    #[case] ready: &str,
    #[case] stalled: &str,
) {
    let mut world = world();
    let failure = Failure {
        kind,
        message: "the server said no".into(),
    };
    world
        .outcome
        .results
        .push((secret(), ActionResult::Failed(failure)));
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::READY), ready);
    assert_eq!(says(&status, condition::STALLED), stalled);
}

#[test]
fn what_only_waits_for_its_turn_is_not_held() {
    let mut world = world();
    world.plan.held.push(Held {
        id: secret(),
        reason: HeldReason::Waiting,
        waiting_on: "a port".into(),
    });
    assert_eq!(world.at(NOW).held, []);
}

#[test]
fn a_life_span_ends_that_long_after_creation() {
    let mut world = world();
    world.spec.ttl = Some(GoDuration("36h".into()));
    assert_eq!(world.at(NOW).expires_at.as_deref(), Some("2030-01-01T12:00:00Z"));
}

#[test]
fn another_address_that_was_detected_is_said_and_nothing_is_in_progress() {
    let mut world = world();
    world.wanted().held.push(HeldStatus {
        what: "spec.externalAddress".into(),
        reason: "AddressChanged".into(),
        message: "clients and workers use 192.0.2.7".into(),
    });
    let status = world.at(NOW);
    assert_eq!(says(&status, condition::EXPOSED), "False AddressChanged");
    assert_eq!(says(&status, condition::STALLED), "True AddressChanged");
    assert_eq!(says(&status, condition::AVAILABLE), "True Answers");
}
