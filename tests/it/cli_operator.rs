//! What the operator of a hub says of itself, and how plans heed it.

use k0smotron_fleet::render::{PUBLISHED_NAME, Published, Settings, revisions};
use serde_json::{Value, json};

use crate::cli_fleet::{Fleet, ONE};
use crate::operator::Bench;
use crate::support::kubelet::Policy;

const HOST_PATH: &str =
    "spec:\n  replicas: 1\n  service: {type: ClusterIP}\n  persistence: {type: hostPath, hostPath: /data}\n";
const NEXT: &str = "v1.35.8+k0s.0";

/// What an operator of another version says otherwise.
type Change = fn(&mut Value);

impl Fleet {
    /// Lets an operator say this of itself.
    pub async fn publish(&self, change: impl FnOnce(&mut Value)) {
        let mut object = Published::of_this_program(&Settings::standard())
            .to_object(&self.namespace.name)
            .0;
        change(&mut object["data"]);
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.servers
            .kubectl_with(&self.servers.kubeconfig(), &apply, &object.to_string())
            .await
            .success();
    }

    async fn published(&self) -> Value {
        let arguments = [
            "get",
            "configmap",
            PUBLISHED_NAME,
            "-n",
            &self.namespace.name,
            "-o",
            "json",
        ];
        serde_json::from_str(&self.servers.kubectl(&arguments).await.success()).unwrap()
    }
}

/// Returns the settings that an operator publishes, with another value.
fn with_setting(data: &mut Value, key: &str, value: Value) {
    let mut settings: Value = serde_json::from_str(data["settings"].as_str().unwrap()).unwrap();
    settings[key] = value;
    data["settings"] = json!(settings.to_string());
}

#[tokio::test]
async fn an_operator_says_how_it_renders_and_writes_it_once() {
    let fleet = Fleet::new("says", "").await;
    let bench = Bench::of(
        fleet.servers,
        fleet.namespace.clone(),
        fleet.servers.node_address,
        Policy::Ready,
    )
    .await;
    let settings = Settings {
        cluster_domain: "edge.example".to_owned(),
        ..Settings::standard()
    };
    drop(bench.controller_publishing(settings.clone()).await);
    let first = fleet.published().await;
    let data = &first["data"];
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["rendererRevisions"], revisions::newest().to_string());
    let said: Value = serde_json::from_str(data["settings"].as_str().unwrap()).unwrap();
    assert_eq!(said, json!(settings));

    // The next one of the same settings has nothing to write.
    let mark = bench.mark().await;
    drop(bench.controller_publishing(settings.clone()).await);
    bench.assert_no_write(mark, "it is said already").await;
    assert_eq!(fleet.published().await["metadata"], first["metadata"]);
    let other = Settings {
        allows_host_path: true,
        ..settings
    };
    drop(bench.controller_publishing(other).await);
    assert_eq!(
        fleet.published().await["metadata"]["uid"],
        first["metadata"]["uid"]
    );
}

#[tokio::test]
async fn a_plan_computes_with_the_settings_of_the_operator() {
    let fleet = Fleet::new("heeds", "").await;
    fleet.cluster("berlin", HOST_PATH);
    let output = fleet.run(&["plan"]).await;
    assert!(
        output.stdout.contains("operator unknown, defaults assumed") && output.stdout.contains("1 to create"),
        "{}{}",
        output.stdout,
        output.stderr
    );
    let json = fleet.run(&["plan", "-o", "json"]).await.success();
    let document: Value = serde_json::from_str(&json).unwrap();
    let why = document["operator"]["assumed"]["why"].as_str().unwrap();
    assert!(
        why.contains(PUBLISHED_NAME) && why.ends_with("is not there"),
        "{why}"
    );

    fleet.publish(|_| {}).await;
    let output = fleet.run(&["plan"]).await;
    let renderer = format!(
        "operator {}, renderer {}",
        env!("CARGO_PKG_VERSION"),
        revisions::newest()
    );
    let words = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&renderer), "{words}");
    assert!(
        words.contains("nothing to do, 1 refused") && words.contains("this operator allows none"),
        "{words}"
    );
    let status = fleet.run(&["status"]).await.success();
    assert!(status.ends_with(&format!("not ready; {renderer}\n")), "{status}");

    fleet
        .publish(|data| with_setting(data, "allowsHostPath", json!(true)))
        .await;
    let output = fleet.run(&["plan"]).await;
    assert!(output.stdout.contains("1 to create"), "{}", output.stdout);
    // In another namespace nobody says anything.
    let elsewhere = ["plan", "--parent-namespace", &fleet.namespace.name];
    let output = fleet
        .program
        .run(&[&elsewhere[..], &["--operator-namespace", "elsewhere"]].concat())
        .await;
    assert!(output.stdout.contains("defaults assumed"), "{}", output.stdout);
}

