//! Limits and rules of a [`super::ClusterSpec`], in the order of its fields.

use super::rules::*;

/// Returns everything the API server refuses about the spec of a K0smotronCluster.
pub(super) fn constraints() -> Vec<Constraint> {
    let mut all = vec![across_fields()];
    all.extend(images_and_life());
    all.extend(exposure());
    all.extend(volumes_and_storage());
    all.extend(keys());
    all.extend(control_plane());
    all.extend(pods_and_objects());
    all
}

/// Rules on the spec itself: between fields, and about what must not change (the spec is always there; a field, and
/// a rule on it, may come and go).
fn across_fields() -> Constraint {
    let storage = |root| value_or(root, "storage.type", "'etcd'");
    let kine_secret = |root| value_or(root, "storage.kine.dataSourceSecretName", "''");
    let grows = |path: &str| {
        format!(
            "!({} && {}) || !quantity(string(self.{path})).isLessThan(quantity(string(oldSelf.{path})))",
            written("self", path),
            written("oldSelf", path),
        )
    };
    const GROWS: &str = "a volume cannot shrink; write the old size or more";
    at("")
        .rule_for("ingress", "!(has(self.ingress) && has(self.gateway))", "not together with `gateway`; write one of them")
        .rule_for(
            "version",
            format!(
                "!has(self.ingress) || !has(self.version) || self.version.matches('^v({})')",
                [
                    "1[.]34[.][1-9]",
                    "1[.]3[5-9][.]",
                    "1[.][4-9][0-9][.]",
                    "1[.][1-9][0-9][0-9]+[.]",
                    "[2-9][.]",
                    "[1-9][0-9]+[.]"
                ]
                .join("|")
            ),
            "too old for `ingress`; write v1.34.1+k0s.0 or newer, or remove `ingress`",
        )
        .rule_for(
            "replicas",
            format!("{} != 'hostPath' || self.replicas <= 1", value_or("self", "persistence.type", "'emptyDir'")),
            "more than one replica cannot share `persistence.type: hostPath`; write 1, or another type",
        )
        .rule_for(
            "storage.type",
            format!("{} == {}", storage("self"), storage("oldSelf")),
            "cannot be changed; the data would stay behind. Write the old type (unset is etcd), or make a new cluster",
        )
        .rule_for(
            "replicas",
            format!("{} != 'nats' || self.replicas == oldSelf.replicas", storage("self")),
            "cannot be changed with `storage.type: nats`; write the old number, or make a new cluster",
        )
        .rule_for(
            "storage.kine.dataSourceSecretName",
            format!("{} != 'kine' || {} == {}", storage("oldSelf"), kine_secret("self"), kine_secret("oldSelf")),
            "cannot be changed; the data would stay behind. Write the old name, or make a new cluster",
        )
        .rule_for("storage.etcd.persistence.size", grows("storage.etcd.persistence.size"), GROWS)
        .rule_for("storage.nats.persistence.size", grows("storage.nats.persistence.size"), GROWS)
        .rule_for(
            "certificateRefs",
            "(has(self.certificateRefs) ? self.certificateRefs.size() : 0) == \
             (has(oldSelf.certificateRefs) ? oldSelf.certificateRefs.size() : 0) && \
             (!has(self.certificateRefs) || self.certificateRefs.all(new, has(oldSelf.certificateRefs) && \
             oldSelf.certificateRefs.exists(old, old.type == new.type && old.name == new.name)))",
            "cannot be changed; clients and workers trust the old keys. Write the old list, or make a new cluster",
        )
        .rule_for(
            "pki.keyAlgorithm",
            unchanged("pki.keyAlgorithm", "'ECDSA-P256'"),
            "cannot be changed; write the old algorithm (unset is ECDSA-P256), or make a new cluster",
        )
        .rule_for(
            "remoteHostCluster",
            format!(
                "has(self.remoteHostCluster) == has(oldSelf.remoteHostCluster) && {} && {}",
                unchanged("remoteHostCluster.kubeconfigRef.name", "''"),
                unchanged("remoteHostCluster.kubeconfigRef.key", "'value'")
            ),
            "cannot be changed; the pods and volumes would stay behind. Write the old reference, or make a new cluster",
        )
}

