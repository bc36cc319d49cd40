use serde_json::json;

use super::*;
use crate::object::{Object, kinds};
use crate::plan::{Held, Operation, Propagation, Wave};
use crate::render::Settings;

fn id(namespace: &str, name: &str) -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name)
}

fn action(id: ObjectId, operation: Operation, impact: Impact, reason: &str) -> Action {
    Action {
        id,
        operation,
        impact,
        reason: reason.to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    }
}

fn change(pointer: &str, old: Option<Value>, new: Option<Value>, source: &str) -> FieldChange {
    FieldChange {
        pointer: pointer.to_owned(),
        old,
        new,
        source: Some(source.to_owned()),
    }
}

fn example() -> Plan {
    let body = Object(json!({}));
    let apply = Operation::Apply {
        body: body.clone(),
        uid: "u".to_owned(),
    };
    let mut changed = action(
        id("prod", "payments"),
        apply,
        Impact::Rolling,
        "clusters/prod/payments.yaml:1:1",
    );
    changed.changes = vec![
        change(
            "/spec/version",
            Some(json!("v1.33.4+k0s.0")),
            Some(json!("v1.34.1+k0s.1")),
            "clusters/prod/defaults.yaml:8:12",
        ),
        change(
            "/metadata/annotations/example.com~1owner",
            None,
            Some(json!("team a\u{202e}")),
            "clusters/prod/payments.yaml:5:5",
        ),
        change("/spec/tolerations", Some(json!([{"key": "a"}])), None, ""),
    ];
    changed.effects = vec![
        "3 pods kmc-payments-{0..2} replaced one by one; etcd not restarted; kubeconfig and tokens stay valid"
            .to_owned(),
    ];
    let create = Operation::Create { body };
    let created = action(
        id("edge", "store-1187"),
        create,
        Impact::Safe,
        "sets/stores.yaml:1188:1",
    );
    let delete = Operation::Delete {
        uid: "u".to_owned(),
        resource_version: "1".to_owned(),
        propagation: Propagation::Background,
    };
    let mut deleted = action(
        id("edge", "store-0042"),
        delete,
        Impact::DataLoss,
        "removed from the files",
    );
    deleted.effects = vec!["deletionPolicy Delete: CA and service-account keys, 3 volumes".to_owned()];
    let held = |id, reason, words: &str| Held {
        id,
        reason,
        waiting_on: words.to_owned(),
    };
    Plan {
        revision: Some("3f2c1d9".to_owned()),
        waves: vec![
            Wave {
                name: "changes".to_owned(),
                actions: vec![changed, created],
            },
            Wave {
                name: "deletions".to_owned(),
                actions: vec![deleted],
            },
        ],
        held: vec![
            held(
                id("edge", "lab-7"),
                HeldReason::Protected,
                "removed from the files, kept",
            ),
            held(
                id("prod", "search"),
                HeldReason::Yielded,
                "spec.replicas is the HPA's",
            ),
        ],
        unchanged: vec![id("edge", "lab-1"), id("edge", "lab-2")],
    }
}

fn show(plan_shown: &Plan, detail: Detail) -> String {
    let fleet = Fleet {
        name: "acme".to_owned(),
        spec: serde_json::from_value(json!({ "id": "acme-7f3a" })).unwrap(),
    };
    let hub = Hub {
        server: "https://edge-hub:6443".to_owned(),
        uid: Some("8c1e2f3a-0000".to_owned()),
    };
    let operator = HubOperator::Published(Published {
        version: "0.4.1".to_owned(),
        renderer_revisions: [1].into(),
        settings: Settings::standard(),
    });
    let heading = Heading {
        fleet: Some(&fleet),
        revision: plan_shown.revision.as_deref(),
        hub: &hub,
        operator: &operator,
        loosened: &[],
    };
    let text = anstream::adapter::strip_str(&plan(plan_shown, &heading, detail)).to_string();
    for line in text.lines() {
        assert!(
            line.chars().count() <= COLUMNS,
            "longer than {COLUMNS} columns: {line}"
        );
    }
    text
}

