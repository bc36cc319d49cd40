//! A rendered object against the live one: what a forced server-side apply would change.
//!
//! **Invariant:** only rendered paths are compared. What the server or somebody else added is no difference; what our
//! manager applied before and no longer renders is one. An object that was applied equals itself after the server's
//! defaulting, or the operator would write in every pass.

use serde_json::{Map, Value};

use super::lists::{self, ListKind};
use super::{Object, kinds, pointer, quantity};

/// One path at which applying the desired object would change the live one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// JSON pointer; list indexes are those of the desired object, or of the live one for what goes away.
    pub pointer: String,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

/// Returns what applying `desired` as `manager` would change, in the order of the desired object's fields.
///
/// *Shape*: status and what the server sets in metadata are not compared, nor is the data of Secrets, which is never
/// observed (whoever renders one writes a digest of it as an annotation). Fields that left the rendered object are
/// found through the managed fields of `manager` in `live`; without those they are not found. Never fails.
pub fn differences(desired: &Object, live: &Object, manager: &str) -> Vec<Difference> {
    let mut comparison = Comparison {
        is_custom: desired
            .id()
            .is_some_and(|id| id.kind.group.ends_with("k0smotron.io")),
        is_secret: desired.text("/kind") == Some(kinds::SECRET.kind),
        live,
        differences: Vec::new(),
    };
    let owned = applied_fields(live, manager);
    if let Some(fields) = desired.0.as_object() {
        comparison.map("", fields, &live.0, owned.as_ref(), Extras::Ignored);
    }
    comparison.differences
}

/// Returns the fields that `manager` applied, as the server records them (`f:spec`, `k:{...}`, `v:...`).
fn applied_fields(live: &Object, manager: &str) -> Option<Value> {
    let entries = live.0.pointer("/metadata/managedFields")?.as_array()?;
    entries
        .iter()
        .find(|entry| {
            entry.get("manager").and_then(Value::as_str) == Some(manager)
                && entry.get("operation").and_then(Value::as_str) == Some("Apply")
                && entry
                    .get("subresource")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .is_empty()
        })?
        .get("fieldsV1")
        .cloned()
}

/// Says whether `manager` applied the field at this JSON pointer. Only for paths without lists.
pub fn is_applied_by(live: &Object, manager: &str, field: &str) -> bool {
    let Some(mut owned) = applied_fields(live, manager) else {
        return false;
    };
    for step in pointer::steps(field) {
        match owned.get_mut(format!("f:{step}")) {
            Some(child) => owned = child.take(),
            None => return false,
        }
    }
    true
}

/// What live fields mean that are not rendered, where managed fields cannot tell.
#[derive(Clone, Copy, PartialEq)]
enum Extras {
    /// Somebody else's.
    Ignored,
    /// Part of a value that is replaced as a whole.
    Differ,
}