fn images_and_life() -> Vec<Constraint> {
    vec![
        at("version").limit("maxLength", 63).rule(
            matches("v(0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})([+-]k0s[.](0|[1-9][0-9]{0,4}))?"),
            "not a k0s version; write v1.36.3+k0s.2, v1.36.3-k0s.2 or v1.36.3",
        ),
        repository("image"),
        repository_prefix("imageRepository"),
        at("imagePullSecrets").limit("maxItems", 16),
        object_name("imagePullSecrets[].name"),
        at("replicas").limit("minimum", 0).limit("maximum", 9).limit("default", 1),
        duration("ttl", "> duration('0s')", "not a life span; write a duration above zero, for example 72h or 1h30m"),
        address("externalAddress"),
    ]
}

fn exposure() -> Vec<Constraint> {
    const TAKEN: &str =
        "a port on which k0s itself listens; write another one than 8092, 8133, 9443, 10257, 10259";
    const FREE: &str = "!(self in [8092, 8133, 9443, 10257, 10259])";
    const SAME_HOST: &str = "the same host as `apiHost`; write another one, both share an address and a port";
    vec![
        at("service")
            .rule_for(
                "konnectivityPort",
                format!(
                    "{} != {}",
                    value_or("self", "apiPort", "6443"),
                    value_or("self", "konnectivityPort", "8132")
                ),
                "the same number as `apiPort`; write another one (unset, they are 6443 and 8132)",
            )
            .rule_for(
                "loadBalancerClass",
                "!has(self.loadBalancerClass) || (has(self.type) && self.type == 'LoadBalancer')",
                "only for `type: LoadBalancer`; write that type, or remove the field",
            )
            .rule_for(
                "loadBalancerSourceRanges",
                "!has(self.loadBalancerSourceRanges) || (has(self.type) && self.type == 'LoadBalancer')",
                "only for `type: LoadBalancer`; write that type, or remove the field",
            )
            .rule_for(
                "externalTrafficPolicy",
                "!has(self.externalTrafficPolicy) || !has(self.type) || self.type != 'ClusterIP'",
                "not for `type: ClusterIP`; write another type, or remove the field",
            ),
        port("service.apiPort").rule(FREE, TAKEN),
        port("service.konnectivityPort").rule(FREE, TAKEN),
        labels("service.labels"),
        at("service.labels{}").limit("maxLength", 63),
        annotations("service.annotations"),
        at("service.loadBalancerClass")
            .limit("maxLength", 317)
            .limit("minLength", 1),
        at("service.loadBalancerSourceRanges").limit("maxItems", 64),
        at("service.loadBalancerSourceRanges[]")
            .limit("maxLength", 64)
            .rule(
                "isCIDR(self)",
                "not a network; write address and prefix length, for example 10.0.0.0/8",
            ),
        at("service.ipFamilies").limit("maxItems", 2).rule(
            "self.size() < 2 || self[0] != self[1]",
            "the same family twice; write IPv4 and IPv6, or one of them",
        ),
        at("ingress").rule_for(
            "konnectivityHost",
            "self.apiHost != self.konnectivityHost",
            SAME_HOST,
        ),
        host_name("ingress.apiHost"),
        host_name("ingress.konnectivityHost"),
        port("ingress.port"),
        object_name("ingress.className"),
        annotations("ingress.annotations"),
        at("gateway").rule_for(
            "konnectivityHost",
            "self.apiHost != self.konnectivityHost",
            SAME_HOST,
        ),
        host_name("gateway.apiHost"),
        host_name("gateway.konnectivityHost"),
        port("gateway.port"),
        at("gateway.parentRefs")
            .limit("minItems", 1)
            .limit("maxItems", 16),
        object_name("gateway.parentRefs[].name"),
        label_name("gateway.parentRefs[].namespace"),
        object_name("gateway.parentRefs[].sectionName"),
        port("gateway.parentRefs[].port"),
    ]
}

