//! The CronJob that defragments the members of etcd.

use serde_json::{Value, json};

use super::answer::{Answer, Answers, Desired};
use super::parts::{KeyFiles, Pods, object, restricted};
use super::resolved::{ResolvedCluster, StoragePlan};
use crate::api::cluster_parts::DefragJob;
use crate::api::{labels, names};
use crate::etcd::CLIENT_PORT;
use crate::k0s;
use crate::object::{Object, kinds};
use crate::pki::KeyPurpose;

const IMAGE: &str = "ghcr.io/ahrtr/etcd-defrag:v0.16.0";
const SCHEDULE: &str = "0 12 * * *";
/// Above 80 % of the quota, or 200 MiB to gain.
const RULE: &str = "dbQuotaUsage > 0.8 || dbSize - dbSizeInUse > 200*1024*1024";

/// Any user but root; the files belong to its group.
const USER: i64 = 1001;
const KEY_MODE: i32 = 0o440;
const PKI: &str = "/etc/etcd-pki";
/// The job is a client of etcd like the API server, so it shows the API server's certificate, which cannot pass for a
/// member.
const FILES: [KeyFiles; 2] = [
    (KeyPurpose::Etcd, &[("tls.crt", "ca.crt")]),
    (
        KeyPurpose::ApiserverEtcdClient,
        &[("tls.crt", "client.crt"), ("tls.key", "client.key")],
    ),
];

/// Answers for the CronJob. What the spec says decides about it, and no fact.
pub(super) fn answer(cluster: &ResolvedCluster, answers: &mut Answers) {
    if cluster.storage != StoragePlan::Etcd {
        return;
    }
    let name = names::defrag_job(&cluster.name);
    let etcd = cluster
        .spec
        .storage
        .as_ref()
        .and_then(|storage| storage.etcd.as_ref());
    let job = etcd
        .and_then(|etcd| etcd.defrag_job.as_ref())
        .filter(|job| job.enabled == Some(true));
    let answer = match (job, cluster.unsettled_key(&FILES.map(|(purpose, _)| purpose))) {
        (None, _) => Answer::Drop {
            why: "`spec.storage.etcd.defragJob.enabled` is not true".to_owned(),
        },
        (Some(_), Some(waiting_on)) => Answer::Keep { waiting_on },
        (Some(job), None) => Answer::Want(Desired::Object(cron_job(cluster, &name, job))),
    };
    answers.insert(cluster.id(kinds::CRON_JOB, name), answer);
}

fn cron_job(cluster: &ResolvedCluster, name: &str, job: &DefragJob) -> Object {
    let mut metadata = cluster.owned_metadata(name, Pods::Etcd, "etcd-defrag");
    metadata["labels"][labels::COMPONENT] = json!(labels::COMPONENT_DEFRAG);
    // With the labels of a member, its pods would be among the addresses of etcd's Service.
    let mut pod_labels = cluster.labels(Pods::Etcd, "etcd-defrag");
    pod_labels.insert(labels::COMPONENT, labels::COMPONENT_DEFRAG);
    object(
        kinds::CRON_JOB,
        metadata,
        json!({"spec": {
            "schedule": job.schedule.as_deref().unwrap_or(SCHEDULE),
            "concurrencyPolicy": "Forbid",
            // Nobody answers while the cluster is hibernated.
            "suspend": cluster.etcd.replicas == 0,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": {
                "backoffLimit": 2,
                // A member does not answer while it is defragmented, so a job that hangs must end.
                "activeDeadlineSeconds": 3600,
                "template": {"metadata": {"labels": pod_labels}, "spec": pod(cluster, job)},
            }},
        }}),
    )
}

fn pod(cluster: &ResolvedCluster, job: &DefragJob) -> Value {
    let mut pod = cluster.pod_spec(Pods::Etcd);
    // It goes wherever there is room.
    pod.remove("topologySpreadConstraints");
    if cluster.spec.affinity.is_none() {
        pod.remove("affinity");
    }
    pod.insert("restartPolicy".to_owned(), json!("OnFailure"));
    pod.insert(
        "securityContext".to_owned(),
        json!({
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    let image = match &job.image {
        Some(image) => image.clone(),
        None => k0s::with_repository(IMAGE, cluster.spec.image_repository.as_deref()),
    };
    let service = names::etcd(&cluster.name);
    pod.insert(
        "containers".to_owned(),
        json!([{
            "name": "etcd-defrag",
            "image": image,
            "imagePullPolicy": cluster.pull_policy(),
            "args": [
                format!("--endpoints=https://{service}:{CLIENT_PORT}"),
                format!("--cacert={PKI}/ca.crt"),
                format!("--cert={PKI}/client.crt"),
                format!("--key={PKI}/client.key"),
                "--cluster",
                format!("--defrag-rule={}", job.rule.as_deref().unwrap_or(RULE)),
            ],
            "securityContext": restricted(),
            "volumeMounts": [{"name": "keys", "mountPath": PKI, "readOnly": true}],
        }]),
    );
    let sources = cluster.key_sources(&FILES, |_| KEY_MODE);
    pod.insert(
        "volumes".to_owned(),
        json!([{"name": "keys", "projected": {"defaultMode": KEY_MODE, "sources": sources}}]),
    );
    Value::Object(pod)
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    fn spec(enabled: bool) -> Value {
        json!({"storage": {"etcd": {"defragJob": {"enabled": enabled}}}})
    }

    #[test]
    fn its_pods_are_no_members_and_it_rests_while_the_cluster_is_hibernated() {
        let mut world = World::settled(spec(true));
        let job = world.get(kinds::CRON_JOB, "kmc-edge-defrag").clone();
        let labels = &job.0["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"];
        assert_ne!(labels[labels::COMPONENT], labels::COMPONENT_ETCD);
        assert_eq!(job.0["spec"]["suspend"], false);
        let mut hibernated = spec(true);
        hibernated["replicas"] = json!(0);
        world.respec(hibernated);
        world.settle();
        assert_eq!(
            world.get(kinds::CRON_JOB, "kmc-edge-defrag").0["spec"]["suspend"],
            true
        );
    }

    #[test]
    fn it_goes_when_it_is_not_wanted_any_more() {
        for spec in [spec(false), json!({})] {
            let mut world = World::settled(super::tests::spec(true));
            let before = world.lasting();
            world.respec(spec);
            world.settle();
            assert_eq!(world.dropped.len(), 1);
            assert_eq!(world.lasting(), before);
        }
    }
}
