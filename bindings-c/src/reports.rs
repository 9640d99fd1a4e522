//! What became of records that were queued, until somebody asks.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klog::{Delivery, ErrorCode};

use crate::message::klog_delivery;
use crate::status::klog_status_code::KLOG_OK;
use crate::status::{code_of, klog_status};
use crate::timeout::Deadline;

/// A report that waits, until its record is done and then until somebody takes it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) tag: u64,
    pub(crate) delivery: Delivery,
}

/// Reports of what was queued, in the order in which it was sent.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    queue: Mutex<Queue>,
    /// Something was sent.
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    reports: VecDeque<Report>,
    /// How many were removed from the front so far: tells whether the first one is still the same.
    removed: u64,
}

impl Queue {
    fn remove_first(&mut self, count: usize) -> impl Iterator<Item = Report> {
        self.removed += count as u64;
        self.reports.drain(..count)
    }
}

/// No wait is longer without another look: the engine may be closed in the meantime.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Reports that nobody takes are kept up to this many. What became of older records [`klog::Producer::flush`] still tells if it
/// was a failure.
const MOST_REPORTS: usize = 1 << 20;

impl Reports {
    /// Wakes whoever waits, to look again.
    pub(crate) fn wake(&self) {
        self.filled.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps reports for whoever asks. Of too many the oldest go.
    pub(crate) fn add(&self, reports: Vec<Report>) {
        let mut queue = self.queue();
        queue.reports.extend(reports);
        let too_many = queue.reports.len().saturating_sub(MOST_REPORTS);
        drop(queue.remove_first(too_many));
        drop(queue);
        self.wake();
    }

    /// Takes up to `most` reports of records that are done, from the front: the order is that of sending.
    pub(crate) fn take_done(&self, most: usize) -> Vec<klog_delivery> {
        let mut queue = self.queue();
        let done = queue.reports.iter().take(most).take_while(|report| report.delivery.is_done()).count();
        let done: Vec<Report> = queue.remove_first(done).collect();
        drop(queue);
        done.iter().map(|report| delivery(report.tag, report.delivery.result())).collect()
    }

    /// Waits, for a while, until something is sent, or until it is known what became of what was sent first; takes its
    /// report in that case.
    ///
    /// # Errors
    /// Of a lock that another process has held for too long.
    pub(crate) fn wait(&self, deadline: Deadline) -> klog::Result<Option<klog_delivery>> {
        let longest = deadline.left().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let queue = self.queue();
        let Some(Report { tag, delivery: first }) = queue.reports.front().cloned() else {
            drop(self.filled.wait_timeout(queue, longest));
            return Ok(None);
        };
        let removed = queue.removed;
        drop(queue);
        let result = result_by(&first, deadline);
        match result {
            // The wait timed out, and not the append.
            Err(error) if error.has_holder() && !first.is_done() => return Err(error),
            Err(error) if error.code() == ErrorCode::RequestTimedOut => return Ok(None),
            _ => {}
        }
        // Taken even where the engine does not call it done: a record that cannot become durable never is.
        let mut queue = self.queue();
        let is_first = queue.removed == removed && !queue.reports.is_empty();
        if is_first {
            drop(queue.remove_first(1));
        }
        Ok(is_first.then(|| delivery(tag, result)))
    }
}

/// What becomes of a record until then.
pub(crate) fn result_by(delivery: &Delivery, deadline: Deadline) -> klog::Result<klog::RecordMetadata> {
    deadline.left().map_or_else(|| delivery.result(), |left| delivery.result_within(left))
}

/// What became of a record, as C is told.
pub(crate) fn delivery(tag: u64, result: klog::Result<klog::RecordMetadata>) -> klog_delivery {
    match result {
        Ok(at) => klog_delivery {
            tag,
            offset: at.offset,
            timestamp: at.timestamp,
            partition: at.partition,
            status: KLOG_OK as klog_status,
        },
        Err(error) => failed(tag, code_of(error.code()) as klog_status),
    }
}

/// A record that was not delivered, as C is told.
pub(crate) fn failed(tag: u64, status: klog_status) -> klog_delivery {
    klog_delivery { tag, offset: -1, timestamp: -1, partition: -1, status }
}
