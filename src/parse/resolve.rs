//! From the flat list of nodes to a tree: scalars get their meaning, aliases are expanded within limits, keys are
//! checked.

use std::collections::HashMap;

use super::events::{RawData, RawDocument, RawNode};
use super::limits;
use super::node::{Data, Entry, Node};
use super::scalar::{self, AmbiguousNumber, Scalar};
use crate::diagnostic::{Code, FileId, Finding, Findings, Span, quote};

/// Small documents may repeat a part often without costing anything.
const EXPANSION_FREE_BYTES: usize = 16 * 1024;

struct Resolver<'a> {
    file: FileId,
    content: &'a str,
    raw: &'a RawDocument<'a>,
    findings: Findings,
    /// Nodes made and bytes of their texts, aliases expanded.
    nodes: usize,
    bytes: usize,
    aliases: usize,
    /// Nodes between the root and the present one. An alias to one of them has no end.
    path: Vec<usize>,
    /// How many aliases the present node came through. Problems are reported where the value stands, once.
    through: usize,
    /// Over a limit: nothing more is read of this document.
    is_stopped: bool,
}

/// Returns the tree of a document; `None` for an empty document and for one over a limit.
pub(super) fn document(file: FileId, content: &str, raw: &RawDocument<'_>) -> (Option<Node>, Findings) {
    let mut resolver = Resolver {
        file,
        content,
        raw,
        findings: Findings::new(),
        nodes: 0,
        bytes: 0,
        aliases: 0,
        path: Vec::new(),
        through: 0,
        is_stopped: false,
    };
    let root = resolver.node(raw.root);
    let root = root.filter(|root| !resolver.is_stopped && !root.is_null());
    (root, resolver.findings)
}

impl<'a> Resolver<'a> {
    /// Resolves one node. `None` stops the document: it is over a limit.
    fn node(&mut self, index: usize) -> Option<Node> {
        let raw: &'a RawNode<'a> = &self.raw.nodes[index];
        self.nodes += 1;
        if self.nodes > limits::NODES {
            return self.stop(
                raw.span,
                format!("more than {} values with aliases expanded", limits::NODES),
            );
        }
        if self.path.len() >= limits::DEPTH {
            return self.stop(
                raw.span,
                format!("nested more than {} levels deep", limits::DEPTH),
            );
        }
        self.path.push(index);
        let data = match &raw.data {
            RawData::Plain(text) => self.plain(raw, text),
            RawData::Quoted(text) => self.quoted(raw, text),
            RawData::Sequence(items) => self.sequence(raw, items)?,
            RawData::Mapping(entries) => self.mapping(raw, entries)?,
            RawData::Alias(anchor) => {
                self.path.pop();
                return self.alias(raw.span, *anchor);
            }
            RawData::UnknownAlias(name) => {
                self.report(
                    Finding::new(Code::Alias, format!("nothing is marked as {}", quote(&format!("&{name}"))))
                        .primary(raw.span, "unknown alias")
                        .hint("an alias repeats a value that was marked earlier in the same document; a text that begins with `*` needs quotes"),
                );
                Data::Null
            }
        };
        self.path.pop();
        Some(Node { data, span: raw.span })
    }

    fn sequence(&mut self, raw: &RawNode<'_>, items: &[usize]) -> Option<Data> {
        self.collection_tag(raw, "!!seq");
        items
            .iter()
            .map(|&item| self.node(item))
            .collect::<Option<Vec<_>>>()
            .map(Data::Sequence)
    }

    fn mapping(&mut self, raw: &RawNode<'_>, entries: &[(usize, usize)]) -> Option<Data> {
        self.collection_tag(raw, "!!map");
        let mut first: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut resolved = Vec::with_capacity(entries.len());
        for &(key, value) in entries {
            let key_span = self.raw.nodes[key].span;
            let key = self.key(key)?;
            let value = self.node(value)?;
            let Some(key) = key else { continue };
            if let Some(&earlier) = first.get(&key) {
                self.report(
                    Finding::new(
                        Code::DuplicateKey,
                        format!("the key {} is written twice", quote(&key)),
                    )
                    .primary(key_span, "written again here")
                    .secondary(earlier, "first written here")
                    .hint("keep one of them"),
                );
                continue;
            }
            first.insert(key.clone(), key_span);
            resolved.push(Entry { key, key_span, value });
        }
        Some(Data::Mapping(resolved))
    }

