//! Facts from the cluster object, what was observed of its children, and the addresses of Nodes.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

use super::facts::{
    BalancerClass, ClaimFacts, ConfigFacts, Facts, LoadBalancerFacts, ServiceFacts, StatefulSetFacts,
    VolumeFacts,
};
use crate::api::cluster_parts::{ServiceType, StorageType};
use crate::api::cluster_status::Endpoint;
use crate::api::{ClusterStatus, K0smotronCluster, Pins, condition, labels, names};
use crate::k0s::Version;
use crate::object::{Kind, Object, ObjectId, Observed, kinds};
use crate::pki::{KeyFacts, KeyPurpose};

/// Every type, in the order in which a Service is looked for.
const SERVICE_TYPES: [ServiceType; 3] = [
    ServiceType::NodePort,
    ServiceType::LoadBalancer,
    ServiceType::ClusterIp,
];

/// Kinds that are looked at.
const KINDS: [Kind; 4] = [
    kinds::SERVICE,
    kinds::SECRET,
    kinds::PERSISTENT_VOLUME_CLAIM,
    kinds::STATEFUL_SET,
];

/// Name of the API Service of one type.
pub(super) fn service_name(cluster: &str, service_type: ServiceType) -> String {
    match service_type {
        ServiceType::NodePort => names::service_node_port(cluster),
        ServiceType::LoadBalancer => names::service_load_balancer(cluster),
        ServiceType::ClusterIp => names::control_plane(cluster),
    }
}

/// First part of the names of an etcd's claims; the rest is the number of the member.
pub(super) const ETCD_CLAIM: &str = "etcd-data";

impl Facts {
    /// Gathers what is known of one cluster.
    ///
    /// *Shape*: `children` may hold more than the children of this cluster; objects that are not ours do not count.
    /// `node_addresses` is best first and may be empty. Never fails: what cannot be read is not known.
    pub fn gather(
        cluster: &K0smotronCluster,
        children: &Observed,
        node_addresses: &[String],
        now: Timestamp,
    ) -> Self {
        let look = Look::new(cluster, children);
        let status = cluster.status.clone().unwrap_or_default();
        let stored_pins = look.stored_pins();
        let pinned_uid = stored_pins
            .as_ref()
            .and_then(|pins| pins.cluster_uid.clone())
            .or_else(|| status.pins.as_ref()?.cluster_uid.clone());
        let look = Look { pinned_uid, ..look };
        let created_at = cluster
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0.to_string());
        let (services, volumes) = (look.services(), look.volumes());
        let pins = Look::pins(stored_pins.clone(), look.live_pins(&services, &volumes), &status);
        Self {
            name: look.name.clone(),
            namespace: look.namespace.clone(),
            uid: look.uid.clone(),
            generation: cluster.metadata.generation.unwrap_or_default(),
            created_at,
            now,
            pins,
            stored_pins,
            services,
            keys: look.keys(),
            given: Default::default(),
            pins_secret: look.pins_secret().map(key_facts),
            stateful_sets: [names::control_plane(&look.name), names::etcd(&look.name)]
                .into_iter()
                .filter_map(|name| Some((name.clone(), stateful_set(look.ours(kinds::STATEFUL_SET, &name)?))))
                .collect(),
            routes: [kinds::TLS_ROUTE, kinds::TLS_ROUTE_ALPHA]
                .into_iter()
                .find(|&kind| children.is_complete_for(kind, &look.namespace)),
            node_addresses: node_addresses.to_vec(),
            volumes,
            config: look.config(),
            data_source: None,
            storage_classes: BTreeMap::new(),
            running_version: status.version.clone(),
            ca_fingerprint: status.ca_fingerprint.clone(),
            left_to_adopt: look.left_to_adopt(),
            not_ready_since: status
                .conditions
                .iter()
                .find(|one| one.type_ == condition::READY && one.status == "False")
                .map(|one| one.last_transition_time.0),
            etcd: None,
            unreadable: KINDS
                .iter()
                .filter(|&&kind| !children.is_complete_for(kind, &look.namespace))
                .map(|kind| kind.kind.to_owned())
                .collect(),
        }
    }
}

