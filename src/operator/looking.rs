//! When to look whether a workload API answers: often until it does, seldom afterwards. Pure, time is a parameter.

use std::time::{Duration, Instant};

use crate::status::Availability;

/// A control plane needs seconds to minutes to come up, and somebody waits for it.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// One that answers is asked again this often: pods that stop being ready are news of their own.
const SELDOM: Duration = Duration::from_secs(300);

/// What the last look said, and what it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    at: Instant,
    /// Looks in a row that found no answer.
    failures: u32,
    subject: Subject,
    pub answer: Availability,
}

/// What makes an earlier look worthless when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub uid: String,
    pub url: String,
    pub authority: Option<String>,
    pub ready_replicas: i32,
}

impl Look {
    /// Notes what a look at `now` found, after an earlier one about the same subject.
    pub fn new(now: Instant, earlier: Option<&Self>, subject: Subject, answer: Availability) -> Self {
        let failures = match (&answer, earlier) {
            (Availability::Answers, _) => 0,
            (Availability::Silent(_) | Availability::NotAsked(_), Some(earlier))
                if earlier.subject == subject =>
            {
                earlier.failures.saturating_add(1)
            }
            (Availability::Silent(_) | Availability::NotAsked(_), _) => 1,
        };
        Self {
            at: now,
            failures,
            subject,
            answer,
        }
    }

    /// Returns how long this look is good for about `subject`; zero when it is not any more.
    pub fn good_for(&self, now: Instant, subject: &Subject) -> Duration {
        if self.subject != *subject {
            return Duration::ZERO;
        }
        (self.at + self.pause()).saturating_duration_since(now)
    }

    /// Uid of the cluster that was looked at.
    pub fn uid(&self) -> &str {
        &self.subject.uid
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => SELDOM,
            failures => FIRST.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> Availability {
        Availability::Silent("refused".into())
    }

    fn subject(ready_replicas: i32) -> Subject {
        Subject {
            uid: "uid-berlin".into(),
            url: "https://192.0.2.1:30000".into(),
            authority: Some("abc".into()),
            ready_replicas,
        }
    }

    #[test]
    fn looks_become_rarer_while_nothing_answers_and_seldom_once_it_does() {
        let now = Instant::now();
        let mut look = Look::new(now, None, subject(1), silent());
        let mut pauses = Vec::new();
        for _ in 0..7 {
            pauses.push(look.good_for(now, &subject(1)).as_secs());
            look = Look::new(now, Some(&look), subject(1), silent());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        look = Look::new(now, Some(&look), subject(1), Availability::Answers);
        assert_eq!(look.good_for(now, &subject(1)), SELDOM);
        assert_eq!(look.good_for(now + SELDOM, &subject(1)), Duration::ZERO);
    }

    #[test]
    fn pods_that_come_or_go_and_another_address_make_a_look_worthless() {
        let now = Instant::now();
        let look = Look::new(now, None, subject(3), Availability::Answers);
        let moved = Subject {
            url: "https://192.0.2.2:30000".into(),
            ..subject(3)
        };
        assert_eq!(look.good_for(now, &subject(2)), Duration::ZERO);
        assert_eq!(look.good_for(now, &moved), Duration::ZERO);
    }
}
