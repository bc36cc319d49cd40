//! Laws that hold for every fleet, every hub and every policy.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::fleet_files::{AdoptSource, IfDifferent};
use crate::object::{Kind, Unreadable};
use crate::render::{Answer, Answers, Desired};

const ARGO: &str = "argocd-controller";

/// What is live under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    Absent,
    Member,
    Protected,
    Held,
    Foreign,
    OtherFleet,
    Argo,
    Untracked,
    Going,
}

const LIVES: [Live; 9] = [
    Live::Absent,
    Live::Member,
    Live::Protected,
    Live::Held,
    Live::Foreign,
    Live::OtherFleet,
    Live::Argo,
    Live::Untracked,
    Live::Going,
];

impl Live {
    fn may_be_changed(self) -> bool {
        matches!(
            self,
            Self::Absent | Self::Member | Self::Protected | Self::Untracked
        )
    }

    fn may_be_deleted(self) -> bool {
        self == Self::Member
    }
}

#[derive(Clone, Debug)]
struct World {
    desired: Vec<FleetEntry>,
    lives: BTreeMap<ObjectId, Live>,
    observed: Observed,
    policy: FleetPolicy,
}

fn spec() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"replicas": 3})),
        Just(json!({"version": "v1.35.2+k0s.0"})),
        Just(json!({"version": "v1.36.0+k0s.0", "replicas": 1})),
        Just(
            json!({"externalAddress": "edge.example.org", "service": {"type": "NodePort", "labels": {"a": "b"}}})
        ),
        Just(json!({"deletionPolicy": "Delete", "tolerations": [{"key": "edge"}]})),
    ]
}

fn policies() -> impl Strategy<Value = FleetPolicy> {
    (
        prop::option::weighted(0.8, Just(FLEET.to_owned())),
        prop::sample::select(vec![Deletions::Never, Deletions::Tombstone, Deletions::Omission]),
        prop::sample::select(vec![Prune::No, Prune::Yes]),
        (0..6u32, prop::sample::select(vec![0, 10, 50, 100u32])),
        0..2usize,
        prop::sample::select(vec![EmptySet::Suspicious, EmptySet::Allowed]),
        prop::sample::select(vec![Files::Sound, Files::Sound, Files::WithErrors]),
    )
        .prop_map(
            |(id, deletions, prune, (count, percent), unnamed, empty_set, files)| FleetPolicy {
                id,
                deletions,
                prune,
                budget: Budget { count, percent },
                begun: Begun {
                    unnamed,
                    ..Begun::default()
                },
                empty_set,
                files,
                ..policy()
            },
        )
}

fn worlds() -> impl Strategy<Value = World> {
    let one = (
        prop::option::of((spec(), any::<bool>(), any::<bool>())),
        prop::sample::select(LIVES.to_vec()),
        spec(),
    );
    (prop::collection::vec(one, 8), policies()).prop_map(|(clusters, policy)| {
        let mut world = World {
            desired: Vec::new(),
            lives: BTreeMap::new(),
            observed: Observed::default(),
            policy,
        };
        for (number, (wanted, live, live_spec)) in clusters.into_iter().enumerate() {
            let namespace = if number % 2 == 0 { "edge" } else { "core" };
            let name = format!("c{number}");
            world.desired.extend(wanted.map(|(spec, is_moved, is_of_set)| {
                let mut entry = entry(namespace, &name, spec);
                if is_moved {
                    entry.source = format!("moved/{name}.yaml");
                }
                entry.is_of_set = is_of_set;
                entry
            }));
            let id = cluster_id(namespace, &name);
            world.lives.insert(id.clone(), live);
            if let Some(object) = object(&entry(namespace, &name, live_spec), live) {
                world.observed.objects.insert(id, object);
            }
        }
        world
    })
}

