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
mod foreign;
mod load;
mod lookup;
mod mirror;
mod open_segments;
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
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use append::{Appended, Batch};
pub use checkpoint::{CheckpointFile, Offsets, format_epochs, format_offsets, parse_epochs, parse_offsets};
pub use describe::{BatchDescription, SegmentDescription};
pub use dir::{CLEAN_SHUTDOWN, Fresh, LogDir, Standings, newest_checkpoint};
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
use crate::shm::{Block, Control, Member, State};
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, Open, Sys};
use crate::types::{LeaderEpoch, Offset, TopicPartition, Uuid};
use mirror::{Mirrored, Seen};
use open_segments::Slot;
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
    /// The settings were replaced, and the tail goes by the old ones still.
    has_new_rules: AtomicBool,
    block: Block,
    /// For a reader: what is known of the block that the writers share.
    mirrored: Mirrored,
    /// Threads of this process take turns here, in front of the lock that processes take turns at.
    tail: Mutex<Tail>,
    segments: RwLock<BTreeMap<Offset, Arc<Slot>>>,
    /// The [`changes`] that were known when the list of segments was looked at last.
    seen_segments: AtomicU64,
    /// How many truncations the tail knows of. Under the tail's lock.
    seen_truncations: AtomicU32,
    was_first: bool,
}

