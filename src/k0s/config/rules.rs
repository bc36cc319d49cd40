//! What several fields together, or the way a control plane is hosted, make wrong or useless.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{FORCED, Problem, Weight, at};
use crate::diagnostic::quote;

pub(super) fn problems(document: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = forced(document);
    problems.extend(api(document));
    problems.extend(profiles(document));
    problems.extend(repetitions(document));
    problems.extend(providers(document));
    problems.extend(hosting(document));
    problems
}

fn text<'a>(document: &'a Map<String, Value>, pointer: &str) -> Option<&'a str> {
    at(document, pointer)?.as_str()
}

fn items<'a>(document: &'a Map<String, Value>, pointer: &str) -> &'a [Value] {
    at(document, pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Values that the operator replaces.
fn forced(document: &Map<String, Value>) -> Vec<Problem> {
    let written = FORCED.iter().filter(|(pointer, source)| {
        let value = at(document, pointer);
        !source.is_empty() && value.is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
    });
    written
        .map(|&(pointer, source)| {
            if pointer.ends_with("/dataSource") {
                // It holds the password of a database.
                return Problem::new(
                    Weight::Mistake,
                    pointer,
                    "may hold a password, and has no effect",
                    "write `spec.storage.kine.dataSourceSecretName` of the cluster instead",
                );
            }
            Problem::without_effect(
                pointer,
                "has no effect: the operator sets it",
                format!("leave it out; it comes from {source}"),
            )
        })
        .collect()
}

/// What k0s asks of addresses and names of its API server.
fn api(document: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(address) = text(document, "/spec/api/address").filter(|address| !address.is_empty()) {
        let pointer = "/spec/api/address";
        match address.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() => problems.push(Problem::new(
                Weight::Mistake,
                pointer,
                "cannot be known before a pod runs",
                "leave it out: k0s takes the address of its pod",
            )),
            Ok(_) | Err(_) => problems.push(Problem::new(
                Weight::Refused,
                pointer,
                format!("cannot be {}", quote(address)),
                "leave it out: k0s takes the address of its pod",
            )),
        }
    }
    for (index, name) in items(document, "/spec/api/sans").iter().enumerate() {
        let Some(name) = name.as_str().filter(|name| !is_address_or_name(name)) else {
            continue;
        };
        let instead = if name.contains('*') {
            "write each name: k0s takes no wildcards here"
        } else {
            "write a host name or an IP address, without scheme and port"
        };
        problems.push(Problem::new(
            Weight::Refused,
            format!("/spec/api/sans/{index}"),
            format!("cannot be {}", quote(name)),
            instead,
        ));
    }
    let domain = text(document, "/spec/network/clusterDomain").filter(|domain| !is_name(domain));
    if let Some(domain) = domain {
        problems.push(Problem::new(
            Weight::Refused,
            "/spec/network/clusterDomain",
            format!("cannot be {}", quote(domain)),
            "write a domain such as `cluster.local`",
        ));
    }
    problems
}

fn is_address_or_name(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_name(text)
}

/// A DNS name as k0s reads it: labels of letters, digits, `-` and `_`, and no address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-')
    };
    let name = text.strip_suffix(['.', '_']).unwrap_or(text);
    text.len() <= 255 && text.parse::<IpAddr>().is_err() && name.split('.').all(is_label)
}

fn profiles(document: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, profile) in items(document, "/spec/workerProfiles").iter().enumerate() {
        let pointer = format!("/spec/workerProfiles/{index}");
        let Some(values) = profile.get("values").and_then(Value::as_object) else {
            if profile.is_object() {
                problems.push(Problem::new(
                    Weight::Mistake,
                    pointer,
                    "has no `values`, and k0s fails on such a profile",
                    "add `values:`, if need be with `{}`",
                ));
            }
            continue;
        };
        for name in ["clusterDNS", "clusterDomain", "staticPodURL"] {
            if values.contains_key(name) {
                problems.push(Problem::new(
                    Weight::Refused,
                    format!("{pointer}/values/{name}"),
                    "is set by k0s itself",
                    "leave it out",
                ));
            }
        }
    }
    problems
}

/// Lists whose entries are told apart by a field.
fn repetitions(document: &Map<String, Value>) -> Vec<Problem> {
    const NAMED: [&str; 4] = [
        "/spec/workerProfiles",
        "/spec/featureGates",
        "/spec/extensions/helm/charts",
        "/spec/extensions/helm/repositories",
    ];
    let mut problems = Vec::new();
    for list in NAMED {
        let mut seen = BTreeSet::new();
        for (index, item) in items(document, list).iter().enumerate() {
            let Some(name) = item.get("name").and_then(Value::as_str) else {
                continue;
            };
            if !seen.insert(name) {
                problems.push(Problem::new(
                    Weight::Mistake,
                    format!("{list}/{index}/name"),
                    format!("repeats {}", quote(name)),
                    "write each name once",
                ));
            }
        }
    }
    problems
}

/// Settings of the network provider that is not chosen.
fn providers(document: &Map<String, Value>) -> Vec<Problem> {
    let provider = text(document, "/spec/network/provider").unwrap_or("kuberouter");
    let mut problems = Vec::new();
    for other in ["calico", "kuberouter"]
        .into_iter()
        .filter(|&name| name != provider)
    {
        let pointer = format!("/spec/network/{other}");
        if at(document, &pointer).is_some_and(Value::is_object) {
            problems.push(Problem::without_effect(
                pointer,
                format!("has no effect: the provider is {}", quote(provider)),
                format!("write `provider: {other}`, or leave it out"),
            ));
        }
    }
    let mtu = "/spec/network/kuberouter/mtu";
    let is_automatic = at(document, "/spec/network/kuberouter/autoMTU") != Some(&Value::Bool(false));
    if is_automatic
        && at(document, mtu)
            .and_then(Value::as_i64)
            .is_some_and(|mtu| mtu != 0)
    {
        problems.push(Problem::without_effect(
            mtu,
            "has no effect while `autoMTU` is on",
            "write `autoMTU: false` beside it",
        ));
    }
    problems
}

/// What does not go together with a control plane that runs in pods of another cluster.
fn hosting(document: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let balancing = "/spec/network/controlPlaneLoadBalancing/enabled";
    if at(document, balancing) == Some(&Value::Bool(true)) {
        problems.push(Problem::new(
            Weight::Mistake,
            balancing,
            "needs the network of a machine, and control planes run in pods",
            "leave it out; `spec.service` of the cluster says how it is reached",
        ));
    }
    for pointer in ["/spec/installConfig", "/spec/extensions/storage"] {
        if at(document, pointer).is_some_and(Value::is_object) {
            problems.push(Problem::without_effect(
                pointer,
                "has no effect on a hosted control plane",
                "leave it out",
            ));
        }
    }
    for (index, repository) in items(document, "/spec/extensions/helm/repositories")
        .iter()
        .enumerate()
    {
        if repository
            .get("password")
            .is_some_and(|password| !password.is_null())
        {
            problems.push(Problem::without_effect(
                format!("/spec/extensions/helm/repositories/{index}/password"),
                "is readable by everybody who may read this file or the cluster",
                "use a repository without a password",
            ));
        }
    }
    problems
}
