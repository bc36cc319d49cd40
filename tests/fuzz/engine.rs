//! Makes hostile inputs from good ones, for a fixed number of cases or for `FUZZ_SECONDS`.
//!
//! proptest draws and shrinks; what is drawn is a good input and what is done to it. Without `FUZZ_SECONDS` the same
//! cases are drawn every time, so that an ordinary run of the tests says the same twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Largest input. The promise about time is made for this size.
pub const BYTES_MAX: usize = 64 * 1024;
/// Longest time for one input. Unoptimised code, as the tests are, gets ten times what the program promises.
const SLOWEST: Duration = if cfg!(debug_assertions) {
    Duration::from_millis(1000)
} else {
    Duration::from_millis(100)
};
/// How often an input is tried before it counts as slow: caches are cold the first time.
const ATTEMPTS: usize = 3;
/// Most memory that the process may ever have had, all targets beside each other.
const MEMORY_MAX_MIB: usize = 1024;
/// Inputs of an ordinary run of the tests.
const CASES: u32 = 256;

/// What is done to an input.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Word(Index, Index),
    Remove(Index, usize),
    /// A part again and again.
    Repeat(Index, usize, usize),
    /// A word again and again.
    Nest(Index, Index, usize),
    /// The end of another input.
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), at()).prop_map(|(at, word)| Change::Word(at, word)),
        (at(), at()).prop_map(|(at, word)| Change::Word(at, word)),
        (at(), 1usize..40).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), 1usize..60, 2usize..3000).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), at(), 2usize..20_000).prop_map(|(at, word, times)| Change::Nest(at, word, times)),
        (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

fn apply(mut bytes: Vec<u8>, change: &Change, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let place = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
    match change {
        Change::Set(at, byte) => {
            let at = place(at, &bytes);
            if let Some(old) = bytes.get_mut(at) {
                *old = *byte;
            }
        }
        Change::Insert(at, more) => insert(&mut bytes, at, more),
        Change::Word(at, word) => insert(&mut bytes, at, word.get(words).as_bytes()),
        Change::Remove(at, length) => {
            let at = place(at, &bytes);
            let end = (at + length).min(bytes.len());
            bytes.drain(at..end);
        }
        Change::Repeat(at, length, times) => {
            let start = place(at, &bytes);
            let part = bytes[start..(start + length).min(bytes.len())].to_vec();
            insert(&mut bytes, at, &part.repeat(*times));
        }
        Change::Nest(at, word, times) => insert(&mut bytes, at, &word.get(words).as_bytes().repeat(*times)),
        Change::Splice(at, other, from) => {
            let at = place(at, &bytes);
            let other = other.get(seeds);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[place(from, other)..]);
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: &Index, more: &[u8]) {
    let at = at.index(bytes.len() + 1);
    let more = &more[..more.len().min(BYTES_MAX)];
    bytes.splice(at..at, more.iter().copied());
}

/// Tries inputs made from `seeds` with `words` until the time is over.
///
/// # Panics
/// When `check` panics or takes too long, with the smallest input found; it is also put into a file.
pub fn run(name: &str, seeds: Vec<Vec<u8>>, words: &[&str], check: impl Fn(&[u8])) {
    assert!(
        !seeds.is_empty() && !words.is_empty(),
        "{name} has nothing to begin with"
    );
    let seconds = std::env::var("FUZZ_SECONDS").ok().map(|text| {
        let seconds = text.parse().expect("FUZZ_SECONDS is a number of seconds");
        Duration::from_secs(seconds)
    });
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 4000,
        max_shrink_time: 60_000,
        verbose: 0,
        ..Config::default()
    };
    let strategy = (any::<Index>(), prop::collection::vec(change(), 0..6)).prop_map(|(seed, changes)| {
        let start = seed.get(&seeds).clone();
        changes
            .iter()
            .fold(start, |bytes, change| apply(bytes, change, &seeds, words))
    });
    let started = Instant::now();
    let (mut cases, slowest) = (0u64, std::cell::Cell::new(Duration::ZERO));
    loop {
        // A runner counts its successes and does not begin again: each round has its own.
        let rng = match seconds {
            None => TestRng::deterministic_rng(RngAlgorithm::ChaCha),
            Some(_) => TestRng::from_seed(RngAlgorithm::ChaCha, &seed()),
        };
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        let outcome = runner.run(&strategy, |bytes| {
            if seconds.is_some() {
                // An overflow of the stack ends the process: what did it is then in the file.
                kept(name, &bytes);
            }
            let took = measured(&bytes, &check);
            slowest.set(slowest.get().max(took));
            prop_assert!(took <= SLOWEST, "{} ms", took.as_millis());
            Ok(())
        });
        match outcome {
            Ok(()) => cases += u64::from(CASES),
            Err(TestError::Fail(reason, bytes)) => {
                let path = kept(name, &bytes);
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
                panic!(
                    "{name}: {reason}\n{} bytes in {}:\n{text:?}",
                    bytes.len(),
                    path.display()
                );
            }
            Err(TestError::Abort(reason)) => panic!("{name}: {reason}"),
        }
        if started.elapsed() >= seconds.unwrap_or_default() {
            break;
        }
    }
    eprintln!(
        "fuzz {name}: {cases} inputs in {} s, the slowest {} ms",
        started.elapsed().as_secs(),
        slowest.get().as_millis()
    );
    assert_memory(name);
}

/// Says whether somebody waits for what takes long.
pub fn is_asked_for() -> bool {
    std::env::var_os("FUZZ_SECONDS").is_some()
}

/// Says how much memory the process ever had.
///
/// # Panics
/// When that is more than all targets may have beside each other.
pub fn assert_memory(name: &str) {
    let memory = memory_mib();
    eprintln!("fuzz {name}: {memory} MiB");
    assert!(memory <= MEMORY_MAX_MIB, "{name}: {memory} MiB");
}

/// What this thread has had of a processor. Time on the wall says more about who else runs on this machine.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells what a thread has had");
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first word is a number of nanoseconds"))
}

/// Begins somewhere else each time. What is found is kept as an input, so the beginning need not be remembered.
fn seed() -> [u8; 32] {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&now.unwrap_or_default().as_nanos().to_le_bytes());
    seed
}

/// The shortest of a few times, if the first one was long.
fn measured(bytes: &[u8], check: &impl Fn(&[u8])) -> Duration {
    let once = || {
        let started = processor_time();
        check(bytes);
        processor_time().saturating_sub(started)
    };
    let mut shortest = once();
    for _ in 1..ATTEMPTS {
        if shortest <= SLOWEST {
            break;
        }
        shortest = shortest.min(once());
    }
    shortest
}

/// Keeps an input for the next person.
fn kept(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    fs::write(&path, bytes).expect("the folder for tests can be written");
    path
}

/// Most memory that this process ever had.
fn memory_mib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells what a process has");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.expect("VmHWM is a number of KiB") >> 10
}

/// All files with one of these endings below folders of this repository, none larger than an input may be.
pub fn files(folders: &[&str], endings: &[&str]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for folder in folders {
        walk(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            endings,
            &mut found,
        );
    }
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<Vec<u8>>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let bytes = fs::read(&path).expect("a file of the repository can be read");
            if bytes.len() <= BYTES_MAX {
                found.push(bytes);
            }
        }
    }
}
