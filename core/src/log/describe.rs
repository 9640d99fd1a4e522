//! What a log consists of: its segments and batches, as they lie in the files.

use std::io;

use super::Log;
use crate::error::Result;
use crate::record::{BatchError, BatchHeader};
use crate::segment::{FileKind, Found, Scanner, Segment};
use crate::types::{Offset, Position, ProducerId, TimestampMs};

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDescription {
    /// Its `.log`, relative to the log directory.
    pub file: String,
    /// The offset in its name.
    pub base_offset: i64,
    /// The offset behind its last record.
    pub next_offset: i64,
    /// Bytes of its `.log`.
    pub bytes: u64,
    /// Bytes of that which are no batch.
    pub damaged_bytes: u64,
    /// How many batches it has.
    pub batches: u64,
    /// How many records they say they have, those that control the log among them.
    pub records: u64,
    /// Timestamp of its first batch; −1 for none.
    pub first_timestamp: i64,
    /// The greatest timestamp; −1 for none.
    pub max_timestamp: i64,
    /// Whether appends go there.
    pub is_active: bool,
}

/// A batch, by its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDescription {
    /// The `.log` that it lies in, relative to the log directory.
    pub file: String,
    /// Where it begins in the file.
    pub position: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What its header says.
    pub header: BatchHeader,
    /// Why it cannot be read, if it cannot.
    pub problem: Option<BatchError>,
}

impl BatchDescription {
    /// Whether the checksum holds.
    pub fn is_crc_ok(&self) -> bool {
        !matches!(self.problem, Some(BatchError::Crc { .. }))
    }

    /// Name of the codec.
    pub fn codec(&self) -> &'static str {
        self.header.codec().map_or("unknown", |codec| codec.name())
    }

    /// Who sent it; −1 for nobody in particular.
    pub fn producer_id(&self) -> ProducerId {
        self.header.producer_id
    }
}

impl Log {
    /// Every segment, in order. Reads the headers of all batches, and no more of them.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn describe_segments(&self) -> Result<Vec<SegmentDescription>> {
        let slots = self.slots()?;
        let mut descriptions = Vec::with_capacity(slots.len());
        for (index, slot) in slots.iter().enumerate() {
            let Some(segment) = self.open_slot(slot)? else { continue };
            let next = slots.get(index + 1).map(|slot| slot.base);
            let described = self.describe_segment(&segment, next);
            descriptions.push(described.map_err(|e| self.io_error("reading", slot.base, FileKind::Log, e))?);
        }
        Ok(descriptions)
    }

    fn describe_segment(&self, segment: &Segment, next: Option<Offset>) -> io::Result<SegmentDescription> {
        let mut described = SegmentDescription {
            file: self.relative(segment.base(), FileKind::Log),
            base_offset: segment.base().0,
            next_offset: next.unwrap_or(self.block.log_end()).0,
            bytes: self.end_of(segment, next)?.0,
            damaged_bytes: 0,
            batches: 0,
            records: 0,
            first_timestamp: TimestampMs::NONE.0,
            max_timestamp: TimestampMs::NONE.0,
            is_active: next.is_none(),
        };
        let mut scanner =
            Scanner::new(segment.log(), Position::ZERO, Position(described.bytes)).in_segment(segment.base());
        let mut expected = segment.base();
        loop {
            match scanner.next_in_order(expected)? {
                Found::End(_) => return Ok(described),
                Found::Batch(_, header) => {
                    expected = header.next_offset();
                    if described.batches == 0 {
                        described.first_timestamp = header.base_timestamp.0;
                    }
                    described.batches += 1;
                    described.records += header.records_count.max(0) as u64;
                    described.max_timestamp = described.max_timestamp.max(header.max_timestamp.0);
                }
                Found::Bad(position, error) => {
                    let damage = scanner.resync(position, expected, &error)?;
                    described.damaged_bytes += damage.end.0 - damage.position.0;
                }
            }
        }
    }

    /// Where the batches of a segment end: what an append that is not finished wrote behind it does not count.
    fn end_of(&self, segment: &Segment, next: Option<Offset>) -> io::Result<Position> {
        match next {
            Some(_) => segment.log_len().map(Position),
            None => Ok(self.block.commit().position),
        }
    }

    /// The header of the last batch; `None` in a log without batches, and where the last one cannot be read.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn last_batch(&self) -> Result<Option<BatchHeader>> {
        let last = Offset(self.block.log_end().0 - 1);
        if last < self.block.log_start() {
            return Ok(None);
        }
        let found = self.describe_batches(last, 1)?;
        Ok(found.into_iter().find(|batch| batch.problem.is_none()).map(|batch| batch.header))
    }

    /// Up to `most` batches from the one that contains `from` on, damaged ones among them. Checks their checksums.
    ///
    /// # Errors
    /// `OffsetOutOfRange` for an offset outside the log; those of the disk.
    pub fn describe_batches(&self, from: Offset, most: usize) -> Result<Vec<BatchDescription>> {
        self.check_position(from)?;
        let slots = self.slots()?;
        let mut descriptions = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            let next = slots.get(index + 1).map(|slot| slot.base);
            if next.is_some_and(|next| next <= from) {
                continue;
            }
            let Some(segment) = self.open_slot(slot)? else { continue };
            self.describe_batches_of(&segment, next, from, most, &mut descriptions)
                .map_err(|e| self.io_error("reading", slot.base, FileKind::Log, e))?;
            if descriptions.len() >= most {
                break;
            }
        }
        Ok(descriptions)
    }

    fn describe_batches_of(
        &self,
        segment: &Segment,
        next: Option<Offset>,
        from: Offset,
        most: usize,
        descriptions: &mut Vec<BatchDescription>,
    ) -> io::Result<()> {
        let end = self.end_of(segment, next)?;
        let (start, _) = segment.position_before(from)?;
        let mut scanner = Scanner::new(segment.log(), start, end).in_segment(segment.base());
        let mut expected = segment.base();
        while descriptions.len() < most {
            let (position, header, problem) = match scanner.next_checked_in_order(expected)? {
                Found::End(_) => return Ok(()),
                Found::Batch(position, header) => (position, Some(header), None),
                Found::Bad(position, error) => {
                    let header = scanner.header_at(position)?;
                    scanner.resync(position, expected, &error)?;
                    (position, header, Some(error))
                }
            };
            let Some(header) = header else { continue };
            if problem.is_none() {
                expected = header.next_offset();
            }
            if header.last_offset() >= from {
                let file = self.relative(segment.base(), FileKind::Log);
                let bytes = header.size as u64;
                descriptions.push(BatchDescription { file, position: position.0, bytes, header, problem });
            }
        }
        Ok(())
    }
}
