//! Parts that objects of several families have: metadata, owner, what a spec says about every pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::resolved::ResolvedCluster;
use crate::api::labels;
use crate::object::{Kind, Object, ObjectId};
use crate::pki::KeyPurpose;

/// Files that pods have of the Secret of a key: for each key of it a path.
pub(super) type KeyFiles = (KeyPurpose, &'static [(&'static str, &'static str)]);

/// Which of the two sets of pods an object belongs to: the `component` of selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pods {
    ControlPlane,
    Etcd,
}

impl Pods {
    fn component(self) -> &'static str {
        match self {
            Self::ControlPlane => labels::COMPONENT_CLUSTER,
            Self::Etcd => labels::COMPONENT_ETCD,
        }
    }
}

impl ResolvedCluster {
    pub(super) fn id(&self, kind: Kind, name: impl Into<String>) -> ObjectId {
        ObjectId::new(kind, &self.namespace, name)
    }

    /// The labels that pods are selected by. Fixed for ever; nothing a user writes is among them.
    pub(super) fn selector(&self, pods: Pods) -> BTreeMap<&'static str, &str> {
        BTreeMap::from([
            (labels::APP, labels::APP_VALUE),
            (labels::CLUSTER, self.name.as_str()),
            (labels::COMPONENT, pods.component()),
        ])
    }

    /// All labels of ours but the uid, which would change in a template when a backup is restored.
    ///
    /// `component` is the value of `app.kubernetes.io/component`.
    pub(super) fn labels(&self, pods: Pods, component: &'static str) -> BTreeMap<&str, &str> {
        let mut all: BTreeMap<&str, &str> = self.selector(pods).into_iter().collect();
        all.extend([
            (labels::APP_NAME, labels::APP_VALUE),
            (labels::APP_INSTANCE, self.name.as_str()),
            (labels::APP_COMPONENT, component),
            (labels::APP_MANAGED_BY, labels::APP_MANAGED_BY_VALUE),
        ]);
        all
    }

    /// Metadata of a child. Users' labels and annotations go below ours.
    pub(super) fn metadata(&self, name: &str, pods: Pods, component: &'static str) -> Value {
        let mut labels = self.labels(pods, component);
        labels.insert(labels::CLUSTER_UID, &self.uid);
        json!({"name": name, "namespace": self.namespace, "labels": labels})
    }

    /// Metadata of a child that goes with the cluster.
    pub(super) fn owned_metadata(&self, name: &str, pods: Pods, component: &'static str) -> Value {
        let mut metadata = self.metadata(name, pods, component);
        metadata["ownerReferences"] = json!([{
            "apiVersion": crate::object::kinds::K0SMOTRON_CLUSTER.api_version(),
            "kind": crate::object::kinds::K0SMOTRON_CLUSTER.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
        metadata
    }

    /// What the spec says about every pod of the cluster, with the default affinity of these.
    pub(super) fn pod_spec(&self, pods: Pods) -> Map<String, Value> {
        let spec = &self.spec;
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| {
            if !is_empty(&value) {
                fields.insert(name.to_owned(), value);
            }
        };
        set("automountServiceAccountToken", json!(false));
        // The variables that every Service of the namespace adds mean nothing here, and differ from pod to pod.
        set("enableServiceLinks", json!(false));
        set("terminationGracePeriodSeconds", json!(60));
        set("imagePullSecrets", plain(&spec.image_pull_secrets));
        set("nodeSelector", plain(&spec.node_selector));
        set("tolerations", plain(&spec.tolerations));
        set(
            "topologySpreadConstraints",
            plain(&spec.topology_spread_constraints),
        );
        set("priorityClassName", plain(&spec.priority_class_name));
        set("runtimeClassName", plain(&spec.runtime_class_name));
        set("serviceAccountName", plain(&spec.service_account));
        set(
            "affinity",
            match &spec.affinity {
                Some(affinity) => plain(affinity),
                None => self.spread(pods),
            },
        );
        fields
    }

    /// Prefers other zones and other nodes than those of its like; control-plane pods avoid etcd's, too.
    fn spread(&self, pods: Pods) -> Value {
        let mut selector = self.selector(pods);
        match pods {
            Pods::ControlPlane => {
                selector.remove(labels::COMPONENT);
            }
            Pods::Etcd => {}
        }
        let term = |weight: i32, topology: &str| {
            json!({"weight": weight, "podAffinityTerm": {
                "topologyKey": topology,
                "labelSelector": {"matchLabels": selector},
            }})
        };
        json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            term(100, "topology.kubernetes.io/zone"),
            term(50, "kubernetes.io/hostname"),
        ]}})
    }

    /// Labels and annotations of a pod template: the user's below ours.
    pub(super) fn template_metadata(
        &self,
        pods: Pods,
        component: &'static str,
        annotations: BTreeMap<&str, String>,
    ) -> Value {
        let mut labels: BTreeMap<&str, &str> = self
            .spec
            .pod_labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        labels.extend(self.labels(pods, component));
        let mut all: BTreeMap<&str, String> = self
            .spec
            .pod_annotations
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        all.extend(annotations);
        let mut metadata = json!({"labels": labels});
        if !all.is_empty() {
            metadata["annotations"] = plain(&all);
        }
        metadata
    }

    /// Sources of a projected volume with files of keys and certificates. `mode` is asked for each key of a Secret.
    pub(super) fn key_sources<'a>(
        &self,
        files: impl IntoIterator<Item = &'a KeyFiles>,
        mode: impl Fn(&str) -> i32,
    ) -> Vec<Value> {
        let source = |(purpose, files): &KeyFiles| {
            let items: Vec<Value> = files
                .iter()
                .map(|(key, path)| json!({"key": key, "path": path, "mode": mode(key)}))
                .collect();
            json!({"secret": {"name": self.key_secret(*purpose), "items": items}})
        };
        files.into_iter().map(source).collect()
    }

    /// A template of claims. Templates are immutable, so no uid is among the labels: it changes when a backup is
    /// restored.
    pub(super) fn claim_template(
        &self,
        pods: Pods,
        component: &'static str,
        name: &str,
        spec: &Value,
    ) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": self.labels(pods, component)},
            "spec": spec,
        })
    }

    pub(super) fn pull_policy(&self) -> &'static str {
        self.spec
            .image_pull_policy
            .map_or("IfNotPresent", |policy| policy.as_str())
    }
}

