//! What moves between a plan and its execution is named, each kind of it; what does not matter is not.

use std::collections::BTreeMap;

use rstest::rstest;

use super::saved::saved;
use super::*;
use crate::api::fleet_files::RemovalPolicy;
use crate::render::{HubOperator, Published, Settings};

const OLD: &str = "v1.35.2+k0s.0";
const NEW: &str = "v1.35.7+k0s.0";

/// Berlin gets another version, rome is made, paris is deleted, oslo is let go; munich stays.
struct Saved {
    plan: SavedPlan,
    live: Observed,
}

fn desired() -> Vec<FleetEntry> {
    let version = |name, version: &str| entry("edge", name, json!({"version": version, "replicas": 3}));
    vec![
        version("berlin", NEW),
        version("munich", OLD),
        version("rome", OLD),
    ]
}

fn with_records() -> FleetPolicy {
    let record = |policy| RemovedRecord {
        policy,
        reason: None,
        place: "changes/close.yaml:5:30".to_owned(),
    };
    FleetPolicy {
        deletions: Deletions::Tombstone,
        budget: Budget {
            count: 10,
            percent: 100,
        },
        removed: [
            (cluster_id("edge", "paris"), record(RemovalPolicy::Delete)),
            (cluster_id("edge", "oslo"), record(RemovalPolicy::Orphan)),
        ]
        .into(),
        ..policy()
    }
}

impl Saved {
    fn new() -> Self {
        let names = ["berlin", "munich", "oslo", "paris"];
        let entries = names.map(|name| entry("edge", name, json!({"version": OLD, "replicas": 3})));
        let live = hub(&entries);
        let plan = planned(&desired(), &live, &with_records());
        assert_eq!(
            lines(&plan),
            ["~ berlin unknown", "+ rome", "~ oslo safe", "- paris disruptive"]
        );
        Self {
            plan: saved(&plan, &live),
            live,
        }
    }

    /// Checks it against a hub, and returns what is stale and how many entries still fit.
    fn check(&self, now: &Observed) -> (Vec<String>, usize) {
        let anew = planned(&desired(), now, &with_records());
        let bodies: BTreeMap<ObjectId, Object> = self
            .plan
            .entries
            .iter()
            .filter_map(|entry| Some((entry.object.clone(), entry.patch.clone()?)))
            .collect();
        let checked = check_saved(&self.plan, &bodies, now, anew);
        let value = |value: &Option<Value>| value.clone().unwrap_or_default();
        let stale = checked.stale.iter().map(|one| {
            let name = one.object.as_ref().map_or("hub", |id| &id.name);
            let by = one.manager.as_deref().unwrap_or("nobody known");
            format!(
                "{name} {}: {} -> {} by {by}",
                one.field,
                value(&one.old),
                value(&one.new)
            )
        });
        (stale.collect(), checked.plan.actions().count())
    }
}

/// Writes one field as `kubectl edit` does, which is in the managed fields too.
fn write(live: &mut Value, part: &str, field: &str, value: Value) {
    live[part][field] = value;
    let fields = json!({format!("f:{part}"): {format!("f:{field}"): {}}});
    let entry = json!({"manager": "kubectl-edit", "operation": "Update", "time": "2030-01-02T00:00:00Z", "fieldsV1": fields});
    live["metadata"]["managedFields"]
        .as_array_mut()
        .unwrap()
        .push(entry);
}

#[rstest]
#[case::a_field_that_is_changed("berlin", "spec.version: \"v1.35.2+k0s.0\" -> \"v1.35.4+k0s.0\" by kubectl-edit",
    |live: &mut Value| write(live, "spec", "version", json!("v1.35.4+k0s.0")))]
#[case::a_field_of_ours_that_stays("berlin", "spec.replicas: 3 -> 5 by kubectl-edit",
    |live: &mut Value| write(live, "spec", "replicas", json!(5)))]
#[case::a_field_of_ours_that_went("berlin", "spec.replicas: 3 -> null by k0smotron-fleet",
    |live: &mut Value| { live["spec"].as_object_mut().unwrap().remove("replicas"); })]
#[case::another_object_of_that_name("berlin", "metadata.uid: \"UID\" -> \"other\" by nobody known",
    |live: &mut Value| live["metadata"]["uid"] = json!("other"))]
#[case::what_a_deletion_takes_away("paris", "spec.deletionPolicy: null -> \"Delete\" by kubectl-edit",
    |live: &mut Value| write(live, "spec", "deletionPolicy", json!("Delete")))]
#[case::another_object_is_to_be_deleted("paris", "metadata.uid: \"UID\" -> \"other\" by nobody known",
    |live: &mut Value| live["metadata"]["uid"] = json!("other"))]
#[case::another_fleet_took_it("oslo", "metadata.labels[\"fleet.k0smotron.io/id\"]: \"acme-7f3a\" -> \"other\" by k0smotron-fleet",
    |live: &mut Value| live["metadata"]["labels"][labels::FLEET_ID] = json!("other"))]
#[case::another_object_is_to_be_let_go("oslo", "metadata.uid: \"UID\" -> \"other\" by nobody known",
    |live: &mut Value| live["metadata"]["uid"] = json!("other"))]
