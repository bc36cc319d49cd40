//! From a ClusterSet to one cluster for each of its rows.
//!
//! **Invariant:** no value comes from the position of a row, only from what stands in it: a row that is added or moved
//! changes no other cluster.

use super::condition::Condition;
use super::rows::{self, Sources, among};
use crate::diagnostic::{Code, Finding, Findings, Span, quote};
use crate::object::kinds;
use crate::parse::{self, Data, Document, Entry, Node, Piece, Reference};
use crate::validate::{Basis, ClusterSet};

/// Most memory that all clusters made of rows may take, in bytes, counted generously. A set of 10,000 rows with
/// thirty values each takes a fifth of it.
pub(super) const BYTES_MAX: usize = 128 * 1024 * 1024;
/// What one value costs beside its text.
const NODE_BYTES: usize = 96;

/// One cluster of a set.
pub(super) struct Expanded {
    pub document: Document,
    pub basis: Basis,
}

/// Makes the clusters of a set. `budget` is what is left of [`BYTES_MAX`].
pub(super) fn clusters(
    set: &ClusterSet,
    sources: &Sources<'_>,
    budget: &mut usize,
    findings: &mut Findings,
) -> Vec<Expanded> {
    let Some(rows) = rows::rows(set, sources, findings) else {
        return Vec::new();
    };
    let condition = match &set.condition {
        None => None,
        Some(text) => match Condition::read(&text.value) {
            Ok(condition) => Some(condition),
            Err(problem) => {
                findings.push(
                    Finding::new(Code::Condition, format!("`where` cannot be used: {problem}"))
                        .primary(text.span, "")
                        .hint("a condition is for example `tier == \"prod\" && size > 2`; `row` holds all columns"),
                );
                return Vec::new();
            }
        },
    };
    let mut expanded = Vec::with_capacity(rows.len());
    let mut chosen = 0u32;
    for row in &rows {
        let mut basis = Basis::Known;
        if let (Some(condition), Some(written)) = (&condition, &set.condition) {
            match condition.holds(row) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(problem) => {
                    basis = Basis::Unknown;
                    findings.push(
                        Finding::new(Code::ConditionFailed, format!("`where` has no answer: {problem}"))
                            .primary(beginning(row), "for this row")
                            .secondary(written.span, "this condition")
                            .hint("an empty cell is `null`; `has(row.name)` tells whether a column is there"),
                    );
                }
            }
        }
        chosen += 1;
        let mut substitution = Substitution {
            row,
            findings,
            is_whole: true,
            cost: 0,
        };
        let root = substitution.cluster(&set.template);
        if !substitution.is_whole {
            basis = Basis::Unknown;
        }
        let Some(left) = budget.checked_sub(substitution.cost) else {
            findings.push(
                Finding::new(
                    Code::TooMuch,
                    format!("the clusters of all sets take more than {} MiB", BYTES_MAX >> 20),
                )
                .primary(set.key.span, "")
                .hint("put what is the same for all into ConfigMaps or defaults"),
            );
            return Vec::new();
        };
        *budget = left;
        expanded.push(Expanded {
            document: Document { file: set.file, root },
            basis,
        });
    }
    if is_unexpected(set, chosen, findings) {
        for one in &mut expanded {
            one.basis = Basis::Unknown;
        }
    }
    expanded
}

/// The first cell of a row.
fn beginning(row: &Node) -> Span {
    row.entries().first().map_or(row.span, |entry| {
        let in_table = entry.key_span.file == row.span.file && entry.key_span.start < row.span.start;
        if in_table {
            entry.value.span
        } else {
            entry.key_span
        }
    })
}

/// Reports a number of clusters outside of what is expected. A table that was cut off by mistake is found by it.
fn is_unexpected(set: &ClusterSet, found: u32, findings: &mut Findings) -> bool {
    let Some((expect, span)) = set.expect else {
        return false;
    };
    let bound = if expect.min.is_some_and(|min| found < min) {
        format!("at least {}", expect.min.unwrap_or_default())
    } else if expect.max.is_some_and(|max| found > max) {
        format!("at most {}", expect.max.unwrap_or_default())
    } else {
        return false;
    };
    findings.push(
        Finding::new(
            Code::Unexpected,
            format!(
                "the set `{}` has {found} clusters, expected are {bound}",
                set.name
            ),
        )
        .primary(span, "")
        .hint("none of its clusters is changed; look whether rows are missing, or change `expect`"),
    );
    true
}

/// One row on its way into the template.
struct Substitution<'a> {
    row: &'a Node,
    findings: &'a mut Findings,
    is_whole: bool,
    cost: usize,
}

