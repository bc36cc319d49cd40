//! Keeps what would take protected clusters along marked: their namespaces and the definition of clusters, which the
//! policies of `install` then keep.
//!
//! **Invariant:** what the watches told is only a reason to look. A mark is taken away when the server says that nothing
//! protected is left, and only one that this program wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Operator;
use crate::client::chain;
use crate::fleet::{self, Marks};
use crate::object::ObjectId;

/// What could not be marked is tried again this often: somebody may have granted the right.
const RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Protected clusters, as the watches tell.
pub(super) struct Protected {
    /// Their names by namespace. No set is empty.
    clusters: Mutex<BTreeMap<String, BTreeSet<String>>>,
    namespaces: watch::Sender<BTreeSet<String>>,
}

impl Default for Protected {
    fn default() -> Self {
        Self {
            clusters: Mutex::default(),
            namespaces: watch::channel(BTreeSet::new()).0,
        }
    }
}

impl Protected {
    /// Takes in whether a cluster is protected. One that is gone is not.
    pub(super) fn note(&self, cluster: &ObjectId, is_protected: bool) {
        // Nothing panics while it is held.
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let namespace = &cluster.namespace;
        if is_protected {
            let names = clusters.entry(namespace.clone()).or_default();
            names.insert(cluster.name.clone());
        } else if let Some(names) = clusters.get_mut(namespace) {
            names.remove(&cluster.name);
            if names.is_empty() {
                clusters.remove(namespace);
            }
        }
        let holds_some = clusters.contains_key(namespace);
        self.namespaces.send_if_modified(|known| match holds_some {
            true => known.insert(namespace.clone()),
            false => known.remove(namespace),
        });
    }
}

/// Returns what holds protected clusters.
fn wanted(namespaces: &BTreeSet<String>) -> BTreeSet<ObjectId> {
    let holders = namespaces.iter().flat_map(|namespace| fleet::holders(namespace));
    holders.collect()
}