#[tokio::test]
async fn impacts_are_unknown_where_the_operator_renders_as_this_program_cannot() {
    let fleet = Fleet::new("lacks", "").await;
    fleet.cluster("berlin", ONE);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    fleet.cluster("berlin", &ONE.replace("v1.35.7+k0s.0", NEXT));
    let newer: [(&str, Change); 3] = [
        ("renders with revision 77, and this program", |data| {
            data["rendererRevisions"] = json!("1,77");
            with_setting(data, "rendererRevision", json!(77));
        }),
        ("cannot be read by this program", |data| {
            with_setting(data, "somethingNew", json!("canary-5e1f"));
        }),
        ("cannot be read by this program", |data| {
            data["settings"] = json!("{canary-5e1f");
        }),
    ];
    for (sentence, change) in newer {
        fleet
            .publish(|data| {
                data["version"] = json!("9.1.0");
                change(data);
            })
            .await;
        let output = fleet.run(&["plan"]).await;
        let words = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("1 to change (1 unknown)"),
            "{words}{}",
            output.stderr
        );
        assert!(
            words.contains(sentence) && words.contains("plan with the program of its version, 9.1.0"),
            "{words}"
        );
        for more in [
            &["-o", "json"][..],
            &["-v"],
            &["-o", "markdown"],
            &["--out", "plan.json"],
        ] {
            let output = fleet.run(&[&["plan"][..], more].concat()).await;
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(output.code == 0 && !all.contains("canary-5e1f"), "{all}");
        }
        let saved = std::fs::read_to_string(fleet.program.folder().join("plan.json")).unwrap();
        assert!(!saved.contains("canary-5e1f"), "{saved}");

        // The same without the hub.
        let namespace = fleet.namespace.name.as_str();
        let online = fleet.run(&["plan"]).await.stdout;
        fleet
            .run(&["snapshot", "--out", "live.json", "-n", namespace])
            .await
            .success();
        let offline = fleet.run(&["plan", "--snapshot", "live.json"]).await.success();
        assert_eq!(online, offline);
    }
}

#[tokio::test]
async fn an_operator_that_was_set_otherwise_since_makes_a_plan_stale() {
    let fleet = Fleet::new("reset", "").await;
    fleet.cluster("berlin", ONE);
    fleet.publish(|_| {}).await;
    let output = fleet.run(&["plan", "--out", "plan.json"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    fleet
        .publish(|data| {
            data["version"] = json!("9.1.0");
            with_setting(data, "clusterDomain", json!("edge.example"));
        })
        .await;
    let output = fleet.run(&["apply", "plan.json", "--first-apply"]).await;
    assert_eq!(output.code, 3, "{}{}", output.stdout, output.stderr);
    let stderr = output.stderr.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(stderr, @r"
      ! the hub  stale
          operator.clusterDomain cluster.local -> edge.example
          operator.version VERSION -> 9.1.0
    error: the plan is stale: 2 fields moved since it was saved; nothing was written
    hint: plan again, or do what still fits with --skip-stale
    ");
    assert_eq!(fleet.names().await, [""; 0]);
    fleet.publish(|_| {}).await;
    let output = fleet.run(&["apply", "plan.json", "--first-apply"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(fleet.names().await, ["berlin"]);
}
