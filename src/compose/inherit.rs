//! What clusters inherit from the ClusterDefaults of their directory and of those above it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::{expand, merge};
use crate::diagnostic::{Code, FileId, Finding, Findings, Severity, SourceTree, Span};
use crate::object::pointer;
use crate::parse::{Data, Document, Node};
use crate::validate::{Basis, Defaults, Draft};

/// Defaults by their level and their place in it.
type Chosen = Vec<(String, usize)>;

/// The defaults of all directories.
pub(super) struct Inheritance {
    /// By directory, with `/` at its end; empty for the root.
    levels: BTreeMap<String, Vec<Defaults>>,
    /// Directories with a file that may hold defaults and cannot be read.
    unknown: BTreeSet<String>,
    /// What the defaults of some levels give together, by their places in `levels`, and the memory it takes: most
    /// clusters of a directory inherit the same.
    joined: HashMap<Chosen, (Rc<Node>, usize)>,
    /// What is left of the memory that all copies of inherited values may take.
    budget: usize,
    /// Whether that was not enough.
    is_over: bool,
}

impl Inheritance {
    /// Sorts defaults by directory, and finds those of one directory that say two things about one field.
    pub fn new(
        defaults: Vec<Defaults>,
        broken: &BTreeSet<FileId>,
        tree: &SourceTree,
        findings: &mut Findings,
    ) -> Self {
        let mut unknown: BTreeSet<String> = broken
            .iter()
            .filter(|file| may_hold_defaults(tree, **file))
            .map(|file| directory(&tree.file(*file).path))
            .collect();
        let mut levels: BTreeMap<String, Vec<Defaults>> = BTreeMap::new();
        for one in defaults {
            levels
                .entry(directory(&tree.file(one.file).path))
                .or_default()
                .push(one);
        }
        for (directory, siblings) in &levels {
            if report_conflicts(siblings, findings) {
                unknown.insert(directory.clone());
            }
        }
        Self {
            levels,
            unknown,
            joined: HashMap::new(),
            budget: expand::BYTES_MAX,
            is_over: false,
        }
    }

    /// Reports that clusters would have inherited more than fits into memory. Those have no basis.
    pub fn report(&self, findings: &mut Findings) {
        let first = self.levels.values().flatten().next();
        if let Some(first) = first.filter(|_| self.is_over) {
            let message = format!(
                "what all clusters inherit takes more than {} MiB",
                expand::BYTES_MAX >> 20
            );
            findings.push(
                Finding::new(Code::TooMuch, message)
                    .primary(Span::start_of(first.file), "")
                    .hint("put long texts into ConfigMaps, and refer to them"),
            );
        }
    }

    /// Gives a cluster what it inherits. `path` is the file that says where the cluster belongs.
    pub fn draft(&mut self, document: Document, path: &str, basis: Basis) -> Draft {
        let above = directories(path);
        let is_unknown = basis == Basis::Unknown || above.iter().any(|level| self.unknown.contains(*level));
        let basis = if is_unknown { Basis::Unknown } else { Basis::Known };
        let chosen = self.chosen(&document, path);
        if chosen.is_empty() {
            return Draft { document, basis };
        }
        let (base, cost) = self.joined(chosen);
        let Some(left) = self.budget.checked_sub(cost) else {
            self.is_over = true;
            let basis = Basis::Unknown;
            return Draft { document, basis };
        };
        self.budget = left;
        let Document { file, root } = document;
        let root = merge::cluster(&base, root);
        let document = Document { file, root };
        Draft { document, basis }
    }

    /// Returns what a cluster inherits, the nearest first. `path` is as for [`Self::draft`].
    pub fn defaults(&self, document: &Document, path: &str) -> Vec<&Node> {
        let chosen = self.chosen(document, path);
        let nearest_first = chosen.iter().rev();
        nearest_first
            .map(|(level, index)| &self.levels[level][*index].root)
            .collect()
    }

