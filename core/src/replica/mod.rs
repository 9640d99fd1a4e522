//! A replica: a log, and the rule that says how much of it is visible.
//!
//! The high watermark is the minimum over all in-sync replicas of what is flushed (`klog.durability=fsync`) or written
//! (`os`). There is one replica so far, and it is in sync with itself; copying to others will be a duty of whoever waits, in
//! [`Replica::wait`]. What needs a change of the metadata is returned as an outcome and carried out above, with no lock held.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use crate::config::Durability;
use crate::error::{Error, ErrorCode, Result};
use crate::log::{Appended, Batch, Log};
use crate::shm::Slices;
use crate::sys::points::{Point, reached};
use crate::sys::{Clock, Sys};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The high watermark passes the offset: acks=all.
    Visible,
    /// The bytes are durable on the leader.
    Durable,
}

/// The leader's replica of a partition.
#[derive(Debug)]
pub struct Replica {
    log: Log,
    sys: Sys,
    /// A flush was asked for and has not begun.
    flush_due: AtomicBool,
    removed: AtomicBool,
    /// How far it was visible, and durable, when its engine was closed: the words are others' from then on.
    ended: OnceLock<(Offset, Offset)>,
}

impl Replica {
    /// Makes the replica of a log that was just opened.
    pub fn new(log: Log, sys: Sys) -> Self {
        let (flush_due, removed) = (AtomicBool::new(false), AtomicBool::new(false));
        Replica { log, sys, flush_due, removed, ended: OnceLock::new() }
    }

    /// Monotonic time, as deadlines count it.
    pub fn now(&self) -> Duration {
        self.sys.clock.monotonic()
    }

    /// The time of day, for the timestamps of records.
    pub fn time_of_day(&self) -> TimestampMs {
        self.sys.clock.now()
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Says that the epoch must rise before anything is appended: readers may have seen what is gone.
    pub fn require_epoch(&self) {
        self.log.block().set_epoch_due(true);
    }

    /// The epoch that the next append needs, if it is not the current one: for the controller to record.
    pub fn epoch_needed(&self) -> Option<LeaderEpoch> {
        let due = self.log.block().is_epoch_due();
        due.then(|| LeaderEpoch(self.log.block().leader_epoch().0 + 1))
    }

    /// Begins an epoch that the controller has recorded.
    pub fn begin_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        self.log.begin_epoch(epoch)?;
        self.log.block().set_epoch_due(false);
        Ok(())
    }

    /// The topic was deleted: handles that remain answer so.
    pub fn mark_removed(&self) {
        self.removed.store(true, Ordering::Release);
        self.log.let_go_of_sealed();
        self.announce();
    }

