//! The networks of a cluster: that they can be read, fit their purpose, and are apart.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{Problem, Weight, at};
use crate::diagnostic::quote;

/// A network as Go's `net.ParseCIDR` reads it: bits behind the prefix count nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// The address, mapped to 128 bits.
    bits: u128,
    prefix: u32,
    is_v6: bool,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|_| is_number)?;
        let (bits, is_v6) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, false),
            IpAddr::V6(address) => (u128::from(address), true),
        };
        let network = Self { bits, prefix, is_v6 };
        (prefix <= network.width()).then_some(network)
    }

    fn width(self) -> u32 {
        if self.is_v6 { 128 } else { 32 }
    }

    fn overlaps(self, other: Self) -> bool {
        let shared = self.prefix.min(other.prefix);
        let mask = u128::MAX.checked_shl(128 - shared).unwrap_or(0);
        self.is_v6 == other.is_v6 && (self.bits ^ other.bits) & mask == 0
    }

    fn family(self) -> &'static str {
        if self.is_v6 { "IPv6" } else { "IPv4" }
    }
}

const POD: &str = "/spec/network/podCIDR";
const SERVICE: &str = "/spec/network/serviceCIDR";
const DUAL: &str = "/spec/network/dualStack";
const POD_V6: &str = "/spec/network/dualStack/IPv6podCIDR";
const SERVICE_V6: &str = "/spec/network/dualStack/IPv6serviceCIDR";

/// What k0s takes for networks that are not written.
const POD_DEFAULT: &str = "10.244.0.0/16";
const SERVICE_DEFAULT: &str = "10.96.0.0/12";

/// Addresses of nodes come in ranges of this size unless the controller manager is told otherwise.
const NODE_PREFIX: u32 = 24;

pub(super) fn problems(document: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let is_dual = at(document, &format!("{DUAL}/enabled")) == Some(&Value::Bool(true));
    let pod = network(document, POD, Some(POD_DEFAULT), &mut problems);
    let service = network(document, SERVICE, Some(SERVICE_DEFAULT), &mut problems);
    if !is_dual
        && let (Some(pod), Some(service)) = (pod, service)
        && pod.is_v6 != service.is_v6
    {
        let place = if at(document, SERVICE).is_some() {
            SERVICE
        } else {
            POD
        };
        problems.push(Problem::new(
            Weight::Mistake,
            place,
            format!(
                "leaves pods with {} and services with {} addresses",
                pod.family(),
                service.family()
            ),
            "write both networks of one family, or use `dualStack`",
        ));
    }
    sizes(document, pod, service, &mut problems);
    apart(document, [(POD, pod), (SERVICE, service)], &mut problems);
    if is_dual {
        let pod_v6 = network(document, POD_V6, None, &mut problems);
        let service_v6 = network(document, SERVICE_V6, None, &mut problems);
        for (pointer, network) in [(POD_V6, pod_v6), (SERVICE_V6, service_v6)] {
            if network.is_some_and(|network| !network.is_v6) {
                problems.push(wrong_family(pointer, "IPv6", "fd00:10:244::/56"));
            }
        }
        for (pointer, network) in [(POD, pod), (SERVICE, service)] {
            if network.is_some_and(|network| network.is_v6) {
                problems.push(wrong_family(pointer, "IPv4", "10.244.0.0/16"));
            }
        }
        if service_v6.is_some_and(|network| network.is_v6 && network.prefix < 108) {
            problems.push(Problem::new(
                Weight::Mistake,
                SERVICE_V6,
                "is too large for services",
                "write a prefix of `/108` or longer",
            ));
        }
        apart(
            document,
            [(POD_V6, pod_v6), (SERVICE_V6, service_v6)],
            &mut problems,
        );
        let mode = at(document, "/spec/network/calico/mode").and_then(Value::as_str);
        let is_calico = at(document, "/spec/network/provider").and_then(Value::as_str) == Some("calico");
        if is_calico && mode.unwrap_or("vxlan") != "bird" {
            let at_mode = "/spec/network/calico/mode";
            let pointer = if mode.is_some() { at_mode } else { DUAL };
            problems.push(Problem::new(
                Weight::Refused,
                pointer,
                "goes with calico in its mode `bird` only",
                "write `calico: {mode: bird}`",
            ));
        }
    }
    problems
}

