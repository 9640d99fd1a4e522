//! Finding offsets: the ends of a log, and records by time.
//!
//! Source: Kafka protocol, ListOffsets; `org.apache.kafka.storage.internals.log.UnifiedLog#fetchOffsetByTimestamp`.

use std::io;

use super::Log;
use crate::error::Result;
use crate::record::{BatchHeader, SpanLimits, decode_spans};
use crate::segment::{FileKind, Found, Scanner, Segment};
use crate::sys::File;
use crate::types::{Offset, Position, TimestampMs};

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first one there is.
    Earliest,
    /// The one after the last visible one.
    Latest,
    /// The record with the greatest timestamp.
    MaxTimestamp,
    /// The first record that is not older.
    At(TimestampMs),
}

/// A record that was found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundTime {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: TimestampMs,
}

/// What a batch of a log may decompress to when its records are looked through.
const MOST_DECOMPRESSED: usize = i32::MAX as usize;

impl Log {
    /// The first record, by offset, whose timestamp is at or after `target`; `None` when there is none below `bound`.
    ///
    /// Only the first segment that can have such a record is searched, as in Kafka; timestamps need not be in order.
    pub fn offset_at(&self, target: TimestampMs, bound: Offset) -> Result<Option<FoundTime>> {
        let slots = self.slots()?;
        for (index, slot) in slots.iter().enumerate() {
            let Some(segment) = self.open_slot(slot)? else { continue };
            let next = slots.get(index + 1).map(|slot| slot.base);
            if next.is_some_and(|next| next <= self.block.log_start()) {
                continue;
            }
            let found =
                self.search(&segment, target).map_err(|e| self.io_error("searching", slot.base, FileKind::Log, e))?;
            match found {
                Searched::TooOld => {}
                Searched::Found(found) => return Ok(found.filter(|found| found.offset < bound)),
            }
        }
        Ok(None)
    }

    /// The record with the greatest timestamp, the first of them; `None` in a log without timestamps.
    pub fn offset_of_max_timestamp(&self, bound: Offset) -> Result<Option<FoundTime>> {
        let mut best: Option<TimestampMs> = None;
        for slot in self.slots()? {
            let Some(segment) = self.open_slot(&slot)? else { continue };
            let largest = self.largest_timestamp(&segment);
            best = best.max(largest.map_err(|e| self.io_error("reading", slot.base, FileKind::Log, e))?);
        }
        match best {
            Some(timestamp) => self.offset_at(timestamp, bound),
            None => Ok(None),
        }
    }

    /// The greatest timestamp of a segment, leaving out what is not visible yet in the active one.
    fn largest_timestamp(&self, segment: &Segment) -> io::Result<Option<TimestampMs>> {
        let end = if segment.base() == self.block.segment_base() {
            self.block.commit().position
        } else {
            Position(segment.log_len()?)
        };
        segment.largest_timestamp(end)
    }

    fn search(&self, segment: &Segment, target: TimestampMs) -> io::Result<Searched> {
        match self.largest_timestamp(segment)? {
            Some(largest) if largest < target => return Ok(Searched::TooOld),
            // A segment without timestamps is as old as its file.
            None if segment.log().stat()?.modified < target => return Ok(Searched::TooOld),
            _ => {}
        }
        let from = self.start_of_search(segment, target)?;
        let (position, _) = segment.position_before(from)?;
        let mut scanner = Scanner::new(segment.log(), position, Position(segment.log_len()?));
        while let Found::Batch(position, header) = scanner.next_header()? {
            if header.max_timestamp < target || header.last_offset() < self.block.log_start() {
                continue;
            }
            if let Some(found) = self.search_batch(scanner.batch(position, &header)?, &header, target) {
                return Ok(Searched::Found(Some(found)));
            }
        }
        Ok(Searched::Found(None))
    }

