//! Every field is shown by a golden file of what is rendered.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::schema;

/// Fields that the operator does not support yet: they have nothing to show. This list only gets shorter.
const NOT_SUPPORTED: &[&str] = &["ttl", "remoteHostCluster"];

/// Fields that reach no generated object.
const WITHOUT_OBJECTS: &[&str] = &["paused", "deletionPolicy", "updatePolicy"];

#[test]
fn every_field_is_in_a_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/render");
    let mut shown = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join("cluster.yaml")) else {
            continue;
        };
        let cluster: Value = serde_saphyr::from_str(text.split("\n---\n").next().unwrap()).unwrap();
        shown.extend(schema::written(&cluster["spec"]));
    }
    let is_of = |place: &str, field: &str| {
        place
            .strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_excepted = |place: &String| {
        let mut exceptions = NOT_SUPPORTED.iter().chain(WITHOUT_OBJECTS);
        exceptions.any(|field| is_of(place, field))
    };
    let missing: Vec<String> = schema::places()
        .into_iter()
        .filter(|place| !is_excepted(place) && !shown.contains(place))
        .collect();
    assert!(
        missing.is_empty(),
        "show in tests/golden/render (its README.md says how): {}",
        missing.join(", ")
    );
}
