//! Plans as they are stored: what is in them, and what is not believed of a file.

use rstest::rstest;

use super::*;
use crate::object::digest;
use crate::render::{HubOperator, Settings};

pub(super) fn saved(plan: &Plan, live: &Observed) -> SavedPlan {
    let operator = HubOperator::this(&Settings::standard());
    SavedPlan::of(
        plan,
        &SavedFrom {
            fleet: None,
            content: "content".to_owned(),
            hub: SavedHub {
                server: "https://hub:6443".to_owned(),
                uid: None,
            },
            operator: &operator,
            prune: Prune::No,
            force_conflicts: Default::default(),
            has_errors: false,
            namespaces: Default::default(),
            named: Default::default(),
            live: &live.objects,
            adopted: Default::default(),
            tool: "0.1.0",
        },
    )
}

/// A plan that creates `edge/a` in a namespace that it makes, edited, and with the digest of what it says then.
fn read_forged(edit: impl FnOnce(&mut Value)) -> Result<SavedPlan, SavedPlanError> {
    let nothing = Observed::default();
    let policy = FleetPolicy {
        missing_namespaces: ["edge".to_owned()].into(),
        ..policy()
    };
    let plan = planned(&[entry("edge", "a", json!({}))], &nothing, &policy);
    let mut document = json!(saved(&plan, &nothing));
    edit(&mut document);
    document.as_object_mut().unwrap().remove("digest");
    document["digest"] = json!(digest(&document));
    SavedPlan::read(document)
}

#[test]
fn a_saved_plan_is_read_as_it_was_written() {
    let read = read_forged(|_| {}).unwrap();
    let names: Vec<String> = read
        .entries
        .iter()
        .map(|entry| entry.object.to_string())
        .collect();
    assert_eq!(names, ["Namespace edge", "K0smotronCluster edge/a"]);
}

#[rstest]
#[case::another_namespace("/entries/1/patch/metadata/namespace", json!("prod"))]
#[case::another_name("/entries/1/patch/metadata/name", json!("b"))]
#[case::another_kind("/entries/1/patch/kind", json!("K0smotronJoinToken"))]
#[case::no_kind("/entries/1/patch/kind", json!("Elsewhere"))]
#[case::shown_as_another("/entries/1/object/name", json!("b"))]
#[case::another_namespace_made("/entries/0/patch/metadata/name", json!("kube-system"))]
#[case::neither_cluster_nor_namespace("/entries/1/object/kind", json!("v1/Secret"))]
#[case::a_cluster_without_namespace("/entries/1/object", json!({"kind": "k0smotron.io/v1beta1/K0smotronCluster", "name": "a"}))]
#[case::a_namespace_in_one("/entries/0/object", json!({"kind": "v1/Namespace", "namespace": "x", "name": "edge"}))]
fn an_entry_that_writes_something_else_than_it_shows_is_no_plan(#[case] at: &str, #[case] value: Value) {
    let read = read_forged(|document| *document.pointer_mut(at).unwrap() = value);
    assert!(matches!(read, Err(SavedPlanError::Malformed { .. })), "{read:?}");
}

#[test]
fn an_entry_without_a_name_is_no_plan() {
    let read = read_forged(|document| {
        document["entries"][1]["object"]["name"] = json!("");
        document["entries"][1]["patch"]["metadata"]["name"] = json!("");
    });
    assert!(matches!(read, Err(SavedPlanError::Malformed { .. })), "{read:?}");
}
