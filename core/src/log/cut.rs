//! Cutting the end off a log, and keeping what was cut.
//!
//! Kafka throws the bytes away. klog puts them into `<offset>.cut` beside the segment, where no broker looks, and says how
//! many whole batches are among them. Segments behind the cut become `.cut` files as they are.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::open_segments::{OpenSegments, Slot};
use super::report::{Cut, Report};
use crate::record::BatchError;
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix, file_name};
use crate::sys::bugs::{Bug, is_made};
use crate::sys::{AnyFile, Disk, File, Open, Sys, read_exact_at, write_all_at};
use crate::types::{Offset, Position, TopicPartition};

pub(super) struct Scissors<'a> {
    pub(super) sys: &'a Sys,
    pub(super) open_segments: &'a OpenSegments,
    pub(super) partition: &'a TopicPartition,
    pub(super) path: &'a Path,
    pub(super) read_only: bool,
    pub(super) report: &'a mut Report,
}

/// Whole batches in a range of bytes.
#[derive(Default)]
struct Whole {
    batches: u64,
    offsets: Option<(Offset, Offset)>,
}

impl Scissors<'_> {
    /// Ends the log at `position` of `segment`, which is offset `offset`. Returns the segment anew where its file was
    /// replaced: one that was ever sealed is not shortened, its kept part is written to a new file.
    pub(super) fn cut(
        &mut self,
        segments: &mut BTreeMap<Offset, Arc<Slot>>,
        segment: &Arc<Segment>,
        position: Position,
        offset: Offset,
        reason: &BatchError,
        was_sealed: bool,
    ) -> io::Result<Option<Arc<Segment>>> {
        let len = segment.log_len()?;
        let kept_in = self.keep(segment, position, offset)?;
        self.tell(segment, position, len, offset, reason.to_string(), kept_in)?;
        self.set_aside_behind(segments, segment.base(), offset)?;
        if self.read_only {
            return Ok(None);
        }
        if !was_sealed {
            segment.log().set_len(position.0)?;
            if !is_made(Bug::CutWithoutSync) {
                segment.sync_log()?;
            }
            return Ok(None);
        }
        let replaced = keep_prefix(self.sys, self.path, segment, position)?;
        Ok(Some(Arc::new(replaced)))
    }

    /// Takes the segments behind the one at `base` out of the log, which ends at `end`. What is before them is cut later, so
    /// that an interruption leaves something that is cut again.
    pub(super) fn set_aside_behind(
        &mut self,
        segments: &mut BTreeMap<Offset, Arc<Slot>>,
        base: Offset,
        end: Offset,
    ) -> io::Result<()> {
        let reason = format!("the log ends at offset {end}, before it");
        segments.split_off(&base.plus(1)).into_values().try_for_each(|later| self.set_aside(&later, end, &reason))
    }

    /// Takes all segments out of a log that begins at `start`, behind them.
    pub(super) fn set_aside_all(
        &mut self,
        segments: &mut BTreeMap<Offset, Arc<Slot>>,
        start: Offset,
    ) -> io::Result<()> {
        let reason = format!("the log starts at offset {start}, behind it");
        std::mem::take(segments).into_values().try_for_each(|slot| self.set_aside(&slot, start, &reason))
    }

    /// Copies the bytes behind `position` into a `.cut` file; one with the same content, from an interrupted attempt, will do.
    fn keep(&self, segment: &Segment, position: Position, offset: Offset) -> io::Result<Option<String>> {
        let len = segment.log_len()? - position.0;
        if self.read_only || len == 0 {
            return Ok(None);
        }
        let name = self.free_name(offset, Some((segment.log(), position)))?;
        let file = self.sys.disk.open(&self.path.join(&name), Open::Create)?;
        file.set_len(len)?;
        for_each_chunk(segment.log(), position.0, |chunk, at| {
            // Zeros, of a preallocated log, stay a hole.
            if chunk.iter().all(|byte| *byte == 0) { Ok(()) } else { write_all_at(&file, chunk, at - position.0) }
        })?;
        file.sync_data()?;
        self.sys.disk.sync_dir(self.path)?;
        Ok(Some(format!("{}/{name}", self.partition)))
    }

    /// A name for a `.cut` file that is not taken, unless by the bytes that are to be kept.
    fn free_name(&self, offset: Offset, bytes: Option<(&AnyFile, Position)>) -> io::Result<String> {
        let first = file_name(offset, FileKind::Cut, Suffix::None);
        for number in 1.. {
            let name = if number == 1 { first.clone() } else { format!("{first}.{number}") };
            let taken = match self.sys.disk.open(&self.path.join(&name), Open::Read) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(name),
                taken => taken?,
            };
            if let Some((file, position)) = bytes
                && same_bytes(file, position, &taken)?
            {
                return Ok(name);
            }
        }
        unreachable!("the numbers do not end before the names do")
    }

    /// Renames a segment behind the cut; its indexes go, since they can be rebuilt.
    fn set_aside(&mut self, slot: &Arc<Slot>, end: Offset, reason: &str) -> io::Result<()> {
        let segment = slot.open(self.open_segments, self.path)?;
        let len = segment.log_len()?;
        let mut kept_in = None;
        if !self.read_only {
            if len > 0 {
                let name = self.free_name(slot.base, None)?;
                self.sys.disk.rename(&segment.path(FileKind::Log), &self.path.join(&name))?;
                kept_in = Some(format!("{}/{name}", self.partition));
            } else {
                self.sys.disk.remove_file(&segment.path(FileKind::Log))?;
            }
            for kind in [FileKind::Index, FileKind::TimeIndex, FileKind::TxnIndex] {
                match self.sys.disk.remove_file(&segment.path(kind)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            self.sys.disk.sync_dir(self.path)?;
        }
        if len > 0 {
            self.tell(&segment, Position::ZERO, len, end, reason.to_owned(), kept_in)?;
        }
        Ok(())
    }

    fn tell(
        &mut self,
        segment: &Segment,
        position: Position,
        len: u64,
        offset: Offset,
        reason: String,
        kept_in: Option<String>,
    ) -> io::Result<()> {
        let whole = Self::count_whole(segment, position, len)?;
        self.report.cuts.push(Cut {
            partition: self.partition.clone(),
            file: format!("{}/{}", self.partition, file_name(segment.base(), FileKind::Log, Suffix::None)),
            position: position.0,
            bytes: len - position.0,
            offset,
            batches: whole.batches,
            offsets: whole.offsets,
            reason,
            kept_in,
        });
        Ok(())
    }

    fn count_whole(segment: &Segment, position: Position, len: u64) -> io::Result<Whole> {
        let mut whole = Whole::default();
        // A segment that was renamed is still open: its bytes are counted all the same.
        let mut scanner = Scanner::new(segment.log(), position, Position(len));
        loop {
            match scanner.next_checked()? {
                Found::End(_) => return Ok(whole),
                Found::Batch(_, header) => {
                    whole.batches += 1;
                    let first = whole.offsets.map_or(header.base_offset, |(first, _)| first);
                    whole.offsets = Some((first, header.last_offset()));
                }
                Found::Bad(position, error) => {
                    scanner.resync(position, Offset::ZERO, &error)?;
                }
            }
        }
    }
}

const CHUNK_BYTES: usize = 1 << 20;

fn for_each_chunk(file: &AnyFile, mut at: u64, mut visit: impl FnMut(&[u8], u64) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; file.stat()?.len.saturating_sub(at).min(CHUNK_BYTES as u64) as usize];
    loop {
        let read = read_exact_at(file, &mut chunk, at)?;
        if read == 0 {
            return Ok(());
        }
        visit(&chunk[..read], at)?;
        at += read as u64;
    }
}

