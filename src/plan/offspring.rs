//! The objects that the operator would write because of a change of a cluster, as they may be shown.

use serde_json::Value;

use super::preview::planned;
use super::{Action, FieldChange, Operation, Owner, Preview, shown};
use crate::api::K0smotronCluster;
use crate::object::{Object, differences, kinds};
use crate::render::{self, Facts};

/// Words of names whose value is not shown in a script or a command line.
const WORDS: [&str; 6] = [
    "password",
    "passwd",
    "token",
    "secret",
    "credential",
    "datasource",
];

/// Returns what the operator would write once `operation` is done, less what it writes anyway.
///
/// *Shape*: in the order of execution; values that may be secrets are masked. Empty for deletions, and where nothing can
/// be computed.
pub fn of_operation(operation: &Operation, live: Option<&Object>, preview: &Preview<'_>) -> Vec<Action> {
    let after = match (operation, live) {
        (Operation::Create { body }, _) => body.clone(),
        (Operation::Apply { body, .. }, Some(live)) => {
            let mut after = live.clone();
            let changed = super::preview::changed_spec(
                live,
                &differences(body, live, crate::api::labels::FLEET_MANAGER),
            );
            after.0["spec"] = changed;
            after
        }
        (_, _) => return Vec::new(),
    };
    let plan_of = |object: &Object| {
        let cluster: K0smotronCluster = serde_json::from_value(object.0.clone()).ok()?;
        let facts = Facts::gather(&cluster, preview.children, preview.node_addresses, preview.now);
        let resolved = render::resolve(&cluster.spec, &facts, preview.settings).ok()?;
        Some(planned(&resolved, preview.children, &Owner::of(&facts)))
    };
    let anyway = live.and_then(plan_of).unwrap_or_default();
    let Some(plan) = plan_of(&after) else {
        return Vec::new();
    };
    plan.actions()
        .filter(|action| !anyway.actions().any(|other| other == *action))
        .map(masked)
        .collect()
}

fn masked(action: &Action) -> Action {
    let mut action = action.clone();
    let is_configuration = action.id.kind == kinds::CONFIG_MAP;
    for FieldChange { old, new, .. } in &mut action.changes {
        for value in [old, new].into_iter().flatten() {
            *value = masked_value(value, is_configuration);
        }
    }
    action
}

fn masked_value(value: &Value, is_configuration: bool) -> Value {
    match value {
        Value::String(text) if is_configuration => Value::from(masked_document(text)),
        Value::String(text) => Value::from(masked_lines(text)),
        Value::Array(items) => items
            .iter()
            .map(|item| masked_value(item, is_configuration))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), masked_value(value, is_configuration)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A file of the configuration is a document: what of the user's k0sConfig is not shown, is not shown in it.
fn masked_document(text: &str) -> String {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(document @ Value::Object(_)) => {
            let shown = shown::value("/spec/k0sConfig", &document);
            serde_saphyr::to_string(&shown).unwrap_or_else(|_| shown::MASK.to_owned())
        }
        Ok(_) | Err(_) => masked_lines(text),
    }
}

/// Hides what stands behind a word that names a secret, to the end of its line.
fn masked_lines(text: &str) -> String {
    let mask = |line: &str| {
        let lower = line.to_ascii_lowercase();
        let at = WORDS.iter().filter_map(|word| lower.find(word)).min();
        let value = at.and_then(|at| Some(at + line.get(at..)?.find([':', '='])? + 1));
        match value.and_then(|value| line.get(..value)) {
            Some(before) => format!("{before} {}", shown::MASK),
            None => line.to_owned(),
        }
    };
    let lines: Vec<String> = text.split('\n').map(mask).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_shown_without_what_may_be_a_secret_in_it() {
        let text = "spec:\n  api:\n    port: 6443\n  extensions:\n    helm:\n      charts:\n      - name: a\n        values: |\n          password: canary\n";
        let shown = masked_document(text);
        assert!(shown.contains("6443") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_script_is_shown_without_what_stands_behind_a_secrets_name() {
        let shown = masked_lines("exec k0s --v=2\n  --oidc-client-secret=canary --more\n");
        assert_eq!(shown, "exec k0s --v=2\n  --oidc-client-secret= (not shown)\n");
    }
}
