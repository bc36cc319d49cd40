use serde_json::{Value, json};

use super::*;
use crate::object::ObjectId;
use crate::plan::{ActionResult, Failure, FailureKind, Held};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

fn id(name: &str) -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name)
}

fn rollout(written: Value) -> Rollout {
    let spec = json!({"id": "acme-7f3a", "rollout": written});
    Rollout::of(&serde_json::from_value(spec).unwrap()).unwrap()
}

/// Three waves: `canary`, `prod` and the rest.
fn three() -> Value {
    json!({
        "canary": {"selector": {"matchLabels": {"stage": "canary"}}},
        "waves": [{"name": "prod", "selector": {"matchLabels": {"stage": "prod"}}, "maxConcurrent": 2}],
    })
}

/// A cluster at a generation, of which the operator has seen another one.
fn cluster(name: &str, version: &str, generation: i64, seen: i64, words: &[(&str, &str)]) -> Object {
    let conditions: Vec<Value> = words
        .iter()
        .map(|(type_, status)| json!({"type": type_, "status": status, "reason": "R", "message": "words."}))
        .collect();
    Object(json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {"name": name, "namespace": "edge", "generation": generation, "uid": name},
        "spec": {"version": version},
        "status": {"observedGeneration": seen, "conditions": conditions},
    }))
}

const WELL: [(&str, &str); 2] = [("UpToDate", "True"), ("Available", "True")];

fn change(name: &str, stage: &str, impact: Impact) -> Action {
    let body = json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {"name": name, "namespace": "edge", "labels": {"stage": stage}},
        "spec": {"version": "2"},
    });
    Action {
        id: id(name),
        operation: Operation::Apply {
            body: Object(body),
            uid: name.to_owned(),
        },
        impact,
        reason: String::new(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    }
}

fn delete(name: &str) -> Action {
    Action {
        operation: Operation::Delete {
            uid: name.to_owned(),
            resource_version: "1".to_owned(),
            propagation: crate::plan::Propagation::Background,
        },
        ..change(name, "", Impact::DataLoss)
    }
}

fn plan(changes: Vec<Action>, deletions: Vec<Action>) -> Plan {
    let wave = |name: &str, actions| Wave {
        name: name.to_owned(),
        actions,
    };
    Plan {
        revision: None,
        waves: vec![wave("changes", changes), wave("deletions", deletions)],
        held: Vec::<Held>::new(),
        unchanged: Vec::new(),
    }
}

