//! The Services: one in front of the API and konnectivity, one that names the members of etcd.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::facts::{BalancerClass, Facts};
use super::gather::service_name;
use super::parts::{Pods, add_below, object, plain};
use super::resolved::{ResolvedCluster, StoragePlan};
use crate::api::cluster_parts::{API_PORT, IpFamily, KONNECTIVITY_PORT, ServiceSpec, ServiceType};
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, names};
use crate::etcd::{CLIENT_PORT, PEER_PORT};
use crate::object::kinds;

/// Answers for the API Service of every type, and for the Service of etcd.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    let wanted = wanted_type(cluster);
    for service_type in [
        ServiceType::NodePort,
        ServiceType::LoadBalancer,
        ServiceType::ClusterIp,
    ] {
        let name = service_name(&cluster.name, service_type);
        let answer = if service_type == wanted {
            Answer::Want(Desired::Object(api(cluster, &name, service_type)))
        } else {
            other(cluster, wanted)
        };
        answers.insert(cluster.id(kinds::SERVICE, name), answer);
    }
    if cluster.storage != StoragePlan::Etcd {
        return;
    }
    let name = names::etcd(&cluster.name);
    let answer = match &cluster.keys_wait {
        None => Answer::Want(Desired::Object(etcd(cluster, &name))),
        Some(waiting_on) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
    };
    answers.insert(cluster.id(kinds::SERVICE, name), answer);
}

fn wanted_type(cluster: &ResolvedCluster) -> ServiceType {
    let service = cluster.spec.service.as_ref();
    service
        .and_then(|service| service.service_type)
        .unwrap_or(ServiceType::NodePort)
}

/// Returns what is held because the API server lets nobody change it of a Service that is there.
pub(super) fn held(spec: &ClusterSpec, facts: &Facts) -> impl Iterator<Item = HeldStatus> {
    held_class(spec, facts)
        .into_iter()
        .chain(held_family(spec, facts))
}

/// The first family of a Service is that of its address, for good.
fn held_family(spec: &ClusterSpec, facts: &Facts) -> Option<HeldStatus> {
    let service = spec.service.as_ref()?;
    let name = service_name(&facts.name, service.service_type.unwrap_or(ServiceType::NodePort));
    let written = service.ip_families.first()?;
    let has = families(&facts.services.get(&name)?.cluster_ips).next()?;
    (has != *written).then(|| HeldStatus {
        what: "spec.service.ipFamilies".to_owned(),
        reason: "NotPossible".to_owned(),
        message: format!(
            "Service `{name}` was made with {has} first, which the API server lets nobody change; write `{has}` first, \
             or delete the Service to have it made anew with `{written}` (its address may be another one then)"
        ),
    })
}

/// Returns the families of addresses, in their order.
pub(super) fn families(addresses: &[String]) -> impl Iterator<Item = IpFamily> {
    addresses
        .iter()
        .filter_map(|address| match address.parse().ok()? {
            IpAddr::V4(_) => Some(IpFamily::V4),
            IpAddr::V6(_) => Some(IpFamily::V6),
        })
}

/// The families of the Service: those that are written, unless it is there and was made with another one first.
fn families_of(cluster: &ResolvedCluster, service_type: ServiceType, written: &[IpFamily]) -> Vec<IpFamily> {
    let live = cluster.services.get(&service_type);
    let live: Vec<IpFamily> = live
        .into_iter()
        .flat_map(|live| families(&live.cluster_ips))
        .collect();
    match (live.first(), written.first()) {
        (Some(has), Some(first)) if has != first => live,
        (Some(_) | None, _) => written.to_vec(),
    }
}