fn volumes_and_storage() -> Vec<Constraint> {
    let of_type = |word: &str| format!("has(self.type) && self.type == '{word}'");
    let claim = "self.persistentVolumeClaim.spec";
    let mut all = vec![
        at("persistence")
            .rule_for(
                "hostPath",
                format!("has(self.hostPath) == ({})", of_type("hostPath")),
                "goes together with `type: hostPath`; write both or none",
            )
            .rule_for(
                "persistentVolumeClaim",
                format!("has(self.persistentVolumeClaim) == ({})", of_type("pvc")),
                "goes together with `type: pvc`; write both or none",
            )
            .rule_for(
                "persistentVolumeClaim",
                format!(
                    "!has(self.persistentVolumeClaim) || (has({claim}) && has({claim}.accessModes) && \
                     {claim}.accessModes.size() > 0 && has({claim}.resources) && has({claim}.resources.requests) && \
                     'storage' in {claim}.resources.requests)"
                ),
                "no complete claim; write `spec.accessModes` and `spec.resources.requests.storage`",
            ),
        at("persistence.hostPath").limit("maxLength", 1024).rule(ABSOLUTE, NOT_ABSOLUTE),
        at("persistence.persistentVolumeClaim.spec.accessModes").limit("maxItems", 4),
        at("persistence.persistentVolumeClaim.spec.resources.requests").limit("maxProperties", 16),
        label_name("persistence.persistentVolumeClaim.metadata.name"),
        labels("persistence.persistentVolumeClaim.metadata.labels"),
        at("persistence.persistentVolumeClaim.metadata.labels{}").limit("maxLength", 63),
        annotations("persistence.persistentVolumeClaim.metadata.annotations"),
        at("storage")
            .rule_for(
                "etcd",
                "!has(self.etcd) || !has(self.type) || self.type == 'etcd'",
                "only for `type: etcd`; remove one of them",
            )
            .rule_for(
                "kine",
                format!("!has(self.kine) || ({})", of_type("kine")),
                "only for `type: kine`; write that type, or remove the field",
            )
            .rule_for(
                "nats",
                format!("!has(self.nats) || ({})", of_type("nats")),
                "only for `type: nats`; write that type, or remove the field",
            )
            .rule_for(
                "kine.dataSourceSecretName",
                format!("!({}) || (has(self.kine) && has(self.kine.dataSourceSecretName))", of_type("kine")),
                "required with `type: kine`; write the name of a Secret of this namespace that holds the data source",
            ),
        image("storage.etcd.image"),
        at("storage.etcd.args")
            .limit("maxProperties", 64)
            .rule(
                "self.all(key, key.matches('^[a-z][-a-z0-9]*$'))",
                "not names of etcd settings; write them as in etcd's configuration file, for example `quota-backend-bytes`",
            )
            .rule(
                "self.all(key, !key.matches('^(name|data-dir|wal-dir|config-file|force-new-cluster|force-new-cluster-.*|\
                 listen-.*|advertise-.*|initial-.*|discovery.*|proxy.*|(client|peer)-(transport-security|cert-auth|cert-file|\
                 key-file|trusted-ca-file|auto-tls|crl-file)|(cert|key|trusted-ca|peer-.*|client-.*)-file|auto-tls|\
                 self-signed-cert-validity|enable-v2.*|strict-reconfig-check)$'))",
                "a setting that the operator makes; leave out names, addresses, certificates, membership and directories",
            ),
        at("storage.etcd.args{}").limit("maxLength", 4096),
        at("storage.etcd.members").rule("self in [1, 3, 5]", "not a size for etcd; write 1, 3 or 5"),
        at("storage.etcd.defragJob.schedule").limit("maxLength", 128).limit("minLength", 1),
        at("storage.etcd.defragJob.rule").limit("maxLength", 1024).limit("minLength", 1),
        image("storage.etcd.defragJob.image"),
        object_name("storage.kine.dataSourceSecretName"),
        secret_key("storage.kine.dataSourceSecretKey"),
    ];
    for (class, size) in [
        (
            "storage.etcd.persistence.storageClass",
            "storage.etcd.persistence.size",
        ),
        (
            "storage.nats.persistence.storageClass",
            "storage.nats.persistence.size",
        ),
    ] {
        all.push(object_name(class));
        all.push(at(size).limit("maxLength", 32).rule(
            "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
            "not a size; write a quantity above zero, for example 10Gi",
        ));
    }
    all
}

const ABSOLUTE: &str = "self.matches('^/[^:]+$') && !self.matches('(^|/)[.][.]?(/|$)')";
const NOT_ABSOLUTE: &str = "not an absolute path; begin it with `/`, without `.`, `..` and `:`";

fn secret_key(path: &'static str) -> Constraint {
    at(path).limit("maxLength", 253).rule(
        matches("[-._a-zA-Z0-9]+"),
        "not a key of a Secret; write letters, digits, `-`, `_` and `.`",
    )
}

