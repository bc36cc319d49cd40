//! An Ingress or a Gateway before a control plane: the hosts by which both of its ports are told apart.

use super::answer::Stalled;
use super::resolve::invalid;
use crate::api::ClusterSpec;
use crate::api::cluster_parts::{GatewaySpec, IngressSpec};
use crate::api::cluster_status::Endpoint;
use crate::k0s::Version;

/// Port of HTTPS, on which both are reached unless something else is written.
const PORT: i32 = 443;
/// From here on k0s takes a port in its external address.
const TAKES_A_PORT: Version = version(34, 1);
/// From here on agents of konnectivity are sent to a host and port of their own by k0s itself.
const SENDS_AGENTS: Version = version(35, 1);

const fn version(minor: u32, patch: u32) -> Version {
    Version {
        major: 1,
        minor,
        patch,
        build: 0,
    }
}

/// Where clients and workers reach a control plane whose own address they need not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    pub api_host: String,
    pub konnectivity_host: String,
    pub port: i32,
    /// Whether k0s sends the agents to `konnectivity_host` on its own; otherwise it is given their manifests.
    pub agents: Agents,
}

/// Who tells the agents of konnectivity where to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agents {
    SentByK0s,
    /// By manifests of ours in the place of those of k0s.
    OurManifests,
}

impl Front {
    /// Reads what a spec says; `Ok(None)` when the Service is what clients reach.
    pub(super) fn read(spec: &ClusterSpec, version: Version) -> Result<Option<Self>, Stalled> {
        let (field, hosts, port) = match (&spec.ingress, &spec.gateway) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(invalid("spec.ingress", "write it or `gateway`, not both"));
            }
            (Some(ingress), None) => {
                let IngressSpec {
                    api_host,
                    konnectivity_host,
                    port,
                    class_name: _,
                    annotations: _,
                    deploy: _,
                } = ingress;
                ("spec.ingress", [api_host, konnectivity_host], *port)
            }
            (None, Some(gateway)) => {
                let GatewaySpec {
                    api_host,
                    konnectivity_host,
                    port,
                    parent_refs: _,
                } = gateway;
                ("spec.gateway", [api_host, konnectivity_host], *port)
            }
        };
        if hosts[0] == hosts[1] {
            return Err(invalid(
                &format!("{field}.konnectivityHost"),
                "write another host than `apiHost`: connections are told apart by it",
            ));
        }
        if version < TAKES_A_PORT {
            return Err(invalid(
                field,
                &format!("it needs k0s {TAKES_A_PORT} or newer, and this cluster is on {version}"),
            ));
        }
        Ok(Some(Self {
            api_host: hosts[0].clone(),
            konnectivity_host: hosts[1].clone(),
            port: port.unwrap_or(PORT),
            agents: if version < SENDS_AGENTS {
                Agents::OurManifests
            } else {
                Agents::SentByK0s
            },
        }))
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: self.api_host.clone(),
            api_port: self.port,
            konnectivity_port: self.port,
            konnectivity_host: Some(self.konnectivity_host.clone()),
            url: format!("https://{}:{}", self.api_host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(spec: Value, version: &str) -> Result<Option<Front>, Stalled> {
        Front::read(
            &serde_json::from_value(spec).unwrap(),
            Version::parse(version).unwrap(),
        )
    }

    fn ingress() -> Value {
        json!({"ingress": {"apiHost": "api.example", "konnectivityHost": "konnectivity.example"}})
    }

    #[test]
    fn an_older_k0s_is_refused_whatever_its_minor() {
        for old in ["v1.33.13+k0s.1", "v1.34.0+k0s.3", "v1.27.9+k0s.0"] {
            let message = read(ingress(), old).unwrap_err().message;
            assert!(
                message.contains("spec.ingress") && message.contains("v1.34.1"),
                "{message}"
            );
        }
        assert!(read(ingress(), "v1.34.1+k0s.0").is_ok());
    }

    #[test]
    fn k0s_sends_the_agents_itself_from_1_35_1_on() {
        let agents = |version| read(ingress(), version).unwrap().unwrap().agents;
        assert_eq!(agents("v1.34.10+k0s.0"), Agents::OurManifests);
        assert_eq!(agents("v1.35.0+k0s.1"), Agents::OurManifests);
        assert_eq!(agents("v1.35.1+k0s.0"), Agents::SentByK0s);
        assert_eq!(agents("v1.36.0+k0s.0"), Agents::SentByK0s);
    }

    #[test]
    fn one_host_for_both_and_both_kinds_at_once_are_refused() {
        let mut one = ingress();
        one["ingress"]["konnectivityHost"] = json!("api.example");
        assert!(
            read(one, "v1.36.3+k0s.2")
                .unwrap_err()
                .message
                .contains("konnectivityHost")
        );
        let mut both = ingress();
        both["gateway"] = json!({"apiHost": "a.example", "konnectivityHost": "b.example", "parentRefs": [{"name": "edge"}]});
        assert!(read(both, "v1.36.3+k0s.2").is_err());
        assert_eq!(read(json!({}), "v1.27.9+k0s.0"), Ok(None));
    }
}
