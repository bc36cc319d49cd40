//! Names and links that somebody chose to harm, read from a directory and from a commit: what is said of them is the same,
//! or stricter from the commit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};
use k0smotron_fleet::compose;
use k0smotron_fleet::diagnostic::{Severity, SourceTree};
use k0smotron_fleet::load::git::{CommitId, Database};
use k0smotron_fleet::load::{self};

/// What is at a path.
#[derive(Clone, Copy)]
enum Thing {
    /// An empty file.
    File,
    Text(&'static str),
    Link(&'static str),
    /// Of Git alone; on the disk a folder with a link to its repository.
    Submodule,
}

use Thing::{File, Link, Submodule, Text};

/// What comes of reading.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// Paths that were read, and errors as `CODE path`.
    Read(Vec<String>, Vec<String>),
    /// Nothing, with these words.
    Fails(&'static str),
    /// There is no such thing.
    Impossible,
}

fn read(paths: &[&str]) -> Outcome {
    found(paths, &[])
}

fn found(paths: &[&str], errors: &[&str]) -> Outcome {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Outcome::Read(owned(paths), owned(errors))
}

struct Case {
    name: &'static str,
    things: Vec<(Vec<u8>, Thing)>,
    directory: Outcome,
    commit: Outcome,
}

fn case(name: &'static str, things: &[(&str, Thing)], directory: Outcome, commit: Outcome) -> Case {
    let things = things
        .iter()
        .map(|(path, thing)| (path.as_bytes().to_vec(), *thing));
    Case {
        name,
        things: things.collect(),
        directory,
        commit,
    }
}

/// A case that is the same for both.
fn both(name: &'static str, things: &[(&str, Thing)], outcome: Outcome) -> Case {
    case(name, things, outcome.clone(), outcome)
}

/// A set whose only generator is this, as JSON.
fn set(generator: &str) -> &'static str {
    let text = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {{name: shops}}\nspec:\n  key: site\n  \
         generators: [{generator}]\n  template:\n    metadata: {{name: '${{site}}', namespace: tenant-7}}\n    spec: {{}}\n"
    );
    text.leak()
}

const ROWS: Thing = Text("site\nedge-berlin\n");

