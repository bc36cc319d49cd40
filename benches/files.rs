//! What reading a fleet costs: `cargo bench --bench files`.
//!
//! Clusters from one table and clusters in files of their own; measured are the seconds from text to checked objects and
//! the most memory held. Each run is a process of its own, so that the memory of one does not hide that of the next.

#[path = "../tests/support/trees.rs"]
mod trees;

#[path = "../tests/support/proc.rs"]
#[allow(dead_code, reason = "the other figures are of other processes")]
mod proc;

use std::path::Path;
use std::time::Instant;

use k0smotron_fleet::compose;

const FORMS: [&str; 2] = ["table", "files"];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` and `cargo bench` both call this; only the latter with --bench.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    if let [_, _, form, count] = arguments.as_slice() {
        return measure(form, count.parse().expect("a number of clusters"));
    }
    println!(
        "{:>8} {:>9} {:>9} {:>9}",
        "form", "clusters", "seconds", "peak MiB"
    );
    let program = std::env::current_exe().expect("the program that runs has a path");
    for form in FORMS {
        for count in ["100", "1000", "10000"] {
            let status = std::process::Command::new(&program)
                .args(["--bench", form, count])
                .status()
                .expect("the program that runs can be run");
            assert!(status.success(), "{form} {count}");
        }
    }
}

fn measure(form: &str, count: usize) {
    let tree = if form == "table" {
        trees::table(count)
    } else {
        trees::files(count)
    };
    let start = Instant::now();
    let reading = compose::read(&tree);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(
        (reading.clusters.len(), reading.findings.len()),
        (count, 0),
        "{:?}",
        reading.findings
    );
    // The most memory this process ever held, where the system tells.
    let peak = proc::mebibytes(Path::new("/proc/self"), "VmHWM").unwrap_or_default();
    println!("{form:>8} {count:>9} {seconds:>9.3} {peak:>9.1}");
}
