//! A plan as a comment of a pull request.
//!
//! **Invariant:** at most [`BYTES_MAX`] bytes. Deletions come first and are the last to be left out; what is left out is
//! counted, and the last line says where the whole is.

use super::difference;
use super::group::{self, Block, Grouping, HeldBlock};
use super::names::{self, name};
use super::text::{self, Heading};
use crate::diagnostic::visible;
use crate::fleet::Admission;
use crate::object::{ObjectId, pointer};
use crate::plan::{Plan, Verb};

/// GitHub takes 65,536 characters, GitLab more; the rest is for whoever puts a line around it.
pub const BYTES_MAX: usize = 60_000;
/// For what is said at the end.
const RESERVED: usize = 1_000;
/// Names of one block, but for deletions.
const NAMES_MAX: usize = 40;

/// A plan with what is said around it.
pub struct Comment<'a> {
    pub plan: &'a Plan,
    pub heading: &'a Heading<'a>,
    pub admission: &'a Admission,
    /// Digest of the saved plan, if there is one.
    pub digest: Option<&'a str>,
}

/// Returns the comment.
pub fn comment(comment: &Comment<'_>) -> String {
    let Comment {
        plan,
        heading,
        admission,
        digest,
    } = comment;
    let mut page = Page::new(head(plan, heading, *digest));
    let (deletions, mut writes): (Vec<Block<'_>>, Vec<Block<'_>>) =
        group::blocks(plan.in_waves(), Grouping::Equal)
            .into_iter()
            .partition(|block| block.verb() == Verb::Delete);
    page.section(
        "Deletions",
        deletions.iter().map(|block| (block.ids.len(), written(block))),
    );
    let denied = admission.denied.iter();
    page.section(
        "The server would refuse",
        denied.map(|denied| {
            (
                1,
                format!("- {}: {}\n", code(&name(&denied.object)), words(&denied.message)),
            )
        }),
    );
    writes.sort_by_key(|block| std::cmp::Reverse(block.first.impact));
    let (creates, changes): (Vec<Block<'_>>, Vec<Block<'_>>) =
        writes.into_iter().partition(|block| block.verb() == Verb::Create);
    page.section(
        "Changes",
        changes.iter().map(|block| (block.ids.len(), written(block))),
    );
    let held = group::held(&plan.held, Grouping::Equal);
    page.section(
        "Not done",
        held.iter().map(|held| (held.ids.len(), held_back(held))),
    );
    page.section(
        "Guards of the Fleet that are loosened",
        heading.loosened.iter().map(|one| {
            let text = format!(
                "- {}: {} → {}: {}\n",
                code(one.field),
                words(&one.old),
                words(&one.new),
                text::LOOSENED
            );
            (1, text)
        }),
    );
    page.section(
        "New",
        creates.iter().map(|block| (block.ids.len(), written(block))),
    );
    page.finish()
}

struct Page {
    text: String,
    left_out: Vec<String>,
}

impl Page {
    fn new(text: String) -> Self {
        Self {
            text,
            left_out: Vec::new(),
        }
    }

    /// Adds as many items as fit, in their order.
    fn section(&mut self, title: &str, items: impl Iterator<Item = (usize, String)>) {
        let items: Vec<(usize, String)> = items.collect();
        let total: usize = items.iter().map(|(count, _)| count).sum();
        if total == 0 {
            return;
        }
        let title_line = format!("\n#### {title} ({total})\n\n");
        let mut left_out = 0;
        let mut is_titled = false;
        for (count, item) in items {
            let title = if is_titled { "" } else { title_line.as_str() };
            if left_out > 0 || self.text.len() + title.len() + item.len() > BYTES_MAX - RESERVED {
                left_out += count;
                continue;
            }
            self.text.push_str(title);
            self.text.push_str(&item);
            is_titled = true;
        }
        if left_out > 0 {
            self.left_out
                .push(format!("{left_out} of {total} under \"{title}\""));
        }
    }

    fn finish(mut self) -> String {
        if !self.left_out.is_empty() {
            self.text.push_str(&format!(
                "\n**Left out here for want of room:** {}. `k0smotron-fleet plan --full` says all of it, and so does \
                 `k0smotron-fleet show --full` with the saved plan.\n",
                self.left_out.join(", ")
            ));
        }
        self.text
    }
}