fn object(entry: &FleetEntry, live: Live) -> Option<Object> {
    let maker = FleetPolicy {
        id: (live != Live::Untracked).then(|| FLEET.to_owned()),
        ..policy()
    };
    let made = applied(
        &planned(std::slice::from_ref(entry), &Observed::default(), &maker),
        &Observed::default(),
    );
    let mut object = made.objects.get(&entry.id)?.clone();
    let metadata = &mut object.0["metadata"];
    match live {
        Live::Absent => return None,
        Live::Member | Live::Untracked => {}
        Live::Protected => metadata["annotations"][labels::PROTECT] = json!("true"),
        Live::Held => metadata["annotations"][labels::HOLD] = json!("incident"),
        Live::Foreign => {
            metadata["labels"] = json!({});
            metadata["annotations"] = json!({});
            metadata["managedFields"] =
                json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}]);
        }
        Live::OtherFleet => {
            let tracking = format!("other/{}/{}", entry.id.namespace, entry.id.name);
            metadata["labels"][labels::FLEET_ID] = json!("other");
            metadata["annotations"][labels::TRACKING] = json!(tracking);
        }
        Live::Argo => {
            metadata["annotations"]["argocd.argoproj.io/tracking-id"] = json!("app");
            metadata["managedFields"][0]["manager"] = json!(ARGO);
            metadata["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"]["f:argocd.argoproj.io/tracking-id"] =
                json!({});
        }
        Live::Going => metadata["deletionTimestamp"] = json!("2030-01-01T00:00:00Z"),
    }
    Some(object)
}

impl World {
    fn plan(&self) -> Plan {
        planned(&self.desired, &self.observed, &self.policy)
    }
}

fn deletions(plan: &Plan) -> BTreeSet<ObjectId> {
    plan.actions()
        .filter(|action| matches!(action.operation, Operation::Delete { .. }))
        .map(|action| action.id.clone())
        .collect()
}

