//! What leads the hosts of a front to the API Service: an Ingress, or two TLSRoutes.

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::gather::service_name;
use super::parts::{Pods, add_below, object, plain};
use super::resolved::ResolvedCluster;
use crate::api::cluster_parts::{API_PORT, GatewaySpec, IngressSpec, KONNECTIVITY_PORT, ServiceType};
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, names};
use crate::object::{Kind, Object, kinds};

/// Reason of what is held because the hosting cluster has no TLSRoutes.
const NOT_INSTALLED: &str = "NotInstalled";

/// Returns what is held when TLSRoutes are wanted where there are none.
pub(super) fn held(spec: &ClusterSpec, routes: Option<Kind>) -> Option<HeldStatus> {
    (spec.gateway.is_some() && routes.is_none()).then(|| HeldStatus {
        what: "spec.gateway".to_owned(),
        reason: NOT_INSTALLED.to_owned(),
        message: "this cluster serves no TLSRoutes, or the operator may not list them; install the Gateway API with \
                  TLSRoute, or write `ingress`. Everything else is done meanwhile"
            .to_owned(),
    })
}

/// Answers for the Ingress and for the TLSRoutes. What the spec says decides about them; of facts only whether the
/// hosting cluster has the kind, and without that nothing is done.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    let name = names::ingress(&cluster.name);
    let written = cluster.spec.ingress.as_ref();
    let answer = match written.filter(|ingress| ingress.deploy != Some(false)) {
        Some(spec) => Answer::Want(Desired::Object(ingress(cluster, &name, spec))),
        None => Answer::Drop {
            why: match written {
                Some(_) => "`spec.ingress.deploy` is false".to_owned(),
                None => "`spec.ingress` is not written".to_owned(),
            },
        },
    };
    answers.insert(cluster.id(kinds::INGRESS, name), answer);

    let routes = [
        (names::ingress(&cluster.name), "api"),
        (names::konnectivity_route(&cluster.name), "konnectivity"),
    ];
    for (name, port) in routes {
        let answer = match (cluster.routes, &cluster.spec.gateway) {
            (Some(kind), Some(gateway)) => {
                Answer::Want(Desired::Object(route(cluster, kind, &name, port, gateway)))
            }
            (Some(_), None) => Answer::Drop {
                why: "`spec.gateway` is not written".to_owned(),
            },
            (None, _) => Answer::Keep {
                waiting_on: "the Gateway API with TLSRoute in this cluster".to_owned(),
            },
        };
        let kind = cluster.routes.unwrap_or(kinds::TLS_ROUTE);
        // Where there are no TLSRoutes and none is wanted, there is nothing to say.
        if cluster.routes.is_some() || cluster.spec.gateway.is_some() {
            answers.insert(cluster.id(kind, name), answer);
        }
    }
}

/// The Service that carries the control plane: that of the type in effect, also while another one is on its way.
fn service(cluster: &ResolvedCluster) -> String {
    service_name(&cluster.name, cluster.service_type)
}

fn ingress(cluster: &ResolvedCluster, name: &str, written: &IngressSpec) -> Object {
    let IngressSpec {
        api_host,
        konnectivity_host,
        port: _,
        class_name,
        annotations,
        deploy: _,
    } = written;
    let mut metadata = cluster.owned_metadata(name, Pods::ControlPlane, "ingress");
    add_below(&mut metadata, "annotations", annotations);
    let service = service(cluster);
    // Nothing but the host tells the two apart, and TLS goes through to the control plane.
    let rule = |host: &str, port: &str| {
        json!({"host": host, "http": {"paths": [{
            "path": "/",
            "pathType": "Prefix",
            "backend": {"service": {"name": service, "port": {"name": port}}},
        }]}})
    };
    let spec = plain(&json!({
        "ingressClassName": class_name,
        "rules": [rule(api_host, "api"), rule(konnectivity_host, "konnectivity")],
    }));
    object(kinds::INGRESS, metadata, json!({"spec": spec}))
}

fn route(cluster: &ResolvedCluster, kind: Kind, name: &str, port: &str, written: &GatewaySpec) -> Object {
    let GatewaySpec {
        api_host,
        konnectivity_host,
        port: _,
        parent_refs,
    } = written;
    let host = if port == "api" {
        api_host
    } else {
        konnectivity_host
    };
    // What the server would fill in is written out, so that it is no difference.
    let parents: Vec<Value> = parent_refs
        .iter()
        .map(|parent| {
            plain(&json!({
                "group": kinds::TLS_ROUTE.group,
                "kind": "Gateway",
                "name": parent.name,
                "namespace": parent.namespace,
                "sectionName": parent.section_name,
                "port": parent.port,
            }))
        })
        .collect();
    object(
        kind,
        cluster.owned_metadata(name, Pods::ControlPlane, "ingress"),
        json!({"spec": {
            "hostnames": [host],
            "parentRefs": parents,
            // By number: a route knows no names of ports.
            "rules": [{"backendRefs": [{
                "group": "",
                "kind": "Service",
                "name": service(cluster),
                "port": service_port(cluster, port),
                "weight": 1,
            }]}],
        }}),
    )
}

