//! The CRDs: their files, their size, and how a real API server and kubectl take them.

use k0smotron_fleet::api::crd::{self, Definition};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use kube::api::Api;
use serde_json::{Value, json};

use crate::support::generated::assert_current;
use crate::support::{Options, Servers, crds, eventually};

#[test]
fn the_files_in_crds_are_what_the_types_say() {
    for definition in Definition::ALL {
        assert_current(&format!("crds/{}", definition.file_name()), &definition.to_yaml());
    }
}

#[test]
fn every_crd_is_small_enough_for_plain_kubectl_apply() {
    for definition in Definition::ALL {
        let size = definition.to_yaml().len();
        assert!(size < 200_000, "{}: {size} bytes", definition.file_name());
    }
}

#[test]
fn all_crds_in_one_stream_read_back_as_they_are() {
    let read: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(&crd::all_yaml()).unwrap();
    assert_eq!(read, crd::all());
    assert!(crd::all_yaml().starts_with("---\n") && crd::all_yaml().ends_with('\n'));
}

/// Types of Kubernetes, whose fields are not ours to describe.
const EMBEDDED: [&str; 10] = [
    "/affinity",
    "/imagePullSecrets",
    "/manifests",
    "/mounts",
    "/resources",
    "/storage/etcd/resources",
    "/persistence/persistentVolumeClaim/spec",
    "/tolerations",
    "/topologySpreadConstraints",
    "/conditions",
];

fn visit(schema: &Value, place: &str, check: &mut impl FnMut(&str, &Value)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}/{name}");
        check(&place, property);
        if !EMBEDDED.contains(&place.as_str()) {
            visit(property, &place, check);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner) {
            visit(inner, place, check);
        }
    }
}

#[test]
fn every_field_has_a_short_description_for_kubectl_explain() {
    for definition in Definition::ALL {
        for half in ["spec", "status"] {
            visit(
                &definition.schema()["properties"][half],
                "",
                &mut |place, property| {
                    let text = property["description"].as_str().unwrap_or_default();
                    assert!(
                        !text.is_empty(),
                        "{definition:?}: {half}{place} has no description"
                    );
                    assert!(
                        text.len() <= 160 && !text.contains('\n'),
                        "{definition:?}: {half}{place}: {text}"
                    );
                    assert!(text.ends_with('.'), "{definition:?}: {half}{place}: {text}");
                },
            );
        }
    }
}

