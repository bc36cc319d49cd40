//! What a hub remembers of a fleet: one ConfigMap, its parent.
//!
//! It says that the fleet may be on this hub at all, in which namespaces its clusters can be found once they have left
//! the files, and how much of the budget of deletions is spent. It is changed before the first write of a run, at the
//! version that was read, so that of two runs that looked at the same moment only one goes on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::begun::{Deletions, DeletionsError};
use crate::api::fleet::Fleet;
use crate::api::{labels, names};
use crate::object::{Object, ObjectId, digest, kinds};
use crate::plan::Begun;
use crate::plan::rollout::{State, StateError};

/// Namespace of the parent unless the caller names another: that of the controller.
pub const NAMESPACE: &str = "k0smotron-fleet";

/// Version of what is written here. A parent of a newer one is not touched.
const VERSION: &str = "1";

mod key {
    pub const VERSION: &str = "version";
    pub const ID: &str = "id";
    pub const NAME: &str = "name";
    pub const NAMESPACES: &str = "namespaces";
    pub const REVISION: &str = "revision";
    pub const FLEET: &str = "fleet";
    // What earlier versions read: of the content that was last deleted for.
    pub const SPENT: &str = "spent";
    pub const SPENT_ON: &str = "spentOn";
    pub const DELETIONS: &str = "deletions";
    pub const TOOL: &str = "tool";
    pub const RUNS: &str = "runs";
    pub const ROLLOUT: &str = "rollout";
}

/// The memory itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    pub fleet_id: String,
    pub name: String,
    /// Every namespace that a cluster of the fleet was ever written to.
    pub namespaces: BTreeSet<String>,
    /// Commit that was applied completely last.
    pub revision: Option<String>,
    /// The Fleet as it was applied last, as JSON.
    pub fleet: Option<String>,
    pub deletions: Deletions,
    /// How many runs have begun to write. Two runs that saw the same number cannot both go on.
    pub runs: u64,
    /// How far the changes that restart pods have come.
    pub rollout: Option<State>,
    /// Keys that this version does not know, kept as they are.
    others: BTreeMap<String, String>,
}

/// What a run that begins is about.
#[derive(Clone, Debug, Default)]
pub struct Beginning<'a> {
    /// Namespaces that it writes to.
    pub namespaces: BTreeSet<String>,
    /// Digest of what the files say.
    pub content: &'a str,
    /// Uids of the clusters that it deletes.
    pub deletions: BTreeSet<String>,
    pub revision: Option<&'a str>,
}

/// A parent as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredParent {
    pub parent: Parent,
    pub uid: String,
    pub resource_version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParentError {
    #[error("{id} was written by a newer version (format {version}); use that version")]
    Newer { id: String, version: String },
    #[error("{id} is not the memory of fleet `{fleet_id}`: {reason}")]
    NotOurs {
        id: String,
        fleet_id: String,
        reason: String,
    },
    #[error("{id} is not usable")]
    Rollout { id: String, source: StateError },
    #[error("{id} does not say which deletions were begun")]
    Deletions { id: String, source: DeletionsError },
}

/// Returns the identity of the parent of a fleet.
pub fn id(namespace: &str, fleet_id: &str) -> ObjectId {
    ObjectId::new(kinds::CONFIG_MAP, namespace, names::fleet_parent(fleet_id))
}

impl Parent {
    /// Returns the memory of a fleet that was never applied.
    pub fn new(fleet: &Fleet) -> Self {
        Self {
            fleet_id: fleet.spec.id.clone(),
            name: fleet.name.clone(),
            ..Self::default()
        }
    }

    /// Returns the deletions that were begun for the same content before. Another content starts anew.
    ///
    /// *Shape*: `content` is asked only when something was ever deleted.
    pub fn begun_for(&self, content: &dyn Fn() -> String) -> Begun {
        match self.deletions.last() {
            Some(_) => self.deletions.begun_for(&content()),
            None => Begun::default(),
        }
    }