    /// Resolves a key. The outer `None` stops the document, the inner one drops the entry (it was reported).
    fn key(&mut self, index: usize) -> Option<Option<String>> {
        let raw: &'a RawNode<'a> = &self.raw.nodes[index];
        if let (RawData::Plain(text), None) = (&raw.data, &raw.tag) {
            if text == "<<" {
                self.report(
                    Finding::new(Code::MergeKey, "merge keys are not read")
                        .primary(raw.span, "")
                        .hint("write the keys out; an alias can stand for a whole value: `key: *name`"),
                );
                return Some(None);
            }
            let is_as_written = match scalar::plain(text) {
                Scalar::Bool(value) => text == if value { "true" } else { "false" },
                Scalar::Number(number) => number.is_i64() && number.to_string() == **text,
                Scalar::Null | Scalar::NotJson | Scalar::OutOfRange => false,
                Scalar::Text | Scalar::AmbiguousWord(_) | Scalar::AmbiguousNumber(_) => {
                    return self
                        .node(index)
                        .map(|node| Some(node.text().unwrap_or(text).to_owned()));
                }
            };
            if is_as_written {
                return Some(Some(text.clone().into_owned()));
            }
            self.report_key(raw.span, "not text");
            return Some(None);
        }
        let node = self.node(index)?;
        if let Data::Text(text) = node.data {
            return Some(Some(text));
        }
        self.report_key(raw.span, "not text");
        Some(None)
    }

    fn report_key(&mut self, span: Span, label: &str) {
        self.report(
            Finding::new(Code::KeyNotText, "a key must be text")
                .primary(span, label)
                .hint("put the key in quotes"),
        );
    }

    fn alias(&mut self, span: Span, anchor: usize) -> Option<Node> {
        self.aliases += 1;
        if self.aliases > limits::ALIASES {
            return self.stop(span, format!("more than {} aliases", limits::ALIASES));
        }
        let Some(&target) = self.raw.anchors.get(&anchor) else {
            // The reader resolved the name, so the anchor is in this document.
            return Some(Node {
                data: Data::Null,
                span,
            });
        };
        if self.path.contains(&target) {
            self.report(
                Finding::new(Code::Alias, "the alias is inside of the value it repeats")
                    .primary(span, "would have no end"),
            );
            return Some(Node {
                data: Data::Null,
                span,
            });
        }
        self.through += 1;
        let node = self.node(target);
        self.through -= 1;
        let allowed = (self.raw.bytes * limits::EXPANSION).max(EXPANSION_FREE_BYTES);
        if self.bytes > allowed && !self.is_stopped {
            let message = format!(
                "aliases make the document more than {} times larger",
                limits::EXPANSION
            );
            return self.stop(span, message);
        }
        node
    }

    fn plain(&mut self, raw: &RawNode<'_>, text: &str) -> Data {
        self.bytes += text.len();
        let meaning = scalar::plain(text);
        if let Some(tag) = &raw.tag {
            return self.tagged(raw.span, tag, text, meaning);
        }
        match meaning {
            Scalar::Null => Data::Null,
            Scalar::Bool(value) => Data::Bool(value),
            Scalar::Number(number) => Data::Number(number),
            Scalar::Text => Data::Text(text.to_owned()),
            Scalar::AmbiguousWord(other) => {
                let finding = Finding::new(
                    Code::AmbiguousWord,
                    format!(
                        "{} is text here, but {other} in YAML 1.1, which kubectl reads",
                        quote(text)
                    ),
                )
                .primary(raw.span, "");
                self.report(match other {
                    "true" | "false" => finding.hint(format!("write \"{text}\" for the text, or {other}")),
                    _ => finding.hint(format!("write \"{text}\" for the text")),
                });
                Data::Text(text.to_owned())
            }
            Scalar::AmbiguousNumber(why) => {
                self.report(ambiguous_number(raw.span, text, why));
                Data::Text(text.to_owned())
            }
            Scalar::OutOfRange => {
                self.report(
                    Finding::new(
                        Code::NumberOutOfRange,
                        format!("the number {} does not fit 64 bits", quote(text)),
                    )
                    .primary(raw.span, "")
                    .hint("put it in quotes if it is text"),
                );
                Data::Null
            }
            Scalar::NotJson => {
                self.report(
                    Finding::new(
                        Code::NumberOutOfRange,
                        format!("{} does not exist in JSON", quote(text)),
                    )
                    .primary(raw.span, "not a number that the API server can hold")
                    .hint("put it in quotes if it is text"),
                );
                Data::Null
            }
        }
    }

