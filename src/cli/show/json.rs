//! Values as JSON for programs. `docs/reference/json.md` documents every document.
//!
//! **Invariant:** deterministic: keys sorted, lists in a stated order, no time of day, no name of a context.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::findings::position;
use crate::api::fleet::Fleet;
use crate::diagnostic::{Findings, SourceTree, Span};
use crate::fleet::Admission;
use crate::object::ObjectId;
use crate::plan::{Action, Loosened, Operation, Plan, Upgraded, Verb};

/// Version of the documents. It grows when a field changes its meaning or goes; new fields may come any time.
const VERSION: u32 = 1;

/// Returns one document with its header and a line end.
pub fn document(kind: &str, mut content: Value) -> String {
    if let Some(fields) = content.as_object_mut() {
        fields.insert("format".to_owned(), json!(format!("k0smotron-fleet/{kind}")));
        fields.insert("formatVersion".to_owned(), json!(VERSION));
    }
    format!("{content:#}\n")
}

/// Returns name and id, or null without a fleet.
pub fn fleet(fleet: Option<&Fleet>) -> Value {
    match fleet {
        Some(fleet) => json!({ "name": fleet.name, "id": fleet.spec.id }),
        None => Value::Null,
    }
}

/// Returns the findings in the order of their places, without source text.
pub fn findings(findings: &Findings, tree: &SourceTree) -> Value {
    let one = |finding: &crate::diagnostic::Finding| {
        let place = finding.span().map(|span| tree.position(span));
        json!({
            "code": finding.code.as_str(),
            "severity": finding.severity.as_str(),
            "message": finding.message,
            "position": position(finding, tree),
            "file": place.as_ref().map(|place| &place.path),
            "line": place.as_ref().map(|place| place.line),
            "column": place.as_ref().map(|place| place.column),
            "hints": finding.hints,
        })
    };
    findings.iter().map(one).collect()
}

/// Returns file, line and column of a place.
pub fn place(span: Span, tree: &SourceTree) -> Value {
    let place = tree.position(span);
    json!({ "position": place.to_string(), "file": place.path, "line": place.line, "column": place.column })
}

/// Returns the guards that a commit opens.
pub fn loosened(loosened: &[Loosened]) -> Value {
    let one = |one: &Loosened| json!({ "field": one.field, "old": one.old, "new": one.new });
    loosened.iter().map(one).collect()
}

/// Returns kind, namespace and name.
pub fn id(id: &ObjectId) -> Value {
    json!({ "kind": id.kind.kind, "namespace": id.namespace, "name": id.name })
}

/// Returns the parts of a plan: `summary`, `entries` in the order of execution, `held` and `unchanged` by identity.
pub fn plan(plan: &Plan) -> serde_json::Map<String, Value> {
    let mut impacts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for action in plan.actions() {
        *impacts.entry(action.impact.as_str()).or_default() += 1;
    }
    for held in &plan.held {
        *reasons.entry(held.reason.as_str()).or_default() += 1;
    }
    let counts = plan.counts();
    let entries: Vec<Value> = plan
        .waves
        .iter()
        .flat_map(|wave| wave.actions.iter().map(|action| entry(&wave.name, action)))
        .collect();
    let held: Vec<Value> = plan
        .held
        .iter()
        .map(|held| json!({ "object": id(&held.id), "reason": held.reason.as_str(), "waitingOn": held.waiting_on }))
        .collect();
    let parts = json!({
        "revision": plan.revision,
        "summary": {
            "create": counts.create,
            "change": counts.change,
            "adopt": counts.adopt,
            "delete": counts.delete,
            "held": counts.held,
            "unchanged": counts.unchanged,
            "impacts": impacts,
            "heldReasons": reasons,
        },
        "entries": entries,
        "held": held,
        "unchanged": plan.unchanged.iter().map(id).collect::<Vec<_>>(),
    });
    match parts {
        Value::Object(parts) => parts,
        _ => serde_json::Map::new(),
    }
}

/// Returns what the server says to a plan: apart from the plan, for nobody else can know it.
pub fn admission(admission: &Admission) -> Value {
    let denied: Vec<Value> = admission
        .denied
        .iter()
        .map(|denied| json!({ "object": id(&denied.object), "message": denied.message }))
        .collect();
    json!({ "checked": admission.checked, "denied": denied, "notChecked": admission.not_checked })
}

/// Returns what the operator would write, for each cluster by namespace and name.
pub fn children(children: &BTreeMap<ObjectId, Vec<Action>>) -> Value {
    let one = |action: &Action| {
        json!({
            "object": id(&action.id),
            "action": verb(&action.operation),
            "impact": action.impact.as_str(),
            "changes": action.changes,
        })
    };
    let of_cluster = |(cluster, actions): (&ObjectId, &Vec<Action>)| json!({ "object": id(cluster), "children": actions.iter().map(one).collect::<Vec<_>>() });
    children.iter().map(of_cluster).collect()
}

/// Returns what another renderer revision would do.
pub fn upgrade(upgraded: &[Upgraded], now: Option<u32>, then: u32) -> Value {
    let one = |one: &Upgraded| {
        json!({
            "object": id(&one.object),
            "impact": one.impact.as_str(),
            "statefulSets": one.stateful_sets,
            "effects": one.effects,
            "held": one.held,
        })
    };
    let clusters: Vec<Value> = upgraded.iter().map(one).collect();
    json!({ "from": now, "to": then, "clusters": clusters })
}

fn entry(wave: &str, action: &Action) -> Value {
    json!({
        "object": id(&action.id),
        "action": verb(&action.operation),
        "impact": action.impact.as_str(),
        "wave": wave,
        "reason": action.reason,
        "changes": action.changes,
        "effects": action.effects,
    })
}

/// Returns `create`, `change`, `adopt` or `delete`.
pub fn verb(operation: &Operation) -> &'static str {
    match operation.verb() {
        Verb::Create => "create",
        Verb::Change => "change",
        Verb::Adopt => "adopt",
        Verb::Delete => "delete",
    }
}
