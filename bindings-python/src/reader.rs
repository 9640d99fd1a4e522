//! Reading, for consumers and scans alike: a consumer of the engine, and what it has read that nobody has been given yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klog::sys::generation;
use klog::{Consumer, ErrorCode, Start, Waker};
use pyo3::prelude::*;

use crate::batch::Cut;
use crate::errors::{OrRaise, refuse};
use crate::interrupt::{self, Deadline};
use crate::record::{Record, Source};
use crate::turn::{Held, Turn};

/// Reads records one by one or in batches. May be used by several threads: each record is handed out once.
pub(crate) struct Reader {
    turn: Turn<Consumer>,
    rest: Mutex<Rest>,
    waker: Waker,
    /// Nothing will come any more once nothing is left: the end was fixed, or nobody can write.
    is_finite: bool,
    born: u32,
}

/// Records that were read and not handed out.
#[derive(Default)]
struct Rest {
    source: Option<Arc<Source>>,
    next: usize,
}

impl Rest {
    /// Takes up to `most` records out.
    fn take(&mut self, most: usize) -> Option<(Arc<Source>, usize, usize)> {
        let source = self.source.as_ref()?;
        let (from, left) = (self.next, source.len() - self.next);
        let len = left.min(most);
        self.next += len;
        let taken = (source.clone(), from, len);
        if len == left {
            self.source = None;
        }
        Some(taken)
    }
}

impl Reader {
    pub(crate) fn new(py: Python<'_>, consumer: Consumer) -> PyResult<Self> {
        let waker = consumer.waker().or_raise(py)?;
        let is_finite = !consumer.can_wait().or_raise(py)?;
        let turn = Turn::new(consumer);
        Ok(Reader { turn, rest: Mutex::default(), waker, is_finite, born: generation() })
    }

    /// Reads up to what is visible now, and no further.
    pub(crate) fn until_now(self, py: Python<'_>) -> PyResult<Self> {
        self.held(py)?.read_until_now();
        Ok(Reader { is_finite: true, ..self })
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.born == generation() {
            return Ok(());
        }
        Err(refuse(py, ErrorCode::Forked, "the consumer belongs to the parent process; open one in this process"))
    }

    /// Waits for the turn, and gives what was read and not handed out back to the engine's consumer, so that it alone knows
    /// where reading stands.
    pub(crate) fn held(&self, py: Python<'_>) -> PyResult<Held<'_, Consumer>> {
        self.check(py)?;
        let Some(mut held) = self.turn.take(py, Deadline::after(None))? else {
            return Err(refuse(py, ErrorCode::RequestTimedOut, "the consumer is in use"));
        };
        let left = std::mem::take(&mut *self.rest());
        if let Some(source) = left.source
            && let Source::Read { batch, .. } = &*source
        {
            let offset = Start::Offset(source.offset(left.next));
            py.detach(|| held.seek(batch.topic(), batch.partition(), offset)).or_raise(py)?;
        }
        Ok(held)
    }

    /// The next record; `None` when none came in time, or none is left.
    pub(crate) fn record(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Record>> {
        let taken = self.next(py, timeout, 1, usize::MAX)?;
        Ok(taken.map(|(source, at, _)| Record::new(source, at)))
    }

    /// The next records; `None` as above.
    pub(crate) fn batch(&self, py: Python<'_>, timeout: Option<Duration>, most: usize) -> PyResult<Option<Cut>> {
        let taken = self.next(py, timeout, most, most)?;
        Ok(taken.map(|(source, from, len)| Cut::new(source, from, len)))
    }

    /// Takes up to `most` records, and reads up to `ahead` when there are none.
    fn next(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
        most: usize,
        ahead: usize,
    ) -> PyResult<Option<(Arc<Source>, usize, usize)>> {
        self.check(py)?;
        let taken = self.rest().take(most);
        if taken.is_some() {
            return Ok(taken);
        }
        let deadline = Deadline::after(timeout);
        let Some(mut held) = self.turn.take(py, deadline)? else {
            return Ok(None);
        };
        // Whoever had the turn before may have read for this caller too.
        let taken = self.rest().take(most);
        if taken.is_some() {
            return Ok(taken);
        }
        let Some(batch) = self.poll(py, &mut held, deadline, ahead)? else {
            return Ok(None);
        };
        let source = Some(Source::of(py, batch));
        let mut rest = self.rest();
        *rest = Rest { source, next: 0 };
        Ok(rest.take(most))
    }

    fn poll(
        &self,
        py: Python<'_>,
        consumer: &mut Consumer,
        deadline: Deadline,
        most: usize,
    ) -> PyResult<Option<klog::Batch>> {
        let mut slice = Duration::ZERO; // what is there already is not waited for
        loop {
            let polled = py.detach(|| consumer.poll_records(slice, most));
            if let Some(raised) = interrupt::take() {
                return Err(raised);
            }
            if self.turn.is_closed() {
                return Err(refuse(py, ErrorCode::Closed, "the consumer is closed"));
            }
            let batch = polled.or_raise(py)?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            py.check_signals()?;
            slice = deadline.slice();
            if slice.is_zero() || self.is_finite {
                return Ok(None);
            }
        }
    }

    /// Ends the wait that runs, or else the next one.
    pub(crate) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        self.check(py)?;
        self.waker.wake();
        Ok(())
    }

    /// Ends it for all threads; one that waits is told.
    pub(crate) fn close(&self, py: Python<'_>) {
        if self.born != generation() {
            return; // the parent's is the parent's
        }
        let consumer = self.turn.close();
        self.waker.wake();
        py.detach(|| drop(consumer));
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.turn.is_closed()
    }
}
