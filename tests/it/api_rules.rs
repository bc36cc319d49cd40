//! What the API server refuses, and what is refused offline, are the same, case by case.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use k0smotron_fleet::api::cel::{Violation, violations_of};
use k0smotron_fleet::api::crd::{self, Definition};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Servers, crds};

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    old: Option<Value>,
    spec: Value,
    #[serde(default)]
    refused: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    at: String,
    /// Begin of the message of a rule. Absent: the schema refuses, in the server's words.
    says: Option<String>,
}

fn cases(definition: Definition) -> Vec<Case> {
    let text = match definition {
        Definition::Cluster => include_str!("../golden/cel/cluster.yaml"),
        Definition::JoinToken => include_str!("../golden/cel/join-token.yaml"),
        Definition::FleetSync => include_str!("../golden/cel/fleet-sync.yaml"),
    };
    let cases: Vec<Case> = serde_saphyr::from_str(text).unwrap();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "a name twice");
    cases
}

/// A verdict: places and messages of rules, and places where the schema refuses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    rules: BTreeSet<(String, String)>,
    schema: BTreeSet<String>,
    /// The schema refuses in a way that leaves the rules unchecked.
    unchecked: bool,
}

fn offline(definition: Definition, schema: &jsonschema::Validator, case: &Case) -> Verdict {
    let rules = violations_of(definition, &case.spec, case.old.as_ref());
    let object = json!({"spec": case.spec});
    let refused = schema.iter_errors(&object).map(|error| {
        let place = error.instance_path().to_string();
        match error.kind() {
            jsonschema::error::ValidationErrorKind::Required { property } => {
                format!("{place}/{}", property.as_str().unwrap())
            }
            _ => place,
        }
    });
    Verdict {
        rules: rules
            .into_iter()
            .map(|Violation { pointer, message }| (pointer, message))
            .collect(),
        schema: refused.collect(),
        unchecked: false,
    }
}

/// The closed schema of an object, of which only the spec is looked at here.
fn validator(definition: Definition) -> jsonschema::Validator {
    let schema = json!({"properties": {"spec": crd::json_schema(definition)["properties"]["spec"]}});
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn every_case_is_judged_offline_as_written() {
    for definition in Definition::ALL {
        let schema = validator(definition);
        for case in cases(definition) {
            let verdict = offline(definition, &schema, &case);
            let name = &case.name;
            let (rules, places): (Vec<_>, Vec<_>) =
                case.refused.iter().partition(|refusal| refusal.says.is_some());
            assert_eq!(
                verdict.schema,
                places.iter().map(|refusal| refusal.at.clone()).collect(),
                "{definition:?}: {name}"
            );
            assert_eq!(
                verdict.rules.len(),
                rules.len(),
                "{definition:?}: {name}: {verdict:#?}"
            );
            for refusal in rules {
                let says = refusal.says.as_deref().unwrap();
                assert!(
                    verdict
                        .rules
                        .iter()
                        .any(|(place, message)| *place == refusal.at && message.starts_with(says)),
                    "{definition:?}: {name}: {verdict:#?}"
                );
            }
        }
    }
}

/// A rule of a schema: where it sits, and what it says.
struct Rule {
    place: String,
    expression: String,
    message: String,
}

fn rules(schema: &Value, place: &str, found: &mut Vec<Rule>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = |key: &str| rule[key].as_str().unwrap().to_owned();
        found.push(Rule {
            place: place.to_owned(),
            expression: text("rule"),
            message: text("message"),
        });
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        rules(property, &format!("{place}/{name}"), found);
    }
    if let Some(items) = schema.get("items") {
        rules(items, &format!("{place}/0"), found);
    }
}

/// The place in the schema, where all items of a list are one.
fn any_item(pointer: &str) -> String {
    let of_schema = |part: &str| {
        if part.parse::<usize>().is_ok() {
            "/0".to_owned()
        } else {
            format!("/{part}")
        }
    };
    pointer.split('/').skip(1).map(of_schema).collect()
}

