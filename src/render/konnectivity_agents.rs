//! Agents of konnectivity for releases of k0s that cannot send them to a host of their own.

use serde_json::{Value, json};

use super::front::Front;
use super::parts::restricted;
use super::resolved::ResolvedCluster;
use crate::k0s;

const IMAGE: &str = "quay.io/k0sproject/apiserver-network-proxy-agent";
const NAMESPACE: &str = "kube-system";
const NAME: &str = "konnectivity-agent";
const HEALTH_PORT: i32 = 8093;

/// Returns the manifests that stand where k0s would write its own.
pub(super) fn documents(cluster: &ResolvedCluster, front: &Front) -> [Value; 3] {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {
            "name": "system:konnectivity-server",
            "labels": {"kubernetes.io/cluster-service": "true"},
        },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:konnectivity-server",
        }],
    });
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/cluster-service": "true"},
        },
    });
    [binding, account, daemon_set(cluster, front)]
}

fn daemon_set(cluster: &ResolvedCluster, front: &Front) -> Value {
    let app = json!({"k8s-app": NAME});
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": HEALTH_PORT}, "initialDelaySeconds": 15, "timeoutSeconds": 15,
        })
    };
    let (host, port) = (&front.konnectivity_host, front.port);
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": app},
        "spec": {
            "selector": {"matchLabels": app},
            "template": {
                "metadata": {
                    "labels": app,
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": HEALTH_PORT.to_string()},
                },
                "spec": {
                    "serviceAccountName": NAME,
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": [{"operator": "Exists"}],
                    "securityContext": {"runAsNonRoot": true, "supplementalGroups": [0]},
                    "containers": [{
                        "name": NAME,
                        "image": image(cluster),
                        "imagePullPolicy": setting(cluster, "/spec/images/default_pull_policy")
                            .unwrap_or("IfNotPresent"),
                        "command": ["/proxy-agent"],
                        "env": [{"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
                        "args": [
                            "--logtostderr=true",
                            "--ca-cert=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
                            format!("--proxy-server-host={host}"),
                            format!("--proxy-server-port={port}"),
                            "--service-account-token-path=/var/run/secrets/tokens/konnectivity-agent-token",
                            "--agent-identifiers=host=$(NODE_IP)",
                            "--agent-id=$(NODE_IP)",
                        ],
                        "livenessProbe": probe("/healthz"),
                        "readinessProbe": probe("/readyz"),
                        "securityContext": restricted(),
                        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/tokens"}],
                    }],
                    "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {
                        "path": "konnectivity-agent-token", "audience": "system:konnectivity-server",
                    }}]}}],
                },
            },
        },
    })
}

fn setting<'a>(cluster: &'a ResolvedCluster, pointer: &str) -> Option<&'a str> {
    let found = k0s::at(cluster.spec.k0s_config.as_ref()?, pointer)?;
    found.as_str().filter(|text| !text.is_empty())
}

/// The image as `spec.images` of the k0s configuration says, else the one of that release.
fn image(cluster: &ResolvedCluster) -> String {
    let of_release = if cluster.version.minor >= 35 {
        "v0.34.0"
    } else {
        "v0.33.0"
    };
    let own = setting(cluster, "/spec/images/konnectivity/image");
    let tag = setting(cluster, "/spec/images/konnectivity/version").or(own.is_none().then_some(of_release));
    let name = own.unwrap_or(IMAGE);
    let image = tag.map_or(name.to_owned(), |tag| format!("{name}:{tag}"));
    in_workload(
        cluster,
        &image,
        cluster.spec.image_repository.as_deref().filter(|_| own.is_none()),
    )
}

/// Names an image as nodes of the workload cluster are to pull it: from where k0s is told to take all images, else from
/// `prefix`.
pub(super) fn in_workload(cluster: &ResolvedCluster, image: &str, prefix: Option<&str>) -> String {
    match setting(cluster, "/spec/images/repository") {
        Some(repository) => in_repository(image, repository),
        None => k0s::with_repository(image, prefix),
    }
}

/// Puts another registry where one stands, as k0s does with all its images.
fn in_repository(image: &str, repository: &str) -> String {
    if image.starts_with(repository) {
        return image.to_owned();
    }
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    match image.split_once('/') {
        Some((registry, rest)) if is_registry(registry) => format!("{repository}/{rest}"),
        _ => format!("{repository}/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    fn image_with(images: Value) -> String {
        let world = World::new(json!({
            "version": "v1.34.10+k0s.0",
            "ingress": {"apiHost": "a.example", "konnectivityHost": "b.example"},
            "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "spec": {"images": images}},
        }));
        image(&world.resolved())
    }

    #[test]
    fn the_image_follows_the_settings_of_k0s() {
        let default = "quay.io/k0sproject/apiserver-network-proxy-agent:v0.33.0";
        assert_eq!(image_with(json!({})), default);
        assert_eq!(
            image_with(json!({"repository": "my.repo"})),
            "my.repo/k0sproject/apiserver-network-proxy-agent:v0.33.0"
        );
        let own = json!({"image": "my-custom-image", "version": "v0.0.1"});
        assert_eq!(image_with(json!({"konnectivity": own})), "my-custom-image:v0.0.1");
        assert_eq!(
            image_with(json!({"konnectivity": own, "repository": "my.repo"})),
            "my.repo/my-custom-image:v0.0.1"
        );
    }
}
