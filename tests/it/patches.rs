//! Patches and the rules for patched pods, held against what a real API server makes of the same.

use std::collections::BTreeSet;

use k0smotron_fleet::render::merge_keys::{ListMerge, list_merge};
use k0smotron_fleet::render::{apply_strategic, baseline_violations};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Servers;
use crate::support::pod_security::pod_of;

/// Every kind that is rendered, by the name of its definition.
const KINDS: [(&str, &str); 7] = [
    ("ConfigMap", "io.k8s.api.core.v1.ConfigMap"),
    ("CronJob", "io.k8s.api.batch.v1.CronJob"),
    ("Ingress", "io.k8s.api.networking.v1.Ingress"),
    ("NetworkPolicy", "io.k8s.api.networking.v1.NetworkPolicy"),
    ("PodDisruptionBudget", "io.k8s.api.policy.v1.PodDisruptionBudget"),
    ("Service", "io.k8s.api.core.v1.Service"),
    ("StatefulSet", "io.k8s.api.apps.v1.StatefulSet"),
];

/// Walks a definition, and notes every list with what the document says about merging it.
fn lists(document: &Value, schema: &Value, path: &str, found: &mut Vec<(String, ListMerge)>) {
    if path.split('.').count() > 14 || path.split('.').any(|field| field == "status") {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/definitions/");
        return lists(document, &document["definitions"][name], path, found);
    }
    if schema["type"] == "array" {
        let merges = schema["x-kubernetes-patch-strategy"]
            .as_str()
            .is_some_and(|strategy| strategy.contains("merge"));
        let merge = match schema["x-kubernetes-patch-merge-key"].as_str() {
            Some(key) if merges => ListMerge::ByKey(Box::leak(key.to_owned().into_boxed_str())),
            None if merges => ListMerge::Values,
            _ => ListMerge::Atomic,
        };
        found.push((path.to_owned(), merge));
        return lists(document, &schema["items"], path, found);
    }
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        let below = if path.is_empty() {
            field.clone()
        } else {
            format!("{path}.{field}")
        };
        lists(document, property, &below, found);
    }
}

#[tokio::test]
async fn the_table_of_merge_keys_is_what_the_server_publishes() {
    let servers = Servers::shared().await;
    let text = servers.kubectl(&["get", "--raw", "/openapi/v2"]).await.success();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for (kind, definition) in KINDS {
        let mut published = Vec::new();
        lists(
            &document,
            &document["definitions"][definition],
            "",
            &mut published,
        );
        for (path, expected) in published {
            // Never rendered, and no user's: written by the API server alone.
            if path.starts_with("metadata.managedFields") {
                continue;
            }
            assert_eq!(list_merge(kind, &path), expected, "{kind} {path}");
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared}");
}

fn stateful_set(namespace: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "patched", "namespace": namespace, "labels": {"a": "b"}},
        "spec": {
            "replicas": 0, "serviceName": "none", "selector": {"matchLabels": {"app": "patched"}},
            "template": {
                "metadata": {"labels": {"app": "patched"}},
                "spec": {
                    "containers": [
                        {"name": "one", "image": "one:1", "args": ["a", "b"],
                         "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                         "ports": [{"name": "api", "containerPort": 6443}]},
                        {"name": "two", "image": "two:1"},
                    ],
                    "volumes": [
                        {"name": "data", "emptyDir": {}}, {"name": "run", "emptyDir": {"medium": "Memory"}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                    "tolerations": [{"key": "a", "operator": "Exists"}],
                    "nodeSelector": {"disk": "ssd", "zone": "a"},
                },
            },
        },
    })
}

/// What two objects have in common when the server has completed both.
fn content(mut object: Value) -> Value {
    let labels = object["metadata"]["labels"].take();
    json!([labels, object["spec"].take()])
}

#[rstest]
#[case::sidecar(json!({"containers": [{"name": "three", "image": "three:1"}]}))]
#[case::sidecar_behind(json!({"containers": [{"name": "three", "image": "three:1"}],
    "$setElementOrder/containers": [{"name": "one"}, {"name": "three"}, {"name": "two"}]}))]
