//! Volumes that grow: one by one, then the StatefulSet around its pods, which never notice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k0smotron_fleet::client::USER_AGENT;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Bench, SOON};
use crate::cli::{controller, program};
use crate::support::{Action, Proxy, Rule, eventually};

const SET: &str = "kmc-edge-berlin-etcd";

/// Binds claims, and gives those that ask for more what they ask for, as a volume driver does.
struct Driver {
    /// Names of the claims that grew, and how many waited at that moment.
    grown: Arc<Mutex<Vec<(String, usize)>>>,
    _tasks: JoinSet<()>,
}

impl Driver {
    fn start(bench: &Bench<'_>) -> Self {
        let grown = Arc::<Mutex<Vec<(String, usize)>>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(drive(bench.api::<PersistentVolumeClaim>(), Arc::clone(&grown)));
        Self { grown, _tasks: tasks }
    }

    fn grown(&self) -> Vec<(String, usize)> {
        self.grown.lock().unwrap().clone()
    }
}

fn sizes(claim: &PersistentVolumeClaim) -> (Value, Value) {
    let claim = json!(claim);
    (
        claim["spec"]["resources"]["requests"]["storage"].clone(),
        claim["status"]["capacity"]["storage"].clone(),
    )
}

async fn drive(api: Api<PersistentVolumeClaim>, grown: Arc<Mutex<Vec<(String, usize)>>>) {
    let mut events = watcher(api.clone(), watcher::Config::default()).boxed();
    let mut seen: BTreeMap<String, (Value, Value)> = BTreeMap::new();
    while let Some(event) = events.next().await {
        let Ok(watcher::Event::Apply(claim) | watcher::Event::InitApply(claim)) = event else {
            continue;
        };
        let (requested, capacity) = sizes(&claim);
        seen.insert(claim.name_any(), (requested.clone(), capacity.clone()));
        if requested == capacity {
            continue;
        }
        if !capacity.is_null() {
            let waiting = seen
                .values()
                .filter(|(requested, capacity)| requested != capacity)
                .count();
            grown.lock().unwrap().push((claim.name_any(), waiting));
        }
        let status = json!({ "status": { "phase": "Bound", "capacity": { "storage": requested } } });
        // One that is gone comes with an event of its own.
        let _ = api
            .patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(status))
            .await;
    }
}

fn spec(size: &str, class: &str) -> Value {
    json!({ "replicas": 3, "storage": { "etcd": { "persistence": { "size": size, "storageClass": class } } } })
}

