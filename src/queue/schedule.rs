//! When which key is worked on: pure, time is a parameter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Children report every pod that becomes ready. Waiting this long after the last report makes one status write of
/// what happens within a moment.
const SETTLE: Duration = Duration::from_millis(800);
/// However long reports keep coming, nothing waits longer than this from the first.
const SETTLE_CAP: Duration = Duration::from_secs(3);
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// What cannot be done now (a quota, a missing permission) is looked at again this often.
const BACKOFF_CAP: Duration = Duration::from_secs(300);

/// How soon a key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The object itself changed: at once, also when it has failed before.
    Now,
    /// Something around it changed: when it has been quiet for a moment, and not before a back-off ends.
    Settled,
}

/// What a pass over a key ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do until something changes.
    Rest,
    /// Look again after this time even when nothing changes.
    After(Duration),
    /// Failed: again after a back-off that grows with each failure in a row.
    Retry,
    /// The object is gone: forget everything about the key.
    Forget,
}

/// Which keys wait until when, which are worked on, and how often each failed in a row.
///
/// **Invariants:** a key is never worked on twice at once; a key asked for while it is worked on is worked on again
/// after that; a key asked for many times before its turn gets one turn.
#[derive(Debug)]
pub struct Schedule<K> {
    waiting: BTreeMap<K, Ask>,
    by_time: BTreeSet<(Instant, K)>,
    /// Worked on now, with what was asked for meanwhile.
    running: BTreeMap<K, Ask>,
    failures: BTreeMap<K, Failed>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ask {
    firm: Option<Instant>,
    settling: Option<Settling>,
}

#[derive(Clone, Copy, Debug)]
struct Settling {
    since: Instant,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    in_a_row: u32,
    not_before: Instant,
}

impl Ask {
    fn due(&self) -> Option<Instant> {
        match (self.firm, self.settling) {
            (Some(firm), Some(settling)) => Some(firm.min(settling.until)),
            (firm, settling) => firm.or(settling.map(|settling| settling.until)),
        }
    }

    fn firmly(&mut self, at: Instant) {
        self.firm = Some(self.firm.map_or(at, |firm| firm.min(at)));
    }

    fn settled(&mut self, now: Instant) {
        let since = self.settling.map_or(now, |settling| settling.since);
        let until = (now + SETTLE).min(since + SETTLE_CAP);
        self.settling = Some(Settling { since, until });
    }
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            by_time: BTreeSet::new(),
            running: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    pub fn ask(&mut self, now: Instant, key: K, when: When) {
        if let Some(ask) = self.running.get_mut(&key) {
            match when {
                When::Now => ask.firmly(now),
                When::Settled => ask.settled(now),
            }
            return;
        }
        self.change(key, |ask| match when {
            When::Now => ask.firmly(now),
            When::Settled => ask.settled(now),
        });
    }

    fn change(&mut self, key: K, change: impl FnOnce(&mut Ask)) {
        let not_before = self.failures.get(&key).map(|failed| failed.not_before);
        let ask = self.waiting.entry(key.clone()).or_default();
        if let Some(due) = ask.due() {
            self.by_time.remove(&(due, key.clone()));
        }
        change(ask);
        if let (Some(settling), Some(not_before)) = (&mut ask.settling, not_before) {
            settling.until = settling.until.max(not_before);
        }
        match ask.due() {
            Some(due) => {
                self.by_time.insert((due, key));
            }
            None => {
                self.waiting.remove(&key);
            }
        }
    }

    /// Takes the key whose turn it is, if any; it is worked on until [`Schedule::finish`].
    pub fn take(&mut self, now: Instant) -> Option<K> {
        let (due, _) = self.by_time.first()?;
        if *due > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.waiting.remove(&key);
        self.running.insert(key.clone(), Ask::default());
        Some(key)
    }

    /// Returns when the next turn is due; `None` when nothing waits.
    pub fn next_due(&self) -> Option<Instant> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Ends the work on a key. `jitter` (0 to 1) spreads back-offs of keys that failed together.
    pub fn finish(&mut self, now: Instant, key: &K, next: Next, jitter: f64) {
        let asked = self.running.remove(key).unwrap_or_default();
        let again = match next {
            Next::Rest => {
                self.failures.remove(key);
                None
            }
            Next::After(delay) => {
                self.failures.remove(key);
                Some(now + delay)
            }
            Next::Retry => {
                let in_a_row = self
                    .failures
                    .get(key)
                    .map_or(1, |failed| failed.in_a_row.saturating_add(1));
                let not_before = now + backoff(in_a_row, jitter);
                self.failures.insert(key.clone(), Failed { in_a_row, not_before });
                Some(not_before)
            }
            Next::Forget => {
                self.failures.remove(key);
                None
            }
        };
        self.change(key.clone(), |ask| {
            *ask = asked;
            if let Some(at) = again {
                ask.firmly(at);
            }
        });
    }

