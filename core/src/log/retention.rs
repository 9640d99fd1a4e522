//! Deleting what is old: whole segments, oldest first.
//!
//! The log start offset moves first, durably; then files are renamed to `.deleted`, which takes them out of the log and
//! leaves readers their descriptors; after `file.delete.delay.ms` they are removed. An interruption at any point leaves a
//! log without a hole, because nothing below the log start offset is ever shown.
//!
//! Source: `org.apache.kafka.storage.internals.log.UnifiedLog#deleteOldSegments`; KIP-107 for `deleteRecords`.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::checkpoint::CheckpointFile;
use super::{Log, Slot};
use crate::config::TopicConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{FileKind, Suffix, file_name};
use crate::sys::points::{Point, reached};
use crate::sys::{Clock, Disk, File};
use crate::types::{Offset, TimestampMs};

/// Files that were taken out of a log and wait to be removed.
#[derive(Debug, Default)]
pub struct Expired {
    /// Their paths.
    pub files: Vec<PathBuf>,
    /// When they may be removed.
    pub remove_at: Option<TimestampMs>,
    /// How many segments they were.
    pub segments: usize,
}

impl Log {
    /// Deletes the segments that the topic's retention lets go of, by log start offset, size and time. Never anything at or
    /// above the high watermark.
    ///
    /// What is to be removed later is added to `expired`, also where not all could be done.
    ///
    /// # Errors
    /// Those of the disk, and of waiting for the partition's lock.
    pub fn delete_old_segments(&self, expired: &mut Expired) -> Result<()> {
        self.check_words()?;
        let config = self.config();
        let now = self.dir.believed_time();
        // Not the last segment: where no other follows, its space is not worth a roll.
        self.expire_while(expired, &config, |_, next, _| next.is_some_and(|next| next <= self.block.log_start()))?;
        if !config.cleanup_policy.delete || config.cleanup_policy.compact {
            return Ok(());
        }
        if config.retention_bytes >= 0 {
            let mut excess = self.size()? as i64 - config.retention_bytes;
            self.expire_while(expired, &config, |_, _, size| {
                excess -= size as i64;
                excess >= 0
            })?;
        }
        if config.retention_ms >= 0 {
            self.expire_while(expired, &config, |newest, _, _| now.0.saturating_sub(newest.0) > config.retention_ms)?;
        }
        Ok(())
    }

    /// Takes segments off the front while `goes(greatest timestamp, base of the next one, size)` says so.
    fn expire_while(
        &self,
        expired: &mut Expired,
        config: &TopicConfig,
        mut goes: impl FnMut(TimestampMs, Option<Offset>, u64) -> bool,
    ) -> Result<()> {
        let end = self.block.log_end();
        let slots = self.slots()?;
        let visible = self.block.high_watermark();
        let mut doomed = 0;
        for (index, slot) in slots.iter().enumerate() {
            let Some(segment) = self.open_slot(slot)? else {
                doomed = index + 1; // by another process, just now
                continue;
            };
            let look = || -> io::Result<(TimestampMs, u64)> {
                let size = segment.log_len()?;
                let newest = segment.largest_timestamp(crate::types::Position(size))?;
                Ok((newest.map_or(segment.log().stat()?.modified, |newest| newest), size))
            };
            let (newest, size) = look().map_err(|e| self.io_error("measuring", slot.base, FileKind::Log, e))?;
            let next = slots.get(index + 1).map(|next| next.base);
            let is_unused = next.is_none() && size == 0;
            if visible < next.unwrap_or(self.block.log_end()) || is_unused || !goes(newest, next, size) {
                break;
            }
            doomed = index + 1;
        }
        if doomed == 0 {
            return Ok(());
        }
        self.dir.begin_writing()?;
        // What was appended since it was looked at is not old.
        if let (Some(last), true) = (slots.last(), doomed == slots.len())
            && !self.roll_at(end, last.base)?
        {
            doomed -= 1;
        }
        if doomed == 0 {
            return Ok(());
        }
        self.remove_first(&slots[..doomed], expired, config)
    }

