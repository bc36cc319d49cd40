//! Two runs of one fleet: the lock keeps the second out, and a run that loses it stops.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::assert_fits;
use crate::cli_fleet::{Fleet, ONE};
use crate::support::{Action, Process, Proxy, Rule, eventually};

const SOON: Duration = Duration::from_secs(30);
const HOLDER: &str = "alice@laptop, pid 12, k0smotron-fleet 0.1.0 (0badcafe)";

/// A fleet that was applied once, so that the hub knows it.
async fn known(hint: &str) -> Fleet {
    let fleet = Fleet::new(hint, "").await;
    fleet.cluster("berlin", ONE);
    let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    fleet
}

impl Fleet {
    fn lock_name(&self) -> String {
        format!("k0smotron-fleet-{}", self.namespace.name)
    }

    async fn lock(&self) -> Value {
        let name = self.lock_name();
        let arguments = ["get", "lease", &name, "-n", &self.namespace.name, "-o", "json"];
        serde_json::from_str(&self.servers.kubectl(&arguments).await.success()).unwrap()
    }

    async fn holder(&self) -> String {
        let lock = self.lock().await;
        lock["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Somebody takes the lock and says nothing more.
    async fn locked_by_somebody(&self, seconds: u32) {
        let patch = json!({"spec": {"holderIdentity": HOLDER, "leaseDurationSeconds": seconds,
            "acquireTime": "2026-01-01T12:00:00.000000Z", "renewTime": "2026-01-01T12:00:00.000000Z"}});
        let (name, patch) = (self.lock_name(), patch.to_string());
        let arguments = [
            "patch",
            "lease",
            &name,
            "-n",
            &self.namespace.name,
            "--type=merge",
            "-p",
            &patch,
        ];
        self.servers.kubectl(&arguments).await.success();
    }
}

#[tokio::test]
async fn a_run_takes_the_lock_before_it_writes_and_gives_it_back() {
    let fleet = known("lock").await;
    assert_eq!(fleet.holder().await, "");
    let before = fleet.lock().await;
    fleet.cluster("paris", ONE);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    let after = fleet.lock().await;
    assert_ne!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
    assert_eq!(after["spec"]["holderIdentity"], "");
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.lock().await, after, "a run without a write takes no lock");
}

#[tokio::test]
async fn who_finds_the_fleet_locked_is_told_by_whom_and_writes_nothing() {
    let fleet = known("locked").await;
    fleet.locked_by_somebody(3600).await;
    fleet.cluster("paris", ONE);
    insta::assert_snapshot!(fleet.transcript(&["apply", "-y", "--lock-timeout", "0s"]).await, @r"
    --- stdout
    Fleet acme hub SERVER (HUB)
      operator unknown, defaults assumed
      + NS/paris  create
          at             clusters/paris.yaml:1:1
      = 1 unchanged
    Plan: 1 to create, 0 to change, 0 to DELETE
    --- stderr
    error: the fleet `NS` is locked by alice@laptop, pid 12, k0smotron-fleet 0.1.0 (0badcafe), since 2026-01-01T12:00:00.000000Z
    hint: wait longer with `--lock-timeout 10m`; if that run is gone, `k0smotron-fleet unlock` takes it away
    --- exit 4
    ");
    assert_eq!(fleet.names().await, ["berlin"]);

    let refused = fleet.run(&["unlock"]).await;
    assert_eq!(refused.code, 4, "nobody can be asked: {}", refused.stderr);
    assert!(refused.stderr.contains(HOLDER), "{}", refused.stderr);
    assert_eq!(fleet.holder().await, HOLDER);
    let output = fleet.run(&["unlock", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_fits(&output);
    let output = fleet.run(&["unlock", "-y"]).await;
    assert!(output.stdout.contains("is not locked"), "{}", output.stdout);
    assert_eq!(fleet.run(&["apply", "-y", "--lock-timeout", "0s"]).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
}

#[tokio::test]
async fn the_lock_of_a_run_that_is_gone_is_waited_out_and_what_changed_is_planned_again() {
    let fleet = known("gone").await;
    fleet.cluster("paris", ONE);
    fleet.cluster("rome", ONE);
    fleet.locked_by_somebody(4).await;
    let process = fleet.start(&["apply", "-y"]);
    eventually("it waits", SOON, async || {
        process
            .log()
            .contains("waits for the lock of the fleet")
            .then_some(())
    })
    .await;
    // What the run that is gone had done, seen by nobody yet.
    let text = std::fs::read_to_string(fleet.program.folder().join("clusters/rome.yaml")).unwrap();
    let by_hand = fleet.program.folder().join("rome-by-hand.txt");
    std::fs::write(&by_hand, text).unwrap();
    let file = by_hand.to_str().unwrap().to_owned();
    let arguments = [
        "apply",
        "--server-side",
        "--field-manager=k0smotron-fleet",
        "-f",
        &file,
    ];
    fleet.servers.kubectl(&arguments).await.success();
    let status = eventually("it ends", SOON, async || process.ended()).await;
    let log = process.log();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        log.contains("The plan has changed while this run waited"),
        "{log}"
    );
    assert_eq!(fleet.names().await, ["berlin", "paris", "rome"]);
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    assert_eq!(fleet.holder().await, "");
}

#[tokio::test]
async fn a_run_whose_lock_is_taken_away_stops_and_says_so() {
    let fleet = known("lost").await;
    let rows: Vec<String> = (10..40).map(|number| number.to_string()).collect();
    fleet.stores(&rows);
    let proxy = Proxy::start(fleet.servers).await;
    let slow = Action::Delay(Duration::from_secs(2));
    proxy.add(Rule::new(slow).writes().path("k0smotronclusters"));
    let through = fleet.through(&proxy);
    let process = through.start(&["apply", "-y", "--parallelism", "1"]);
    eventually("it has the lock and writes", SOON, async || {
        let mut seen = proxy.seen().into_iter();
        seen.any(|seen| seen.is_write() && seen.uri.contains("k0smotronclusters"))
            .then_some(())
    })
    .await;
    let unlocked = fleet.run(&["unlock", "-y"]).await;
    assert_eq!(unlocked.code, 0, "{}", unlocked.stderr);
    let status = eventually("it stops", SOON, async || process.ended()).await;
    let log = process.log();
    assert_eq!(status.code(), Some(5), "{log}");
    assert!(log.contains("the lock of the fleet was lost"), "{log}");
    assert!(log.contains(" not done"), "{log}");
    assert!(fleet.names().await.len() < 31);
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
    assert_eq!(fleet.names().await.len(), 31);
}

/// Writes of the lock and of what the hub remembers, and reads of either, as `lock PATCH`.
fn of_the_run(proxy: &Proxy) -> Vec<String> {
    let what = |uri: &str| match uri {
        _ if uri.contains("/leases/") => Some("lock"),
        _ if uri.contains("/configmaps/k0smotron-fleet-operator") => None,
        _ if uri.contains("/configmaps/k0smotron-fleet-") => Some("memory"),
        _ if uri.contains("/k0smotronclusters/") => Some("cluster"),
        _ => None,
    };
    let seen = proxy.seen().into_iter();
    seen.filter_map(|seen| Some(format!("{} {}", what(&seen.uri)?, seen.method)))
        .collect()
}

#[tokio::test]
async fn the_first_run_of_a_fleet_makes_its_lock_and_its_memory_with_a_request_each() {
    let fleet = Fleet::new("first", "").await;
    fleet.cluster("berlin", ONE);
    let proxy = Proxy::start(fleet.servers).await;
    let through = fleet.through(&proxy);
    let output = through.run(&["apply", "-y", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let expected = [
        "memory GET",
        "lock PATCH",
        "memory PATCH",
        "cluster PATCH",
        "lock PATCH",
    ];
    assert_eq!(of_the_run(&proxy), expected);
    proxy.forget();
    fleet.cluster("paris", ONE);
    let output = through.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let expected = [
        "memory GET",
        "lock GET",
        "lock PATCH",
        "memory PATCH",
        "cluster PATCH",
        "lock PATCH",
    ];
    assert_eq!(of_the_run(&proxy), expected);
}

#[tokio::test]
async fn a_lock_that_is_older_than_the_memory_is_taken_only_when_it_is_free() {
    let fleet = Fleet::new("older", "").await;
    fleet.cluster("berlin", ONE);
    let first = ["apply", "-y", "--first-apply", "--lock-timeout", "0s"];
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": fleet.lock_name(), "namespace": fleet.namespace.name}});
    let kubeconfig = fleet.servers.kubeconfig();
    let create = ["create", "-f", "-"];
    let lease = lease.to_string();
    let created = fleet.servers.kubectl_with(&kubeconfig, &create, &lease).await;
    created.success();
    fleet.locked_by_somebody(3600).await;
    let output = fleet.run(&first).await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    assert!(output.stderr.contains(HOLDER), "{}", output.stderr);
    assert!(fleet.names().await.is_empty());
    assert_eq!(fleet.run(&["unlock", "-y"]).await.code, 0);
    assert_eq!(fleet.run(&first).await.code, 0);
    assert_eq!(fleet.names().await, ["berlin"]);
}

#[tokio::test]
async fn a_fleet_that_somebody_else_makes_known_meanwhile_is_planned_again_first() {
    let fleet = Fleet::new("meanwhile", "").await;
    fleet.cluster("berlin", ONE);
    let proxy = Proxy::start(fleet.servers).await;
    // Both runs find no memory; this one comes to write it when the other has.
    let slow = Action::Delay(Duration::from_secs(3));
    proxy.add(Rule::new(slow).writes().path("/configmaps/"));
    let process = fleet.through(&proxy).start(&["apply", "-y", "--first-apply"]);
    eventually("it has the lock and is about to write", SOON, async || {
        of_the_run(&proxy)
            .contains(&"memory PATCH".to_owned())
            .then_some(())
    })
    .await;
    let registered = fleet.run(&["init", "--hub"]).await;
    assert_eq!(registered.code, 0, "{}", registered.stderr);
    assert!(
        registered.stdout.contains("registered: "),
        "{}",
        registered.stdout
    );
    let status = eventually("it ends", SOON, async || process.ended()).await;
    let log = process.log();
    assert_eq!(status.code(), Some(4), "{log}");
    assert!(
        log.contains("was changed by another run since this plan was made"),
        "{log}"
    );
    assert!(log.contains("nothing was written; plan and apply again"), "{log}");
    assert!(fleet.names().await.is_empty());
    assert_eq!(fleet.holder().await, "", "it gave the lock back");
    assert_eq!(fleet.run(&["apply", "-y"]).await.code, 0);
}

/// Starts a run that has one cluster to make and has seen the lock, but not yet the children of clusters.
async fn looking(fleet: &Fleet, proxy: &Proxy) -> Process {
    let slow = Action::Delay(Duration::from_secs(3));
    proxy.add(Rule::new(slow).path("/statefulsets"));
    fleet.cluster("paris", ONE);
    let process = fleet
        .through(proxy)
        .start(&["apply", "-y", "--lock-timeout", "0s"]);
    eventually("it looks at children", SOON, async || {
        let mut seen = proxy.seen().into_iter();
        seen.any(|seen| seen.uri.contains("/statefulsets")).then_some(())
    })
    .await;
    assert!(of_the_run(proxy).contains(&"lock GET".to_owned()));
    process
}

#[tokio::test]
async fn a_lock_that_was_free_when_it_was_seen_may_have_been_taken() {
    let fleet = known("taken").await;
    let proxy = Proxy::start(fleet.servers).await;
    let process = looking(&fleet, &proxy).await;
    fleet.locked_by_somebody(3600).await;
    let status = eventually("it ends", SOON, async || process.ended()).await;
    assert_eq!(status.code(), Some(4), "{}", process.log());
    assert!(process.log().contains(HOLDER), "{}", process.log());
    assert_eq!(fleet.names().await, ["berlin"]);
    assert_eq!(fleet.holder().await, HOLDER);
}

#[tokio::test]
async fn a_lock_that_was_held_when_it_was_seen_may_be_free() {
    let fleet = known("freed").await;
    fleet.locked_by_somebody(3600).await;
    let proxy = Proxy::start(fleet.servers).await;
    let process = looking(&fleet, &proxy).await;
    assert_eq!(fleet.run(&["unlock", "-y"]).await.code, 0);
    let status = eventually("it ends", SOON, async || process.ended()).await;
    assert_eq!(status.code(), Some(0), "{}", process.log());
    assert_eq!(fleet.names().await, ["berlin", "paris"]);
}
