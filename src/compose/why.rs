//! Where the values of a field came from: everything that speaks of it, and what won.
//!
//! **Invariant:** the layers are those that the clusters were merged from, and they are looked at with the rules of the
//! merge: what is asked for is never merged a second time in another way.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::inherit::Inheritance;
use super::provenance::is_put_in;
use super::{Reading, WrittenIn, merge, read_watched};
use crate::diagnostic::{SourceTree, Span};
use crate::object::{Object, pointer};
use crate::parse::{Data, Document, Node};

/// What says a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The document of the cluster.
    Cluster,
    /// The template of a set.
    Template,
    /// A row, through a reference in the template.
    Row,
    Defaults,
}

impl Layer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Template => "template",
            Self::Row => "row",
            Self::Defaults => "defaults",
        }
    }
}

/// One thing that is said about a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub layer: Layer,
    /// Where it is written: the key, or the value that was put in.
    pub place: Span,
    /// Where the template refers to the row.
    pub template: Option<Span>,
    /// `None`: null, which takes away what is inherited.
    pub value: Option<Value>,
}

/// A field of one cluster that is merged as a whole: no layer can say a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// As people write it: `spec.version`, `spec.manifests[audit]`.
    pub field: String,
    /// As it is composed; `None` when it is not set.
    pub value: Option<Value>,
    /// The nearest first: that one won.
    pub said: Vec<Said>,
}

/// The origins of a field and all below it, by namespace and name of the cluster.
pub type Why = BTreeMap<(String, String), Vec<Origin>>;

/// Reads a fleet as [`super::read`] does, and says where a field of every valid cluster came from.
///
/// *Shape*: `field` is a JSON pointer. A cluster of which nothing says the field has no origins; the origins of one
/// cluster are in the order of their fields.
pub fn read_with_why(tree: &SourceTree, field: &str) -> (Reading, Why) {
    let asked: Vec<String> = pointer::steps(field).map(Cow::into_owned).collect();
    let mut said = BTreeMap::new();
    let reading = read_watched(tree, &mut |inheritance, document, written| {
        let name = |pointer| document.root.find(pointer).and_then(|(node, _)| node.text());
        if let (Some(namespace), Some(name)) = (name("/metadata/namespace"), name("/metadata/name")) {
            let path = &tree.file(document.file).path;
            let of_cluster = origins(inheritance, document, path, written, &asked);
            said.insert((namespace.to_owned(), name.to_owned()), of_cluster);
        }
    });
    let mut why = Why::new();
    for cluster in &reading.clusters {
        let key = (cluster.namespace.clone(), cluster.name.clone());
        let origins = said.remove(&key).unwrap_or_default().into_iter();
        let origins = origins.map(|(path, said)| Origin {
            value: path.value(&cluster.object),
            field: path.shown(),
            said,
        });
        why.insert(key, origins.collect());
    }
    (reading, why)
}

fn origins(
    inheritance: &Inheritance,
    document: &Document,
    path: &str,
    written: WrittenIn,
    asked: &[String],
) -> Vec<(Path, Vec<Said>)> {
    let own = std::iter::once((&document.root, Some(written)));
    let inherited = inheritance.defaults(document, path).into_iter();
    let layers: Vec<(&Node, Option<WrittenIn>)> = own.chain(inherited.map(|node| (node, None))).collect();
    let mut paths = BTreeSet::new();
    for (layer, _) in &layers {
        find(layer, asked, &Path::default(), &mut paths);
    }
    // Where one layer takes a mapping away, and another one says something in it, the latter is asked about.
    let all: Vec<Path> = paths.iter().cloned().collect();
    paths.retain(|path| !all.iter().any(|other| path.is_around(other)));
    let about = |path: Path| {
        let said = layers
            .iter()
            .filter_map(|(layer, written)| path.said(layer, *written));
        let said = said.collect();
        (path, said)
    };
    paths.into_iter().map(about).collect()
}

/// The way to a field that is merged as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    keys: Vec<String>,
    /// The last key holds a list, and this is the word that the item is known by.
    item: Option<String>,
}

impl Path {
    fn below(&self, key: &str) -> Self {
        let mut keys = self.keys.clone();
        keys.push(key.to_owned());
        Self { keys, item: None }
    }

    fn is_around(&self, other: &Self) -> bool {
        self != other && self.item.is_none() && other.keys.starts_with(&self.keys)
    }