/// Reads a network; what is written and cannot be read is a problem.
fn network(
    document: &Map<String, Value>,
    pointer: &str,
    default: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Option<Network> {
    let instead = "write an address and the length of its prefix, such as `10.244.0.0/16`";
    let text = match at(document, pointer) {
        None | Some(Value::Null) => match default {
            Some(default) => default,
            None => {
                let what = format!("needs `{}`", pointer.rsplit('/').next().unwrap_or_default());
                problems.push(Problem::new(
                    Weight::Refused,
                    DUAL,
                    what,
                    "write both IPv6 networks",
                ));
                return None;
            }
        },
        Some(Value::String(text)) => text,
        // Another type is a problem of its own.
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => return None,
    };
    let network = Network::parse(text);
    if network.is_none() {
        let what = format!("cannot be {}, which is no network", quote(text));
        problems.push(Problem::new(Weight::Refused, pointer, what, instead));
    }
    network
}

fn wrong_family(pointer: &str, family: &str, example: &str) -> Problem {
    Problem::new(
        Weight::Mistake,
        pointer,
        format!("must be an {family} network beside `dualStack`"),
        format!("write for example `{example}`"),
    )
}

fn sizes(
    document: &Map<String, Value>,
    pod: Option<Network>,
    service: Option<Network>,
    problems: &mut Vec<Problem>,
) {
    if let Some(service) = service {
        let host_bits = service.width() - service.prefix;
        // The API server keeps a map of at most 2^20 addresses; k0s takes the second one for DNS.
        if host_bits > 20 {
            problems.push(Problem::new(
                Weight::Mistake,
                SERVICE,
                "is too large for services",
                format!("write a prefix of `/{}` or longer", service.width() - 20),
            ));
        } else if host_bits < 2 {
            problems.push(Problem::new(
                Weight::Mistake,
                SERVICE,
                "is too small for services",
                format!("write a prefix of `/{}` or shorter", service.width() - 4),
            ));
        }
    }
    let is_asked_for =
        |name: &str| at(document, &format!("/spec/controllerManager/extraArgs/{name}")).is_some();
    let has_own_size = is_asked_for("node-cidr-mask-size") || is_asked_for("node-cidr-mask-size-ipv4");
    if let Some(pod) = pod
        && !pod.is_v6
        && pod.prefix > NODE_PREFIX
        && !has_own_size
    {
        problems.push(Problem::new(
            Weight::Mistake,
            POD,
            format!("is too small: every node takes a range of `/{NODE_PREFIX}`"),
            format!("write a prefix of `/{NODE_PREFIX}` or shorter"),
        ));
    }
}

/// Finds networks that overlap: an address must say whether it is a pod's or a service's.
fn apart(document: &Map<String, Value>, pair: [(&str, Option<Network>); 2], problems: &mut Vec<Problem>) {
    let [(one, Some(first)), (other, Some(second))] = pair else {
        return;
    };
    if !first.overlaps(second) {
        return;
    }
    // What is not written cannot be wrong.
    let (place, beside) = if at(document, other).is_some() {
        (other, one)
    } else {
        (one, other)
    };
    let shown = match at(document, beside).and_then(Value::as_str) {
        Some(text) => quote(text),
        None if beside == POD => format!("its default `{POD_DEFAULT}`"),
        None => format!("its default `{SERVICE_DEFAULT}`"),
    };
    let name = beside.rsplit('/').next().unwrap_or_default();
    problems.push(Problem::new(
        Weight::Mistake,
        place,
        format!("overlaps `{name}`, {shown}"),
        "write networks that have no address in common",
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_go_reads_them() {
        for right in ["10.0.0.1/8", "0.0.0.0/0", "fd00::/108", "::/0", "10.0.0.0/32"] {
            assert!(Network::parse(right).is_some(), "{right}");
        }
        for wrong in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/+8",
            "fd00::/129",
            "/8",
            "10.0.0.0/",
            "a/8",
        ] {
            assert!(Network::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let overlap = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| Network::parse(text).unwrap());
            assert_eq!(one.overlaps(other), other.overlaps(one));
            one.overlaps(other)
        };
        assert!(overlap("10.96.0.0/12", "10.100.0.0/16"));
        assert!(overlap("0.0.0.0/0", "10.0.0.0/8"));
        assert!(overlap("fd00::/56", "fd00::8000/108"));
        assert!(!overlap("10.96.0.0/12", "10.112.0.0/16"));
        assert!(!overlap("0.0.0.0/0", "::/0"));
    }
}
