//! One partition of one replica: an ordered list of segments, appended to at its end.
//!
//! What is shared with others is in the control block; what this process derived from the files is in the [`Tail`] and can
//! be derived again at any time. `append` writes, `flush` makes durable, `read` reads, `roll` and `retention` change the
//! list of segments, `load` and `recover` find out where a log stands.
//!
//! Source: `org.apache.kafka.storage.internals.log.UnifiedLog`, `LocalLog`, `LogLoader`.

mod append;
mod checkpoint;
mod cut;
mod describe;
mod dir;
mod epochs;
mod flush;
mod load;
mod lookup;
mod producers;
mod read;
mod recover;
mod report;
mod retention;
mod roll;
mod rules;
mod snapshot;
mod tail;
mod truncate;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

pub use append::{Appended, Batch};
pub use checkpoint::{CheckpointFile, Offsets, format_epochs, format_offsets, parse_epochs, parse_offsets};
pub use describe::{BatchDescription, SegmentDescription};
pub use dir::{CLEAN_SHUTDOWN, Fresh, LogDir, Standings};
pub use epochs::Epochs;
pub use load::{Opening, Watermark, create_partition};
pub use lookup::{FoundTime, OffsetSpec};
pub use producers::{AppendedBatch, ProducerEntry, ProducerState, SequenceError};
pub use read::{Chunk, Cursor, Fetch};
pub use report::{Cut, Finding, Report};
pub use retention::Expired;
pub use snapshot::{format_snapshot, parse_snapshot};

use crate::config::{Durability, TopicConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{AbortedTransaction, FileKind, Segment, Suffix};
use crate::shm::{AppendLock, Block, SlotToken};
use crate::sys::{Open, Sys};
use crate::types::{LeaderEpoch, Offset, TopicPartition, Uuid};
use rules::{AppendRules, WaitRules};
use tail::Tail;

/// Name of the file that says which topic a partition directory belongs to.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// What that file says.
pub fn format_partition_metadata(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}
/// Name of the file that holds the leader epochs.
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";

/// The log of one partition.
pub struct Log {
    partition: TopicPartition,
    path: PathBuf,
    dir: Arc<LogDir>,
    config: RwLock<Arc<TopicConfig>>,
    wait_rules: WaitRules,
    block: Block,
    lock: AppendLock,
    /// Threads of this process take turns here, in front of the lock that processes take turns at.
    tail: Mutex<Tail>,
    segments: RwLock<BTreeMap<Offset, Arc<Slot>>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("partition", &self.partition).field("block", &*self.block).finish_non_exhaustive()
    }
}

/// A segment in the list; opened when somebody needs it.
pub(crate) struct Slot {
    base: Offset,
    suffix: Suffix,
    how: Open,
    segment: OnceLock<Arc<Segment>>,
    /// Aborted transactions that were found by reading the log, for a reader who may not write an index.
    aborted: OnceLock<Vec<AbortedTransaction>>,
}

impl Slot {
    fn new(base: Offset, suffix: Suffix, how: Open) -> Arc<Slot> {
        Arc::new(Slot { base, suffix, how, segment: OnceLock::new(), aborted: OnceLock::new() })
    }

    fn of(segment: Arc<Segment>, how: Open) -> Arc<Slot> {
        let slot = Slot::new(segment.base(), Suffix::None, how);
        let _ = slot.segment.set(segment);
        slot
    }

    fn open(&self, sys: &Sys, path: &Path) -> io::Result<&Arc<Segment>> {
        if let Some(segment) = self.segment.get() {
            return Ok(segment);
        }
        let segment = Arc::new(Segment::open(sys, path, self.base, self.suffix, self.how)?);
        Ok(self.segment.get_or_init(|| segment))
    }

    fn aborted(&self, sys: &Sys, path: &Path) -> io::Result<Vec<AbortedTransaction>> {
        match self.aborted.get() {
            Some(found) => Ok(found.clone()),
            None => self.open(sys, path)?.transaction_index().entries(),
        }
    }
}

impl Log {
    /// Opens the log of `partition` in `dir`, recovering it if the directory was not closed in order.
    ///
    /// Readable at once up to the high watermark that `opening` gives. Nothing is written if the directory was clean.
    ///
    /// # Errors
    /// `KafkaStorageError` when the disk refuses; damage is not an error, it goes to `report`.
    ///
    /// Source: `org.apache.kafka.storage.internals.log.LogLoader#load`.
    pub fn open(
        dir: &Arc<LogDir>,
        partition: TopicPartition,
        config: Arc<TopicConfig>,
        opening: Opening,
        report: &mut Report,
    ) -> Result<Log> {
        let path = dir.path().join(partition.to_string());
        let loaded = load::load(dir, &partition, &path, &config, opening, report)?;
        let block = Block::default();
        block.reset(&loaded.standing);
        Ok(Log {
            partition,
            path,
            dir: dir.clone(),
            wait_rules: WaitRules::of(&config),
            config: RwLock::new(config),
            block,
            lock: AppendLock::Exclusive(SlotToken::ALONE),
            tail: Mutex::new(loaded.tail),
            segments: RwLock::new(loaded.segments),
        })
    }