struct Comparison<'a> {
    is_custom: bool,
    is_secret: bool,
    live: &'a Object,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, pointer: &str, old: Option<&Value>, new: Option<&Value>) {
        self.differences.push(Difference {
            pointer: pointer.to_owned(),
            old: old.cloned(),
            new: new.cloned(),
        });
    }

    /// Says whether a field that is not there matters only once something else of its object changes: a StatefulSet
    /// without a partition may roll its pods in circles, and one that rolls nothing is not written for that.
    fn is_written_with_others(&self, at: &str, value: &Value) -> bool {
        at == "/spec/updateStrategy/rollingUpdate"
            && value.pointer("/partition") == Some(&Value::from(0))
            && self.live.is_at_one_revision()
    }

    fn is_not_compared(&self, at: &str, key: &str) -> bool {
        match at {
            "" => match key {
                "status" | "apiVersion" | "kind" => true,
                "data" | "stringData" => self.is_secret,
                _ => false,
            },
            "/metadata" => matches!(
                key,
                "name"
                    | "namespace"
                    | "uid"
                    | "resourceVersion"
                    | "generation"
                    | "creationTimestamp"
                    | "deletionTimestamp"
                    | "deletionGracePeriodSeconds"
                    | "managedFields"
                    | "selfLink"
            ),
            _ => false,
        }
    }

    fn value(
        &mut self,
        at: &str,
        desired: &Value,
        live: Option<&Value>,
        owned: Option<&Value>,
        extras: Extras,
    ) {
        let live = match live {
            None | Some(Value::Null) => {
                if !is_dropped_by_the_server(at, desired) && !self.is_written_with_others(at, desired) {
                    self.add(at, None, Some(desired));
                }
                return;
            }
            Some(live) => live,
        };
        match (desired, live) {
            // A null takes a field away.
            (Value::Null, live) => {
                if extras == Extras::Differ || owned.is_some() {
                    self.add(at, Some(live), None);
                }
            }
            (Value::Object(fields), Value::Object(_)) => self.map(at, fields, live, owned, extras),
            (Value::Array(items), Value::Array(live_items)) => {
                self.list(at, items, live_items, owned, extras);
            }
            (desired, live) => {
                if !is_same_scalar(at, desired, live) {
                    self.add(at, Some(live), Some(desired));
                }
            }
        }
    }

    fn map(
        &mut self,
        at: &str,
        desired: &Map<String, Value>,
        live: &Value,
        owned: Option<&Value>,
        extras: Extras,
    ) {
        for (key, value) in desired {
            let live = live.get(key);
            // What is the same as a whole is so in every part, and most of a fleet is.
            if live == Some(value) || self.is_not_compared(at, key) {
                continue;
            }
            let owned_child = owned.and_then(|owned| owned.get(format!("f:{key}")));
            self.value(&pointer::push(at, key), value, live, owned_child, extras);
        }
        // A leaf in the managed fields over a map that has fields is a map that is replaced as a whole.
        let is_atomic = !desired.is_empty()
            && owned
                .and_then(Value::as_object)
                .is_some_and(|fields| fields.is_empty());
        let is_replaced = is_atomic || extras == Extras::Differ;
        for (key, value) in live.as_object().into_iter().flatten() {
            if desired.contains_key(key) || self.is_not_compared(at, key) {
                continue;
            }
            let was_ours = owned.is_some_and(|owned| owned.get(format!("f:{key}")).is_some());
            if !was_ours && !is_replaced {
                continue;
            }
            let child = pointer::push(at, key);
            if was_ours || !lists::is_default(&child, value) && !is_dropped_by_the_server(&child, value) {
                self.add(&child, Some(value), None);
            }
        }
    }

    fn list(&mut self, at: &str, desired: &[Value], live: &[Value], owned: Option<&Value>, extras: Extras) {
        match lists::kind_of(at, self.is_custom) {
            ListKind::Keyed(keys) => self.keyed(at, keys, desired, live, owned, extras),
            ListKind::Set => {
                for (index, item) in desired.iter().enumerate() {
                    if !live.contains(item) {
                        self.add(&format!("{at}/{index}"), None, Some(item));
                    }
                }
                for (index, item) in live.iter().enumerate() {
                    let was_ours = owned.is_some_and(|owned| owned.get(format!("v:{item}")).is_some());
                    if was_ours && !desired.contains(item) {
                        self.add(&format!("{at}/{index}"), Some(item), None);
                    }
                }
            }
            ListKind::Atomic | ListKind::AtomicWithOpenItems if desired.len() != live.len() => {
                let whole = |items: &[Value]| Value::Array(items.to_vec());
                self.add(at, Some(&whole(live)), Some(&whole(desired)));
            }
            kind @ (ListKind::Atomic | ListKind::AtomicWithOpenItems) => {
                let extras = match kind {
                    ListKind::AtomicWithOpenItems => Extras::Ignored,
                    ListKind::Atomic | ListKind::Keyed(_) | ListKind::Set => Extras::Differ,
                };
                for (index, (item, live)) in desired.iter().zip(live).enumerate() {
                    self.value(&format!("{at}/{index}"), item, Some(live), None, extras);
                }
            }
        }
    }

    fn keyed(
        &mut self,
        at: &str,
        keys: &[lists::Key],
        desired: &[Value],
        live: &[Value],
        owned: Option<&Value>,
        extras: Extras,
    ) {
        let mut positions = Vec::new();
        for (index, item) in desired.iter().enumerate() {
            let here = format!("{at}/{index}");
            let found = live
                .iter()
                .position(|candidate| lists::has_same_key(keys, item, candidate));
            let Some(position) = found else {
                self.add(&here, None, Some(item));
                continue;
            };
            positions.push(position);
            let owned_item = lists::owned_item(keys, item, owned);
            self.value(&here, item, live.get(position), owned_item, extras);
        }
        for (index, item) in live.iter().enumerate() {
            let is_desired = desired.iter().any(|other| lists::has_same_key(keys, other, item));
            let was_ours = lists::owned_item(keys, item, owned).is_some();
            if !is_desired && (was_ours || extras == Extras::Differ) {
                self.add(&format!("{at}/{index}"), Some(item), None);
            }
        }
        if lists::is_order_significant(at) && !positions.is_sorted() {
            let whole = |items: &[Value]| Value::Array(items.to_vec());
            self.add(at, Some(&whole(live)), Some(&whole(desired)));
        }
    }
}

/// Says whether a value that is sent is not stored: nothing at all, or the zero of a field that means the same unset.
fn is_dropped_by_the_server(at: &str, value: &Value) -> bool {
    // Fields that are no pointers in Kubernetes' own types; all others keep their zero, and it means something.
    const ZERO_IS_UNSET: [&str; 9] = [
        "value",
        "readOnly",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "stdin",
        "tty",
        "publishNotReadyAddresses",
        "minReadySeconds",
    ];
    let field = at.rsplit('/').next().unwrap_or_default();
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        // `emptyDir: {}` says what a volume is.
        Value::Object(fields) => {
            field != "emptyDir"
                && fields
                    .iter()
                    .all(|(key, value)| is_dropped_by_the_server(&pointer::push(at, key), value))
        }
        Value::Bool(flag) => !flag && ZERO_IS_UNSET.contains(&field),
        Value::String(text) => text.is_empty() && ZERO_IS_UNSET.contains(&field),
        Value::Number(number) => number.as_i64() == Some(0) && ZERO_IS_UNSET.contains(&field),
    }
}

fn is_same_scalar(at: &str, desired: &Value, live: &Value) -> bool {
    if desired == live {
        return true;
    }
    if let (Value::Number(one), Value::Number(other)) = (desired, live) {
        return one.as_f64() == other.as_f64();
    }
    is_quantity(at)
        && quantity::billionths(desired).is_some_and(|value| Some(value) == quantity::billionths(live))
}

fn is_quantity(at: &str) -> bool {
    let mut steps = at.rsplit('/');
    let field = steps.next().unwrap_or_default();
    let parent = steps.next().unwrap_or_default();
    matches!(parent, "limits" | "requests" | "capacity")
        || matches!(field, "sizeLimit" | "divisor")
        || (field == "size" && parent == "persistence")
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
