//! Whole documents, hostile ones included. Scalars have their tests beside them.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::diagnostic::Code;

fn read(text: &str) -> (Vec<Document>, Findings) {
    documents(&SourceTree::from_texts([("a.yaml", text)]))
}

fn codes(text: &str) -> Vec<Code> {
    read(text).1.iter().map(|finding| finding.code).collect()
}

fn value(text: &str) -> Value {
    let (documents, findings) = read(text);
    assert!(!findings.has_errors(), "{findings:?}");
    documents[0].root.to_json()
}

#[test]
fn values_are_read_and_nulls_are_unset() {
    let text = "a: 1\nb: [x, \"2\", ~]\nc: {d: true, e: null}\nf: |\n  line\n  line\ng: ''\n";
    assert_eq!(
        value(text),
        json!({"a": 1, "b": ["x", "2", null], "c": {"d": true}, "f": "line\nline\n", "g": ""})
    );
}

#[test]
fn json_is_read_with_tabs_and_escapes() {
    let text =
        "{\n\t\"a\\/b\": \"\\u00e9\\uD83D\\uDE00\",\n\t\"c\": [1, 2.5, true, null],\n\t\"no\": \"no\"\n}\n";
    assert_eq!(
        value(text),
        json!({"a/b": "é😀", "c": [1, 2.5, true, null], "no": "no"})
    );
}

#[rstest]
#[case("", 0)]
#[case("# only a comment\n", 0)]
#[case("---\n---\n# nothing\n---\n", 0)]
#[case("a: 1\n---\nb: 2\n...\n---\nc: 3\n", 3)]
#[case("\u{feff}a: 1\r\nb: 2\r\n", 1)]
#[case("%YAML 1.2\n---\na: 1\n", 1)]
fn documents_of_a_file_are_separated_and_empty_ones_are_none(#[case] text: &str, #[case] count: usize) {
    let (documents, findings) = read(text);
    assert_eq!((documents.len(), findings.len()), (count, 0), "{findings:?}");
}

#[test]
fn a_broken_document_hides_neither_the_others_nor_other_files() {
    let tree = SourceTree::from_texts([
        (
            "a.yaml",
            "a: 1\n---\nb: [1\n---\nc: 3\n---\nd: 1\nd: 2\n---\ne: 5\n",
        ),
        ("b.yaml", "a: \"open\n"),
        ("c.yaml", "f: 6\n"),
    ]);
    let (documents, findings) = documents(&tree);
    let keys: Vec<&str> = documents
        .iter()
        .map(|document| document.root.entries()[0].key.as_str())
        .collect();
    assert_eq!(keys, ["a", "c", "e", "f"]);
    let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        [Code::UnclosedBracket, Code::DuplicateKey, Code::UnclosedQuote]
    );
}

#[test]
fn places_are_found_by_pointer_down_to_the_byte() {
    let text = "spec:\n  größe: 3\n  list:\n    - name: a/b\n";
    let (documents, _) = read(text);
    let root = &documents[0].root;
    let text_of = |span: Span| &text[span.start..span.end];
    let place = root.place("/spec/größe").unwrap();
    assert_eq!(
        (text_of(place.key.unwrap()), text_of(place.value)),
        ("größe", "3")
    );
    let place = root.place("/spec/list/0/name").unwrap();
    assert_eq!((text_of(place.name()), text_of(place.value)), ("name", "a/b"));
    assert_eq!(text_of(root.place("/spec/list/0").unwrap().value), "name: a/b");
    assert_eq!(root.place("/spec/none"), None);
    assert_eq!(text_of(root.nearest_place("/spec/none/deeper").name()), "spec");
    assert_eq!(root.nearest_place("/none").value, root.span);
}

#[test]
fn keys_with_slashes_are_found_by_escaped_pointers() {
    let (documents, _) = read("labels:\n  a.b/c~d: x\n");
    assert!(documents[0].root.place("/labels/a.b~1c~0d").is_some());
}

#[test]
fn an_alias_repeats_a_value_and_keeps_the_place_of_its_anchor() {
    let text = "a: &x {b: 1}\nc: *x\n";
    assert_eq!(value(text), json!({"a": {"b": 1}, "c": {"b": 1}}));
    let (documents, _) = read(text);
    let root = &documents[0].root;
    assert_eq!(
        root.place("/c/b").unwrap().value,
        root.place("/a/b").unwrap().value
    );
}

