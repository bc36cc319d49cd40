//! `Cluster` and `JoinTokenRequest` of the Go operator k0smotron, read as `K0smotronCluster` and `K0smotronJoinToken`.
//!
//! **Invariant:** whatever is renamed, left out or cannot be taken over is said, with its place. Defaults that differ
//! between the two are written out, so that the result means what it meant before.

use crate::diagnostic::{Code, Finding, Findings, Span, quote};
use crate::object::kinds;
use crate::parse::{Data, Document, Entry, Node};

/// Port of the API and of konnectivity, where nothing else is written.
const PORTS: [(&str, i64); 2] = [("apiPort", 30443), ("konnectivityPort", 30132)];

/// Fields of a spec that were renamed, by their old name: the way to the new place.
const RENAMED: [(&str, &[&str]); 9] = [
    ("k0sImage", &["image"]),
    ("k0sVersion", &["version"]),
    ("apiPort", &["service", "apiPort"]),
    ("konnectivityPort", &["service", "konnectivityPort"]),
    ("controllerPlaneFlags", &["controlPlaneFlags"]),
    ("etcd", &["storage", "etcd"]),
    (
        "kineDataSourceSecretName",
        &["storage", "kine", "dataSourceSecretName"],
    ),
    ("kubeconfigRef", &["remoteHostCluster", "kubeconfigRef"]),
    ("kubeconfigSecretMetadata", &["kubeconfig"]),
];

/// Fields that have no counterpart: the way to each, and what to do instead.
const DROPPED: [(&[&str], &str); 5] = [
    (
        &["persistence", "autoDeletePVCs"],
        "`deletionPolicy: Delete` takes volumes along, and keys too",
    ),
    (
        &["storage", "etcd", "autoDeletePVCs"],
        "`deletionPolicy: Delete` takes volumes along, and keys too",
    ),
    (
        &["remoteHostCluster", "kubeconfigRef", "namespace"],
        "the Secret is read from the cluster's own namespace",
    ),
    (&["cniPlugin"], "set `k0sConfig.spec.network.provider`"),
    (
        &["persistence", "persistentVolumeClaim", "metadata", "name"],
        "volumes have names of their own",
    ),
];

/// Returns how a field of an earlier name is called today, as a path.
pub(super) fn renamed(key: &str) -> Option<String> {
    let (_, path) = RENAMED.iter().find(|(old, _)| *old == key)?;
    Some(format!("spec.{}", path.join(".")))
}

/// Converts a Cluster. The result has the places of what it was made from.
pub fn cluster(document: Document, findings: &mut Findings) -> Document {
    let Document { file, root } = document;
    let name = root
        .find("/metadata/name")
        .and_then(|(name, _)| name.text())
        .unwrap_or_default()
        .to_owned();
    findings.push(said_converted(
        &root,
        "a `Cluster` of k0smotron is read as a `K0smotronCluster`",
    ));
    let span = root.span;
    let mut entries = entries(root);
    set_words(
        &mut entries,
        kinds::K0SMOTRON_CLUSTER.api_version(),
        kinds::K0SMOTRON_CLUSTER.kind,
    );
    written_by_the_server(&mut entries, findings);
    let place = entries.first().map_or(span, |entry| entry.key_span);
    let spec = match entries
        .iter()
        .position(|entry| entry.key == "spec" && !entry.value.is_null())
    {
        Some(index) => {
            let Entry { key, key_span, value } = entries.remove(index);
            let value = spec(value, key_span, &name, findings);
            Entry { key, key_span, value }
        }
        None => {
            // Without a spec k0smotron uses node ports.
            entries.retain(|entry| entry.key != "spec");
            let mut spec = Vec::new();
            default_service(&mut spec, "NodePort", place, findings);
            Entry {
                key: "spec".to_owned(),
                key_span: place,
                value: Node::mapping(spec, place),
            }
        }
    };
    entries.push(spec);
    Document {
        file,
        root: Node::mapping(entries, span),
    }
}

