//! Long values: what changes in them, line by line.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::diagnostic::visible;
use crate::plan::FieldChange;

/// Values longer than this are compared by their lines.
const LONG: usize = 100;
/// Lines of one value.
const LINES_MAX: usize = 60;

/// Returns `- old`, `+ new` and `  around` of a long text or list that changes; `None` for what fits a line.
///
/// *Shape*: at most sixty lines, of which the last then says how many there are more.
pub fn lines(change: &FieldChange) -> Option<Vec<String>> {
    let (old, new) = (change.old.as_ref()?, change.new.as_ref()?);
    let (old, new) = (long(old)?, long(new)?);
    if old.lines().count() < 2 && new.lines().count() < 2 {
        return None;
    }
    let difference = TextDiff::from_lines(old.as_str(), new.as_str());
    let mut lines = Vec::new();
    for (index, group) in difference.grouped_ops(1).iter().enumerate() {
        if index > 0 {
            lines.push("...".to_owned());
        }
        for change in group
            .iter()
            .flat_map(|operation| difference.iter_changes(operation))
        {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!(
                "{sign} {}",
                visible(change.value().trim_end_matches(['\n', '\r']))
            ));
        }
    }
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX + 1;
        lines.truncate(LINES_MAX - 1);
        lines.push(format!("... {more} more lines"));
    }
    Some(lines)
}

/// Texts with their own lines, everything structured with one line a value.
fn long(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (text.contains('\n') || text.len() > LONG).then(|| text.clone()),
        Value::Array(_) | Value::Object(_) => Some(format!("{value:#}")).filter(|text| text.len() > LONG),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(old: Value, new: Value) -> FieldChange {
        FieldChange {
            pointer: "/data/x".to_owned(),
            old: Some(old),
            new: Some(new),
            source: None,
        }
    }

    #[test]
    fn of_a_long_text_only_the_changed_lines_and_their_neighbours_are_shown() {
        let old: String = (0..40).map(|line| format!("line {line}\n")).collect();
        let new = old.replace("line 7\n", "line seven\n");
        assert_eq!(
            lines(&change(json!(old), json!(new))).unwrap(),
            ["  line 6", "- line 7", "+ line seven", "  line 8"]
        );
    }

    #[test]
    fn what_fits_a_line_is_shown_in_one() {
        assert_eq!(lines(&change(json!("v1"), json!("v2"))), None);
        assert_eq!(lines(&change(json!([1]), json!([1, 2]))), None);
        let long = |last: u32| Value::from((0..60).chain([last]).collect::<Vec<u32>>());
        assert_eq!(lines(&change(long(1), long(2))).unwrap().len(), 4);
    }
}
