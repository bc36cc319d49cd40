//! CSV with the place of every cell.
//!
//! *Source*: RFC 4180, as spreadsheets write it: cells in double quotes may hold delimiters and line ends, and a quote
//! inside of them is written twice.

use std::collections::BTreeMap;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::node::{Data, Entry, Node};
use super::{limits, syntax};
use crate::diagnostic::{Code, FileId, Finding, Findings, SourceFile, Span, quote};

/// One cell as written.
struct Cell {
    text: String,
    span: Span,
}

/// Reads a table: each row is a mapping from column to text. An empty cell is null. Rows with errors are left out.
///
/// *Shape*: the first line names the columns. `None` when these cannot be read; a finding then says why.
pub fn table(id: FileId, file: &SourceFile, delimiter: u8, findings: &mut Findings) -> Option<Vec<Node>> {
    if let Some(finding) = syntax::control_character(id, &file.content) {
        findings.push(finding);
        return None;
    }
    let mut records = records(id, &file.content, delimiter, findings)?.into_iter();
    let Some(header) = records.next() else {
        findings.push(
            Finding::new(Code::Table, "the table is empty")
                .primary(Span::start_of(id), "")
                .hint("the first line names the columns"),
        );
        return None;
    };
    check_header(&header, delimiter, findings)?;
    let mut rows = Vec::with_capacity(records.len());
    let mut wrong = 0;
    for record in records {
        if record.len() == header.len() {
            rows.push(row(&header, record));
            continue;
        }
        wrong += 1;
        if wrong <= limits::FINDINGS {
            findings.push(wrong_length(&header, &record));
        }
    }
    Some(rows)
}

/// Splits a text into records. `None` when a quote is wrong: what follows it cannot be trusted.
fn records(id: FileId, content: &str, delimiter: u8, findings: &mut Findings) -> Option<Vec<Vec<Cell>>> {
    let mut reader: Reader = ReaderBuilder::new().delimiter(delimiter).build();
    let mut at = if content.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut output = vec![0; content.len() + 1];
    let (mut records, mut record) = (Vec::new(), Vec::new());
    // Where the present cell begins, and how much of its text is read.
    let (mut start, mut length) = (at, 0);
    loop {
        // An empty input tells the reader that the text ends here.
        let rest = content.as_bytes().get(at..).unwrap_or_default();
        let (result, read, written) = reader.read_field(rest, &mut output[length..]);
        at += read;
        length += written;
        match result {
            ReadFieldResult::Field { record_end } => {
                record.push(cell(
                    id,
                    content,
                    start..at,
                    &output[..length],
                    delimiter,
                    findings,
                )?);
                (start, length) = (at, 0);
                if record_end {
                    records.push(std::mem::take(&mut record));
                }
            }
            ReadFieldResult::InputEmpty if !rest.is_empty() => {}
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull | ReadFieldResult::End => break,
        }
    }
    Some(records)
}

/// Makes a cell of the bytes that were read for it, and checks its quotes.
fn cell(
    id: FileId,
    content: &str,
    range: std::ops::Range<usize>,
    text: &[u8],
    delimiter: u8,
    findings: &mut Findings,
) -> Option<Cell> {
    let is_line_end = |byte: u8| byte == b'\n' || byte == b'\r';
    let bytes = content.as_bytes();
    let (mut start, mut end) = (range.start, range.end);
    // Line ends of the record before, and empty lines, are read with the cell that follows them.
    while start < end && is_line_end(bytes[start]) {
        start += 1;
    }
    if end > start && bytes[end - 1] == delimiter {
        end -= 1;
    } else {
        while end > start && is_line_end(bytes[end - 1]) {
            end -= 1;
        }
    }
    let span = Span::new(id, start, end);
    if let Some(inner) = content.get(start..end).and_then(|raw| raw.strip_prefix('"')) {
        let after = behind_quote(inner);
        let problem = match after {
            Some(0) => None,
            Some(length) => {
                let place = Span::new(id, end - length, end);
                Some(
                    Finding::new(Code::Table, "text behind a closing quote")
                        .primary(place, "")
                        .hint("inside of quotes a quote is written twice: `\"\"`"),
                )
            }
            None => Some(
                Finding::new(Code::Table, "a quote is opened and not closed")
                    .primary(Span::new(id, start, start + 1), "opened here")
                    .hint("close it with `\"` in front of the next delimiter"),
            ),
        };
        if let Some(problem) = problem {
            findings.push(problem);
            return None;
        }
    }
    Some(Cell {
        text: String::from_utf8_lossy(text).into_owned(),
        span,
    })
}

