//! What the operator's settings allow to those who write clusters.
//!
//! The policy `k0smotron-fleet-settings`, which is installed with the operator, refuses at the API server what can be
//! seen in a spec. Here everything is seen, patches included.

use serde_json::Value;

use super::answer::{Answers, Stalled};
use super::facts::Settings;
use super::pod_security::{containers, items, template};
use crate::api::ClusterSpec;
use crate::api::cluster_parts::PersistenceType;
use crate::object::{Object, ObjectId};

/// Says which field asks for something of the nodes that is not allowed.
pub(super) fn refusal_of_spec(spec: &ClusterSpec, settings: &Settings) -> Option<Stalled> {
    if settings.allows_host_path {
        return None;
    }
    let persistence = spec
        .persistence
        .as_ref()
        .and_then(|persistence| persistence.persistence_type);
    let data = (persistence == Some(PersistenceType::HostPath)).then(|| "spec.persistence.type".to_owned());
    let manifest = || {
        let manifests = spec.manifests.iter();
        let mut of_nodes = manifests.filter(|manifest| manifest.host_path.is_some());
        of_nodes
            .next()
            .map(|manifest| format!("spec.manifests[{}]", manifest.name))
    };
    let mount = || {
        let is_of_node = |source: Option<&Value>| source.is_some_and(|source| !source.is_null());
        let mut of_nodes = spec
            .mounts
            .iter()
            .filter(|mount| is_of_node(mount.source.get("hostPath")));
        of_nodes
            .next()
            .map(|mount| format!("spec.mounts[{}]", mount.path))
    };
    let field = data.or_else(manifest).or_else(mount)?;
    Some(not_allowed(format!(
        "{field} asks for a path of the node, and this operator allows none; use another kind of volume, or ask \
         whoever runs the operator for `--allow-host-path`"
    )))
}

/// Says whether anything that pods are made of is limited.
pub(super) fn limits_pods(settings: &Settings) -> bool {
    !settings.allowed_images.is_empty() || !settings.allowed_service_accounts.is_empty()
}

/// Says which pod is made of something that is not allowed.
pub(super) fn refusal_of_pods(answers: &Answers, settings: &Settings) -> Option<Stalled> {
    answers
        .iter()
        .find_map(|(id, answer)| refusal_of(id, answer.object()?, settings))
}

fn refusal_of(id: &ObjectId, object: &Object, settings: &Settings) -> Option<Stalled> {
    let pod = template(&object.0)?.get("spec")?;
    let images = &settings.allowed_images;
    if !images.is_empty() {
        let refused = images_of(pod).find(|image| !images.iter().any(|prefix| is_below(image, prefix)));
        if let Some(image) = refused {
            return Some(not_allowed(format!(
                "image `{image}` of {} `{}` is not allowed by this operator; allowed are those of {}",
                id.kind,
                id.name,
                quoted(images)
            )));
        }
    }
    let accounts = &settings.allowed_service_accounts;
    if !accounts.is_empty()
        && let Some(account) = account_of(pod)
        && !accounts.iter().any(|allowed| allowed == account)
    {
        return Some(not_allowed(format!(
            "ServiceAccount `{account}` of {} `{}` is not allowed by this operator; allowed are {}",
            id.kind,
            id.name,
            quoted(accounts)
        )));
    }
    None
}

/// Images of containers, and those that are mounted as volumes.
fn images_of(pod: &Value) -> impl Iterator<Item = &str> {
    let of_containers = containers(pod).filter_map(|(_, container)| container.get("image")?.as_str());
    let of_volumes = items(pod, "volumes").filter_map(|volume| volume.pointer("/image/reference")?.as_str());
    of_containers.chain(of_volumes)
}

/// Says whether a name begins with whole parts of another: `a/b` allows `a/b:1`, `a/b@...` and `a/b/c`, not `a/bc`.
fn is_below(image: &str, prefix: &str) -> bool {
    let Some(rest) = image.strip_prefix(prefix) else {
        return false;
    };
    rest.is_empty() || prefix.ends_with('/') || rest.starts_with(['/', ':', '@'])
}

