//! The commands that read and write files and need no cluster: `init`, `validate`, `render`.

use crate::cli::{assert_fits, exists, program, transcript, write};

const FLEET: &str =
    "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata:\n  name: acme\nspec:\n  id: acme-7f3a\n";

fn cluster(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: {name}\n  namespace: tenant-7\n\
         \x20 labels:\n    site: {name}\nspec:\n{spec}"
    )
}

#[tokio::test]
async fn init_writes_a_valid_fleet_and_overwrites_nothing() {
    let program = program();
    let output = program.run(&["init", "shops"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    created shops/fleet.yaml
    created shops/clusters/example.yaml
    --- stderr
    hint: next: `k0smotron-fleet validate`, then `plan`, then `apply --first-apply`
    --- exit 0
    ");
    let read = |path: &str| std::fs::read_to_string(program.folder().join(path)).unwrap();
    let fleet = read("shops/fleet.yaml");
    assert!(
        fleet.contains("  name: shops\n") && fleet.contains("  id: shops-"),
        "{fleet}"
    );
    let output = program.run(&["validate", "shops"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    Valid: 1 cluster in fleet shops, no problems
    --- exit 0
    ");

    let output = program.run(&["init", "shops", "--name", "other"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    unchanged shops/fleet.yaml
    --- stderr
    hint: next: `k0smotron-fleet validate`, then `plan`, then `apply --first-apply`
    --- exit 0
    ");
    assert_eq!(read("shops/fleet.yaml"), fleet);
    let output = program.run(&["init", "shops/clusters"]).await;
    assert_eq!(output.code, 4, "{}", output.stderr);
    assert!(
        output.stderr.contains("is part of the fleet in"),
        "{}",
        output.stderr
    );
    assert!(!exists(&program, "shops/clusters/fleet.yaml"));
}

#[tokio::test]
async fn every_problem_is_told_with_its_place_and_exit_code_6() {
    let program = program();
    write(
        &program,
        &[
            ("fleet.yaml", FLEET),
            (
                "clusters/berlin.yaml",
                &cluster("berlin", "  repicas: 3\n  version: v1.36.3+k0s.2\n"),
            ),
            ("clusters/paris.yaml", &cluster("paris", "  replicas: 1\n")),
            (
                "clusters/rome.yaml",
                "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: rome\n",
            ),
        ],
    );
    let output = program.run(&["validate"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    clusters/berlin.yaml:9:3: error[FLT0103]: unknown field `repicas`; did you mean `replicas`?
    clusters/rome.yaml:3:1: error[FLT0113]: `metadata.namespace` is missing; add `namespace:`; there is no default, and `-n` only selects
    Invalid: 2 clusters in fleet acme, 2 errors
    --- exit 6
    ");
    let output = program.run(&["validate", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.code, output.stderr.as_str()), (6, ""));
    assert_eq!(document["errors"], 2);
    assert_eq!(document["findings"][0]["line"], 9);
    let output = program.run(&["render", "."]).await;
    assert_eq!((output.code, output.stdout.as_str()), (6, ""));
    assert!(
        output
            .stderr
            .contains("error: 2 errors in the files; nothing was written"),
        "{}",
        output.stderr
    );
    let output = program.run(&["render", ".", "--keep-going"]).await;
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(output.stdout.contains("name: paris"), "{}", output.stdout);
}

#[tokio::test]
async fn render_prints_what_is_selected() {
    let program = program();
    write(
        &program,
        &[
            ("fleet.yaml", FLEET),
            ("a/berlin.yaml", &cluster("berlin", "  replicas: 3\n")),
            ("b/paris.yaml", &cluster("paris", "  replicas: 1\n")),
        ],
    );
    let output = program.run(&["render", "a"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    ---
    # a/berlin.yaml
    apiVersion: k0smotron.io/v1beta1
    kind: K0smotronCluster
    metadata:
      labels:
        site: berlin
      name: berlin
      namespace: tenant-7
    spec:
      replicas: 3
    --- exit 0
    ");
    for arguments in [
        &["render", "-l", "site=berlin"][..],
        &["render", "--only", "tenant-7/berlin"],
        &["render", "-f", "a/berlin.yaml"],
    ] {
        let selected = program.run(arguments).await.success();
        assert_eq!(selected.matches("kind:").count(), 1, "{arguments:?}: {selected}");
    }
    let none = program.run(&["render", "-n", "tenant-8"]).await;
    assert_eq!((none.stdout.as_str(), none.code), ("", 0));
}

#[tokio::test]
async fn a_path_that_holds_nothing_is_an_error_and_says_what_to_do() {
    let program = program();
    let output = program.run(&["validate", "nowhere"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: there is no file or directory `nowhere`
    caused by: No such file or directory (os error 2)
    --- exit 1
    ");
    let output = program.run(&["validate"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: there is no YAML or JSON file in `.`
    hint: name the directory of the fleet, or begin one with `k0smotron-fleet init`
    --- exit 1
    ");
    assert_fits(&output);
}

#[tokio::test]
async fn files_can_come_from_standard_input() {
    let program = program();
    let output = program
        .run_with(&["validate", "-"], &cluster("berlin", "  replicas: 3\n"))
        .await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    Valid: 1 cluster, no problems
    --- exit 0
    ");
}

#[tokio::test]
async fn a_variable_that_is_set_to_nothing_is_not_set() {
    let program = program();
    write(&program, &[("a.yaml", &cluster("one", "  replicas: 1\n"))]);
    let expected = program.run(&["render"]).await.success();
    assert!(expected.contains("name: one"), "{expected}");
    for name in [
        "NAMESPACE",
        "SELECTOR",
        "ONLY",
        "REV",
        "RENDER_OUTPUT",
        "KEEP_GOING",
        "VERBOSE",
    ] {
        let variable = format!("K0SMOTRON_FLEET_{name}");
        let output = program.clone().environment(&variable, "").run(&["render"]).await;
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (0, expected.as_str(), ""),
            "{variable}"
        );
    }
}

#[tokio::test]
async fn an_empty_namespace_or_revision_on_the_command_line_is_an_error() {
    let program = program();
    write(&program, &[("a.yaml", &cluster("one", "  replicas: 1\n"))]);
    for arguments in [["render", "-n", ""], ["render", "--rev", ""]] {
        let output = program.run(&arguments).await;
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(output.stderr.contains("a value is required"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_secret_in_an_address_is_repeated_by_no_command() {
    let program = program();
    let address = "https://user:hunter2@host/x.git";
    for arguments in [
        &["validate", address][..],
        &["apply", address],
        &["apply", address, "--approve", "0123456789ab"],
        &["apply", address, "--skip-stale"],
        &["show", address],
        &["plan", "--snapshot", address],
    ] {
        let output = program.run(arguments).await;
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);
        assert!(
            output.stderr.contains("it contains credentials"),
            "{}",
            output.stderr
        );
    }
}
