//! The waves of a Fleet.

use std::collections::BTreeMap;

use super::metadata;
use crate::api::fleet_rollout::{CANARY, CHANGES, DELETIONS, NAMESPACES, REST, WAVE_NAME_MAX};
use crate::diagnostic::{Code, Finding, Findings, quote};
use crate::object::pointer;
use crate::parse::{Data, Node, Place};

/// Checks the names of waves: what the schema does not say of them.
pub(super) fn check(root: &Node, findings: &mut Findings) {
    let waves = root.find("/spec/rollout/waves").map(|(node, _)| &node.data);
    let Some(Data::Sequence(waves)) = waves else {
        return;
    };
    let mut earlier: BTreeMap<&str, Place> = BTreeMap::new();
    for index in 0..waves.len() {
        let wave = pointer::push("/spec/rollout/waves", &index.to_string());
        let pointer = pointer::push(&wave, "name");
        let Some((node, place)) = root.find(&pointer) else {
            continue;
        };
        let Some(name) = node.text() else { continue };
        metadata::check_label_name(root, &pointer, name, "wave", WAVE_NAME_MAX, findings);
        if [CANARY, CHANGES, DELETIONS, NAMESPACES, REST].contains(&name) {
            findings.push(
                Finding::new(Code::NotAllowed, format!("no wave can be called {}", quote(name)))
                    .primary(place.value, "plans have a wave of that name already")
                    .hint("give it another name, for example `others`"),
            );
        }
        if let Some(first) = earlier.get(name) {
            findings.push(
                Finding::new(Code::NotAllowed, format!("two waves are called {}", quote(name)))
                    .primary(place.value, "another one")
                    .secondary(first.value, "the first one")
                    .hint("give each a name of its own"),
            );
        } else {
            earlier.insert(name, place);
        }
    }
}
