//! Making appended bytes durable, once for everybody who waits.
//!
//! Whoever needs an offset to be durable either flushes everything that is there, or waits for the one who does. No append
//! lock is held while a disk works. After a failed flush the kernel may have dropped the pages and call them clean, so it is
//! never tried again: the log is closed for writing, for everybody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Log, Slot};
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{FileKind, Segment, Suffix, file_name};
use crate::shm::{Failure, Operation};
use crate::sys::bugs::{Bug, is_made};
use crate::sys::{Clock, Disk, File, Open, Wait};
use crate::types::Offset;

/// No wait by protocol is longer: a wake-up that was swallowed by a dying process costs this much.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// The flush lock, held. Given back when this goes, also by a thread that dies in the flush.
struct Flushing<'a>(&'a Log);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        let Flushing(log) = self;
        if log.block.is_flushing() {
            // The thread died in the middle, and whether the disk had refused is not known (C22).
            log.block.fail(Failure { operation: Operation::Flush, os_code: libc::EIO });
            log.block.set_flushing(false);
            log.dir.mark_failed();
        }
        if log.block.unlock_flush() {
            log.sys().wait.wake_all(log.block.flush_sequence());
        }
    }
}

impl Log {
    /// Makes everything below `offset` durable, by flushing or by waiting for somebody else's flush.
    ///
    /// # Errors
    /// `KafkaStorageError` when this or an earlier flush failed: then nothing appended since the last good one counts as
    /// durable, and the log takes no more appends. `RequestTimedOut` when another flusher is silent beyond `deadline`
    /// (monotonic time; `None` waits without limit).
    pub fn flush(&self, offset: Offset, deadline: Option<Duration>) -> Result<()> {
        loop {
            if self.block.flushed() >= offset {
                return Ok(());
            }
            self.check_failure()?;
            // Before the attempt: whoever unlocks after this moves it.
            let sequence = self.block.flush_sequence().load(std::sync::atomic::Ordering::SeqCst);
            if self.block.try_lock_flush(self.lock.token().word()) {
                let flushing = Flushing(self);
                let result = self.flush_held();
                drop(flushing);
                result?;
                continue;
            }
            self.block.announce_flush_waiter();
            if self.block.flushed() >= offset || self.block.failure().is_some() {
                continue;
            }
            if deadline.is_some_and(|deadline| self.sys().clock.monotonic() >= deadline) {
                return Err(Error::new(
                    ErrorCode::RequestTimedOut,
                    format!("{}: another thread has been flushing for too long", self.partition),
                ));
            }
            self.sys().wait.wait(self.block.flush_sequence(), sequence, LONGEST_WAIT);
        }
    }

    /// One flush, with the flush lock held until its result is published.
    fn flush_held(&self) -> Result<()> {
        let from = self.block.flushed();
        let target = self.block.log_end();
        if target <= from {
            return Ok(());
        }
        self.block.set_flushing(true);
        let result = match is_made(Bug::AcknowledgeBeforeFlush) {
            true => Ok(()),
            false => self.sync_range(from, target),
        };
        match result {
            Ok(()) => {
                self.block.raise_flushed(target);
                self.block.set_flushing(false);
                Ok(())
            }
            Err(cause) => {
                let os_code = cause.raw_os_error().unwrap_or(libc::EIO);
                self.block.fail(Failure { operation: Operation::Flush, os_code });
                self.block.set_flushing(false);
                self.dir.mark_failed();
                self.check_failure()
            }
        }
    }

    /// Syncs what lies in `[from, target)`: sealed segments first, with their indexes and the snapshot behind them, then
    /// the directory if a segment was made, then the last segment. An earlier range is durable before a later one counts.
    fn sync_range(&self, from: Offset, target: Offset) -> io::Result<()> {
        let slots = self.slots();
        // Where a segment begins at `from`, the one before it ended since: its records are durable, its indexes are not.
        let first = slots.iter().rposition(|slot| slot.base < from).unwrap_or(0);
        let covered: Vec<&Arc<Slot>> = slots[first..].iter().take_while(|slot| slot.base < target).collect();
        let Some((last, sealed)) = covered.split_last() else {
            return Ok(());
        };
        for (index, slot) in sealed.iter().enumerate() {
            if is_made(Bug::FlushSkipsOldSegment) {
                break;
            }
            let segment = slot.open(self.sys(), &self.path)?;
            segment.sync_log()?;
            segment.sync_indexes()?;
            let next = covered[index + 1].base;
            self.sync_snapshot(next)?;
        }
        // A segment that begins at or behind what was durable was made since.
        if last.base >= from {
            self.sys().disk.sync_dir(&self.path)?;
        }
        let segment: &Arc<Segment> = last.open(self.sys(), &self.path)?;
        segment.sync_log()
    }

    fn sync_snapshot(&self, offset: Offset) -> io::Result<()> {
        match self
            .sys()
            .disk
            .open(&self.path.join(file_name(offset, FileKind::Snapshot, Suffix::None)), Open::ReadWrite)
        {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            file => file?.sync_data(),
        }
    }

    /// Closes the log in order: the time index gets its last entry, indexes are trimmed, everything is synced, producer
    /// state is written where there is any. Nothing is done to a log that was not written to.
    pub fn close(&self) -> Result<()> {
        if self.dir.is_read_only() || !self.dir.is_writing() {
            return Ok(());
        }
        self.check_failure()?;
        self.flush(self.block.log_end(), None)?;
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        let close = || -> io::Result<()> {
            let segment = &tail.segment;
            if !tail.must_roll {
                segment.time_index()?.push_if_later(tail.cadence.greatest())?;
                if segment.log_len()? != tail.position.0 {
                    segment.log().set_len(tail.position.0)?; // what was preallocated
                }
            }
            segment.offset_index()?.trim()?;
            segment.time_index()?.trim()?;
            segment.sync_log()?;
            segment.sync_indexes()
        };
        let closed = close().map_err(|e| Error::io(format_args!("closing {}", self.path.display()), e));
        let result = closed.and_then(|()| {
            if tail.producers.is_empty() && !tail.has_snapshots {
                return Ok(());
            }
            self.write_snapshot(&mut tail)
        });
        holding.release();
        if result.is_err() {
            self.dir.mark_failed();
        }
        result?;
        self.dir.note(&self.partition, self.standings());
        Ok(())
    }
}
