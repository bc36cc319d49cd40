//! The watches: what the server says goes into the store, and what is news asks for a pass.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, future};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::metrics::KindLabels;
use super::{CHILDREN, Operator, is_root, sources};
use crate::client::{ClientError, ListQuery, WatchEvent, chain};
use crate::fleet;
use crate::object::{Kind, News, Object, ObjectId, kinds};
use crate::observe::{child_query, is_optional, our_selector};
use crate::plan::FailureKind;
use crate::queue::When;

/// Counts the watches that have not had a whole list yet.
struct Gate {
    missing: Mutex<BTreeSet<usize>>,
    is_open: watch::Sender<bool>,
}

impl Gate {
    fn new(watches: usize, is_open: watch::Sender<bool>) -> Self {
        Self {
            missing: Mutex::new((0..watches).collect()),
            is_open,
        }
    }

    /// A watch has all there is. The gate opens with the last, and stays open.
    fn pass(&self, index: usize) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.remove(&index);
        if missing.is_empty() && !*self.is_open.borrow() {
            tracing::info!("everything has been read");
            self.is_open.send_replace(true);
        }
    }
}

/// Returns everything that is watched; an empty `namespaces` means all.
pub fn queries(namespaces: &[String]) -> Vec<ListQuery> {
    let ours = our_selector();
    let everywhere = [String::new()];
    let namespaces = if namespaces.is_empty() {
        &everywhere
    } else {
        namespaces
    };
    let mut queries = vec![ListQuery::new(kinds::NODE, "")];
    for namespace in namespaces {
        for kind in [kinds::K0SMOTRON_CLUSTER, kinds::K0SMOTRON_JOIN_TOKEN] {
            queries.push(ListQuery::new(kind, namespace));
        }
        for kind in CHILDREN {
            let query = child_query(kind, namespace, &ours);
            queries.push(if is_optional(kind) {
                query.may_be_missing()
            } else {
                query
            });
        }
    }
    queries
}

/// Watches everything until `stop`. The gate opens once every watch has had a whole list.
pub async fn run(operator: Arc<Operator>, stop: CancellationToken) {
    let queries = queries(&operator.options.namespaces);
    let gate = Gate::new(queries.len(), operator.ready.clone());
    let watches = queries
        .into_iter()
        .enumerate()
        .map(|(index, query)| follow(&operator, query, &gate, index));
    tokio::select! {
        _ = future::join(future::join_all(watches), sources::follow_all(&operator)) => {}
        () = stop.cancelled() => {}
    }
}

async fn follow(operator: &Operator, query: ListQuery, gate: &Gate, index: usize) {
    let (kind, namespace) = (query.kind, query.namespace.clone());
    let mut events = pin!(operator.options.client.watch(query));
    // Names of the Nodes of a list that has not ended; the cache counts for itself.
    let mut listed = BTreeSet::new();
    let mut last_error = String::new();
    while let Some(event) = events.next().await {
        match event {
            WatchEvent::ListStarted => {
                listed.clear();
                operator.begin_list(kind, &namespace);
            }
            WatchEvent::Listed(objects) => {
                for object in objects {
                    if kind == kinds::NODE {
                        listed.extend(object.id().map(|id| id.name));
                    }
                    operator.note(object);
                }
            }
            WatchEvent::ListEnded { resource_version } => {
                operator.end_list(kind, &namespace, &listed, &resource_version);
                listed.clear();
                last_error.clear();
                gate.pass(index);
            }
            WatchEvent::Changed(object) => operator.note(object),
            WatchEvent::Deleted(object) => operator.note_deleted(&object),
            WatchEvent::Interrupted { error, .. } => {
                if is_optional(kind) && matches!(error, ClientError::NotInstalled { .. }) {
                    operator.forget_kind(kind, &namespace);
                    gate.pass(index);
                    continue;
                }
                report(operator, kind, &namespace, &error, &mut last_error);
                // Without Nodes no address is detected, and that is all: a namespaced operator may not read them.
                // Without routes and Ingresses only clusters behind one cannot be made.
                let is_dispensable = kind == kinds::NODE || kind == kinds::INGRESS || is_optional(kind);
                if is_dispensable && error.kind() == FailureKind::Forbidden {
                    gate.pass(index);
                }
            }
        }
    }
}

/// Logs an interruption, and the same one again only for those who look closely.
fn report(operator: &Operator, kind: Kind, namespace: &str, error: &ClientError, last: &mut String) {
    operator
        .metrics
        .watch_errors
        .get_or_create(&KindLabels { kind: kind.kind })
        .inc();
    let text = chain(error);
    if error.kind() == FailureKind::Gone || text == *last {
        tracing::debug!(%kind, namespace, error = text, "a watch is interrupted");
    } else {
        let hint = error.hint();
        tracing::warn!(%kind, namespace, error = text, hint, "a watch is interrupted");
        *last = text;
    }
}

