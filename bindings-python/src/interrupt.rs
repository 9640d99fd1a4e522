//! Waiting so that signals stay responsive.
//!
//! Python runs a signal's handler in the main thread, once that asks for it. So whoever waits here asks whenever a signal
//! interrupts the wait, and again every [`SLICE`], because a signal that comes just before the wait begins interrupts nothing.

use std::cell::RefCell;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use klog::{Error, ErrorCode, Threads};
use pyo3::prelude::*;

use crate::errors::{OrRaise, refuse};

/// No wait is longer without a look at the signals.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

thread_local! {
    /// What a signal handler raised while this thread was waiting in the engine.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Runs the handlers of signals that came, and says whether one of them wants the wait to end: the engine asks this when a
/// signal interrupts it, and now and then in a long wait, with no lock held.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method itself is not general enough in its lifetime"
)]
pub(crate) fn handler_raises() -> bool {
    let outcome = Python::try_attach(|py| py.check_signals());
    match outcome {
        Some(Ok(())) => false,
        Some(Err(error)) => {
            RAISED.set(Some(error));
            true
        }
        None => true, // the interpreter is going
    }
}

/// What the handler raised.
pub(crate) fn take() -> Option<PyErr> {
    RAISED.take()
}

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

#[allow(clippy::disallowed_methods, reason = "how long a caller waits has nothing to do with the engine's clock")]
impl Deadline {
    /// So long from now; `None` is never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// How long is left, at most a [`SLICE`]; nothing when the time is over.
    pub(crate) fn slice(self) -> Duration {
        self.0.map_or(SLICE, |at| at.saturating_duration_since(Instant::now()).min(SLICE))
    }

    /// Whether the time is over.
    pub(crate) fn is_over(self) -> bool {
        self.slice().is_zero()
    }
}

/// Has `work` done in a thread of its own and waits for it, so that a signal, or the deadline, ends the wait whatever the
/// disk does. The work itself goes on. An engine without threads does it here, and is waited for.
pub(crate) fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    threads: Threads,
    deadline: Deadline,
    work: impl FnOnce() -> klog::Result<T> + Send + 'static,
) -> PyResult<T> {
    if threads == Threads::Off {
        return py.detach(work).or_raise(py);
    }
    let (done, mut result) = sync_channel(1);
    let run = move || {
        // Nobody listens when the wait has ended; then the next flush or close reports what failed.
        let _ = done.send(work());
    };
    let spawned = std::thread::Builder::new().name("klog-wait".into()).spawn(run);
    spawned.or_raise_io(py)?;
    loop {
        let slice = deadline.slice();
        let result = &mut result;
        match py.detach(move || result.recv_timeout(slice)) {
            Ok(result) => return result.or_raise(py),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(refuse(py, ErrorCode::Closed, "the work was given up"));
            }
        }
        if deadline.is_over() {
            return Err(refuse(py, ErrorCode::RequestTimedOut, "not done in time; it goes on nevertheless"));
        }
    }
}

/// `?` for what the operating system refuses.
trait OrRaiseIo<T> {
    fn or_raise_io(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaiseIo<T> for std::io::Result<T> {
    fn or_raise_io(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| crate::errors::raise(py, &Error::io("starting a thread", error)))
    }
}
