//! What the YAML reader refuses, in words a person can act on.

use granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::{Code, FileId, Finding, Span};

/// Finds the first control character of a file.
///
/// *Source*: the printable characters of YAML 1.2.2 section 5.1. What a terminal would obey must not get into output.
pub(super) fn control_character(file: FileId, content: &str) -> Option<Finding> {
    let is_forbidden =
        |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}');
    let (at, character) = content
        .char_indices()
        .find(|&(_, character)| is_forbidden(character))?;
    let finding = Finding::new(Code::ControlCharacter, "control character in the file").primary(
        Span::new(file, at, at + character.len_utf8()),
        format!("character U+{:04X}", u32::from(character)),
    );
    Some(if character == '\0' {
        finding.hint("the file may be binary or cut off; write it again as UTF-8 text")
    } else {
        finding.hint("remove it; inside of double quotes it can be written as an escape")
    })
}

/// Turns an error of the reader into a finding with a place that helps.
///
/// *Shape*: `bracket` is the byte of the innermost bracket that is open where the error is.
pub(super) fn finding(file: FileId, content: &str, error: &ScanError, bracket: Option<usize>) -> Finding {
    let at = error.marker().byte_offset().unwrap_or_else(|| {
        content
            .char_indices()
            .nth(error.marker().index())
            .map_or(content.len(), |(byte, _)| byte)
    });
    let at = at.min(content.len());
    if let Some(tab) = tab_in_indentation(content, at, error.kind()) {
        return Finding::new(Code::Tab, "a tab is used for indentation")
            .primary(Span::new(file, tab, tab + 1), "this is a tab")
            .hint("indent with spaces");
    }
    let here = Span::new(file, at, next_boundary(content, at));
    match error.kind() {
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::DocumentIndicatorInQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent => unclosed_quote(file, content, at),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            trailing_text(file, content, at)
        }
        ErrorKind::UnclosedFlowCollection { open } => unclosed_bracket(file, content, at, *open),
        ErrorKind::UnexpectedEofFlowSequence => unclosed_bracket(file, content, at, '['),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            unclosed_bracket(file, content, at, '{')
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            Finding::new(Code::Syntax, format!("`{open}` is closed by `{close}`"))
                .primary(here, "wrong bracket")
        }
        ErrorKind::RecursionLimitExceeded => Finding::new(
            Code::TooMuch,
            format!("nested more than {} levels deep", super::limits::DEPTH),
        )
        .primary(here, ""),
        ErrorKind::UndeclaredTagHandle => {
            Finding::new(Code::Tag, "tag of an unknown handle").primary(here, "not declared")
        }
        ErrorKind::UnexpectedCharacter { character } => Finding::new(
            Code::Syntax,
            format!("a text cannot begin with `{}`", character.escape_default()),
        )
        .primary(here, "")
        .hint("put the text in quotes"),
        ErrorKind::InvalidColonPlacement
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
            if bracket.is_some_and(|bracket| bracket < line_start(content, at)) =>
        {
            unclosed_at(file, content, bracket.unwrap_or(at))
        }
        ErrorKind::MappingValueNotAllowed if !content[line_start(content, at)..at].contains(": ") => {
            too_deep(file, content, at)
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            Finding::new(Code::Syntax, "a second `: ` in one line")
                .primary(here, "unexpected `:`")
                .hint("put a text that contains `: ` in quotes, or begin a new line")
        }
        ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => {
            Finding::new(Code::Syntax, "the line does not fit the indentation above it")
                .primary(here, "")
                .hint("keys of one mapping begin in the same column")
        }
        ErrorKind::SimpleKeyExpected => without_colon(line_of(file, content, at)),
        ErrorKind::BlockSequenceEntryNotAllowed => {
            Finding::new(Code::Syntax, "a list item cannot begin here")
                .primary(here, "")
                .hint("begin the list in a new line")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            Finding::new(Code::Syntax, "unknown escape in a double-quoted text")
                .primary(here, "")
                .hint("write a backslash as `\\\\`, or use single quotes")
        }
        other => Finding::new(Code::Syntax, format!("not valid YAML: {other}")).primary(here, ""),
    }
}

fn next_boundary(content: &str, at: usize) -> usize {
    content
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(at, |character| at + character.len_utf8())
}

fn line_start(content: &str, at: usize) -> usize {
    content
        .get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |end| end + 1)
}

/// A key where the value of the line above goes on: that line is no key with a value, or this one is indented too far.
fn too_deep(file: FileId, content: &str, at: usize) -> Finding {
    let here = line_of(file, content, at);
    let above = content[..here.start].trim_end().len();
    let above = line_of(file, content, above);
    let line = &content[above.start..above.end];
    let column = |span: Span| span.start - line_start(content, span.start);
    if column(above) >= column(here) && !line.contains(": ") && !line.ends_with(':') {
        return without_colon(above);
    }
    Finding::new(
        Code::Syntax,
        "the line is indented deeper than the line above allows",
    )
    .primary(here, "")
    .hint("the key above has a value already; keys of one mapping begin in the same column")
}