/// Converts a JoinTokenRequest.
pub fn join_token(document: Document, findings: &mut Findings) -> Document {
    let Document { file, root } = document;
    findings.push(said_converted(
        &root,
        "a `JoinTokenRequest` of k0smotron is a `K0smotronJoinToken` here",
    ));
    let span = root.span;
    let namespace = root
        .find("/metadata/namespace")
        .and_then(|(namespace, _)| namespace.text())
        .map(str::to_owned);
    let mut entries = entries(root);
    let token = kinds::K0SMOTRON_JOIN_TOKEN;
    set_words(&mut entries, token.api_version(), token.kind);
    written_by_the_server(&mut entries, findings);
    let spec = entries.iter_mut().find(|entry| entry.key == "spec");
    if let Some(Data::Mapping(fields)) = spec.map(|spec| &mut spec.value.data) {
        rename(fields, "expiry", &["ttl"], findings);
        if let Some(reference) = take(fields, "clusterRef") {
            let other = reference.value.get("namespace").filter(|other| {
                other
                    .text()
                    .is_some_and(|other| Some(other) != namespace.as_deref())
            });
            if let Some(other) = other {
                findings.push(
                    Finding::new(
                        Code::NotConverted,
                        "a join token for a cluster of another namespace",
                    )
                    .primary(other.span, "")
                    .hint("make the join token in the namespace of its cluster"),
                );
            }
            if let Some(name) = reference.value.entry("name") {
                findings.push(said_renamed(
                    "clusterRef.name",
                    "spec.clusterName",
                    reference.key_span,
                ));
                fields.push(Entry {
                    key: "clusterName".to_owned(),
                    key_span: reference.key_span,
                    value: name.value.clone(),
                });
            }
        }
    }
    Document {
        file,
        root: Node::mapping(entries, span),
    }
}

fn spec(value: Node, place: Span, name: &str, findings: &mut Findings) -> Node {
    let Node { data, span } = value;
    let Data::Mapping(mut fields) = data else {
        return Node { data, span };
    };
    // Kine was chosen by writing it; in a spec with `storage` it is chosen by `type`.
    let is_kine = fields
        .iter()
        .any(|entry| entry.key.starts_with("kineDataSource") && !entry.value.is_null());
    for (old, path) in RENAMED {
        rename(&mut fields, old, path, findings);
    }
    if is_kine {
        storage_type(&mut fields);
    }
    for url in [&["kineDataSourceURL"][..], &["storage", "kine", "dataSourceURL"]] {
        if let Some(url) = take_at(&mut fields, url) {
            findings.push(
                Finding::new(Code::NotConverted, "the address of a database with its password in a file")
                    .primary(url.key_span, "")
                    .hint(
                        "put the address into a Secret under the key `K0SMOTRON_KINE_DATASOURCE_URL`, and write the \
                         Secret's name as `storage.kine.dataSourceSecretName`",
                    ),
            );
        }
    }
    for (path, instead) in DROPPED {
        if let Some(dropped) = take_at(&mut fields, path) {
            findings.push(said_dropped(
                &format!("spec.{}", path.join(".")),
                dropped.key_span,
                instead,
            ));
        }
    }
    etcd_settings(&mut fields, findings);
    written_by_the_operator(&mut fields, name, findings);
    match fields.iter().find(|entry| entry.key == "service") {
        None => default_service(&mut fields, "ClusterIP", place, findings),
        Some(_) => default_ports(&mut fields, findings),
    }
    Node::mapping(fields, span)
}

/// Adds the type of storage that the old fields of kine meant.
fn storage_type(fields: &mut [Entry]) {
    let Some(storage) = fields.iter_mut().find(|entry| entry.key == "storage") else {
        return;
    };
    let place = storage.key_span;
    let Data::Mapping(parts) = &mut storage.value.data else {
        return;
    };
    if parts.iter().any(|part| part.key == "kine") && !parts.iter().any(|part| part.key == "type") {
        parts.insert(0, Entry::text("type", "kine", place));
    }
}

/// Turns etcd's flags into settings: `--a=b` becomes `a: b`.
fn etcd_settings(fields: &mut [Entry], findings: &mut Findings) {
    let Some(args) =
        at(fields, &["storage", "etcd"]).and_then(|etcd| etcd.iter_mut().find(|entry| entry.key == "args"))
    else {
        return;
    };
    let Data::Sequence(items) = &args.value.data else {
        return;
    };
    let mut settings: Vec<Entry> = Vec::new();
    for item in items {
        let flag = item
            .text()
            .and_then(|text| text.strip_prefix("--")?.split_once('='));
        let Some((key, value)) = flag else {
            findings.push(
                Finding::new(
                    Code::NotConverted,
                    "an argument of etcd that is not `--name=value`",
                )
                .primary(item.span, "")
                .hint("write it as `name: \"value\"` below `storage.etcd.args`"),
            );
            continue;
        };
        // The last one won.
        settings.retain(|setting| setting.key != key);
        settings.push(Entry::text(key, value, item.span));
    }
    findings.push(
        Finding::new(
            Code::Renamed,
            "`spec.storage.etcd.args` is a mapping of settings here",
        )
        .primary(args.key_span, "")
        .hint("write `name: \"value\"` instead of `--name=value`"),
    );
    args.value = Node::mapping(settings, args.value.span);
}

