//! The answering kubelet is reachable, and trusted, exactly as a control plane would be.

use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::kubelet::{Answers, Kubelet, Policy};
use crate::support::{Servers, crds, eventually, ports};

const SOON: Duration = Duration::from_secs(30);

async fn create<K>(client: &Client, namespace: &str, object: Value)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object).unwrap();
    Api::<K>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

/// Makes what the operator would make of a cluster, as far as an answer needs it.
async fn cluster(client: &Client, namespace: &str, name: &str, host: Ipv4Addr, port: u16) -> Authority {
    let authority = Authority::new("kubernetes-ca");
    let kind = GroupVersionKind::gvk("k0smotron.io", "v1beta1", "K0smotronCluster");
    let kind = ApiResource::from_gvk_with_plural(&kind, "k0smotronclusters");
    let clusters: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    clusters
        .create(&PostParams::default(), &DynamicObject::new(name, &kind))
        .await
        .unwrap();
    let endpoint = json!({ "host": host.to_string(), "apiPort": port, "konnectivityPort": 8132,
        "url": format!("https://{host}:{port}") });
    let status = Patch::Merge(json!({ "status": { "endpoint": endpoint } }));
    clusters
        .patch_status(name, &PatchParams::default(), &status)
        .await
        .unwrap();
    let secret = json!({ "metadata": { "name": format!("{name}-ca") },
        "stringData": { "tls.crt": authority.certificate, "tls.key": authority.key() } });
    create::<Secret>(client, namespace, secret).await;
    let labels = json!({ "app": "k0smotron", "cluster": name, "component": "cluster" });
    let set = json!({ "metadata": { "name": format!("kmc-{name}") }, "spec": {
        "serviceName": "none", "replicas": 1, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "containers": [
            { "name": "controller", "image": "quay.io/k0sproject/k0s:v1.36.3-k0s.2" } ] } } } });
    create::<StatefulSet>(client, namespace, set).await;
    authority
}

/// Asks with a client certificate of `authority` that must also be the server's.
async fn ask(
    authority: &Authority,
    signer: &Authority,
    host: Ipv4Addr,
    port: u16,
    path: &str,
) -> Result<String, String> {
    let pair = signer.issue("kubernetes-admin", Some("system:masters"), &[]);
    let user =
        json!({ "client-certificate-data": base64(&pair.certificate), "client-key-data": base64(&pair.key) });
    let url = format!("https://{host}:{port}");
    let text = crate::support::servers::kubeconfig(&url, &authority.certificate, &user);
    let file: kube::config::Kubeconfig = serde_json::from_str(&text).unwrap();
    let config = Config::from_custom_kubeconfig(file, &Default::default())
        .await
        .unwrap();
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    client
        .request_text(request)
        .await
        .map_err(|error| error.to_string())
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn two_clusters_answer_with_their_own_authorities_while_their_pods_are_ready() {
    let servers = Servers::shared().await;
    let namespace = servers.namespace("answer").await;
    let client = servers.client().await;
    crds::install(&client).await;
    let kubelet = Kubelet::start(client.clone(), Some(&namespace.name), Policy::Ready);
    let _answers = Answers::start(client.clone(), Some(&namespace.name));
    let (host, ports) = (ports::address(), [ports::free(), ports::free()]);
    let berlin = cluster(&client, &namespace.name, "berlin", host, ports[0]).await;
    let paris = cluster(&client, &namespace.name, "paris", host, ports[1]).await;

    for (authority, port) in [(&berlin, ports[0]), (&paris, ports[1])] {
        let ready = eventually("it is ready", SOON, async || {
            ask(authority, authority, host, port, "/readyz").await
        })
        .await;
        assert_eq!(ready, "ok");
    }
    let version = ask(&berlin, &berlin, host, ports[0], "/version").await.unwrap();
    assert!(version.contains("v1.36.3+k0s"), "{version}");
    let namespaces = ask(&berlin, &berlin, host, ports[0], "/api/v1/namespaces/kube-system")
        .await
        .unwrap();
    assert!(namespaces.contains("kube-system-of-"), "{namespaces}");
    ask(&berlin, &paris, host, ports[0], "/readyz")
        .await
        .expect_err("a client of another cluster is refused");
    ask(&paris, &paris, host, ports[0], "/readyz")
        .await
        .expect_err("a server of another cluster is refused");

    kubelet.set(Policy::NeverReady);
    eventually("it stops answering", SOON, async || {
        ask(&berlin, &berlin, host, ports[0], "/readyz").await.err()
    })
    .await;
}