#[case::variables(json!({"containers": [{"name": "one", "env": [{"name": "C", "value": "3"}, {"name": "A", "$patch": "delete"}]}]}))]
#[case::arguments(json!({"containers": [{"name": "one", "args": ["c"]}, {"name": "two", "image": "two:2"}]}))]
#[case::removed(json!({"containers": [{"name": "two", "$patch": "delete"}], "volumes": [{"name": "run", "$patch": "delete"}]}))]
#[case::replaced(json!({"volumes": [{"$patch": "replace"}, {"name": "only", "emptyDir": {}}]}))]
#[case::source(json!({"volumes": [{"name": "run", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}))]
#[case::map(json!({"nodeSelector": {"zone": null, "rack": "7"}}))]
#[case::new_map(json!({"nodeSelector": {"$patch": "replace", "rack": "7"}}))]
#[case::atomic(json!({"tolerations": [{"key": "b", "operator": "Exists"}]}))]
#[case::ports(json!({"containers": [{"name": "one", "ports": [{"containerPort": 9090, "name": "metrics"}]}]}))]
#[case::order(json!({"$setElementOrder/volumes": [{"name": "tmp"}, {"name": "data"}]}))]
#[case::middle(json!({"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "new", "emptyDir": {}}, {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}}]}))]
#[tokio::test]
async fn a_strategic_patch_gives_what_the_server_makes_of_it(#[case] pod: Value) {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("patches").await;
    let original = stateful_set(&namespace.name);
    let admin = servers.kubeconfig();
    let create = ["create", "-f", "-", "-o", "json"];
    servers
        .kubectl_with(&admin, &create, &original.to_string())
        .await
        .success();
    let patch = json!({"metadata": {"labels": {"c": "d"}}, "spec": {"template": {"spec": pod}}});
    let arguments = [
        "patch",
        "statefulset/patched",
        "-n",
        &namespace.name,
        "--type=strategic",
        "--dry-run=server",
        "-o",
        "json",
        "-p",
        &patch.to_string(),
    ];
    let theirs: Value = serde_json::from_str(&servers.kubectl(&arguments).await.success()).unwrap();

    let mut ours = original;
    apply_strategic("StatefulSet", &mut ours, &patch).unwrap();
    ours["metadata"]["name"] = json!("ours");
    let dry_run = ["create", "--dry-run=server", "-f", "-", "-o", "json"];
    let ours = servers
        .kubectl_with(&admin, &dry_run, &ours.to_string())
        .await
        .success();
    assert_eq!(content(serde_json::from_str(&ours).unwrap()), content(theirs));
}

/// Pods that break one rule each, and some that break none.
fn pods() -> Vec<(&'static str, Value)> {
    let container = |fields: Value| {
        let mut container = json!({"name": "c", "image": "c"});
        container
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        json!({"spec": {"containers": [container]}})
    };
    let security = |context: Value| container(json!({"securityContext": context}));
    let pod = |fields: Value| {
        let mut pod = container(json!({}));
        pod["spec"]
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        pod
    };
    let mut annotated = container(json!({}));
    annotated["metadata"]["annotations"] =
        json!({"container.apparmor.security.beta.kubernetes.io/c": "unconfined"});
    vec![
        ("", container(json!({}))),
        (
            "",
            security(json!({"capabilities": {"add": ["CHOWN", "NET_BIND_SERVICE"], "drop": ["ALL"]}})),
        ),
        (
            "",
            security(json!({"seccompProfile": {"type": "RuntimeDefault"}, "procMount": "Default"})),
        ),
        ("", security(json!({"seLinuxOptions": {"type": "container_t"}}))),
        (
            "",
            pod(
                json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "443"}]}}),
            ),
        ),
        ("host namespaces", pod(json!({"hostNetwork": true}))),
        ("host namespaces", pod(json!({"hostPID": true}))),
        ("host namespaces", pod(json!({"hostIPC": true}))),
        ("privileged", security(json!({"privileged": true}))),
        (
            "capabilities",
            security(json!({"capabilities": {"add": ["SYS_ADMIN"]}})),
        ),
        (
            "capabilities",
            security(json!({"capabilities": {"add": ["NET_RAW"]}})),
        ),
        (
            "hostPath",
            pod(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]})),
        ),
        (
            "host ports",
            container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
        ),
        ("AppArmor", annotated),
        (
            "AppArmor",
            security(json!({"appArmorProfile": {"type": "Unconfined"}})),
        ),
        ("SELinux", security(json!({"seLinuxOptions": {"type": "spc_t"}}))),
        ("SELinux", security(json!({"seLinuxOptions": {"user": "u"}}))),
        ("SELinux", security(json!({"seLinuxOptions": {"role": "r"}}))),
        (
            "seccomp",
            security(json!({"seccompProfile": {"type": "Unconfined"}})),
        ),
        (
            "seccomp",
            pod(json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})),
        ),
        (
            "sysctls",
            pod(json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}})),
        ),
        (
            "host probes",
            container(json!({"livenessProbe": {"httpGet": {"port": 80, "host": "192.0.2.1"}}})),
        ),
        (
            "host probes",
            container(json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 80, "host": "192.0.2.1"}}}})),
        ),
    ]
}

#[tokio::test]
async fn our_verdict_about_a_pod_is_the_servers_at_level_baseline() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace_enforcing("baseline").await;
    for (rule, template) in pods() {
        let pod = pod_of(&template, "judged", &namespace.name);
        let dry_run = ["create", "--dry-run=server", "-f", "-"];
        let output = servers
            .kubectl_with(&servers.kubeconfig(), &dry_run, &pod.to_string())
            .await;
        let violations = baseline_violations(&template);
        if rule.is_empty() {
            assert_eq!(violations, BTreeSet::new(), "{template}");
            assert_eq!(output.code, 0, "{template}: {}", output.stderr);
        } else {
            assert!(
                violations.iter().any(|violation| violation.starts_with(rule)),
                "{template}: {violations:?}"
            );
            assert_eq!(violations.len(), 1, "{violations:?}");
            // Privileged containers are switched off altogether on the servers of tests.
            let is_refused = ["violates PodSecurity \"baseline", "disallowed by cluster policy"]
                .iter()
                .any(|reason| output.stderr.contains(reason));
            assert!(is_refused, "{template}: {}", output.stderr);
        }
    }
}
