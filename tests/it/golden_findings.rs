//! What a person reads about wrong files: each folder of `tests/golden/findings` is a fleet, `expected.snap` what is
//! said about it, first as on a terminal, then as elsewhere.

use std::fs;
use std::path::Path;

use k0smotron_fleet::cli::show::findings;
use k0smotron_fleet::{compose, load};

#[test]
fn wrong_files_are_answered_with_what_a_person_can_act_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/findings");
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() > 20, "the folder of the cases is not here");
    for case in cases {
        let mut tree = load::directory(&case).unwrap();
        tree.prefix.clear();
        let reading = compose::read(&tree);
        let terminal = findings::render(&reading.findings, &tree, false);
        let lines = findings::lines(&reading.findings, &tree);
        assert!(reading.findings.has_errors(), "{}", case.display());
        let is_long = |line: &&str| line.chars().count() > 80;
        assert_eq!(
            terminal.lines().find(is_long),
            None,
            "too long for a terminal: {}",
            case.display()
        );
        insta::with_settings!({
            snapshot_path => &case,
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!("expected", format!("{terminal}\n{}\n\n{lines}", "=".repeat(80)));
        });
    }
}

#[test]
fn the_example_fleets_are_read_without_any_finding() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet-examples");
    for entry in fs::read_dir(folder).unwrap() {
        let tree = load::directory(&entry.unwrap().path()).unwrap();
        let reading = compose::read(&tree);
        assert_eq!(findings::lines(&reading.findings, &tree), "");
        assert!(!reading.clusters.is_empty());
    }
}
