//! Where a control plane is reached: Service, ports, address, names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::facts::{Facts, ServiceFacts, Settings};
use super::gather::service_name;
use crate::api::ClusterSpec;
use crate::api::cluster_parts::ServiceType;
use crate::api::cluster_status::{Endpoint, HeldStatus};

const API_PORT: i32 = 6443;
const KONNECTIVITY_PORT: i32 = 8132;

/// Everything decided about how a control plane is reached.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exposure {
    /// The type that ports and address in effect belong to.
    pub service_type: ServiceType,
    /// Ports of the control plane, as far as they are known: `(api, konnectivity)`.
    pub ports: (Option<i32>, Option<i32>),
    pub host: Option<String>,
    pub endpoint: Result<Endpoint, String>,
    /// What keys that do not depend on the address wait for.
    pub keys_wait: Option<String>,
    /// Names of the API server, sorted: those pinned, and those of now once the endpoint is known.
    pub sans: Vec<String>,
}

/// Decides how a control plane is reached, and adds to `held` what is not done.
pub(super) fn decide(
    spec: &ClusterSpec,
    facts: &Facts,
    settings: &Settings,
    held: &mut Vec<HeldStatus>,
) -> Exposure {
    let service = spec.service.clone().unwrap_or_default();
    let wanted = service.service_type.unwrap_or(ServiceType::NodePort);
    let services = by_type(facts);
    let live = services.get(&wanted);
    let detected = detect(wanted, facts, live);
    let is_switch = facts.pins.service_type.is_some_and(|pinned| pinned != wanted);
    let written = (service.api_port, service.konnectivity_port);
    let ports = ports(wanted, written, facts, live, is_switch);
    if is_switch && let Some(reason) = switch_waits_for(spec, facts, live, detected.as_deref(), ports) {
        held.push(reason);
        return as_pinned(facts, wanted, settings);
    }
    let host = host(spec, facts, wanted, detected, held);
    let service = service_name(&facts.name, wanted);
    // With every pin known nothing has to be read off the Service: it may be made again without anything waiting.
    let is_pinned = !is_switch && facts.pins.api_port.is_some() && facts.pins.konnectivity_port.is_some();
    let keys_wait = match (live, ports) {
        (Some(_), (Some(_), Some(_))) => None,
        (None, (Some(_), Some(_))) if is_pinned => None,
        _ => Some(match wanted {
            ServiceType::NodePort => format!("the node ports of Service `{service}`"),
            ServiceType::LoadBalancer | ServiceType::ClusterIp => format!("Service `{service}`"),
        }),
    };
    let endpoint = match (&keys_wait, ports, &host) {
        (None, (Some(api), Some(konnectivity)), Some(host)) => Ok(endpoint(host, api, konnectivity)),
        (Some(waiting), ..) => Err(waiting.clone()),
        _ => Err(match wanted {
            ServiceType::NodePort => {
                "the address of a Node (none has one; `spec.externalAddress` may name one)".to_owned()
            }
            ServiceType::LoadBalancer => {
                format!("an address of the load balancer of Service `{service}` (or `spec.externalAddress`)")
            }
            ServiceType::ClusterIp => format!("Service `{service}`"),
        }),
    };
    let sans = match &endpoint {
        Ok(endpoint) => sans(facts, settings, &service, live, &endpoint.host),
        Err(_) => facts.pins.sans.clone(),
    };
    Exposure {
        service_type: wanted,
        ports,
        host,
        endpoint,
        keys_wait,
        sans,
    }
}

pub(super) fn by_type(facts: &Facts) -> BTreeMap<ServiceType, ServiceFacts> {
    facts
        .services
        .values()
        .map(|service| (service.service_type, service.clone()))
        .collect()
}

/// Returns the ports of the control plane, of the Service, and of the node, which for a NodePort are one number.
fn ports(
    wanted: ServiceType,
    written: (Option<i32>, Option<i32>),
    facts: &Facts,
    live: Option<&ServiceFacts>,
    is_switch: bool,
) -> (Option<i32>, Option<i32>) {
    let pins = (facts.pins.api_port, facts.pins.konnectivity_port);
    let pins = if is_switch { (None, None) } else { pins };
    let fallback = match wanted {
        ServiceType::NodePort => (
            live.and_then(|service| service.api_node_port),
            live.and_then(|service| service.konnectivity_node_port),
        ),
        ServiceType::LoadBalancer | ServiceType::ClusterIp => (Some(API_PORT), Some(KONNECTIVITY_PORT)),
    };
    (
        written.0.or(pins.0).or(fallback.0),
        written.1.or(pins.1).or(fallback.1),
    )
}

