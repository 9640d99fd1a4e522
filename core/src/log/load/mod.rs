//! Finding out where a log stands.
//!
//! In this order, as Kafka does it: leftovers of deletions and swaps are settled; segments without an index, or with a bad
//! transaction index, are rebuilt; after an unclean end every segment from the recovery point on is rebuilt and checked
//! batch by batch; the log start, leader epochs and producer state follow.
//!
//! Where Kafka deletes what it cannot vouch for, klog keeps it: what is cut off lies beside the segment afterwards, and
//! damage below the recovery point, which was durable once, is not cut at all. A reader who may not write gets the same
//! answer, with rebuilt indexes in memory.
//!
//! Source: `org.apache.kafka.storage.internals.log.LogLoader`.

mod check;
mod files;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{CheckpointFile, format_epochs};
use super::cut::Scissors;
use super::dir::LogDir;
use super::producers::ProducerState;
use super::report::Report;
use super::rules::{AppendRules, index_rules};
use super::tail::{Tail, jitter};
use super::{LEADER_EPOCHS, PARTITION_METADATA, Slot, format_partition_metadata};
use crate::config::TopicConfig;
use crate::error::{Error, Result};
use crate::segment::{Cadence, DamagedRange, FileKind, IndexRules, Segment, Suffix, file_name};
use crate::shm::Standing;
use crate::sys::{Disk, File, Open, Sys, write_all_at};
use crate::types::{LeaderEpoch, METADATA_TOPIC, Offset, Position, TopicPartition, Uuid};

/// What the metadata says of a log that is about to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The partition's leader epoch; batches are stamped with it.
    pub leader_epoch: LeaderEpoch,
    /// How far readers may see.
    pub watermark: Watermark,
    /// The topic's id: whose control block the partition has.
    pub topic_id: Uuid,
}

/// How far readers may see of a log that was just opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermark {
    /// To the end: this is the only replica.
    LogEnd,
    /// To what the checkpoint says: other replicas may lack what is behind it.
    Checkpoint,
}

pub(super) struct Loaded {
    pub(super) standing: Standing,
    pub(super) tail: Tail,
    pub(super) segments: BTreeMap<Offset, Arc<Slot>>,
}

/// Makes the directory of a new partition: the files that a broker makes when it becomes the leader. Whatever an
/// interrupted attempt left is completed.
pub fn create_partition(dir: &LogDir, partition: &TopicPartition, topic_id: Uuid, epoch: LeaderEpoch) -> Result<()> {
    dir.check_place()?;
    dir.begin_writing()?;
    let path = dir.path().join(partition.to_string());
    let make = || -> io::Result<()> {
        let disk = &dir.sys().disk;
        match disk.create_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        let first = Offset::ZERO;
        for kind in [FileKind::Log, FileKind::Index, FileKind::TimeIndex] {
            disk.open(&path.join(file_name(first, kind, Suffix::None)), Open::Create)?;
        }
        let put = |name: &str, content: &[u8]| -> io::Result<()> {
            let file = disk.open(&path.join(name), Open::Create)?;
            file.set_len(0)?;
            write_all_at(&file, content, 0)?;
            file.sync_data()
        };
        put(LEADER_EPOCHS, &format_epochs(&[(epoch, first)]))?;
        put(PARTITION_METADATA, format_partition_metadata(topic_id).as_bytes())?;
        disk.sync_dir(&path)?;
        disk.sync_dir(dir.path())
    };
    make().map_err(|e| {
        dir.mark_failed(); // what is there may not be durable: the next opener looks at it
        Error::io(format_args!("creating {}", path.display()), e)
    })
}

pub(super) fn load(
    dir: &LogDir,
    partition: &TopicPartition,
    path: &Path,
    config: &TopicConfig,
    opening: Opening,
    report: &mut Report,
) -> Result<Loaded> {
    let mut loader = Loader {
        sys: dir.sys(),
        dir,
        partition,
        path,
        rules: index_rules(config),
        config,
        read_only: dir.is_read_only(),
        report,
        clean: dir.is_settled(),
        trusts_missing_snapshots: dir.is_settled(),
        log_start: None,
        carried: None,
    };
    let result = loader.run(opening);
    if result.is_err() {
        dir.mark_failed();
    }
    result
}

