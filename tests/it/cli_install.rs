//! What `crds` and `install` print is accepted by a real server, and the repository holds what they print.

use serde_json::Value;

use crate::cli::program;
use crate::support::generated::assert_current;
use crate::support::{Options, Servers};

const SERVER_SIDE: [&str; 5] = ["apply", "--server-side", "--force-conflicts", "-f", "-"];

async fn dry_run_errors(servers: &Servers, name: &str, annotations: &str) -> String {
    let object = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\n\
         metadata: {{name: {name}, namespace: default, annotations: {annotations}}}\nspec: null\n"
    );
    let output = servers
        .kubectl_with(&servers.kubeconfig(), &["create", "-f", "-"], &object)
        .await;
    output.stderr
}

#[test]
fn what_is_generated_is_what_the_code_makes() {
    use k0smotron_fleet::cli::{commands::install, exit, reference};
    assert_current("deploy/install.yaml", &install::manifests(install::DEFAULT_IMAGE));
    assert_current("docs/reference/commands.md", &reference::page());
    assert_current("docs/reference/exit-codes.md", &exit::reference());
}

#[tokio::test]
async fn crds_and_install_can_be_applied_with_kubectl() {
    // A private set: policies and namespaces of the product are for the whole server.
    let servers = Servers::start(Options::default()).await;
    let admin = servers.kubeconfig();
    let crds = program().run(&["crds"]).await.success();
    servers
        .kubectl_with(&admin, &["apply", "-f", "-"], &crds)
        .await
        .success();

    let manifests = program()
        .run(&["install", "--image", "registry.example.com/fleet:v1"])
        .await
        .success();
    assert!(manifests.contains("image: registry.example.com/fleet:v1\n"));
    servers
        .kubectl_with(&admin, &["apply", "-f", "-"], &manifests)
        .await
        .success();
    let again = servers.kubectl_with(&admin, &SERVER_SIDE, &manifests).await;
    assert!(!again.stderr.contains("violate PodSecurity"), "{}", again.stderr);
    again.success();
}

#[tokio::test]
async fn the_controller_runs_where_only_restricted_pods_may() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("restricted").await;
    let label = [
        "label",
        "namespace",
        &namespace.name,
        "pod-security.kubernetes.io/enforce=restricted",
    ];
    servers.kubectl(&label).await.success();
    let manifests = program().run(&["install"]).await.success();
    let deployment = manifests
        .split("\n---\n")
        .find(|part| part.contains("kind: Deployment"))
        .unwrap();
    // A Deployment is only warned about; the pod itself is what would be refused.
    let servers_view: Value = serde_saphyr::from_str(deployment).unwrap();
    let mut pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "controller", "namespace": namespace.name },
        "spec": servers_view["spec"]["template"]["spec"],
    });
    let dry_run = ["create", "--dry-run=server", "-f", "-"];
    let output = servers
        .kubectl_with(&servers.kubeconfig(), &dry_run, &pod.to_string())
        .await;
    assert_eq!(output.code, 0, "{}", output.stderr);

    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    let output = servers
        .kubectl_with(&servers.kubeconfig(), &dry_run, &pod.to_string())
        .await;
    assert!(
        output.stderr.contains("violates PodSecurity"),
        "the check checks: {}",
        output.stderr
    );
}

#[tokio::test]
async fn policies_keep_protected_clusters_and_refuse_long_names() {
    let servers = Servers::start(Options::default()).await;
    let manifests = program().run(&["install"]).await.success();
    servers
        .kubectl_with(&servers.kubeconfig(), &SERVER_SIDE, &manifests)
        .await
        .success();
    let soon = std::time::Duration::from_secs(60);
    // A policy works some time after it was stored.
    crate::support::eventually("long names are refused", soon, async || {
        let answer = dry_run_errors(&servers, &"a".repeat(41), "{}").await;
        if answer.contains("the name has 41 characters, and at most 40 are possible") {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    assert_eq!(dry_run_errors(&servers, &"a".repeat(40), "{}").await, "");
    assert_eq!(
        dry_run_errors(&servers, "edge", "{fleet.k0smotron.io/protect: 'true'}").await,
        ""
    );
    let delete = ["delete", "k0c", "edge", "-n", "default", "--wait=false"];
    crate::support::eventually("the protected cluster is kept", soon, async || {
        let output = servers
            .kubectl(&["delete", "k0c", "edge", "-n", "default", "--dry-run=server"])
            .await;
        if output.stderr.contains("the cluster is protected") {
            Ok(())
        } else {
            Err(output.stderr)
        }
    })
    .await;
    let unprotect = [
        "annotate",
        "k0c",
        "edge",
        "-n",
        "default",
        "fleet.k0smotron.io/protect-",
    ];
    servers.kubectl(&unprotect).await.success();
    servers.kubectl(&delete).await.success();

    servers.kubectl(&["create", "namespace", "held"]).await.success();
    servers
        .kubectl(&[
            "label",
            "namespace",
            "held",
            "fleet.k0smotron.io/holds-protected=true",
        ])
        .await
        .success();
    let output = servers
        .kubectl(&["delete", "namespace", "held", "--wait=false"])
        .await;
    assert!(
        output.stderr.contains("it holds protected clusters"),
        "{}",
        output.stderr
    );
}