/// The address that a Service of this type has, as far as one can be seen.
fn detect(wanted: ServiceType, facts: &Facts, live: Option<&ServiceFacts>) -> Option<String> {
    match wanted {
        // A Node that is still there stays the address, whichever is best now.
        ServiceType::NodePort => {
            let pinned = facts.pins.external_address.as_ref();
            let addresses = &facts.node_addresses;
            let kept = pinned.filter(|pinned| addresses.contains(pinned));
            kept.or(addresses.first()).cloned()
        }
        ServiceType::LoadBalancer => {
            let balancer = live?.load_balancer.as_ref()?;
            balancer.ip.clone().or_else(|| balancer.hostname.clone())
        }
        ServiceType::ClusterIp => Some(format!(
            "{}.{}.svc",
            service_name(&facts.name, wanted),
            facts.namespace
        )),
    }
}

/// The address in effect: written, else pinned, else detected.
fn host(
    spec: &ClusterSpec,
    facts: &Facts,
    wanted: ServiceType,
    detected: Option<String>,
    held: &mut Vec<HeldStatus>,
) -> Option<String> {
    if spec.external_address.is_some() {
        return spec.external_address.clone();
    }
    let Some(pinned) = facts.pins.external_address.clone() else {
        return detected;
    };
    if let Some(detected) = detected.filter(|detected| *detected != pinned) {
        held.push(HeldStatus {
            what: "spec.externalAddress".to_owned(),
            reason: "AddressChanged".to_owned(),
            message: format!(
                "clients and workers use {pinned}; {wanted} would now give {detected}. Write `externalAddress: \
                 {detected}` to move them, or `externalAddress: {pinned}` to keep the old one for good"
            ),
        });
    }
    Some(pinned)
}

/// Says why a change of the Service's type is not taken up yet. The old Service stays as long: it carries the address
/// that every worker has in its configuration.
fn switch_waits_for(
    spec: &ClusterSpec,
    facts: &Facts,
    live: Option<&ServiceFacts>,
    detected: Option<&str>,
    ports: (Option<i32>, Option<i32>),
) -> Option<HeldStatus> {
    let hold = |reason: &str, message: String| {
        Some(HeldStatus {
            what: "spec.service.type".to_owned(),
            reason: reason.to_owned(),
            message,
        })
    };
    if live.is_none() || ports.0.is_none() || ports.1.is_none() {
        return hold("Waiting", "the new Service has to exist first".to_owned());
    }
    let pinned = facts.pins.external_address.as_deref();
    if spec.external_address.is_some() || pinned.is_none() || pinned == detected {
        return None;
    }
    let pinned = pinned.unwrap_or_default();
    match detected {
        None => hold("Waiting", "the new Service has no address yet".to_owned()),
        Some(detected) => hold(
            "AddressChanged",
            format!(
                "clients and workers use {pinned}, which the old Service gives; the new one gives {detected}. Write \
                 `externalAddress: {detected}` to move them"
            ),
        ),
    }
}

/// The exposure that the pins describe, while a change of type is held.
fn as_pinned(facts: &Facts, wanted: ServiceType, settings: &Settings) -> Exposure {
    let pins = &facts.pins;
    let service_type = pins.service_type.unwrap_or(wanted);
    let endpoint = match (&pins.external_address, pins.api_port, pins.konnectivity_port) {
        (Some(host), Some(api), Some(konnectivity)) => Ok(endpoint(host, api, konnectivity)),
        _ => Err(format!("Service `{}`", service_name(&facts.name, wanted))),
    };
    let old = by_type(facts).get(&service_type).cloned();
    let name = service_name(&facts.name, service_type);
    Exposure {
        service_type,
        ports: (pins.api_port, pins.konnectivity_port),
        host: pins.external_address.clone(),
        keys_wait: endpoint.as_ref().err().cloned(),
        sans: match &endpoint {
            Ok(endpoint) => sans(facts, settings, &name, old.as_ref(), &endpoint.host),
            Err(_) => pins.sans.clone(),
        },
        endpoint,
    }
}

fn endpoint(host: &str, api_port: i32, konnectivity_port: i32) -> Endpoint {
    let url = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("https://[{host}]:{api_port}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("https://{host}:{api_port}"),
    };
    Endpoint {
        host: host.to_owned(),
        api_port,
        konnectivity_port,
        url,
    }
}

/// The names under which the API server is reached. They only grow: a kubeconfig with an old one keeps working.
fn sans(
    facts: &Facts,
    settings: &Settings,
    service: &str,
    live: Option<&ServiceFacts>,
    host: &str,
) -> Vec<String> {
    let namespace = &facts.namespace;
    let of_service = format!("{service}.{namespace}.svc");
    let names = [
        host.to_owned(),
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{of_service}.{}", settings.cluster_domain),
        of_service,
    ];
    let cluster_ips = live.into_iter().flat_map(|service| &service.cluster_ips);
    let is_address = |ip: &&String| ip.parse::<IpAddr>().is_ok();
    names
        .into_iter()
        .chain(cluster_ips.filter(is_address).cloned())
        .chain(facts.pins.sans.iter().cloned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
