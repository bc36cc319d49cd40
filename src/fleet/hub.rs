//! Which hub it is.

use super::FleetError;
use crate::api::fleet::Fleet;
use crate::client::Client;
use crate::object::{ObjectId, kinds};
use crate::plan::FailureKind;

/// The namespace whose uid tells one hub from another: it is there as long as the hub is.
pub const KUBE_SYSTEM: &str = "kube-system";

/// The cluster in which the control planes run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// `https://host:port`.
    pub server: String,
    /// `None`: it may not be read.
    pub uid: Option<String>,
}

/// Asks which hub this is.
///
/// *Errors*: all but a missing permission, which leaves the uid unknown.
/// *Effects*: one GET.
pub async fn identify(client: &Client) -> Result<Hub, FleetError> {
    let id = ObjectId::new(kinds::NAMESPACE, "", KUBE_SYSTEM);
    let uid = match client.get_metadata(&id).await {
        Ok(namespace) => namespace.and_then(|namespace| namespace.uid().map(str::to_owned)),
        Err(error) if error.kind() == FailureKind::Forbidden && is_about_rights(&error) => None,
        Err(error) => {
            return Err(FleetError::Identify {
                source: Box::new(error),
            });
        }
    };
    Ok(Hub {
        server: client.server().to_owned(),
        uid,
    })
}

/// A refusal of the credentials themselves will refuse everything else too, and is better told at once.
fn is_about_rights(error: &crate::client::ClientError) -> bool {
    matches!(error, crate::client::ClientError::Forbidden { .. })
}

/// Checks that the files are meant for this hub.
///
/// *Errors*: [`FleetError::OtherHub`]; and when the files name a hub and it cannot be told which one this is.
pub fn check_hub(fleet: Option<&Fleet>, hub: &Hub) -> Result<(), FleetError> {
    let Some(wanted) = fleet.and_then(|fleet| fleet.spec.hub.uid.as_ref()) else {
        return Ok(());
    };
    match &hub.uid {
        Some(uid) if uid == wanted => Ok(()),
        found => Err(FleetError::OtherHub {
            server: hub.server.clone(),
            wanted: wanted.clone(),
            found: found.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fleet(spec: serde_json::Value) -> Fleet {
        Fleet {
            name: "acme".to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
        }
    }

    fn hub(uid: Option<&str>) -> Hub {
        Hub {
            server: "https://edge-hub:6443".to_owned(),
            uid: uid.map(str::to_owned),
        }
    }

    #[test]
    fn a_fleet_that_names_a_hub_is_for_that_hub_alone() {
        let bound = fleet(json!({ "id": "acme", "hub": { "uid": "one" } }));
        assert!(check_hub(Some(&bound), &hub(Some("one"))).is_ok());
        assert!(check_hub(Some(&bound), &hub(Some("two"))).is_err());
        assert!(
            check_hub(Some(&bound), &hub(None)).is_err(),
            "unknown is not the same"
        );
        let free = fleet(json!({ "id": "acme" }));
        assert!(check_hub(Some(&free), &hub(None)).is_ok() && check_hub(None, &hub(None)).is_ok());
    }
}
