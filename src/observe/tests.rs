use serde_json::json;

use super::*;
use crate::client::stub::{Asked, server};

fn namespaces(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn cluster(namespace: &str, name: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "namespace": namespace}})
}

fn list(items: &[serde_json::Value]) -> (u16, serde_json::Value) {
    (200, json!({"metadata": {"resourceVersion": "9"}, "items": items}))
}

fn forbidden() -> (u16, serde_json::Value) {
    (
        403,
        json!({"reason": "Forbidden", "message": "not you", "details": {}}),
    )
}

fn is_of(asked: &Asked, namespace: &str) -> bool {
    asked.uri.contains(&format!("/namespaces/{namespace}/"))
}

#[tokio::test]
async fn a_forbidden_namespace_is_unreadable_and_the_others_are_read() {
    let (client, _) = server(|asked| {
        if is_of(asked, "tenant-8") {
            forbidden()
        } else {
            list(&[cluster("tenant-7", "edge")])
        }
    });
    let observed = fleet(&client, &namespaces(&["tenant-7", "tenant-8"]))
        .await
        .unwrap();
    assert_eq!(observed.objects.len(), 1);
    assert!(observed.is_complete_for(kinds::K0SMOTRON_CLUSTER, "tenant-7"));
    assert!(!observed.is_complete_for(kinds::K0SMOTRON_CLUSTER, "tenant-8"));
    let reason = &observed.unreadable[0].reason;
    assert!(
        reason.contains("not allowed to list k0smotronclusters"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_list_that_breaks_off_makes_its_namespace_unreadable() {
    let (client, _) = server(|asked| {
        if !is_of(asked, "tenant-7") {
            return list(&[]);
        }
        if asked.uri.contains("continue=") {
            return (410, json!({"reason": "Expired"}));
        }
        (
            200,
            json!({"metadata": {"continue": "more"}, "items": [cluster("tenant-7", "edge")]}),
        )
    });
    let observed = fleet(&client, &namespaces(&["tenant-7", "tenant-8"]))
        .await
        .unwrap();
    assert!(!observed.is_complete_for(kinds::K0SMOTRON_CLUSTER, "tenant-7"));
    assert!(
        observed.unreadable[0]
            .reason
            .contains("broke off after 1 objects")
    );
}

#[tokio::test]
async fn when_nothing_can_be_read_the_reason_is_the_error() {
    let (client, _) = server(|_| forbidden());
    let error = fleet(&client, &namespaces(&["tenant-7"])).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Forbidden);
    let (client, _) = server(|_| (404, json!("404 page not found")));
    let error = fleet(&client, &namespaces(&[])).await.unwrap_err();
    assert!(matches!(error, ClientError::NotInstalled { .. }), "{error}");
}

#[tokio::test]
async fn many_namespaces_are_one_list_or_one_each_where_that_is_forbidden() {
    let many = namespaces(&["a", "b", "c", "d", "e"]);
    let (client, requests) = server(|_| list(&[cluster("a", "edge"), cluster("elsewhere", "core")]));
    let observed = fleet(&client, &many).await.unwrap();
    assert_eq!(observed.objects.len(), 1, "only what was asked for");
    assert_eq!(requests.lock().unwrap().len(), 1);
    let (client, requests) = server(|asked| {
        if asked.uri.contains("/namespaces/") {
            list(&[])
        } else {
            forbidden()
        }
    });
    let observed = fleet(&client, &many).await.unwrap();
    assert!(observed.unreadable.is_empty());
    assert_eq!(requests.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn children_are_one_list_a_kind_and_secrets_come_as_metadata() {
    let (client, requests) = server(|_| list(&[]));
    let id = |name: &str| ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", name);
    children(&client, &BTreeSet::from([id("edge"), id("core")]))
        .await
        .unwrap();
    let requests = requests.lock().unwrap();
    let listed = CHILDREN.iter().filter(|kind| !is_optional(**kind));
    assert_eq!(requests.len(), listed.count());
    for asked in requests.iter() {
        assert!(
            asked.uri.contains("cluster%20in%20%28core%2Cedge%29"),
            "{}",
            asked.uri
        );
        assert_eq!(
            asked.uri.contains("/secrets?"),
            asked.accept.contains("PartialObjectMetadataList"),
            "{}",
            asked.uri
        );
    }
}

#[tokio::test]
async fn many_clusters_are_named_fifty_at_a_time_and_of_a_whole_list_only_theirs_are_kept() {
    let child = |cluster: &str| {
        json!({"metadata": {"name": format!("kmc-{cluster}"), "namespace": "tenant-7",
            "labels": {labels::CLUSTER: cluster}}})
    };
    for (count, lists) in [(50, 1), (51, 2), (500, 10), (501, 1)] {
        let (client, requests) = server(move |_| list(&[child("edge-000"), child("elsewhere")]));
        let clusters: BTreeSet<ObjectId> = (0..count)
            .map(|index| ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", format!("edge-{index:03}")))
            .collect();
        let sets = stateful_sets(&client, &clusters).await.unwrap();
        let names: Vec<&str> = sets.iter().map(|(id, _)| id.name.as_str()).collect();
        assert_eq!(names, ["kmc-edge-000"], "{count}");
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), lists, "{count}");
        let named = requests.iter().map(|asked| asked.uri.matches("edge-").count());
        assert_eq!(
            named.sum::<usize>(),
            if count > 500 { 0 } else { count },
            "{count}"
        );
    }
}

#[tokio::test]
async fn without_a_right_to_nodes_no_address_is_known() {
    let (client, _) = server(|_| forbidden());
    assert_eq!(node_addresses(&client).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn every_list_that_is_forbidden_is_a_gap_of_a_snapshot() {
    let (client, _) = server(|asked| match asked.uri.contains("/k0smotronclusters") {
        true => list(&[]),
        false => forbidden(),
    });
    let namespaces = namespaces(&["tenant-7", "tenant-8"]);
    let of = SnapshotOf {
        namespaces: &namespaces,
        parent_namespace: "k0smotron-fleet",
        hub_uid: None,
        operator: &crate::render::HubOperator::assumed("nothing is published"),
        now: "2030-01-01T00:00:00Z".parse().unwrap(),
    };
    let children = snapshot(&client, &of).await.unwrap().children();
    for namespace in &namespaces {
        for kind in planned_children() {
            assert!(
                !children.is_complete_for(kind, namespace),
                "{kind} in {namespace}"
            );
        }
    }
}
