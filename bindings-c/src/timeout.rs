//! How long a call may take.

use std::time::{Duration, Instant};

use crate::guard::Failure;

/// The end of a call's time, if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `timeout_ms` from now: −1 is without limit.
    pub(crate) fn after(timeout_ms: i32) -> Result<Deadline, Failure> {
        #[allow(
            clippy::disallowed_methods,
            reason = "the caller's own time, also beside an engine whose clock is simulated"
        )]
        Ok(Deadline(timeout(timeout_ms)?.map(|timeout| Instant::now() + timeout)))
    }

    /// Whether there is no time left.
    pub(crate) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// What is left; `None` is without limit.
    pub(crate) fn left(self) -> Option<Duration> {
        #[allow(clippy::disallowed_methods, reason = "as above")]
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// `timeout_ms` as a duration; `None` is without limit.
pub(crate) fn timeout(timeout_ms: i32) -> Result<Option<Duration>, Failure> {
    match u64::try_from(timeout_ms) {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) if timeout_ms == -1 => Ok(None),
        Err(_) => Err(Failure::invalid(format!("timeout_ms is {timeout_ms}; it is -1, 0 or more"))),
    }
}
