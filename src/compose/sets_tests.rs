//! From sets to clusters; messages are golden files in `tests/golden/findings`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::diagnostic::Code;

fn set(generators: &str, rest: &str, template: &str) -> String {
    format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {{name: stores}}\nspec:\n  key: site\n  \
         generators: {generators}\n{rest}  template:\n    metadata: {{name: 'store-${{site}}', namespace: edge}}\n    \
         spec: {template}\n"
    )
}

fn tree(files: &[(&str, &str)]) -> SourceTree {
    SourceTree::from_texts(files.iter().copied())
}

fn specs(reading: &Reading) -> Vec<(String, Value)> {
    assert!(reading.findings.is_empty(), "{:#?}", reading.findings);
    reading
        .clusters
        .iter()
        .map(|cluster| (cluster.name.clone(), cluster.object.0["spec"].clone()))
        .collect()
}

fn codes(reading: &Reading) -> Vec<Code> {
    reading.findings.iter().map(|finding| finding.code).collect()
}

const CSV: &str = "[{csv: {path: stores.csv}}]";

#[test]
fn a_cell_is_text_unless_its_column_has_a_type() {
    let reading = read(&tree(&[
        (
            "sets/stores.yaml",
            &set(
                CSV,
                "  columns: {replicas: integer, paused: boolean}\n",
                "{replicas: '${replicas}', paused: '${paused ?? false}', podLabels: {number: '${number}', both: '${site}-${replicas}'}}",
            ),
        ),
        (
            "sets/stores.csv",
            "site,number,replicas,paused\nberlin,0042,3,true\nparis,007,1,\n",
        ),
    ]));
    let expected = [
        (
            "store-berlin".to_owned(),
            json!({"replicas": 3, "paused": true, "podLabels": {"number": "0042", "both": "berlin-3"}}),
        ),
        (
            "store-paris".to_owned(),
            json!({"replicas": 1, "paused": false, "podLabels": {"number": "007", "both": "paris-1"}}),
        ),
    ];
    assert_eq!(specs(&reading), expected);
}

#[test]
fn a_value_knows_the_cell_it_came_from_and_a_cluster_its_row() {
    let tree = tree(&[
        ("stores.yaml", &set(CSV, "", "{version: '${version}'}")),
        ("stores.csv", "site,version\nberlin,v1.36.3\nparis,latest\n"),
    ]);
    let reading = read(&tree);
    let berlin = &reading.clusters[0];
    let at = |pointer: &str| tree.position(berlin.origin(pointer).unwrap()).to_string();
    assert_eq!(at(""), "stores.csv:2:1");
    assert_eq!(at("/spec/version"), "stores.csv:2:8");
    assert_eq!(at("/spec"), "stores.yaml:9:5");
    assert_eq!(berlin.source_path, "stores.yaml");
    assert_eq!(codes(&reading), [Code::RuleBroken]);
    let span = reading.findings.iter().next().unwrap().span().unwrap();
    assert_eq!(tree.position(span).to_string(), "stores.csv:3:7");
    assert_eq!(
        reading.rejected,
        BTreeSet::from([("edge".to_owned(), "store-paris".to_owned())])
    );
}

#[test]
fn a_whole_reference_keeps_any_form_and_a_set_inherits_from_its_directory() {
    let generators =
        "[{files: {path: sites/*.yaml}}, {list: [{site: rome, node: {zone: a}, tolerations: []}]}]";
    let fleet = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: acme-7f3a}\n";
    let defaults = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nspec: {replicas: 3}\n";
    let reading = read(&tree(&[
        ("fleet.yaml", fleet),
        ("sets/defaults.yaml", defaults),
        (
            "sets/stores.yaml",
            &set(
                generators,
                "",
                "{nodeSelector: {zone: '${node.zone}'}, tolerations: '${tolerations}'}",
            ),
        ),
        (
            "sets/sites/a.yaml",
            "site: berlin\nnode: {zone: b}\ntolerations: [{key: edge, operator: Exists}]\n",
        ),
    ]));
    let expected = [
        (
            "store-berlin".to_owned(),
            json!({"replicas": 3, "nodeSelector": {"zone": "b"}, "tolerations": [{"key": "edge", "operator": "Exists"}]}),
        ),
        (
            "store-rome".to_owned(),
            json!({"replicas": 3, "nodeSelector": {"zone": "a"}, "tolerations": []}),
        ),
    ];
    assert_eq!(specs(&reading), expected);
}

#[test]
fn where_chooses_rows_and_an_error_is_never_a_no() {
    let rows = "[{list: [{site: a, tier: prod}, {site: b, tier: lab}, {site: c}]}]";
    let reading = read(&tree(&[(
        "a.yaml",
        &set(rows, "  where: tier == 'prod'\n", "null"),
    )]));
    assert_eq!(codes(&reading), [Code::ConditionFailed]);
    let names: Vec<&str> = reading
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(names, ["store-a"]);
    assert_eq!(
        reading.rejected,
        BTreeSet::from([("edge".to_owned(), "store-c".to_owned())])
    );
}