    /// An error if the topic was deleted since.
    pub fn check_exists(&self) -> Result<()> {
        if !self.removed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::topic_deleted(&self.log.partition().topic))
    }

    /// Appends a batch; see [`Log::append`]. Visible at once where the topic's durability is `os`.
    #[inline]
    pub fn append(&self, batch: Batch<'_>) -> Result<Appended> {
        self.check_exists()?;
        let appended = self.log.append(batch)?;
        reached(Point::Appended);
        if !appended.is_duplicate {
            self.raise_high_watermark();
            let unflushed = self.log.block().log_end().0 - self.log.block().flushed().0;
            if unflushed >= self.log.flush_messages() {
                self.flush_appended(appended.next_offset)?;
                self.raise_high_watermark();
            }
        }
        Ok(appended)
    }

    /// As [`Log::flush`]. What interrupts a wait here must not have the batch, which is appended, sent once more.
    #[cold]
    fn flush_appended(&self, end: Offset) -> Result<()> {
        loop {
            match Slices::without(|| self.log.flush(end, None)) {
                Err(error) if error.code() == ErrorCode::Interrupted => {}
                flushed => return flushed,
            }
        }
    }

    /// Waits until everything below `end` is as `need` asks, doing what is missing: whoever waits works.
    ///
    /// # Errors
    /// Those of [`Log::flush`].
    pub fn wait(&self, end: Offset, need: Need, deadline: Option<Duration>) -> Result<()> {
        if need == Need::Durable || self.log.durability() == Durability::Fsync {
            self.log.flush(end, deadline)?;
        }
        self.raise_high_watermark();
        Ok(())
    }

    /// Whether everything below `end` is as `need` asks.
    pub fn is_done(&self, end: Offset, need: Need) -> bool {
        let (visible, durable) = self.ended.get().copied().unwrap_or_else(|| self.reached());
        match need {
            Need::Visible => visible >= end,
            Need::Durable => durable >= end,
        }
    }

    /// Whether everything below `end` is as `need` asks by the topic's settings, and the engine is open, so that nothing is left
    /// to [`wait`](Self::wait) for.
    pub fn is_settled(&self, end: Offset, need: Need) -> bool {
        let (visible, durable) = self.reached();
        let is_shown = need == Need::Visible && self.log.durability() == Durability::Os;
        let reached = if is_shown { visible } else { visible.min(durable) };
        // After the words: they are somebody else's once it has ended.
        reached >= end && !self.has_ended()
    }

    /// How far it is visible, and durable.
    fn reached(&self) -> (Offset, Offset) {
        (self.log.block().high_watermark(), self.log.block().flushed())
    }

    /// Whether its engine has been closed, or is as good as closed for it.
    pub fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Its engine is being closed, and nobody is inside any more.
    pub fn end(&self) {
        let _ = self.ended.set(self.reached());
    }

    /// Computes the high watermark anew, from what is in sync. Wakes whoever waits for it.
    pub fn raise_high_watermark(&self) {
        let block = self.log.block();
        let reached = match self.log.durability() {
            Durability::Fsync => block.flushed(),
            Durability::Os => block.log_end(),
        };
        // The minimum over one replica. min.insync.replicas counts no more than there are, and one is always in sync.
        if block.raise_high_watermark(reached) {
            if block.first_unstable().is_some() {
                self.log.settle_transactions();
            }
            self.announce();
        }
    }

    /// Wakes everybody who waits for this partition to change.
    pub fn announce(&self) {
        let (Some(member), block) = (self.log.dir().member(), self.log.block()) else { return };
        member.announce(block);
        // Woken with every partition of the directory: what a consumer of many partitions sleeps on.
        if member.ring(member.control().bell()) {
            block.count_wake();
        }
    }

    /// How soon the bytes that were written must be flushed; `None` when they are, or when that was arranged already. There
    /// is a `SeqCst` fence between the append and this.
    pub fn claim_flush(&self) -> Option<Duration> {
        let block = self.log.block();
        if block.flushed() >= block.log_end() {
            return None;
        }
        // A look first, since it is arranged nearly always. Relaxed: the fences order it, and the exchange says who it is.
        if self.flush_due.load(Ordering::Relaxed) || self.flush_due.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(Duration::from_millis(self.log.config().flush_within_ms().clamp(0, i64::from(i32::MAX)) as u64))
    }

    /// Arranges again what could not be carried out; `false` where somebody has done so since.
    pub fn claim_flush_again(&self) -> bool {
        !self.flush_due.swap(true, Ordering::Relaxed)
    }

    /// Does what somebody who died may have left undone: recovers, flushes, shows.
    ///
    /// # Errors
    /// Those of recovering and flushing.
    pub fn look_after(&self) -> Result<()> {
        self.log.look_at_end()?;
        self.log.flush(self.log.block().log_end(), None)?;
        self.raise_high_watermark();
        Ok(())
    }

    /// Carries out what [`claim_flush`](Self::claim_flush) arranged.
    pub fn flush_claimed(&self) -> Result<()> {
        self.flush_due.store(false, Ordering::Relaxed);
        // SeqCst: pairs with the fence behind an append. Either that append is in the log end below, or it finds the word
        // cleared and arranges another flush.
        fence(Ordering::SeqCst);
        if self.check_exists().is_err() {
            return Ok(()); // its files have other names by now
        }
        match self.log.flush(self.log.block().log_end(), None) {
            Err(error) if error.code() == ErrorCode::UnknownTopicOrPartition => return Ok(()), // as above, since just now
            flushed => flushed?,
        }
        self.log.let_go_of_sealed(); // somebody else may have flushed it
        self.raise_high_watermark();
        Ok(())
    }
}