fn observed(names: &[&str]) -> Observed {
    let objects = names
        .iter()
        .map(|name| (id(name), cluster(name, "1", 1, 1, &WELL)));
    Observed {
        objects: objects.collect(),
        unreadable: Vec::new(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// A fleet that is rolled out in memory: what was opened is taken out of the plan.
struct World {
    rollout: Rollout,
    plan: Plan,
    observed: Observed,
    state: State,
    now: i64,
}

impl World {
    fn new(written: Value, changes: Vec<Action>) -> Self {
        let names: Vec<String> = changes.iter().map(|action| action.id.name.clone()).collect();
        let observed = observed(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let rollout = rollout(written);
        Self {
            plan: rollout.arrange(plan(changes, vec![delete("gone")]), &observed),
            rollout,
            observed,
            state: State::new("content", None),
            now: 0,
        }
    }

    /// Takes one step with what is seen, and returns the names that it opened and what it waits for.
    fn step(&mut self, seen: &[(&str, Verdict)]) -> (Vec<String>, Option<Waiting>) {
        let seen = seen.iter().map(|(name, verdict)| {
            let evidence = Evidence {
                verdict: verdict.clone(),
                is_available: *verdict == Verdict::Settled,
            };
            (id(name), evidence)
        });
        let Step { open, state, waiting } = step(
            &self.rollout,
            &self.state,
            &self.plan,
            &self.observed,
            &seen.collect(),
            at(self.now),
        );
        self.state = State::read(&state.text()).unwrap();
        assert_eq!(self.state, state);
        for wave in &mut self.plan.waves {
            wave.actions.retain(|action| !open.contains(&action.id));
        }
        self.now += 1;
        (open.into_iter().map(|id| id.name).collect(), waiting)
    }
}

fn progressing() -> Verdict {
    Verdict::Progressing("1 of 3 pods are ready".to_owned())
}

#[test]
fn only_what_restarts_pods_is_put_into_waves_and_those_that_are_not_ready_come_last() {
    let mut observed = observed(&["a", "b", "c", "d"]);
    observed
        .objects
        .insert(id("a"), cluster("a", "1", 1, 1, &[("Available", "False")]));
    let changes = vec![
        change("a", "prod", Impact::Rolling),
        change("b", "prod", Impact::Disruptive),
        change("c", "prod", Impact::Safe),
        change("d", "other", Impact::Unknown),
    ];
    let arranged = rollout(three()).arrange(plan(changes, vec![delete("x")]), &observed);
    let shown: Vec<(String, Vec<&str>)> = arranged
        .waves
        .iter()
        .map(|wave| {
            let names = wave.actions.iter().map(|action| action.id.name.as_str());
            (wave.name.clone(), names.collect())
        })
        .collect();
    let expected = [
        ("changes", vec!["c"]),
        ("prod", vec!["b", "a"]),
        ("rest", vec!["d"]),
        ("deletions", vec!["x"]),
    ];
    assert_eq!(shown, expected.map(|(name, names)| (name.to_owned(), names)));
}

#[test]
fn a_wave_waits_for_the_one_before_and_deletions_for_all() {
    let mut world = World::new(
        three(),
        vec![
            change("one", "canary", Impact::Rolling),
            change("two", "prod", Impact::Rolling),
            change("safe", "prod", Impact::Safe),
        ],
    );
    let (open, waiting) = world.step(&[]);
    assert_eq!(open, ["one", "safe"]);
    assert_eq!(
        waiting.unwrap().to_string(),
        "wave canary waits for 1 cluster: edge/one (changed just now)"
    );
    let (open, waiting) = world.step(&[("one", progressing())]);
    assert_eq!(open, [""; 0]);
    assert_eq!(
        waiting.unwrap().to_string(),
        "wave canary waits for 1 cluster: edge/one (1 of 3 pods are ready)"
    );
    let (open, waiting) = world.step(&[("one", Verdict::Settled)]);
    assert_eq!((open, waiting), (vec!["gone".to_owned(), "two".to_owned()], None));
}

#[test]
fn no_more_clusters_of_a_wave_are_on_their_way_than_may_be() {
    let names = ["a", "b", "c", "d"];
    let changes = names.map(|name| change(name, "prod", Impact::Rolling));
    let mut world = World::new(three(), changes.into());
    assert_eq!(world.step(&[]).0, ["a", "b"]);
    assert_eq!(
        world.step(&[("a", progressing()), ("b", Verdict::Settled)]).0,
        ["c"]
    );
    assert_eq!(
        world.step(&[("a", progressing()), ("c", progressing())]).0,
        [""; 0]
    );
    let (open, waiting) = world.step(&[("a", Verdict::Settled), ("c", progressing())]);
    assert_eq!((open, waiting), (vec!["d".to_owned(), "gone".to_owned()], None));
}

#[test]
fn a_cluster_must_stay_settled_for_as_long_as_the_fleet_says() {
    let written =
        json!({"minSuccessTime": "10s", "canary": {"selector": {"matchLabels": {"stage": "canary"}}}});
    let changes = vec![
        change("one", "canary", Impact::Rolling),
        change("two", "x", Impact::Rolling),
    ];
    let mut world = World::new(written, changes);
    world.step(&[]);
    assert_eq!(world.step(&[("one", Verdict::Settled)]).0, [""; 0]);
    world.now = 9;
    assert_eq!(world.step(&[("one", progressing())]).0, [""; 0]);
    world.now = 12;
    // It begins anew.
    assert_eq!(world.step(&[("one", Verdict::Settled)]).0, [""; 0]);
    world.now = 21;
    assert_eq!(world.step(&[("one", Verdict::Settled)]).0, [""; 0]);
    world.now = 22;
    assert_eq!(world.step(&[("one", Verdict::Settled)]).0, ["gone", "two"]);
}

#[test]
fn too_many_failures_halt_until_somebody_resumes() {
    let written = json!({"maxFailures": 1, "waves": [
        {"name": "prod", "selector": {"matchLabels": {"stage": "prod"}}}]});
    let mut changes = vec![change("last", "x", Impact::Rolling)];
    changes.extend(["a", "b", "c"].map(|name| change(name, "prod", Impact::Rolling)));
    let mut world = World::new(written, changes);
    world.step(&[]);
    let failed = |name| (name, Verdict::Failed("Refused: no".to_owned()));
    let settled = ("c", Verdict::Settled);
    // One may fail.
    assert!(matches!(
        world
            .step(&[failed("a"), ("b", progressing()), settled.clone()])
            .1,
        Some(Waiting::Wave { .. })
    ));
    let (open, waiting) = world.step(&[failed("a"), failed("b")]);
    assert_eq!(open, [""; 0]);
    assert_eq!(
        waiting.unwrap().to_string(),
        "the rollout is halted: 2 failed, maxFailures is 1; edge/a: Refused: no"
    );
    // That they come to does not open it: somebody has to look.
    let (open, waiting) = world.step(&[("a", Verdict::Settled), ("b", Verdict::Settled)]);
    assert!(open.is_empty() && waiting.unwrap().is_for_a_person());
    world.state.resume();
    assert_eq!(world.step(&[]).0, ["gone", "last"]);
}

#[test]
fn a_cluster_that_was_not_well_before_is_no_failure_and_one_that_was_is_after_the_deadline() {
    let written = json!({"progressDeadline": "60s", "waves": [
        {"name": "prod", "selector": {"matchLabels": {"stage": "prod"}}}]});
    let changes = vec![
        change("ill", "prod", Impact::Rolling),
        change("last", "x", Impact::Rolling),
    ];
    let ill = |world: &mut World| {
        world
            .observed
            .objects
            .insert(id("ill"), cluster("ill", "1", 1, 1, &[("Available", "False")]));
    };
    let mut world = World::new(written.clone(), changes.clone());
    ill(&mut world);
    world.step(&[]);
    assert_eq!(world.step(&[("ill", progressing())]).0, ["gone", "last"]);
    let mut world = World::new(written, changes);
    world.step(&[]);
    world.now = 59;
    assert!(!world.step(&[("ill", progressing())]).1.unwrap().is_for_a_person());
    let (_, waiting) = world.step(&[("ill", progressing())]);
    let words = waiting.unwrap().to_string();
    assert!(
        words.ends_with("edge/ill: not up to date after 60 s: 1 of 3 pods are ready"),
        "{words}"
    );
}

#[test]
fn no_more_clusters_are_unavailable_than_may_be() {
    let names = ["a", "b", "c", "d"];
    let changes = names.map(|name| change(name, "x", Impact::Disruptive));
    let mut world = World::new(json!({"maxUnavailable": 2}), changes.into());
    let (open, waiting) = world.step(&[]);
    assert_eq!(open, ["a", "b"]);
    assert_eq!(
        waiting.unwrap().to_string(),
        "maxUnavailable is reached: edge/a, edge/b"
    );
    assert_eq!(
        world.step(&[("a", Verdict::Settled), ("b", progressing())]).0,
        ["c"]
    );
    // Rolls leave the API available, so that all may go until one does not answer.
    let changes = names.map(|name| change(name, "x", Impact::Rolling));
    let mut world = World::new(json!({"maxUnavailable": 2}), changes.into());
    assert_eq!(world.step(&[]).0, ["a", "b", "c", "d", "gone"]);
}

#[test]
fn what_is_paused_or_aborted_waits_for_a_person_and_what_is_safe_does_not() {
    for stop in [
        |state: &mut State| state.pause("ann: lunch"),
        |state: &mut State| state.abort("ann: lunch"),
    ] {
        let changes = vec![change("a", "x", Impact::Rolling), change("b", "x", Impact::Safe)];
        let mut world = World::new(json!({}), changes);
        stop(&mut world.state);
        let (open, waiting) = world.step(&[]);
        assert_eq!(open, ["b"]);
        assert!(waiting.unwrap().to_string().ends_with("ed: ann: lunch"));
        world.state.resume();
        assert_eq!(world.step(&[]).0, ["a", "gone"]);
    }
}

#[test]
fn who_vouches_for_a_wave_opens_the_next() {
    let changes = vec![
        change("one", "canary", Impact::Rolling),
        change("two", "prod", Impact::Rolling),
    ];
    let mut world = World::new(three(), changes);
    world.step(&[]);
    assert_eq!(world.step(&[("one", progressing())]).0, [""; 0]);
    assert_eq!(world.state.promote(), ["canary".to_owned()].into());
    assert_eq!(world.step(&[("one", progressing())]).0, ["gone", "two"]);
}

#[test]
fn going_back_to_what_runs_needs_no_gate() {
    let changes = vec![
        change("one", "canary", Impact::Rolling),
        change("two", "prod", Impact::Rolling),
    ];
    let mut world = World::new(three(), changes);
    assert_eq!(world.step(&[]).0, ["one"]);
    let halted = world.step(&[("one", Verdict::Failed("Refused: no".to_owned()))]);
    assert!(halted.1.unwrap().is_for_a_person());
    // Another commit brings back version 1 of what was changed, and changes the other one.
    let mut back = change("one", "prod", Impact::Rolling);
    if let Operation::Apply { body, .. } = &mut back.operation {
        body.0["spec"]["version"] = json!("1");
    }
    let mut state = world.state.clone().for_content("revert", Some("3f2c1d9"));
    assert_eq!(state.phase, Phase::Running);
    let mut observed = observed(&["two"]);
    observed.objects.insert(id("one"), cluster("one", "2", 2, 1, &[]));
    let changes = vec![change("two", "canary", Impact::Rolling), back];
    let plan = world.rollout.arrange(plan(changes, Vec::new()), &observed);
    state.pause("ann: lunch");
    let opened = |state: &State| {
        let step = step(&world.rollout, state, &plan, &observed, &BTreeMap::new(), at(9));
        let names: Vec<String> = step.open.into_iter().map(|id| id.name).collect();
        names
    };
    assert_eq!(opened(&state), ["one"]);
    // What never ran it is no return.
    assert_eq!(opened(&State::new("revert", None)), ["two"]);
}

#[test]
fn only_the_generation_that_is_there_is_evidence() {
    let settled = |generation, seen, words: &[(&str, &str)]| {
        of_cluster(&cluster("a", "1", generation, seen, words)).verdict == Verdict::Settled
    };
    assert!(settled(2, 2, &WELL));
    assert!(!settled(2, 1, &WELL));
    assert!(!settled(2, 2, &[("UpToDate", "False"), ("Available", "True")]));
    assert!(!settled(2, 2, &[("UpToDate", "True"), ("Available", "Unknown")]));
    assert!(!settled(2, 2, &[("Available", "True")]));
    let mut hibernated = cluster("a", "1", 2, 2, &[("UpToDate", "True"), ("Available", "False")]);
    let conditions = hibernated.0["status"]["conditions"].as_array_mut().unwrap();
    conditions.push(json!({"type": "Ready", "status": "True", "reason": "Hibernated", "message": ""}));
    assert_eq!(of_cluster(&hibernated).verdict, Verdict::Settled);
    let stalled = cluster(
        "a",
        "1",
        2,
        2,
        &[("Stalled", "True"), ("UpToDate", "True"), ("Available", "True")],
    );
    assert_eq!(
        of_cluster(&stalled).verdict,
        Verdict::Failed("R: words.".to_owned())
    );
}

#[test]
fn a_stateful_set_that_has_not_caught_up_outweighs_the_status_of_its_cluster() {
    let set = |generation: i64, seen: i64, ready: i64, updated: i64| {
        Object(json!({
            "metadata": {"name": "kmc-a", "generation": generation},
            "spec": {"replicas": 3},
            "status": {"observedGeneration": seen, "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated,
                "currentRevision": "one", "updateRevision": "two"},
        }))
    };
    let well = || of_cluster(&cluster("a", "1", 2, 2, &WELL));
    let verdict = |set: Object| with_sets(well(), [&set]).verdict;
    assert_eq!(verdict(set(2, 2, 3, 3)), Verdict::Settled);
    for behind in [set(3, 2, 3, 3), set(2, 2, 2, 3), set(2, 2, 3, 2)] {
        assert!(matches!(verdict(behind), Verdict::Progressing(_)));
    }
}

#[test]
fn an_interruption_is_no_failure_and_a_refusal_is() {
    let changes = vec![
        change("a", "x", Impact::Rolling),
        change("b", "x", Impact::Rolling),
    ];
    let mut world = World::new(json!({}), changes);
    assert_eq!(world.step(&[]).0, ["a", "b", "gone"]);
    let because = "the run was stopped before".to_owned();
    let skipped = (id("a"), ActionResult::Skipped { because });
    let mut state = world.state.clone();
    world
        .rollout
        .take_back(&mut state, std::slice::from_ref(&skipped));
    assert_eq!(state.phase, Phase::Running);
    assert!(state.get(&id("a")).is_none() && state.get(&id("b")).is_some());
    let refused = ActionResult::Failed(Failure {
        kind: FailureKind::Invalid,
        message: "no".to_owned(),
    });
    world
        .rollout
        .take_back(&mut state, &[skipped, (id("b"), refused)]);
    assert_eq!(state.phase, Phase::Halted);
    assert_eq!(
        state.why.as_deref(),
        Some("1 failed, maxFailures is 0; edge/b: no")
    );
}

#[test]
fn a_state_of_a_newer_version_is_not_used() {
    let text = State::new("c", None)
        .text()
        .replace("\"version\":1", "\"version\":2");
    assert_eq!(State::read(&text), Err(StateError::Newer(2)));
    assert!(matches!(State::read("{"), Err(StateError::Malformed(_))));
}

#[test]
fn waves_behind_that_of_a_cluster_that_cannot_be_read_are_held() {
    let rollout = rollout(three());
    let changes = ["canary", "prod", "lab"].map(|stage| change(stage, stage, Impact::Rolling));
    let changes: Vec<Action> = changes
        .into_iter()
        .chain([change("safe", "prod", Impact::Safe)])
        .collect();
    let names = ["canary", "prod", "lab", "safe"];
    let arranged = rollout.arrange(plan(changes, Vec::new()), &observed(&names));
    let held = |stage: &str| {
        let unseen = change("far", stage, Impact::Rolling);
        let body = gated_body(&unseen).unwrap();
        let plan = rollout.hold_behind([(&unseen.id, body)].into_iter(), arranged.clone());
        plan.held.into_iter().map(|held| held.id.name).collect::<Vec<_>>()
    };
    assert_eq!(held("canary"), ["lab", "prod"]);
    assert_eq!(held("prod"), ["lab"]);
    assert!(held("lab").is_empty());
    assert_eq!(
        rollout.hold_behind(std::iter::empty(), arranged.clone()),
        arranged
    );
}
