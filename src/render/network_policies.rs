//! Who may reach the pods: everybody the API and konnectivity, and etcd only who belongs to it.
//!
//! Egress stays open: a control plane talks to webhooks, identity providers and registries that only its owner knows.

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::facts::NetworkPolicySettings;
use super::parts::{Pods, object};
use super::resolved::{ResolvedCluster, StoragePlan};
use super::{monitoring, nats};
use crate::api::cluster_status::Endpoint;
use crate::api::{labels, names};
use crate::etcd::{CLIENT_PORT, METRICS_PORT, PEER_PORT};
use crate::object::kinds;

/// Answers for the policies of the control plane and of etcd.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    let (control_plane, etcd) = (names::control_plane(&cluster.name), names::etcd(&cluster.name));
    let of_control_plane = match (&cluster.network_policies, &cluster.endpoint) {
        (None, _) => not_wanted(),
        (Some(_), Err(waiting_on)) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        (Some(_), Ok(endpoint)) => want(
            cluster,
            &control_plane,
            Pods::ControlPlane,
            "control-plane",
            to_control_plane(cluster, endpoint),
        ),
    };
    answers.insert(cluster.id(kinds::NETWORK_POLICY, control_plane), of_control_plane);
    if cluster.storage != StoragePlan::Etcd {
        return;
    }
    let of_etcd = match &cluster.network_policies {
        None => not_wanted(),
        Some(settings) => want(cluster, &etcd, Pods::Etcd, "etcd", to_etcd(cluster, settings)),
    };
    answers.insert(cluster.id(kinds::NETWORK_POLICY, etcd), of_etcd);
}

fn not_wanted() -> Answer {
    Answer::Drop {
        why: "the operator makes no network policies".to_owned(),
    }
}

fn want(
    cluster: &ResolvedCluster,
    name: &str,
    pods: Pods,
    component: &'static str,
    ingress: Value,
) -> Answer {
    Answer::Want(Desired::Object(object(
        kinds::NETWORK_POLICY,
        cluster.owned_metadata(name, pods, component),
        json!({"spec": {
            "podSelector": {"matchLabels": cluster.selector(pods)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        }}),
    )))
}

fn to_control_plane(cluster: &ResolvedCluster, endpoint: &Endpoint) -> Value {
    let (api_port, konnectivity_port) = cluster.listening_ports(endpoint);
    let mut ports = vec![port(api_port), port(konnectivity_port)];
    if monitoring::is_enabled(&cluster.spec) {
        ports.push(port(monitoring::PORT));
    }
    let mut rules = vec![json!({"ports": ports})];
    if let StoragePlan::Nats(_) = cluster.storage {
        rules.push(json!({
            "from": [{"podSelector": {"matchLabels": cluster.selector(Pods::ControlPlane)}}],
            "ports": [port(nats::ROUTES_PORT)],
        }));
    }
    json!(rules)
}

/// Every pod of the cluster is a client of etcd; its peers are its own members alone. The operator asks members about
/// their health and changes the membership.
fn to_etcd(cluster: &ResolvedCluster, settings: &NetworkPolicySettings) -> Value {
    let mut of_cluster = cluster.selector(Pods::Etcd);
    of_cluster.remove(labels::COMPONENT);
    let operator = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.operator_namespace}},
        "podSelector": {"matchLabels": {
            labels::APP_NAME: labels::APP_MANAGED_BY_VALUE,
            labels::APP_COMPONENT: "controller",
        }},
    });
    let mut ports = vec![port(CLIENT_PORT)];
    if monitoring::is_enabled(&cluster.spec) {
        ports.push(port(METRICS_PORT));
    }
    json!([
        {"from": [{"podSelector": {"matchLabels": of_cluster}}, operator], "ports": ports},
        {
            "from": [{"podSelector": {"matchLabels": cluster.selector(Pods::Etcd)}}],
            "ports": [port(PEER_PORT)],
        },
    ])
}

fn port(port: i32) -> Value {
    json!({"protocol": "TCP", "port": port})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Object, ObjectId};
    use crate::render::world::World;

    fn world() -> World {
        let mut world = World::new(json!({}));
        world.settings.network_policies = Some(NetworkPolicySettings {
            operator_namespace: "k0smotron-fleet".into(),
        });
        world.settle();
        world
    }

    #[test]
    fn everybody_reaches_the_api_and_only_the_cluster_and_the_operator_reach_etcd() {
        let world = world();
        let ingress = |name: &str| world.get(kinds::NETWORK_POLICY, name).0["spec"]["ingress"].clone();
        let endpoint = world.resolved().endpoint.unwrap();
        assert_eq!(
            ingress("kmc-edge"),
            json!([{"ports": [
                {"protocol": "TCP", "port": endpoint.api_port},
                {"protocol": "TCP", "port": endpoint.konnectivity_port},
            ]}])
        );
        let clients = ingress("kmc-edge-etcd")[0]["from"].clone();
        assert_eq!(
            clients[0]["podSelector"]["matchLabels"],
            json!({"app": "k0smotron", "cluster": "edge"})
        );
        assert_eq!(
            clients[1]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
            "k0smotron-fleet"
        );
        assert_eq!(
            ingress("kmc-edge-etcd")[1]["from"][0]["podSelector"]["matchLabels"]["component"],
            "etcd"
        );
    }

    #[test]
    fn sidecars_are_reached_and_reach_the_metrics_of_etcd_and_a_front_opens_no_port_of_its_own() {
        let mut world = world();
        world.respec(json!({
            "monitoring": {"enabled": true},
            "ingress": {"apiHost": "api.example", "konnectivityHost": "konnectivity.example"},
        }));
        world.settle();
        let ports = |name: &str| -> Vec<i64> {
            let ports = &world.get(kinds::NETWORK_POLICY, name).0["spec"]["ingress"][0]["ports"];
            let ports = ports.as_array().unwrap().iter();
            ports.map(|port| port["port"].as_i64().unwrap()).collect()
        };
        assert_eq!(ports("kmc-edge"), [30443, 30132, 8090]);
        assert_eq!(ports("kmc-edge-etcd"), [2379, 2381]);
    }

    #[test]
    fn policies_go_when_the_operator_makes_none_any_more() {
        let mut world = world();
        world.settings.network_policies = None;
        world.settle();
        let dropped: Vec<String> = world.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(dropped.len(), 2, "{dropped:?}");
        let is_policy = |(id, _): (&ObjectId, &Object)| id.kind == kinds::NETWORK_POLICY;
        assert!(!world.live.iter().any(is_policy));
    }
}
