//! Pods as the Pod Security admission of a namespace judges them.

use serde_json::{Value, json};

use super::{Namespace, Servers};

impl Servers {
    /// Makes a namespace that refuses what a level (`baseline`, `restricted`) does not allow.
    pub async fn namespace_enforcing(&self, level: &str) -> Namespace {
        let namespace = self.namespace(level).await;
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        let arguments = ["label", "namespace", &namespace.name, &label];
        self.kubectl(&arguments).await.success();
        namespace
    }
}

/// Returns the pod that is made of a template: who has the template is only warned, the pod is what would be refused.
pub fn pod_of(template: &Value, name: &str, namespace: &str) -> Value {
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}