impl Substitution<'_> {
    /// Makes the document of a cluster. It begins where its row does.
    fn cluster(&mut self, template: &Node) -> Node {
        let place = beginning(self.row);
        let mut entries = vec![
            Entry::text("apiVersion", kinds::K0SMOTRON_CLUSTER.api_version(), place),
            Entry::text("kind", kinds::K0SMOTRON_CLUSTER.kind, place),
        ];
        for entry in template.entries() {
            entries.push(Entry {
                key: entry.key.clone(),
                key_span: entry.key_span,
                value: self.node(&entry.value),
            });
        }
        Node::mapping(entries, place)
    }

    fn node(&mut self, node: &Node) -> Node {
        self.cost += NODE_BYTES;
        let data = match &node.data {
            Data::Text(text) if text.contains("${") => return self.text(node, text),
            Data::Text(text) => {
                self.cost += text.len();
                Data::Text(text.clone())
            }
            Data::Sequence(items) => Data::Sequence(items.iter().map(|item| self.node(item)).collect()),
            Data::Mapping(entries) => Data::Mapping(
                entries
                    .iter()
                    .map(|entry| {
                        self.cost += entry.key.len();
                        Entry {
                            key: entry.key.clone(),
                            key_span: entry.key_span,
                            value: self.node(&entry.value),
                        }
                    })
                    .collect(),
            ),
            scalar @ (Data::Null | Data::Bool(_) | Data::Number(_)) => scalar.clone(),
        };
        Node {
            data,
            span: node.span,
        }
    }

    /// Replaces the references of a text. One that is the whole text keeps the type of its value. The result stands
    /// where the first value that was put in stands: there a mistake is corrected.
    fn text(&mut self, node: &Node, text: &str) -> Node {
        let nothing = Node {
            data: Data::Null,
            span: node.span,
        };
        // The template was checked, so its references can be read.
        let pieces = parse::pieces(text).unwrap_or_default();
        if let [Piece::Reference(reference)] = pieces.as_slice() {
            let Some(value) = self.value(node, reference) else {
                return nothing;
            };
            self.cost += cost(&value);
            return value;
        }
        let mut joined = String::new();
        let mut span = None;
        let mut is_whole = true;
        for piece in &pieces {
            match piece {
                Piece::Literal(text) => joined.push_str(text),
                Piece::Reference(reference) => match self.value(node, reference) {
                    Some(value) => {
                        is_whole &= self.push(node, reference, &value, &mut joined);
                        if value.span != node.span {
                            span.get_or_insert(value.span);
                        }
                    }
                    None => is_whole = false,
                },
            }
        }
        if !is_whole {
            return nothing;
        }
        self.cost += joined.len();
        Node {
            data: Data::Text(joined),
            span: span.unwrap_or(node.span),
        }
    }

    /// Writes a value into a text.
    fn push(&mut self, node: &Node, reference: &Reference<'_>, value: &Node, text: &mut String) -> bool {
        match &value.data {
            Data::Null => {}
            Data::Bool(value) => text.push_str(&value.to_string()),
            Data::Number(number) => text.push_str(&number.to_string()),
            Data::Text(value) => text.push_str(value),
            Data::Sequence(_) | Data::Mapping(_) => {
                self.is_whole = false;
                self.findings.push(
                    Finding::new(
                        Code::Undefined,
                        format!(
                            "`{}` is a list or a mapping and cannot be part of a text",
                            reference.name
                        ),
                    )
                    .primary(node.span, "")
                    .secondary(value.span, "this value")
                    .hint("write the reference alone: then it keeps its form"),
                );
                return false;
            }
        }
        true
    }

    /// Finds the value of a reference; a finding says why there is none.
    fn value(&mut self, node: &Node, reference: &Reference<'_>) -> Option<Node> {
        let found = find(self.row, reference.name);
        if let Some(value) = found
            && !value.is_null()
        {
            return Some(value.clone());
        }
        if let Some(fallback) = &reference.fallback {
            return Some(Node {
                data: fallback.clone(),
                span: node.span,
            });
        }
        self.is_whole = false;
        let name = reference.name;
        let finding = match found {
            Some(empty) => Finding::new(Code::Undefined, format!("`{name}` is empty in this row"))
                .primary(empty.span, "no value")
                .secondary(node.span, "needed here")
                .hint(format!(
                    "write a value, or `${{{name} ?? fallback}}` in the template"
                )),
            None => {
                let known: Vec<&str> = self
                    .row
                    .entries()
                    .iter()
                    .map(|entry| entry.key.as_str())
                    .collect();
                Finding::new(Code::Undefined, format!("there is no value {}", quote(name)))
                    .primary(node.span, "")
                    .hints(among(name, &known))
                    .hint(format!("write `$${{{name}}}` if the text itself is meant"))
            }
        };
        self.findings.push(finding);
        None
    }
}

/// Finds a value of a row: a column of that name, else fields of a column with `.` between.
fn find<'a>(row: &'a Node, name: &str) -> Option<&'a Node> {
    if let Some(value) = row.get(name) {
        return Some(value);
    }
    let (column, rest) = name.split_once('.')?;
    find(row.get(column)?, rest)
}

/// Returns the memory a value takes, counted generously.
pub(super) fn cost(node: &Node) -> usize {
    match &node.data {
        Data::Text(text) => text.len(),
        Data::Sequence(items) => items.iter().map(|item| NODE_BYTES + cost(item)).sum(),
        Data::Mapping(entries) => entries
            .iter()
            .map(|entry| NODE_BYTES + entry.key.len() + cost(&entry.value))
            .sum(),
        Data::Null | Data::Bool(_) | Data::Number(_) => 0,
    }
}
