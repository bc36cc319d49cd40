use serde_json::json;

use super::*;

const MANAGER: &str = "k0smotron-fleet-operator";

fn pointers(desired: Value, live: Value) -> Vec<String> {
    differences(&Object(desired), &Object(live), MANAGER)
        .into_iter()
        .map(|difference| difference.pointer)
        .collect()
}

/// A StatefulSet as it could be rendered.
fn stateful_set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "kmc-edge", "namespace": "tenant-7",
            "labels": {"app": "k0smotron", "k0smotron.io/cluster-uid": "u-1"},
            "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster", "name": "edge",
                "uid": "u-1", "controller": true, "blockOwnerDeletion": true}]},
        "spec": {
            "replicas": 3, "serviceName": "kmc-edge", "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "k0smotron", "cluster": "edge"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {
                "metadata": {"labels": {"app": "k0smotron", "cluster": "edge"}, "annotations": {}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "hostNetwork": false,
                    "nodeSelector": {"zone": "a"},
                    "tolerations": [{"key": "edge", "operator": "Exists"}],
                    "initContainers": [
                        {"name": "keys", "image": "k0s:v1", "command": ["/bin/cp", "-r"]},
                        {"name": "wait", "image": "k0s:v1"}],
                    "containers": [{
                        "name": "controller", "image": "k0s:v1", "args": ["controller", "--config=/etc/k0s.yaml"],
                        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                                {"name": "EMPTY", "value": ""}],
                        "ports": [{"name": "api", "containerPort": 6443}, {"name": "konnectivity", "containerPort": 8132}],
                        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {}},
                        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/k0s", "readOnly": false}],
                        "securityContext": {"capabilities": {"drop": ["ALL"]}},
                    }],
                    "volumes": [{"name": "data", "emptyDir": {}},
                        {"name": "keys", "projected": {"sources": [{"secret": {"name": "edge-ca"}},
                            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}],
                },
            },
            "volumeClaimTemplates": [{"metadata": {"name": "etcd"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        },
    })
}

