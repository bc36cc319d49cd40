//! `apply --wait` on real servers: an operator, and pods that are as ready as the test says.

use serde_json::Value;

use crate::cli::assert_fits;
use crate::cli_fleet::Fleet;
use crate::operator::SOON;
use crate::support::eventually;
use crate::support::kubelet::Policy;

const OLD: &str = "spec: {replicas: 1, version: v1.36.2+k0s.0}\n";
const NEW: &str = "spec: {replicas: 1, version: v1.36.3+k0s.2}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_waits_until_the_pods_run_what_was_written_and_what_was_deleted_is_gone() {
    let fleet = Fleet::new("waits", "  maxDeletions: {count: 5, percent: 100}\n").await;
    let (bench, controller) = fleet.hosted().await;
    fleet.cluster("one", OLD);
    bench.kubelet.set(Policy::Leave);

    // Nothing becomes ready: what is lacking is said, and the time is over.
    let late = ["apply", "-y", "--first-apply", "--wait", "--wait-timeout", "3s"];
    let output = fleet.run(&late).await;
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    assert_fits(&output);
    let namespace = fleet.namespace.name.as_str();
    for said in [
        "Applied: 1 created",
        &format!("! {namespace}/one  not ready"),
        "Waited: 0 ready, 1 not ready",
    ] {
        assert!(output.stdout.contains(said), "{said}: {}", output.stdout);
    }
    assert!(output.stderr.contains("0 of 1 ready"), "{}", output.stderr);

    // The pods come while it waits.
    bench.kubelet.set(Policy::Ready);
    bench.until_ready("one").await;
    fleet.cluster("one", NEW);
    fleet.cluster("two", OLD);
    let output = fleet.run(&["apply", "-y", "--wait", "-q"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stdout.contains("Waited: 2 ready, 0 not ready"),
        "{}",
        output.stdout
    );
    assert_eq!(output.stderr, "");
    for name in ["one", "two"] {
        let cluster = bench.cluster(name).await;
        let seen = cluster
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        assert_eq!(seen, cluster.metadata.generation, "{name}");
    }

    // A saved plan, and a deletion.
    fleet.remove("two");
    assert_eq!(
        fleet.run(&["plan", "--prune", "--out", "plan.json"]).await.code,
        0
    );
    let output = fleet.run(&["apply", "plan.json", "--wait", "-o", "json"]).await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let name = document.pointer("/waited/ready/0/name");
    assert_eq!(
        (output.code, name.and_then(Value::as_str)),
        (0, Some("two")),
        "{}",
        output.stderr
    );
    assert_eq!(fleet.names().await, ["one"]);

    // Somebody does not want to wait any longer.
    bench.kubelet.set(Policy::Leave);
    fleet.cluster("one", OLD);
    let process = fleet.start(&["apply", "-y", "--wait"]);
    eventually("it waits", SOON, async || {
        let log = process.log();
        if log.contains("0 of 1 ready") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    process.signal("INT");
    let status = eventually("it ends", SOON, async || process.ended()).await;
    assert_eq!(status.code(), Some(130), "{}", process.log());
    let lock = fleet.run(&["apply", "-y", "--lock-timeout", "0s"]).await;
    assert_eq!(lock.code, 0, "whoever waits holds no lock: {}", lock.stderr);
    controller.end().await;
}