/// How often the log was truncated, and how often its list of segments has changed.
fn changes(block: &Block) -> u64 {
    u64::from(block.truncation_generation()) << 32 | u64::from(block.segment_generation())
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("partition", &self.partition).field("block", &*self.block).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log of `partition` in `dir`, recovering it if the directory was not closed in order.
    ///
    /// Readable at once up to the high watermark that `opening` gives. Nothing is written if the directory was clean.
    ///
    /// # Errors
    /// `KafkaStorageError` when the disk refuses; damage is not an error, it goes to `report`. `RequestTimedOut` when another
    /// process keeps the partition's lock.
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
        let mirrored = Mirrored::new(opening.topic_id, dir.shared_memory());
        let begin = |block: Block, loaded: load::Loaded, was_first: bool| Log {
            was_first,
            mirrored,
            wait_rules: WaitRules::of(&config),
            has_new_rules: AtomicBool::new(false),
            seen_segments: AtomicU64::new(changes(&block)),
            seen_truncations: AtomicU32::new(block.truncation_generation()),
            tail: Mutex::new(loaded.tail),
            segments: RwLock::new(loaded.segments),
            config: RwLock::new(config.clone()),
            dir: dir.clone(),
            partition: partition.clone(),
            path: path.clone(),
            block,
        };
        let Some(member) = dir.member() else {
            // Beside a living writer the end of the files means nothing: the block says where the log ends.
            let mut beside = Report::default();
            let report = if dir.is_followed() { &mut beside } else { report };
            let loaded = Self::load_beside_writers(dir, &partition, &path, &config, opening, report)?;
            let block = Block::private().map_err(|e| Error::io("making room for a control block", e))?;
            block.name(opening.topic_id, partition.partition);
            block.reset(&loaded.standing);
            let log = begin(block, loaded, true);
            log.mirror();
            return Ok(log);
        };
        let block = member.block(opening.topic_id, partition.partition)?;
        let held = member.acquire(&block, &partition)?;
        let opened = match block.state() {
            State::Unopened => load::load(dir, &partition, &path, &config, opening, report).map(|loaded| {
                block.reset(&loaded.standing);
                begin(block.clone(), loaded, true)
            }),
            State::Removed => Err(Error::topic_deleted(&partition.topic)),
            // Somebody has it open, so the files are as they should be, but for what a dead holder left.
            State::Open => recover::join(dir, &partition, &path, &config, &block, held.found.must_recover)
                .map(|loaded| begin(block.clone(), loaded, false)),
        };
        held.release();
        opened
    }

    /// For a reader: what was listed may be renamed before it is opened, where others write.
    fn load_beside_writers(
        dir: &Arc<LogDir>,
        partition: &TopicPartition,
        path: &Path,
        config: &Arc<TopicConfig>,
        opening: Opening,
        report: &mut Report,
    ) -> Result<load::Loaded> {
        let mut more = 8;
        loop {
            more -= 1;
            let mut found = Report::default();
            match load::load(dir, partition, path, config, opening, &mut found) {
                Err(_) if more > 0 && dir.shared_memory().is_some() => {}
                loaded => {
                    report.append(found);
                    return loaded;
                }
            }
        }
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
        self.wait_rules.replace(&config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        // Not here: whoever has the tail may wait for another process that is stopped.
        self.has_new_rules.store(true, Ordering::Release);
    }

    fn sys(&self) -> &Sys {
        self.dir.sys()
    }

    /// What this process derived from the files. For whoever is about to take the lock, or only wants to look.
    fn tail(&self) -> MutexGuard<'_, Tail> {
        // A thread that panicked left the lock word behind; the next holder recovers and derives everything anew.
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        // A look first, since there are none nearly always.
        if self.has_new_rules.load(Ordering::Relaxed) && self.has_new_rules.swap(false, Ordering::Acquire) {
            tail.rules = AppendRules::of(&self.config());
        }
        tail
    }

    /// The handle on the directory, for whoever is about to take a lock.
    fn member(&self) -> Result<&Arc<Member>> {
        self.dir.member().ok_or_else(|| {
            Error::new(ErrorCode::ReadOnly, format!("{} was opened for reading only", self.dir.path().display()))
        })
    }

    /// The segments as they are now, whoever made or removed some.
    fn slots(&self) -> Result<Vec<Arc<Slot>>> {
        self.look_for_segments().map_err(|e| Error::io(format_args!("listing {}", self.path.display()), e))?;
        Ok(self.segments.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect())
    }

    /// Takes note of segments that other processes began or removed. Costs a comparison when there are none. Whoever looks
    /// for a record asks after it has seen that the record is there.
    fn look_for_segments(&self) -> io::Result<()> {
        let changes = changes(&self.block);
        let seen = self.seen_segments.load(Ordering::Acquire);
        if seen == changes {
            return Ok(());
        }
        // A truncation puts other files in the place of some.
        let is_cut = seen >> 32 != changes >> 32;
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let entries = self.sys().disk.list(&self.path)?;
        // Files of a segment that is only being begun do not count yet: it may come to nothing.
        let active = self.block.segment_base();
        let how = if self.dir.is_read_only() { Open::Read } else { Open::ReadWrite };
        let mut found = BTreeMap::new();
        for entry in &entries {
            if let Some((base, FileKind::Log, Suffix::None)) = crate::segment::parse_name(&entry.name)
                && base <= active
            {
                let known = segments.get(&base).filter(|slot| !slot.is_absent && !is_cut).cloned();
                let slot = known.unwrap_or_else(|| Slot::new(base, Suffix::None, how));
                found.insert(base, slot);
            }
        }
        // What a reader found in place of a segment, or instead of any.
        segments.retain(|base, slot| (slot.suffix != Suffix::None || *base == active) && !found.contains_key(base));
        found.append(&mut segments);
        *segments = found;
        self.seen_segments.store(changes, Ordering::Release);
        Ok(())
    }

    /// The list was changed by this process: `generation` counts that.
    fn note_segments(&self, generation: u32) {
        let truncations = u64::from(self.block.truncation_generation()) << 32;
        let (before, after) = (u64::from(generation.wrapping_sub(1)), u64::from(generation));
        // Where others changed it as well, it is looked at again.
        let _ = self.seen_segments.compare_exchange(
            truncations | before,
            truncations | after,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    fn publish_roll(&self, base: Offset) {
        self.note_segments(self.block.publish_roll(base, || reached(Point::RollTorn)));
    }

    /// The segment that begins next behind `base`.
    fn slot_behind(&self, base: Offset) -> Option<Arc<Slot>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.range(base.plus(1)..).next().map(|(_, slot)| slot.clone())
    }

    /// For a reader: takes over what the writers say by now. Costs a few loads; nothing where nobody writes.
    #[inline]
    pub fn mirror(&self) {
        if let Some(shared) = self.dir.shared_memory() {
            self.mirror_from(shared);
        }
    }

    fn mirror_from(&self, shared: &Control) {
        match self.mirrored.take(shared, &self.block, self.partition.partition) {
            Seen::Same => {}
            Seen::OtherInstance => {
                self.seen_segments.store(changes(&self.block).wrapping_sub(1), Ordering::Release);
            }
            Seen::Unopened => self.load_again(),
        }
    }

    /// For a reader: the log may have grown without its seeing it, and nobody has it open who would say how far. Whoever
    /// had it last closed it in order, or it would have been recovered, and then it would be open.
    fn load_again(&self) {
        let (topic_id, _) = self.block.named();
        let opening = Opening { leader_epoch: self.block.leader_epoch(), watermark: Watermark::Checkpoint, topic_id };
        let (config, report) = (self.config(), &mut Report::default());
        // What cannot be read now stays as it was seen; opening it reported why.
        let Ok(loaded) = load::load(&self.dir, &self.partition, &self.path, &config, opening, report) else { return };
        if loaded.standing.high_watermark < self.block.high_watermark() {
            return;
        }
        let mut tail = self.tail();
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        self.block.bump_truncation_generation(); // positions from before mean nothing
        self.block.reset(&loaded.standing);
        (*tail, *segments) = (loaded.tail, loaded.segments);
        self.seen_segments.store(changes(&self.block), Ordering::Release);
    }

    /// Opens a segment; `None` for one that another process has deleted meanwhile.
    fn open_unless_deleted(&self, slot: &Arc<Slot>) -> io::Result<Option<Arc<Segment>>> {
        match slot.open(self.dir.open_segments(), &self.path) {
            // The log start moves before the files do.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.is_deleted(slot.base) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// As [`open_unless_deleted`](Self::open_unless_deleted), for calls that say what they were about.
    fn open_slot(&self, slot: &Arc<Slot>) -> Result<Option<Arc<Segment>>> {
        self.open_unless_deleted(slot).map_err(|e| self.io_error("opening", slot.base, FileKind::Log, e))
    }

    /// Base offsets of the segments, ascending.
    pub fn segment_bases(&self) -> Result<Vec<Offset>> {
        Ok(self.slots()?.iter().map(|slot| slot.base).collect())
    }

    /// Bytes in all `.log` files.
    pub fn size(&self) -> Result<u64> {
        let mut size = 0;
        for slot in self.slots()? {
            let Some(segment) = self.open_slot(&slot)? else { continue };
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
        for slot in self.slots()? {
            if self.open_slot(&slot)?.is_none() {
                continue;
            }
            let found = slot.aborted(self.dir.open_segments(), &self.path);
            all.extend(found.map_err(|e| self.io_error("reading", slot.base, FileKind::TxnIndex, e))?);
        }
        Ok(all)
    }

    /// Where the log stands, for the checkpoints.
    pub fn standings(&self) -> Standings {
        Standings::of(&self.block)
    }

    /// Whether this process found the log as it was left, and no other one had it open already.
    pub fn was_opened_first(&self) -> bool {
        self.was_first
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

    /// Makes sure that the log is in order up to its end: what a dead holder of the lock left is settled, and what somebody
    /// else wrote is taken in.
    pub fn look_at_end(&self) -> Result<()> {
        self.acquire(&mut self.tail())?.release();
        Ok(())
    }

    /// Says to every process that the topic was deleted.
    pub fn mark_removed(&self) {
        let mut tail = self.tail();
        let held = self.acquire(&mut tail);
        self.block.mark_removed();
        if let Ok(holding) = held {
            holding.release();
        }
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
