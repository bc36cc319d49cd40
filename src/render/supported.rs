//! Which fields of a spec are rendered, and what the others are called.

use super::answer::Stalled;
use crate::api::ClusterSpec;
use crate::api::cluster_parts::{
    EtcdSpec, KubeconfigSpec, PersistenceSpec, PkiSpec, PodDisruptionBudgetSpec, ServiceSpec, StorageSpec,
    VolumeSize,
};
use crate::k0s::has_node_local_load_balancing;

/// Returns the refusal that names every field that is written and not rendered.
///
/// Nothing of such a generation is applied: half of what somebody asked for may be worse than nothing of it. Every
/// field is named here, so that a new one cannot be forgotten.
pub(super) fn unsupported(spec: &ClusterSpec) -> Option<Stalled> {
    let fields = fields(spec);
    (!fields.is_empty()).then(|| Stalled {
        reason: "NotSupported".to_owned(),
        message: format!(
            "not supported yet: {}; nothing of this generation is applied until {} removed",
            fields.join(", "),
            if fields.len() == 1 { "it is" } else { "they are" }
        ),
    })
}

fn fields(spec: &ClusterSpec) -> Vec<&'static str> {
    let ClusterSpec {
        version: _,
        image: _,
        image_repository: _,
        image_pull_policy: _,
        image_pull_secrets: _,
        replicas: _,
        paused: _,
        ttl,
        deletion_policy: _,
        external_address: _,
        service,
        ingress: _,
        gateway: _,
        persistence,
        storage,
        k0s_config,
        certificate_refs: _,
        pki,
        manifests: _,
        mounts: _,
        control_plane_flags: _,
        monitoring: _,
        resources: _,
        node_selector: _,
        tolerations: _,
        affinity: _,
        topology_spread_constraints: _,
        priority_class_name: _,
        runtime_class_name: _,
        service_account: _,
        pod_labels: _,
        pod_annotations: _,
        pod_disruption_budget,
        kubeconfig,
        patches: _,
        remote_host_cluster,
        update_policy: _,
    } = spec;
    let mut fields = Vec::new();
    let mut note = |is_written: bool, path| {
        if is_written {
            fields.push(path);
        }
    };
    note(ttl.is_some(), "spec.ttl");
    if let Some(ServiceSpec {
        service_type: _,
        api_port: _,
        konnectivity_port: _,
        annotations: _,
        labels: _,
        load_balancer_class: _,
        load_balancer_source_ranges: _,
        external_traffic_policy: _,
        ip_family_policy: _,
        ip_families: _,
    }) = service
    {}
    if let Some(PersistenceSpec {
        persistence_type: _,
        host_path: _,
        persistent_volume_claim: _,
    }) = persistence
    {}
    if let Some(StorageSpec {
        storage_type: _,
        etcd:
            None
            | Some(EtcdSpec {
                image: _,
                args: _,
                persistence:
                    None
                    | Some(VolumeSize {
                        storage_class: _,
                        size: _,
                    }),
                resources: _,
                defrag_job: _,
                members: _,
            }),
        kine: _,
        nats: _,
    }) = storage
    {}
    note(
        k0s_config.as_ref().is_some_and(has_node_local_load_balancing),
        "spec.k0sConfig.spec.network.nodeLocalLoadBalancing",
    );
    if let Some(PkiSpec {
        key_algorithm: _,
        leaf_lifetime: _,
        renew_before: _,
    }) = pki
    {}
    if let Some(PodDisruptionBudgetSpec { enabled: _ }) = pod_disruption_budget {}
    if let Some(KubeconfigSpec {
        labels: _,
        annotations: _,
        lifetime: _,
        group: _,
    }) = kubeconfig
    {}
    note(remote_host_cluster.is_some(), "spec.remoteHostCluster");
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(spec: Value) -> Option<String> {
        unsupported(&serde_json::from_value(spec).unwrap()).map(|stalled| stalled.message)
    }

    #[test]
    fn every_field_that_is_not_rendered_is_named_by_its_path() {
        let written = json!({
            "ttl": "1h",
            "remoteHostCluster": {"kubeconfigRef": {"name": "elsewhere"}},
        });
        assert_eq!(
            refusal(written).as_deref(),
            Some(
                "not supported yet: spec.ttl, spec.remoteHostCluster; nothing of this generation is applied until they \
                 are removed"
            )
        );
    }

    #[test]
    fn what_is_written_but_says_the_default_is_fine() {
        let written = json!({
            "persistence": {"type": "emptyDir"}, "storage": {"type": "etcd", "etcd": {}}, "manifests": [],
            "k0sConfig": {"spec": {"network": {"provider": "calico"}}},
        });
        assert_eq!(refusal(written), None);
    }
}
