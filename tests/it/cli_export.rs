//! What is exported is what runs: a plan of it is empty.

use std::collections::BTreeSet;
use std::path::Path;

use k0smotron_fleet::api::fleet_files::{AdoptSource, IfDifferent};
use k0smotron_fleet::api::labels;
use k0smotron_fleet::cli::show::findings;
use k0smotron_fleet::fleet::export;
use k0smotron_fleet::object::{Object, Observed, differences};
use k0smotron_fleet::plan::{self, AdoptRecord, Files, FleetEntry, FleetInput, FleetPolicy, Operation};
use k0smotron_fleet::{compose, load};
use serde_json::{Value, json};

use crate::cli_fleet::{Fleet, ONE};

/// The spec of every golden case of the renderer, which together hold every field.
fn golden_specs() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/render");
    let mut specs = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(path.join("cluster.yaml")) else {
            continue;
        };
        let mut cluster: Value = serde_saphyr::from_str(text.split("\n---\n").next().unwrap()).unwrap();
        // What an older server took and the rules of today refuse.
        for words in [
            "/podLabels",
            "/podAnnotations",
            "/kubeconfig/labels",
            "/service/labels",
        ] {
            if let Some(Value::Object(words)) = cluster["spec"].pointer_mut(words) {
                words.retain(|key, _| {
                    !["app", "cluster", "component"].contains(&key.as_str()) && !key.contains("k0smotron.io/")
                });
            }
        }
        let name: String = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .chars()
            .take(40)
            .collect();
        specs.push((name.trim_end_matches('-').to_owned(), cluster["spec"].clone()));
    }
    assert!(specs.len() > 20, "the golden cases are not here");
    specs
}

/// What an API server takes and files are not allowed to say: networks of two families.
const NOT_FOR_FILES: [&str; 1] = ["ingress-older-k0s"];

#[tokio::test]
async fn every_golden_cluster_is_exported_to_a_file_that_takes_it_over_without_a_change() {
    let fleet = Fleet::new("exported", "").await;
    std::fs::remove_file(fleet.program.folder().join("fleet.yaml")).unwrap();
    let namespace = fleet.namespace.name.clone();
    let items: Vec<Value> = golden_specs()
        .into_iter()
        .map(|(name, spec)| {
            json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
                "metadata": {"name": name, "namespace": namespace, "labels": {"tier": "no", "size": "07"}},
                "spec": spec})
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let kubeconfig = fleet.servers.kubeconfig();
    let applied = fleet
        .servers
        .kubectl_with(&kubeconfig, &["apply", "-f", "-"], &list)
        .await;
    applied.success();
    let output = fleet
        .program
        .run(&["export", "-n", &namespace, "--out", "all"])
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let get = [
        "get",
        "k0c",
        "-n",
        &namespace,
        "-o",
        "json",
        "--show-managed-fields",
    ];
    let live: Value = serde_json::from_str(&fleet.servers.kubectl(&get).await.success()).unwrap();
    let mut seen = 0;
    for object in live["items"].as_array().unwrap() {
        let live = Object(object.clone());
        let id = live.id().unwrap();
        // One by one: the cases use the same ports and hosts.
        let folder = fleet.program.folder();
        let alone = folder.join("alone").join(&id.name);
        std::fs::create_dir_all(&alone).unwrap();
        let file = folder.join(format!("all/{namespace}/{}.yaml", id.name));
        std::fs::copy(file, alone.join("cluster.yaml")).unwrap();
        let tree = load::directory(&alone).unwrap();
        let reading = compose::read(&tree);
        if NOT_FOR_FILES.contains(&id.name.as_str()) {
            assert!(reading.findings.has_errors(), "{id}");
            continue;
        }
        assert!(
            !reading.findings.has_errors(),
            "{id}: {}",
            findings::lines(&reading.findings, &tree)
        );
        let composed = &reading.clusters[0];
        assert_eq!(*composed.object, export::clean(&id, &live).object, "{id}");
        let moved = differences(&composed.object, &live, labels::FLEET_MANAGER);
        assert_eq!(moved, [], "{id}");

        let record = AdoptRecord {
            from: AdoptSource::Manager("kubectl-client-side-apply".to_owned()),
            if_different: IfDifferent::Fail,
            place: "adopt.yaml:1:1".to_owned(),
        };
        let policy = FleetPolicy {
            id: Some("acme-7f3a".to_owned()),
            adopted: [(id.clone(), record)].into(),
            ..FleetPolicy::of(None, Files::Sound)
        };
        let observed = Observed {
            objects: [(id.clone(), live)].into_iter().collect(),
            unreadable: Vec::new(),
        };
        let desired = [FleetEntry::of(composed, &tree)];
        let plan = plan::fleet(
            &FleetInput {
                desired: &desired,
                rejected: &BTreeSet::new(),
                observed: &observed,
                unchanged: &BTreeSet::new(),
                preview: Err("not looked at"),
            },
            &policy,
        );
        let operations: Vec<&Operation> = plan.actions().map(|action| &action.operation).collect();
        assert!(
            matches!(operations[..], [Operation::Adopt { .. }]),
            "{:?}",
            plan.held
        );
        seen += 1;
    }
    assert_eq!(seen + NOT_FOR_FILES.len(), golden_specs().len());
}

