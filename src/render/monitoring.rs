//! Sidecars that collect the metrics of a control plane and show them to whoever scrapes its pods.
//!
//! Prometheus asks the parts of the control plane on loopback, with a certificate that may read metrics and nothing
//! else; a proxy before it gives out one page. Neither sees a key of a CA or a folder of k0s.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Answers, Desired};
use super::front_manifests::after_the_roll;
use super::parts::{Pods, object};
use super::resolved::{ResolvedCluster, StoragePlan};
use crate::api::cluster_parts::{IpFamily, KeyAlgorithm};
use crate::api::cluster_status::Endpoint;
use crate::api::{ClusterSpec, names};
use crate::etcd::METRICS_PORT;
use crate::k0s;
use crate::object::kinds;
use crate::pki::{CertificateUse, Issue, Issuer, KeyPurpose};

const PROMETHEUS: &str = "quay.io/prometheus/prometheus:v3.5.0";
const PROXY: &str = "docker.io/library/nginx:1.28";
/// Where the metrics are read; Prometheus itself listens on loopback only.
pub(super) const PORT: i32 = 8090;
const PROMETHEUS_PORT: i32 = 9090;
/// Any user but root. Its group is root's, to which the mounted certificate belongs.
const USER: i64 = 65534;

const CONFIG_KEY: &str = "prometheus.yml";
const PROXY_KEY: &str = "nginx.conf";
const CERTIFICATES: &str = "/etc/prometheus-pki";

pub(super) fn is_enabled(spec: &ClusterSpec) -> bool {
    let monitoring = spec.monitoring.as_ref();
    monitoring.and_then(|monitoring| monitoring.enabled) == Some(true)
}

/// The certificate of Prometheus. Kubernetes itself lets this group read metrics and health.
pub(super) fn certificate(issuer: Issuer, algorithm: KeyAlgorithm, lifetime_seconds: u64) -> Issue {
    Issue::Leaf {
        issuer,
        common_name: "k0smotron-monitoring".to_owned(),
        organization: "system:monitoring".to_owned(),
        sans: Vec::new(),
        usage: CertificateUse::Client,
        algorithm,
        lifetime_seconds,
    }
}

/// Says what the pods wait for, which mount the certificate.
pub(super) fn waits_for(cluster: &ResolvedCluster) -> Option<String> {
    is_enabled(&cluster.spec).then(|| cluster.unsettled_key(&[KeyPurpose::Monitoring]))?
}

/// Answers for the configuration of the sidecars. It goes once no pod mounts it any more.
pub(super) fn answer(cluster: &ResolvedCluster, config_digest: Option<&str>, answers: &mut Answers) {
    let name = names::monitoring(&cluster.name);
    let answer = match (&cluster.endpoint, is_enabled(&cluster.spec)) {
        (_, false) => after_the_roll(cluster, config_digest, "`spec.monitoring.enabled` is not true"),
        (Err(waiting_on), true) => Answer::Keep {
            waiting_on: waiting_on.clone(),
        },
        (Ok(endpoint), true) => Answer::Want(Desired::Object(object(
            kinds::CONFIG_MAP,
            cluster.owned_metadata(&name, Pods::ControlPlane, "monitoring"),
            json!({"data": files(cluster, endpoint)}),
        ))),
    };
    answers.insert(cluster.id(kinds::CONFIG_MAP, name), answer);
}

/// What whoever scrapes the hosting cluster looks for on pods.
pub(super) fn annotations(spec: &ClusterSpec) -> BTreeMap<&'static str, String> {
    if !is_enabled(spec) {
        return BTreeMap::new();
    }
    BTreeMap::from([
        ("prometheus.io/scrape", "true".to_owned()),
        ("prometheus.io/port", PORT.to_string()),
        ("prometheus.io/path", "/metrics".to_owned()),
    ])
}

/// The configuration of both, which they read when they start.
pub(super) fn files(cluster: &ResolvedCluster, endpoint: &Endpoint) -> Map<String, Value> {
    let prometheus = super::config_map::yaml(&prometheus(cluster, endpoint));
    Map::from_iter([
        (CONFIG_KEY.to_owned(), json!(prometheus)),
        (PROXY_KEY.to_owned(), json!(proxy(&cluster.spec))),
    ])
}

