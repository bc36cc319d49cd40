//! Secrets of users that clusters take a value from: each is watched by its name alone, and read when it changed.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _, future};
use tokio::sync::Notify;

use super::Operator;
use crate::api::ClusterSpec;
use crate::client::{ListQuery, WatchEvent, chain};
use crate::object::{Object, ObjectId, kinds};
use crate::observe;
use crate::queue::When;
use crate::render::{self, SourceFacts};

/// What is taken from where, by cluster.
#[derive(Default)]
pub struct Sources {
    wanted: Mutex<BTreeMap<ObjectId, Entry>>,
    changed: Notify,
}

struct Entry {
    secret: ObjectId,
    key: String,
    /// What the last look told, and the version it was about; `None` when it is worth nothing any more.
    look: Option<(SourceFacts, String)>,
    /// The version that the watch told of last. It may be ahead of a look that was under way.
    told: Option<String>,
}

impl Entry {
    /// Says whether the last look tells of this key of the Secret as it is.
    fn is_good(&self, key: &str) -> bool {
        let Some((facts, seen)) = &self.look else {
            return false;
        };
        self.key == key
            && !matches!(facts, SourceFacts::Unreadable { .. })
            && self.told.as_ref().is_none_or(|told| told == seen)
    }
}

impl Sources {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<ObjectId, Entry>> {
        // Nothing panics while it is held.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a watch says about the Secret of a cluster. Says whether that makes the last look worthless.
    pub(super) fn note(&self, cluster: &ObjectId, version: &str) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(cluster) else {
            return false;
        };
        let is_news = entry.look.as_ref().is_none_or(|(_, seen)| seen != version);
        if is_news {
            entry.look = None;
        }
        entry.told = Some(version.to_owned());
        is_news
    }
}

impl Operator {
    /// Looks at the Secret that a cluster takes its data source from, unless the last look is still good.
    ///
    /// *Effects*: one GET by name, when the cluster is new here or the watch told of a change.
    pub(super) async fn look_at_source(&self, key: &ObjectId, spec: &ClusterSpec) {
        let Some((name, data_key)) = render::data_source_of(spec) else {
            self.forget_source(key);
            return;
        };
        let secret = ObjectId::new(kinds::SECRET, &key.namespace, name);
        {
            let mut entries = self.sources.entries();
            let known = entries.get(key).filter(|known| known.secret == secret);
            if known.is_some_and(|known| known.is_good(&data_key)) {
                return;
            }
            let is_followed = known.is_some();
            let entry = Entry {
                secret: secret.clone(),
                key: data_key.clone(),
                look: None,
                told: known.and_then(|known| known.told.clone()),
            };
            entries.insert(key.clone(), entry);
            if !is_followed {
                self.sources.changed.notify_one();
            }
        }
        let look = observe::data_source(&self.options.client, &secret, &data_key).await;
        if let Some(entry) = self.sources.entries().get_mut(key) {
            entry.look = Some(look);
        }
    }

    /// Returns what the last look at the data source of a cluster told.
    pub(super) fn source(&self, key: &ObjectId) -> Option<SourceFacts> {
        let entries = self.sources.entries();
        entries.get(key)?.look.as_ref().map(|(facts, _)| facts.clone())
    }

    pub(super) fn forget_source(&self, key: &ObjectId) {
        if self.sources.entries().remove(key).is_some() {
            self.sources.changed.notify_one();
        }
    }
}

/// Watches every Secret that is asked for, for ever.
pub async fn follow_all(operator: &Operator) {
    let mut running = FuturesUnordered::new();
    let mut followed: BTreeMap<ObjectId, (ObjectId, future::AbortHandle)> = BTreeMap::new();
    loop {
        let wanted: BTreeMap<ObjectId, ObjectId> = operator
            .sources
            .entries()
            .iter()
            .map(|(cluster, entry)| (cluster.clone(), entry.secret.clone()))
            .collect();
        followed.retain(|cluster, (secret, handle)| {
            let is_wanted = wanted.get(cluster) == Some(&*secret);
            if !is_wanted {
                handle.abort();
            }
            is_wanted
        });
        for (cluster, secret) in wanted {
            if let btree_map::Entry::Vacant(place) = followed.entry(cluster) {
                let (watch, handle) =
                    future::abortable(follow(operator, place.key().clone(), secret.clone()));
                place.insert((secret, handle));
                running.push(watch.map(|_| ()));
            }
        }
        let changed = operator.sources.changed.notified();
        let mut changed = pin!(changed);
        loop {
            tokio::select! {
                () = &mut changed => break,
                // An aborted one has ended.
                Some(()) = running.next(), if !running.is_empty() => {}
            }
        }
    }
}

async fn follow(operator: &Operator, cluster: ObjectId, secret: ObjectId) {
    let query = ListQuery::new(kinds::SECRET, &secret.namespace)
        .with_name(&secret.name)
        .metadata_only();
    let mut events = pin!(operator.options.client.watch(query));
    let mut listed = String::new();
    while let Some(event) = events.next().await {
        let version = match event {
            WatchEvent::ListStarted => {
                listed.clear();
                continue;
            }
            WatchEvent::Listed(objects) => {
                listed.extend(objects.iter().map(Object::version));
                continue;
            }
            WatchEvent::ListEnded { .. } => listed.clone(),
            WatchEvent::Changed(object) => object.version(),
            WatchEvent::Deleted(_) => String::new(),
            WatchEvent::Interrupted { error, .. } => {
                tracing::debug!(object = %secret, error = chain(&error), "a watch is interrupted");
                continue;
            }
        };
        if operator.sources.note(&cluster, &version) {
            operator.queue.ask(cluster.clone(), When::Settled);
        }
    }
}
