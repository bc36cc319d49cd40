//! What watches and answers to writes told, small: objects are kept as JSON text and read when somebody looks.
//!
//! A StatefulSet takes a few kB as text and ten times that as a tree; thousands are kept and few are looked at at once.
//!
//! **Invariants:** an older version never replaces a newer one, whoever brings it: a watch, a list, or the answer to a
//! write. What was deleted never comes back by a late answer. Absence is only claimed after a whole list.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use serde_json::Value;

use super::prune::prune;
use super::{Kind, Object, ObjectId, Observed, Unreadable, digest, kinds};
use crate::api::labels;

/// Uids of deleted objects that are remembered. A late answer is seconds late, and nobody deletes thousands a second.
const REMEMBERED: usize = 4096;

/// What taking an object in told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Known already, older than what is known, or deleted since.
    None,
    /// Only what others report about it changed.
    Status,
    /// New, or changed in what somebody asks for.
    Content,
}

/// Objects by identity, and by the cluster they belong to.
#[derive(Debug)]
pub struct Cache {
    /// Whose managed fields are kept.
    manager: &'static str,
    records: BTreeMap<ObjectId, Record>,
    /// By identity of the cluster.
    children: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    /// Kinds and namespaces (empty: all) of which there has been a whole list.
    synced: BTreeSet<(Kind, String)>,
    /// Lists that have begun and not ended, with what they brought so far.
    lists: BTreeMap<(Kind, String), HashSet<ObjectId>>,
    /// Uids that will not come back, and the order in which they went.
    gone: HashSet<Box<str>>,
    gone_order: VecDeque<Box<str>>,
}

#[derive(Debug)]
struct Record {
    uid: Box<str>,
    version: u64,
    /// Of everything but the status and what changes with every write. Half a SHA-256 tells versions of one object
    /// apart.
    content: u64,
    parent: Option<ObjectId>,
    text: Box<str>,
}

impl Record {
    fn read(&self) -> Object {
        Object(serde_json::from_str(&self.text).expect("the text was written from a JSON value"))
    }
}

impl Cache {
    /// `manager` is the field manager whose managed fields are kept, to see what it applied and no longer does.
    pub fn new(manager: &'static str) -> Self {
        Self {
            manager,
            records: BTreeMap::new(),
            children: BTreeMap::new(),
            synced: BTreeSet::new(),
            lists: BTreeMap::new(),
            gone: HashSet::new(),
            gone_order: VecDeque::new(),
        }
    }

    /// Takes an object in, from a watch, a list or the answer to a write.
    ///
    /// `None` for an object without an identity.
    pub fn note(&mut self, mut object: Object) -> Option<(ObjectId, News)> {
        let id = object.id()?;
        for ((kind, namespace), listed) in &mut self.lists {
            if *kind == id.kind && (namespace.is_empty() || *namespace == id.namespace) {
                listed.insert(id.clone());
            }
        }
        let uid = object.uid().unwrap_or_default();
        if self.gone.contains(uid) {
            return Some((id, News::None));
        }
        prune(&mut object, id.kind, self.manager);
        let record = Record {
            uid: object.uid().unwrap_or_default().into(),
            version: object.resource_version().map_or(0, number),
            content: content_digest(&object),
            parent: parent_of(&id, &object),
            text: object.0.to_string().into(),
        };
        let news = match self.records.get(&id) {
            None => News::Content,
            Some(known) if record.version < known.version => return Some((id, News::None)),
            // The answer to a write and its echo by the watch are one version.
            Some(known) if record.version == known.version => News::None,
            Some(known) if record.uid != known.uid || record.content != known.content => News::Content,
            Some(known) if record.text != known.text => News::Status,
            Some(_) => News::None,
        };
        self.insert(id.clone(), record);
        Some((id, news))
    }

    /// Forgets what a watch says is deleted, unless it is there again in a newer version. Says whether it was known.
    pub fn forget(&mut self, deleted: &Object) -> bool {
        let Some(id) = deleted.id() else { return false };
        if let Some(uid) = deleted.uid() {
            self.remember_gone(uid.into());
        }
        let version = deleted.resource_version().map_or(0, number);
        let is_gone = self
            .records
            .get(&id)
            .is_some_and(|known| known.version <= version);
        if is_gone {
            self.remove(&id);
        }
        is_gone
    }

    /// Begins a list. What is known stays known until it ends.
    pub fn begin_list(&mut self, kind: Kind, namespace: &str) {
        self.lists.insert((kind, namespace.to_owned()), HashSet::new());
    }

    /// Ends a list that is whole: forgets what it did not bring and that is not newer than it.
    ///
    /// Returns what was forgotten, with the cluster it belonged to.
    pub fn end_list(
        &mut self,
        kind: Kind,
        namespace: &str,
        version: &str,
    ) -> Vec<(ObjectId, Option<ObjectId>)> {
        let scope = (kind, namespace.to_owned());
        let Some(listed) = self.lists.remove(&scope) else {
            return Vec::new();
        };
        let version = number(version);
        let missing: Vec<(ObjectId, Option<ObjectId>)> = self
            .records
            .iter()
            .filter(|(id, _)| id.kind == kind && (namespace.is_empty() || id.namespace == namespace))
            .filter(|(id, known)| !listed.contains(*id) && known.version <= version)
            .map(|(id, known)| (id.clone(), known.parent.clone()))
            .collect();
        for (id, _) in &missing {
            if let Some(known) = self.remove(id) {
                self.remember_gone(known.uid);
            }
        }
        self.synced.insert(scope);
        missing
    }

