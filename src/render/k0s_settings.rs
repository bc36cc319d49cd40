//! Whether k0s would start with the configuration that a cluster writes.

use super::answer::Stalled;
use crate::api::ClusterSpec;
use crate::k0s::{self, Version, Weight};
use crate::object::pointer;

/// Returns the refusal of a configuration with which k0s does not start: pods that only crash help nobody.
///
/// What k0s takes, however little sense it makes, is no reason to stop: the cluster may have run with it for long.
pub(super) fn refusal(spec: &ClusterSpec, version: Version) -> Option<Stalled> {
    let document = spec.k0s_config.as_ref()?;
    let refused: Vec<String> = k0s::problems(document, Some(version))
        .into_iter()
        .filter(|problem| problem.weight == Weight::Refused)
        .map(|problem| {
            let path = pointer::to_field_path(&format!("/spec/k0sConfig{}", problem.pointer));
            format!("`{path}` {problem}")
        })
        .collect();
    let (first, others) = refused.split_first()?;
    let message = match others.len() {
        0 => first.clone(),
        count => format!("{first} (and {count} more)"),
    };
    Some(Stalled {
        reason: "InvalidSpec".to_owned(),
        message,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(config: serde_json::Value) -> Option<String> {
        let spec: ClusterSpec = serde_json::from_value(json!({"k0sConfig": config})).unwrap();
        refusal(&spec, Version::parse("v1.36.3").unwrap()).map(|stalled| stalled.message)
    }

    #[test]
    fn only_what_k0s_itself_refuses_stops_a_cluster() {
        let network = |value| json!({"spec": {"network": value}});
        assert_eq!(
            refused(network(json!({"podCIDR": "10.244.0.0"}))).unwrap(),
            "`spec.k0sConfig.spec.network.podCIDR` cannot be `10.244.0.0`, which is no network; write an address and \
             the length of its prefix, such as `10.244.0.0/16`"
        );
        // k0s passes over an unknown field here, and does not compare the networks.
        assert_eq!(
            refused(network(json!({"podCidr": "x", "podCIDR": "10.96.0.0/16"}))),
            None
        );
        assert_eq!(refused(json!({"spec": {"api": {"port": "many"}}})), None);
        assert!(
            refused(json!({"spec": {"api": {"sans": ["*.a"], "extraArgs": {"v": 2}}}}))
                .unwrap()
                .ends_with("(and 1 more)")
        );
    }
}
