//! Where a NodePort can be reached: the addresses of Nodes, reduced to what is used and put in order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::Object;

/// Kinds of address, best first. Others (`Hostname`, `InternalDNS`) need not resolve for a client.
const KINDS: [&str; 3] = ["ExternalDNS", "ExternalIP", "InternalIP"];

/// Usable addresses of all Nodes. Small: what else a Node says (and it says it often) is not kept.
#[derive(Debug, Default)]
pub struct Nodes {
    by_name: BTreeMap<String, Node>,
}

#[derive(Debug, PartialEq, Eq)]
struct Node {
    takes_pods: bool,
    /// Rank in [`KINDS`] and address.
    addresses: Vec<(usize, String)>,
}

impl Nodes {
    /// Takes a Node in. Says whether anything that is used changed.
    pub fn note(&mut self, name: &str, node: &Object) -> bool {
        let node = Node::read(node);
        if self.by_name.get(name) == Some(&node) {
            return false;
        }
        self.by_name.insert(name.to_owned(), node);
        true
    }

    /// Forgets a Node. Says whether it was known.
    pub fn forget(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Keeps only the Nodes of these names, after a complete list. Says whether anything went.
    pub fn keep_only(&mut self, is_there: impl Fn(&str) -> bool) -> bool {
        let before = self.by_name.len();
        self.by_name.retain(|name, _| is_there(name));
        self.by_name.len() != before
    }

    /// Returns all addresses, best first: of Nodes that are ready and take pods before those of others, then by kind,
    /// then by text. Equal Nodes give equal answers, whatever the order in which they were seen.
    pub fn addresses(&self) -> Vec<String> {
        let mut ranked: Vec<(bool, usize, &str)> = self
            .by_name
            .values()
            .flat_map(|node| {
                node.addresses
                    .iter()
                    .map(|(kind, address)| (!node.takes_pods, *kind, address.as_str()))
            })
            .collect();
        ranked.sort_unstable();
        let mut addresses: Vec<String> = Vec::new();
        for (_, _, address) in ranked {
            if !addresses.iter().any(|known| known == address) {
                addresses.push(address.to_owned());
            }
        }
        addresses
    }
}

impl Node {
    fn read(node: &Object) -> Self {
        let list = |pointer: &str| {
            node.0
                .pointer(pointer)
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_ready = list("/status/conditions").iter().any(|condition| {
            text(condition, "type").as_deref() == Some("Ready")
                && text(condition, "status").as_deref() == Some("True")
        });
        let is_cordoned = node.0.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
        let addresses = list("/status/addresses").iter().filter_map(|entry| {
            let kind = text(entry, "type")?;
            let rank = KINDS.iter().position(|known| *known == kind)?;
            Some((rank, text(entry, "address")?))
        });
        Self {
            takes_pods: is_ready && !is_cordoned,
            addresses: addresses.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(is_ready: bool, is_cordoned: bool, addresses: &[(&str, &str)]) -> Object {
        let addresses: Vec<Value> = addresses
            .iter()
            .map(|(kind, address)| json!({ "type": kind, "address": address }))
            .collect();
        let status = if is_ready { "True" } else { "False" };
        Object(json!({
            "spec": { "unschedulable": is_cordoned },
            "status": { "addresses": addresses, "conditions": [{ "type": "Ready", "status": status }] },
        }))
    }

    #[test]
    fn the_best_kind_of_address_comes_first_and_names_are_not_addresses() {
        let mut nodes = Nodes::default();
        nodes.note(
            "one",
            &node(
                true,
                false,
                &[
                    ("Hostname", "one"),
                    ("InternalIP", "10.0.0.1"),
                    ("ExternalIP", "192.0.2.9"),
                ],
            ),
        );
        nodes.note("two", &node(true, false, &[("ExternalDNS", "two.example")]));
        nodes.note("three", &node(true, false, &[("ExternalIP", "192.0.2.10")]));
        assert_eq!(
            nodes.addresses(),
            ["two.example", "192.0.2.10", "192.0.2.9", "10.0.0.1"]
        );
    }

    #[test]
    fn nodes_that_take_no_pods_come_last() {
        let mut nodes = Nodes::default();
        nodes.note("broken", &node(false, false, &[("ExternalIP", "192.0.2.1")]));
        nodes.note("cordoned", &node(true, true, &[("ExternalIP", "192.0.2.2")]));
        nodes.note("good", &node(true, false, &[("InternalIP", "10.0.0.3")]));
        assert_eq!(nodes.addresses(), ["10.0.0.3", "192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn a_heartbeat_is_no_change() {
        let mut nodes = Nodes::default();
        let mut object = node(true, false, &[("InternalIP", "10.0.0.1")]);
        assert!(nodes.note("one", &object));
        object.0["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2026-01-01T00:00:00Z");
        assert!(!nodes.note("one", &object));
        assert!(nodes.forget("one"));
        assert!(!nodes.forget("one"));
        assert!(nodes.addresses().is_empty());
    }
}