    /// The field by which items of the list at this path are known, if it is such a list.
    fn word(&self) -> Option<&'static str> {
        match self.keys.as_slice() {
            [spec, list] if spec == "spec" => merge::key_of(list),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        let pointer = self
            .keys
            .iter()
            .fold(String::new(), |pointer, key| pointer::push(&pointer, key));
        let item = self.item.as_ref().map(|item| format!("[{item}]"));
        pointer::to_field_path(&pointer) + &item.unwrap_or_default()
    }

    fn value(&self, object: &Object) -> Option<Value> {
        let mut value = &object.0;
        for key in &self.keys {
            value = value.get(key)?;
        }
        if let (Some(item), Some(word)) = (&self.item, self.word()) {
            let mut items = value.as_array()?.iter();
            value = items.find(|one| one.get(word).and_then(Value::as_str) == Some(item))?;
        }
        Some(value.clone())
    }

    /// Returns what a layer says about this path: its value, or that it, or what is around it, is taken away.
    fn said(&self, layer: &Node, written: Option<WrittenIn>) -> Option<Said> {
        let (mut node, mut key) = (layer, None);
        for (depth, step) in self.keys.iter().enumerate() {
            let entry = node.entry(step)?;
            (node, key) = (&entry.value, Some(entry.key_span));
            if node.is_null() {
                // An unset `spec` inherits everything.
                return (depth > 0).then(|| said(node, key, written));
            }
        }
        if let (Some(item), Some(word), Data::Sequence(items)) = (&self.item, self.word(), &node.data) {
            let known = |one: &&Node| one.get(word).and_then(Node::text) == Some(item);
            (node, key) = (items.iter().find(known)?, None);
        }
        Some(said(node, key, written))
    }
}

fn said(node: &Node, key: Option<Span>, written: Option<WrittenIn>) -> Said {
    let put_in = key.filter(|key| is_put_in(*key, node.span));
    let (layer, place, template) = match (written, put_in) {
        (Some(WrittenIn::Set), Some(template)) => (Layer::Row, node.span, Some(template)),
        (Some(WrittenIn::Set), None) => (Layer::Template, key.unwrap_or(node.span), None),
        // Through an alias: shown is the key that holds it.
        (Some(WrittenIn::Document), _) => (Layer::Cluster, key.unwrap_or(node.span), None),
        (None, _) => (Layer::Defaults, key.unwrap_or(node.span), None),
    };
    Said {
        layer,
        place,
        template,
        value: (!node.is_null()).then(|| node.to_json()),
    }
}