    /// Which partition it is.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory it shares with others.
    pub fn dir(&self) -> &Arc<LogDir> {
        &self.dir
    }

    /// The shared words: offsets, watermarks, epochs.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The topic's settings.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `klog.durability`, without a lock.
    pub fn durability(&self) -> Durability {
        self.wait_rules.durability()
    }

    /// `flush.messages`, without a lock.
    pub fn flush_messages(&self) -> i64 {
        self.wait_rules.flush_messages()
    }

    /// Replaces them. An append that is under way ends by the old ones first; every later one goes by these.
    pub fn set_config(&self, config: Arc<TopicConfig>) {
        // The tail is held all the while: whoever derives it anew asks for the settings under the same lock.
        let mut tail = self.tail();
        tail.rules = AppendRules::of(&config);
        self.wait_rules.replace(&config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    fn sys(&self) -> &Sys {
        self.dir.sys()
    }

    /// What this process derived from the files. For whoever is about to take the lock, or only wants to look.
    fn tail(&self) -> MutexGuard<'_, Tail> {
        // A thread that panicked left the lock word behind; the next holder recovers and derives everything anew.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn open_slot<'a>(&self, slot: &'a Slot) -> Result<&'a Arc<Segment>> {
        slot.open(self.sys(), &self.path).map_err(|e| self.io_error("opening", slot.base, FileKind::Log, e))
    }

    /// Base offsets of the segments, ascending.
    pub fn segment_bases(&self) -> Vec<Offset> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Bytes in all `.log` files.
    pub fn size(&self) -> Result<u64> {
        let mut size = 0;
        for slot in self.slots() {
            let segment = self.open_slot(&slot)?;
            size += segment.log_len().map_err(|e| self.io_error("measuring", slot.base, FileKind::Log, e))?;
        }
        Ok(size)
    }

    /// The leader epochs, and where each begins.
    pub fn epochs(&self) -> Epochs {
        self.tail().epochs.clone()
    }

    /// A copy of what is known of producers and transactions.
    pub fn producers(&self) -> ProducerState {
        self.tail().producers.clone()
    }

    /// Transactions that were given up, in order of their markers.
    pub fn aborted_transactions(&self) -> Result<Vec<AbortedTransaction>> {
        let mut all = Vec::new();
        for slot in self.slots() {
            let found = slot.aborted(self.sys(), &self.path);
            all.extend(found.map_err(|e| self.io_error("reading", slot.base, FileKind::TxnIndex, e))?);
        }
        Ok(all)
    }

    /// Where the log stands, for the checkpoints.
    pub fn standings(&self) -> Standings {
        Standings {
            recovery_point: self.block.flushed(),
            log_start: self.block.log_start(),
            first_base: self.segment_bases().first().copied().unwrap_or(Offset::ZERO),
            high_watermark: self.block.high_watermark(),
        }
    }

    /// The error of a log that is closed for writing, if it is.
    pub fn check_failure(&self) -> Result<()> {
        let Some(failure) = self.block.failure() else {
            return Ok(());
        };
        let cause = io::Error::from_raw_os_error(failure.os_code);
        Err(Error::storage(
            format_args!(
                "{} is closed for writing since {}; reopen it after a check",
                self.partition, failure.operation
            ),
            cause,
        ))
    }

    fn io_error(&self, doing: &str, base: Offset, kind: FileKind, cause: io::Error) -> Error {
        let file = self.path.join(crate::segment::file_name(base, kind, Suffix::None));
        Error::io(format_args!("{doing} {}", file.display()), cause)
    }

    /// Name of a file relative to the log directory, for messages.
    fn relative(&self, base: Offset, kind: FileKind) -> String {
        format!("{}/{}", self.partition, crate::segment::file_name(base, kind, Suffix::None))
    }

    /// Refuses an offset that no reader can stand at.
    pub fn check_position(&self, offset: Offset) -> Result<()> {
        if offset < self.block.log_start() || offset > self.block.log_end() {
            return Err(self.out_of_range(offset));
        }
        Ok(())
    }

    fn out_of_range(&self, offset: Offset) -> Error {
        Error::new(
            ErrorCode::OffsetOutOfRange,
            format!(
                "offset {offset} is out of range: {} starts at {} and ends at {}",
                self.partition,
                self.block.log_start(),
                self.block.log_end()
            ),
        )
    }

    /// Begins a leader epoch: batches are stamped with it from now on.
    pub fn begin_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        let mut tail = self.tail();
        self.dir.begin_writing()?;
        let held = self.acquire(&mut tail)?;
        if epoch < self.block.leader_epoch() {
            held.release();
            return Ok(()); // somebody else has begun a later one
        }
        self.block.set_leader_epoch(epoch);
        let end = self.block.log_end();
        let result = self.assign_epoch(&mut tail, epoch, end);
        held.release();
        result
    }
}
