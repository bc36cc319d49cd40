//! The structure of `src/` as a test: which room may know which, and what a room may touch.
//!
//! `docs/architecture.md` says why. To add a room, put it into [`ROOMS`] at its place in the flow.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a room may touch in the world outside its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Touch {
    Files,
    Network,
    Clock,
    Random,
    Environment,
    Terminal,
    /// `kube` beyond the derive macros and plain types.
    Kube,
}

use Touch::*;

const ALL: [Touch; 7] = [Files, Network, Clock, Random, Environment, Terminal, Kube];

/// The rooms in the order of the flow. A room may use the rooms above it and nothing below.
const ROOMS: &[(&str, &[Touch])] = &[
    // words everyone uses, pure
    ("api", &[]),
    ("diagnostic", &[]),
    ("object", &[]),
    // what is true of k0s and etcd, pure
    ("k0s", &[]),
    ("etcd", &[]),
    // files -> desired clusters
    // the clock only for the deadline of a fetch
    ("load", &[Files, Network, Clock]),
    ("parse", &[]),
    ("patch", &[]),
    ("validate", &[]),
    ("compose", &[]),
    // one cluster -> desired objects
    ("pki", &[]),
    ("render", &[]),
    // the engine both halves share: the plan's types first, for the IO rooms return and take them
    ("plan", &[]),
    ("client", &[Files, Network, Clock, Environment, Kube]),
    ("keys", &[Random]),
    ("hosted", &[Clock]),
    ("observe", &[]),
    ("apply", &[Clock]),
    ("status", &[]),
    // shells; the process's log first, for whoever logs or starts it
    ("telemetry", &[Environment, Terminal]),
    ("queue", &[Clock, Random]),
    ("lease", &[Clock]),
    ("fleet", &[Clock]),
    ("sync", &[Clock, Random]),
    ("operator", &[Clock, Random, Kube]),
    ("server", &[Network, Clock, Random, Environment]),
    ("cli", &[Files, Clock, Random, Environment, Terminal]),
];

/// Words that give a touch away. A word is looked for in code outside comments and tests.
fn words(touch: Touch) -> &'static [&'static str] {
    match touch {
        Files => &[
            "std::fs",
            "tokio::fs",
            "File::open",
            "read_to_string(",
            ".metadata().is_file",
        ],
        Network => &[
            "std::net::Tcp",
            "tokio::net",
            "hyper_util::client",
            "reqwest",
            "git2::",
            "axum::",
        ],
        Clock => &[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "tokio::time",
            "thread::sleep",
        ],
        Random => &["rand::", "SystemRandom", "KeyPair::generate", "RandomState"],
        Environment => &["std::env", "env::var", "env!(\"HOME"],
        Terminal => &[
            "println!",
            "eprintln!",
            "print!(",
            "io::stdout",
            "io::stderr",
            "io::stdin",
            "anstream",
            "indicatif",
        ],
        Kube => &[
            "kube::Client",
            "kube::client",
            "kube::runtime",
            "kube::Api",
            "kube::api",
            "kube::Config",
            "kube::config",
        ],
    }
}

fn source_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src/ is readable") {
        let path = entry.expect("src/ is readable").path();
        if path.is_dir() {
            source_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn room_of(path: &Path, root: &Path) -> String {
    let relative = path.strip_prefix(root).expect("path is below src/");
    let first = relative
        .components()
        .next()
        .expect("a file has a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Lines of code without comments, doc comments and what follows `#[cfg(test)]` (tests stand last in a file).
fn code(path: &Path) -> Vec<(usize, String)> {
    if path
        .file_name()
        .is_some_and(|name| name == "tests.rs" || name.to_string_lossy().ends_with("_tests.rs"))
    {
        return Vec::new();
    }
    let text = fs::read_to_string(path).expect("a source file is readable text");
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        if !code.trim().is_empty() {
            lines.push((index + 1, code.to_owned()));
        }
    }
    lines
}

fn files() -> (PathBuf, Vec<(String, PathBuf)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    source_files(&root, &mut paths);
    paths.sort();
    let files = paths
        .into_iter()
        .map(|path| (room_of(&path, &root), path))
        .filter(|(room, _)| room != "lib" && room != "main")
        .collect();
    (root, files)
}

fn place(room: &str) -> Option<usize> {
    ROOMS.iter().position(|(name, _)| *name == room)
}

#[test]
fn every_folder_of_src_is_a_known_room() {
    let unknown: BTreeSet<_> = files()
        .1
        .into_iter()
        .map(|(room, _)| room)
        .filter(|room| place(room).is_none())
        .collect();
    assert!(
        unknown.is_empty(),
        "give these a place in ROOMS of tests/rooms.rs: {unknown:?}"
    );
}

#[test]
fn rooms_use_only_rooms_above_them() {
    let mut wrong = Vec::new();
    for (room, path) in files().1 {
        let Some(own) = place(&room) else { continue };
        for (line, code) in code(&path) {
            for (at, _) in code.match_indices("crate::") {
                let used: String = code[at + 7..]
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                if place(&used).is_some_and(|other| other > own) {
                    wrong.push(format!(
                        "{}:{line}: room `{room}` uses `{used}`, which is below it",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_touch_only_what_they_may() {
    let mut wrong = Vec::new();
    for (room, path) in files().1 {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            continue;
        };
        for (line, code) in code(&path) {
            for touch in ALL.into_iter().filter(|touch| !allowed.contains(touch)) {
                for word in words(touch).iter().filter(|word| code.contains(**word)) {
                    wrong.push(format!(
                        "{}:{line}: room `{room}` may not touch {touch:?} (`{word}`)",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<_> = files()
        .1
        .into_iter()
        .map(|(_, path)| {
            (
                fs::read_to_string(&path)
                    .expect("a source file is readable text")
                    .lines()
                    .count(),
                path,
            )
        })
        .filter(|(lines, _)| *lines > 700)
        .map(|(lines, path)| format!("{}: {lines} lines: is it two files?", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