/// Derives everything anew behind a holder that died, while the directory is in use: as after an orderly end, since the
/// cache is as good as it was.
pub(super) fn load_again(
    dir: &LogDir,
    partition: &TopicPartition,
    path: &Path,
    config: &TopicConfig,
    opening: Opening,
    log_start: Offset,
    report: &mut Report,
) -> Result<Loaded> {
    let mut loader = Loader {
        sys: dir.sys(),
        dir,
        partition,
        path,
        rules: index_rules(config),
        config,
        read_only: false,
        report,
        clean: true,
        trusts_missing_snapshots: false,
        log_start: Some(log_start),
        carried: None,
    };
    loader.run(opening)
}

struct Loader<'a> {
    sys: &'a Sys,
    dir: &'a LogDir,
    partition: &'a TopicPartition,
    path: &'a Path,
    rules: IndexRules,
    config: &'a TopicConfig,
    read_only: bool,
    report: &'a mut Report,
    /// Whether nothing needs to be checked: an orderly end, or a cache that is still there.
    clean: bool,
    /// Whether a log without snapshots never had a producer that numbers its batches.
    trusts_missing_snapshots: bool,
    /// Where the log begins, when that is known from those who have it open. The checkpoints say nothing then.
    log_start: Option<Offset>,
    /// Producer state as of an offset, so that segments that are checked one after the other are replayed once.
    carried: Option<(Offset, ProducerState)>,
}

/// Where the checked part of the log ends.
struct End {
    offset: Offset,
    position: Position,
    cadence: Cadence,
    must_roll: bool,
}