/// Leaves out what the Go operator had written into the spec itself.
fn written_by_the_operator(fields: &mut Vec<Entry>, name: &str, findings: &mut Findings) {
    let is_own_secret = |item: &Node| {
        let text = |key: &str| item.get(key).and_then(Node::text).unwrap_or_default();
        text("name") == format!("{name}-{}", text("type")) && !name.is_empty()
    };
    let is_own_volume = |item: &Node| {
        let source = item.find("/configMap/name").and_then(|(name, _)| name.text());
        source.is_some_and(|source| source.starts_with(&format!("kmc-{name}-")))
    };
    leave_out(
        fields,
        "certificateRefs",
        is_own_secret,
        "certificates are generated again",
        findings,
    );
    leave_out(
        fields,
        "manifests",
        is_own_volume,
        "the operator adds it by itself",
        findings,
    );
    for path in [
        ["k0sConfig", "metadata", "namespace"],
        ["k0sConfig", "metadata", "name"],
    ] {
        let is_own = at(fields, &path[..2])
            .and_then(|metadata| metadata.iter().find(|entry| entry.key == path[2]))
            .is_some_and(|entry| matches!(entry.value.text(), Some("kube-system" | "k0s")));
        if is_own && let Some(entry) = take_at(fields, &path) {
            let shown = format!("spec.{}", path.join("."));
            findings.push(said_dropped(&shown, entry.key_span, "k0smotron had written it"));
        }
    }
}

fn leave_out(
    fields: &mut Vec<Entry>,
    list: &str,
    is_own: impl Fn(&Node) -> bool,
    instead: &str,
    findings: &mut Findings,
) {
    let Some(index) = fields.iter().position(|entry| entry.key == list) else {
        return;
    };
    let Data::Sequence(items) = &mut fields[index].value.data else {
        return;
    };
    for item in items.iter().filter(|item| is_own(item)) {
        findings.push(said_dropped(&format!("spec.{list}[]"), item.span, instead));
    }
    let before = items.len();
    items.retain(|item| !is_own(item));
    if items.is_empty() && before > 0 {
        fields.remove(index);
    }
}

/// Leaves out what the server and controllers write, as it stands in objects that were read from a cluster.
fn written_by_the_server(entries: &mut Vec<Entry>, findings: &mut Findings) {
    if let Some(status) = take(entries, "status") {
        findings.push(said_dropped("status", status.key_span, "the operator writes it"));
    }
    let Some(Data::Mapping(fields)) = entries
        .iter_mut()
        .find(|entry| entry.key == "metadata")
        .map(|metadata| &mut metadata.value.data)
    else {
        return;
    };
    for key in super::metadata::NOT_FOR_FILES {
        if let Some(entry) = take(fields, key).filter(|entry| !entry.value.is_null()) {
            findings.push(said_dropped(
                &format!("metadata.{key}"),
                entry.key_span,
                "the server writes it",
            ));
        }
    }
    let annotations = fields.iter_mut().find(|entry| entry.key == "annotations");
    if let Some(Data::Mapping(annotations)) = annotations.map(|annotations| &mut annotations.value.data) {
        annotations.retain(|entry| {
            let field = entry.key.strip_prefix("k0smotron.io/conversion-dropped-");
            let is_own = field.is_some() || entry.key == "kubectl.kubernetes.io/last-applied-configuration";
            if is_own {
                let instead = field.map_or("kubectl writes it".to_owned(), |field| {
                    format!("write its value as `spec.{field}`")
                });
                let annotation = format!("the annotation {}", quote(&entry.key));
                findings.push(said_dropped(&annotation, entry.key_span, &instead));
            }
            !is_own
        });
    }
}

/// Without a service, and without ports, k0smotron had defaults that differ from those here.
fn default_service(fields: &mut Vec<Entry>, kind: &str, place: Span, findings: &mut Findings) {
    findings.push(
        Finding::new(
            Code::DefaultWritten,
            format!("without `service`, k0smotron makes a {kind} on the ports 30443 and 30132"),
        )
        .primary(place, "written out by the conversion")
        .hint("here the default is a NodePort on free ports"),
    );
    let mut service = vec![Entry::text("type", kind, place)];
    service.extend(PORTS.map(|(key, port)| number(key, port, place)));
    fields.push(Entry {
        key: "service".to_owned(),
        key_span: place,
        value: Node::mapping(service, place),
    });
}

