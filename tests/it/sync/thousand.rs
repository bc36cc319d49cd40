//! One broken file of a thousand: nobody else is held up, and nothing is deleted while it is broken.

use std::collections::BTreeMap;

use k0smotron_fleet::api::K0smotronCluster;
use kube::api::ListParams;
use serde_json::json;

use super::{Bench, message, ready};
use crate::cli::{program, write};

const MEMBERS: usize = 1000;
const BROKEN: usize = 417;
const CHANGED: usize = 418;
const REMOVED: usize = 419;

fn name(number: usize) -> String {
    format!("store-{number:04}")
}

fn path(number: usize) -> String {
    format!("clusters/{}.yaml", name(number))
}

impl Bench {
    /// Returns what the server counts of every cluster: any write moves it.
    async fn all(&self) -> BTreeMap<String, (String, Option<i32>)> {
        let list = self.api::<K0smotronCluster>().list(&ListParams::default()).await;
        let of = |cluster: K0smotronCluster| {
            let version = cluster.metadata.resource_version.unwrap();
            (cluster.metadata.name.unwrap(), (version, cluster.spec.replicas))
        };
        list.unwrap().items.into_iter().map(of).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_file_of_a_thousand_stops_deletions_and_nobody_else() {
    let mut bench = Bench::new("sync-thousand").await;
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: team}}\nspec:\n  id: {}\n  \
         deletions: Omission\n  maxDeletions: {{count: 1000, percent: 100}}\n",
        bench.fleet_id
    );
    bench.repository.write("fleet.yaml", &fleet);
    let program = program().kubeconfig(&bench.servers.kubeconfig());
    let mut files = vec![("fleet.yaml".to_owned(), fleet)];
    files.extend(
        (0..MEMBERS).map(|number| (path(number), bench.cluster_yaml(&name(number), "{replicas: 1}"))),
    );
    for (path, text) in &files {
        write(&program, &[(path, text)]);
        bench.repository.write(path, text);
    }
    let flags = ["apply", "-y", "-q", "--override-sync"];
    let apply = async |more: &[&str]| program.run(&[&flags, more].concat()).await;
    program
        .run(&["apply", "-y", "--first-apply", "-q"])
        .await
        .success();
    let before = bench.all().await;
    assert_eq!(before.len(), MEMBERS);

    let first = bench.repository.commit();
    bench.sync("platform", json!({})).await;
    let _controller = bench.controller().await;
    let status = bench.applied("platform", &first).await;
    assert_eq!(ready(&status), ("True", "Applied"), "{status:?}");
    assert_eq!(bench.all().await, before, "they are as they should be");

    bench
        .repository
        .write(&path(BROKEN), &bench.cluster_yaml(&name(BROKEN), "{repicas: 3}"));
    bench.repository.write(
        &path(CHANGED),
        &bench.cluster_yaml(&name(CHANGED), "{replicas: 3}"),
    );
    bench.repository.remove(&path(REMOVED));
    let second = bench.repository.commit();
    let status = bench.attempted("platform", &second).await;
    assert_eq!(ready(&status), ("False", "InvalidFiles"), "{status:?}");
    assert_eq!(status.problems.len(), 1, "{status:?}");
    let problem = &status.problems[0];
    assert_eq!(problem.place, Some(format!("{}:4:8", path(BROKEN))));
    assert!(problem.message.contains("repicas"), "{problem:?}");
    let mut expected = before.clone();
    let after = bench.all().await;
    expected.insert(name(CHANGED), (after[&name(CHANGED)].0.clone(), Some(3)));
    assert_eq!(after, expected, "one is changed, none is gone");
    assert_ne!(after[&name(CHANGED)], before[&name(CHANGED)]);

    // Nor does the command line, which does delete what left the files of this fleet.
    let broken = bench.cluster_yaml(&name(BROKEN), "{repicas: 3}");
    let changed = bench.cluster_yaml(&name(CHANGED), "{replicas: 3}");
    write(&program, &[(&path(BROKEN), &broken), (&path(CHANGED), &changed)]);
    std::fs::remove_file(program.folder().join(path(REMOVED))).unwrap();
    let output = apply(&["--keep-going"]).await;
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    assert_eq!(bench.all().await, expected);

    bench
        .repository
        .write(&path(BROKEN), &bench.cluster_yaml(&name(BROKEN), "{replicas: 3}"));
    let third = bench.repository.commit();
    let status = bench.applied("platform", &third).await;
    assert_eq!(status.problems, [], "{}", message(&status));
    let mended = bench.all().await;
    expected.insert(name(BROKEN), (mended[&name(BROKEN)].0.clone(), Some(3)));
    assert_eq!(mended, expected, "a sync deletes nothing");
    let mended = bench.cluster_yaml(&name(BROKEN), "{replicas: 3}");
    write(&program, &[(&path(BROKEN), &mended)]);
    apply(&[]).await.success();
    expected.remove(&name(REMOVED));
    assert_eq!(bench.all().await, expected);
}