/// A look at the children of one cluster.
struct Look<'a> {
    name: String,
    namespace: String,
    uid: String,
    pinned_uid: Option<String>,
    children: &'a Observed,
}

impl<'a> Look<'a> {
    fn new(cluster: &K0smotronCluster, children: &'a Observed) -> Self {
        Self {
            name: cluster.name_any(),
            namespace: cluster.namespace().unwrap_or_default(),
            uid: cluster.metadata.uid.clone().unwrap_or_default(),
            pinned_uid: None,
            children,
        }
    }

    fn get(&self, kind: Kind, name: &str) -> Option<&'a Object> {
        self.children
            .objects
            .get(&ObjectId::new(kind, &self.namespace, name))
    }

    /// The uid that an object says it belongs to: its controller's, else its label's.
    fn owner_of(object: &Object) -> Option<&str> {
        object
            .controller_uid()
            .or_else(|| object.label(labels::CLUSTER_UID))
    }

    fn ours(&self, kind: Kind, name: &str) -> Option<&'a Object> {
        self.get(kind, name).filter(|object| {
            let owner = Self::owner_of(object);
            owner == Some(&self.uid) || (owner.is_some() && owner == self.pinned_uid.as_deref())
        })
    }

    /// A Secret that we made for some cluster of this name.
    fn key_secret(&self, purpose: KeyPurpose) -> Option<(&'a Object, bool)> {
        self.secret(&names::key(&self.name, purpose.suffix()))
    }

    /// The Secret with the pins of a cluster whose CA is the user's.
    fn pins_secret(&self) -> Option<(&'a Object, bool)> {
        self.secret(&names::pins(&self.name))
    }

    fn secret(&self, name: &str) -> Option<(&'a Object, bool)> {
        let secret = self.get(kinds::SECRET, name)?;
        let is_made_by_us = secret.label(labels::APP_MANAGED_BY) == Some(labels::APP_MANAGED_BY_VALUE)
            && secret.label(labels::CLUSTER) == Some(&self.name);
        Some((secret, is_made_by_us))
    }

    fn stored_pins(&self) -> Option<Pins> {
        let is_made_by_us = |secret: &(&Object, bool)| secret.1;
        let ca = self.key_secret(KeyPurpose::Ca).filter(is_made_by_us);
        let (secret, _) = ca.or_else(|| self.pins_secret().filter(is_made_by_us))?;
        let text = secret.annotation(labels::PINS)?;
        // What cannot be read any more is decided again from the children and the status, and then written anew.
        serde_json::from_str(text).ok()
    }

    fn keys(&self) -> BTreeMap<KeyPurpose, KeyFacts> {
        KeyPurpose::ALL
            .into_iter()
            .filter_map(|purpose| Some((purpose, key_facts(self.key_secret(purpose)?))))
            .collect()
    }

    fn config(&self) -> Option<ConfigFacts> {
        let secret = self.ours(kinds::SECRET, &names::config(&self.name))?;
        let annotation = |key| secret.annotation(key).map(str::to_owned);
        Some(ConfigFacts {
            source_version: annotation(labels::SOURCE_VERSION),
            source_digest: annotation(labels::SOURCE_DIGEST),
            content_digest: annotation(labels::CONTENT_DIGEST),
        })
    }

    /// What is mounted tells: a ConfigMap goes with etcd, a Secret with the others, of which NATS has volumes.
    fn live_storage(&self) -> Option<StorageType> {
        let pods = self.ours(kinds::STATEFUL_SET, &names::control_plane(&self.name))?;
        let volumes = pods.0.pointer("/spec/template/spec/volumes");
        let volumes = volumes
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_filled = volumes
            .iter()
            .any(|volume| volume["name"] == "config" && volume.get("secret").is_some());
        let has_nats = volumes.iter().any(|volume| volume["name"] == "nats-config");
        is_filled.then_some(if has_nats {
            StorageType::Nats
        } else {
            StorageType::Kine
        })
    }

    fn services(&self) -> BTreeMap<String, ServiceFacts> {
        SERVICE_TYPES
            .into_iter()
            .filter_map(|service_type| {
                let name = service_name(&self.name, service_type);
                let object = self.ours(kinds::SERVICE, &name)?;
                Some((name, service(object, service_type)))
            })
            .collect()
    }

    fn volumes(&self) -> BTreeMap<String, VolumeFacts> {
        let of_etcd = claims_of_etcd(&self.name);
        let of_control_plane = format!("-{}-", names::control_plane(&self.name));
        // First parts of these are the user's to choose, so the labels tell as well.
        let is_of_control_plane = |name: &str, claim: &Object| {
            claim.label(labels::APP_MANAGED_BY) == Some(labels::APP_MANAGED_BY_VALUE)
                && claim.label(labels::APP_INSTANCE) == Some(&self.name)
                && name
                    .rsplit_once(&of_control_plane)
                    .is_some_and(|(_, ordinal)| is_ordinal(ordinal))
        };
        self.children
            .objects
            .iter()
            .filter(|(id, _)| id.kind == kinds::PERSISTENT_VOLUME_CLAIM && id.namespace == self.namespace)
            .filter(|(id, claim)| is_numbered(&id.name, &of_etcd) || is_of_control_plane(&id.name, claim))
            .map(|(id, claim)| {
                let facts = VolumeFacts {
                    cluster_uid: claim.label(labels::CLUSTER_UID).map(str::to_owned),
                    ca_fingerprint: claim.annotation(labels::FINGERPRINT).map(str::to_owned),
                    is_retained: claim.label(labels::RETAINED).is_some(),
                    requested: claim.text("/spec/resources/requests/storage").map(str::to_owned),
                    capacity: claim.text("/status/capacity/storage").map(str::to_owned),
                    storage_class: claim.text("/spec/storageClassName").map(str::to_owned),
                    is_bound: claim.text("/status/phase") == Some("Bound"),
                };
                (id.name.clone(), facts)
            })
            .collect()
    }

    /// Pins field by field: as stored, else as the children show, else as the status mirrors them.
    fn pins(stored: Option<Pins>, live: Pins, status: &ClusterStatus) -> Pins {
        let stored = stored.unwrap_or_default();
        let status_pins = status.pins.clone().unwrap_or_default();
        // The host of an Ingress or a Gateway is not the address of a Service.
        let is_own = |endpoint: &&Endpoint| endpoint.konnectivity_host.is_none();
        let own_address = status.endpoint.as_ref().filter(is_own);
        let sans = [stored.sans, live.sans, status_pins.sans]
            .into_iter()
            .find(|sans| !sans.is_empty());
        Pins {
            version: stored.version.or(live.version).or(status_pins.version),
            storage_type: stored
                .storage_type
                .or(live.storage_type)
                .or(status_pins.storage_type),
            etcd_image: stored.etcd_image.or(live.etcd_image).or(status_pins.etcd_image),
            etcd_members: stored
                .etcd_members
                .or(live.etcd_members)
                .or(status_pins.etcd_members),
            etcd: stored.etcd.or(live.etcd).or(status_pins.etcd),
            service_type: stored
                .service_type
                .or(live.service_type)
                .or(status_pins.service_type),
            api_port: stored.api_port.or(live.api_port).or(status_pins.api_port),
            konnectivity_port: stored
                .konnectivity_port
                .or(live.konnectivity_port)
                .or(status_pins.konnectivity_port),
            external_address: stored
                .external_address
                .or(live.external_address)
                .or(status_pins.external_address)
                .or_else(|| own_address.map(|endpoint| endpoint.host.clone())),
            written_address: stored.written_address.or(status_pins.written_address),
            sans: sans.unwrap_or_default(),
            key_algorithm: stored
                .key_algorithm
                .or(live.key_algorithm)
                .or(status_pins.key_algorithm),
            // It only grows: pods may have been given a newer one right before the pins could be written.
            renderer_revision: stored
                .renderer_revision
                .max(live.renderer_revision)
                .or(status_pins.renderer_revision),
            created_at: stored.created_at.or(live.created_at).or(status_pins.created_at),
            cluster_uid: stored
                .cluster_uid
                .or(live.cluster_uid)
                .or(status_pins.cluster_uid),
        }
    }

    /// What the children alone say. Key algorithm, names, creation time and uid are in none of them.
    fn live_pins(
        &self,
        services: &BTreeMap<String, ServiceFacts>,
        volumes: &BTreeMap<String, VolumeFacts>,
    ) -> Pins {
        let control_plane = self.ours(kinds::STATEFUL_SET, &names::control_plane(&self.name));
        let etcd = self.ours(kinds::STATEFUL_SET, &names::etcd(&self.name));
        let prefix = claims_of_etcd(&self.name);
        let of_etcd = volumes.keys().filter(|name| is_numbered(name, &prefix));
        let volumes = i32::try_from(of_etcd.count())
            .ok()
            .filter(|&count| etcd.is_some() && count > 0);
        let members = etcd
            .map(|etcd| integer(etcd, "/spec/replicas"))
            // Hibernated: the claims tell.
            .filter(|&members| members > 0)
            .or(volumes);
        let service = match services.values().collect::<Vec<_>>()[..] {
            [only] => Some(only),
            // Several: a change of type is under way, and the children do not tell which one counts.
            _ => None,
        };
        let port = |name| control_plane.and_then(|pods| container_port(pods, name));
        // Only for this type a node port is the port of the control plane.
        let node_port = service.filter(|service| service.service_type == ServiceType::NodePort);
        Pins {
            version: control_plane
                .and_then(image)
                .and_then(Version::of_image)
                .map(|version| version.to_string()),
            storage_type: self.live_storage(),
            etcd_image: etcd.and_then(image).map(str::to_owned),
            etcd_members: members,
            etcd: None,
            service_type: service.map(|service| service.service_type),
            api_port: port("api").or_else(|| node_port?.api_node_port),
            konnectivity_port: port("konnectivity").or_else(|| node_port?.konnectivity_node_port),
            external_address: None,
            written_address: None,
            sans: Vec::new(),
            key_algorithm: None,
            renderer_revision: control_plane
                .or(etcd)
                .and_then(|pods| pods.annotation(labels::RENDERER_REVISION)?.parse().ok()),
            created_at: None,
            cluster_uid: None,
        }
    }

    fn left_to_adopt(&self) -> Vec<String> {
        let Some(pinned) = self.pinned_uid.as_deref().filter(|pinned| *pinned != self.uid) else {
            return Vec::new();
        };
        let mut left: Vec<String> = self
            .children
            .objects
            .iter()
            .filter(|(id, object)| id.namespace == self.namespace && Self::owner_of(object) == Some(pinned))
            .map(|(id, _)| format!("{}/{}", id.kind, id.name))
            .collect();
        left.sort();
        left
    }
}

