//! `convert`: objects of k0smotron become objects of this program; what is said about them are golden files.

use crate::cli::{program, transcript, write};

const OLD: &str = "apiVersion: k0smotron.io/v1beta1\nkind: Cluster\nmetadata:\n  name: edge-berlin\n  namespace: tenant-7\n\
                   spec:\n  version: v1.36.3\n  service: {type: NodePort, apiPort: 30443, konnectivityPort: 30132}\n  \
                   controllerPlaneFlags: [--debug]\n  etcd:\n    args: [--snapshot-count=20000]\n";
const TOKEN: &str = "apiVersion: k0smotron.io/v1beta1\nkind: JoinTokenRequest\nmetadata: {name: worker, namespace: tenant-7}\n\
                     spec:\n  clusterRef: {name: edge-berlin, namespace: tenant-7}\n  expiry: 1h\n";

#[tokio::test]
async fn a_cluster_and_a_token_are_printed_as_what_they_mean_here() {
    let program = program();
    write(&program, &[("old.yaml", &format!("{OLD}---\n{TOKEN}"))]);
    let output = program.run(&["convert", "old.yaml"]).await;
    insta::assert_snapshot!(transcript(&output, &[]));
    write(&program, &[("new.yaml", &output.stdout)]);
    let output = program.run(&["validate", "new.yaml"]).await;
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(!output.stdout.contains("error"), "{}", output.stdout);
}

#[tokio::test]
async fn what_needs_a_decision_is_an_error_and_nothing_is_printed() {
    let program = program();
    write(
        &program,
        &[(
            "old.yaml",
            &format!("{OLD}  kineDataSourceURL: postgres://user:secret@db/kine\n"),
        )],
    );
    let output = program.run(&["convert", "old.yaml"]).await;
    assert_eq!((output.code, output.stdout.as_str()), (6, ""));
    assert!(
        output.stderr.contains("old.yaml:12:3: error[FLT0604]"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains("secret@"), "{}", output.stderr);
}
