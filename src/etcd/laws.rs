//! Random histories of an etcd under [`decide`]: crashes, lost data, changed wishes, and an operator that forgets.
//!
//! The model keeps what matters of etcd: who is listed, who has a vote, whose data is there; it refuses what etcd
//! refuses. Pods restart by themselves unless their data or their template is broken.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::Member;
use super::decide::{Situation, decide};
use super::membership::{Answer, Asked, Change, Listed, MemberChange, Step, expectation};
use super::pods::{PodFacts, PodState};
use crate::api::EtcdPins;

const SET: &str = "kmc-edge-etcd";
const NAMESPACE: &str = "tenant-7";

#[derive(Clone, Debug)]
struct Voice {
    id: u64,
    is_learner: bool,
    has_started: bool,
}

#[derive(Clone, Debug)]
struct Pod {
    uid: u64,
    revision: u32,
    runs: bool,
    crashes: bool,
}

/// What lies in one directory of one volume: the id of the member that wrote it.
type Volumes = BTreeMap<(i32, i32), u64>;

#[derive(Clone, Debug)]
struct World {
    record: EtcdPins,
    /// Record by which the files and the number of pods were written last.
    rendered: EtcdPins,
    wanted: i32,
    listed: BTreeMap<i32, Voice>,
    pods: BTreeMap<i32, Pod>,
    volumes: Volumes,
    revision: u32,
    /// Whether the present template can run at all.
    revision_works: BTreeMap<u32, bool>,
    next: u64,
}