/// Returns how many bytes follow the closing quote of a quoted cell; `None` when there is no closing quote.
fn behind_quote(inner: &str) -> Option<usize> {
    let mut rest = inner;
    loop {
        let (_, after) = rest.split_once('"')?;
        match after.strip_prefix('"') {
            Some(more) => rest = more,
            None => return Some(after.len()),
        }
    }
}

fn check_header(header: &[Cell], delimiter: u8, findings: &mut Findings) -> Option<()> {
    let before = findings.errors();
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    for cell in header {
        if findings.errors() >= before + limits::FINDINGS {
            // What follows is more of the same: a line of delimiters is no header.
            break;
        }
        let name = cell.text.as_str();
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'));
        if let Some(&first) = names.get(name) {
            findings.push(
                Finding::new(Code::Table, format!("two columns are called {}", quote(name)))
                    .primary(cell.span, "again here")
                    .secondary(first, "first here")
                    .hint("rename one of them"),
            );
        } else if !is_name {
            let other = [(";", b';'), (",", b','), ("\\t", b'\t')]
                .into_iter()
                .find(|(_, byte)| *byte != delimiter && name.as_bytes().contains(byte));
            let finding = Finding::new(
                Code::Table,
                format!("{} cannot be the name of a column", quote(name)),
            )
            .primary(cell.span, "");
            findings.push(match other {
                Some((shown, _)) if header.len() == 1 => finding.hint(format!(
                    "for columns between other characters add `delimiter: \"{shown}\"`"
                )),
                Some(_) | None => {
                    finding.hint("names are letters, digits, `-`, `_`, `.`, without spaces around")
                }
            });
        }
        names.entry(name).or_insert(cell.span);
    }
    (findings.errors() == before).then_some(())
}

fn wrong_length(header: &[Cell], record: &[Cell]) -> Finding {
    let cells = |number: usize| {
        if number == 1 {
            "1 cell".to_owned()
        } else {
            format!("{number} cells")
        }
    };
    let place = match record.get(header.len()) {
        Some(first_too_many) => first_too_many.span,
        None => whole(record),
    };
    Finding::new(
        Code::Table,
        format!(
            "the row has {}, but there are {} columns",
            cells(record.len()),
            header.len()
        ),
    )
    .primary(
        place,
        if record.len() > header.len() {
            "one too many"
        } else {
            ""
        },
    )
    .hint("put a cell that contains the delimiter in double quotes; an empty cell still needs its delimiter")
}

/// From the first cell to the last. A record has at least one cell.
fn whole(record: &[Cell]) -> Span {
    let first = record[0].span;
    Span::new(first.file, first.start, record[record.len() - 1].span.end)
}

