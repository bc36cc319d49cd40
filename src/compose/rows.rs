//! The rows of a ClusterSet: from its generators to mappings whose values have their types.

use std::collections::BTreeMap;

use crate::api::fleet_files::{ColumnType, Delimiter};
use crate::diagnostic::{Code, FileId, Finding, Findings, SourceTree, Span, nearest, quote};
use crate::parse::{self, Data, Document, Node};
use crate::validate::{ClusterSet, Rows, Written};

/// Most rows of one set: as many clusters as a fleet may have files.
const ROWS_MAX: usize = crate::diagnostic::FILES_MAX;

/// Everything rows can come from.
pub(super) struct Sources<'a> {
    pub tree: &'a SourceTree,
    /// Documents of files that a set names, by file.
    pub documents: &'a BTreeMap<FileId, Vec<Document>>,
}

/// Returns all rows of a set, each a mapping. `None` when a generator cannot be read, or the rows cannot be told
/// apart: then nothing is known of the set.
pub(super) fn rows(set: &ClusterSet, sources: &Sources<'_>, findings: &mut Findings) -> Option<Vec<Node>> {
    let mut all = Vec::new();
    let mut is_whole = true;
    for generator in &set.generators {
        let rows = match generator {
            Rows::Table { path, delimiter } => table(set, path, *delimiter, sources.tree, findings),
            Rows::List(items) => Some(items.clone()),
            Rows::Files(path) => files(set, path, sources, findings),
        };
        match rows {
            Some(rows) => all.extend(rows),
            None => is_whole = false,
        }
    }
    if all.len() > ROWS_MAX {
        findings.push(
            Finding::new(Code::TooMuch, format!("the set has more than {ROWS_MAX} rows"))
                .primary(set.key.span, "")
                .hint("make several fleets of it"),
        );
        return None;
    }
    check_columns(set, &all, findings)?;
    let mut typed = Vec::with_capacity(all.len());
    for row in all {
        typed.extend(with_types(row, set, findings));
    }
    check_keys(set, &typed, findings)?;
    is_whole.then_some(typed)
}

/// Resolves a path as written against the directory of a file. `None` when it leaves the tree.
pub(super) fn resolve(from: &str, path: &str) -> Option<String> {
    let mut steps: Vec<&str> = from.split('/').collect();
    steps.pop();
    if path.starts_with('/') || path.contains('\\') {
        return None;
    }
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop()?;
            }
            step => steps.push(step),
        }
    }
    Some(steps.join("/"))
}

fn outside(path: &Written<String>) -> Finding {
    Finding::new(
        Code::Generator,
        format!("the path {} is not inside of the fleet", quote(&path.value)),
    )
    .primary(path.span, "")
    .hint("write a path relative to this file, with `/`, that stays below the directory with `fleet.yaml`")
}

fn table(
    set: &ClusterSet,
    path: &Written<String>,
    delimiter: Delimiter,
    tree: &SourceTree,
    findings: &mut Findings,
) -> Option<Vec<Node>> {
    let Some(resolved) = resolve(&tree.file(set.file).path, &path.value) else {
        findings.push(outside(path));
        return None;
    };
    let found = tree.find(&resolved).filter(|(_, file)| file.is_table);
    let Some((id, file)) = found else {
        let tables = tree.files();
        let tables = tables.iter().filter(|(_, file)| file.is_table);
        let near = nearest(&resolved, tables.map(|(_, file)| file.path.as_str()));
        let finding = Finding::new(Code::Generator, format!("there is no table {}", quote(&resolved)))
            .primary(path.span, "");
        findings.push(match near {
            Some(near) => finding.hint(format!("did you mean {}?", quote(near))),
            None => finding.hint("the path is relative to this file, and ends with `.csv`"),
        });
        return None;
    };
    if let Some(finding) = tree.table_finding(id) {
        findings.push(finding.clone());
        return None;
    }
    parse::table(id, file, delimiter.byte(), findings)
}

