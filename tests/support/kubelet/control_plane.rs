//! What `k0s controller` makes of its configuration and its keys, as far as the API server is concerned.
//!
//! k0s itself is not run: this reads the `k0s.yaml` of a pod, issues the leaf certificates that k0s issues at every
//! start, and returns the flags with which k0s starts kube-apiserver. A name that is missing from the configuration
//! is missing from the certificate.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

use super::super::certificates::{Authority, Pair};
use super::filesystem::inside;

const PKI: &str = "/var/lib/k0s/pki";

/// How to start kube-apiserver in a pod.
pub struct Start {
    pub arguments: Vec<String>,
    /// Where it listens.
    pub address: IpAddr,
    pub port: u16,
}

/// Reads a configuration (YAML).
pub fn read(root: &Path, path: &str) -> Result<Value, String> {
    let text = fs::read_to_string(inside(root, path)).map_err(|error| format!("{path}: {error}"))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("{path}: {error}"))
}

/// Prepares the pki folder of a pod as k0s does, and returns the call of kube-apiserver.
///
/// `address` is where this replica listens when the configuration names no loopback address, or `only_replica` is
/// not this one.
pub fn prepare(root: &Path, config: &Value, address: IpAddr, at_endpoint: bool) -> Result<Start, String> {
    let text = |path: &str| config.pointer(path).and_then(Value::as_str);
    let external = text("/spec/api/externalAddress").map(host_of);
    let port = config
        .pointer("/spec/api/port")
        .and_then(Value::as_u64)
        .unwrap_or(6443);
    let port = u16::try_from(port).map_err(|error| format!("spec.api.port: {error}"))?;
    let range = text("/spec/network/serviceCIDR").unwrap_or("10.96.0.0/12");
    let address = external
        .filter(|_| at_endpoint)
        .and_then(|host| host.parse::<IpAddr>().ok())
        .filter(IpAddr::is_loopback)
        .unwrap_or(address);
    issue_leaves(root, &names(config, external, range))?;
    let storage = "/spec/storage/etcd/externalCluster";
    let storage = config
        .pointer(storage)
        .ok_or("only an external etcd is played here")?;
    let file = |key: &str| storage.get(key).and_then(Value::as_str).unwrap_or_default();
    let endpoints = storage
        .get("endpoints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let endpoints: Vec<&str> = endpoints.filter_map(Value::as_str).collect();
    let prefix = file("etcdPrefix").trim_matches('/').to_owned();
    let mut arguments = vec![
        "--allow-privileged=true".to_owned(),
        "--anonymous-auth=false".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        format!("--bind-address={address}"),
        format!("--client-ca-file={PKI}/ca.crt"),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--enable-bootstrap-token-auth=true".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--etcd-servers={}", endpoints.join(",")),
        format!("--etcd-prefix=/{prefix}"),
        format!("--etcd-cafile={}", file("caFile")),
        format!("--etcd-certfile={}", file("clientCertFile")),
        format!("--etcd-keyfile={}", file("clientKeyFile")),
        format!("--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt"),
        format!("--kubelet-client-key={PKI}/apiserver-kubelet-client.key"),
        format!("--proxy-client-cert-file={PKI}/front-proxy-client.crt"),
        format!("--proxy-client-key-file={PKI}/front-proxy-client.key"),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        format!("--requestheader-client-ca-file={PKI}/front-proxy-ca.crt"),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!("--secure-port={port}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={PKI}/sa.pub"),
        format!("--service-account-signing-key-file={PKI}/sa.key"),
        format!("--service-cluster-ip-range={range}"),
        format!("--tls-cert-file={PKI}/server.crt"),
        format!("--tls-private-key-file={PKI}/server.key"),
    ];
    let further = config
        .pointer("/spec/api/extraArgs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    arguments.extend(further.map(|(name, value)| format!("--{name}={}", value.as_str().unwrap_or_default())));
    Ok(Start {
        arguments,
        address,
        port,
    })
}

/// Returns the names that k0s puts into the certificate of its API server.
fn names(config: &Value, external: Option<&str>, range: &str) -> Vec<String> {
    let domain = config
        .pointer("/spec/network/clusterDomain")
        .and_then(Value::as_str)
        .unwrap_or("cluster.local");
    let mut names: Vec<String> = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        "127.0.0.1",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push(format!("kubernetes.default.svc.{domain}"));
    names.extend(external.map(str::to_owned));
    names.extend(
        config
            .pointer("/spec/api/address")
            .and_then(Value::as_str)
            .map(str::to_owned),
    );
    let sans = config
        .pointer("/spec/api/sans")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    names.extend(sans.filter_map(Value::as_str).map(str::to_owned));
    names.extend(
        range
            .parse::<ipnet::IpNet>()
            .ok()
            .and_then(|net| net.hosts().next())
            .map(|ip| ip.to_string()),
    );
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

/// `host` of `host`, `host:port` and `[host]:port`.
fn host_of(text: &str) -> &str {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => match text.split_once(':') {
            // More than one colon: an IPv6 address without a port.
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    }
}

fn issue_leaves(root: &Path, names: &[String]) -> Result<(), String> {
    let read = |name: &str| {
        let path = inside(root, &format!("{PKI}/{name}"));
        fs::read_to_string(&path).map_err(|error| format!("{PKI}/{name}: {error}"))
    };
    let authority = |name: &str| {
        let (certificate, key) = (read(&format!("{name}.crt"))?, read(&format!("{name}.key"))?);
        if certificate.matches("BEGIN CERTIFICATE").count() != 1 {
            return Err(format!("{PKI}/{name}.crt: k0s reads exactly one certificate"));
        }
        Authority::from_pem(&certificate, &key).map_err(|error| format!("{PKI}/{name}: {error}"))
    };
    let write = |name: &str, pair: &Pair| {
        let folder = inside(root, PKI);
        fs::write(folder.join(format!("{name}.crt")), &pair.certificate)
            .and_then(|()| fs::write(folder.join(format!("{name}.key")), &pair.key))
            .map_err(|error| format!("{PKI}/{name}: {error}"))
    };
    let (cluster, front_proxy) = (authority("ca")?, authority("front-proxy-ca")?);
    write("server", &cluster.issue("kubernetes", Some("kubernetes"), names))?;
    let kubelet_client = cluster.issue("apiserver-kubelet-client", Some("system:masters"), &[]);
    write("apiserver-kubelet-client", &kubelet_client)?;
    write(
        "front-proxy-client",
        &front_proxy.issue("front-proxy-client", None, &[]),
    )
}