/// What the API server makes of it: defaults, canonical quantities, zero values dropped, status, managed fields.
fn live_stateful_set() -> Value {
    let container_defaults = |container: &mut Value| {
        container["terminationMessagePath"] = json!("/dev/termination-log");
        container["terminationMessagePolicy"] = json!("File");
        container["imagePullPolicy"] = json!("IfNotPresent");
    };
    let mut live = stateful_set();
    live["metadata"]["uid"] = json!("s-1");
    live["metadata"]["resourceVersion"] = json!("881");
    live["metadata"]["generation"] = json!(1);
    live["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    live["metadata"]["annotations"] = json!({"somebody.else/note": "hello"});
    let spec = &mut live["spec"];
    spec["revisionHistoryLimit"] = json!(10);
    spec["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    spec["volumeClaimTemplates"][0]["apiVersion"] = json!("v1");
    spec["volumeClaimTemplates"][0]["kind"] = json!("PersistentVolumeClaim");
    spec["volumeClaimTemplates"][0]["spec"]["volumeMode"] = json!("Filesystem");
    spec["volumeClaimTemplates"][0]["status"] = json!({"phase": "Pending"});
    spec["template"]["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    let pod = &mut spec["template"]["spec"];
    pod.as_object_mut().unwrap().remove("hostNetwork");
    pod["dnsPolicy"] = json!("ClusterFirst");
    pod["restartPolicy"] = json!("Always");
    pod["schedulerName"] = json!("default-scheduler");
    pod["securityContext"] = json!({});
    pod["terminationGracePeriodSeconds"] = json!(30);
    container_defaults(&mut pod["initContainers"][0]);
    pod["initContainers"][0]["resources"] = json!({});
    container_defaults(&mut pod["initContainers"][1]);
    let container = &mut pod["containers"][0];
    container_defaults(container);
    container["ports"][0]["protocol"] = json!("TCP");
    container["ports"][1]["protocol"] = json!("TCP");
    container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] = json!("v1");
    container["env"][1].as_object_mut().unwrap().remove("value");
    container["resources"] = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
    container["volumeMounts"][0]
        .as_object_mut()
        .unwrap()
        .remove("readOnly");
    pod["volumes"][1]["projected"]["defaultMode"] = json!(420);
    pod["volumes"][1]["projected"]["sources"][1]["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] =
        json!("v1");
    live["metadata"]["managedFields"] = json!([
        {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {
            "f:status": {"f:replicas": {}}}},
        {"manager": MANAGER, "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
            "f:metadata": {
                "f:labels": {"f:app": {}, "f:k0smotron.io/cluster-uid": {}},
                "f:ownerReferences": {"k:{\"uid\":\"u-1\"}": {}}},
            "f:spec": {
                "f:replicas": {}, "f:serviceName": {}, "f:podManagementPolicy": {}, "f:selector": {},
                "f:updateStrategy": {"f:type": {}, "f:rollingUpdate": {"f:partition": {}}},
                "f:volumeClaimTemplates": {},
                "f:template": {
                    "f:metadata": {"f:labels": {"f:app": {}, "f:cluster": {}}, "f:annotations": {}},
                    "f:spec": {
                        "f:automountServiceAccountToken": {}, "f:nodeSelector": {}, "f:tolerations": {},
                        "f:initContainers": {
                            "k:{\"name\":\"keys\"}": {".": {}, "f:name": {}, "f:image": {}, "f:command": {}},
                            "k:{\"name\":\"wait\"}": {".": {}, "f:name": {}, "f:image": {}}},
                        "f:containers": {"k:{\"name\":\"controller\"}": {
                            ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                            "f:env": {"k:{\"name\":\"POD\"}": {".": {}, "f:name": {}, "f:valueFrom": {"f:fieldRef": {}}},
                                      "k:{\"name\":\"EMPTY\"}": {".": {}, "f:name": {}, "f:value": {}}},
                            "f:ports": {
                                "k:{\"containerPort\":6443,\"protocol\":\"TCP\"}":
                                    {".": {}, "f:containerPort": {}, "f:name": {}},
                                "k:{\"containerPort\":8132,\"protocol\":\"TCP\"}":
                                    {".": {}, "f:containerPort": {}, "f:name": {}}},
                            "f:resources": {"f:limits": {}, "f:requests": {"f:cpu": {}, "f:memory": {}}},
                            "f:volumeMounts": {"k:{\"mountPath\":\"/var/lib/k0s\"}":
                                {".": {}, "f:mountPath": {}, "f:name": {}}},
                            "f:securityContext": {"f:capabilities": {"f:drop": {}}}}},
                        "f:volumes": {
                            "k:{\"name\":\"data\"}": {".": {}, "f:name": {}, "f:emptyDir": {}},
                            "k:{\"name\":\"keys\"}": {".": {}, "f:name": {}, "f:projected": {"f:sources": {}}}}}}}}},
    ]);
    live["status"] = json!({"replicas": 3});
    live
}

#[test]
fn an_applied_stateful_set_equals_itself_after_the_server_filled_in_its_defaults() {
    assert_eq!(pointers(stateful_set(), live_stateful_set()), [""; 0]);
}

#[test]
fn it_also_does_without_managed_fields() {
    let mut live = live_stateful_set();
    live["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(pointers(stateful_set(), live), [""; 0]);
}

#[test]
fn every_change_of_a_rendered_field_is_a_difference_at_its_place() {
    let container = "/spec/template/spec/containers/0";
    let pod = "/spec/template/spec";
    let cases: [(&str, Value, &str); 11] = [
        ("/spec/replicas", json!(5), "/spec/replicas"),
        (
            &format!("{container}/image"),
            json!("k0s:v2"),
            &format!("{container}/image"),
        ),
        (
            &format!("{container}/args"),
            json!(["controller"]),
            &format!("{container}/args"),
        ),
        (
            &format!("{container}/args/1"),
            json!("--debug"),
            &format!("{container}/args/1"),
        ),
        (
            &format!("{container}/resources/requests/cpu"),
            json!("1001m"),
            &format!("{container}/resources/requests/cpu"),
        ),
        (
            &format!("{container}/env/1/value"),
            json!("x"),
            &format!("{container}/env/1/value"),
        ),
        (
            &format!("{container}/ports/0/protocol"),
            json!("UDP"),
            &format!("{container}/ports/0"),
        ),
        (
            &format!("{pod}/automountServiceAccountToken"),
            json!(true),
            &format!("{pod}/automountServiceAccountToken"),
        ),
        (
            &format!("{pod}/tolerations/0/key"),
            json!("other"),
            &format!("{pod}/tolerations/0/key"),
        ),
        (
            &format!("{pod}/volumes/0/name"),
            json!("other"),
            &format!("{pod}/volumes/0"),
        ),
        ("/metadata/labels/app", json!("other"), "/metadata/labels/app"),
    ];
    for (at, value, expected) in cases {
        let mut desired = stateful_set();
        if at.ends_with("protocol") {
            desired[&"spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = value;
        } else {
            *desired.pointer_mut(at).unwrap() = value;
        }
        let found = pointers(desired, live_stateful_set());
        assert_eq!(
            found.first().map(String::as_str),
            Some(expected),
            "{at}: {found:?}"
        );
    }
}

#[test]
fn what_we_applied_and_no_longer_render_is_a_difference_and_what_others_added_is_none() {
    let spec = |desired: &mut Value| desired["spec"].as_object_mut().unwrap().clone();
    let mut without_strategy = stateful_set();
    without_strategy["spec"]
        .as_object_mut()
        .unwrap()
        .remove("updateStrategy");
    assert_eq!(
        pointers(without_strategy, live_stateful_set()),
        ["/spec/updateStrategy"]
    );

    let mut without_variable = stateful_set();
    without_variable["spec"]["template"]["spec"]["containers"][0]["env"]
        .as_array_mut()
        .unwrap()
        .remove(1);
    assert_eq!(
        pointers(without_variable, live_stateful_set()),
        ["/spec/template/spec/containers/0/env/1"]
    );

    let mut live = live_stateful_set();
    live["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "sidecar"}));
    live["metadata"]["labels"]["team"] = json!("blue");
    assert_eq!(pointers(stateful_set(), live), [""; 0]);
    assert!(!spec(&mut stateful_set()).is_empty());
}

#[test]
fn a_stateful_set_without_a_partition_is_written_while_it_rolls_or_for_something_else() {
    let without = |mut set: Value| {
        set["spec"]["updateStrategy"] = json!({"type": "RollingUpdate"});
        set
    };
    assert_eq!(pointers(stateful_set(), without(live_stateful_set())), [""; 0]);
    let mut rolling = without(live_stateful_set());
    rolling["status"] = json!({"currentRevision": "kmc-edge-1", "updateRevision": "kmc-edge-2"});
    assert_eq!(
        pointers(stateful_set(), rolling),
        ["/spec/updateStrategy/rollingUpdate"]
    );
    let mut other = stateful_set();
    other["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
    assert_eq!(
        pointers(other.clone(), without(live_stateful_set())),
        ["/spec/updateStrategy/rollingUpdate"]
    );
    assert_eq!(
        pointers(other, live_stateful_set()),
        ["/spec/updateStrategy/rollingUpdate/partition"]
    );
    assert_eq!(
        pointers(without(stateful_set()), live_stateful_set()),
        ["/spec/updateStrategy/rollingUpdate"]
    );
}

#[test]
fn a_map_or_list_that_is_replaced_as_a_whole_has_no_room_for_what_others_added() {
    let mut live = live_stateful_set();
    live["spec"]["template"]["spec"]["nodeSelector"]["disk"] = json!("ssd");
    assert_eq!(
        pointers(stateful_set(), live),
        ["/spec/template/spec/nodeSelector/disk"]
    );
    let mut live = live_stateful_set();
    live["spec"]["template"]["spec"]["tolerations"][0]["effect"] = json!("NoSchedule");
    assert_eq!(
        pointers(stateful_set(), live),
        ["/spec/template/spec/tolerations/0/effect"]
    );
}

#[test]
fn what_a_reference_of_a_route_no_longer_says_goes_and_what_the_server_filled_in_stays() {
    let route = |parent: Value, backend: Value| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute", "metadata": {"name": "kmc-edge"},
            "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]}})
    };
    let backend = json!({"name": "kmc-edge", "port": 6443});
    let filled_in = json!({"group": "", "kind": "Service", "weight": 1, "name": "kmc-edge", "port": 6443});
    let live = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways",
        "sectionName": "tls", "port": 443});
    let found = |parent| {
        let mut found = pointers(
            route(parent, backend.clone()),
            route(live.clone(), filled_in.clone()),
        );
        found.sort();
        found
    };
    assert_eq!(
        found(json!({"name": "public", "namespace": "gateways", "sectionName": "tls", "port": 443})),
        [""; 0]
    );
    assert_eq!(
        found(json!({"name": "public", "namespace": "gateways"})),
        ["/spec/parentRefs/0/port", "/spec/parentRefs/0/sectionName"]
    );
}

#[test]
fn init_containers_in_another_order_are_a_difference_and_volumes_are_none() {
    let mut live = live_stateful_set();
    live["spec"]["template"]["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
        .reverse();
    assert_eq!(
        pointers(stateful_set(), live),
        ["/spec/template/spec/initContainers"]
    );
    let mut live = live_stateful_set();
    live["spec"]["template"]["spec"]["volumes"]
        .as_array_mut()
        .unwrap()
        .reverse();
    assert_eq!(pointers(stateful_set(), live), [""; 0]);
}

#[test]
fn a_service_keeps_the_ports_and_addresses_that_the_server_allocated() {
    let desired = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kmc-edge-nodeport"},
        "spec": {"type": "NodePort", "selector": {"app": "k0smotron"}, "ports": [
            {"name": "api", "port": 6443, "targetPort": "api"},
            {"name": "konnectivity", "port": 8132, "targetPort": "konnectivity"}]}});
    let live = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kmc-edge-nodeport", "uid": "v-1"},
        "spec": {"type": "NodePort", "selector": {"app": "k0smotron"}, "clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"],
            "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": [
            {"name": "konnectivity", "port": 8132, "protocol": "TCP", "targetPort": "konnectivity", "nodePort": 30132},
            {"name": "api", "port": 6443, "protocol": "TCP", "targetPort": "api", "nodePort": 30443}]},
        "status": {"loadBalancer": {}}});
    assert_eq!(pointers(desired.clone(), live.clone()), [""; 0]);
    let mut pinned = desired;
    pinned["spec"]["ports"][0]["nodePort"] = json!(30444);
    assert_eq!(pointers(pinned, live), ["/spec/ports/0/nodePort"]);
}

