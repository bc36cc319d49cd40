//! The first look: the plan of `fleet-examples/edge` against the hub that is recorded beside it.

use std::path::Path;

use crate::cli::{assert_fits, program};
use crate::operator::{Bench, settings};
use crate::support::Program;

/// Stores that run on the recorded hub, with the version of before.
const STORES: std::ops::RangeInclusive<usize> = 1..=6;
const BEFORE: &str = "v1.36.2+k0s.0";

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fleet-examples/edge"))
}

#[tokio::test]
async fn the_recorded_hub_needs_nothing_but_the_program() {
    if std::env::var_os("RECORD_EXAMPLE").is_some() {
        record().await;
    }
    let program = program().directory(env!("CARGO_MANIFEST_DIR"));
    let snapshot = "fleet-examples/edge/live.json";
    let output = program
        .run(&["plan", "fleet-examples/edge", "--snapshot", snapshot])
        .await;
    assert_fits(&output);
    // How old it is depends on the day.
    let more = output
        .stderr
        .lines()
        .filter(|line| !line.starts_with("warning: the snapshot is "));
    assert_eq!(more.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(output.code, 0);
    insta::assert_snapshot!(output.stdout, @r"
    Fleet edge hub https://edge-hub.example.org:6443 (28f85f56…)
      operator 0.1.0, renderer 1
      + 994 clusters     create
          names          edge/store-0007, edge/store-0008, edge/store-0009,
                         edge/store-0010, edge/store-0011, edge/store-0012,
                         edge/store-0013, edge/store-0014, edge/store-0015,
                         edge/store-0016, edge/store-0017, edge/store-0018 and 982
                         more (--full)
          at             fleet-examples/edge/sets/stores.csv
      ~ edge/store-0001  disruptive  wave canary
          at             fleet-examples/edge/defaults.yaml:7:3
          spec.version   v1.36.2+k0s.0 -> v1.36.3+k0s.2
          effect         1 pod kmc-store-0001-0 replaced; the API does not answer
                         until it is ready again
                         etcd not restarted; kubeconfig and tokens stay valid
      ~ 5 clusters       disruptive  wave stores
          names          edge/store-0002, edge/store-0003, edge/store-0004,
                         edge/store-0005, edge/store-0006
          at             fleet-examples/edge/defaults.yaml:7:3
          spec.version   v1.36.2+k0s.0 -> v1.36.3+k0s.2
          effect         1 pod kmc-*-0 replaced; the API does not answer until it is
                         ready again
                         etcd not restarted; kubeconfig and tokens stay valid
    Plan: 994 to create, 6 to change (6 disruptive), 0 to DELETE
    ");
}

/// Makes `live.json` anew: the first stores on real servers, with the operator, as they are recorded there.
async fn record() {
    let bench = Bench::new("example").await;
    let namespace = bench.namespace.name.clone();
    let _controller = bench.controller_publishing(settings()).await;
    let program: Program = program().kubeconfig(&bench.servers.kubeconfig());
    for path in [
        "fleet.yaml",
        "defaults.yaml",
        "sets/stores.yaml",
        "sets/stores.csv",
    ] {
        let text = std::fs::read_to_string(example().join(path)).unwrap();
        let text = text
            .replace("v1.36.3+k0s.2", BEFORE)
            .replace("namespace: edge", &format!("namespace: {namespace}"))
            .replace("allow: [edge]", &format!("allow: [{namespace}]"));
        let text = match path {
            "sets/stores.csv" => text
                .lines()
                .take(STORES.count() + 1)
                .map(|line| format!("{line}\n"))
                .collect(),
            "sets/stores.yaml" => text.replace("min: 900", "min: 1"),
            _ => text,
        };
        crate::cli::write(&program, &[(path, &text)]);
    }
    let parent = ["--parent-namespace", namespace.as_str()];
    let output = program
        .run(&[&["apply", "-y", "--first-apply"][..], &parent].concat())
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    for store in STORES {
        bench
            .until(&format!("store-{store:04}"), "UpToDate", "True", "UpToDate")
            .await;
    }
    let output = program
        .run(
            &[
                &["snapshot", "--out", "live.json", "-n", &namespace][..],
                &["--operator-namespace", &namespace],
                &parent,
            ]
            .concat(),
        )
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let text = std::fs::read_to_string(program.folder().join("live.json")).unwrap();
    // The hub of the example has names of its own.
    let parent = format!("\"name\":\"k0smotron-fleet-edge-4c1d\",\"namespace\":\"{namespace}\"");
    let text = text
        .replace(
            &parent,
            "\"name\":\"k0smotron-fleet-edge-4c1d\",\"namespace\":\"k0smotron-fleet\"",
        )
        .replace(&bench.servers.url(), "https://edge-hub.example.org:6443")
        .replace(&bench.servers.node_address.to_string(), "192.0.2.10")
        .replace(&namespace, "edge");
    std::fs::write(example().join("live.json"), text).unwrap();
}
