//! No byte of a secret is in anything that is shown or saved, wherever in a cluster it is.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::markdown::Comment;
use super::text::{Detail, Heading};
use super::{github, json, markdown, outcome, saved, text};
use crate::api::labels;
use crate::apply::{self, KeySource};
use crate::client::stub;
use crate::compose::{self, Reading};
use crate::diagnostic::SourceTree;
use crate::fleet::{self, Admission, Hub, Live, PlanOptions};
use crate::object::Observed;
use crate::plan::tests::model;
use crate::plan::{
    self, Approval, Consent, FleetEntry, FleetInput, FleetPolicy, Outcome, Plan, Prune, SavedPlan,
};
use crate::render::HubOperator;

const CANARY: &str = "canary5e1f";

/// Where a secret is in a cluster.
#[derive(Clone, Debug)]
enum Place {
    /// An argument of a component of k0s whose name says that it is one.
    Argument { of: &'static str, key: &'static str },
    /// The password of a repository of charts.
    Repository,
    /// A value of a chart, in a text.
    Chart,
    /// What a patch of generated objects puts into them.
    Patch,
}

fn places() -> impl Strategy<Value = Vec<Place>> {
    let of = prop::sample::select(vec!["api", "controllerManager", "scheduler"]);
    let key = prop::sample::select(vec![
        "oidc-client-secret",
        "basic-password",
        "Passwd",
        "bearerToken",
        "bootstrap_token",
        "private-key",
        "x-apiKey",
        "cloud-credentials",
        "dataSource",
        "private_key_of_proxy",
    ]);
    let argument = (of, key).prop_map(|(of, key)| Place::Argument { of, key });
    let place = prop_oneof![
        4 => argument,
        1 => Just(Place::Repository),
        1 => Just(Place::Chart),
        1 => Just(Place::Patch),
    ];
    prop::collection::vec(place, 1..6)
}

/// Returns a cluster with a canary at each place, as a file.
fn file(places: &[Place], mark: &str, replicas: u8) -> String {
    let mut config = json!({});
    let (mut charts, mut repositories, mut patches) = (Vec::new(), Vec::new(), Vec::new());
    for (number, place) in places.iter().enumerate() {
        let secret = format!("{CANARY}-{mark}-{number}");
        match place {
            Place::Argument { of, key } => config[of]["extraArgs"][key] = json!(secret),
            Place::Repository => repositories.push(
                json!({"name": format!("r{number}"), "url": "https://r.example.org",
                "username": "u", "password": secret}),
            ),
            Place::Chart => charts.push(
                json!({"name": format!("chart{number}"), "chartname": "r/a", "namespace": "a",
                "values": format!("user: x\npassword: {secret}\n")}),
            ),
            Place::Patch => patches.push(
                json!({"target": {"kind": "ConfigMap", "component": "control-plane"}, "patch": {"type": "merge",
                "content": json!({"data": {"plain": secret}}).to_string()}}),
            ),
        }
    }
    repositories.push(json!({"name": "r", "url": "https://r.example.org"}));
    config["extensions"]["helm"] = json!({"charts": charts, "repositories": repositories});
    let mut spec = json!({"replicas": replicas, "service": {"type": "ClusterIP"}, "k0sConfig": {
        "apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig", "spec": config}});
    if !patches.is_empty() {
        spec["patches"] = json!(patches);
    }
    json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
        "metadata": {"name": "berlin", "namespace": "edge"}, "spec": spec})
    .to_string()
}

/// One look at one hub.
struct Looked {
    tree: SourceTree,
    reading: Reading,
    live: Live,
    plan: Plan,
}

