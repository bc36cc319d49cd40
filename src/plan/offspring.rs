//! The objects that the operator would write because of a change of a cluster, as they may be shown.

use serde_json::Value;

use super::preview::{changed_spec, new_actions};
use super::rehearsal::{self, rehearse};
use super::{Action, FieldChange, Operation, Preview, adopt, shown, tracking};
use crate::api::{K0smotronCluster, labels};
use crate::object::{Object, differences};

/// Returns what the operator would write once `operation` is done, less what it writes anyway.
///
/// *Shape*: in the order of execution; values that may be secrets are masked. Empty for deletions, and where nothing can
/// be computed.
pub fn of_operation(operation: &Operation, live: Option<&Object>, preview: &Preview<'_>) -> Vec<Action> {
    let after = match (operation, live) {
        (Operation::Create { body }, _) => body.clone(),
        (Operation::Apply { body, .. } | Operation::Adopt { body, .. }, Some(live)) => {
            let mut after = live.clone();
            let seen = adopt::seen(operation, live);
            let mut differences = differences(body, &seen, labels::FLEET_MANAGER);
            // They were taken out of the body, and stay as they are.
            let is_yielded = tracking::scaler(live).is_some();
            differences.retain(|difference| !(is_yielded && difference.pointer == "/spec/replicas"));
            after.0["spec"] = changed_spec(live, &differences);
            after
        }
        (_, _) => return Vec::new(),
    };
    let plan_of = |object: &Object| {
        let cluster: K0smotronCluster = serde_json::from_value(object.0.clone()).ok()?;
        Some(rehearse(&cluster, preview).ok()?.plan)
    };
    let anyway = live.and_then(plan_of).unwrap_or_default();
    let Some(plan) = plan_of(&after) else {
        return Vec::new();
    };
    new_actions(&plan, &anyway).map(masked).collect()
}

/// The values of Secrets and of the configuration are masked already; scripts and command lines are not.
fn masked(action: &Action) -> Action {
    let mut action = action.clone();
    for FieldChange {
        pointer, old, new, ..
    } in &mut action.changes
    {
        for value in [old, new].into_iter().flatten() {
            *value = masked_value(value);
        }
        if let Some(new) = new {
            rehearsal::mark_made_up(pointer, new);
        }
    }
    action
}

fn masked_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(masked_lines(text)),
        Value::Array(items) => items.iter().map(masked_value).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), masked_value(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Hides what stands behind a word that names a secret, to the end of its line.
fn masked_lines(text: &str) -> String {
    let mask = |line: &str| {
        let value =
            shown::secret_word(line).and_then(|at| Some(at + line.get(at..)?.find([':', '=', ' '])? + 1));
        match value.and_then(|value| line.get(..value)) {
            Some(before) => format!("{} {}", before.trim_end(), shown::MASK),
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
    fn a_script_is_shown_without_what_stands_behind_a_secrets_name() {
        let shown = masked_lines("exec k0s --v=2\n  --oidc-client-secret=canary --more\n");
        assert_eq!(shown, "exec k0s --v=2\n  --oidc-client-secret= (not shown)\n");
        for (line, expected) in [
            ("k0s worker --token abc", "k0s worker --token (not shown)"),
            ("API_KEY: abc", "API_KEY: (not shown)"),
            ("--private-key=abc", "--private-key= (not shown)"),
            ("DataSource = abc", "DataSource (not shown)"),
            ("--key-file=/etc/a", "--key-file=/etc/a"),
        ] {
            assert_eq!(masked_lines(line), expected);
        }
    }
}