impl Loader<'_> {
    fn run(&mut self, opening: Opening) -> Result<Loaded> {
        let recovery_point = self.checkpoint(CheckpointFile::RecoveryPoint);
        let log_start_checkpoint = self.checkpoint(CheckpointFile::LogStart);
        let mut segments = self.list_segments()?;
        let clean = self.clean;
        let mut epochs = self.read_epochs(&segments)?;
        let before = epochs.clone();
        let mut end = self.check_segments(&mut segments, clean, recovery_point, &mut epochs)?;
        if end.offset < log_start_checkpoint {
            end = self.start_over(&mut segments, log_start_checkpoint)?;
        }
        let first = segments.keys().next().copied().unwrap_or(end.offset);
        let log_start = log_start_checkpoint.max(first);
        self.raise_to_checkpoints(&mut segments, &mut end)?;
        // An entry that begins at the end is the current leader's, which has written nothing yet.
        epochs.truncate_from_end(end.offset.plus(1));
        epochs.truncate_from_start(log_start_checkpoint);
        if epochs != before && !self.read_only && self.dir.is_writing() {
            self.write_epochs(&epochs)?;
        }
        let (mut producers, has_snapshots) = self.load_producers(&segments, log_start, end.offset)?;
        let high_watermark = match opening.watermark {
            Watermark::LogEnd => end.offset,
            Watermark::Checkpoint => self.checkpoint(CheckpointFile::HighWatermark).clamp(log_start, end.offset),
        };
        let (_, active) = segments.last_key_value().expect("check_segments leaves at least one segment");
        let segment = active
            .open(self.dir.open_segments(), self.path)
            .map_err(|e| self.error("opening the active segment", e))?;
        let standing = Standing {
            segment_base: segment.base(),
            position: end.position,
            log_end: end.offset,
            high_watermark,
            log_start,
            first_unstable: producers.first_unstable(high_watermark).map(|offset| offset.max(log_start)),
            flushed: end.offset,
            first_base: first,
            leader_epoch: opening.leader_epoch.max(epochs.latest().unwrap_or(LeaderEpoch(0))),
        };
        let file = segment.log().stat().map_err(|e| self.error("looking at the active segment", e))?.identity;
        let tail = Tail {
            caught_up: end.offset,
            segment,
            file,
            has_written: false,
            sealed: Vec::new(),
            position: end.position,
            cadence: end.cadence,
            created: crate::sys::Clock::now(&self.sys.clock),
            jitter_ms: jitter(self.config, |most| self.sys.random_below(most)),
            producers,
            has_snapshots,
            epochs,
            must_roll: end.must_roll,
            rules: AppendRules::of(self.config),
        };
        Ok(Loaded { standing, tail, segments })
    }

    fn checkpoint(&self, file: CheckpointFile) -> Offset {
        if let Some(log_start) = self.log_start {
            return if file == CheckpointFile::LogStart { log_start } else { Offset::ZERO };
        }
        self.dir.checkpoint(file, self.partition).unwrap_or(Offset::ZERO)
    }

    fn error(&self, doing: &str, cause: io::Error) -> Error {
        Error::io(format_args!("{doing} of {}", self.path.display()), cause)
    }

    fn how(&self) -> Open {
        if self.read_only { Open::Read } else { Open::ReadWrite }
    }

    fn relative(&self, base: Offset, kind: FileKind) -> String {
        format!("{}/{}", self.partition, file_name(base, kind, Suffix::None))
    }

    /// An empty log that begins at `offset`.
    fn begin_at(&mut self, segments: &mut BTreeMap<Offset, Arc<Slot>>, offset: Offset) -> Result<End> {
        let make = || -> io::Result<Arc<Slot>> {
            for kind in [FileKind::Index, FileKind::TimeIndex, FileKind::Log] {
                self.sys.disk.open(&self.path.join(file_name(offset, kind, Suffix::None)), Open::Create)?;
            }
            self.sys.disk.sync_dir(self.path)?;
            Ok(Slot::new(offset, Suffix::None, Open::ReadWrite))
        };
        let slot = if self.read_only {
            Slot::absent(Segment::absent(self.sys, self.path, offset))
        } else {
            self.dir.begin_writing()?;
            make().map_err(|e| self.error("beginning the log", e))?
        };
        segments.insert(offset, slot);
        Ok(End { offset, position: Position::ZERO, cadence: Cadence::new(offset), must_roll: false })
    }

    /// What cuts the end off this log.
    fn scissors(&mut self) -> Scissors<'_> {
        Scissors {
            sys: self.sys,
            open_segments: self.dir.open_segments(),
            partition: self.partition,
            path: self.path,
            read_only: self.read_only,
            report: self.report,
        }
    }

    /// Everything lies below the log start offset: all of it was deleted before.
    fn start_over(&mut self, segments: &mut BTreeMap<Offset, Arc<Slot>>, at: Offset) -> Result<End> {
        if self.read_only {
            let (_, last) = segments.last_key_value().expect("there is at least one segment");
            let len = last.open(self.dir.open_segments(), self.path).and_then(|segment| segment.log_len());
            let len = len.map_err(|e| self.error("measuring a segment", e))?;
            return Ok(End { offset: at, position: Position(len), cadence: Cadence::new(at), must_roll: true });
        }
        self.dir.begin_writing()?;
        // Kept: the checkpoint has no checksum, and what it says may never have been meant.
        let kept = self.scissors().set_aside_all(segments, at);
        kept.map_err(|e| self.error("setting old segments aside", e))?;
        self.begin_at(segments, at)
    }

    /// Where a log goes on whose last bytes are damaged although they were durable once: at the recovery point, if the bytes
    /// can have held that many records. Offsets are not given out a second time.
    fn end_behind(&self, damage: &DamagedRange) -> Offset {
        const LEAST_RECORD_BYTES: u64 = 7;
        let durable = self.checkpoint(CheckpointFile::RecoveryPoint);
        let most = (damage.end.0 - damage.position.0) / LEAST_RECORD_BYTES + 1;
        let missing = durable.0.saturating_sub(damage.first_offset.0);
        if missing > 0 && missing as u64 <= most { durable } else { damage.first_offset }
    }

    /// Where checkpoints agree that the log went further than it does now, offsets are not given out a second time.
    fn raise_to_checkpoints(&mut self, segments: &mut BTreeMap<Offset, Arc<Slot>>, end: &mut End) -> Result<()> {
        /// No log has so many offsets; what is written behind the last one would find none.
        const BEYOND: Offset = Offset(1 << 62);
        let base = segments.keys().next_back().copied().unwrap_or_default();
        let fits = |offset: Offset| offset.0 - base.0 <= i64::from(u32::MAX); // the offsets of one segment
        let known = |file| self.checkpoint(file);
        let mut durable = known(CheckpointFile::RecoveryPoint);
        if self.partition.topic != METADATA_TOPIC {
            durable = durable.min(known(CheckpointFile::HighWatermark)); // the metadata log has none there
        }
        if durable <= end.offset {
            return Ok(());
        }
        // A single file without a checksum does not move the metadata by four thousand million changes.
        if durable >= BEYOND || self.partition.topic == METADATA_TOPIC && !fits(durable) {
            let what =
                format!("checkpoints say that it was durable up to {durable}, which cannot be: they are not believed");
            self.report.finding(self.partition.to_string(), what);
            return Ok(());
        }
        self.report.finding(
            self.partition.to_string(),
            format!("it ends at offset {} and was durable up to {durable}: the records between are lost", end.offset),
        );
        if fits(durable) {
            end.offset = durable;
            end.must_roll = true;
        } else {
            *end = self.begin_at(segments, durable)?;
        }
        Ok(())
    }
}
