//! What `crds` and `install` print is accepted by a real server, and the repository holds what they print.

use serde_json::Value;

use crate::cli::program;
use crate::support::generated::assert_current;
use crate::support::pod_security::pod_of;
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
    use k0smotron_fleet::cli::args::HubProtection;
    use k0smotron_fleet::cli::{commands::install, exit, reference};
    let nothing_is_allowed = HubProtection {
        allow_host_path: false,
        allowed_images: Vec::new(),
        allowed_service_accounts: Vec::new(),
        network_policies: false,
    };
    let manifests = install::manifests(install::DEFAULT_IMAGE, &nothing_is_allowed);
    assert_current("deploy/install.yaml", &manifests);
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
    let namespace = servers.namespace_enforcing("restricted").await;
    let manifests = program().run(&["install"]).await.success();
    let deployment = manifests
        .split("\n---\n")
        .find(|part| part.contains("kind: Deployment"))
        .unwrap();
    let deployment: Value = serde_saphyr::from_str(deployment).unwrap();
    let mut pod = pod_of(&deployment["spec"]["template"], "controller", &namespace.name);
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

#[tokio::test]
async fn the_policy_refuses_what_the_settings_do_not_allow_and_lets_the_rest_pass() {
    let servers = Servers::start(Options::default()).await;
    let arguments = [
        "install",
        "--allowed-images=quay.io/k0sproject,registry.example/mirror/",
        "--allowed-service-accounts=pods",
    ];
    let manifests = program().run(&arguments).await.success();
    let admin = servers.kubeconfig();
    servers
        .kubectl_with(&admin, &SERVER_SIDE, &manifests)
        .await
        .success();
    let verdict = async |spec: &str| {
        let object = format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\n\
             metadata: {{name: edge, namespace: default}}\nspec: {spec}\n"
        );
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        servers.kubectl_with(&admin, &arguments, &object).await.stderr
    };
    let of_node = "{mounts: [{path: /host, hostPath: {path: /}}]}";
    let soon = std::time::Duration::from_secs(60);
    crate::support::eventually("paths of nodes are refused", soon, async || {
        let answer = verdict(of_node).await;
        let is_refused = answer.contains("paths of nodes are not allowed");
        is_refused.then_some(()).ok_or(answer)
    })
    .await;
    for (spec, expected) in [
        ("{manifests: [{name: m, hostPath: {path: /}}]}", "paths of nodes"),
        (
            "{persistence: {type: hostPath, hostPath: /data}}",
            "paths of nodes",
        ),
        (
            "{image: docker.io/evil/k0s}",
            "images that are not allowed on this hub: docker.io/evil/k0s",
        ),
        (
            "{image: quay.io/k0sproject.evil/k0s}",
            "images that are not allowed",
        ),
        (
            "{storage: {etcd: {image: 'evil/etcd:v3.6.0'}}}",
            "evil/etcd:v3.6.0",
        ),
        ("{monitoring: {proxyImage: 'evil/proxy:v1'}}", "evil/proxy:v1"),
        (
            "{mounts: [{path: /i, image: {reference: 'evil/files:v1'}}]}",
            "evil/files:v1",
        ),
        (
            "{imageRepository: registry.example/other}",
            "imageRepository is not allowed",
        ),
        (
            "{serviceAccount: admin}",
            "this ServiceAccount is not allowed on this hub; allowed are pods",
        ),
    ] {
        let answer = verdict(spec).await;
        assert!(answer.contains(expected), "{spec}: {answer}");
    }
    for spec in [
        "null",
        "{}",
        "{image: quay.io/k0sproject/k0s, serviceAccount: pods, imageRepository: registry.example/mirror}",
        "{imageRepository: registry.example}",
        "{storage: null, monitoring: null, persistence: null, mounts: [{path: /a, emptyDir: {}, hostPath: null}]}",
        "{storage: {etcd: {defragJob: null}}, manifests: [{name: m, configMap: {name: m}}]}",
    ] {
        assert_eq!(verdict(spec).await, "", "{spec}");
    }

    // A cluster from before the settings can be changed in its metadata and deleted.
    let change = [
        "patch",
        "configmap/k0smotron-fleet-settings",
        "-n",
        "k0smotron-fleet",
        "-p",
    ];
    let allowed = r#"{"data": {"allow-host-path": "true"}}"#;
    servers
        .kubectl(&[&change[..], &[allowed]].concat())
        .await
        .success();
    let object = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\n\
         metadata: {{name: edge, namespace: default}}\nspec: {of_node}\n"
    );
    crate::support::eventually("paths of nodes are allowed", soon, async || {
        let output = servers
            .kubectl_with(&admin, &["create", "-f", "-"], &object)
            .await;
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.stderr)
        }
    })
    .await;
    let refused = r#"{"data": {"allow-host-path": "false"}}"#;
    servers
        .kubectl(&[&change[..], &[refused]].concat())
        .await
        .success();
    crate::support::eventually("paths of nodes are refused again", soon, async || {
        let answer = verdict(of_node).await;
        answer.contains("paths of nodes").then_some(()).ok_or(answer)
    })
    .await;
    servers
        .kubectl(&["annotate", "k0c", "edge", "-n", "default", "a=b"])
        .await
        .success();
    servers
        .kubectl(&["delete", "k0c", "edge", "-n", "default", "--wait=false"])
        .await
        .success();
}