#[tokio::test]
async fn a_plan_of_the_exported_directory_is_empty() {
    let fleet = Fleet::new("again", "").await;
    std::fs::remove_file(fleet.program.folder().join("fleet.yaml")).unwrap();
    for name in ["berlin", "paris"] {
        fleet.cluster(name, ONE);
    }
    // Nothing of it is recorded as applied by anybody, and it is known again all the same.
    fleet.cluster("rome", "spec: null\n");
    assert_eq!(fleet.run(&["apply", "clusters", "-y"]).await.code, 0);
    let namespace = fleet.namespace.name.as_str();
    fleet
        .program
        .run(&["export", "-n", namespace, "--out", "all"])
        .await
        .success();
    let output = fleet.run(&["plan", "all", "--detailed-exitcode"]).await;
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "Plan: nothing to do, 3 unchanged\n")
    );
    // One stream does as well as files.
    let stream = fleet.program.run(&["export", "-n", namespace]).await.success();
    fleet.write("one.yaml", &stream);
    let output = fleet.run(&["plan", "one.yaml", "--detailed-exitcode"]).await;
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "Plan: nothing to do, 3 unchanged\n")
    );
}

#[tokio::test]
async fn a_fleet_that_is_exported_elsewhere_is_the_same_fleet() {
    let fleet = Fleet::new("elsewhere", "  deletions: Omission\n").await;
    fleet.cluster("rome", ONE);
    fleet.stores(&["0001", "0002"]);
    assert_eq!(fleet.run(&["apply", "-y", "--first-apply"]).await.code, 0);
    let namespace = fleet.namespace.name.as_str();
    let export = ["export", "-n", namespace, "--out", "all"];
    fleet.program.run(&export).await.success();
    for folder in ["clusters", "sets"] {
        std::fs::remove_dir_all(fleet.program.folder().join(folder)).unwrap();
    }
    let before = fleet.live().await;
    for command in [
        &["plan", "--detailed-exitcode"][..],
        &["apply", "-y"],
        &["plan", "--detailed-exitcode"],
    ] {
        let output = fleet.run(command).await;
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (0, "Plan: nothing to do, 3 unchanged\n")
        );
    }
    assert_eq!(fleet.live().await, before, "not a single write");
}

#[tokio::test]
async fn a_credential_is_named_and_not_exported() {
    let fleet = Fleet::new("credential", "").await;
    let manifest = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: berlin, namespace: {}}}\nspec:\n  \
         k0sConfig: {{spec: {{storage: {{type: kine, kine: {{dataSource: 'postgres://k0s:canary-7f3a@db'}}}}}}}}\n",
        fleet.namespace.name
    );
    let kubeconfig = fleet.servers.kubeconfig();
    fleet
        .servers
        .kubectl_with(&kubeconfig, &["apply", "-f", "-"], &manifest)
        .await
        .success();
    let output = fleet.program.run(&["export", "-n", &fleet.namespace.name]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        !format!("{}{}", output.stdout, output.stderr).contains("canary-7f3a"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stderr
            .contains("spec.k0sConfig.spec.storage.kine.dataSource is left out"),
        "{}",
        output.stderr
    );
}