fn prometheus(cluster: &ResolvedCluster, endpoint: &Endpoint) -> Value {
    let (api_port, _) = cluster.listening_ports(endpoint);
    let target = |port: i32, component: &str| {
        json!({
            "targets": [format!("localhost:{port}")],
            "labels": {"component": component, "k0smotron_cluster": cluster.name},
        })
    };
    let with = |job: &str, targets: Value, authority: Value| {
        let mut tls = json!({
            "cert_file": format!("{CERTIFICATES}/tls.crt"), "key_file": format!("{CERTIFICATES}/tls.key"),
        });
        if let (Some(tls), Value::Object(authority)) = (tls.as_object_mut(), authority) {
            tls.extend(authority);
        }
        json!({"job_name": job, "scheme": "https", "tls_config": tls, "static_configs": targets})
    };
    let service = format!("{}.{}.svc", names::etcd(&cluster.name), cluster.namespace);
    let by_name = |family: &str| json!({"names": [service], "type": family, "port": METRICS_PORT});
    let mut jobs = vec![
        with(
            "k0smotron_cluster_metrics",
            json!([target(api_port, "kube-apiserver")]),
            json!({"ca_file": format!("{CERTIFICATES}/ca.crt")}),
        ),
        // On loopback, with certificates that they make for themselves and nobody could check.
        with(
            "k0smotron_component_metrics",
            json!([
                target(10259, "kube-scheduler"),
                target(10257, "kube-controller-manager")
            ]),
            json!({"insecure_skip_verify": true}),
        ),
    ];
    if cluster.storage == StoragePlan::Etcd {
        // Every member by its own address, on the port that asks for no certificate.
        jobs.push(json!({
            "job_name": "k0smotron_etcd_metrics",
            "scheme": "http",
            "dns_sd_configs": [by_name("A"), by_name("AAAA")],
            "relabel_configs": [
                {"target_label": "component", "replacement": "etcd"},
                {"target_label": "k0smotron_cluster", "replacement": cluster.name},
            ],
        }));
    }
    json!({
        "global": {"scrape_interval": "10s", "evaluation_interval": "10s"},
        "scrape_configs": jobs,
    })
}

fn proxy(spec: &ClusterSpec) -> String {
    let has_six = spec
        .service
        .as_ref()
        .is_some_and(|service| service.ip_families.contains(&IpFamily::V6));
    // A node without that family would refuse the second.
    let six = if has_six {
        format!("    listen [::]:{PORT};\n")
    } else {
        String::new()
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("  {what}_temp_path /tmp/{what};\n"))
        .collect();
    format!(
        "worker_processes 2;\nerror_log /dev/stderr warn;\npid /tmp/nginx.pid;\n\
         events {{\n  worker_connections 4096;\n}}\n\
         http {{\n{temporary}  access_log /dev/stdout;\n  server {{\n    listen {PORT};\n{six}\
         \x20   location = /metrics {{\n\
         \x20     proxy_pass http://127.0.0.1:{PROMETHEUS_PORT}/federate?match[]=%7Bjob%21%3D%22%22%7D;\n    }}\n\
         \x20   location / {{\n      return 404;\n    }}\n  }}\n}}\n"
    )
}

pub(super) fn containers(cluster: &ResolvedCluster) -> Vec<Value> {
    let Some(monitoring) = cluster
        .spec
        .monitoring
        .as_ref()
        .filter(|_| is_enabled(&cluster.spec))
    else {
        return Vec::new();
    };
    let image = |written: &Option<String>, default: &str| match written {
        Some(image) => image.clone(),
        None => k0s::with_repository(default, cluster.spec.image_repository.as_deref()),
    };
    let security = json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    let prometheus = json!({
        "name": "monitoring-agent",
        "image": image(&monitoring.prometheus_image, PROMETHEUS),
        "imagePullPolicy": cluster.pull_policy(),
        "command": [
            "prometheus",
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.size=200MB",
            format!("--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}"),
        ],
        "securityContext": security,
        "volumeMounts": [
            {"name": "monitoring-agent", "mountPath": "/etc/prometheus", "readOnly": true},
            {"name": "monitoring-data", "mountPath": "/prometheus"},
            {"name": "monitoring-pki", "mountPath": CERTIFICATES, "readOnly": true},
        ],
    });
    let proxy = json!({
        "name": "monitoring-proxy",
        "image": image(&monitoring.proxy_image, PROXY),
        "imagePullPolicy": cluster.pull_policy(),
        "command": ["nginx", "-c", "/etc/nginx-proxy/nginx.conf", "-g", "daemon off;"],
        "ports": [{"name": "metrics", "protocol": "TCP", "containerPort": PORT}],
        "securityContext": security,
        "volumeMounts": [
            {"name": "monitoring-proxy", "mountPath": "/etc/nginx-proxy", "readOnly": true},
            {"name": "monitoring-temporary", "mountPath": "/tmp"},
        ],
    });
    vec![prometheus, proxy]
}

