//! One problem of one place, and lists of them.

use super::{Code, SourceTree, Span};

/// How much a finding weighs. While there is an error, nothing is deleted anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelRole {
    /// The place that is wrong. Its beginning is the position of the finding.
    Primary,
    /// Another place that takes part, such as the first of two.
    Secondary,
    /// A place that helps to read the source, and says nothing without it.
    Context,
}

/// A marked place with a few words beside it; the words may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub role: LabelRole,
    pub span: Span,
    pub text: String,
}

/// One problem a person can act on.
///
/// *Shape*: `message` is one line without full stop and makes sense alone; `hints` say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub labels: Vec<Label>,
    pub hints: Vec<String>,
}

impl Finding {
    /// Starts a finding with the severity of its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: Vec::new(),
            hints: Vec::new(),
        }
    }

    #[must_use]
    pub fn primary(self, span: Span, text: impl Into<String>) -> Self {
        self.label(LabelRole::Primary, span, text.into())
    }

    #[must_use]
    pub fn secondary(self, span: Span, text: impl Into<String>) -> Self {
        self.label(LabelRole::Secondary, span, text.into())
    }

    #[must_use]
    pub fn context(self, span: Span, text: impl Into<String>) -> Self {
        self.label(LabelRole::Context, span, text.into())
    }

    fn label(mut self, role: LabelRole, span: Span, text: String) -> Self {
        self.labels.push(Label { role, span, text });
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// Returns the place that is wrong; `None` for what concerns no file.
    pub fn span(&self) -> Option<Span> {
        let primary = self.labels.iter().find(|label| label.role == LabelRole::Primary);
        primary.or(self.labels.first()).map(|label| label.span)
    }
}

/// All problems found, never only the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// Returns the number of errors.
    pub fn errors(&self) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count()
    }

    /// Returns the number of warnings.
    pub fn warnings(&self) -> usize {
        self.len() - self.errors()
    }

    /// Keeps the findings that pass.
    #[must_use]
    pub fn filtered(mut self, passes: impl FnMut(&Finding) -> bool) -> Self {
        self.0.retain(passes);
        self
    }

    /// Puts findings in the order of path, place and code, and drops repetitions (an alias that is read twice).
    #[must_use]
    pub fn sorted(mut self, tree: &SourceTree) -> Self {
        self.0.sort_by_cached_key(|finding| {
            let place = finding
                .span()
                .map(|span| (tree.file(span.file).path.clone(), span.start, span.end));
            (place, finding.code, finding.message.clone())
        });
        self.0.dedup();
        self
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
