//! Fleets as files, and hubs on which they stand.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::callers::Kind;
use super::hub::Hub;
use super::play::{Stage, Turn, turns};
use crate::api::fleet_files::{RemovalPolicy, Target};
use crate::api::labels;
use crate::compose::{self, Reading};
use crate::diagnostic::{Refusal, SourceTree};
use crate::fleet::{self, parent};
use crate::object::{Object, ObjectId, kinds};
use crate::plan::Prune;

pub const FLEET: &str = "acme-7f3a";
pub const NAMESPACES: [&str; 4] = ["kube-system", parent::NAMESPACE, "edge", "core"];
/// Clusters with a file of their own; those behind them are rows of a table.
const FILES: usize = 6;
pub const CLUSTERS: usize = 8;

/// What files say, read.
#[derive(Debug)]
pub struct Files {
    pub tree: SourceTree,
    pub reading: Reading,
    pub content: String,
}

impl Files {
    pub fn of(tree: SourceTree) -> Arc<Self> {
        let reading = compose::read(&tree);
        let content = fleet::content(&reading);
        Arc::new(Self {
            tree,
            reading,
            content,
        })
    }

    pub fn has_errors(&self) -> bool {
        self.reading.findings.has_errors()
    }

    /// Says whether a record lets the fleet take this cluster over.
    pub fn takes_over(&self, id: &ObjectId) -> bool {
        let mut records = self.reading.adopted.iter();
        records.any(|record| is_target(&record.spec.target, id))
    }

    /// Says whether a record lets this cluster go.
    pub fn lets_go(&self, id: &ObjectId) -> bool {
        let mut records = self.reading.removed.iter();
        records
            .any(|record| record.spec.policy == RemovalPolicy::Orphan && is_target(&record.spec.target, id))
    }
}

fn is_target(target: &Target, id: &ObjectId) -> bool {
    (&target.namespace, &target.name) == (&id.namespace, &id.name)
}

/// What the files say of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Absent,
    Version(u8),
    /// It has an error, of which there are several sorts.
    Broken(u8),
    /// A record says that it was removed, with its policy.
    Removed(&'static str),
    /// As the version, and a record says that it is taken over; `Fail` or `Overwrite` when it differs.
    Adopted(u8, Had, &'static str),
}

/// Whom a record names as the one who has a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Had {
    Person,
    Argo,
    OtherFleet,
}

/// What is there under the name of a cluster before anybody runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What the first files say, applied by this program.
    AsApplied,
    Protected,
    /// Made by somebody who does not track it.
    Foreign,
    Argo,
    OtherFleet,
}

/// What a Fleet says.
#[derive(Clone, Debug)]
pub struct Guards {
    pub deletions: &'static str,
    pub count: u32,
    pub percent: u32,
    pub has_waves: bool,
}

#[derive(Clone, Debug)]
pub struct World {
    pub guards: Guards,
    pub found: Vec<Found>,
    /// The first was applied before anybody runs.
    pub revisions: Vec<Vec<Wish>>,
    pub callers: Vec<(Kind, Vec<usize>)>,
    pub turns: Vec<Turn>,
}

/// Which worlds are drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub guards: BoxedStrategy<Guards>,
    pub found: Vec<Found>,
    pub revisions: usize,
    /// Of ten.
    pub broken: u32,
    pub absent: u32,
    pub fates: Vec<super::play::Fate>,
}

pub fn guards() -> BoxedStrategy<Guards> {
    let deletions = prop::sample::select(vec!["Omission", "Omission", "Tombstone", "Never"]);
    let percent = prop::sample::select(vec![20, 50, 100u32]);
    (deletions, 0..4u32, percent)
        .prop_map(|(deletions, count, percent)| Guards {
            deletions,
            count,
            percent,
            has_waves: false,
        })
        .boxed()
}

