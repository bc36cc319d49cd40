//! A plan as annotations of a GitHub Actions run: one line each, at the line of the file that asked for it.

use super::group::{self, Block, Grouping};
use super::json::verb;
use super::names::name;
use super::text;
use crate::diagnostic::{Finding, Findings, Severity, SourceTree, visible};
use crate::plan::{Impact, Plan, Verb};

/// Names in one message.
const NAMES_MAX: usize = 20;

/// Returns findings and plan, deletions first, the summary last. Places are those of the plan: as seen from where the
/// program runs, which in a workflow is the root of the repository.
pub fn annotations(plan: &Plan, findings: &Findings, tree: &SourceTree, summary: &str) -> String {
    let mut lines = of_findings(findings, tree);
    let mut blocks = group::blocks(plan.in_waves(), Grouping::Equal);
    blocks.sort_by_key(|block| {
        (
            block.verb() != Verb::Delete,
            std::cmp::Reverse(block.first.impact),
        )
    });
    for block in &blocks {
        let level = match (block.verb(), block.first.impact) {
            (Verb::Delete, _) | (Verb::Create | Verb::Change | Verb::Adopt, Impact::DataLoss) => "error",
            (Verb::Adopt, Impact::Safe | Impact::Rolling | Impact::Disruptive | Impact::Unknown)
            | (Verb::Create | Verb::Change, Impact::Disruptive | Impact::Unknown) => "warning",
            (Verb::Create | Verb::Change, Impact::Safe | Impact::Rolling) => "notice",
        };
        let title = format!(
            "{} {} ({})",
            verb(&block.first.operation),
            names(block),
            block.first.impact.as_str()
        );
        let wave = block.waits_for().map(|wave| format!("in wave {wave}"));
        let mut words: Vec<String> = wave.into_iter().collect();
        words.extend(block.changes.iter().map(text::change));
        words.extend(block.effects.iter().cloned());
        if group::place(&block.reason).is_none() && !block.reason.is_empty() {
            words.push(block.reason.clone());
        }
        lines.push(line(
            level,
            group::place(&block.reason),
            &title,
            &words.join("\n"),
        ));
    }
    for held in group::held(&plan.held, Grouping::Equal) {
        let (_, word) = text::word(held.reason);
        let title = format!("{word} {}", list(&held.ids));
        lines.push(line("warning", None, &title, &held.waiting_on));
    }
    lines.push(line("notice", None, "k0smotron-fleet plan", summary.trim_end()));
    lines.join("\n") + "\n"
}

/// Returns findings alone, with what can be done about them, the summary last.
pub fn findings(findings: &Findings, tree: &SourceTree, summary: &str) -> String {
    let mut lines = of_findings(findings, tree);
    lines.push(line(
        "notice",
        None,
        "k0smotron-fleet validate",
        summary.trim_end(),
    ));
    lines.join("\n") + "\n"
}

fn of_findings(findings: &Findings, tree: &SourceTree) -> Vec<String> {
    let one = |finding: &Finding| {
        let level = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = finding.span().map(|span| tree.position(span));
        let place = place
            .as_ref()
            .map(|place| (place.path.as_str(), place.line, place.column));
        let words: Vec<&str> = std::iter::once(&finding.message)
            .chain(&finding.hints)
            .map(String::as_str)
            .collect();
        line(level, place, finding.code.as_str(), &words.join("\n"))
    };
    findings.iter().map(one).collect()
}

fn names(block: &Block<'_>) -> String {
    list(&block.ids)
}

fn list(ids: &[&crate::object::ObjectId]) -> String {
    let mut text: Vec<String> = ids.iter().take(NAMES_MAX).map(|id| name(id)).collect();
    if ids.len() > NAMES_MAX {
        text.push(format!("{} more", ids.len() - NAMES_MAX));
    }
    text.join(", ")
}

fn line(level: &str, place: Option<(&str, usize, usize)>, title: &str, message: &str) -> String {
    let mut properties = Vec::new();
    if let Some((path, line, column)) = place {
        properties.push(format!("file={}", property(path)));
        properties.push(format!("line={line}"));
        properties.push(format!("col={column}"));
    }
    properties.push(format!("title={}", property(title)));
    format!("::{level} {}::{}", properties.join(","), data(message))
}

/// What GitHub would read as the end of a message is escaped.
fn data(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    lines
        .join("\n")
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_can_end_it_or_begin_another_command() {
        let said = line(
            "error",
            Some(("a,b.yaml", 3, 7)),
            "x: y",
            "100 %\n::set-env name=A::b",
        );
        assert_eq!(
            said,
            "::error file=a%2Cb.yaml,line=3,col=7,title=x%3A y::100 %25%0A::set-env name=A::b"
        );
    }
}