    fn quoted(&mut self, raw: &RawNode<'_>, text: &str) -> Data {
        self.bytes += text.len();
        if text.contains('\0') {
            self.report(
                Finding::new(Code::ControlCharacter, "a text with a zero character")
                    .primary(raw.span, "")
                    .hint("remove the escape `\\0`"),
            );
        }
        match &raw.tag {
            Some(tag) => self.tagged(raw.span, tag, text, scalar::plain(text)),
            None => Data::Text(text.to_owned()),
        }
    }

    fn tagged(&mut self, span: Span, tag: &str, text: &str, meaning: Scalar) -> Data {
        match (tag, meaning) {
            ("!!str", _) => Data::Text(text.to_owned()),
            ("!!null", Scalar::Null) => Data::Null,
            ("!!bool", Scalar::Bool(value)) => Data::Bool(value),
            ("!!int", Scalar::Number(number)) if number.is_i64() => Data::Number(number),
            ("!!float", Scalar::Number(number)) => Data::Number(number),
            ("!!null" | "!!bool" | "!!int" | "!!float", _) => {
                self.report(
                    Finding::new(
                        Code::Tag,
                        format!("{} is not what its tag `{tag}` says", quote(text)),
                    )
                    .primary(span, ""),
                );
                Data::Null
            }
            (other, _) => {
                self.unknown_tag(span, other);
                Data::Null
            }
        }
    }

    fn collection_tag(&mut self, raw: &RawNode<'_>, expected: &str) {
        if let Some(tag) = raw.tag.as_deref()
            && tag != expected
        {
            let start = raw.span.start;
            self.unknown_tag(Span::new(self.file, start, start), tag);
        }
    }

    fn unknown_tag(&mut self, span: Span, tag: &str) {
        self.report(
            Finding::new(Code::Tag, format!("the tag {} is not understood", quote(tag)))
                .primary(span, "")
                .hint("remove the tag; a text that begins with `!` needs quotes"),
        );
    }

    /// Keeps a problem, unless it was found through an alias and so is reported at the anchor.
    fn report(&mut self, finding: Finding) {
        if self.through > 0 || self.is_stopped {
            return;
        }
        if self.findings.len() >= limits::FINDINGS {
            let place = finding.span().unwrap_or(Span::start_of(self.file));
            self.findings.push(
                Finding::new(
                    Code::TooMuch,
                    "there are more problems in this document than are shown",
                )
                .primary(place, "the first one not shown"),
            );
            self.is_stopped = true;
            return;
        }
        self.findings.push(finding);
    }

    fn stop<T>(&mut self, span: Span, message: String) -> Option<T> {
        if !self.is_stopped {
            let line = self
                .content
                .get(span.start..span.end)
                .and_then(|text| text.find('\n'));
            let end = line.map_or(span.end, |length| span.start + length);
            self.findings.push(
                Finding::new(Code::TooMuch, message).primary(Span::new(self.file, span.start, end), ""),
            );
        }
        self.is_stopped = true;
        None
    }
}

fn ambiguous_number(span: Span, text: &str, why: AmbiguousNumber) -> Finding {
    let finding = Finding::new(
        Code::AmbiguousNumber,
        format!(
            "the number {} means different things to different readers",
            quote(text)
        ),
    );
    let for_text = format!("write \"{text}\" for the text");
    match why {
        AmbiguousNumber::LeadingZero => {
            let (sign, digits) = text.split_at(text.len() - text.trim_start_matches(['+', '-']).len());
            let decimal = digits.trim_start_matches('0');
            let decimal = if decimal.is_empty() { "0" } else { decimal };
            let hint = match i64::from_str_radix(digits, 8) {
                Ok(octal) if octal.to_string() != decimal => {
                    format!("{for_text}, {sign}{decimal} or (octal) {sign}{octal} for the number")
                }
                Ok(_) | Err(_) => format!("{for_text}, {sign}{decimal} for the number"),
            };
            finding
                .primary(span, "octal in YAML 1.1, decimal in 1.2")
                .hint(hint)
        }
        AmbiguousNumber::Underscore => finding
            .primary(span, "a number in YAML 1.1, text in 1.2")
            .hint(format!("{for_text}, {} for the number", text.replace('_', ""))),
        AmbiguousNumber::Prefix => finding
            .primary(span, "a number for some readers, text for others")
            .hint(format!("{for_text}, or the number in decimal digits")),
    }
}
