//! What happens to the members of an etcd that keeps its size.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::load::Load;
use super::{Bench, ETCD, SOON};
use crate::support::eventually;

const ELECTION: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn another_image_replaces_one_member_after_another_and_data_outlives_hibernation_and_a_lost_volume() {
    let three = |image: &str| json!({ "storage": { "etcd": { "members": 3, "image": image } } });
    let (old, new) = ("example.org/etcd:v3.7.1", "example.org/etcd:v3.7.2");
    let bench = Bench::start("members-change", three(old)).await;
    let etcd = bench.etcd().await;
    bench.settled(&etcd, 3).await;
    let load = Load::start(etcd.clone());

    let before = bench.members().await;
    bench.apply(three(new)).await;
    // Pods of the new template in the order in which they came, and those of them that have been ready.
    let (mut replaced, mut ready) = (Vec::new(), BTreeSet::new());
    eventually("all members are of the new template", SOON, async || {
        let pods = bench.members().await;
        let present = pods.iter().filter(|pod| !pod.is_going).count();
        assert!(present >= 2, "one at a time: {pods:#?}");
        for pod in pods.iter().filter(|pod| pod.revision != before[0].revision) {
            if !replaced.contains(&pod.uid) {
                let all_before = replaced.iter().all(|uid| ready.contains(uid));
                assert!(
                    all_before,
                    "the next one is replaced when the last one is ready: {pods:#?}"
                );
                replaced.push(pod.uid.clone());
            }
            if pod.is_ready {
                ready.insert(pod.uid.clone());
            }
        }
        if replaced.len() == 3 && ready.len() == 3 {
            Ok(())
        } else {
            Err(format!("{pods:#?}\n{}", bench.controller.log_tail(20)))
        }
    })
    .await;
    bench.settled(&etcd, 3).await;
    let gap = load.end(&etcd).await;
    assert!(gap < ELECTION, "no write was acknowledged for {gap:?}");
    let written = etcd.keys().await;

    let mut hibernated = three(new);
    hibernated["replicas"] = 0.into();
    bench.apply(hibernated).await;
    eventually("no member runs", SOON, async || {
        bench.members().await.is_empty().then_some(())
    })
    .await;
    bench.apply(three(new)).await;
    bench.settled(&etcd, 3).await;
    assert_eq!(etcd.keys().await, written);

    let before = bench.members().await;
    let lost = format!("{ETCD}-1");
    let volume = bench
        .pods
        .root(&lost)
        .join(".volumes")
        .join(format!("etcd-data-{lost}"));
    let id = async || {
        let listed = etcd
            .ask("/v3/cluster/member/list", &json!({"linearizable": true}))
            .await?;
        let members = listed["members"].as_array().cloned().unwrap_or_default();
        let found = members.into_iter().find(|member| member["name"] == lost.as_str());
        Ok::<_, String>(found.map(|member| member["ID"].clone()))
    };
    let old_id = id().await.unwrap();
    assert!(old_id.is_some());
    std::fs::remove_dir_all(volume.join("join-0")).unwrap();
    bench.pods.process(&lost).unwrap().kill();
    eventually("it is another member", SOON, async || {
        let new_id = id().await?;
        if new_id.is_some() && new_id != old_id {
            return Ok(());
        }
        Err(format!(
            "{}\n{:#?}",
            bench.controller.log_tail(20),
            bench.pods.problems()
        ))
    })
    .await;
    bench.settled(&etcd, 3).await;
    assert_eq!(etcd.keys().await, written);
    let after = bench.members().await;
    assert_eq!(
        (&after[0], &after[2]),
        (&before[0], &before[2]),
        "nobody else is restarted"
    );
    let directories: BTreeSet<String> = std::fs::read_dir(&volume)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(directories.contains("join-1"), "{directories:?}");
}