fn without_colon(line: Span) -> Finding {
    Finding::new(Code::Syntax, "a key without `: `")
        .primary(line, "no `: ` in this line")
        .hint("write `key: value` with a space behind the `:`, or `- item` with a space behind the `-`")
}

/// The line around a byte without the space at both ends.
fn line_of(file: FileId, content: &str, at: usize) -> Span {
    let start = line_start(content, at);
    let rest = content.get(start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    let begin = start + line.len() - line.trim_start().len();
    Span::new(file, begin, begin + line.trim().len())
}

/// Finds the tab when an error is about one, or when its line or the one before is indented with one.
fn tab_in_indentation(content: &str, at: usize, kind: &ErrorKind) -> Option<usize> {
    let in_line = |start: usize| {
        let rest = content.get(start..)?;
        let indentation = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest[..indentation].find('\t').map(|tab| start + tab)
    };
    let here = line_start(content, at);
    let is_tab = matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInPlainScalar
    );
    let is_layout = matches!(
        kind,
        ErrorKind::InvalidIndentation
            | ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::ExpectedBlockSequenceEntry
            | ErrorKind::MappingValueNotAllowed
            | ErrorKind::MappingKeyNotAllowed
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::UnexpectedCharacter { .. }
    );
    if !is_tab && !is_layout {
        return None;
    }
    let found = in_line(here).or_else(|| {
        here.checked_sub(1)
            .and_then(|end| in_line(line_start(content, end)))
    });
    found.or_else(|| {
        is_tab
            .then(|| content.get(at..)?.find('\t').map(|tab| at + tab))
            .flatten()
    })
}

/// Marks the quote that was opened last before the error: in its line, or in the nearest line above with an odd
/// number of that quote.
fn unclosed_quote(file: FileId, content: &str, at: usize) -> Finding {
    let finding = Finding::new(Code::UnclosedQuote, "a quote is opened and not closed");
    // The reader may stand at the quote itself.
    let finding = match opening_quote(content, next_boundary(content, at)) {
        Some(quote) => finding.primary(Span::new(file, quote, quote + 1), "opened here"),
        None => finding.primary(Span::new(file, at, at), ""),
    };
    finding.hint("close the quote at the end of the text")
}

fn trailing_text(file: FileId, content: &str, at: usize) -> Finding {
    let at = if content[..at].ends_with(['"', '\'']) {
        at - 1
    } else {
        at
    };
    let here = Span::new(file, at, next_boundary(content, at));
    let line = line_start(content, at);
    match opening_quote(content, line) {
        // The quote that ends here was opened in a line above: most likely one is missing there.
        Some(quote) => Finding::new(Code::UnclosedQuote, "a quote is opened and not closed")
            .primary(Span::new(file, quote, quote + 1), "opened here")
            .secondary(here, "and closed only here")
            .hint("close the quote at the end of the text"),
        None => Finding::new(Code::Syntax, "text behind a closing quote")
            .primary(here, "")
            .hint("inside of single quotes a quote is written twice, inside of double quotes as `\\\"`"),
    }
}

/// Finds a quote that begins a value before `at` and has no partner in its line.
fn opening_quote(content: &str, at: usize) -> Option<usize> {
    let before = content.get(..at)?;
    let mut start = before.len();
    for line in before.split_inclusive('\n').rev().take(200) {
        start -= line.len();
        let whole_line = content[start..].split('\n').next().unwrap_or_default();
        // Counted along the way: a line can be the whole file, and all of it quotes.
        let (mut double, mut single) = (whole_line.matches('"').count(), whole_line.matches('\'').count());
        let mut is_beginning = true;
        for (index, character) in line.char_indices() {
            let left = match character {
                '"' => &mut double,
                '\'' => &mut single,
                _ => {
                    let is_sign = matches!(character, ':' | '-' | '[' | ',' | '{' | '?');
                    is_beginning = is_sign || (is_beginning && character.is_whitespace());
                    continue;
                }
            };
            if is_beginning && *left % 2 == 1 {
                return Some(start + index);
            }
            *left -= 1;
            is_beginning = false;
        }
    }
    None
}

/// The reader saw no closing bracket until the end.
fn unclosed_bracket(file: FileId, content: &str, at: usize, open: char) -> Finding {
    let close = closing(open);
    // The reader stands either at the bracket or at what it did not expect behind it.
    let mut missing = 0usize;
    let opening = content.get(..next_boundary(content, at)).and_then(|before| {
        before.char_indices().rev().find_map(|(index, character)| {
            if character == close {
                missing += 1;
            } else if character == open && missing > 0 {
                missing -= 1;
            } else if character == open {
                return Some(index);
            }
            None
        })
    });
    unclosed_at(file, content, opening.unwrap_or(at))
}

fn unclosed_at(file: FileId, content: &str, opening: usize) -> Finding {
    let open = content
        .get(opening..)
        .and_then(|rest| rest.chars().next())
        .unwrap_or('[');
    Finding::new(Code::UnclosedBracket, format!("`{open}` is not closed"))
        .primary(
            Span::new(file, opening, next_boundary(content, opening)),
            "opened here",
        )
        .hint(format!("add `{}`", closing(open)))
}

fn closing(open: char) -> char {
    if open == '{' { '}' } else { ']' }
}