/// Waits until the template has this size, and the StatefulSet its pods.
async fn until_grown(bench: &Bench<'_>, set: &str, size: &str) -> StatefulSet {
    eventually(&format!("the template of {set} says {size}"), SOON, async || {
        let Some(live) = bench.api::<StatefulSet>().get_opt(set).await.unwrap() else {
            return Err("it is not there".to_owned());
        };
        let text = json!(live);
        let is_grown =
            text["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == size;
        let has_pods = text["status"]["readyReplicas"] == text["spec"]["replicas"];
        if is_grown && has_pods {
            Ok(live)
        } else {
            Err(text["status"].to_string())
        }
    })
    .await
}

#[tokio::test]
async fn volumes_of_etcd_grow_one_by_one_and_no_pod_restarts() {
    let bench = Bench::new("growth").await;
    let driver = Driver::start(&bench);
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", spec("1Gi", "standard")).await;
    bench.until_ready("edge-berlin").await;
    let (before, revision) = (bench.pods().await, bench.revision(SET).await);
    let first = bench.api::<StatefulSet>().get(SET).await.unwrap();

    bench.apply("edge-berlin", spec("2Gi", "standard")).await;
    let again = until_grown(&bench, SET, "2Gi").await;
    assert_ne!(again.uid(), first.uid());
    let expected: Vec<(String, usize)> = (0..3)
        .map(|ordinal| (format!("etcd-data-{SET}-{ordinal}"), 1))
        .collect();
    assert_eq!(driver.grown(), expected);
    bench.until_ready("edge-berlin").await;
    bench.quiet(bench.mark().await).await;
    assert_eq!(bench.pods().await, before);
    assert_eq!(bench.revision(SET).await, revision);
    let owners = bench.api::<Pod>().get(&format!("{SET}-0")).await.unwrap();
    assert_eq!(owners.owner_references()[0].uid, again.uid().unwrap());
    bench
        .assert_no_write(bench.mark().await, "volumes that have grown")
        .await;
}

#[tokio::test]
async fn a_claim_of_the_control_plane_grows_and_is_kept_when_the_cluster_goes() {
    let bench = Bench::new("growth").await;
    let _driver = Driver::start(&bench);
    let _controller = bench.controller().await;
    let spec = |size: &str| {
        json!({ "persistence": { "type": "pvc", "persistentVolumeClaim": { "metadata": { "name": "k0s" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
            "resources": { "requests": { "storage": size } } } } } })
    };
    bench.apply("edge-berlin", spec("1Gi")).await;
    bench.until_ready("edge-berlin").await;
    let before = bench.pods().await;
    bench.apply("edge-berlin", spec("3Gi")).await;
    until_grown(&bench, "kmc-edge-berlin", "3Gi").await;
    bench.until_ready("edge-berlin").await;
    assert_eq!(bench.pods().await, before);

    bench.apply("edge-berlin", json!({})).await;
    let words = bench.until_stalled("edge-berlin", "Refused").await;
    assert!(words.contains("spec.replicas to 0"), "{words}");

    bench.delete("edge-berlin").await;
    bench.until_gone("edge-berlin").await;
    let claim = bench
        .api::<PersistentVolumeClaim>()
        .get("k0s-kmc-edge-berlin-0")
        .await
        .unwrap();
    assert_eq!(claim.labels()["k0smotron.io/retained"], "true");
    bench.apply("edge-berlin", spec("3Gi")).await;
    bench.until_ready("edge-berlin").await;
    let again = bench
        .api::<PersistentVolumeClaim>()
        .get("k0s-kmc-edge-berlin-0")
        .await
        .unwrap();
    assert_eq!(again.uid(), claim.uid());
    assert!(!again.labels().contains_key("k0smotron.io/retained"));
}

#[tokio::test]
async fn what_cannot_be_done_to_volumes_is_said_and_nothing_is_touched() {
    let bench = Bench::new("growth").await;
    let _driver = Driver::start(&bench);
    let class = format!("rigid-{}", bench.namespace.name);
    let rigid = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.org/none",
        "metadata": { "name": class } });
    let how = PatchParams::apply("test").force();
    let classes: Api<StorageClass> = Api::all(bench.client.clone());
    classes.patch(&class, &how, &Patch::Apply(rigid)).await.unwrap();
    let _controller = bench.controller().await;
    bench.apply("edge-berlin", spec("1Gi", &class)).await;
    bench.until_ready("edge-berlin").await;
    bench.quiet(bench.mark().await).await;
    for (size, other, words) in [
        ("2Gi", class.as_str(), "allowVolumeExpansion"),
        ("2Gi", "standard", "cannot change its class"),
    ] {
        let mark = bench.mark().await;
        bench.apply("edge-berlin", spec(size, other)).await;
        let stalled = bench.until("edge-berlin", "Stalled", "True", "NotPossible").await;
        let status = json!(stalled.status).to_string();
        assert!(status.contains(words), "{status}");
        let events = bench.quiet(mark).await;
        let is_touched = |resource: &str| {
            events
                .iter()
                .any(|event| event.is_write() && event.resource == resource)
        };
        assert!(!is_touched("persistentvolumeclaims") && !is_touched("statefulsets"));
    }
    classes.delete(&class, &Default::default()).await.unwrap();
}

#[tokio::test]
async fn a_program_that_dies_between_deletion_and_creation_takes_the_pods_back_without_a_restart() {
    let bench = Bench::new("growth").await;
    let _driver = Driver::start(&bench);
    let proxy = Proxy::start(bench.servers).await;
    let process = controller(&program(), proxy.kubeconfig(), &bench.namespace.name, &[]);
    let process = Arc::new(process);
    bench.apply("edge-berlin", spec("1Gi", "standard")).await;
    bench.until_ready("edge-berlin").await;
    let before = bench.pods().await;

    let kill = {
        let process = Arc::clone(&process);
        Arc::new(move || process.kill())
    };
    // The first write to it is the deletion, the second the creation, which the server never sees.
    let path = format!("/namespaces/{}/statefulsets/{SET}", bench.namespace.name);
    let rule = Rule::new(Action::Before(kill))
        .writes()
        .agent(USER_AGENT)
        .path(&path)
        .nth(2);
    proxy.add(rule);
    bench.apply("edge-berlin", spec("2Gi", "standard")).await;
    eventually("the program is dead", SOON, async || {
        process.ended().is_some().then_some(())
    })
    .await;
    assert!(bench.api::<StatefulSet>().get_opt(SET).await.unwrap().is_none());
    process.restart();
    until_grown(&bench, SET, "2Gi").await;
    bench.until_ready("edge-berlin").await;
    assert_eq!(bench.pods().await, before);
}