fn row(header: &[Cell], record: Vec<Cell>) -> Node {
    let span = whole(&record);
    let entries = header
        .iter()
        .zip(record)
        .map(|(column, cell)| Entry {
            key: column.text.clone(),
            key_span: column.span,
            value: Node {
                data: if cell.text.is_empty() {
                    Data::Null
                } else {
                    Data::Text(cell.text)
                },
                span: cell.span,
            },
        })
        .collect();
    Node::mapping(entries, span)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::diagnostic::SourceTree;

    fn read(text: &str, delimiter: u8) -> (SourceTree, Option<Vec<Node>>, Findings) {
        let tree = SourceTree::from_texts([("stores.csv", text)]);
        let mut findings = Findings::new();
        let rows = tree
            .find("stores.csv")
            .and_then(|(id, file)| table(id, file, delimiter, &mut findings));
        (tree, rows, findings)
    }

    fn json(text: &str) -> Vec<String> {
        let (_, rows, findings) = read(text, b',');
        assert!(findings.is_empty(), "{findings:#?}");
        rows.unwrap()
            .iter()
            .map(|row| row.to_json().to_string())
            .collect()
    }

    #[test]
    fn cells_are_text_as_written_and_empty_ones_are_unset() {
        let text = "\u{feff}site,number,note\r\nberlin,0042,\"a, \"\"b\"\"\nc\"\r\n\nparis,,\"\"\nrome,1,x";
        assert_eq!(
            json(text),
            [
                r#"{"note":"a, \"b\"\nc","number":"0042","site":"berlin"}"#,
                r#"{"site":"paris"}"#,
                r#"{"note":"x","number":"1","site":"rome"}"#
            ]
        );
        assert_eq!(json("a,b\n1,"), [r#"{"a":"1"}"#]);
        assert!(json("a,b\n").is_empty() && json("a,b").is_empty());
    }

    #[test]
    fn every_cell_knows_its_bytes() {
        let text = "site,note\r\n\r\nberlin,\"größe\n\"\nparis,x\n";
        let (tree, rows, _) = read(text, b',');
        let rows = rows.unwrap();
        let (id, file) = tree.find("stores.csv").unwrap();
        let of = |row: usize, column: &str| {
            let entry = rows[row].entry(column).unwrap();
            (file.text(entry.key_span), file.text(entry.value.span))
        };
        assert_eq!(of(0, "site"), ("site", "berlin"));
        assert_eq!(of(0, "note"), ("note", "\"größe\n\""));
        assert_eq!(of(1, "site"), ("site", "paris"));
        assert_eq!(of(1, "note"), ("note", "x"));
        assert_eq!(tree.position(rows[1].span).to_string(), "stores.csv:5:1");
        assert_eq!(rows[0].span.file, id);
    }

    #[rstest]
    #[case("a,b\n1,\"2\n3,4\n", "stores.csv:2:3", "a quote is opened and not closed")]
    #[case("a,b\n1,\"2\"x\n", "stores.csv:2:6", "text behind a closing quote")]
    #[case("a,b\n1\n", "stores.csv:2:1", "the row has 1 cell, but there are 2 columns")]
    #[case(
        "a,b\n1,2,3\n",
        "stores.csv:2:5",
        "the row has 3 cells, but there are 2 columns"
    )]
    #[case("a,a\n1,2\n", "stores.csv:1:3", "two columns are called `a`")]
    #[case("a, b\n1,2\n", "stores.csv:1:3", "` b` cannot be the name of a column")]
    #[case("a;b\n1;2\n", "stores.csv:1:1", "`a;b` cannot be the name of a column")]
    #[case("", "stores.csv:1:1", "the table is empty")]
    fn what_is_wrong_is_said_with_its_cell(#[case] text: &str, #[case] place: &str, #[case] message: &str) {
        let (tree, _, findings) = read(text, b',');
        let finding = findings.iter().next().unwrap();
        assert_eq!(tree.position(finding.span().unwrap()).to_string(), place);
        assert_eq!((finding.message.as_str(), findings.len()), (message, 1));
    }

    #[test]
    fn a_header_of_nothing_but_delimiters_reports_a_bounded_number() {
        let (_, rows, findings) = read(&",".repeat(60_000), b',');
        assert!(rows.is_none());
        assert_eq!(findings.len(), limits::FINDINGS);
    }

    #[test]
    fn a_row_of_another_length_hides_no_other() {
        let (_, rows, findings) = read("a,b\n1\n2,3\n", b',');
        assert_eq!((rows.unwrap().len(), findings.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[ab,;\"\r\n é\u{feff}]{0,60}") {
            let (tree, rows, findings) = read(&text, b',');
            prop_assert!(rows.is_some() || findings.has_errors());
            for finding in &findings {
                tree.position(finding.span().unwrap());
            }
        }

        #[test]
        fn what_is_written_in_quotes_is_read_back(cells in proptest::collection::vec("[a-c,\" \n]{1,6}", 2..6)) {
            let quoted = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            let columns: Vec<String> = (0..cells.len()).map(|number| format!("c{number}")).collect();
            let text = format!("{}\n{}\n", columns.join(","), quoted.collect::<Vec<_>>().join(","));
            let (_, rows, findings) = read(&text, b',');
            prop_assert!(findings.is_empty(), "{:?}", findings);
            let rows = rows.unwrap();
            let read: Vec<&str> = rows[0].entries().iter().filter_map(|entry| entry.value.text()).collect();
            prop_assert_eq!(read, cells.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