pub fn worlds(drawn: Drawn) -> impl Strategy<Value = World> {
    let absent = prop::sample::select(vec![
        Wish::Absent,
        Wish::Absent,
        Wish::Removed("Delete"),
        Wish::Removed("Orphan"),
    ]);
    let had = prop::sample::select(vec![Had::Person, Had::Argo, Had::OtherFleet]);
    let if_different = prop::sample::select(vec!["Fail", "Overwrite"]);
    let adopted = (0..3u8, had, if_different)
        .prop_map(|(version, had, if_different)| Wish::Adopted(version, had, if_different));
    let wish = prop_oneof![
        4 * drawn.absent => absent,
        4 * drawn.broken => (0..4u8).prop_map(Wish::Broken),
        3 * (10 - drawn.absent - drawn.broken) => (0..3u8).prop_map(Wish::Version),
        10 - drawn.absent - drawn.broken => adopted,
    ];
    let first = prop::collection::vec(
        prop_oneof![1 => Just(Wish::Absent), 5 => Just(Wish::Version(0))],
        CLUSTERS,
    );
    let later = prop::collection::vec(prop::collection::vec(wish, CLUSTERS), drawn.revisions);
    let found = prop_oneof![3 => Just(Found::AsApplied), 1 => prop::sample::select(drawn.found)];
    let runs = prop::collection::vec(1..=drawn.revisions, 1..4);
    let command = prop::sample::select(vec![Prune::Yes, Prune::No]).prop_map(Kind::Command);
    (
        drawn.guards,
        prop::collection::vec(found, CLUSTERS),
        first,
        later,
        (runs.clone(), runs.clone(), runs, command),
        turns(drawn.fates),
    )
        .prop_map(
            |(guards, found, first, later, (one, two, three, command), turns)| World {
                guards,
                found,
                revisions: std::iter::once(first).chain(later).collect(),
                callers: vec![(Kind::Sync, one), (Kind::Sync, two), (command, three)],
                turns,
            },
        )
}

pub fn id(number: usize) -> ObjectId {
    let namespace = if number.is_multiple_of(2) { "edge" } else { "core" };
    let name = match number < FILES {
        true => format!("c{number}"),
        false => format!("store-{number}"),
    };
    ObjectId::new(kinds::K0SMOTRON_CLUSTER, namespace, name)
}

pub fn ids() -> impl Iterator<Item = ObjectId> {
    (0..CLUSTERS).map(id)
}

pub fn tier(number: usize) -> &'static str {
    ["first", "second", "third"][number % 3]
}

fn version(number: u8) -> String {
    format!("v1.35.{}+k0s.0", number + 1)
}

/// Returns the files of a fleet, with their paths.
pub fn texts(guards: &Guards, wishes: &[Wish]) -> Vec<(String, String)> {
    let rollout = match guards.has_waves {
        true => {
            "  rollout:\n    canary: {selector: {matchLabels: {tier: first}}}\n    waves: [{name: second, selector: \
             {matchLabels: {tier: second}}}]\n    minSuccessTime: 0s\n    maxFailures: 100\n"
        }
        false => "",
    };
    let fleet = format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {{name: acme}}\nspec:\n  id: {FLEET}\n  \
         deletions: {}\n  maxDeletions: {{count: {}, percent: {}}}\n{rollout}",
        guards.deletions, guards.count, guards.percent
    );
    let mut texts = vec![("fleet.yaml".to_owned(), fleet)];
    let mut table = "site,namespace,tier,version\n".to_owned();
    for (number, wish) in wishes.iter().enumerate() {
        let id = id(number);
        if number >= FILES {
            let (namespace, tier) = (&id.namespace, tier(number));
            let row = match wish {
                Wish::Absent | Wish::Removed(_) => continue,
                Wish::Version(version_number) | Wish::Adopted(version_number, ..) => {
                    format!("{number},{namespace},{tier},{}", version(*version_number))
                }
                Wish::Broken(_) => format!("{number},{namespace},{tier},"),
            };
            writeln!(table, "{row}").expect("a string takes everything");
            continue;
        }
        let text = match wish {
            Wish::Absent | Wish::Removed(_) => continue,
            Wish::Version(version_number) | Wish::Adopted(version_number, ..) => {
                cluster(number, &format!("{{version: {}}}", version(*version_number)))
            }
            Wish::Broken(0) => "kind: [\n".to_owned(),
            Wish::Broken(1) => cluster(number, "{replicas: many}"),
            Wish::Broken(2) => cluster(number, "{vershion: v1.35.1+k0s.0}"),
            Wish::Broken(_) => cluster(number, "{replicas: 1, replicas: 3}"),
        };
        texts.push((format!("clusters/{}.yaml", id.name), text));
    }
    let set = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {name: stores}\nspec:\n  key: site\n  \
               generators: [{csv: {path: stores.csv}}]\n  template:\n    metadata: {name: 'store-${site}', namespace: \
               '${namespace}', labels: {tier: '${tier}'}}\n    spec: {version: '${version}'}\n";
    texts.push(("sets/stores.yaml".to_owned(), set.to_owned()));
    texts.push(("sets/stores.csv".to_owned(), table));
    for (number, wish) in wishes.iter().enumerate() {
        let name = id(number).name;
        let (kind, spec) = match wish {
            Wish::Absent | Wish::Version(_) | Wish::Broken(_) => continue,
            Wish::Removed(policy) => ("Removed", format!("policy: {policy}")),
            Wish::Adopted(_, had, if_different) => {
                let from = had.named();
                ("Adopt", format!("from: {{{from}}}, ifDifferent: {if_different}"))
            }
        };
        texts.push((format!("records/{name}.yaml"), record(number, kind, &spec)));
    }
    texts
}