#[test]
fn every_rule_has_a_case_that_breaks_it_and_one_that_keeps_it() {
    for definition in Definition::ALL {
        let mut all = Vec::new();
        rules(&definition.schema(), "", &mut all);
        assert!(
            all.iter().all(|rule| rule.place.starts_with("/spec")),
            "a rule outside of the spec"
        );
        let cases = cases(definition);
        for Rule {
            place,
            expression,
            message,
        } in all
        {
            let is_about_change = expression.contains("oldSelf");
            let looks = |case: &&Case| {
                (case.old.is_some() || !is_about_change)
                    && (place == "/spec"
                        || json!({"spec": case.spec})
                            .pointer(&place)
                            .is_some_and(|at| !at.is_null()))
            };
            let breaks = |case: &&Case| {
                violations_of(definition, &case.spec, case.old.as_ref())
                    .iter()
                    .any(|violation| {
                        violation.message == message && any_item(&violation.pointer).starts_with(&place)
                    })
            };
            assert!(
                cases.iter().filter(looks).any(|case| breaks(&case)),
                "nothing breaks {place}: {message}"
            );
            assert!(
                cases.iter().filter(looks).any(|case| !breaks(&case)),
                "nothing keeps {place}: {message}"
            );
        }
    }
}

fn resource(definition: Definition) -> ApiResource {
    let crd = definition.crd();
    let kind = GroupVersionKind::gvk(&crd.spec.group, &crd.spec.versions[0].name, &crd.spec.names.kind);
    ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural)
}

/// Asks the server, without keeping the answer: a create, or a change of what is created first.
async fn online(api: &Api<DynamicObject>, resource: &ApiResource, index: usize, case: &Case) -> Verdict {
    let name = format!("case-{index}");
    let object = |spec: &Value| DynamicObject::new(&name, resource).data(json!({"spec": spec}));
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let answer = match &case.old {
        None => api.create(&dry_run, &object(&case.spec)).await,
        Some(old) => {
            let created = api.create(&PostParams::default(), &object(old)).await;
            let created = created.unwrap_or_else(|error| panic!("{}: the spec before: {error}", case.name));
            let mut changed = object(&case.spec);
            changed.metadata.resource_version = created.metadata.resource_version;
            api.replace(&name, &dry_run, &changed).await
        }
    };
    let mut verdict = Verdict::default();
    let Err(error) = answer else { return verdict };
    let kube::Error::Api(status) = error else {
        panic!("{}: {error}", case.name)
    };
    let causes = status.details.map(|details| details.causes).unwrap_or_default();
    assert!(
        status.code == 422 && !causes.is_empty(),
        "{}: {}",
        case.name,
        status.message
    );
    for cause in causes {
        // "some validation rules were not checked because the object was invalid"
        if cause.field == "<nil>" {
            verdict.unchecked = true;
            continue;
        }
        let place: String = cause
            .field
            .split(['.', '['])
            .filter(|part| !part.is_empty())
            .map(|part| format!("/{}", part.trim_end_matches(']')))
            .collect();
        let message = known_messages().iter().find(|message| {
            cause.message.ends_with(&format!(": {message}")) && cause.message.starts_with("Invalid value")
        });
        match message {
            Some(message) => verdict.rules.insert((place, message.clone())),
            None => verdict.schema.insert(place),
        };
    }
    verdict
}

fn known_messages() -> &'static BTreeSet<String> {
    static MESSAGES: std::sync::OnceLock<BTreeSet<String>> = std::sync::OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut all = Vec::new();
        for definition in Definition::ALL {
            rules(&definition.schema(), "", &mut all);
        }
        all.into_iter().map(|rule| rule.message).collect()
    })
}

#[tokio::test]
async fn the_api_server_judges_every_case_as_the_offline_rules_do() {
    let servers = Servers::shared().await;
    let client = servers.client().await;
    crds::install(&client).await;
    let namespace = servers.namespace("rules").await;
    for definition in Definition::ALL {
        let schema = validator(definition);
        let resource = resource(definition);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace.name, &resource);
        let cases = cases(definition);
        let verdicts: BTreeMap<usize, Verdict> = futures::stream::iter(cases.iter().enumerate())
            .map(async |(index, case)| (index, online(&api, &resource, index, case).await))
            .buffer_unordered(8)
            .collect()
            .await;
        for (case, (_, verdict)) in cases.iter().zip(verdicts) {
            let mut expected = offline(definition, &schema, case);
            if verdict.unchecked {
                expected.unchecked = true;
                expected.rules.clear();
            }
            assert_eq!(verdict, expected, "{definition:?}: {}", case.name);
        }
    }
}