/// Collects the ways to all that is merged as a whole at what is asked for and below it.
fn find(node: &Node, asked: &[String], path: &Path, found: &mut BTreeSet<Path>) {
    let (next, rest) = match asked.split_first() {
        Some((next, rest)) => (Some(next), rest),
        None => (None, asked),
    };
    match &node.data {
        Data::Mapping(entries) if !entries.is_empty() => {
            let asked = |key: &String| next.is_none_or(|next| next == key);
            for entry in entries.iter().filter(|entry| asked(&entry.key)) {
                find(&entry.value, rest, &path.below(&entry.key), found);
            }
        }
        Data::Sequence(items) if path.word().is_some() => {
            let words = items
                .iter()
                .filter_map(|item| item.get(path.word()?).and_then(Node::text));
            // A number is the place in one of the layers, and says nothing about the others.
            let is_asked = |word: &&str| {
                next.is_none_or(|next| next == word || next.bytes().all(|byte| byte.is_ascii_digit()))
            };
            for word in words.filter(is_asked) {
                let item = Some(word.to_owned());
                found.insert(Path { item, ..path.clone() });
            }
        }
        Data::Null if path.keys.len() < 2 => {}
        Data::Null
        | Data::Bool(_)
        | Data::Number(_)
        | Data::Text(_)
        | Data::Sequence(_)
        | Data::Mapping(_) => {
            found.insert(path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::read;

    const DEFAULTS: &str =
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\nmetadata: {name: all}\n";

    fn tree() -> SourceTree {
        let cluster = "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {name: berlin, namespace: tenant-7}\n\
                       spec:\n  version: v1.36.3+k0s.2\n  service: null\n  manifests: [{name: own, configMap: {name: own}}]\n";
        let set = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {name: shops}\nspec:\n  key: site\n\
                   \x20 columns: {replicas: integer}\n  generators: [{csv: {path: shops.csv}}]\n  template:\n    metadata: {name: '${site}', namespace: tenant-7}\n\
                   \x20   spec:\n      replicas: ${replicas ?? 1}\n      externalAddress: ${site}.example.org\n";
        SourceTree::from_texts([
            (
                "defaults.yaml",
                format!(
                    "{DEFAULTS}spec:\n  version: v1.34.1+k0s.0\n  service: {{type: ClusterIP}}\n  manifests: [{{name: audit, configMap: {{name: far}}}}]\n"
                ),
            ),
            (
                "prod/defaults.yaml",
                format!(
                    "{DEFAULTS}spec:\n  version: v1.35.1+k0s.0\n  manifests: [{{name: audit, configMap: {{name: near}}}}]\n"
                ),
            ),
            ("prod/berlin.yaml", cluster.to_owned()),
            ("sets/shops.yaml", set.to_owned()),
            ("sets/shops.csv", "site,replicas\nrome,3\noslo,\n".to_owned()),
        ])
    }

    /// What is said about a field of a cluster: `layer place value`, the value as it is composed first.
    fn why(name: &str, field: &str) -> Vec<(String, String, Vec<String>)> {
        let tree = tree();
        let (reading, mut why) = read_with_why(&tree, field);
        assert_eq!(reading, read(&tree), "asking changes nothing");
        let shown = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let one = |said: &Said| {
            let place = tree.position(said.place);
            format!("{} {place} {}", said.layer.as_str(), shown(&said.value))
        };
        let origins = why.remove(&("tenant-7".to_owned(), name.to_owned())).unwrap();
        let origins = origins.into_iter();
        origins
            .map(|origin| {
                let said = origin.said.iter().map(one).collect();
                (origin.field, shown(&origin.value), said)
            })
            .collect()
    }

    fn field(name: &str, value: &str, said: &[&str]) -> (String, String, Vec<String>) {
        let said = said.iter().map(|&said| said.to_owned()).collect();
        (name.to_owned(), value.to_owned(), said)
    }

    #[test]
    fn every_layer_is_named_and_the_nearest_one_won() {
        let expected = field(
            "spec.version",
            "\"v1.36.3+k0s.2\"",
            &[
                "cluster prod/berlin.yaml:5:3 \"v1.36.3+k0s.2\"",
                "defaults prod/defaults.yaml:5:3 \"v1.35.1+k0s.0\"",
                "defaults defaults.yaml:5:3 \"v1.34.1+k0s.0\"",
            ],
        );
        assert_eq!(why("berlin", "/spec/version"), [expected]);
    }

    #[test]
    fn what_was_taken_away_is_told_with_what_would_have_been() {
        let expected = field(
            "spec.service.type",
            "-",
            &[
                "cluster prod/berlin.yaml:6:3 -",
                "defaults defaults.yaml:6:13 \"ClusterIP\"",
            ],
        );
        for asked in ["/spec/service", "/spec/service/type"] {
            assert_eq!(why("berlin", asked), std::slice::from_ref(&expected));
        }
    }

    #[test]
    fn items_of_lists_that_are_known_by_a_word_have_their_own_origin() {
        let fields: Vec<String> = why("berlin", "/spec/manifests")
            .into_iter()
            .map(|(field, ..)| field)
            .collect();
        assert_eq!(fields, ["spec.manifests[audit]", "spec.manifests[own]"]);
        let audit = &why("berlin", "/spec/manifests/audit")[0];
        assert!(audit.1.contains("near"), "{audit:?}");
        assert_eq!(audit.2.len(), 2);
        assert!(
            audit.2[0].starts_with("defaults prod/defaults.yaml:6:"),
            "{audit:?}"
        );
    }

    #[test]
    fn a_value_of_a_row_stands_in_the_row_and_a_fallback_in_the_template() {
        let rome = field("spec.replicas", "3", &["row sets/shops.csv:2:6 3"]);
        assert_eq!(why("rome", "/spec/replicas"), [rome]);
        let oslo = field("spec.replicas", "1", &["template sets/shops.yaml:11:7 1"]);
        assert_eq!(why("oslo", "/spec/replicas"), [oslo]);
        let address = field(
            "spec.externalAddress",
            "\"rome.example.org\"",
            &["row sets/shops.csv:2:1 \"rome.example.org\""],
        );
        assert_eq!(why("rome", "/spec/externalAddress"), [address]);
    }

    #[test]
    fn what_nobody_says_has_no_origin_and_a_whole_cluster_has_one_for_each_value() {
        assert_eq!(why("berlin", "/spec/image"), []);
        let tree = tree();
        let (reading, why) = read_with_why(&tree, "/spec");
        for cluster in &reading.clusters {
            for origin in &why[&(cluster.namespace.clone(), cluster.name.clone())] {
                let won = &origin.said[0];
                assert_eq!(won.value, origin.value, "{}", origin.field);
            }
        }
    }
}