#[test]
fn a_plan_says_what_it_does_to_whom_and_why_with_deletions_last() {
    insta::assert_snapshot!(show(&example(), Detail::Normal), @r#"
    Fleet acme @ 3f2c1d9 hub https://edge-hub:6443 (8c1e2f3a…)
      operator 0.4.1, renderer 1
      ~ prod/payments    rolling
          at               clusters/prod/payments.yaml:1:1
          spec.version     v1.33.4+k0s.0 -> v1.34.1+k0s.1
                           (clusters/prod/defaults.yaml:8:12)
          metadata.annotations["example.com/owner"]
                           (unset) -> "team a\u{202e}"
          spec.tolerations [{"key":"a"}] -> (unset)
          effect           3 pods kmc-payments-{0..2} replaced one by one; etcd not
                           restarted; kubeconfig and tokens stay valid
      + edge/store-1187  create
          at             sets/stores.yaml:1188:1
      ! edge/lab-7       protected
          why            removed from the files, kept
      ? prod/search      yielded
          why            spec.replicas is the HPA's
      = 2 unchanged
      - edge/store-0042  DELETE  data-loss
          why            removed from the files
          effect         deletionPolicy Delete: CA and service-account keys, 3
                         volumes
    Plan: 1 to create, 1 to change (1 rolling),
          1 to DELETE (budget 10 / 10 %), 1 protected, 1 yielded
    "#);
}

#[test]
fn everything_names_places_and_unchanged_clusters() {
    let text = show(&example(), Detail::Everything);
    assert!(text.contains("(clusters/prod/payments.yaml:5:5)") && text.contains("      edge/lab-2\n"));
}

#[test]
fn nothing_to_do_is_one_line() {
    let plan = Plan {
        unchanged: vec![id("edge", "lab-1")],
        ..Plan::default()
    };
    insta::assert_snapshot!(show(&plan, Detail::Normal), @"Plan: nothing to do, 1 unchanged");
}

#[test]
fn long_names_and_values_stay_within_the_columns() {
    let mut plan = example();
    plan.held.clear();
    let long = &mut plan.waves[0].actions[0];
    long.changes = vec![change(
        "/spec/podAnnotations/a.very.long.domain.example.com~1and-a-long-name",
        Some(json!("x".repeat(300))),
        None,
        "",
    )];
    let text = show(&plan, Detail::Normal);
    assert!(text.contains("…") && !text.contains(&"x".repeat(241)));
}

#[test]
fn ten_equal_changes_are_one_block_until_all_are_asked_for() {
    let mut plan = example();
    let first = plan.waves[0].actions.remove(0);
    plan.waves[0].actions = (0..14)
        .map(|number| {
            let mut action = first.clone();
            action.id = id("prod", &format!("shop-{number}"));
            action.reason = format!("clusters/shop-{number}.yaml:1:1");
            action.changes.truncate(1);
            action.effects = vec![format!("3 pods kmc-shop-{number}-{{0..2}} replaced one by one")];
            action
        })
        .collect();
    plan.waves.truncate(1);
    plan.held.clear();
    insta::assert_snapshot!(show(&plan, Detail::Normal), @r"
    Fleet acme @ 3f2c1d9 hub https://edge-hub:6443 (8c1e2f3a…)
      operator 0.4.1, renderer 1
      ~ 14 clusters  rolling
          names          prod/shop-0, prod/shop-1, prod/shop-2, prod/shop-3,
                         prod/shop-4, prod/shop-5, prod/shop-6, prod/shop-7,
                         prod/shop-8, prod/shop-9, prod/shop-10, prod/shop-11 and 2
                         more (--full)
          spec.version   v1.33.4+k0s.0 -> v1.34.1+k0s.1
                         (clusters/prod/defaults.yaml:8:12)
          effect         3 pods kmc-*-{0..2} replaced one by one
      = 2 unchanged
    Plan: 0 to create, 14 to change (14 rolling), 0 to DELETE
    ");
    assert_eq!(show(&plan, Detail::Full).matches("~ prod/shop-").count(), 14);
    insta::assert_snapshot!(show(&plan, Detail::Compact), @r"
    Fleet acme @ 3f2c1d9 hub https://edge-hub:6443 (8c1e2f3a…)
      operator 0.4.1, renderer 1
      ~ 14 clusters  rolling
      = 2 unchanged
    Plan: 0 to create, 14 to change (14 rolling), 0 to DELETE
    ");
}

#[test]
fn long_text_is_shown_by_its_changed_lines() {
    let mut plan = example();
    plan.held.clear();
    plan.waves.truncate(1);
    plan.waves[0].actions.truncate(1);
    let script: String = (0..20).map(|line| format!("step {line}\n")).collect();
    plan.waves[0].actions[0].changes = vec![change(
        "/spec/patches/0/script",
        Some(json!(script)),
        Some(json!(script.replace("step 9", "step nine"))),
        "a.yaml:3:1",
    )];
    plan.waves[0].actions[0].effects.clear();
    insta::assert_snapshot!(show(&plan, Detail::Normal), @r"
    Fleet acme @ 3f2c1d9 hub https://edge-hub:6443 (8c1e2f3a…)
      operator 0.4.1, renderer 1
      ~ prod/payments  rolling
          at                     clusters/prod/payments.yaml:1:1
          spec.patches[0].script a.yaml:3:1
             step 8
           - step 9
           + step nine
             step 10
      = 2 unchanged
    Plan: 0 to create, 1 to change (1 rolling), 0 to DELETE
    ");
}
