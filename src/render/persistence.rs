//! The data volume of the control-plane pods: where k0s unpacks its binaries and keeps what it loads.

use serde_json::{Value, json};

use super::answer::Stalled;
use super::facts::Facts;
use super::growth::Claims;
use super::nats;
use super::parts::{Pods, add_below, claim_spec, plain};
use super::resolve::invalid;
use super::resolved::{DataVolume, Growth, ResolvedCluster};
use super::storage_plan::wanted_type;
use crate::api::cluster_parts::{PersistenceSpec, PersistenceType, StorageType, VolumeClaim};
use crate::api::cluster_status::HeldStatus;
use crate::api::{ClusterSpec, names};

/// Names of volumes in the pods, which a claim may not have as well.
const TAKEN: [&str; 17] = [
    "config",
    "data",
    "endpoint",
    "ingress",
    "keys",
    "konnectivity",
    "monitoring-agent",
    "monitoring-data",
    "monitoring-pki",
    "monitoring-proxy",
    "monitoring-temporary",
    "nats-config",
    nats::CLAIM,
    "pki",
    "run",
    "telemetry",
    "tmp",
];

/// Decides about the data volume, and adds to `held` and `growth` as [`Claims::decide`] does.
///
/// *Errors*: a path of a node for more than one pod; a claim that says too little.
pub(super) fn decide(
    spec: &ClusterSpec,
    facts: &Facts,
    held: &mut Vec<HeldStatus>,
    growth: &mut Growth,
) -> Result<DataVolume, Stalled> {
    let PersistenceSpec {
        persistence_type,
        host_path,
        persistent_volume_claim,
    } = spec.persistence.clone().unwrap_or_default();
    match persistence_type.unwrap_or(PersistenceType::EmptyDir) {
        PersistenceType::EmptyDir => Ok(DataVolume::EmptyDir),
        PersistenceType::HostPath => {
            if spec.replicas.unwrap_or(1) > 1 {
                return Err(invalid(
                    "spec.persistence.type",
                    "a path of a node is for one pod; write `replicas: 1`, or pvc",
                ));
            }
            host_path
                .map(DataVolume::HostPath)
                .ok_or_else(|| invalid("spec.persistence.hostPath", "write a path"))
        }
        PersistenceType::Pvc => claim(persistent_volume_claim.unwrap_or_default(), facts, held, growth),
    }
}

fn claim(
    claim: VolumeClaim,
    facts: &Facts,
    held: &mut Vec<HeldStatus>,
    growth: &mut Growth,
) -> Result<DataVolume, Stalled> {
    const FIELD: &str = "spec.persistence.persistentVolumeClaim";
    let VolumeClaim { metadata, spec } = claim;
    let (metadata, spec) = (metadata.unwrap_or_default(), spec.unwrap_or_default());
    let set = names::control_plane(&facts.name);
    let name = metadata.name.clone().unwrap_or_else(|| set.clone());
    let is_generated = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.len() == 10);
    if TAKEN.contains(&name.as_str()) || is_generated("mount-") || is_generated("manifest-") {
        return Err(invalid(
            &format!("{FIELD}.metadata.name"),
            "a volume of the pods has that name; write another one",
        ));
    }
    let mut body = plain(&spec);
    let size = body
        .pointer("/resources/requests/storage")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| invalid(&format!("{FIELD}.spec"), "write `resources.requests.storage`"))?;
    let claims = Claims {
        facts,
        stateful_set: &set,
        template: &name,
        field: FIELD,
    };
    let decided = claims.decide(Some(size), spec.storage_class_name.clone(), held, growth);
    body["resources"]["requests"]["storage"] = json!(decided.size);
    if let Some(class) = decided.storage_class {
        body["storageClassName"] = json!(class);
    }
    Ok(DataVolume::Claim {
        name,
        labels: metadata.labels,
        annotations: metadata.annotations,
        spec: body,
    })
}

