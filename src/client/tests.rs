//! What is sent, to the byte, and how answers are understood.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::stub::server;
use super::*;
use crate::object::{Object, ObjectId, kinds};
use crate::plan::{FailureKind, Propagation};

fn cluster() -> Object {
    Object(json!({
        "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {"name": "edge", "namespace": "tenant-7", "managedFields": []}, "spec": {"replicas": 3},
    }))
}

fn secret() -> Object {
    Object(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge-ca", "namespace": "tenant-7"},
        "type": "cluster.x-k8s.io/secret",
    }))
}

fn status(code: u16, reason: &str, details: Value) -> (u16, Value) {
    let body =
        json!({"kind": "Status", "code": code, "reason": reason, "message": "hunter2", "details": details});
    (code, body)
}

#[tokio::test]
async fn a_create_is_an_apply_that_cannot_change_what_exists() {
    let (client, requests) = server(|asked| (201, asked.body.clone()));
    let created = client.create_only(&cluster(), None, "fleet").await.unwrap();
    let Created::New(live) = created else {
        panic!("{created:?}")
    };
    assert_eq!(live.id(), cluster().id());
    let requests = requests.lock().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, Method::PATCH);
    assert_eq!(
        requests[0].uri,
        "/apis/k0smotron.io/v1beta1/namespaces/tenant-7/k0smotronclusters/edge\
         ?fieldManager=fleet&force=true&fieldValidation=Strict"
    );
    assert_eq!(requests[0].content_type, "application/apply-patch+yaml");
    let metadata = json!({"name": "edge", "namespace": "tenant-7", "resourceVersion": "1"});
    assert_eq!(requests[0].body["metadata"], metadata);
}

#[tokio::test]
async fn a_create_that_meets_an_object_says_so() {
    let (client, _) = server(|_| status(409, "Conflict", json!({})));
    let created = client.create_only(&cluster(), None, "fleet").await.unwrap();
    assert_eq!(created, Created::Exists);
    // Had the server changed an object, that would have been somebody's.
    let (client, _) = server(|_| (200, json!({"metadata": {"name": "edge"}})));
    let error = client.create_only(&cluster(), None, "fleet").await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unexpected);
    assert!(error.is_outcome_unknown());
}

#[tokio::test]
async fn an_apply_names_the_very_object() {
    let (client, requests) = server(|_| (200, json!({"metadata": {"name": "edge"}})));
    client
        .apply(&cluster(), None, "4711", "fleet", Conflicts::Refuse)
        .await
        .unwrap();
    let requests = requests.lock().unwrap();
    assert!(requests[0].uri.contains("force=false"));
    assert_eq!(
        requests[0].body["metadata"],
        json!({"name": "edge", "namespace": "tenant-7", "uid": "4711"})
    );
}

