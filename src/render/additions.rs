//! What users add to the control-plane container: flags, manifests and mounts.

use k8s_openapi::api::core::v1::Volume;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::Stalled;
use super::parts::plain;
use super::resolve::invalid;
use crate::api::ClusterSpec;
use crate::api::cluster_parts::{Mount, ONE_VOLUME_SOURCE, has_one_volume_source};
use crate::object::hex;

/// k0s applies what it finds in the folders below.
const MANIFESTS: &str = "/var/lib/k0s/manifests";

/// Volume sources that are files of the API: nothing may be written to them, and k0s must not try.
const READ_ONLY_SOURCES: [&str; 4] = ["configMap", "downwardAPI", "projected", "secret"];

/// Says what is wrong with manifests and mounts that the schema cannot say.
pub(super) fn refusal(spec: &ClusterSpec) -> Option<Stalled> {
    let manifests = spec.manifests.iter().map(|manifest| {
        let field = format!("spec.manifests[{}]", manifest.name);
        (field, has_one_volume_source(&source_of(manifest)))
    });
    let mounts = spec.mounts.iter().map(|mount| {
        let field = format!("spec.mounts[{}]", mount.path);
        (field, has_one_volume_source(&mount.source))
    });
    let mut all = manifests.chain(mounts);
    all.find(|(_, has_one)| !has_one)
        .map(|(field, _)| invalid(&field, ONE_VOLUME_SOURCE))
}

/// Returns the volumes, in the order they are written: that of the pod's own does not depend on them.
pub(super) fn volumes(spec: &ClusterSpec) -> Vec<Value> {
    let volume = |name: String, mut source: Map<String, Value>| {
        source.insert("name".to_owned(), json!(name));
        Value::Object(source)
    };
    let manifests = spec
        .manifests
        .iter()
        .map(|one| volume(manifest_volume(&one.name), source_of(one)));
    let mounts = spec
        .mounts
        .iter()
        .map(|one| volume(mount_volume(&one.path), written(one)));
    manifests.chain(mounts).collect()
}

/// Returns where the volumes are seen in the container.
pub(super) fn volume_mounts(spec: &ClusterSpec) -> Vec<Value> {
    let manifests = spec.manifests.iter().map(|one| {
        json!({
            "name": manifest_volume(&one.name), "mountPath": format!("{MANIFESTS}/{}", one.name), "readOnly": true,
        })
    });
    let mounts = spec.mounts.iter().map(|one| {
        let is_read_only = one.read_only == Some(true)
            || READ_ONLY_SOURCES
                .iter()
                .any(|source| one.source.contains_key(*source));
        let mut mount = json!({"name": mount_volume(&one.path), "mountPath": one.path});
        if is_read_only {
            mount["readOnly"] = json!(true);
        }
        mount
    });
    manifests.chain(mounts).collect()
}

fn source_of(manifest: &Volume) -> Map<String, Value> {
    serde_json::to_value(manifest)
        .ok()
        .as_ref()
        .and_then(Value::as_object)
        .map(kept)
        .unwrap_or_default()
}

fn written(mount: &Mount) -> Map<String, Value> {
    kept(&mount.source)
}

/// Nulls mean unset, as everywhere; a source without settings (`emptyDir: {}`) is one all the same.
fn kept(source: &Map<String, Value>) -> Map<String, Value> {
    let set = source.iter().filter(|(_, value)| !value.is_null());
    set.map(|(key, value)| {
        let value = plain(value);
        (key.clone(), if value.is_null() { json!({}) } else { value })
    })
    .collect()
}

/// Names of volumes must not move when a list is reordered, nor meet the pod's own.
fn manifest_volume(name: &str) -> String {
    format!("manifest-{}", short_digest(name))
}

fn mount_volume(path: &str) -> String {
    format!("mount-{}", short_digest(path))
}

fn short_digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..5])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(spec: Value) -> ClusterSpec {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn files_of_the_api_are_read_only_and_scratch_space_is_what_it_says() {
        let spec = spec(json!({"mounts": [
            {"path": "/etc/proxy", "configMap": {"name": "proxy"}},
            {"path": "/scratch", "emptyDir": {}},
            {"path": "/data", "readOnly": true, "persistentVolumeClaim": {"claimName": "data"}},
        ]}));
        let read_only: Vec<_> = volume_mounts(&spec)
            .iter()
            .map(|mount| mount.get("readOnly").is_some())
            .collect();
        assert_eq!(read_only, [true, false, true]);
    }

    #[test]
    fn a_volume_keeps_its_name_when_the_list_is_reordered() {
        let (one, other) = (
            json!({"path": "/a", "emptyDir": {}}),
            json!({"path": "/b", "emptyDir": {}}),
        );
        let names = |mounts: Value| {
            let mut volumes = volumes(&spec(json!({"mounts": mounts})));
            volumes.sort_by_key(ToString::to_string);
            volumes
        };
        assert_eq!(
            names(json!([one.clone(), other.clone()])),
            names(json!([other, one]))
        );
    }

    #[test]
    fn a_mount_of_nothing_is_refused_with_what_to_write() {
        let message = |value: Value| {
            refusal(&spec(value))
                .map(|stalled| stalled.message)
                .unwrap_or_default()
        };
        let nothing = message(json!({"mounts": [{"path": "/a"}]}));
        assert!(nothing.contains("exactly one volume source"), "{nothing}");
        assert_eq!(
            message(json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": null}]})),
            ""
        );
    }
}
