//! How the lists of the kinds we render are merged by the API server.
//!
//! *Source*: the `x-kubernetes-list-type` and `-map-keys` of the API server's OpenAPI document.

use serde_json::Value;

/// A field that tells the items of a list apart, and the value it has when it is not written.
pub(super) type Key = (&'static str, Option<&'static str>);

const PROTOCOL: Key = ("protocol", Some("TCP"));

pub(super) enum ListKind {
    /// Merged item by item.
    Keyed(&'static [Key]),
    Set,
    /// Replaced as a whole.
    Atomic,
    /// Replaced as a whole, but the server fills in more of each item than could be listed here.
    AtomicWithOpenItems,
}

/// Says how the list at a JSON pointer is merged. Lists of custom resources are atomic but for their metadata.
pub(super) fn kind_of(at: &str, is_custom: bool) -> ListKind {
    let field = at.rsplit('/').next().unwrap_or_default();
    match field {
        "ownerReferences" => return ListKind::Keyed(&[("uid", None)]),
        "finalizers" => return ListKind::Set,
        _ if is_custom => return ListKind::Atomic,
        _ => {}
    }
    match field {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => {
            ListKind::Keyed(&[("name", None)])
        }
        "volumeMounts" => ListKind::Keyed(&[("mountPath", None)]),
        "volumeDevices" => ListKind::Keyed(&[("devicePath", None)]),
        "ports" if at == "/spec/ports" => ListKind::Keyed(&[("port", None), PROTOCOL]),
        "ports" if at.contains("ontainers/") => ListKind::Keyed(&[("containerPort", None), PROTOCOL]),
        "topologySpreadConstraints" => ListKind::Keyed(&[("topologyKey", None), ("whenUnsatisfiable", None)]),
        "hostAliases" => ListKind::Keyed(&[("ip", None)]),
        "conditions" => ListKind::Keyed(&[("type", None)]),
        "volumeClaimTemplates" => ListKind::AtomicWithOpenItems,
        _ => ListKind::Atomic,
    }
}

/// Says whether the order of the items is more than the order in which they were written.
pub(super) fn is_order_significant(at: &str) -> bool {
    // Init containers run in order, and a variable may use those before it.
    matches!(at.rsplit('/').next(), Some("initContainers" | "env"))
}

pub(super) fn has_same_key(keys: &[Key], one: &Value, other: &Value) -> bool {
    keys.iter().all(|(field, default)| {
        let of = |item: &Value| -> Option<Value> {
            item.get(field)
                .cloned()
                .or_else(|| default.map(|text| Value::String(text.to_owned())))
        };
        of(one) == of(other)
    })
}

/// Returns what the managed fields say about an item, `None` when it is not ours.
pub(super) fn owned_item<'a>(keys: &[Key], item: &Value, owned: Option<&'a Value>) -> Option<&'a Value> {
    owned?.as_object()?.iter().find_map(|(name, fields)| {
        let recorded: Value = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
        has_same_key(keys, item, &recorded).then_some(fields)
    })
}

/// Says whether a field of a value that is replaced as a whole is there because the server filled it in.
pub(super) fn is_default(at: &str, value: &Value) -> bool {
    let mut steps = at.rsplit('/');
    let field = steps.next().unwrap_or_default();
    let parent = steps.next().unwrap_or_default();
    // Every version of the Gateway API fills in other fields; of these it leaves all to whoever writes the route.
    if matches!(steps.next(), Some("parentRefs" | "backendRefs")) {
        return !["name", "namespace", "port", "sectionName"].contains(&field);
    }
    match (parent, field) {
        ("fieldRef", "apiVersion") => value == "v1",
        ("resourceFieldRef", "divisor") => value == "0",
        ("serviceAccountToken", "expirationSeconds") => value == 3600,
        // `name` of a reference is a non-pointer string that is always written.
        (_, "name") => value == "",
        _ => false,
    }
}
