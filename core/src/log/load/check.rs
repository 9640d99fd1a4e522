//! Checking segments, rebuilding their indexes, and finding the end of the log.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::{End, Loader};
use crate::error::{Damage, Result};
use crate::log::CheckpointFile;
use crate::log::Slot;
use crate::log::epochs::Epochs;
use crate::log::tail::control_record;
use crate::record::BatchHeader;
use crate::segment::{
    Cadence, DamagedRange, Entries, FileKind, Found, OffsetIndex, Scanner, Segment, TimeIndex, rebuild,
};
use crate::sys::Disk;
use crate::types::{Offset, Position};

impl Loader<'_> {
    /// Brings the segments in order and finds the end of the log. Leaves at least one segment.
    pub(super) fn check_segments(
        &mut self,
        segments: &mut BTreeMap<Offset, Arc<Slot>>,
        clean: bool,
        recovery_point: Offset,
        epochs: &mut Epochs,
    ) -> Result<End> {
        if segments.is_empty() {
            return self.begin_at(segments, self.checkpoint(CheckpointFile::LogStart));
        }
        let bases: Vec<Offset> = segments.keys().copied().collect();
        let from_recovery_point = bases.iter().rposition(|base| *base <= recovery_point).unwrap_or(0);
        let mut end = None;
        for (index, base) in bases.iter().enumerate() {
            let slot = segments[base].clone();
            if bases.get(index + 1).is_some_and(|next| *next <= self.checkpoint(CheckpointFile::LogStart)) {
                // All of it was deleted. Its files may be gone in any order, and what is left of them says nothing.
                end = None;
                continue;
            }
            let recover = !clean && index >= from_recovery_point;
            if !recover && self.indexes_will_do(&slot)? {
                end = None;
                continue;
            }
            // Below the recovery point, and anywhere after a clean end, every byte was durable once.
            let keep_below = if clean { Offset(i64::MAX) } else { recovery_point };
            let next_base = bases.get(index + 1).copied();
            let keep_below = if recover { keep_below } else { Offset(i64::MAX) };
            let (mut segment_end, was_cut) =
                self.rebuild_segment(segments, &slot, recover, keep_below, recovery_point, epochs)?;
            if was_cut {
                return Ok(segment_end);
            }
            if let Some(next) = next_base {
                if recover && self.is_gap(segment_end.offset, next, recovery_point) {
                    self.end_before(segments, *base, segment_end.offset)?;
                    segment_end.must_roll = true;
                    return Ok(segment_end);
                }
                segment_end.must_roll = false;
            }
            end = Some(segment_end);
        }
        if let Some(end) = end {
            Ok(end)
        } else {
            let (_, slot) = segments.last_key_value().expect("the list is not empty");
            self.find_end(&slot.clone())
        }
    }

    /// Whether records are missing between two segments that were never known to be durable. A segment may reach the disk
    /// before the one that was sealed for it has; then what it holds is no continuation of the log. Compacted logs have gaps.
    fn is_gap(&self, end: Offset, next: Offset, recovery_point: Offset) -> bool {
        end < next && end >= recovery_point && !self.config.cleanup_policy.compact
    }

    /// Ends the log with the segment at `base`: those behind are set aside.
    fn end_before(&mut self, segments: &mut BTreeMap<Offset, Arc<Slot>>, base: Offset, end: Offset) -> Result<()> {
        let cut = self.scissors().set_aside_behind(segments, base, end);
        cut.map_err(|e| self.error("cutting off what does not follow", e))?;
        if !self.read_only {
            self.drop_snapshots_above(end)?;
        }
        Ok(())
    }

    /// Whether a segment's index files are there and not obviously wrong.
    fn indexes_will_do(&mut self, slot: &Arc<Slot>) -> Result<bool> {
        let segment = slot.open(self.dir.open_segments(), self.path).map_err(|e| self.error("opening a segment", e))?;
        let exists = |kind: FileKind| match self.sys.disk.stat(&segment.path(kind)) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        };
        for kind in [FileKind::Index, FileKind::TimeIndex] {
            if !exists(kind).map_err(|e| self.error("looking for an index", e))? {
                let file = self.relative(slot.base, kind);
                self.report.finding(file, "it is missing; it is rebuilt from the log");
                return Ok(false);
            }
        }
        let complaint =
            segment.transaction_index().complaint(slot.base).map_err(|e| self.error("reading an index", e))?;
        if let Some(what) = &complaint {
            let file = self.relative(slot.base, FileKind::TxnIndex);
            self.report.finding(file, format!("{what}; it is rebuilt from the log"));
        }
        Ok(complaint.is_none())
    }

    /// The end of the last segment when nothing needs to be checked: header by header from the last index entry on. Where
    /// that leads to something odd, or to a last batch whose checksum is wrong, a header may have lied: then every batch
    /// is checked.
    fn find_end(&mut self, slot: &Arc<Slot>) -> Result<End> {
        let scan = || -> io::Result<(End, Option<DamagedRange>, bool)> {
            let segment = slot.open(self.dir.open_segments(), self.path)?;
            let (from, doubtful) = match segment.offset_index()?.last()? {
                Some(entry) => segment.position_before(entry.offset)?,
                None => (Position::ZERO, false),
            };
            let first = segment.header_at(Position::ZERO)?;
            let last_time = segment.time_index()?.last()?;
            let cadence = || match from {
                Position::ZERO => Cadence::new(segment.base()),
                _ => Cadence::resume(segment.base(), first.as_ref(), last_time),
            };
            if let Some(end) = self.end_by_headers(&segment, from, cadence())? {
                return Ok((end, None, doubtful));
            }
            let (end, damage) = self.end_by_checksums(&segment, from, cadence())?;
            Ok((end, damage, doubtful))
        };
        let (end, damage, doubtful) = scan().map_err(|e| self.error("reading the last segment", e))?;
        if doubtful {
            let file = self.relative(slot.base, FileKind::Index);
            self.report.finding(file, "it does not agree with its log; it is rebuilt");
            let mut segments = BTreeMap::from([(slot.base, slot.clone())]);
            let (rebuilt, _) = self.rebuild_segment(
                &mut segments,
                slot,
                false,
                Offset(i64::MAX),
                Offset::ZERO,
                &mut Epochs::default(),
            )?;
            return Ok(rebuilt);
        }
        if let Some(damage) = damage {
            self.report_damage(slot.base, &damage, end.offset);
        }
        Ok(end)
    }

    /// Where the headers lead; nothing where they do not follow each other, or the last one is of a damaged batch.
    fn end_by_headers(&self, segment: &Segment, from: Position, mut cadence: Cadence) -> io::Result<Option<End>> {
        let mut scanner = Scanner::new(segment.log(), from, Position(segment.log_len()?)).in_segment(segment.base());
        let mut next = segment.base();
        let mut last = None;
        loop {
            match scanner.next_in_order(next)? {
                Found::Batch(position, header) => {
                    cadence.advance(&header, position, &self.rules);
                    next = header.next_offset();
                    last = Some((position, header));
                }
                Found::Bad(..) => return Ok(None),
                Found::End(end) => {
                    if let Some((position, header)) = last
                        && BatchHeader::check(scanner.batch(position, &header)?).is_err()
                    {
                        return Ok(None);
                    }
                    return Ok(Some(End { offset: next, position: end, cadence, must_roll: false }));
                }
            }
        }
    }

    /// The end of a segment in which something is damaged, although every byte of it was durable: nothing is cut, and
    /// nothing is written behind the damage in its file.
    fn end_by_checksums(
        &self,
        segment: &Segment,
        from: Position,
        mut cadence: Cadence,
    ) -> io::Result<(End, Option<DamagedRange>)> {
        let len = Position(segment.log_len()?);
        let mut scanner = Scanner::new(segment.log(), from, len).in_segment(segment.base());
        let mut next = segment.base();
        loop {
            match scanner.next_checked_in_order(next)? {
                Found::Batch(position, header) => {
                    cadence.advance(&header, position, &self.rules);
                    next = header.next_offset();
                }
                Found::Bad(position, error) => {
                    let damage = scanner.resync(position, next, &error)?;
                    let mut end = End { offset: next, position: len, cadence, must_roll: true };
                    while let Found::Batch(_, header) = scanner.next_checked_in_order(end.offset)? {
                        end.offset = header.next_offset();
                        end.must_roll = false;
                    }
                    end.must_roll |= scanner.position() != len;
                    if damage.next_offset.is_none() {
                        end.offset = self.end_behind(&damage);
                    }
                    return Ok((end, Some(damage)));
                }
                Found::End(position) => return Ok((End { offset: next, position, cadence, must_roll: false }, None)),
            }
        }
    }

    /// Checks a segment batch by batch and writes its indexes anew; in memory for a reader. The second value says that the
    /// log was cut in it, with everything behind.
    fn rebuild_segment(
        &mut self,
        segments: &mut BTreeMap<Offset, Arc<Slot>>,
        slot: &Arc<Slot>,
        recover: bool,
        keep_below: Offset,
        recovery_point: Offset,
        epochs: &mut Epochs,
    ) -> Result<(End, bool)> {
        let base = slot.base;
        let (mut producers, _) = self.load_producers(segments, Offset::ZERO, base)?;
        if !self.read_only {
            self.dir.begin_writing()?;
        }
        let segment = slot.open(self.dir.open_segments(), self.path).map_err(|e| self.error("opening a segment", e))?;
        if recover && !self.read_only {
            Self::settle_pages(&segment, recovery_point)
                .map_err(|e| self.error("rewriting what a flush may have lost", e))?;
        }
        let mut aborted = Vec::new();
        let rebuilt = self
            .rebuild_indexes(&segment, keep_below, |header, bytes| {
                aborted.extend(producers.apply(header, control_record(bytes, header).as_ref()));
                if epochs.latest().is_none_or(|latest| header.leader_epoch > latest) && header.leader_epoch.0 >= 0 {
                    epochs.assign(header.leader_epoch, header.base_offset);
                }
            })
            .map_err(|e| self.error("checking a segment", e))?;
        let ends_damaged = rebuilt.damage.last().filter(|damage| damage.next_offset.is_none());
        let mut end = End {
            offset: ends_damaged.map_or(rebuilt.next_offset, |damage| self.end_behind(damage)),
            position: rebuilt.end,
            cadence: rebuilt.cadence,
            must_roll: ends_damaged.is_some(),
        };
        for damage in &rebuilt.damage {
            self.report_damage(base, damage, end.offset);
        }
        let Some(reason) = &rebuilt.cut else {
            if self.read_only {
                let _ = slot.aborted.set(aborted);
            } else {
                Self::write_aborted(&segment, &aborted).map_err(|e| self.error("writing a transaction index", e))?;
                segment.sync_indexes().map_err(|e| self.error("syncing indexes", e))?;
                self.write_snapshot(&producers, end.offset)?;
            }
            self.carried = Some((end.offset, producers));
            return Ok((end, false));
        };
        let was_sealed = segments.keys().next_back() != Some(&base);
        let mut scissors = self.scissors();
        let replaced = scissors.cut(segments, &segment, rebuilt.end, rebuilt.next_offset, reason, was_sealed);
        let replaced = replaced.map_err(|e| self.error("cutting off what does not check out", e))?;
        epochs.truncate_from_end(end.offset);
        if self.read_only {
            let _ = slot.aborted.set(aborted);
            self.carried = Some((end.offset, producers));
            return Ok((end, true));
        }
        let segment = replaced.unwrap_or(segment);
        Self::write_aborted(&segment, &aborted).map_err(|e| self.error("writing a transaction index", e))?;
        segment.sync_indexes().map_err(|e| self.error("syncing indexes", e))?;
        self.drop_snapshots_above(end.offset)?;
        self.write_snapshot(&producers, end.offset)?;
        self.sys.disk.sync_dir(self.path).map_err(|e| self.error("syncing the directory", e))?;
        segments.insert(base, self.dir.open_segments().slot_of(segment, self.how()));
        end.must_roll = false;
        Ok((end, true))
    }

    fn rebuild_indexes(
        &self,
        segment: &Segment,
        keep_below: Offset,
        mut visit: impl FnMut(&BatchHeader, &[u8]),
    ) -> io::Result<crate::segment::Rebuilt> {
        if !self.read_only {
            let (offsets, times) = (segment.offset_index()?, segment.time_index()?);
            offsets.clear()?;
            times.clear()?;
            return rebuild(segment, keep_below, &self.rules, offsets, times, |_, header, bytes| {
                visit(header, bytes);
                Ok(())
            });
        }
        let offsets = OffsetIndex::new(segment.base(), Entries::in_memory(OffsetIndex::ENTRY_BYTES));
        let times = TimeIndex::new(segment.base(), Entries::in_memory(TimeIndex::ENTRY_BYTES));
        let rebuilt = rebuild(segment, keep_below, &self.rules, &offsets, &times, |_, header, bytes| {
            visit(header, bytes);
            Ok(())
        })?;
        segment.use_indexes(offsets, times);
        Ok(rebuilt)
    }

    /// After an unclean end the cache may show pages that a failed flush never wrote and now calls clean. So the bytes
    /// behind the recovery point are written once more.
    fn settle_pages(segment: &Segment, recovery_point: Offset) -> io::Result<()> {
        let end = Position(segment.log_len()?);
        segment.settle(segment.position_of(recovery_point, end)?, end)
    }

    fn write_aborted(segment: &Segment, aborted: &[crate::segment::AbortedTransaction]) -> io::Result<()> {
        let index = segment.transaction_index();
        index.truncate_to(Offset::ZERO)?;
        aborted.iter().try_for_each(|entry| index.push(entry))
    }

    fn report_damage(&mut self, base: Offset, damage: &DamagedRange, log_end: Offset) {
        self.report.damage.push(Damage {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            first_offset: damage.first_offset.0,
            next_offset: damage.next_offset.unwrap_or(log_end).0,
            file: self.relative(base, FileKind::Log),
            position: damage.position.0,
            bytes: damage.end.0 - damage.position.0,
            reason: damage.reason.clone(),
        });
    }
}