pub(super) fn volumes(cluster: &ResolvedCluster) -> Vec<Value> {
    if !is_enabled(&cluster.spec) {
        return Vec::new();
    }
    let config = names::monitoring(&cluster.name);
    let file = |volume: &str, key: &str| {
        json!({"name": volume, "configMap": {
            "name": config, "defaultMode": 0o444, "items": [{"key": key, "path": key}],
        }})
    };
    let of = |purpose: KeyPurpose, items: Value| json!({"secret": {"name": cluster.key_secret(purpose), "items": items}});
    vec![
        file("monitoring-agent", CONFIG_KEY),
        json!({"name": "monitoring-data", "emptyDir": {"sizeLimit": "500Mi"}}),
        json!({"name": "monitoring-pki", "projected": {"defaultMode": 0o440, "sources": [
            of(KeyPurpose::Ca, json!([{"key": "tls.crt", "path": "ca.crt"}])),
            of(KeyPurpose::Monitoring, json!([
                {"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"},
            ])),
        ]}}),
        file("monitoring-proxy", PROXY_KEY),
        json!({"name": "monitoring-temporary", "emptyDir": {"sizeLimit": "50Mi"}}),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;
    use crate::object::ObjectId;

    fn spec(enabled: bool) -> Value {
        json!({"monitoring": {"enabled": enabled, "proxyImage": "registry:5000/proxy@sha256:ab"}})
    }

    #[test]
    fn the_sidecars_mount_no_key_of_a_ca_and_nothing_of_k0s() {
        let world = World::settled(spec(true));
        let template = world.template("kmc-edge");
        let containers = template["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 3);
        assert_eq!(containers[0]["name"], "controller");
        let volumes = template["spec"]["volumes"].as_array().unwrap();
        for sidecar in &containers[1..] {
            for mount in sidecar["volumeMounts"].as_array().unwrap() {
                let name = mount["name"].as_str().unwrap();
                assert!(name.starts_with("monitoring-"), "{name}");
                let volume = volumes.iter().find(|volume| volume["name"] == name).unwrap();
                for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
                    let is_of_authority = source["secret"]["name"] == "edge-ca";
                    assert_eq!(
                        source.to_string().contains("tls.key"),
                        !is_of_authority,
                        "{source}"
                    );
                }
            }
        }
        assert_eq!(containers[2]["image"], "registry:5000/proxy@sha256:ab");
    }

    #[test]
    fn with_another_storage_nothing_is_asked_that_is_not_there() {
        let jobs = |spec: Value| {
            let world = World::new(spec);
            let resolved = world.resolved();
            let endpoint = Endpoint::default();
            prometheus(&resolved, &endpoint)["scrape_configs"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(jobs(json!({})), 3);
        assert_eq!(jobs(json!({"storage": {"type": "nats"}})), 2);
    }

    #[test]
    fn it_goes_after_the_roll_and_leaves_the_template_as_it_was() {
        let before = World::settled(json!({})).template("kmc-edge");
        for off in [spec(false), json!({})] {
            let mut world = World::settled(spec(true));
            assert_ne!(world.template("kmc-edge"), before);
            world.respec(off);
            world.pass();
            let secret = ObjectId::new(kinds::SECRET, "tenant-7", "edge-monitoring");
            assert!(world.live.contains_key(&secret), "running pods still mount it");
            world.settle();
            assert_eq!(world.template("kmc-edge"), before);
            assert_eq!(world.dropped.len(), 2, "{:?}", world.dropped);
        }
    }
}
