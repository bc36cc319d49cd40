//! A plan as text for people: what will be done, what it does to running control planes, and why.
//!
//! **Invariant:** fits 80 columns as long as names do; what is written in words is never said by colour alone; what
//! comes out of files is shown with everything invisible escaped.

use std::collections::BTreeMap;

use serde_json::Value;

use super::difference;
use super::group::{self, Block, Grouping, HeldBlock};
use super::names::{name, names_of, title};

use crate::api::fleet::Fleet;
use crate::cli::ui::{CHANGE, COLUMNS, CREATE, DELETE, FAINT, Verbosity, WARNING, wrap};
use crate::diagnostic::visible;
use crate::fleet::Hub;
use crate::object::{ObjectId, pointer};
use crate::plan::{Action, FieldChange, HeldReason, Impact, Loosened, Plan, Upgraded, Verb};
use crate::render::{HubOperator, Published};

/// Characters of one value. Longer ones are cut: who needs all of it takes `-o json`.
const VALUE_MAX: usize = 240;
/// Widest label of a row; longer ones get a line of their own.
const LABEL_MAX: usize = 26;
const INDENT: usize = 6;
/// Names of one block, but for deletions.
const NAMES_MAX: usize = 12;

/// What the first line says.
pub struct Heading<'a> {
    pub fleet: Option<&'a Fleet>,
    pub revision: Option<&'a str>,
    pub hub: &'a Hub,
    pub operator: &'a HubOperator,
    /// Guards that the files open.
    pub loosened: &'a [Loosened],
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// A line for each block.
    Compact,
    /// Equal changes told once.
    Normal,
    /// Each change by itself.
    Full,
    /// Also every unchanged cluster and every place.
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

    fn grouping(self) -> Grouping {
        match self {
            Self::Compact | Self::Normal => Grouping::Equal,
            Self::Full | Self::Everything => Grouping::Nothing,
        }
    }
}

/// What the operator would do to the children of each cluster, when that was asked for.
pub type Children = BTreeMap<ObjectId, Vec<Action>>;

/// Returns the whole plan. The last line is the summary.
pub fn plan(plan: &Plan, heading: &Heading<'_>, detail: Detail) -> String {
    with_children(plan, heading, &Children::new(), detail)
}

/// Returns the whole plan, with the children of clusters below their change.
pub fn with_children(plan: &Plan, heading: &Heading<'_>, children: &Children, detail: Detail) -> String {
    if plan.is_empty() && plan.held.is_empty() && heading.loosened.is_empty() && detail != Detail::Everything
    {
        return summary(plan, heading.fleet, heading.loosened);
    }
    let grouping = if children.is_empty() {
        detail.grouping()
    } else {
        Grouping::Nothing
    };
    let mut text = head(heading);
    let blocks = group::blocks(plan.in_waves(), grouping);
    let held = group::held(&plan.held, grouping);
    let titles = blocks
        .iter()
        .map(|block| &block.ids)
        .chain(held.iter().map(|held| &held.ids));
    let width = titles
        .map(|ids| title(ids).chars().count())
        .max()
        .unwrap_or_default()
        .min(COLUMNS - 24);
    let entry = |block: &Block<'_>| {
        let mut text = entry(block, width, detail);
        for child in children.get(&block.first.id).into_iter().flatten() {
            text.push_str(&of_child(child));
        }
        text
    };
    let (deletions, writes): (Vec<&Block<'_>>, Vec<&Block<'_>>) =
        blocks.iter().partition(|block| block.verb() == Verb::Delete);
    text.extend(writes.into_iter().map(entry));
    text.extend(held.iter().map(|held| held_entry(held, width, detail)));
    if !plan.unchanged.is_empty() {
        text.push_str(&format!("  = {} unchanged\n", plan.unchanged.len()));
        if detail == Detail::Everything {
            for id in &plan.unchanged {
                text.push_str(&format!("      {}\n", name(id)));
            }
        }
    }
    text.extend(deletions.into_iter().map(entry));
    text.extend(heading.loosened.iter().map(loosened));
    text + &summary(plan, heading.fleet, heading.loosened)
}

/// Returns two lines about a guard that the files open.
fn loosened(loosened: &Loosened) -> String {
    let Loosened { field, old, new } = loosened;
    let title = format!("  {WARNING}!{WARNING:#} {field}  {WARNING}loosened{WARNING:#}\n");
    let (old, new) = (visible(old), visible(new));
    let rows = [Row::words("why", format!("{old} -> {new}: {LOOSENED}"))];
    title + &table(&rows)
}

