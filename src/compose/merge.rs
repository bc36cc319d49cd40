//! What a cluster says over what it inherits.
//!
//! **Invariant:** every key and value keeps the place where it was written, so that whatever is wrong with the whole
//! is shown in the file that says it.

use crate::parse::{Data, Entry, Node};

/// Lists of `spec` whose items are known by a field: an item replaces the inherited one of the same word, and all
/// others stay. Every other list replaces the inherited one.
const KEYED: [(&str, &str); 3] = [
    ("manifests", "name"),
    ("certificateRefs", "type"),
    ("mounts", "path"),
];

/// Lays a cluster over what it inherits. An unset `metadata` or `spec` inherits all; deeper, a null removes.
pub(super) fn cluster(base: &Node, over: Node) -> Node {
    mapping(base, over, |key, base, over| match key {
        _ if over.is_null() => Some(base.clone()),
        "spec" => Some(spec(base, over)),
        _ => Some(value(base, over)),
    })
}

/// Lays one value over another: mappings key by key, all else replaces.
fn value(base: &Node, over: Node) -> Node {
    mapping(base, over, |_, base, over| {
        (!over.is_null()).then(|| value(base, over))
    })
}

fn spec(base: &Node, over: Node) -> Node {
    mapping(base, over, |key, base, over| {
        if over.is_null() {
            return None;
        }
        Some(match key_of(key) {
            Some(word) => list(base, over, word),
            None => value(base, over),
        })
    })
}

/// Returns the field that items of a list of `spec` are known by.
pub(super) fn key_of(list: &str) -> Option<&'static str> {
    KEYED.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

/// Merges the entries of two mappings; `both` decides about keys that are in both, and `None` removes the key. When
/// one of the two is no mapping, `over` replaces.
fn mapping(base: &Node, over: Node, both: impl Fn(&str, &Node, Node) -> Option<Node>) -> Node {
    let Data::Mapping(inherited) = &base.data else {
        return over;
    };
    let Node { data, span } = over;
    let Data::Mapping(entries) = data else {
        return Node { data, span };
    };
    let mut merged = Vec::with_capacity(entries.len() + inherited.len());
    let mut is_over = vec![false; inherited.len()];
    for Entry { key, key_span, value } in entries {
        let Some(index) = inherited.iter().position(|entry| entry.key == key) else {
            merged.push(Entry { key, key_span, value });
            continue;
        };
        is_over[index] = true;
        // An unset mapping that inherits all stands where it is inherited from.
        let key_span = if value.is_null() {
            inherited[index].key_span
        } else {
            key_span
        };
        if let Some(value) = both(&key, &inherited[index].value, value) {
            merged.push(Entry { key, key_span, value });
        }
    }
    let rest = inherited.iter().zip(is_over).filter(|(_, is_over)| !is_over);
    merged.extend(rest.map(|(entry, _)| entry.clone()));
    Node::mapping(merged, span)
}

/// Replaces items of the same word and appends all others.
fn list(base: &Node, over: Node, word: &str) -> Node {
    let Data::Sequence(inherited) = &base.data else {
        return over;
    };
    let Node { data, span } = over;
    let Data::Sequence(items) = data else {
        return Node { data, span };
    };
    let name = |item: &Node| item.get(word).and_then(Node::text).map(str::to_owned);
    let mut merged = inherited.clone();
    for item in items {
        let place = name(&item).and_then(|wanted| {
            inherited
                .iter()
                .position(|other| name(other).is_some_and(|other| other == wanted))
        });
        match place {
            Some(index) => merged[index] = item,
            None => merged.push(item),
        }
    }
    Node {
        data: Data::Sequence(merged),
        span,
    }
}

/// Joins two defaults of one directory that say different things. The order of the two makes no difference: items of
/// lists are put in the order of their words.
pub(super) fn siblings(one: &Node, other: &Node) -> Node {
    let mut joined = cluster(one, other.clone());
    let specs = [one, other].map(|node| node.get("spec"));
    let Data::Mapping(parts) = &mut joined.data else {
        return joined;
    };
    for part in parts.iter_mut().filter(|part| part.key == "spec") {
        let Data::Mapping(fields) = &mut part.value.data else {
            continue;
        };
        for field in fields {
            let is_shared = specs
                .iter()
                .all(|spec| spec.is_some_and(|spec| spec.entry(&field.key).is_some()));
            if let (Some(word), Data::Sequence(items), true) =
                (key_of(&field.key), &mut field.value.data, is_shared)
            {
                items.sort_by(|one, other| {
                    let name = |item: &Node| item.get(word).and_then(Node::text).map(str::to_owned);
                    name(one).cmp(&name(other))
                });
            }
        }
    }
    joined
}

/// Two places that set the same path, with that path as a JSON pointer.
pub(super) struct Conflict<'a> {
    pub pointer: String,
    pub one: &'a Entry,
    pub other: &'a Entry,
}

