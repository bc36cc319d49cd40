//! From the events of the YAML reader to one flat list of nodes per document, with aliases not yet expanded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, Tag};

use super::{limits, syntax};
use crate::diagnostic::{Code, FileId, Finding, Findings, Span};

/// A document as read: nodes refer to each other by index.
pub(super) struct RawDocument<'a> {
    pub nodes: Vec<RawNode<'a>>,
    pub root: usize,
    /// Node of each anchor.
    pub anchors: BTreeMap<usize, usize>,
    pub bytes: usize,
}

pub(super) struct RawNode<'a> {
    pub data: RawData<'a>,
    pub span: Span,
    pub tag: Option<String>,
}

pub(super) enum RawData<'a> {
    Plain(Cow<'a, str>),
    Quoted(Cow<'a, str>),
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
    /// An alias whose anchor is not in the document.
    UnknownAlias(Cow<'a, str>),
}

/// An open collection.
struct Frame {
    node: usize,
    style: StructureStyle,
    /// The key that waits for its value.
    key: Option<usize>,
}

struct Builder<'a> {
    file: FileId,
    start: usize,
    nodes: Vec<RawNode<'a>>,
    anchors: BTreeMap<usize, usize>,
    open: Vec<Frame>,
    root: Option<usize>,
}

/// Reads the documents of one file; syntax errors become findings and cost their document only.
pub(super) fn read<'a>(file: FileId, content: &'a str, findings: &mut Findings) -> Vec<RawDocument<'a>> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: limits::DEPTH,
        block_nesting_limit: limits::DEPTH,
    };
    let mut parser = Parser::new_from_str_with_options(content, options);
    let mut documents = Vec::new();
    let mut builder = Builder::new(file, 0);
    let (mut count, mut errors) = (0, 0);
    while let Some(next) = parser.next_event() {
        let problem = match next {
            Ok((Event::StreamEnd, _)) => break,
            Ok((Event::DocumentStart(..), span)) => {
                builder = Builder::new(file, bytes(&span).start);
                count += 1;
                if count > limits::DOCUMENTS {
                    findings.push(
                        too_much(
                            file,
                            builder.start,
                            format!("more than {} documents", limits::DOCUMENTS),
                        )
                        .hint("split the file"),
                    );
                    break;
                }
                None
            }
            Ok((Event::DocumentEnd, span)) => {
                let end = bytes(&span).end;
                documents.extend(std::mem::replace(&mut builder, Builder::new(file, end)).finish());
                None
            }
            Ok((event, span)) => builder.take(event, bytes(&span)).err(),
            Err(error) => Some(syntax::finding(file, content, &error, builder.bracket())),
        };
        let Some(problem) = problem else { continue };
        findings.push(problem);
        errors += 1;
        if errors == limits::FINDINGS {
            findings.push(
                too_much(
                    file,
                    builder.start,
                    format!("more than {} broken documents", limits::FINDINGS - 1),
                )
                .hint("the rest of the file was not read"),
            );
            break;
        }
        builder = Builder::new(file, 0);
        // Goes on behind the next `---`. An error here is about the rest of the file, and was just reported.
        if !matches!(parser.proceed_next_document(), Ok(true)) {
            break;
        }
    }
    documents
}

fn bytes(span: &granit_parser::Span) -> std::ops::Range<usize> {
    span.byte_range().unwrap_or_default()
}

fn too_much(file: FileId, at: usize, message: impl Into<String>) -> Finding {
    Finding::new(Code::TooMuch, message).primary(Span::new(file, at, at), "")
}

impl<'a> Builder<'a> {
    fn new(file: FileId, start: usize) -> Self {
        Self {
            file,
            start,
            nodes: Vec::new(),
            anchors: BTreeMap::new(),
            open: Vec::new(),
            root: None,
        }
    }

