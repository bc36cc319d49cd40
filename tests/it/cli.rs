//! Helpers for transcripts of the command line, and the commands that need no cluster.

use std::path::Path;

use crate::support::{Output, Process, Program};

/// The built program, in an empty home and with no kubeconfig.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_k0smotron-fleet"))
}

/// Starts it as the controller of one namespace.
pub fn controller(program: &Program, kubeconfig: &Path, namespace: &str, more: &[&str]) -> Process {
    let kubeconfig = kubeconfig.to_str().expect("folders of tests have plain names");
    // Nobody asks it how it renders.
    let nowhere = format!("{namespace}-system");
    let arguments = [
        "controller",
        "--kubeconfig",
        kubeconfig,
        "--namespace",
        namespace,
        "--lease-namespace",
        &nowhere,
    ];
    program.start(&[&arguments[..], more].concat())
}

/// A file with a cluster of one control plane pod.
pub fn cluster(name: &str) -> String {
    format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: {name}\n  namespace: tenant-7\n\
         spec:\n  replicas: 1\n"
    )
}

/// Puts files into the folder in which the program runs.
pub fn write(program: &Program, files: &[(&str, &str)]) {
    for (path, content) in files {
        let file = program.folder().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
}

/// Returns both streams and the exit code as one text, with the words of `filters` replaced.
pub fn transcript(output: &Output, filters: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !stream.is_empty() {
            text.push_str(&format!("--- {name}\n{}\n", stream.trim_end_matches('\n')));
        }
    }
    text.push_str(&format!("--- exit {}", output.code));
    for (word, replacement) in filters {
        text = text.replace(word, replacement);
    }
    text
}

/// Asserts that every line of the answer fits a terminal of 80 columns.
pub fn assert_fits(output: &Output) {
    for line in output.stdout.lines() {
        assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
    }
}

pub fn exists(program: &Program, path: &str) -> bool {
    Path::exists(&program.folder().join(path))
}

#[tokio::test]
async fn a_mistyped_flag_is_answered_with_the_near_one_and_not_with_exit_code_2() {
    let output = program().run(&["install", "--imgae", "a/b"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: unexpected argument '--imgae' found

      tip: a similar argument exists: '--image'

    Usage: k0smotron-fleet install --image <IMAGE>

    For more information, try '--help'.
    --- exit 1
    ");
    let output = program().run(&["versoin"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: unrecognized subcommand 'versoin'

      tip: a similar subcommand exists: 'version'

    Usage: k0smotron-fleet [OPTIONS] <COMMAND>

    For more information, try '--help'.
    --- exit 1
    ");
}

#[tokio::test]
async fn help_and_version_are_answers() {
    let output = program().run(&["--help"]).await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_fits(&output);
    let output = program().run(&["version", "-o", "json"]).await;
    insta::assert_snapshot!(transcript(&output, &[(env!("CARGO_PKG_VERSION"), "VERSION")]), @r#"
    --- stdout
    {
      "format": "k0smotron-fleet/version",
      "formatVersion": 1,
      "version": "VERSION"
    }
    --- exit 0
    "#);
}

#[tokio::test]
async fn a_code_is_explained_with_both_examples() {
    let output = program().run(&["explain", "flt0103"]).await;
    assert_fits(&output);
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    FLT0103: unknown field (error)

    Fields that the schema does not know are refused: a mistyped field would
    otherwise do nothing.

    Bad: clusters/edge-berlin.yaml

        apiVersion: k0smotron.io/v1beta1
        kind: K0smotronCluster
        metadata: {name: edge-berlin, namespace: tenant-7}
        spec:
          repicas: 3

    Good: clusters/edge-berlin.yaml

        apiVersion: k0smotron.io/v1beta1
        kind: K0smotronCluster
        metadata: {name: edge-berlin, namespace: tenant-7}
        spec:
          replicas: 3
    --- exit 0
    ");
    let output = program().run(&["explain", "FLT9999"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: there is no code `FLT9999`
    hint: `k0smotron-fleet explain` without a code lists them all
    --- exit 1
    ");
}

#[tokio::test]
async fn a_completion_script_knows_the_commands() {
    let script = program().run(&["completion", "bash"]).await.success();
    assert!(script.contains("explain") && script.contains("--no-color"));
}
