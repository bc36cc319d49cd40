//! At most so many requests a second, for servers that have others to serve.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Spaces requests evenly. Without one nothing waits: the server says by itself when it is busy.
pub(super) struct Pace(Mutex<Interval>);

impl Pace {
    pub fn new(per_second: NonZeroU32) -> Self {
        let mut interval = interval(Duration::from_secs(1) / per_second.get());
        // Nothing is made up for: a burst after a pause is what the limit is against.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Mutex::new(interval))
    }

    /// Waits until a request may be sent, first come, first served. Returns how long it waited.
    pub async fn turn(&self) -> Duration {
        let came = Instant::now();
        self.0.lock().await.tick().await;
        came.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_evenly_and_a_pause_is_not_made_up_for() {
        let began = Instant::now();
        let pace = Pace::new(NonZeroU32::new(4).unwrap());
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_millis(), 1000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let resumed = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(resumed.elapsed().as_millis(), 1000);
    }
}
