//! Records of any version, compressed or not, as places in one buffer.

use std::fmt;

use super::BatchError;
use super::codec::{Codec, decompress};
use super::header::{BatchHeader, TimestampType};
use super::layout::HEADER_BYTES;
use super::legacy::LegacyMessages;
use super::reader::{Headers, Records, headers_of};
use crate::types::Offset;

/// Where the parts of a record are in a buffer. 48 bytes, so that a batch of records is one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The record's offset.
    pub offset: i64,
    /// The record's time.
    pub timestamp: i64,
    /// Where the key begins.
    pub key_at: u32,
    /// Its length, −1 for null.
    pub key_len: i32,
    /// Where the value begins.
    pub value_at: u32,
    /// Its length, −1 for null.
    pub value_len: i32,
    /// Where the encoded headers begin.
    pub headers_at: u32,
    /// How many there are.
    pub header_count: u32,
    /// Epoch of the leader that appended it, −1 where unknown.
    pub leader_epoch: i32,
    /// Whose clock the timestamp comes from.
    pub timestamp_type: TimestampType,
}

const _: () = assert!(size_of::<Span>() == 48);

/// A record that was read, in place.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    span: &'a Span,
    data: &'a [u8],
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("offset", &self.offset())
            .field("timestamp", &self.timestamp())
            .field("key", &self.key().map(String::from_utf8_lossy))
            .field("value", &self.value().map(String::from_utf8_lossy))
            .finish_non_exhaustive()
    }
}

impl<'a> Record<'a> {
    /// The record that `span` finds in `data`.
    #[doc(hidden)]
    pub fn new(data: &'a [u8], span: &'a Span) -> Self {
        Record { span, data }
    }

    /// Its place in the partition.
    pub fn offset(&self) -> i64 {
        self.span.offset
    }

    /// Milliseconds since 1970-01-01 UTC; −1 for none.
    pub fn timestamp(&self) -> i64 {
        self.span.timestamp
    }

    /// Whose clock the timestamp comes from.
    pub fn timestamp_type(&self) -> TimestampType {
        self.span.timestamp_type
    }

    /// Epoch of the leader that appended it; −1 where unknown.
    pub fn leader_epoch(&self) -> i32 {
        self.span.leader_epoch
    }

    /// The key; `None` is null.
    pub fn key(&self) -> Option<&'a [u8]> {
        part(self.data, self.span.key_at, self.span.key_len)
    }

    /// The value; `None` is null.
    pub fn value(&self) -> Option<&'a [u8]> {
        part(self.data, self.span.value_at, self.span.value_len)
    }

    /// Names and values, in order; a value of `None` is null.
    pub fn headers(&self) -> Headers<'a> {
        headers_of(self.data.get(self.span.headers_at as usize..).unwrap_or_default(), self.span.header_count)
    }
}

fn part(data: &[u8], at: u32, len: i32) -> Option<&[u8]> {
    let len = usize::try_from(len).ok()?;
    Some(&data[at as usize..at as usize + len])
}

/// Decodes the records of a whole batch of any version into spans of `arena`, appending both.
///
/// `batch` is the batch as stored; `arena_base` says where its first byte lies in the buffer that the spans point into
/// when the batch is not compressed. A compressed one is decompressed into `arena`, and its spans point there. Records
/// below `from` are left out. `most` bounds what a batch may decompress to.
///
/// # Errors
/// As [`Records`], and those of the codec; `spans` is then as it was.
pub fn decode_spans(
    batch: &[u8],
    header: &BatchHeader,
    from: Offset,
    limits: SpanLimits,
    arena: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<(), BatchError> {
    let before = spans.len();
    let result = decode_into(batch, header, from, limits, arena, spans);
    if result.is_err() {
        spans.truncate(before);
    }
    result
}

/// Where a batch lies, and what it may become.
#[derive(Clone, Copy, Debug)]
pub struct SpanLimits {
    /// Place of the batch's first byte in the caller's buffer.
    pub arena_base: usize,
    /// Bytes that it may decompress to.
    pub most: usize,
}

fn decode_into(
    batch: &[u8],
    header: &BatchHeader,
    from: Offset,
    limits: SpanLimits,
    arena: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<(), BatchError> {
    if header.magic < 2 {
        return LegacyMessages::read(batch, limits.most)?.spans(header.timestamp_type(), from, arena, spans);
    }
    let body = &batch[HEADER_BYTES..];
    let (records, base) = match header.codec()? {
        Codec::None => (body, limits.arena_base + HEADER_BYTES),
        _ if header.records_count == 0 && body.is_empty() => (body, 0),
        codec => {
            let base = arena.len();
            decompress(codec, body, limits.most, arena)?;
            (&arena[base..], base)
        }
    };
    let start = records.as_ptr() as usize;
    let place = |field: &[u8]| (field.as_ptr() as usize - start + base) as u32;
    spans.reserve((header.records_count.max(0) as usize).min(records.len() / 7 + 1));
    for record in Records::new(header, records) {
        let record = record?;
        if record.offset < from {
            continue;
        }
        spans.push(Span {
            offset: record.offset.0,
            timestamp: record.timestamp.0,
            key_at: record.key.map_or(0, place),
            key_len: record.key.map_or(-1, |key| key.len() as i32),
            value_at: record.value.map_or(0, place),
            value_len: record.value.map_or(-1, |value| value.len() as i32),
            headers_at: place(record.headers),
            header_count: record.header_count,
            leader_epoch: header.leader_epoch.0,
            timestamp_type: header.timestamp_type(),
        });
    }
    Ok(())
}
