//! Protected clusters, and what holds them, on servers with the policies of the product.

use std::time::Duration;

use k0smotron_fleet::api::labels;
use serde_json::Value;

use crate::cli::program;
use crate::cli_fleet::{Fleet, ONE};
use crate::support::{Options, Servers, eventually};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_protected_is_deleted_by_nobody_and_neither_is_what_holds_it() {
    // A private set: policies, and the label of a definition, are for the whole server.
    let servers: &'static Servers = Box::leak(Box::new(Servers::start(Options::default()).await));
    let manifests = program().run(&["install"]).await.success();
    let kubeconfig = servers.kubeconfig();
    let install = ["apply", "--server-side", "-f", "-"];
    servers
        .kubectl_with(&kubeconfig, &install, &manifests)
        .await
        .success();
    let fleet = Fleet::on(
        servers,
        "protect",
        "  deletions: Omission\n  maxDeletions: {percent: 100}\n",
    )
    .await;
    for name in ["berlin", "paris", "rome"] {
        fleet.cluster(name, ONE);
    }
    let applied = eventually("the definitions are served", SOON, async || {
        let output = fleet.run(&["apply", "-y", "--first-apply"]).await;
        if output.code == 0 {
            Ok(output)
        } else {
            Err(output.stderr)
        }
    })
    .await;
    assert!(applied.stdout.contains("3 created"), "{}", applied.stdout);
    let namespace = fleet.namespace.name.as_str();
    let run = async |arguments: &[&str]| fleet.program.run(arguments).await;
    let (berlin, paris) = (format!("{namespace}/berlin"), format!("{namespace}/paris"));
    let output = run(&["protect", &berlin, &paris]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(
        output.stdout,
        format!("{berlin} is protected\n{paris} is protected\n")
    );
    let output = run(&["protect", &berlin]).await;
    assert_eq!(output.stdout, format!("{berlin} is protected already\n"));

    let definition = "k0smotronclusters.k0smotron.io";
    let held: [&[&str]; 3] = [
        &["delete", "k0c", "berlin", "-n", namespace],
        &["delete", "namespace", namespace],
        &["delete", "customresourcedefinition", definition],
    ];
    for arguments in held {
        eventually("the policies work", SOON, async || {
            let output = servers
                .kubectl(&[arguments, &["--dry-run=server", "--wait=false"]].concat())
                .await;
            if output.stderr.contains("k0smotron-fleet unprotect") {
                Ok(())
            } else {
                Err(output.stderr + &output.stdout)
            }
        })
        .await;
    }
    // A file cannot take it away: neither by saying nothing, nor by leaving.
    fleet.cluster("paris", &ONE.replace("replicas: 1", "replicas: 3"));
    fleet.remove("berlin");
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let live = fleet.live().await;
    assert_eq!(live.len(), 3);
    for cluster in &live[..2] {
        assert_eq!(cluster["metadata"]["annotations"][labels::PROTECT], "true");
    }

    assert_eq!(run(&["unprotect", &berlin]).await.code, 4, "nobody can be asked");
    let output = run(&["unprotect", "-y", &berlin]).await;
    assert_eq!(
        output.stdout,
        format!("{berlin} is not protected\n"),
        "{}",
        output.stderr
    );
    let label = async |kind: &str, name: &str| {
        let object = servers
            .kubectl(&["get", kind, name, "-o", "json"])
            .await
            .success();
        let object: Value = serde_json::from_str(&object).unwrap();
        object["metadata"]["labels"].get(labels::HOLDS_PROTECTED).cloned()
    };
    assert!(
        label("namespace", namespace).await.is_some(),
        "it holds another one"
    );
    assert_eq!(run(&["unprotect", "-y", &paris]).await.code, 0);
    assert_eq!(label("namespace", namespace).await, None);
    assert_eq!(label("customresourcedefinition", definition).await, None);
    let output = fleet.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(fleet.names().await, ["paris", "rome"]);
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).await.code, 0);
    let output = run(&["protect", &format!("{namespace}/nobody")]).await;
    assert_eq!(
        (output.code, output.stderr.contains("there is no cluster")),
        (1, true)
    );
    servers.api_server.kill();
    servers.etcd.kill();
}
