//! The document of kind Fleet.

use super::metadata::{self, Scope};
use super::{rollout, schema};
use crate::api::fleet::{FLEET_ID_MAX, Fleet};
use crate::diagnostic::{Code, Finding, Findings};
use crate::object::pointer;
use crate::parse::{Data, Document, Node};

const INIT: &str = "`k0smotron-fleet init` writes the id";

/// Checks the Fleet documents; one is allowed. The second value is true when there is one that cannot be used.
pub(super) fn check(documents: &[Document], findings: &mut Findings) -> (Option<Fleet>, bool) {
    let mut fleets: Vec<Fleet> = Vec::new();
    for document in documents {
        fleets.extend(check_one(document, findings));
    }
    let Some((first, rest)) = documents.split_first() else {
        return (None, false);
    };
    let place = |document: &Document| document.root.nearest_place("/kind").value;
    findings.extend(rest.iter().map(|second| {
        Finding::new(
            Code::SecondFleet,
            "there is more than one document of kind `Fleet`",
        )
        .primary(place(second), "another one")
        .secondary(place(first), "the first one")
        .hint("keep one; it stands in `fleet.yaml` at the root")
    }));
    let fleet = if rest.is_empty() { fleets.pop() } else { None };
    let is_broken = fleet.is_none();
    (fleet, is_broken)
}

fn check_one(document: &Document, findings: &mut Findings) -> Option<Fleet> {
    let root = &document.root;
    let mut own = Findings::new();
    metadata::check_root(document, &schema::FLEET, &mut own);
    let metadata = metadata::check(document, &schema::FLEET, Scope::FilesOnly("Fleet"), &mut own);
    if root.get("spec").is_none_or(Node::is_null) {
        own.push(
            Finding::new(Code::Missing, "`spec` is missing in the Fleet")
                .primary(document.beginning(), "in this document")
                .hint(INIT),
        );
    }
    let mut by_schema = Findings::new();
    schema::FLEET.check(root, &mut by_schema);
    own.extend(by_schema.into_iter().map(|finding| {
        let is_id = finding.code == Code::Missing && finding.message.starts_with("`id` ");
        if is_id {
            Finding {
                hints: vec![INIT.to_owned()],
                ..finding
            }
        } else {
            finding
        }
    }));
    if let Some(id) = root.find("/spec/id").and_then(|(id, _)| id.text()) {
        metadata::check_label_name(root, "/spec/id", id, "fleet id", FLEET_ID_MAX, &mut own);
    }
    if let Some(Data::Sequence(allowed)) = root.find("/spec/namespaces/allow").map(|(node, _)| &node.data) {
        for (index, namespace) in allowed.iter().enumerate() {
            let pointer = pointer::push("/spec/namespaces/allow", &index.to_string());
            if let Some(text) = namespace.text() {
                metadata::check_label_name(root, &pointer, text, "namespace", 63, &mut own);
            }
        }
    }
    rollout::check(root, &mut own);
    let spec = if own.has_errors() {
        None
    } else {
        schema::read(root, &mut own)
    };
    findings.extend(own);
    metadata.zip(spec).map(|(metadata, spec)| Fleet {
        name: metadata.name,
        spec,
    })
}