#[test]
fn nothing_is_nullable_and_nothing_but_the_replicas_has_a_default() {
    fn defaults(schema: &Value, place: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                assert!(!fields.contains_key("nullable"), "{place}");
                let words = fields.get("enum").and_then(Value::as_array);
                assert!(
                    !words.is_some_and(|words| words.contains(&Value::Null)),
                    "{place}"
                );
                for (name, value) in fields {
                    if name == "default" && !place.ends_with("/properties") {
                        found.push(format!("{place}: {value}"));
                    }
                    defaults(value, &format!("{place}/{name}"), found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| defaults(item, place, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for definition in Definition::ALL {
        defaults(&definition.schema(), &format!("{definition:?}"), &mut found);
    }
    assert_eq!(
        found,
        [
            "Cluster/properties/spec: {}",
            "Cluster/properties/spec/properties/replicas: 1"
        ]
    );
}

#[test]
fn the_schema_for_files_refuses_what_the_server_would_drop() {
    let schema = crd::cluster_schema();
    let with = |spec: Value| json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster", "metadata": {"name": "a"}, "spec": spec});
    let is_valid = |object: &Value| jsonschema::is_valid(&schema, object);
    assert!(is_valid(&with(
        json!({"replicas": 3, "k0sConfig": {"spec": {"any": {"thing": [1]}}}})
    )));
    assert!(is_valid(&with(Value::Null)));
    assert!(is_valid(&with(
        json!({"mounts": [{"path": "/a", "configMap": {"name": "b", "optional": null}}]})
    )));
    assert!(is_valid(&with(
        json!({"affinity": {"podAntiAffinity": {}}, "podLabels": {"a.b/c": "d"}})
    )));
    let without_spec =
        json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster", "metadata": {"name": "a"}});
    assert!(is_valid(&without_spec));
    for wrong in [
        json!({"repicas": 3}),
        json!({"service": {"typ": "NodePort"}}),
        json!({"mounts": [{"path": "/a", "configmap": {"name": "b"}}]}),
        json!({"affinity": {"podAntiAfinity": {}}}),
        json!({"tolerations": [{"key": "a", "effekt": "NoSchedule"}]}),
        json!({"storage": {"kine": {"dataSourceURL": "postgres://..."}}}),
        json!({"replicas": "3"}),
        json!({"podLabels": {"a": 1}}),
    ] {
        assert!(!is_valid(&with(wrong.clone())), "{wrong}");
    }
    let mut unknown = without_spec;
    unknown["metadata"]["lables"] = json!({});
    assert!(!is_valid(&unknown));
}

const TWO_LINES: &str =
    "{apiVersion: k0smotron.io/v1beta1, kind: K0smotronCluster, metadata: {name: payments}}";

/// The CRD of another product in the same group, whose short name is known to its users.
pub fn clusters_of_another_product() -> CustomResourceDefinition {
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusters.k0smotron.io"},
        "spec": {
            "group": "k0smotron.io",
            "scope": "Namespaced",
            "names": {"kind": "Cluster", "plural": "clusters", "singular": "cluster", "shortNames": ["kmc"]},
            "versions": [
                {"name": "v1beta1", "served": true, "storage": false, "schema": open},
                {"name": "v1beta2", "served": true, "storage": true, "schema": open},
            ],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn the_crds_are_served_beside_the_clusters_of_another_product() {
    let servers = Servers::shared().await;
    let client = servers.client().await;
    crds::install_one(&client, &clusters_of_another_product()).await;
    crds::install(&client).await;
    crds::install_one(&client, &clusters_of_another_product()).await;
    for name in ["k0c", "k0smotroncluster", "k0jt", "fleetsync", "k0smotron", "kmc"] {
        servers
            .kubectl(&["get", name, "--all-namespaces"])
            .await
            .success();
    }
}

#[tokio::test]
async fn plain_kubectl_apply_takes_the_crds_without_a_warning_and_changes_nothing_the_second_time() {
    let servers = Servers::start(Options {
        without_controllers: true,
        ..Options::default()
    })
    .await;
    let apply = ["apply", "-f", "-"];
    let first = servers
        .kubectl_with(&servers.kubeconfig(), &apply, &crd::all_yaml())
        .await;
    assert_eq!(first.stderr, "");
    let first = first.success();
    assert_eq!(
        first.matches(" created").count(),
        Definition::ALL.len(),
        "{first}"
    );
    let again = servers
        .kubectl_with(&servers.kubeconfig(), &apply, &crd::all_yaml())
        .await
        .success();
    assert_eq!(
        again.matches(" unchanged").count(),
        Definition::ALL.len(),
        "{again}"
    );
    // kubectl reads YAML by other rules than ours; what it sent is what was meant.
    let api: Api<CustomResourceDefinition> = Api::all(servers.client().await);
    for definition in crd::all() {
        assert_eq!(
            api.get(&definition.name_any()).await.unwrap().spec.versions,
            definition.spec.versions
        );
    }
}

#[tokio::test]
async fn no_spec_an_empty_one_and_null_are_one_replica() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let namespace = servers.namespace("defaults").await;
    for (name, spec) in [
        ("absent", ""),
        ("empty", ", spec: {}"),
        ("nothing", ", spec: null"),
    ] {
        let object = TWO_LINES.replace("{name: payments}}", &format!("{{name: {name}}}{spec}}}"));
        let arguments = ["apply", "-n", &namespace.name, "-f", "-"];
        servers
            .kubectl_with(&servers.kubeconfig(), &arguments, &object)
            .await
            .success();
        let arguments = [
            "get",
            "k0c",
            name,
            "-n",
            &namespace.name,
            "-o",
            "jsonpath={.spec}",
        ];
        assert_eq!(servers.kubectl(&arguments).await.success(), r#"{"replicas":1}"#);
    }
}

#[tokio::test]
async fn kubectl_scales_the_two_line_object_and_shows_its_columns() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let namespace = servers.namespace("scale").await;
    let create = ["create", "-n", &namespace.name, "-f", "-"];
    servers
        .kubectl_with(&servers.kubeconfig(), &create, TWO_LINES)
        .await
        .success();
    let in_namespace = async |arguments: &[&str]| {
        servers
            .kubectl(&[&["-n", namespace.name.as_str()], arguments].concat())
            .await
    };
    in_namespace(&["scale", "k0c/payments", "--replicas=3"])
        .await
        .success();
    let replicas = ["get", "k0c", "payments", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(in_namespace(&replicas).await.success(), "3");
    let refused = in_namespace(&["scale", "k0c/payments", "--replicas=10"]).await;
    assert!(
        refused.stderr.contains("less than or equal to 9"),
        "{}",
        refused.stderr
    );

    let status = json!({"status": {
        "version": "v1.36.3+k0s.2", "ready": "3/3", "storage": "etcd", "service": "NodePort", "heldCount": 1,
        "certificatesExpire": "2027-01-01", "replicas": 3, "selector": "app=k0smotron,cluster=payments",
        "endpoint": {"host": "192.0.2.7", "apiPort": 30443, "konnectivityPort": 30132, "url": "https://192.0.2.7:30443"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    let patch = status.to_string();
    in_namespace(&[
        "patch",
        "k0c",
        "payments",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ])
    .await
    .success();
    let words = |text: String| {
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    let table: Vec<Vec<String>> = words(in_namespace(&["get", "k0c", "-o", "wide"]).await.success());
    assert_eq!(
        table[0],
        [
            "NAME", "VERSION", "READY", "ENDPOINT", "STATUS", "AGE", "STORAGE", "SERVICE", "CERTS", "HELD"
        ]
    );
    assert_eq!(
        table[1][..5],
        [
            "payments",
            "v1.36.3+k0s.2",
            "3/3",
            "https://192.0.2.7:30443",
            "Ready"
        ]
    );
    assert_eq!(table[1][6..], ["etcd", "NodePort", "2027-01-01", "1"]);
    let narrow: Vec<Vec<String>> = words(in_namespace(&["get", "k0c"]).await.success());
    assert_eq!(narrow[0], table[0][..6]);
}

#[tokio::test]
async fn the_scale_subresource_keeps_to_the_rules() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    let namespace = servers.namespace("nats").await;
    let object = TWO_LINES.replace("}}", "}, spec: {storage: {type: nats}}}");
    let create = ["create", "-n", &namespace.name, "-f", "-"];
    servers
        .kubectl_with(&servers.kubeconfig(), &create, &object)
        .await
        .success();
    let refused = servers
        .kubectl(&["-n", &namespace.name, "scale", "k0c/payments", "--replicas=3"])
        .await;
    assert!(
        refused
            .stderr
            .contains("cannot be changed with `storage.type: nats`"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn kubectl_explains_a_field_and_refuses_an_unknown_one() {
    let servers = Servers::shared().await;
    crds::install(&servers.client().await).await;
    // The server publishes the schema of a new CRD a moment after it serves it.
    let explained = eventually("explained", std::time::Duration::from_secs(30), async || {
        let answer = servers
            .kubectl(&["explain", "k0c.spec.storage.etcd.members"])
            .await;
        if answer.code == 0 {
            Ok(answer.stdout)
        } else {
            Err(answer.stderr)
        }
    });
    let text = explained.await;
    assert!(text.contains("1, 3 or 5. Unset: 1 for replicas <= 1"), "{text}");
    let object = TWO_LINES.replace("}}", "}, spec: {repicas: 3}}");
    let create = ["create", "--dry-run=server", "-n", "default", "-f", "-"];
    let refused = servers
        .kubectl_with(&servers.kubeconfig(), &create, &object)
        .await;
    assert!(
        refused.stderr.contains("unknown field \"spec.repicas\""),
        "{}",
        refused.stderr
    );
}