impl Operator {
    /// Takes an object in, and asks for a pass if it is news.
    pub(super) fn note(&self, object: Object) {
        let Some(id) = object.id() else { return };
        if id.kind == kinds::NODE {
            if self.store().nodes.note(&id.name, &object) {
                self.ask_all_clusters();
            }
            return;
        }
        let is_protected = fleet::is_protected(&object);
        let mut store = self.store();
        let Some((id, news)) = store.objects.note(object) else {
            return;
        };
        if news != News::None && id.kind == kinds::K0SMOTRON_CLUSTER {
            self.protected.note(&id, is_protected);
        }
        let when = match news {
            News::None => return,
            News::Content if is_root(id.kind) => When::Now,
            News::Content | News::Status => When::Settled,
        };
        let parent = store.objects.parent(&id).cloned();
        drop(store);
        // What others report about a cluster moves none of its names.
        if news == News::Content && id.kind == kinds::K0SMOTRON_CLUSTER {
            self.ask_related(&id);
        }
        self.ask(id, parent, when);
    }

    pub(super) fn note_deleted(&self, object: &Object) {
        let Some(id) = object.id() else { return };
        if id.kind == kinds::NODE {
            if self.store().nodes.forget(&id.name) {
                self.ask_all_clusters();
            }
            return;
        }
        let mut store = self.store();
        let parent = store.objects.parent(&id).cloned();
        let is_news = store.objects.forget(object);
        drop(store);
        if is_news {
            self.ask_gone(id, parent);
        }
    }

    pub(super) fn begin_list(&self, kind: Kind, namespace: &str) {
        self.store().objects.begin_list(kind, namespace);
    }

    pub(super) fn end_list(&self, kind: Kind, namespace: &str, listed: &BTreeSet<String>, version: &str) {
        if kind == kinds::NODE {
            if self.store().nodes.keep_only(|name| listed.contains(name)) {
                self.ask_all_clusters();
            }
            return;
        }
        let is_new = !self.store().objects.is_synced(kind, namespace);
        let gone = self.store().objects.end_list(kind, namespace, version);
        if is_new && is_optional(kind) {
            // Some may have waited for the kind.
            self.ask_all_clusters();
        }
        for (id, parent) in gone {
            self.ask_gone(id, parent);
        }
    }

    /// A kind that was there is no more, and its objects with it.
    fn forget_kind(&self, kind: Kind, namespace: &str) {
        if self.store().objects.forget_kind(kind, namespace) {
            self.ask_all_clusters();
        }
    }

    /// Asks for a pass over an object that has passes of its own, or over the cluster it belongs to.
    fn ask(&self, id: ObjectId, parent: Option<ObjectId>, when: When) {
        if is_root(id.kind) {
            self.queue.ask(id, when);
        } else if let Some(parent) = parent {
            self.queue.ask(parent, when);
        }
    }

    /// Asks for the passes over what an object that is gone leaves behind: what it belonged to, and who may have its name.
    fn ask_gone(&self, id: ObjectId, parent: Option<ObjectId>) {
        self.protected.note(&id, false);
        if id.kind == kinds::K0SMOTRON_CLUSTER {
            self.ask_related(&id);
        } else if let Some(cluster) = &parent {
            self.ask_related(cluster);
        }
        self.ask(id, parent, When::Settled);
    }

    /// Asks for a pass over clusters that may no longer, or only now, find a name of theirs taken.
    fn ask_related(&self, cluster: &ObjectId) {
        let related = self.store().objects.related(cluster);
        for other in related {
            self.queue.ask(other, When::Settled);
        }
    }

    fn ask_all_clusters(&self) {
        let clusters: Vec<ObjectId> = self
            .store()
            .objects
            .ids(kinds::K0SMOTRON_CLUSTER)
            .cloned()
            .collect();
        for id in clusters {
            self.queue.ask(id, When::Settled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Parts;

    #[test]
    fn secrets_are_watched_without_their_bytes_and_children_by_our_label() {
        let namespaces = ["tenant-7".to_owned(), "tenant-8".to_owned()];
        let queries = queries(&namespaces);
        assert_eq!(queries.len(), 1 + 2 * (2 + CHILDREN.len()));
        for query in &queries {
            assert_eq!(query.parts == Parts::Metadata, query.kind == kinds::SECRET);
            assert_eq!(
                query.labels.is_some(),
                CHILDREN.contains(&query.kind),
                "{query:?}"
            );
        }
        assert!(super::queries(&[]).iter().all(|query| query.namespace.is_empty()));
    }

    #[test]
    fn the_gate_opens_with_the_last_watch() {
        let (sender, receiver) = watch::channel(false);
        let gate = Gate::new(2, sender);
        gate.pass(1);
        gate.pass(1);
        assert!(!*receiver.borrow());
        gate.pass(0);
        assert!(*receiver.borrow());
    }
}
