//! Tells when something below a directory changed.

use std::path::Path;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::LoadError;

/// How long a directory must be quiet before a change is told. An editor or `git checkout` writes many files, and
/// half of them are not a fleet.
const QUIET: Duration = Duration::from_millis(200);
/// Longest wait for quiet, so that a directory that is written to all the time is still read.
const PATIENCE: Duration = Duration::from_secs(2);

/// A watch on a directory. Dropping it ends the watch.
pub struct Watch {
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

/// Begins to watch a directory and everything below it.
///
/// *Errors*: when the directory cannot be watched, for example because it is not there.
pub fn watch(path: &Path) -> Result<Watch, LoadError> {
    // One waiting change says as much as many: what changed is found by reading all.
    let (sender, changes) = mpsc::channel(1);
    let failed = |source| LoadError::Watch {
        path: path.to_owned(),
        source,
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the fleet is an access too, and would wake the reader for ever. Errors wake it: something was missed.
        let is_change = !matches!(
            event,
            Ok(notify::Event {
                kind: EventKind::Access(_),
                ..
            })
        );
        if is_change {
            let _ = sender.try_send(());
        }
    })
    .map_err(failed)?;
    watcher.watch(path, RecursiveMode::Recursive).map_err(failed)?;
    Ok(Watch {
        changes,
        _watcher: watcher,
    })
}

impl Watch {
    /// Waits for the next change and until it is over. `None` when the watch has ended.
    ///
    /// *Shape*: says that something may be different, never what; several changes at once are one. `sleep` is the
    /// clock: `tokio::time::sleep`.
    pub async fn changed(&mut self, sleep: impl AsyncFn(Duration)) -> Option<()> {
        self.changes.recv().await?;
        let quiet = async {
            loop {
                tokio::select! {
                    // A change that waits counts even when the time is over as well.
                    biased;
                    change = self.changes.recv() => if change.is_none() { break },
                    () = sleep(QUIET) => break,
                }
            }
        };
        tokio::select! {
            () = quiet => {}
            () = sleep(PATIENCE) => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::{sleep, timeout};

    use super::*;

    /// Far above what a change takes, so that only a broken watch meets it.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn changes_of_files_at_any_depth_are_told_together_and_reading_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("clusters")).unwrap();
        let file = folder.path().join("clusters/a.yaml");
        let mut watch = watch(folder.path()).unwrap();
        for number in 0..10 {
            fs::write(&file, format!("a: {number}\n")).unwrap();
        }
        assert_eq!(timeout(DEADLINE, watch.changed(sleep)).await, Ok(Some(())));
        fs::read(&file).unwrap();
        assert!(
            timeout(QUIET * 2, watch.changed(sleep)).await.is_err(),
            "ten writes are one change, a read is none"
        );
        fs::remove_file(&file).unwrap();
        assert_eq!(timeout(DEADLINE, watch.changed(sleep)).await, Ok(Some(())));
    }

    #[test]
    fn a_directory_that_is_not_there_cannot_be_watched() {
        assert!(matches!(
            watch(Path::new("/nowhere/at/all")),
            Err(LoadError::Watch { .. })
        ));
    }
}
