//! What the operator would refuse about a cluster, whatever else is known of it.

use serde_json::Value;

use crate::api::cluster_parts::{ONE_VOLUME_SOURCE, has_one_volume_source};
use crate::diagnostic::{Code, Finding, Findings};
use crate::object::pointer;
use crate::parse::{Data, Node};
use crate::{etcd, patch};

/// Where settings of etcd stand in a cluster.
pub(super) const SETTINGS: &str = "/spec/storage/etcd/args";

/// Checks settings of etcd, volumes and patches, each by itself. What has no shape is a finding of the schema.
pub(super) fn check(root: &Node, findings: &mut Findings) {
    check_settings(root, findings);
    for list in ["/spec/manifests", "/spec/mounts"] {
        for (pointer, item) in items(root, list) {
            if let Value::Object(item) = item.to_json()
                && !has_one_volume_source(&item)
            {
                let hint = ONE_VOLUME_SOURCE.to_owned();
                findings.push(refused(root, &pointer, "cannot be used", Some(hint)));
            }
        }
    }
    for (pointer, item) in items(root, "/spec/patches") {
        if let Ok(written) = serde_json::from_value(item.to_json())
            && let Err(no) = patch::read(&written)
        {
            let what = format!("cannot be applied: {}", no.why);
            findings.push(refused(root, &pointer, &what, Some(no.instead.to_owned())));
        }
    }
}

fn check_settings(root: &Node, findings: &mut Findings) {
    let entries = root.find(SETTINGS).map(|(node, _)| node.entries());
    for entry in entries.unwrap_or_default() {
        let Some(text) = entry.value.text() else { continue };
        let one = [(entry.key.clone(), text.to_owned())].into();
        if let Err(refusal) = etcd::settings(&one) {
            let pointer = pointer::push(SETTINGS, &refusal.name);
            findings.push(refused(
                root,
                &pointer,
                "cannot be used",
                Some(refusal.what_to_do),
            ));
        }
    }
}

/// Items of a list with their pointers; none of what is no list.
fn items<'a>(root: &'a Node, list: &'a str) -> impl Iterator<Item = (String, &'a Node)> {
    let items = match root.find(list).map(|(node, _)| &node.data) {
        Some(Data::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    let place = move |index: usize| pointer::push(list, &index.to_string());
    items
        .iter()
        .enumerate()
        .map(move |(index, item)| (place(index), item))
}

fn refused(root: &Node, pointer: &str, what: &str, hint: Option<String>) -> Finding {
    Finding::new(
        Code::Refused,
        format!("`{}` {what}", pointer::to_field_path(pointer)),
    )
    .primary(root.nearest_place(pointer).name(), "")
    .hints(hint)
}
