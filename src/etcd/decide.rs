//! What is known of an etcd and what is wanted -> the one thing to do next.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::Member;
use super::membership::{Answer, Asked, Change, Listed, MOST_MEMBERS, MemberChange, Step, expectation};
use super::pods::{PodFacts, PodState};
use crate::api::{EtcdJoin, EtcdPins};

/// Voters below which none is taken out for being broken: of two, the other one alone could not agree to it.
const ENOUGH_TO_REPLACE: usize = 3;

/// Everything that a step depends on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// Name of the StatefulSet, which begins the names of the members.
    pub stateful_set: &'a str,
    pub namespace: &'a str,
    /// Members there should be.
    pub wanted: i32,
    /// What was written down so far.
    pub record: &'a EtcdPins,
    pub asked: &'a Asked,
    pub now: Timestamp,
    /// A member that crashes again and again for this long, while all others are healthy, is replaced.
    pub replace_after: SignedDuration,
}

/// Decides about the next step of an etcd.
///
/// *Shape*: repeating it with what came of each step ends at [`Step::Settled`], or at one that says what is waited for.
/// Wherever that is interrupted, the next decision goes on from what the members and the record say.
pub fn decide(situation: &Situation<'_>) -> Step {
    let listed = match &situation.asked.members {
        Answer::Unreachable { why } => {
            return Step::Held {
                reason: "MembersNotReachable",
                message: why.clone(),
            };
        }
        Answer::Silent { why } => {
            return situation
                .hopeless_pod(&[])
                .unwrap_or_else(|| wait(format!("etcd does not answer: {why}")));
        }
        Answer::Listed { members } => members,
    };
    match Members::sort(situation, listed) {
        Err(stranger) => Step::Held {
            reason: "UnknownMember",
            message: format!(
                "etcd has a member at {stranger} that is not one of its pods; remove it with `etcdctl member remove`, or \
                 find out whose it is"
            ),
        },
        Ok(members) => members.decide(),
    }
}

fn wait(why: impl Into<String>) -> Step {
    Step::Wait { why: why.into() }
}

impl Situation<'_> {
    fn pod(&self, member: i32) -> Option<&PodFacts> {
        self.asked.pods.get(&member)
    }

    fn is_ready(&self, member: i32) -> bool {
        self.pod(member).is_some_and(|pod| pod.is_ready && !pod.is_going)
    }

    /// A pod of an old template that cannot start, or starts in vain, serves nobody: its member loses nothing with it,
    /// and only the new template can help. This is the way out when every pod has a template that cannot work.
    fn hopeless_pod(&self, healthy: &[i32]) -> Option<Step> {
        let (&member, pod) = self.asked.pods.iter().find(|(member, pod)| {
            let is_hopeless = match pod.state {
                PodState::Runs => false,
                PodState::CannotStart | PodState::Crashes => true,
            };
            is_hopeless
                && pod.is_outdated
                && !pod.is_ready
                && !pod.is_going
                && (0..self.record.running).contains(member)
                && !healthy.contains(member)
        })?;
        Some(Step::ReplacePod {
            member,
            uid: pod.uid.clone(),
            why: "it does not come up, and there is a new template".to_owned(),
        })
    }

    /// Crashes again and again, for long, with the template that it should have.
    fn is_broken(&self, member: i32) -> bool {
        self.pod(member).is_some_and(|pod| {
            let lasts_long = pod
                .not_ready_since
                .is_some_and(|since| self.now.duration_since(since) >= self.replace_after);
            lasts_long && pod.state == PodState::Crashes && !pod.is_outdated && !pod.is_going
        })
    }

    fn name(&self, member: i32) -> String {
        Member::of(self.stateful_set, self.namespace, member).pod
    }
}

/// The list of an etcd, sorted by the pods that its members live in.
struct Members<'a> {
    situation: &'a Situation<'a>,
    listed: &'a [Listed],
    voters: BTreeMap<i32, &'a Listed>,
    learners: BTreeMap<i32, &'a Listed>,
}

impl<'a> Members<'a> {
    /// Errors with the address of a member that is none of ours.
    fn sort(situation: &'a Situation<'a>, listed: &'a [Listed]) -> Result<Self, String> {
        let (mut voters, mut learners) = (BTreeMap::new(), BTreeMap::new());
        for one in listed {
            let member = (0..MOST_MEMBERS).find(|&ordinal| {
                let url = Member::of(situation.stateful_set, situation.namespace, ordinal).peer_url();
                one.peer_urls.contains(&url)
            });
            let member = member.ok_or_else(|| one.peer_urls.join(", "))?;
            if one.is_learner {
                learners.insert(member, one);
            } else {
                voters.insert(member, one);
            }
        }
        Ok(Self {
            situation,
            listed,
            voters,
            learners,
        })
    }