fn files(
    set: &ClusterSet,
    path: &Written<String>,
    sources: &Sources<'_>,
    findings: &mut Findings,
) -> Option<Vec<Node>> {
    let Some(pattern) = resolve(&sources.tree.file(set.file).path, &path.value) else {
        findings.push(outside(path));
        return None;
    };
    let mut rows = Vec::new();
    let mut is_match = false;
    for (id, file) in sources.tree.files() {
        if file.is_table || !matches(&pattern, &file.path) {
            continue;
        }
        is_match = true;
        let documents = sources.documents.get(&id).map(Vec::as_slice).unwrap_or_default();
        rows.extend(documents.iter().map(|document| document.root.clone()));
    }
    if !is_match {
        findings.push(
            Finding::new(Code::Generator, format!("no file is called {}", quote(&pattern)))
                .primary(path.span, "")
                .hint("`*` stands for any part of a name, `**` for any number of directories"),
        );
        return None;
    }
    Some(rows)
}

/// Tells whether a path has the form of a pattern: `*` is any part of a name, `**` any number of directories.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    // One row of the table of what the beginnings of both have in common, as for comparing texts: no pattern takes
    // longer than the product of the two lengths.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for step in pattern {
        let mut next = vec![false; path.len() + 1];
        if step == "**" {
            let mut is_reached = false;
            for (index, reached) in reached.iter().enumerate() {
                is_reached |= reached;
                next[index] = is_reached;
            }
        } else {
            for (index, name) in path.iter().enumerate() {
                next[index + 1] = reached[index] && name_matches(step, name);
            }
        }
        reached = next;
    }
    reached[path.len()]
}

fn name_matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Checks that columns that are named exist in a row at all.
fn check_columns(set: &ClusterSet, rows: &[Node], findings: &mut Findings) -> Option<()> {
    let mut known: Vec<&str> = Vec::new();
    for row in rows {
        for entry in row.entries() {
            if !known.contains(&entry.key.as_str()) && known.len() < 1000 {
                known.push(&entry.key);
            }
        }
    }
    if rows.is_empty() {
        return Some(());
    }
    let named = set.columns.iter().map(|(column, _)| column).chain([&set.key]);
    let before = findings.len();
    for column in named.filter(|column| !known.contains(&column.value.as_str())) {
        findings.push(
            Finding::new(
                Code::Column,
                format!("there is no column {}", quote(&column.value)),
            )
            .primary(column.span, "")
            .hints(among(&column.value, &known)),
        );
    }
    (findings.len() == before).then_some(())
}

/// Returns a hint with the name that was meant, or all names.
pub(super) fn among(name: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let shown: Vec<String> = known.iter().take(8).map(|name| quote(name)).collect();
    let more = if known.len() > 8 { ", ..." } else { "" };
    (!shown.is_empty()).then(|| format!("the columns are {}{more}", shown.join(", ")))
}

/// Gives the values of a row their types. `None` when one does not fit, with a finding at its place.
fn with_types(row: Node, set: &ClusterSet, findings: &mut Findings) -> Option<Node> {
    let Node { data, span } = row;
    let Data::Mapping(mut entries) = data else {
        findings
            .push(Finding::new(Code::WrongType, "a row is a mapping from column to value").primary(span, ""));
        return None;
    };
    let mut is_right = true;
    for (column, kind) in &set.columns {
        let Some(entry) = entries.iter_mut().find(|entry| entry.key == column.value) else {
            continue;
        };
        match typed(&entry.value.data, *kind) {
            Ok(Some(data)) => entry.value.data = data,
            Ok(None) => {}
            Err(hint) => {
                is_right = false;
                let shown = match &entry.value.data {
                    Data::Text(text) => quote(text),
                    Data::Number(number) => quote(&number.to_string()),
                    Data::Bool(value) => quote(&value.to_string()),
                    Data::Null | Data::Sequence(_) | Data::Mapping(_) => "this".to_owned(),
                };
                findings.push(
                    Finding::new(
                        Code::WrongType,
                        format!(
                            "the column `{}` is of type {kind}, and {shown} is not",
                            column.value
                        ),
                    )
                    .primary(entry.value.span, "")
                    .secondary(column.span, "its type")
                    .hint(hint),
                );
            }
        }
    }
    is_right.then(|| Node::mapping(entries, span))
}

