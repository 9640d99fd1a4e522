//! What a broker leaves in the metadata log that klog has open.
//!
//! A broker that is its own controller writes to its metadata log before it finds that it may not have the directory. So
//! whoever is about to append to that log looks whether the file is what it was, and takes in what was added. klog's own
//! processes never leave anything behind the committed position while the lock is free.

use std::io;

use super::recover::Place;
use super::tail::{Tail, control_record, invalid};
use super::{Log, LogDir};
use crate::error::{Error, ErrorCode, Result};
use crate::segment::{FileKind, Found, Scanner, Segment};
use crate::shm::{Block, Standing};
use crate::sys::Disk;
use crate::types::{LeaderEpoch, METADATA_TOPIC, Position};

impl Log {
    /// Takes in batches that somebody else wrote behind the committed position. Under the lock, with everything recovered.
    pub(super) fn take_in_foreign(&self, tail: &mut Tail) -> Result<()> {
        let path = tail.segment.path(FileKind::Log);
        let error = |e: io::Error| Error::io(format_args!("looking at {}", path.display()), e);
        let named = self.sys().disk.stat(&path).map_err(error)?;
        if named.identity != tail.file {
            return Err(Error::new(
                ErrorCode::Locked,
                format!("{} was replaced by another file; open the directory again after a check", path.display()),
            ));
        }
        if named.len <= tail.position.0 || self.config().preallocate || tail.must_roll {
            return Ok(());
        }
        self.take_in(tail, Position(named.len)).map_err(error)
    }

    fn take_in(&self, tail: &mut Tail, len: Position) -> io::Result<()> {
        let segment = tail.segment.clone();
        let mut scanner = Scanner::new(segment.log(), tail.position, len);
        loop {
            match scanner.next_checked()? {
                Found::Batch(_, header) if header.base_offset < tail.caught_up => {
                    return Err(invalid(format!(
                        "somebody else wrote a batch at offset {} where {} comes next",
                        header.base_offset, tail.caught_up
                    )));
                }
                Found::Batch(position, header) => {
                    let batch = scanner.batch(position, &header)?;
                    let control = if header.is_control() { control_record(batch, &header) } else { None };
                    let due = tail.apply(&header, control.as_ref());
                    self.block.publish_commit(tail.position, tail.caught_up);
                    self.write_due(tail, due);
                }
                // Not a whole batch: it is left as it is, and nothing is written behind it in this file.
                Found::Bad(..) => {
                    tail.must_roll = true;
                    break;
                }
                Found::End(_) => break,
            }
        }
        note_epoch(&self.dir, &self.block, tail.epochs.latest().unwrap_or(LeaderEpoch::UNKNOWN));
        Ok(())
    }
}

impl Place<'_> {
    /// Whether what lies from `position` on behind a dead holder is a broker's: a batch of an epoch that nobody of klog's has
    /// begun. Then it is taken in, with what the dead one wrote before it.
    pub(super) fn is_foreign(&self, segment: &Segment, position: Position) -> io::Result<bool> {
        if self.partition.topic != METADATA_TOPIC {
            return Ok(false);
        }
        let begun = self.dir.member().map_or(0, |member| member.control().metadata_epoch());
        let epoch = self.block.leader_epoch().max(LeaderEpoch(begun));
        let mut scanner = Scanner::new(segment.log(), position, Position(segment.log_len()?));
        while let Found::Batch(_, header) = scanner.next_checked()? {
            if header.leader_epoch > epoch {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`Log::take_in_foreign`], for whoever has just found it in the files.
    pub(super) fn take_in_found(&self, found: &Standing) {
        let is_more = found.segment_base == self.block.segment_base() && found.log_end > self.block.log_end();
        if self.partition.topic == METADATA_TOPIC && is_more {
            self.block.publish_commit(found.position, found.log_end);
            note_epoch(self.dir, self.block, found.leader_epoch);
        }
    }
}

/// Whoever changes the metadata next begins a higher epoch than that of what was taken in.
fn note_epoch(dir: &LogDir, block: &Block, theirs: LeaderEpoch) {
    if theirs > block.leader_epoch() {
        block.set_leader_epoch(theirs);
    }
    if let Some(member) = dir.member() {
        member.control().set_metadata_epoch(0);
    }
}
