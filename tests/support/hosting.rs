//! What a hosting cluster has besides servers: addresses of Nodes, a storage class, a load balancer.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// Makes a Node with this internal address, or gives one a new address.
pub async fn node(client: &Client, name: &str, address: IpAddr) {
    let nodes: Api<Node> = Api::all(client.clone());
    let how = PatchParams::apply("test-hosting").force();
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
    let made = nodes.patch(name, &how, &Patch::Apply(node)).await;
    made.unwrap_or_else(|error| panic!("cannot make Node {name}: {error}"));
    let time = "2026-01-01T00:00:00Z";
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": address.to_string() }],
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
            "lastHeartbeatTime": time, "lastTransitionTime": time }],
    }});
    let patched = nodes
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await;
    patched.unwrap_or_else(|error| panic!("cannot give Node {name} an address: {error}"));
}

/// Makes the default StorageClass. Nothing provides volumes: claims stay pending, which nobody here waits for.
pub async fn default_storage_class(client: &Client) {
    let classes: Api<StorageClass> = Api::all(client.clone());
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.org/none",
        "allowVolumeExpansion": true,
        "metadata": { "name": "standard",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
    });
    let how = PatchParams::apply("test-hosting").force();
    let made = classes.patch("standard", &how, &Patch::Apply(class)).await;
    made.unwrap_or_else(|error| panic!("cannot make a StorageClass: {error}"));
}

/// Gives a Service of type LoadBalancer its address, as the controller of a load balancer does.
pub async fn load_balancer(client: &Client, namespace: &str, service: &str, address: IpAddr) {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": address.to_string() }] } } });
    let patched = services
        .patch_status(service, &PatchParams::default(), &Patch::Merge(status))
        .await;
    patched.unwrap_or_else(|error| panic!("cannot give Service {service} an address: {error}"));
}
