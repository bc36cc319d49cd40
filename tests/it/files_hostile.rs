//! Files that somebody wrote to harm, and laws that hold for all files.

use std::collections::BTreeSet;

use k0smotron_fleet::compose;
use k0smotron_fleet::diagnostic::{Code, Severity, SourceTree};
use proptest::prelude::*;

use crate::cli::{cluster, program, write};

/// What must be said of a file.
#[derive(Clone, Debug)]
enum Said {
    /// An error with this code.
    Error(Code),
    /// Some error.
    AnyError,
    /// No error: the file is as good as any.
    NoError,
}

use Said::{AnyError, Error, NoError};

/// The corpus: a name, the bytes, what must be said.
fn corpus() -> Vec<(String, Vec<u8>, Said)> {
    let mut cases: Vec<(String, Vec<u8>, Said)> = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, said: Said| cases.push((name.to_owned(), bytes, said));
    let text = |text: &str| text.as_bytes().to_vec();
    for byte in (0u8..0x20).filter(|byte| !b"\t\n\r".contains(byte)).chain([0x7f]) {
        let bytes = [b"a: \"x", &[byte][..], b"\"\n"].concat();
        add(
            &format!("control character {byte:#04x}"),
            bytes,
            Error(Code::ControlCharacter),
        );
    }
    for word in [
        "yes", "no", "on", "off", "y", "n", "Yes", "NO", "On", "OFF", "TRUE", "false",
    ] {
        add(
            &format!("the word {word} as a number"),
            text(&cluster("x").replace("1\n", &format!("{word}\n"))),
            AnyError,
        );
    }
    for number in [
        "0755",
        "1_000",
        "12:30:45",
        "0b11",
        "1e999",
        ".nan",
        ".inf",
        "123456789012345678901234567890",
        "-1",
        "--1",
        "1e",
        "1.5",
        "0b2",
        "3.0.0",
        "0x",
        "\u{ff13}",
    ] {
        add(
            &format!("the number {number}"),
            text(&cluster("x").replace("1\n", &format!("{number}\n"))),
            AnyError,
        );
    }
    for (name, sign) in [
        ("zero width space", "\u{200b}"),
        ("zero width joiner", "\u{200d}"),
        ("right to left", "\u{202e}"),
        ("isolate", "\u{2066}"),
        ("soft hyphen", "\u{ad}"),
        ("homoglyph", "\u{430}"),
        ("full width", "\u{ff41}"),
        ("accent", "\u{301}"),
        ("line separator", "\u{2028}"),
        ("next line", "\u{85}"),
        ("private use", "\u{e000}"),
        ("tag", "\u{e0041}"),
    ] {
        add(
            &format!("a {name} in a name"),
            text(&cluster(&format!("\"edge{sign}berlin\""))),
            AnyError,
        );
    }
    for name in [
        "\"../x\"",
        "\"a/b\"",
        "\"-rf\"",
        "\"a b\"",
        "\"\"",
        "\"A\"",
        "\"a\\nb\"",
        "a.b..c",
        "\"$(id)\"",
        "\"`id`\"",
        "\".\"",
        "\"..\"",
        "\"a\\0b\"",
        "\"a\\tb\"",
        "\"a%2fb\"",
        "\"a;b\"",
    ] {
        add(&format!("the name {name}"), text(&cluster(name)), AnyError);
    }
    add("latin 1", b"name: caf\xe9\n".to_vec(), Error(Code::NotUtf8));
    add("UTF-16", b"\xff\xfea\0:\0 \x001\0".to_vec(), Error(Code::NotUtf8));
    add(
        "UTF-16 of the other order",
        b"\xfe\xff\0a\0:\0 \0\x31".to_vec(),
        Error(Code::NotUtf8),
    );
    add("a surrogate", b"a: \xed\xa0\x80\n".to_vec(), Error(Code::NotUtf8));
    add(
        "an overlong slash",
        b"a: \xc0\xaf\n".to_vec(),
        Error(Code::NotUtf8),
    );
    add("half a character", b"a: \xe2\x82".to_vec(), Error(Code::NotUtf8));
    add(
        "zeros at the end",
        b"a: 1\n\0\0\0\0".to_vec(),
        Error(Code::ControlCharacter),
    );
    add(
        "a file that is too large",
        vec![b'#'; 10 << 20],
        Error(Code::FileTooLarge),
    );
    add("an empty file", Vec::new(), NoError);
    add("only comments", text("# a\n# b\n"), NoError);
    add("only line ends", text("\n\r\n\n"), NoError);
    add(
        "line ends of all kinds",
        text(&cluster("crlf").replace('\n', "\r\n")),
        NoError,
    );
    add(
        "a mark of the byte order",
        text(&format!("\u{feff}{}", cluster("marked"))),
        NoError,
    );
    add(
        "JSON",
        text(&serde_json::json!({"kind": "Secret", "apiVersion": "v1"}).to_string()),
        NoError,
    );
    add(
        "a version",
        text(&format!("%YAML 1.2\n---\n{}", cluster("versioned"))),
        NoError,
    );
    add(
        "ten thousand documents",
        text(&"---\n".repeat(10_000)),
        Error(Code::TooMuch),
    );
    add("brackets", vec![b'['; 60_000], AnyError);
    add(
        "balanced brackets",
        [vec![b'['; 30_000], vec![b']'; 30_000]].concat(),
        Error(Code::TooMuch),
    );
    add("braces", b"{a: ".repeat(15_000), AnyError);
    add("dashes", b"- ".repeat(30_000), Error(Code::TooMuch));
    add("question marks", b"? ".repeat(30_000), AnyError);
    add(
        "deep mappings",
        (0..300)
            .map(|depth| " ".repeat(depth) + "a:\n")
            .collect::<String>()
            .into(),
        Error(Code::TooMuch),
    );
    add(
        "many keys",
        (0..60_000)
            .map(|key| format!("k{key}: 1\n"))
            .collect::<String>()
            .into(),
        Error(Code::TooMuch),
    );
    let laughs = (1..9).map(|level| {
        format!(
            "a{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 9].join(",")
        )
    });
    add(
        "laughs",
        text(&("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned() + &laughs.collect::<String>())),
        Error(Code::TooMuch),
    );
    let large = "a: &a \"".to_owned() + &"x".repeat(60_000) + "\"\nb: [" + &"*a,".repeat(90) + "]\n";
    add("a large text repeated", text(&large), Error(Code::TooMuch));
    add(
        "many aliases",
        text(&("a: &a 1\nb: [".to_owned() + &"*a,".repeat(20_000) + "]\n")),
        Error(Code::TooMuch),
    );
    for (name, bytes, code) in [
        ("an alias of itself", "a: &x [*x]\n", Code::Alias),
        ("an alias of nothing", "a: *x\n", Code::Alias),
        (
            "an anchor of another document",
            "a: &x 1\n---\nb: *x\n",
            Code::Alias,
        ),
        ("a key twice", "a: 1\na: 2\n", Code::DuplicateKey),
        (
            "a key twice, once in quotes",
            "a: 1\n'a': 2\n",
            Code::DuplicateKey,
        ),
        ("a merge key", "a: &x {b: 1}\nc:\n  <<: *x\n", Code::MergeKey),
        ("an unknown tag", "a: !foo b\n", Code::Tag),
        (
            "a tag of a program",
            "a: !!python/object/apply:os.system [id]\n",
            Code::Tag,
        ),
        ("binary", "a: !!binary aGFsbG8=\n", Code::Tag),
        ("a key of two", "? {a: 1}\n: b\n", Code::KeyNotText),
        ("a tab", "a:\n\tb: 1\n", Code::Tab),
        ("an open quote", "a: \"b\nc: d\n", Code::UnclosedQuote),
        ("an open bracket", "a: [1, 2\nb: 3\n", Code::UnclosedBracket),
        ("two values", "a: b: c\n", Code::Syntax),
        ("nothing escaped", "a: \"\\0\"\n", Code::ControlCharacter),
        ("a number too large", "a: 1e999\n", Code::NumberOutOfRange),
        ("no number", "a: .nan\n", Code::NumberOutOfRange),
    ] {
        add(name, text(bytes), Error(code));
    }
    cases
}

#[test]
fn a_hostile_file_is_an_error_with_its_place_and_hides_no_other() {
    let corpus = corpus();
    assert!(corpus.len() >= 120, "{}", corpus.len());
    let mut wrong = Vec::new();
    for (name, bytes, said) in corpus {
        let tree = SourceTree::from_texts([("a.yaml", bytes), ("b.yaml", cluster("edge-good").into_bytes())]);
        let reading = compose::read(&tree);
        let composed: Vec<String> = reading.clusters.iter().map(|cluster| cluster.id().name).collect();
        let errors: Vec<(Code, String)> = reading
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| {
                (
                    finding.code,
                    finding
                        .span()
                        .map(|span| tree.position(span).to_string())
                        .unwrap_or_default(),
                )
            })
            .collect();
        let is_said = match said {
            Error(code) => errors
                .iter()
                .any(|(found, place)| *found == code && place.starts_with("a.yaml:")),
            AnyError => errors.iter().any(|(_, place)| place.starts_with("a.yaml:")),
            NoError => errors.is_empty(),
        };
        let is_shown =
            errors.len() <= 60 && errors.iter().all(|(_, place)| !place.contains(char::is_control));
        if !is_said || !is_shown || !composed.contains(&"edge-good".to_owned()) {
            wrong.push(format!(
                "{name}: {composed:?} {:?}",
                &errors[..errors.len().min(3)]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn one_broken_file_among_a_thousand_costs_itself_only() {
    let program = program();
    let files: Vec<(String, String)> = (0..1000)
        .map(|number| {
            let text = if number == 500 {
                "kind: [\n".to_owned()
            } else {
                cluster(&format!("edge-{number}"))
            };
            (format!("clusters/{number}.yaml"), text)
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    write(&program, &files);
    let output = program.run(&["render"]).await;
    assert_eq!((output.code, output.stdout.as_str()), (6, ""));
    assert!(
        output.stderr.contains("clusters/500.yaml:1:7: error"),
        "{}",
        output.stderr
    );
    let output = program.run(&["render", "--keep-going"]).await;
    assert_eq!((output.code, output.stdout.matches("\nkind: ").count()), (5, 999));
}

/// A fleet of defaults, a set of rows, and plain clusters, whose parts can be shuffled.
fn fleet(documents: &[usize], rows: &[usize], generators: &[usize], files: &[usize]) -> SourceTree {
    let plain: Vec<String> = documents
        .iter()
        .map(|number| cluster(&format!("plain-{number}")))
        .collect();
    let table: String = rows
        .iter()
        .map(|number| format!("shop-{number},{number}\n"))
        .collect();
    let generator = |number: &usize| match number {
        0 => "    - csv: {path: shops.csv}\n".to_owned(),
        3 => "    - files: {path: sites/*.yaml}\n".to_owned(),
        number => format!("    - list: [{{site: list-{number}, replicas: \"{number}\"}}]\n"),
    };
    let set = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata:\n  name: shops\nspec:\n  key: site\n\
         \x20 columns: {{replicas: integer}}\n  generators:\n{}  template:\n    metadata:\n      name: ${{site}}\n\
         \x20     namespace: tenant-7\n    spec:\n      replicas: ${{replicas}}\n",
        generators.iter().map(generator).collect::<String>()
    );
    let defaults = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nmetadata:\n  name: all\n\
                    labels:\n  tier: edge\n";
    let contents = [
        ("defaults.yaml", defaults.to_owned()),
        ("sets/shops.yaml", set),
        ("sets/shops.csv", format!("site,replicas\n{table}")),
        ("plain.yaml", plain.join("---\n")),
        ("sets/sites/a.yaml", "site: file-1\nreplicas: 1\n".to_owned()),
        ("sets/sites/b.yaml", "site: file-3\nreplicas: 3\n".to_owned()),
    ];
    SourceTree::from_texts(files.iter().map(|&number| contents[number].clone()))
}

fn composed(tree: &SourceTree) -> BTreeSet<String> {
    let reading = compose::read(tree);
    assert!(!reading.findings.has_errors(), "{:?}", reading.findings);
    reading
        .clusters
        .iter()
        .map(|cluster| serde_json::to_string(&*cluster.object).unwrap())
        .collect()
}

fn order(length: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..length).collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_files_documents_rows_or_generators_means_anything(
        documents in order(4),
        rows in order(5).prop_map(|rows| rows.into_iter().map(|row| row * 2 + 1).collect::<Vec<_>>()),
        generators in order(4),
        files in order(6),
    ) {
        let ordered = composed(&fleet(&[0, 1, 2, 3], &[1, 3, 5, 7, 9], &[0, 1, 2, 3], &[0, 1, 2, 3, 4, 5]));
        prop_assert_eq!(ordered.len(), 13);
        prop_assert_eq!(composed(&fleet(&documents, &rows, &generators, &files)), ordered);
    }

    #[test]
    fn what_was_composed_and_printed_composes_to_itself(documents in order(4), generators in order(4)) {
        let first = composed(&fleet(&documents, &[1, 3, 5], &generators, &[0, 1, 2, 3, 4, 5]));
        let printed = first.iter().enumerate().map(|(number, object)| {
            let value: serde_json::Value = serde_json::from_str(object).unwrap();
            (format!("{number}.yaml"), serde_saphyr::to_string(&value).unwrap())
        });
        prop_assert_eq!(composed(&SourceTree::from_texts(printed)), first);
    }
}
