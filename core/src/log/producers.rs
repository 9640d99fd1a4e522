//! What a log knows of the producers that number their batches, and of open transactions.
//!
//! The state is a function of the batches: appending and replaying feed the same [`ProducerState::apply`].
//!
//! Source: `org.apache.kafka.storage.internals.log.ProducerStateManager`; KIP-98.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::record::{BatchHeader, ControlRecord};
use crate::segment::AbortedTransaction;
use crate::types::{Offset, ProducerId, TimestampMs};

/// Batches of a producer that can be recognised when they come again.
const REMEMBERED_BATCHES: usize = 5;

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset minus first offset.
    pub offset_delta: i32,
    /// Its greatest timestamp.
    pub timestamp: TimestampMs,
}

impl AppendedBatch {
    fn first_sequence(&self) -> i32 {
        // Modulo 2^31, downwards.
        ((i64::from(self.last_sequence) - i64::from(self.offset_delta)) & 0x7fff_ffff) as i32
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// What is known of one producer id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its latest epoch.
    pub epoch: i16,
    /// Its last batches, oldest first; at most five, and one after a restart.
    pub batches: VecDeque<AppendedBatch>,
    /// Epoch of the coordinator that wrote its last marker, −1 when there was none.
    pub coordinator_epoch: i32,
    /// Time of its last batch or marker.
    pub last_timestamp: TimestampMs,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

/// Why a producer's batch is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceError {
    /// The epoch is older than one that was seen.
    StaleEpoch {
        /// What was sent.
        sent: i16,
        /// What is known.
        known: i16,
    },
    /// The sequence number does not follow.
    OutOfOrder {
        /// What was sent.
        sent: i32,
        /// The last one known, −1 for none.
        last: i32,
    },
    /// A batch outside a transaction while one is open, or a transactional one that no coordinator announced.
    Transaction(&'static str),
}

/// Producers and transactions of one log.
#[derive(Clone, Debug, Default)]
pub struct ProducerState {
    producers: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by their first offset.
    open: BTreeMap<Offset, ProducerId>,
    /// Transactions that are over but whose marker is not below the high watermark yet: first offset, marker.
    undecided: VecDeque<(Offset, Offset)>,
}

impl ProducerState {
    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// All producers.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    /// Adds what a snapshot says.
    pub fn restore(&mut self, id: ProducerId, entry: ProducerEntry) {
        if let Some(start) = entry.transaction_start {
            self.open.insert(start, id);
        }
        self.producers.insert(id, entry);
    }

    /// Forgets producers without an open transaction whose last batch is older than `expiration_ms`.
    pub fn expire(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.producers.retain(|_, entry| {
            entry.transaction_start.is_some() || now.0.saturating_sub(entry.last_timestamp.0) < expiration_ms
        });
    }

    /// The earlier batch that a client's batch repeats, if it does.
    pub fn duplicate_of(&self, header: &BatchHeader) -> Option<&AppendedBatch> {
        let entry = self.producers.get(&header.producer_id).filter(|entry| entry.epoch == header.producer_epoch)?;
        let same = |batch: &&AppendedBatch| {
            batch.first_sequence() == header.base_sequence && batch.last_sequence == header.last_sequence()
        };
        entry.batches.iter().find(same)
    }

    /// Whether a client's batch may follow what is known of its producer. An unknown producer may begin anywhere, since
    /// its state may have expired.
    ///
    /// # Errors
    /// See [`SequenceError`].
    pub fn check(&self, header: &BatchHeader) -> Result<(), SequenceError> {
        if header.is_transactional() {
            return Err(SequenceError::Transaction(
                "transactional batches need a coordinator, which klog does not have yet",
            ));
        }
        let Some(entry) = self.producers.get(&header.producer_id) else {
            return Ok(());
        };
        if header.producer_epoch < entry.epoch {
            return Err(SequenceError::StaleEpoch { sent: header.producer_epoch, known: entry.epoch });
        }
        let last = entry.batches.back().map_or(-1, |batch| batch.last_sequence);
        let follows = if header.producer_epoch > entry.epoch {
            header.base_sequence == 0 || entry.epoch == -1
        } else {
            i64::from(header.base_sequence) == i64::from(last) + 1 || (header.base_sequence == 0 && last == i32::MAX)
        };
        if !follows {
            return Err(SequenceError::OutOfOrder { sent: header.base_sequence, last });
        }
        if entry.transaction_start.is_some() {
            return Err(SequenceError::Transaction("the producer has an open transaction"));
        }
        Ok(())
    }

    /// Takes an appended batch in. `control` is the first record of a control batch. Returns the aborted transaction that
    /// a marker ended, for the transaction index.
    pub fn apply(&mut self, header: &BatchHeader, control: Option<&ControlRecord>) -> Option<AbortedTransaction> {
        if !header.producer_id.is_some() {
            return None;
        }
        if header.is_control() {
            return self.apply_marker(header, control?);
        }
        let id = header.producer_id;
        let entry = self.producers.entry(id).or_insert_with(|| ProducerEntry::new(header.producer_epoch));
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        entry.last_timestamp = header.max_timestamp;
        if entry.batches.len() == REMEMBERED_BATCHES {
            entry.batches.pop_front();
        }
        entry.batches.push_back(AppendedBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        if header.is_transactional() && entry.transaction_start.is_none() {
            entry.transaction_start = Some(header.base_offset);
            self.open.insert(header.base_offset, id);
        }
        None
    }

    fn apply_marker(&mut self, header: &BatchHeader, control: &ControlRecord) -> Option<AbortedTransaction> {
        let (coordinator_epoch, is_abort) = match control {
            ControlRecord::Abort { coordinator_epoch } => (*coordinator_epoch, true),
            ControlRecord::Commit { coordinator_epoch } => (*coordinator_epoch, false),
            _ => return None,
        };
        let id = header.producer_id;
        let entry = self.producers.entry(id).or_insert_with(|| ProducerEntry::new(header.producer_epoch));
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        entry.coordinator_epoch = coordinator_epoch;
        entry.last_timestamp = header.max_timestamp;
        let first_offset = entry.transaction_start.take()?;
        self.open.remove(&first_offset);
        let last_offset = header.last_offset();
        self.undecided.push_back((first_offset, last_offset));
        let aborted = AbortedTransaction {
            producer_id: id,
            first_offset,
            last_offset,
            // The oldest transaction that is still open bounds it; not the watermark.
            last_stable_offset: self.open.keys().next().copied().unwrap_or(last_offset.plus(1)),
        };
        is_abort.then_some(aborted)
    }

    /// The first offset that is not decided: of the oldest open transaction, or of one whose marker is not visible yet.
    pub fn first_unstable(&mut self, high_watermark: Offset) -> Option<Offset> {
        if self.undecided.is_empty() && self.open.is_empty() {
            return None; // as of every log without transactions
        }
        self.undecided.retain(|(_, marker)| *marker >= high_watermark);
        let undecided = self.undecided.iter().map(|(first, _)| *first).min();
        let open = self.open.keys().next().copied();
        undecided.into_iter().chain(open).min()
    }

    /// Open transactions: first offset and producer.
    pub fn open_transactions(&self) -> impl Iterator<Item = (Offset, ProducerId)> {
        self.open.iter().map(|(offset, id)| (*offset, *id))
    }
}

impl ProducerEntry {
    fn new(epoch: i16) -> Self {
        ProducerEntry {
            epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp: TimestampMs::NONE,
            transaction_start: None,
        }
    }
}
