//! The part of the Gateway API that leads TLS connections by host name, as servers of tests need it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use serde_json::json;

use super::crds;

/// Makes a server serve TLSRoutes in this version. Their schema is what the operator writes, and nothing else.
pub async fn install(client: &Client, version: &str) {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer", "format": "int32"});
    let list = |items| json!({"type": "array", "items": items});
    let backend = json!({"type": "object", "required": ["name"], "properties": {
        "group": {"type": "string", "default": ""}, "kind": {"type": "string", "default": "Service"},
        "name": text, "namespace": text, "port": number, "weight": {"type": "integer", "default": 1},
    }});
    let rule = json!({"type": "object", "properties": {"backendRefs": list(backend)}});
    let parent = json!({"type": "object", "required": ["name"], "properties": {
        "group": {"type": "string", "default": "gateway.networking.k8s.io"},
        "kind": {"type": "string", "default": "Gateway"},
        "name": text, "namespace": text, "sectionName": text, "port": number,
    }});
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "properties": {
            "hostnames": list(text.clone()), "parentRefs": list(parent), "rules": list(rule),
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "tlsroutes.gateway.networking.k8s.io",
            // Names below k8s.io are protected: the server wants to be told where they were agreed.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io",
            "scope": "Namespaced",
            "names": {"plural": "tlsroutes", "singular": "tlsroute", "kind": "TLSRoute", "listKind": "TLSRouteList"},
            "versions": [{
                "name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
            }],
        },
    }))
    .expect("a definition");
    crds::install_one(client, &definition).await;
}