fn bytes(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_the_files_changes_no_byte_of_a_plan(world in worlds(), seed in any::<prop::sample::Index>()) {
        let mut turned = world.clone();
        if !turned.desired.is_empty() {
            turned.desired.rotate_left(seed.index(world.desired.len()));
        }
        prop_assert_eq!(bytes(&world.plan()), bytes(&turned.plan()));
    }

    #[test]
    fn deletions_stay_within_the_budget_and_behind_every_guard(world in worlds()) {
        let plan = world.plan();
        let deleted = deletions(&plan);
        let policy = &world.policy;
        let before = policy.begun.count();
        let members = world.observed.objects.len() + before;
        prop_assert!(deleted.len() + before.min(deleted.len() * 9) <= policy.budget.limit(members));
        let is_off = policy.id.is_none()
            || policy.files == Files::WithErrors
            || policy.deletions == Deletions::Tombstone
            || (policy.deletions == Deletions::Never && policy.prune == Prune::No)
            || (world.desired.is_empty() && policy.empty_set == EmptySet::Suspicious);
        prop_assert!(!is_off || deleted.is_empty(), "{deleted:?}");
        for id in &deleted {
            prop_assert!(world.lives[id].may_be_deleted(), "{id} {:?}", world.lives[id]);
            prop_assert!(!world.desired.iter().any(|entry| entry.id == *id));
        }
        let last = plan.waves.last().map(|wave| wave.name.as_str());
        prop_assert!(deleted.is_empty() || last == Some("deletions"));
    }

    #[test]
    fn what_is_protected_foreign_or_tracked_elsewhere_is_never_written(world in worlds()) {
        let mut seen = BTreeSet::new();
        for action in world.plan().actions() {
            prop_assert!(seen.insert(action.id.clone()), "{} twice", action.id);
            let live = world.lives[&action.id];
            prop_assert!(live.may_be_changed() || live.may_be_deleted(), "{} {live:?}", action.id);
        }
    }

    #[test]
    fn a_record_takes_over_what_it_names_once_and_opens_nothing_else(
        world in worlds(),
        from in prop::sample::select(vec![
            AdoptSource::Manager("kubectl".to_owned()),
            AdoptSource::Manager(ARGO.to_owned()),
            AdoptSource::Fleet("other".to_owned()),
        ]),
        if_different in prop::sample::select(vec![IfDifferent::Fail, IfDifferent::Overwrite]),
    ) {
        let record = AdoptRecord { from: from.clone(), if_different, place: "adopt.yaml:1:1".to_owned() };
        let mut world = world;
        world.policy.adopted = world.lives.keys().map(|id| (id.clone(), record.clone())).collect();
        let plan = world.plan();
        let mut adopted = BTreeSet::new();
        for action in plan.actions() {
            let live = world.lives[&action.id];
            if !matches!(action.operation, Operation::Adopt { .. }) {
                prop_assert!(live != Live::Absent && (live.may_be_changed() || live.may_be_deleted()), "{live:?}");
                continue;
            }
            let is_named = match (&from, live) {
                (AdoptSource::Fleet(_), live) => live == Live::OtherFleet,
                (AdoptSource::Manager(manager), live) if manager == ARGO => live == Live::Argo,
                (AdoptSource::Manager(_), live) => live == Live::Foreign,
            };
            prop_assert!(is_named && world.policy.id.is_some(), "{from:?} {live:?}");
            let changes_spec = action.changes.iter().any(|change| change.pointer.starts_with("/spec"));
            prop_assert!(if_different == IfDifferent::Overwrite || !changes_spec, "{:?}", action.changes);
            adopted.insert(action.id.clone());
        }
        let after = World { observed: applied(&plan, &world.observed), ..world.clone() };
        prop_assert!(after.plan().actions().all(|action| !adopted.contains(&action.id)));
    }

    #[test]
    fn a_cluster_is_changed_if_and_only_if_something_of_it_differs(world in worlds()) {
        let plan = world.plan();
        let is_path = |pointer: &str| pointer == "/metadata/annotations/fleet.k0smotron.io~1source";
        for action in plan.actions() {
            if let Operation::Apply { body, .. } = &action.operation {
                let entry = world.desired.iter().find(|entry| entry.id == action.id).unwrap();
                prop_assert!(action.changes.iter().any(|change| entry.is_of_set || !is_path(&change.pointer)));
                prop_assert_eq!(body.annotation(labels::SOURCE), world.policy.id.as_ref().map(|_| entry.source.as_str()));
            }
        }
        for id in &plan.unchanged {
            let entry = world.desired.iter().find(|entry| entry.id == *id).unwrap();
            let mut body = Object::clone(&entry.object);
            if world.policy.id.is_some() {
                body.0["metadata"]["annotations"][labels::SOURCE] = json!(entry.source);
            }
            let live = world.observed.objects.get(id).unwrap();
            // Some other manager: what the fleet would add and take away is another law's.
            let differences = crate::object::differences(&body, live, "nobody");
            let is_left = |pointer: &str| !entry.is_of_set && is_path(pointer);
            prop_assert!(differences.iter().all(|one| is_left(&one.pointer)), "{differences:?}");
        }
    }

    #[test]
    fn knowing_less_never_deletes_more(world in worlds(), namespace in prop::sample::select(vec!["edge", "core"])) {
        let before = deletions(&world.plan());
        let mut less = world.clone();
        less.observed.objects = world
            .observed
            .objects
            .iter()
            .filter(|(id, _)| id.namespace != namespace)
            .map(|(id, object)| (id.clone(), object.clone()))
            .collect();
        less.observed.unreadable.push(Unreadable {
            kind: kinds::K0SMOTRON_CLUSTER,
            namespace: namespace.to_owned(),
            reason: "forbidden".into(),
        });
        prop_assert!(deletions(&less.plan()).is_subset(&before));
        less.observed.unreadable[0].namespace.clear();
        prop_assert!(deletions(&less.plan()).is_empty());
    }

    #[test]
    fn once_applied_there_is_nothing_left_to_do(world in worlds()) {
        let plan = world.plan();
        let after = World { observed: applied(&plan, &world.observed), ..world.clone() };
        let again = after.plan();
        // A fleet that has grown has a larger budget.
        let was_over_budget = |id: &ObjectId| {
            plan.held.iter().any(|held| held.id == *id && held.reason == HeldReason::OverBudget)
        };
        for action in again.actions() {
            prop_assert!(was_over_budget(&action.id), "{:?}", action);
        }
    }
}

// === children ===

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    Absent,
    Ours,
    Predecessor,
    Foreign,
}

