//! The configuration document that a controller is started with.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::at;
use crate::api::cluster_parts::FreeForm;

/// What a hosted control plane must have in its configuration, whatever the user writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forced<'a> {
    /// Without an Ingress or a Gateway the host only: with a port, k0s would put it into worker *and* controller tokens.
    pub external_address: &'a str,
    /// Where agents of konnectivity connect, when an Ingress or a Gateway stands before the control plane. k0s then
    /// must not name the address of the API to pods, which could not use it.
    pub konnectivity_address: Option<&'a str>,
    pub api_port: i32,
    pub konnectivity_port: i32,
    /// Joined with the user's own.
    pub sans: &'a [String],
    pub storage: ForcedStorage<'a>,
}

/// Where the Kubernetes API keeps its data.
#[derive(Clone, Debug, PartialEq)]
pub enum ForcedStorage<'a> {
    Etcd { endpoint: &'a str, prefix: &'a str },
    Kine { data_source: &'a str },
}

/// Directory of keys and certificates in a controller.
const PKI: &str = "/var/lib/k0s/pki";

/// Returns the user's document with the forced fields laid over it: maps merge, everything else is replaced, and
/// `spec.api.sans` is the sorted union.
pub fn configuration(user: Option<&FreeForm>, forced: &Forced<'_>) -> Value {
    let mut sans: BTreeSet<&str> = forced.sans.iter().map(String::as_str).collect();
    let written_sans = user.and_then(|user| at(user, "/spec/api/sans")?.as_array());
    sans.extend(written_sans.into_iter().flatten().filter_map(Value::as_str));
    let mut document = json!({
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "spec": {
            "api": {
                "externalAddress": forced.external_address,
                "port": forced.api_port,
                "sans": sans,
            },
            "konnectivity": {"agentPort": forced.konnectivity_port},
            "storage": storage(&forced.storage),
            // Written out: what k0s does without it has not been the same in all its releases.
            "telemetry": {"enabled": false},
        },
    });
    if let Some(address) = forced.konnectivity_address {
        document["spec"]["konnectivity"]["externalAddress"] = json!(address);
        document["spec"]["api"]["extraArgs"] = json!({"endpoint-reconciler-type": "none"});
    }
    let Some(user) = user else { return document };
    let mut merged = Value::Object(user.clone());
    lay_over(&mut merged, document);
    merged
}

fn storage(forced: &ForcedStorage<'_>) -> Value {
    match forced {
        ForcedStorage::Etcd { endpoint, prefix } => json!({
            "type": "etcd",
            "etcd": {"externalCluster": {
                "endpoints": [endpoint],
                "etcdPrefix": prefix,
                "caFile": format!("{PKI}/etcd-ca.crt"),
                "clientCertFile": format!("{PKI}/apiserver-etcd-client.crt"),
                "clientKeyFile": format!("{PKI}/apiserver-etcd-client.key"),
            }},
        }),
        ForcedStorage::Kine { data_source } => json!({
            "type": "kine",
            "kine": {"dataSource": data_source},
        }),
    }
}

fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match below.get_mut(&key) {
                    Some(old) => lay_over(old, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}

/// Says whether the user's document switches on node-local load balancing, which k0s refuses beside an external
/// address.
pub fn has_node_local_load_balancing(user: &Map<String, Value>) -> bool {
    at(user, "/spec/network/nodeLocalLoadBalancing/enabled") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(user: Value) -> Value {
        let user = user.as_object().cloned();
        let sans = ["b.example".to_owned(), "10.0.0.7".to_owned()];
        configuration(
            user.as_ref(),
            &Forced {
                external_address: "b.example",
                konnectivity_address: None,
                api_port: 30443,
                konnectivity_port: 30132,
                sans: &sans,
                storage: ForcedStorage::Etcd {
                    endpoint: "https://kmc-edge-etcd:2379",
                    prefix: "edge",
                },
            },
        )
    }

    #[test]
    fn names_of_the_api_server_are_joined_and_sorted() {
        let document = document(json!({"spec": {"api": {"sans": ["a.example", "b.example"]}}}));
        assert_eq!(
            document["spec"]["api"]["sans"],
            json!(["10.0.0.7", "a.example", "b.example"])
        );
    }

    #[test]
    fn what_a_hosted_control_plane_needs_wins_and_the_rest_stays() {
        let document = document(json!({
            "metadata": {"name": "k0s"},
            "spec": {
                "api": {"port": 1, "extraArgs": {"v": "2"}},
                "network": {"provider": "calico"},
                "storage": {"type": "kine", "kine": {"dataSource": "sqlite"}},
                "telemetry": {"enabled": true},
            },
        }));
        assert_eq!(document["spec"]["api"]["port"], 30443);
        assert_eq!(document["spec"]["api"]["extraArgs"], json!({"v": "2"}));
        assert_eq!(document["spec"]["network"], json!({"provider": "calico"}));
        assert_eq!(document["spec"]["storage"]["type"], "etcd");
        assert_eq!(document["spec"]["telemetry"]["enabled"], false);
        assert_eq!(document["metadata"]["name"], "k0s");
    }

    #[test]
    fn a_scalar_where_a_map_belongs_is_replaced_and_not_a_panic() {
        assert_eq!(
            document(json!({"spec": {"api": 3}}))["spec"]["api"]["port"],
            30443
        );
        assert_eq!(document(json!({"spec": null}))["spec"]["storage"]["type"], "etcd");
    }

    #[test]
    fn node_local_load_balancing_is_seen() {
        let user = |value: Value| has_node_local_load_balancing(value.as_object().unwrap());
        assert!(user(
            json!({"spec": {"network": {"nodeLocalLoadBalancing": {"enabled": true}}}})
        ));
        assert!(!user(
            json!({"spec": {"network": {"nodeLocalLoadBalancing": {"enabled": false}}}})
        ));
        assert!(!user(json!({"spec": []})));
    }
}
