//! Reading batches below a bound.
//!
//! Source: `org.apache.kafka.storage.internals.log.UnifiedLog#read`, `LocalLog#read`.

use std::io;
use std::ops::Range;

use super::{Log, Slot};
use crate::error::{Damage, Error, Result};
use crate::record::{BatchError, BatchHeader, HEADER_BYTES};
use crate::segment::{FileKind, Found, Scanner, Segment, out_of_order};
use crate::sys::read_exact_at;
use crate::types::{Offset, Position};

/// Where a reader stands: what the next read need not look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    segment: Offset,
    position: Position,
    offset: Offset,
    /// How often the log had been truncated: positions from before mean nothing.
    truncations: u32,
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// The first offset that is wanted.
    pub from: Offset,
    /// No batch is returned that has an offset at or above this.
    pub bound: Offset,
    /// Bytes to read at once. The first batch is returned whole, however large it is.
    pub max_bytes: usize,
    /// Whether every batch's checksum is checked.
    pub check_crcs: bool,
    /// Where the read before ended.
    pub cursor: Option<Cursor>,
}

/// Batches that lie one behind the other.
#[derive(Debug)]
pub struct Chunk {
    /// Each batch's header, and where it is in the buffer.
    pub batches: Vec<(Range<usize>, BatchHeader)>,
    /// Bytes of the buffer that they take; what is behind means nothing.
    pub len: usize,
    /// The offset to go on from.
    pub next: Offset,
    /// Where that is.
    pub cursor: Option<Cursor>,
}

impl Chunk {
    /// Where reading goes on behind one of the batches.
    pub fn cursor_behind(&self, range: &Range<usize>, header: &BatchHeader) -> Option<Cursor> {
        let end = self.cursor?;
        let position = Position(end.position.0 - (self.len - range.end) as u64);
        Some(Cursor { position, offset: header.next_offset(), ..end })
    }
}

impl Log {
    /// Reads batches from the one that contains `fetch.from` on, into `buffer`, whose content is replaced; it grows when it
    /// must, and never shrinks, so that it can be used again without being cleared.
    ///
    /// The first batch may begin before `from`; its earlier records are for the caller to leave out. No batches and
    /// `next` = `from` mean that there is nothing below the bound yet.
    ///
    /// # Errors
    /// `OffsetOutOfRange` below the log start or above the log end; `CorruptMessage` when the first batch does not check
    /// out, with the damage and the offset to go on from.
    pub fn read(&self, fetch: &Fetch, buffer: &mut Vec<u8>) -> Result<Chunk> {
        loop {
            let truncations = self.block.truncation_generation();
            let read = self.read_between_truncations(fetch, truncations, buffer);
            // Above the watermark bytes may have been cut meanwhile, or be of another history.
            if self.block.truncation_generation() == truncations {
                return read;
            }
        }
    }

    fn read_between_truncations(&self, fetch: &Fetch, truncations: u32, buffer: &mut Vec<u8>) -> Result<Chunk> {
        self.check_position(fetch.from)?;
        self.look_for_segments().map_err(|e| Error::io(format_args!("listing {}", self.path.display()), e))?;
        let mut from = fetch.from;
        let fetch = &Fetch { bound: fetch.bound.min(self.block.log_end()), ..*fetch };
        let mut cursor = fetch.cursor.filter(|cursor| cursor.offset == from && cursor.truncations == truncations);
        loop {
            if from >= fetch.bound {
                return Ok(Chunk { batches: Vec::new(), len: 0, next: from, cursor: None });
            }
            let Some((slot, next_base)) = self.slot_for(from, cursor) else {
                return Ok(Chunk { batches: Vec::new(), len: 0, next: from, cursor: None });
            };
            // Retention may have taken the segment that the cursor stands in.
            cursor = cursor.filter(|cursor| cursor.segment == slot.base);
            if cursor.is_some() && next_base.is_some_and(|next| next <= from) {
                cursor = None; // the segment ended at `from`; damage behind its last batch hides nothing of the next one
                continue;
            }
            let segment = match slot.open(self.dir.open_segments(), &self.path) {
                // Retention was faster: the log start has moved, and says so.
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.is_deleted(from) => {
                    return Err(self.out_of_range(from));
                }
                result => result.map_err(|e| self.io_error("opening", slot.base, FileKind::Log, e))?,
            };
            if let Some(mut chunk) = self.read_segment(&segment, from, fetch, cursor, next_base, buffer)? {
                if let Some(cursor) = &mut chunk.cursor {
                    cursor.truncations = truncations;
                }
                return Ok(chunk);
            }
            let Some(next) = next_base else {
                return Ok(Chunk { batches: Vec::new(), len: 0, next: fetch.bound.max(from), cursor: None });
            };
            from = from.max(next);
            cursor = None;
        }
    }

