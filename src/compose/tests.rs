//! The whole way from text to objects; the messages themselves are golden files in `tests/golden/findings`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::diagnostic::Code;
use crate::diagnostic::codes::Example;

fn tree(files: &[(&str, &str)]) -> SourceTree {
    SourceTree::from_texts(files.iter().map(|&(path, text)| (path, text)))
}

fn codes(reading: &Reading) -> Vec<Code> {
    reading.findings.iter().map(|finding| finding.code).collect()
}

fn cluster(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: {name}\n  namespace: tenant-7\n\
         spec: {spec}\n"
    )
}

/// Every code is shown by its own examples, so that the explanation of a code is never wrong.
#[test]
fn every_bad_example_gives_its_code_and_every_good_one_nothing() {
    for &code in Code::ALL {
        if let Example::Files(files) = code.bad() {
            let reading = read(&tree(files));
            assert_eq!(
                codes(&reading),
                [code],
                "bad example of {code}: {:#?}",
                reading.findings
            );
        }
        if let Example::Files(files) = code.good() {
            let reading = read(&tree(files));
            assert!(
                reading.findings.is_empty(),
                "good example of {code}: {:#?}",
                reading.findings
            );
        }
    }
}

/// Codes whose examples are words, with the tree that has them.
#[test]
fn codes_about_files_are_given_by_the_tree() {
    use crate::diagnostic::{FILE_BYTES_MAX, Refusal};
    // The last resort of the schema: no input gives it as long as schema and types agree.
    // Those of a conversion never come alone; golden files show them.
    let is_other = |code: &Code| *code == Code::NotReadable || code.as_str().starts_with("FLT06");
    let is_told = |code: &Code| matches!(code.bad(), Example::Told(_)) && !is_other(code);
    let told: Vec<Code> = Code::ALL.iter().copied().filter(is_told).collect();
    let mut tree = SourceTree::new();
    tree.add("a.yaml", b"\xff\xfea\0".to_vec()).unwrap();
    tree.add("b.yaml", vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
    tree.refuse("c.yaml", Refusal::SymbolicLink).unwrap();
    assert_eq!(codes(&read(&tree)), told);
}

#[test]
fn a_cluster_is_composed_of_what_is_written_and_nothing_else() {
    let text = "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: edge-berlin\n  \
                namespace: tenant-7\n  creationTimestamp: null\n  labels: {site: berlin}\nspec:\n  replicas: 3\n  \
                version: null\n  service:\n    type: ClusterIP\n    apiPort: ~\nstatus: null\n";
    let reading = read(&tree(&[("clusters/edge.yaml", text)]));
    assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
    let [composed] = reading.clusters.as_slice() else {
        panic!("one cluster")
    };
    assert_eq!(
        composed.object.0,
        json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {"name": "edge-berlin", "namespace": "tenant-7", "labels": {"site": "berlin"}},
            "spec": {"replicas": 3, "service": {"type": "ClusterIP"}}})
    );
    assert_eq!(composed.object.id(), Some(composed.id()));
    assert_eq!(composed.source_path, "clusters/edge.yaml");
}

#[test]
fn null_empty_and_no_spec_are_all_a_cluster() {
    for spec in ["", "spec:\n", "spec: null\n", "spec: {}\n"] {
        let head = cluster("edge", "").replace("spec: \n", "");
        let reading = read(&tree(&[("a.yaml", &(head + spec))]));
        assert_eq!(
            (reading.clusters.len(), reading.findings.len()),
            (1, 0),
            "{spec:?}: {:#?}",
            reading.findings
        );
    }
}

