//! Making appended bytes durable, once for everybody who waits.
//!
//! Whoever needs an offset to be durable either flushes everything that is there, or waits for the one who does. No append
//! lock is held while a disk works. After a failed flush the kernel may have dropped the pages and call them clean, so it is
//! never tried again: the log is closed for writing, for everybody.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::append::is_lost_descriptor;
use super::tail::invalid;
use super::{Log, Slot};
use crate::error::{Error, ErrorCode, Result, is_own_limit};
use crate::segment::{FileKind, Found, Scanner, Suffix, file_name};
use crate::shm::{Commit, Dirty, Failure, Operation, Refused, SlotToken, State, in_ns, is_slice_over};
use crate::sys::bugs::{Bug, is_made};
use crate::sys::points::{Point, reached};
use crate::sys::{Clock, Disk, File, Open, Wait};
use crate::types::{Offset, Position};

/// No wait by protocol is longer: a wake-up that was swallowed by a dying process costs this much.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// The flush lock, held. Given back when this goes, also by a thread that dies in the flush.
pub(super) struct Flushing<'a> {
    log: &'a Log,
    token: u32,
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        let Flushing { log, token } = self;
        if log.block.is_flushing() && std::thread::panicking() {
            // The thread died in the middle, and whether the disk had refused is not known (C22).
            log.block.fail(Failure { operation: Operation::Flush, os_code: libc::EIO });
            log.block.set_flushing(false);
            log.dir.mark_failed();
        }
        if log.block.unlock_flush(*token) {
            log.sys().wait.wake_all(log.block.flush_sequence());
        }
    }
}

/// A wait for the flush lock.
#[derive(Default)]
struct FlushWait {
    /// In ns; `None` before it has slept.
    began: Option<u64>,
    /// A signal came.
    is_interrupted: bool,
}

impl Log {
    /// Makes everything below `offset` durable, by flushing or by waiting for somebody else's flush.
    ///
    /// # Errors
    /// `KafkaStorageError` when this or an earlier flush failed: then nothing appended since the last good one counts as
    /// durable, and the log takes no more appends. `OffsetOutOfRange` when the log was cut below `offset` meanwhile.
    /// `RequestTimedOut` when another flusher is silent for as long as one waits for any lock, naming it, or beyond `deadline`
    /// (monotonic time).
    pub fn flush(&self, offset: Offset, deadline: Option<Duration>) -> Result<()> {
        let mut wait = FlushWait::default();
        loop {
            if self.block.flushed() >= offset {
                return Ok(());
            }
            self.check_failure()?;
            self.check_there()?;
            if offset > self.block.log_end() {
                return Err(self.out_of_range(offset));
            }
            if let Some(flushing) = self.try_lock_flush(&mut wait, deadline, Some(offset))? {
                let result = self.flush_held();
                drop(flushing);
                result?;
            }
        }
    }

    /// What is durable, by whomever, need not stay open. Where somebody has the tail it is done another time.
    pub(crate) fn let_go_of_sealed(&self) {
        if let Ok(mut tail) = self.tail.try_lock() {
            let is_there = self.block.state() == State::Open;
            tail.let_go(if is_there { self.block.flushed() } else { Offset(i64::MAX) });
        }
    }