/// What the metadata of a Secret says, and whether we made it.
fn key_facts((secret, is_made_by_us): (&Object, bool)) -> KeyFacts {
    let annotation = |key| secret.annotation(key).map(str::to_owned);
    KeyFacts {
        uid: secret.uid().unwrap_or_default().to_owned(),
        cluster_uid: secret
            .label(labels::CLUSTER_UID)
            .filter(|_| is_made_by_us)
            .map(str::to_owned),
        fingerprint: annotation(labels::FINGERPRINT),
        not_after: annotation(labels::NOT_AFTER),
        issuer: annotation(labels::ISSUER),
        content_digest: annotation(labels::CONTENT_DIGEST),
        is_retained: secret.label(labels::RETAINED).is_some(),
    }
}

fn integer(object: &Object, pointer: &str) -> i32 {
    object
        .integer(pointer)
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or_default()
}

fn image(pods: &Object) -> Option<&str> {
    main_container(pods)?.get("image")?.as_str()
}

/// The container that runs k0s or etcd. A patch may have put others before it.
fn main_container(pods: &Object) -> Option<&Value> {
    let containers = pods.0.pointer("/spec/template/spec/containers")?.as_array()?;
    let is_main = |container: &&Value| {
        let name = container.get("name").and_then(Value::as_str);
        matches!(name, Some("controller" | "etcd"))
    };
    containers.iter().find(is_main).or_else(|| containers.first())
}

