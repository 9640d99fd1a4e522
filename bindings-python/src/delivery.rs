//! What became of a record that was sent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use klog::{ErrorCode, RecordMetadata};
use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::prelude::*;

use crate::arguments::{Timeout, duration};
use crate::errors::{raise, refuse};
use crate::interrupt::{self, Deadline};
use crate::values;

/// Deliveries whose callbacks wait. Only an attached thread takes the lock, and never across a wait or a call of Python.
static WITH_CALLBACKS: Mutex<Vec<Py<Delivery>>> = Mutex::new(Vec::new());

/// A record on its way: can be waited for and awaited. The record is delivered whether anybody asks or not.
///
/// One that nobody asks costs nothing. A failure that nobody asked for is raised by the next `flush` or `close`.
#[pyclass(frozen, weakref, module = "klog")]
pub(crate) struct Delivery {
    delivery: klog::Delivery,
    callbacks: Mutex<Vec<Py<PyAny>>>,
}

/// Why a wait ended without an outcome, or with a bad one.
enum Failure {
    TimedOut(PyErr),
    Raised(PyErr),
    Failed(klog::Error),
}

impl Delivery {
    pub(crate) fn new(delivery: klog::Delivery) -> Self {
        Delivery { delivery, callbacks: Mutex::default() }
    }

    /// Waits for the outcome.
    ///
    /// The engine is asked in slices, so that a signal ends the wait while another thread is flushing. A flush that this
    /// thread carries out itself lasts as long as the disk takes, like `os.fsync`.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> Result<RecordMetadata, Failure> {
        if self.delivery.is_done() {
            return self.delivery.result().map_err(Failure::Failed);
        }
        let timed_out = || {
            let what = "the record is not acknowledged yet; it may still be delivered";
            Err(Failure::TimedOut(refuse(py, ErrorCode::RequestTimedOut, what)))
        };
        let deadline = Deadline::after(timeout);
        loop {
            let slice = deadline.slice();
            if slice.is_zero() {
                return timed_out();
            }
            match py.detach(|| self.delivery.result_within(slice)) {
                // The wait timed out, and not the append.
                Err(error) if error.code() == ErrorCode::RequestTimedOut && !self.delivery.is_done() => {
                    if error.has_holder() {
                        return Err(Failure::TimedOut(raise(py, &error)));
                    }
                    py.check_signals().map_err(Failure::Raised)?;
                }
                // A signal ended the wait: that says nothing of the record.
                Err(error) if error.code() == ErrorCode::Interrupted => {
                    if let Some(raised) = interrupt::take() {
                        return Err(Failure::Raised(raised));
                    }
                    py.check_signals().map_err(Failure::Raised)?;
                }
                result => return result.map_err(Failure::Failed),
            }
        }
    }

    fn take_callbacks(&self) -> Vec<Py<PyAny>> {
        std::mem::take(&mut *self.callbacks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Calls what waits for a delivery that is done. What a callback raises goes to `sys.unraisablehook`.
fn serve(slf: &Bound<'_, Delivery>) {
    for callback in slf.get().take_callbacks() {
        if let Err(error) = callback.bind(slf.py()).call1((slf,)) {
            error.write_unraisable(slf.py(), Some(callback.bind(slf.py())));
        }
    }
}

/// Calls the callbacks of every delivery that is done.
pub(crate) fn serve_callbacks(py: Python<'_>) {
    let waiting = std::mem::take(&mut *WITH_CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner));
    let (done, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|it| it.get().delivery.is_done());
    if !waiting.is_empty() {
        WITH_CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).extend(waiting);
    }
    for delivery in done {
        serve(delivery.bind(py));
    }
}

/// A child forgets the callbacks of its parent's deliveries.
pub(crate) fn forget_callbacks(_py: Python<'_>) {
    let forgotten = std::mem::take(&mut *WITH_CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner));
    for delivery in &forgotten {
        delivery.get().take_callbacks();
    }
}

#[pymethods]
impl Delivery {
    /// Waits until the record is acknowledged, and says where it is. Its batch does not linger any longer.
    #[pyo3(signature = (timeout=None))]
    fn result<'py>(slf: &Bound<'py, Self>, timeout: Option<Timeout>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match slf.get().wait(py, duration(timeout)) {
            Ok(metadata) => {
                serve(slf);
                values::record_metadata(py, &metadata)
            }
            Err(Failure::Failed(error)) => {
                serve(slf);
                Err(raise(py, &error))
            }
            Err(Failure::TimedOut(error) | Failure::Raised(error)) => Err(error),
        }
    }

    /// Waits as `result` does, and returns why the record was not delivered; None when it was.
    #[pyo3(signature = (timeout=None))]
    fn exception<'py>(slf: &Bound<'py, Self>, timeout: Option<Timeout>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        match slf.get().wait(py, duration(timeout)) {
            Ok(_) => {
                serve(slf);
                Ok(None)
            }
            Err(Failure::Failed(error)) => {
                serve(slf);
                Ok(Some(raise(py, &error).into_value(py).into_bound(py).into_any()))
            }
            Err(Failure::TimedOut(error) | Failure::Raised(error)) => Err(error),
        }
    }

    /// Whether `result` would return without waiting. Does not make anything happen.
    fn done(&self) -> bool {
        self.delivery.is_done()
    }

    /// Has `function` called with the delivery once it is done: now if it is, or else by a thread that calls `result` or
    /// `exception` of it, or `flush` or `close`. Never by a thread of the engine.
    fn add_done_callback(slf: &Bound<'_, Self>, function: Py<PyAny>) {
        slf.get().callbacks.lock().unwrap_or_else(PoisonError::into_inner).push(function);
        if slf.get().delivery.is_done() {
            return serve(slf);
        }
        let waiting = {
            let mut list = WITH_CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(slf.clone().unbind());
            list.len()
        };
        // A program that never flushes does not fill its memory with deliveries that are done.
        if waiting.is_multiple_of(1024) {
            serve_callbacks(slf.py());
        }
    }

    /// Waits without holding up the event loop; does not suspend when the record is acknowledged already.
    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().delivery.is_done() {
            return Ok(Bound::new(py, Awaited { delivery: slf.clone().unbind() })?.into_any());
        }
        let running = py.import("asyncio")?.call_method0("get_running_loop")?;
        let waiting = running.call_method1("run_in_executor", (py.None(), slf.getattr("result")?))?;
        waiting.call_method0("__await__")
    }

    /// Its fate is known to the process that sent the record.
    #[allow(clippy::unused_self, reason = "Python calls it on the object")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle 'klog.Delivery' object: the process that sent the record alone learns its fate",
        ))
    }

    fn __repr__(&self) -> &'static str {
        if self.delivery.is_done() { "<klog.Delivery, done>" } else { "<klog.Delivery, on its way>" }
    }
}

/// Awaits a delivery that is done.
#[pyclass(frozen, module = "klog._klog")]
pub(crate) struct Awaited {
    delivery: Py<Delivery>,
}

#[pymethods]
impl Awaited {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let result = Delivery::result(self.delivery.bind(py), None)?;
        // What an iterator returns is in the StopIteration; the tuple around it keeps a tuple from being taken apart.
        Err(PyStopIteration::new_err((result.unbind(),)))
    }
}
