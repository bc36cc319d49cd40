//! Which entries of a finished plan a person asked for.

use std::collections::BTreeSet;

use super::selector::Selector;
use crate::object::{Object, ObjectId, kinds};
use crate::plan::{Action, Held, HeldReason, Operation, Plan, sort_held};

/// A filter over clusters. All parts must hold; an empty part holds always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub namespaces: BTreeSet<String>,
    pub selector: Option<Selector>,
    /// Namespace and name.
    pub only: BTreeSet<(String, String)>,
}

impl Filter {
    /// Says whether it lets everything pass.
    pub fn is_all(&self) -> bool {
        self.namespaces.is_empty() && self.selector.is_none() && self.only.is_empty()
    }

    /// Says whether a cluster passes; `object` is where its labels are read.
    pub fn matches(&self, id: &ObjectId, object: Option<&Object>) -> bool {
        let in_namespace = self.namespaces.is_empty() || self.namespaces.contains(&id.namespace);
        let is_named = self.only.is_empty() || self.names(id);
        let has_labels = match (&self.selector, object) {
            (None, _) => true,
            (Some(selector), Some(object)) => selector.matches(|key| object.label(key)),
            (Some(_), None) => false,
        };
        in_namespace && is_named && has_labels
    }

    /// Says whether a cluster is named one by one.
    pub fn names(&self, id: &ObjectId) -> bool {
        self.only.contains(&(id.namespace.clone(), id.name.clone()))
    }
}

/// Keeps the entries of a plan for which `is_selected` holds, and what they need.
///
/// *Shape*: a deletion that is selected but not named one by one becomes held: who asks for a part of a fleet is not
/// asked what left the rest of it.
pub fn select(plan: Plan, filter: &Filter, is_selected: impl Fn(&ObjectId) -> bool) -> Plan {
    let Plan {
        revision,
        waves,
        held,
        unchanged,
    } = plan;
    let is_cluster = |id: &ObjectId| id.kind == kinds::K0SMOTRON_CLUSTER;
    let mut held: Vec<Held> = held.into_iter().filter(|held| is_selected(&held.id)).collect();
    let chosen: BTreeSet<ObjectId> = waves
        .iter()
        .flat_map(|wave| &wave.actions)
        .filter(|action| is_cluster(&action.id) && is_selected(&action.id))
        .flat_map(|action| action.needs.iter().chain([&action.id]).cloned())
        .collect();
    let mut kept_waves = Vec::new();
    for mut wave in waves {
        let (kept, kept_back): (Vec<Action>, Vec<Action>) = wave
            .actions
            .into_iter()
            .filter(|action| chosen.contains(&action.id))
            .partition(|action| !is_delete(action) || filter.names(&action.id));
        held.extend(kept_back.into_iter().map(|action| Held {
            id: action.id,
            reason: HeldReason::DeletionsOff,
            waiting_on: "a run for a part of the fleet deletes only what `--only` names".to_owned(),
        }));
        wave.actions = kept;
        if !wave.actions.is_empty() {
            kept_waves.push(wave);
        }
    }
    sort_held(&mut held);
    Plan {
        revision,
        waves: kept_waves,
        held,
        unchanged: unchanged.into_iter().filter(|id| is_selected(id)).collect(),
    }
}

fn is_delete(action: &Action) -> bool {
    matches!(action.operation, Operation::Delete { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Impact, Propagation, Wave};

    fn id(name: &str) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name)
    }

    fn action(name: &str, operation: Operation, needs: Vec<ObjectId>) -> Action {
        Action {
            id: id(name),
            operation,
            impact: Impact::Safe,
            reason: String::new(),
            changes: Vec::new(),
            effects: Vec::new(),
            needs,
        }
    }

    fn plan() -> Plan {
        let create = || Operation::Create {
            body: Object::default(),
        };
        let delete = Operation::Delete {
            uid: "u".to_owned(),
            resource_version: "1".to_owned(),
            propagation: Propagation::Background,
        };
        let namespace = ObjectId::new(kinds::NAMESPACE, "", "edge");
        let mut new_namespace = action("", create(), Vec::new());
        new_namespace.id = namespace.clone();
        let wave = |name: &str, actions| Wave {
            name: name.to_owned(),
            actions,
        };
        Plan {
            revision: None,
            waves: vec![
                wave("namespaces", vec![new_namespace]),
                wave(
                    "clusters",
                    vec![
                        action("one", create(), vec![namespace]),
                        action("two", create(), Vec::new()),
                    ],
                ),
                wave("deletions", vec![action("old", delete, Vec::new())]),
            ],
            held: Vec::new(),
            unchanged: vec![id("same")],
        }
    }

    fn ids(plan: &Plan) -> Vec<String> {
        plan.actions().map(|action| action.id.name.clone()).collect()
    }

    #[test]
    fn what_an_entry_needs_stays_with_it() {
        let filter = Filter {
            only: [("edge".to_owned(), "one".to_owned())].into(),
            ..Filter::default()
        };
        let plan = select(plan(), &filter, |id| filter.matches(id, None));
        assert_eq!(ids(&plan), ["edge", "one"]);
        assert!(plan.held.is_empty() && plan.unchanged.is_empty());
    }

    #[test]
    fn a_part_of_the_fleet_deletes_only_what_is_named() {
        let filter = Filter {
            namespaces: ["edge".to_owned()].into(),
            ..Filter::default()
        };
        let selected = select(plan(), &filter, |id| filter.matches(id, None));
        assert_eq!(ids(&selected), ["edge", "one", "two"]);
        assert_eq!(selected.held[0].id, id("old"));
        let filter = Filter {
            only: [("edge".to_owned(), "old".to_owned())].into(),
            ..Filter::default()
        };
        let selected = select(plan(), &filter, |id| filter.matches(id, None));
        assert_eq!(ids(&selected), ["old"]);
    }
}