/// The port of the Service, which for a NodePort is not that of the control plane.
fn service_port(cluster: &ResolvedCluster, name: &str) -> i32 {
    let (api, konnectivity) = cluster.service_ports();
    if name == "api" { api } else { konnectivity }
}

impl ResolvedCluster {
    /// Ports of the API Service in effect: `(api, konnectivity)`.
    pub fn service_ports(&self) -> (i32, i32) {
        let (api, konnectivity) = match self.service_type {
            ServiceType::NodePort => (None, None),
            ServiceType::LoadBalancer | ServiceType::ClusterIp => self.ports,
        };
        (api.unwrap_or(API_PORT), konnectivity.unwrap_or(KONNECTIVITY_PORT))
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;
    use crate::object::ObjectId;
    use crate::render::Facts;

    fn spec(deploy: bool) -> Value {
        json!({"ingress": {"apiHost": "api.example", "konnectivityHost": "konnectivity.example", "deploy": deploy}})
    }

    fn gateway() -> Value {
        json!({"gateway": {
            "apiHost": "api.example", "konnectivityHost": "konnectivity.example", "port": 8443,
            "parentRefs": [{"name": "edge", "namespace": "gateways"}],
        }})
    }

    fn has(world: &World, kind: Kind, name: &str) -> bool {
        world.live.contains_key(&ObjectId::new(kind, "tenant-7", name))
    }

    #[test]
    fn without_deploy_there_is_no_ingress_and_all_the_rest() {
        let (with, without) = (World::settled(spec(true)), World::settled(spec(false)));
        assert!(has(&with, kinds::INGRESS, "kmc-edge"));
        assert!(!has(&without, kinds::INGRESS, "kmc-edge"));
        assert_eq!(with.live.len(), without.live.len() + 1);
        assert_eq!(with.lasting(), without.lasting());
    }

    #[test]
    fn both_hosts_lead_to_the_service_by_name_or_number_whatever_its_type() {
        let world = World::settled(spec(true));
        let ingress = world.get(kinds::INGRESS, "kmc-edge");
        let backend = &ingress.0["spec"]["rules"][1]["http"]["paths"][0]["backend"]["service"];
        assert_eq!(
            backend,
            &json!({"name": "kmc-edge-nodeport", "port": {"name": "konnectivity"}})
        );
        let world = World::settled(gateway());
        let port = |world: &World, name: &str| {
            world.get(kinds::TLS_ROUTE, name).0["spec"]["rules"][0]["backendRefs"][0].clone()
        };
        let backend = |name: &str, port: i32| json!({"group": "", "kind": "Service", "name": name, "port": port, "weight": 1});
        let nodes = backend("kmc-edge-nodeport", 6443);
        assert_eq!(port(&world, "kmc-edge"), nodes);
        let mut written = gateway();
        written["service"] = json!({"type": "ClusterIP", "konnectivityPort": 9132});
        let world = World::settled(written);
        let within = backend("kmc-edge", 9132);
        assert_eq!(port(&world, "kmc-edge-konnectivity"), within);
    }

    #[test]
    fn routes_come_in_the_version_that_is_served_and_without_one_only_they_wait() {
        let world = World::new(gateway());
        let resolved = |routes| {
            let facts = Facts {
                routes,
                ..world.facts()
            };
            super::super::resolve(&world.cluster.spec, &facts, &world.settings).unwrap()
        };
        let old = super::super::objects(&resolved(Some(kinds::TLS_ROUTE_ALPHA)));
        let is_wanted = |kind: Kind| {
            let id = ObjectId::new(kind, "tenant-7", "kmc-edge");
            old.get(&id)
                .is_some_and(|answer| matches!(answer, Answer::Want(_)))
        };
        assert!(is_wanted(kinds::TLS_ROUTE_ALPHA) && !is_wanted(kinds::TLS_ROUTE));
        let none = resolved(None);
        assert_eq!(none.held[0].reason, NOT_INSTALLED);
        let waiting = super::super::objects(&none)
            .into_iter()
            .filter(|(id, answer)| id.kind == kinds::TLS_ROUTE && matches!(answer, Answer::Keep { .. }));
        assert_eq!(waiting.count(), 2);
    }

    #[test]
    fn they_go_with_the_field_and_what_running_pods_mount_goes_after_the_roll() {
        for written in [spec(true), gateway()] {
            let mut world = World::settled(written);
            world.respec(json!({}));
            // The pass that changes the template must not take away what the old pods start with.
            world.pass();
            assert!(has(&world, kinds::SECRET, "edge-ingress-haproxy"));
            assert!(has(&world, kinds::CONFIG_MAP, "kmc-edge-ingress"));
            assert!(!has(&world, kinds::INGRESS, "kmc-edge") && !has(&world, kinds::TLS_ROUTE, "kmc-edge"));
            world.settle();
            assert!(!has(&world, kinds::SECRET, "edge-ingress-haproxy"));
            assert!(!has(&world, kinds::CONFIG_MAP, "kmc-edge-ingress"));
            assert_eq!(world.resolved().endpoint.unwrap().host, "203.0.113.7");
        }
    }
}