    /// Chooses the defaults of a cluster, the farthest first.
    fn chosen(&self, document: &Document, path: &str) -> Chosen {
        if self.levels.is_empty() {
            return Chosen::new();
        }
        let labels = own_labels(document);
        let mut chosen = Chosen::new();
        for level in directories(path) {
            let siblings = self.levels.get(level).map(Vec::as_slice).unwrap_or_default();
            let matching = siblings
                .iter()
                .enumerate()
                .filter(|(_, one)| one.selector.matches(&labels));
            chosen.extend(matching.map(|(index, _)| (level.to_owned(), index)));
        }
        chosen
    }

    /// Joins defaults: those of one directory side by side, nearer directories over farther ones.
    fn joined(&mut self, chosen: Chosen) -> (Rc<Node>, usize) {
        if let Some(joined) = self.joined.get(&chosen) {
            return joined.clone();
        }
        let mut by_level: BTreeMap<&str, Node> = BTreeMap::new();
        for (level, index) in &chosen {
            let root = &self.levels[level][*index].root;
            let joined = match by_level.remove(level.as_str()) {
                Some(sibling) => merge::siblings(&sibling, root),
                None => root.clone(),
            };
            by_level.insert(level, joined);
        }
        // A directory sorts before those below it.
        let joined = by_level
            .into_values()
            .reduce(|base, nearer| merge::cluster(&base, nearer))
            .unwrap_or_else(|| self.levels[&chosen[0].0][chosen[0].1].root.clone());
        let cost = expand::cost(&joined);
        let joined = (Rc::new(joined), cost);
        self.joined.insert(chosen, joined.clone());
        joined
    }
}

/// Reports what two defaults of one directory both set, for clusters that both choose.
fn report_conflicts(siblings: &[Defaults], findings: &mut Findings) -> bool {
    let mut is_conflict = false;
    for (index, one) in siblings.iter().enumerate() {
        for other in &siblings[index + 1..] {
            if one.selector.excludes(&other.selector) {
                continue;
            }
            let mut found = Vec::new();
            merge::conflicts(&one.root, &other.root, "", &mut found);
            for conflict in found {
                is_conflict = true;
                let path = pointer::to_field_path(&conflict.pointer);
                let path = path.strip_prefix("metadata.").unwrap_or(&path);
                findings.push(
                    Finding::new(
                        Code::SameDefault,
                        format!("two defaults of one directory set `{path}`"),
                    )
                    .primary(conflict.other.key_span, "set again here")
                    .secondary(conflict.one.key_span, "first set here")
                    .hint("keep one; or give both a `selector` with different values of one label"),
                );
            }
        }
    }
    is_conflict
}

/// Files with an error finding.
pub(super) fn broken_files(findings: &Findings) -> BTreeSet<FileId> {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    errors.filter_map(|finding| Some(finding.span()?.file)).collect()
}

/// Tells whether a broken file may hold defaults: it says so, or it is called so.
fn may_hold_defaults(tree: &SourceTree, file: FileId) -> bool {
    let file = tree.file(file);
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.eq_ignore_ascii_case("defaults") || file.content.contains("ClusterDefault")
}

/// The directory of a path, with `/` at its end; empty for the root.
fn directory(path: &str) -> String {
    path.rfind('/').map_or("", |end| &path[..=end]).to_owned()
}

/// The directories above a file, the root first.
fn directories(path: &str) -> Vec<&str> {
    std::iter::once("")
        .chain(path.match_indices('/').map(|(end, _)| &path[..=end]))
        .collect()
}

/// The labels a cluster's own file gives it.
fn own_labels(document: &Document) -> BTreeMap<String, String> {
    let labels = document.root.find("/metadata/labels").map(|(labels, _)| labels);
    let Some(Data::Mapping(entries)) = labels.map(|labels| &labels.data) else {
        return BTreeMap::new();
    };
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), entry.value.text()?.to_owned())))
        .collect()
}
