//! Where a control plane keeps its data: settings of etcd and its defragmentation, a database, NATS servers.

use k0smotron_fleet::api::labels;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Bench, SOON};
use crate::support::eventually;

#[tokio::test]
async fn a_setting_of_etcd_reaches_the_members_and_not_the_control_plane() {
    let (bench, _controller) = Bench::with_cluster("storage", "edge-berlin", json!({})).await;
    let before = [
        bench.revision("kmc-edge-berlin").await,
        bench.revision("kmc-edge-berlin-etcd").await,
    ];

    let args = json!({"storage": {"etcd": {"args": {"quota-backend-bytes": "8589934592"}}}});
    bench.apply("edge-berlin", args).await;
    eventually("the template of the members is another", SOON, async || {
        let etcd = bench.revision("kmc-edge-berlin-etcd").await;
        (etcd != before[1]).then_some(())
    })
    .await;
    bench.quiet(bench.mark().await).await;
    assert_eq!(bench.revision("kmc-edge-berlin").await, before[0]);

    let wrong = json!({"storage": {"etcd": {"args": {"quota-backend-bytes": "much"}}}});
    bench.apply("edge-berlin", wrong).await;
    let words = bench.until_stalled("edge-berlin", "InvalidSpec").await;
    assert!(
        words.contains("spec.storage.etcd.args[quota-backend-bytes]"),
        "{words}"
    );

    bench.apply("edge-berlin", json!({})).await;
    eventually("the members are back at their first template", SOON, async || {
        let set = bench
            .api::<StatefulSet>()
            .get("kmc-edge-berlin-etcd")
            .await
            .unwrap();
        let annotations = set.spec.unwrap().template.metadata.unwrap().annotations;
        (!annotations
            .unwrap_or_default()
            .contains_key(labels::CONFIG_DIGEST))
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_setting_that_is_taken_back_while_members_are_replaced_is_so_when_all_have_it_again() {
    let without = json!({"replicas": 3});
    let (bench, _controller) = Bench::with_cluster("storage", "edge-berlin", without.clone()).await;
    let first = bench.revision("kmc-edge-berlin-etcd").await;
    let with = json!({"replicas": 3, "storage": {"etcd": {"args": {"snapshot-count": "5000"}}}});
    bench.apply("edge-berlin", with).await;
    let second = eventually("the template of the members is another", SOON, async || {
        let etcd = bench.revision("kmc-edge-berlin-etcd").await;
        (etcd != first).then_some(etcd)
    })
    .await;
    // The operator outside reaches no member, so it replaces none.
    let replace_one = async |wanted: &str| {
        let pods = bench.api::<Pod>();
        let name = "kmc-edge-berlin-etcd-2";
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        eventually("the last member is replaced", SOON, async || {
            let pod = pods.get_opt(name).await.ok()??;
            let revision = pod.metadata.labels?.remove("controller-revision-hash");
            (revision.as_deref() == Some(wanted)).then_some(())
        })
        .await;
    };
    replace_one(&second).await;
    bench.apply("edge-berlin", without).await;
    eventually("it says who has another template", SOON, async || {
        let cluster = bench.until("edge-berlin", "UpToDate", "False", "Rolling").await;
        let said = json!(cluster.status.unwrap_or_default().conditions).to_string();
        let is_said = said.contains("2 of 3 pods run the new template");
        (is_said && bench.revision("kmc-edge-berlin-etcd").await == first)
            .then_some(())
            .ok_or(said)
    })
    .await;
    bench.quiet(bench.mark().await).await;
    bench.until("edge-berlin", "UpToDate", "False", "Rolling").await;
    replace_one(&first).await;
    bench.until_ready("edge-berlin").await;
}

#[tokio::test]
async fn the_defragmentation_comes_and_goes_with_the_field() {
    let bench = Bench::new("storage").await;
    let _controller = bench.controller().await;
    let job =
        |schedule: &str| json!({"storage": {"etcd": {"defragJob": {"enabled": true, "schedule": schedule}}}});
    bench.apply("edge-berlin", job("0 3 * * *")).await;
    bench.until_ready("edge-berlin").await;
    let jobs = bench.api::<CronJob>();
    let made = jobs.get("kmc-edge-berlin-defrag").await.unwrap();
    assert_eq!(made.spec.unwrap().schedule, "0 3 * * *");
    bench.assert_at_rest("a CronJob that is as it should be").await;

    bench.apply("edge-berlin", job("0 4 * * *")).await;
    eventually("the schedule is the new one", SOON, async || {
        let live = jobs.get("kmc-edge-berlin-defrag").await.unwrap();
        (live.spec.unwrap().schedule == "0 4 * * *").then_some(())
    })
    .await;
    bench.apply("edge-berlin", json!({})).await;
    bench.until_none::<CronJob>("kmc-edge-berlin-defrag").await;
}

/// With everything that shells, YAML, URLs and templates trip over.
const DATA_SOURCE: &str =
    "postgres://k0s:p&a/s\\s'w\"o$HOME`r`d#{}%41@db.example:5432/k0s?sslmode=disable&x=|";
const PASSWORD: &str = "p&a/s\\s";

fn kine() -> Value {
    json!({ "storage": { "type": "kine", "kine": { "dataSourceSecretName": "db" } } })
}

async fn put_data_source(bench: &Bench<'_>, data: Value) {
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" }, "stringData": data });
    let how = PatchParams::apply("test-user").force();
    let applied = bench
        .api::<Secret>()
        .patch("db", &how, &Patch::Apply(secret))
        .await;
    applied.unwrap();
}

async fn data_source_in_use(bench: &Bench<'_>) -> Value {
    let file = bench.secret("kmc-edge-berlin-config", "k0s.yaml").await;
    let document: Value = serde_saphyr::from_str(&String::from_utf8(file).unwrap()).unwrap();
    document["spec"]["storage"]["kine"]["dataSource"].clone()
}

#[tokio::test]
async fn a_data_source_of_any_characters_reaches_the_configuration_and_no_other_place() {
    let bench = Bench::new("storage").await;
    put_data_source(
        &bench,
        json!({ "K0SMOTRON_KINE_DATASOURCE_URL": DATA_SOURCE, "other": "" }),
    )
    .await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", kine()).await;
    let cluster = bench.until_ready("edge-berlin").await;
    assert_eq!(data_source_in_use(&bench).await, DATA_SOURCE);
    assert_eq!(cluster.status.as_ref().unwrap().storage.as_deref(), Some("kine"));
    let all = [
        json!(
            bench
                .api::<StatefulSet>()
                .list(&ListParams::default())
                .await
                .unwrap()
        ),
        json!(
            bench
                .api::<ConfigMap>()
                .list(&ListParams::default())
                .await
                .unwrap()
        ),
        json!(bench.api::<Pod>().list(&ListParams::default()).await.unwrap()),
        json!(bench.events("edge-berlin").await),
        json!(cluster),
        json!(
            bench
                .api::<Secret>()
                .get("kmc-edge-berlin-config")
                .await
                .unwrap()
                .metadata
        ),
    ];
    for object in all {
        let escaped = json!(PASSWORD).to_string();
        assert!(
            !object.to_string().contains(escaped.trim_matches('"')),
            "{object}"
        );
    }
    bench.assert_at_rest("a data source that stays").await;
}

#[tokio::test]
async fn nothing_is_begun_before_the_data_source_is_there_and_whole() {
    let bench = Bench::new("storage").await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", kine()).await;
    bench.until_stalled("edge-berlin", "DataSourceMissing").await;
    for (data, words) in [
        (json!({ "url": DATA_SOURCE }), "the Secret does not have it"),
        (json!({ "K0SMOTRON_KINE_DATASOURCE_URL": "" }), "it is empty"),
    ] {
        put_data_source(&bench, data).await;
        eventually(&format!("it says: {words}"), SOON, async || {
            let message = bench.until_stalled("edge-berlin", "DataSourceUnusable").await;
            message.contains(words).then_some(()).ok_or(message)
        })
        .await;
    }
    assert_eq!(bench.children().await, [""; 0]);
    put_data_source(&bench, json!({ "K0SMOTRON_KINE_DATASOURCE_URL": DATA_SOURCE })).await;
    bench.until_ready("edge-berlin").await;
    assert_eq!(data_source_in_use(&bench).await, DATA_SOURCE);
}

#[tokio::test]
async fn another_data_source_rolls_the_control_plane_and_a_label_on_its_secret_does_not() {
    let bench = Bench::new("storage").await;
    put_data_source(&bench, json!({ "K0SMOTRON_KINE_DATASOURCE_URL": DATA_SOURCE })).await;
    let controller = bench.controller().await;
    bench.apply("edge-berlin", kine()).await;
    bench.until_ready("edge-berlin").await;
    let before = bench.revision("kmc-edge-berlin").await;
    let secrets = bench.api::<Secret>();

    let label = json!({ "metadata": { "labels": { "team": "blue" } } });
    let mark = bench.mark().await;
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(label))
        .await
        .unwrap();
    bench.quiet(mark).await;
    assert_eq!(bench.revision("kmc-edge-berlin").await, before);

    put_data_source(
        &bench,
        json!({ "K0SMOTRON_KINE_DATASOURCE_URL": "mysql://elsewhere" }),
    )
    .await;
    eventually("the pods roll", SOON, async || {
        (bench.revision("kmc-edge-berlin").await != before).then_some(())
    })
    .await;
    assert_eq!(data_source_in_use(&bench).await, "mysql://elsewhere");
    bench.until_ready("edge-berlin").await;

    // What runs goes on when the Secret is taken away, also under another controller.
    let before = bench.revision("kmc-edge-berlin").await;
    secrets.delete("db", &DeleteParams::default()).await.unwrap();
    bench.until_stalled("edge-berlin", "DataSourceMissing").await;
    controller.end().await;
    let _controller = bench.controller().await;
    bench.quiet(bench.mark().await).await;
    assert_eq!(bench.revision("kmc-edge-berlin").await, before);
    assert_eq!(data_source_in_use(&bench).await, "mysql://elsewhere");
}

#[tokio::test]
async fn nats_servers_share_a_token_that_is_kept_like_a_key() {
    let bench = Bench::new("storage").await;
    let controller = bench.controller().await;
    let spec = json!({ "replicas": 3, "storage": { "type": "nats" } });
    bench.apply("edge-berlin", spec.clone()).await;
    bench.until_ready("edge-berlin").await;
    let token = bench.secret("kmc-edge-berlin-nats-token", "token").await;
    let token = String::from_utf8(token).unwrap();
    assert_eq!(token.len(), 64);
    let file = bench
        .secret("kmc-edge-berlin-config", "kmc-edge-berlin-2.conf")
        .await;
    let file = String::from_utf8(file).unwrap();
    assert!(file.contains("server_name: \"kmc-edge-berlin-2\""));
    assert_eq!(file.matches(&token).count(), 3, "a password and two routes");
    assert_eq!(
        bench
            .api::<PersistentVolumeClaim>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        3
    );

    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    controller.end().await;
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", spec).await;
    bench.until_ready("edge-berlin").await;
    let again = bench.secret("kmc-edge-berlin-nats-token", "token").await;
    assert_eq!(String::from_utf8(again).unwrap(), token);
}
