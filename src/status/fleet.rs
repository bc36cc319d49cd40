//! The rows of the status table.

use serde::Serialize;

use crate::api::{condition, labels};
use crate::object::{Object, ObjectSet, kinds};

/// One cluster as the status table shows it. Nothing in it depends on when it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetRow {
    pub namespace: String,
    pub name: String,
    /// The version that runs.
    pub version: Option<String>,
    /// `2/3`.
    pub ready: Option<String>,
    pub endpoint: Option<String>,
    /// Reason of the condition Ready, or `Pending` while it is not about the newest generation.
    pub status: String,
    pub is_ready: bool,
    pub message: String,
    /// RFC 3339.
    pub created_at: Option<String>,
    pub certificates_expire: Option<String>,
    /// Number of things that are not done.
    pub held: i64,
    /// Id of the fleet that it belongs to.
    pub fleet: Option<String>,
    pub is_protected: bool,
    /// Why it is frozen, where it is.
    pub hold: Option<String>,
}

/// Returns a row for every cluster, in order of namespace and name. Never fails.
pub fn fleet_rows(clusters: &ObjectSet) -> Vec<FleetRow> {
    clusters
        .iter()
        .filter(|(id, _)| id.kind == kinds::K0SMOTRON_CLUSTER)
        .map(|(id, cluster)| row(&id.namespace, &id.name, cluster))
        .collect()
}

fn row(namespace: &str, name: &str, cluster: &Object) -> FleetRow {
    let text = |pointer: &str| cluster.text(pointer).map(str::to_owned);
    let conditions = cluster
        .0
        .pointer("/status/conditions")
        .and_then(|conditions| conditions.as_array());
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|found| found["type"] == condition::READY);
    let field = |name: &str| ready.and_then(|ready| ready[name].as_str()).unwrap_or_default();
    let is_paused = field("reason") == super::reason::PAUSED;
    let is_current = cluster.integer("/status/observedGeneration") == cluster.integer("/metadata/generation");
    let status = match field("reason") {
        "" => "Pending",
        _ if !is_current && !is_paused => "Pending",
        reason => reason,
    };
    FleetRow {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: text("/status/version"),
        ready: text("/status/ready"),
        endpoint: text("/status/endpoint/url"),
        status: status.to_owned(),
        is_ready: is_current && field("status") == "True",
        message: field("message").to_owned(),
        created_at: text("/metadata/creationTimestamp"),
        certificates_expire: text("/status/certificatesExpire"),
        held: cluster.integer("/status/heldCount").unwrap_or_default(),
        fleet: cluster.label(labels::FLEET_ID).map(str::to_owned),
        is_protected: cluster.annotation(labels::PROTECT) == Some("true"),
        hold: cluster.annotation(labels::HOLD).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(generation: i64, status: serde_json::Value) -> ObjectSet {
        let object = Object(json!({
            "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {"name": "edge", "namespace": "tenant-7", "generation": generation,
                "annotations": {labels::PROTECT: "true"}},
            "status": status}));
        [(object.id().unwrap(), object)].into_iter().collect()
    }

    #[test]
    fn a_row_says_what_ready_says_of_the_newest_generation() {
        let status = json!({"observedGeneration": 2, "version": "v1.36.3+k0s.2", "ready": "3/3", "heldCount": 1,
            "endpoint": {"url": "https://192.0.2.7:30443"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "all is well"}]});
        let rows = fleet_rows(&cluster(2, status.clone()));
        assert_eq!((rows[0].status.as_str(), rows[0].is_ready), ("Ready", true));
        assert_eq!(rows[0].endpoint.as_deref(), Some("https://192.0.2.7:30443"));
        assert_eq!((rows[0].held, rows[0].is_protected), (1, true));
        let rows = fleet_rows(&cluster(3, status));
        assert_eq!((rows[0].status.as_str(), rows[0].is_ready), ("Pending", false));
    }

    #[test]
    fn a_cluster_that_nobody_reconciled_yet_is_pending() {
        let rows = fleet_rows(&cluster(1, json!(null)));
        assert_eq!(rows[0].status, "Pending");
        assert_eq!(rows[0].version, None);
    }
}
