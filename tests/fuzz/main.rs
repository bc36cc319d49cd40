//! No input makes any reader panic, hang or grow: YAML, tables, substitution, Git trees, addresses, conditions.
//!
//! Begins with the files of this repository and changes them. `make test` tries a few hundred inputs each;
//! `make test-fuzz` goes on for `FUZZ_SECONDS`. What once failed is a test beside the code that it was about.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail, also in a helper of several tests"
)]

mod engine;
mod heavy;
mod trees;

use k0smotron_fleet::compose;
use k0smotron_fleet::diagnostic::{Code, Findings, SourceTree};
use k0smotron_fleet::load::git::{FileSources, RepositoryUrl};
use k0smotron_fleet::parse::{self, Piece, limits};
use serde_json::{Value, json};

/// Every finding can be shown: its places are in the files.
fn show(findings: &Findings, tree: &SourceTree) {
    for finding in findings {
        if let Some(span) = finding.span() {
            let _ = tree.position(span).to_string();
            let _ = tree.file(span.file).text(span);
        }
    }
}

const YAML_WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "- ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    "{a: ",
    "&a ",
    "*a",
    "*a,",
    "<<: ",
    "!!str ",
    "!!binary ",
    "!x ",
    "|\n",
    ">\n",
    "\"",
    "'",
    "# ",
    "\n",
    "\t",
    "\r\n",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "%YAML 1.1\n",
    "~",
    "no",
    "0755",
    "1_000",
    "12:30",
    ".nan",
    "1e999",
    "99999999999999999999999999",
    "  ",
    "${a ?? b}",
    "kind: ClusterSet\n",
    "spec:\n",
    "apiVersion: fleet.k0smotron.io/v1alpha1\n",
    "\\u0000",
    "\u{85}",
    "é",
];

#[test]
fn yaml() {
    let seeds = engine::files(
        &["fleet-examples", "tests/golden/findings", "tests/golden/composed"],
        &[".yaml", ".yml", ".json"],
    );
    engine::run("yaml", seeds, YAML_WORDS, |bytes| {
        let tree = SourceTree::from_texts([("a.yaml", bytes)]);
        let (documents, findings) = parse::documents(&tree);
        show(&findings, &tree);
        assert!(documents.len() <= limits::DOCUMENTS);
        assert!(findings.len() <= limits::FINDINGS * (limits::DOCUMENTS + 1));
        for document in documents.iter().take(3) {
            printed_and_read_again(&document.root.to_json());
        }
    });
}

/// What is written as YAML is read as the same, unless it is larger than a file may be.
fn printed_and_read_again(value: &Value) {
    let text = serde_saphyr::to_string(value).unwrap();
    let tree = SourceTree::from_texts([("a.yaml", text.clone())]);
    let (documents, findings) = parse::documents(&tree);
    if findings.iter().any(|finding| finding.code == Code::TooMuch) {
        return;
    }
    assert!(!findings.has_errors(), "{findings:?}\n{text}");
    let read = documents
        .first()
        .map_or(Value::Null, |document| document.root.to_json());
    assert_eq!(read, *value, "{text}");
}

#[test]
fn whole_fleets() {
    let seeds = engine::files(&["fleet-examples", "tests/golden/findings"], &[".yaml"]);
    engine::run("fleet", seeds, YAML_WORDS, |bytes| {
        let tree = SourceTree::from_texts([
            ("fleet.yaml", bytes),
            ("clusters/a.yaml", bytes),
            ("stores.csv", b"site,number\nberlin,1\n"),
        ]);
        show(&compose::read(&tree).findings, &tree);
    });
}

#[test]
fn tables() {
    let mut seeds = engine::files(&["fleet-examples", "tests/golden"], &[".csv"]);
    seeds.push(b"a;b\n\"1;\";2\n".to_vec());
    let words = &[
        ",", ";", "\"", "\"\"", "\n", "\r\n", "\r", "\u{feff}", "\0", "a,b\n", " ", "\t", "é",
    ];
    engine::run("csv", seeds, words, |bytes| {
        let tree = SourceTree::from_texts([("a.csv", bytes)]);
        let Some((id, file)) = tree.find("a.csv").filter(|(_, file)| file.is_whole) else {
            return;
        };
        for delimiter in [b',', b';', b'\t'] {
            let mut findings = Findings::new();
            let rows = parse::table(id, file, delimiter, &mut findings);
            assert!(rows.is_some() || findings.has_errors());
            show(&findings, &tree);
            for cell in rows.iter().flatten().flat_map(|row| row.entries()) {
                let _ = file.text(cell.value.span);
            }
        }
    });
}

