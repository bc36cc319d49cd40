//! Paths into JSON: as JSON pointers for machines (`/spec/version`) and as field paths for people (`spec.version`).

use serde_json::Value;

/// Appends one step to a JSON pointer, escaped as RFC 6901 says.
pub fn push(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// Returns the steps of a JSON pointer, unescaped.
pub fn steps(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(unescaped)
}

/// Splits a JSON pointer into what is around the value and the last step, unescaped; `None` for the whole document.
pub fn split_last(pointer: &str) -> Option<(&str, String)> {
    let (around, step) = pointer.rsplit_once('/')?;
    Some((around, unescaped(step)))
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// Turns `/spec/manifests/0/name` into `spec.manifests[0].name`, and steps that are not plain words into
/// `metadata.labels["a.b/c"]`.
pub fn to_field_path(pointer: &str) -> String {
    let mut path = String::new();
    for step in steps(pointer) {
        let is_word = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else if is_word(&step) && !step.is_empty() {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step);
        } else {
            path.push_str(&format!("[{}]", Value::String(step)));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_become_paths_people_read() {
        assert_eq!(to_field_path("/spec/manifests/0/name"), "spec.manifests[0].name");
        assert_eq!(
            to_field_path("/metadata/labels/a.b~1c"),
            r#"metadata.labels["a.b/c"]"#
        );
        assert_eq!(push("/metadata/labels", "a.b/c"), "/metadata/labels/a.b~1c");
    }

    #[test]
    fn steps_are_what_was_pushed() {
        let pointer = push(&push("", "a~1/b"), "~");
        assert_eq!(steps(&pointer).collect::<Vec<_>>(), ["a~1/b", "~"]);
        assert_eq!(split_last(&pointer), Some(("/a~01~1b", "~".to_owned())));
        assert_eq!((steps("").count(), split_last("")), (0, None));
    }
}