/// Decides about the volumes of NATS servers; `None` with another storage.
pub(super) fn nats_claim(
    spec: &ClusterSpec,
    facts: &Facts,
    held: &mut Vec<HeldStatus>,
    growth: &mut Growth,
) -> Option<Value> {
    if wanted_type(spec) != StorageType::Nats {
        return None;
    }
    let written = spec
        .storage
        .as_ref()
        .and_then(|storage| storage.nats.as_ref()?.persistence.clone())
        .unwrap_or_default();
    let claims = Claims {
        facts,
        stateful_set: &names::control_plane(&facts.name),
        template: nats::CLAIM,
        field: "spec.storage.nats.persistence",
    };
    let size = written.size.map(|size| size.0);
    let decided = claims.decide(size, written.storage_class, held, growth);
    Some(claim_spec(&decided.size, decided.storage_class.as_deref()))
}

impl DataVolume {
    /// Name of the volume in the pods.
    pub(super) fn volume_name(&self) -> &str {
        match self {
            Self::EmptyDir | Self::HostPath(_) => "data",
            Self::Claim { name, .. } => name,
        }
    }

    /// The volume; `None` when the StatefulSet makes it from a claim.
    pub(super) fn volume(&self) -> Option<Value> {
        match self {
            Self::EmptyDir => Some(json!({"name": "data", "emptyDir": {}})),
            Self::HostPath(path) => {
                Some(json!({"name": "data", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}))
            }
            Self::Claim { .. } => None,
        }
    }
}

/// Returns the claim templates of the control plane, in the order of their names' importance: data of NATS first.
pub(super) fn claim_templates(cluster: &ResolvedCluster) -> Vec<Value> {
    let template =
        |name: &str, spec: &Value| cluster.claim_template(Pods::ControlPlane, "control-plane", name, spec);
    let nats = cluster
        .nats_claim
        .as_ref()
        .map(|spec| template(nats::CLAIM, spec));
    let data = match &cluster.data_volume {
        DataVolume::EmptyDir | DataVolume::HostPath(_) => None,
        DataVolume::Claim {
            name,
            labels,
            annotations,
            spec,
        } => {
            let mut template = template(name, spec);
            add_below(&mut template["metadata"], "labels", labels);
            add_below(&mut template["metadata"], "annotations", annotations);
            Some(template)
        }
    };
    nats.into_iter().chain(data).collect()
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    #[test]
    fn a_claim_has_no_name_of_a_volume_of_the_pods() {
        // The older k0s sends no agents of konnectivity, which takes a volume more.
        let everything = |storage: Value| {
            json!({
                "version": "v1.34.10+k0s.0",
                "ingress": {"apiHost": "a.example", "konnectivityHost": "b.example"},
                "monitoring": {"enabled": true},
                "storage": storage,
            })
        };
        let kine = json!({"type": "kine", "kine": {"dataSourceSecretName": "db"}});
        let mut found: Vec<String> = Vec::new();
        for storage in [json!({}), json!({"type": "nats"}), kine] {
            let world = World::settled(everything(storage));
            let set = world.get(crate::object::kinds::STATEFUL_SET, "kmc-edge");
            let names = |pointer: &str, name: &str| -> Vec<String> {
                let list = set
                    .0
                    .pointer(pointer)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                list.map(|one| one.pointer(name).unwrap().as_str().unwrap().to_owned())
                    .collect()
            };
            found.extend(names("/spec/template/spec/volumes", "/name"));
            found.extend(names("/spec/volumeClaimTemplates", "/metadata/name"));
        }
        found.sort();
        found.dedup();
        assert_eq!(found, TAKEN);
    }

    #[test]
    fn a_claim_that_is_called_like_a_volume_of_the_pods_is_refused() {
        for name in TAKEN
            .into_iter()
            .chain(["mount-0123456789", "manifest-0123456789"])
        {
            let claim = json!({
                "metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": "1Gi"}}},
            });
            let spec = json!({"persistence": {"type": "pvc", "persistentVolumeClaim": claim}});
            let stalled = World::new(spec).resolve().unwrap_err();
            assert!(stalled.message.contains("metadata.name"), "{}", stalled.message);
        }
    }
}