fn default_ports(fields: &mut [Entry], findings: &mut Findings) {
    let Some(service) = fields.iter_mut().find(|entry| entry.key == "service") else {
        return;
    };
    let place = service.key_span;
    let Data::Mapping(parts) = &mut service.value.data else {
        return;
    };
    if !parts
        .iter()
        .any(|part| part.key == "type" && !part.value.is_null())
    {
        parts.retain(|part| part.key != "type");
        parts.push(Entry::text("type", "ClusterIP", place));
    }
    let missing: Vec<(&str, i64)> = PORTS
        .into_iter()
        .filter(|(key, _)| !parts.iter().any(|part| part.key == *key && !part.value.is_null()))
        .collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<String> = missing
        .iter()
        .map(|(key, port)| format!("`{key}` {port}"))
        .collect();
    findings.push(
        Finding::new(
            Code::DefaultWritten,
            format!("k0smotron's default of {}", names.join(" and of ")),
        )
        .primary(place, "written out by the conversion")
        .hint("here node ports are free ones unless they are written, and others 6443 and 8132"),
    );
    parts.retain(|part| !missing.iter().any(|(key, _)| *key == part.key));
    parts.extend(missing.into_iter().map(|(key, port)| number(key, port, place)));
}

// === parts ===

fn said_converted(root: &Node, message: &str) -> Finding {
    Finding::new(Code::Converted, message)
        .primary(root.nearest_place("/kind").value, "")
        .hint("`k0smotron-fleet convert` prints it as such")
}

fn said_renamed(old: &str, new: &str, place: Span) -> Finding {
    Finding::new(Code::Renamed, format!("`spec.{old}` was renamed to `{new}`"))
        .primary(place, "")
        .hint(format!("write `{new}`"))
}

fn said_dropped(path: &str, place: Span, instead: &str) -> Finding {
    let shown = if path.contains(' ') {
        path.to_owned()
    } else {
        format!("`{path}`")
    };
    Finding::new(Code::Dropped, format!("{shown} is left out"))
        .primary(place, "")
        .hint(instead)
}

/// Moves a field to its new place, unless something stands there.
fn rename(fields: &mut Vec<Entry>, old: &str, path: &[&str], findings: &mut Findings) {
    let Some(Entry {
        key: _,
        key_span,
        value,
    }) = take(fields, old)
    else {
        return;
    };
    if value.is_null() {
        return;
    }
    findings.push(said_renamed(old, &format!("spec.{}", path.join(".")), key_span));
    put(fields, path, key_span, value, findings);
}

fn put(fields: &mut Vec<Entry>, path: &[&str], key_span: Span, value: Node, findings: &mut Findings) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let index = fields.iter().position(|entry| entry.key == *first);
    let index = index.unwrap_or_else(|| {
        let empty = Node::mapping(Vec::new(), value.span);
        fields.push(Entry {
            key: (*first).to_owned(),
            key_span,
            value: if rest.is_empty() { value.clone() } else { empty },
        });
        fields.len() - 1
    });
    let entry = &mut fields[index];
    if rest.is_empty() {
        if entry.key_span != key_span {
            findings.push(
                Finding::new(
                    Code::NotConverted,
                    format!("`{first}` is written under its old and its new name"),
                )
                .primary(key_span, "the old name")
                .secondary(entry.key_span, "the new name")
                .hint("keep the new one"),
            );
        }
        return;
    }
    if entry.value.is_null() {
        entry.value = Node::mapping(Vec::new(), entry.value.span);
    }
    if let Data::Mapping(inner) = &mut entry.value.data {
        put(inner, rest, key_span, value, findings);
    }
}

fn take(fields: &mut Vec<Entry>, key: &str) -> Option<Entry> {
    let index = fields.iter().position(|entry| entry.key == key)?;
    Some(fields.remove(index))
}

/// Takes the entry at the end of a path out.
fn take_at(fields: &mut Vec<Entry>, path: &[&str]) -> Option<Entry> {
    let (last, parents) = path.split_last()?;
    let fields = match parents {
        [] => fields,
        parents => at(fields, parents)?,
    };
    take(fields, last).filter(|entry| !entry.value.is_null())
}

/// Returns the entries of the mapping at a path.
fn at<'a>(fields: &'a mut [Entry], path: &[&str]) -> Option<&'a mut Vec<Entry>> {
    let (first, rest) = path.split_first()?;
    let entry = fields.iter_mut().find(|entry| entry.key == *first)?;
    let Data::Mapping(inner) = &mut entry.value.data else {
        return None;
    };
    if rest.is_empty() {
        Some(inner)
    } else {
        at(inner, rest)
    }
}

fn entries(node: Node) -> Vec<Entry> {
    match node.data {
        Data::Mapping(entries) => entries,
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Sequence(_) => Vec::new(),
    }
}

fn number(key: &str, value: i64, place: Span) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: place,
        value: Node {
            data: Data::Number(value.into()),
            span: place,
        },
    }
}

fn set_words(entries: &mut [Entry], api_version: String, kind: &str) {
    for entry in entries {
        match entry.key.as_str() {
            "apiVersion" => entry.value.data = Data::Text(api_version.clone()),
            "kind" => entry.value.data = Data::Text(kind.to_owned()),
            _ => {}
        }
    }
}