/// The account that a pod acts as; `None` for one that names none and has no token: it acts as nobody.
fn account_of(pod: &Value) -> Option<&str> {
    let named = ["serviceAccountName", "serviceAccount"]
        .iter()
        .filter_map(|field| pod.get(field)?.as_str())
        .find(|name| !name.is_empty());
    let mounts_a_token = || {
        let sources = items(pod, "volumes").filter_map(|volume| volume.get("projected"));
        let is_token = |source: &Value| {
            source
                .get("serviceAccountToken")
                .is_some_and(|token| !token.is_null())
        };
        pod.get("automountServiceAccountToken").and_then(Value::as_bool) != Some(false)
            || sources
                .flat_map(|projected| items(projected, "sources"))
                .any(is_token)
    };
    named.or_else(|| mounts_a_token().then_some("default"))
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn not_allowed(message: String) -> Stalled {
    Stalled {
        reason: "NotAllowed".to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::render::world::World;

    fn refused(spec: Value, change: impl FnOnce(&mut Settings)) -> Option<String> {
        let mut world = World::settled(json!({}));
        change(&mut world.settings);
        world.respec(spec);
        world.resolve().err().map(|stalled| {
            assert_eq!(stalled.reason, "NotAllowed");
            stalled.message
        })
    }

    #[rstest]
    #[case(json!({"mounts": [{"path": "/host", "hostPath": {"path": "/"}}]}), "spec.mounts[/host]")]
    #[case(json!({"manifests": [{"name": "m", "hostPath": {"path": "/"}}]}), "spec.manifests[m]")]
    fn paths_of_nodes_are_refused_unless_they_are_allowed(#[case] spec: Value, #[case] field: &str) {
        let message = refused(spec.clone(), |_| {}).unwrap();
        assert!(message.contains(field), "{message}");
        assert_eq!(refused(spec, |settings| settings.allows_host_path = true), None);
    }

    #[test]
    fn a_null_is_no_path_of_a_node() {
        let spec = json!({"mounts": [{"path": "/a", "emptyDir": {}, "hostPath": null}]});
        assert_eq!(refused(spec, |_| {}), None);
    }

    #[rstest]
    #[case("a/b", "a/b", true)]
    #[case("a/b:v1", "a/b", true)]
    #[case("a/b@sha256:00", "a/b", true)]
    #[case("a/b/c:v1", "a/b", true)]
    #[case("a/b/c:v1", "a/", true)]
    #[case("a/bc:v1", "a/b", false)]
    #[case("a.evil/b:v1", "a", false)]
    #[case("b:v1", "a", false)]
    fn a_prefix_ends_where_a_part_of_the_name_does(
        #[case] image: &str,
        #[case] prefix: &str,
        #[case] allowed: bool,
    ) {
        assert_eq!(is_below(image, prefix), allowed);
    }

    #[test]
    fn images_of_every_pod_count_whoever_wrote_them() {
        let only = |prefix: &str| {
            let prefix = prefix.to_owned();
            move |settings: &mut Settings| settings.allowed_images = vec![prefix]
        };
        assert_eq!(refused(json!({}), only("quay.io/k0sproject")), None);
        let message = refused(json!({}), only("quay.io/k0sproject/k0s")).unwrap();
        assert!(
            message.contains("kmc-edge-etcd") && message.contains("`quay.io/k0sproject/k0s`"),
            "{message}"
        );
        let sidecar = json!({"patches": [{
            "target": {"kind": "StatefulSet", "component": "control-plane"},
            "patch": {"type": "strategic", "content": "spec: {template: {spec: {containers: [{name: a, image: evil/b:1}]}}}"},
        }]});
        let message = refused(sidecar, only("quay.io/k0sproject")).unwrap();
        assert!(message.contains("`evil/b:1`"), "{message}");
    }

    #[test]
    fn accounts_count_when_they_are_named_or_lend_a_token() {
        let only = |settings: &mut Settings| settings.allowed_service_accounts = vec!["pods".into()];
        assert_eq!(refused(json!({}), only), None);
        assert_eq!(refused(json!({"serviceAccount": "pods"}), only), None);
        let message = refused(json!({"serviceAccount": "admin"}), only).unwrap();
        assert!(
            message.contains("`admin`") && message.contains("`pods`"),
            "{message}"
        );
        let token = json!({"mounts": [{"path": "/t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]});
        let message = refused(token, only).unwrap();
        assert!(message.contains("`default`"), "{message}");
    }
}