fn look(text: String, observed: Observed) -> Looked {
    let fleet =
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec: {id: acme}\n";
    let tree = SourceTree::from_texts([("berlin.json", text), ("fleet.yaml", fleet.to_owned())]);
    let reading = compose::read(&tree);
    let entries: Vec<FleetEntry> = reading
        .clusters
        .iter()
        .map(|one| FleetEntry::of(one, &tree))
        .collect();
    let policy = FleetPolicy::of(
        reading.fleet.as_ref().map(|fleet| &fleet.spec),
        plan::Files::Sound,
    );
    let input = FleetInput {
        desired: &entries,
        rejected: &BTreeSet::new(),
        observed: &observed,
        unchanged: &BTreeSet::new(),
        preview: Err("the pods of the cluster were not looked at"),
    };
    let plan = plan::fleet(&input, &policy);
    let live = Live {
        hub: Hub {
            server: "https://edge-hub:6443".to_owned(),
            uid: Some("hub".to_owned()),
        },
        operator: HubOperator::assumed("nothing is published"),
        parent: None,
        lock: None,
        namespaces: ["edge".to_owned()].into(),
        observed,
        missing_namespaces: BTreeSet::new(),
    };
    Looked {
        tree,
        reading,
        live,
        plan,
    }
}

/// Tries the plan at a server that refuses everything and repeats what it got.
fn refused(plan: &Plan) -> Outcome {
    let approval = Approval {
        writes: Consent::Given,
        deletions: Consent::Given,
        data_loss: Consent::Given,
    };
    let approved = plan::approve(plan.clone(), &approval).unwrap();
    let how = apply::Options {
        manager: labels::FLEET_MANAGER,
        parallelism: 1,
        deadline: None,
    };
    let work = async {
        let (client, _) = stub::server(|asked| {
            let message = format!("it is invalid: {}: {}", asked.body["spec"], asked.body);
            (
                422,
                json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": message}),
            )
        });
        let stop = CancellationToken::new();
        apply::run(
            &client,
            &approved,
            &how,
            KeySource::at(Timestamp::UNIX_EPOCH),
            None,
            &stop,
        )
        .await
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// Everything that anybody gets to see of it.
fn shown(looked: &Looked) -> BTreeMap<&'static str, String> {
    let Looked {
        tree,
        reading,
        live,
        plan,
    } = looked;
    let heading = Heading {
        fleet: reading.fleet.as_ref(),
        revision: None,
        hub: &live.hub,
        operator: &live.operator,
        loosened: &[],
    };
    let admission = Admission::default();
    let comment = Comment {
        plan,
        heading: &heading,
        admission: &admission,
        digest: None,
    };
    let options = PlanOptions {
        prune: Prune::No,
        force_conflicts: BTreeSet::new(),
        renderer_revision: None,
        now: Timestamp::UNIX_EPOCH,
    };
    let stored: SavedPlan = fleet::save(plan, reading, live, &options);
    let results = refused(plan);
    assert!(results.failures().next().is_some(), "everything was refused");
    [
        ("text", text::plan(plan, &heading, Detail::Everything)),
        ("json", Value::from(json::plan(plan)).to_string()),
        ("findings", json::findings(&reading.findings, tree).to_string()),
        ("markdown", markdown::comment(&comment)),
        ("github", github::annotations(plan, &reading.findings, tree, "")),
        ("saved plan", stored.text()),
        ("text of a saved plan", saved::text(&stored, Detail::Everything)),
        ("markdown of a saved plan", saved::markdown(&stored)),
        (
            "json of a saved plan",
            Value::from(saved::document(&stored) as Map<_, _>).to_string(),
        ),
        ("outcome", outcome::text(plan, &results)),
        ("json of an outcome", outcome::json(&results).to_string()),
    ]
    .into()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn no_byte_of_a_secret_is_shown_or_saved(before in places(), after in places(), is_same in any::<bool>()) {
        let after = if is_same { before.clone() } else { after };
        let new = look(file(&before, "one", 1), Observed::default());
        prop_assert!(!new.plan.is_empty(), "{:#?}", new.reading.findings);
        let observed = model::apply(&new.plan, &Observed::default(), labels::FLEET_MANAGER);
        let changed = look(file(&after, "two", 3), observed);
        prop_assert!(!changed.plan.is_empty(), "{:#?}", changed.reading.findings);
        for looked in [&new, &changed] {
            for (what, text) in shown(looked) {
                prop_assert!(!text.contains(CANARY), "{what}: {text}");
            }
        }
    }
}
