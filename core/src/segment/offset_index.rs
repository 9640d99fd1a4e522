//! `.index`: from offsets to places in the `.log` file.
//!
//! ```text
//! entry := relativeOffset:i32 position:i32
//! ```
//! An entry pairs the *last* offset of an append with the *start* of that append. Offsets and positions grow strictly.
//!
//! Source: `org.apache.kafka.storage.internals.log.OffsetIndex`.

use std::io;

use super::entries::Entries;
use crate::types::{Offset, Position};

/// The offset index of a segment.
#[derive(Debug)]
pub struct OffsetIndex {
    base: Offset,
    entries: Entries,
}

/// The batch or append that ends at `offset` begins at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Last offset of the append.
    pub offset: Offset,
    /// Its first byte.
    pub position: Position,
}

impl OffsetIndex {
    /// Bytes of an entry.
    pub const ENTRY_BYTES: usize = 8;

    /// The index of the segment at `base`.
    pub fn new(base: Offset, entries: Entries) -> Self {
        OffsetIndex { base, entries }
    }

    fn decode(&self, bytes: &[u8]) -> IndexEntry {
        let relative = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let position = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        IndexEntry {
            offset: Offset(self.base.0.saturating_add(i64::from(relative))),
            position: Position(u64::from(position)),
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
        self.entries.look_again()
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
    pub fn entry(&self, index: u32) -> io::Result<IndexEntry> {
        let mut bytes = [0; Self::ENTRY_BYTES];
        self.entries.read(index, &mut bytes)?;
        Ok(self.decode(&bytes))
    }

    /// The last entry.
    pub fn last(&self) -> io::Result<Option<IndexEntry>> {
        self.len().checked_sub(1).map(|last| self.entry(last)).transpose()
    }

    /// The last entry at or below `target`.
    pub fn lookup(&self, target: Offset) -> io::Result<Option<IndexEntry>> {
        let found = self.entries.partition_point(|bytes| self.decode(bytes).offset <= target)?;
        found.checked_sub(1).map(|index| self.entry(index)).transpose()
    }

    /// Appends an entry. Offsets that do not grow, or do not fit 31 bits, are refused: they come from a log that is not
    /// in order.
    pub fn push(&self, entry: IndexEntry) -> io::Result<()> {
        let relative = i32::try_from(entry.offset.0 - self.base.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        let position = i32::try_from(entry.position.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut bytes = [0; Self::ENTRY_BYTES];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(&bytes)
    }

    /// Drops the entries at and above `offset`.
    pub fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        let keep = self.entries.partition_point(|bytes| self.decode(bytes).offset < offset)?;
        self.entries.truncate(keep)
    }

    /// Drops all entries.
    pub fn clear(&self) -> io::Result<()> {
        self.entries.truncate(0)
    }

    /// Cuts off whatever follows the entries: preallocated zeros, a torn entry.
    pub fn trim(&self) -> io::Result<()> {
        self.entries.truncate(self.len())
    }

    /// Makes the entries durable.
    pub fn sync(&self) -> io::Result<()> {
        self.entries.sync()
    }

    /// What is wrong with it, if anything shows without reading the log: entries out of order, or beyond `log_len`.
    pub fn complaint(&self, log_len: u64) -> io::Result<Option<String>> {
        let mut before: Option<IndexEntry> = None;
        for index in 0..self.len() {
            let entry = self.entry(index)?;
            if entry.position.0 >= log_len
                || before.is_some_and(|b| b.offset >= entry.offset || b.position >= entry.position)
            {
                return Ok(Some(format!(
                    "entry {index} (offset {}, position {}) cannot be",
                    entry.offset, entry.position
                )));
            }
            before = Some(entry);
        }
        Ok(None)
    }
}