    fn record(&self) -> &'a EtcdPins {
        self.situation.record
    }

    fn change(&self, member: i32, change: MemberChange, why: &str) -> Step {
        Step::Change(Change {
            member,
            change,
            expected: expectation(self.listed),
            why: why.to_owned(),
        })
    }

    fn remove(&self, member: i32, listed: &Listed, why: &str) -> Step {
        let change = MemberChange::Remove {
            id: listed.id.clone(),
        };
        self.change(member, change, why)
    }

    fn add(&self, member: i32, why: &str) -> Step {
        let peer_url = Member::of(self.situation.stateful_set, self.situation.namespace, member).peer_url();
        self.change(member, MemberChange::Add { peer_url }, why)
    }

    /// Voters that are not healthy.
    fn ill(&self) -> Vec<i32> {
        let ill = self.voters.iter().filter(|(_, listed)| !listed.is_healthy);
        ill.map(|(member, _)| *member).collect()
    }

    fn wait_for(&self, members: &[i32]) -> Step {
        let names: Vec<String> = members
            .iter()
            .map(|&member| self.situation.name(member))
            .collect();
        wait(format!("waiting until {} is healthy", names.join(" and ")))
    }

    fn wait_for_former(&self, member: i32) -> Step {
        let name = self.situation.name(member);
        wait(format!("waiting until the former pod {name} is gone"))
    }

    fn decide(&self) -> Step {
        let situation = self.situation;
        let healthy: Vec<i32> = self
            .voters
            .iter()
            .chain(&self.learners)
            .filter(|(_, listed)| listed.is_healthy)
            .map(|(member, _)| *member)
            .collect();
        if let Some(step) = situation.hopeless_pod(&healthy) {
            return step;
        }
        // One change at a time: what has begun is ended first.
        if let Some((&member, &learner)) = self.learners.iter().next() {
            return self.learner(member, learner);
        }
        let (wanted, running) = (situation.wanted, self.record().running);
        if let Some((&member, _)) = self.voters.range(running..).next() {
            return Step::Held {
                reason: "UnknownMember",
                message: format!(
                    "etcd has the member {}, and {running} are known here: was a backup restored? Remove it with `etcdctl \
                     member remove` when it is not needed",
                    situation.name(member)
                ),
            };
        }
        let missing = (0..running).filter(|member| !self.voters.contains_key(member));
        if let Some(step) = self.missing(&missing.collect::<Vec<_>>()) {
            return step;
        }
        let ill = self.ill();
        let highest = running - 1;
        if wanted < running {
            return match (
                ill.iter().find(|&&member| member != highest),
                self.voters.get(&highest),
            ) {
                (None, Some(listed)) => self.remove(highest, listed, "fewer members are wanted"),
                _ => self.wait_for(&ill),
            };
        }
        if let Some(step) = self.roll(&ill) {
            return step;
        }
        if let Some(step) = self.broken(&ill) {
            return step;
        }
        if !ill.is_empty() {
            return self.wait_for(&ill);
        }
        if self.record().changing.is_some() {
            return Step::Record {
                record: EtcdPins {
                    changing: None,
                    ..self.record().clone()
                },
                why: "the member has joined".to_owned(),
            };
        }
        if wanted > running {
            return self.grow(running);
        }
        Step::Settled
    }

    /// Brings in a member that has no vote yet.
    fn learner(&self, member: i32, learner: &Listed) -> Step {
        let (situation, record) = (self.situation, self.record());
        let running = record.running;
        if member >= situation.wanted && member >= running - 1 {
            return self.remove(member, learner, "it is not wanted any more");
        }
        if member > running {
            return self.remove(member, learner, "another one is next");
        }
        if member == running {
            if situation.pod(member).is_some() {
                return self.wait_for_former(member);
            }
            return Step::Record {
                record: entered(record, member, &learner.id),
                why: format!("{} joins", situation.name(member)),
            };
        }
        if record.join(member).is_none_or(|join| join.id != learner.id) {
            return Step::Record {
                record: identified(record, member, &learner.id),
                why: format!("{} joins", situation.name(member)),
            };
        }
        let ill = self.ill();
        if !ill.is_empty() {
            return self.wait_for(&ill);
        }
        if learner.is_healthy {
            let id = learner.id.clone();
            return self.change(member, MemberChange::Promote { id }, "it has the data");
        }
        if situation.is_broken(member) {
            return self.remove(member, learner, "it does not come up and joins again");
        }
        wait(format!("waiting until {} has joined", situation.name(member)))
    }

    /// Members that have a pod and are in no list: taken out to shrink, or to come in again.
    fn missing(&self, missing: &[i32]) -> Option<Step> {
        let first = *missing.first()?;
        let (record, wanted) = (self.record(), self.situation.wanted);
        if wanted < record.running && missing == [record.running - 1] {
            return Some(Step::Record {
                record: EtcdPins {
                    running: record.running - 1,
                    changing: None,
                    ..record.clone()
                },
                why: format!("{} has left", self.situation.name(first)),
            });
        }
        let ill = self.ill();
        if !ill.is_empty() {
            return Some(self.wait_for(&ill));
        }
        // Files first: a pod that still has the old ones would begin as the new member in the old directory.
        let pod = self.situation.pod(first);
        let prepared = record
            .join(first)
            .filter(|join| join.id.is_empty() && record.changing == Some(first));
        let Some(join) = prepared else {
            return Some(Step::Record {
                record: prepared_again(record, first, pod),
                why: format!("{} is to join again", self.situation.name(first)),
            });
        };
        Some(match pod {
            Some(pod) if join.replaces.as_ref() == Some(&pod.uid) && pod.is_going => {
                self.wait_for_former(first)
            }
            Some(pod) if join.replaces.as_ref() == Some(&pod.uid) => Step::ReplacePod {
                member: first,
                uid: pod.uid.clone(),
                why: "it begins again as a new member".to_owned(),
            },
            Some(_) | None => self.add(first, "it is to join again"),
        })
    }

    /// Replaces pods of an old template, one at a time: first one that is not well while all others are, then the
    /// others from the last to the first, and the leader at the end, so that the leader changes once.
    fn roll(&self, ill: &[i32]) -> Option<Step> {
        let situation = self.situation;
        let mut outdated: Vec<i32> = (0..self.record().running)
            .filter(|&member| situation.pod(member).is_some_and(|pod| pod.is_outdated))
            .collect();
        if outdated.is_empty() {
            return None;
        }
        let is_leader = |member: &i32| self.voters.get(member).is_some_and(|listed| listed.is_leader);
        outdated.sort_by_key(|member| (is_leader(member), -member));
        let is_well = |member: i32| !ill.contains(&member) && situation.is_ready(member);
        let not_well: Vec<i32> = (0..self.record().running)
            .filter(|&member| !is_well(member))
            .collect();
        let next = match not_well[..] {
            // Of two none can be spared; a third is on its way.
            [] if self.voters.len() == 2 && self.situation.wanted > 2 => return None,
            [] => outdated.first().copied(),
            // Its data is as it is; a new pod is what it waits for.
            [one] if outdated.contains(&one) => Some(one),
            _ => None,
        };
        let replaced = next.and_then(|member| Some((member, situation.pod(member)?)));
        Some(match replaced {
            Some((member, pod)) if !pod.is_going => Step::ReplacePod {
                member,
                uid: pod.uid.clone(),
                why: "there is a new template, and all other members are healthy".to_owned(),
            },
            _ => self.wait_for(&not_well),
        })
    }

    /// Takes out a member that is beyond recovery, to add it again with empty data.
    fn broken(&self, ill: &[i32]) -> Option<Step> {
        let [member] = ill[..] else { return None };
        let listed = self.voters.get(&member)?;
        if self.voters.len() < ENOUGH_TO_REPLACE || !self.situation.is_broken(member) {
            return None;
        }
        let others_are_ready = (0..self.record().running)
            .filter(|&other| other != member)
            .all(|other| self.situation.is_ready(other));
        if !others_are_ready {
            return None;
        }
        // Written down before it is done, so that whoever goes on knows that it is to come back.
        if self.record().changing != Some(member) {
            return Some(Step::Record {
                record: EtcdPins {
                    changing: Some(member),
                    ..self.record().clone()
                },
                why: format!("{} is broken and is replaced", self.situation.name(member)),
            });
        }
        Some(self.remove(member, listed, "it is broken, and all other members are healthy"))
    }

    fn grow(&self, running: i32) -> Step {
        let situation = self.situation;
        let not_ready: Vec<i32> = (0..running)
            .filter(|&member| !situation.is_ready(member))
            .collect();
        if !not_ready.is_empty() {
            return self.wait_for(&not_ready);
        }
        if situation.pod(running).is_some() {
            return self.wait_for_former(running);
        }
        self.add(running, "more members are wanted")
    }
}