fn what_moved_is_named_with_its_field_both_values_and_the_writer(
    #[case] name: &str,
    #[case] expected: &str,
    #[case] edit: impl FnOnce(&mut Value),
) {
    let saved = Saved::new();
    let id = cluster_id("edge", name);
    let uid = saved
        .live
        .objects
        .get(&id)
        .and_then(Object::uid)
        .unwrap()
        .to_owned();
    let (stale, fitting) = saved.check(&edited(&saved.live, &id, edit));
    assert_eq!(stale, [format!("{name} {}", expected.replace("UID", &uid))]);
    assert_eq!(fitting, 3, "the others fit");
}

#[test]
fn what_is_there_and_what_is_gone_is_named() {
    let saved = Saved::new();
    let mut gone = saved.live.clone();
    let berlin = gone.objects.remove(&cluster_id("edge", "berlin")).unwrap();
    let (stale, _) = saved.check(&gone);
    let uid = berlin.uid().unwrap();
    assert_eq!(
        stale,
        [format!("berlin metadata.uid: \"{uid}\" -> null by nobody known")]
    );

    let rome = hub(&[entry("edge", "rome", json!({"version": NEW}))]);
    let mut made = saved.live.clone();
    let id = cluster_id("edge", "rome");
    made.objects
        .insert(id.clone(), rome.objects.get(&id).unwrap().clone());
    let (stale, _) = saved.check(&made);
    let uid = rome.objects.get(&id).and_then(Object::uid).unwrap();
    assert_eq!(
        stale,
        [format!("rome metadata.uid: null -> \"{uid}\" by k0smotron-fleet")]
    );
}

#[rstest]
#[case::a_status("berlin", |live: &mut Value| {
    live["status"] = json!({"ready": "3/3"});
    live["metadata"]["resourceVersion"] = json!("4711");
})]
#[case::somebody_elses_annotation("berlin", |live: &mut Value| live["metadata"]["annotations"]["note"] = json!("ask Ada"))]
#[case::somebody_elses_field("berlin", |live: &mut Value| write(live, "spec", "nodeSelector", json!({"pool": "a"})))]
#[case::a_finalizer("berlin", |live: &mut Value| live["metadata"]["finalizers"] = json!(["k0smotron.io/release"]))]
#[case::a_status_of_what_goes("paris", |live: &mut Value| live["status"] = json!({"ready": "3/3"}))]
#[case::whatever_is_let_go_stays_as_it_is("oslo", |live: &mut Value| write(live, "spec", "replicas", json!(5)))]
#[case::what_is_unchanged("munich", |live: &mut Value| live["status"] = json!({"ready": "3/3"}))]
fn what_does_not_matter_is_not_stale(#[case] name: &str, #[case] edit: impl FnOnce(&mut Value)) {
    let saved = Saved::new();
    let now = edited(&saved.live, &cluster_id("edge", name), edit);
    assert_eq!(saved.check(&now), (Vec::new(), 4));
}

#[test]
fn what_was_done_meanwhile_is_not_done_again() {
    let saved = Saved::new();
    let now = applied(&saved.plan.to_plan(), &saved.live);
    assert_eq!(saved.check(&now), (Vec::new(), 0));
}

#[test]
fn another_hub_and_an_operator_with_other_settings_are_named() {
    let saved = Saved::new();
    let moved = HubOperator::this(&Settings {
        allows_host_path: true,
        ..Settings::standard()
    });
    let stale = stale_in_common(&saved.plan, Some("another"), &moved);
    let fields: Vec<&str> = stale.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["hub.uid", "operator.allowsHostPath"]);
    assert_eq!(
        (stale[1].old.clone(), stale[1].new.clone()),
        (Some(json!(false)), Some(json!(true)))
    );
}

#[test]
fn an_operator_that_was_replaced_since_the_plan_is_named_and_why_nothing_was_known_is_not() {
    let mut saved = Saved::new().plan;
    saved.hub.uid = None;
    let fields = |saved: &SavedPlan, now: &HubOperator| -> Vec<String> {
        let stale = stale_in_common(saved, None, now);
        stale.into_iter().map(|one| one.field).collect()
    };
    let mut newer = Published::of_this_program(&Settings::standard());
    newer.version = "9.0.0".to_owned();
    newer.renderer_revisions.insert(2);
    newer.settings.renderer_revision = 2;
    assert_eq!(
        fields(&saved, &HubOperator::Published(newer.clone())),
        [
            "operator.rendererRevision",
            "operator.rendererRevisions",
            "operator.version"
        ]
    );
    let unreadable = HubOperator::Unreadable { version: None };
    assert!(fields(&saved, &unreadable).contains(&"operator.version".to_owned()));
    assert!(!fields(&saved, &HubOperator::assumed("it is not there")).is_empty());
    saved.operator = HubOperator::assumed("it may not be read");
    assert!(fields(&saved, &HubOperator::assumed("it is not there")).is_empty());
    assert!(fields(&saved, &HubOperator::Published(newer)).contains(&"operator.version".to_owned()));
}