    /// Forgets that a kind has been listed, and its objects. Says whether it had been.
    pub fn forget_kind(&mut self, kind: Kind, namespace: &str) -> bool {
        let scope = (kind, namespace.to_owned());
        self.lists.remove(&scope);
        if !self.synced.remove(&scope) {
            return false;
        }
        let gone: Vec<ObjectId> = self
            .records
            .keys()
            .filter(|id| id.kind == kind && (namespace.is_empty() || id.namespace == namespace))
            .cloned()
            .collect();
        for id in &gone {
            self.remove(id);
        }
        true
    }

    /// Says whether absence of an object of this kind and namespace may be believed.
    pub fn is_synced(&self, kind: Kind, namespace: &str) -> bool {
        self.synced
            .iter()
            .any(|(known, scope)| *known == kind && (scope.is_empty() || scope == namespace))
    }

    pub fn get(&self, id: &ObjectId) -> Option<Object> {
        self.records.get(id).map(Record::read)
    }

    /// Returns the cluster that a known object belongs to.
    pub fn parent(&self, id: &ObjectId) -> Option<&ObjectId> {
        self.records.get(id)?.parent.as_ref()
    }

    /// Returns the known objects of a kind, in order.
    pub fn ids(&self, kind: Kind) -> impl Iterator<Item = &ObjectId> {
        self.records.keys().filter(move |id| id.kind == kind)
    }

    /// Returns the known objects of the same kind and namespace whose name begins with this one's and a dash, or that
    /// this one's begins with: names derived from the two may be the same.
    pub fn related(&self, id: &ObjectId) -> Vec<ObjectId> {
        let named = |name: &str| ObjectId::new(id.kind, id.namespace.clone(), name);
        let prefix = format!("{}-", id.name);
        let longer = self
            .records
            .range(named(&prefix)..)
            .map(|(other, _)| other)
            .take_while(|other| {
                (other.kind, &other.namespace) == (id.kind, &id.namespace) && other.name.starts_with(&prefix)
            })
            .cloned();
        let shorter = id
            .name
            .match_indices('-')
            .filter_map(|(at, _)| id.name.get(..at))
            .map(named)
            .filter(|other| self.records.contains_key(other));
        shorter.chain(longer).collect()
    }

    /// Returns everything that belongs to a cluster: by owner reference, else by label.
    ///
    /// *Shape*: each of `kinds` that has not been listed yet is unreadable.
    pub fn children_of(&self, cluster: &ObjectId, kinds: &[Kind]) -> Observed {
        let children = self.children.get(cluster).into_iter().flatten();
        let unsynced = kinds
            .iter()
            .filter(|kind| !self.is_synced(**kind, &cluster.namespace));
        Observed {
            objects: children
                .filter_map(|id| Some((id.clone(), self.get(id)?)))
                .collect(),
            unreadable: unsynced
                .map(|kind| Unreadable {
                    kind: *kind,
                    namespace: cluster.namespace.clone(),
                    reason: "not listed yet".to_owned(),
                })
                .collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn insert(&mut self, id: ObjectId, record: Record) {
        let parent = record.parent.clone();
        let known = self.records.insert(id.clone(), record);
        if let Some(Some(former)) = known.map(|known| known.parent)
            && parent.as_ref() != Some(&former)
        {
            self.orphan(&former, &id);
        }
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(id);
        }
    }

    fn remove(&mut self, id: &ObjectId) -> Option<Record> {
        let known = self.records.remove(id)?;
        if let Some(parent) = &known.parent {
            self.orphan(parent, id);
        }
        Some(known)
    }

    fn orphan(&mut self, parent: &ObjectId, id: &ObjectId) {
        if let Some(siblings) = self.children.get_mut(parent) {
            siblings.remove(id);
            if siblings.is_empty() {
                self.children.remove(parent);
            }
        }
    }

    fn remember_gone(&mut self, uid: Box<str>) {
        if uid.is_empty() || !self.gone.insert(uid.clone()) {
            return;
        }
        self.gone_order.push_back(uid);
        if self.gone_order.len() > REMEMBERED
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }
}

/// Returns the cluster an object belongs to: by its owner reference, which no user edits, else by its labels.
fn parent_of(id: &ObjectId, object: &Object) -> Option<ObjectId> {
    if id.kind == kinds::K0SMOTRON_CLUSTER {
        return None;
    }
    let owners = object
        .0
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let is_cluster =
        |owner: &&Value| owner.get("kind").and_then(Value::as_str) == Some(kinds::K0SMOTRON_CLUSTER.kind);
    let owner = owners.into_iter().flatten().find(is_cluster);
    let name = owner
        .and_then(|owner| owner.get("name")?.as_str())
        .or_else(|| object.label(labels::APP_INSTANCE))
        .or_else(|| object.label(labels::CLUSTER))?;
    Some(ObjectId::new(kinds::K0SMOTRON_CLUSTER, &id.namespace, name))
}

/// Versions of one kind can be compared as numbers; what is not one is older than all.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

fn content_digest(object: &Object) -> u64 {
    let mut content = object.0.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = content.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    let digest = digest(&content);
    let half = digest.get(..16).unwrap_or_default();
    u64::from_str_radix(half, 16).unwrap_or_default()
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
