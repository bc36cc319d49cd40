use serde_json::json;

use super::*;

fn found(document: Value, version: &str) -> Vec<Problem> {
    problems(document.as_object().unwrap(), Version::parse(version))
}

/// Weight, place and words of every problem, on the newest version known.
fn told(document: Value) -> Vec<(Weight, String, String)> {
    let found = found(document, "v1.36.3");
    found
        .into_iter()
        .map(|problem| (problem.weight, problem.pointer.clone(), problem.to_string()))
        .collect()
}

fn one(document: Value) -> (Weight, String, String) {
    let mut told = told(document);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

fn network(network: Value) -> Value {
    json!({"spec": {"network": network}})
}

#[test]
fn a_configuration_with_everything_usual_has_no_problem() {
    let document = json!({
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {
            "api": {"sans": ["api.example.com", "10.0.0.7", "fd00::1"], "extraArgs": {"v": "2"}, "ca": null},
            "network": {
                "provider": "calico",
                "calico": {"mode": "bird", "envVars": {"A": "b"}},
                "podCIDR": "10.8.0.0/16",
                "serviceCIDR": "10.9.0.0/16",
                "clusterDomain": "edge.local",
                "dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/56", "IPv6serviceCIDR": "fd01::/108"},
                "kubeProxy": {"mode": "nftables", "patches": [
                    {"target": {"kind": "DaemonSet", "name": "kube-proxy"},
                     "patch": {"type": "JSON", "content": "[]"}}]},
            },
            "images": {"repository": "registry:5000", "coredns": {"version": "1.2"}},
            "telemetry": {"enabled": false},
            "extensions": {"helm": {"charts": [
                {"name": "a", "chartname": "b/a", "namespace": "c", "timeout": "5m", "order": 1.0}]}},
            "workerProfiles": [{"name": "default", "values": {"maxPods": 200, "anything": [1]}}],
            "featureGates": [{"name": "A", "enabled": true, "components": ["kubelet"]}],
        },
    });
    assert_eq!(found(document.clone(), "v1.36.3"), []);
    assert_eq!(problems(document.as_object().unwrap(), None), []);
    assert_eq!(told(json!({})), []);
    assert_eq!(told(json!({"spec": null})), []);
}

#[test]
fn a_mistyped_field_is_found_where_it_is_and_refused_where_k0s_is_strict() {
    let (weight, pointer, words) = one(network(json!({"podCidr": "10.8.0.0/16"})));
    assert_eq!(
        (weight, pointer.as_str()),
        (Weight::Mistake, "/spec/network/podCidr")
    );
    assert_eq!(words, "is no field of k0s; did you mean `podCIDR`?");
    let (weight, pointer, _) = one(json!({"spec": {"scheduler": {"extraArg": {}}}}));
    assert_eq!(
        (weight, pointer.as_str()),
        (Weight::Refused, "/spec/scheduler/extraArg")
    );
    let (weight, ..) = one(json!({"spec": {"podSecurityPolicy": {}}}));
    assert_eq!(weight, Weight::Mistake);
    let (_, _, words) = one(json!({"spec": {"podCIDR": "10.8.0.0/16"}}));
    assert_eq!(
        words,
        "is no field of k0s; `podCIDR` is a field of `spec.network`"
    );
}

#[test]
fn what_a_version_newer_than_the_table_may_know_never_stops_a_cluster() {
    let document = json!({"spec": {"novelty": {}}});
    for (version, weight) in [
        ("v1.37.0", Weight::Mistake),
        ("v1.36.3", Weight::Refused),
        ("v1.33.1", Weight::Mistake),
    ] {
        assert_eq!(found(document.clone(), version)[0].weight, weight, "{version}");
    }
}

#[test]
fn a_field_says_since_when_k0s_knows_it() {
    let document = json!({"spec": {"metricsServer": {"patches": []}}});
    let told = found(document.clone(), "v1.35.7+k0s.0");
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].to_string(),
        "is known to k0s since v1.36, and this cluster is to run v1.35.7+k0s.0; leave it out, or write a \
         `spec.version` of v1.36 or newer"
    );
    assert_eq!(found(document, "v1.36.0"), []);
}

#[test]
fn a_value_of_another_type_says_how_to_write_it() {
    for (document, words) in [
        (
            json!({"spec": {"api": {"extraArgs": {"v": 2}}}}),
            "must be text, not 2; write it in quotes: \"2\"",
        ),
        (
            json!({"spec": {"api": {"k0sApiPort": "9443"}}}),
            "must be a whole number, not `9443`; write it without quotes",
        ),
        (
            json!({"spec": {"workerProfiles": {}}}),
            "must be a list, not a mapping; write a list: `[...]`, or one entry a line that begins with `- `",
        ),
        (
            network(json!({"kubeProxy": {"disabled": "yes"}})),
            "must be true or false, not `yes`; write true or false",
        ),
    ] {
        let (weight, _, told) = one(document);
        assert_eq!((weight, told.as_str()), (Weight::Refused, words));
    }
}

#[test]
fn words_and_limits_are_those_of_k0s() {
    let (_, _, words) = one(network(json!({"provider": "Calico"})));
    assert_eq!(words, "cannot be `Calico`; did you mean `calico`?");
    let (_, pointer, words) = one(json!({"spec": {"konnectivity": {"adminPort": 70000}}}));
    assert_eq!(pointer, "/spec/konnectivity/adminPort");
    assert_eq!(words, "cannot be 70000; write a number from 1 to 65535");
    let (_, pointer, words) =
        one(json!({"spec": {"extensions": {"helm": {"repositories": [{"name": "a"}]}}}}));
    assert_eq!(pointer, "/spec/extensions/helm/repositories/0");
    assert_eq!(words, "has no `url`; add `url:`");
}