/// Marks and unmarks until `stop`.
///
/// *Effects*: those of [`fleet::marked_holders`] at the start; those of [`fleet::mark_holder`] and
/// [`fleet::unmark_holder`] when the first protected cluster of a namespace appears, and when the last one goes.
pub(super) async fn keep(operator: &Operator, stop: &CancellationToken) {
    let client = &operator.options.client;
    let mut namespaces = operator.protected.namespaces.subscribe();
    let mut marked = BTreeSet::new();
    // An operator of a few namespaces does not see what holds the others, and has to leave it alone.
    if operator.options.namespaces.is_empty() {
        match fleet::marked_holders(client).await {
            Ok(found) => marked = found,
            Err(error) => tracing::info!(
                error = chain(&error),
                "does not know which namespaces are marked for protected clusters"
            ),
        }
    }
    let mut failures: BTreeMap<ObjectId, String> = BTreeMap::new();
    loop {
        let wanted = wanted(&namespaces.borrow_and_update());
        let to_mark: Vec<ObjectId> = wanted.difference(&marked).cloned().collect();
        let to_unmark: Vec<ObjectId> = marked.difference(&wanted).cloned().collect();
        let mut failed = BTreeMap::new();
        for holder in to_mark {
            match fleet::mark_holder(client, &holder).await {
                Ok(()) => {
                    marked.insert(holder);
                }
                Err(error) => {
                    failed.insert(holder, chain(&error));
                }
            }
        }
        for holder in to_unmark {
            match fleet::unmark_holder(client, &holder, Marks::OfThisProgram).await {
                Ok(()) => {
                    marked.remove(&holder);
                }
                Err(error) => {
                    failed.insert(holder, chain(&error));
                }
            }
        }
        for (holder, error) in &failed {
            if failures.get(holder) != Some(error) {
                tracing::warn!(
                    object = %holder,
                    error,
                    "cannot mark what holds protected clusters, or take the mark away; the commands protect and \
                     unprotect do it too, for whoever may"
                );
            }
        }
        failures = failed;
        let retry = async {
            match failures.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(RETRY_AFTER).await,
            }
        };
        tokio::select! {
            changed = namespaces.changed() => if changed.is_err() { return },
            () = retry => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::client::stub::{Asked, Requests, server};
    use crate::object::kinds;

    const PROTECTED: (&str, bool) = ("berlin", true);

    fn operator(answer: impl FnMut(&Asked) -> (u16, Value) + Send + 'static) -> (Arc<Operator>, Requests) {
        let (client, requests) = server(answer);
        (crate::operator::tests::operator(client), requests)
    }

    fn note(operator: &Operator, (name, is_protected): (&str, bool)) {
        let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name);
        operator.protected.note(&id, is_protected);
    }

    /// Lets it work for so long, by a clock that runs ahead when everybody waits.
    async fn work(operator: &Operator, time: Duration) {
        let stop = CancellationToken::new();
        assert!(tokio::time::timeout(time, keep(operator, &stop)).await.is_err());
    }

    /// What was sent but for reads, as verb, path and body.
    fn writes(requests: &Requests) -> Vec<(String, Value)> {
        let requests = requests.lock().unwrap();
        let writes = requests.iter().filter(|asked| asked.method != http::Method::GET);
        writes
            .map(|asked| {
                let path = asked.uri.split('?').next().unwrap_or_default();
                (path.to_owned(), asked.body["metadata"]["labels"].clone())
            })
            .collect()
    }

    /// A server on which namespace and definition are marked or not, and hold these clusters.
    fn answer(asked: &Asked, is_marked: bool, clusters: &[(&str, bool)]) -> (u16, Value) {
        let labels = match is_marked {
            true => json!({ "fleet.k0smotron.io/holds-protected": "true" }),
            false => json!({}),
        };
        let of = |api_version: &str, kind: &str, name: &str| {
            json!({ "apiVersion": api_version, "kind": kind,
                "metadata": { "name": name, "uid": format!("uid-{name}"), "resourceVersion": "7", "labels": labels } })
        };
        let namespace = of("v1", "Namespace", "edge");
        let list = |items: Vec<Value>| json!({ "metadata": { "resourceVersion": "9" }, "items": items });
        let body = if asked.uri.contains("/k0smotronclusters?") {
            list(clusters.iter().map(|(name, is_protected)| {
                json!({ "apiVersion": "k0smotron.io/v1beta1", "kind": "K0smotronCluster", "metadata": {
                    "name": name, "namespace": "edge", "uid": format!("uid-{name}"), "resourceVersion": "8",
                    "annotations": { "fleet.k0smotron.io/protect": is_protected.to_string() } } })
            }).collect())
        } else if asked.uri.starts_with("/apis/apiextensions.k8s.io/") {
            of(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "k0smotronclusters.k0smotron.io",
            )
        } else if asked.uri.starts_with("/api/v1/namespaces/edge") {
            namespace
        } else {
            list(if is_marked { vec![namespace] } else { Vec::new() })
        };
        (200, body)
    }

    const DEFINITION: &str =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/k0smotronclusters.k0smotron.io";

    #[tokio::test(start_paused = true)]
    async fn what_holds_a_protected_cluster_is_marked_once() {
        let (operator, requests) = operator(|asked| answer(asked, false, &[PROTECTED]));
        note(&operator, PROTECTED);
        work(&operator, RETRY_AFTER * 3).await;
        let mark = json!({ "fleet.k0smotron.io/holds-protected": "true" });
        let expected = [("/api/v1/namespaces/edge", &mark), (DEFINITION, &mark)];
        assert_eq!(
            writes(&requests),
            expected.map(|(path, mark)| (path.to_owned(), mark.clone()))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_that_is_not_needed_any_more_goes_and_one_that_the_server_says_is_stays() {
        for (clusters, is_kept) in [
            (&[PROTECTED][..], true),
            (&[("berlin", false)], false),
            (&[], false),
        ] {
            let (operator, requests) = operator(|asked| answer(asked, true, clusters));
            // The watches do not know of any.
            work(&operator, Duration::from_secs(1)).await;
            // To apply no label takes away one's own.
            let expected = match is_kept {
                true => Vec::new(),
                false => vec![
                    ("/api/v1/namespaces/edge".to_owned(), Value::Null),
                    (DEFINITION.to_owned(), Value::Null),
                ],
            };
            assert_eq!(writes(&requests), expected, "{clusters:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_mark_is_not_asked_again_at_once() {
        let status = json!({ "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no" });
        let (operator, requests) = operator(move |_| (403, status.clone()));
        note(&operator, PROTECTED);
        work(&operator, RETRY_AFTER / 2).await;
        let asked = || requests.lock().unwrap().len();
        assert_eq!(asked(), 3, "the list, the namespace, the definition");
        work(&operator, RETRY_AFTER * 3 / 2).await;
        assert_eq!(
            asked(),
            3 + 3 + 2,
            "all of it by the second, and once more after a pause"
        );
    }

    #[test]
    fn a_namespace_holds_protected_clusters_from_the_first_to_the_last() {
        let protected = Protected::default();
        let mut namespaces = protected.namespaces.subscribe();
        let mut told = |name: &str, is_protected: bool| {
            let id = ObjectId::new(kinds::K0SMOTRON_CLUSTER, "edge", name);
            protected.note(&id, is_protected);
            let names = namespaces.borrow_and_update();
            names.iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(told("berlin", false), [""; 0]);
        assert_eq!(told("berlin", true), ["edge"]);
        assert_eq!(told("paris", true), ["edge"]);
        assert_eq!(told("berlin", false), ["edge"]);
        assert_eq!(told("paris", true), ["edge"]);
        assert_eq!(told("paris", false), [""; 0]);
    }

    #[test]
    fn with_the_first_namespace_the_definition_is_wanted_too() {
        assert!(wanted(&BTreeSet::new()).is_empty());
        let both = wanted(&["edge".to_owned(), "prod".to_owned()].into());
        let names: Vec<&str> = both.iter().map(|id| id.name.as_str()).collect();
        assert_eq!(names, ["edge", "prod", "k0smotronclusters.k0smotron.io"]);
    }
}
