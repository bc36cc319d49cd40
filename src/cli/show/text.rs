//! A plan as text for people: what will be done, what it does to running control planes, and why.
//!
//! **Invariant:** fits 80 columns as long as names do; what is written in words is never said by colour alone; what
//! comes out of files is shown with everything invisible escaped.

use serde_json::Value;

use crate::api::fleet::Fleet;
use crate::cli::ui::{CHANGE, COLUMNS, CREATE, DELETE, FAINT, Verbosity, WARNING, wrap};
use crate::diagnostic::visible;
use crate::fleet::Hub;
use crate::object::{ObjectId, kinds, pointer};
use crate::plan::{Action, FieldChange, Held, HeldReason, Impact, Operation, Plan};

/// Characters of one value. Longer ones are cut: who needs all of it takes `-o json`.
const VALUE_MAX: usize = 240;
/// Widest label of a row; longer ones get a line of their own.
const LABEL_MAX: usize = 26;
const INDENT: usize = 6;

/// What the first line says.
pub struct Heading<'a> {
    pub fleet: Option<&'a Fleet>,
    pub revision: Option<&'a str>,
    pub hub: &'a Hub,
}

/// Whether every unchanged cluster and every place is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Normal,
    Everything,
}

impl Detail {
    pub fn of(verbosity: Verbosity) -> Self {
        if verbosity >= Verbosity::Verbose {
            Self::Everything
        } else {
            Self::Normal
        }
    }
}

/// Returns the whole plan. The last line is the summary.
pub fn plan(plan: &Plan, heading: &Heading<'_>, detail: Detail) -> String {
    if plan.is_empty() && plan.held.is_empty() && detail == Detail::Normal {
        return summary(plan, heading.fleet);
    }
    let mut text = head(heading);
    let width = name_width(plan);
    for action in plan.actions().filter(|action| !is_delete(action)) {
        text.push_str(&entry(action, width, detail));
    }
    for held in &plan.held {
        text.push_str(&held_entry(held, width));
    }
    if !plan.unchanged.is_empty() {
        text.push_str(&format!("  = {} unchanged\n", plan.unchanged.len()));
        if detail == Detail::Everything {
            for id in &plan.unchanged {
                text.push_str(&format!("      {}\n", name(id)));
            }
        }
    }
    for action in plan.actions().filter(|action| is_delete(action)) {
        text.push_str(&entry(action, width, detail));
    }
    text + &summary(plan, heading.fleet)
}

fn head(heading: &Heading<'_>) -> String {
    let mut words = match heading.fleet {
        Some(fleet) => format!("Fleet {}", fleet.name),
        None => "Clusters without a fleet".to_owned(),
    };
    if let Some(revision) = heading.revision {
        words.push_str(&format!(" @ {}", revision.chars().take(12).collect::<String>()));
    }
    let uid = match &heading.hub.uid {
        Some(uid) => format!("{}…", uid.chars().take(8).collect::<String>()),
        None => "unknown".to_owned(),
    };
    let line = format!("{words}  hub {} ({uid})", heading.hub.server);
    hang(&line, "", "  ")
}

/// Returns the sentence that says how much will be done, with a line end.
pub fn summary(plan: &Plan, fleet: Option<&Fleet>) -> String {
    let counts = plan.counts();
    let mut parts = Vec::new();
    if plan.is_empty() {
        parts.push("nothing to do".to_owned());
    } else {
        parts.push(format!("{} to create", counts.create));
        let impacts = impacts(plan);
        parts.push(format!("{} to change{impacts}", counts.change));
        let budget = match fleet {
            Some(Fleet { spec, .. }) if counts.delete > 0 => format!(
                " (budget {} / {} %)",
                spec.max_deletions_count(),
                spec.max_deletions_percent()
            ),
            Some(_) | None => String::new(),
        };
        parts.push(format!("{} to DELETE{budget}", counts.delete));
    }
    let mut held: Vec<(&str, usize)> = Vec::new();
    for entry in &plan.held {
        let (_, word) = word(entry.reason);
        match held.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => held.push((word, 1)),
        }
    }
    parts.extend(held.into_iter().map(|(word, count)| format!("{count} {word}")));
    if plan.is_empty() {
        parts.push(format!("{} unchanged", counts.unchanged));
    }
    // A number stays with its word.
    let parts: Vec<String> = parts.iter().map(|part| part.replace(' ', "\u{1}")).collect();
    hang(&format!("Plan: {}", parts.join(", ")), "", "      ").replace('\u{1}', " ")
}