#[test]
fn networks_are_readable_apart_and_of_a_size() {
    for (written, weight, place, words) in [
        (
            json!({"podCIDR": "10.8.0.0"}),
            Weight::Refused,
            "podCIDR",
            "cannot be `10.8.0.0`, which is no network; write an address and the length of its prefix, such as \
             `10.244.0.0/16`",
        ),
        (
            json!({"podCIDR": "10.100.0.0/16"}),
            Weight::Mistake,
            "podCIDR",
            "overlaps `serviceCIDR`, its default `10.96.0.0/12`; write networks that have no address in common",
        ),
        (
            json!({"podCIDR": "10.8.0.0/16", "serviceCIDR": "10.8.128.0/20"}),
            Weight::Mistake,
            "serviceCIDR",
            "overlaps `podCIDR`, `10.8.0.0/16`; write networks that have no address in common",
        ),
        (
            json!({"serviceCIDR": "10.0.0.0/9"}),
            Weight::Mistake,
            "serviceCIDR",
            "is too large for services; write a prefix of `/12` or longer",
        ),
        (
            json!({"podCIDR": "192.168.7.0/26"}),
            Weight::Mistake,
            "podCIDR",
            "is too small: every node takes a range of `/24`; write a prefix of `/24` or shorter",
        ),
        (
            json!({"podCIDR": "fd00::/56"}),
            Weight::Mistake,
            "podCIDR",
            "leaves pods with IPv6 and services with IPv4 addresses; write both networks of one family, or use \
             `dualStack`",
        ),
        (
            json!({"dualStack": {"enabled": true, "IPv6podCIDR": "fd00::/56"}}),
            Weight::Refused,
            "dualStack",
            "needs `IPv6serviceCIDR`; write both IPv6 networks",
        ),
    ] {
        let (found_weight, pointer, told) = one(network(written));
        assert_eq!(pointer, format!("/spec/network/{place}"));
        assert_eq!((found_weight, told.as_str()), (weight, words));
    }
}

#[test]
fn two_stacks_need_calico_in_its_mode_bird() {
    let dual = json!({"enabled": true, "IPv6podCIDR": "fd00::/56", "IPv6serviceCIDR": "fd01::/108"});
    let (weight, pointer, _) = one(network(json!({"provider": "calico", "dualStack": dual})));
    assert_eq!(
        (weight, pointer.as_str()),
        (Weight::Refused, "/spec/network/dualStack")
    );
    assert_eq!(told(network(json!({"dualStack": dual}))), []);
}

#[test]
fn what_the_operator_sets_is_told_and_stops_nothing() {
    let document = json!({"spec": {
        "api": {"port": "7443", "externalAddress": "a.example"},
        "storage": {"type": "etcd"},
    }});
    let told = told(document);
    assert!(
        told.iter().all(|(weight, ..)| *weight != Weight::Refused),
        "{told:?}"
    );
    let places: Vec<&str> = told.iter().map(|(_, pointer, _)| pointer.as_str()).collect();
    assert!(places.contains(&"/spec/api/externalAddress") && places.contains(&"/spec/storage/type"));
    let (weight, _, words) = one(json!({"spec": {"storage": {"kine": {"dataSource": "mysql://a:b@c/d"}}}}));
    assert_eq!(weight, Weight::Mistake);
    assert!(!words.contains("mysql"), "{words}");
    for (weight, _, words) in self::told(json!({"spec": {"storage": {"kine": {"dataSource": 4711}}}})) {
        assert!(weight != Weight::Refused && !words.contains("4711"), "{words}");
    }
    // A scalar in place of a mapping that the operator writes is replaced whole.
    assert_eq!(one(json!({"spec": {"api": 3}})).0, Weight::Mistake);
    assert_eq!(one(json!({"spec": {"scheduler": 3}})).0, Weight::Refused);
}

#[test]
fn names_profiles_and_what_needs_a_machine_are_checked() {
    let (weight, pointer, words) = one(json!({"spec": {"api": {"sans": ["a.example", "*.example"]}}}));
    assert_eq!((weight, pointer.as_str()), (Weight::Refused, "/spec/api/sans/1"));
    assert_eq!(
        words,
        "cannot be `*.example`; write each name: k0s takes no wildcards here"
    );
    let profile = json!({"name": "a", "values": {"clusterDNS": []}});
    let (weight, pointer, _) = one(json!({"spec": {"workerProfiles": [profile]}}));
    assert_eq!(
        (weight, pointer.as_str()),
        (Weight::Refused, "/spec/workerProfiles/0/values/clusterDNS")
    );
    let twice = json!([{"name": "a", "values": {}}, {"name": "a", "values": {}}]);
    assert_eq!(
        one(json!({"spec": {"workerProfiles": twice}})).1,
        "/spec/workerProfiles/1/name"
    );
    assert_eq!(
        one(json!({"spec": {"workerProfiles": [{"name": "a"}]}})).0,
        Weight::Mistake
    );
    let (weight, ..) = one(network(json!({"controlPlaneLoadBalancing": {"enabled": true}})));
    assert_eq!(weight, Weight::Mistake);
    let (weight, _, words) = one(network(json!({"calico": {"mode": "vxlan"}})));
    assert_eq!(weight, Weight::Advice);
    assert_eq!(
        words,
        "has no effect: the provider is `kuberouter`; write `provider: calico`, or leave it out"
    );
}