/// Links, which could lead out of the fleet or round in it.
fn links() -> Vec<Case> {
    let refused = |path: &str| found(&[path], &[&format!("FLT0303 {path}")]);
    vec![
        both(
            "a link to a file of the machine",
            &[("x.yaml", Link("/etc/passwd"))],
            refused("x.yaml"),
        ),
        both(
            "a link to a folder of the machine",
            &[("x", Link("/etc"))],
            refused("x"),
        ),
        both(
            "a link to a folder that is called like a file",
            &[("x.yaml", Link("/etc"))],
            refused("x.yaml"),
        ),
        both(
            "a link to itself",
            &[("x.yaml", Link("x.yaml"))],
            refused("x.yaml"),
        ),
        both(
            "two links to each other",
            &[("a.yaml", Link("b.yaml")), ("b.yaml", Link("a.yaml"))],
            found(&["a.yaml", "b.yaml"], &["FLT0303 a.yaml", "FLT0303 b.yaml"]),
        ),
        both(
            "a folder in itself",
            &[("a/again", Link(".")), ("a/b.yaml", File)],
            found(&["a/again", "a/b.yaml"], &["FLT0303 a/again"]),
        ),
        both("a link upward", &[("a/up", Link("../.."))], refused("a/up")),
        both(
            "a link to nothing",
            &[("x.yaml", Link("gone.yaml"))],
            refused("x.yaml"),
        ),
        both(
            "a link to a link out",
            &[("a.yaml", Link("b")), ("b", Link("/etc"))],
            found(&["a.yaml", "b"], &["FLT0303 a.yaml", "FLT0303 b"]),
        ),
        both(
            "a link to a process",
            &[("x.yaml", Link("/proc/self/environ"))],
            refused("x.yaml"),
        ),
        both(
            "a link to a device",
            &[("x.yaml", Link("/dev/zero"))],
            refused("x.yaml"),
        ),
        both(
            "a hidden link",
            &[(".x", Link("/etc")), ("a.yaml", File)],
            read(&["a.yaml"]),
        ),
        case(
            "a link to a file of the fleet",
            &[("a.yaml", File), ("b.yaml", Link("a.yaml"))],
            read(&["a.yaml", "b.yaml"]),
            found(&["a.yaml", "b.yaml"], &["FLT0303 b.yaml"]),
        ),
        case(
            "a link to a hidden file of the fleet",
            &[(".a", File), ("b.yaml", Link(".a"))],
            read(&["b.yaml"]),
            refused("b.yaml"),
        ),
        case(
            "a chain of links in the fleet",
            &[
                ("a.yaml", Link("x/b.yaml")),
                ("x/b.yaml", Link("../c.yaml")),
                ("c.yaml", File),
            ],
            read(&["a.yaml", "c.yaml", "x/b.yaml"]),
            found(
                &["a.yaml", "c.yaml", "x/b.yaml"],
                &["FLT0303 a.yaml", "FLT0303 x/b.yaml"],
            ),
        ),
        case(
            "a link to a file that is not read",
            &[("notes", File), ("latest", Link("notes")), ("a.yaml", File)],
            read(&["a.yaml"]),
            found(&["a.yaml", "latest"], &["FLT0303 latest"]),
        ),
        case(
            "a submodule",
            &[("sub", Submodule), ("a.yaml", File)],
            read(&["a.yaml"]),
            found(&["a.yaml", "sub"], &["FLT0303 sub"]),
        ),
        case(
            "a submodule that is called like a file",
            &[("sub.yaml", Submodule)],
            read(&[]),
            found(&["sub.yaml"], &["FLT0303 sub.yaml"]),
        ),
        both(
            "ignored links",
            &[
                (".fleetignore", Text("x\n")),
                ("x", Link("/etc")),
                ("a.yaml", File),
            ],
            read(&["a.yaml"]),
        ),
        both(
            "an ignore file that is a link out",
            &[(".fleetignore", Link("/etc/passwd")), ("a.yaml", File)],
            Outcome::Fails("ignore"),
        ),
    ]
}

/// Names that a shell, a terminal, or another system reads as something else.
fn names() -> Vec<Case> {
    let plain = |name: &'static str, path: &'static str| both(name, &[(path, File)], read(&[path]));
    let long = format!("{}.yaml", "a".repeat(250)).leak();
    let longer: &str = format!("{}.yaml", "a".repeat(4091)).leak();
    let deep: &str = format!("{}a.yaml", "d/".repeat(60)).leak();
    let too_deep: &str = format!("{}a.yaml", "d/".repeat(70)).leak();
    vec![
        plain("a line end", "a\nb.yaml"),
        plain("quotes", "a'\"`b.yaml"),
        plain("a flag", "-rf.yaml"),
        plain("a command", "$(id);id.yaml"),
        plain("a space", "a b.yaml"),
        plain("a backslash", "a\\b.yaml"),
        plain("upward with a backslash", "a\\..\\..\\x.yaml"),
        plain("upward in percents", "%2e%2e%2fx.yaml"),
        plain("a zero in percents", "x.yaml%00.json"),
        plain("a colon", "c:x.yaml"),
        plain("a stream of another system", "x.txt::$DATA.yaml"),
        plain("a device of another system", "CON.yaml"),
        plain("a short name of another system", "git~1/x.yaml"),
        plain("right to left", "a\u{202e}lmay.yaml"),
        plain("no width", "a\u{200b}.yaml"),
        plain("a bell", "a\u{7}.yaml"),
        plain("an escape", "\u{1b}[2Ja.yaml"),
        plain("a star", "*.yaml"),
        plain("a folder that is called like a file", "x.yaml/y.yaml"),
        plain("255 bytes", long),
        plain("sixty folders", deep),
        case(
            "4096 bytes",
            &[(longer, File)],
            Outcome::Impossible,
            read(&[longer]),
        ),
        both("seventy folders", &[(too_deep, File)], Outcome::Fails("deep")),
        both(
            "names that differ in their case",
            &[("A.yaml", File), ("a.yaml", File), ("a.YAML", File)],
            read(&["A.yaml", "a.YAML", "a.yaml"]),
        ),
        both(
            "names that look the same",
            &[("e\u{301}.yaml", File), ("\u{e9}.yaml", File)],
            read(&["e\u{301}.yaml", "\u{e9}.yaml"]),
        ),
        both(
            "endings that are none",
            &[
                ("yaml", File),
                ("a.yaml ", File),
                ("a.yaml~", File),
                ("a.yaml.bak", File),
            ],
            read(&[]),
        ),
        both(
            "what is hidden",
            &[
                (".a.yaml", File),
                (".git/x.yaml", File),
                (".GIT/x.yaml", File),
                (".github/x.yaml", File),
            ],
            read(&[]),
        ),
        bytes(
            "a name that is no text",
            b"caf\xe9.yaml",
            found(&["caf\u{fffd}.yaml"], &["FLT0301 caf\u{fffd}.yaml"]),
        ),
        bytes(
            "a folder that is no text",
            b"caf\xe9/x.yaml",
            found(&["caf\u{fffd}"], &["FLT0301 caf\u{fffd}"]),
        ),
        bytes(
            "a name that is no text of a file that is not read",
            b"caf\xe9.txt",
            read(&[]),
        ),
        bytes("a hidden name that is no text", b".caf\xe9", read(&[])),
    ]
}