/// ` (1 rolling, 2 safe)`, hardest first.
fn impacts(plan: &Plan) -> String {
    let mut counted: Vec<(Impact, usize)> = Vec::new();
    for action in plan.actions() {
        if matches!(action.operation, Operation::Create { .. }) || is_delete(action) {
            continue;
        }
        match counted.iter_mut().find(|(impact, _)| *impact == action.impact) {
            Some((_, count)) => *count += 1,
            None => counted.push((action.impact, 1)),
        }
    }
    counted.sort_by(|one, other| other.cmp(one));
    let words: Vec<String> = counted
        .iter()
        .map(|(impact, count)| format!("{count} {}", impact.as_str()))
        .collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

fn is_delete(action: &Action) -> bool {
    matches!(action.operation, Operation::Delete { .. })
}

/// Clusters are what a fleet is about, so only other kinds are named with their kind.
pub fn name(id: &ObjectId) -> String {
    if id.kind == kinds::K0SMOTRON_CLUSTER {
        format!("{}/{}", id.namespace, id.name)
    } else if id.kind == kinds::NAMESPACE {
        format!("namespace {}", id.name)
    } else {
        id.to_string()
    }
}

/// Width of the column of names: that of the longest, as long as the word behind it still fits.
fn name_width(plan: &Plan) -> usize {
    let ids = plan
        .actions()
        .map(|action| &action.id)
        .chain(plan.held.iter().map(|held| &held.id));
    ids.map(|id| name(id).chars().count())
        .max()
        .unwrap_or_default()
        .min(COLUMNS - 24)
}

fn entry(action: &Action, width: usize, detail: Detail) -> String {
    let (style, symbol, word, impact) = match action.operation {
        Operation::Create { .. } | Operation::Issue { .. } => (CREATE, '+', "create", None),
        Operation::Apply { .. }
        | Operation::Reissue { .. }
        | Operation::PatchMetadata { .. }
        | Operation::ChangeMembers { .. }
        | Operation::ReplacePod { .. } => (CHANGE, '~', action.impact.as_str(), None),
        Operation::Delete { .. } => (DELETE, '-', "DELETE", Some(action.impact.as_str())),
    };
    let name = name(&action.id);
    let impact = impact.map(|impact| format!("  {impact}")).unwrap_or_default();
    let mut text = format!("  {style}{symbol}{style:#} {name:width$}  {style}{word}{style:#}{impact}\n");
    let mut rows: Vec<(String, String)> = Vec::new();
    if !action.reason.is_empty() {
        let label = if is_place(&action.reason) { "at" } else { "why" };
        rows.push((label.to_owned(), action.reason.clone()));
    }
    for change in &action.changes {
        rows.push((
            pointer::to_field_path(&change.pointer),
            change_words(change, &action.reason, detail),
        ));
    }
    for (index, effect) in action.effects.iter().enumerate() {
        let label = if index == 0 { "effect" } else { "" };
        rows.push((label.to_owned(), effect.clone()));
    }
    text.push_str(&table(&rows));
    text
}

/// Says whether a reason is `path:line:column`.
fn is_place(reason: &str) -> bool {
    let mut parts = reason.rsplitn(3, ':');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<usize>().is_ok());
    is_number(parts.next()) && is_number(parts.next()) && parts.next().is_some()
}

fn held_entry(held: &Held, width: usize) -> String {
    let (symbol, word) = word(held.reason);
    let name = name(&held.id);
    let text = format!("  {WARNING}{symbol}{WARNING:#} {name:width$}  {WARNING}{word}{WARNING:#}\n");
    text + &table(&[("why".to_owned(), held.waiting_on.clone())])
}

/// The symbol and the word of something that is not done.
pub fn word(reason: HeldReason) -> (char, &'static str) {
    match reason {
        HeldReason::Foreign | HeldReason::OtherOwner => ('!', "foreign"),
        HeldReason::Protected => ('!', "protected"),
        HeldReason::Hold
        | HeldReason::DeletionsOff
        | HeldReason::OverBudget
        | HeldReason::EmptySet
        | HeldReason::ErrorFindings
        | HeldReason::NotReadable
        | HeldReason::AboveMaxImpact => ('!', "held"),
        HeldReason::Waiting => ('!', "waiting"),
        HeldReason::Yielded => ('?', "yielded"),
        HeldReason::Refused => ('!', "refused"),
    }
}

