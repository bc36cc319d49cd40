//! Records of removed clusters against a real API server.

use k0smotron_fleet::api::labels;

use crate::cli_fleet::{Fleet, ONE};

fn record(fleet: &Fleet, name: &str, policy: &str) -> String {
    format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Removed\nmetadata: {{name: {name}}}\nspec:\n  target: \
         {{namespace: {}, name: {name}}}\n  policy: {policy}\n  reason: closed\n",
        fleet.namespace.name
    )
}

#[tokio::test]
async fn a_record_deletes_or_lets_go_the_cluster_it_names_and_then_does_nothing() {
    let fleet = Fleet::new(
        "removed",
        "  deletions: Tombstone\n  maxDeletions: {percent: 60}\n",
    )
    .await;
    for name in ["berlin", "oslo", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    for name in ["berlin", "oslo", "paris"] {
        fleet.remove(name);
    }
    fleet.write("changes/berlin.yaml", &record(&fleet, "berlin", "Delete"));
    fleet.write("changes/oslo.yaml", &record(&fleet, "oslo", "Orphan"));
    let output = fleet.run(&["plan"]).await;
    assert!(output.stdout.contains("1 to change"), "{}", output.stdout);
    assert!(output.stdout.contains("1 to DELETE"), "{}", output.stdout);
    assert!(
        output.stdout.contains("changes/berlin.yaml:5:"),
        "{}",
        output.stdout
    );
    // Saved and done later, as it is.
    let output = fleet.run(&["plan", "--out", "plan.json"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let output = fleet.run(&["apply", "plan.json"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stdout.contains("Applied: 0 created, 1 changed, 1 deleted"),
        "{}",
        output.stdout
    );

    assert_eq!(fleet.names().await, ["oslo", "paris", "rome"]);
    let live = fleet.live().await;
    let word = |index: usize, field: &str, key: &str| live[index]["metadata"][field][key].clone();
    let (oslo, paris) = (0, 1);
    assert!(
        word(oslo, "labels", labels::FLEET_ID).is_null(),
        "it runs on without the fleet"
    );
    assert!(word(oslo, "annotations", labels::TRACKING).is_null());
    assert!(
        word(paris, "labels", labels::FLEET_ID).is_string(),
        "no record names it"
    );

    // The records took effect: with them or without them nothing is left to do.
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    std::fs::remove_dir_all(fleet.program.folder().join("changes")).unwrap();
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
}
