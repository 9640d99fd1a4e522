//! Encoding a batch, record by record, in place.

use super::codec::{Compression, compress};
use super::header::seal;
use super::layout::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, CONTROL, HEADER_BYTES, LAST_OFFSET_DELTA_AT,
    LEADER_EPOCH_AT, LENGTH_AT, LOG_APPEND_TIME, LOG_OVERHEAD, MAGIC_AT, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT,
    PRODUCER_ID_AT, RECORDS_COUNT_AT, TRANSACTIONAL,
};
use super::varint::{varint_len, varlong_len, write_varint, write_varlong};
use super::{BatchError, TimestampType};
use crate::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};

/// What a batch says of itself besides its records.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Offset of the first record; producers send 0.
    pub base_offset: Offset,
    /// Epoch of the leader; producers send −1.
    pub leader_epoch: LeaderEpoch,
    /// How to compress the records.
    pub compression: Compression,
    /// Whose clock the timestamps come from.
    pub timestamp_type: TimestampType,
    /// Who sends.
    pub producer_id: ProducerId,
    /// The epoch of that id, −1 for none.
    pub producer_epoch: i16,
    /// Sequence number of the first record, −1 for none.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
    /// Whether it is a control batch.
    pub is_control: bool,
}

impl Default for BatchOptions {
    /// A plain batch of a plain producer.
    fn default() -> Self {
        BatchOptions {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::UNKNOWN,
            compression: Compression::NONE,
            timestamp_type: TimestampType::CreateTime,
            producer_id: ProducerId::NONE,
            producer_epoch: -1,
            base_sequence: -1,
            is_transactional: false,
            is_control: false,
        }
    }
}

/// A batch that is being filled. Offsets count from 0.
#[derive(Debug)]
pub struct BatchBuilder {
    /// The header's place, then the records as they will be stored or compressed.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
}

impl BatchBuilder {
    /// An empty batch with room for about `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(HEADER_BYTES));
        bytes.resize(HEADER_BYTES, 0);
        BatchBuilder { bytes, count: 0, base_timestamp: TimestampMs::NONE, max_timestamp: TimestampMs::NONE }
    }

    /// An empty batch in the memory of a finished one.
    pub fn reuse(mut bytes: Vec<u8>) -> Self {
        bytes.resize(HEADER_BYTES, 0); // what the old header was stays there until the new one is written over it
        BatchBuilder { bytes, count: 0, base_timestamp: TimestampMs::NONE, max_timestamp: TimestampMs::NONE }
    }

    /// Appends a record and returns its place in the batch.
    ///
    /// `headers` are names and values in order; a value of `None` is null. The fields are limited only by the 2³¹−1
    /// bytes that a batch can have; whoever calls has checked them against `max.message.bytes`.
    #[inline]
    pub fn push(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> i32 {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let offset_delta = self.count;
        let body = 1
            + varlong_len(timestamp_delta)
            + varint_len(offset_delta)
            + field_len(key)
            + field_len(value)
            + varint_len(headers.len() as i32)
            + headers.iter().map(|(name, value)| field_len(Some(name.as_bytes())) + field_len(*value)).sum::<usize>();
        let out = &mut self.bytes;
        out.reserve(body + 5);
        write_varint(out, body as i32);
        out.push(0); // record attributes: none are defined
        write_varlong(out, timestamp_delta);
        write_varint(out, offset_delta);
        write_field(out, key);
        write_field(out, value);
        write_varint(out, headers.len() as i32);
        for (name, value) in headers {
            write_field(out, Some(name.as_bytes()));
            write_field(out, *value);
        }
        self.count += 1;
        offset_delta
    }

    /// Bytes that the batch has now, uncompressed.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no record was appended yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// An upper bound for the bytes that a record adds.
    ///
    /// Source: `org.apache.kafka.common.record.DefaultRecord#recordSizeUpperBound`.
    pub fn record_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> usize {
        let headers: usize =
            headers.iter().map(|(name, value)| field_len(Some(name.as_bytes())) + field_len(*value)).sum();
        21 + field_len(key) + field_len(value) + varint_len(i32::MAX) + headers
    }

    /// Finishes the batch: compresses the records, writes the header and the checksum.
    ///
    /// # Errors
    /// Those of the codec.
    pub fn finish(self, options: &BatchOptions) -> Result<Vec<u8>, BatchError> {
        let BatchBuilder { mut bytes, count, base_timestamp, max_timestamp } = self;
        if options.compression != Compression::NONE {
            let mut compressed = Vec::with_capacity(HEADER_BYTES + bytes.len() / 2);
            compressed.resize(HEADER_BYTES, 0);
            compress(options.compression, &bytes[HEADER_BYTES..], &mut compressed)?;
            bytes = compressed;
        }
        let mut attributes = options.compression.codec as i16;
        if options.timestamp_type == TimestampType::LogAppendTime {
            attributes |= LOG_APPEND_TIME;
        }
        if options.is_transactional {
            attributes |= TRANSACTIONAL;
        }
        if options.is_control {
            attributes |= CONTROL;
        }
        let length = (bytes.len() - LOG_OVERHEAD) as i32;
        let header: &mut [u8; HEADER_BYTES] =
            bytes.first_chunk_mut().expect("a builder begins with the header's place");
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(BASE_OFFSET_AT, &options.base_offset.0.to_be_bytes());
        put(LENGTH_AT, &length.to_be_bytes());
        put(LEADER_EPOCH_AT, &options.leader_epoch.0.to_be_bytes());
        put(MAGIC_AT, &[2]);
        put(ATTRIBUTES_AT, &attributes.to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &(count - 1).max(0).to_be_bytes());
        put(BASE_TIMESTAMP_AT, &base_timestamp.0.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &max_timestamp.0.to_be_bytes());
        put(PRODUCER_ID_AT, &options.producer_id.0.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &options.producer_epoch.to_be_bytes());
        put(BASE_SEQUENCE_AT, &options.base_sequence.to_be_bytes());
        put(RECORDS_COUNT_AT, &count.to_be_bytes());
        seal(&mut bytes);
        Ok(bytes)
    }
}

#[inline]
fn field_len(field: Option<&[u8]>) -> usize {
    match field {
        None => 1,
        Some(bytes) => varint_len(bytes.len() as i32) + bytes.len(),
    }
}

#[inline]
fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => out.push(1), // −1 in zigzag
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}
