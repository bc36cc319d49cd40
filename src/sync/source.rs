//! Git off the async threads: one database for each sync, one use of it at a time, and a deadline for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tokio::time::timeout;

use super::order::Order;
use crate::compose::{self, Reading};
use crate::diagnostic::SourceTree;
use crate::load::Cache;
use crate::load::git::{CommitId, Database, GitError};

/// What a blocking use may take beyond the deadline that it knows of itself, before it is left alone.
const GRACE: Duration = Duration::from_secs(5);

/// Why a source could not be read. Nothing is written or deleted because of any of these.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the source cannot be read")]
    Git(#[source] GitError),
    #[error("the source did not answer within {seconds} s")]
    Timeout { seconds: u64 },
    /// A thread that hangs in a library cannot be ended, so it must not get company.
    #[error("an earlier fetch still hangs; no other is begun beside it")]
    Busy,
    #[error("reading the source failed unexpectedly; this is a bug, please report it")]
    Panicked,
}

/// What was read at one commit.
pub struct Source {
    pub tree: SourceTree,
    pub reading: Reading,
    /// The commit that was asked about is not among the ancestors: history was rewritten.
    pub is_rewritten: bool,
}

/// The object databases of all syncs.
pub struct Repositories {
    cache: Arc<Cache>,
    turns: Mutex<BTreeMap<String, Arc<Turn<()>>>>,
}

impl Repositories {
    pub fn new(cache: Cache) -> Self {
        Self {
            cache: Arc::new(cache),
            turns: Mutex::default(),
        }
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Turn<()>>>> {
        // Nothing panics while it is held.
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks which commit is followed now.
    ///
    /// *Effects*: one ls-refs.
    pub async fn resolve(&self, key: &str, order: &Order) -> Result<CommitId, SourceError> {
        let (url, reference) = (order.url.clone(), order.reference.clone());
        self.run(key, order.timeout, move |database| {
            database.resolve(&url, &reference)
        })
        .await
    }

    /// Reads a commit, which is fetched if it is not here yet.
    ///
    /// *Shape*: `earlier` is the commit that must be an ancestor.
    /// *Effects*: at most one fetch.
    pub async fn read(
        &self,
        key: &str,
        order: &Order,
        commit: &CommitId,
        earlier: Option<CommitId>,
    ) -> Result<Source, SourceError> {
        let (order, commit) = (order.clone(), commit.clone());
        self.run(key, order.timeout, move |database| {
            if !database.has(&commit) {
                database.fetch(&order.url, &order.reference, order.timeout)?;
            }
            let tree = database.read(&commit, &order.directory)?;
            let is_rewritten = earlier.is_some_and(|earlier| !database.is_ancestor(&earlier, &commit));
            let reading = compose::read(&tree);
            Ok(Source {
                tree,
                reading,
                is_rewritten,
            })
        })
        .await
    }

    /// Forgets a sync and what was fetched for it, unless a use of it still hangs.
    pub async fn forget(&self, key: &str) {
        let Some(turn) = self.turns().remove(key) else {
            return;
        };
        let Ok(turn) = turn.try_lock_owned() else { return };
        let (cache, key) = (Arc::clone(&self.cache), key.to_owned());
        let removed = tokio::task::spawn_blocking(move || {
            let removed = cache.remove(&key);
            drop(turn);
            removed
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(error = %error, "what was fetched for a sync that is gone cannot be removed");
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        key: &str,
        deadline: Duration,
        work: impl FnOnce(&Database) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let turn = Arc::clone(self.turns().entry(key.to_owned()).or_default());
        let turn = turn.try_lock_owned().map_err(|_| SourceError::Busy)?;
        let (cache, key) = (Arc::clone(&self.cache), key.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            // Held to the end of the thread, however long nobody waits for it any more.
            let _turn = turn;
            let result = Database::open(&cache.folder_of(&key)).and_then(|database| work(&database));
            if result.as_ref().is_err_and(GitError::is_of_database) {
                // All of it can be fetched again, and the next attempt must not meet the same damage.
                let _ = cache.remove(&key);
            }
            result
        });
        match timeout(deadline + GRACE, task).await {
            Err(_) => Err(SourceError::Timeout {
                seconds: deadline.as_secs(),
            }),
            Ok(Err(_)) => Err(SourceError::Panicked),
            Ok(Ok(result)) => result.map_err(SourceError::Git),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_use_that_hangs_never_gets_company_and_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let repositories = Repositories::new(Cache::at(folder.path()).unwrap());
        let (release, hang) = mpsc::channel::<()>();
        let hanging = repositories.run("stuck", Duration::from_secs(600), move |_| {
            hang.recv().ok();
            Ok(())
        });
        let mut hanging = Box::pin(hanging);
        assert!(timeout(Duration::ZERO, &mut hanging).await.is_err());
        let second = repositories
            .run("stuck", Duration::from_secs(60), |_| Ok(()))
            .await;
        assert!(matches!(second, Err(SourceError::Busy)));
        repositories
            .run("other", Duration::from_secs(60), |_| Ok(()))
            .await
            .unwrap();
        release.send(()).unwrap();
        hanging.await.unwrap();
        repositories
            .run("stuck", Duration::from_secs(60), |_| Ok(()))
            .await
            .unwrap();
    }
}
