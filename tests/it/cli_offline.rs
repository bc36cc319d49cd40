//! Plans with a recorded hub, what the server says to a plan, and how much a plan asks.

use k0smotron_fleet::render::Settings;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cli::{program, write};
use crate::cli_fleet::{Fleet, ONE};
use crate::operator::{Bench, SOON, has_its_pods};
use crate::support::{Action, Options, Program, Proxy, Rule, Servers, crds, eventually, loader};

const CLUSTER: &str =
    "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {name: NAME, namespace: NS}\n";

fn cluster(program: &Program, namespace: &str, name: &str, spec: &str) {
    let head = CLUSTER.replace("NAME", name).replace("NS", namespace);
    write(
        program,
        &[(&format!("clusters/{name}.yaml"), &format!("{head}{spec}"))],
    );
}

fn core(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap();
    document.as_object_mut().unwrap().remove("admission").unwrap();
    document
}

#[tokio::test]
async fn a_plan_with_a_recorded_hub_is_the_plan_with_the_hub_itself() {
    let bench = Bench::new("offline").await;
    let namespace = bench.namespace.name.clone();
    let _controller = bench
        .controller_publishing(Settings {
            cluster_domain: "edge.example".to_owned(),
            ..Settings::standard()
        })
        .await;
    let program = program();
    let online = program.clone().kubeconfig(&bench.servers.kubeconfig());
    let parent = [
        "--parent-namespace",
        namespace.as_str(),
        "--operator-namespace",
        namespace.as_str(),
    ];
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  id: {namespace}\n"
    );
    write(&program, &[("fleet.yaml", &fleet)]);
    let with = |replicas: u8, version: &str, port: u16| {
        format!(
            "spec:\n  replicas: {replicas}\n  version: {version}\n  service: {{type: ClusterIP, apiPort: {port}}}\n"
        )
    };
    for name in ["berlin", "madrid", "paris"] {
        cluster(&program, &namespace, name, &with(3, "v1.35.7+k0s.0", 6443));
    }
    cluster(
        &program,
        &namespace,
        "tokyo",
        "spec: {replicas: 1, service: {type: ClusterIP}}\n",
    );
    let applied = online
        .run(&[&["apply", "-y", "--first-apply"][..], &parent].concat())
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    for name in ["berlin", "madrid", "paris", "tokyo"] {
        bench.until(name, "UpToDate", "True", "UpToDate").await;
    }
    // Both plans are to see the same pods.
    eventually("all pods are ready", SOON, async || {
        let sets = bench.api::<StatefulSet>().list(&ListParams::default()).await;
        let sets = sets.map_err(|error| error.to_string())?.items;
        let waiting: Vec<&StatefulSet> = sets.iter().filter(|set| !has_its_pods(set)).collect();
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(json!(waiting).to_string())
        }
    })
    .await;
    bench.quiet(bench.mark().await).await;
    // A roll, another address, a rule of the API that is broken, one that left, and a new one.
    cluster(&program, &namespace, "berlin", &with(3, "v1.35.8+k0s.0", 6443));
    cluster(&program, &namespace, "madrid", &with(3, "v1.35.7+k0s.0", 7443));
    cluster(
        &program,
        &namespace,
        "paris",
        "spec: {replicas: 1, storage: {type: kine, kine: {dataSourceSecretName: db}}, service: {type: ClusterIP}}\n",
    );
    std::fs::remove_file(program.folder().join("clusters/tokyo.yaml")).unwrap();
    cluster(&program, &namespace, "rome", ONE);

    let taken = online
        .run(&[&["snapshot", "--out", "live.json", "-n", &namespace][..], &parent].concat())
        .await;
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    let text = std::fs::read_to_string(program.folder().join("live.json")).unwrap();
    assert!(
        !text.contains("BEGIN CERT") && !text.contains("PRIVATE KEY"),
        "no body of a Secret"
    );
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let operator = &recorded["operator"]["published"];
    assert_eq!(
        operator["settings"]["clusterDomain"], "edge.example",
        "{operator}"
    );
    for object in recorded["objects"].as_array().unwrap() {
        assert!(
            object["kind"] != "Secret" || object.get("data").is_none(),
            "{object}"
        );
    }

    for more in [
        &["-o", "json"][..],
        &["--prune", "-o", "json"],
        &["-l", "a=b", "-o", "json"],
    ] {
        let with_hub = online.run(&[&["plan"][..], more, &parent].concat()).await;
        let without = program
            .run(&[&["plan", "--snapshot", "live.json"][..], more, &parent].concat())
            .await;
        assert_eq!(
            (with_hub.code, without.code),
            (0, 0),
            "{}{}",
            with_hub.stderr,
            without.stderr
        );
        assert_eq!(
            core(&with_hub.stdout).to_string(),
            core(&without.stdout).to_string()
        );
    }
    let with_hub = online.run(&[&["plan"][..], &parent].concat()).await;
    let without = program
        .run(&[&["plan", "--snapshot", "live.json"][..], &parent].concat())
        .await;
    assert_eq!(with_hub.stdout, without.stdout);
    assert!(
        with_hub.stdout.contains("rolling") && with_hub.stdout.contains("disruptive"),
        "{}",
        with_hub.stdout
    );

    let document = online.run(&[&["plan", "-o", "json"][..], &parent].concat()).await;
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert!(
        document["admission"]["checked"].as_u64().unwrap() >= 3,
        "{}",
        document["admission"]
    );
    let document = program
        .run(&[&["plan", "--snapshot", "live.json", "-o", "json"][..], &parent].concat())
        .await;
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(
        document["admission"]["notChecked"][0]["reason"],
        "planned with a snapshot"
    );

    let old = taken_at(&text, "2020-01-01T00:00:00Z");
    write(&program, &[("old.json", &old)]);
    let output = program
        .run(&[&["plan", "--snapshot", "old.json"][..], &parent].concat())
        .await;
    assert!(output.stderr.contains("days old"), "{}", output.stderr);
}

