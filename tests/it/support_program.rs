//! The program under test runs in an environment of its own.

use std::time::Duration;

use crate::support::{Program, eventually};

#[tokio::test]
async fn a_program_sees_nothing_of_this_machine() {
    let program = Program::new("/usr/bin/env").environment("ANSWER", "42");
    let mut keys: Vec<String> = Vec::new();
    for line in program.run(&[]).await.success().lines() {
        let (key, value) = line.split_once('=').unwrap();
        assert!(key != "HOME" || value == program.folder().to_str().unwrap());
        keys.push(key.to_owned());
    }
    keys.sort();
    assert_eq!(keys, ["ANSWER", "HOME", "PATH", "TEST_SUPPORT_OWNER", "TMPDIR"]);
}

#[tokio::test]
async fn output_input_and_exit_code_come_back() {
    let program = Program::new("/bin/sh");
    let output = program
        .run_with(&["-c", "cat; echo wrong >&2; exit 3"], "in")
        .await;
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code),
        ("in", "wrong\n", 3)
    );
    let output = program.run(&["-c", "kill -KILL $$"]).await;
    assert_eq!(output.code, 137);
}

#[tokio::test]
async fn a_background_program_is_killed_and_started_again() {
    let program = Program::new("/bin/sh");
    let process = program.start(&["-c", "echo started; sleep 1000"]);
    let starts = async |wanted: usize| {
        eventually("it started", Duration::from_secs(10), async || {
            (process.log().lines().count() == wanted).then_some(())
        })
        .await;
    };
    starts(1).await;
    assert!(process.ended().is_none());
    process.kill();
    assert!(process.ended().is_some());
    process.restart();
    starts(2).await;
    let status = process.terminate(Duration::from_secs(5));
    assert!(!status.success());
}

#[tokio::test]
async fn a_program_can_have_its_own_names_of_hosts() {
    let hosts = Program::new("/bin/cat");
    let file = hosts.folder().join("hosts");
    std::fs::write(&file, "127.9.8.7 kmc-edge-etcd-0\n").unwrap();
    let output = hosts.hosts(&file).run(&["/etc/hosts"]).await.success();
    assert_eq!(output, "127.9.8.7 kmc-edge-etcd-0\n");
    assert!(
        !std::fs::read_to_string("/etc/hosts")
            .unwrap()
            .contains("127.9.8.7")
    );
}
