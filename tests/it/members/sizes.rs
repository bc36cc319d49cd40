//! From one member to five and back, while somebody writes.

use std::time::Duration;

use serde_json::json;

use super::load::Load;
use super::{Bench, ETCD};

/// Two elections, on a machine that is busy with other tests.
const ELECTION: Duration = Duration::from_secs(12);
const SIZES: [usize; 4] = [3, 5, 3, 1];

#[tokio::test(flavor = "multi_thread")]
async fn from_one_to_five_members_and_back_no_acknowledged_write_is_lost_and_writes_go_on() {
    let bench = Bench::start("members-load", json!({})).await;
    let etcd = bench.etcd().await;
    bench.settled(&etcd, 1).await;
    let first = bench.members().await;
    let load = Load::start(etcd.clone());
    for size in SIZES {
        let before = bench.members().await;
        bench.want(size).await;
        bench.settled(&etcd, size).await;
        let after = bench.members().await;
        let stayed = before.len().min(after.len());
        assert_eq!(before[..stayed], after[..stayed], "who stays is not restarted");
    }
    assert_eq!(bench.members().await, first);
    let gap = load.end(&etcd).await;
    assert!(gap < ELECTION, "no write was acknowledged for {gap:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_and_the_operator_are_killed_at_every_step_and_no_acknowledged_write_is_lost() {
    let bench = Bench::start("members-kill", json!({})).await;
    let etcd = bench.etcd().await;
    bench.settled(&etcd, 1).await;
    let load = Load::start(etcd.clone());
    let mut steps = 0;
    for size in SIZES {
        bench.want(size).await;
        bench
            .settled_while(&etcd, size, async |listed| {
                steps += 1;
                // Each in turn, also the one that is just joining.
                let member = listed
                    .iter()
                    .nth(steps % listed.len())
                    .unwrap()
                    .trim_start_matches('~');
                if let Some(process) = bench.pods.process(&format!("{ETCD}-{member}")) {
                    process.kill();
                }
                bench.controller.restart();
            })
            .await;
    }
    assert!(steps >= 12, "{steps} steps");
    load.end(&etcd).await;
}