#[test]
fn a_problem_of_an_anchor_is_reported_once() {
    assert_eq!(codes("a: &x [no]\nb: *x\nc: *x\n"), [Code::AmbiguousWord]);
}

#[rstest]
#[case("a: &x [*x]\n", Code::Alias)]
#[case("a: *nobody\n", Code::Alias)]
#[case("a: 1\n---\nb: &y 1\n---\nc: *y\n", Code::Alias)]
#[case("a: 1\na: 2\n", Code::DuplicateKey)]
#[case("a: 1\n\"a\": 2\n", Code::DuplicateKey)]
#[case("x: {a: 1, a: 1}\n", Code::DuplicateKey)]
#[case("<<: {a: 1}\n", Code::MergeKey)]
#[case("? {a: b}\n: c\n", Code::KeyNotText)]
#[case("~: c\n", Code::KeyNotText)]
#[case("1.50: c\n", Code::KeyNotText)]
#[case("0644: c\n", Code::AmbiguousNumber)]
#[case("on: c\n", Code::AmbiguousWord)]
#[case("a: !foo bar\n", Code::Tag)]
#[case("a: !!binary aGFsbG8=\n", Code::Tag)]
#[case("a: !!int x\n", Code::Tag)]
#[case("a: !!set {b}\n", Code::Tag)]
#[case("a: !x!y z\n", Code::Tag)]
#[case("a: 1e999\n", Code::NumberOutOfRange)]
#[case("a: .nan\n", Code::NumberOutOfRange)]
#[case("a: \"b\\0\"\n", Code::ControlCharacter)]
#[case("a: b\0\n", Code::ControlCharacter)]
#[case("a: \u{1b}[31m\n", Code::ControlCharacter)]
#[case("spec:\n\ta: 1\n", Code::Tab)]
#[case("spec:\n  a: 1\n\tb: 2\n", Code::Tab)]
#[case("a:\n\t- 1\n", Code::Tab)]
#[case("a: |\n\ttext\n", Code::Tab)]
#[case("a: \"b\nc: d\n", Code::UnclosedQuote)]
#[case("a: 'b\nc: d\n", Code::UnclosedQuote)]
#[case("a: \"b\nc: \"d\"\n", Code::UnclosedQuote)]
#[case("a: 'b\n---\nc: d\n", Code::UnclosedQuote)]
#[case("- \"b\n- c\n", Code::UnclosedQuote)]
#[case("a: [1, 2\nb: 3\n", Code::UnclosedBracket)]
#[case("a: {b: 1\nc: 2\n", Code::UnclosedBracket)]
#[case("[[[", Code::UnclosedBracket)]
#[case("a: ]\n", Code::Syntax)]
#[case("a: {b: 1]\n", Code::Syntax)]
#[case("a: b: c\n", Code::Syntax)]
#[case("a: 'it's'\n", Code::Syntax)]
#[case("a: 1\n  b: 2\n", Code::Syntax)]
#[case("a:\n  b: 1\n c: 2\n", Code::Syntax)]
#[case("a: @b\n", Code::Syntax)]
fn what_readers_disagree_about_or_refuse_has_its_code(#[case] text: &str, #[case] code: Code) {
    assert_eq!(codes(text), [code], "{:#?}", read(text).1);
}

#[test]
fn keys_may_be_words_and_numbers_as_written() {
    assert_eq!(value("true: a\n8080: b\n"), json!({"true": "a", "8080": "b"}));
}

#[test]
fn known_tags_say_what_a_scalar_is() {
    assert_eq!(
        value("a: !!str 12\nb: !!int \"12\"\nc: !!map {}\n"),
        json!({"a": "12", "b": 12, "c": {}})
    );
}

// === Hostile documents: refused after counting, not after trying ===

