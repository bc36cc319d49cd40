//! One document of kind K0smotronCluster.

use serde_json::Value;

use super::metadata::{self, Metadata, Scope};
use super::{Basis, Cluster, Draft, k0s_config, refused, schema};
use crate::api::cel::{self, Violation};
use crate::diagnostic::{Code, Finding, Findings, Span, quote};
use crate::object::pointer;
use crate::parse::Node;

/// A cluster that may be right, and what is known of it if it is not.
pub(super) struct Candidate {
    /// Namespace and name, when both can be read.
    pub identity: Option<(String, String)>,
    /// Where the name stands.
    pub place: Span,
    /// `None` when the document by itself has errors.
    pub cluster: Option<Cluster>,
}

/// What was said about parts of clusters: those of a fleet are mostly alike.
#[derive(Default)]
pub(super) struct Remembered {
    rules: cel::Remembered,
    k0s_configs: k0s_config::Remembered,
}

/// Checks one cluster. The candidate says what is known of it even when it is wrong.
pub(super) fn check(draft: Draft, remembered: &mut Remembered) -> (Candidate, Findings) {
    let Draft { document, basis } = draft;
    let root = &document.root;
    let mut own = Findings::new();
    metadata::check_root(&document, &schema::CLUSTER, &mut own);
    let metadata = metadata::check(&document, &schema::CLUSTER, Scope::Namespaced, &mut own);
    let written = root.get("spec").filter(|spec| !spec.is_null()).map(Node::to_json);
    if let Some(spec) = &written {
        schema::CLUSTER.check_value(root, "spec", spec, &mut own);
        check_rules(root, spec, &mut remembered.rules, &mut own);
        check_quantities(root, &mut own);
        k0s_config::check(root, &mut remembered.k0s_configs, &mut own);
        refused::check(root, &mut own);
    }
    let place = root.nearest_place("/metadata/name").value;
    let text = |pointer: &str| {
        root.find(pointer)
            .and_then(|(node, _)| node.text())
            .map(str::to_owned)
    };
    let identity = text("/metadata/namespace").zip(text("/metadata/name"));
    let spec = if own.has_errors() {
        None
    } else {
        schema::read_value(root, "spec", written, &mut own)
    };
    if basis == Basis::Unknown {
        // What is wrong only for want of the unknown part is not said: it may not be wrong.
        let is_certain = |finding: &Finding| !matches!(finding.code, Code::Missing | Code::RuleBroken);
        own = own.filtered(is_certain);
    }
    let spec = spec.filter(|_| basis == Basis::Known);
    let cluster = metadata.zip(spec).map(|(metadata, spec)| {
        let Metadata {
            name,
            namespace,
            labels,
            annotations,
        } = metadata;
        Cluster {
            namespace,
            name,
            labels,
            annotations,
            spec,
            file: document.file,
            document,
        }
    });
    (
        Candidate {
            identity,
            place,
            cluster,
        },
        own,
    )
}

/// Evaluates the rules of the CRD. Their messages say what is wrong, then `; ` and what to write instead.
fn check_rules(root: &Node, spec: &Value, verdicts: &mut cel::Remembered, findings: &mut Findings) {
    // Settings of etcd are told one by one.
    let told = |violation: &Violation| violation.pointer != refused::SETTINGS;
    for violation in verdicts.violations(spec).into_iter().filter(told) {
        let (what, instead) = match violation.message.split_once("; ") {
            Some((what, instead)) => (what, Some(instead.to_owned())),
            None => (violation.message.as_str(), None),
        };
        let message = format!("`{}`: {what}", pointer::to_field_path(&violation.pointer));
        let finding = Finding::new(Code::RuleBroken, message);
        let finding = match root.place(&violation.pointer) {
            Some(place) => finding.primary(place.value, ""),
            None => finding.primary(root.nearest_place(&violation.pointer).name(), "in this mapping"),
        };
        findings.push(finding.hints(instead));
    }
}

/// Checks amounts of memory, processors and storage: the schema takes any text for them, and pods with a wrong one
/// cannot be made.
fn check_quantities(root: &Node, findings: &mut Findings) {
    const RESOURCES: [&str; 3] = [
        "/spec/resources",
        "/spec/storage/etcd/resources",
        "/spec/persistence/persistentVolumeClaim/spec/resources",
    ];
    for pointer in RESOURCES
        .iter()
        .flat_map(|at| [format!("{at}/limits"), format!("{at}/requests")])
    {
        let entries = root
            .find(&pointer)
            .map(|(node, _)| node.entries())
            .unwrap_or_default();
        for entry in entries {
            let Some(text) = entry.value.text().filter(|text| !is_quantity(text)) else {
                continue;
            };
            let path = pointer::to_field_path(&pointer::push(&pointer, &entry.key));
            findings.push(
                Finding::new(Code::NotAmount, format!("`{path}` cannot be {}", quote(text)))
                    .primary(entry.value.span, "not an amount")
                    .hint("write for example `500m`, `2`, `512Mi` or `10Gi`"),
            );
        }
    }
}

/// Tells whether a text is a quantity that is not negative.
///
/// *Source*: Kubernetes `resource.ParseQuantity`.
fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let number = text.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
    let (number, suffix) = text.split_at(text.len() - number.len());
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    const SUFFIXES: [&str; 16] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    is_number && (is_exponent || SUFFIXES.contains(&suffix))
}

#[cfg(test)]
mod tests {
    use super::is_quantity;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for right in [
            "1", "500m", "0.5", ".5", "1.", "512Mi", "10Gi", "1e3", "1E", "2E3", "+1k",
        ] {
            assert!(is_quantity(right), "{right}");
        }
        for wrong in [
            "", "x", "1 Gi", "-1", "1gb", "1GB", "1.2.3", "Mi", ".", "1e", "1mi", "5g",
        ] {
            assert!(!is_quantity(wrong), "{wrong}");
        }
    }
}
