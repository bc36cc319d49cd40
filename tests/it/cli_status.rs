//! A status that is watched, and one of a rollout.

use serde_json::{Value, json};

use crate::cli_fleet::{Fleet, ONE};
use crate::support::{Action, Proxy, Rule, eventually};
use crate::sync::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_is_watched_goes_on_when_the_server_answers_again() {
    let fleet = Fleet::new("watched", "").await;
    fleet.cluster("berlin", ONE);
    fleet.cluster("paris", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    let proxy = Proxy::start(fleet.servers).await;
    let watching = fleet.through(&proxy).start(&["status", "-w"]);
    let says = async |words: &str| {
        eventually(words, SOON, async || {
            let log = watching.log();
            if log.contains(words) { Ok(()) } else { Err(log) }
        })
        .await;
    };
    says("2 clusters: 0 ready, 2 not ready").await;
    proxy.add(Rule::new(Action::answer(500, "InternalError")));
    says("it is tried again").await;
    proxy.clear();
    let status = json!({"status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True",
        "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]}});
    fleet.patch("paris", &["--subresource=status"], status).await;
    says("2 clusters: 1 ready, 1 not ready").await;
    assert_eq!(watching.log().matches("it is tried again").count(), 1);
    watching.signal("INT");
    let ended = eventually("it ends", SOON, async || {
        watching.ended().ok_or("it runs".to_owned())
    })
    .await;
    assert_eq!(ended.code(), Some(0));
    assert!(proxy.seen().iter().all(|seen| !seen.is_write()));
}

#[tokio::test]
async fn a_fleet_without_a_rollout_says_nothing_of_one() {
    let fleet = Fleet::new("still", "").await;
    fleet.cluster("berlin", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    let output = fleet.run(&["status"]).await;
    assert!(!output.stdout.contains("Rollout"), "{}", output.stdout);
    let output = fleet
        .run(&["status", "-A", "-n", &fleet.namespace.name, "-o", "json"])
        .await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["rollout"], json!(null));
}