    /// Takes the flush lock.
    pub(super) fn lock_flush(&self, deadline: Option<Duration>) -> Result<Flushing<'_>> {
        let mut wait = FlushWait::default();
        loop {
            self.check_failure()?;
            if let Some(flushing) = self.try_lock_flush(&mut wait, deadline, None)? {
                return Ok(flushing);
            }
        }
    }

    /// Takes the flush lock, from a holder that has died if need be, or waits a while for the one who has it; not for longer
    /// than until `offset` is durable.
    fn try_lock_flush(
        &self,
        wait: &mut FlushWait,
        deadline: Option<Duration>,
        offset: Option<Offset>,
    ) -> Result<Option<Flushing<'_>>> {
        let (member, block) = (self.member()?, &self.block);
        // Before the attempt: whoever unlocks after this moves it.
        let sequence = block.flush_sequence().load(Ordering::SeqCst);
        let token = member.token().word();
        let holder = block.flusher();
        if holder == 0 {
            return Ok(block.take_flush_lock(0, token, member.now()).then(|| Flushing { log: self, token }));
        }
        block.announce_flush_waiter();
        if offset.is_some_and(|offset| block.flushed() >= offset) || block.failure().is_some() {
            return Ok(None);
        }
        let began = *wait.began.get_or_insert_with(|| member.now());
        wait.is_interrupted |= !member.park(block.flush_sequence(), sequence, LONGEST_WAIT);
        if block.flusher() != holder || block.flush_sequence().load(Ordering::SeqCst) != sequence {
            return Ok(None);
        }
        let who = SlotToken::of_word(holder);
        if holder != token && who.is_none_or(|who| member.is_dead(who)) {
            return Ok(block.take_flush_lock(holder, token, member.now()).then(|| Flushing { log: self, token }));
        }
        let now = member.now();
        let held_ns = now.saturating_sub(block.flushing_since());
        // Whatever time the caller gives: one who asks again and again is told as well.
        if holder != token && held_ns >= in_ns(member.patience()) {
            let what = format!("flushing {}", self.partition);
            return Err(member.refused(&what, Refused::TimedOut { holder: who, waited_ns: held_ns }));
        }
        if deadline.is_some_and(|deadline| u128::from(now) >= deadline.as_nanos()) {
            let what = format!("{} is not flushed in time; it goes on nevertheless", self.partition);
            return Err(Error::new(ErrorCode::RequestTimedOut, what));
        }
        // Last: from one who has died the lock is taken whoever asks.
        let waited_ns = now.saturating_sub(began);
        if wait.is_interrupted && waited_ns >= in_ns(LONGEST_WAIT) || is_slice_over(waited_ns) {
            return Err(Error::new(ErrorCode::Interrupted, "the wait for a flush was interrupted"));
        }
        Ok(None)
    }

    /// One flush, with the flush lock held until its result is published.
    fn flush_held(&self) -> Result<()> {
        // Asked again under the lock: whoever had it before may have failed since, and told nobody else's sync of it.
        self.check_failure()?;
        // A handle that is none any more says nothing about the disk.
        self.member()?.check()?;
        if self.block.dirty() == Dirty::Truncate {
            // Whoever cuts the log has this lock, so he is dead: what he cut off must not be said to be durable.
            self.look_at_end()?;
        }
        // Set by somebody who died: the flush may have failed, and the kernel told only him.
        let settled = if self.block.is_flushing() { self.settle()? } else { Ok(()) };
        let from = self.block.flushed();
        let target = self.block.log_end();
        if target <= from {
            self.block.set_flushing(false);
            return Ok(());
        }
        self.block.set_flushing(true);
        reached(Point::FlushBegun);
        let began = self.sys().clock.monotonic();
        let result = match is_made(Bug::AcknowledgeBeforeFlush) {
            true => Ok(()),
            false => settled.and_then(|()| self.sync_range(from, target)),
        };
        self.block.count_flush(in_ns(self.sys().clock.monotonic().saturating_sub(began)));
        match result {
            Ok(()) => {
                reached(Point::Flushed);
                self.block.raise_flushed(target);
                self.block.set_flushing(false);
                reached(Point::FlushPublished);
                self.let_go_of_sealed();
                Ok(())
            }
            // Its directory has another name by now, and the disk is none the worse.
            Err(_) if self.block.state() == State::Removed => {
                self.block.set_flushing(false);
                self.check_there()
            }
            Err(cause) => {
                let failed = self.flush_failed(cause);
                // Else whoever flushes next writes the range anew: whether the disk had refused is not known.
                if self.block.failure().is_some() {
                    self.block.set_flushing(false);
                }
                failed
            }
        }
    }

    /// Closes the log for writing after the disk has refused a flush; not where only this process could not carry it out.
    pub(super) fn flush_failed(&self, cause: io::Error) -> Result<()> {
        if is_lost_descriptor(&cause) {
            return Err(self.member()?.give_up());
        }
        self.dir.mark_failed();
        if is_own_limit(cause.raw_os_error()) {
            return Err(Error::io(format_args!("flushing {}", self.partition), cause));
        }
        let os_code = cause.raw_os_error().unwrap_or(libc::EIO);
        self.block.fail(Failure { operation: Operation::Flush, os_code });
        self.check_failure()
    }

    /// Writes everything that is not durable once more. The last of it while nobody appends: what somebody has written and not
    /// yet committed may be lost as well, and a later flush would not notice. With the flush lock.
    fn settle(&self) -> Result<io::Result<()>> {
        let from = self.block.flushed();
        // Under the lock for a moment: a roll changes two words.
        let (active, commit) = {
            let mut tail = self.tail();
            let holding = self.acquire(&mut tail)?;
            let standing = (self.block.segment_base(), self.block.commit());
            holding.release();
            standing
        };
        let settled = self.settle_range(from, active, commit);
        if settled.is_err() {
            return Ok(settled);
        }
        let from = active.plus(i64::from(commit.relative));
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        let settled = self.settle_range(from, self.block.segment_base(), self.block.commit());
        holding.release();
        Ok(settled)
    }

    /// Writes what lies between `from` and the commit once more, and checks it as it comes back from the disk.
    fn settle_range(&self, from: Offset, active: Offset, commit: Commit) -> io::Result<()> {
        let target = active.plus(i64::from(commit.relative));
        let slots = self.slots().map_err(Error::into_io)?;
        for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.base < target) {
            if slots.get(index + 1).is_some_and(|next| next.base <= from) {
                continue;
            }
            let Some(segment) = self.open_unless_deleted(slot)? else { continue };
            let end = if slot.base == active { commit.position } else { Position(segment.log_len()?) };
            let begin = segment.position_of(from, end)?;
            segment.settle(begin, end)?;
            let mut scanner = Scanner::new(segment.log(), begin, end);
            loop {
                match scanner.next_checked()? {
                    Found::Batch(..) => {}
                    Found::End(_) => break,
                    Found::Bad(position, error) => {
                        return Err(invalid(format!("position {position} of {} was lost: {error}", slot.base)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Syncs what lies in `[from, target)`: sealed segments first, with their indexes and the snapshot behind them, then
    /// the directory if a segment was made, then the last segment. An earlier range is durable before a later one counts.
    fn sync_range(&self, from: Offset, target: Offset) -> io::Result<()> {
        let slots = self.slots().map_err(Error::into_io)?;
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
            let Some(segment) = self.open_unless_deleted(slot)? else { continue };
            segment.sync_log()?;
            segment.sync_indexes()?;
            let next = covered[index + 1].base;
            self.sync_snapshot(next)?;
        }
        // A segment that begins at or behind what was durable was made since.
        if last.base >= from {
            self.sys().disk.sync_dir(&self.path)?;
        }
        match self.open_unless_deleted(last)? {
            Some(segment) => segment.sync_log(),
            None => Ok(()),
        }
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
        self.check_words()?;
        self.flush(self.block.log_end(), None)?;
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        let close = || -> io::Result<()> {
            let segment = &tail.segment;
            if !tail.must_roll {
                segment.time_index()?.push_if_later(tail.cadence.greatest())?;
                self.give_room_back(&tail)?;
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
