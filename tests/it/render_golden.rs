//! Golden files of what is rendered: `tests/golden/render/<case>/cluster.yaml` holds a cluster and what there is of it,
//! `expected.yaml` every answer. `UPDATE_GENERATED=1` writes the latter.

use std::fs;
use std::path::Path;

use k0smotron_fleet::api::K0smotronCluster;
use k0smotron_fleet::object::{Object, Observed};
use k0smotron_fleet::render::{Answer, Desired, Facts, Settings, objects, resolve};
use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::support::generated::assert_current;

const NOW: &str = "2026-09-01T12:00:00Z";

#[rstest]
fn rendered_objects_are_as_reviewed(
    #[values(
        "node-port-first-pass",
        "node-port",
        "three-replicas-load-balancer-without-address",
        "five-replicas-cluster-ip-with-everything",
        "running-with-held-changes",
        "change-of-service-type",
        "foreign-and-left-over"
    )]
    case: &str,
) {
    let folder = format!("tests/golden/render/{case}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(&folder)
        .join("cluster.yaml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_current(&format!("{folder}/expected.yaml"), &rendered(&text));
}

fn rendered(text: &str) -> String {
    let mut documents = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let cluster: K0smotronCluster = serde_json::from_value(documents.next().unwrap()).unwrap();
    let (settings, rest): (Vec<Value>, Vec<Value>) =
        documents.partition(|document| document.get("kind").is_none());
    let setting = |name: &str| settings.iter().find_map(|document| document.get(name).cloned());
    let nodes: Vec<String> = setting("nodes")
        .map(|nodes| serde_json::from_value(nodes).unwrap())
        .unwrap_or_default();
    let mut operator = Settings::standard();
    if let Some(revision) = setting("rendererRevision") {
        operator.renderer_revision = serde_json::from_value(revision).unwrap();
    }
    let children = Observed {
        objects: rest
            .into_iter()
            .map(|document| (Object(document.clone()).id().unwrap(), Object(document)))
            .collect(),
        unreadable: Vec::new(),
    };
    let facts = Facts::gather(&cluster, &children, &nodes, NOW.parse().unwrap());
    let resolved = match resolve(&cluster.spec, &facts, &operator) {
        Ok(resolved) => resolved,
        Err(stalled) => return yaml(&json!({"stalled": stalled})),
    };
    let answers = objects(&resolved);
    let mut summary = Map::new();
    let mut documents = Vec::new();
    for (id, answer) in &answers {
        let word = match answer {
            Answer::Want(Desired::Object(object)) => {
                documents.push(yaml(&object.0));
                "want".to_owned()
            }
            Answer::Want(Desired::Key { secret, issue, .. }) => {
                documents.push(yaml(&json!({"issue": issue, "secret": secret})));
                "make the key".to_owned()
            }
            Answer::Want(Desired::Metadata { patch }) => {
                documents.push(yaml(&json!({"metadataOf": id.to_string(), "patch": patch})));
                "change metadata".to_owned()
            }
            Answer::Want(Desired::AsItIs) => "as it is".to_owned(),
            Answer::Drop { why } => format!("DROP: {why}"),
            Answer::Keep { waiting_on } => format!("keep, waiting for {waiting_on}"),
        };
        summary.insert(id.to_string(), Value::String(word));
    }
    let head = json!({
        "answers": summary,
        "held": resolved.held,
        "pins": resolved.pins,
        "endpoint": resolved.endpoint.as_ref().map_or(Value::Null, |endpoint| json!(endpoint)),
    });
    std::iter::once(yaml(&head))
        .chain(documents)
        .collect::<Vec<_>>()
        .join("---\n")
}

fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    if text.ends_with('\n') { text } else { text + "\n" }
}
