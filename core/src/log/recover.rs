//! Catching up with what others appended, and cleaning up behind a holder of the lock that died inside.
//!
//! | the dead holder was | found | done |
//! |---|---|---|
//! | before `dirty` (C1, C7) | the committed position is the truth | nothing |
//! | appending, before the commit (C2–C4) | bytes behind the committed position | cut, synced |
//! | appending, after the commit (C5, C6) | the record stands | the log end is published again |
//! | rolling (C11, C12) | the new file is there, or not | the roll is finished, or forgotten |
//! | truncating (C14) | as before or after | done again |
//! | swapping, recovering (C10, C13) | anything | everything is derived from the files |
//!
//! Recovery derives its answer from the files and can be interrupted and repeated at any point. It runs in the process
//! that finds the need for it, before that does anything else.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::load::{self, Opening, Watermark};
use super::report::Report;
use super::tail::{Tail, control_record, invalid};
use super::{Log, LogDir};
use crate::config::TopicConfig;
use crate::error::{Error, Result, is_own_limit};
use crate::record::BatchHeader;
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix};
use crate::shm::{Block, Dirty, Failure, Operation};
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, File, FileIdentity, Open, Stat, Sys};
use crate::types::{Offset, Position, TopicPartition};

/// Opens a log that somebody else has open, or had: as its files are, once what a dead holder of the lock left is settled.
/// Under the lock.
pub(super) fn join(
    dir: &Arc<LogDir>,
    partition: &TopicPartition,
    path: &Path,
    config: &Arc<TopicConfig>,
    block: &Block,
    must_recover: bool,
) -> Result<load::Loaded> {
    let place = Place { dir, partition, path, config, block };
    let joined = if must_recover { place.repair() } else { Ok(()) }.and_then(|()| place.derive());
    match joined {
        Ok(loaded) => {
            if must_recover {
                // Whoever has the log open looks at its segments again: the dead one may have changed them, and not said so.
                block.bump_segment_generation();
                reached(Point::Recovered);
            }
            block.clear_dirty();
            Ok(loaded)
        }
        Err(cause) => Err(Error::io(format_args!("joining {partition}"), cause)),
    }
}

/// A log's files and its block, for whoever has the lock.
pub(super) struct Place<'a> {
    pub(super) dir: &'a Arc<LogDir>,
    pub(super) partition: &'a TopicPartition,
    pub(super) path: &'a Path,
    config: &'a Arc<TopicConfig>,
    pub(super) block: &'a Block,
}

impl Log {
    pub(super) fn place<'a>(&'a self, config: &'a Arc<TopicConfig>) -> Place<'a> {
        Place { dir: &self.dir, partition: &self.partition, path: &self.path, config, block: &self.block }
    }

    /// Replays the batches between what this process has seen and `to` into its derived state. Costs a comparison when
    /// there are none.
    pub(super) fn catch_up(&self, tail: &mut Tail, to: Offset) -> Result<()> {
        if tail.caught_up >= to {
            return Ok(());
        }
        self.replay(tail, to).map_err(|e| Error::io(format_args!("replaying batches of {}", self.partition), e))
    }

    fn replay(&self, tail: &mut Tail, to: Offset) -> io::Result<()> {
        while tail.caught_up < to {
            let segment = tail.segment.clone();
            let mut scanner = Scanner::new(segment.log(), tail.position, Position(segment.log_len()?));
            while tail.caught_up < to {
                let Found::Batch(position, header) = scanner.next_header()? else {
                    break;
                };
                let control =
                    if header.is_control() { control_record(scanner.batch(position, &header)?, &header) } else { None };
                tail.apply(&header, control.as_ref());
            }
            if tail.caught_up < to {
                self.follow_roll(tail)?;
            }
        }
        Ok(())
    }

    /// Goes on in the active segment, also where nothing was appended to it yet: retention begins one, and who begins one for
    /// a batch may die before it has written that.
    fn follow_to_active(&self, tail: &mut Tail) -> io::Result<()> {
        while tail.segment.base() < self.block.segment_base() {
            self.follow_roll(tail)?;
        }
        Ok(())
    }

    /// Goes on in the segment that somebody else began.
    fn follow_roll(&self, tail: &mut Tail) -> io::Result<()> {
        self.look_for_segments()?;
        let next = self.slot_behind(tail.segment.base());
        let next = next.ok_or_else(|| invalid(format!("no segment follows offset {}", tail.caught_up)))?;
        if next.base > tail.caught_up {
            // Segments that were deleted before they were seen: a snapshot has what there was in them of producers.
            return Err(invalid(format!("segment {} follows offset {}", next.base, tail.caught_up)));
        }
        let segment = next.open(self.dir.open_segments(), &self.path)?;
        let file = segment.log().stat()?;
        tail.begin(segment, file.identity, &self.config(), &self.dir, self.block.flushed());
        tail.has_snapshots = true; // whoever began it wrote one
        Ok(())
    }

