//! What became of a record.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lane::{Cell, Fate, Lane};
use crate::config::Acks;
use crate::error::{Error, ErrorCode, Result};
use crate::sys::generation;
use crate::types::Offset;

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset; −1 with `acks=0`.
    pub offset: i64,
    /// Its timestamp: the log's where the topic says LogAppendTime.
    pub timestamp: i64,
}

/// A record on its way. Cheap to make, to keep and to drop; a record is delivered whether anybody asks or not.
#[derive(Clone)]
pub struct Delivery {
    cell: Arc<Cell>,
    index: i32,
    timestamp: i64,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("index", &self.index).field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

impl Delivery {
    pub(super) fn new(cell: Arc<Cell>, index: i32, timestamp: i64) -> Self {
        Delivery { cell, index, timestamp }
    }

    /// Waits until the record is as acknowledged as `acks` asks, and says where it is. Its batch does not linger any longer.
    ///
    /// # Errors
    /// Why it was not appended; `KafkaStorageError` when it was and cannot be made durable. `RequestTimedOut` when another
    /// process has kept a lock for longer than `request.timeout.ms` ([`Error::has_holder`]): the record may be appended all the
    /// same, and be there twice if it is sent again. `Locked` once this handle lost its place in the directory.
    pub fn result(&self) -> Result<RecordMetadata> {
        self.wait(None)
    }

    /// As [`result`](Self::result), for at most `timeout`; where another process keeps the partition's lock, 50 ms come
    /// on top for each thread of this one that waits there.
    ///
    /// # Errors
    /// Those of [`result`](Self::result), and `RequestTimedOut` when the time is over: the record may still be delivered.
    pub fn result_within(&self, timeout: Duration) -> Result<RecordMetadata> {
        self.wait(Some(timeout))
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<RecordMetadata> {
        let lane = &self.cell.lane;
        if lane.settings.acks == Acks::None {
            return Ok(self.metadata(-1, None));
        }
        if lane.generation != generation() {
            return self.result_in_child();
        }
        let deadline = timeout.and_then(|timeout| lane.partition.now().checked_add(timeout));
        if matches!(self.cell.fate(), Fate::Queued) {
            let is_over = || deadline.is_some_and(|deadline| lane.partition.now() >= deadline);
            lane.write(Lane::write_all, || !matches!(self.cell.fate(), Fate::Queued) || is_over())?;
        }
        match self.cell.fate() {
            Fate::Failed(error) => Err(error),
            Fate::Queued if deadline.is_some_and(|deadline| lane.partition.now() >= deadline) => {
                let what = "another process keeps the partition's lock; the record is not written yet, and may still be delivered";
                Err(Error::new(ErrorCode::RequestTimedOut, what))
            }
            Fate::Queued => {
                Err(Error::new(ErrorCode::Closed, "the record was not written before its producer was closed"))
            }
            Fate::Written { base, next, append_time } => {
                for need in lane.settings.need(lane.partition.log().durability()) {
                    lane.cluster.wait_for(&lane.partition, next, *need, deadline)?;
                }
                self.cell.acknowledged.store(true, Ordering::Relaxed);
                Ok(self.metadata(base.0 + i64::from(self.index), append_time))
            }
        }
    }

    /// In a child of the process that sent the record: what was known at the fork, without touching a lock.
    fn result_in_child(&self) -> Result<RecordMetadata> {
        match self.cell.fate() {
            Fate::Failed(error) => Err(error),
            Fate::Written { base, next, append_time } if self.is_acknowledged(next) => {
                Ok(self.metadata(base.0 + i64::from(self.index), append_time))
            }
            _ => Err(Error::new(
                ErrorCode::Forked,
                "the record was sent by the parent process, which alone learns its fate",
            )),
        }
    }

    /// Whether [`result`](Self::result) would return without waiting. Does not make anything happen.
    pub fn is_done(&self) -> bool {
        let lane = &self.cell.lane;
        match self.cell.fate() {
            _ if lane.settings.acks == Acks::None => true,
            Fate::Queued => false,
            Fate::Failed(_) => true,
            // Of a log that takes nothing more, nothing more becomes durable: the error is there already.
            Fate::Written { next, .. } => self.is_acknowledged(next) || lane.partition.log().check_failure().is_err(),
        }
    }

    fn is_acknowledged(&self, next: Offset) -> bool {
        let lane = &self.cell.lane;
        let needs = lane.settings.need(lane.partition.log().durability());
        if needs.is_empty() || self.cell.acknowledged.load(Ordering::Relaxed) {
            return true;
        }
        // The words that a child has in the place of its parent's say nothing.
        let is_acknowledged =
            lane.generation == generation() && needs.iter().all(|need| lane.partition.is_done(next, *need));
        self.cell.acknowledged.fetch_or(is_acknowledged, Ordering::Relaxed);
        is_acknowledged
    }

    fn metadata(&self, offset: i64, append_time: Option<i64>) -> RecordMetadata {
        let partition = self.cell.lane.partition.log().partition();
        RecordMetadata {
            topic: partition.topic.clone(),
            partition: partition.partition,
            offset,
            timestamp: append_time.unwrap_or(self.timestamp),
        }
    }
}
