//! The Pod Security level `baseline`, judged by ourselves: what is refused has a name before it is sent.
//!
//! Source: the Pod Security Standards of the Kubernetes documentation, policy version 1.36. A test asks a real server
//! for its verdict on the same pods.

use std::collections::BTreeSet;

use serde_json::Value;

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

const SELINUX_TYPES: [&str; 5] = [
    "",
    "container_engine_t",
    "container_init_t",
    "container_kvm_t",
    "container_t",
];

/// Where an object of a kind that makes pods has its template.
const TEMPLATES: [&str; 2] = ["/spec/template", "/spec/jobTemplate/spec/template"];

/// Returns the rules that the pods of an object break; none for an object that makes no pods.
///
/// *Shape*: each names the rule, and the field or volume that breaks it, so that one more is told from those before.
pub(super) fn violations_of(object: &Value) -> BTreeSet<String> {
    template(object).map(violations).unwrap_or_default()
}

/// Returns the template by which an object makes pods.
pub(super) fn template(object: &Value) -> Option<&Value> {
    TEMPLATES
        .iter()
        .filter_map(|pointer| object.pointer(pointer))
        .find(|template| template.get("spec").is_some())
}

/// Returns every container of a pod, with the field it stands in.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|field| items(pod, field).map(move |container| (field, container)))
}

/// Returns the items of a list; none where there is no list.
pub(super) fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// Returns the rules of `baseline` that a pod template breaks.
pub fn violations(template: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut note = |rule: &str, what: String| {
        found.insert(format!("{rule} ({what})"));
    };
    let none = Value::Null;
    let pod = template.get("spec").unwrap_or(&none);
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if is_true(pod.get(field)) {
            note("host namespaces", field.to_owned());
        }
    }
    for volume in items(pod, "volumes") {
        if volume.get("hostPath").is_some_and(|source| !source.is_null()) {
            note("hostPath volumes", format!("volume `{}`", text(volume, "name")));
        }
    }
    let annotations = template
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        let is_allowed =
            profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !is_allowed {
            note("AppArmor", format!("annotation `{key}`"));
        }
    }
    let pod_context = pod.get("securityContext").unwrap_or(&none);
    context("the pod", pod_context, &mut note);
    for sysctl in items(pod_context, "sysctls") {
        let name = text(sysctl, "name");
        if !SYSCTLS.contains(&name) {
            note("sysctls", name.to_owned());
        }
    }
    for (field, container) in containers(pod) {
        let place = format!("{field} `{}`", text(container, "name"));
        let security = container.get("securityContext").unwrap_or(&none);
        context(&place, security, &mut note);
        container_context(&place, security, &mut note);
        for port in items(container, "ports") {
            if port.get("hostPort").and_then(Value::as_i64).unwrap_or(0) != 0 {
                note("host ports", place.clone());
            }
        }
        for handler in handlers(container) {
            for action in ["httpGet", "tcpSocket"] {
                let host = handler
                    .get(action)
                    .map(|action| text(action, "host"))
                    .unwrap_or_default();
                if !host.is_empty() {
                    note("host probes and lifecycle hooks", place.clone());
                }
            }
        }
    }
    found
}

/// What pods and containers have in common.
fn context(place: &str, context: &Value, note: &mut impl FnMut(&str, String)) {
    if is_true(context.pointer("/windowsOptions/hostProcess")) {
        note("HostProcess", place.to_owned());
    }
    let profile = |field: &str| {
        let profile = context.get(field).filter(|profile| !profile.is_null());
        profile.map(|profile| text(profile, "type").to_owned())
    };
    let is_unconfined = |profile: Option<String>| {
        profile.is_some_and(|profile| !["RuntimeDefault", "Localhost"].contains(&profile.as_str()))
    };
    if is_unconfined(profile("seccompProfile")) {
        note("seccomp", place.to_owned());
    }
    if is_unconfined(profile("appArmorProfile")) {
        note("AppArmor", place.to_owned());
    }
    if let Some(options) = context.get("seLinuxOptions") {
        let is_custom = !SELINUX_TYPES.contains(&text(options, "type"))
            || !text(options, "user").is_empty()
            || !text(options, "role").is_empty();
        if is_custom {
            note("SELinux", place.to_owned());
        }
    }
}

fn container_context(place: &str, context: &Value, note: &mut impl FnMut(&str, String)) {
    if is_true(context.get("privileged")) {
        note("privileged containers", place.to_owned());
    }
    let none = Value::Null;
    for capability in items(context.get("capabilities").unwrap_or(&none), "add") {
        let capability = capability.as_str().unwrap_or_default();
        if !CAPABILITIES.contains(&capability) {
            note("capabilities", format!("{capability} of {place}"));
        }
    }
    if !["", "Default"].contains(&text(context, "procMount")) {
        note("/proc mount type", place.to_owned());
    }
}

/// Probes and hooks, all of which can be sent to another host than the pod.
fn handlers(container: &Value) -> impl Iterator<Item = &Value> {
    [
        "/livenessProbe",
        "/readinessProbe",
        "/startupProbe",
        "/lifecycle/postStart",
        "/lifecycle/preStop",
    ]
    .into_iter()
    .filter_map(|pointer| container.pointer(pointer))
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool) == Some(true)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::world::World;

    #[test]
    fn pods_that_are_rendered_break_no_rule() {
        let world = World::settled(json!({"service": {"type": "ClusterIP", "apiPort": 443}}));
        for name in ["kmc-edge", "kmc-edge-etcd"] {
            assert_eq!(violations(&world.template(name)), BTreeSet::new(), "{name}");
        }
    }

    #[test]
    fn every_container_and_volume_that_breaks_a_rule_is_named() {
        let template = json!({"spec": {
            "volumes": [{"name": "root", "hostPath": {"path": "/"}}, {"name": "fine", "emptyDir": {}}],
            "initContainers": [{"name": "a", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}],
            "containers": [{"name": "b", "ports": [{"hostPort": 80}, {"containerPort": 1}]}],
        }});
        let found: Vec<String> = violations(&template).into_iter().collect();
        assert_eq!(
            found,
            [
                "capabilities (SYS_ADMIN of initContainers `a`)",
                "host ports (containers `b`)",
                "hostPath volumes (volume `root`)",
            ]
        );
    }
}