fn held_class(spec: &ClusterSpec, facts: &Facts) -> Option<HeldStatus> {
    let written = spec.service.as_ref()?.load_balancer_class.as_ref()?;
    let name = service_name(&facts.name, ServiceType::LoadBalancer);
    let (has, instead) = match &facts.services.get(&name)?.load_balancer_class {
        BalancerClass::Named(class) if class != written => {
            (format!("class `{class}`"), format!("write `{class}`"))
        }
        BalancerClass::Default => ("no class".to_owned(), "remove the field".to_owned()),
        BalancerClass::Named(_) | BalancerClass::Open => return None,
    };
    Some(HeldStatus {
        what: "spec.service.loadBalancerClass".to_owned(),
        reason: "NotPossible".to_owned(),
        message: format!(
            "Service `{name}` was made with {has}, which the API server lets nobody change; {instead}, or delete the \
             Service to have it made anew with `{written}` (its address may be another one then)"
        ),
    })
}

/// The class of the load balancer: once it is there the one that it was made with, whoever chose it.
fn balancer_class(cluster: &ResolvedCluster, written: Option<&String>) -> Option<String> {
    let live = cluster.services.get(&ServiceType::LoadBalancer);
    match live.map(|service| &service.load_balancer_class) {
        Some(BalancerClass::Named(class)) => Some(class.clone()),
        Some(BalancerClass::Default) => None,
        Some(BalancerClass::Open) | None => written.cloned(),
    }
}

/// A Service of another type than the wanted one goes once the wanted one carries the control plane: it exists, an
/// earlier pass has written that ports and address are its own, and all pods run with them.
fn other(cluster: &ResolvedCluster, wanted: ServiceType) -> Answer {
    let pods = cluster.stateful_sets.get(&names::control_plane(&cluster.name));
    let is_settled = pods.is_some_and(|pods| {
        pods.observed_generation >= pods.generation
            && pods.updated_replicas == pods.spec_replicas
            && pods.ready_replicas == pods.spec_replicas
    });
    let is_moved = cluster.found_pins.service_type == Some(wanted) && cluster.services.contains_key(&wanted);
    if is_moved && is_settled {
        Answer::Drop {
            why: format!("the Service is of type {wanted} now"),
        }
    } else {
        Answer::Keep {
            waiting_on: format!("the Service of type {wanted} to carry the control plane"),
        }
    }
}

fn api(cluster: &ResolvedCluster, name: &str, service_type: ServiceType) -> crate::object::Object {
    let written = cluster.spec.service.clone().unwrap_or_default();
    let ServiceSpec {
        service_type: _,
        api_port,
        konnectivity_port,
        annotations,
        labels,
        load_balancer_class,
        load_balancer_source_ranges,
        external_traffic_policy,
        ip_family_policy,
        ip_families,
    } = &written;
    // While a change of type is held the ports in effect belong to the old Service.
    let (known_api, known_konnectivity) = if cluster.service_type == service_type {
        cluster.ports
    } else {
        (*api_port, *konnectivity_port)
    };
    let port = |name: &str, known: Option<i32>, default: i32| -> Value {
        match service_type {
            ServiceType::NodePort => {
                let mut port = json!({"name": name, "protocol": "TCP", "port": default, "targetPort": name});
                if let Some(known) = known {
                    port["nodePort"] = json!(known);
                }
                port
            }
            ServiceType::LoadBalancer | ServiceType::ClusterIp => {
                json!({"name": name, "protocol": "TCP", "port": known.unwrap_or(default), "targetPort": name})
            }
        }
    };
    let mut metadata = cluster.owned_metadata(name, Pods::ControlPlane, "control-plane");
    add_below(&mut metadata, "labels", labels);
    add_below(&mut metadata, "annotations", annotations);
    let spec = plain(&json!({
        "type": service_type,
        "selector": cluster.selector(Pods::ControlPlane),
        "ports": [
            port("api", known_api, API_PORT),
            port("konnectivity", known_konnectivity, KONNECTIVITY_PORT),
        ],
        "loadBalancerClass": match service_type {
            ServiceType::LoadBalancer => balancer_class(cluster, load_balancer_class.as_ref()),
            ServiceType::NodePort | ServiceType::ClusterIp => load_balancer_class.clone(),
        },
        "loadBalancerSourceRanges": load_balancer_source_ranges,
        "externalTrafficPolicy": external_traffic_policy,
        "ipFamilyPolicy": ip_family_policy,
        "ipFamilies": families_of(cluster, service_type, ip_families),
    }));
    object(kinds::SERVICE, metadata, json!({"spec": spec}))
}

