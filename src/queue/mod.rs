//! The work queue of both shells: `Schedule` with a clock, shared by watches that ask and workers that take.
//!
//! Keys that are asked for -> keys whose turn it is.
//!
//! **Invariant:** a key is never worked on twice at once, and nothing that was asked for is lost.

mod schedule;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use schedule::Schedule;
pub use schedule::{Next, When};

/// Keys to be worked on. Cheap to ask, safe from any task.
#[derive(Debug)]
pub struct Queue<K> {
    schedule: Mutex<Schedule<K>>,
    changed: Notify,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            schedule: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl<K: Ord + Clone> Queue<K> {
    fn schedule(&self) -> MutexGuard<'_, Schedule<K>> {
        // Nothing panics while the lock is held; if it did, the schedule would still be whole.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ask(&self, key: K, when: When) {
        self.schedule().ask(Instant::now(), key, when);
        self.changed.notify_one();
    }

    /// Waits for the next key whose turn it is. For one caller; dropping the future loses nothing.
    pub async fn take(&self) -> K {
        loop {
            let due = {
                let mut schedule = self.schedule();
                if let Some(key) = schedule.take(Instant::now()) {
                    return key;
                }
                schedule.next_due()
            };
            match due {
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due.into()) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends the work on a key that was taken.
    pub fn finish(&self, key: &K, next: Next) {
        self.schedule().finish(Instant::now(), key, next, jitter());
        self.changed.notify_one();
    }

    /// Number of keys that wait or are worked on.
    pub fn len(&self) -> usize {
        self.schedule().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns a random number from 0 to 1. Spreading needs no better source than the standard library's hash seeds.
fn jitter() -> f64 {
    let bits = RandomState::new().hash_one(0u8);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taker_that_waits_is_woken_by_an_ask() {
        let queue = Queue::default();
        let (key, ()) = tokio::join!(queue.take(), async { queue.ask(7, When::Now) });
        assert_eq!(key, 7);
        assert_eq!(queue.len(), 1, "worked on until it is finished");
        queue.finish(&7, Next::Rest);
        assert!(queue.is_empty());
    }

    #[test]
    fn jitter_is_between_nothing_and_all() {
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&jitter()));
        }
    }
}