/// A table that was cut off must not look like clusters that were removed, nor change those that are left.
#[test]
fn outside_of_what_is_expected_no_cluster_of_the_set_is_composed() {
    let rows = "[{list: [{site: a}, {site: b}]}]";
    for (expect, is_met) in [
        ("{min: 2, max: 2}", true),
        ("{min: 3}", false),
        ("{max: 1}", false),
    ] {
        let reading = read(&tree(&[(
            "a.yaml",
            &set(rows, &format!("  expect: {expect}\n"), "null"),
        )]));
        assert_eq!(reading.clusters.len(), if is_met { 2 } else { 0 });
        assert_eq!(reading.rejected.len(), if is_met { 0 } else { 2 });
        assert_eq!(reading.findings.has_errors(), !is_met);
    }
}

#[test]
fn a_table_is_nobodys_problem_until_a_set_names_it() {
    let mut tree = SourceTree::new();
    tree.add("other.csv", b"\xff\n\"".to_vec()).unwrap();
    tree.add("big.csv", vec![b'a'; crate::diagnostic::FILE_BYTES_MAX + 1])
        .unwrap();
    assert!(read(&tree).findings.is_empty());
    tree.add("a.yaml", set("[{csv: {path: big.csv}}]", "", "null").into_bytes())
        .unwrap();
    assert_eq!(codes(&read(&tree)), [Code::FileTooLarge]);
}

#[test]
fn what_rows_become_is_bounded() {
    let rows: String = (0..20_001).map(|number| format!("s{number}\n")).collect();
    let reading = read(&tree(&[
        ("a.yaml", &set(CSV, "", "null")),
        ("stores.csv", &format!("site\n{rows}")),
    ]));
    assert_eq!(codes(&reading), [Code::TooMuch]);
    let rows: String = (0..2_000).map(|number| format!("s{number}\n")).collect();
    let long = format!("{{podAnnotations: {{a: '{}'}}}}", "x".repeat(100_000));
    let reading = read(&tree(&[
        ("a.yaml", &set(CSV, "", &long)),
        ("stores.csv", &format!("site\n{rows}")),
    ]));
    assert_eq!(codes(&reading), [Code::TooMuch]);
}

#[test]
fn one_broken_file_among_a_thousand_hides_no_other() {
    let cluster = |number: usize| {
        format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: edge-{number}, namespace: edge}}\n"
        )
    };
    let mut files: Vec<(String, String)> = (0..999)
        .map(|number| (format!("clusters/{number}.yaml"), cluster(number)))
        .collect();
    files.push(("clusters/broken.yaml".to_owned(), "kind: [\n".to_owned()));
    let reading = read(&SourceTree::from_texts(files));
    assert_eq!(
        (reading.clusters.len(), codes(&reading)),
        (999, vec![Code::UnclosedBracket])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_of_rows_and_generators_changes_no_cluster(
        rows in Just(vec!["a,1,x", "b,,y", "c,3,"]).prop_shuffle(),
        generators in Just(vec!["{csv: {path: stores.csv}}", "{list: [{site: d, count: 1, zone: z}, {site: e, count: 2, zone: w}]}"]).prop_shuffle(),
        columns in Just(vec!["site", "count", "zone"]).prop_shuffle(),
    ) {
        let reordered = |row: &str| {
            let cells: Vec<&str> = row.split(',').collect();
            columns.iter().map(|column| cells[["site", "count", "zone"].iter().position(|name| name == column).unwrap()]).collect::<Vec<_>>().join(",")
        };
        let table: Vec<String> = std::iter::once(columns.join(",")).chain(rows.iter().map(|row| reordered(row))).collect();
        let text = set(&format!("[{}]", generators.join(", ")), "  columns: {count: integer}\n",
            "{replicas: '${count ?? 5}', podLabels: {zone: '${zone ?? none}'}}");
        let reading = read(&tree(&[("a.yaml", &text), ("stores.csv", &table.join("\n"))]));
        let expected = [("a", 1, "x"), ("b", 5, "y"), ("c", 3, "none"), ("d", 1, "z"), ("e", 2, "w")];
        let expected: Vec<_> = expected.iter().map(|(site, count, zone)| (format!("store-{site}"), json!({"replicas": count, "podLabels": {"zone": zone}}))).collect();
        prop_assert_eq!(specs(&reading), expected);
    }

    #[test]
    fn any_template_and_table_are_read_without_panic(cell in "[a-z,\"\n${}]{0,20}", value in "[a-z${}?\"' ]{0,20}") {
        let text = set(CSV, "", &format!("{{version: {}}}", serde_json::to_string(&value).unwrap()));
        let _ = read(&tree(&[("a.yaml", &text), ("stores.csv", &format!("site,b\n{cell}\n"))]));
    }
}