/// A fleet with one set of two rows.
fn set(columns: Value, condition: Option<&str>, template: &str) -> SourceTree {
    let set = json!({
        "apiVersion": "fleet.k0smotron.io/v1alpha1",
        "kind": "ClusterSet",
        "metadata": {"name": "stores"},
        "spec": {
            "generators": [{"list": [
                {"site": "berlin", "number": 7, "open": true, "tags": ["a", "b"], "where": {"city": "x"}},
                {"site": "paris", "number": -1, "open": false, "tags": [], "where": {"city": ""}},
            ]}],
            "key": "site",
            "columns": columns,
            "where": condition,
            "template": {
                "metadata": {"name": "${site}", "namespace": "tenant-7", "annotations": {"note": template}},
                "spec": {"replicas": 1},
            },
        },
    });
    SourceTree::from_texts([("set.yaml", set.to_string())])
}

#[test]
fn substitution() {
    let seeds = [
        "${site}",
        "a-${number}-b",
        "${where.city ?? none}",
        "$${x}",
        "${missing ?? ''}",
        "$",
    ];
    let words = &[
        "${",
        "}",
        "$",
        "$$",
        "$${",
        "??",
        " ",
        ".",
        "site",
        "where.city",
        "tags",
        "{",
        "${site}",
        "é",
    ];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    engine::run("substitution", seeds, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(pieces) = parse::pieces(&text) {
            let length: usize = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => text.len(),
                    Piece::Reference(_) => 0,
                })
                .sum();
            assert!(length <= text.len());
        }
        let tree = set(json!({}), None, &text);
        show(&compose::read(&tree).findings, &tree);
    });
}

#[test]
fn conditions() {
    let seeds = [
        "row.number > 3 && site.startsWith('b')",
        "tags.exists(tag, tag == 'a') ? true : has(row.where.city)",
        "site in ['berlin', 'paris'] || size(tags) >= 2",
        "!open && int('7') == number && double(number) < 1.5 && string(number) != ''",
        "tags.map(tag, tag + 'x').filter(tag, tag.contains('a')) == []",
        "row['site'] == \"berlin\" && where.city == null",
    ];
    let words = &[
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "row",
        ".",
        "!",
        "-",
        "&&",
        "||",
        "?",
        ":",
        "in",
        "has(",
        "size(",
        "exists(x, ",
        "map(x, ",
        "'",
        "\"",
        "'''",
        "r'",
        "b'",
        "\\",
        "9223372036854775807",
        "1e999",
        "0x",
        "u",
        "==",
        "+",
        "%",
        "/",
        "matches('",
        "duration('",
        "timestamp('",
        "null",
        "true",
        ",",
        "x.all(x, ",
        "\n",
        "//",
        "é",
        "\0",
    ];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    engine::run("where", seeds, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let tree = set(json!({}), Some(&text), "x");
        show(&compose::read(&tree).findings, &tree);
    });
}

#[test]
fn addresses() {
    let seeds = [
        "https://git.example.org/acme/fleet.git//clusters?ref=main",
        "ssh://git@git.example.org:2222/acme/fleet.git",
        "file:///srv/fleet.git//a/b?ref=refs/tags/v1",
        "git@git.example.org:acme/fleet.git",
    ];
    let words = &[
        "://",
        "//",
        "/",
        "@",
        ":",
        "?ref=",
        "&",
        "#",
        "%2f",
        "%00",
        "..",
        "[::1]",
        "https",
        "ssh",
        "file",
        "ext::",
        "--upload-pack=",
        "\\",
        " ",
        "\n",
        "\0",
        "é",
        "user:secret@",
    ];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    engine::run("address", seeds, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for files in [FileSources::Refused, FileSources::Allowed] {
            if let Ok(url) = RepositoryUrl::parse(&text, files) {
                let url = url.to_string();
                assert!(
                    !url.chars()
                        .any(|character| character.is_control() || character.is_whitespace())
                );
                assert!(!url.starts_with("file:") || files == FileSources::Allowed);
            }
        }
    });
}