fn answers() -> impl Strategy<Value = Vec<(ObjectId, Answer, Child)>> {
    let kinds_and_names: Vec<(Kind, &str)> = vec![
        (kinds::SERVICE, "kmc-edge-nodeport"),
        (kinds::CONFIG_MAP, "kmc-edge-config"),
        (kinds::STATEFUL_SET, "kmc-edge"),
        (kinds::STATEFUL_SET, "kmc-edge-etcd"),
        (kinds::SECRET, "edge-ca"),
        (kinds::SECRET, "edge-etcd-peer"),
        (kinds::PERSISTENT_VOLUME_CLAIM, "etcd-data-kmc-edge-etcd-0"),
    ];
    let child = prop::sample::select(vec![
        Child::Absent,
        Child::Ours,
        Child::Predecessor,
        Child::Foreign,
    ]);
    let count = kinds_and_names.len();
    prop::collection::vec((0..4u8, 1..3i64, child), count).prop_map(move |drawn| {
        let pairs = kinds_and_names.iter().zip(drawn);
        pairs
            .map(|((kind, name), (answer, replicas, child))| {
                let answer = match answer {
                    0 => Answer::Want(Desired::Object(rendered(*kind, name, replicas, "uid-new"))),
                    1 => Answer::Drop {
                        why: "mistake".into(),
                    },
                    2 => Answer::Keep {
                        waiting_on: "an address".into(),
                    },
                    _ => Answer::Want(Desired::AsItIs),
                };
                (ObjectId::new(*kind, "tenant-7", *name), answer, child)
            })
            .collect()
    })
}

fn rendered(kind: Kind, name: &str, replicas: i64, uid: &str) -> Object {
    Object(json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": {"namespace": "tenant-7", "name": name, "labels": {labels::CLUSTER_UID: uid}},
        "spec": {"replicas": replicas, "template": {"generation": replicas}},
    }))
}

fn children_of(answers: &[(ObjectId, Answer, Child)]) -> Observed {
    let mut observed = Observed::default();
    for (id, _, child) in answers {
        let uid = match child {
            Child::Absent => continue,
            Child::Ours => "uid-new",
            Child::Predecessor => "uid-old",
            Child::Foreign => "uid-other",
        };
        let mut object = rendered(id.kind, &id.name, 1, uid);
        object.0["metadata"]["uid"] = json!(format!("uid-of-{}", id.name));
        object.0["metadata"]["resourceVersion"] = json!("7");
        observed.objects.insert(id.clone(), object);
    }
    observed
}

fn child_plan(answers: &[(ObjectId, Answer, Child)], observed: &Observed) -> Plan {
    let answers: Answers = answers
        .iter()
        .map(|(id, answer, _)| (id.clone(), answer.clone()))
        .collect();
    let owner = Owner {
        cluster: cluster_id("tenant-7", "edge"),
        uid: "uid-new".into(),
        pinned_uid: Some("uid-old".into()),
    };
    super::super::children(&answers, observed, &owner)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn children_that_are_foreign_stay_and_volumes_and_root_keys_are_never_deleted(answers in answers()) {
        let plan = child_plan(&answers, &children_of(&answers));
        for (id, answer, child) in &answers {
            let is_written = plan.actions().any(|action| action.id == *id);
            prop_assert!(!(is_written && *child == Child::Foreign), "{id}");
            let is_kept = matches!(answer, Answer::Keep { .. });
            prop_assert!(!(is_written && is_kept), "{id}");
        }
        for id in deletions(&plan) {
            let (_, answer, child) = answers.iter().find(|(other, _, _)| *other == id).unwrap();
            let is_asked_for = matches!(answer, Answer::Drop { .. });
            prop_assert!(is_asked_for && *child == Child::Ours, "{id}");
            prop_assert!(id.kind != kinds::PERSISTENT_VOLUME_CLAIM && id.name != "edge-ca", "{id}");
        }
    }

    #[test]
    fn children_that_are_not_seen_are_not_deleted(answers in answers(), gone in any::<prop::sample::Index>()) {
        let observed = children_of(&answers);
        let before = deletions(&child_plan(&answers, &observed));
        let mut less = observed.clone();
        less.objects.remove(&answers[gone.index(answers.len())].0);
        prop_assert!(deletions(&child_plan(&answers, &less)).is_subset(&before));
    }

    #[test]
    fn children_are_at_rest_once_their_plan_is_applied(answers in answers()) {
        let observed = children_of(&answers);
        let plan = child_plan(&answers, &observed);
        let after = model::apply(&plan, &observed, labels::OPERATOR_MANAGER);
        let again = child_plan(&answers, &after);
        prop_assert!(again.is_empty(), "{:?}", again);
        prop_assert_eq!(bytes(&again), bytes(&child_plan(&answers, &after)));
    }
}