    /// Brings this process to where the log is, behind somebody else who had the lock. Under the lock.
    pub(super) fn take_over(&self, tail: &mut Tail) -> Result<()> {
        if self.is_to_be_derived() {
            let derived = self.derive_again(tail);
            return derived.map_err(|e| Error::io(format_args!("deriving anew the state of {}", self.partition), e));
        }
        let found = match tail.segment.log().stat() {
            Err(e) if e.raw_os_error() != Some(libc::EBADF) => {
                return Err(self.io_error("looking at", tail.segment.base(), FileKind::Log, e));
            }
            found => found.ok(),
        };
        let is_still = |found: &Stat| found.identity == tail.file && found.len >= tail.position.0;
        if self.member()?.has_lost_descriptors() || !found.as_ref().is_some_and(is_still) {
            return Err(Error::new(
                crate::error::ErrorCode::Locked,
                format!(
                    "{}: the descriptors of this handle were closed behind its back; open the directory again",
                    self.partition
                ),
            ));
        }
        let caught_up = self.replay(tail, self.block.log_end());
        let caught_up = caught_up.and_then(|()| self.follow_to_active(tail)).and_then(|()| tail.segment.look_again());
        // What was not seen yet may be deleted by now.
        caught_up
            .or_else(|_| self.derive_again(tail))
            .map_err(|e| Error::io(format_args!("catching up with what others appended to {}", self.partition), e))
    }

    /// Whether what is derived is of no use: a thread of this process died in the middle of a change, or the log was truncated
    /// since. Under the lock.
    pub(super) fn is_to_be_derived(&self) -> bool {
        self.tail.is_poisoned() || self.was_truncated()
    }

    /// Whether what is derived is of before a truncation. Under the lock.
    pub(super) fn was_truncated(&self) -> bool {
        self.seen_truncations.load(Ordering::Relaxed) != self.block.truncation_generation()
    }

    /// Cleans up behind a holder that died. Under the lock.
    pub(super) fn recover(&self, tail: &mut Tail) -> Result<()> {
        let config = self.config();
        let dirty = self.block.dirty();
        let Err(cause) = self.place(&config).repair().and_then(|()| self.derive_behind(tail, dirty)) else {
            reached(Point::Recovered);
            self.block.clear_dirty();
            return Ok(());
        };
        self.dir.mark_failed();
        if !is_own_limit(cause.raw_os_error()) {
            let os_code = cause.raw_os_error().unwrap_or(libc::EIO);
            self.block.fail(Failure { operation: Operation::Recovery, os_code });
        } // else whoever takes the lock next recovers
        Err(Error::io(format_args!("recovering {}", self.partition), cause))
    }

    /// Brings this process to where the log is, behind somebody who died doing that. What was known of the log stays true
    /// behind an append that came to nothing, so only what was appended since is looked at: all others wait meanwhile.
    fn derive_behind(&self, tail: &mut Tail, dirty: Dirty) -> io::Result<()> {
        let is_whole = !self.is_to_be_derived() && tail.caught_up <= self.block.log_end();
        if is_whole && matches!(dirty, Dirty::Clean | Dirty::Append) {
            let caught_up = self.replay(tail, self.block.log_end()).and_then(|()| tail.segment.look_again());
            let commit = self.block.commit();
            if caught_up.is_ok() && tail.segment.base() == self.block.segment_base() && tail.position == commit.position
            {
                return Ok(());
            }
        }
        self.derive_again(tail)
    }

    /// Derives everything that this process knows of the log from its files, bounded by what is committed. Under the lock.
    pub(super) fn derive_again(&self, tail: &mut Tail) -> io::Result<()> {
        let config = self.config();
        let loaded = self.place(&config).derive()?;
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = loaded.segments;
        let before = std::mem::replace(tail, loaded.tail);
        tail.sealed = before.sealed;
        // What was cut off is nobody's.
        tail.sealed.iter_mut().for_each(|kept| kept.end = kept.end.min(self.block.log_end()));
        if before.has_written {
            tail.sealed.push(self.dir.open_segments().keep(before.segment, self.block.log_end()));
        }
        self.tail.clear_poison();
        self.seen_truncations.store(self.block.truncation_generation(), Ordering::Relaxed);
        self.note_segments(self.block.bump_segment_generation());
        Ok(())
    }

    /// Makes `segment` the one that is appended to, in this process.
    pub(super) fn begin_segment(&self, tail: &mut Tail, segment: Segment, identity: FileIdentity) {
        let base = segment.base();
        let segment = Arc::new(segment);
        let slot = self.dir.open_segments().slot_of(segment.clone(), Open::ReadWrite);
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(base, slot);
        tail.begin(segment, identity, &self.config(), &self.dir, self.block.flushed());
    }
}

