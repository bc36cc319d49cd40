//! Waiting for conditions, never for time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Pause between two looks. Short against everything waited for, long enough not to be the load itself.
const PAUSE: Duration = Duration::from_millis(25);

/// What a probe may return: `Option` and `Result` both say "not yet".
pub trait Attempt {
    type Value;
    fn outcome(self) -> Result<Self::Value, String>;
}

impl<T> Attempt for Option<T> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "not yet".to_owned())
    }
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Calls `probe` until it has a value, and returns it.
///
/// Panics after `deadline` with `what` and the reason of the last attempt.
pub async fn eventually<A: Attempt>(
    what: &str,
    deadline: Duration,
    probe: impl AsyncFnMut() -> A,
) -> A::Value {
    match try_eventually(deadline, probe).await {
        Ok(value) => value,
        Err(reason) => panic!("{what}: still not after {deadline:?}: {reason}"),
    }
}

/// Like [`eventually`], with the reason of the last attempt as the error.
pub async fn try_eventually<A: Attempt>(
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> A,
) -> Result<A::Value, String> {
    let start = Instant::now();
    let mut last = "the first attempt did not end".to_owned();
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        match tokio::time::timeout(left.max(PAUSE), probe())
            .await
            .map(Attempt::outcome)
        {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => last = reason,
            Err(_) => return Err(format!("an attempt hangs; before it: {last}")),
        }
        if start.elapsed() >= deadline {
            return Err(last);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
