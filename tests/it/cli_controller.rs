//! The controller as it is installed: with its own account, its lease, and no right it does not need.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{program, write};
use crate::support::audit::{Event, Mark};
use crate::support::kubelet::{Answers, Kubelet, Policy};
use crate::support::{Options, Servers, crds, eventually, hosting};

const SOON: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "k0smotron-fleet";
const MARK: &str = "fleet.k0smotron.io/holds-protected=true";

/// `patch k0smotron.io/k0smotronclusters/status`.
fn right(verb: &str, group: &str, resource: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{verb} {group}/{resource}")
}

fn used(event: &Event) -> String {
    let resource = match event.subresource.as_str() {
        "" => event.resource.clone(),
        subresource => format!("{}/{subresource}", event.resource),
    };
    right(&event.verb, &event.group, &resource)
}

/// Every right of the roles that the controller is bound to.
fn granted(manifests: &str) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for document in manifests.split("\n---\n") {
        let Ok(role) = serde_saphyr::from_str::<Value>(document) else {
            continue;
        };
        let name = role["metadata"]["name"].as_str().unwrap_or_default();
        if !["k0smotron-fleet", "k0smotron-fleet-leader"].contains(&name) {
            continue;
        }
        let words = |value: &Value| -> Vec<String> {
            let list = value.as_array().cloned().unwrap_or_default();
            list.iter()
                .map(|word| word.as_str().unwrap_or_default().to_owned())
                .collect()
        };
        for rule in role["rules"].as_array().into_iter().flatten() {
            for (group, resource) in words(&rule["apiGroups"]).iter().flat_map(|group| {
                words(&rule["resources"])
                    .into_iter()
                    .map(move |resource| (group.clone(), resource))
            }) {
                rights.extend(
                    words(&rule["verbs"])
                        .iter()
                        .map(|verb| right(verb, &group, &resource)),
                );
            }
        }
    }
    rights
}

fn cluster(name: &str, spec: Value) -> String {
    json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": { "name": name, "namespace": "tenant-7" }, "spec": spec,
    })
    .to_string()
}