#[test]
fn another_owner_in_a_restored_backup_is_a_difference() {
    let mut desired = stateful_set();
    desired["metadata"]["ownerReferences"][0]["uid"] = json!("u-2");
    let found = pointers(desired, live_stateful_set());
    assert!(
        found.contains(&"/metadata/ownerReferences/0".to_owned()),
        "{found:?}"
    );
}

#[test]
fn the_data_of_a_secret_and_any_status_are_not_compared() {
    let secret = |data: Option<Value>| {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge-config"}});
        if let Some(data) = data {
            secret["data"] = data;
        }
        secret
    };
    assert_eq!(
        pointers(secret(Some(json!({"a": "Yg=="}))), secret(None)),
        [""; 0]
    );
    let config = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
    assert_eq!(
        pointers(config(json!({"a": "b"})), config(json!({"a": "c"}))),
        ["/data/a"]
    );
}

#[test]
fn lists_of_custom_resources_are_replaced_as_a_whole() {
    let cluster = |manifests: Value| {
        json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster", "metadata": {"name": "edge"},
               "spec": {"manifests": manifests}})
    };
    let one = json!([{"name": "a", "configMap": {"name": "a"}}]);
    let two = json!([{"name": "a", "configMap": {"name": "a"}}, {"name": "b", "configMap": {"name": "b"}}]);
    assert_eq!(pointers(cluster(one), cluster(two)), ["/spec/manifests"]);
}

#[test]
fn the_fields_a_manager_applied_are_found_by_their_pointer() {
    let live = Object(live_stateful_set());
    assert!(is_applied_by(&live, MANAGER, "/spec/replicas"));
    assert!(is_applied_by(
        &live,
        MANAGER,
        "/metadata/labels/k0smotron.io~1cluster-uid"
    ));
    assert!(!is_applied_by(&live, MANAGER, "/spec/revisionHistoryLimit"));
    assert!(!is_applied_by(&live, "somebody", "/spec/replicas"));
}
