//! What clusters inherit; the merge itself is tested beside it.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::diagnostic::Code;

const FLEET: &str =
    "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: acme-7f3a}\n";

fn cluster(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: {name}\n  namespace: tenant-7\n{rest}"
    )
}

fn defaults(rest: &str) -> String {
    format!("apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\n{rest}")
}

fn tree(files: &[(&str, &str)]) -> SourceTree {
    let all = files.iter().copied().chain([("fleet.yaml", FLEET)]);
    SourceTree::from_texts(all)
}

fn codes(reading: &Reading) -> Vec<Code> {
    reading.findings.iter().map(|finding| finding.code).collect()
}

fn spec(reading: &Reading, name: &str) -> Value {
    let found = reading.clusters.iter().find(|cluster| cluster.name == name);
    found
        .unwrap_or_else(|| panic!("no {name}: {:#?}", reading.findings))
        .object
        .0["spec"]
        .clone()
}

#[test]
fn the_nearest_defaults_win_and_the_cluster_over_all() {
    let reading = read(&tree(&[
        (
            "defaults.yaml",
            &defaults("labels: {team: core}\nspec: {replicas: 1, paused: true, updatePolicy: Always}\n"),
        ),
        (
            "clusters/prod/defaults.yaml",
            &defaults("spec: {replicas: 3, version: v1.36.3+k0s.2}\n"),
        ),
        (
            "clusters/prod/a.yaml",
            &cluster("a", "  labels: {site: berlin}\nspec: {paused: null}\n"),
        ),
        ("clusters/prod/b.yaml", &cluster("b", "spec: null\n")),
        ("clusters/lab/c.yaml", &cluster("c", "spec: {replicas: 5}\n")),
    ]));
    assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
    assert_eq!(
        spec(&reading, "a"),
        json!({"replicas": 3, "version": "v1.36.3+k0s.2", "updatePolicy": "Always"})
    );
    assert_eq!(spec(&reading, "b")["paused"], json!(true));
    assert_eq!(
        spec(&reading, "c"),
        json!({"replicas": 5, "paused": true, "updatePolicy": "Always"})
    );
    let labels = &reading.clusters[0].object.0["metadata"]["labels"];
    assert_eq!(*labels, json!({"team": "core", "site": "berlin"}));
}

#[test]
fn an_inherited_value_knows_the_line_of_the_defaults() {
    let tree = tree(&[
        (
            "clusters/defaults.yaml",
            &defaults("labels:\n  team: core\nspec:\n  replicas: 3\n"),
        ),
        ("clusters/a.yaml", &cluster("a", "spec: {paused: true}\n")),
    ]);
    let reading = read(&tree);
    let at = |pointer: &str| {
        tree.position(reading.clusters[0].origin(pointer).unwrap())
            .to_string()
    };
    assert_eq!(at("/spec/replicas"), "clusters/defaults.yaml:6:3");
    assert_eq!(at("/metadata/labels/team"), "clusters/defaults.yaml:4:3");
    assert_eq!(at("/spec/paused"), "clusters/a.yaml:6:8");
    assert_eq!(at(""), "clusters/a.yaml:1:1");
}

#[test]
fn what_is_wrong_only_together_is_shown_where_it_is_written_and_once() {
    let broken = "spec:\n  service: {type: LoadBalancer, apiPort: 7443}\n";
    let tree = tree(&[
        ("clusters/defaults.yaml", &defaults(broken)),
        (
            "clusters/a.yaml",
            &cluster("a", "spec: {service: {konnectivityPort: 7443}}\n"),
        ),
        (
            "clusters/b.yaml",
            &cluster("b", "spec: {service: {type: null, apiPort: null}}\n"),
        ),
    ]);
    let reading = read(&tree);
    assert_eq!(codes(&reading), [Code::RuleBroken]);
    assert_eq!(reading.clusters.len(), 1);
    let wrong = tree_with_bad_version();
    let reading = read(&wrong);
    assert_eq!(codes(&reading), [Code::RuleBroken], "once for both clusters");
    let span = reading.findings.iter().next().unwrap().span().unwrap();
    assert_eq!(wrong.position(span).to_string(), "clusters/defaults.yaml:4:12");
    assert_eq!((reading.clusters.len(), reading.rejected.len()), (0, 2));
}

fn tree_with_bad_version() -> SourceTree {
    tree(&[
        ("clusters/defaults.yaml", &defaults("spec:\n  version: latest\n")),
        ("clusters/a.yaml", &cluster("a", "")),
        ("clusters/b.yaml", &cluster("b", "")),
    ])
}

