//! What a patch must leave as it is.

use serde_json::Value;

use crate::api::labels;
use crate::object::pointer::to_field_path;

/// Fields that say what an object is, what it selects, and what the operator itself steers by, each with what to do
/// instead.
const FIELDS: [(&str, &str, &str); 14] = [
    ("", "/apiVersion", "it says what the object is"),
    ("", "/kind", "it says what the object is"),
    ("", "/status", "others report it"),
    ("", "/spec/selector", "what it selects is fixed for ever"),
    (
        "ConfigMap",
        "/data",
        "use `spec.k0sConfig`, whose changes reach the pods",
    ),
    (
        "ConfigMap",
        "/binaryData",
        "use `spec.mounts` for files of your own",
    ),
    ("Service", "/spec/type", "use `spec.service.type`"),
    ("Service", "/spec/clusterIP", "addresses belong to the API server"),
    (
        "Service",
        "/spec/clusterIPs",
        "addresses belong to the API server",
    ),
    ("StatefulSet", "/spec/replicas", "use `spec.replicas`"),
    ("StatefulSet", "/spec/serviceName", "members are found by it"),
    ("StatefulSet", "/spec/podManagementPolicy", "it is fixed for ever"),
    (
        "StatefulSet",
        "/spec/volumeClaimTemplates",
        "use the sizes and classes of the spec",
    ),
    (
        "StatefulSet",
        "/spec/persistentVolumeClaimRetentionPolicy",
        "volumes live as long as `spec.deletionPolicy` says",
    ),
];

/// Templates in objects, whose labels and annotations are guarded as those of the object are.
const TEMPLATES: [&str; 3] = [
    "/spec/template/metadata",
    "/spec/jobTemplate/metadata",
    "/spec/jobTemplate/spec/template/metadata",
];

/// Containers without which there is no control plane. Their image is what versions are told from.
const CONTAINERS: [&str; 2] = ["controller", "etcd"];

/// Says what a patch changed that it must not, and why; `None` when it may have.
pub(super) fn changed(before: &Value, after: &Value) -> Option<String> {
    let kind = before.get("kind").and_then(Value::as_str).unwrap_or_default();
    let field = FIELDS.iter().find(|(of, pointer, _)| {
        (of.is_empty() || *of == kind) && before.pointer(pointer) != after.pointer(pointer)
    });
    if let Some((_, pointer, why)) = field {
        return Some(format!("it changes `{}`; {why}", to_field_path(pointer)));
    }
    if !after.is_object() {
        return Some("it replaces the whole object".to_owned());
    }
    identity(before.get("metadata"), after.get("metadata"))
        .or_else(|| marks(before, after, "/metadata"))
        .or_else(|| {
            TEMPLATES
                .iter()
                .find_map(|template| marks(before, after, template))
        })
        .or_else(|| etcd_strategy(before, after))
        .or_else(|| containers(before, after))
}

/// Everything in the metadata but labels and annotations: names, owners, finalizers.
fn identity(before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let key = differing(before, after, |key| !["labels", "annotations"].contains(&key))?;
    Some(format!(
        "it changes `metadata.{key}`; only labels and annotations may be changed there"
    ))
}

/// Labels and annotations of ours: objects are found by them.
fn marks(before: &Value, after: &Value, metadata: &str) -> Option<String> {
    ["labels", "annotations"].into_iter().find_map(|field| {
        let pointer = format!("{metadata}/{field}");
        let key = differing(before.pointer(&pointer), after.pointer(&pointer), is_ours)?;
        Some(format!(
            "it changes `{}[{key}]`; the operator finds and compares objects by it",
            to_field_path(&pointer)
        ))
    })
}

/// Returns the first field of a mapping that counts and is not the same in both.
fn differing<'a>(
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    counts: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let fields = |of: Option<&'a Value>| of.and_then(Value::as_object).into_iter().flatten();
    let is_same = |key: &str| {
        let field = |of: Option<&'a Value>| of?.as_object()?.get(key);
        field(before) == field(after)
    };
    fields(before)
        .chain(fields(after))
        .map(|(key, _)| key.as_str())
        .find(|key| counts(key) && !is_same(key))
}

fn is_ours(key: &str) -> bool {
    const NAMES: [&str; 7] = [
        labels::APP,
        labels::CLUSTER,
        labels::COMPONENT,
        labels::APP_NAME,
        labels::APP_INSTANCE,
        labels::APP_COMPONENT,
        labels::APP_MANAGED_BY,
    ];
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    NAMES.contains(&key) || domain == "k0smotron.io" || domain.ends_with(".k0smotron.io")
}

/// Members are replaced one at a time, and only while all others are healthy: no other controller may do it.
fn etcd_strategy(before: &Value, after: &Value) -> Option<String> {
    let strategy = "/spec/updateStrategy";
    let is_ours = before
        .pointer("/spec/updateStrategy/type")
        .and_then(Value::as_str)
        == Some("OnDelete");
    (is_ours && before.pointer(strategy) != after.pointer(strategy))
        .then(|| "it changes `spec.updateStrategy`; the operator replaces members one by one".to_owned())
}

fn containers(before: &Value, after: &Value) -> Option<String> {
    CONTAINERS.into_iter().find_map(|name| {
        let was = container(before, name)?;
        let Some(is) = container(after, name) else {
            return Some(format!("it removes the container `{name}`"));
        };
        (was.get("image") != is.get("image")).then(|| {
            format!("it changes the image of the container `{name}`; use `spec.image` or `spec.storage.etcd.image`")
        })
    })
}

fn container<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let containers = object.pointer("/spec/template/spec/containers")?.as_array()?;
    containers
        .iter()
        .find(|container| container.get("name").and_then(Value::as_str) == Some(name))
}