/// Returns the snapshot as if it had been taken at another moment.
fn taken_at(text: &str, time: &str) -> String {
    let (before, after) = text.split_once("\"takenAt\":\"").unwrap();
    let (_, after) = after.split_once('"').unwrap();
    format!("{before}\"takenAt\":\"{time}\"{after}")
}

#[tokio::test]
async fn what_the_server_would_refuse_is_said_with_the_plan_and_repeats_no_secret() {
    let fleet = Fleet::new("admission", "").await;
    fleet.cluster("berlin", ONE);
    fleet.cluster(
        "paris",
        "spec:\n  k0sConfig:\n    apiVersion: k0s.k0sproject.io/v1beta1\n    kind: ClusterConfig\n    spec:\n      extensions:\n        helm:\n          \
         charts: [{name: a, chartname: a/a, namespace: a, values: 'password: canary-7f3a'}]\n",
    );
    let proxy = Proxy::start(fleet.servers).await;
    let words = "admission webhook \"policy.example\" denied the request: weak: canary-7f3a in {\"values\":\"password: canary-7f3a\"}";
    proxy.add(
        Rule::new(Action::refusal(403, "Forbidden", words))
            .path("dryRun=All")
            .path("/paris"),
    );
    let through = fleet.through(&proxy);
    let output = through.run(&["plan"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("/paris: not allowed to") && output.stderr.contains("policy.example"),
        "{}",
        output.stderr
    );
    for more in [&["-o", "json"][..], &["-v"]] {
        let output = through.run(&[&["plan"][..], more].concat()).await;
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(!all.contains("canary-7f3a"), "{all}");
    }
    let seen = proxy.seen();
    assert!(
        seen.iter()
            .filter(|request| request.is_write())
            .all(|request| request.uri.contains("dryRun=All")),
        "a plan writes nothing"
    );
}

#[tokio::test]
async fn a_plan_of_a_thousand_unchanged_clusters_with_their_stateful_sets_asks_six_times() {
    const STORES: usize = 1_000;
    // Without controllers, which would make pods.
    let servers = Box::leak(Box::new(
        Servers::start(Options {
            without_controllers: true,
            ..Options::default()
        })
        .await,
    ));
    crds::install(&servers.client().await).await;
    let fleet = Fleet::on(servers, "thousand", "").await;
    let namespace = &fleet.namespace.name;
    let stores: Vec<String> = (0..STORES).map(|store| format!("{store:04}")).collect();
    fleet.stores(&stores);
    let output = fleet
        .run(&["apply", "-y", "--first-apply", "--parallelism", "64", "-q"])
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(loader::stateful_sets(fleet.servers, namespace).await, 2 * STORES);
    let proxy = Proxy::start(fleet.servers).await;
    let through = fleet.through(&proxy);
    let output = through.run(&["plan", "--detailed-exitcode"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(
        output.stdout,
        format!("Plan: nothing to do, {STORES} unchanged\n")
    );
    // The hub, its memory, its operator, one page for each 2,000 clusters, and whether k0smotron runs any: 9 for ten
    // thousand.
    let seen = proxy.seen();
    assert_eq!(seen.len(), 4 + STORES.div_ceil(2_000), "{seen:?}");
}
