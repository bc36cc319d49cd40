//! Where a control plane is reached: Service, ports, address, names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Front;
use super::facts::{Facts, ServiceFacts, Settings};
use super::gather::service_name;
use super::services;
use crate::api::ClusterSpec;
use crate::api::cluster_parts::{API_PORT, IpFamily, KONNECTIVITY_PORT, ServiceSpec, ServiceType};
use crate::api::cluster_status::{Endpoint, HeldStatus};

/// Everything decided about how a control plane is reached.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exposure {
    /// The type that ports and address in effect belong to.
    pub service_type: ServiceType,
    /// Ports of the control plane, as far as they are known: `(api, konnectivity)`.
    pub ports: (Option<i32>, Option<i32>),
    pub host: Option<String>,
    /// The same, where it was written and is not the one that would be detected.
    pub written_address: Option<String>,
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
    front: Option<&Front>,
    held: &mut Vec<HeldStatus>,
) -> Exposure {
    let service = spec.service.clone().unwrap_or_default();
    let wanted = service.service_type.unwrap_or(ServiceType::NodePort);
    let services = by_type(facts);
    let live = services.get(&wanted);
    let detected = detect(&service, wanted, facts, live);
    let detected = detected.as_deref();
    let is_switch = facts.pins.service_type.is_some_and(|pinned| pinned != wanted);
    let written = (service.api_port, service.konnectivity_port);
    let ports = ports(wanted, written, facts, live, is_switch);
    if is_switch && let Some(reason) = switch_waits_for(spec, facts, front, live, detected, ports) {
        held.push(reason);
        return as_pinned(facts, wanted, settings, front);
    }
    let host = match front {
        // Nobody uses the address of the Service: what was used before is kept for the day when the front goes.
        Some(_) if is_switch => spec.external_address.clone(),
        Some(_) => spec
            .external_address
            .clone()
            .or(facts.pins.external_address.clone()),
        None => host(spec, facts, wanted, detected, held),
    };
    let written_address = written_address(spec, facts, host.as_deref(), detected);
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
    let endpoint = match (&keys_wait, ports, &host, front) {
        (Some(waiting), ..) => Err(waiting.clone()),
        (None, _, _, Some(front)) => Ok(front.endpoint()),
        (None, (Some(api), Some(konnectivity)), Some(host), None) => Ok(endpoint(host, api, konnectivity)),
        (None, _, _, None) => Err(match wanted {
            ServiceType::NodePort => {
                "the address of a Node (none has one of the Service's IP family; `spec.externalAddress` may name one)"
                    .to_owned()
            }
            ServiceType::LoadBalancer => {
                format!("an address of the load balancer of Service `{service}` (or `spec.externalAddress`)")
            }
            ServiceType::ClusterIp => format!("Service `{service}`"),
        }),
    };
    let sans = match &endpoint {
        Ok(endpoint) => sans(facts, settings, &service, live, endpoint, host.as_deref()),
        Err(_) => facts.pins.sans.clone(),
    };
    Exposure {
        service_type: wanted,
        ports,
        host,
        written_address,
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
///
/// *Shape*: of the family that the Service has first, if it has one of it. An address that is in use stays as long as
/// it is there, whichever is best now and in whatever order they are listed.
fn detect(
    spec: &ServiceSpec,
    wanted: ServiceType,
    facts: &Facts,
    live: Option<&ServiceFacts>,
) -> Option<String> {
    let candidates: Vec<String> = match wanted {
        ServiceType::NodePort => facts.node_addresses.clone(),
        ServiceType::LoadBalancer => live?
            .load_balancer
            .iter()
            .filter_map(|one| one.ip.clone().or_else(|| one.hostname.clone()))
            .collect(),
        ServiceType::ClusterIp => {
            return Some(format!(
                "{}.{}.svc",
                service_name(&facts.name, wanted),
                facts.namespace
            ));
        }
    };
    let pinned = facts.pins.external_address.as_ref();
    if let Some(kept) = pinned.filter(|pinned| candidates.contains(pinned)) {
        return Some(kept.clone());
    }
    let families = families(spec, live);
    if families.is_empty() {
        return candidates.into_iter().next();
    }
    let mut best = None;
    for candidate in candidates {
        // A name may stand for any address.
        let rank = match family(&candidate) {
            Some(family) => families.iter().position(|one| *one == family),
            None => Some(0),
        };
        // Before a Service of one family a load balancer may well stand with the other; a Node does not.
        let rank = rank.or((wanted == ServiceType::LoadBalancer).then_some(families.len()));
        if let Some(rank) = rank
            && best.as_ref().is_none_or(|(known, _)| rank < *known)
        {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, address)| address)
}

/// Families of the Service, the first one first: those it has, else those that are written.
fn families(spec: &ServiceSpec, live: Option<&ServiceFacts>) -> Vec<IpFamily> {
    let live: Vec<IpFamily> = live
        .into_iter()
        .flat_map(|live| services::families(&live.cluster_ips))
        .collect();
    if live.is_empty() {
        spec.ip_families.clone()
    } else {
        live
    }
}

fn family(address: &str) -> Option<IpFamily> {
    services::families(&[address.to_owned()]).next()
}

/// The address in effect: written, else pinned, else detected.
fn host(
    spec: &ClusterSpec,
    facts: &Facts,
    wanted: ServiceType,
    detected: Option<&str>,
    held: &mut Vec<HeldStatus>,
) -> Option<String> {
    if spec.external_address.is_some() {
        return spec.external_address.clone();
    }
    let Some(pinned) = facts.pins.external_address.clone() else {
        return detected.map(str::to_owned);
    };
    let is_detected = facts.pins.written_address.as_ref() != Some(&pinned);
    if let Some(detected) = detected.filter(|detected| is_detected && *detected != pinned) {
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

/// The address in effect where a user chose it and it is not the one that would be detected. It stays the user's when it
/// is no longer written: that another one is detected is no news then.
fn written_address(
    spec: &ClusterSpec,
    facts: &Facts,
    host: Option<&str>,
    detected: Option<&str>,
) -> Option<String> {
    let written = spec.external_address.as_ref();
    let chosen = written.or(facts.pins.written_address.as_ref())?;
    let is_chosen = host == Some(chosen) && detected != Some(chosen);
    is_chosen.then(|| chosen.clone())
}

/// Says why a change of the Service's type is not taken up yet. The old Service stays as long: it carries the address
/// that every worker has in its configuration.
fn switch_waits_for(
    spec: &ClusterSpec,
    facts: &Facts,
    front: Option<&Front>,
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
    if front.is_some() || spec.external_address.is_some() || pinned.is_none() || pinned == detected {
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
fn as_pinned(facts: &Facts, wanted: ServiceType, settings: &Settings, front: Option<&Front>) -> Exposure {
    let pins = &facts.pins;
    let service_type = pins.service_type.unwrap_or(wanted);
    let endpoint = match (
        &pins.external_address,
        pins.api_port,
        pins.konnectivity_port,
        front,
    ) {
        (_, Some(_), Some(_), Some(front)) => Ok(front.endpoint()),
        (Some(host), Some(api), Some(konnectivity), None) => Ok(endpoint(host, api, konnectivity)),
        _ => Err(format!("Service `{}`", service_name(&facts.name, wanted))),
    };
    let old = by_type(facts).get(&service_type).cloned();
    let name = service_name(&facts.name, service_type);
    Exposure {
        service_type,
        ports: (pins.api_port, pins.konnectivity_port),
        host: pins.external_address.clone(),
        written_address: pins.written_address.clone(),
        keys_wait: endpoint.as_ref().err().cloned(),
        sans: match &endpoint {
            Ok(endpoint) => {
                let own = pins.external_address.as_deref();
                sans(facts, settings, &name, old.as_ref(), endpoint, own)
            }
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
        konnectivity_host: None,
        url,
    }
}

/// The names under which the API server is reached. They only grow: a kubeconfig with an old one keeps working.
fn sans(
    facts: &Facts,
    settings: &Settings,
    service: &str,
    live: Option<&ServiceFacts>,
    endpoint: &Endpoint,
    own_address: Option<&str>,
) -> Vec<String> {
    let namespace = &facts.namespace;
    let of_service = format!("{service}.{namespace}.svc");
    let names = [
        endpoint.host.clone(),
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{of_service}.{}", settings.cluster_domain),
        of_service,
    ];
    let cluster_ips = live.into_iter().flat_map(|service| &service.cluster_ips);
    let is_address = |ip: &&String| ip.parse::<IpAddr>().is_ok();
    names
        .into_iter()
        .chain(endpoint.konnectivity_host.clone())
        .chain(own_address.map(str::to_owned))
        .chain(cluster_ips.filter(is_address).cloned())
        .chain(facts.pins.sans.iter().cloned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::world::World;
    use crate::api::{labels, names};
    use crate::object::{ObjectId, kinds};

    fn balancers(world: &mut World, addresses: Value) {
        let id = ObjectId::new(kinds::SERVICE, "tenant-7", names::service_load_balancer("edge"));
        world.live.get_mut(&id).unwrap().0["status"] = json!({"loadBalancer": {"ingress": addresses}});
    }

    fn has_families(world: &mut World, cluster_ips: Value) {
        for (id, object) in &mut world.live {
            if id.kind == kinds::SERVICE && object.text("/spec/clusterIP") != Some("None") {
                object.0["spec"]["clusterIPs"] = cluster_ips.clone();
            }
        }
    }

    #[test]
    fn a_node_is_reached_at_an_address_of_the_services_first_family_in_brackets_where_they_belong() {
        let spec = json!({"service": {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}});
        let mut world = World::new(spec);
        world.nodes = vec!["192.0.2.4".into(), "2001:db8::7".into()];
        world.pass();
        has_families(&mut world, json!(["fd00::12"]));
        world.settle();
        let endpoint = world.resolved().endpoint.unwrap();
        assert_eq!(endpoint.url, "https://[2001:db8::7]:30443");
        assert_eq!(endpoint.host, "2001:db8::7");
        let config = world.get(kinds::CONFIG_MAP, "kmc-edge-config");
        let k0s: Value = serde_saphyr::from_str(config.text("/data/k0s.yaml").unwrap()).unwrap();
        assert_eq!(k0s["spec"]["api"]["externalAddress"], "2001:db8::7");
        let sans = k0s["spec"]["api"]["sans"].as_array().unwrap();
        assert!(
            sans.contains(&json!("2001:db8::7")) && sans.contains(&json!("fd00::12")),
            "{sans:?}"
        );
    }

    #[test]
    fn without_an_address_of_its_family_a_service_waits_and_names_stand_for_any() {
        let mut world = World::new(json!({}));
        world.nodes = vec!["2001:db8::7".into()];
        world.settle();
        let waiting = world.resolved().endpoint.unwrap_err();
        assert!(waiting.contains("family"), "{waiting}");
        world.nodes.push("node.example".into());
        world.settle();
        assert_eq!(world.resolved().endpoint.unwrap().host, "node.example");
    }

    #[test]
    fn a_load_balancer_of_two_families_keeps_its_address_in_whatever_order_they_are_listed() {
        let mut world =
            World::settled(json!({"service": {"type": "LoadBalancer", "ipFamilies": ["IPv6", "IPv4"]}}));
        has_families(&mut world, json!(["fd00::12", "10.96.0.12"]));
        let (four, six) = (json!({"ip": "198.51.100.4"}), json!({"ip": "2001:db8::4"}));
        balancers(&mut world, json!([four, six]));
        world.settle();
        assert_eq!(
            world.resolved().endpoint.unwrap().url,
            "https://[2001:db8::4]:6443"
        );
        let before = world.lasting();
        balancers(&mut world, json!([six, four]));
        world.settle();
        assert_eq!((world.lasting(), world.held()), (before.clone(), Vec::new()));
        // It goes: reported, and nothing rolls.
        balancers(
            &mut world,
            json!([{"hostname": "lb.example"}, {"ip": "2001:db8::5"}]),
        );
        world.settle();
        assert_eq!(world.held(), ["AddressChanged"]);
        assert_eq!(world.lasting(), before);
        // Also when nothing of its families is left.
        has_families(&mut world, json!(["fd00::12"]));
        balancers(&mut world, json!([{"ip": "198.51.100.5"}]));
        assert_eq!(world.held(), ["AddressChanged"]);
    }

    #[test]
    fn an_address_that_was_written_stays_without_a_word_when_it_is_no_longer_written() {
        let mut world = World::settled(json!({}));
        world.respec(json!({"externalAddress": "edge.example"}));
        world.settle();
        let before = world.lasting();
        world.respec(json!({}));
        assert_eq!(world.settle(), 0);
        assert_eq!((world.lasting(), world.held()), (before.clone(), Vec::new()));
        // Nor does it matter where the Nodes are meanwhile.
        world.nodes = vec!["192.0.2.99".into()];
        assert_eq!(world.settle(), 0);
        assert_eq!((world.lasting(), world.held()), (before, Vec::new()));
        // One that is detected as well is as any that is detected.
        world.nodes = vec!["edge.example".into()];
        world.settle();
        world.nodes = vec!["192.0.2.99".into()];
        assert_eq!(world.held(), ["AddressChanged"]);
    }

    #[test]
    fn pins_of_an_earlier_release_are_not_written_anew_for_what_it_did_not_note() {
        let mut world = World::settled(json!({"externalAddress": "edge.example"}));
        let id = ObjectId::new(kinds::SECRET, "tenant-7", "edge-ca");
        let annotations = &mut world.live.get_mut(&id).unwrap().0["metadata"]["annotations"];
        let mut pins: Value = serde_json::from_str(annotations[labels::PINS].as_str().unwrap()).unwrap();
        assert_eq!(
            pins.as_object_mut().unwrap().remove("writtenAddress"),
            Some(json!("edge.example"))
        );
        annotations[labels::PINS] = json!(pins.to_string());
        assert_eq!(world.settle(), 0);
        // With the next thing that is written down it is.
        world.respec(json!({"externalAddress": "edge.example", "replicas": 3}));
        world.settle();
        world.respec(json!({"replicas": 3}));
        assert_eq!(world.held(), Vec::<String>::new());
    }

    #[test]
    fn behind_a_front_the_service_may_change_its_address_and_its_type() {
        let front = json!({"apiHost": "api.example", "konnectivityHost": "konnectivity.example"});
        let mut world = World::settled(json!({"ingress": front}));
        world.nodes = vec!["192.0.2.99".into()];
        world.settle();
        assert_eq!(world.held(), Vec::<String>::new());
        world.respec(json!({"ingress": front, "service": {"type": "ClusterIP"}}));
        world.settle();
        assert_eq!(world.held(), Vec::<String>::new());
        assert_eq!(world.resolved().endpoint.unwrap().url, "https://api.example:443");
        let dropped: Vec<_> = world.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(dropped, ["Service tenant-7/kmc-edge-nodeport"]);
    }
}
