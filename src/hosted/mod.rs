//! Reaches the API of a hosted control plane, and its etcd.
//!
//! What is known of a cluster ([`Plane`]) -> a request to its own API server -> [`Availability`]. Where its etcd is
//! ([`crate::etcd::Place`]) -> questions to the members -> [`crate::etcd::Answer`].
//!
//! **Invariants:** one place decides where a control plane is dialled ([`Reach`]); inside the hosting cluster that is
//! never a place that a user names. Nothing but the cluster's own CA is trusted. The client certificate is signed on
//! demand, lives for hours, and stays in memory.

mod identity;
mod members;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::client::{Client, HostedServer, Readiness};
use crate::object::ObjectId;
use identity::{Identity, IdentityError};
pub use members::{Changed, change_members, members};

/// For one question. A control plane that needs longer is not available to anybody.
const DEADLINE: Duration = Duration::from_secs(5);

/// A name in the certificate of every API server, whatever address it is reached at. Which cluster it belongs to is
/// proven by the CA, of which each cluster has its own.
const SERVER_NAME: &str = "kubernetes";

/// From where control planes are dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In a pod of the hosting cluster: at the cluster IP of the API Service.
    Inside,
    /// Elsewhere (a laptop, a test): at the endpoint of the status.
    Outside,
}

/// What must be known of a cluster to reach its control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane<'a> {
    pub cluster: &'a ObjectId,
    pub uid: &'a str,
    /// Name of the Secret with the cluster CA.
    pub authority: &'a str,
    /// The very CA, as it was seen last.
    pub fingerprint: &'a str,
    /// Host and port of the endpoint; for [`Reach::Outside`].
    pub endpoint: Option<(&'a str, i32)>,
    /// Cluster IP and port of the API Service; for [`Reach::Inside`].
    pub service: Option<(&'a str, i32)>,
}

/// Whether the workload API can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    Available,
    /// It comes up, or went away: look again.
    NotYet {
        why: String,
    },
    /// Who answers is not this cluster, or does not take its credentials: a person should look.
    Refused {
        why: String,
    },
    /// It cannot be asked from here.
    Unknown {
        why: String,
    },
}

/// Dials control planes. Cheap to clone; clones share the certificates.
#[derive(Clone)]
pub struct Dialer {
    /// Of the hosting cluster, where the CAs are.
    client: Client,
    reach: Reach,
    identities: Arc<Mutex<BTreeMap<String, Arc<Identity>>>>,
}

impl Dialer {
    pub fn new(client: &Client, reach: Reach) -> Self {
        Self {
            client: client.clone(),
            reach,
            identities: Arc::default(),
        }
    }

    /// Asks a control plane whether it is ready.
    ///
    /// Never fails. *Effects*: one GET of `/readyz`; every few hours one GET of the CA's Secret, to sign.
    pub async fn available(&self, plane: &Plane<'_>, now: Timestamp) -> Availability {
        let client = match self.connect(plane, now).await {
            Ok(client) => client,
            Err(other) => return other,
        };
        match client.readiness().await {
            Readiness::Ready => Availability::Available,
            Readiness::NotReady { why } | Readiness::NoAnswer { why } => Availability::NotYet { why },
            Readiness::CredentialsRefused => {
                self.forget(plane.uid);
                Availability::Refused {
                    why: "it does not accept a certificate signed by its CA".to_owned(),
                }
            }
            Readiness::Untrusted { why } => Availability::Refused { why },
        }
    }

    /// Forgets the certificate of a cluster that is gone.
    pub fn forget(&self, uid: &str) {
        self.identities().remove(uid);
    }

    async fn connect(&self, plane: &Plane<'_>, now: Timestamp) -> Result<Client, Availability> {
        let url = address(self.reach, plane).map_err(|why| Availability::NotYet { why })?;
        let identity = self.identity(plane, now).await?;
        let server = HostedServer {
            url,
            server_name: SERVER_NAME.to_owned(),
            authority: identity.authority(),
            certificate: identity.certificate(),
            key: identity.key(),
        };
        Client::hosted(&server, DEADLINE).map_err(|error| Availability::Unknown {
            why: crate::client::chain(&error),
        })
    }

    /// Returns the certificate of an earlier question while it is good for a while and of the same CA, else a new one.
    async fn identity(&self, plane: &Plane<'_>, now: Timestamp) -> Result<Arc<Identity>, Availability> {
        let known = self.identities().get(plane.uid).cloned();
        if let Some(known) = known.filter(|known| known.is_good(plane.fingerprint, now)) {
            return Ok(known);
        }
        let namespace = &plane.cluster.namespace;
        let signed = Identity::sign(&self.client, namespace, plane.authority, plane.fingerprint, now).await;
        match signed {
            Ok(identity) => {
                let identity = Arc::new(identity);
                self.identities()
                    .insert(plane.uid.to_owned(), Arc::clone(&identity));
                Ok(identity)
            }
            Err(error @ (IdentityError::Missing { .. } | IdentityError::Moved { .. })) => {
                Err(Availability::NotYet {
                    why: error.to_string(),
                })
            }
            Err(error @ (IdentityError::Read { .. } | IdentityError::Sign { .. })) => {
                Err(Availability::Unknown {
                    why: crate::client::chain(&error),
                })
            }
        }
    }

    fn identities(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Identity>>> {
        // Nothing panics while it is held; and a map of finished values is whole at any moment.
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides where a control plane is dialled. `Err` says what is waited for.
fn address(reach: Reach, plane: &Plane<'_>) -> Result<String, String> {
    let (place, waited_for) = match reach {
        Reach::Inside => (plane.service, "its Service has no cluster IP yet"),
        Reach::Outside => (plane.endpoint, "its address is not known yet"),
    };
    let (host, port) = place.ok_or_else(|| waited_for.to_owned())?;
    Ok(match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("https://[{address}]:{port}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("https://{host}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kinds;

    #[test]
    fn inside_the_cluster_a_place_that_a_user_names_is_never_dialled() {
        let cluster = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "edge");
        let plane = Plane {
            cluster: &cluster,
            uid: "1",
            authority: "edge-ca",
            fingerprint: "f00d",
            endpoint: Some(("evil.example", 443)),
            service: Some(("fd00::1", 6443)),
        };
        assert_eq!(address(Reach::Inside, &plane).unwrap(), "https://[fd00::1]:6443");
        assert_eq!(
            address(Reach::Outside, &plane).unwrap(),
            "https://evil.example:443"
        );
        let plane = Plane {
            service: None,
            ..plane
        };
        assert!(address(Reach::Inside, &plane).unwrap_err().contains("cluster IP"));
    }
}
