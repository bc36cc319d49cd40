//! The configuration: what k0s is started with, a file for every etcd member, manifests for the workload cluster.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Answers, Desired};
use super::front::Agents;
use super::parts::{Pods, object};
use super::resolved::{ResolvedCluster, StoragePlan};
use super::{config_secret, control_plane, front_manifests, monitoring, nats};
use crate::api::cluster_status::Endpoint;
use crate::api::names;
use crate::etcd::{Entry, Member, member_configuration};
use crate::k0s::{Forced, ForcedStorage, configuration};
use crate::object::{digest, kinds};

pub(super) const K0S_KEY: &str = "k0s.yaml";
pub(super) const TELEMETRY_KEY: &str = "telemetry.yaml";
pub(super) const ENDPOINT_KEY: &str = "endpoint.yaml";

/// Answers for the configuration object.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    if let Some(data_source) = cluster.storage.data_source() {
        config_secret::answer(cluster, data_source, answers);
        return;
    }
    let name = names::config(&cluster.name);
    let answer = match &cluster.endpoint {
        Err(waiting_on) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        Ok(endpoint) => {
            let metadata = cluster.owned_metadata(&name, Pods::ControlPlane, "cluster-config");
            let data = data(cluster, endpoint);
            Answer::Want(Desired::Object(object(
                kinds::CONFIG_MAP,
                metadata,
                json!({"data": data}),
            )))
        }
    };
    answers.insert(cluster.id(kinds::CONFIG_MAP, name), answer);
}

fn data(cluster: &ResolvedCluster, endpoint: &Endpoint) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |key: String, document: &Value| {
        data.insert(key, Value::String(yaml(document)));
    };
    put(
        K0S_KEY.to_owned(),
        &k0s_document(cluster, endpoint, &cluster.pins.sans),
    );
    put(TELEMETRY_KEY.to_owned(), &telemetry_manifest());
    put(ENDPOINT_KEY.to_owned(), &endpoint_manifest(endpoint));
    let etcd = names::etcd(&cluster.name);
    let record = &cluster.etcd.membership.record;
    let members = Member::all(&etcd, &cluster.namespace, record.running);
    // Once anybody has joined or left, nobody may found it again, not even a founder that has lost its data.
    let entry = if record.has_changed() {
        Entry::Joiner
    } else {
        Entry::Founder
    };
    let token = format!("{etcd}.{}", cluster.namespace);
    for (ordinal, member) in (0..).zip(&members) {
        let join = record.join(ordinal).map_or(0, |join| join.join);
        let mut file = member_configuration(member, &members, &token, entry, join);
        if let Value::Object(file) = &mut file {
            file.extend(cluster.etcd_settings.clone());
        }
        put(format!("{}.yaml", member.pod), &file);
    }
    let certificates = control_plane::certificates(cluster);
    data.extend(certificates.map(|(file, text)| (file.to_owned(), json!(text))));
    data
}

pub(super) fn telemetry_manifest() -> Value {
    workload_config_map("k0s-telemetry", json!({"provider": "k0smotron"}))
}

pub(super) fn endpoint_manifest(endpoint: &Endpoint) -> Value {
    workload_config_map(
        "control-plane-endpoint",
        json!({"apiServerHost": endpoint.host, "apiServerPort": endpoint.api_port.to_string()}),
    )
}

fn workload_config_map(name: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": data,
    })
}

/// Returns k0s.yaml, and what stands in it for the value that is filled in.
pub(super) fn k0s_file(cluster: &ResolvedCluster, endpoint: &Endpoint) -> (String, String) {
    let file = |marker: &str| yaml(&k0s_document_with(cluster, endpoint, &cluster.pins.sans, marker));
    match cluster.storage {
        // No document holds its own digest.
        StoragePlan::Kine(_) => {
            let marker = format!("value-{}", digest(&json!(file(""))));
            (file(&marker), marker)
        }
        StoragePlan::Nats(_) | StoragePlan::Etcd => {
            let source = nats::data_source(cluster.replicas);
            (file(&source), "\0".to_owned())
        }
    }
}

fn k0s_document(cluster: &ResolvedCluster, endpoint: &Endpoint, sans: &[String]) -> Value {
    let source = match cluster.storage {
        // Its digest stands beside that of the document.
        StoragePlan::Etcd | StoragePlan::Kine(_) => String::new(),
        StoragePlan::Nats(_) => nats::data_source(cluster.replicas),
    };
    k0s_document_with(cluster, endpoint, sans, &source)
}

fn k0s_document_with(cluster: &ResolvedCluster, endpoint: &Endpoint, sans: &[String], source: &str) -> Value {
    let etcd = format!(
        "https://{}:{}",
        names::etcd(&cluster.name),
        crate::etcd::CLIENT_PORT
    );
    let (api_port, konnectivity_port) = cluster.listening_ports(endpoint);
    let external_address = match &cluster.front {
        Some(front) => format!("{}:{}", front.api_host, front.port),
        None => endpoint.host.clone(),
    };
    let konnectivity_address = cluster.front.as_ref().map(|front| match front.agents {
        Agents::SentByK0s => format!("{}:{}", front.konnectivity_host, front.port),
        Agents::OurManifests => front.konnectivity_host.clone(),
    });
    configuration(
        cluster.spec.k0s_config.as_ref(),
        &Forced {
            external_address: &external_address,
            konnectivity_address: konnectivity_address.as_deref(),
            api_port,
            konnectivity_port,
            sans,
            storage: match cluster.storage {
                StoragePlan::Etcd => ForcedStorage::Etcd {
                    endpoint: &etcd,
                    prefix: &cluster.name,
                },
                StoragePlan::Kine(_) | StoragePlan::Nats(_) => ForcedStorage::Kine { data_source: source },
            },
        },
    )
}

impl ResolvedCluster {
    /// The ports on which the control plane listens. Behind a front they are not those of the endpoint.
    pub(super) fn listening_ports(&self, endpoint: &Endpoint) -> (i32, i32) {
        (
            self.ports.0.unwrap_or(endpoint.api_port),
            self.ports.1.unwrap_or(endpoint.konnectivity_port),
        )
    }
}

/// Returns the digest of what k0s reads at start and only then. Pods are replaced when it changes.
///
/// *Shape*: of the values and not of their YAML, so that another way to write them rolls nothing. The Service's own
/// addresses do not count: a Service that is made again (after a restored backup, or by hand) has others, and whoever
/// uses them can as well use its name. They are in the file, for the next start.
pub(super) fn k0s_digest(cluster: &ResolvedCluster, endpoint: &Endpoint) -> String {
    let is_address = |san: &str| san.parse::<std::net::IpAddr>().is_ok();
    let sans: Vec<String> = cluster
        .pins
        .sans
        .iter()
        .filter(|san| !is_address(san) || **san == endpoint.host)
        .cloned()
        .collect();
    let document = k0s_document(cluster, endpoint, &sans);
    let mut parts = vec![document];
    if let (Some(front), Some(fingerprint)) = (&cluster.front, &cluster.haproxy_fingerprint) {
        // k0s applies manifests when it starts.
        parts.push(Value::Object(front_manifests::data(cluster, front, fingerprint)));
    }
    if monitoring::is_enabled(&cluster.spec) {
        parts.push(Value::Object(monitoring::files(cluster, endpoint)));
    }
    match &parts[..] {
        [document] => digest(document),
        parts => digest(&json!(parts)),
    }
}

/// Writes a document as YAML, keys sorted.
pub(super) fn yaml(document: &Value) -> String {
    serde_saphyr::to_string(document).expect("JSON is plain data")
}
