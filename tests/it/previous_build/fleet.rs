//! A fleet as the previous release left it: this build knows it as its own, and finds nothing to do.

use k0smotron_fleet::api::labels;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::{api_of, folder};
use crate::cli::program;
use crate::support::{Program, Servers, crds};

/// Part of the ids and of the tracking annotations, so it cannot be another one every time.
const NAMESPACE: &str = "previous-fleet";
const FILES: [&str; 5] = [
    "fleet.yaml",
    "defaults.yaml",
    "clusters/berlin.yaml",
    "sets/stores.yaml",
    "sets/stores.csv",
];

fn files(program: &Program) {
    for path in FILES {
        let target = program.folder().join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(folder().join("fleet").join(path), target).unwrap();
    }
}

/// What differs between hubs and runs.
fn without_identity(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    for entry in metadata["managedFields"].as_array_mut().unwrap() {
        entry["time"] = json!("2026-01-01T00:00:00Z");
    }
    object
}

async fn dump(servers: &Servers) {
    let mut dumped = Vec::new();
    let parent = format!("k0smotron-fleet-{NAMESPACE}");
    for what in [vec!["k0c"], vec!["configmap", parent.as_str()]] {
        let arguments = [
            &["get", "-n", NAMESPACE, "--show-managed-fields", "-o", "json"],
            &what[..],
        ]
        .concat();
        let found: Value = serde_json::from_str(&servers.kubectl(&arguments).await.success()).unwrap();
        let objects = found["items"].as_array().cloned().unwrap_or_else(|| vec![found]);
        dumped.extend(objects.into_iter().map(without_identity));
    }
    let lines: String = dumped.iter().map(|object| format!("{object}\n")).collect();
    std::fs::write(folder().join("fleet.jsonl"), lines).unwrap();
}

async fn load(servers: &Servers) {
    let client = servers.client().await;
    let text = std::fs::read_to_string(folder().join("fleet.jsonl")).unwrap();
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let api = api_of(&client, &object, Some(NAMESPACE));
        let name = object["metadata"]["name"].as_str().unwrap();
        let mut first = object.clone();
        first["metadata"].as_object_mut().unwrap().remove("managedFields");
        let how = PostParams::default();
        let created = api
            .create(&how, &serde_json::from_value(first).unwrap())
            .await
            .unwrap();
        let mut again = object.clone();
        again["metadata"]["uid"] = json!(created.metadata.uid);
        again["metadata"]["resourceVersion"] = json!(created.metadata.resource_version);
        // Given managed fields are kept by a write that changes nothing.
        let stored = api
            .replace(name, &how, &serde_json::from_value(again).unwrap())
            .await
            .unwrap();
        let managers = stored.metadata.managed_fields.unwrap_or_default();
        let is_ours = |manager: Option<String>| manager.as_deref() == Some(labels::FLEET_MANAGER);
        assert!(managers.into_iter().any(|entry| is_ours(entry.manager)), "{name}");
    }
}

#[tokio::test]
async fn a_fleet_of_the_previous_build_is_recognised_and_nothing_is_written() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let _namespace = servers.namespace_named(NAMESPACE).await;
    let program = program().kubeconfig(&servers.kubeconfig());
    files(&program);
    let run = async |arguments: &[&str]| {
        program
            .run(&[arguments, &["--parent-namespace", NAMESPACE]].concat())
            .await
    };
    if std::env::var_os("DUMP_PREVIOUS_BUILD").is_some_and(|value| value == "1") {
        let output = run(&["apply", "-y", "--first-apply"]).await;
        assert_eq!(output.code, 0, "{}", output.stderr);
        return dump(servers).await;
    }
    load(servers).await;
    let output = run(&["plan", "--detailed-exitcode"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(output.stdout, "Plan: nothing to do, 4 unchanged\n");
    let mark = servers.audit.mark(&servers.client().await).await;
    assert_eq!(run(&["apply", "-y"]).await.code, 0);
    let events = servers.audit.since(&servers.client().await, mark).await;
    let events = crate::support::audit::by(events, "k0smotron-fleet/");
    let written = crate::support::audit::counts(&crate::support::audit::within(events, NAMESPACE)).writes;
    assert_eq!(written, 0);
    // What left the files is still a member, and the budget is known.
    std::fs::remove_file(program.folder().join("clusters/berlin.yaml")).unwrap();
    let output = run(&["plan", "--prune"]).await;
    assert!(output.stdout.contains("1 to DELETE"), "{}", output.stdout);
}