#[test]
fn every_value_knows_where_it_was_written() {
    let text = cluster("edge", "\n  replicas: 3\n  controlPlaneFlags:\n    - --debug\n");
    let tree = tree(&[("clusters/edge.yaml", &text)]);
    let reading = read(&tree);
    let origin = |pointer: &str| {
        tree.position(reading.clusters[0].origin(pointer).unwrap())
            .to_string()
    };
    assert_eq!(origin("/spec/replicas"), "clusters/edge.yaml:7:3");
    assert_eq!(origin("/spec/controlPlaneFlags/0"), "clusters/edge.yaml:9:7");
    assert_eq!(origin("/metadata/name"), "clusters/edge.yaml:4:3");
    assert_eq!(
        origin("/spec/service/type"),
        "clusters/edge.yaml:6:1",
        "not written: the mapping around it"
    );
    assert_eq!(origin(""), "clusters/edge.yaml:1:1");
}

#[test]
fn a_wrong_cluster_is_named_and_hides_no_other() {
    let reading = read(&tree(&[
        ("a.yaml", &cluster("good", "{replicas: 1}")),
        ("b.yaml", &cluster("bad", "{replicas: many}")),
        ("c.yaml", "a: [\n"),
    ]));
    let names: Vec<&str> = reading
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(names, ["good"]);
    assert_eq!(
        reading.rejected,
        BTreeSet::from([("tenant-7".to_owned(), "bad".to_owned())])
    );
    assert_eq!(codes(&reading), [Code::WrongType, Code::UnclosedBracket]);
}

#[test]
fn of_two_clusters_with_one_name_neither_is_composed() {
    let (one, other) = (cluster("edge", "{replicas: 1}"), cluster("edge", "{repicas: 1}"));
    let reading = read(&tree(&[("a.yaml", &one), ("b.yaml", &other)]));
    assert!(reading.clusters.is_empty());
    assert_eq!(codes(&reading), [Code::SameCluster, Code::UnknownField]);
}

#[test]
fn a_broken_fleet_file_is_not_the_same_as_none() {
    let fleet = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {}\n";
    let reading = read(&tree(&[("fleet.yaml", fleet)]));
    assert_eq!((reading.fleet, reading.is_fleet_broken), (None, true));
    let reading = read(&tree(&[(
        "fleet.yaml",
        &fleet.replace("{}", "{id: acme-1, deletions: Omission}"),
    )]));
    assert_eq!(reading.fleet.unwrap().spec.id, "acme-1");
    assert!(!read(&tree(&[])).is_fleet_broken);
}

#[test]
fn other_kinds_are_named_once_each_and_other_yaml_is_left_alone() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let reading = read(&tree(&[
        (
            "a.yaml",
            &[secret, secret, "apiVersion: v1\nkind: ConfigMap\n"].join("---\n"),
        ),
        ("b.yaml", secret),
        ("values.yaml", "image: x\nport: 80\n"),
    ]));
    assert_eq!(codes(&reading), [Code::OtherKind; 3]);
    assert!(!reading.findings.has_errors());
    let messages: Vec<&str> = reading
        .findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "3 objects of kind `Secret` are left alone",
            "1 object of kind `ConfigMap` is left alone",
            "a document that is no Kubernetes object is left alone"
        ]
    );
}

#[test]
fn many_clusters_are_checked_as_one_is() {
    let specs = ["{replicas: 1}", "{replicas: -1}", "{version: latest}", "null"];
    let files = (0..300).map(|number| {
        let name = format!("edge-{number:03}");
        (
            format!("{name}.yaml"),
            cluster(&name, specs[number % specs.len()]),
        )
    });
    let reading = read(&SourceTree::from_texts(files));
    assert_eq!((reading.clusters.len(), reading.rejected.len()), (150, 150));
    let expected: Vec<Code> = [Code::OutOfRange, Code::RuleBroken]
        .into_iter()
        .cycle()
        .take(150)
        .collect();
    assert_eq!(codes(&reading), expected);
}