/// Returns a value of a type; `None` when it has that type already or is unset, and what to write when it cannot have
/// it.
fn typed(data: &Data, kind: ColumnType) -> Result<Option<Data>, &'static str> {
    match (kind, data) {
        (_, Data::Null) | (ColumnType::String, Data::Text(_)) | (ColumnType::Boolean, Data::Bool(_)) => {
            Ok(None)
        }
        (ColumnType::Integer, Data::Number(number)) if number.is_i64() => Ok(None),
        (ColumnType::Number, Data::Number(_)) => Ok(None),
        (ColumnType::Integer, Data::Text(text)) => match parse::number(text) {
            Some(number) if number.is_i64() && number.to_string() == *text => Ok(Some(Data::Number(number))),
            Some(_) | None => Err("write a whole number in decimal digits, without leading zeros"),
        },
        (ColumnType::Number, Data::Text(text)) => match parse::number(text) {
            Some(number) => Ok(Some(Data::Number(number))),
            None => Err("write a number in decimal digits, without leading zeros"),
        },
        (ColumnType::Boolean, Data::Text(text)) => match text.as_str() {
            "true" => Ok(Some(Data::Bool(true))),
            "false" => Ok(Some(Data::Bool(false))),
            _ => Err("write `true` or `false`"),
        },
        (ColumnType::String, Data::Number(_) | Data::Bool(_)) => Err("put it in quotes"),
        (ColumnType::Integer | ColumnType::Number, Data::Bool(_)) => Err("write a number"),
        (ColumnType::Boolean, Data::Number(_)) => Err("write `true` or `false`"),
        (_, Data::Sequence(_) | Data::Mapping(_)) => Err("write a single value"),
        (ColumnType::Integer, Data::Number(_)) => Err("write a whole number"),
    }
}

/// Checks that every row has a key and no two the same.
fn check_keys(set: &ClusterSet, rows: &[Node], findings: &mut Findings) -> Option<()> {
    let before = findings.len();
    let mut first: BTreeMap<String, Span> = BTreeMap::new();
    for row in rows {
        let cell = row.get(&set.key.value);
        let text = match cell.map(|cell| &cell.data) {
            Some(Data::Text(text)) => text.clone(),
            Some(Data::Number(number)) => number.to_string(),
            Some(Data::Bool(value)) => value.to_string(),
            Some(Data::Null | Data::Sequence(_) | Data::Mapping(_)) | None => {
                findings.push(
                    Finding::new(Code::Key, format!("a row without `{}`", set.key.value))
                        .primary(cell.map_or(row.span, |cell| cell.span), "")
                        .secondary(set.key.span, "tells rows apart")
                        .hint("every row needs a value in this column"),
                );
                continue;
            }
        };
        let span = cell.map_or(row.span, |cell| cell.span);
        if let Some(&earlier) = first.get(&text) {
            findings.push(
                Finding::new(
                    Code::Key,
                    format!("two rows have the {} {}", quote(&set.key.value), quote(&text)),
                )
                .primary(span, "again here")
                .secondary(earlier, "first here")
                .hint("remove one of the rows"),
            );
            continue;
        }
        first.insert(text, span);
    }
    (findings.len() == before).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_their_file_and_never_leave_the_fleet() {
        let of = |path| resolve("sets/stores.yaml", path);
        assert_eq!(of("stores.csv").as_deref(), Some("sets/stores.csv"));
        assert_eq!(of("./eu/stores.csv").as_deref(), Some("sets/eu/stores.csv"));
        assert_eq!(of("../data/*.yaml").as_deref(), Some("data/*.yaml"));
        for outside in ["../../x.csv", "/etc/passwd.csv", "..\\x.csv"] {
            assert_eq!(of(outside), None, "{outside}");
        }
    }

    #[test]
    fn patterns_match_names_and_directories() {
        for (pattern, path, expected) in [
            ("sites/*.yaml", "sites/a.yaml", true),
            ("sites/*.yaml", "sites/b/a.yaml", false),
            ("sites/**/*.yaml", "sites/a.yaml", true),
            ("sites/**/*.yaml", "sites/b/c/a.yaml", true),
            ("**", "a/b", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
            ("sites", "sites/a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