/// Finds what two defaults of one directory both set. Mappings are compared key by key, lists whose items are known
/// by a word item by item.
pub(super) fn conflicts<'a>(one: &'a Node, other: &'a Node, pointer: &str, found: &mut Vec<Conflict<'a>>) {
    for left in one.entries() {
        let Some(right) = other.entry(&left.key) else {
            continue;
        };
        let pointer = crate::object::pointer::push(pointer, &left.key);
        let word = pointer
            .strip_prefix("/spec/")
            .filter(|rest| !rest.contains('/'))
            .and_then(key_of);
        let is_apart = match (&left.value.data, &right.value.data) {
            (Data::Mapping(_), Data::Mapping(_)) => {
                conflicts(&left.value, &right.value, &pointer, found);
                true
            }
            (Data::Sequence(left), Data::Sequence(right)) => word.is_some_and(|word| {
                let name = |item: &Node| item.get(word).and_then(Node::text).map(str::to_owned);
                !left.iter().any(|item| {
                    right
                        .iter()
                        .any(|other| name(item).is_none() || name(other) == name(item))
                })
            }),
            _ => false,
        };
        if !is_apart {
            found.push(Conflict {
                pointer,
                one: left,
                other: right,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::diagnostic::SourceTree;
    use crate::parse;

    fn node(text: &str) -> Node {
        let tree = SourceTree::from_texts([("a.yaml", text)]);
        let (mut documents, findings) = parse::documents(&tree);
        assert!(findings.is_empty(), "{findings:?}");
        documents.remove(0).root
    }

    fn merged(base: &str, over: &str) -> Value {
        cluster(&node(base), node(over)).to_json()
    }

    #[test]
    fn mappings_are_merged_key_by_key_and_a_null_removes() {
        let base = "{spec: {replicas: 3, service: {type: NodePort, apiPort: 30443}, podLabels: {a: b}}}";
        let over = "{spec: {service: {apiPort: 30444}, podLabels: null, paused: true}}";
        let expected = json!({"spec": {"replicas": 3, "service": {"type": "NodePort", "apiPort": 30444}, "paused": true}});
        assert_eq!(merged(base, over), expected);
    }

    #[test]
    fn an_unset_spec_inherits_all() {
        let base = "{spec: {replicas: 3}, metadata: {labels: {a: b}}}";
        let all = json!({"spec": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}});
        for over in ["{spec: null, metadata: {}}", "{spec: {}}", "{kind: null}"] {
            assert_eq!(merged(base, over), all, "{over}");
        }
        assert_eq!(
            merged(base, "{metadata: {labels: null}}"),
            json!({"spec": {"replicas": 3}, "metadata": {}})
        );
    }

    #[test]
    fn lists_replace_but_for_those_whose_items_have_a_name() {
        let base = "{spec: {controlPlaneFlags: [-a, -b], manifests: [{name: x, emptyDir: {}}, {name: w}], \
                    certificateRefs: [{type: ca, name: a}], mounts: [{path: /a}]}}";
        let over = "{spec: {controlPlaneFlags: [-c], manifests: [{name: x, secret: s}, {name: z}], \
                    certificateRefs: [{type: sa, name: b}], mounts: [{path: /a, readOnly: true}]}}";
        let expected = json!({"spec": {
            "controlPlaneFlags": ["-c"],
            "manifests": [{"name": "x", "secret": "s"}, {"name": "w"}, {"name": "z"}],
            "certificateRefs": [{"type": "ca", "name": "a"}, {"type": "sa", "name": "b"}],
            "mounts": [{"path": "/a", "readOnly": true}],
        }});
        assert_eq!(merged(base, over), expected);
        assert_eq!(
            merged(base, "{spec: {k0sConfig: {manifests: [{name: q}]}}}")["spec"]["k0sConfig"]["manifests"],
            json!([{"name": "q"}])
        );
    }

    #[test]
    fn siblings_give_the_same_in_either_order() {
        let one = node("{spec: {replicas: 3, manifests: [{name: b}, {name: d}]}}");
        let other = node("{spec: {paused: true, manifests: [{name: c}, {name: a}]}}");
        assert_eq!(siblings(&one, &other).to_json(), siblings(&other, &one).to_json());
    }

    #[test]
    fn the_same_path_in_two_siblings_is_a_conflict_and_another_one_is_not() {
        let pointers = |one: &str, other: &str| {
            let (one, other) = (node(one), node(other));
            let mut found = Vec::new();
            conflicts(&one, &other, "", &mut found);
            found
                .into_iter()
                .map(|conflict| conflict.pointer)
                .collect::<Vec<_>>()
        };
        let one = "{spec: {service: {type: NodePort}, manifests: [{name: a}], controlPlaneFlags: [-a]}}";
        assert_eq!(
            pointers(one, "{spec: {service: {apiPort: 30443}, manifests: [{name: b}]}}"),
            [""; 0]
        );
        assert_eq!(
            pointers(
                one,
                "{spec: {service: {type: ClusterIP}, manifests: [{name: a}], controlPlaneFlags: []}}"
            ),
            ["/spec/service/type", "/spec/manifests", "/spec/controlPlaneFlags"]
        );
        assert_eq!(pointers(one, "{spec: {service: null}}"), ["/spec/service"]);
    }
}