    /// Begins a new segment behind the one at `last` if the log still ends at `end`, and that one holds anything: what it
    /// seemed to hold may have been an append that came to nothing.
    fn roll_at(&self, end: Offset, last: Offset) -> Result<bool> {
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        let is_same = self.block.log_end() == end;
        let result = if is_same { self.roll_to(&mut tail, end) } else { Ok(()) };
        let is_sealed = self.block.segment_base() > last;
        holding.release();
        result.map(|()| is_same && is_sealed)
    }

    fn remove_first(&self, doomed: &[Arc<Slot>], expired: &mut Expired, config: &TopicConfig) -> Result<()> {
        let bases = self.segment_bases()?;
        let Some(last) = doomed.last() else {
            return Ok(());
        };
        let new_start = bases.iter().find(|base| **base > last.base).copied().unwrap_or(self.block.log_end());
        self.raise_log_start(new_start)?;
        let mut tail = self.tail();
        let holding = self.acquire(&mut tail)?;
        let result = self.rename_segments(doomed, expired);
        self.block.set_first_base(new_start);
        if tail.epochs.truncate_from_start(new_start) {
            // The file follows with the next epoch; until then it says more than there is, which is harmless.
        }
        holding.release();
        drop(tail);
        // No disk is waited for under the lock. What a power cut brings back lies below the log start.
        let result = result.and_then(|()| self.sys().disk.sync_dir(&self.path));
        result.map_err(|e| Error::io(format_args!("deleting old segments of {}", self.partition), e))?;
        expired.segments += doomed.len();
        expired.remove_at = Some(TimestampMs(self.sys().clock.now().0.saturating_add(config.file_delete_delay_ms)));
        Ok(())
    }

    fn rename_segments(&self, doomed: &[Arc<Slot>], expired: &mut Expired) -> io::Result<()> {
        let disk = &self.sys().disk;
        for slot in doomed {
            assert!(slot.base < self.block.segment_base(), "{}: the active segment does not go", self.partition);
            self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&slot.base);
            for kind in FileKind::OF_SEGMENT.into_iter().chain([FileKind::Snapshot]) {
                let from = self.path.join(file_name(slot.base, kind, Suffix::None));
                let to = self.path.join(file_name(slot.base, kind, Suffix::Deleted));
                match disk.rename(&from, &to) {
                    Ok(()) => {
                        expired.files.push(to);
                        reached(Point::DeleteRenamed);
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
        // Behind the last rename, so that whoever looks again finds none of them.
        self.note_segments(self.block.bump_segment_generation());
        Ok(())
    }

    /// Moves the log start offset to `to`, durably. Records below are gone for every reader.
    fn raise_log_start(&self, to: Offset) -> Result<()> {
        self.check_words()?;
        let mut standings = self.standings();
        standings.log_start = to.max(self.block.log_start());
        self.dir.note(&self.partition, standings);
        if let Err(error) = self.dir.write_checkpoint(CheckpointFile::LogStart) {
            self.dir.take_back_log_start(&self.partition, standings.log_start, self.block.log_start());
            return Err(error);
        }
        reached(Point::LogStartRaised);
        if self.block.raise_log_start(to) {
            let mut tail = self.tail();
            let holding = self.acquire(&mut tail)?;
            self.update_stability(&mut tail);
            holding.release();
        }
        Ok(())
    }

    /// Deletes the records below `before`; `None` deletes all that are visible. Whole segments go with the next retention
    /// run. Returns the log start offset. Durable on return.
    ///
    /// # Errors
    /// `PolicyViolation` on a topic whose cleanup policy has no `delete`; `OffsetOutOfRange` above the high watermark.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<Offset> {
        let config = self.config();
        if !config.cleanup_policy.delete {
            return Err(Error::new(
                ErrorCode::PolicyViolation,
                format!("{}: records of a topic whose cleanup.policy is not delete cannot be deleted", self.partition),
            ));
        }
        self.check_words()?;
        let visible = self.block.high_watermark();
        let before = before.unwrap_or(visible);
        if before.0 < 0 || before > visible {
            return Err(Error::new(
                ErrorCode::OffsetOutOfRange,
                format!("offset {before} is out of range: {} can be deleted up to {visible}", self.partition),
            ));
        }
        self.dir.begin_writing()?;
        if before > self.block.log_start() {
            self.raise_log_start(before)?;
        }
        Ok(self.block.log_start())
    }
}
