//! One cluster on its way through random changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k0smotron_fleet::api::labels;
use k0smotron_fleet::object::{ObjectId, kinds};
use k0smotron_fleet::plan::{HeldReason, Impact, Plan};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::changes::{self, Change, Dice};
use super::member::Member;
use super::seen::Pods;
use crate::fields::world::{LONG, Standing, World, next_address};
use crate::operator::SOON;
use crate::support::{eventually, try_eventually};

/// What was said and seen of one change.
pub struct Told {
    pub cluster: String,
    words: String,
    said: String,
    seen: String,
    pub impact: Option<Impact>,
    /// What was not as it was said.
    pub misses: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n    said: {}\n    seen: {}",
            self.cluster, self.words, self.said, self.seen
        )?;
        for miss in &self.misses {
            write!(f, "\n    MISS: {miss}")?;
        }
        Ok(())
    }
}

pub struct Chain<'a> {
    world: &'a World<'a>,
    member: Member,
    dice: Dice,
    standing: Standing,
    told: Vec<Told>,
}

impl<'a> Chain<'a> {
    pub fn new(world: &'a World<'a>, number: usize, spec: Value, seed: u64) -> Self {
        let id = ObjectId::new(
            kinds::K0SMOTRON_CLUSTER,
            &world.bench.namespace.name,
            format!("t-{number:02}"),
        );
        let spec = spec.to_string().replace("{address}", &next_address().to_string());
        Self {
            world,
            member: Member::new(id, serde_json::from_str(&spec).unwrap()),
            dice: Dice::new(seed, number),
            standing: Standing::default(),
            told: Vec::new(),
        }
    }

    /// Creates the cluster, changes it so many times, deletes it, and creates it again.
    pub async fn walk(mut self, count: usize) -> Vec<Told> {
        if let Err(fault) = self.steps(count).await {
            let told = self.tell("the way is at its end", None);
            self.told.push(Told {
                misses: vec![fault],
                ..told
            });
        }
        self.told
    }

    async fn steps(&mut self, count: usize) -> Result<(), String> {
        self.create("created").await?;
        for _ in 0..count {
            let change = changes::next(&mut self.dice, &self.member.object);
            let address = next_address().to_string();
            let object = change.object.to_string().replace("{address}", &address);
            self.change(Change {
                object: serde_json::from_str(&object).unwrap(),
                words: change.words,
            })
            .await?;
        }
        self.delete().await?;
        self.create("created again").await
    }

    fn tell(&self, words: &str, plan: Option<&Plan>) -> Told {
        let action = plan.and_then(|plan| plan.actions().find(|action| action.id == self.member.id));
        let said = match (plan, action) {
            (_, Some(action)) => format!("{} {:?}", action.impact.as_str(), action.effects),
            (Some(plan), None) => format!("{:?}", plan.held),
            (None, None) => String::new(),
        };
        Told {
            cluster: self.member.id.name.clone(),
            words: words.to_owned(),
            said,
            seen: String::new(),
            impact: action.map(|action| action.impact),
            misses: Vec::new(),
        }
    }

    async fn create(&mut self, words: &str) -> Result<(), String> {
        // Keys of a cluster that was deleted a moment ago are leftovers that fit nobody until they are gone.
        let plan = eventually("the cluster can be created", SOON, async || {
            let plan = self.member.plan(self.world, Some(&self.member.object)).await;
            if plan.is_empty() {
                Err(format!("{:?}", plan.held))
            } else {
                Ok(plan)
            }
        })
        .await;
        let mut told = self.tell(words, Some(&plan));
        let before = self.kept().await;
        self.member.apply(self.world, plan).await?;
        self.standing = self.member.rest(self.world).await?;
        let after = self.kept().await;
        told.misses
            .extend(before.difference(&after).map(|gone| format!("{gone} is gone")));
        let is_said = told.said.contains("not done: ") || self.has_own_keys();
        let stalled = self.standing.stalled.as_ref();
        // A load balancer that is made again may have another address, which no plan can know.
        if let Some(stalled) = stalled.filter(|stalled| *stalled != "AddressChanged" && !is_said) {
            told.misses.push(format!("it is stalled: {stalled}"));
        }
        self.empty_after(&mut told).await;
        self.told.push(told);
        Ok(())
    }

