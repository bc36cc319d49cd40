use serde_json::{Value, json};

use super::*;
use crate::fleet::Hub;
use crate::fleet::admission::Denied;
use crate::object::{Object, kinds};
use crate::plan::{Action, FieldChange, Held, HeldReason, Impact, Operation, Propagation, Wave};
use crate::render::{HubOperator, Published, Settings};

fn id(name: &str) -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name)
}

fn action(name: &str, operation: Operation, impact: Impact) -> Action {
    Action {
        id: id(name),
        operation,
        impact,
        reason: format!("clusters/{name}.yaml:5:3"),
        changes: Vec::new(),
        effects: Vec::new(),
        needs: Vec::new(),
    }
}

fn change(name: &str, pointer: &str, old: Value, new: Value) -> Action {
    let operation = Operation::Apply {
        body: Object(json!({})),
        uid: "u".to_owned(),
    };
    let mut action = action(name, operation, Impact::Rolling);
    action.changes = vec![FieldChange {
        pointer: pointer.to_owned(),
        old: Some(old),
        new: Some(new),
        source: Some("defaults.yaml:2:3".to_owned()),
    }];
    action.effects = vec![format!("3 pods kmc-{name}-{{0..2}} replaced one by one")];
    action
}

fn delete(name: &str) -> Action {
    let operation = Operation::Delete {
        uid: "u".to_owned(),
        resource_version: "1".to_owned(),
        propagation: Propagation::Background,
    };
    let mut action = action(name, operation, Impact::DataLoss);
    action.reason = "it left the files".to_owned();
    action
}

fn plan(changes: Vec<Action>, deletions: Vec<Action>) -> Plan {
    let wave = |name: &str, actions| Wave {
        name: name.to_owned(),
        actions,
    };
    Plan {
        waves: vec![wave("changes", changes), wave("deletions", deletions)],
        ..Plan::default()
    }
}

fn shown(plan: &Plan, admission: &Admission) -> String {
    let hub = Hub {
        server: "https://hub:6443".to_owned(),
        uid: Some("8c1e".to_owned()),
    };
    let operator = HubOperator::Published(Published {
        version: "0.4.1".to_owned(),
        renderer_revisions: [1].into(),
        settings: Settings::standard(),
    });
    let heading = Heading {
        fleet: None,
        revision: Some("3f2c1d9aaaaaaaaaaa"),
        hub: &hub,
        operator: &operator,
        loosened: &[],
    };
    comment(&Comment {
        plan,
        heading: &heading,
        admission,
        digest: Some("0123456789abcdef"),
    })
}

#[test]
fn deletions_come_first_and_every_part_has_its_place() {
    let mut plan = plan(
        vec![
            change("paris", "/spec/version", json!("v1"), json!("v2")),
            action(
                "new",
                Operation::Create {
                    body: Object::default(),
                },
                Impact::Safe,
            ),
        ],
        vec![delete("rome")],
    );
    plan.held = vec![Held {
        id: id("lab"),
        reason: HeldReason::Protected,
        waiting_on: "it left the files and is protected".to_owned(),
    }];
    let admission = Admission {
        denied: vec![Denied {
            object: id("paris"),
            message: "quota <exceeded>".to_owned(),
        }],
        ..Admission::default()
    };
    insta::assert_snapshot!(shown(&plan, &admission), @r"
    ### Plan: 1 to create, 1 to change (1 rolling), 1 to DELETE, 1 protected

    Clusters without a fleet at `3f2c1d9aaaaa`, hub `8c1e`, operator 0.4.1, renderer 1, plan `0123456789ab`

    #### Deletions (1)

    - **DELETE, data-loss** `edge/rome` (it left the files)

    #### The server would refuse (1)

    - `edge/paris`: quota \<exceeded\>

    #### Changes (1)

    - **rolling** `edge/paris` (clusters/paris.yaml:5:3)
      - `spec.version`: `v1` → `v2` (defaults.yaml:2:3)
      - 3 pods kmc-paris-{0..2} replaced one by one

    #### Not done (1)

    - **protected** `edge/lab`: it left the files and is protected

    #### New (1)

    - create `edge/new` (clusters/new.yaml:5:3)
    ");
}

#[test]
fn five_thousand_different_changes_fit_with_all_deletions_in_them() {
    let changes = (0..5_000).map(|store| {
        change(
            &format!("store-{store:04}"),
            "/spec/externalAddress",
            json!(format!("old-{store}-x.example.org")),
            json!(format!("new-{store}-y.example.org")),
        )
    });
    let deletions = (0..50).map(|store| {
        let mut action = delete(&format!("closed-{store:04}"));
        action.effects = vec![format!("deletionPolicy Delete: {store} volumes")];
        action
    });
    let text = shown(
        &plan(changes.collect(), deletions.collect()),
        &Admission::default(),
    );
    assert!(text.len() <= BYTES_MAX, "{} bytes", text.len());
    for store in 0..50 {
        assert!(text.contains(&format!("closed-{store:04}")));
    }
    assert!(
        text.contains("of 5000 under \"Changes\"") && text.contains("plan --full"),
        "{}",
        &text[text.len() - 400..]
    );
}

#[test]
fn equal_changes_are_one_item_and_deletions_that_do_not_fit_are_counted() {
    let changes = (0..5_000).map(|store| {
        change(
            &format!("store-{store:04}"),
            "/spec/version",
            json!("v1"),
            json!("v2"),
        )
    });
    let text = shown(&plan(changes.collect(), Vec::new()), &Admission::default());
    assert!(
        text.len() < 3_000 && text.contains("5000 clusters: `edge/store-0000`"),
        "{text}"
    );
    let deletions = (0..5_000).map(|store| {
        let mut action = delete(&format!("closed-{store:04}"));
        action.effects = vec![format!("{store} volumes")];
        action
    });
    let text = shown(&plan(Vec::new(), deletions.collect()), &Admission::default());
    assert!(text.len() <= BYTES_MAX && text.contains("of 5000 under \"Deletions\""));
}

#[test]
fn what_users_wrote_cannot_leave_its_place() {
    let script = |word: &str| json!(format!("one\n```\n{word}\n<script>\n"));
    let changes = vec![
        change(
            "a",
            "/metadata/annotations/x",
            json!("a`b"),
            json!("</details>@everyone"),
        ),
        change("b", "/spec/patches/0/x", script("two"), script("three")),
    ];
    let text = shown(&plan(changes, Vec::new()), &Admission::default());
    assert!(text.contains("`` \"a`b\" ``"), "{text}");
    assert!(text.contains("````diff"), "{text}");
}
