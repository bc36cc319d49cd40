//! `${name}` inside of a text.

use super::node::Data;
use super::scalar::{self, Scalar};

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// As it is. `$${` in the text gives `${` here.
    Literal(std::borrow::Cow<'a, str>),
    Reference(Reference<'a>),
}

/// `${name}` or `${name ?? fallback}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference<'a> {
    pub name: &'a str,
    /// What stands behind `??`: the text in quotes, else what it would mean as a YAML value.
    pub fallback: Option<Data>,
}

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenReference {
    /// Bytes in the text, from `$` to behind `}` or to the end.
    pub range: std::ops::Range<usize>,
    pub message: &'static str,
    pub hint: &'static str,
}

/// Splits a text at its references.
///
/// *Errors*: the first reference that cannot be read.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, BrokenReference> {
    let mut pieces = Vec::new();
    let mut literal = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[..start].ends_with('$') {
            // `$${`: the first `$` goes.
            push(&mut pieces, &text[literal..start - 1]);
            literal = start;
            at = start + 2;
            continue;
        }
        push(&mut pieces, &text[literal..start]);
        let inner_start = start + 2;
        let length = end_of(&text[inner_start..]).ok_or(BrokenReference {
            range: start..text.len(),
            message: "a reference is opened and not closed",
            hint: "close it with `}`, or write `$${` for the text `${`",
        })?;
        let range = start..inner_start + length + 1;
        pieces.push(Piece::Reference(reference(
            &text[inner_start..inner_start + length],
            range.clone(),
        )?));
        literal = range.end;
        at = range.end;
    }
    push(&mut pieces, &text[literal..]);
    Ok(pieces)
}

fn push<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Literal(before)) => before.to_mut().push_str(text),
        Some(Piece::Reference(_)) | None => pieces.push(Piece::Literal(text.into())),
    }
}

/// Finds the closing bracket, which may not be inside of quotes.
fn end_of(inner: &str) -> Option<usize> {
    let mut open = None;
    for (index, character) in inner.char_indices() {
        match (character, open) {
            ('}', None) => return Some(index),
            ('"' | '\'', None) => open = Some(character),
            (_, Some(quote)) if quote == character => open = None,
            _ => {}
        }
    }
    None
}

fn reference(inner: &str, range: std::ops::Range<usize>) -> Result<Reference<'_>, BrokenReference> {
    let broken = |message, hint| BrokenReference {
        range: range.clone(),
        message,
        hint,
    };
    let (name, fallback) = match inner.split_once("??") {
        Some((name, fallback)) => (name.trim(), Some(fallback.trim())),
        None => (inner.trim(), None),
    };
    if !is_name(name) {
        return Err(broken(
            "what stands between `${` and `}` is not the name of a value",
            "write `${name}` or `${name ?? fallback}`; write `$${` for the text `${`",
        ));
    }
    let fallback = fallback.map(|text| match text.chars().next() {
        None => Err(broken(
            "nothing stands behind `??`",
            "write for example `?? 1` or `?? \"\"`",
        )),
        Some(mark @ ('"' | '\'')) => text[mark.len_utf8()..]
            .strip_suffix(mark)
            .filter(|inside| !inside.contains(mark))
            .map(|text| Data::Text(text.to_owned()))
            .ok_or(broken(
                "the quote behind `??` does not end at `}`",
                "write for example `?? \"a b\"`",
            )),
        Some(_) if text.contains("${") => Err(broken(
            "a fallback is a value, not another reference",
            "write for example `?? 1` or `?? \"\"`",
        )),
        Some(_) => match scalar::plain(text) {
            Scalar::Null => Ok(Data::Null),
            Scalar::Bool(value) => Ok(Data::Bool(value)),
            Scalar::Number(number) => Ok(Data::Number(number)),
            Scalar::Text => Ok(Data::Text(text.to_owned())),
            Scalar::AmbiguousWord(_) | Scalar::AmbiguousNumber(_) | Scalar::OutOfRange | Scalar::NotJson => {
                Err(broken(
                    "what stands behind `??` means different things to different readers",
                    "put it in quotes if it is text",
                ))
            }
        },
    });
    Ok(Reference {
        name,
        fallback: fallback.transpose()?,
    })
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == '_')
        && characters
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Shows pieces in one line: references as `<name>` or `<name|fallback>`.
    fn shown(text: &str) -> String {
        let piece = |piece: &Piece<'_>| match piece {
            Piece::Literal(text) => text.to_string(),
            Piece::Reference(Reference { name, fallback: None }) => format!("<{name}>"),
            Piece::Reference(Reference {
                name,
                fallback: Some(fallback),
            }) => match fallback {
                Data::Text(text) => format!("<{name}|'{text}'>"),
                other => format!("<{name}|{other:?}>"),
            },
        };
        pieces(text).unwrap().iter().map(piece).collect()
    }

    #[rstest]
    #[case("plain", "plain")]
    #[case("store-${site}.${zone}", "store-<site>.<zone>")]
    #[case("${ site }", "<site>")]
    #[case("${replicas ?? 1}", "<replicas|Number(Number(1))>")]
    #[case("${replicas ?? \"1\"}", "<replicas|'1'>")]
    #[case("${paused ?? true}", "<paused|Bool(true)>")]
    #[case("${zone ?? eu-1}", "<zone|'eu-1'>")]
    #[case("${a??'b }'}c", "<a|'b }'>c")]
    #[case("$${site} ${site}", "${site} <site>")]
    #[case("$$${site}", "$${site}")]
    #[case("$5 $(x) $", "$5 $(x) $")]
    #[case("${0042-a.b_c}", "<0042-a.b_c>")]
    fn references_are_found_and_literals_kept(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(text), expected);
    }

    #[rstest]
    #[case("a ${site", 2..8)]
    #[case("${}", 0..3)]
    #[case("${a b}", 0..6)]
    #[case("${a ?? }", 0..8)]
    #[case("${a ?? 'b'c}", 0..12)]
    #[case("${-a}", 0..5)]
    #[case("${a ?? no}", 0..10)]
    #[case("${a ?? 0755}", 0..12)]
    #[case("${a ?? ${b}}", 0..11)]
    fn what_is_no_reference_is_an_error_with_its_place(
        #[case] text: &str,
        #[case] range: std::ops::Range<usize>,
    ) {
        assert_eq!(pieces(text).unwrap_err().range, range);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_literals_survive(text in "[$}{a?'\" é]{0,40}") {
            let _ = pieces(&text);
            let literal = text.replace('{', "");
            prop_assert_eq!(pieces(&literal).map(|pieces| pieces.len() <= 1), Ok(true));
        }
    }
}
