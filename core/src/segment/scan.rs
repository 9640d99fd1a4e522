//! Walking through the batches of a `.log` file.

use std::io;

use crate::record::{BatchError, BatchHeader, HEADER_BYTES};
use crate::sys::{AnyFile, read_exact_at};
use crate::types::{Offset, Position};

/// What a scanner came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A batch, and where it begins.
    Batch(Position, BatchHeader),
    /// Bytes that are no batch. The scanner stays in front of them.
    Bad(Position, BatchError),
    /// The end: no byte is left.
    End(Position),
}

/// A range of bytes that does not check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// First damaged byte.
    pub position: Position,
    /// The byte behind: a batch begins there, or the file ends.
    pub end: Position,
    /// The offset that was expected there.
    pub first_offset: Offset,
    /// The offset of the first record behind it; `None` when nothing follows.
    pub next_offset: Option<Offset>,
    /// What is wrong.
    pub reason: String,
}

const CHUNK_BYTES: usize = 64 * 1024;

/// Whether a batch cannot be where it is. The base offset is outside the checksum, so only its neighbours tell: offsets do
/// not fall, and where there is a gap before a batch that reaches into the one `following` it, its own offset is wrong.
pub fn out_of_order(header: &BatchHeader, expected: Offset, following: Option<&BatchHeader>) -> Option<BatchError> {
    if header.last_offset().0.saturating_sub(expected.0) > i64::from(i32::MAX) {
        return Some(BatchError::Rule(format!("offset {} is too far from {expected}", header.last_offset())));
    }
    // In versions 0 and 1 the base offset is the last one; of a compressed entry no other is known.
    if header.base_offset < expected {
        return Some(BatchError::Rule(format!("base offset {} where {expected} is the least", header.base_offset)));
    }
    if header.magic < 2 {
        return None;
    }
    if header.last_offset_delta < 0 {
        return Some(BatchError::Rule(format!("last offset delta {}", header.last_offset_delta)));
    }
    let following = following.filter(|following| header.base_offset > expected && following.magic >= 2)?;
    (following.base_offset < header.next_offset()).then(|| {
        BatchError::Rule(format!(
            "base offset {} where {expected} is expected and {} follows",
            header.base_offset, following.base_offset
        ))
    })
}

/// Reads batches one after the other, in large pieces.
#[derive(Debug)]
pub struct Scanner<'a> {
    file: &'a AnyFile,
    next: Position,
    end: Position,
    chunk: Vec<u8>,
    chunk_at: u64,
    /// Batches in order do not go further.
    greatest: Offset,
}

impl<'a> Scanner<'a> {
    /// Begins at `from`, which is the start of a batch, and looks at no byte at or behind `end`.
    pub fn new(file: &'a AnyFile, from: Position, end: Position) -> Self {
        Scanner { file, next: from, end, chunk: Vec::new(), chunk_at: 0, greatest: Offset(i64::MAX) }
    }

