//! Cutting a log to an offset: what a follower does when its leader has another history.
//!
//! Source: `org.apache.kafka.storage.internals.log.UnifiedLog#truncateTo`.

use std::io;
use std::sync::PoisonError;

use super::recover::Place;
use super::{LEADER_EPOCHS, Log};
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix, file_name};
use crate::shm::Dirty;
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, Entry, File, Open, write_atomically};
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
        let config = self.config();
        let place = self.place(&config);
        let result = place.cut_files(to).and_then(|()| {
            reached(Point::Truncated);
            place.load(self.block.log_start().min(to))
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
}

impl Place<'_> {
    /// Cuts the files; what is cut already stays so.
    pub(super) fn cut_files(&self, to: Offset) -> io::Result<()> {
        let disk = &self.sys().disk;
        let entries = disk.list(self.path)?;
        let base = |entry: &Entry| match crate::segment::parse_name(&entry.name) {
            Some((base, FileKind::Log, Suffix::None)) => Some(base),
            _ => None,
        };
        let mut bases: Vec<Offset> = entries.iter().filter_map(base).collect();
        bases.sort_unstable();
        // From the end, so that an interruption leaves a log without a hole.
        while bases.len() > 1 && bases.last().is_some_and(|base| *base >= to) {
            let Some(base) = bases.pop() else { break };
            for kind in FileKind::OF_SEGMENT {
                match disk.remove_file(&self.path.join(file_name(base, kind, Suffix::None))) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            disk.sync_dir(self.path)?;
        }
        let Some(last) = bases.last() else { return Ok(()) };
        self.cut_segment(*last, to)?;
        for entry in disk.list(self.path)? {
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
        disk.sync_dir(self.path)
    }

    /// Cuts one segment. One that was sealed is written anew and swapped in; the active one is shortened.
    fn cut_segment(&self, base: Offset, to: Offset) -> io::Result<()> {
        let segment = Segment::open(self.sys(), self.path, base, Suffix::None, Open::ReadWrite)?;
        let mut scanner = Scanner::new(segment.log(), Position::ZERO, Position(segment.log_len()?));
        let mut end = Position::ZERO;
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.last_offset() >= to {
                break;
            }
            end = scanner.position();
        }
        if base == self.block.segment_base() {
            segment.log().set_len(end.0)?;
            segment.sync_log()?;
        } else {
            super::cut::keep_prefix(self.sys(), self.path, &segment, end)?;
        }
        segment.offset_index()?.truncate_to(to)?;
        segment.time_index()?.truncate_to(to)?;
        segment.transaction_index().truncate_to(to)
    }
}
