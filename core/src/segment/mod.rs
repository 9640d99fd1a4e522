//! One segment: a `.log` file of batches and the indexes that find places in it.
//!
//! A segment knows nothing of its neighbours. Its log is the truth; offset and time index say the same with fewer bytes
//! and can be rebuilt from it at any time, so an index that does not agree with its log is doubted, not believed.
//!
//! Source: `org.apache.kafka.storage.internals.log.LogSegment`.

mod cadence;
mod entries;
mod name;
mod offset_index;
mod rebuild;
mod scan;
mod time_index;
mod transaction_index;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use cadence::{Cadence, IndexRules};
pub use entries::Entries;
pub use name::{FileKind, Suffix, file_name, parse_name};
pub use offset_index::{IndexEntry, OffsetIndex};
pub use rebuild::{Rebuilt, rebuild, scan_batches};
pub use scan::{DamagedRange, Found, Scanner, out_of_order};
pub use time_index::{TimeEntry, TimeIndex};
pub use transaction_index::{AbortedTransaction, TransactionIndex};

use crate::record::{BatchHeader, HEADER_BYTES};
use crate::sys::{AnyFile, Disk, File, Open, SimDisk, Sys, read_exact_at, write_all_at};
use crate::types::{Offset, Position, TimestampMs};

/// A segment of a partition. Shared by readers and the one appender.
pub struct Segment {
    base: Offset,
    dir: PathBuf,
    suffix: Suffix,
    how: Open,
    sys: Sys,
    log: AnyFile,
    /// Kept open once somebody looked a place up.
    offset_index: OnceLock<OffsetIndex>,
    time_index: OnceLock<TimeIndex>,
}

/// Files of a segment that is done with; they are closed when this goes.
#[derive(Debug)]
pub struct Files {
    _log: AnyFile,
    _indexes: (Option<OffsetIndex>, Option<TimeIndex>),
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("base", &self.base).field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Segment {
    /// Opens the segment at `base`. Index files are opened when they are needed first.
    ///
    /// # Errors
    /// Those of opening the `.log` file.
    pub fn open(sys: &Sys, dir: &Path, base: Offset, suffix: Suffix, how: Open) -> io::Result<Segment> {
        let mut log = sys.disk.open(&dir.join(file_name(base, FileKind::Log, suffix)), how)?;
        if how != Open::Read {
            log = log.lifted(); // what is written under a number that means another file by then is lost for both
        }
        Ok(Segment {
            base,
            dir: dir.to_path_buf(),
            suffix,
            how,
            sys: sys.clone(),
            log,
            offset_index: OnceLock::new(),
            time_index: OnceLock::new(),
        })
    }

    /// An empty segment that has no files: what a reader finds in a partition whose creation was interrupted.
    pub fn absent(sys: &Sys, dir: &Path, base: Offset) -> Segment {
        let nowhere = SimDisk::default();
        let log = nowhere.open(Path::new("/log"), Open::Create).expect("an empty disk in memory takes a file");
        let segment = Segment {
            base,
            dir: dir.to_path_buf(),
            suffix: Suffix::None,
            how: Open::Read,
            sys: sys.clone(),
            log: AnyFile::Simulated(log),
            offset_index: OnceLock::new(),
            time_index: OnceLock::new(),
        };
        let offsets = OffsetIndex::new(base, Entries::in_memory(OffsetIndex::ENTRY_BYTES));
        segment.use_indexes(offsets, TimeIndex::new(base, Entries::in_memory(TimeIndex::ENTRY_BYTES)));
        segment
    }

    /// The lowest offset that may be in it, and its name.
    pub fn base(&self) -> Offset {
        self.base
    }

    /// The `.log` file.
    pub fn log(&self) -> &AnyFile {
        &self.log
    }

    /// Path of one of its files.
    pub fn path(&self, kind: FileKind) -> PathBuf {
        self.dir.join(file_name(self.base, kind, self.suffix))
    }

    /// Bytes in the `.log` file.
    pub fn log_len(&self) -> io::Result<u64> {
        self.log.stat().map(|stat| stat.len)
    }

    /// The offset index; opened, and made when it is not there and the segment may be written.
    pub fn offset_index(&self) -> io::Result<&OffsetIndex> {
        self.once(&self.offset_index, FileKind::Index, |entries| OffsetIndex::new(self.base, entries))
    }

    /// The time index; as [`offset_index`](Self::offset_index).
    pub fn time_index(&self) -> io::Result<&TimeIndex> {
        self.once(&self.time_index, FileKind::TimeIndex, |entries| TimeIndex::new(self.base, entries))
    }

    fn once<'a, T>(&'a self, cell: &'a OnceLock<T>, kind: FileKind, make: impl Fn(Entries) -> T) -> io::Result<&'a T> {
        if let Some(index) = cell.get() {
            return Ok(index);
        }
        let width = if kind == FileKind::Index { OffsetIndex::ENTRY_BYTES } else { TimeIndex::ENTRY_BYTES };
        let entries = match self.how {
            Open::Read => Entries::open(&self.sys, self.path(kind), width)?,
            Open::ReadWrite | Open::Create | Open::CreateNew => Entries::create(&self.sys, self.path(kind), width)?,
        };
        Ok(cell.get_or_init(|| make(entries)))
    }

    /// Has the segment use indexes that are in memory only: those rebuilt for a reader who may not write.
    pub fn use_indexes(&self, offset_index: OffsetIndex, time_index: TimeIndex) {
        let _ = self.offset_index.set(offset_index);
        let _ = self.time_index.set(time_index);
    }

    /// Ends it. The indexes that are in memory only are to be used again when it is opened anew; the rest is open files.
    pub fn close(self) -> (Option<(OffsetIndex, TimeIndex)>, Files) {
        let Segment { log, offset_index, time_index, .. } = self;
        match (offset_index.into_inner(), time_index.into_inner()) {
            (Some(offsets), Some(times)) if !offsets.entries().has_file() && !times.entries().has_file() => {
                (Some((offsets, times)), Files { _log: log, _indexes: (None, None) })
            }
            indexes => (None, Files { _log: log, _indexes: indexes }),
        }
    }

    /// Looks whether another process has added to the indexes, where they are open.
    pub fn look_again(&self) -> io::Result<()> {
        if let Some(index) = self.offset_index.get() {
            index.look_again()?;
        }
        self.time_index.get().map_or(Ok(()), TimeIndex::look_again)
    }

    /// Writes what lies in `[from, to)` once more, unchanged, flushes it and drops it from the cache: after a flush that may
    /// have failed the cache shows pages that were never written and calls them clean.
    pub fn settle(&self, from: Position, to: Position) -> io::Result<()> {
        let mut at = from.0;
        let mut chunk = vec![0; to.0.saturating_sub(at).min(1 << 20) as usize];
        while at < to.0 {
            let want = chunk.len().min((to.0 - at) as usize);
            let read = read_exact_at(&self.log, &mut chunk[..want], at)?;
            if read == 0 {
                break;
            }
            write_all_at(&self.log, &chunk[..read], at)?;
            at += read as u64;
        }
        self.sync_log()?;
        // Advice only: where it is not taken, whoever checks reads the cache, as Kafka does.
        let _ = self.log.drop_cache(from.0, to.0.saturating_sub(from.0));
        Ok(())
    }

    /// Where the first batch begins that has an offset at or above `offset`, header by header; `to` where there is none.
    pub fn position_of(&self, offset: Offset, to: Position) -> io::Result<Position> {
        let mut scanner = Scanner::new(&self.log, Position::ZERO, to);
        let mut from = Position::ZERO;
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.last_offset() >= offset {
                break;
            }
            from = scanner.position();
        }
        Ok(from)
    }

