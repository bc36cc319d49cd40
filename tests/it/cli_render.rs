//! `render`: where values came from, and what the operator makes of a cluster; `validate` as annotations.

use serde_json::Value;

use crate::cli::{assert_fits, cluster, program, transcript, write};
use crate::support::Program;

/// Two levels of defaults, a cluster that says something itself, and a set.
fn fleet() -> Program {
    let program = program();
    let defaults = |spec: &str| {
        format!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nmetadata: {{name: all}}\nspec:\n{spec}"
        )
    };
    write(
        &program,
        &[
            (
                "fleet.yaml",
                "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: acme-7f3a}\n",
            ),
            (
                "defaults.yaml",
                &defaults("  version: v1.35.7+k0s.0\n  service: {type: ClusterIP}\n"),
            ),
            ("prod/defaults.yaml", &defaults("  version: v1.36.3+k0s.2\n")),
            (
                "prod/berlin.yaml",
                &(cluster("edge-berlin") + "  version: v1.36.2+k0s.0\n"),
            ),
            ("prod/oslo.yaml", &(cluster("edge-oslo") + "  version: null\n")),
            (
                "shops.yaml",
                "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {name: shops}\nspec:\n  key: site\n  \
                 generators: [{csv: {path: shops.csv}}]\n  template:\n    metadata: {name: '${site}', namespace: tenant-7}\n    \
                 spec:\n      version: ${version ?? v1.35.8+k0s.0}\n",
            ),
            ("shops.csv", "site,version\nshop-1,v1.36.0+k0s.0\nshop-2,\n"),
        ],
    );
    program
}

