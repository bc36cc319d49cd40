use serde_json::json;

use super::*;

const MANAGER: &str = labels::OPERATOR_MANAGER;

fn cluster() -> ObjectId {
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "edge")
}

fn service(version: u64, port: u16) -> Object {
    Object(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": "tenant-7", "name": "kmc-edge", "uid": "uid-1",
            "resourceVersion": version.to_string(),
            "ownerReferences": [{ "kind": "K0smotronCluster", "name": "edge", "uid": "uid-edge" }] },
        "spec": { "ports": [{ "port": port }] },
    }))
}

fn id() -> ObjectId {
    service(1, 1).id().unwrap()
}

fn port(cache: &Cache) -> Option<i64> {
    cache
        .children_of(&cluster(), &[])
        .objects
        .get(&id())?
        .integer("/spec/ports/0/port")
}

fn news(cache: &mut Cache, object: Object) -> News {
    cache.note(object).unwrap().1
}

#[test]
fn a_newer_version_wins_by_number_whoever_brings_it() {
    let mut cache = Cache::new(MANAGER);
    assert_eq!(news(&mut cache, service(10, 6443)), News::Content);
    // As text, 9 would be newer than 10.
    assert_eq!(news(&mut cache, service(9, 1)), News::None);
    assert_eq!(port(&cache), Some(6443));
    assert_eq!(news(&mut cache, service(11, 6444)), News::Content);
    assert_eq!(port(&cache), Some(6444));
}

#[test]
fn a_deletion_is_believed_unless_something_newer_is_known() {
    let mut cache = Cache::new(MANAGER);
    news(&mut cache, service(12, 6443));
    let mut another = service(11, 1);
    another.0["metadata"]["uid"] = "uid-0".into();
    assert!(
        !cache.forget(&another),
        "that one was deleted before this one was made"
    );
    assert_eq!(port(&cache), Some(6443));
    assert!(cache.forget(&service(13, 6443)));
    assert_eq!(port(&cache), None);
}

#[test]
fn what_was_deleted_does_not_come_back_by_a_late_answer() {
    let mut cache = Cache::new(MANAGER);
    news(&mut cache, service(12, 6443));
    cache.forget(&service(14, 6443));
    assert_eq!(news(&mut cache, service(13, 6443)), News::None);
    assert_eq!(port(&cache), None);
    let mut successor = service(15, 6443);
    successor.0["metadata"]["uid"] = "uid-2".into();
    assert_eq!(news(&mut cache, successor), News::Content);
}

#[test]
fn a_status_is_told_from_content_and_an_echo_is_no_news() {
    let mut cache = Cache::new(MANAGER);
    news(&mut cache, service(12, 6443));
    assert_eq!(news(&mut cache, service(12, 6443)), News::None);
    let mut reported = service(13, 6443);
    reported.0["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
    assert_eq!(news(&mut cache, reported), News::Status);
    assert_eq!(news(&mut cache, service(14, 1)), News::Content);
}

#[test]
fn a_whole_list_makes_absence_known_and_forgets_what_is_not_newer() {
    let mut cache = Cache::new(MANAGER);
    news(&mut cache, service(12, 6443));
    let unreadable = |cache: &Cache| cache.children_of(&cluster(), &[kinds::SERVICE]).unreadable.len();
    cache.begin_list(kinds::SERVICE, "");
    assert_eq!(unreadable(&cache), 1);
    assert_eq!(
        port(&cache),
        Some(6443),
        "until the list ends, what is known stays known"
    );
    assert_eq!(
        cache.end_list(kinds::SERVICE, "", "11"),
        [],
        "it was written after the list was taken"
    );
    assert_eq!(unreadable(&cache), 0);
    assert!(!cache.is_synced(kinds::SECRET, "tenant-7"));
    cache.begin_list(kinds::SERVICE, "");
    news(&mut cache, service(12, 6443));
    assert_eq!(cache.end_list(kinds::SERVICE, "", "20"), []);
    cache.begin_list(kinds::SERVICE, "tenant-8");
    assert_eq!(
        cache.end_list(kinds::SERVICE, "tenant-8", "20"),
        [],
        "that is another namespace"
    );
    cache.begin_list(kinds::SERVICE, "");
    assert_eq!(
        cache.end_list(kinds::SERVICE, "", "20"),
        [(id(), Some(cluster()))]
    );
    assert_eq!(port(&cache), None);
}

#[test]
fn a_child_whose_labels_name_another_cluster_moves() {
    let mut cache = Cache::new(MANAGER);
    let claim = |instance: &str, version: &str| {
        Object(json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "etcd-data-0", "namespace": "tenant-7", "resourceVersion": version,
                "labels": { labels::APP_INSTANCE: instance } } }))
    };
    let core = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "core");
    news(&mut cache, claim("edge", "1"));
    news(&mut cache, claim("core", "2"));
    assert!(cache.children_of(&cluster(), &[]).objects.is_empty());
    assert_eq!(cache.children_of(&core, &[]).objects.len(), 1);
}