    /// Whether an offset lies below the log start by now.
    pub(super) fn is_deleted(&self, offset: Offset) -> bool {
        self.mirror();
        offset < self.block.log_start()
    }

    /// The segment that `offset` is in, and where the next one begins.
    fn slot_for(&self, offset: Offset, cursor: Option<Cursor>) -> Option<(std::sync::Arc<Slot>, Option<Offset>)> {
        let segments = self.segments.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let slot = match cursor.and_then(|cursor| segments.get(&cursor.segment)) {
            Some(slot) => slot.clone(),
            None => segments.range(..=offset).next_back().or_else(|| segments.iter().next())?.1.clone(),
        };
        let next = segments.range(slot.base.plus(1)..).next().map(|(base, _)| *base);
        Some((slot, next))
    }

    /// Batches of one segment; `None` when it has none at or behind `from`.
    fn read_segment(
        &self,
        segment: &Segment,
        from: Offset,
        fetch: &Fetch,
        cursor: Option<Cursor>,
        next_base: Option<Offset>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Chunk>> {
        let reading = |e| self.io_error("reading", segment.base(), FileKind::Log, e);
        let start = match cursor {
            Some(cursor) => cursor.position,
            None => match Self::locate(segment, from, fetch.bound).map_err(reading)? {
                Some((start, None)) => start,
                Some((start, Some(error))) => return Err(self.damaged(segment, start, from, next_base, &error)),
                None => return self.check_gap(segment, from, next_base).map(|()| None),
            },
        };
        let mut want = fetch.max_bytes.max(HEADER_BYTES);
        if buffer.len() < want {
            // Memory for what there is, not for what there might be.
            let left = self.readable_end(segment).map_err(reading)?.saturating_sub(start.0) as usize;
            want = want.min(left.max(HEADER_BYTES));
        }
        loop {
            if buffer.len() < want {
                buffer.resize(want, 0);
            }
            let read = read_exact_at(segment.log(), &mut buffer[..want], start.0).map_err(reading)?;
            let (chunk, needed) = split(&buffer[..read], read < want, (segment.base(), next_base), start, fetch, from);
            match needed {
                Some(Needed::Bytes(size)) if chunk.batches.is_empty() && size > want && read == want => {
                    // No memory for more than there is, whatever a spoilt length says; one byte more tells that it is all.
                    let there = segment.log_len().map_err(reading)?.saturating_sub(start.0) as usize;
                    want = size.min(there + 1);
                }
                Some(Needed::Bytes(_)) if chunk.batches.is_empty() && read == 0 => {
                    return self.check_gap(segment, from, next_base).map(|()| None);
                }
                Some(Needed::Bytes(size)) if chunk.batches.is_empty() => {
                    let error = BatchError::Short { needed: size as u64, available: read as u64 };
                    return Err(self.damaged(segment, start, from, next_base, &error));
                }
                Some(Needed::Repair(error)) if chunk.batches.is_empty() => {
                    return Err(self.damaged(segment, start, from, next_base, &error));
                }
                _ => return Ok(Some(chunk)),
            }
        }
    }

    /// Where there is nothing more to read in a segment, without asking the system where the words say it. It is no more than
    /// advice on how much to read at once: the words may be of another moment.
    fn readable_end(&self, segment: &Segment) -> io::Result<u64> {
        if self.block.segment_base() == segment.base() {
            return Ok(self.block.commit().position.0);
        }
        segment.log_len()
    }

    /// Where the batch begins that contains `from`, or the first one behind it; with an error where there is damage instead.
    ///
    /// Lengths and offsets are believed on the way. Where they do not lead to `from`, checksums tell which are wrong.
    fn locate(segment: &Segment, from: Offset, bound: Offset) -> io::Result<Option<(Position, Option<BatchError>)>> {
        let (start, _) = segment.position_before(from)?;
        let end = Position(segment.log_len()?);
        let mut scanner = Scanner::new(segment.log(), start, end).in_segment(segment.base());
        let is_before = |header: &BatchHeader| header.last_offset() < from && header.base_offset < bound;
        let mut expected = segment.base();
        loop {
            match scanner.next_in_order(expected)? {
                Found::Batch(_, header) if is_before(&header) => expected = header.next_offset(),
                Found::Batch(position, header) if header.base_offset <= from => {
                    match BatchHeader::check(scanner.batch(position, &header)?) {
                        Ok(_) => return Ok(Some((position, None))),
                        Err(_) => break,
                    }
                }
                _ => break,
            }
        }
        scanner.seek(start);
        expected = segment.base();
        let mut damage = None;
        loop {
            match scanner.next_checked_in_order(expected)? {
                Found::Batch(_, header) if is_before(&header) => (expected, damage) = (header.next_offset(), None),
                // Damage that ends before `from` concerns nobody who reads from there.
                Found::Batch(position, header) if header.base_offset <= from => return Ok(Some((position, None))),
                Found::Batch(position, _) => return Ok(damage.or(Some((position, None)))),
                Found::Bad(position, error) => {
                    scanner.resync(position, expected, &error)?;
                    damage = damage.or(Some((position, Some(error))));
                }
                Found::End(_) => return Ok(damage),
            }
        }
    }

    /// A log that was never compacted has no holes: records that are missing at the end of a segment are damage.
    fn check_gap(&self, segment: &Segment, from: Offset, next_base: Option<Offset>) -> Result<()> {
        let next = next_base.unwrap_or(self.block.log_end());
        if next <= from || self.config().cleanup_policy.compact {
            return Ok(());
        }
        let len = segment.log_len().map_err(|e| self.io_error("measuring", segment.base(), FileKind::Log, e))?;
        Err(Error::corrupt(Damage {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            first_offset: from.0,
            next_offset: next.0,
            file: self.relative(segment.base(), FileKind::Log),
            position: len,
            bytes: 0,
            reason: "the file ends too early".into(),
        }))
    }

    /// The error for a batch of a chunk whose header is sound, and whose records are not.
    pub fn unreadable(&self, chunk: &Chunk, range: &Range<usize>, from: Offset, reason: &BatchError) -> Error {
        let header = chunk.batches.iter().find(|(at, _)| at == range).map(|(_, header)| header);
        let (file, position) = match chunk.cursor {
            Some(end) => {
                (self.relative(end.segment, FileKind::Log), end.position.0 - chunk.len as u64 + range.start as u64)
            }
            None => (self.partition.to_string(), 0),
        };
        Error::corrupt(Damage {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            first_offset: header.map_or(from, |header| header.base_offset.max(from)).0,
            next_offset: header.map_or(from.plus(1), BatchHeader::next_offset).0,
            file,
            position,
            bytes: range.len() as u64,
            reason: reason.to_string(),
        })
    }

    fn damaged(
        &self,
        segment: &Segment,
        at: Position,
        from: Offset,
        next_base: Option<Offset>,
        reason: &BatchError,
    ) -> Error {
        let look = || -> io::Result<(u64, Option<Offset>)> {
            let end = Position(segment.log_len()?);
            let mut scanner = Scanner::new(segment.log(), at, end).in_segment(segment.base());
            let mut range = scanner.resync(at, from, reason)?;
            // What seems to follow may be out of order itself.
            while let Found::Bad(position, error) = scanner.next_checked_in_order(from)? {
                range = scanner.resync(position, from, &error)?;
            }
            Ok((range.end.0 - at.0, range.next_offset))
        };
        let (bytes, next) = match look() {
            Ok(found) => found,
            Err(e) => return self.io_error("reading", segment.base(), FileKind::Log, e),
        };
        // What seems to follow can carry any offset; reading never goes on behind where this segment ends.
        let end = next_base.unwrap_or(self.block.log_end());
        let next = next.unwrap_or(end).min(end).max(from.plus(1));
        Error::corrupt(Damage {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            first_offset: from.0,
            next_offset: next.0,
            file: self.relative(segment.base(), FileKind::Log),
            position: at.0,
            bytes,
            reason: reason.to_string(),
        })
    }
}

/// Why a chunk ends before the buffer does.
enum Needed {
    /// The next batch has this many bytes, and they are not all there.
    Bytes(usize),
    /// The next batch does not check out.
    Repair(BatchError),
}

/// Splits a buffer that begins with a batch into batches. `is_all`: nothing follows it in the file.
fn split(
    buffer: &[u8],
    is_all: bool,
    (segment, next_base): (Offset, Option<Offset>),
    start: Position,
    fetch: &Fetch,
    from: Offset,
) -> (Chunk, Option<Needed>) {
    let mut chunk = Chunk { batches: Vec::new(), len: 0, next: from, cursor: None };
    let mut at = 0;
    let needed = loop {
        let rest = &buffer[at..];
        let header = match BatchHeader::parse(rest) {
            Ok(header) => header,
            Err(BatchError::Short { .. }) => break Some(Needed::Bytes(HEADER_BYTES)),
            Err(error) => break Some(Needed::Repair(error)),
        };
        if rest.len() < header.size {
            break Some(Needed::Bytes(header.size));
        }
        let expected = chunk.next;
        if header.last_offset() < from && chunk.batches.is_empty() {
            if let Err(error) = BatchHeader::check(rest) {
                break Some(Needed::Repair(error));
            }
            at += header.size; // the index led to an earlier one
            continue;
        }
        if header.base_offset > expected {
            // A gap, or a wrong offset: the batch behind tells.
            let behind = &rest[header.size..];
            let following = BatchHeader::parse(behind);
            if matches!(following, Err(BatchError::Short { .. })) && !is_all {
                break Some(Needed::Bytes(header.size + HEADER_BYTES));
            }
            if let Some(error) = out_of_order(&header, expected, following.ok().as_ref()) {
                break Some(Needed::Repair(error));
            }
            if header.base_offset >= fetch.bound {
                let what = format!("base offset {} at or above the bound {}", header.base_offset, fetch.bound);
                break Some(Needed::Repair(BatchError::Rule(what)));
            }
        } else if !chunk.batches.is_empty()
            && let Some(error) = out_of_order(&header, expected, None)
        {
            break Some(Needed::Repair(error));
        }
        if let Some(next) = next_base.filter(|next| header.next_offset() > *next) {
            let what = format!("last offset {} in a segment that ends before {next}", header.last_offset());
            break Some(Needed::Repair(BatchError::Rule(what)));
        }
        if header.last_offset() >= fetch.bound {
            // The bound lies between two batches. One that begins below it and ends above is not decided, or damaged.
            let is_over = header.base_offset < fetch.bound;
            break is_over.then(|| BatchHeader::check(rest).err()).flatten().map(Needed::Repair);
        }
        if fetch.check_crcs
            && let Err(error) = BatchHeader::check(rest)
        {
            break Some(Needed::Repair(error));
        }
        chunk.next = header.next_offset();
        chunk.batches.push((at..at + header.size, header));
        at += header.size;
    };
    chunk.len = at;
    chunk.cursor = Some(Cursor { segment, position: start.plus(at), offset: chunk.next, truncations: 0 });
    (chunk, needed)
}
