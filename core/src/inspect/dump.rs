//! What a file contains.

use std::io;
use std::path::Path;

use super::Content;
use crate::log::{AppendedBatch, parse_epochs, parse_offsets, parse_snapshot};
use crate::record::{BatchError, BatchHeader, Record, Span, SpanLimits, decode_spans};
use crate::segment::{
    AbortedTransaction, DamagedRange, Entries, Found, IndexEntry, OffsetIndex, Scanner, TimeEntry, TimeIndex,
    TransactionIndex,
};
use crate::sys::{AnyFile, Disk, File, Open, Sys, read_whole};
use crate::types::{LeaderEpoch, Offset, Position, ProducerId, TimestampMs, TopicPartition};

/// One thing that a file contains.
#[derive(Debug)]
pub enum Dumped {
    /// A batch.
    Batch(DumpedBatch),
    /// Bytes that are no batch.
    Damage(DamagedRange),
    /// An entry of an offset index.
    Index(IndexEntry),
    /// An entry of a time index.
    Time(TimeEntry),
    /// An entry of a transaction index.
    Aborted(AbortedTransaction),
    /// A producer of a snapshot.
    Producer(DumpedProducer),
    /// A line of an offset checkpoint.
    Offset(TopicPartition, Offset),
    /// A line of a leader epoch checkpoint.
    Epoch(LeaderEpoch, Offset),
    /// A line of any other text.
    Line(String),
}

/// A batch and its records.
#[derive(Debug)]
pub struct DumpedBatch {
    /// Where it begins.
    pub position: Position,
    /// Its header.
    pub header: BatchHeader,
    /// Why its records cannot be shown.
    pub problem: Option<BatchError>,
    data: Vec<u8>,
    spans: Vec<Span>,
}

impl DumpedBatch {
    /// The records.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.spans.iter().map(|span| Record::new(&self.data, span))
    }
}

/// A producer of a snapshot.
#[derive(Debug)]
pub struct DumpedProducer {
    /// Its id.
    pub id: ProducerId,
    /// The epoch of that id.
    pub epoch: i16,
    /// Its last batch.
    pub last_batch: Option<AppendedBatch>,
    /// When it was heard of last.
    pub last_timestamp: TimestampMs,
    /// Epoch of the coordinator of its last marker, −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

/// What a batch may decompress to when it is only looked at.
const MOST_BYTES: usize = 256 << 20;

/// Hands everything that the file at `path` contains to `each`, in order.
///
/// # Errors
/// Those of reading; `InvalidData` for a state file that does not have its form; those of `each`.
pub fn dump(
    sys: &Sys,
    path: &Path,
    content: Content,
    each: &mut dyn FnMut(Dumped) -> io::Result<()>,
) -> io::Result<()> {
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    match content {
        Content::Batches { .. } => dump_batches(&sys.disk.open(path, Open::Read)?, each),
        Content::OffsetIndex { base } => {
            let index = OffsetIndex::new(base, Entries::open(sys, path.to_path_buf(), OffsetIndex::ENTRY_BYTES)?);
            (0..index.used()?).try_for_each(|i| each(Dumped::Index(index.entry(i)?)))
        }
        Content::TimeIndex { base } => {
            let index = TimeIndex::new(base, Entries::open(sys, path.to_path_buf(), TimeIndex::ENTRY_BYTES)?);
            (0..index.used()?).try_for_each(|i| each(Dumped::Time(index.entry(i)?)))
        }
        Content::TransactionIndex => TransactionIndex::new(sys, path.to_path_buf())
            .entries()?
            .into_iter()
            .try_for_each(|e| each(Dumped::Aborted(e))),
        Content::Producers => {
            let state = parse_snapshot(&read_whole(&sys.disk, path)?).map_err(bad)?;
            let mut producers: Vec<_> = state.iter().collect();
            producers.sort_by_key(|(id, _)| *id);
            producers.into_iter().try_for_each(|(id, entry)| {
                each(Dumped::Producer(DumpedProducer {
                    id,
                    epoch: entry.epoch,
                    last_batch: entry.batches.back().copied(),
                    last_timestamp: entry.last_timestamp,
                    coordinator_epoch: entry.coordinator_epoch,
                    transaction_start: entry.transaction_start,
                }))
            })
        }
        Content::Offsets => {
            let offsets = parse_offsets(&read_whole(&sys.disk, path)?).map_err(bad)?;
            offsets.into_iter().try_for_each(|(partition, offset)| each(Dumped::Offset(partition, offset)))
        }
        Content::Epochs => {
            let epochs = parse_epochs(&read_whole(&sys.disk, path)?).map_err(bad)?;
            epochs.into_iter().try_for_each(|(epoch, start)| each(Dumped::Epoch(epoch, start)))
        }
        Content::Properties | Content::Text => {
            let text = String::from_utf8(read_whole(&sys.disk, path)?).map_err(|_| bad("it is not text".into()))?;
            text.lines().try_for_each(|line| each(Dumped::Line(line.into())))
        }
    }
}

fn dump_batches(file: &AnyFile, each: &mut dyn FnMut(Dumped) -> io::Result<()>) -> io::Result<()> {
    let end = Position(file.stat()?.len);
    let mut scanner = Scanner::new(file, Position::ZERO, end);
    let mut expected = Offset(i64::MIN);
    loop {
        match scanner.next_checked()? {
            Found::End(_) => return Ok(()),
            Found::Batch(position, header) => {
                let data = scanner.batch(position, &header)?.to_vec();
                expected = header.next_offset();
                each(Dumped::Batch(decoded(position, header, data)))?;
            }
            Found::Bad(position, error) => each(Dumped::Damage(scanner.resync(position, expected, &error)?))?,
        }
    }
}

fn decoded(position: Position, header: BatchHeader, mut data: Vec<u8>) -> DumpedBatch {
    let batch = data.clone();
    let limits = SpanLimits { arena_base: 0, most: MOST_BYTES };
    let mut spans = Vec::new();
    let problem = decode_spans(&batch, &header, Offset(i64::MIN), limits, &mut data, &mut spans).err();
    DumpedBatch { position, header, problem, data, spans }
}