    async fn change(&mut self, change: Change) -> Result<(), String> {
        let words = change.words.join(", ");
        let plan = self.member.plan(self.world, Some(&change.object)).await;
        let mut told = self.tell(&words, Some(&plan));
        if plan.is_empty() {
            let is_refused = plan.held.iter().any(|held| held.reason == HeldReason::Refused);
            if is_refused {
                self.try_refused(&change.object, &mut told).await?;
            } else if !plan.held.is_empty() {
                told.misses
                    .push("nothing else than a refusal may hold it".to_owned());
            }
            self.told.push(told);
            return Ok(());
        }
        let (pods, kept) = (self.pods().await, self.kept().await);
        if let Err(fault) = self.member.apply(self.world, plan.clone()).await {
            told.misses.push(fault);
            self.told.push(told);
            return Ok(());
        }
        self.member.object = change.object;
        let before = std::mem::take(&mut self.standing);
        self.standing = self.member.rest(self.world).await?;
        let seen = Pods::seen(&pods, &self.pods().await);
        let effects: Vec<String> = plan.actions().flat_map(|action| action.effects.clone()).collect();
        let said = Pods::said(&effects);
        told.seen = format!("{seen:?}");
        if seen != said {
            told.misses.push(format!("said {said:?}, seen {seen:?}"));
        }
        match told.impact {
            Some(Impact::Safe) if seen.is_disturbed() => told.misses.push("it is not safe".to_owned()),
            Some(Impact::Rolling) if !seen.is_disturbed() => told.misses.push("nothing rolls".to_owned()),
            Some(Impact::DataLoss) => told.misses.push("nothing is lost".to_owned()),
            Some(Impact::Unknown) if !self.has_own_keys() => told.misses.push("it can be known".to_owned()),
            Some(_) | None => {}
        }
        if told.impact == Some(Impact::Unknown) {
            told.misses.clear();
        }
        let lost: Vec<String> = kept.difference(&self.kept().await).cloned().collect();
        told.misses
            .extend(lost.into_iter().map(|gone| format!("{gone} is gone")));
        let is_said = |what: &str| {
            effects
                .iter()
                .any(|effect| effect.starts_with("not done: ") && effect.contains(what))
        };
        if let Some(stalled) = &self.standing.stalled
            && before.stalled.is_none()
            && !is_said("")
            && told.impact != Some(Impact::Unknown)
        {
            told.misses.push(format!("it is stalled: {stalled}"));
        }
        // Nobody can reach members that do not run here.
        let newly_held = self
            .standing
            .held
            .difference(&before.held)
            .filter(|held| !held.ends_with(" MembersNotReachable"));
        for held in newly_held {
            let what = held.split(' ').next().unwrap_or_default();
            let what = what.rsplit('/').next().unwrap_or_default();
            if !is_said(what) && told.impact != Some(Impact::Unknown) {
                told.misses
                    .push(format!("it was not said that this is held: {held}"));
            }
        }
        self.empty_after(&mut told).await;
        self.told.push(told);
        Ok(())
    }

    /// What the plan refuses the API server or the operator refuses or holds back too.
    async fn try_refused(&mut self, object: &Value, told: &mut Told) -> Result<(), String> {
        if let Err(words) = self.world.apply(&self.member.tracked(object)).await {
            told.seen = words;
            return Ok(());
        }
        let refused = self.member.rest(self.world).await?;
        told.seen = format!("{refused:?}");
        let is_paused = object["spec"]["paused"] == true;
        if refused.stalled.is_none() && refused.held == self.standing.held && !is_paused {
            told.misses.push("nobody else refuses it".to_owned());
        }
        self.world
            .apply(&self.member.tracked(&self.member.object))
            .await?;
        self.standing = self.member.rest(self.world).await?;
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), String> {
        let before = self.kept().await;
        // A deletion is of the very version that was looked at, and the operator may be writing its status.
        let plan = try_eventually(LONG, async || {
            let plan = self.member.plan(self.world, None).await;
            self.member.apply(self.world, plan.clone()).await.map(|()| plan)
        })
        .await?;
        let mut told = self.tell("deleted", Some(&plan));
        let clusters = self.world.bench.clusters();
        try_eventually(LONG, async || {
            match clusters.get_opt(&self.member.id.name).await {
                Ok(None) if self.pods().await.is_empty() => Ok(()),
                Ok(found) => Err(json!(found).to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        // Claims wait for their pods.
        let is_lost = told.impact == Some(Impact::DataLoss);
        let expected = async || {
            let left = self.kept().await;
            let is_as_said = if is_lost { left.is_empty() } else { left == before };
            if is_as_said {
                Ok(())
            } else {
                Err(format!("of {before:?} is left {left:?}"))
            }
        };
        if let Err(fault) = try_eventually(std::time::Duration::from_secs(20), expected).await {
            told.misses.push(fault);
        }
        self.standing = Standing::default();
        self.told.push(told);
        Ok(())
    }

    async fn empty_after(&self, told: &mut Told) {
        let after = self.member.plan(self.world, Some(&self.member.object)).await;
        if !after.is_empty() {
            told.misses
                .push(format!("the plan after it is not empty: {after:?}"));
        }
    }

    /// Whether the user gives keys, of which no plan reads the bytes.
    fn has_own_keys(&self) -> bool {
        self.member.object["spec"]["certificateRefs"]
            .as_array()
            .is_some_and(|refs| !refs.is_empty())
    }

    /// Uids of the pods by name.
    async fn pods(&self) -> BTreeMap<String, String> {
        let pods = self.world.bench.api::<Pod>().list(&self.ours()).await.unwrap();
        pods.into_iter()
            .map(|pod| (pod.name_any(), pod.uid().unwrap()))
            .collect()
    }

    /// Keys and volumes, with their uids.
    async fn kept(&self) -> BTreeSet<String> {
        let secrets = self.world.bench.api::<Secret>().list(&self.ours()).await.unwrap();
        let is_root = |name: &str| {
            ["ca", "proxy", "sa", "etcd"]
                .iter()
                .any(|root| name == format!("{}-{root}", self.member.id.name))
        };
        let secrets = secrets
            .into_iter()
            .filter(|secret| is_root(&secret.name_any()))
            .map(|secret| format!("Secret {} {}", secret.name_any(), secret.uid().unwrap()));
        let claims = self
            .world
            .bench
            .api::<PersistentVolumeClaim>()
            .list(&self.ours())
            .await
            .unwrap();
        let claims = claims
            .into_iter()
            .map(|claim| format!("Claim {} {}", claim.name_any(), claim.uid().unwrap()));
        secrets.chain(claims).collect()
    }

    fn ours(&self) -> ListParams {
        ListParams::default().labels(&format!("{}={}", labels::CLUSTER, self.member.id.name))
    }
}
