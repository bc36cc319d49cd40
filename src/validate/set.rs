//! Documents of kind ClusterSet.

use super::metadata::{self, Scope};
use super::schema;
use crate::api::fleet_files::{ClusterSetSpec, ColumnType, Delimiter, Expect};
use crate::diagnostic::{Code, FileId, Finding, Findings, Span, nearest, quote};
use crate::object::pointer;
use crate::parse::{self, Data, Document, Entry, Node};

/// Clusters of one form, one for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSet {
    pub file: FileId,
    pub name: String,
    pub generators: Vec<Rows>,
    pub key: Written<String>,
    pub columns: Vec<(Written<String>, ColumnType)>,
    pub condition: Option<Written<String>>,
    pub expect: Option<(Expect, Span)>,
    /// `metadata` and `spec` of the cluster, with references that can all be read.
    pub template: Node,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<T> {
    pub value: T,
    pub span: Span,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    Table {
        path: Written<String>,
        delimiter: Delimiter,
    },
    List(Vec<Node>),
    Files(Written<String>),
}

/// Checks all documents by themselves; those that are right are returned in their order.
pub(super) fn check(documents: &[Document], findings: &mut Findings) -> Vec<ClusterSet> {
    documents
        .iter()
        .filter_map(|document| check_one(document, findings))
        .collect()
}

fn check_one(document: &Document, findings: &mut Findings) -> Option<ClusterSet> {
    let root = &document.root;
    let mut own = Findings::new();
    metadata::check_root(document, &schema::SET, &mut own);
    let metadata = metadata::check(document, &schema::SET, Scope::FilesOnly("ClusterSet"), &mut own);
    if root.get("spec").is_none_or(Node::is_null) {
        own.push(
            Finding::new(Code::Missing, "`spec` is missing in the ClusterSet")
                .primary(document.beginning(), "in this document")
                .hint("add `spec:` with `generators:`, `key:` and `template:` below it"),
        );
    }
    schema::SET.check(root, &mut own);
    let template = root.find("/spec/template").map(|(template, _)| template);
    if let Some(template) = template {
        check_template(template, &mut own);
        let metadata = template.get("metadata").map(Node::entries);
        check_metadata(metadata.unwrap_or_default(), &mut own);
    }
    let spec: Option<ClusterSetSpec> = if own.has_errors() {
        None
    } else {
        schema::read(root, &mut own)
    };
    let generators = spec.as_ref().map(|spec| generators(root, spec, &mut own));
    let has_errors = own.has_errors();
    findings.extend(own);
    if has_errors {
        return None;
    }
    let ClusterSetSpec {
        generators: _,
        key,
        columns,
        condition,
        expect,
        template: _,
    } = spec?;
    let value = |pointer: &str| root.nearest_place(pointer).value;
    let columns = columns.into_iter().map(|(column, kind)| {
        let place = root
            .nearest_place(&pointer::push("/spec/columns", &column))
            .name();
        let column = Written {
            value: column,
            span: place,
        };
        (column, kind)
    });
    Some(ClusterSet {
        file: document.file,
        name: metadata?.name,
        generators: generators?,
        key: Written {
            value: key,
            span: value("/spec/key"),
        },
        columns: columns.collect(),
        condition: condition.map(|text| Written {
            value: text,
            span: value("/spec/where"),
        }),
        expect: expect.map(|expect| (expect, root.nearest_place("/spec/expect").name())),
        template: template?.clone(),
    })
}

/// Returns the generators, each of which has exactly one form.
fn generators(root: &Node, spec: &ClusterSetSpec, findings: &mut Findings) -> Vec<Rows> {
    let mut rows = Vec::new();
    for (index, generator) in spec.generators.iter().enumerate() {
        let at = pointer::push("/spec/generators", &index.to_string());
        let path_of = |field: &str, path: &str| Written {
            value: path.to_owned(),
            span: root.nearest_place(&format!("{at}/{field}/path")).value,
        };
        let forms = [
            generator.csv.as_ref().map(|csv| Rows::Table {
                path: path_of("csv", &csv.path),
                delimiter: csv.delimiter.unwrap_or(Delimiter::Comma),
            }),
            generator.list.as_ref().map(|_| {
                let list = root.find(&format!("{at}/list")).map(|(list, _)| &list.data);
                Rows::List(match list {
                    Some(Data::Sequence(items)) => items.clone(),
                    _ => Vec::new(),
                })
            }),
            generator
                .files
                .as_ref()
                .map(|files| Rows::Files(path_of("files", &files.path))),
        ];
        let mut written = forms.into_iter().flatten();
        match (written.next(), written.next()) {
            (Some(one), None) => rows.push(one),
            (None, _) | (Some(_), Some(_)) => findings.push(
                Finding::new(
                    Code::RuleBroken,
                    "a generator is one of `csv`, `list` and `files`",
                )
                .primary(root.nearest_place(&at).value, "")
                .hint("write exactly one; begin each further generator with `- `"),
            ),
        }
    }
    rows
}

/// Checks that the metadata of a template has no other keys than a cluster's.
fn check_metadata(entries: &[Entry], findings: &mut Findings) {
    for Entry {
        key,
        key_span,
        value: _,
    } in entries
    {
        if metadata::FIELDS.contains(&key.as_str()) {
            continue;
        }
        findings.push(
            Finding::new(Code::UnknownField, format!("unknown field {}", quote(key)))
                .primary(*key_span, "not a field of `spec.template.metadata`")
                .hint(match nearest(key, metadata::FIELDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "its fields are `name`, `namespace`, `labels`, `annotations`".to_owned(),
                }),
        );
    }
}

/// Checks that all references can be read, and that none stands in a key.
fn check_template(node: &Node, findings: &mut Findings) {
    match &node.data {
        Data::Mapping(entries) => {
            for Entry { key, key_span, value } in entries {
                if key.contains("${") {
                    findings.push(
                        Finding::new(Code::Reference, format!("a reference in the key {}", quote(key)))
                            .primary(*key_span, "keys are written out")
                            .hint("references stand in values only"),
                    );
                }
                check_template(value, findings);
            }
        }
        Data::Sequence(items) => {
            for item in items {
                check_template(item, findings);
            }
        }
        Data::Text(text) => {
            if let Err(broken) = parse::pieces(text) {
                let part = text.get(broken.range).unwrap_or_default();
                let message = format!("{}: {}", quote(part), broken.message);
                findings.push(
                    Finding::new(Code::Reference, message)
                        .primary(node.span, "")
                        .hint(broken.hint),
                );
            }
        }
        Data::Null | Data::Bool(_) | Data::Number(_) => {}
    }
}