fn keys() -> Vec<Constraint> {
    vec![
        at("certificateRefs").limit("maxItems", 7).rule(
            "self.all(one, self.exists_one(other, other.type == one.type))",
            "the same type twice; write each type once",
        ),
        object_name("certificateRefs[].name"),
        at("pki").rule_for(
            "renewBefore",
            format!(
                "!has(self.renewBefore) || duration(self.renewBefore) < duration({})",
                value_or("self", "leafLifetime", "'8760h'")
            ),
            "not shorter than the life of a certificate; write less than `leafLifetime` (unset, it is 8760h)",
        ),
        duration(
            "pki.leafLifetime",
            ">= duration('1h')",
            "not a life for certificates; write a duration of 1h or more, for example 8760h",
        ),
        duration(
            "pki.renewBefore",
            ">= duration('1m')",
            "not a time for renewal; write a duration of 1m or more, for example 720h",
        ),
    ]
}

fn control_plane() -> Vec<Constraint> {
    const OWNED: &str = "config|data-dir|enable-dynamic-config|single|enable-worker|no-taints|token-file|init-only|\
                         status-socket|cri-socket|labels|taints|profile|iptables-mode|kubelet-[-a-z]+|enable-cloud-provider";
    vec![
        at("k0sConfig")
            .rule_for(
                "apiVersion",
                "!has(self.apiVersion) || self.apiVersion == 'k0s.k0sproject.io/v1beta1'",
                "not the version of a k0s ClusterConfig; write k0s.k0sproject.io/v1beta1",
            )
            .rule_for(
                "kind",
                "!has(self.kind) || self.kind == 'ClusterConfig'",
                "not a k0s ClusterConfig; write ClusterConfig",
            ),
        at("manifests").limit("maxItems", 32).rule(
            "self.all(one, self.exists_one(other, other.name == one.name))",
            "the same name twice; write each name once",
        ),
        label_name("manifests[].name"),
        at("mounts").limit("maxItems", 32).rule(
            "self.all(one, self.exists_one(other, other.path == one.path))",
            "the same path twice; write each path once",
        ),
        at("mounts[].path").limit("maxLength", 512).rule(ABSOLUTE, NOT_ABSOLUTE).rule(
            "!self.matches('^(/|/var|/var/lib|/var/lib/k0s|/var/lib/k0s/(pki|etcd|bin|run)(/.*)?|/etc|/etc/k0s|/run|/tmp)/*$')",
            "a directory that k0s needs itself; write another path, or one below it",
        ),
        at("controlPlaneFlags").limit("maxItems", 64),
        at("controlPlaneFlags[]")
            .limit("maxLength", 4096)
            .rule(
                "self.matches('^--[a-z0-9]')",
                "not a flag; begin it with `--` and keep its value in the same item, for example `--logging=containerd=warn`",
            )
            .rule(
                format!("!self.matches('^--({OWNED})(=|$)')"),
                "a flag that the operator sets, or one for workers; leave it out",
            ),
        image("monitoring.prometheusImage"),
        image("monitoring.proxyImage"),
    ]
}

fn pods_and_objects() -> Vec<Constraint> {
    vec![
        at("nodeSelector").limit("maxProperties", 64),
        object_name("priorityClassName"),
        object_name("runtimeClassName"),
        object_name("serviceAccount"),
        labels("podLabels"),
        at("podLabels{}").limit("maxLength", 63),
        annotations("podAnnotations"),
        labels("kubeconfig.labels"),
        at("kubeconfig.labels{}").limit("maxLength", 63),
        annotations("kubeconfig.annotations"),
        duration(
            "kubeconfig.lifetime",
            ">= duration('10m')",
            "not a life for a kubeconfig; write a duration of 10m or more, for example 8760h",
        ),
        at("kubeconfig.group").limit("maxLength", 253).rule(
            "self.matches('^[^ ].*[^ ]$|^[^ ]$')",
            "not a group; write its name without spaces around it, for example system:masters",
        ),
        at("patches").limit("maxItems", 64),
        at("patches[].target.kind").limit("maxLength", 63).rule(
            matches("[A-Z][A-Za-z0-9]*"),
            "not a kind; write it as in a manifest, for example StatefulSet",
        ),
        at("patches[].target.component").limit("maxLength", 63),
        at("patches[].patch.content")
            .limit("maxLength", 65536)
            .limit("minLength", 1),
        object_name("remoteHostCluster.kubeconfigRef.name"),
        secret_key("remoteHostCluster.kubeconfigRef.key"),
    ]
}
