//! After a run: whether what was written is there.
//!
//! What counts is the evidence that opens a wave: the operator has seen the generation that was written, all pods run it
//! and are ready, the API answers. What was deleted is gone when its name is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rolling::evidence;
use crate::apply::Progress;
use crate::client::Client;
use crate::object::{Object, ObjectId, kinds};
use crate::observe;
use crate::plan::rollout::{Evidence, Verdict};
use crate::plan::{ActionResult, Operation, Outcome, Plan};

/// What a run has done to clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Clusters that were made or changed.
    written: BTreeSet<ObjectId>,
    /// Uids of those that were deleted.
    deleted: BTreeMap<ObjectId, String>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct WaitOptions {
    pub timeout: Duration,
    pub look_every: Duration,
}

/// What came of waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    pub ready: BTreeSet<ObjectId>,
    /// What each of the others lacks.
    pub lacking: BTreeMap<ObjectId, String>,
    pub is_interrupted: bool,
}

impl Awaited {
    /// Returns what the actions of a plan that were done have brought.
    pub fn of(plan: &Plan, outcome: &Outcome) -> Self {
        let is_done = |result: &ActionResult| matches!(result, ActionResult::Done { .. });
        let done: BTreeSet<&ObjectId> = outcome
            .results
            .iter()
            .filter(|(_, result)| is_done(result))
            .map(|(id, _)| id)
            .collect();
        let mut awaited = Self::default();
        for action in plan.actions() {
            if action.id.kind != kinds::K0SMOTRON_CLUSTER || !done.contains(&action.id) {
                continue;
            }
            match &action.operation {
                Operation::Create { .. } | Operation::Apply { .. } | Operation::Adopt { .. } => {
                    awaited.written.insert(action.id.clone());
                }
                Operation::Delete { uid, .. } => {
                    awaited.deleted.insert(action.id.clone(), uid.clone());
                }
                // What is let go changes nothing that runs; the others are not about clusters.
                Operation::PatchMetadata { .. }
                | Operation::Issue { .. }
                | Operation::Reissue { .. }
                | Operation::Fill { .. }
                | Operation::Grow { .. }
                | Operation::Recreate { .. }
                | Operation::ChangeMembers { .. }
                | Operation::ReplacePod { .. } => {}
            }
        }
        awaited
    }

    fn len(&self) -> usize {
        self.written.len() + self.deleted.len()
    }
}

/// Looks until everything is there, the time is over, or `stop` is cancelled. A cluster that was there once is not looked
/// at again.
///
/// *Effects*: at each look the reads of [`evidence`] for what is not there yet, and the same of what was deleted.
pub async fn wait(
    client: &Client,
    awaited: &Awaited,
    options: WaitOptions,
    progress: &UnboundedSender<Progress>,
    stop: &CancellationToken,
) -> Waited {
    let end = Instant::now().checked_add(options.timeout);
    let total = awaited.len();
    let mut left = awaited.clone();
    let mut waited = Waited::default();
    loop {
        let lacking = look(client, &left).await;
        let is_left = |id: &ObjectId| lacking.contains_key(id);
        let ready = left
            .written
            .iter()
            .chain(left.deleted.keys())
            .filter(|id| !is_left(id));
        waited.ready.extend(ready.cloned());
        left.written.retain(is_left);
        left.deleted.retain(|id, _| is_left(id));
        waited.lacking = lacking;
        let Some((first, why)) = waited.lacking.first_key_value() else {
            return waited;
        };
        let ready = waited.ready.len();
        let for_what = format!(
            "{ready} of {total} ready; {}/{}: {why}",
            first.namespace, first.name
        );
        // Nobody listens any more: it goes on.
        let _ = progress.send(Progress::Waiting { for_what });
        let next = Instant::now() + options.look_every;
        if end.is_some_and(|end| end < next) {
            return waited;
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => {
                waited.is_interrupted = true;
                return waited;
            }
        }
    }
}

/// Returns what is not there yet, and what it lacks.
async fn look(client: &Client, left: &Awaited) -> BTreeMap<ObjectId, String> {
    let (seen, found) = tokio::join!(evidence(client, &left.written), find(client, &left.deleted));
    let written = left
        .written
        .iter()
        .filter_map(|id| Some((id.clone(), lacks(seen.get(id))?)));
    let deleted = left.deleted.iter().filter_map(|(id, uid)| {
        let why = match found.get(id) {
            None => Some("it cannot be read".to_owned()),
            Some(None) => None,
            Some(Some(live)) if live.uid() != Some(uid.as_str()) => None,
            Some(Some(_)) => Some("it is being deleted".to_owned()),
        };
        Some((id.clone(), why?))
    });
    written.chain(deleted).collect()
}