#[tokio::test]
async fn short_answers_are_metadata_without_the_owners_of_fields() {
    let metadata = json!({"name": "edge", "namespace": "tenant-7", "uid": "4711", "resourceVersion": "7"});
    let answer = json!({"kind": "PartialObjectMetadata", "metadata": {"managedFields": [{"manager": "fleet"}], "name": "edge",
        "namespace": "tenant-7", "uid": "4711", "resourceVersion": "7"}});
    let (client, requests) = server(move |asked| {
        let is_create = asked.body["metadata"].get("uid").is_none();
        (if is_create { 201 } else { 200 }, answer.clone())
    });
    let client = client.with_short_answers();
    let created = client.create_only(&cluster(), None, "fleet").await.unwrap();
    let Created::New(created) = created else {
        panic!("{created:?}")
    };
    let applied = client
        .apply(&cluster(), None, "4711", "fleet", Conflicts::Force)
        .await
        .unwrap();
    for object in [created, applied] {
        assert_eq!(object.id(), cluster().id(), "the kind is that of the request");
        assert_eq!(object.0["metadata"], metadata);
    }
    let requests = requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|asked| asked.accept.contains("PartialObjectMetadata")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_delete_names_the_very_object_and_is_content_when_it_is_gone() {
    let (client, requests) = server(|_| {
        status(
            404,
            "NotFound",
            json!({"name": "edge", "kind": "k0smotronclusters"}),
        )
    });
    let removal = Removal {
        uid: "4711".to_owned(),
        resource_version: Some("12".to_owned()),
        propagation: Propagation::Background,
    };
    let deleted = client.delete(&cluster().id().unwrap(), &removal).await.unwrap();
    assert_eq!(deleted, Deleted::AlreadyGone);
    let requests = requests.lock().unwrap();
    assert_eq!(
        requests[0].body["preconditions"],
        json!({"uid": "4711", "resourceVersion": "12"})
    );
    assert_eq!(requests[0].body["propagationPolicy"], "Background");
}

#[tokio::test]
async fn metadata_is_merged_into_the_very_object() {
    let (client, requests) = server(|_| (200, json!({"metadata": {"name": "edge"}})));
    let id = cluster().id().unwrap();
    let patch = json!({"finalizers": null});
    client
        .patch_metadata(&id, "4711", Some("12"), &patch, "operator")
        .await
        .unwrap();
    let requests = requests.lock().unwrap();
    assert_eq!(requests[0].content_type, "application/merge-patch+json");
    let expected = json!({"metadata": {"finalizers": null, "uid": "4711", "resourceVersion": "12"}});
    assert_eq!(requests[0].body, expected);
}

#[tokio::test]
async fn the_answer_about_a_secret_never_holds_its_data() {
    let answer = json!({"metadata": {"name": "edge-ca"}, "data": {"tls.key": "aHVudGVyMg=="}});
    let (client, requests) = server(move |_| (201, answer.clone()));
    let mut data = SecretData::new();
    data.insert("tls.key", Zeroizing::new(b"hunter2".to_vec()));
    let created = client
        .create_only(&secret(), Some(&data), "operator")
        .await
        .unwrap();
    assert!(!format!("{created:?}").contains("aHVudGVyMg"));
    let live = client.get(&secret().id().unwrap()).await.unwrap().unwrap();
    assert_eq!(live.0.get("data"), None);
    let requests = requests.lock().unwrap();
    assert_eq!(requests[0].body["data"], json!({"tls.key": "aHVudGVyMg=="}));
    for request in requests.iter() {
        assert!(
            request.accept.contains("as=PartialObjectMetadata;"),
            "{}",
            request.accept
        );
    }
}

#[tokio::test]
async fn a_secret_that_is_refused_is_not_quoted() {
    let (client, _) = server(|_| status(422, "Invalid", json!({"name": "edge-ca"})));
    let error = client.create_only(&secret(), None, "operator").await.unwrap_err();
    assert_eq!(
        chain(&error),
        "cannot create Secret tenant-7/edge-ca: the server answered `Invalid`"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_secret_is_read_with_its_bytes_by_name() {
    let answer = json!({"metadata": {"name": "edge-ca", "uid": "1"}, "data": {"tls.key": "aHVudGVyMg=="}});
    let (client, requests) = server(move |_| (200, answer.clone()));
    let secret = client.get_secret("tenant-7", "edge-ca").await.unwrap().unwrap();
    assert_eq!(secret.data.get("tls.key"), Some(&b"hunter2"[..]));
    assert_eq!(secret.metadata.uid(), Some("1"));
    assert_eq!(
        requests.lock().unwrap()[0].uri,
        "/api/v1/namespaces/tenant-7/secrets/edge-ca"
    );
    let (client, _) = server(|_| (200, json!({"metadata": {}, "data": {"tls.key": "hunter2!"}})));
    let Err(error) = client.get_secret("tenant-7", "edge-ca").await else {
        panic!("it is base64");
    };
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_list_goes_on_until_the_last_page() {
    let mut page = 0;
    let (client, requests) = server(move |_| {
        page += 1;
        let item = json!({"metadata": {"name": format!("edge-{page}"), "namespace": "tenant-7"}});
        let next = if page < 3 {
            format!("token/{page}")
        } else {
            String::new()
        };
        (
            200,
            json!({"metadata": {"resourceVersion": "40", "continue": next}, "items": [item]}),
        )
    });
    let query = ListQuery::new(kinds::K0SMOTRON_CLUSTER, "").with_labels("a=b");
    let mut names = Vec::new();
    let end = client
        .list(&query, |objects| {
            names.extend(objects.iter().map(|object| object.id().unwrap().to_string()));
        })
        .await
        .unwrap();
    assert_eq!((end.received, end.resource_version.as_str()), (3, "40"));
    assert_eq!(names[2], "K0smotronCluster tenant-7/edge-3");
    let uris: Vec<_> = requests
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.uri.clone())
        .collect();
    let path = "/apis/k0smotron.io/v1beta1/k0smotronclusters?limit=2000&labelSelector=a%3Db";
    assert_eq!(
        uris,
        [
            path.to_owned(),
            format!("{path}&continue=token%2F1"),
            format!("{path}&continue=token%2F2")
        ]
    );
}

#[tokio::test]
async fn a_list_that_breaks_off_is_not_a_short_list() {
    let (client, _) = server(|asked| {
        if asked.uri.contains("continue") {
            return status(410, "Expired", json!({}));
        }
        (
            200,
            json!({"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "edge"}}]}),
        )
    });
    let error = client
        .list_all(&ListQuery::new(kinds::K0SMOTRON_CLUSTER, "tenant-7"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot list k0smotronclusters in namespace `tenant-7`: the list broke off after 1 objects"
    );
    assert_eq!(error.kind(), FailureKind::Gone);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let missing = |details: Value| server(move |_| status(404, "NotFound", details.clone())).0;
    let id = cluster().id().unwrap();
    let object = missing(json!({"name": "edge", "kind": "k0smotronclusters"}));
    assert_eq!(object.get(&id).await.unwrap(), None);
    let error = missing(json!({})).get(&id).await.unwrap_err();
    assert!(error.hint().unwrap().contains("crds"), "{error}");
    let client = missing(json!({"name": "tenant-7", "kind": "namespaces"}));
    let error = client.create_only(&cluster(), None, "fleet").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot create K0smotronCluster tenant-7/edge: namespace `tenant-7` does not exist"
    );
}

#[tokio::test]
async fn no_permission_names_verb_resource_and_namespace() {
    let (client, _) = server(|_| status(403, "Forbidden", json!({})));
    let query = ListQuery::new(kinds::K0SMOTRON_CLUSTER, "tenant-7");
    let error = client.list_all(&query).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not allowed to list k0smotronclusters.k0smotron.io in namespace `tenant-7`"
    );
    assert_eq!(error.kind(), FailureKind::Forbidden);
    assert!(
        error
            .hint()
            .unwrap()
            .ends_with("`kubectl auth can-i list k0smotronclusters.k0smotron.io --namespace tenant-7`")
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_and_then_given_up() {
    let mut left = 2;
    let (client, requests) = server(move |_| {
        if left == 0 {
            return (200, json!({"metadata": {"name": "edge"}}));
        }
        left -= 1;
        status(503, "ServiceUnavailable", json!({}))
    });
    assert!(client.get(&cluster().id().unwrap()).await.unwrap().is_some());
    assert_eq!(requests.lock().unwrap().len(), 3);
    let (client, requests) = server(|_| status(429, "TooManyRequests", json!({})));
    let error = client.get(&cluster().id().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unavailable);
    assert_eq!(requests.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_reason_and_nothing_of_the_libraries() {
    let config = kube::Config::new("https://127.0.0.1:1".parse().unwrap());
    let client = Client::stub(kube::Client::try_from(config).unwrap());
    let error = client.get(&cluster().id().unwrap()).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "cannot reach the API server at https://edge-hub:6443: Connection refused (os error 111)"
    );
    assert!(!error.is_outcome_unknown());
}

#[tokio::test]
async fn only_words_of_the_authorizer_are_about_rights() {
    let cases = [
        (
            r#"k0smotronclusters.k0smotron.io "edge" is forbidden: User "ci" cannot patch resource "k0smotronclusters" in API group "k0smotron.io" in the namespace "tenant-7""#,
            true,
        ),
        (
            r#"admission webhook "policy.example.org" denied the request: a cluster cannot have one replica"#,
            false,
        ),
        (
            r#"k0smotronclusters.k0smotron.io "edge" is forbidden: ValidatingAdmissionPolicy 'size' with binding 'size' denied request: it cannot grow"#,
            false,
        ),
        (
            r#"k0smotronclusters.k0smotron.io "edge" is forbidden: exceeded quota: clusters, requested: count/k0smotronclusters.k0smotron.io=1"#,
            false,
        ),
    ];
    for (message, expected) in cases {
        let (client, _) = server(move |_| {
            (
                403,
                json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": message}),
            )
        });
        let error = client.dry_run(&cluster(), Some("1"), "fleet").await.unwrap_err();
        assert_eq!(error.is_about_rights(), expected, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_all_clones_keep_one_pace_and_waiting_is_not_held_against_the_deadline() {
    let (client, requests) = server(|_| (200, json!({"metadata": {"name": "edge"}})));
    let client = client
        .with_deadline(Duration::from_secs(1))
        .with_pace(NonZeroU32::new(2).unwrap());
    let began = tokio::time::Instant::now();
    let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "tenant-7", "edge");
    let all = (0..9).map(|_| {
        let (client, id) = (client.clone(), id.clone());
        async move { client.get(&id).await }
    });
    for answer in futures::future::join_all(all).await {
        answer.unwrap();
    }
    assert_eq!(began.elapsed().as_secs(), 4);
    assert_eq!(requests.lock().unwrap().len(), 9);
}

#[tokio::test]
async fn a_server_without_namespaces_is_no_kubernetes() {
    let (client, _) = server(|_| (404, json!("404 page not found")));
    let id = ObjectId::new(kinds::NAMESPACE, "", "kube-system");
    let error = client.get_metadata(&id).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("does not answer as a Kubernetes API server"),
        "{said}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("is right for the chosen context"), "{hint}");
}