async fn ready(servers: &Servers, name: &str) {
    eventually(&format!("{name} is ready"), SOON, async || {
        let arguments = ["get", "k0c", name, "-n", "tenant-7", "-o", "json"];
        let object: Value = serde_json::from_str(&servers.kubectl(&arguments).await.success()).unwrap();
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_ready = conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let is_current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        if is_ready && is_current {
            Ok(())
        } else {
            Err(object["status"].to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn the_installed_account_has_the_rights_it_needs_and_uses_those_it_has() {
    let servers = Servers::start(Options::default()).await;
    let client = servers.client().await;
    let manifests = program().run(&["install"]).await.success();
    let apply = ["apply", "--server-side", "-f", "-"];
    servers
        .kubectl_with(&servers.kubeconfig(), &apply, &manifests)
        .await
        .success();
    crds::install(&client).await;
    hosting::node(&client, "node-1", servers.node_address.into()).await;
    hosting::default_storage_class(&client).await;
    servers
        .kubectl(&["create", "namespace", "tenant-7"])
        .await
        .success();
    let by_hand = ["label", "namespace", "default", MARK];
    servers.kubectl(&by_hand).await.success();
    let _kubelet = Kubelet::start(client.clone(), Some("tenant-7"), Policy::Ready);
    let _answers = Answers::start(client.clone(), Some("tenant-7"));
    let account = servers.service_account(NAMESPACE, NAMESPACE).await;
    let program = program();
    let kubeconfig = account.to_str().unwrap();
    let controller = program.start(&[
        "controller",
        "--kubeconfig",
        kubeconfig,
        "--leader-election",
        "on",
        "--network-policies",
    ]);

    // Everybody who may plan may know how it renders, and nothing else there.
    let stranger = servers.service_account("tenant-7", "stranger").await;
    let get = async |name: &str| {
        let arguments = ["get", "configmap", name, "-n", NAMESPACE, "-o", "yaml"];
        servers.kubectl_with(&stranger, &arguments, "").await
    };
    eventually("it is published how it renders", SOON, async || {
        let output = get("k0smotron-fleet-operator").await;
        match output.stdout.contains("networkPolicies") {
            true => Ok(()),
            false => Err(format!("{}{}", output.stderr, controller.log_tail(5))),
        }
    })
    .await;
    let output = get("k0smotron-fleet-settings").await;
    assert!(
        output.stderr.contains("Forbidden"),
        "{}{}",
        output.stdout,
        output.stderr
    );

    let create = async |name: &str, spec: Value| {
        let object = cluster(name, spec);
        servers
            .kubectl_with(&servers.kubeconfig(), &apply, &object)
            .await
            .success();
    };
    create("port", json!({})).await;
    create("volume", json!({ "deletionPolicy": "Delete", "replicas": 3 })).await;
    for name in ["port", "volume"] {
        ready(&servers, name).await;
    }
    what_holds_protected_clusters_is_kept(&servers, &account).await;
    create(
        "port",
        json!({ "service": { "type": "ClusterIP" }, "externalAddress": "kmc-port.tenant-7.svc" }),
    )
    .await;
    // Nobody resolves that name here, so the cluster is not ready again; but the old Service goes.
    let gone = [
        "wait",
        "--for=delete",
        "service/kmc-port-nodeport",
        "-n",
        "tenant-7",
        "--timeout=60s",
    ];
    servers.kubectl(&gone).await.success();
    let delete = [
        "delete",
        "k0c",
        "port",
        "volume",
        "-n",
        "tenant-7",
        "--wait=false",
    ];
    servers.kubectl(&delete).await.success();
    eventually("the clusters are gone", SOON, async || {
        let left = servers
            .kubectl(&["get", "k0c", "-n", "tenant-7", "-o", "name"])
            .await
            .success();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left}\n{}", controller.log_tail(30)))
        }
    })
    .await;
    controller.terminate(SOON);

    let user = format!("system:serviceaccount:{NAMESPACE}:{NAMESPACE}");
    let mut events = servers.audit.since(&client, Mark::BEGINNING).await;
    events.retain(|event| event.user == user && event.user_agent.starts_with("k0smotron-fleet/"));
    events.retain(|event| !event.resource.is_empty());
    let refused: BTreeSet<String> = events
        .iter()
        .filter(|event| event.code == 403)
        .map(used)
        .collect();
    assert_eq!(refused, BTreeSet::new(), "{}", controller.log_tail(30));
    let mut used: BTreeSet<String> = events.iter().map(used).collect();
    // An apply that creates is a patch in the log, and needs both.
    let created = events
        .iter()
        .filter(|event| event.verb == "patch" && event.code == 201);
    used.extend(created.map(|event| right("create", &event.group, &event.resource)));
    let unused = granted(&manifests)
        .into_iter()
        .filter(|right| !used.contains(right));
    let unexplained: Vec<String> = unused.filter(|right| !is_explained(right)).collect();
    assert_eq!(unexplained, [""; 0], "granted and not needed");
}

/// The controller marks what would take a protected cluster along, and takes its marks away again; it changes nothing else
/// there, although it might.
async fn what_holds_protected_clusters_is_kept(servers: &Servers, account: &Path) {
    let holders = [
        ["namespace", "tenant-7"],
        ["customresourcedefinition", "k0smotronclusters.k0smotron.io"],
    ];
    let protect = |value: &'static str| {
        let arguments = ["annotate", "k0c", "port", "volume", "-n", "tenant-7", value];
        async move { servers.kubectl(&arguments).await.success() }
    };
    let delete = async |[kind, name]: [&str; 2]| {
        let arguments = ["delete", kind, name, "--dry-run=server", "--wait=false"];
        servers.kubectl(&arguments).await
    };
    protect("fleet.k0smotron.io/protect=true").await;
    for holder in holders {
        eventually("it is kept", SOON, async || {
            let output = delete(holder).await;
            match output.stderr.contains("it holds protected clusters") {
                true => Ok(()),
                false => Err(output.stderr + &output.stdout),
            }
        })
        .await;
    }
    // What the rights of the account allow, and a policy does not.
    let privileged = "pod-security.kubernetes.io/enforce=privileged";
    for change in [
        &["label", "namespace", "kube-system", privileged][..],
        &["annotate", "namespace", "tenant-7", "example.org/a=b"],
        &[
            "label",
            "customresourcedefinition",
            "k0smotronclusters.k0smotron.io",
            "a=b",
        ],
    ] {
        let output = servers.kubectl_with(account, change, "").await;
        assert!(
            output.stderr.contains("changes nothing here but the label"),
            "{}",
            output.stderr
        );
    }
    protect("fleet.k0smotron.io/protect-").await;
    for holder in holders {
        eventually("it is let go", SOON, async || {
            let output = delete(holder).await;
            match output.code {
                0 => Ok(()),
                _ => Err(output.stderr + &output.stdout),
            }
        })
        .await;
    }
    let labels = ["get", "namespace", "-l", MARK, "-o", "name"];
    assert_eq!(
        servers.kubectl(&labels).await.success(),
        "namespace/default\n",
        "a mark of somebody else stays"
    );
}

/// Rights that this test does not come to use, and when they are.
fn is_explained(right: &str) -> bool {
    const WHEN: [(&str, &str); 14] = [
        (
            "an object of that name is there already",
            "get core/configmaps get core/services get core/persistentvolumeclaims",
        ),
        (
            "an object of that name is there already",
            "get apps/statefulsets get policy/poddisruptionbudgets",
        ),
        (
            "what is kept of a cluster is looked at again",
            "get k0smotron.io/k0smotronclusters delete core/configmaps",
        ),
        ("an Event repeats", "patch events.k8s.io/events"),
        (
            "the server enforces rights on owner references",
            "update k0smotron.io/k0smotronclusters/finalizers",
        ),
        (
            "a budget changes or goes",
            "patch policy/poddisruptionbudgets delete policy/poddisruptionbudgets",
        ),
        (
            "etcd is to be defragmented",
            "get batch/cronjobs create batch/cronjobs patch batch/cronjobs delete batch/cronjobs",
        ),
        ("a volume is to grow", "get storage.k8s.io/storageclasses"),
        (
            "network policies are there already, or are switched off",
            "get networking.k8s.io/networkpolicies delete networking.k8s.io/networkpolicies",
        ),
        ("a member of etcd is replaced", "list core/pods delete core/pods"),
        (
            "a cluster is behind an Ingress",
            "get networking.k8s.io/ingresses create networking.k8s.io/ingresses patch networking.k8s.io/ingresses \
             delete networking.k8s.io/ingresses",
        ),
        (
            "TLSRoutes are served, and a cluster is behind a Gateway",
            "get gateway.networking.k8s.io/tlsroutes list gateway.networking.k8s.io/tlsroutes \
             watch gateway.networking.k8s.io/tlsroutes create gateway.networking.k8s.io/tlsroutes \
             patch gateway.networking.k8s.io/tlsroutes delete gateway.networking.k8s.io/tlsroutes",
        ),
        (
            "a token is there",
            "patch k0smotron.io/k0smotronjointokens/status",
        ),
        (
            "a FleetSync is there",
            "list fleet.k0smotron.io/fleetsyncs watch fleet.k0smotron.io/fleetsyncs \
             patch fleet.k0smotron.io/fleetsyncs/status",
        ),
    ];
    let (verb, resource) = right.split_once(' ').unwrap();
    WHEN.iter().any(|(_, rights)| {
        let words: Vec<&str> = rights.split_whitespace().collect();
        words.chunks(2).any(|pair| pair == [verb, resource])
    })
}

#[tokio::test]
async fn the_installed_roles_are_enough_to_plan_and_apply_in_one_namespace() {
    let servers = Servers::start(Options::default()).await;
    let admin = servers.kubeconfig();
    let manifests = program().run(&["install"]).await.success();
    servers
        .kubectl_with(&admin, &["apply", "--server-side", "-f", "-"], &manifests)
        .await
        .success();
    crds::install(&servers.client().await).await;
    servers
        .kubectl(&["create", "namespace", "tenant-7"])
        .await
        .success();
    let program = program().kubeconfig(&servers.service_account("tenant-7", "team").await);
    let fleet = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: acme-7f3a}\n";
    write(
        &program,
        &[
            ("fleet.yaml", fleet),
            (
                "berlin.json",
                &cluster("berlin", json!({ "version": "v1.35.7+k0s.0" })),
            ),
        ],
    );
    let bind = async |namespace: &str, kind: &str, role: &str| {
        let role = format!("--{kind}={role}");
        let binding = [
            "create",
            "rolebinding",
            &role[role.find('=').unwrap() + 1..],
            "-n",
            namespace,
            &role,
        ];
        servers
            .kubectl(&[&binding[..], &["--serviceaccount=tenant-7:team"]].concat())
            .await
            .success();
    };
    bind("tenant-7", "clusterrole", "k0smotron-fleet-edit").await;
    bind(NAMESPACE, "role", "k0smotron-fleet-memory").await;
    eventually("the first apply is allowed", SOON, async || {
        let output = program.run(&["apply", "-y", "--first-apply"]).await;
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.stderr)
        }
    })
    .await;
    write(
        &program,
        &[(
            "berlin.json",
            &cluster("berlin", json!({ "version": "v1.35.7+k0s.0", "replicas": 0 })),
        )],
    );
    let output = program.run(&["plan"]).await;
    assert!(
        output.stdout.contains("1 to change (1 unknown)"),
        "{}{}",
        output.stdout,
        output.stderr
    );
    bind("tenant-7", "clusterrole", "k0smotron-fleet-preview").await;
    eventually("the impact is known", SOON, async || {
        let output = program.run(&["plan"]).await;
        let is_known = output.code == 0 && output.stdout.contains("1 to change");
        if is_known && !output.stdout.contains("(1 unknown)") {
            Ok(())
        } else {
            Err(output.stdout)
        }
    })
    .await;
}

#[tokio::test]
async fn a_controller_that_cannot_start_says_why() {
    let output = program().run(&["controller"]).await;
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("error: there is no kubeconfig"),
        "{}",
        output.stderr
    );
    let output = program().run(&["controller", "--listen", "8080"]).await;
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("write it as ADDRESS:PORT"),
        "{}",
        output.stderr
    );
    let output = program().run(&["controller", "--log", "=="]).await;
    assert_eq!(output.code, 1, "{}", output.stderr);
}