fn change_words(change: &FieldChange, reason: &str, detail: Detail) -> String {
    let words = format!("{} -> {}", value(change.old.as_ref()), value(change.new.as_ref()));
    let path = |place: &str| place.split(':').next().unwrap_or_default().to_owned();
    match &change.source {
        Some(source) if source.is_empty() => words,
        Some(source) if detail == Detail::Everything || path(source) != path(reason) => {
            format!("{words} ({source})")
        }
        Some(_) | None => words,
    }
}

/// A value as one would write it: text bare where nothing can be mistaken, everything else as JSON.
pub fn value(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "(unset)".to_owned(),
        Some(Value::String(text)) if is_plain(text) => text.clone(),
        Some(other) => other.to_string(),
    };
    let shown = visible(&text.chars().take(VALUE_MAX).collect::<String>());
    if text.chars().count() > VALUE_MAX {
        format!("{shown}…")
    } else {
        shown
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "-_./:+@%".contains(c))
}

/// Rows with their labels in one column.
fn table(rows: &[(String, String)]) -> String {
    let fits = |label: &str| label.chars().count() <= LABEL_MAX;
    let labels = rows.iter().map(|(label, _)| label).filter(|label| fits(label));
    let width = labels
        .map(|label| label.chars().count())
        .max()
        .unwrap_or_default()
        .max(14);
    let margin = " ".repeat(INDENT);
    let hanging = " ".repeat(INDENT + width + 1);
    let mut text = String::new();
    for (label, words) in rows {
        if fits(label) {
            let first = format!(
                "{margin}{FAINT}{label}{FAINT:#}{} ",
                " ".repeat(width - label.chars().count())
            );
            text.push_str(&hang(words, &first, &hanging));
        } else {
            text.push_str(&format!("{margin}{FAINT}{label}{FAINT:#}\n"));
            text.push_str(&hang(words, &hanging, &hanging));
        }
    }
    text
}