    /// Where the time index says that the search may begin; an entry that its batch contradicts is not believed.
    fn start_of_search(&self, segment: &Segment, target: TimestampMs) -> io::Result<Offset> {
        let log_start = self.block.log_start().max(segment.base());
        let Some(entry) = segment.time_index()?.lookup(target)? else {
            return Ok(log_start);
        };
        let (position, _) = segment.position_before(entry.offset)?;
        let mut scanner = Scanner::new(segment.log(), position, Position(segment.log_len()?));
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.last_offset() >= entry.offset {
                let agrees = header.last_offset() == entry.offset && header.max_timestamp == entry.timestamp;
                return Ok(if agrees { log_start.max(entry.offset) } else { log_start });
            }
        }
        Ok(log_start)
    }

    fn search_batch(&self, batch: &[u8], header: &BatchHeader, target: TimestampMs) -> Option<FoundTime> {
        let (mut arena, mut spans) = (Vec::new(), Vec::new());
        let limits = SpanLimits { arena_base: 0, most: MOST_DECOMPRESSED };
        decode_spans(batch, header, self.block.log_start(), limits, &mut arena, &mut spans).ok()?;
        let found = spans.iter().find(|span| span.timestamp >= target.0)?;
        Some(FoundTime { offset: Offset(found.offset), timestamp: TimestampMs(found.timestamp) })
    }

    /// Checks every batch below the log end and reports what is damaged; cuts and changes nothing. Says on the way how many
    /// bytes were looked at since it said so last.
    pub fn verify(&self, report: &mut super::Report, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut from = self.block.log_start();
        let mut buffer = Vec::new();
        let mut cursor = None;
        let bound = self.block.log_end();
        while from < bound {
            let fetch = super::Fetch { from, bound, max_bytes: 1 << 20, check_crcs: true, cursor };
            match self.read(&fetch, &mut buffer) {
                Ok(chunk) if chunk.next > from => {
                    progress(chunk.len as u64);
                    (from, cursor) = (chunk.next, chunk.cursor);
                }
                Ok(_) => break,
                Err(error) => match error.damage() {
                    Some(damage) => {
                        progress(damage.bytes);
                        from = Offset(damage.next_offset);
                        cursor = None;
                        report.damage.push(damage.clone());
                    }
                    None => return Err(error),
                },
            }
        }
        self.verify_indexes(report)
    }

    fn verify_indexes(&self, report: &mut super::Report) -> Result<()> {
        for slot in self.slots()? {
            let Some(segment) = self.open_slot(&slot)? else { continue };
            let complaints = || -> io::Result<Vec<(FileKind, String)>> {
                let mut complaints = Vec::new();
                let offsets = segment.offset_index()?;
                if let Some(what) = offsets.complaint(segment.log_len()?)? {
                    complaints.push((FileKind::Index, what));
                } else {
                    for index in 0..offsets.len() {
                        let entry = offsets.entry(index)?;
                        let header = segment.header_at(entry.position)?;
                        if header.is_none_or(|header| header.base_offset > entry.offset) {
                            let what = format!("entry {index} (offset {}) does not point to its batch", entry.offset);
                            complaints.push((FileKind::Index, what));
                        }
                    }
                }
                let times = segment.time_index()?;
                let mut before = None;
                for index in 0..times.len() {
                    let entry = times.entry(index)?;
                    if before.is_some_and(|before| before >= entry.timestamp)
                        || !Self::time_entry_agrees(&segment, entry)?
                    {
                        let what = format!(
                            "entry {index} (time {}, offset {}) does not agree with its log",
                            entry.timestamp, entry.offset
                        );
                        complaints.push((FileKind::TimeIndex, what));
                    }
                    before = Some(entry.timestamp);
                }
                if let Some(what) = segment.transaction_index().complaint(segment.base())? {
                    complaints.push((FileKind::TxnIndex, what));
                }
                Ok(complaints)
            };
            let found = complaints().map_err(|e| self.io_error("reading an index of", slot.base, FileKind::Log, e))?;
            for (kind, what) in found {
                report.finding(self.relative(slot.base, kind), what);
            }
        }
        Ok(())
    }

    fn time_entry_agrees(segment: &Segment, entry: crate::segment::TimeEntry) -> io::Result<bool> {
        let (position, _) = segment.position_before(entry.offset)?;
        let mut scanner = Scanner::new(segment.log(), position, Position(segment.log_len()?));
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.last_offset() >= entry.offset {
                return Ok(header.last_offset() == entry.offset && header.max_timestamp == entry.timestamp);
            }
        }
        Ok(false)
    }
}

enum Searched {
    /// Every record of the segment is older.
    TooOld,
    /// This is the segment to search, with this answer.
    Found(Option<FoundTime>),
}
