//! `.timeindex`: from timestamps to offsets.
//!
//! ```text
//! entry := timestamp:i64 relativeOffset:i32
//! ```
//! An entry says that no batch up to and including the offset is younger than the timestamp; later batches may be.
//! Timestamps grow strictly, offsets do not fall.
//!
//! Source: `org.apache.kafka.storage.internals.log.TimeIndex`.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

use super::entries::Entries;
use crate::types::{Offset, TimestampMs};

/// The time index of a segment.
#[derive(Debug)]
pub struct TimeIndex {
    base: Offset,
    entries: Entries,
    /// The last entry's timestamp, which each new entry is compared with; [`UNREAD`] until it was read once.
    latest: AtomicI64,
}

/// No entry has it: those of batches without a timestamp are left out.
const UNREAD: i64 = i64::MIN;

/// Up to and including `offset`, nothing is younger than `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// The greatest timestamp so far.
    pub timestamp: TimestampMs,
    /// The last offset of the first batch that has it.
    pub offset: Offset,
}

impl TimeIndex {
    /// Bytes of an entry.
    pub const ENTRY_BYTES: usize = 12;

    /// The index of the segment at `base`.
    pub fn new(base: Offset, entries: Entries) -> Self {
        TimeIndex { base, entries, latest: AtomicI64::new(UNREAD) }
    }

    fn decode(&self, bytes: &[u8]) -> TimeEntry {
        let mut timestamp = [0; 8];
        timestamp.copy_from_slice(&bytes[..8]);
        let relative = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        TimeEntry {
            timestamp: TimestampMs(i64::from_be_bytes(timestamp)),
            offset: Offset(self.base.0.saturating_add(i64::from(relative))),
        }
    }

    /// Where they are kept.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    /// Looks whether another process has added entries.
    pub fn look_again(&self) -> io::Result<()> {
        self.entries.look_again()?;
        self.latest.store(UNREAD, Ordering::Relaxed);
        Ok(())
    }

    /// How many there are in front of those that were set aside for later.
    pub fn used(&self) -> io::Result<u32> {
        self.entries.used()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entry `index`.
    pub fn entry(&self, index: u32) -> io::Result<TimeEntry> {
        let mut bytes = [0; Self::ENTRY_BYTES];
        self.entries.read(index, &mut bytes)?;
        Ok(self.decode(&bytes))
    }

    /// The last entry.
    pub fn last(&self) -> io::Result<Option<TimeEntry>> {
        self.len().checked_sub(1).map(|last| self.entry(last)).transpose()
    }

    /// The last entry at or before `timestamp`.
    pub fn lookup(&self, timestamp: TimestampMs) -> io::Result<Option<TimeEntry>> {
        let found = self.entries.partition_point(|bytes| self.decode(bytes).timestamp <= timestamp)?;
        found.checked_sub(1).map(|index| self.entry(index)).transpose()
    }

    /// Appends an entry unless its timestamp is not above the last one's; says whether it did.
    pub fn push_if_later(&self, entry: TimeEntry) -> io::Result<bool> {
        if entry.timestamp == TimestampMs::NONE || self.latest()? >= entry.timestamp {
            return Ok(false);
        }
        let relative = i32::try_from(entry.offset.0 - self.base.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut bytes = [0; Self::ENTRY_BYTES];
        bytes[..8].copy_from_slice(&entry.timestamp.0.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(&bytes)?;
        self.latest.store(entry.timestamp.0, Ordering::Relaxed);
        Ok(true)
    }

    /// The last entry's timestamp, or one that is below all others. Relaxed, here and there: only the one appender asks.
    fn latest(&self) -> io::Result<TimestampMs> {
        let latest = TimestampMs(self.latest.load(Ordering::Relaxed));
        if latest.0 != UNREAD {
            return Ok(latest);
        }
        Ok(self.last()?.map_or(latest, |last| last.timestamp))
    }

    /// Drops the entries at and above `offset`.
    pub fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        self.latest.store(UNREAD, Ordering::Relaxed);
        let keep = self.entries.partition_point(|bytes| self.decode(bytes).offset < offset)?;
        self.entries.truncate(keep)
    }

    /// Drops all entries.
    pub fn clear(&self) -> io::Result<()> {
        self.latest.store(UNREAD, Ordering::Relaxed);
        self.entries.truncate(0)
    }

    /// Cuts off whatever follows the entries.
    pub fn trim(&self) -> io::Result<()> {
        self.entries.truncate(self.len())
    }

    /// Makes the entries durable.
    pub fn sync(&self) -> io::Result<()> {
        self.entries.sync()
    }
}