fn container_port(pods: &Object, name: &str) -> Option<i32> {
    port(main_container(pods)?.get("ports")?, name, "containerPort")
}

fn named_port(object: &Object, list: &str, name: &str, field: &str) -> Option<i32> {
    port(object.0.pointer(list)?, name, field)
}

fn port(ports: &Value, name: &str, field: &str) -> Option<i32> {
    let ports = ports.as_array()?;
    let port = ports
        .iter()
        .find(|port| port.get("name").and_then(Value::as_str) == Some(name))?;
    i32::try_from(port.get(field)?.as_i64()?)
        .ok()
        .filter(|&port| port > 0)
}

/// What the names of an etcd's claims begin with: they are made by the StatefulSet controller, and called after the
/// pods.
pub(super) fn claims_of_etcd(cluster: &str) -> String {
    format!("{ETCD_CLAIM}-{}-", names::etcd(cluster))
}

/// Says whether a name is a prefix and the number of a pod.
pub(super) fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(is_ordinal)
}

fn is_ordinal(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn claims(pods: &Object) -> BTreeMap<String, ClaimFacts> {
    let templates = pods
        .0
        .pointer("/spec/volumeClaimTemplates")
        .and_then(Value::as_array);
    let text = |template: &Value, pointer: &str| {
        template
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    templates
        .into_iter()
        .flatten()
        .filter_map(|template| {
            let facts = ClaimFacts {
                size: text(template, "/spec/resources/requests/storage"),
                storage_class: text(template, "/spec/storageClassName"),
            };
            Some((text(template, "/metadata/name")?, facts))
        })
        .collect()
}

fn service(object: &Object, service_type: ServiceType) -> ServiceFacts {
    let cluster_ips = object.0.pointer("/spec/clusterIPs").and_then(Value::as_array);
    let balancers = object
        .0
        .pointer("/status/loadBalancer/ingress")
        .and_then(Value::as_array);
    let of_balancer = |balancer: &Value, field: &str| {
        let text = balancer.get(field).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    ServiceFacts {
        service_type,
        cluster_ips: cluster_ips
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        api_node_port: named_port(object, "/spec/ports", "api", "nodePort"),
        konnectivity_node_port: named_port(object, "/spec/ports", "konnectivity", "nodePort"),
        load_balancer: balancers
            .into_iter()
            .flatten()
            .map(|balancer| LoadBalancerFacts {
                hostname: of_balancer(balancer, "hostname"),
                ip: of_balancer(balancer, "ip"),
            })
            .collect(),
        load_balancer_class: BalancerClass::of(object),
    }
}

fn stateful_set(object: &Object) -> StatefulSetFacts {
    let text = |pointer: &str| object.text(pointer).map(str::to_owned);
    StatefulSetFacts {
        uid: object.uid().unwrap_or_default().to_owned(),
        image: image(object).map(str::to_owned),
        renderer_revision: object
            .annotation(labels::RENDERER_REVISION)
            .and_then(|text| text.parse().ok()),
        spec_replicas: integer(object, "/spec/replicas"),
        generation: object.integer("/metadata/generation").unwrap_or_default(),
        observed_generation: object.integer("/status/observedGeneration").unwrap_or_default(),
        replicas: integer(object, "/status/replicas"),
        ready_replicas: integer(object, "/status/readyReplicas"),
        updated_replicas: integer(object, "/status/updatedReplicas"),
        current_revision: text("/status/currentRevision"),
        update_revision: text("/status/updateRevision"),
        config_digest: object
            .0
            .pointer("/spec/template/metadata/annotations")
            .and_then(|annotations| annotations.get(labels::CONFIG_DIGEST)?.as_str())
            .map(str::to_owned),
        claims: claims(object),
    }
}
