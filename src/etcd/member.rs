//! The configuration file of one member.

use serde_json::{Value, json};

pub const CLIENT_PORT: i32 = 2379;
pub const PEER_PORT: i32 = 2380;
/// Health and metrics without TLS, for the kubelet, which has no client certificate.
pub const METRICS_PORT: i32 = 2381;

/// A member by the name of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub pod: String,
    /// DNS name of the pod.
    pub host: String,
}

impl Member {
    /// Returns the members of an etcd, in the order of their pods.
    pub fn all(stateful_set: &str, namespace: &str, count: i32) -> Vec<Self> {
        (0..count)
            .map(|ordinal| Self::of(stateful_set, namespace, ordinal))
            .collect()
    }

    /// Returns the member that lives in one pod of the set.
    pub fn of(stateful_set: &str, namespace: &str, ordinal: i32) -> Self {
        let pod = format!("{stateful_set}-{ordinal}");
        let host = format!("{pod}.{stateful_set}.{namespace}.svc");
        Self { pod, host }
    }

    /// Where other members reach it. This is what an etcd knows a member by before it has started.
    pub fn peer_url(&self) -> String {
        format!("https://{}:{PEER_PORT}", self.host)
    }

    /// Where clients reach it.
    pub fn client_url(&self) -> String {
        format!("https://{}:{CLIENT_PORT}", self.host)
    }
}

/// How a member comes to its etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// With all the others, when the etcd begins.
    Founder,
    /// Into one that runs.
    Joiner,
}

impl Entry {
    fn state(self) -> &'static str {
        match self {
            Self::Founder => "new",
            Self::Joiner => "existing",
        }
    }
}

/// Returns the configuration of `member` in an etcd of `all` of them.
///
/// *Shape*: `join` counts how often this member has joined, 0 for the first time. `token` keeps members of different
/// clusters apart should their addresses ever be mixed up.
///
/// A member that has data reads only where it lies, and ignores who the others are. One that has lost its data and is
/// told that its etcd exists ([`Entry::Joiner`]) asks the others and does not start; told to found one, it would begin an
/// empty etcd of its own beside theirs.
pub fn member_configuration(member: &Member, all: &[Member], token: &str, entry: Entry, join: i32) -> Value {
    const KEYS: &str = "/etc/etcd-pki";
    let initial: Vec<String> = all
        .iter()
        .map(|one| format!("{}={}", one.pod, one.peer_url()))
        .collect();
    json!({
        "name": member.pod,
        // Each join starts in a directory of its own, so that what a removed member left is never read again.
        "data-dir": format!("/var/lib/etcd/join-{join}"),
        // Go listens on both families for this address where there are two.
        "listen-client-urls": format!("https://0.0.0.0:{CLIENT_PORT}"),
        "listen-peer-urls": format!("https://0.0.0.0:{PEER_PORT}"),
        "listen-metrics-urls": format!("http://0.0.0.0:{METRICS_PORT}"),
        "advertise-client-urls": member.client_url(),
        "initial-advertise-peer-urls": member.peer_url(),
        "initial-cluster": initial.join(","),
        "initial-cluster-state": entry.state(),
        "initial-cluster-token": token,
        "client-transport-security": {
            "cert-file": format!("{KEYS}/server.crt"),
            "key-file": format!("{KEYS}/server.key"),
            "trusted-ca-file": format!("{KEYS}/ca.crt"),
            "client-cert-auth": true,
        },
        "peer-transport-security": {
            "cert-file": format!("{KEYS}/peer.crt"),
            "key-file": format!("{KEYS}/peer.key"),
            "trusted-ca-file": format!("{KEYS}/ca.crt"),
            "client-cert-auth": true,
            // The CA also signs the API server's client certificate, which must not pass for a member. The name says
            // so; the address, which would be looked up backwards in DNS while pods come and go, does not.
            "allowed-cn": [PEER_COMMON_NAME],
            "skip-client-san-verification": true,
        },
        "tls-min-version": "TLS1.2",
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "5m",
        "snapshot-count": 10000,
    })
}

/// Common name of the certificate that members show each other.
pub const PEER_COMMON_NAME: &str = "etcd-peer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_called_as_their_pods_resolve() {
        let all = Member::all("kmc-edge-etcd", "tenant-7", 3);
        assert_eq!(all[2].host, "kmc-edge-etcd-2.kmc-edge-etcd.tenant-7.svc");
        let file = member_configuration(&all[1], &all, "token", Entry::Founder, 0);
        assert_eq!(file["name"], "kmc-edge-etcd-1");
        assert_eq!(file["data-dir"], "/var/lib/etcd/join-0");
        assert_eq!(
            file["initial-cluster"],
            "kmc-edge-etcd-0=https://kmc-edge-etcd-0.kmc-edge-etcd.tenant-7.svc:2380,\
             kmc-edge-etcd-1=https://kmc-edge-etcd-1.kmc-edge-etcd.tenant-7.svc:2380,\
             kmc-edge-etcd-2=https://kmc-edge-etcd-2.kmc-edge-etcd.tenant-7.svc:2380"
        );
    }

    #[test]
    fn who_joins_again_begins_in_a_directory_of_its_own() {
        let all = Member::all("kmc-edge-etcd", "tenant-7", 3);
        let file = member_configuration(&all[2], &all, "token", Entry::Joiner, 4);
        assert_eq!(file["data-dir"], "/var/lib/etcd/join-4");
        assert_eq!(file["initial-cluster-state"], "existing");
    }
}
