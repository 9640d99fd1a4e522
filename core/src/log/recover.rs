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

use super::load::{self, Opening, Watermark};
use super::report::Report;
use super::tail::{Tail, control_record, invalid};
use super::{Log, Slot};
use crate::error::{Error, Result};
use crate::record::BatchHeader;
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix};
use crate::shm::{Dirty, Failure, Operation};
use crate::sys::{Disk, File, Open};
use crate::types::{Offset, Position};

impl Log {
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

    /// Goes on in the segment that somebody else began.
    fn follow_roll(&self, tail: &mut Tail) -> io::Result<()> {
        let next = Segment::open(self.sys(), &self.path, tail.caught_up, Suffix::None, Open::ReadWrite)
            .map_err(|e| invalid(format!("nothing follows offset {} ({e})", tail.caught_up)))?;
        self.begin_segment(tail, next);
        Ok(())
    }

    /// Cleans up behind a holder that died. Under the lock.
    pub(super) fn recover(&self, tail: &mut Tail) -> Result<()> {
        self.block.count_recovery();
        let found = self.block.dirty();
        let argument = self.block.dirty_argument();
        let result = match found {
            Dirty::Append => self.recover_append(),
            Dirty::Roll => self.recover_roll(argument),
            // Nothing was begun, or everything is derived from the files below.
            Dirty::Clean | Dirty::Truncate | Dirty::Swap | Dirty::Recover => Ok(()),
        };
        let result = result.and_then(|()| self.derive_again(tail)).map_err(|e| {
            (e.raw_os_error().unwrap_or(libc::EIO), Error::io(format_args!("recovering {}", self.partition), e))
        });
        match result {
            Ok(()) => {
                self.block.clear_dirty();
                Ok(())
            }
            Err((os_code, error)) => {
                self.block.fail(Failure { operation: Operation::Recovery, os_code });
                self.dir.mark_failed();
                Err(error)
            }
        }
    }

    /// What lies behind the committed position was never acknowledged. It is cut, but only once the committed position
    /// has been found to be the end of a batch: a word in memory alone cuts nothing.
    fn recover_append(&self) -> io::Result<()> {
        let commit = self.block.commit();
        let base = self.block.segment_base();
        let segment = Segment::open(self.sys(), &self.path, base, Suffix::None, Open::ReadWrite)?;
        let end = base.plus(i64::from(commit.relative));
        if !Self::ends_at(&segment, commit.position, end)? {
            return Err(invalid(format!("position {} of {base} is not the end of offset {end}", commit.position)));
        }
        if segment.log_len()? > commit.position.0 {
            segment.log().set_len(commit.position.0)?;
            // Synced, so that no part of it can come back behind what is written there next.
            segment.sync_log()?;
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

    fn recover_roll(&self, base: Offset) -> io::Result<()> {
        match self.sys().disk.stat(&self.path.join(crate::segment::file_name(base, FileKind::Log, Suffix::None))) {
            Ok(_) if self.block.segment_base() != base => {
                self.block.publish_roll(base);
                Ok(())
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Derives everything that this process knows of the log from its files, bounded by what is committed.
    fn derive_again(&self, tail: &mut Tail) -> io::Result<()> {
        let mut report = Report::default();
        let opening = Opening { leader_epoch: self.block.leader_epoch(), watermark: Watermark::LogEnd };
        let config = self.config();
        let loaded = load::load_again(&self.dir, &self.partition, &self.path, &config, opening, &mut report)
            .map_err(|e| invalid(e.message()))?;
        let end = self.block.log_end();
        if loaded.standing.log_end != end && self.block.dirty() != Dirty::Recover {
            return Err(invalid(format!(
                "the files end at offset {} and {end} was committed",
                loaded.standing.log_end
            )));
        }
        *self.segments.write().unwrap_or_else(std::sync::PoisonError::into_inner) = loaded.segments;
        *tail = loaded.tail;
        self.block.bump_segment_generation();
        Ok(())
    }

    /// Makes `segment` the one that is appended to, in this process.
    pub(super) fn begin_segment(&self, tail: &mut Tail, segment: Segment) {
        let base = segment.base();
        let segment = std::sync::Arc::new(segment);
        let slot = Slot::of(segment.clone(), Open::ReadWrite);
        self.segments.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(base, slot);
        tail.begin(segment, &self.config(), self.sys());
    }
}
