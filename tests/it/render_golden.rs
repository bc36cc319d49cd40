//! Golden files of what is rendered: `tests/golden/render/<case>/cluster.yaml` holds a cluster and what there is of it,
//! `expected.yaml` every answer. `UPDATE_GENERATED=1` writes the latter.

use std::fs;
use std::path::Path;

use k0smotron_fleet::api::{K0smotronCluster, labels};
use k0smotron_fleet::object::{Object, ObjectId, Observed, differences, kinds};
use k0smotron_fleet::render::{Answer, Desired, Facts, ResolvedCluster, Settings, Stalled, objects, resolve};
use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::support::Servers;
use crate::support::generated::assert_current;
use crate::support::pod_security::pod_of;

const NOW: &str = "2026-09-01T12:00:00Z";

#[rstest]
fn rendered_objects_are_as_reviewed(
    #[values(
        "node-port-first-pass",
        "node-port",
        "three-replicas-load-balancer-without-address",
        "five-replicas-cluster-ip-with-everything",
        "running-with-held-changes",
        "change-of-service-type",
        "foreign-and-left-over",
        "flags-manifests-and-mounts",
        "etcd-settings-and-defragmentation",
        "patches",
        "network-policies",
        "certificates-of-the-user",
        "ingress",
        "ingress-older-k0s",
        "gateway",
        "monitoring",
        "two-ip-families",
        "kine",
        "kine-without-its-secret",
        "nats",
        "persistent-volume-claim",
        "host-path",
        "growing-volumes"
    )]
    case: &str,
) {
    let expected = format!("tests/golden/render/{case}/expected.yaml");
    assert_current(&expected, &rendered(&input(case)));
}

pub fn input(case: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/render");
    let path = folder.join(case).join("cluster.yaml");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every complete object and every Secret without its data, moved to another namespace.
fn written(case: &str, namespace: &str) -> Vec<(ObjectId, Object)> {
    let answers = objects(&resolved(&input(case)).unwrap());
    let written = answers.into_values().filter_map(|answer| match answer {
        Answer::Want(
            Desired::Object(object)
            | Desired::Key { secret: object, .. }
            | Desired::Filled { secret: object, .. },
        ) => Some(object),
        Answer::Want(Desired::Metadata { .. } | Desired::Grown { .. } | Desired::AsItIs)
        | Answer::Drop { .. }
        | Answer::Keep { .. } => None,
    });
    written
        .map(|mut object| {
            object.0["metadata"]["namespace"] = json!(namespace);
            move_node_ports(&mut object);
            (object.id().unwrap(), object)
        })
        .collect()
}

/// Gives the Service ports that the API server allocates to nobody by itself: clusters of tests that run beside this
/// one may hold those of the golden files.
fn move_node_ports(object: &mut Object) {
    if let Some(Value::Array(ports)) = object.0.pointer_mut("/spec/ports") {
        for (port, free) in ports.iter_mut().zip(30_000..) {
            if let Some(node_port) = port.get_mut("nodePort") {
                *node_port = json!(free);
            }
        }
    }
}

/// Sends objects to a real API server, which checks and completes them and stores nothing.
async fn dry_run(servers: &Servers, objects: Vec<Value>) -> Vec<Object> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let arguments = [
        "create",
        "--dry-run=server",
        "--validate=strict",
        "-o",
        "json",
        "-f",
        "-",
    ];
    let output = servers
        .kubectl_with(&servers.kubeconfig(), &arguments, &list)
        .await;
    assert!(!output.stderr.contains("Warning"), "{}", output.stderr);
    // One document after the other.
    serde_json::Deserializer::from_str(&output.success())
        .into_iter::<Value>()
        .map(|object| Object(object.unwrap()))
        .collect()
}

#[rstest]
#[case("node-port-first-pass")]
#[case("node-port")]
#[case("flags-manifests-and-mounts")]
#[case("etcd-settings-and-defragmentation")]
#[case("patches")]
#[case("network-policies")]
#[case("certificates-of-the-user")]
#[case("ingress")]
#[case("monitoring")]
#[case("ingress-older-k0s")]
#[case("kine")]
#[case("nats")]
#[case("persistent-volume-claim")]
#[case("host-path")]
#[case("three-replicas-load-balancer-without-address")]
#[case("five-replicas-cluster-ip-with-everything")]
#[tokio::test]
async fn a_real_server_takes_every_object_and_what_it_makes_of_one_is_no_difference(#[case] case: &str) {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("rendered").await;
    let written = written(case, &namespace.name);
    let served = dry_run(
        servers,
        written.iter().map(|(_, object)| object.0.clone()).collect(),
    )
    .await;
    assert_eq!(served.len(), written.len());
    for (id, object) in &written {
        let live = served.iter().find(|live| live.id().as_ref() == Some(id)).unwrap();
        let differences = differences(object, live, labels::OPERATOR_MANAGER);
        assert!(differences.is_empty(), "{id}: {differences:?}");
    }
}

