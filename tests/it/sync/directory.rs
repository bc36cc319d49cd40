//! A local directory that is followed.

use k0smotron_fleet::api::fleet_sync::MaxImpact;
use k0smotron_fleet::render::Settings;
use k0smotron_fleet::sync::{DirectoryOptions, follow_directory};
use tokio_util::sync::CancellationToken;

use super::{Bench, SOON, connect};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_applied_and_a_removed_one_deletes_nothing() {
    let bench = Bench::new("sync-directory").await;
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    write("fleet.yaml", &bench.fleet_yaml());
    write("a.yaml", &bench.cluster_yaml("berlin", "{replicas: 1}"));
    let stop = CancellationToken::new();
    let options = DirectoryOptions {
        client: connect(bench.servers).await,
        path: folder.path().to_owned(),
        max_impact: MaxImpact::Rolling,
        instance: "test".to_owned(),
        parent_namespace: bench.namespace.name.clone(),
        settings: Settings::standard(),
    };
    let following = tokio::spawn(follow_directory(options, stop.clone()));
    let is = async |what: &str, expected: &[(&str, i32)]| {
        eventually(what, SOON, async || {
            let clusters = bench.clusters().await;
            let expected = expected
                .iter()
                .map(|(name, replicas)| ((*name).to_owned(), Some(*replicas)));
            if clusters.iter().cloned().eq(expected) {
                Ok(())
            } else {
                Err(format!("{clusters:?}"))
            }
        })
        .await;
    };
    is("the first files are applied", &[("berlin", 1)]).await;

    write("a.yaml", &bench.cluster_yaml("berlin", "{replicas: 3}"));
    is("a change is applied", &[("berlin", 3)]).await;

    std::fs::remove_file(folder.path().join("a.yaml")).unwrap();
    write("b.yaml", "kind: [unclosed\n");
    write("c.yaml", &bench.cluster_yaml("oslo", "{replicas: 1}"));
    is("the others go on", &[("berlin", 3), ("oslo", 1)]).await;

    stop.cancel();
    following.await.unwrap();
}
