//! As whom the hub is asked: `--as` and `--as-group`, as kubectl has them.

use crate::cli::assert_fits;
use crate::cli_fleet::{Fleet, ONE};

#[tokio::test]
async fn a_run_as_somebody_else_has_their_rights_and_no_others() {
    let fleet = Fleet::new("identity", "").await;
    fleet.cluster("berlin", ONE);
    let apply = ["apply", "-y", "--first-apply"];
    let run = async |flags: &[&str]| fleet.run(&[&apply[..], flags].concat()).await;

    let output = run(&["--as", "jane@example.org"]).await;
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("jane@example.org"), "{}", output.stderr);
    assert_fits(&output);
    let output = run(&["--as-group", "system:masters"]).await;
    assert_eq!(output.code, 1, "a group alone is nobody: {}", output.stderr);
    assert!(output.stderr.contains("--as <USER>"), "{}", output.stderr);
    let output = run(&["--as", " "]).await;
    assert_eq!(
        output.code, 1,
        "a blank user would be no impersonation: {}",
        output.stderr
    );
    assert_eq!(fleet.names().await, [""; 0]);

    let masters = [
        "--as",
        "jane@example.org",
        "--as-group",
        "platform,system:masters",
    ];
    let output = run(&[&masters[..], &["--qps", "200"]].concat()).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(fleet.names().await, ["berlin"]);
}