#[tokio::test]
async fn control_plane_pods_are_baseline_and_etcd_pods_are_restricted() {
    let servers = Servers::shared().await;
    for (case, name, level) in [
        ("node-port", "kmc-edge", "baseline"),
        ("monitoring", "kmc-edge", "baseline"),
        ("ingress", "kmc-edge", "baseline"),
        ("gateway", "kmc-edge", "baseline"),
        ("node-port", "kmc-edge-etcd", "restricted"),
    ] {
        let namespace = servers.namespace_enforcing(level).await;
        let sets = written(case, &namespace.name);
        let (_, set) = sets
            .iter()
            .find(|(id, _)| id.kind == kinds::STATEFUL_SET && id.name == name)
            .unwrap();
        let mut pod = pod_of(&set.0["spec"]["template"], name, &namespace.name);
        if let Some(Value::Array(volumes)) = pod.pointer_mut("/spec/volumes")
            && name.ends_with("etcd")
        {
            volumes.push(json!({"name": "etcd-data", "persistentVolumeClaim": {"claimName": "etcd-data"}}));
        }
        assert_eq!(dry_run(servers, vec![pod]).await.len(), 1);
    }
}

#[tokio::test]
async fn pods_that_defragment_etcd_are_restricted() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace_enforcing("restricted").await;
    let written = written("etcd-settings-and-defragmentation", &namespace.name);
    let (_, job) = written.iter().find(|(id, _)| id.kind == kinds::CRON_JOB).unwrap();
    let template = &job.0["spec"]["jobTemplate"]["spec"]["template"];
    let pod = pod_of(template, "defrag", &namespace.name);
    assert_eq!(dry_run(servers, vec![pod]).await.len(), 1);
}

/// Returns what a file with a cluster and what there is of it comes to.
pub fn resolved(text: &str) -> Result<ResolvedCluster, Stalled> {
    let mut documents = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let cluster: K0smotronCluster = serde_json::from_value(documents.next().unwrap()).unwrap();
    let (settings, rest): (Vec<Value>, Vec<Value>) =
        documents.partition(|document| document.get("kind").is_none());
    let setting = |name: &str| settings.iter().find_map(|document| document.get(name).cloned());
    let nodes: Vec<String> = setting("nodes")
        .map(|nodes| serde_json::from_value(nodes).unwrap())
        .unwrap_or_default();
    let mut operator = Settings::standard();
    if let Some(revision) = setting("rendererRevision") {
        operator.renderer_revision = serde_json::from_value(revision).unwrap();
    }
    operator.network_policies =
        setting("networkPolicies").map(|settings| serde_json::from_value(settings).unwrap());
    let children = Observed {
        objects: rest
            .into_iter()
            .map(|document| (Object(document.clone()).id().unwrap(), Object(document)))
            .collect(),
        unreadable: Vec::new(),
    };
    if let Some(allows) = setting("allowsHostPath") {
        operator.allows_host_path = serde_json::from_value(allows).unwrap();
    }
    let mut facts = Facts::gather(&cluster, &children, &nodes, NOW.parse().unwrap());
    facts.data_source = setting("dataSource").map(|found| serde_json::from_value(found).unwrap());
    if let Some(classes) = setting("storageClasses") {
        facts.storage_classes = serde_json::from_value(classes).unwrap();
    }
    let given = setting("given").map(|given| serde_json::from_value(given).unwrap());
    resolve(
        &cluster.spec,
        &facts.with_given(given.unwrap_or_default()),
        &operator,
    )
}

fn rendered(text: &str) -> String {
    let resolved = match resolved(text) {
        Ok(resolved) => resolved,
        Err(stalled) => return yaml(&json!({"stalled": stalled})),
    };
    let answers = objects(&resolved);
    let mut summary = Map::new();
    let mut documents = Vec::new();
    for (id, answer) in &answers {
        let word = match answer {
            Answer::Want(Desired::Object(object)) => {
                documents.push(yaml(&object.0));
                "want".to_owned()
            }
            Answer::Want(Desired::Key { secret, issue, .. }) => {
                documents.push(yaml(&json!({"issue": issue, "secret": secret})));
                "make the key".to_owned()
            }
            Answer::Want(Desired::Filled { secret, fill }) => {
                documents.push(yaml(&json!({"fill": fill, "secret": secret})));
                "fill".to_owned()
            }
            Answer::Want(Desired::Grown { size }) => format!("grow to {size}"),
            Answer::Want(Desired::Metadata { patch }) => {
                documents.push(yaml(&json!({"metadataOf": id.to_string(), "patch": patch})));
                "change metadata".to_owned()
            }
            Answer::Want(Desired::AsItIs) => "as it is".to_owned(),
            Answer::Drop { why } => format!("DROP: {why}"),
            Answer::Keep { waiting_on } => format!("keep, waiting for {waiting_on}"),
        };
        summary.insert(id.to_string(), Value::String(word));
    }
    let head = json!({
        "answers": summary,
        "held": resolved.held,
        "pins": resolved.pins,
        "endpoint": resolved.endpoint.as_ref().map_or(Value::Null, |endpoint| json!(endpoint)),
    });
    std::iter::once(yaml(&head))
        .chain(documents)
        .collect::<Vec<_>>()
        .join("---\n")
}

pub fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    if text.ends_with('\n') { text } else { text + "\n" }
}