fn head(plan: &Plan, heading: &Heading<'_>, digest: Option<&str>) -> String {
    let summary = text::summary(plan, heading.fleet, heading.loosened);
    let summary = anstream::adapter::strip_str(&summary).to_string();
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut words = match heading.fleet {
        Some(fleet) => format!("Fleet {}", code(&fleet.name)),
        None => "Clusters without a fleet".to_owned(),
    };
    if let Some(revision) = heading.revision {
        words.push_str(&format!(
            " at {}",
            code(&revision.chars().take(12).collect::<String>())
        ));
    }
    words.push_str(&format!(
        ", hub {}",
        code(heading.hub.uid.as_deref().unwrap_or("unknown"))
    ));
    words.push_str(&format!(", {}", text::operator(heading.operator)));
    if let Some(digest) = digest {
        words.push_str(&format!(", plan {}", code(digest.get(..12).unwrap_or(digest))));
    }
    format!("### {summary}\n\n{words}\n")
}

fn written(block: &Block<'_>) -> String {
    let impact = block.first.impact.as_str();
    // No deletion is left unnamed.
    let (word, most) = match block.verb() {
        Verb::Delete => (format!("**DELETE, {impact}**"), usize::MAX),
        Verb::Create => ("create".to_owned(), NAMES_MAX),
        Verb::Change => (format!("**{impact}**"), NAMES_MAX),
        Verb::Adopt => (format!("**adopt, {impact}**"), NAMES_MAX),
    };
    let names = named(&block.ids, most);
    let wave = block.waits_for().map(|wave| format!(", wave {wave}"));
    let mut text = format!("- {word} {names}{}", wave.unwrap_or_default());
    if !block.reason.is_empty() {
        text.push_str(&format!(" ({})", words(&block.reason)));
    }
    text.push('\n');
    for change in &block.changes {
        let path = code(&pointer::to_field_path(&change.pointer));
        match difference::lines(change) {
            None => {
                let (old, new) = (text::value(change.old.as_ref()), text::value(change.new.as_ref()));
                text.push_str(&format!("  - {path}: {} → {}", code(&old), code(&new)));
                if let Some(source) = change.source.as_ref().filter(|source| **source != block.reason) {
                    text.push_str(&format!(" ({})", words(source)));
                }
                text.push('\n');
            }
            Some(lines) => {
                let fence = fence(&lines);
                text.push_str(&format!("  - {path}:\n\n    {fence}diff\n"));
                text.extend(lines.iter().map(|line| format!("    {line}\n")));
                text.push_str(&format!("    {fence}\n"));
            }
        }
    }
    text.extend(
        block
            .effects
            .iter()
            .map(|effect| format!("  - {}\n", words(effect))),
    );
    text
}

fn held_back(held: &HeldBlock<'_>) -> String {
    let (_, word) = text::word(held.reason);
    format!(
        "- **{word}** {}: {}\n",
        named(&held.ids, NAMES_MAX),
        words(&held.waiting_on)
    )
}

fn named(ids: &[&ObjectId], most: usize) -> String {
    let count = if ids.len() > 1 {
        format!("{}: ", names::count(ids))
    } else {
        String::new()
    };
    let list: Vec<String> = names::each(ids).take(most).map(|name| code(&name)).collect();
    let more = if ids.len() > most {
        format!(" and {} more", ids.len() - most)
    } else {
        String::new()
    };
    format!("{count}{}{more}", list.join(", "))
}

/// A code span that nothing inside of it can end.
fn code(text: &str) -> String {
    let text = visible(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let gap = if longest > 0 { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}")
}

/// Words of the plan, with everything that Markdown or HTML would take for itself escaped.
fn words(text: &str) -> String {
    let mut out = String::new();
    for character in visible(text).chars() {
        if matches!(
            character,
            '\\' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '@' | '&' | '!'
        ) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

fn fence(lines: &[String]) -> String {
    let longest = lines
        .iter()
        .flat_map(|line| line.split(|c| c != '`'))
        .map(str::len)
        .max();
    "`".repeat(longest.unwrap_or_default().max(2) + 1)
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