    /// The transaction index, read anew: it is small, and rare.
    pub fn transaction_index(&self) -> TransactionIndex {
        TransactionIndex::new(&self.sys, self.path(FileKind::TxnIndex))
    }

    /// The header of the batch at `position`, if the file has that many bytes.
    pub fn header_at(&self, position: Position) -> io::Result<Option<BatchHeader>> {
        let mut bytes = [0; HEADER_BYTES];
        let read = read_exact_at(&self.log, &mut bytes, position.0)?;
        Ok(BatchHeader::parse(&bytes[..read]).ok())
    }

    /// Where to begin to look for `target`: a batch start at or before it.
    ///
    /// The index is asked, and its answer checked against the log: a batch must begin there, at or below the entry's
    /// offset. An index that fails the check is passed over, and the search begins at the start of the file; the second
    /// value says that this happened.
    pub fn position_before(&self, target: Offset) -> io::Result<(Position, bool)> {
        let Ok(Some(entry)) = self.offset_index().and_then(|index| index.lookup(target)) else {
            return Ok((Position::ZERO, false));
        };
        let agrees = |header: BatchHeader| header.base_offset <= entry.offset && header.base_offset >= self.base;
        match self.header_at(entry.position)? {
            Some(header) if agrees(header) && self.is_whole_batch(entry.position, header.size)? => {
                Ok((entry.position, false))
            }
            _ => Ok((Position::ZERO, true)),
        }
    }

    fn is_whole_batch(&self, position: Position, size: usize) -> io::Result<bool> {
        let left = self.log_len()?.saturating_sub(position.0);
        if size as u64 > left {
            return Ok(false);
        }
        let mut bytes = vec![0; size];
        let read = read_exact_at(&self.log, &mut bytes, position.0)?;
        Ok(read == size && BatchHeader::check(&bytes).is_ok())
    }

    /// The greatest timestamp in the segment, from the time index and the batches that it does not cover; `None` when no
    /// record has one. Reading ends at `end`.
    pub fn largest_timestamp(&self, end: Position) -> io::Result<Option<TimestampMs>> {
        self.look_again()?;
        let mut largest = self.time_index()?.last()?.map(|entry| entry.timestamp);
        let from = self.offset_index()?.last()?.map_or(Position::ZERO, |entry| entry.position);
        let mut scanner = Scanner::new(&self.log, from, end);
        while let Found::Batch(_, header) = scanner.next_header()? {
            if header.max_timestamp != TimestampMs::NONE {
                largest = largest.max(Some(header.max_timestamp));
            }
        }
        Ok(largest)
    }

    /// Makes the log durable. The indexes follow when the segment is sealed.
    pub fn sync_log(&self) -> io::Result<()> {
        self.log.sync_data()
    }

    /// Makes the indexes durable, so that they need not be rebuilt below the recovery point.
    pub fn sync_indexes(&self) -> io::Result<()> {
        self.offset_index()?.sync()?;
        self.time_index()?.sync()?;
        self.transaction_index().sync()
    }
}
