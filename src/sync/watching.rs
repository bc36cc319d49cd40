//! The watches: syncs that change are asked for at once, and a cluster that somebody changed asks for its sync.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, future};
use tokio_util::sync::CancellationToken;

use super::Syncs;
use crate::client::{ClientError, ListQuery, WatchEvent, chain};
use crate::object::{Kind, Object, ObjectId, kinds};
use crate::plan::FailureKind;
use crate::queue::When;

/// Returns everything that is watched; an empty `namespaces` means all.
fn queries(namespaces: &[String]) -> Vec<ListQuery> {
    let everywhere = [String::new()];
    let namespaces = if namespaces.is_empty() {
        &everywhere
    } else {
        namespaces
    };
    let of_namespace = |namespace: &String| {
        [
            ListQuery::new(kinds::FLEET_SYNC, namespace),
            // What a cluster holds is read as the sync's account; here it is only seen that it changed. All clusters,
            // not those with the label of a fleet: taking the label away is a change as well.
            ListQuery::new(kinds::K0SMOTRON_CLUSTER, namespace).metadata_only(),
        ]
    };
    namespaces.iter().flat_map(of_namespace).collect()
}

/// Watches everything until `stop`. Work may begin once every watch has had a whole list.
pub async fn run(syncs: &Syncs, stop: CancellationToken) {
    let queries = queries(&syncs.options.namespaces);
    let missing = AtomicUsize::new(queries.len());
    let watches = queries.into_iter().map(|query| follow(syncs, query, &missing));
    tokio::select! {
        _ = future::join_all(watches) => {}
        () = stop.cancelled() => {}
    }
}

async fn follow(syncs: &Syncs, query: ListQuery, missing: &AtomicUsize) {
    let (kind, namespace) = (query.kind, query.namespace.clone());
    let mut events = pin!(syncs.options.client.watch(query));
    let mut listed = BTreeSet::new();
    let mut is_complete = false;
    let mut last_error = String::new();
    while let Some(event) = events.next().await {
        match event {
            WatchEvent::ListStarted => listed.clear(),
            WatchEvent::Listed(objects) => {
                for object in objects {
                    listed.extend(syncs.note(object));
                }
            }
            WatchEvent::ListEnded { resource_version } => {
                syncs.end_list(kind, &namespace, &listed, &resource_version);
                listed.clear();
                last_error.clear();
                if !std::mem::replace(&mut is_complete, true) && missing.fetch_sub(1, Ordering::AcqRel) == 1 {
                    tracing::debug!("all syncs have been read");
                    syncs.ready.send_replace(true);
                }
            }
            WatchEvent::Changed(object) => {
                syncs.note(object);
            }
            WatchEvent::Deleted(object) => syncs.note_deleted(&object),
            WatchEvent::Interrupted { error, .. } => {
                report(syncs, kind, &namespace, &error, &mut last_error);
            }
        }
    }
}

/// Logs an interruption, and the same one again only for those who look closely.
fn report(syncs: &Syncs, kind: Kind, namespace: &str, error: &ClientError, last: &mut String) {
    syncs.metrics.watch_errors.inc();
    let text = chain(error);
    if error.kind() == FailureKind::Gone || text == *last {
        tracing::debug!(%kind, namespace, error = text, "a watch is interrupted");
    } else {
        let hint = error.hint();
        tracing::warn!(%kind, namespace, error = text, hint, "a watch is interrupted");
        *last = text;
    }
}

impl Syncs {
    /// Takes an object in, asks for a pass if somebody wants one, and returns its identity.
    fn note(&self, object: Object) -> Option<ObjectId> {
        let id = object.id()?;
        if id.kind == kinds::K0SMOTRON_CLUSTER {
            let drifted = self.store().note_cluster(&id, &object);
            self.ask_settled(drifted);
        } else {
            let news = self.store().note_sync(&id, object);
            if news.is_asked {
                self.queue.ask(id.clone(), When::Now);
            }
            self.forget(news.gone);
        }
        Some(id)
    }

    fn note_deleted(&self, object: &Object) {
        let Some(id) = object.id() else { return };
        if id.kind == kinds::K0SMOTRON_CLUSTER {
            let drifted = self.store().forget_cluster(&id);
            self.ask_settled(drifted);
        } else {
            let gone = self.store().forget_sync(&id, object);
            self.forget(gone);
            self.ask_all();
        }
    }

    fn end_list(&self, kind: Kind, namespace: &str, listed: &BTreeSet<ObjectId>, version: &str) {
        if kind == kinds::K0SMOTRON_CLUSTER {
            let drifted = self.store().end_cluster_list(namespace, listed);
            self.ask_settled(drifted);
        } else {
            let gone = self.store().end_sync_list(namespace, listed, version);
            if !gone.is_empty() {
                self.forget(gone);
                self.ask_all();
            }
        }
    }

    fn ask_settled(&self, syncs: Vec<ObjectId>) {
        for id in syncs {
            self.queue.ask(id, When::Settled);
        }
    }

    fn forget(&self, uids: impl IntoIterator<Item = String>) {
        for uid in uids {
            let repositories = self.repositories.clone();
            self.tasks.spawn(async move { repositories.forget(&uid).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Parts;

    #[test]
    fn of_clusters_only_metadata_is_watched() {
        let queries = queries(&["tenant-7".to_owned(), "tenant-8".to_owned()]);
        assert_eq!(queries.len(), 4);
        for query in &queries {
            assert_eq!(
                query.parts == Parts::Metadata,
                query.kind == kinds::K0SMOTRON_CLUSTER
            );
        }
        assert!(super::queries(&[]).iter().all(|query| query.namespace.is_empty()));
    }
}