#[test]
fn bytes_of_secrets_never_enter() {
    let mut cache = Cache::new(MANAGER);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "key": "aHVudGVyMg==" },
        "metadata": { "name": "edge-ca", "namespace": "tenant-7", "labels": { labels::CLUSTER: "edge" } } });
    news(&mut cache, Object(secret));
    assert!(!format!("{cache:?}").contains("aHVudGVyMg"));
}

/// A StatefulSet as a server returns it: with the fields of its controller and of us, and conditions.
fn stateful_set(index: usize) -> Object {
    let container = |name: &str| {
        json!({ "name": name, "image": "quay.io/k0sproject/k0s:v1.36.3-k0s.2", "imagePullPolicy": "IfNotPresent",
            "command": ["/usr/local/bin/k0s", "controller", "--config=/etc/k0s/k0s.yaml"],
            "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": (0..8).map(|n| json!({ "name": format!("volume-{n}"), "mountPath": format!("/var/lib/k0s/{n}") })).collect::<Vec<_>>() })
    };
    let fields: Value = (0..60)
        .map(|n| (format!("f:field{n}"), json!({ ".": {}, "f:value": {} })))
        .collect();
    let entry = |manager: &str, subresource: Option<&str>| {
        let mut entry = json!({ "manager": manager, "operation": "Apply", "apiVersion": "apps/v1",
            "time": "2026-11-26T08:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields });
        if let Some(subresource) = subresource {
            entry["subresource"] = subresource.into();
        }
        entry
    };
    Object(json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": format!("kmc-edge-{index}"), "namespace": "tenant-7", "uid": format!("uid-{index}"),
            "resourceVersion": "12", "generation": 1, "labels": { labels::CLUSTER: "edge" },
            "managedFields": [entry(MANAGER, None), entry("kube-controller-manager", Some("status"))] },
        "spec": { "replicas": 3, "template": { "spec": { "containers": [container("controller"), container("init")] } } },
        "status": { "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3,
            "currentRevision": "kmc-edge-1", "updateRevision": "kmc-edge-1", "collisionCount": 0,
            "conditions": [{ "type": "x", "message": "y".repeat(300) }] },
    }))
}

#[test]
fn a_record_is_text_without_chatter() {
    let mut cache = Cache::new(MANAGER);
    let wire = stateful_set(0).0.to_string().len();
    news(&mut cache, stateful_set(0));
    let record = &cache.records[&stateful_set(0).id().unwrap()];
    let object = record.read();
    assert_eq!(
        object
            .0
            .pointer("/metadata/managedFields")
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(object.integer("/status/readyReplicas"), Some(3));
    assert_eq!(object.0.pointer("/status/conditions"), None);
    assert_eq!(object.0["spec"], stateful_set(0).0["spec"]);
    // The record itself and its place in two ordered maps, generously.
    let overhead = size_of::<Record>() + 3 * (size_of::<ObjectId>() + 64) + record.uid.len();
    let bytes = record.text.len() + overhead;
    assert!(overhead < 1024, "{overhead}");
    assert!(bytes * 10 < wire * 8, "{bytes} of {wire}");
    assert!(bytes < 6 * 1024, "{bytes}");
}

#[test]
fn a_kind_that_is_gone_is_not_listed_any_more_and_has_no_objects() {
    let mut cache = Cache::new(MANAGER);
    cache.begin_list(kinds::SERVICE, "");
    news(&mut cache, service(10, 6443));
    cache.end_list(kinds::SERVICE, "", "10");
    assert!(cache.is_synced(kinds::SERVICE, "tenant-7"));
    assert!(cache.forget_kind(kinds::SERVICE, ""));
    assert!(!cache.is_synced(kinds::SERVICE, "tenant-7"));
    assert_eq!(port(&cache), None);
    assert!(!cache.forget_kind(kinds::SERVICE, ""));
}
