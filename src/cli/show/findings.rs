//! Findings as text: with the source underlined for a terminal, one line each elsewhere.
//!
//! The source is shown on a terminal only. Logs, status objects and comments get position and message: a file may
//! hold what not everybody who reads those may see.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Finding, Findings, LabelRole, Severity, SourceTree};

/// Width of the excerpts. Fixed, so that output is the same everywhere.
const COLUMNS: usize = 80;

/// Returns `clusters/edge.yaml:6:3`, or `None` for what concerns no file.
pub fn position(finding: &Finding, tree: &SourceTree) -> Option<String> {
    finding.span().map(|span| tree.position(span).to_string())
}

/// Returns `clusters/edge.yaml:6:3: error[FLT0103]: unknown field`, hints included, without line end.
pub fn line(finding: &Finding, tree: &SourceTree) -> String {
    let place = position(finding, tree)
        .map(|position| format!("{position}: "))
        .unwrap_or_default();
    let mut line = format!(
        "{place}{}[{}]: {}",
        finding.severity.as_str(),
        finding.code,
        finding.message
    );
    let others = finding
        .labels
        .iter()
        .filter(|label| label.role == LabelRole::Secondary);
    for label in others.filter(|label| !label.text.is_empty()) {
        line.push_str(&format!(" ({}: {})", label.text, tree.position(label.span)));
    }
    for hint in &finding.hints {
        line.push_str(&format!("; {hint}"));
    }
    line
}

/// Returns one line for each finding, in their order, each with a line end.
pub fn lines(findings: &Findings, tree: &SourceTree) -> String {
    findings
        .iter()
        .map(|finding| line(finding, tree) + "\n")
        .collect()
}

/// Returns all findings with their source underlined, an empty line between two.
pub fn render(findings: &Findings, tree: &SourceTree, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
    .term_width(COLUMNS);
    let blocks: Vec<String> = findings
        .iter()
        .map(|finding| block(finding, tree, &renderer) + "\n")
        .collect();
    blocks.join("\n")
}

fn block(finding: &Finding, tree: &SourceTree, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = wrapped(
        &finding.message,
        finding.severity.as_str().len() + "[FLT0000]: ".len(),
    );
    let mut main = Group::with_title(level.primary_title(title).id(finding.code.as_str()));
    // The file of the primary label first, then the others in the order of the labels.
    let mut files = Vec::new();
    let mut labels: Vec<_> = finding.labels.iter().collect();
    labels.sort_by_key(|label| label.role);
    for label in &labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    for id in files {
        let file = tree.file(id);
        let in_file = labels.iter().filter(|label| label.span.file == id);
        let first = in_file.clone().next().map(|label| tree.position(label.span));
        let Some(place) = first else { continue };
        if file.content.is_empty() {
            main = main.element(Origin::path(place.path));
            continue;
        }
        let annotations = in_file.map(|label| {
            let kind = match label.role {
                LabelRole::Primary => AnnotationKind::Primary,
                LabelRole::Secondary | LabelRole::Context => AnnotationKind::Context,
            };
            let range = first_line(&file.content, file.range(label.span));
            let text = (!label.text.is_empty()).then_some(label.text.as_str());
            kind.span(range).label(text)
        });
        main = main.element(
            Snippet::source(&file.content)
                .path(place.path)
                .annotations(annotations),
        );
    }
    let hints = finding.hints.iter().map(|hint| wrapped(hint, "help: ".len()));
    let hints = hints.map(|hint| Group::with_title(Level::HELP.secondary_title(hint)));
    let report: Vec<Group<'_>> = std::iter::once(main).chain(hints).collect();
    renderer.render(&report)
}

/// Breaks a text between words so that no line is longer than the terminal, behind a heading of some columns. The
/// renderer indents the later lines by that heading.
fn wrapped(text: &str, heading: usize) -> String {
    let width = COLUMNS - heading;
    let mut wrapped = String::with_capacity(text.len());
    let mut column = 0;
    for word in words(text) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// Splits a text at spaces, but not inside of backticks: what stands there is to be written as it is.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.split(move |character| {
        is_code ^= character == '`';
        character == ' ' && !is_code
    })
}

/// Cuts a range to its first line: underlining a whole mapping explains nothing.
fn first_line(content: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let length = content[range.clone()].find(['\n', '\r']).unwrap_or(range.len());
    range.start..range.start + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Span};

    fn example() -> (Findings, SourceTree) {
        let text = "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: edge\nspec:\n  repicas: 3\n";
        let tree = SourceTree::from_texts([("clusters/edge-berlin.yaml", text)]);
        let (id, file) = tree.whole_files()[0];
        let at = |word: &str| {
            let start = file.content.find(word).unwrap();
            Span::new(id, start, start + word.len())
        };
        let finding = Finding::new(Code::UnknownField, "unknown field `repicas`")
            .primary(at("repicas"), "not a field of `spec`")
            .context(at("spec"), "in this mapping")
            .hint("did you mean `replicas`?");
        let mut findings = Findings::new();
        findings.push(finding);
        (findings, tree)
    }

    #[test]
    fn a_finding_shows_its_source_underlined() {
        let (findings, tree) = example();
        insta::assert_snapshot!(render(&findings, &tree, false), @r"
        error[FLT0103]: unknown field `repicas`
         --> clusters/edge-berlin.yaml:6:3
          |
        5 | spec:
          | ---- in this mapping
        6 |   repicas: 3
          |   ^^^^^^^ not a field of `spec`
          |
        help: did you mean `replicas`?
        ");
    }

    #[test]
    fn colour_changes_no_text() {
        let (findings, tree) = example();
        let coloured = render(&findings, &tree, true);
        assert_ne!(coloured, render(&findings, &tree, false));
        assert_eq!(
            anstream::adapter::strip_str(&coloured).to_string(),
            render(&findings, &tree, false)
        );
    }

    #[test]
    fn elsewhere_a_finding_is_one_line_without_source() {
        let (findings, tree) = example();
        assert_eq!(
            lines(&findings, &tree),
            "clusters/edge-berlin.yaml:6:3: error[FLT0103]: unknown field `repicas`; did you mean `replicas`?\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn findings_of_any_text_can_be_shown(text in "[-:,\\[\\]{}#&*!|>'\"%@`?~ab01\\n\\t é.\\\\<_=]{0,120}") {
            let tree = SourceTree::from_texts([("a.yaml", text)]);
            let (_, findings) = crate::parse::documents(&tree);
            let shown = render(&findings, &tree, false);
            proptest::prop_assert_eq!(shown.is_empty(), findings.is_empty());
            proptest::prop_assert_eq!(lines(&findings, &tree).lines().count(), findings.len());
        }
    }

    #[test]
    fn shown_paths_can_be_opened_from_where_one_is() {
        let (findings, mut tree) = example();
        tree.prefix = "fleets/acme/".into();
        assert!(lines(&findings, &tree).starts_with("fleets/acme/clusters/edge-berlin.yaml:6:3: "));
    }
}
