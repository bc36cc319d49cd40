//! The configuration of k0s inside of a cluster.

use std::collections::HashMap;

use crate::diagnostic::{Code, Finding, Findings, Severity};
use crate::k0s::{self, Problem, ProblemKind, Version, Weight};
use crate::object::pointer;
use crate::parse::Node;

/// Where it stands in a cluster.
const PLACE: &str = "/spec/k0sConfig";

/// What is wrong with configurations, by their JSON text and the version they are for.
pub(super) type Remembered = HashMap<(String, Option<Version>), Vec<Problem>>;

/// Checks `spec.k0sConfig` for the version that the cluster writes; without one, what only some versions know is
/// right.
pub(super) fn check(root: &Node, remembered: &mut Remembered, findings: &mut Findings) {
    let Some((written, _)) = root.find(PLACE) else {
        return;
    };
    let document = written.to_json();
    // What is no mapping is a finding of the schema.
    let Some(fields) = document.as_object() else {
        return;
    };
    let version = root.find("/spec/version").and_then(|(node, _)| node.text());
    let version = version.and_then(Version::parse);
    let problems = remembered
        .entry((document.to_string(), version))
        .or_insert_with(|| k0s::problems(fields, version));
    for problem in problems {
        findings.push(finding(root, problem.clone()));
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