/// Whether `copy` is what `file` holds from `position` on.
fn same_bytes(file: &AnyFile, position: Position, copy: &AnyFile) -> io::Result<bool> {
    if copy.stat()?.len != file.stat()?.len - position.0 {
        return Ok(false);
    }
    let mut same = true;
    let mut other = Vec::new();
    for_each_chunk(file, position.0, |chunk, at| {
        other.resize(chunk.len(), 0);
        let read = read_exact_at(copy, &mut other[..chunk.len()], at - position.0)?;
        same &= other[..read] == *chunk;
        Ok(())
    })?;
    Ok(same)
}

/// Writes the kept part of a sealed segment to a new file and puts that in the old one's place: descriptors and maps that
/// others have of the old one stay good.
pub(super) fn keep_prefix(sys: &Sys, dir: &Path, segment: &Segment, end: Position) -> io::Result<Segment> {
    let mut bytes = vec![0; end.0 as usize];
    read_exact_at(segment.log(), &mut bytes, 0)?;
    let new = dir.join(file_name(segment.base(), FileKind::Log, Suffix::Cleaned));
    let file = sys.disk.open(&new, Open::Create)?;
    file.set_len(0)?;
    write_all_at(&file, &bytes, 0)?;
    file.sync_data()?;
    sys.disk.rename(&new, &segment.path(FileKind::Log))?;
    sys.disk.sync_dir(dir)?;
    Segment::open(sys, dir, segment.base(), Suffix::None, Open::ReadWrite)
}
