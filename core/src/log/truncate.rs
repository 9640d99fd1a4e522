//! Cutting a log to an offset: what a follower does when its leader has another history.
//!
//! Source: `org.apache.kafka.storage.internals.log.UnifiedLog#truncateTo`.

use std::io;
use std::sync::{Arc, PoisonError};

use super::load::{self, Opening, Watermark};
use super::report::Report;
use super::{LEADER_EPOCHS, Log, Slot};
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix, file_name};
use crate::shm::Dirty;
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, File, Open, write_atomically};
use crate::types::{Offset, Position};

impl Log {
    /// Removes every batch that has an offset at or above `to`, whole batches only; the log then ends at `to`.
    ///
    /// # Errors
    /// `OffsetOutOfRange` below the high watermark: what was visible is never cut.
    pub fn truncate_to(&self, to: Offset) -> Result<()> {
        if to >= self.block.log_end() {
            return Ok(());
        }
        if to < self.block.high_watermark() {
            return Err(Error::new(
                ErrorCode::OffsetOutOfRange,
                format!("{}: offset {to} is below the high watermark {}", self.partition, self.block.high_watermark()),
            ));
        }
        self.dir.begin_writing()?;
        // Both locks: a flush must not speak of bytes that are replaced meanwhile.
        let flushing = self.lock_flush(None)?;
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        self.block.set_dirty(Dirty::Truncate, to);
        self.block.bump_truncation_generation();
        reached(Point::Truncating);
        let result = self.cut_files(to).and_then(|()| {
            reached(Point::Truncated);
            let opening = Opening {
                leader_epoch: self.block.leader_epoch(),
                watermark: Watermark::LogEnd,
                topic_id: self.block.named().0,
            };
            let mut report = Report::default();
            let log_start = self.block.log_start().min(to);
            load::load_again(&self.dir, &self.partition, &self.path, &self.config(), opening, log_start, &mut report)
                .map_err(|e| super::tail::invalid(e.message()))
        });
        let outcome = match result {
            Ok(mut loaded) => {
                loaded.tail.caught_up = to;
                loaded.tail.must_roll |= loaded.standing.log_end != to;
                self.block.publish_truncation(loaded.standing.segment_base, loaded.standing.position, to);
                *self.segments.write().unwrap_or_else(PoisonError::into_inner) = loaded.segments;
                *tail = loaded.tail;
                self.block.clear_dirty();
                Ok(())
            }
            Err(e) => Err(Error::io(format_args!("truncating {}", self.partition), e)),
        };
        holding.release();
        drop(flushing);
        outcome
    }

    fn cut_files(&self, to: Offset) -> io::Result<()> {
        let disk = &self.sys().disk;
        let mut slots = self.slots().map_err(|e| super::tail::invalid(e.message()))?;
        // From the end, so that an interruption leaves a log without a hole.
        while slots.len() > 1 && slots.last().is_some_and(|slot| slot.base >= to) {
            let Some(slot) = slots.pop() else { break };
            for kind in FileKind::OF_SEGMENT {
                match disk.remove_file(&self.path.join(file_name(slot.base, kind, Suffix::None))) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            disk.sync_dir(&self.path)?;
        }
        let Some(last) = slots.last() else { return Ok(()) };
        self.cut_segment(last, to)?;
        for entry in disk.list(&self.path)? {
            if let Some((offset, FileKind::Snapshot, Suffix::None)) = crate::segment::parse_name(&entry.name)
                && offset > to
            {
                disk.remove_file(&self.path.join(&entry.name))?;
            }
        }
        let mut epochs = super::parse_epochs(&crate::sys::read_whole(disk, &self.path.join(LEADER_EPOCHS))?)
            .map(super::Epochs::new)
            .unwrap_or_default();
        if epochs.truncate_from_end(to) {
            write_atomically(disk, &self.path.join(LEADER_EPOCHS), &super::format_epochs(epochs.entries()))?;
        }
        disk.sync_dir(&self.path)
    }

    /// Cuts one segment. One that was sealed is written anew and swapped in; the active one is shortened.
    fn cut_segment(&self, slot: &Arc<Slot>, to: Offset) -> io::Result<()> {
        let segment = Segment::open(self.sys(), &self.path, slot.base, Suffix::None, Open::ReadWrite)?;
        let mut scanner = Scanner::new(segment.log(), Position::ZERO, Position(segment.log_len()?));
        let mut end = Position::ZERO;
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.last_offset() >= to {
                break;
            }
            end = scanner.position();
        }
        if slot.base == self.block.segment_base() {
            segment.log().set_len(end.0)?;
            segment.sync_log()?;
        } else {
            super::cut::keep_prefix(self.sys(), &self.path, &segment, end)?;
        }
        segment.offset_index()?.truncate_to(to)?;
        segment.time_index()?.truncate_to(to)?;
        segment.transaction_index().truncate_to(to)
    }
}