    /// Returns the memory before a run: with the namespaces it writes to and the deletions it begins.
    #[must_use]
    pub fn before_run(&self, fleet: &Fleet, run: &Beginning<'_>) -> Self {
        let &Beginning {
            ref namespaces,
            content,
            ref deletions,
            revision,
        } = run;
        let mut parent = self.clone();
        parent.name = fleet.name.clone();
        parent.runs += 1;
        parent.fleet = serde_json::to_string(&fleet.spec).ok();
        parent.namespaces.extend(namespaces.iter().cloned());
        parent.rollout = fleet.spec.rollout.is_some().then(|| {
            let state = parent.rollout.take();
            state.map_or_else(
                || State::new(content, revision),
                |state| state.for_content(content, revision),
            )
        });
        if !deletions.is_empty() {
            parent.deletions.begin(content, deletions);
        }
        parent
    }

    /// Returns the memory after a run that did everything.
    #[must_use]
    pub fn after_run(&self, revision: Option<&str>) -> Self {
        Self {
            revision: revision.map(str::to_owned).or_else(|| self.revision.clone()),
            ..self.clone()
        }
    }

    /// Returns the memory with another state of the rollout.
    #[must_use]
    pub fn with_rollout(&self, state: State) -> Self {
        Self {
            rollout: Some(state),
            ..self.clone()
        }
    }

    /// Returns the ConfigMap, without uid and version.
    pub fn to_object(&self, namespace: &str) -> Object {
        let mut data = self.others.clone();
        let namespaces: Vec<&str> = self.namespaces.iter().map(String::as_str).collect();
        for (key, value) in [
            (key::VERSION, VERSION.to_owned()),
            (key::ID, self.fleet_id.clone()),
            (key::NAME, self.name.clone()),
            (key::NAMESPACES, namespaces.join("\n")),
            (key::TOOL, env!("CARGO_PKG_VERSION").to_owned()),
            (key::RUNS, self.runs.to_string()),
        ] {
            data.insert(key.to_owned(), value);
        }
        let last = self.deletions.last();
        let optional = [
            (key::REVISION, self.revision.clone()),
            (key::FLEET, self.fleet.clone()),
            (key::SPENT, last.map(|(_, count)| count.to_string())),
            (key::SPENT_ON, last.map(|(content, _)| content.to_owned())),
            (key::DELETIONS, self.deletions.text()),
            (key::ROLLOUT, self.rollout.as_ref().map(State::text)),
        ];
        for (key, value) in optional {
            data.extend(value.map(|value| (key.to_owned(), value)));
        }
        let id = id(namespace, &self.fleet_id);
        Object(json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.kind,
            "metadata": {
                "name": id.name,
                "namespace": id.namespace,
                "labels": {
                    labels::APP_MANAGED_BY: labels::APP_MANAGED_BY_VALUE,
                    labels::FLEET_ID: self.fleet_id,
                    labels::FLEET_PARENT: "true",
                },
            },
            "data": data,
        }))
    }

    /// Reads a ConfigMap of the name that the parent of `fleet_id` has.
    pub fn from_object(object: &Object, fleet_id: &str) -> Result<StoredParent, ParentError> {
        let id = object
            .id()
            .unwrap_or_else(|| ObjectId::new(kinds::CONFIG_MAP, "", names::fleet_parent(fleet_id)))
            .to_string();
        let not_ours = |reason: &str| ParentError::NotOurs {
            id: id.clone(),
            fleet_id: fleet_id.to_owned(),
            reason: reason.to_owned(),
        };
        if object.label(labels::FLEET_ID) != Some(fleet_id) || object.label(labels::FLEET_PARENT).is_none() {
            return Err(not_ours("it lacks the labels of one"));
        }
        let mut others: BTreeMap<String, String> = object
            .0
            .get("data")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        let mut take = |key: &str| others.remove(key);
        let version = take(key::VERSION).unwrap_or_default();
        if version != VERSION {
            return Err(ParentError::Newer { id, version });
        }
        if take(key::ID).as_deref() != Some(fleet_id) {
            return Err(not_ours("it has another id"));
        }
        let namespaces = take(key::NAMESPACES).unwrap_or_default();
        let rollout = take(key::ROLLOUT)
            .map(|text| State::read(&text))
            .transpose()
            .map_err(|source| ParentError::Rollout {
                id: id.clone(),
                source,
            })?;
        let mut deletions = take(key::DELETIONS)
            .map(|text| Deletions::read(&text))
            .transpose()
            .map_err(|source| ParentError::Deletions {
                id: id.clone(),
                source,
            })?
            .unwrap_or_default();
        if let (Some(spent), Some(content)) = (take(key::SPENT), take(key::SPENT_ON)) {
            // A number that cannot be read must not refill the budget.
            deletions.add_unnamed(&content, spent.parse().unwrap_or(usize::MAX / 2));
        }
        let parent = Self {
            fleet_id: fleet_id.to_owned(),
            name: take(key::NAME).unwrap_or_default(),
            namespaces: namespaces.lines().map(str::to_owned).collect(),
            revision: take(key::REVISION),
            fleet: take(key::FLEET),
            deletions,
            runs: take(key::RUNS)
                .and_then(|runs| runs.parse().ok())
                .unwrap_or_default(),
            rollout,
            others: {
                take(key::TOOL);
                others
            },
        };
        Ok(StoredParent {
            parent,
            uid: object.uid().unwrap_or_default().to_owned(),
            resource_version: object.resource_version().unwrap_or_default().to_owned(),
        })
    }
}

