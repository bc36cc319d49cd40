//! The closed set of kinds this product reads or writes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One kind of Kubernetes object. Compared and ordered by group, kind and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub kind: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub is_namespaced: bool,
}

impl Kind {
    /// Returns `apps/v1` or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Finds the kind of an object by its `apiVersion` and `kind`; `None` for kinds that are not ours to touch.
    pub fn find(api_version: &str, kind: &str) -> Option<Self> {
        kinds::ALL
            .iter()
            .find(|known| known.kind == kind && known.api_version() == api_version)
            .copied()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind)
    }
}

/// Serialized as `apps/v1/StatefulSet`.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.api_version(), self.kind))
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.rsplit_once('/')
            .and_then(|(api_version, kind)| Self::find(api_version, kind))
            .ok_or_else(|| serde::de::Error::custom(format_args!("unknown kind `{text}`")))
    }
}

impl schemars::JsonSchema for Kind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "Group, version and kind, such as `apps/v1/StatefulSet`."})
    }
}

/// The kinds, one constant each.
pub mod kinds {
    use super::Kind;

    macro_rules! kinds {
        ($($constant:ident = $group:literal $version:literal $kind:literal $plural:literal $namespaced:literal;)+) => {
            $(pub const $constant: Kind = Kind {
                group: $group, kind: $kind, version: $version, plural: $plural, is_namespaced: $namespaced,
            };)+
            pub const ALL: &[Kind] = &[$($constant),+];
        };
    }

    kinds! {
        NAMESPACE = "" "v1" "Namespace" "namespaces" false;
        NODE = "" "v1" "Node" "nodes" false;
        SERVICE = "" "v1" "Service" "services" true;
        SECRET = "" "v1" "Secret" "secrets" true;
        CONFIG_MAP = "" "v1" "ConfigMap" "configmaps" true;
        PERSISTENT_VOLUME_CLAIM = "" "v1" "PersistentVolumeClaim" "persistentvolumeclaims" true;
        POD = "" "v1" "Pod" "pods" true;
        STATEFUL_SET = "apps" "v1" "StatefulSet" "statefulsets" true;
        POD_DISRUPTION_BUDGET = "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" true;
        CRON_JOB = "batch" "v1" "CronJob" "cronjobs" true;
        NETWORK_POLICY = "networking.k8s.io" "v1" "NetworkPolicy" "networkpolicies" true;
        INGRESS = "networking.k8s.io" "v1" "Ingress" "ingresses" true;
        TLS_ROUTE = "gateway.networking.k8s.io" "v1" "TLSRoute" "tlsroutes" true;
        // What a Gateway API before 1.5 serves; one object where both versions are served.
        TLS_ROUTE_ALPHA = "gateway.networking.k8s.io" "v1alpha2" "TLSRoute" "tlsroutes" true;
        STORAGE_CLASS = "storage.k8s.io" "v1" "StorageClass" "storageclasses" false;
        LEASE = "coordination.k8s.io" "v1" "Lease" "leases" true;
        CUSTOM_RESOURCE_DEFINITION =
            "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" false;
        K0SMOTRON_CLUSTER = "k0smotron.io" "v1beta1" "K0smotronCluster" "k0smotronclusters" true;
        // The kind of the Go operator k0smotron.
        UPSTREAM_CLUSTER = "k0smotron.io" "v1beta1" "Cluster" "clusters" true;
        K0SMOTRON_JOIN_TOKEN = "k0smotron.io" "v1beta1" "K0smotronJoinToken" "k0smotronjointokens" true;
        FLEET_SYNC = "fleet.k0smotron.io" "v1alpha1" "FleetSync" "fleetsyncs" true;
    }
}
