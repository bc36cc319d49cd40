//! What of a user's values may be shown.

use serde_json::Value;

/// Stands for a value that is not shown.
pub(super) const MASK: &str = "(not shown)";

/// Returns a value of a cluster as it may be shown: without what could be a secret.
///
/// Credentials are references to Secrets everywhere in the spec; what is free text or a free object may hold one all
/// the same.
pub(super) fn value(pointer: &str, value: &Value) -> Value {
    let steps: Vec<&str> = pointer.split('/').collect();
    masked(&steps, value)
}

/// Says whether a value at this pointer is not shown at all.
pub(super) fn is_hidden(pointer: &str) -> bool {
    let steps: Vec<&str> = pointer.split('/').collect();
    is_secret(&steps)
}

fn masked(steps: &[&str], value: &Value) -> Value {
    if is_secret(steps) && !value.is_null() {
        return Value::from(MASK);
    }
    let below = |step: &str, value: &Value| {
        let mut steps = steps.to_vec();
        steps.push(step);
        masked(&steps, value)
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), below(key, value)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| below("-", item)).collect(),
        scalar => scalar.clone(),
    }
}

/// Says whether a value may be a secret by where it is: by its own name or that of anything around it.
fn is_secret(steps: &[&str]) -> bool {
    let below = steps.get(3..).unwrap_or_default();
    match steps.get(2).copied() {
        // Whole charts with their values go in there.
        Some("k0sConfig") => below.iter().any(|step| secret_word(step).is_some()),
        Some("patches") => below.contains(&"content"),
        // kubectl keeps the whole object there.
        Some("annotations") => below.contains(&"kubectl.kubernetes.io~1last-applied-configuration"),
        Some(_) | None => false,
    }
}

/// Finds the first word that names a secret: the byte at which it begins. Case, dashes and underscores do not count.
pub(super) fn secret_word(text: &str) -> Option<usize> {
    /// Letters of the longest word.
    const LONGEST: usize = 10;
    const WORDS: [&str; 9] = [
        "password",
        "passwd",
        "token",
        "secret",
        "credential",
        "privatekey",
        "apikey",
        "datasource",
        "values",
    ];
    let begins = |(at, _): &(usize, char)| {
        let letters = text
            .get(*at..)
            .unwrap_or_default()
            .chars()
            .filter(|letter| !matches!(letter, '-' | '_'))
            .flat_map(char::to_lowercase);
        let here: String = letters.take(LONGEST).collect();
        WORDS.iter().any(|word| here.starts_with(word))
    };
    text.char_indices().find(begins).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_could_be_a_secret_in_free_objects_is_not_shown_at_any_depth() {
        let spec = json!({"k0sConfig": {"spec": {"extensions": {"helm": {"charts": [{"name": "a", "values": "pw: x"}]}},
            "api": {"extraArgs": {"bootstrapToken": "abc", "v": "2"}}}},
            "patches": [{"target": {"kind": "Service"}, "patch": {"type": "merge", "content": "env: secret"}}],
            "storage": {"kine": {"dataSourceSecretName": "db"}}});
        let shown = value("/spec", &spec);
        assert_eq!(
            shown["k0sConfig"]["spec"]["extensions"]["helm"]["charts"][0],
            json!({"name": "a", "values": MASK})
        );
        assert_eq!(
            shown["k0sConfig"]["spec"]["api"]["extraArgs"],
            json!({"bootstrapToken": MASK, "v": "2"})
        );
        assert_eq!(shown["patches"][0]["patch"]["content"], MASK);
        assert_eq!(shown["storage"]["kine"]["dataSourceSecretName"], "db");
        assert_eq!(value("/spec/patches/0/patch/content", &json!("x")), json!(MASK));
    }
}
