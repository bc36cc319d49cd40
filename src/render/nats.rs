//! NATS servers in the pods of a control plane: k0s runs one in each, and they keep its data.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::fill::Part;
use super::parts::{Pods, object};
use super::resolved::{ResolvedCluster, StoragePlan};
use crate::api::names;
use crate::object::kinds;

/// Between the servers. Clients use loopback alone.
pub(super) const ROUTES_PORT: i32 = 6222;
const CLIENTS_PORT: i32 = 4222;
/// Where k0s finds the configuration of its server.
const FILE: &str = "/etc/nats/nats.conf";
const DATA: &str = "/nats-data";
/// Name of the claims, and of the volume in the pods.
pub(super) const CLAIM: &str = "nats-data";
const CONFIG_VOLUME: &str = "nats-config";
/// JetStream keeps no more copies.
const MOST_COPIES: i32 = 5;

/// Answers for the Service by which the servers find each other.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    let StoragePlan::Nats(_) = cluster.storage else {
        return;
    };
    let name = names::nats(&cluster.name);
    let service = object(
        kinds::SERVICE,
        cluster.owned_metadata(&name, Pods::ControlPlane, "nats"),
        json!({"spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            // They have to find each other to become ready.
            "publishNotReadyAddresses": true,
            "selector": cluster.selector(Pods::ControlPlane),
            "ports": [{"name": "nats", "protocol": "TCP", "port": ROUTES_PORT, "targetPort": ROUTES_PORT}],
        }}),
    );
    let answer = match &cluster.keys_wait {
        None => Answer::Want(Desired::Object(service)),
        Some(waiting_on) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
    };
    answers.insert(cluster.id(kinds::SERVICE, name), answer);
}

/// Returns the data source of kine.
pub(super) fn data_source(replicas: i32) -> String {
    let copies = match replicas {
        ..=1 => String::new(),
        more => format!("&replicas={}", more.min(MOST_COPIES)),
    };
    format!("nats://?serverConfig={FILE}{copies}")
}

/// Returns a configuration file for the server of each pod. Every pod needs to know its own name, and k0s is told one
/// path for all of them.
pub(super) fn files(cluster: &ResolvedCluster) -> BTreeMap<String, Vec<Part>> {
    let set = names::control_plane(&cluster.name);
    (0..cluster.replicas.max(1))
        .map(|ordinal| (format!("{set}-{ordinal}.conf"), file(cluster, &set, ordinal)))
        .collect()
}

fn file(cluster: &ResolvedCluster, set: &str, ordinal: i32) -> Vec<Part> {
    let alone = format!(
        "server_name: \"{set}-{ordinal}\"\nlisten: \"127.0.0.1:{CLIENTS_PORT}\"\njetstream {{\n  store_dir: \"{DATA}\"\n}}\n"
    );
    if cluster.replicas <= 1 {
        return vec![Part::Text(alone)];
    }
    let mut parts = vec![
        Part::Text(format!(
            "{alone}cluster {{\n  name: \"{set}\"\n  listen: \"0.0.0.0:{ROUTES_PORT}\"\n  authorization {{\n    \
             user: \"nats\"\n    password: \""
        )),
        Part::Plain,
        Part::Text("\"\n  }\n  routes: [\n".to_owned()),
    ];
    let service = names::nats(&cluster.name);
    for other in (0..cluster.replicas).filter(|other| *other != ordinal) {
        parts.push(Part::Text("    \"nats://nats:".to_owned()));
        parts.push(Part::Plain);
        parts.push(Part::Text(format!(
            "@{set}-{other}.{service}.{}.svc:{ROUTES_PORT}\"\n",
            cluster.namespace
        )));
    }
    parts.push(Part::Text("  ]\n}\n".to_owned()));
    parts
}

/// Adds to a pod what its server needs.
pub(super) fn extend_pod(cluster: &ResolvedCluster, pod: &mut Value) {
    // The server runs as a user of its own, in root's group, and must be able to write to the volume.
    pod["securityContext"]["fsGroup"] = json!(0);
    pod["securityContext"]["fsGroupChangePolicy"] = json!("OnRootMismatch");
    let container = &mut pod["containers"][0];
    container["env"] = json!([
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
    ]);
    push(
        &mut container["ports"],
        json!({"name": "nats", "protocol": "TCP", "containerPort": ROUTES_PORT}),
    );
    push(
        &mut container["volumeMounts"],
        json!({"name": CONFIG_VOLUME, "mountPath": FILE, "subPathExpr": "$(POD_NAME).conf", "readOnly": true}),
    );
    push(
        &mut container["volumeMounts"],
        json!({"name": CLAIM, "mountPath": DATA}),
    );
    push(
        &mut pod["volumes"],
        json!({"name": CONFIG_VOLUME, "secret": {
            "secretName": names::config(&cluster.name), "defaultMode": 0o440,
        }}),
    );
}

fn push(list: &mut Value, item: Value) {
    if let Value::Array(items) = list {
        items.push(item);
    }
}