#[tokio::test]
async fn why_names_every_file_that_speaks_of_a_field_and_which_one_won() {
    let program = fleet();
    let output = program.run(&["render", "--why", "spec.version"]).await;
    assert_fits(&output);
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    tenant-7/edge-berlin
      spec.version: v1.36.2+k0s.0
        >  cluster   prod/berlin.yaml:8:3    v1.36.2+k0s.0
           defaults  prod/defaults.yaml:5:3  v1.36.3+k0s.2
           defaults  defaults.yaml:5:3       v1.35.7+k0s.0

    tenant-7/edge-oslo
      spec.version: (unset)
        >  cluster   prod/oslo.yaml:8:3      null: nothing is inherited
           defaults  prod/defaults.yaml:5:3  v1.36.3+k0s.2
           defaults  defaults.yaml:5:3       v1.35.7+k0s.0

    tenant-7/shop-1
      spec.version: v1.36.0+k0s.0
        >  row       shops.csv:2:8      v1.36.0+k0s.0
           template  shops.yaml:10:7    (refers to it)
           defaults  defaults.yaml:5:3  v1.35.7+k0s.0

    tenant-7/shop-2
      spec.version: v1.35.8+k0s.0
        >  template  shops.yaml:10:7    v1.35.8+k0s.0
           defaults  defaults.yaml:5:3  v1.35.7+k0s.0
    --- exit 0
    ");
    let output = program
        .run(&[
            "render",
            "prod/berlin.yaml",
            "--why",
            "spec.service",
            "-o",
            "json",
        ])
        .await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let field = &document["clusters"][0]["fields"][0];
    assert_eq!((output.code, &field["field"]), (0, &"spec.service.type".into()));
    assert_eq!(field["said"][0]["place"]["position"], "defaults.yaml:6:13");
    assert_eq!(document["clusters"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn why_refuses_a_field_that_no_cluster_has() {
    let program = fleet();
    for (field, expected) in [
        ("spec.verison", "hint: did you mean `version`?"),
        ("version", "write it like `spec.version`"),
        ("spec[", "write it like `spec.version`"),
    ] {
        let output = program.run(&["render", "--why", field]).await;
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        assert!(output.stderr.contains(expected), "{}", output.stderr);
    }
    // One that nobody says is no mistake.
    let output = program
        .run(&["render", "prod", "--why", "spec.image"])
        .await
        .success();
    assert!(
        output.contains("  spec.image: (unset), no file says it\n"),
        "{output}"
    );
}

#[tokio::test]
async fn children_are_the_objects_of_a_cluster_that_is_not_there_and_hold_no_key() {
    let program = program();
    write(
        &program,
        &[
            ("a.yaml", &cluster("edge-berlin")),
            ("b.yaml", &(cluster("edge-oslo") + "  ttl: 1h\n")),
        ],
    );
    let output = program.run(&["render", "--children", "a.yaml"]).await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(
        output
            .stdout
            .lines()
            .filter(|line| line.starts_with('#') || line.starts_with("kind: ") || line.starts_with("  name: "))
            .collect::<Vec<_>>()
            .join("\n"),
        @r"
    # tenant-7/edge-berlin (a.yaml)
    # assumed: a Node has the address 192.0.2.10
    # assumed: Service `kmc-edge-berlin-nodeport` gets the cluster IP 10.96.0.24, the node ports 30132 and 30443
    # tenant-7/edge-berlin
    kind: ConfigMap
      name: kmc-edge-berlin-config
    # tenant-7/edge-berlin; data is made by the operator (apiserver-etcd-client)
    kind: Secret
      name: edge-berlin-apiserver-etcd-client
    # tenant-7/edge-berlin; data is made by the operator (ca)
    kind: Secret
      name: edge-berlin-ca
    # tenant-7/edge-berlin; data is made by the operator (etcd)
    kind: Secret
      name: edge-berlin-etcd
    # tenant-7/edge-berlin; data is made by the operator (etcd-peer)
    kind: Secret
      name: edge-berlin-etcd-peer
    # tenant-7/edge-berlin; data is made by the operator (etcd-server)
    kind: Secret
      name: edge-berlin-etcd-server
    # tenant-7/edge-berlin; data is made by the operator (kubeconfig)
    kind: Secret
      name: edge-berlin-kubeconfig
    # tenant-7/edge-berlin; data is made by the operator (proxy)
    kind: Secret
      name: edge-berlin-proxy
    # tenant-7/edge-berlin; data is made by the operator (sa)
    kind: Secret
      name: edge-berlin-sa
    # tenant-7/edge-berlin
    kind: Service
      name: kmc-edge-berlin-etcd
    # tenant-7/edge-berlin
    kind: Service
      name: kmc-edge-berlin-nodeport
    # tenant-7/edge-berlin
    kind: StatefulSet
      name: kmc-edge-berlin
    # tenant-7/edge-berlin
    kind: StatefulSet
      name: kmc-edge-berlin-etcd
    "
    );
    for document in output
        .stdout
        .split("---\n")
        .filter(|text| text.contains("kind: Secret"))
    {
        assert!(
            !document.contains("\ndata:") && !document.contains("\nstringData:"),
            "{document}"
        );
    }
    let again = program.run(&["render", "--children", "a.yaml"]).await;
    assert_eq!(again.stdout, output.stdout, "no time and no chance is in it");

    let output = program.run(&["render", "--children", "-o", "json"]).await;
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(output.code, 5);
    assert!(
        output
            .stderr
            .starts_with("warning: tenant-7/edge-oslo would not be made: not supported yet: spec.ttl"),
        "{}",
        output.stderr
    );
    let cluster = &document["clusters"][0];
    assert_eq!(
        (&document["clusters"][1], &cluster["name"]),
        (&Value::Null, &"edge-berlin".into())
    );
    assert_eq!(cluster["notMade"], Value::Array(Vec::new()));
    assert!(cluster["children"].as_array().unwrap().len() > 10);
}

#[tokio::test]
async fn findings_are_annotations_at_their_lines() {
    let program = program();
    let wrong = cluster("edge-berlin").replace("replicas", "repicas");
    write(
        &program,
        &[("clusters/a.yaml", &wrong), ("b.yaml", &cluster("edge-oslo"))],
    );
    let output = program.run(&["validate", "-o", "github"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stdout
    ::error file=clusters/a.yaml,line=7,col=3,title=FLT0103::unknown field `repicas`%0Adid you mean `replicas`?
    ::notice title=k0smotron-fleet validate::Invalid: 2 clusters, 1 error
    --- exit 6
    ");
    let of_environment = program.environment("K0SMOTRON_FLEET_OUTPUT", "github");
    assert_eq!(of_environment.run(&["validate"]).await.stdout, output.stdout);
}