/// Writes down that a further member comes in, as the one that etcd calls `id`.
fn entered(record: &EtcdPins, member: i32, id: &str) -> EtcdPins {
    let mut record = with_join(record, member, |earlier| EtcdJoin {
        join: earlier.join + 1,
        id: id.to_owned(),
        replaces: None,
        ..earlier
    });
    record.running = member + 1;
    record
}

/// Writes down that a member is to come in again, in a directory that was never used, and after `pod` is gone.
fn prepared_again(record: &EtcdPins, member: i32, pod: Option<&PodFacts>) -> EtcdPins {
    with_join(record, member, |earlier| EtcdJoin {
        join: earlier.join + 1,
        id: String::new(),
        replaces: pod.map(|pod| pod.uid.clone()),
        ..earlier
    })
}

/// Writes down what etcd calls a member that comes in.
fn identified(record: &EtcdPins, member: i32, id: &str) -> EtcdPins {
    with_join(record, member, |earlier| EtcdJoin {
        id: id.to_owned(),
        ..earlier
    })
}

fn with_join(record: &EtcdPins, member: i32, change: impl FnOnce(EtcdJoin) -> EtcdJoin) -> EtcdPins {
    let earlier = record.join(member).cloned().unwrap_or(EtcdJoin {
        member,
        ..EtcdJoin::default()
    });
    let mut record = record.clone();
    record.joins.retain(|join| join.member != member);
    record.joins.push(change(earlier));
    record.joins.sort_by_key(|join| join.member);
    record.changing = Some(member);
    record
}
