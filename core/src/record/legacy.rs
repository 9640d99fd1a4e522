//! Format versions 0 and 1, for reading what old brokers left.
//!
//! ```text
//! entry   := offset:i64 size:i32 message[size]
//! message := crc:u32 magic:i8 attributes:i8 [timestamp:i64 if magic 1] keyLen:i32 key valueLen:i32 value
//! ```
//! A compressed entry is a wrapper: its value is the compressed run of inner entries, its offset that of the last one.
//! Inner offsets are absolute in version 0 and counted from 0 in version 1. The CRC is CRC-32 of magic and all behind it.
//!
//! Source: `org.apache.kafka.common.record.AbstractLegacyRecordBatch`.

use super::codec::{Codec, decompress};
use super::partitioner::crc32;
use super::spans::Span;
use super::{BatchError, BatchHeader, TimestampType};
use crate::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};

const OFFSET_AT: usize = 0;
const CRC_AT: usize = 12;
const MAGIC_AT: usize = 16;
const ATTRIBUTES_AT: usize = 17;
const TIMESTAMP_AT: usize = 18;

fn i64_at(bytes: &[u8], at: usize) -> Result<i64, BatchError> {
    let field =
        bytes.get(at..at + 8).ok_or(BatchError::Short { needed: at as u64 + 8, available: bytes.len() as u64 })?;
    let mut value = [0; 8];
    value.copy_from_slice(field);
    Ok(i64::from_be_bytes(value))
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32, BatchError> {
    let field =
        bytes.get(at..at + 4).ok_or(BatchError::Short { needed: at as u64 + 4, available: bytes.len() as u64 })?;
    let mut value = [0; 4];
    value.copy_from_slice(field);
    Ok(i32::from_be_bytes(value))
}

pub(super) fn crc(entry: &[u8]) -> u32 {
    crc32(entry.get(MAGIC_AT..).unwrap_or_default())
}

pub(super) fn header(bytes: &[u8], size: usize, magic: i8) -> Result<BatchHeader, BatchError> {
    let offset = Offset(i64_at(bytes, OFFSET_AT)?);
    let timestamp = if magic == 1 { TimestampMs(i64_at(bytes, TIMESTAMP_AT)?) } else { TimestampMs::NONE };
    let attributes =
        *bytes.get(ATTRIBUTES_AT).ok_or(BatchError::Short { needed: 18, available: bytes.len() as u64 })?;
    Ok(BatchHeader {
        base_offset: offset,
        size,
        leader_epoch: LeaderEpoch::UNKNOWN,
        magic,
        crc: i32_at(bytes, CRC_AT)? as u32,
        attributes: i16::from(attributes & 0x0f),
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: ProducerId::NONE,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 1,
    })
}

/// The messages of one entry: itself, or what its wrapper holds.
#[derive(Debug)]
pub struct LegacyMessages {
    bytes: Vec<u8>,
    /// Start, offset and time of each message.
    messages: Vec<(usize, Offset, TimestampMs)>,
}

impl LegacyMessages {
    /// Reads a whole entry whose CRC was checked. `most` bounds what it may decompress to.
    ///
    /// # Errors
    /// For a structure that breaks the layout, a codec that these versions do not have, and wrappers in wrappers.
    pub fn read(entry: &[u8], most: usize) -> Result<LegacyMessages, BatchError> {
        let (size, magic) = BatchHeader::peek(entry)?;
        let wrapper = header(entry, size, magic)?;
        let codec = wrapper.codec()?;
        if codec == Codec::None {
            let messages = vec![(0, wrapper.base_offset, wrapper.max_timestamp)];
            return Ok(LegacyMessages { bytes: entry[..size].to_vec(), messages });
        }
        if codec == Codec::Zstd {
            return Err(BatchError::Rule(format!("zstd does not exist in format version {magic}")));
        }
        let (_, value) = fields(&entry[..size], magic)?;
        let (from, to) = value.ok_or(BatchError::Record { index: 0, what: "a compressed message has no value" })?;
        let mut bytes = Vec::new();
        if magic == 0 && codec == Codec::Lz4 {
            super::codec::decompress_lz4_magic_0(&entry[from..to], most, &mut bytes)?;
        } else {
            decompress(codec, &entry[from..to], most, &mut bytes)?;
        }
        let mut messages = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let index = messages.len() as u32;
            let (inner_size, inner_magic) = BatchHeader::peek(&bytes[at..])?;
            if inner_magic != magic || at + inner_size > bytes.len() {
                return Err(BatchError::Record { index, what: "an inner message has another version or is cut off" });
            }
            let inner = header(&bytes[at..], inner_size, magic)?;
            if inner.codec()? != Codec::None {
                return Err(BatchError::Record { index, what: "an inner message is compressed" });
            }
            messages.push((at, inner.base_offset, inner.max_timestamp));
            at += inner_size;
        }
        if magic == 1 {
            let last = messages.last().map_or(0, |(_, offset, _)| offset.0);
            let append_time = wrapper.timestamp_type() == TimestampType::LogAppendTime;
            let misplaced = |index| BatchError::Record { index, what: "its offset does not fit that of its wrapper" };
            let base = match wrapper.base_offset.0 {
                0 => 0, // some versions of librdkafka left it so, whatever was inside
                at => at.checked_sub(last).filter(|base| *base >= 0).ok_or(misplaced(0))?,
            };
            for (index, (_, offset, timestamp)) in messages.iter_mut().enumerate() {
                *offset = base.checked_add(offset.0).map(Offset).ok_or(misplaced(index as u32))?;
                if append_time {
                    *timestamp = wrapper.max_timestamp;
                }
            }
        }
        Ok(LegacyMessages { bytes, messages })
    }

    /// Appends the messages to `arena`, and their places in it to `spans`.
    pub(super) fn spans(
        &self,
        timestamp_type: TimestampType,
        from: Offset,
        arena: &mut Vec<u8>,
        spans: &mut Vec<Span>,
    ) -> Result<(), BatchError> {
        let base = arena.len();
        arena.extend_from_slice(&self.bytes);
        for (index, (start, offset, timestamp)) in self.messages.iter().enumerate() {
            if *offset < from {
                continue;
            }
            let (size, magic) = BatchHeader::peek(&self.bytes[*start..])?;
            let message = &self.bytes[*start..start + size];
            let (key, value) = fields(message, magic)
                .map_err(|_| BatchError::Record { index: index as u32, what: "its key or value is cut off" })?;
            let at = |range: Option<(usize, usize)>| range.map_or(0, |(from, _)| (base + start + from) as u32);
            let len = |range: Option<(usize, usize)>| range.map_or(-1, |(from, to)| (to - from) as i32);
            spans.push(Span {
                offset: offset.0,
                timestamp: timestamp.0,
                key_at: at(key),
                key_len: len(key),
                value_at: at(value),
                value_len: len(value),
                headers_at: 0,
                header_count: 0,
                leader_epoch: -1,
                timestamp_type,
            });
        }
        Ok(())
    }
}

type Range = Option<(usize, usize)>;

/// Where key and value of a message are.
fn fields(message: &[u8], magic: i8) -> Result<(Range, Range), BatchError> {
    let mut at = if magic == 1 { TIMESTAMP_AT + 8 } else { TIMESTAMP_AT };
    let mut field = || -> Result<Range, BatchError> {
        let length = i32_at(message, at)?;
        at += 4;
        if length < 0 {
            return Ok(None);
        }
        let end = at + length as usize;
        if end > message.len() {
            return Err(BatchError::Short { needed: end as u64, available: message.len() as u64 });
        }
        let range = (at, end);
        at = end;
        Ok(Some(range))
    };
    let key = field()?;
    let value = field()?;
    if at == message.len() { Ok((key, value)) } else { Err(BatchError::Trailing(message.len() - at)) }
}