impl Place<'_> {
    pub(super) fn sys(&self) -> &Sys {
        self.dir.sys()
    }

    /// Settles what a dead holder was in the middle of.
    fn repair(&self) -> io::Result<()> {
        self.block.count_recovery();
        match self.block.dirty() {
            Dirty::Append => self.recover_append(),
            Dirty::Roll => self.recover_roll(self.block.dirty_argument()),
            // No flusher speaks of what is cut: whoever gets the flush lock behind the dead one asks for this first.
            Dirty::Truncate => match self.block.dirty_argument() {
                // The words move first, so nothing was begun: what is visible by now stays.
                to if to < self.block.high_watermark() => Ok(()),
                to => self.truncate(to, None),
            },
            // Nothing was begun, but a commit may have been published, and the log end not.
            Dirty::Clean => {
                let commit = self.block.commit();
                self.block.publish_commit(commit.position, self.block.segment_base().plus(i64::from(commit.relative)));
                Ok(())
            }
            // Everything is derived from the files below.
            Dirty::Swap | Dirty::Recover => Ok(()),
        }
    }

    /// What lies behind the committed position was never acknowledged. It is cut, but only once the committed position
    /// has been found to be the end of a batch: a word in memory alone cuts nothing.
    fn recover_append(&self) -> io::Result<()> {
        let commit = self.block.commit();
        let base = self.block.segment_base();
        let segment = Segment::open(self.sys(), self.path, base, Suffix::None, Open::ReadWrite)?;
        let end = base.plus(i64::from(commit.relative));
        if !Self::ends_at(&segment, commit.position, end)? {
            return Err(invalid(format!("position {} of {base} is not the end of offset {end}", commit.position)));
        }
        if segment.log_len()? > commit.position.0 && !self.is_foreign(&segment, commit.position)? {
            self.block.count_cut();
            segment.log().set_len(commit.position.0)?;
            // Synced, so that no part of it can come back behind what is written there next.
            segment.sync_log()?;
            reached(Point::RecoveryCut);
        }
        self.block.publish_commit(commit.position, end);
        Ok(())
    }

    /// Whether `position` is where a batch ends whose next offset is `end`.
    fn ends_at(segment: &Segment, position: Position, end: Offset) -> io::Result<bool> {
        if position == Position::ZERO {
            return Ok(end == segment.base());
        }
        let (from, _) = segment.position_before(end.plus(-1))?;
        let mut scanner = Scanner::new(segment.log(), from, position);
        let mut last: Option<BatchHeader> = None;
        while let Found::Batch(_, header) = scanner.next_checked()? {
            last = Some(header);
        }
        Ok(scanner.position() == position && last.is_none_or(|header| header.next_offset() == end))
    }

    /// Finishes a roll whose file is there; one word may say so already, and the other not. Nothing was appended to it yet.
    fn recover_roll(&self, base: Offset) -> io::Result<()> {
        match self.sys().disk.stat(&self.path.join(crate::segment::file_name(base, FileKind::Log, Suffix::None))) {
            // Also where one of the two words says so already: the other may not.
            Ok(_) => {
                self.block.publish_roll(base, || {});
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// What the files say, whatever the block does.
    pub(super) fn load(&self, log_start: Offset) -> io::Result<load::Loaded> {
        let opening = Opening {
            leader_epoch: self.block.leader_epoch(),
            watermark: Watermark::LogEnd,
            topic_id: self.block.named().0,
        };
        let mut report = Report::default();
        load::load_again(self.dir, self.partition, self.path, self.config, opening, log_start, &mut report)
            .map_err(Error::into_io)
    }

    fn derive(&self) -> io::Result<load::Loaded> {
        let (log_start, visible) = (self.block.log_start(), self.block.high_watermark());
        if log_start < Offset::ZERO || log_start > visible {
            // Segments below the log start are set aside; not because something wrote over the memory.
            return Err(invalid(format!("the log start {log_start} is not below the watermark {visible}")));
        }
        let mut loaded = self.load(log_start)?;
        let found = &loaded.standing;
        self.take_in_found(found);
        let (end, commit) = (self.block.log_end(), self.block.commit());
        let is_same_segment = found.segment_base == self.block.segment_base();
        if found.log_end < end && is_same_segment && found.position == commit.position {
            // The offsets between are given to nobody: what had them was lost before the log was opened.
            loaded.tail.caught_up = end;
            loaded.tail.must_roll = true;
            return Ok(loaded);
        }
        let is_behind = is_same_segment && found.log_end == end && found.position > commit.position;
        if is_behind && loaded.tail.must_roll && Self::ends_at(&loaded.tail.segment, commit.position, end)? {
            // Behind the commit lies what is no batch: the room that was made in advance, or what a broker wrote in part. What
            // is made in advance is written to, and nothing behind the other.
            loaded.tail.position = commit.position;
            loaded.tail.must_roll &= !self.config.preallocate;
            return Ok(loaded);
        }
        if found.log_end != end && self.block.dirty() != Dirty::Recover {
            return Err(invalid(format!(
                "the files end at offset {} and {end} was committed",
                loaded.standing.log_end
            )));
        }
        Ok(loaded)
    }
}
