//! What right files become: each folder of `tests/golden/composed` is a fleet, `expected.snap` its clusters, each with
//! the places its values came from.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use k0smotron_fleet::cli::show::findings;
use k0smotron_fleet::compose::Composed;
use k0smotron_fleet::diagnostic::SourceTree;
use k0smotron_fleet::{compose, load};

#[test]
fn right_files_become_clusters_whose_every_value_knows_its_place() {
    for case in cases() {
        let mut tree = load::directory(&case).unwrap();
        tree.prefix.clear();
        let reading = compose::read(&tree);
        assert_eq!(
            findings::lines(&reading.findings, &tree),
            "",
            "{}",
            case.display()
        );
        let clusters: String = reading
            .clusters
            .iter()
            .map(|cluster| shown(cluster, &tree))
            .collect();
        insta::with_settings!({
            snapshot_path => &case,
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!("expected", clusters);
        });
    }
}

/// What was composed, written to a file and read again, is the same: nothing is added by reading.
#[test]
fn composing_what_was_composed_changes_nothing() {
    for case in cases() {
        let reading = compose::read(&load::directory(&case).unwrap());
        let texts = reading.clusters.iter().enumerate().map(|(number, cluster)| {
            let text = serde_saphyr::to_string(&*cluster.object).unwrap();
            (format!("{number:04}.yaml"), text)
        });
        let again = compose::read(&SourceTree::from_texts(texts));
        assert!(
            again.findings.is_empty(),
            "{}: {:#?}",
            case.display(),
            again.findings
        );
        let objects =
            |clusters: &[Composed]| clusters.iter().map(|one| one.object.clone()).collect::<Vec<_>>();
        assert_eq!(objects(&again.clusters), objects(&reading.clusters));
    }
}

/// The first and the last cluster of each example, and how many there are.
#[test]
fn the_example_fleets_become_what_they_are_meant_to_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["ci", "edge", "platform", "single"] {
        let mut tree = load::directory(&root.join("fleet-examples").join(name)).unwrap();
        tree.prefix.clear();
        let clusters = compose::read(&tree).clusters;
        let [first, .., last] = clusters.as_slice() else {
            assert_eq!((name, clusters.len()), ("single", 1));
            continue;
        };
        let text = format!(
            "{} clusters\n\n{}{}",
            clusters.len(),
            shown(first, &tree),
            shown(last, &tree)
        );
        insta::with_settings!({
            snapshot_path => root.join("tests/golden/examples"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/composed");
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "the folder of the cases is not here");
    cases
}

fn shown(cluster: &Composed, tree: &SourceTree) -> String {
    let mut text = format!(
        "--- {}/{} ({})\n",
        cluster.namespace, cluster.name, cluster.source_path
    );
    text.push_str(&serde_saphyr::to_string(&*cluster.object).unwrap());
    for (pointer, span) in &cluster.provenance.by_pointer() {
        writeln!(
            text,
            "# {} {}",
            tree.position(*span),
            if pointer.is_empty() { "/" } else { pointer }
        )
        .unwrap();
    }
    text.push('\n');
    text
}