/// Puts the parts of an object together.
pub(super) fn object(kind: Kind, metadata: Value, rest: Value) -> Object {
    let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata});
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    Object(object)
}

/// The security context of a container that needs nothing.
pub(super) fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// Sets what a container asks for, if anything is written.
pub(super) fn set_resources(container: &mut Value, resources: Option<&ResourceRequirements>) {
    let resources = plain(&resources);
    if !is_empty(&resources) {
        container["resources"] = resources;
    }
}

/// Spec of the claims of one pod, of that size and class; without one, of the default class.
pub(super) fn claim_spec(size: &str, class: Option<&str>) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    });
    if let Some(class) = class {
        spec["storageClassName"] = json!(class);
    }
    spec
}

/// Adds entries to a map of the metadata; those that are there stay.
pub(super) fn add_below(metadata: &mut Value, field: &str, entries: &BTreeMap<String, String>) {
    if entries.is_empty() {
        return;
    }
    let mut all: Map<String, Value> = entries
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())))
        .collect();
    if let Some(Value::Object(ours)) = metadata.get(field) {
        all.extend(ours.clone());
    }
    metadata[field] = Value::Object(all);
}

/// Returns a value without nulls, empty lists and empty maps: the server drops them, and they would look like a
/// difference in every pass.
pub(super) fn plain(value: &impl Serialize) -> Value {
    let value =
        serde_json::to_value(value).expect("types of the Kubernetes API have text keys and no odd numbers");
    prune(value)
}

fn prune(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, prune(value)))
            .filter(|(_, value)| !is_empty(value))
            .collect(),
        Value::Array(items) => items.into_iter().map(prune).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
