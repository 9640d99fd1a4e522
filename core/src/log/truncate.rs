//! Cutting a log to an offset: what a follower does when its leader has another history.
//!
//! The words move first, then the count of truncations, then the files (O8): whoever reads above the watermark finds one of
//! the first two changed before it finds bytes that are not there any more. What was visible is never cut.
//!
//! Source: `org.apache.kafka.storage.internals.log.UnifiedLog#truncateTo`.

use std::io;

use super::recover::Place;
use super::tail::{Tail, invalid};
use super::{LEADER_EPOCHS, Log};
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix, file_name, parse_name};
use crate::shm::Dirty;
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, File, Open, read_whole, write_atomically};
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
        self.dir.begin_writing()?;
        // Both locks: a flush must not speak of bytes that are replaced meanwhile.
        let flushing = self.lock_flush(None)?;
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        let truncated = self.truncate_held(&mut tail, to);
        holding.release();
        drop(flushing);
        truncated
    }

    fn truncate_held(&self, tail: &mut Tail, to: Offset) -> Result<()> {
        let (visible, end) = (self.block.high_watermark(), self.block.log_end());
        if to >= end {
            return Ok(());
        }
        if to < visible {
            return Err(Error::new(
                ErrorCode::OffsetOutOfRange,
                format!("{}: offset {to} is below the high watermark {visible}", self.partition),
            ));
        }
        let may_shorten = Some(self.block.segment_base());
        self.block.set_dirty(Dirty::Truncate, to);
        reached(Point::Truncating);
        let config = self.config();
        let truncated = self.place(&config).truncate(to, may_shorten).and_then(|()| {
            reached(Point::Truncated);
            self.derive_again(tail)
        });
        truncated.map_err(|e| Error::io(format_args!("truncating {}", self.partition), e))?;
        self.block.clear_dirty();
        Ok(())
    }
}

impl Place<'_> {
    /// Cuts the log; what is cut already stays so. The file of segment `may_shorten`, which was never sealed, is made shorter;
    /// what is left of any other is written to a new file.
    pub(super) fn truncate(&self, to: Offset, may_shorten: Option<Offset>) -> io::Result<()> {
        let (visible, end) = (self.block.high_watermark(), self.block.log_end());
        if to < visible || to > end {
            return Err(invalid(format!("offset {to} is not between the watermark {visible} and the log end {end}")));
        }
        let mut bases = self.segment_bases()?;
        let kept = bases.iter().rposition(|base| *base < to).unwrap_or(0);
        let surplus = bases.split_off(bases.len().min(kept + 1));
        let last = bases.pop().filter(|base| *base <= to);
        let last = last.ok_or_else(|| invalid(format!("no segment begins at or below offset {to}")))?;
        let segment = Segment::open(self.sys(), self.path, last, Suffix::None, Open::ReadWrite)?;
        let position = Self::end_below(&segment, to)?;
        self.block.publish_truncation(last, position, to);
        self.block.bump_truncation_generation();
        reached(Point::TruncationCounted);
        self.cut_files(&segment, position, to, &surplus, may_shorten == Some(last))?;
        // Once more: whoever has opened one of the files meanwhile opens it again.
        self.block.bump_truncation_generation();
        Ok(())
    }

    /// Base offsets of the segments, ascending.
    fn segment_bases(&self) -> io::Result<Vec<Offset>> {
        let entries = self.sys().disk.list(self.path)?;
        let mut bases: Vec<Offset> = entries
            .iter()
            .filter_map(|entry| match parse_name(&entry.name) {
                Some((base, FileKind::Log, Suffix::None)) => Some(base),
                _ => None,
            })
            .collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// Where the batches end that have no offset at or above `to`.
    fn end_below(segment: &Segment, to: Offset) -> io::Result<Position> {
        let mut scanner = Scanner::new(segment.log(), Position::ZERO, Position(segment.log_len()?));
        let mut end = Position::ZERO;
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.last_offset() >= to {
                break;
            }
            end = scanner.position();
        }
        Ok(end)
    }

    /// Removes the `surplus` segments and what is in `last` from `end` on, and what was noted of both.
    fn cut_files(
        &self,
        last: &Segment,
        end: Position,
        to: Offset,
        surplus: &[Offset],
        may_shorten: bool,
    ) -> io::Result<()> {
        let disk = &self.sys().disk;
        // From the end, so that an interruption leaves a log without a hole.
        for base in surplus.iter().rev() {
            for kind in FileKind::OF_SEGMENT {
                match disk.remove_file(&self.path.join(file_name(*base, kind, Suffix::None))) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            disk.sync_dir(self.path)?;
        }
        if may_shorten {
            last.log().set_len(end.0)?;
            last.sync_log()?;
        } else if last.log_len()? > end.0 {
            super::cut::keep_prefix(self.sys(), self.path, last, end)?;
        }
        last.offset_index()?.truncate_to(to)?;
        last.time_index()?.truncate_to(to)?;
        last.transaction_index().truncate_to(to)?;
        for entry in disk.list(self.path)? {
            if let Some((offset, FileKind::Snapshot, Suffix::None)) = parse_name(&entry.name)
                && offset > to
            {
                disk.remove_file(&self.path.join(&entry.name))?;
            }
        }
        let mut epochs = super::parse_epochs(&read_whole(disk, &self.path.join(LEADER_EPOCHS))?)
            .map(super::Epochs::new)
            .unwrap_or_default();
        if epochs.truncate_from_end(to) {
            write_atomically(disk, &self.path.join(LEADER_EPOCHS), &super::format_epochs(epochs.entries()))?;
        }
        disk.sync_dir(self.path)
    }
}
