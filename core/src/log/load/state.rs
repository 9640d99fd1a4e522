//! Leader epochs and producer state, read and derived.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::Loader;
use crate::error::Result;
use crate::log::epochs::Epochs;
use crate::log::producers::ProducerState;
use crate::log::snapshot::{format_snapshot, parse_snapshot};
use crate::log::tail::control_record;
use crate::log::{LEADER_EPOCHS, Slot, format_epochs, parse_epochs};
use crate::segment::{FileKind, Found, Scanner, Suffix, file_name, parse_name};
use crate::sys::{Disk, Entry, read_whole, write_atomically};
use crate::types::{Offset, Position};

impl Loader<'_> {
    pub(super) fn read_epochs(&mut self, segments: &BTreeMap<Offset, Arc<Slot>>) -> Result<Epochs> {
        let content = match read_whole(&self.sys.disk, &self.path.join(LEADER_EPOCHS)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Epochs::default()),
            content => content.map_err(|e| self.error("reading the leader epochs", e))?,
        };
        match parse_epochs(&content) {
            Ok(entries) => Ok(Epochs::new(entries)),
            Err(what) => {
                let file = format!("{}/{LEADER_EPOCHS}", self.partition);
                self.report.finding(file, format!("{what}; the epochs are taken from the batches"));
                let epochs =
                    self.epochs_of_batches(segments).map_err(|e| self.error("reading the leader epochs", e))?;
                // A broker refuses the file as it is, however orderly the directory was closed.
                let repair = || self.dir.begin_writing().and_then(|()| self.write_epochs(&epochs));
                if !self.read_only && repair().is_err() {
                    self.dir.mark_failed(); // the next opener tries again
                }
                Ok(epochs)
            }
        }
    }

    fn epochs_of_batches(&self, segments: &BTreeMap<Offset, Arc<Slot>>) -> io::Result<Epochs> {
        let mut epochs = Epochs::default();
        for slot in segments.values() {
            let segment = slot.open(self.dir.open_segments(), self.path)?;
            let mut scanner = Scanner::new(segment.log(), Position::ZERO, Position(segment.log_len()?));
            while let Found::Batch(_, header) = scanner.next_header()? {
                if header.leader_epoch.0 >= 0 && epochs.latest().is_none_or(|latest| header.leader_epoch > latest) {
                    epochs.assign(header.leader_epoch, header.base_offset);
                }
            }
        }
        Ok(epochs)
    }

    pub(super) fn write_epochs(&self, epochs: &Epochs) -> Result<()> {
        write_atomically(&self.sys.disk, &self.path.join(LEADER_EPOCHS), &format_epochs(epochs.entries()))
            .map_err(|e| self.error("writing the leader epochs", e))
    }

    fn snapshots(&self) -> Result<Vec<Offset>> {
        let entries = self.entries().map_err(|e| self.error("listing the files", e))?;
        let snapshot = |entry: &Entry| match parse_name(&entry.name) {
            Some((offset, FileKind::Snapshot, Suffix::None)) => Some(offset),
            _ => None,
        };
        Ok(entries.iter().filter_map(snapshot).collect())
    }

    /// Producer state as of `to`: the newest snapshot that can be used, and the batches behind it.
    ///
    /// Kafka replays the whole log when there is no snapshot, unless it was closed in order: then nothing is known of
    /// producers, and nothing needs to be, since whoever had seen one would have written a snapshot.
    pub(super) fn load_producers(
        &mut self,
        segments: &BTreeMap<Offset, Arc<Slot>>,
        log_start: Offset,
        to: Offset,
    ) -> Result<(ProducerState, bool)> {
        let snapshots = self.snapshots()?;
        let has_snapshots = !snapshots.is_empty();
        if let Some((_, state)) = self.carried.take_if(|(offset, _)| *offset == to) {
            return Ok((state, has_snapshots));
        }
        let mut from = log_start;
        let mut state = ProducerState::default();
        for offset in snapshots.iter().rev().filter(|offset| **offset <= to && **offset > log_start) {
            let name = file_name(*offset, FileKind::Snapshot, Suffix::None);
            let content =
                read_whole(&self.sys.disk, &self.path.join(&name)).map_err(|e| self.error("reading a snapshot", e))?;
            match parse_snapshot(&content) {
                Ok(found) => {
                    (state, from) = (found, *offset);
                    break;
                }
                Err(what) => {
                    self.report.finding(format!("{}/{name}", self.partition), format!("{what}; it is not used"));
                }
            }
        }
        if !has_snapshots && self.trusts_missing_snapshots {
            return Ok((state, false));
        }
        self.replay(segments, from, to, &mut state).map_err(|e| self.error("replaying batches", e))?;
        Ok((state, has_snapshots))
    }

    fn replay(
        &self,
        segments: &BTreeMap<Offset, Arc<Slot>>,
        from: Offset,
        to: Offset,
        state: &mut ProducerState,
    ) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let first = segments.range(..=from).next_back().map_or(from, |(base, _)| *base);
        for slot in segments.range(first..to).map(|(_, slot)| slot) {
            let segment = slot.open(self.dir.open_segments(), self.path)?;
            let (position, _) = segment.position_before(from)?;
            let mut scanner = Scanner::new(segment.log(), position, Position(segment.log_len()?));
            while let Found::Batch(position, header) = scanner.next_header()? {
                if header.base_offset >= to {
                    break;
                }
                if header.base_offset < from || !header.producer_id.is_some() {
                    continue;
                }
                let control =
                    if header.is_control() { control_record(scanner.batch(position, &header)?, &header) } else { None };
                state.apply(&header, control.as_ref());
            }
        }
        Ok(())
    }

    pub(super) fn write_snapshot(&self, producers: &ProducerState, offset: Offset) -> Result<()> {
        let path = self.path.join(file_name(offset, FileKind::Snapshot, Suffix::None));
        write_atomically(&self.sys.disk, &path, &format_snapshot(producers))
            .map_err(|e| self.error("writing a snapshot", e))
    }

    pub(super) fn drop_snapshots_above(&self, offset: Offset) -> Result<()> {
        for snapshot in self.snapshots()?.into_iter().filter(|snapshot| *snapshot > offset) {
            let path = self.path.join(file_name(snapshot, FileKind::Snapshot, Suffix::None));
            self.sys.disk.remove_file(&path).map_err(|e| self.error("removing a snapshot", e))?;
        }
        Ok(())
    }
}
