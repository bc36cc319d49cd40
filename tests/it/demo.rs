//! The demo is the first thing anybody runs, and runs everything at once: it is a test too.

use std::path::Path;

use crate::support::process;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_the_whole_way_and_leaves_nothing_running() {
    let program = Path::new(env!("CARGO_BIN_EXE_k0smotron-fleet"));
    let demo = program.with_file_name("examples").join("demo");
    assert!(
        demo.exists(),
        "`cargo test` builds it; with `--test it` alone, run `cargo build --example demo` first"
    );
    let mut command = std::process::Command::new(demo);
    command
        .arg(program)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEMO_KEEP");
    let shown = process::run(command, b"").await.success();
    for line in [
        "Control-plane pods are simulated; API objects, plan and restarts are real.",
        concat!("operator ", env!("CARGO_PKG_VERSION"), ", renderer 1"),
        "20 clusters, all ready",
        "kube-system       Active",
        "3 pods kmc-search-{0..2} replaced one by one",
        "Plan: 0 to create, 9 to change (8 disruptive, 1 rolling), 0 to DELETE",
        "! prod/catalog  held",
        "after the push it runs v1.36.3+k0s.2",
        "Nothing is left running.",
    ] {
        assert!(shown.contains(line), "`{line}` is missing in:\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}
