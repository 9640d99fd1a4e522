//! When index entries are written.
//!
//! Before a batch is counted, and only if *more* than `index.interval.bytes` came since the last entry, an entry is added
//! for this batch; so the first batch of a segment never gets one. The time index gets one at the same moment, for the
//! greatest timestamp so far, unless it would not be later than the one before. When a segment is finished or closed its
//! greatest timestamp is added in any case.
//!
//! The state is a function of the batches alone. Whoever replays the headers of a segment arrives at the same state as
//! the one who wrote them.
//!
//! Source: `org.apache.kafka.storage.internals.log.LogSegment#append`, `#recover`.

use std::io;

use super::offset_index::{IndexEntry, OffsetIndex};
use super::time_index::{TimeEntry, TimeIndex};
use crate::record::BatchHeader;
use crate::types::{Offset, Position, TimestampMs};

/// The settings that decide about index entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRules {
    /// `index.interval.bytes`.
    pub interval_bytes: u64,
    /// `segment.index.bytes`.
    pub max_index_bytes: u64,
}

impl IndexRules {
    /// Whether the offset index has as many entries as it may, so that the segment must roll.
    pub fn is_full(&self, offset_entries: u32, time_entries: u32) -> bool {
        let most_offsets = self.max_index_bytes / OffsetIndex::ENTRY_BYTES as u64;
        let most_times = self.max_index_bytes / TimeIndex::ENTRY_BYTES as u64;
        // One time entry is kept free for the end of the segment.
        u64::from(offset_entries) >= most_offsets || u64::from(time_entries) + 1 >= most_times
    }
}

/// Where a segment stands between two index entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    bytes_since_entry: u64,
    greatest: TimeEntry,
    /// The first batch's greatest timestamp: what `segment.ms` counts from.
    first_timestamp: Option<TimestampMs>,
}

impl Cadence {
    /// An empty segment.
    pub fn new(base: Offset) -> Self {
        Cadence {
            bytes_since_entry: 0,
            greatest: TimeEntry { timestamp: TimestampMs::NONE, offset: base },
            first_timestamp: None,
        }
    }

    /// Takes a batch in: says which index entry it is due, and for what the time index is.
    pub fn advance(
        &mut self,
        header: &BatchHeader,
        position: Position,
        rules: &IndexRules,
    ) -> Option<(IndexEntry, TimeEntry)> {
        if header.max_timestamp > self.greatest.timestamp {
            self.greatest = TimeEntry { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        self.first_timestamp.get_or_insert(header.max_timestamp);
        let due = self.bytes_since_entry > rules.interval_bytes;
        if due {
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size as u64;
        due.then_some((IndexEntry { offset: header.last_offset(), position }, self.greatest))
    }

    /// The state of a segment whose indexes are right, up to the last index entry: what follows is fed to
    /// [`advance`](Self::advance) again, beginning with the batch at that entry's position.
    pub fn resume(base: Offset, first: Option<&BatchHeader>, last_time: Option<TimeEntry>) -> Self {
        Cadence {
            bytes_since_entry: 0,
            greatest: last_time.unwrap_or(TimeEntry { timestamp: TimestampMs::NONE, offset: base }),
            first_timestamp: first.map(|header| header.max_timestamp),
        }
    }

    /// The greatest timestamp so far, and the batch that has it first.
    pub fn greatest(&self) -> TimeEntry {
        self.greatest
    }

    /// The greatest timestamp of the first batch.
    pub fn first_timestamp(&self) -> Option<TimestampMs> {
        self.first_timestamp
    }

    /// Writes what [`advance`](Self::advance) found due.
    pub fn write(due: Option<(IndexEntry, TimeEntry)>, offsets: &OffsetIndex, times: &TimeIndex) -> io::Result<()> {
        let Some((entry, time)) = due else { return Ok(()) };
        offsets.push(entry)?;
        times.push_if_later(time).map(|_| ())
    }
}