/// Every document is refused as too much, and no more nodes were made than the limit.
#[rstest]
#[case::brackets("[".repeat(200_000))]
#[case::balanced_brackets("[".repeat(40_000) + &"]".repeat(40_000))]
#[case::braces("{a: ".repeat(10_000))]
#[case::block_sequences((0..2000).map(|_| "- ").collect::<String>())]
#[case::block_mappings((0..300).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>())]
#[case::many_keys((0..100_000).map(|key| format!("k{key}: 1\n")).collect::<String>())]
#[case::many_items("- 1\n".repeat(60_000))]
#[case::many_documents("--- {a: 1}\n".repeat(10_000))]
#[case::laughs("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned()
    + &(1..9).map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(","))).collect::<String>())]
#[case::large_scalar("a: &a \"".to_owned() + &"x".repeat(60_000) + "\"\nb: [" + &"*a,".repeat(90) + "]\n")]
#[case::many_aliases("a: &a 1\nb: [".to_owned() + &"*a,".repeat(20_000) + "]\n")]
#[case::large_document("a: ".to_owned() + &"x ".repeat(200_000))]
fn hostile_documents_are_refused(#[case] text: String) {
    let (documents, findings) = read(&text);
    assert!(documents.len() <= limits::DOCUMENTS);
    let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
    assert!(
        codes
            .iter()
            .all(|code| matches!(code, Code::TooMuch | Code::UnclosedBracket)),
        "{codes:?}"
    );
    assert!(codes.contains(&Code::TooMuch) && codes.len() <= 2, "{codes:?}");
    assert!(
        documents
            .iter()
            .map(|document| count(&document.root))
            .sum::<usize>()
            <= limits::NODES
    );
}

fn count(node: &Node) -> usize {
    1 + match &node.data {
        Data::Sequence(items) => items.iter().map(count).sum::<usize>(),
        Data::Mapping(entries) => entries.iter().map(|entry| 1 + count(&entry.value)).sum(),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => 0,
    }
}

#[test]
fn a_file_of_nothing_but_mistakes_reports_a_bounded_number() {
    let (documents, findings) = read(&"a: no\n---\nb: [\n---\n".repeat(2000));
    assert!(
        documents.len() + findings.len() < 4 * limits::FINDINGS,
        "{}",
        findings.len()
    );
    let (_, findings) = read(&(0..500).map(|key| format!("k{key}: 01\n")).collect::<String>());
    assert_eq!(findings.len(), limits::FINDINGS + 1);
}

/// Each took seconds while the place of the quote was looked for again at every character.
#[rstest]
#[case::spaces("a:\n".to_owned() + &" ".repeat(60_000) + "\"b: c\n")]
#[case::quotes("a: \"b\n".to_owned() + &"'".repeat(30_001) + &"\"".repeat(30_000) + "\"\"\"x\n")]
fn a_long_line_with_an_open_quote_is_refused_after_reading_it_once(#[case] text: String) {
    assert!(read(&text).1.has_errors());
}

#[test]
fn a_large_comment_costs_nothing_else() {
    let text = "a: 1\n".to_owned() + &"# comment\n".repeat(50_000);
    assert_eq!(value(&text), json!({"a": 1}));
}

#[test]
fn what_this_program_wrote_is_none_of_the_files_of_a_fleet() {
    let many = format!(
        "{{\n \"format\": \"k0smotron-fleet/snapshot\", \"x\": [{}1]}}",
        "1,".repeat(200_000)
    );
    let (documents, findings) = read(&many);
    assert!(documents.is_empty() && findings.is_empty());
    assert_eq!(read("{\"format\": \"other\"}").0.len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let tree = SourceTree::from_texts([("a.yaml", bytes)]);
        let (_, findings) = documents(&tree);
        for finding in findings.iter().chain(tree.findings()) {
            let _ = finding.span().map(|span| tree.position(span).to_string());
        }
    }

    #[test]
    fn any_text_made_of_yaml_signs_is_read_without_panic(text in "[-:,\\[\\]{}#&*!|>'\"%@`?~ab01\\n\\t é.\\\\<_=]{0,120}") {
        for document in &read(&text).0 {
            let _ = document.root.to_json();
        }
    }

    #[test]
    fn what_json_says_is_what_is_read(number in any::<i64>(), text in "\\PC{0,20}", flag in any::<bool>()) {
        let json = json!({"a": number, "b": [text, flag], "c": {"d": text}});
        prop_assert_eq!(value(&json.to_string()), json.clone());
        prop_assert_eq!(value(&serde_json::to_string_pretty(&json).unwrap()), json);
    }
}