/// Gives every member a name, ready or not: they have to find each other to become ready.
fn etcd(cluster: &ResolvedCluster, name: &str) -> crate::object::Object {
    let port =
        |name: &str, port: i32| json!({"name": name, "protocol": "TCP", "port": port, "targetPort": port});
    object(
        kinds::SERVICE,
        cluster.owned_metadata(name, Pods::Etcd, "etcd"),
        json!({"spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": cluster.selector(Pods::Etcd),
            "ports": [port("client", CLIENT_PORT), port("peer", PEER_PORT)],
        }}),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::world::{World, balancer_address};
    use super::*;
    use crate::object::ObjectId;

    fn spec(class: Value) -> Value {
        json!({"service": {"type": "LoadBalancer", "loadBalancerClass": class}})
    }

    fn settled(class: Value) -> World {
        let mut world = World::settled(spec(class));
        balancer_address(&mut world, "198.51.100.4");
        world.settle();
        world
    }

    fn class(world: &World) -> Option<&str> {
        let service = world.get(kinds::SERVICE, "kmc-edge-lb");
        service.text("/spec/loadBalancerClass")
    }

    #[test]
    fn a_load_balancer_keeps_the_class_that_it_was_made_with_until_it_is_made_anew() {
        let mut world = settled(json!("example.org/fast"));
        world.respec(spec(json!("example.org/slow")));
        assert_eq!(world.settle(), 0);
        let held = world.resolved().held.remove(0);
        assert_eq!(
            (&*held.what, &*held.reason),
            ("spec.service.loadBalancerClass", "NotPossible")
        );
        assert!(
            held.message.contains("write `example.org/fast`"),
            "{}",
            held.message
        );
        assert_eq!(class(&world), Some("example.org/fast"));
        // Removed, the field asks for nothing.
        world.respec(spec(Value::Null));
        assert_eq!((world.settle(), world.held()), (0, Vec::new()));
        assert_eq!(class(&world), Some("example.org/fast"));
        world.respec(spec(json!("example.org/slow")));
        world
            .live
            .remove(&ObjectId::new(kinds::SERVICE, "tenant-7", "kmc-edge-lb"));
        world.settle();
        assert_eq!(class(&world), Some("example.org/slow"));
        assert_eq!(world.held(), Vec::<String>::new());
    }

    #[test]
    fn a_service_keeps_the_family_that_it_was_made_with_until_it_is_made_anew() {
        let mut world = World::settled(json!({}));
        world.respec(json!({"service": {"ipFamilies": ["IPv6"]}}));
        world.settle();
        let held = world.resolved().held.remove(0);
        assert_eq!(
            (&*held.what, &*held.reason),
            ("spec.service.ipFamilies", "NotPossible")
        );
        assert!(held.message.contains("write `IPv4` first"), "{}", held.message);
        let service = world.get(kinds::SERVICE, "kmc-edge-nodeport");
        assert_eq!(service.0["spec"]["ipFamilies"], json!(["IPv4"]));
        world.respec(json!({"service": {"ipFamilies": ["IPv4"]}}));
        world.settle();
        assert_eq!(world.held(), Vec::<String>::new());
    }

    #[test]
    fn a_load_balancer_of_the_default_class_can_be_given_none() {
        let mut world = settled(Value::Null);
        world.respec(spec(json!("example.org/fast")));
        assert_eq!(world.settle(), 0);
        let message = world.resolved().held.remove(0).message;
        assert!(
            message.contains("no class") && message.contains("remove the field"),
            "{message}"
        );
        assert_eq!(class(&world), None);
    }
}
