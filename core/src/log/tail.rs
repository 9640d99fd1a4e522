//! What a process derives from the files of a log to append to it.

use std::io;
use std::sync::Arc;

use super::epochs::Epochs;
use super::open_segments::Kept;
use super::producers::ProducerState;
use super::rules::AppendRules;
use crate::config::TopicConfig;
use crate::record::{BatchHeader, ControlRecord, HEADER_BYTES, Records};
use crate::segment::{AbortedTransaction, Cadence, IndexEntry, Segment, TimeEntry};
use crate::sys::FileIdentity;
use crate::types::{LeaderEpoch, Offset, Position, TimestampMs};

/// The derived state, as of `caught_up`. A function of the files: [`Log::catch_up`](super::Log) brings it to any later
/// offset by replaying batch headers, and appending feeds it the same way.
#[derive(Debug)]
pub(super) struct Tail {
    /// Every batch below was taken in.
    pub(super) caught_up: Offset,
    /// The active segment.
    pub(super) segment: Arc<Segment>,
    /// Its file.
    pub(super) file: FileIdentity,
    /// Whether this process has appended to it.
    pub(super) has_written: bool,
    /// Those that it appended to before, while they are not known to be durable.
    pub(super) sealed: Vec<Kept>,
    /// End of its last batch.
    pub(super) position: Position,
    pub(super) cadence: Cadence,
    pub(super) created: TimestampMs,
    /// What is taken off `segment.ms`.
    pub(super) jitter_ms: i64,
    pub(super) producers: ProducerState,
    pub(super) has_snapshots: bool,
    pub(super) epochs: Epochs,
    /// The active segment ends in bytes that are no batch: the next append begins another one.
    pub(super) must_roll: bool,
    /// The topic's settings, as far as an append needs them.
    pub(super) rules: AppendRules,
}

/// What taking a batch in leaves to be written.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) index: Option<(IndexEntry, TimeEntry)>,
    pub(super) aborted: Option<AbortedTransaction>,
}

impl Tail {
    /// Takes in the batch at the end. `control` is its first record when it is a control batch.
    pub(super) fn apply(&mut self, header: &BatchHeader, control: Option<&ControlRecord>) -> Due {
        let index = self.cadence.advance(header, self.position, &self.rules.index);
        let aborted = self.producers.apply(header, control);
        if header.leader_epoch != LeaderEpoch::UNKNOWN
            && self.epochs.latest().is_none_or(|latest| header.leader_epoch > latest)
        {
            self.epochs.assign(header.leader_epoch, header.base_offset);
        }
        self.position = self.position.plus(header.size);
        self.caught_up = header.next_offset();
        Due { index, aborted }
    }
}

/// The control record of a control batch; `None` for data, empty batches and what cannot be read.
pub(super) fn control_record(batch: &[u8], header: &BatchHeader) -> Option<ControlRecord> {
    if !header.is_control() || batch.len() < HEADER_BYTES {
        return None;
    }
    let first = Records::new(header, &batch[HEADER_BYTES..]).next()?.ok()?;
    ControlRecord::parse(first.key, first.value).ok()
}

/// Reads `segment.jitter.ms` worth of chance.
pub(super) fn jitter(config: &TopicConfig, below: impl Fn(u64) -> u64) -> i64 {
    match config.segment_jitter_ms.min(config.segment_ms) {
        0 => 0,
        most => below(most as u64) as i64,
    }
}

/// An error of the disk that carries bad input: kept apart from refusals of the system.
pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