#[test]
fn a_selector_reads_only_the_labels_of_the_clusters_own_file() {
    let reading = read(&tree(&[
        ("defaults.yaml", &defaults("labels: {tier: prod}\n")),
        (
            "clusters/prod.yaml",
            &defaults("selector: {matchLabels: {tier: prod}}\nspec: {replicas: 3}\n"),
        ),
        (
            "clusters/lab.yaml",
            &defaults("selector: {matchLabels: {tier: lab}}\nspec: {replicas: 1}\n"),
        ),
        ("clusters/a.yaml", &cluster("a", "  labels: {tier: prod}\n")),
        ("clusters/b.yaml", &cluster("b", "  labels: {tier: lab}\n")),
        ("clusters/c.yaml", &cluster("c", "")),
    ]));
    assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
    assert_eq!(spec(&reading, "a"), json!({"replicas": 3}));
    assert_eq!(spec(&reading, "b"), json!({"replicas": 1}));
    assert_eq!(spec(&reading, "c"), Value::Null);
}

/// Without its defaults a cluster would be another one, for example of one replica instead of three.
#[test]
fn a_cluster_whose_defaults_cannot_be_read_is_never_composed_without_them() {
    let near = cluster("near", "spec: {paused: true}\n");
    let far = cluster("far", "spec: {paused: true}\n");
    for broken in [
        "kind: ClusterDefaults\nspec: [\n",
        &defaults("spec: {replicas: many}\n"),
        &defaults("spec: {repicas: 3}\n"),
        &defaults("\tspec: {}\n"),
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefault\nspec: {}\n",
        "caf\u{7}",
    ] {
        let reading = read(&tree(&[
            ("clusters/prod/defaults.yaml", broken),
            ("clusters/prod/eu/near.yaml", &near),
            ("clusters/lab/far.yaml", &far),
        ]));
        let names: Vec<&str> = reading
            .clusters
            .iter()
            .map(|cluster| cluster.name.as_str())
            .collect();
        assert_eq!(names, ["far"], "{broken:?}");
        assert_eq!(
            reading.rejected,
            BTreeSet::from([("tenant-7".to_owned(), "near".to_owned())])
        );
        assert_eq!(reading.findings.errors(), 1, "{broken:?} {:#?}", reading.findings);
    }
}

#[test]
fn what_clusters_inherit_is_bounded_by_all_of_them_together() {
    let long = defaults(&format!("annotations: {{a: '{}'}}\n", "x".repeat(200_000)));
    let clusters: String = (0..900)
        .map(|number| format!("---\n{}", cluster(&format!("c{number}"), "")))
        .collect();
    let reading = read(&tree(&[
        ("defaults.yaml", &long),
        ("clusters/all.yaml", &clusters),
    ]));
    assert_eq!(codes(&reading), [Code::TooMuch]);
    assert_eq!(reading.clusters.len() + reading.rejected.len(), 900);
    assert!(!reading.clusters.is_empty() && !reading.rejected.is_empty());
}

#[test]
fn a_broken_cluster_beside_others_costs_only_itself() {
    let reading = read(&tree(&[
        ("defaults.yaml", &defaults("spec: {replicas: 3}\n")),
        ("clusters/a.yaml", &cluster("a", "")),
        ("clusters/b.yaml", "kind: [\n"),
    ]));
    assert_eq!((reading.clusters.len(), reading.findings.errors()), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_and_names_of_files_change_no_inherited_value(names in Just(vec!["a", "b", "c", "d", "e"]).prop_shuffle()) {
        let documents = [
            defaults("spec: {replicas: 3, manifests: [{name: m, emptyDir: {}}]}\n"),
            defaults("spec: {paused: true, manifests: [{name: k, emptyDir: {}}]}\n"),
            defaults("selector: {matchLabels: {tier: lab}}\nlabels: {a: b}\n"),
            cluster("one", "  labels: {tier: lab}\n"),
            cluster("two", "spec: {manifests: [{name: k, configMap: {name: x}}]}\n"),
        ];
        let read_as = |names: &[&str]| {
            let files: Vec<(String, &str)> = names.iter().zip(&documents)
                .map(|(name, text)| (format!("clusters/{name}.yaml"), text.as_str())).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            let reading = read(&tree(&files));
            assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
            reading.clusters.into_iter().map(|cluster| cluster.object).collect::<Vec<_>>()
        };
        prop_assert_eq!(read_as(&names), read_as(&["a", "b", "c", "d", "e"]));
    }
}
