//! Decoding the records of a batch.

use super::BatchError;
use super::header::{BatchHeader, TimestampType};
use super::varint::{read_varint, read_varlong};
use crate::types::{Offset, TimestampMs};

/// A record, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its time.
    pub timestamp: TimestampMs,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// How many headers it has.
    pub header_count: u32,
    /// The encoded headers.
    pub(super) headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Names and values, in order. The bytes were checked when the record was decoded.
    pub fn headers(&self) -> Headers<'a> {
        headers_of(self.headers, self.header_count)
    }
}

/// The headers encoded in `bytes`.
pub fn headers_of(bytes: &[u8], count: u32) -> Headers<'_> {
    Headers { bytes, at: 0, left: count }
}

/// Iterates over the headers of a record: name, and value or null. Names that are not UTF-8 (which Kafka never writes)
/// are shown as empty.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = read_field(self.bytes, &mut self.at)??;
        let value = read_field(self.bytes, &mut self.at)?;
        Some((std::str::from_utf8(name).unwrap_or(""), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

/// Iterates over the records of one batch.
///
/// The bytes are the uncompressed records: a slice of the batch itself, or what decompressing made of it.
#[derive(Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    index: u32,
    header: BatchHeader,
    done: bool,
}

impl<'a> Records<'a> {
    /// The records in `bytes`, which follow `header` uncompressed.
    pub fn new(header: &BatchHeader, bytes: &'a [u8]) -> Self {
        Records { bytes, at: 0, index: 0, header: *header, done: false }
    }

    fn read(&mut self) -> Result<Option<RecordView<'a>>, BatchError> {
        if i64::from(self.index) >= i64::from(self.header.records_count) {
            if self.header.records_count < 0 {
                return Err(BatchError::Rule(format!("records count {} is negative", self.header.records_count)));
            }
            if self.at != self.bytes.len() {
                return Err(BatchError::Trailing(self.bytes.len() - self.at));
            }
            return Ok(None);
        }
        let record = self.read_one().map_err(|what| BatchError::Record { index: self.index, what })?;
        self.index += 1;
        Ok(Some(record))
    }

    #[inline]
    fn read_one(&mut self) -> Result<RecordView<'a>, &'static str> {
        let bytes = self.bytes;
        let length = read_varint(bytes, &mut self.at).ok_or("its length is cut off or too long")?;
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len()).ok_or("it is longer than the batch")?;
        let body = &bytes[..end];
        let mut at = self.at;
        body.get(at).ok_or("its attributes are missing")?;
        at += 1;
        let timestamp_delta = read_varlong(body, &mut at).ok_or("its timestamp is cut off or too long")?;
        let offset_delta = read_varint(body, &mut at).ok_or("its offset is cut off or too long")?;
        let key = read_field(body, &mut at).ok_or("its key is cut off")?;
        let value = read_field(body, &mut at).ok_or("its value is cut off")?;
        let header_count = read_varint(body, &mut at).ok_or("its header count is cut off or too long")?;
        if header_count < 0 || header_count as usize > end - at {
            return Err("its header count is impossible");
        }
        let headers_at = at;
        for _ in 0..header_count {
            read_field(body, &mut at).flatten().ok_or("a header's name is null or cut off")?;
            read_field(body, &mut at).ok_or("a header's value is cut off")?;
        }
        if at != end {
            return Err("its length does not match its content");
        }
        self.at = end;
        // The header's last offset was checked, but a record's delta may say more than the header's.
        let offset = self.header.base_offset.0.checked_add(i64::from(offset_delta)).map(Offset);
        let offset = offset.ok_or("its offset is outside all logs")?;
        Ok(RecordView {
            offset,
            timestamp: match self.header.timestamp_type() {
                TimestampType::CreateTime => TimestampMs(self.header.base_timestamp.0.wrapping_add(timestamp_delta)),
                TimestampType::LogAppendTime => self.header.max_timestamp,
            },
            key,
            value,
            header_count: header_count as u32,
            headers: &body[headers_at..end],
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    /// The next record; nothing more after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Reads a length and so many bytes. `Some(None)` is null: any negative length.
#[inline]
#[allow(clippy::option_option, reason = "null is a value of a field, and its absence is an error")]
fn read_field<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = read_varint(bytes, at)?;
    if length < 0 {
        return Some(None);
    }
    let end = at.checked_add(length as usize)?;
    let field = bytes.get(*at..end)?;
    *at = end;
    Some(Some(field))
}