fn lacks(evidence: Option<&Evidence>) -> Option<String> {
    match evidence.map(|evidence| &evidence.verdict) {
        None => Some("it cannot be read".to_owned()),
        Some(Verdict::Settled) => None,
        Some(Verdict::Progressing(why) | Verdict::Failed(why)) => Some(why.clone()),
        Some(Verdict::Gone) => Some("it is not there any more".to_owned()),
    }
}

/// Looks for what was deleted; what cannot be read has no entry.
async fn find(client: &Client, deleted: &BTreeMap<ObjectId, String>) -> BTreeMap<ObjectId, Option<Object>> {
    if deleted.is_empty() {
        return BTreeMap::new();
    }
    let namespaces = deleted.keys().map(|id| id.namespace.clone()).collect();
    let Ok(mut observed) = observe::fleet(client, &namespaces).await else {
        return BTreeMap::new();
    };
    let is_readable: Vec<&ObjectId> = deleted
        .keys()
        .filter(|id| observed.is_complete_for(id.kind, &id.namespace))
        .collect();
    let found = is_readable
        .into_iter()
        .map(|id| (id.clone(), observed.objects.remove(id)));
    found.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::client::stub;

    fn id(name: &str) -> ObjectId {
        ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name)
    }

    fn cluster(seen: i64) -> Value {
        let condition = |name: &str| json!({"type": name, "status": "True", "reason": "R", "message": "m"});
        json!({"metadata": {"namespace": "edge", "name": "berlin", "uid": "u", "generation": 2},
            "status": {"observedGeneration": seen, "conditions": [condition("UpToDate"), condition("Available")]}})
    }

    fn set() -> Value {
        json!({"metadata": {"namespace": "edge", "name": "kmc-berlin", "labels": {"cluster": "berlin"}, "generation": 1},
            "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}})
    }

    /// A hub on which the operator sees a change, and a deletion ends, at the third look.
    async fn waited(timeout: u64, awaited: &Awaited) -> (Waited, Vec<String>) {
        let looks = Arc::new(Mutex::new(0));
        let (client, _) = stub::server(move |asked| {
            let mut looks = looks.lock().unwrap();
            if asked.uri.contains("/statefulsets") {
                return (200, json!({"metadata": {}, "items": [set()]}));
            }
            *looks += 1;
            let is_there = *looks < 3;
            match asked.uri.ends_with("/berlin") {
                true => (200, cluster(if is_there { 1 } else { 2 })),
                false => {
                    let items: Vec<Value> = if is_there { vec![cluster(1)] } else { Vec::new() };
                    (200, json!({"metadata": {}, "items": items}))
                }
            }
        });
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let options = WaitOptions {
            timeout: Duration::from_secs(timeout),
            look_every: Duration::from_secs(2),
        };
        let waited = wait(&client, awaited, options, &sender, &CancellationToken::new()).await;
        drop(sender);
        let mut said = Vec::new();
        while let Some(Progress::Waiting { for_what }) = events.recv().await {
            said.push(for_what);
        }
        (waited, said)
    }

    #[tokio::test(start_paused = true)]
    async fn a_green_status_of_the_generation_before_is_waited_out() {
        let awaited = Awaited {
            written: [id("berlin")].into(),
            ..Awaited::default()
        };
        let (done, said) = waited(60, &awaited).await;
        assert_eq!((done.ready.len(), done.lacking.len()), (1, 0));
        let line = "0 of 1 ready; edge/berlin: the operator has not looked at the change yet";
        assert_eq!(said, [line, line]);
        let (late, _) = waited(3, &awaited).await;
        assert_eq!(late.lacking.keys().collect::<Vec<_>>(), [&id("berlin")]);
        assert!(!late.is_interrupted);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_deleted_is_waited_for_until_it_is_gone_or_another_has_its_name() {
        let deleted = |uid: &str| Awaited {
            deleted: [(id("berlin"), uid.to_owned())].into(),
            ..Awaited::default()
        };
        let (gone, said) = waited(60, &deleted("u")).await;
        assert_eq!((gone.ready.len(), said.len()), (1, 2));
        let (other, said) = waited(60, &deleted("before")).await;
        assert_eq!((other.ready.len(), said.len()), (1, 0));
        let (late, _) = waited(1, &deleted("u")).await;
        assert_eq!(late.lacking[&id("berlin")], "it is being deleted");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_nothing_to_wait_for() {
        assert_eq!(
            waited(60, &Awaited::default()).await,
            (Waited::default(), Vec::new())
        );
    }
}