/// What becomes of a guard that a commit opens.
pub const LOOSENED: &str = "apply remembers it; this run is judged by the stricter, the next one by the new";

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
    hang(&line, "", "  ") + &hang(&operator(heading.operator), "  ", "  ")
}

/// Returns in a few words what the operator of the hub says of itself.
pub fn operator(operator: &HubOperator) -> String {
    match operator {
        HubOperator::Published(Published {
            version, settings, ..
        }) => {
            format!(
                "operator {}, renderer {}",
                visible(version),
                settings.renderer_revision
            )
        }
        HubOperator::Unreadable { version } => {
            let version = version.as_deref().unwrap_or("of another version");
            format!("operator {}, settings not understood", visible(version))
        }
        HubOperator::Assumed { .. } => "operator unknown, defaults assumed".to_owned(),
    }
}

/// Returns the sentence that says how much will be done, with a line end.
pub fn summary(plan: &Plan, fleet: Option<&Fleet>, loosened: &[Loosened]) -> String {
    let counts = plan.counts();
    let mut parts = Vec::new();
    if plan.is_empty() && loosened.is_empty() {
        parts.push("nothing to do".to_owned());
    } else {
        parts.push(format!("{} to create", counts.create));
        let impacts = impacts(plan);
        parts.push(format!("{} to change{impacts}", counts.change));
        if counts.adopt > 0 {
            parts.push(format!("{} to adopt", counts.adopt));
        }
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
    if !loosened.is_empty() {
        parts.push(format!("{} loosened", loosened.len()));
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
        if action.operation.verb() != Verb::Change {
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

fn entry(block: &Block<'_>, width: usize, detail: Detail) -> String {
    let action = block.first;
    let (style, symbol, word, impact) = match block.verb() {
        Verb::Create => (CREATE, '+', "create", None),
        Verb::Change => (CHANGE, '~', action.impact.as_str(), None),
        Verb::Adopt => (CHANGE, '>', "adopt", Some(action.impact.as_str())),
        Verb::Delete => (DELETE, '-', "DELETE", Some(action.impact.as_str())),
    };
    let title = title(&block.ids);
    let impact = impact.map(|impact| format!("  {impact}")).unwrap_or_default();
    let wave = block.waits_for().map(|wave| format!("  wave {wave}"));
    let more = [impact, wave.unwrap_or_default()].concat();
    let mut text = format!("  {style}{symbol}{style:#} {title:width$}  {style}{word}{style:#}{more}\n");
    let mut rows: Vec<Row> = Vec::new();
    if block.ids.len() > 1 {
        let most = if block.verb() == Verb::Delete {
            usize::MAX
        } else {
            NAMES_MAX
        };
        rows.push(Row::words("names", names_of(&block.ids, most)));
    }
    if detail == Detail::Compact {
        // What goes is named all the same.
        if block.verb() == Verb::Delete {
            text.push_str(&table(&rows));
        }
        return text;
    }
    if !block.reason.is_empty() {
        let label =
            if group::place(&block.reason).is_some() || block.ids.len() > 1 && !block.reason.contains(' ') {
                "at"
            } else {
                "why"
            };
        rows.push(Row::words(label, block.reason.clone()));
    }
    for change in &block.changes {
        let path = pointer::to_field_path(&change.pointer);
        match difference::lines(change) {
            None => rows.push(Row::words(&path, change_words(change, &block.reason, detail))),
            Some(lines) => rows.push(Row {
                label: path,
                words: change.source.clone().unwrap_or_default(),
                lines,
            }),
        }
    }
    for (index, effect) in block.effects.iter().enumerate() {
        let label = if index == 0 { "effect" } else { "" };
        rows.push(Row::words(label, effect.clone()));
    }
    text.push_str(&table(&rows));
    text
}

/// Returns what another renderer revision would do to clusters that the files leave as they are.
pub fn upgrade(upgraded: &[Upgraded], now: Option<u32>, then: u32) -> String {
    let now = now.map_or_else(|| "unknown".to_owned(), |now| now.to_string());
    let mut text = format!("Operator at renderer revision {then} (now {now}), files unchanged:\n");
    for one in upgraded {
        let name = name(&one.object);
        let (symbol, word) = match &one.held {
            Some(_) => ('!', "held"),
            None => ('~', one.impact.as_str()),
        };
        text.push_str(&format!(
            "  {CHANGE}{symbol}{CHANGE:#} {name}  {CHANGE}{word}{CHANGE:#}\n"
        ));
        let mut rows = Vec::new();
        if !one.stateful_sets.is_empty() {
            rows.push(Row::words("StatefulSets", one.stateful_sets.join(", ")));
        }
        for (index, effect) in one.effects.iter().enumerate() {
            rows.push(Row::words(if index == 0 { "effect" } else { "" }, effect.clone()));
        }
        rows.extend(one.held.iter().map(|why| Row::words("why", why.clone())));
        text.push_str(&table(&rows));
    }
    if upgraded.is_empty() {
        text.push_str("  = no StatefulSet would change\n");
    }
    text
}

/// One object that the operator would write, below its cluster.
fn of_child(action: &Action) -> String {
    let (style, symbol) = match action.operation.verb() {
        Verb::Create => (CREATE, '+'),
        Verb::Change | Verb::Adopt => (CHANGE, '~'),
        Verb::Delete => (DELETE, '-'),
    };
    let line = format!(
        "{} {}  {}",
        action.id.kind,
        action.id.name,
        action.impact.as_str()
    );
    let mut text = format!("      {style}{symbol}{style:#} {line}\n");
    let rows: Vec<Row> = action
        .changes
        .iter()
        .map(|change| {
            let path = pointer::to_field_path(&change.pointer);
            match difference::lines(change) {
                None => Row::words(&path, change_words(change, "", Detail::Normal)),
                Some(lines) => Row {
                    label: path,
                    words: String::new(),
                    lines,
                },
            }
        })
        .collect();
    text.push_str(&table_at(&rows, INDENT + 4));
    text
}

/// A label, words behind it, and lines below that are not wrapped into one another.
struct Row {
    label: String,
    words: String,
    lines: Vec<String>,
}

impl Row {
    fn words(label: &str, words: String) -> Self {
        Self {
            label: label.to_owned(),
            words,
            lines: Vec::new(),
        }
    }
}

fn held_entry(held: &HeldBlock<'_>, width: usize, detail: Detail) -> String {
    let (symbol, word) = word(held.reason);
    let title = title(&held.ids);
    let text = format!("  {WARNING}{symbol}{WARNING:#} {title:width$}  {WARNING}{word}{WARNING:#}\n");
    if detail == Detail::Compact {
        return text;
    }
    let mut rows = Vec::new();
    if held.ids.len() > 1 {
        rows.push(Row::words("names", names_of(&held.ids, NAMES_MAX)));
    }
    rows.push(Row::words("why", held.waiting_on.clone()));
    text + &table(&rows)
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
        | HeldReason::Fought
        | HeldReason::AboveMaxImpact => ('!', "held"),
        HeldReason::Waiting => ('!', "waiting"),
        HeldReason::Yielded => ('?', "yielded"),
        HeldReason::Refused => ('!', "refused"),
    }
}

/// A change in one line, without where it was written.
pub fn change(change: &FieldChange) -> String {
    let path = pointer::to_field_path(&change.pointer);
    format!(
        "{path}: {} -> {}",
        value(change.old.as_ref()),
        value(change.new.as_ref())
    )
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
fn table(rows: &[Row]) -> String {
    table_at(rows, INDENT)
}

fn table_at(rows: &[Row], indent: usize) -> String {
    let fits = |label: &str| label.chars().count() <= LABEL_MAX;
    let labels = rows.iter().map(|row| &row.label).filter(|label| fits(label));
    let width = labels
        .map(|label| label.chars().count())
        .max()
        .unwrap_or_default()
        .max(14);
    let margin = " ".repeat(indent);
    let hanging = " ".repeat(indent + width + 1);
    let mut text = String::new();
    for Row { label, words, lines } in rows {
        if !fits(label) || (words.is_empty() && !lines.is_empty()) {
            text.push_str(&format!("{margin}{FAINT}{label}{FAINT:#}\n"));
            if !words.is_empty() {
                text.push_str(&hang(words, &hanging, &hanging));
            }
        } else {
            let first = format!(
                "{margin}{FAINT}{label}{FAINT:#}{} ",
                " ".repeat(width - label.chars().count())
            );
            text.push_str(&hang(words, &first, &hanging));
        }
        for line in lines {
            let style = match line.chars().next() {
                Some('+') => CREATE,
                Some('-') => DELETE,
                Some(_) | None => FAINT,
            };
            let room = COLUMNS - indent - 2;
            let shown: String = line.chars().take(room).collect();
            let cut = if line.chars().count() > room { "…" } else { "" };
            text.push_str(&format!("{margin} {style}{shown}{style:#}{cut}\n"));
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
#[path = "text_tests.rs"]
mod tests;