#[test]
fn a_record_takes_over_what_the_files_of_a_fleet_want_and_nothing_else() {
    let adopt = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Adopt\nmetadata: {name: a}\nspec: {target: \
                 {namespace: tenant-7, name: edge}, from: {manager: helm}}\n";
    let fleet =
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: a}\n";
    let (wanted, broken) = (cluster("edge", "null"), cluster("edge", "{repicas: 1}"));
    for (files, expected) in [
        (
            vec![("a.yaml", adopt), ("b.yaml", &wanted), ("fleet.yaml", fleet)],
            vec![],
        ),
        (
            vec![("a.yaml", adopt), ("b.yaml", &broken), ("fleet.yaml", fleet)],
            vec![Code::UnknownField],
        ),
        (
            vec![("a.yaml", adopt), ("b.yaml", &wanted)],
            vec![Code::IdleRecord],
        ),
        (
            vec![("a.yaml", adopt), ("fleet.yaml", fleet)],
            vec![Code::IdleRecord],
        ),
    ] {
        let reading = read(&tree(&files));
        assert_eq!(codes(&reading), expected);
        assert_eq!(reading.adopted.len(), 1);
    }
}

#[test]
fn clusters_in_a_list_are_not_passed_over() {
    let list = "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: k0smotron.io/v1beta1\n    kind: K0smotronCluster\n";
    assert_eq!(codes(&read(&tree(&[("a.yaml", list)]))), [Code::NotSupportedYet]);
    let other = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret}]\n";
    assert_eq!(codes(&read(&tree(&[("a.yaml", other)]))), [Code::OtherKind]);
}

#[test]
fn a_file_that_cannot_be_read_counts_as_an_error_and_not_as_absent() {
    let mut tree = tree(&[("a.yaml", &cluster("edge", "null"))]);
    tree.add("b.yaml", b"name: caf\xe9".to_vec()).unwrap();
    let reading = read(&tree);
    assert!(reading.findings.has_errors());
    assert_eq!(reading.clusters.len(), 1);
}

/// Documents that all are read, and some that are not, to be put into files in any way.
fn documents() -> Vec<String> {
    let mut documents: Vec<String> = (0..6)
        .map(|number| cluster(&format!("edge-{number}"), "{replicas: 1}"))
        .collect();
    documents.push(cluster("wrong", "{repicas: 1}"));
    documents.push("apiVersion: v1\nkind: ConfigMap\n".to_owned());
    documents.push(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: a}\n"
            .to_owned(),
    );
    documents
}

proptest! {
    #[test]
    fn order_of_files_and_documents_changes_no_object(
        shuffled in Just(documents()).prop_shuffle(),
        cuts in proptest::collection::vec(any::<bool>(), 9),
        order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let mut files: Vec<String> = vec![String::new()];
        for (document, cut) in shuffled.iter().zip(cuts) {
            if cut {
                files.push(String::new());
            }
            files.last_mut().unwrap().push_str(&format!("---\n{document}"));
        }
        let named = files.iter().enumerate().map(|(index, text)| (format!("{}.yaml", order.get(index).unwrap_or(&index)), text.clone()));
        let mixed = read(&SourceTree::from_texts(named));
        let plain = read(&SourceTree::from_texts([("all.yaml", documents().join("---\n"))]));
        let objects = |reading: &Reading| reading.clusters.iter().map(|cluster| cluster.object.clone()).collect::<Vec<_>>();
        prop_assert_eq!(objects(&mixed), objects(&plain));
        prop_assert_eq!(mixed.fleet, plain.fleet);
        prop_assert_eq!(mixed.rejected, plain.rejected);
        prop_assert_eq!(mixed.findings.len(), plain.findings.len());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&SourceTree::from_texts([("a.yaml", bytes)]));
    }

    #[test]
    fn a_cluster_with_a_damaged_byte_is_read_without_panic(at in 0usize..300, byte in any::<u8>()) {
        let mut text = cluster("edge", "{replicas: 3, service: {type: LoadBalancer, apiPort: 6443}, podLabels: {a: b}}").into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let reading = read(&SourceTree::from_texts([("a.yaml", text)]));
        prop_assert!(reading.clusters.len() <= 1);
    }
}