    fn finish(self) -> Option<RawDocument<'a>> {
        let root = self.root?;
        let Self {
            file: _,
            start,
            nodes,
            anchors,
            open: _,
            root: _,
        } = self;
        let bytes = nodes[root].span.end.saturating_sub(start);
        Some(RawDocument {
            nodes,
            root,
            anchors,
            bytes,
        })
    }

    /// Returns where the innermost open bracket is, if the innermost collection has brackets.
    fn bracket(&self) -> Option<usize> {
        let frame = self.open.last()?;
        (frame.style == StructureStyle::Flow).then(|| self.nodes[frame.node].span.start)
    }

    fn take(&mut self, event: Event<'a>, range: std::ops::Range<usize>) -> Result<(), Finding> {
        // Where a collection ends is behind the comments that follow it; those cost nothing.
        let is_end = matches!(event, Event::SequenceEnd | Event::MappingEnd);
        if !is_end && range.end.saturating_sub(self.start) > limits::DOCUMENT_BYTES {
            let message = format!("document larger than {} KiB", limits::DOCUMENT_BYTES / 1024);
            return Err(too_much(self.file, self.start, message).hint("split it into several documents"));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let data = match style {
                    ScalarStyle::Plain => RawData::Plain(text),
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => RawData::Quoted(text),
                };
                self.add(data, range, anchor, tag.as_deref()).map(|_| ())
            }
            Event::SequenceStart(style, anchor, tag) => self.open(
                RawData::Sequence(Vec::new()),
                style,
                range,
                (anchor, tag.as_deref()),
            ),
            Event::MappingStart(style, anchor, tag) => self.open(
                RawData::Mapping(Vec::new()),
                style,
                range,
                (anchor, tag.as_deref()),
            ),
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(range.end);
                Ok(())
            }
            Event::Alias(id) => self.add(RawData::Alias(id), range, 0, None).map(|_| ()),
            Event::UnresolvedAlias(name) => self.add(RawData::UnknownAlias(name), range, 0, None).map(|_| ()),
            // Not asked for, or handled by the caller.
            _ => Ok(()),
        }
    }

    fn add(
        &mut self,
        data: RawData<'a>,
        range: std::ops::Range<usize>,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<usize, Finding> {
        if self.nodes.len() >= limits::NODES {
            return Err(too_much(
                self.file,
                range.start,
                format!("more than {} values", limits::NODES),
            )
            .hint("split the document"));
        }
        let index = self.nodes.len();
        let tag = tag.map(|tag| match tag.core_suffix() {
            Some(suffix) => format!("!!{suffix}"),
            None => tag.original(),
        });
        self.nodes.push(RawNode {
            data,
            span: Span::new(self.file, range.start, range.end),
            tag,
        });
        if anchor != 0 {
            self.anchors.insert(anchor, index);
        }
        let Some(frame) = self.open.last_mut() else {
            self.root.get_or_insert(index);
            return Ok(index);
        };
        match (&mut self.nodes[frame.node].data, frame.key.take()) {
            (RawData::Sequence(items), _) => items.push(index),
            (RawData::Mapping(entries), Some(key)) => entries.push((key, index)),
            (RawData::Mapping(_), None) => frame.key = Some(index),
            (RawData::Plain(_) | RawData::Quoted(_) | RawData::Alias(_) | RawData::UnknownAlias(_), _) => {}
        }
        Ok(index)
    }

    fn open(
        &mut self,
        data: RawData<'a>,
        style: StructureStyle,
        range: std::ops::Range<usize>,
        (anchor, tag): (usize, Option<&Tag>),
    ) -> Result<(), Finding> {
        let start = range.start;
        let node = self.add(data, range, anchor, tag)?;
        self.open.push(Frame {
            node,
            style,
            key: None,
        });
        if self.open.len() > limits::DEPTH {
            return Err(too_much(
                self.file,
                start,
                format!("nested more than {} levels deep", limits::DEPTH),
            ));
        }
        Ok(())
    }

    /// Ends the innermost collection. Where a block collection ends is not seen in the text: it ends with its last
    /// child.
    fn close(&mut self, end: usize) {
        let Some(frame) = self.open.pop() else { return };
        let last = match &self.nodes[frame.node].data {
            RawData::Sequence(items) => items.last().copied(),
            RawData::Mapping(entries) => entries.last().map(|&(_, value)| value),
            RawData::Plain(_) | RawData::Quoted(_) | RawData::Alias(_) | RawData::UnknownAlias(_) => None,
        };
        let last_end = last.map_or(end, |last| self.nodes[last].span.end);
        let span = &mut self.nodes[frame.node].span;
        span.end = match frame.style {
            StructureStyle::Flow => end,
            StructureStyle::Block => last_end,
        }
        .max(span.start);
    }
}
