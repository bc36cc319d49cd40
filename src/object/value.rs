//! Identity and content of one object, and ordered sets of them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;

/// What an object is called. Ordered by kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ObjectId {
    pub kind: Kind,
    /// Empty for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
}

impl ObjectId {
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let namespace = if kind.is_namespaced {
            namespace.into()
        } else {
            String::new()
        };
        Self {
            kind,
            namespace,
            name: name.into(),
        }
    }
}

/// `StatefulSet tenant-7/kmc-edge`.
impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{} {}", self.kind, self.name)
        } else {
            write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// One object as JSON. Keys are sorted, so equal objects print as equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Object(pub Value);

impl Object {
    /// Returns the identity, or `None` when the kind is not one of [`super::kinds`] or a name is missing.
    pub fn id(&self) -> Option<ObjectId> {
        let text = |pointer: &str| self.0.pointer(pointer).and_then(Value::as_str);
        let kind = Kind::find(text("/apiVersion")?, text("/kind")?)?;
        Some(ObjectId::new(
            kind,
            text("/metadata/namespace").unwrap_or_default(),
            text("/metadata/name")?,
        ))
    }

    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    pub fn integer(&self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer).and_then(Value::as_i64)
    }

    pub fn uid(&self) -> Option<&str> {
        self.text("/metadata/uid")
    }

    pub fn resource_version(&self) -> Option<&str> {
        self.text("/metadata/resourceVersion")
    }

    /// Returns what tells this version of this very object from any other: uid and resource version.
    pub fn version(&self) -> String {
        let (uid, version) = (self.uid(), self.resource_version());
        format!("{}/{}", uid.unwrap_or_default(), version.unwrap_or_default())
    }

    /// Says whether all pods of a StatefulSet are of one revision.
    pub fn is_at_one_revision(&self) -> bool {
        self.text("/status/currentRevision") == self.text("/status/updateRevision")
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("annotations")?.get(key)?.as_str()
    }

    /// Returns the owner reference with `controller: true`.
    pub fn controller(&self) -> Option<&Value> {
        let owners = self.0.get("metadata")?.get("ownerReferences")?.as_array()?;
        owners
            .iter()
            .find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
    }

    /// Returns the uid of [`Object::controller`].
    pub fn controller_uid(&self) -> Option<&str> {
        self.controller()?.get("uid")?.as_str()
    }
}

/// Objects by identity, in the order of [`ObjectId`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectSet(BTreeMap<ObjectId, Object>);

impl ObjectSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts or replaces; returns the object that was there.
    pub fn insert(&mut self, id: ObjectId, object: Object) -> Option<Object> {
        self.0.insert(id, object)
    }

    pub fn get(&self, id: &ObjectId) -> Option<&Object> {
        self.0.get(id)
    }

    pub fn remove(&mut self, id: &ObjectId) -> Option<Object> {
        self.0.remove(id)
    }

    /// Keeps the objects that are meant.
    pub fn retain(&mut self, mut is_meant: impl FnMut(&ObjectId, &Object) -> bool) {
        self.0.retain(|id, object| is_meant(id, object));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Object)> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(ObjectId, Object)> for ObjectSet {
    fn from_iter<I: IntoIterator<Item = (ObjectId, Object)>>(objects: I) -> Self {
        Self(objects.into_iter().collect())
    }
}
