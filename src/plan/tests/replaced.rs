//! A set whose key changed.

use rstest::rstest;

use super::*;

fn store(name: &str) -> FleetEntry {
    FleetEntry {
        source: "sets/stores.yaml".to_owned(),
        is_of_set: true,
        ..entry("edge", name, json!({}))
    }
}

fn stores(prefix: &str, count: usize) -> Vec<FleetEntry> {
    (0..count)
        .map(|number| store(&format!("{prefix}-{number:02}")))
        .collect()
}

/// A hub with ten stores and ninety other clusters, which want to go on.
fn world() -> (Observed, Vec<FleetEntry>) {
    let others: Vec<FleetEntry> = (0..90)
        .map(|number| entry("core", &format!("other-{number:02}"), json!({})))
        .collect();
    let all: Vec<FleetEntry> = stores("store", 10).into_iter().chain(others.clone()).collect();
    (hub(&all), others)
}

/// What becomes of the stores when the set wants these: created, deleted, refused.
fn outcome(set: Vec<FleetEntry>, deletions: Deletions) -> (usize, usize, usize) {
    let (observed, others) = world();
    let desired: Vec<FleetEntry> = others.into_iter().chain(set).collect();
    let policy = FleetPolicy {
        deletions,
        ..policy()
    };
    let plan = planned(&desired, &observed, &policy);
    let refused = plan
        .held
        .iter()
        .filter(|held| held.reason == HeldReason::Refused)
        .count();
    (plan.counts().create, plan.counts().delete, refused)
}

#[rstest]
// Ten of a hundred are within the budget of the fleet, and all of this set.
#[case::deleting(Deletions::Omission, (0, 0, 20))]
#[case::keeping(Deletions::Never, (0, 0, 10))]
fn a_set_whose_key_changed_is_refused_as_a_whole(
    #[case] deletions: Deletions,
    #[case] expected: (usize, usize, usize),
) {
    assert_eq!(outcome(stores("site", 10), deletions), expected);
}

#[test]
fn rows_that_come_and_go_within_the_budget_of_their_set_do_so() {
    let one_moved = stores("store", 9).into_iter().chain([store("new")]).collect();
    assert_eq!(outcome(one_moved, Deletions::Omission), (1, 1, 0));
    let many_came: Vec<FleetEntry> = stores("store", 10)
        .into_iter()
        .chain(stores("site", 10))
        .collect();
    assert_eq!(outcome(many_came, Deletions::Omission), (10, 0, 0));
    assert_eq!(outcome(stores("store", 4), Deletions::Omission), (0, 6, 0));
    // Rows that went earlier and whose clusters are kept do not stop new ones.
    let grown = stores("store", 5).into_iter().chain(stores("site", 5)).collect();
    assert_eq!(outcome(grown, Deletions::Never), (5, 0, 0));
}

#[test]
fn a_set_that_moved_is_written_at_once_so_that_its_key_is_guarded_there_too() {
    let (observed, others) = world();
    let moved = |prefix: &str| -> Vec<FleetEntry> {
        let set = stores(prefix, 10).into_iter().map(|store| FleetEntry {
            source: "shops.yaml".to_owned(),
            ..store
        });
        others.iter().cloned().chain(set).collect()
    };
    let plan = planned(&moved("store"), &observed, &policy());
    assert_eq!((plan.counts().change, plan.unchanged.len()), (10, 90));
    let after = applied(&plan, &observed);
    let plan = planned(&moved("site"), &after, &policy());
    let refused = plan.held.iter().filter(|held| held.reason == HeldReason::Refused);
    assert_eq!((plan.counts().create, refused.count()), (0, 10));
}

#[test]
fn a_cluster_that_moved_out_of_a_set_counts_where_it_is_now() {
    let (observed, others) = world();
    let alone = FleetEntry {
        source: "clusters/alone.yaml".to_owned(),
        is_of_set: false,
        ..store("store-00")
    };
    let desired: Vec<FleetEntry> = others
        .into_iter()
        .chain([alone])
        .chain(stores("site", 9))
        .collect();
    // All that the set still has would be others.
    let plan = planned(&desired, &observed, &policy());
    assert_eq!((plan.counts().create, plan.unchanged.len()), (0, 91));
}

#[test]
fn the_refusal_says_what_is_the_matter() {
    let (observed, others) = world();
    let desired: Vec<FleetEntry> = others.into_iter().chain(stores("site", 10)).collect();
    let plan = planned(&desired, &observed, &policy());
    insta::assert_snapshot!(
        plan.held.iter().find(|held| held.reason == HeldReason::Refused).unwrap().waiting_on,
        @"10 of the 10 clusters of sets/stores.yaml would go and 10 others come in their place, and the budget allows 1 of that file's; did the key or the names change? If that is meant, raise `maxDeletions` of the Fleet for it"
    );
}