impl World {
    fn new(members: i32) -> Self {
        let record = EtcdPins::as_it_began(members);
        let mut world = Self {
            rendered: record.clone(),
            record,
            wanted: members,
            listed: BTreeMap::new(),
            pods: BTreeMap::new(),
            volumes: Volumes::new(),
            revision: 1,
            revision_works: BTreeMap::from([(1, true)]),
            next: 1,
        };
        for member in 0..members {
            let id = world.fresh();
            let voice = Voice {
                id,
                is_learner: false,
                has_started: true,
            };
            world.listed.insert(member, voice);
            world.volumes.insert((member, 0), id);
        }
        world.play();
        world
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn directory(&self, member: i32) -> (i32, i32) {
        (member, self.rendered.join(member).map_or(0, |join| join.join))
    }

    /// What the StatefulSet and the nodes do: pods are made and removed, and start if they can.
    fn play(&mut self) {
        let count = self.rendered.running;
        self.pods.retain(|member, _| *member < count);
        for member in 0..count {
            if !self.pods.contains_key(&member) {
                let pod = Pod {
                    uid: self.fresh(),
                    revision: self.revision,
                    runs: false,
                    crashes: false,
                };
                self.pods.insert(member, pod);
            }
            let directory = self.directory(member);
            let works = self.revision_works[&self.pods[&member].revision];
            let listed = self.listed.get(&member).cloned();
            let data = self.volumes.get(&directory).copied();
            let can_run = match (&listed, data) {
                // What was removed, or was another member once, ends by itself.
                (Some(voice), Some(data)) => voice.id == data,
                // Empty data: only a member that never started may begin with it.
                (Some(voice), None) => !voice.has_started,
                (None, _) => false,
            };
            let runs = works && can_run;
            if runs {
                let voice = self.listed.get_mut(&member).expect("it is listed");
                voice.has_started = true;
                let id = voice.id;
                self.volumes.insert(directory, id);
            }
            let pod = self.pods.get_mut(&member).expect("it was made");
            pod.runs = runs;
            pod.crashes = !runs;
        }
    }

    fn is_healthy(&self, member: i32) -> bool {
        self.pods.get(&member).is_some_and(|pod| pod.runs)
    }

    fn voters(&self) -> Vec<i32> {
        let voters = self.listed.iter().filter(|(_, voice)| !voice.is_learner);
        voters.map(|(member, _)| *member).collect()
    }

    fn has_quorum(&self) -> bool {
        let voters = self.voters();
        let healthy = voters.iter().filter(|member| self.is_healthy(**member)).count();
        healthy > voters.len() / 2
    }

    fn list(&self) -> Vec<Listed> {
        let leader = self.voters().into_iter().find(|member| self.is_healthy(*member));
        let listed = self.listed.iter().map(|(&member, voice)| Listed {
            id: voice.id.to_string(),
            name: if voice.has_started {
                format!("{SET}-{member}")
            } else {
                String::new()
            },
            peer_urls: vec![Member::of(SET, NAMESPACE, member).peer_url()],
            is_learner: voice.is_learner,
            is_healthy: self.is_healthy(member),
            is_leader: leader == Some(member),
        });
        listed.collect()
    }

    fn asked(&self) -> Asked {
        let members = if self.has_quorum() {
            Answer::Listed { members: self.list() }
        } else {
            Answer::Silent {
                why: "no quorum".into(),
            }
        };
        let pods = self.pods.iter().map(|(&member, pod)| {
            let facts = PodFacts {
                uid: pod.uid.to_string(),
                is_ready: pod.runs,
                is_going: false,
                is_outdated: pod.revision != self.revision,
                state: if pod.crashes {
                    PodState::Crashes
                } else {
                    PodState::Runs
                },
                not_ready_since: (!pod.runs).then_some(Timestamp::UNIX_EPOCH),
            };
            (member, facts)
        });
        Asked {
            members,
            pods: pods.collect(),
        }
    }

    fn step(&self) -> Step {
        decide(&Situation {
            stateful_set: SET,
            namespace: NAMESPACE,
            wanted: self.wanted,
            record: &self.record,
            asked: &self.asked(),
            now: Timestamp::from_second(100_000).expect("a date"),
            replace_after: SignedDuration::from_secs(600),
        })
    }

    /// Does a step, as apply and render do, unless it is forgotten on the way.
    fn execute(&mut self, step: &Step) {
        // Files and the number of pods follow the record in every pass, before anything else is done.
        self.rendered = self.record.clone();
        match step {
            Step::Settled | Step::Wait { .. } | Step::Held { .. } => {}
            Step::Record { record, .. } => {
                self.record = record.clone();
                self.rendered = record.clone();
            }
            Step::ReplacePod { member, uid, .. } => {
                let pod = &self.pods[member];
                assert_eq!(pod.uid.to_string(), *uid);
                self.pods.remove(member);
            }
            Step::Change(change) => self.change(change),
        }
    }

    fn change(&mut self, change: &Change) {
        assert_eq!(
            change.expected,
            expectation(&self.list()),
            "the precondition is the list that was seen"
        );
        match &change.change {
            MemberChange::Add { peer_url } => {
                assert_eq!(*peer_url, Member::of(SET, NAMESPACE, change.member).peer_url());
                assert!(
                    !self.listed.contains_key(&change.member),
                    "etcd refuses an address twice"
                );
                assert!(
                    self.listed.values().all(|voice| !voice.is_learner),
                    "one learner at a time"
                );
                let id = self.fresh();
                let voice = Voice {
                    id,
                    is_learner: true,
                    has_started: false,
                };
                self.listed.insert(change.member, voice);
            }
            MemberChange::Promote { id } => {
                let voice = self.listed.get_mut(&change.member).expect("it is listed");
                assert_eq!(voice.id.to_string(), *id);
                assert!(voice.is_learner && voice.has_started);
                voice.is_learner = false;
            }
            MemberChange::Remove { id } => {
                let voice = self.listed.remove(&change.member).expect("it is listed");
                assert_eq!(voice.id.to_string(), *id);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Happening {
    /// A step is decided and done.
    Pass,
    /// A step is decided, and done as far as etcd and pods are concerned, but nothing is written down.
    Forgotten,
    Want(i32),
    /// The volume of a member is emptied and its process dies.
    Wipe(i32),
    /// Another template, which may be one that cannot run.
    Template(bool),
    /// The pod of a member is deleted by somebody.
    Evict(i32),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => Just(Happening::Pass),
        1 => Just(Happening::Forgotten),
        2 => prop::sample::select(vec![1, 3, 5]).prop_map(Happening::Want),
        1 => (0..5).prop_map(Happening::Wipe),
        1 => any::<bool>().prop_map(Happening::Template),
        1 => (0..5).prop_map(Happening::Evict),
    ]
}

/// Only the restart of one of one or two members takes the quorum away for a moment, or for good with a template that
/// cannot run.
fn may_cost_the_quorum(step: &Step, before: &World) -> bool {
    matches!(step, Step::ReplacePod { .. }) && before.voters().len() <= 2
}

fn settle(world: &mut World) -> Step {
    let mut last = world.step();
    for _ in 0..120 {
        let is_safe = world.has_quorum() && !may_cost_the_quorum(&last, world);
        world.execute(&last);
        world.play();
        assert!(
            !is_safe || world.has_quorum(),
            "a step cost the quorum: {last:?}\n{world:#?}"
        );
        let next = world.step();
        if next == last
            && !matches!(
                next,
                Step::Record { .. } | Step::Change(_) | Step::ReplacePod { .. }
            )
        {
            return next;
        }
        last = next;
    }
    panic!("never settles: {last:?}\n{world:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_step_costs_the_quorum_and_what_is_wanted_is_reached(
        begins_with in prop::sample::select(vec![1, 3, 5]),
        history in prop::collection::vec(happening(), 0..40),
    ) {
        let mut world = World::new(begins_with);
        for happening in history {
            match happening {
                Happening::Pass | Happening::Forgotten => {
                    let step = world.step();
                    let is_safe = world.has_quorum() && !may_cost_the_quorum(&step, &world);
                    match (&happening, &step) {
                        (Happening::Forgotten, Step::Record { record, .. }) => world.rendered = record.clone(),
                        _ => world.execute(&step),
                    }
                    world.play();
                    prop_assert!(!is_safe || world.has_quorum(), "a step cost the quorum: {step:?}\n{world:#?}");
                }
                Happening::Want(members) => world.wanted = members,
                Happening::Wipe(member) => {
                    // Only what etcd can bear: the data of a member whose loss leaves a quorum.
                    let mut after = world.clone();
                    after.volumes.retain(|(owner, _), _| *owner != member);
                    after.play();
                    if after.has_quorum() {
                        world = after;
                    }
                }
                Happening::Template(works) => {
                    world.revision += 1;
                    world.revision_works.insert(world.revision, works);
                }
                Happening::Evict(member) => {
                    let mut after = world.clone();
                    after.pods.remove(&member);
                    after.play();
                    if after.has_quorum() {
                        world = after;
                    }
                }
            }
        }
        // In the end somebody writes a template that works.
        world.revision += 1;
        world.revision_works.insert(world.revision, true);
        let mut last = settle(&mut world);
        // More than one, or while others have another template, which may be at fault: a person decides, and removes them.
        let crashed: Vec<i32> = world.pods.iter().filter(|(_, pod)| pod.crashes).map(|(member, _)| *member).collect();
        if matches!(last, Step::Wait { .. }) && world.voters().len() >= 3 && world.has_quorum() {
            world.listed.retain(|member, voice| voice.is_learner || !crashed.contains(member));
            prop_assert!(world.has_quorum());
            last = settle(&mut world);
        }
        let is_crowded = |world: &World| world.voters().len() < 3 && world.pods.values().any(|pod| !pod.runs);
        // Of two members one that lost its data cannot be replaced without risk: a person decides.
        prop_assert!(last == Step::Settled || is_crowded(&world), "{last:?}\n{world:#?}");
        if last == Step::Settled {
            let all: Vec<i32> = (0..world.wanted).collect();
            prop_assert_eq!(world.voters(), all.clone());
            prop_assert_eq!(world.pods.keys().copied().collect::<Vec<_>>(), all);
            prop_assert!(world.pods.values().all(|pod| pod.runs && pod.revision == world.revision));
        }
    }
}