fn bytes(name: &'static str, path: &[u8], outcome: Outcome) -> Case {
    Case {
        things: vec![(path.to_vec(), File)],
        ..both(name, &[], outcome)
    }
}

/// Paths in files, which are never followed out of the fleet.
fn paths_in_files() -> Vec<Case> {
    let of = |name, generator: &str, more: &[(&'static str, Thing)], outcome: Outcome| {
        let mut things = vec![("sets/shops.yaml", Text(set(generator)))];
        things.extend(more);
        both(name, &things, outcome)
    };
    let wrong = || found(&["sets/shops.yaml"], &["FLT0501 sets/shops.yaml"]);
    let mut cases = Vec::new();
    for (name, path) in [
        ("a table above the fleet", "../../shops.csv"),
        ("a table of the machine", "/etc/shops.csv"),
        ("a table in percents", "..%2f..%2fshops.csv"),
        ("a table with backslashes", "..\\\\shops.csv"),
        ("a table at an address", "https://example.org/shops.csv"),
        ("a table in a home", "~/shops.csv"),
        ("a table of a variable", "$HOME/shops.csv"),
        ("a folder that is no table", "."),
    ] {
        cases.push(of(name, &format!("{{csv: {{path: \"{path}\"}}}}"), &[], wrong()));
    }
    for (name, path) in [
        ("files above the fleet", "../../*.yaml"),
        ("files of the machine", "/etc/*.yaml"),
        ("files up a pattern", "**/../../../*.yaml"),
    ] {
        cases.push(of(
            name,
            &format!("{{files: {{path: \"{path}\"}}}}"),
            &[],
            wrong(),
        ));
    }
    cases.push(of(
        "a table beside the folder of its set",
        "{csv: {path: ../data/./shops.csv}}",
        &[("data/shops.csv", ROWS)],
        read(&["data/shops.csv", "sets/shops.yaml"]),
    ));
    cases.push(of(
        "a table that is a link out",
        "{csv: {path: shops.csv}}",
        &[("sets/shops.csv", Link("/etc/passwd"))],
        found(
            &["sets/shops.csv", "sets/shops.yaml"],
            &["FLT0303 sets/shops.csv"],
        ),
    ));
    cases
}

#[test]
fn no_name_and_no_link_leads_out_of_a_fleet_or_hides_a_part_of_it() {
    let cases: Vec<Case> = [links(), names(), paths_in_files()]
        .into_iter()
        .flatten()
        .collect();
    assert!(cases.len() >= 40, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let by_directory = of_directory(&case.things);
        let by_commit = of_commit(&case.things);
        for (reader, outcome, expected) in [
            ("directory", by_directory, &case.directory),
            ("commit", by_commit, &case.commit),
        ] {
            let is_right = match (&outcome, expected) {
                (Ok(found), Outcome::Read(..)) => found == expected,
                (Err(error), Outcome::Fails(words)) => error.contains(words),
                (_, Outcome::Impossible) => true,
                (Ok(_), Outcome::Fails(_)) | (Err(_), Outcome::Read(..)) => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{} ({reader}): {outcome:?}, expected {expected:?}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn of_directory(things: &[(Vec<u8>, Thing)]) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, thing) in things {
        if path.split(|byte| *byte == b'/').any(|name| name.len() > 255) {
            return Ok(Outcome::Impossible);
        }
        let path = folder.path().join(Path::new(OsStr::from_bytes(path)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match thing {
            File => fs::write(path, "").unwrap(),
            Text(text) => fs::write(path, text).unwrap(),
            Link(target) => symlink(target, path).unwrap(),
            Submodule => {
                fs::create_dir(&path).unwrap();
                fs::write(path.join(".git"), "gitdir: ../.git/modules/sub\n").unwrap();
            }
        }
    }
    outcome(load::directory(folder.path()))
}

/// Folders and files of a commit, as nobody would write them who has a file system.
#[derive(Default)]
struct Folder {
    folders: BTreeMap<Vec<u8>, Self>,
    others: BTreeMap<Vec<u8>, Thing>,
}

impl Folder {
    fn add(&mut self, path: &[u8], thing: Thing) {
        match path.iter().position(|byte| *byte == b'/') {
            Some(at) => {
                let below = self.folders.entry(path[..at].to_vec()).or_default();
                below.add(&path[at + 1..], thing);
            }
            None => {
                self.others.insert(path.to_vec(), thing);
            }
        }
    }

    fn write(&self, repository: &Repository) -> Oid {
        let mut entries: Vec<(Vec<u8>, &str, &[u8], Oid)> = Vec::new();
        for (name, below) in &self.folders {
            // As Git sorts them.
            let order = [name, &b"/"[..]].concat();
            entries.push((order, "40000", name, below.write(repository)));
        }
        for (name, thing) in &self.others {
            let (mode, id) = match thing {
                File => ("100644", repository.blob(b"").unwrap()),
                Text(text) => ("100644", repository.blob(text.as_bytes()).unwrap()),
                Link(target) => ("120000", repository.blob(target.as_bytes()).unwrap()),
                Submodule => ("160000", Oid::from_bytes(&[0x11; 20]).unwrap()),
            };
            entries.push((name.clone(), mode, name, id));
        }
        entries.sort();
        let bytes = entries
            .iter()
            .flat_map(|(_, mode, name, id)| [mode.as_bytes(), b" ", name, b"\0", id.as_bytes()].concat());
        let bytes: Vec<u8> = bytes.collect();
        repository.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
    }
}

fn of_commit(things: &[(Vec<u8>, Thing)]) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let mut top = Folder::default();
    for (path, thing) in things {
        top.add(path, *thing);
    }
    let tree = repository.find_tree(top.write(&repository)).unwrap();
    let who = git2::Signature::new("tenant", "tenant@example.org", &git2::Time::new(0, 0)).unwrap();
    let commit = repository.commit(None, &who, &who, "x", &tree, &[]).unwrap();
    let commit = CommitId::parse(&commit.to_string()).unwrap();
    outcome(Database::open_existing(folder.path()).unwrap().read(&commit, ""))
}

fn outcome<E: std::error::Error>(tree: Result<SourceTree, E>) -> Result<Outcome, String> {
    let mut tree = tree.map_err(|error| format!("{error}: {:?}", error.source()))?;
    tree.prefix.clear();
    let files = tree.files();
    let paths = files.iter().map(|(_, file)| file.path.clone()).collect();
    let reading = compose::read(&tree);
    let errors = reading
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let errors = errors.map(|finding| {
        let file = &tree.file(finding.span().unwrap().file).path;
        // What is shown of a path can harm nobody.
        let shown = tree.position(finding.span().unwrap()).to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        format!("{} {file}", finding.code)
    });
    Ok(Outcome::Read(paths, errors.collect()))
}