/// Lines of `words`, the first behind `first`, the others behind `hanging`.
fn hang(words: &str, first: &str, hanging: &str) -> String {
    let lines = wrap(words, COLUMNS - hanging.chars().count());
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let margin = if index == 0 { first } else { hanging };
        text.push_str(&format!("{margin}{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Object;
    use crate::plan::{Propagation, Wave};

    fn id(namespace: &str, name: &str) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name)
    }

    fn action(id: ObjectId, operation: Operation, impact: Impact, reason: &str) -> Action {
        Action {
            id,
            operation,
            impact,
            reason: reason.to_owned(),
            changes: Vec::new(),
            effects: Vec::new(),
            needs: Vec::new(),
        }
    }

    fn change(pointer: &str, old: Option<Value>, new: Option<Value>, source: &str) -> FieldChange {
        FieldChange {
            pointer: pointer.to_owned(),
            old,
            new,
            source: Some(source.to_owned()),
        }
    }

    fn example() -> Plan {
        let body = Object(json!({}));
        let apply = Operation::Apply {
            body: body.clone(),
            uid: "u".to_owned(),
        };
        let mut changed = action(
            id("prod", "payments"),
            apply,
            Impact::Rolling,
            "clusters/prod/payments.yaml:1:1",
        );
        changed.changes = vec![
            change(
                "/spec/version",
                Some(json!("v1.33.4+k0s.0")),
                Some(json!("v1.34.1+k0s.1")),
                "clusters/prod/defaults.yaml:8:12",
            ),
            change(
                "/metadata/annotations/example.com~1owner",
                None,
                Some(json!("team a\u{202e}")),
                "clusters/prod/payments.yaml:5:5",
            ),
            change("/spec/tolerations", Some(json!([{"key": "a"}])), None, ""),
        ];
        changed.effects = vec![
            "3 pods kmc-payments-{0..2} replaced one by one; etcd not restarted; kubeconfig and tokens stay valid"
                .to_owned(),
        ];
        let create = Operation::Create { body };
        let created = action(
            id("edge", "store-1187"),
            create,
            Impact::Safe,
            "sets/stores.yaml:1188:1",
        );
        let delete = Operation::Delete {
            uid: "u".to_owned(),
            resource_version: "1".to_owned(),
            propagation: Propagation::Background,
        };
        let mut deleted = action(
            id("edge", "store-0042"),
            delete,
            Impact::DataLoss,
            "removed from the files",
        );
        deleted.effects = vec!["deletionPolicy Delete: CA and service-account keys, 3 volumes".to_owned()];
        let held = |id, reason, words: &str| Held {
            id,
            reason,
            waiting_on: words.to_owned(),
        };
        Plan {
            revision: Some("3f2c1d9".to_owned()),
            waves: vec![
                Wave {
                    name: "clusters".to_owned(),
                    actions: vec![changed, created],
                },
                Wave {
                    name: "deletions".to_owned(),
                    actions: vec![deleted],
                },
            ],
            held: vec![
                held(
                    id("edge", "lab-7"),
                    HeldReason::Protected,
                    "removed from the files, kept",
                ),
                held(
                    id("prod", "search"),
                    HeldReason::Yielded,
                    "spec.replicas is the HPA's",
                ),
            ],
            unchanged: vec![id("edge", "lab-1"), id("edge", "lab-2")],
        }
    }

    fn show(plan_shown: &Plan, detail: Detail) -> String {
        let fleet = Fleet {
            name: "acme".to_owned(),
            spec: serde_json::from_value(json!({ "id": "acme-7f3a" })).unwrap(),
        };
        let hub = Hub {
            server: "https://edge-hub:6443".to_owned(),
            uid: Some("8c1e2f3a-0000".to_owned()),
        };
        let heading = Heading {
            fleet: Some(&fleet),
            revision: plan_shown.revision.as_deref(),
            hub: &hub,
        };
        let text = anstream::adapter::strip_str(&plan(plan_shown, &heading, detail)).to_string();
        for line in text.lines() {
            assert!(
                line.chars().count() <= COLUMNS,
                "longer than {COLUMNS} columns: {line}"
            );
        }
        text
    }

    #[test]
    fn a_plan_says_what_it_does_to_whom_and_why_with_deletions_last() {
        insta::assert_snapshot!(show(&example(), Detail::Normal), @r#"
        Fleet acme @ 3f2c1d9 hub https://edge-hub:6443 (8c1e2f3a…)
          ~ prod/payments    rolling
              at               clusters/prod/payments.yaml:1:1
              spec.version     v1.33.4+k0s.0 -> v1.34.1+k0s.1
                               (clusters/prod/defaults.yaml:8:12)
              metadata.annotations["example.com/owner"]
                               (unset) -> "team a\u{202e}"
              spec.tolerations [{"key":"a"}] -> (unset)
              effect           3 pods kmc-payments-{0..2} replaced one by one; etcd not
                               restarted; kubeconfig and tokens stay valid
          + edge/store-1187  create
              at             sets/stores.yaml:1188:1
          ! edge/lab-7       protected
              why            removed from the files, kept
          ? prod/search      yielded
              why            spec.replicas is the HPA's
          = 2 unchanged
          - edge/store-0042  DELETE  data-loss
              why            removed from the files
              effect         deletionPolicy Delete: CA and service-account keys, 3
                             volumes
        Plan: 1 to create, 1 to change (1 rolling),
              1 to DELETE (budget 10 / 10 %), 1 protected, 1 yielded
        "#);
    }

    #[test]
    fn everything_names_places_and_unchanged_clusters() {
        let text = show(&example(), Detail::Everything);
        assert!(text.contains("(clusters/prod/payments.yaml:5:5)") && text.contains("      edge/lab-2\n"));
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        let plan = Plan {
            unchanged: vec![id("edge", "lab-1")],
            ..Plan::default()
        };
        insta::assert_snapshot!(show(&plan, Detail::Normal), @"Plan: nothing to do, 1 unchanged");
    }

    #[test]
    fn long_names_and_values_stay_within_the_columns() {
        let mut plan = example();
        plan.held.clear();
        let long = &mut plan.waves[0].actions[0];
        long.changes = vec![change(
            "/spec/podAnnotations/a.very.long.domain.example.com~1and-a-long-name",
            Some(json!("x".repeat(300))),
            None,
            "",
        )];
        let text = show(&plan, Detail::Normal);
        assert!(text.contains("…") && !text.contains(&"x".repeat(241)));
    }
}