impl StoredParent {
    /// Returns the ConfigMap with the version it was read at, which a write then insists on.
    pub fn replacement(&self, parent: &Parent, namespace: &str) -> Object {
        let mut object = parent.to_object(namespace);
        object.0["metadata"]["resourceVersion"] = json!(self.resource_version);
        object
    }
}

/// Returns the digest of what a fleet says: what a budget of deletions is spent on.
///
/// *Shape*: independent of commits, so that an empty commit does not refill a budget.
pub fn content<'a>(fleet: Option<&Fleet>, objects: impl Iterator<Item = &'a Object>) -> String {
    // In the order of their names, which is a part of what hubs remember.
    #[derive(Serialize)]
    struct Content<'a> {
        fleet: Option<Value>,
        objects: Vec<&'a Object>,
    }
    let fleet = fleet.map(|fleet| json!({ "name": fleet.name, "spec": fleet.spec }));
    let objects = objects.collect();
    digest(&Content { fleet, objects })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::rollout::Phase;

    fn fleet() -> Fleet {
        Fleet {
            name: "acme".to_owned(),
            spec: serde_json::from_value(json!({ "id": "acme-7f3a" })).unwrap(),
        }
    }

    fn begun(parent: &Parent, content: &str) -> usize {
        parent.begun_for(&|| content.to_owned()).count()
    }

    fn beginning(content: &str, deletions: usize) -> Beginning<'_> {
        Beginning {
            content,
            deletions: (0..deletions)
                .map(|number| format!("{content}-{number}"))
                .collect(),
            ..Beginning::default()
        }
    }

    fn stored(parent: &Parent) -> Object {
        let mut object = parent.to_object(NAMESPACE);
        object.0["metadata"]["uid"] = json!("u");
        object.0["metadata"]["resourceVersion"] = json!("7");
        object
    }

    #[test]
    fn what_is_written_is_read_back() {
        let parent = Parent::new(&fleet())
            .before_run(
                &fleet(),
                &Beginning {
                    namespaces: ["edge".to_owned(), "prod".to_owned()].into(),
                    ..beginning("digest", 2)
                },
            )
            .after_run(Some("3f2c1d9"));
        let read = Parent::from_object(&stored(&parent), "acme-7f3a").unwrap();
        assert_eq!(read.parent, parent);
        assert_eq!(read.replacement(&parent, NAMESPACE).resource_version(), Some("7"));
    }

    #[test]
    fn keys_of_others_are_kept() {
        let mut object = stored(&Parent::new(&fleet()));
        object.0["data"]["windows"] = json!("{}");
        let read = Parent::from_object(&object, "acme-7f3a").unwrap();
        assert_eq!(read.parent.to_object(NAMESPACE).text("/data/windows"), Some("{}"));
    }

    #[test]
    fn retries_do_not_refill_the_budget_and_other_content_does() {
        let parent = Parent::new(&fleet()).before_run(&fleet(), &beginning("one", 3));
        let again = Beginning {
            deletions: ["one-2".to_owned(), "other".to_owned()].into(),
            ..beginning("one", 0)
        };
        let parent = parent.before_run(&fleet(), &again);
        assert_eq!((begun(&parent, "one"), begun(&parent, "two")), (4, 0));
        let parent = parent.before_run(&fleet(), &beginning("two", 1));
        let read = Parent::from_object(&stored(&parent), "acme-7f3a").unwrap();
        assert_eq!(read.parent, parent);
        assert_eq!(
            (begun(&parent, "one"), begun(&parent, "two")),
            (4, 1),
            "there and back is no refill"
        );
    }

    #[test]
    fn a_budget_that_an_earlier_version_spent_is_spent_and_one_that_cannot_be_read_too() {
        let mut object = stored(&Parent::new(&fleet()));
        object.0["data"]["spentOn"] = json!("one");
        for (spent, least) in [("3", 3), ("many", 1_000_000)] {
            object.0["data"]["spent"] = json!(spent);
            let read = Parent::from_object(&object, "acme-7f3a").unwrap();
            assert!(begun(&read.parent, "one") >= least, "{spent}");
            assert_eq!(begun(&read.parent, "two"), 0);
        }
        object.0["data"]["deletions"] = json!("[");
        let read = Parent::from_object(&object, "acme-7f3a");
        assert!(matches!(read, Err(ParentError::Deletions { .. })), "{read:?}");
    }

    #[test]
    fn a_rollout_is_kept_for_the_same_content_and_begun_anew_for_another() {
        let rolled = Fleet {
            spec: serde_json::from_value(json!({ "id": "acme-7f3a", "rollout": {} })).unwrap(),
            ..fleet()
        };
        let mut parent = Parent::new(&rolled).before_run(&rolled, &beginning("one", 0));
        parent.rollout.as_mut().unwrap().pause("ann: lunch");
        let read = Parent::from_object(&stored(&parent), "acme-7f3a").unwrap();
        assert_eq!(read.parent, parent);
        let phase = |fleet: &Fleet, content: &str| {
            let next = parent.before_run(fleet, &beginning(content, 0));
            next.rollout.map(|state| state.phase)
        };
        assert_eq!(phase(&rolled, "one"), Some(Phase::Paused));
        assert_eq!(phase(&rolled, "two"), Some(Phase::Running));
        assert_eq!(phase(&fleet(), "one"), None);
    }

    #[test]
    fn a_config_map_that_is_not_a_parent_is_left_alone() {
        let mut object = stored(&Parent::new(&fleet()));
        object.0["data"]["version"] = json!("2");
        assert!(matches!(
            Parent::from_object(&object, "acme-7f3a"),
            Err(ParentError::Newer { .. })
        ));
        object.0["metadata"]["labels"] = json!({});
        assert!(matches!(
            Parent::from_object(&object, "acme-7f3a"),
            Err(ParentError::NotOurs { .. })
        ));
    }

    #[test]
    fn the_digest_of_the_content_knows_no_commit() {
        let objects = [Object(json!({ "a": 1 }))];
        let one = content(Some(&fleet()), objects.iter());
        assert_eq!(one, content(Some(&fleet()), objects.iter()));
        assert_ne!(one, content(Some(&fleet()), [].iter()));
    }
}
