//! What cannot or must not be done: said so that a person can act, with the documented exit code, and nothing written.

use crate::cli::{assert_fits, program, transcript, write};
use crate::support::{Program, Servers, crds, ports};

const FLEET: &str =
    "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  id: acme-7f3a\n";

fn files(program: &Program, namespace: &str) {
    let cluster = format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: berlin, namespace: {namespace}}}\nspec: null\n"
    );
    write(program, &[("fleet.yaml", FLEET), ("berlin.yaml", &cluster)]);
}

#[tokio::test]
async fn a_missing_kubeconfig_is_named() {
    let program = program();
    files(&program, "tenant-7");
    let output = program.run(&["plan"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: there is no kubeconfig, and this does not run inside a cluster
    hint: name a file with `--kubeconfig` or `KUBECONFIG`, or create `~/.kube/config`
    --- exit 1
    ");
    let output = program.run(&["plan", "--kubeconfig", "nowhere.yaml"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: cannot read kubeconfig `nowhere.yaml`
    caused by: No such file or directory (os error 2)
    hint: name another file with `--kubeconfig` or `KUBECONFIG`
    --- exit 1
    ");
    assert_fits(&output);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named() {
    let program = program();
    files(&program, "tenant-7");
    let url = format!("https://127.0.0.1:{}", ports::free());
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, clusters: [{{name: a, cluster: {{server: '{url}'}}}}], \
         users: [{{name: a, user: {{}}}}], contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}"
    );
    write(&program, &[("kubeconfig", &kubeconfig)]);
    let output = program
        .run(&["apply", "-y", "--first-apply", "--kubeconfig", "kubeconfig"])
        .await;
    insta::assert_snapshot!(transcript(&output, &[(&url, "SERVER")]), @r"
    --- stderr
    error: cannot tell which hub this is
    caused by: cannot reach the API server at SERVER
    caused by: Connection refused (os error 111)
    hint: check that the server runs and that SERVER is right for the chosen context
    --- exit 1
    ");
    let output = program
        .run(&["plan", "--kubeconfig", "kubeconfig", "--context", "b"])
        .await;
    insta::assert_snapshot!(transcript(&output, &[(&url, "SERVER")]), @r"
    --- stderr
    error: kubeconfig `kubeconfig` has no context `b`
    hint: it has: a
    --- exit 1
    ");
}

#[tokio::test]
async fn missing_rights_are_named() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let namespace = servers.namespace("rights").await;
    let kubeconfig = servers.service_account(&namespace.name, "tenant").await;
    let program = program().kubeconfig(&kubeconfig);
    files(&program, &namespace.name);
    let run = async |arguments: &[&str]| {
        let output = program
            .run(&[arguments, &["--parent-namespace", &namespace.name]].concat())
            .await;
        transcript(&output, &[(&namespace.name, "NS"), (&servers.url(), "SERVER")])
    };
    insta::assert_snapshot!(run(&["plan"]).await, @r#"
    --- stderr
    error: cannot read what the hub remembers of the fleet
    caused by: not allowed to get configmaps in namespace `NS`
    caused by: configmaps "k0smotron-fleet-acme-7f3a" is forbidden: User "system:serviceaccount:NS:tenant" cannot get resource "configmaps" in API group "" in the namespace "NS"
    hint: a Role or ClusterRole must grant it; ask with `kubectl auth can-i get configmaps --namespace NS`
    --- exit 1
    "#);
    let role = format!("--serviceaccount={}:tenant", namespace.name);
    let bind = [
        "create",
        "rolebinding",
        "view",
        "--clusterrole=view",
        "-n",
        &namespace.name,
        &role,
    ];
    servers.kubectl(&bind).await.success();
    let grant = [
        "create",
        "role",
        "clusters",
        "-n",
        &namespace.name,
        "--verb=get,list",
        "--resource=k0smotronclusters.k0smotron.io,configmaps",
    ];
    servers.kubectl(&grant).await.success();
    let bind = [
        "create",
        "rolebinding",
        "clusters",
        "--role=clusters",
        "-n",
        &namespace.name,
        &role,
    ];
    servers.kubectl(&bind).await.success();
    let soon = std::time::Duration::from_secs(30);
    crate::support::eventually("the plan can be made", soon, async || {
        let text = run(&["plan", "-q"]).await;
        if text.contains("1 to create") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    insta::assert_snapshot!(run(&["apply", "-y", "--first-apply"]).await, @r#"
    --- stdout
    Fleet acme hub SERVER (unknown)
      operator unknown, defaults assumed
      + NS/berlin  create
          at             berlin.yaml:1:1
    Plan: 1 to create, 0 to change, 0 to DELETE
    --- stderr
    note: not known whether k0smotron runs clusters of the same names: not allowed to list clusters.k0smotron.io in namespace `NS`
    warning: it is not known whether a FleetSync follows this fleet: they may not be listed
    error: cannot take the lock of the fleet
    caused by: not allowed to patch leases.coordination.k8s.io in namespace `NS`
    caused by: leases.coordination.k8s.io "k0smotron-fleet-acme-7f3a" is forbidden: User "system:serviceaccount:NS:tenant" cannot patch resource "leases" in API group "coordination.k8s.io" in the namespace "NS"
    hint: a Role or ClusterRole must grant it; ask with `kubectl auth can-i patch leases.coordination.k8s.io --namespace NS`
    --- exit 1
    "#);
}

#[tokio::test]
async fn files_that_are_meant_for_another_hub_are_refused_before_anything_else() {
    let servers = Servers::shared().await;
    let program = program().kubeconfig(&servers.kubeconfig());
    files(&program, "tenant-7");
    let bound = format!("{FLEET}  hub: {{uid: 8c1e0000-0000-4000-8000-000000000000}}\n");
    write(&program, &[("fleet.yaml", &bound)]);
    let arguments = [
        "get",
        "namespace",
        "kube-system",
        "-o",
        "jsonpath={.metadata.uid}",
    ];
    let uid = servers.kubectl(&arguments).await.success();
    let output = program.run(&["apply", "-y", "--first-apply"]).await;
    insta::assert_snapshot!(transcript(&output, &[(&servers.url(), "SERVER"), (&uid, "OTHER")]), @r"
    --- stderr
    error: the fleet is bound to the hub 8c1e0000-0000-4000-8000-000000000000, and SERVER is OTHER
    hint: choose its context, or change spec.hub.uid of the Fleet if the hub was replaced
    --- exit 4
    ");
}

#[tokio::test]
async fn clusters_without_a_fleet_cannot_be_pruned() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let namespace = servers.namespace("nofleet").await;
    let program = program().kubeconfig(&servers.kubeconfig());
    files(&program, &namespace.name);
    std::fs::remove_file(program.folder().join("fleet.yaml")).unwrap();
    let output = program.run(&["apply", "-y", "--prune"]).await;
    insta::assert_snapshot!(transcript(&output, &[]), @r"
    --- stderr
    error: without a Fleet nothing can be deleted: nobody knows which clusters belong to the files
    hint: no fleet id: run `k0smotron-fleet init` in the directory of the files
    --- exit 4
    ");
    let output = program.run(&["apply", "-y"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
}
