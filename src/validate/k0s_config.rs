//! The configuration of k0s inside of a cluster.

use crate::diagnostic::{Code, Finding, Findings, Severity};
use crate::k0s::{self, Problem, ProblemKind, Version, Weight};
use crate::object::pointer;
use crate::parse::Node;

/// Where it stands in a cluster.
const PLACE: &str = "/spec/k0sConfig";

/// Checks `spec.k0sConfig` for the version that the cluster writes; without one, what only some versions know is
/// right.
pub(super) fn check(root: &Node, findings: &mut Findings) {
    let Some((written, _)) = root.find(PLACE) else {
        return;
    };
    // What is no mapping is a finding of the schema.
    let serde_json::Value::Object(document) = written.to_json() else {
        return;
    };
    let version = root.find("/spec/version").and_then(|(node, _)| node.text());
    for problem in k0s::problems(&document, version.and_then(Version::parse)) {
        findings.push(finding(root, problem));
    }
}

fn finding(root: &Node, problem: Problem) -> Finding {
    let Problem {
        pointer,
        kind,
        weight,
        what,
        instead,
    } = problem;
    let pointer = format!("{PLACE}{pointer}");
    let code = match kind {
        ProblemKind::UnknownField => Code::UnknownK0sField,
        ProblemKind::Value => Code::K0sConfig,
        ProblemKind::NoEffect => Code::K0sConfigNoEffect,
    };
    let place = root.nearest_place(&pointer);
    // A value that is wrong, else the key that should not be there or that lacks something.
    let is_key = kind != ProblemKind::Value
        || root
            .find(&pointer)
            .is_some_and(|(node, _)| !node.entries().is_empty());
    let span = if is_key { place.name() } else { place.value };
    let finding = Finding::new(code, format!("`{}` {what}", pointer::to_field_path(&pointer)))
        .primary(span, "")
        .hint(instead);
    Finding {
        severity: match weight {
            Weight::Refused | Weight::Mistake => Severity::Error,
            Weight::Advice => Severity::Warning,
        },
        ..finding
    }
}
