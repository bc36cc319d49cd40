//! What a person reads about wrong files: each folder of `tests/golden/findings` is a fleet, `expected.snap` what is
//! said about it, first as on a terminal, then as elsewhere.

use std::fs;
use std::path::Path;

use k0smotron_fleet::cli::show::{codes, findings};
use k0smotron_fleet::diagnostic::Code;
use k0smotron_fleet::{compose, load};

use crate::support::generated::assert_current;

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

/// What no folder of files can show, with the reason.
const WITHOUT_CASE: [(Code, &str); 2] = [
    (
        Code::NotReadable,
        "the last resort: no file gives it as long as schema and types agree",
    ),
    (
        Code::FileTooLarge,
        "a file of more than a megabyte; a unit test of compose makes one",
    ),
];

#[test]
fn every_code_has_a_case_that_shows_how_it_reads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/findings");
    let shown: String = fs::read_dir(folder)
        .unwrap()
        .map(|case| fs::read_to_string(case.unwrap().path().join("expected.snap")).unwrap())
        .collect();
    for code in Code::ALL {
        let is_shown = shown.contains(&format!("[{code}]"));
        let is_exempt = WITHOUT_CASE.iter().any(|(exempt, _)| exempt == code);
        assert_ne!(is_shown, is_exempt, "{code}: {}", code.title());
    }
}

#[test]
fn the_page_of_findings_is_made_from_the_table_of_codes() {
    assert_current("docs/reference/findings.md", &codes::page());
}