    /// Knows where the segment begins, and so which offsets it can hold: its indexes have 31 bits for them.
    #[must_use]
    pub fn in_segment(self, base: Offset) -> Self {
        Scanner { greatest: Offset(base.0.saturating_add(i64::from(i32::MAX))), ..self }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Goes on elsewhere.
    pub fn seek(&mut self, to: Position) {
        self.next = to;
    }

    /// The bytes of `from..from + len`, or as many of them as there are before the end.
    fn bytes(&mut self, from: Position, len: usize) -> io::Result<&[u8]> {
        let len = len.min(self.end.0.saturating_sub(from.0) as usize);
        let held = self.chunk_at..self.chunk_at + self.chunk.len() as u64;
        if !(held.contains(&from.0) && from.0 + len as u64 <= held.end) {
            let want = len.max(CHUNK_BYTES).min(self.end.0.saturating_sub(from.0) as usize);
            self.chunk.resize(want, 0);
            let read = read_exact_at(self.file, &mut self.chunk, from.0)?;
            self.chunk.truncate(read);
            self.chunk_at = from.0;
        }
        let at = (from.0 - self.chunk_at) as usize;
        let to = (at + len).min(self.chunk.len());
        Ok(&self.chunk[at.min(to)..to])
    }

    /// The next batch by its header alone: neither the checksum nor the records are looked at. Steps over it.
    pub fn next_header(&mut self) -> io::Result<Found> {
        let position = self.next;
        let end = self.end;
        let head = self.bytes(position, HEADER_BYTES)?;
        if head.is_empty() {
            return Ok(Found::End(position));
        }
        match BatchHeader::parse(head) {
            Ok(header) if position.0 + header.size as u64 > end.0 => {
                let available = end.0 - position.0;
                Ok(Found::Bad(position, BatchError::Short { needed: header.size as u64, available }))
            }
            Ok(header) => {
                self.next = position.plus(header.size);
                Ok(Found::Batch(position, header))
            }
            Err(error) => Ok(Found::Bad(position, error)),
        }
    }

    /// The next batch, whole and with its checksum checked. Steps over it.
    pub fn next_checked(&mut self) -> io::Result<Found> {
        match self.next_header()? {
            Found::Batch(position, header) => {
                self.next = position;
                let size = header.size;
                match BatchHeader::check(self.bytes(position, size)?) {
                    Ok(header) => {
                        self.next = position.plus(size);
                        Ok(Found::Batch(position, header))
                    }
                    Err(error) => Ok(Found::Bad(position, error)),
                }
            }
            other => Ok(other),
        }
    }

    /// As [`next_header`](Self::next_header), and `Bad` for a batch whose offsets do not follow `expected`.
    pub fn next_in_order(&mut self, expected: Offset) -> io::Result<Found> {
        let found = self.next_header()?;
        self.check_order(found, expected)
    }

    /// As [`next_checked`](Self::next_checked), and `Bad` for a batch whose offsets do not follow `expected`.
    pub fn next_checked_in_order(&mut self, expected: Offset) -> io::Result<Found> {
        let found = self.next_checked()?;
        self.check_order(found, expected)
    }

    fn check_order(&mut self, found: Found, expected: Offset) -> io::Result<Found> {
        let Found::Batch(position, header) = found else {
            return Ok(found);
        };
        let behind = self.next;
        let following = if header.base_offset > expected {
            BatchHeader::parse(self.bytes(behind, HEADER_BYTES)?).ok()
        } else {
            None
        };
        Ok(match out_of_order(&header, expected, following.as_ref()) {
            None if header.last_offset() > self.greatest => {
                self.next = position;
                let what = format!("offset {} where {} is the greatest", header.last_offset(), self.greatest);
                Found::Bad(position, BatchError::Rule(what))
            }
            None => Found::Batch(position, header),
            Some(error) => {
                self.next = position;
                Found::Bad(position, error)
            }
        })
    }

    /// The header that lies at a place, if one does.
    pub fn header_at(&mut self, position: Position) -> io::Result<Option<BatchHeader>> {
        Ok(BatchHeader::parse(self.bytes(position, HEADER_BYTES)?).ok())
    }

    /// The bytes of a batch that was just found.
    pub fn batch(&mut self, position: Position, header: &BatchHeader) -> io::Result<&[u8]> {
        self.bytes(position, header.size)
    }

    /// Looks behind damaged bytes at `from` for a batch that checks out and whose offsets follow `expected`. The scanner
    /// then stands before it; at the end when there is none.
    ///
    /// The damaged batch's own length is believed where its checksum holds, and it is only out of place, or where it leads to
    /// the offset that it promises. Otherwise every byte is tried.
    pub fn resync(&mut self, from: Position, expected: Offset, reason: &BatchError) -> io::Result<DamagedRange> {
        let damaged = BatchHeader::parse(self.bytes(from, HEADER_BYTES)?).ok();
        let mut tried = from;
        if let Some(header) = damaged.filter(|header| from.plus(header.size) <= self.end) {
            let behind = from.plus(header.size);
            let checked = BatchHeader::check(self.bytes(from, header.size)?);
            let follows = |found: BatchHeader| found.base_offset == header.next_offset();
            if matches!(checked, Ok(_) | Err(BatchError::Rule(_)))
                || self.valid_at(behind, expected)?.is_some_and(follows)
            {
                tried = Position(behind.0 - 1);
            }
        }
        let mut found = None;
        loop {
            tried = self.skip_zeros(tried.plus(1))?;
            if tried >= self.end {
                break;
            }
            if let Some(header) = self.valid_at(tried, expected)?
                && header.base_offset >= expected
            {
                found = Some((tried, header.base_offset));
                break;
            }
        }
        let end = found.map_or(self.end, |(position, _)| position);
        self.next = end;
        Ok(DamagedRange {
            position: from,
            end,
            first_offset: expected,
            next_offset: found.map(|(_, offset)| offset),
            reason: reason.to_string(),
        })
    }

    /// Passes over places where no batch can begin because its length would be zero.
    fn skip_zeros(&mut self, mut at: Position) -> io::Result<Position> {
        // The length field ends 12 bytes into a batch, and one of its bytes is not zero.
        const LENGTH_END: usize = 12;
        loop {
            let end = self.end;
            // What is held already says it, most of the time.
            if self.bytes(at, LENGTH_END + 1)?.iter().take(LENGTH_END).any(|byte| *byte != 0) {
                return Ok(at);
            }
            let bytes = self.bytes(at, CHUNK_BYTES)?;
            if bytes.len() <= LENGTH_END {
                return Ok(end);
            }
            match bytes.iter().position(|byte| *byte != 0) {
                Some(first) => return Ok(at.plus(first.saturating_sub(LENGTH_END - 1))),
                None => at = at.plus(bytes.len() - LENGTH_END),
            }
        }
    }

    fn valid_at(&mut self, position: Position, expected: Offset) -> io::Result<Option<BatchHeader>> {
        // Most places fail here, without a second look: the checksum of what a length claims can take milliseconds.
        let Ok(header) = BatchHeader::parse(self.bytes(position, HEADER_BYTES)?) else {
            return Ok(None);
        };
        let size = header.size;
        let cannot_follow = expected >= Offset::ZERO && out_of_order(&header, expected, None).is_some();
        if cannot_follow || position.0 + size as u64 > self.end.0 {
            return Ok(None);
        }
        Ok(BatchHeader::check(self.bytes(position, size)?).ok())
    }
}
