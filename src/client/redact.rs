//! What a server quotes in a refusal: whatever was sent that may be a secret is taken out again.

use serde_json::Value;

use super::error::ClientError;
use crate::plan::hidden_values;

/// Shorter words are too common to be looked for; a secret that short is none.
const WORD_MIN: usize = 6;
const MASK: &str = "(not shown)";

/// Returns the error without the values of `body` that may be secrets, and without the values that the server quotes as
/// wrong.
pub(super) fn refusal(error: ClientError, body: &Value) -> ClientError {
    match error {
        ClientError::Refused { request, mut source } => {
            source.message = redacted(&source.message, body);
            ClientError::Refused { request, source }
        }
        ClientError::Forbidden { request, mut source } => {
            source.message = redacted(&source.message, body);
            ClientError::Forbidden { request, source }
        }
        other => other,
    }
}

fn redacted(message: &str, body: &Value) -> String {
    let mut hidden: Vec<String> = hidden_values(body).iter().flat_map(words).collect();
    // The longest first, so that what is part of another one does not cut it in two.
    hidden.sort_by_key(|word| std::cmp::Reverse(word.len()));
    hidden.dedup();
    let mut text = without_quoted_values(message);
    for word in &hidden {
        text = text.replace(word.as_str(), MASK);
    }
    text
}

/// Every text in a value, whole and in its words, as it may be quoted.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let parts = text
                .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}' | '[' | ']'))
                .map(str::to_owned);
            std::iter::once(whole)
                .chain(parts)
                .filter(|word| word.chars().count() >= WORD_MIN)
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(words).collect(),
        Value::Object(fields) => fields.values().flat_map(words).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Cuts what Kubernetes quotes as a wrong value: `spec.x: Invalid value: "...": must be ...`.
fn without_quoted_values(message: &str) -> String {
    const MARKS: [&str; 3] = ["Invalid value: ", "Duplicate value: ", "Unsupported value: "];
    let mut text = message.to_owned();
    for mark in MARKS {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(mark) {
            let (before, after) = rest.split_at(at + mark.len());
            out.push_str(before);
            out.push_str(MASK);
            rest = &after[quoted_length(after)..];
        }
        out.push_str(rest);
        text = out;
    }
    text
}

/// Bytes of the value at the start of a text: a quoted string, or everything before the next `: `.
fn quoted_length(text: &str) -> usize {
    if text.starts_with('"') {
        let mut is_escaped = false;
        for (at, character) in text.char_indices().skip(1) {
            match character {
                '"' if !is_escaped => return at + 1,
                '\\' => is_escaped = !is_escaped,
                _ => is_escaped = false,
            }
        }
        return text.len();
    }
    text.find(": ").unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_sent_and_may_be_a_secret_is_not_repeated() {
        let body = json!({"spec": {"k0sConfig": {"spec": {"api": {"extraArgs": {"bootstrap-token": "canary-7f3a"}},
            "extensions": {"helm": {"charts": [{"values": "user: a\npassword: canary-9b2c\n"}]}}}}}});
        let message = r#"admission webhook "policy" denied the request: canary-9b2c is weak (password: canary-9b2c), token=canary-7f3a"#;
        let said = redacted(message, &body);
        assert!(!said.contains("canary"), "{said}");
        assert!(
            said.starts_with(r#"admission webhook "policy" denied the request: (not shown) is weak"#),
            "{said}"
        );
    }

    #[test]
    fn a_wrong_value_is_not_quoted_and_the_rule_is() {
        let message = r#"K0smotronCluster "a" is invalid: spec.x: Invalid value: "a \"b\" c": must be one, spec.y: Invalid value: {"k":"v"}: must be two"#;
        assert_eq!(
            redacted(message, &json!({})),
            r#"K0smotronCluster "a" is invalid: spec.x: Invalid value: (not shown): must be one, spec.y: Invalid value: (not shown): must be two"#
        );
    }
}
