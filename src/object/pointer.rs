//! Paths into JSON: as JSON pointers for machines (`/spec/version`) and as field paths for people (`spec.version`).

use std::borrow::Cow;

use serde_json::Value;

/// Appends one step to a JSON pointer, escaped as RFC 6901 says.
pub fn push(pointer: &str, step: &str) -> String {
    let mut longer = String::with_capacity(pointer.len() + 1 + step.len());
    longer.push_str(pointer);
    longer.push('/');
    longer.push_str(&escaped(step));
    longer
}

/// Escapes one step as RFC 6901 says.
pub fn escaped(step: &str) -> Cow<'_, str> {
    match step.contains(['~', '/']) {
        true => Cow::Owned(step.replace('~', "~0").replace('/', "~1")),
        false => Cow::Borrowed(step),
    }
}

/// Returns the steps of a JSON pointer, unescaped.
pub fn steps(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(unescaped)
}

/// Splits a JSON pointer into what is around the value and the last step, unescaped; `None` for the whole document.
pub fn split_last(pointer: &str) -> Option<(&str, Cow<'_, str>)> {
    let (around, step) = pointer.rsplit_once('/')?;
    Some((around, unescaped(step)))
}

fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') {
        Cow::Owned(step.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(step)
    }
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
            path.push_str(&format!("[{}]", Value::String(step.into_owned())));
        }
    }
    path
}

/// Reads a path as people write it, `spec.manifests[0].name` or `metadata.labels["a.b/c"]`, into a JSON pointer; one that
/// is a JSON pointer already stays as it is.
///
/// *Shape*: quotes in brackets may be left out. `None` for what is no path: empty, or with a bracket that stays open.
pub fn from_field_path(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    let mut pointer = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let step = if let Some(bracket) = rest.strip_prefix('[') {
            let (step, behind) = bracketed(bracket)?;
            rest = behind.strip_prefix('.').unwrap_or(behind);
            step
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (step, behind) = rest.split_at(end);
            rest = behind.strip_prefix('.').unwrap_or(behind);
            step.to_owned()
        };
        if step.is_empty() {
            return None;
        }
        pointer = push(&pointer, &step);
    }
    (!pointer.is_empty() && !path.ends_with('.')).then_some(pointer)
}

/// Splits `"a.b/c"].name` or `0].name` into the step and what is behind the bracket.
fn bracketed(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let step = values.next()?.ok()?;
        let behind = text.get(values.byte_offset()..)?;
        return Some((step, behind.strip_prefix(']')?));
    }
    let (step, behind) = text.split_once(']')?;
    Some((step.to_owned(), behind))
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
    fn paths_that_people_write_become_pointers() {
        for (path, pointer) in [
            ("spec.manifests[0].name", "/spec/manifests/0/name"),
            (r#"metadata.labels["a.b/c"]"#, "/metadata/labels/a.b~1c"),
            ("metadata.labels[a.b/c]", "/metadata/labels/a.b~1c"),
            (r#"a["x]\"y"].b"#, "/a/x]\"y/b"),
            ("/spec/version", "/spec/version"),
        ] {
            assert_eq!(from_field_path(path).as_deref(), Some(pointer), "{path}");
        }
        for wrong in [
            "",
            ".",
            "spec.",
            "spec..a",
            "spec[",
            "spec[]",
            r#"spec["a"#,
            r#"spec["a"x]"#,
        ] {
            assert_eq!(from_field_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn steps_are_what_was_pushed() {
        let pointer = push(&push("", "a~1/b"), "~");
        assert_eq!(steps(&pointer).collect::<Vec<_>>(), ["a~1/b", "~"]);
        assert_eq!(split_last(&pointer), Some(("/a~01~1b", "~".into())));
        assert_eq!((steps("").count(), split_last("")), (0, None));
    }
}
