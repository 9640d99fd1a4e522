//! Beginning a new segment.
//!
//! Source: `org.apache.kafka.storage.internals.log.LogSegment#shouldRoll`, `LocalLog#roll`.

use std::io;

use super::tail::{Tail, jitter};
use super::{Log, LogDir};
use crate::config::TopicConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::record::BatchHeader;
use crate::segment::{Cadence, FileKind, Segment, Suffix, file_name};
use crate::shm::Dirty;
use crate::sys::points::{Point, reached};
use crate::sys::{Clock, Disk, File, FileIdentity, Open};
use crate::types::{METADATA_TOPIC, Offset, Position};

impl Tail {
    /// Begins `segment`, which is empty.
    pub(super) fn begin(
        &mut self,
        segment: std::sync::Arc<Segment>,
        file: FileIdentity,
        config: &TopicConfig,
        dir: &LogDir,
        flushed: Offset,
    ) {
        let sys = dir.sys();
        self.file = file;
        self.caught_up = segment.base();
        self.position = Position::ZERO;
        self.cadence = Cadence::new(segment.base());
        self.created = sys.clock.now();
        self.jitter_ms = jitter(config, |most| sys.random_below(most));
        self.must_roll = false;
        let end = segment.base();
        let before = std::mem::replace(&mut self.segment, segment);
        self.let_go(flushed);
        if std::mem::take(&mut self.has_written) {
            self.sealed.push(dir.open_segments().keep(before, end));
        }
    }

    /// Segments that were appended to may be closed when everything in them is durable.
    pub(super) fn let_go(&mut self, flushed: Offset) {
        self.sealed.retain(|kept| kept.end > flushed);
    }

    /// Whether a batch must go into a new segment: for size, age, a full index, or an offset too far from the base.
    fn must_roll_for(&self, header: &BatchHeader, clock: &impl Clock) -> io::Result<bool> {
        if self.must_roll {
            return Ok(true);
        }
        let size = self.position.0;
        if size + header.size as u64 > self.rules.segment_bytes {
            return Ok(true);
        }
        if size > 0 {
            let waited = match self.cadence.first_timestamp() {
                Some(first) if first.0 >= 0 => header.max_timestamp.0.saturating_sub(first.0),
                // Not asked for before: a clock call costs as much as all the rest of this.
                _ => clock.now().0.saturating_sub(self.created.0),
            };
            if waited > self.rules.segment_age_ms - self.jitter_ms {
                return Ok(true);
            }
        }
        let (offsets, times) = (self.segment.offset_index()?.len(), self.segment.time_index()?.len());
        let too_far = header.last_offset().0 - self.segment.base().0 > i64::from(i32::MAX);
        Ok(too_far || self.rules.index.is_full(offsets, times))
    }
}

impl Log {
    /// Begins a new segment if the batch that comes next asks for one. Under the lock.
    pub(super) fn roll_if_due(&self, tail: &mut Tail, header: &BatchHeader) -> Result<()> {
        let due = tail.must_roll_for(header, &self.sys().clock);
        if due.map_err(|e| self.io_error("reading an index of", tail.segment.base(), FileKind::Log, e))? {
            self.roll_to(tail, header.base_offset.max(self.block.log_end()))?;
        }
        Ok(())
    }

    /// Begins the segment at `base`. Nothing is waited for: the flush group syncs the old segment, then the directory,
    /// then the new segment, before anything in it counts as durable.
    pub(super) fn roll_to(&self, tail: &mut Tail, base: Offset) -> Result<()> {
        if base == tail.segment.base() && tail.position == Position::ZERO {
            return Ok(()); // an empty segment serves as its own successor
        }
        if base == tail.segment.base() {
            return Err(self.stands_in_the_way(tail));
        }
        self.dir.check_place()?;
        self.block.set_dirty(Dirty::Roll, base);
        let old = tail.segment.clone();
        match self.switch_segments(tail, base) {
            Ok(()) => {
                self.block.clear_dirty();
                Ok(())
            }
            Err(cause) => {
                // What was made so far is removed; if that fails too, the next holder finds `dirty` and the file.
                let _ = self.forget_segment(base);
                if tail.segment.base() == old.base() && self.block.segment_base() == old.base() {
                    self.block.clear_dirty();
                }
                Err(Error::io(format_args!("beginning segment {base} of {}", self.partition), cause))
            }
        }
    }

    /// A segment from whose first batch on everything is damaged ends where it begins. It is left in place.
    fn stands_in_the_way(&self, tail: &Tail) -> Error {
        Error::new(
            ErrorCode::KafkaStorageError,
            format!(
                "{}: nothing in {} can be read, although it was durable; nothing is written over it. Move it away to go on",
                self.partition,
                self.relative(tail.segment.base(), FileKind::Log)
            ),
        )
    }

    fn switch_segments(&self, tail: &mut Tail, base: Offset) -> io::Result<()> {
        let old = &tail.segment;
        if !tail.must_roll {
            old.time_index()?.push_if_later(tail.cadence.greatest())?;
            self.give_room_back(tail)?;
        }
        old.offset_index()?.trim()?;
        old.time_index()?.trim()?;
        self.snapshot_at(tail, base)?;
        let disk = &self.sys().disk;
        for kind in [FileKind::Index, FileKind::TimeIndex] {
            // A leftover of an interrupted roll holds nothing that counts.
            disk.open(&self.path.join(file_name(base, kind, Suffix::None)), Open::Create)?.set_len(0)?;
        }
        let path = self.path.join(file_name(base, FileKind::Log, Suffix::None));
        let log = disk.open(&path, Open::Create)?;
        log.set_len(0)?;
        if self.config().preallocate {
            log.set_len(self.config().segment_bytes as u64)?;
        }
        let new = Segment::open(self.sys(), &self.path, base, Suffix::None, Open::ReadWrite)?;
        let identity = new.log().stat()?.identity;
        reached(Point::RollCreated);
        // Nothing fails from here on.
        self.publish_roll(base);
        self.begin_segment(tail, new, identity);
        Ok(())
    }

    /// Cuts off what was preallocated of the active segment, once nothing more is appended to it: a recovery takes zeros in
    /// the middle of a log for its end. What lies behind the end of the metadata log is a broker's.
    ///
    /// Source: `org.apache.kafka.storage.internals.log.LogSegment#onBecomeInactiveSegment`.
    pub(super) fn give_room_back(&self, tail: &Tail) -> io::Result<()> {
        let (segment, end) = (&tail.segment, tail.position.0);
        if self.partition.topic != METADATA_TOPIC && segment.log_len()? > end {
            segment.log().set_len(end)?;
        }
        Ok(())
    }

    fn snapshot_at(&self, tail: &mut Tail, base: Offset) -> io::Result<()> {
        let path = self.path.join(file_name(base, FileKind::Snapshot, Suffix::None));
        let file = self.sys().disk.open(&path, Open::Create)?;
        let content = super::format_snapshot(&tail.producers);
        file.set_len(0)?;
        crate::sys::write_all_at(&file, &content, 0)?;
        tail.has_snapshots = true;
        Ok(())
    }

    fn forget_segment(&self, base: Offset) -> io::Result<()> {
        let disk = &self.sys().disk;
        for kind in [FileKind::Log, FileKind::Index, FileKind::TimeIndex, FileKind::Snapshot] {
            match disk.remove_file(&self.path.join(file_name(base, kind, Suffix::None))) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}