fn record(number: usize, kind: &str, spec: &str) -> String {
    let ObjectId { namespace, name, .. } = id(number);
    format!(
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{target: {{namespace: \
         {namespace}, name: {name}}}, {spec}}}\n"
    )
}

impl Had {
    fn named(self) -> &'static str {
        match self {
            Self::Person => "manager: kubectl",
            Self::Argo => "manager: argocd-controller",
            Self::OtherFleet => "fleet: other",
        }
    }

    /// Says whether it is who has what was found.
    fn has(self, found: Found) -> bool {
        match self {
            Self::Person => found == Found::Foreign,
            Self::Argo => found == Found::Argo,
            Self::OtherFleet => found == Found::OtherFleet,
        }
    }
}

fn cluster(number: usize, spec: &str) -> String {
    let ObjectId { namespace, name, .. } = id(number);
    format!(
        "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {{name: {name}, namespace: {namespace}, \
         labels: {{tier: {}}}}}\nspec: {spec}\n",
        tier(number)
    )
}

/// Returns what the files say; a broken file of the last sort is a link that is not followed.
pub fn files(guards: &Guards, wishes: &[Wish], revision: usize) -> Arc<Files> {
    let mut tree = SourceTree::new();
    for (path, text) in texts(guards, wishes) {
        tree.add(path, text.into_bytes()).expect("it is small");
    }
    if wishes.iter().take(FILES).any(|wish| *wish == Wish::Broken(3)) {
        tree.refuse("clusters/link.yaml", Refusal::SymbolicLink)
            .expect("it is small");
    }
    tree.revision = Some(format!("{revision:040x}"));
    Files::of(tree)
}

impl World {
    /// Says whether a record of any revision takes over what was found of a cluster.
    pub fn is_taken_over(&self, number: usize) -> bool {
        let takes = |wish: &Wish| matches!(wish, Wish::Adopted(_, had, _) if had.has(self.found[number]));
        self.revisions.iter().any(|wishes| takes(&wishes[number]))
    }

    pub fn files(&self) -> Vec<Arc<Files>> {
        let numbered = self.revisions.iter().enumerate();
        numbered
            .map(|(number, wishes)| files(&self.guards, wishes, number))
            .collect()
    }

    /// Returns the hub before anybody runs.
    pub async fn stage(&self, first: &Arc<Files>) -> Stage {
        let mut stage = Stage::new(Hub::new(&NAMESPACES));
        stage.finish(first, Prune::No).await;
        for (number, found) in self.found.iter().enumerate() {
            decorate(&mut stage.hub, &id(number), *found);
        }
        stage.hub.settle();
        stage.hub.written.clear();
        stage.hub.asked.clear();
        stage.runs.clear();
        stage
    }

    /// Returns the callers with the files of each of their runs.
    pub fn callers(&self, files: &[Arc<Files>]) -> Vec<(Kind, Vec<Arc<Files>>)> {
        let of = |(kind, runs): &(Kind, Vec<usize>)| {
            let runs = runs.iter().map(|run| Arc::clone(&files[*run]));
            (kind.clone(), runs.collect())
        };
        self.callers.iter().map(of).collect()
    }
}

fn decorate(hub: &mut Hub, id: &ObjectId, found: Found) {
    if found == Found::AsApplied {
        return;
    }
    if found != Found::Protected && !hub.objects.contains_key(id) {
        let body = json!({"apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster",
            "metadata": {"namespace": id.namespace, "name": id.name}, "spec": {"replicas": 1}});
        hub.put(id, None, Object(body));
    }
    hub.edit(id, |object| {
        let metadata = &mut object["metadata"];
        match found {
            Found::AsApplied => {}
            Found::Protected => metadata["annotations"][labels::PROTECT] = json!("true"),
            Found::Foreign => {
                metadata["labels"] = json!({});
                metadata["annotations"] = json!({});
                metadata["managedFields"] =
                    json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
            }
            Found::Argo => {
                let mark = "argocd.argoproj.io/tracking-id";
                metadata["annotations"][mark] = json!("app");
                let mut entries = metadata["managedFields"].as_array().cloned().unwrap_or_default();
                entries.push(json!({"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:annotations": {(format!("f:{mark}")): {}}}, "f:spec": {"f:version": {}},
                }}));
                metadata["managedFields"] = entries.into();
            }
            Found::OtherFleet => {
                metadata["labels"][labels::FLEET_ID] = json!("other");
                metadata["annotations"][labels::TRACKING] = json!(format!("other/{}/{}", id.namespace, id.name));
            }
        }
    });
}
