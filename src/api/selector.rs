//! Choosing clusters by their labels, in the words of Kubernetes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster_parts::word_enum;

/// Clusters by their labels. Everything that is written must hold; nothing written chooses all.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions about labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One condition about one label.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// What must be so of its value.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

word_enum!(Operator {
    In => "In", NotIn => "NotIn", Exists => "Exists", DoesNotExist => "DoesNotExist"
});

impl Selector {
    /// Tells whether labels are chosen. `NotIn` chooses what has no such label, as in Kubernetes.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let Self {
            match_labels,
            match_expressions,
        } = self;
        let holds = |requirement: &Requirement| {
            let value = labels.get(&requirement.key);
            let is_listed = value.is_some_and(|value| requirement.values.contains(value));
            match requirement.operator {
                Operator::In => is_listed,
                Operator::NotIn => !is_listed,
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        };
        match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && match_expressions.iter().all(holds)
    }

    /// Tells whether no labels at all can be chosen by both, as far as `matchLabels` shows it.
    pub fn excludes(&self, other: &Self) -> bool {
        self.match_labels
            .iter()
            .any(|(key, value)| other.match_labels.get(key).is_some_and(|wanted| wanted != value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(words: &[(&str, &str)]) -> BTreeMap<String, String> {
        words
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_selector_means_what_it_means_in_kubernetes() {
        let selector: Selector = serde_json::from_value(json!({
            "matchLabels": {"tier": "prod"},
            "matchExpressions": [
                {"key": "site", "operator": "NotIn", "values": ["lab"]},
                {"key": "retired", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        assert!(selector.matches(&labels(&[("tier", "prod")])));
        assert!(selector.matches(&labels(&[("tier", "prod"), ("site", "berlin")])));
        assert!(!selector.matches(&labels(&[("tier", "prod"), ("site", "lab")])));
        assert!(!selector.matches(&labels(&[("tier", "prod"), ("retired", "")])));
        assert!(!selector.matches(&labels(&[])));
        assert!(Selector::default().matches(&labels(&[])));
    }

    #[test]
    fn two_selectors_of_different_values_of_one_label_exclude_each_other() {
        let of = |tier: &str| Selector {
            match_labels: labels(&[("tier", tier)]),
            ..Selector::default()
        };
        assert!(of("prod").excludes(&of("lab")));
        assert!(!of("prod").excludes(&of("prod")) && !of("prod").excludes(&Selector::default()));
    }
}
