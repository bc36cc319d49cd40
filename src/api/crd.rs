//! The CustomResourceDefinitions as they are installed, and the schema of a cluster for offline validation.
//!
//! Types, limits and rules -> CRD -> YAML, JSON Schema.
//!
//! **Invariant:** the derived `K0smotronCluster::crd()` is only the raw material; what is installed, written to
//! `crds/` and evaluated by [`super::cel`] is what [`Definition::crd`] returns.

use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::rules::Constraint;
use super::{FleetSync, K0smotronCluster, K0smotronJoinToken};
use super::{cluster_rules, fleet_rules, join_token, rules, schema};

/// One of the kinds this product defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Definition {
    Cluster,
    JoinToken,
    FleetSync,
}

/// Kept by Helm, Argo CD and Flux: a CRD that is deleted takes every object of its kind along.
const KEEP: [(&str, &str); 3] = [
    ("argocd.argoproj.io/sync-options", "Prune=false,Delete=false"),
    ("helm.sh/resource-policy", "keep"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

impl Definition {
    pub const ALL: [Self; 3] = [Self::Cluster, Self::JoinToken, Self::FleetSync];

    /// Returns the CRD, as it is installed.
    pub fn crd(self) -> CustomResourceDefinition {
        let mut crd = self.derived();
        crd.metadata.annotations = Some(
            KEEP.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        );
        for version in &mut crd.spec.versions {
            let schema = version.schema.get_or_insert_default();
            schema.open_api_v3_schema = Some(
                serde_json::from_value(self.schema())
                    .expect("a structural schema reads back as the type of one"),
            );
        }
        crd
    }

    /// Returns the name of the file in `crds/`.
    pub fn file_name(self) -> String {
        let ApiResource { plural, group, .. } = self.resource();
        format!("{plural}.{group}.yaml")
    }

    /// Returns the structural schema of a whole object of this kind, rules included.
    pub fn schema(self) -> Value {
        // Deriving one takes longer than reading a hundred clusters.
        static SCHEMAS: [OnceLock<Value>; Definition::ALL.len()] =
            [const { OnceLock::new() }; Definition::ALL.len()];
        SCHEMAS[self as usize].get_or_init(|| self.new_schema()).clone()
    }

    fn new_schema(self) -> Value {
        let mut schema = match self {
            Self::Cluster => schema::structural::<K0smotronCluster>(),
            Self::JoinToken => schema::structural::<K0smotronJoinToken>(),
            Self::FleetSync => schema::structural::<FleetSync>(),
        };
        let spec = &mut schema["properties"]["spec"];
        rules::apply(spec, &self.constraints());
        spec["description"] = json!("What is wanted.");
        schema["properties"]["status"]["description"] = json!("What is observed.");
        if self == Self::Cluster {
            // A cluster without a spec is a working cluster, and rules on the spec must always have one to look at.
            schema["properties"]["spec"]["default"] = json!({});
            if let Some(object) = schema.as_object_mut() {
                object.remove("required");
            }
        }
        schema
    }

    pub(super) fn constraints(self) -> Vec<Constraint> {
        match self {
            Self::Cluster => cluster_rules::constraints(),
            Self::JoinToken => join_token::constraints(),
            Self::FleetSync => fleet_rules::constraints(),
        }
    }

    fn derived(self) -> CustomResourceDefinition {
        match self {
            Self::Cluster => K0smotronCluster::crd(),
            Self::JoinToken => K0smotronJoinToken::crd(),
            Self::FleetSync => FleetSync::crd(),
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::Cluster => K0smotronCluster::api_resource(),
            Self::JoinToken => K0smotronJoinToken::api_resource(),
            Self::FleetSync => FleetSync::api_resource(),
        }
    }

    /// Returns the CRD as one YAML document.
    pub fn to_yaml(self) -> String {
        serde_saphyr::to_string(&self.crd()).expect("a CRD is plain data")
    }
}

/// Returns all CRDs, in the order in which they are installed.
pub fn all() -> Vec<CustomResourceDefinition> {
    Definition::ALL.into_iter().map(Definition::crd).collect()
}

/// Returns all CRDs as YAML documents for `kubectl apply -f -`.
pub fn all_yaml() -> String {
    Definition::ALL
        .into_iter()
        .map(|definition| format!("---\n{}", definition.to_yaml()))
        .collect()
}

/// Returns the JSON Schema (2020-12) of a K0smotronCluster manifest, which accepts no unknown field.
///
/// *Shape*: what the server's schema accepts, without the rules of [`super::cel`]; null is unset; `apiVersion`, `kind`
/// and `metadata.name` are required; `metadata` has the fields of every Kubernetes object.
pub fn cluster_schema() -> Value {
    json_schema(Definition::Cluster)
}

/// Returns the JSON Schema of a manifest, as [`cluster_schema`] does for a cluster.
pub fn json_schema(definition: Definition) -> Value {
    let ApiResource {
        api_version, kind, ..
    } = definition.resource();
    let mut schema = definition.schema();
    schema["properties"]["metadata"] = metadata();
    let mut required = vec!["apiVersion", "kind", "metadata"];
    if definition != Definition::Cluster {
        required.push("spec");
    }
    schema["required"] = json!(required);
    let mut schema = schema::closed(schema);
    schema["properties"]["apiVersion"] =
        json!({"type": "string", "const": api_version, "description": "Version of this kind."});
    schema["properties"]["kind"] = json!({"type": "string", "const": kind, "description": "This kind."});
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema
}

fn metadata() -> Value {
    let words = |description: &str| json!({"type": "object", "description": description, "additionalProperties": {"type": "string"}});
    let served = |mut schema: Value| {
        schema["description"] = json!("Set by the server; files leave it out.");
        schema
    };
    let anything =
        json!({"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "description": "Name of the object, and words about it.",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "Name of the object."},
            "namespace": {"type": "string", "description": "Namespace of the object. Nothing is taken for one that is missing."},
            "labels": words("Words by which objects are chosen."),
            "annotations": words("Words by which nobody chooses objects."),
            "creationTimestamp": served(text.clone()),
            "deletionGracePeriodSeconds": served(json!({"type": "integer"})),
            "deletionTimestamp": served(text.clone()),
            "finalizers": served(json!({"type": "array", "items": {"type": "string"}})),
            "generateName": served(text.clone()),
            "generation": served(json!({"type": "integer"})),
            "managedFields": served(anything.clone()),
            "ownerReferences": served(anything),
            "resourceVersion": served(text.clone()),
            "selfLink": served(text.clone()),
            "uid": served(text),
        },
    })
}
