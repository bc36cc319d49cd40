//! A resolved cluster -> an answer for every object it could ever have.

use super::answer::{Answers, Stalled};
use super::facts::Settings;
use super::resolved::ResolvedCluster;
use super::{
    allowed, config_map, control_plane, defrag_job, disruption_budgets, etcd_pods, front_manifests,
    key_secrets, monitoring, nats, network_policies, routes, services, volumes,
};
use crate::api::cluster_status::HeldStatus;
use crate::pki::KeyPurpose;

/// Returns an answer for every object of a cluster. Never fails; the same cluster gives the same bytes.
pub fn objects(cluster: &ResolvedCluster) -> Answers {
    let mut answers = unpatched(cluster);
    cluster
        .patches
        .apply(&mut answers)
        .expect("a cluster is resolved only when its patches can be applied to these very objects");
    answers
}

/// Tries the patches on the objects as the cluster stands, and says which found nothing to change.
///
/// *Errors*: a patch that cannot be applied, or a pod that the settings do not allow. [`objects`] must not be asked for
/// a cluster that was changed after it was resolved before this was.
pub fn check(cluster: &ResolvedCluster, settings: &Settings) -> Result<Vec<HeldStatus>, Stalled> {
    if cluster.patches.is_empty() && !allowed::limits_pods(settings) {
        return Ok(Vec::new());
    }
    let mut answers = unpatched(cluster);
    let held = cluster.patches.apply(&mut answers)?;
    match allowed::refusal_of_pods(&answers, settings) {
        Some(refusal) => Err(refusal),
        None => Ok(held),
    }
}

/// Returns the answers as they are before the user's patches.
fn unpatched(cluster: &ResolvedCluster) -> Answers {
    // It is asked for several times, and costs as much as all the rest.
    let endpoint = cluster.endpoint.as_ref().ok();
    let config_digest = endpoint.map(|endpoint| config_map::k0s_digest(cluster, endpoint));
    let config_digest = config_digest.as_deref();
    let mut answers = Answers::new();
    services::answer(cluster, &mut answers);
    routes::answer(cluster, &mut answers);
    nats::answer(cluster, &mut answers);
    key_secrets::answer(cluster, config_digest, &mut answers);
    config_map::answer(cluster, &mut answers);
    front_manifests::answer(cluster, config_digest, &mut answers);
    monitoring::answer(cluster, config_digest, &mut answers);
    etcd_pods::answer(cluster, &mut answers);
    defrag_job::answer(cluster, &mut answers);
    control_plane::answer(cluster, config_digest, &mut answers);
    disruption_budgets::answer(cluster, &mut answers);
    network_policies::answer(cluster, &mut answers);
    volumes::answer(cluster, &mut answers);
    answers
}

impl ResolvedCluster {
    /// Names the first of the Secrets that will not be there when the plan is done; pods that mount it have to wait.
    pub(super) fn unsettled_key(&self, purposes: &[KeyPurpose]) -> Option<String> {
        purposes
            .iter()
            .find(|purpose| {
                !self
                    .keys
                    .get(purpose)
                    .is_some_and(|decision| decision.is_settled())
            })
            .map(|purpose| format!("Secret `{}`", self.key_secret(*purpose)))
    }
}