    /// Number of keys that wait or are worked on.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns the pause after so many failures in a row: doubling, capped, and half of it random.
fn backoff(in_a_row: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1u32 << in_a_row.saturating_sub(1).min(16));
    let full = doubled.min(BACKOFF_CAP);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_key_asked_for_many_times_gets_one_turn() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        for _ in 0..5 {
            schedule.ask(now, "edge-berlin", When::Now);
        }
        assert_eq!(schedule.take(now), Some("edge-berlin"));
        schedule.finish(now, &"edge-berlin", Next::Rest, 0.5);
        assert_eq!(schedule.take(now + SECOND * 600), None);
        assert!(schedule.is_empty());
    }

    #[test]
    fn a_key_asked_for_while_it_is_worked_on_gets_another_turn_afterwards() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.ask(now, "edge-berlin", When::Now);
        assert_eq!(schedule.take(now), Some("edge-berlin"));
        schedule.ask(now, "edge-berlin", When::Now);
        assert_eq!(schedule.take(now), None, "not twice at once");
        schedule.finish(now, &"edge-berlin", Next::Rest, 0.5);
        assert_eq!(schedule.take(now), Some("edge-berlin"));
    }

    #[test]
    fn reports_of_children_are_gathered_and_never_put_off_for_ever() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let step = Duration::from_millis(100);
        let mut turn = None;
        for tick in 0..100u32 {
            let now = start + step * tick;
            if let Some(key) = schedule.take(now) {
                turn = Some((key, now - start));
                break;
            }
            schedule.ask(now, "edge-berlin", When::Settled);
        }
        assert_eq!(turn, Some(("edge-berlin", SETTLE_CAP)));
    }

    #[test]
    fn a_change_of_the_object_does_not_wait_for_quiet_nor_for_a_back_off() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.ask(now, "edge-berlin", When::Settled);
        assert_eq!(schedule.take(now), None);
        schedule.ask(now, "edge-berlin", When::Now);
        assert_eq!(schedule.take(now), Some("edge-berlin"));
        schedule.finish(now, &"edge-berlin", Next::Retry, 1.0);
        schedule.ask(now, "edge-berlin", When::Now);
        assert_eq!(schedule.take(now), Some("edge-berlin"));
    }

    #[test]
    fn reports_of_children_do_not_shorten_a_back_off() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.ask(now, "edge-berlin", When::Now);
        for failures in 1..6 {
            assert_eq!(schedule.take(now), Some("edge-berlin"));
            schedule.finish(now, &"edge-berlin", Next::Retry, 1.0);
            schedule.ask(now, "edge-berlin", When::Settled);
            let pause = BACKOFF_FIRST * (1 << (failures - 1));
            assert_eq!(schedule.next_due(), Some(now + pause));
            now += pause;
        }
    }

    #[test]
    fn a_success_ends_the_back_off_and_a_long_row_of_failures_is_capped() {
        assert_eq!(backoff(1, 1.0), BACKOFF_FIRST);
        assert_eq!(backoff(2, 0.0), BACKOFF_FIRST);
        assert_eq!(backoff(u32::MAX, 1.0), BACKOFF_CAP);
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.ask(now, 1, When::Now);
        for next in [Next::Retry, Next::Rest, Next::Retry] {
            schedule.ask(now, 1, When::Now);
            assert_eq!(schedule.take(now), Some(1));
            schedule.finish(now, &1, next, 1.0);
        }
        assert_eq!(schedule.next_due(), Some(now + BACKOFF_FIRST));
    }

    proptest! {
        /// Whatever happens: no key runs twice at once, no ask is lost, and nothing is left over.
        #[test]
        fn nothing_asked_for_is_lost(steps in prop::collection::vec((0u8..6, 0u8..4, 0u64..2_000), 1..200)) {
            let mut now = Instant::now();
            let mut schedule = Schedule::default();
            let mut running: BTreeSet<u8> = BTreeSet::new();
            let mut owed: BTreeSet<u8> = BTreeSet::new();
            for (what, key, milliseconds) in steps {
                now += Duration::from_millis(milliseconds);
                match what {
                    0 | 1 => {
                        schedule.ask(now, key, if what == 0 { When::Now } else { When::Settled });
                        owed.insert(key);
                    }
                    2 | 3 => {
                        if let Some(key) = schedule.take(now) {
                            prop_assert!(running.insert(key), "twice at once");
                            owed.remove(&key);
                        }
                    }
                    _ => {
                        if running.remove(&key) {
                            let next = if what == 4 { Next::Rest } else { Next::Retry };
                            if next == Next::Retry {
                                owed.insert(key);
                            }
                            schedule.finish(now, &key, next, 0.3);
                        }
                    }
                }
            }
            for key in std::mem::take(&mut running) {
                schedule.finish(now, &key, Next::Rest, 0.3);
            }
            now += BACKOFF_CAP * 2;
            while let Some(key) = schedule.take(now) {
                owed.remove(&key);
                schedule.finish(now, &key, Next::Rest, 0.3);
            }
            prop_assert!(owed.is_empty(), "lost {owed:?}");
            prop_assert!(schedule.is_empty());
        }
    }
}
