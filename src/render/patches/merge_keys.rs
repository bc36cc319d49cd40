//! How strategic merge patches treat the lists of the kinds that are rendered.
//!
//! Source: `x-kubernetes-patch-merge-key` and `x-kubernetes-patch-strategy` of the OpenAPI document of kube-apiserver.
//! A test compares this table with what a running server publishes.

/// How the items of one list are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListMerge {
    /// Items are maps, told apart by this field.
    ByKey(&'static str),
    /// Items are plain values: a set.
    Values,
    /// The list is one value, which a patch replaces.
    Atomic,
}

use ListMerge::{Atomic, ByKey, Values};

/// Lists in the metadata of an object, of a template in it, or of a claim in that.
const METADATA: [(&str, ListMerge); 2] = [
    ("metadata.finalizers", Values),
    ("metadata.ownerReferences", ByKey("uid")),
];

const POD: [(&str, ListMerge); 9] = [
    ("containers", ByKey("name")),
    ("ephemeralContainers", ByKey("name")),
    ("hostAliases", ByKey("ip")),
    ("imagePullSecrets", ByKey("name")),
    ("initContainers", ByKey("name")),
    ("resourceClaims", ByKey("name")),
    ("schedulingGates", ByKey("name")),
    ("topologySpreadConstraints", ByKey("topologyKey")),
    ("volumes", ByKey("name")),
];

const CONTAINER: [(&str, ListMerge); 4] = [
    ("env", ByKey("name")),
    ("ports", ByKey("containerPort")),
    ("volumeDevices", ByKey("devicePath")),
    ("volumeMounts", ByKey("mountPath")),
];

/// Fields of a pod that hold containers.
const CONTAINERS: [&str; 3] = ["containers.", "ephemeralContainers.", "initContainers."];

/// Returns how a strategic merge patch treats the list at `path` of an object of `kind`.
///
/// *Shape*: fields joined by dots, without the places in lists, as in `spec.template.spec.containers.env`. Lists that
/// are not in the table are replaced as a whole, as the API server does with lists without a merge key.
pub fn list_merge(kind: &str, path: &str) -> ListMerge {
    let found = |table: &[(&str, ListMerge)], field: &str| {
        table
            .iter()
            .find(|(known, _)| *known == field)
            .map_or(Atomic, |(_, merge)| *merge)
    };
    let of_metadata = METADATA.iter().find(|(field, _)| path.ends_with(field));
    if let Some((_, merge)) = of_metadata {
        return *merge;
    }
    let template = match kind {
        "StatefulSet" => path.strip_prefix("spec.template."),
        "CronJob" => path.strip_prefix("spec.jobTemplate.spec.template."),
        "Service" if path == "spec.ports" => return ByKey("port"),
        _ => None,
    };
    let Some(template) = template else { return Atomic };
    let Some(field) = template.strip_prefix("spec.") else {
        return Atomic;
    };
    match CONTAINERS
        .iter()
        .find_map(|containers| field.strip_prefix(containers))
    {
        Some(field) => found(&CONTAINER, field),
        None => found(&POD, field),
    }
}
